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

from collections.abc import Iterator
from contextlib import contextmanager

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
    "explain_missing",
    "make_missing_error",
]


_OWN = ("gnntrack", "segmenters")


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


@contextmanager
def explain_missing(need: str, package: str | None, command: str, *, otherwise: str = "") -> Iterator[None]:
    """Replace the error of an import within the context by one that names the command that installs the package.

    Parameters
    ----------
    need, package, command, otherwise
        As of `make_missing_error`. Without a package, the one that is missing is named.

    Raises
    ------
    MissingDependencyError
        If an import fails. One of a module of gnntrack itself is a fault, and is not replaced.

    Examples
    --------
    >>> with explain_missing("shapes need", None, "pip install 'gnntrack[shape]'"):
    ...     import no_such_package
    Traceback (most recent call last):
    gnntrack.errors.MissingDependencyError: shapes need 'no_such_package', which is not installed: pip install ...
    """
    try:
        yield
    except ImportError as error:
        name = (error.name or "").partition(".")[0]
        if isinstance(error, MissingDependencyError) or name in _OWN:
            raise
        raise make_missing_error(need, package or name, command, otherwise=otherwise) from error


def make_missing_error(need: str, package: str, command: str, *, otherwise: str = "") -> MissingDependencyError:
    """Return the error of a missing package.

    Parameters
    ----------
    need : str
        What needs it, with the verb.
    package : str
        Its name.
    command : str
        The command that installs it.
    otherwise : str, optional
        What can be done without it.

    Examples
    --------
    >>> str(make_missing_error("Parquet needs", "pyarrow", "pip install pyarrow", otherwise="use CSV"))
    "Parquet needs 'pyarrow', which is not installed: pip install pyarrow, or use CSV"
    """
    alternative = f", or {otherwise}" if otherwise else ""
    return MissingDependencyError(f"{need} '{package}', which is not installed: {command}{alternative}")
