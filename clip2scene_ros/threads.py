"""How torch's CPU threads wait for each other; to be said before torch is imported."""

from __future__ import annotations

import os
from collections.abc import MutableMapping


def wait_politely(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let idle OpenMP threads sleep instead of spin, unless the user has chosen otherwise.

    A vehicle's cores are shared. Where another process wants a core, a spinning thread keeps it from the very
    thread it waits for, and a scan of 65 ms takes seconds (`bench/tiny.py` under load, with OMP_WAIT_POLICY=active).
    """
    environment.setdefault("OMP_WAIT_POLICY", "passive")
