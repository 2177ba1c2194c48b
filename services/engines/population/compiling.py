"""Kernels: functions over arrays, compiled to machine code when first called."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numba
import numpy as np


F = TypeVar("F", bound=Callable[..., object])

OPTIONS: Final[dict[str, Any]] = {
    "cache": bool(numba.config.CACHE_DIR),  # type: ignore[attr-defined]
    "nogil": True,
    "no_cfunc_wrapper": True,
    "error_model": "numpy",
    "_nrt": False,  # all arrays come from outside: counting references costs 4 x
}


def kernel(function: F) -> F:
    """Compile a function that releases the interpreter lock; no fast-math.

    Machine code is kept in the directory that NUMBA_CACHE_DIR names as the process
    begins, and nowhere unless it does: it must be another one for other sources.
    """
    compiled: F = numba.njit(**OPTIONS)(function)
    return compiled


@kernel
def wide(value: Any) -> int:  # noqa: ANN401 - a number of any width
    """Return a whole number in 64 bits with a sign."""
    return np.int64(value)  # type: ignore[return-value]
