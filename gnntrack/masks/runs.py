"""Masks to runs and back: a label image as its runs of equal labels along the last axis.

A mask is decoded once; features, overlaps between frames, filled gaps and painted results all work
on its runs, of which there are a hundred times fewer than pixels.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.compiled import compiled

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import Image, IntArray

__all__ = ["encode_frame", "paint_frame"]


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


def paint_frame(
    shape: tuple[int, ...], start: IntArray, length: IntArray, value: npt.ArrayLike, dtype: npt.DTypeLike = np.uint16
) -> npt.NDArray[Any]:
    """Paint runs into an empty frame; where runs overlap, the later one wins.

    Parameters
    ----------
    shape : D ints
        Shape of the frame.
    start, length : (R,) int64
        As returned by `encode_frame`.
    value : (R,) integers
        Value of each run; the caller makes sure that it fits `dtype`.

    Examples
    --------
    >>> paint_frame((2, 3), np.array([1, 4]), np.array([2, 1]), [7, 5]).tolist()
    [[0, 7, 7], [0, 5, 0]]
    """
    frame = np.zeros(math.prod(shape), dtype)
    _paint(frame, start, length, np.ascontiguousarray(value, frame.dtype))
    return frame.reshape(shape)


@compiled
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


@compiled
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


@compiled
def _paint(frame, start, length, value):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for r in range(start.size):
        frame[start[r] : start[r] + length[r]] = value[r]
