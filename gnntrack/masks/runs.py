"""Masks to runs and back: a label image as its runs of equal labels along the last axis.

A mask is decoded once. Features, overlaps between frames, filled gaps and written results are computed from
its runs, of which there are about a hundred times fewer than pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.types import Runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gnntrack.types import Image, IntArray

__all__ = ["decode_frame", "draw_labels", "encode_frame", "expand_runs", "join_frames"]


def encode_frame(mask: Image) -> tuple[IntArray, IntArray, IntArray]:
    """Return the runs of a label image.

    Parameters
    ----------
    mask : (Y, X) or (Z, Y, X) integer array
        0 is background; any label values.

    Returns
    -------
    start, length, label : (R,) int64
        Index of the first pixel in the flattened frame, pixels, label; ascending by ``start``. A run
        never crosses the end of an image row.

    Examples
    --------
    >>> import numpy as np
    >>> [part.tolist() for part in encode_frame(np.array([[0, 7, 7], [7, 5, 0]]))]
    [[1, 3, 4], [2, 1, 1], [7, 7, 5]]
    """
    width = mask.shape[-1] if mask.ndim else 0
    flat = np.ascontiguousarray(mask).reshape(-1)
    if not flat.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    n = _count_runs(flat, width)
    start, length, label = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    _fill_runs(flat, width, start, length, label)
    return start, length, label


def decode_frame(
    shape: tuple[int, ...], start: IntArray, length: IntArray, value: npt.ArrayLike, dtype: npt.DTypeLike = np.uint16
) -> npt.NDArray[Any]:
    """Return the label image of runs; where runs overlap, the later one is on top.

    Parameters
    ----------
    shape : D ints
        Shape of the frame.
    start, length : (R,) int64
        As returned by `encode_frame`.
    value : (R,) integers
        Value of each run; it must fit `dtype`, which is not checked.
    dtype : dtype, optional
        Type of the image, default uint16.

    Returns
    -------
    array of `shape`
        0 outside all runs.

    Examples
    --------
    >>> decode_frame((2, 3), np.array([1, 4]), np.array([2, 1]), [7, 5]).tolist()
    [[0, 7, 7], [0, 5, 0]]
    """
    frame = np.zeros(math.prod(shape), dtype)
    _set_runs(frame, start, length, np.ascontiguousarray(value, frame.dtype))
    return frame.reshape(shape)


def draw_labels(runs: Runs, frame: int, value: npt.NDArray[Any], dtype: npt.DTypeLike = np.uint16) -> npt.NDArray[Any]:
    """Return a frame of a movie in which every cell has its value.

    Parameters
    ----------
    runs : Runs
        The pixels of all cells.
    frame : int
        Which frame.
    value : (N,) integers
        Value of each cell of the movie, such as its label or track; it must fit `dtype`, which is not checked.
    dtype : dtype, optional
        Type of the image, default uint16.

    Examples
    --------
    >>> runs = Runs([0, 1], [1, 4], [2, 1], [0, 1, 2], (2, 3))
    >>> draw_labels(runs, 0, np.array([7, 5])).tolist()
    [[0, 7, 7], [0, 0, 0]]
    """
    here = runs.frame(frame)
    return decode_frame(runs.shape, runs.start[here], runs.length[here], value[runs.cell[here]], dtype)


def expand_runs(start: IntArray, length: IntArray) -> IntArray:
    """Return the pixels of runs, run by run.

    Parameters
    ----------
    start, length : (R,) int64
        As returned by `encode_frame`; runs may overlap and need not be sorted.

    Returns
    -------
    (sum of length,) int64
        Indices into the flattened frame. ``np.repeat(value, length)`` gives the value of each pixel.

    Examples
    --------
    >>> expand_runs(np.array([4, 0]), np.array([2, 3])).tolist()
    [4, 5, 0, 1, 2]
    """
    pixels: IntArray = np.repeat(start - (np.cumsum(length) - length), length) + np.arange(length.sum())
    return pixels


def join_frames(frames: Sequence[tuple[IntArray, IntArray, IntArray]], shape: tuple[int, ...]) -> Runs:
    """Return the runs of a movie from those of its frames.

    Parameters
    ----------
    frames : sequence of (start, length, cell)
        For each frame three arrays (R_t,) int64: the runs, ascending by `start`, and the row of each run's cell
        in the table of all cells.
    shape : D ints
        Shape of a frame in pixels.

    Examples
    --------
    >>> one, empty = np.array([3]), np.array([], int)
    >>> runs = join_frames([(one, one, one), (empty, empty, empty)], (2, 4))
    >>> len(runs), runs.offsets.tolist()
    (1, [0, 1, 1])
    """
    offsets = np.cumsum([0, *(len(frame[0]) for frame in frames)])
    start, length, cell = (np.concatenate([frame[column] for frame in frames]) for column in range(3))
    return Runs(cell, start, length, offsets, shape)


@compile_function
def _count_runs(flat, width):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    n = 0
    for row in range(0, flat.size, width):
        before = flat[row]
        n += before != 0
        for i in range(row + 1, row + width):
            now = flat[i]
            if now != before:
                n += now != 0
                before = now
    return n


@compile_function
def _fill_runs(flat, width, start, length, label):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    n = 0
    for row in range(0, flat.size, width):
        first = row
        for i in range(row + 1, row + width + 1):
            if i == row + width or flat[i] != flat[first]:
                if flat[first] != 0:
                    start[n] = first
                    length[n] = i - first
                    label[n] = flat[first]
                    n += 1
                first = i


@compile_function
def _set_runs(frame, start, length, value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for r in range(start.size):
        frame[start[r] : start[r] + length[r]] = value[r]
