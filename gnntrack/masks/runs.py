"""Masks to runs and back: a label image as its runs of equal labels along the last axis.

A mask is decoded once. Features, overlaps between frames, filled gaps and written results are computed from
its runs, of which there are about a hundred times fewer than pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.frame_slabs import cut_slabs
from gnntrack.types import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from gnntrack.types import BoolArray, Image, IntArray

__all__ = [
    "decode_frame",
    "decode_slabs",
    "draw_labels",
    "draw_topmost",
    "encode_frame",
    "expand_runs",
    "find_shared_pixels",
    "find_touching_runs",
    "flatten_runs",
    "join_frames",
    "split_runs",
]

_CHUNK = 1 << 18  # pixels that are expanded at once, to limit the memory


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
    flat = np.ascontiguousarray(mask).reshape(-1)
    if not flat.size:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    change = np.empty(flat.size + 1, bool)
    np.not_equal(flat[1:], flat[:-1], out=change[1:-1])
    change[:: mask.shape[-1]] = True  # at the start of each image row, and at the end of the last
    border = np.flatnonzero(change)
    start, length, label = border[:-1], np.diff(border), flat[border[:-1]].astype(np.int64)
    cell = label != 0
    return start[cell], length[cell], label[cell]


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
    value = np.asarray(value).astype(dtype)
    pixels = math.prod(shape)
    stop = start + length
    if len(start) and (start[1:] >= stop[:-1]).all():  # no overlaps: three times as fast
        between, counts = np.zeros(2 * len(start) + 1, value.dtype), np.empty(2 * len(start) + 1, np.int64)
        between[1::2], counts[1::2] = value, length
        counts[::2] = np.append(start, pixels) - np.append(0, stop)
        return np.repeat(between, counts).reshape(shape)
    frame = np.zeros(pixels, dtype)
    for part in split_runs(length):
        frame[expand_runs(start[part], length[part])] = np.repeat(value[part], length[part])
    return frame.reshape(shape)


def decode_slabs(
    shape: tuple[int, ...], start: IntArray, length: IntArray, value: npt.ArrayLike, dtype: npt.DTypeLike = np.uint16
) -> Iterator[tuple[int, npt.NDArray[Any]]]:
    """Yield the label image of runs in slabs, one of them if it is small; see `gnntrack.frame_slabs`.

    Parameters
    ----------
    shape, start, length, value, dtype
        As of `decode_frame`.

    Yields
    ------
    first : int
        Index of the first pixel of the slab in the flattened frame.
    slab : array
        Some planes of the image.
    """
    slabs, value = cut_slabs(shape), np.asarray(value)
    for planes in slabs:
        first, stop = (plane * math.prod(shape[1:]) for plane in (planes.start, planes.stop))
        part: slice | BoolArray = slice(None) if len(slabs) == 1 else (start >= first) & (start < stop)
        size = (planes.stop - planes.start, *shape[1:])
        yield first, decode_frame(size, start[part] - first, length[part], value[part], dtype)


def flatten_runs(
    shape: tuple[int, ...], start: IntArray, length: IntArray, value: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the runs of the image that runs draw: where they overlap, the later one is on top.

    Parameters
    ----------
    shape : D ints
        Shape of the frame.
    start, length, value : (R,) int64
        Runs in any order; a value of 0 is background, also where it covers others.

    Returns
    -------
    start, length, value : (Q,) int64
        As of `encode_frame`.

    Examples
    --------
    >>> runs = flatten_runs((2, 5), np.array([0, 2]), np.array([4, 1]), np.array([7, 5]))
    >>> [column.tolist() for column in runs]
    [[0, 2, 3], [2, 1, 1], [7, 5, 7]]
    """
    parts = []
    for first, drawn in decode_slabs(shape, start, length, value, np.int64):
        begins, *rest = encode_frame(drawn)
        parts.append((begins + first, *rest))
    start, length, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    return start, length, value


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


def draw_topmost(runs: Runs, frame: int, value: IntArray) -> IntArray:
    """Return a frame as (Y, X), in which every cell has its value; of a volume, the first cell along z at each pixel.

    Parameters
    ----------
    runs, frame, value
        As of `draw_labels`.

    Examples
    --------
    >>> runs = Runs([1, 0], [1, 6], [1, 2], [0, 2], (2, 2, 2))
    >>> draw_topmost(runs, 0, np.array([7, 9])).tolist()
    [[0, 9], [7, 7]]
    """
    here = runs.frame(frame)
    height, width = runs.shape[-2:]
    topmost = np.zeros((height, width), np.int64)
    drawn = runs.start[here], runs.length[here], value[runs.cell[here]]
    for _, slab in decode_slabs(runs.shape, *drawn, np.int64):
        planes = slab.reshape(-1, height, width)
        first = np.argmax(planes > 0, axis=0)
        topmost = np.where(topmost > 0, topmost, np.take_along_axis(planes, first[None], 0)[0])
    return topmost


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
    pixels: IntArray = np.repeat(start - (np.cumsum(length) - length), length)
    pixels += np.arange(len(pixels))
    return pixels


def split_runs(length: IntArray, pixels: int = _CHUNK) -> Iterator[slice]:
    """Yield slices of consecutive runs of about as many pixels, so that few pixels are expanded at once.

    Parameters
    ----------
    length : (R,) int64
        Pixels of each run.
    pixels : int, optional
        Pixels of a slice; a single longer run is a slice of its own.

    Examples
    --------
    >>> list(split_runs(np.array([2, 2, 9, 1]), 4))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    total = np.cumsum(length)
    first = 0
    while first < len(length):
        before = total[first] - length[first]
        stop = max(first + 1, int(np.searchsorted(total, before + pixels, "right")))
        yield slice(first, stop)
        first = stop


def find_shared_pixels(
    start: IntArray, end: IntArray, others: tuple[IntArray, IntArray]
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the pairs of an interval of pixels and a run that share pixels.

    Parameters
    ----------
    start, end : (N,) int64
        First pixel of each interval, and the pixel after its last one; in any order.
    others : (start, length), each (R,) int64
        Runs of a frame, ascending by `start`, without a common pixel.

    Returns
    -------
    interval, run, pixels : (P,) int64
        Row of the interval, row of the run, and the number of pixels in both; ascending by interval, then by run.

    Examples
    --------
    >>> runs = np.array([0, 4]), np.array([3, 4])  # pixels 0 to 2, and 4 to 7
    >>> [column.tolist() for column in find_shared_pixels(np.array([2, 3]), np.array([6, 4]), runs)]
    [[0, 0], [0, 1], [1, 2]]
    """
    other_start, other_end = others[0], others[0] + others[1]
    first = np.searchsorted(other_end, start, "right")
    count = np.maximum(np.searchsorted(other_start, end) - first, 0)
    interval, run = np.repeat(np.arange(len(start)), count), expand_runs(first, count)
    pixels = np.minimum(end[interval], other_end[run]) - np.maximum(start[interval], other_start[run])
    return interval, run, pixels


def find_touching_runs(
    start: IntArray, length: IntArray, layout: tuple[int, int, int], step: tuple[int, int], *, margin: int = 0
) -> tuple[IntArray, IntArray, IntArray]:
    """Return the pairs of a run and a run of an image row before it that have pixels in the same columns.

    Parameters
    ----------
    start, length : (R,) int64
        Runs of a frame, ascending by `start`, none across the end of an image row.
    layout : 3 ints
        Depth, height and width of the frame in pixels; depth 1 in 2D.
    step : 2 ints
        How many planes and image rows the other row lies before the row of the run.
    margin : int, optional
        Pixels by which each run is longer at both ends; 1 also finds runs that touch at a corner.

    Returns
    -------
    run, other, pixels : (P,) int64
        Rows of the two runs, and the number of their common columns, margin included.

    Examples
    --------
    >>> start, length, _ = encode_frame(np.array([[1, 1, 0, 1], [0, 1, 1, 0]]))
    >>> [column.tolist() for column in find_touching_runs(start, length, (1, 2, 4), (0, 1))]
    [[2], [0], [1]]
    >>> [column.tolist() for column in find_touching_runs(start, length, (1, 2, 4), (0, 1), margin=1)]
    [[2, 2], [0, 1], [2, 1]]
    """
    _, height, width = layout
    row = start // width
    y = row % height - step[1]
    inside = np.flatnonzero((y >= 0) & (y < height) & (row >= step[0] * height))
    shift = (step[0] * height + step[1]) * width
    left = row[inside] * width
    low = np.maximum(start[inside] - margin, left) - shift
    high = np.minimum(start[inside] + length[inside] + margin, left + width) - shift
    run, other, pixels = find_shared_pixels(low, high, (start, length))
    return inside[run], other, pixels


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
