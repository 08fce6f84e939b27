"""Overlaps of masks: pixels shared by two label images, or by the cells of two frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.masks.runs import encode_frame, find_shared_pixels
from gnntrack.types import Runs

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, Image, IntArray

__all__ = ["Overlaps", "count_shared_pixels", "find_overlaps", "is_covered"]


def is_covered(shared: IntArray, area: IntArray) -> BoolArray:
    """Return whether a cell covers a marker by the rule of the Cell Tracking Challenge: by more than half.

    Parameters
    ----------
    shared : int64 array
        Pixels that the cell and the marker share.
    area : int64 array
        Pixels of the marker; broadcast against `shared`.

    References
    ----------
    Matula et al., PLOS ONE 2015, doi:10.1371/journal.pone.0144959. Two disjoint cells cannot both cover a marker.

    Examples
    --------
    >>> is_covered(np.array([1, 2]), np.array([2, 3])).tolist()  # exactly half is not enough
    [False, True]
    """
    covered: BoolArray = 2 * shared > area
    return covered


class Overlaps(NamedTuple):
    """Pairs of labels that share pixels, ascending by truth and result; label 0 is the background."""

    truth: IntArray  # (P,) labels
    result: IntArray  # (P,) labels
    area: IntArray  # (P,) pixels in both
    truth_area: IntArray  # (P,) pixels of the truth's label; of background, only those under a cell
    result_area: IntArray  # (P,)

    @property
    def of_cells(self) -> BoolArray:
        """(P,) whether both are cells."""
        return (self.truth > 0) & (self.result > 0)

    @property
    def covers(self) -> BoolArray:
        """(P,) whether the result's cell covers more than half of the truth's, as SEG and DET match them."""
        return self.of_cells & is_covered(self.area, self.truth_area)

    @property
    def iou(self) -> FloatArray:
        """(P,) intersection over union; only meaningful for pairs of two cells, see `of_cells`."""
        iou: FloatArray = self.area / (self.truth_area + self.result_area - self.area)
        return iou


def find_overlaps(result: Image, truth: Image) -> Overlaps:
    """Count the pixels of all pairs of labels, in one pass over the image.

    Parameters
    ----------
    result, truth : (Y, X) or (Z, Y, X) integer arrays
        Of one shape; 0 is background, labels are below 2**31. Neither is checked.

    Examples
    --------
    >>> pairs = find_overlaps(np.array([[7, 7, 0, 0]]), np.array([[0, 3, 3, 0]]))
    >>> pairs.truth.tolist(), pairs.result.tolist(), pairs.area.tolist()
    ([0, 3, 3], [7, 0, 7], [1, 1, 1])
    """
    # runs of equal pairs are few, whatever the pixels are
    _, length, pair = encode_frame((truth.astype(np.int64) << 32) | result.astype(np.int64))
    pair, which = np.unique(pair, return_inverse=True)
    area = np.bincount(which, weights=length, minlength=len(pair)).astype(np.int64)
    of_truth, of_result = pair >> 32, pair & (2**32 - 1)
    return Overlaps(of_truth, of_result, area, _sum_by_label(of_truth, area), _sum_by_label(of_result, area))


def _sum_by_label(label: IntArray, area: IntArray) -> IntArray:
    """Return for each pair the area of all pairs with its label, shape (P,)."""
    _, row = np.unique(label, return_inverse=True)
    return np.bincount(row, weights=area).astype(np.int64)[row] if len(row) else area


def count_shared_pixels(
    runs: Runs, shift: IntArray, rows: slice, frame: int, other: int
) -> tuple[IntArray, IntArray, IntArray]:
    """Return how many pixels the cells of one frame share with those of another.

    Parameters
    ----------
    runs : Runs
        The pixels of all cells.
    shift : (n, D) int64
        Pixels along ``[z], y, x`` by which each cell of ``frame`` is moved first; it is cut at the frame's border.
    rows : slice
        Rows of the n cells of ``frame`` in the table of cells.
    frame, other : int
        The two frames.

    Returns
    -------
    source, target, pixels : (P,) int64
        Rows of cells that share pixels, ascending by (source, target), and the number of pixels.

    Examples
    --------
    >>> runs = Runs([0, 1], [0, 1], [2, 2], [0, 1, 2], (1, 4))  # the cell moves one pixel to the right
    >>> [column.tolist() for column in count_shared_pixels(runs, np.array([[0, 0]]), slice(0, 1), 0, 1)]
    [[0], [1], [1]]
    >>> [column.tolist() for column in count_shared_pixels(runs, np.array([[0, 1]]), slice(0, 1), 0, 1)]
    [[0], [1], [2]]
    """
    here, there = runs.frame(frame), runs.frame(other)
    if here.start == here.stop or there.start == there.stop:
        none = np.zeros(0, np.int64)
        return none, none, none
    start, end, cell = _move_runs(runs.start[here], runs.length[here], runs.cell[here] - rows.start, shift, runs.shape)
    moved, other_run, pixels = find_shared_pixels(start, end, (runs.start[there], runs.length[there]))
    first = int(runs.cell[there].min())
    source, target = cell[moved], runs.cell[there][other_run] - first
    width = int(target.max(initial=0)) + 1
    key, inverse = np.unique(source * width + target, return_inverse=True)
    return key // width + rows.start, key % width + first, np.bincount(inverse, pixels, len(key)).astype(np.int64)


def _move_runs(
    start: IntArray, length: IntArray, cell: IntArray, shift: IntArray, shape: tuple[int, ...]
) -> tuple[IntArray, IntArray, IntArray]:
    """Move each run by its cell's shift, cut it at the frame's borders, and return start, end and cell of each."""
    *outer, width = shape
    left, x = start - start % width, start % width + shift[cell, -1]
    low, high = np.maximum(x, 0), np.minimum(x + length, width)
    inside = low < high
    rest, stride = start // width, width
    for axis in range(len(outer) - 1, -1, -1):
        step, place = shift[cell, axis], rest % outer[axis]
        inside &= (place + step >= 0) & (place + step < outer[axis])
        left = left + step * stride
        rest, stride = rest // outer[axis], stride * outer[axis]
    return (left + low)[inside], (left + high)[inside], cell[inside]
