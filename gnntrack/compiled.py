"""Functions compiled to machine code by numba; the only module that imports it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import event

__all__ = ["compile_function"]


class _FirstCompilation(event.Listener):
    """Reports the first function of this package that is compiled in this process, not loaded from the cache."""

    reported = False

    def on_start(self, event: Any) -> None:
        if not self.reported and str(event.data["dispatcher"].py_func.__module__).startswith("gnntrack."):
            self.reported = True
            message = "compiling functions that were not used since the installation: some seconds, only this time"
            if sys.stderr is not None:  # as in a program that is started without it
                sys.stderr.write(f"{message}\n")

    def on_end(self, event: Any) -> None:
        """Do nothing."""


event.register("numba:compile", _FirstCompilation())  # type: ignore[no-untyped-call]


def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function; it releases the interpreter's lock while it runs.

    A first run takes many seconds longer, and a line on stderr says so. The machine code is stored beside the
    package or in the user's cache. If neither folder can be written, as in some containers and on some clusters, the
    function is compiled again in each process.

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
