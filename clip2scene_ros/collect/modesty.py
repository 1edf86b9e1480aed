"""How the teacher's process keeps out of the way of all else on board: of its time and of its memory."""

from __future__ import annotations

import ctypes
import os

LOWEST = 19
"""Niceness; the greatest there is."""

M_MMAP_THRESHOLD, LARGE_BYTES = -3, 1 << 20
"""A parameter of glibc's mallopt (malloc.h), and the size from which a block is one of its own."""


def take_what_is_left(nice: int) -> None:
    """Run, at the lowest priority, only when nothing else wants to; at others nothing changes.

    On Linux a processor that has only such work counts as idle: whoever wakes up goes there, instead of waiting behind
    the segmentation on another one.
    """
    if nice == LOWEST and hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def give_memory_back() -> None:
    """Have the C library return every large block to the system as soon as it is freed; other libraries than glibc do.

    Left alone, glibc takes the first large block that is freed for a sign that such ones come again, and keeps them. A
    teacher's differ from image to image: they come to lie between smaller ones, and the process grows for hours.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
