"""How the memory of a web process is taken and given back: glibc keeps what is free at the end of
its heap, up to a bound.

By itself it gives back all but twice the largest block that was ever freed. Of a body that passes
in pieces of a quarter of a MiB that is less than a few of them, so that each piece is given back
and taken anew, page by page: measured, half of the CPU time of an upload.
"""

import ctypes
from typing import Final

# malloc.h
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_KEPT_BYTES: Final = 4 * 1024 * 1024
# What is larger is taken by itself, and given back at once.
_LARGE_BYTES: Final = 1024 * 1024


def keep_freed_memory() -> bool:
    """Whether this process keeps it from now on; another C library does as it does."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        mallopt(name, size)
        for name, size in ((_M_TRIM_THRESHOLD, _KEPT_BYTES), (_M_MMAP_THRESHOLD, _LARGE_BYTES))
    )
