"""Idle threads sleep unless the user wants otherwise."""

from __future__ import annotations

import os
import subprocess
import sys

from clip2scene_ros.threads import wait_politely


def test_the_users_own_choice_stands():
    chosen = {"OMP_WAIT_POLICY": "active"}
    wait_politely(chosen)
    assert chosen == {"OMP_WAIT_POLICY": "active"}


def test_openmp_hears_it_when_torch_is_imported_afterwards():
    code = "from clip2scene_ros.threads import wait_politely; wait_politely(); import torch; torch.ones(9).sum()"
    environment = {**os.environ, "OMP_DISPLAY_ENV": "true"}
    environment.pop("OMP_WAIT_POLICY", None)
    told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in told.stderr
