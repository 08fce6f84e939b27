"""Everything that gnntrack raises on purpose.

::

    GnntrackError
    |-- InputError            the input cannot be used as it is (exit code 2)
    |   |-- FrameError        a file or a frame of a movie; carries ``file`` and ``frame``
    |   |-- FormatError       a table, a graph file or a result that breaks its format
    |   |-- ModelError        weights or a checkpoint that cannot be used, or that do not fit this gnntrack
    |   `-- SettingsError     an unknown key or a value out of range
    |-- OutputError           the output exists, cannot be written, or does not fit the format (exit code 2)
    |-- TrainingError         a training that went wrong, such as a loss that is no number (exit code 1)
    |-- SegmenterError        a segmenter is unknown or returned something that is no label image (exit code 2)
    `-- MissingDependencyError  an optional package is needed; the message is the pip line (exit code 2)

Every message says what was received, what was expected, and what to do.
"""

from __future__ import annotations

__all__ = [
    "FormatError",
    "FrameError",
    "GnntrackError",
    "InputError",
    "MissingDependencyError",
    "ModelError",
    "OutputError",
    "SegmenterError",
    "SettingsError",
    "TrainingError",
]


class GnntrackError(Exception):
    """Base class of all errors that gnntrack raises on purpose."""


class InputError(GnntrackError, ValueError):
    """The input cannot be used as it is."""


class FrameError(InputError):
    """A file or a frame of a movie cannot be used.

    Parameters
    ----------
    message : str
        What was received, what was expected, what to do.
    file : str or None
        The file, where there is one; it is put in front of the message.
    frame : int or None
        The frame number from 0, where it is known; it is put in front of the message.
    """

    def __init__(self, message: str, *, file: object = None, frame: int | None = None) -> None:
        where = [str(file)] if file is not None else []
        where += [f"frame {frame}"] if frame is not None else []
        super().__init__(f"{', '.join(where)}: {message}" if where else message)
        self.file = None if file is None else str(file)
        self.frame = frame


class FormatError(InputError):
    """A table, a graph file or a result breaks its format."""


class ModelError(InputError):
    """Weights or a checkpoint are missing, damaged, not to be trusted, or do not fit this gnntrack."""


class SettingsError(InputError):
    """A setting is unknown, or its value is out of range."""


class OutputError(GnntrackError):
    """The output exists already, cannot be written, or does not fit the format."""


class SegmenterError(GnntrackError):
    """A segmenter is unknown, or returned something that is no label image."""


class MissingDependencyError(GnntrackError, ImportError):
    """An optional package is needed; the message tells how to install it."""


class TrainingError(GnntrackError, ArithmeticError):
    """A training that went wrong."""
