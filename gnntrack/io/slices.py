"""Frames that were saved as slices: a time lapse that its file calls one 3D frame.

Fiji's import of an image sequence, and ``tifffile.imwrite(..., imagej=True)``, save the frames of a movie as slices.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gnntrack.errors import FrameError
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.types import FrameStack

__all__ = ["check_slices", "describe_slices", "holds_slices_of"]

_log = logging.getLogger(__name__)


def describe_slices(stack: FrameStack) -> str | None:
    """Return the message for a movie of one frame of several slices, None for other movies.

    Examples
    --------
    >>> import numpy as np
    >>> from gnntrack.io import open_frames
    >>> describe_slices(open_frames(np.zeros((1, 7, 20, 30))))
    "it is one time point of 7 slices, so there is nothing to link; if the slices are the frames of a movie, \
use --axes tyx (in Python axes='tyx')"
    """
    if len(stack) != 1 or len(stack.shape) != 3:
        return None
    return (
        f"it is one time point of {count_noun(stack.shape[0], 'slice')}, so there is nothing to link; if the "
        "slices are the frames "
        "of a movie, use --axes tyx (in Python axes='tyx')"
    )


def check_slices(stack: FrameStack) -> None:
    """Raise if a movie is one frame whose slices are probably frames, and warn if it is one frame of slices.

    Slices of a TIFF without the distance between them are probably frames.

    Raises
    ------
    FrameError
        If the slices are probably frames.
    """
    problem = describe_slices(stack)
    if problem is None:
        return
    if _lacks_depth(stack.names[0]):
        msg = f"{problem}; if it is one 3D frame, save the distance between slices in the file, or use --axes zyx"
        raise FrameError(msg, file=stack.names[0])
    _log.warning("%s: %s", stack.names[0], problem)


def _lacks_depth(name: str) -> bool:
    path = Path(name)
    if not path.is_file():
        return False
    from gnntrack.io import tiff

    return tiff.is_tiff(path) and tiff.lacks_depth(path)


def holds_slices_of(stack: FrameStack, movie: FrameStack) -> bool:
    """Return whether the slices of a single frame fit the frames of a movie, in number and shape.

    Examples
    --------
    >>> import numpy as np
    >>> from gnntrack.io import open_frames
    >>> holds_slices_of(open_frames(np.zeros((1, 7, 20, 30))), open_frames(np.zeros((7, 20, 30))))
    True
    """
    return len(stack) == 1 and len(movie) > 1 and stack.shape == (len(movie), *movie.shape)
