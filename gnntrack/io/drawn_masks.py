"""Masks drawn from the runs of cells, and some frames of a movie, as movies that are read frame by frame."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.frame_slabs import can_read_planes, get_thickness, read_planes
from gnntrack.io.stack import Stack
from gnntrack.masks.runs import decode_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.types import Cells, FrameStack, Image, IntArray, Runs

    Changes = Mapping[int, Sequence[tuple[IntArray, int]]]

__all__ = ["draw_frames", "select_frames_in_parts"]


def draw_frames(cells: Cells, runs: Runs, frames: Sequence[int], *, changes: Changes | None = None) -> Stack:
    """Return some frames of a movie, in which each cell has its label.

    Parameters
    ----------
    cells : Cells
        The cells of the movie.
    runs : Runs
        Their pixels.
    frames : ints
        Which frames.
    changes : mapping, optional
        Of a frame, pixels of the flattened frame and the labels that they have instead.

    Examples
    --------
    >>> from gnntrack.types import Cells, Runs
    >>> cells = Cells([1], [7], [[0.0, 1.0]], [[]], (), (), (1, 1), 2, (2, 3))
    >>> runs = Runs([0], [1], [2], [0, 0, 1], (2, 3))
    >>> draw_frames(cells, runs, [1], changes={1: [(np.array([2]), 9)]})[0].tolist()
    [[0, 7, 9], [0, 0, 0]]
    """
    read = partial(_draw, runs, cells.label, [int(frame) for frame in frames], changes or {})
    return _make_stack(read, frames, cells, parts=len(cells.shape) == 3)


def select_frames_in_parts(stack: FrameStack, frames: Sequence[int], cells: Cells) -> Stack:
    """Return some frames of a movie, which are read in parts if those of the movie are."""
    numbers, parts = [int(frame) for frame in frames], can_read_planes(stack)

    def read(number: int, planes: slice | None = None) -> Image:
        return stack[numbers[number]] if planes is None else read_planes(stack, numbers[number], planes)

    return _make_stack(read, frames, cells, parts=parts, thickness=get_thickness(stack))


def _make_stack(read: Any, frames: Sequence[int], cells: Cells, *, parts: bool, thickness: int = 1) -> Stack:
    names = [f"frame {frame}" for frame in frames]
    own: dict[str, Any] = {"read_part": read, "thickness": thickness} if parts else {}
    return Stack(read, names, cells.shape, cells.spacing, cells.unit, **own)


def _draw(
    runs: Runs, label: IntArray, frames: Sequence[int], changes: Changes, number: int, planes: slice | None = None
) -> Image:
    frame, plane = frames[number], math.prod(runs.shape[1:])
    here, chosen = runs.frame(frame), slice(0, runs.shape[0]) if planes is None else planes
    first, stop = chosen.start * plane, chosen.stop * plane
    own = slice(*(here.start + np.searchsorted(runs.start[here], [first, stop])))
    shape = (chosen.stop - chosen.start, *runs.shape[1:])
    drawn = decode_frame(shape, runs.start[own] - first, runs.length[own], label[runs.cell[own]], np.int64)
    for pixels, new in changes.get(frame, ()):
        drawn.reshape(-1)[pixels[(pixels >= first) & (pixels < stop)] - first] = new
    return drawn
