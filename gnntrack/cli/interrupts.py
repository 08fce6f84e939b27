"""Signals that end a run: Ctrl-C, and TERM from a scheduler.

A signal raises an exception where the program is. While modules are imported, other packages may catch it, and the run
would go on; the signal is therefore sent again a moment later, until no import is under way.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn

__all__ = ["defer_in_imports", "exit_on_signal", "handle_signals"]

Handler = Callable[[int, FrameType | None], Any]
_AGAIN = 0.05  # seconds


def handle_signals() -> None:
    """Let TERM end the run as Ctrl-C does: incomplete output is removed. Neither is lost during imports."""
    signal.signal(signal.SIGTERM, defer_in_imports(exit_on_signal))
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it may be ignored, as by nohup
        signal.signal(signal.SIGINT, defer_in_imports(signal.default_int_handler))


def exit_on_signal(number: int, _frame: FrameType | None) -> NoReturn:
    """End the process with the exit code of a signal."""
    sys.exit(128 + number)


def defer_in_imports(handler: Handler) -> Handler:
    """Return a handler of signals that waits for the end of imports."""
    if not hasattr(signal, "setitimer"):  # Windows
        return handler

    def handle(number: int, frame: FrameType | None) -> Any:
        if not _is_importing(frame):
            return handler(number, frame)
        signal.signal(signal.SIGALRM, lambda _, later: handle(number, later))
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        return None

    return handle


def _is_importing(frame: FrameType | None) -> bool:
    """Return whether a module is being imported in a frame or above it."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
