"""Fixtures that every test may use."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function from a path under `../shared` to that file or folder.

    Where it is absent the test is skipped with a reason that is counted, or fails under REQUIRE_SHARED=1.
    """

    def find(relative: str) -> Path:
        path = SHARED / relative
        if not path.exists():
            reason = f"shared data absent: ../shared/{relative}"
            if os.environ.get("REQUIRE_SHARED") == "1":
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find
