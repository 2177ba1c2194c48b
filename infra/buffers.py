"""What becomes of large buffers once they are freed."""

import ctypes
from typing import Final


LARGE: Final = 1024 * 1024  # bytes
M_MMAP_THRESHOLD: Final = -3  # as malloc.h has it


def give_back_buffers() -> None:
    """Have the C library give large buffers back to the system when they are freed.

    Left to itself glibc raises what it takes for large with each that is freed, up to
    32 MiB, and keeps twice as much: after one large report a process would stay as
    large. C libraries without the setting have no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
