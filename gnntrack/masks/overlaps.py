"""Overlaps of masks: pixels shared by two label images, or by the cells of two frames."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.masks.runs import encode_frame, find_shared_pixels
from gnntrack.types import Runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.types import BoolArray, FloatArray, Image, IntArray

__all__ = ["Overlaps", "count_shared_pixels", "find_overlaps", "is_covered"]

_CHUNK = 1 << 14  # runs whose overlaps are counted at once, so that they stay in the cache


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


def count_shared_pixels(runs: Runs, gap: int, shift: IntArray | None = None) -> tuple[IntArray, IntArray, IntArray]:
    """Return how many pixels the cells of each frame share with those of a later frame.

    Parameters
    ----------
    runs : Runs
        The pixels of all cells.
    gap : int
        Number of frames to the later one, at least 1.
    shift : (N, D) int64, optional
        Pixels along ``[z], y, x`` by which each of all cells is moved first; it is cut at the frame's border. If None,
        cells stay in place.

    Returns
    -------
    source, target, pixels : (P,) int64
        Rows of cells that share pixels, ascending by (source, target), and the number of pixels.

    Examples
    --------
    >>> runs = Runs([0, 1], [0, 1], [2, 2], [0, 1, 2], (1, 4))  # the cell moves one pixel to the right
    >>> [column.tolist() for column in count_shared_pixels(runs, 1)]
    [[0], [1], [1]]
    >>> [column.tolist() for column in count_shared_pixels(runs, 1, np.array([[0, 1], [0, 0]]))]
    [[0], [1], [2]]
    """
    none = np.zeros(0, np.int64)
    counted = [(none, none, none)]
    shift = np.zeros((int(runs.cell.max(initial=-1)) + 1, len(runs.shape)), np.int64) if shift is None else shift
    # empty pixels around the frames, so that no run meets another row or frame when it leaves its own
    margin = np.abs(shift).max(axis=0, initial=0)
    shape = tuple(size + int(more) for size, more in zip(runs.shape, margin, strict=True))
    step = shift @ np.append(np.cumprod(shape[:0:-1])[::-1], 1)
    for first, stop in _split_frames(runs.offsets, gap):
        start, length, cell = _stack_frames(runs, first, stop, shape)
        other_start, other_length, other_cell = _stack_frames(runs, first + gap, stop + gap, shape)
        start += step[cell]
        one, other, pixels = find_shared_pixels(start, start + length, (other_start, other_length))
        counted.append(_sum_pixels(cell[one], other_cell[other], pixels))
    source, target, pixels = (np.concatenate(columns) for columns in zip(*counted, strict=True))
    return source, target, pixels


def _split_frames(offsets: IntArray, gap: int) -> Iterator[tuple[int, int]]:
    """Yield first and end of consecutive frames with about `_CHUNK` runs."""
    first, end = 0, len(offsets) - 1 - gap
    while first < end:
        stop = int(np.searchsorted(offsets, offsets[first] + _CHUNK, "right")) - 1
        stop = min(max(stop, first + 1), end)
        yield first, stop
        first = stop


def _stack_frames(runs: Runs, first: int, stop: int, shape: tuple[int, ...]) -> tuple[IntArray, IntArray, IntArray]:
    """Return start, length and cell of the runs of some frames, as those of one image of frames of a larger shape."""
    part = slice(runs.offsets[first], runs.offsets[stop])
    start = np.repeat(np.arange(stop - first) * math.prod(shape), np.diff(runs.offsets[first : stop + 1]))
    rest, stride = runs.start[part], 1
    for size, larger in zip(runs.shape[:0:-1], shape[:0:-1], strict=True):
        above = rest // size
        start += (rest - above * size) * stride
        rest, stride = above, stride * larger
    start += rest * stride
    return start, runs.length[part], runs.cell[part]


def _sum_pixels(source: IntArray, target: IntArray, pixels: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return each pair once, ascending, and the sum of its pixels."""
    if not len(source):
        return source, target, pixels
    low, first = int(source.min()), int(target.min())
    width = int(target.max()) - first + 1
    bits = int(pixels.max()).bit_length()
    # sorting numbers is several times as fast as sorting their rows
    packed = np.sort(((source - low) * width + target - first) << bits | pixels)
    key = packed >> bits
    begin = np.flatnonzero(np.diff(key, prepend=-1))
    total = np.add.reduceat(packed & ((1 << bits) - 1), begin)
    return key[begin] // width + low, key[begin] % width + first, total
