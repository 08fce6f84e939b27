"""Sums over the runs of a frame: moments, contacts and intensities of its cells.

`runs` is (start, length, cell), each (R,) int64 and ascending by `start`, with cells 0..n - 1; `layout` is (depth,
height, width) of the frame in pixels, depth 1 in 2D. All columns with three axes are along z, y, x.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.masks.runs import expand_runs, split_runs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gnntrack.types import FloatArray, Image, IntArray

    RunArrays = tuple[IntArray, IntArray, IntArray]
    Layout = tuple[int, int, int]

__all__ = ["FLOAT32_MAX", "measure_contacts", "measure_intensities", "measure_moments"]

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""Pixels beyond this value count as not finite."""
_MOMENTS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


def measure_moments(runs: RunArrays, n: int, layout: Layout) -> tuple[IntArray, FloatArray, FloatArray, IntArray]:
    """Return pixels (n,), centroid (n, 3), central second moments (n, 6) and box (n, 6) of each cell, in pixels.

    The sums of the coordinates are exact, and the moments are summed about the centroid, so that a cell far from the
    origin is measured as well as one near it. Over a run of n pixels with its middle at m,
    sum (x - c)^2 = n ((m - c)^2 + (n^2 - 1) / 12).
    """
    start, length, cell = runs
    row, x = np.divmod(start, layout[2])
    z, y = np.divmod(row, layout[1])
    pixels = _sum_by_cell(cell, length, n)
    middle = (z, y, x + 0.5 * (length - 1))
    axes = (0, 1, 2) if layout[0] > 1 else (1, 2)  # in 2D all z are 0
    centre, moments, box = np.zeros((n, 3)), np.zeros((n, 6)), np.zeros((n, 6), np.int64)
    box[:, :3] = layout
    if 0 not in axes:
        box[:, 0], box[:, 3] = 0, 1
    off: dict[int, FloatArray] = {}
    for axis in axes:
        centre[:, axis] = _sum_by_cell(cell, length * middle[axis], n) / pixels
        off[axis] = middle[axis] - centre[cell, axis]
    for column, (one, other) in enumerate(_MOMENTS):
        if one in axes and other in axes:
            product = length * off[one] * off[other]
            if one == other == 2:
                product = length * (off[2] * off[2] + (length * length - 1) / 12)
            moments[:, column] = _sum_by_cell(cell, product, n) / pixels
    for axis, (low, high) in enumerate(((z, z + 1), (y, y + 1), (x, x + length))):
        if axis in axes:
            np.minimum.at(box[:, axis], cell, low)
            np.maximum.at(box[:, 3 + axis], cell, high)
    return pixels.astype(np.int64), centre, moments, box


def _sum_by_cell(cell: IntArray, value: IntArray | FloatArray, n: int) -> FloatArray:
    return np.bincount(cell, value, n).astype(np.float64)  # without runs, bincount returns whole numbers


def measure_contacts(
    runs: RunArrays, n: int, layout: Layout, face: FloatArray, touching: dict[int, IntArray]
) -> FloatArray:
    """Return the fraction of each cell's faces that touch other cells, shape (n,).

    `face` (3,) is the area of a face of a pixel that is normal to z, y and x; `touching` as of `CleanFrame`.
    """
    start, length, cell = runs
    outer = 2 * _sum_by_cell(cell, face[2] + length * (face[0] + face[1]), n)
    contact = np.zeros(n)
    same_row = start[1:] // layout[2] == start[:-1] // layout[2]
    side = np.flatnonzero(same_row & (start[1:] == start[:-1] + length[:-1]))
    pairs = {2: np.stack([side, side + 1, np.ones_like(side)])} | touching
    for axis, (run, other, faces) in pairs.items():
        area = face[axis]
        one, two = cell[run], cell[other]
        inner = one == two
        outer -= 2 * area * _sum_by_cell(one[inner], faces[inner], n)
        for end in (one, two):
            contact += area * _sum_by_cell(end[~inner], faces[~inner], n)
    return np.minimum(contact / outer, 1)


def measure_intensities(slabs: Iterable[tuple[int, Image]], runs: RunArrays, n: int) -> tuple[FloatArray, int]:
    """Return intensities (n, 4) and the number of pixels that are not finite.

    The columns are mean, standard deviation, minimum and maximum of the finite pixels of each cell, 0 if it has none.
    `slabs` are the pixels of the frame in one or several parts, whole image rows, each with the index of its first one.
    """
    start, length, cell = runs
    parts = []
    for first, flat in slabs:
        own = slice(*np.searchsorted(start, [first, first + len(flat)]))
        parts += _describe_parts(flat, start[own] - first, length[own])
    count, total, squares, low, high = np.concatenate([np.zeros((5, 0)), *parts], axis=1)
    pixels = np.maximum(_sum_by_cell(cell, count, n), 1)
    mean = _sum_by_cell(cell, total, n) / pixels
    # of a run with the mean r, sum (v - m)^2 = sum (v - r)^2 + n (r - m)^2
    squares += count * (total / np.maximum(count, 1) - mean[cell]) ** 2
    values = np.stack([mean, np.sqrt(_sum_by_cell(cell, squares, n) / pixels), *np.full((2, n), np.inf)], axis=1)
    values[:, 3] = -np.inf
    np.minimum.at(values[:, 2], cell, low)
    np.maximum.at(values[:, 3], cell, high)
    values[values[:, 2] > values[:, 3]] = 0  # no finite pixel
    return values, int(length.sum() - count.sum())


def _describe_parts(flat: Image, start: IntArray, length: IntArray) -> list[FloatArray]:
    """Return `_describe_runs` of a few runs at a time, in two threads if there are many."""
    parts = list(split_runs(length))

    def describe(part: slice) -> FloatArray:
        return _describe_runs(flat, start[part], length[part])

    if len(parts) < 2:
        return list(map(describe, parts))
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(describe, parts))


def _describe_runs(flat: Image, start: IntArray, length: IntArray) -> FloatArray:
    """Return of the finite pixels of each run their number, sum, squared deviation, minimum and maximum, (5, R)."""
    first = np.cumsum(length) - length
    grey = flat[expand_runs(start, length)]
    value = grey.astype(np.float64)
    finite = np.abs(value) <= FLOAT32_MAX if flat.dtype.kind == "f" else None
    if finite is None or finite.all():
        count, low, high = length, np.minimum.reduceat(grey, first), np.maximum.reduceat(grey, first)
    else:
        count = np.add.reduceat(finite, first, dtype=np.int64)
        low = np.minimum.reduceat(np.where(finite, value, np.inf), first)
        high = np.maximum.reduceat(np.where(finite, value, -np.inf), first)
        value[~finite] = 0
    total = np.add.reduceat(value, first)
    value -= np.repeat(total / np.maximum(count, 1), length)
    if finite is not None:
        value *= finite
    value *= value
    return np.stack([count, total, np.add.reduceat(value, first), low, high])
