"""Warnings about the input: messages of the log at level WARNING are Python warnings as well.

Modules log what may be wrong with the input, and `WarningHandler` turns each of these messages into a
`gnntrack.GnntrackWarning` at the line of the user's program that called gnntrack. The command line prints it once.
"""

from __future__ import annotations

import logging
import sys
import warnings

from gnntrack.errors import GnntrackWarning

__all__ = ["WarningHandler", "warn_user"]

_OWN = ("gnntrack", "segmenters", "logging", "contextlib", "concurrent", "threading")


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
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _OWN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, GnntrackWarning, stacklevel=level)
