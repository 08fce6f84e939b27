"""Warnings about the input: messages of the log at level WARNING are Python warnings as well.

Modules log what may be wrong with the input, and `WarningHandler` turns each of these messages into a
`gnntrack.GnntrackWarning` at the line of the user's program that called gnntrack. The command line prints it once, and
`record_warnings` collects it for the summary of the run.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from gnntrack.errors import GnntrackWarning

__all__ = ["WarningHandler", "prefix_warnings", "record_warnings", "show_warnings", "warn_user"]

_OWN = ("gnntrack", "segmenters", "logging", "contextlib", "concurrent", "threading")
_recorded: dict[int, list[str]] = {}  # thread that records -> its messages


class WarningHandler(logging.Handler):
    """Turns messages of the log into warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Warn with the message of a record."""
        warn_user(record.getMessage())


def warn_user(message: str) -> None:
    """Warn about the input, at the line outside gnntrack that called it.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warn_user("2 frames without cells")
    >>> caught[0].category.__name__, str(caught[0].message)
    ('GnntrackWarning', '2 frames without cells')
    """
    own = _recorded.get(get_ident())
    for messages in _recorded.values() if own is None else (own,):  # threads that read frames belong to every run
        if message not in messages:
            messages.append(message)
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OWN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, GnntrackWarning, stacklevel=level)


@contextmanager
def record_warnings() -> Iterator[list[str]]:
    """Collect the messages of `warn_user`, each once, in the order in which they come.

    Inside another recording of the same thread, the list begins with the messages of that one.

    Examples
    --------
    >>> with warnings.catch_warnings(action="ignore"), record_warnings() as messages:
    ...     warn_user("2 frames without cells")
    >>> messages
    ['2 frames without cells']
    """
    thread = get_ident()
    outer = _recorded.get(thread)
    _recorded[thread] = list(outer or ())
    try:
        yield _recorded[thread]
    finally:
        if outer is None:
            del _recorded[thread]
        else:
            _recorded[thread] = outer


@contextmanager
def prefix_warnings(name: str) -> Iterator[None]:
    """Put a name, such as that of a position, before the warnings; they are given at the end.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     with prefix_warnings("pos1"):
    ...         warn_user("2 frames without cells")
    >>> str(caught[0].message)
    'pos1: 2 frames without cells'
    """
    caught: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            yield
    finally:
        for each in caught:
            warnings.warn_explicit(f"{name}: {each.message}", each.category, each.filename, each.lineno)


def show_warnings() -> None:
    """Write warnings about the input to stderr as the commands write theirs, without a line of code."""

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if issubclass(category, GnntrackWarning):
            sys.stderr.write(f"Warning: {message}\n")
        else:
            usual(message, category, *rest, **more)

    usual, warnings.showwarning = warnings.showwarning, show
