"""How glibc handles freed memory in a process that computes with XLA; without effect on other systems."""

import contextlib
import ctypes

_ONE_ARENA, _NO_MAPPING, _NO_TRIMMING = (-8, 1), (-4, 0), (-1, 2**31 - 1)
"""M_ARENA_MAX, M_MMAP_MAX and M_TRIM_THRESHOLD of glibc's `mallopt`, with their values."""


def keep():
    """Let freed memory stay with this process; call it before threads are started.

    XLA on CPUs allocates its temporary buffers anew at each step. Given back and mapped again, they cost page faults:
    without this call a training step of the paper's network takes JAX 1.4 times as long (two cores). The environment
    variables `MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=2147483647` do the same, but glibc reads
    them before Python starts, so a recipe cannot set them for itself.
    """
    with contextlib.suppress(OSError, AttributeError):  # another system, or another C library
        for option, value in (_ONE_ARENA, _NO_MAPPING, _NO_TRIMMING):
            ctypes.CDLL(None).mallopt(option, value)
