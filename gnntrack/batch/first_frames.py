"""The first frames of a movie of images or points."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gnntrack.io.point_files import read_rows
from gnntrack.io.stack import Stack, get_interval
from gnntrack.movie import open_images
from gnntrack.protocols import FrameStack
from gnntrack.settings import Settings

__all__ = ["take_frames", "take_sources"]


def take_sources(sources: Mapping[str, Path | None], frames: int, *, settings: Settings) -> dict[str, Any]:
    """Return images and points up to a frame.

    Parameters
    ----------
    sources : mapping
        Paths of ``images`` and ``points``; None where there are none. ``masks`` are returned as they are.
    frames : int
        Number of frames.
    settings : Settings
        How the images are opened.

    Raises
    ------
    InputError
        If a movie or a table cannot be read.
    """
    taken: dict[str, Any] = dict(sources)
    if sources["images"] is not None:
        taken["images"] = take_frames(open_images(sources["images"], settings=settings), frames)
    if sources["points"] is not None:
        rows = read_rows(sources["points"])
        taken["points"] = rows.table[rows.table[rows.columns.frame.name].astype(float) < frames]
    return taken


def take_frames(stack: FrameStack, frames: int) -> Stack:
    """Return the first frames of a movie.

    Examples
    --------
    >>> import numpy as np
    >>> import gnntrack
    >>> take_frames(gnntrack.open_frames(np.zeros((9, 4, 4))), 2)
    <2 frames of 4 x 4 pixels, array>
    """
    names = list(stack.names[:frames])
    return Stack(stack.__getitem__, names, stack.shape, stack.spacing, stack.unit, get_interval(stack))
