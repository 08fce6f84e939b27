"""Errors that gnntrack raises on purpose.

::

    GnntrackError
    |-- InputError (ValueError)                 the input cannot be used as it is
    |   |-- FrameError                            a file or a frame of a movie; has ``file`` and ``frame``
    |   |   |-- ChannelError                        several channels, and none is chosen; has ``channels``
    |   |   `-- PatternError                        a pattern must choose files; has ``role`` and ``pattern``
    |   |-- FormatError                           a table, a graph file or a result that is not valid
    |   |-- ModelError                            a model or a checkpoint that cannot be used
    |   `-- SettingsError                         an unknown setting, or a value out of range
    |       `-- OptionError (TypeError)             a keyword that the function does not have
    |-- OutputError                             the output exists, cannot be written, or does not fit the format
    |-- SegmenterError                          an unknown segmenter, or one whose result is not a label image
    |-- MissingDependencyError (ImportError)    an optional package is needed; the message is the pip command
    `-- TrainingError (ArithmeticError)         a training that diverged, such as a loss that is NaN or infinite

The command line ends with exit code 2 and the message for each of them. A message names the value received, the
values expected, and the fix.
"""

from __future__ import annotations

__all__ = [
    "ChannelError",
    "FormatError",
    "FrameError",
    "GnntrackError",
    "GnntrackWarning",
    "InputError",
    "MissingDependencyError",
    "ModelError",
    "OptionError",
    "OutputError",
    "PatternError",
    "SegmenterError",
    "SettingsError",
    "TrainingError",
]


class GnntrackError(Exception):
    """Base class of all errors that gnntrack raises on purpose."""


class GnntrackWarning(UserWarning):
    """Something about the input that may be wrong, but can be used.

    ``warnings.simplefilter("ignore", gnntrack.GnntrackWarning)`` hides all of them, ``"error"`` makes them errors.
    """


class InputError(GnntrackError, ValueError):
    """The input cannot be used as it is."""


class FrameError(InputError):
    """A file or a frame of a movie cannot be used.

    Parameters
    ----------
    message : str
        The value received, the values expected, and the fix.
    file : path, optional
        The file; it is put in front of the message.
    frame : int, optional
        The frame number from 0; it is put in front of the message.
    """

    def __init__(self, message: str, *, file: object = None, frame: int | None = None) -> None:
        where = [str(file)] if file is not None else []
        where += [f"frame {frame}"] if frame is not None else []
        super().__init__(f"{', '.join(where)}: {message}" if where else message)
        self.file = None if file is None else str(file)
        self.frame = frame


class ChannelError(FrameError):
    """A movie has several channels, and none is chosen.

    Parameters
    ----------
    message, file, frame
        As of `FrameError`.
    channels : tuple of str
        Names of the channels.
    colours : str, optional
        If these are the colours of RGB images: a letter per axis of the source, with ``s`` for the colours.
    """

    def __init__(
        self,
        message: str,
        *,
        file: object = None,
        frame: int | None = None,
        channels: tuple[str, ...] = (),
        colours: str | None = None,
    ) -> None:
        super().__init__(message, file=file, frame=frame)
        self.channels = channels
        self.colours = colours


class PatternError(FrameError):
    """A folder holds the files of several movies, and a pattern must choose those of one.

    Parameters
    ----------
    message, file
        As of `FrameError`.
    role : str
        ``"images"`` or ``"masks"``.
    pattern : str
        A pattern that chooses one movie.
    """

    def __init__(self, message: str, *, file: object = None, role: str, pattern: str) -> None:
        super().__init__(message, file=file)
        self.role = role
        self.pattern = pattern


class FormatError(InputError):
    """A table, a graph file or a result is not valid in its format."""


class ModelError(InputError):
    """A model or a checkpoint is missing, damaged, not safe to load, or of another version of gnntrack."""


class SettingsError(InputError):
    """A setting is unknown, or its value is out of range.

    Parameters
    ----------
    message : str
        The value received, the values expected, and the fix.
    problems : strings, optional
        A sentence for each value out of range, if there are several.
    """

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems or (message,)


class OptionError(SettingsError, TypeError):
    """A function has no option of this name."""


class OutputError(GnntrackError):
    """The output exists, cannot be written, or does not fit the format."""


class SegmenterError(GnntrackError):
    """A segmenter is unknown, or its result is not a label image."""


class MissingDependencyError(GnntrackError, ImportError):
    """An optional package is needed; the message is the command that installs it."""


class TrainingError(GnntrackError, ArithmeticError):
    """A training diverged: a loss or a weight is NaN or infinite."""
