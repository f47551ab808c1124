"""Tune how glibc returns the memory of a web process or a worker to the system.

By default glibc returns all free memory at the top of the heap except twice the largest block that
was ever freed. For a body in pieces of a quarter MiB that is only a few pieces, so each is returned
and taken again page by page. This was measured as half of the CPU time of an upload. After a large
block was freed, glibc also puts blocks of up to this size between small ones, which keep the heap
from shrinking: a worker that had sealed a busy minute grew with every hour.
"""

import ctypes
from typing import Final

# malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_KEPT_BYTES: Final = 4 * 1024 * 1024
# Larger blocks are allocated separately and returned immediately.
_LARGE_BYTES: Final = 1024 * 1024
# By default, glibc has up to eight arenas for each core, and each keeps what threads freed in it.
# Only one thread at a time runs Python, so two are enough.
_ARENAS: Final = 2


def keep_freed_memory() -> bool:
    """Make the allocator keep freed memory from now on, in few arenas. Return False if the C
    library does not support that."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(name, size)
        for name, size in (
            (_M_TRIM_THRESHOLD, _KEPT_BYTES),
            (_M_MMAP_THRESHOLD, _LARGE_BYTES),
            (_M_ARENA_MAX, _ARENAS),
        )
    )
