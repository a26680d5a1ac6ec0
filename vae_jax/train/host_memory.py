"""How this process keeps the memory that it has freed."""

import ctypes
import platform

# <malloc.h> of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
_KEPT_BYTES = 2**31 - 1


def keep_freed_memory() -> None:
    """Lets the C library keep freed memory; does nothing without glibc.

    Only what is beyond 2 GiB at the end of the heap is returned to the system.

    A step on a CPU takes one block of working memory and frees it. glibc returns a
    block over 32 MiB to Linux at once, and the next step gets every page anew, zeroed
    one by one, which can take a quarter of its time. Call it before the first
    computation. It holds for the whole process: it is for programs, not for libraries.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_ARENA_MAX, 1)  # only the main arena can grow to any size
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
