"""Functions compiled to machine code by numba; the only module that imports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

__all__ = ["compile_function"]


def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function; it releases the interpreter's lock while it runs.

    The machine code is stored beside the package or in the user's cache. If neither folder can be written, as in some
    containers and on some clusters, the function is compiled again in each process.

    Examples
    --------
    >>> @compile_function
    ... def twice(n):
    ...     return 2 * n
    >>> twice(21)
    42
    """
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)
