"""Errors keep their reason and their text on the way from one process to another."""

from __future__ import annotations

import pickle

import pytest

from clip2scene_ros.errors import Clip2SceneError


@pytest.mark.parametrize("kind", Clip2SceneError.__subclasses__())
def test_an_error_of_another_process_is_the_same_error(kind: type[Clip2SceneError]) -> None:
    found = pickle.loads(pickle.dumps(kind("reason", "What was expected, but what came.")))
    assert type(found) is kind
    assert (found.reason, str(found)) == ("reason", "What was expected, but what came.")
