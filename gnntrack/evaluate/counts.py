"""Counts of pixels and cells of two label images, and the metrics made of them.

=====================  =====================================================================
Dice, IoU              of the foreground, all cells of one side together: 2 |A & B| / (|A| + |B|), |A & B| / |A | B|
SEG                    mean IoU of the cells of the ground truth; a cell that no cell of the result covers by more than
                       half counts as 0 (the measure of the Cell Tracking Challenge, Maška et al., 2014)
AP(t)                  TP / (TP + FP + FN), where cells match one to one if their IoU is at least t (Data Science Bowl
                       2018); AP(mean) is the mean over t = 0.5, 0.55, ..., 0.9
F1(0.5)                2 TP / (2 TP + FP + FN) at t = 0.5
=====================  =====================================================================

If neither side has a cell, all of these are 1. If only the ground truth has none, SEG, which does not count
false positives, is not defined (None), and the others are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FrameError, InputError
from gnntrack.io.frames import open_masks
from gnntrack.io.stack import open_array
from gnntrack.masks.overlaps import Overlaps, find_overlaps
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import Image

__all__ = ["METRICS", "THRESHOLDS", "Counts", "compare_labels", "convert_labels", "count_cells"]

THRESHOLDS = tuple(n / 20 for n in range(10, 19))
"""The values of the IoU, 0.5 to 0.9, at which the matches for AP are counted."""

METRICS = ("Dice", "IoU", "SEG", "AP(0.5)", "AP(0.75)", "AP(0.9)", "AP(mean)", "F1(0.5)")
"""The metrics of a report, in its order."""

_LABEL_LIMIT = 2**31  # two labels below it are packed into one number of 64 bits


@dataclass(frozen=True)
class Counts:
    """Counts of pixels and cells; those of several images add up.

    Examples
    --------
    >>> cell = np.array([[1, 1, 1, 1]])
    >>> found, missed = compare_labels(cell, cell), compare_labels(0 * cell, cell)
    >>> (found + missed).iou, (found + missed).ap(0.5), (found + missed).f1
    (0.5, 0.5, 0.6666666666666666)
    """

    result_cells: int = 0
    truth_cells: int = 0
    lone_cells: int = 0
    """Cells of the result that share no pixel with a cell of the ground truth, with and without `partial`."""
    result_pixels: int = 0
    """Pixels in a cell of the result."""
    truth_pixels: int = 0
    """Pixels in a cell of the ground truth."""
    common_pixels: int = 0
    """Pixels in a cell of both."""
    covered_iou: float = 0.0
    """Sum, for SEG, of the IoU of the ground truth's cells that are covered by more than half."""
    matched: tuple[int, ...] = (0,) * len(THRESHOLDS)
    """Pairs of cells that match at each threshold."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.result_cells + other.result_cells,
            self.truth_cells + other.truth_cells,
            self.lone_cells + other.lone_cells,
            self.result_pixels + other.result_pixels,
            self.truth_pixels + other.truth_pixels,
            self.common_pixels + other.common_pixels,
            self.covered_iou + other.covered_iou,
            tuple(one + two for one, two in zip(self.matched, other.matched, strict=True)),
        )

    @property
    def dice(self) -> float:
        """Dice coefficient of the foreground."""
        return _divide(2 * self.common_pixels, self.result_pixels + self.truth_pixels)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard index) of the foreground."""
        return _divide(self.common_pixels, self.result_pixels + self.truth_pixels - self.common_pixels)

    @property
    def seg(self) -> float | None:
        """SEG; None if only the result has cells."""
        return _divide(self.covered_iou, self.truth_cells) if self.truth_cells or not self.result_cells else None

    @property
    def f1(self) -> float:
        """F1 of the cells at an IoU of 0.5."""
        return _divide(2 * self.matched[0], self.result_cells + self.truth_cells)

    @property
    def mean_ap(self) -> float:
        """Mean of AP over all thresholds."""
        return sum(map(self.ap, THRESHOLDS)) / len(THRESHOLDS)

    def ap(self, threshold: float) -> float:
        """Return AP, TP / (TP + FP + FN), at one of `THRESHOLDS`.

        Raises
        ------
        InputError
            If it is not one of them.
        """
        if threshold not in THRESHOLDS:
            msg = f"threshold {threshold}; matches are counted at {', '.join(map(str, THRESHOLDS))}"
            raise InputError(msg)
        matched = self.matched[THRESHOLDS.index(threshold)]
        return _divide(matched, self.result_cells + self.truth_cells - matched)

    def scores(self) -> dict[str, float | None]:
        """Return `METRICS` by name, plain numbers."""
        ap = (self.ap(0.5), self.ap(0.75), self.ap(0.9), self.mean_ap)
        return dict(zip(METRICS, (self.dice, self.iou, self.seg, *ap, self.f1), strict=True))


def _divide(count: float, total: float) -> float:
    return count / total if total else 1.0  # nothing to find and nothing found


def compare_labels(result: npt.ArrayLike, truth: npt.ArrayLike, *, partial: bool = False, margin: int = 0) -> Counts:
    """Compare two label images.

    Parameters
    ----------
    result, truth : (Y, X) or (Z, Y, X) arrays
        0 is background, every other value one cell; the labels of the two need not agree.
    partial : bool
        Set it if not all cells are annotated: cells of the result that share no pixel with a cell of the ground truth
        do not count.
    margin : int
        Pixels along y and x outside the field of interest: cells of either side that lie there entirely do not count.

    Raises
    ------
    FrameError
        If one is not a label image, their shapes differ, or the margin leaves nothing of them.

    Examples
    --------
    A cell split into halves: each has an IoU of exactly 0.5 with it, and one of them may match.

    >>> halves, cell = np.array([[1, 1, 2, 2]]), np.array([[5, 5, 5, 5]])
    >>> counts = compare_labels(halves, cell)
    >>> counts.dice, counts.seg, counts.matched[:2], counts.ap(0.5)
    (1.0, 0.0, (1, 0), 0.5)
    """
    labels, true_labels = convert_labels(np.asarray(result), "result"), convert_labels(np.asarray(truth), "truth")
    if labels.shape != true_labels.shape:
        msg = (
            f"the result has shape {labels.shape}, the truth {true_labels.shape}; result and truth must have one shape"
        )
        raise FrameError(msg)
    return count_cells(labels, true_labels, partial=partial, margin=margin, name="result")


def convert_labels(labels: npt.NDArray[Any], name: str) -> Image:
    """Return a label image of integers, also from floats and booleans.

    Raises
    ------
    FrameError
        If the array is not a label image; the message starts with `name`.
    """
    if labels.ndim not in (2, 3):
        msg = f"its shape is {labels.shape}; expected labels, (Y, X) or (Z, Y, X)"
        raise FrameError(msg, file=name)
    if not labels.size:
        return np.zeros(labels.shape, np.uint8)
    axes = "tzyx" if labels.ndim == 3 else "tyx"
    return open_masks(open_array(labels[None], axes, name=name))[0].reshape(labels.shape)


def count_cells(result: Image, truth: Image, *, partial: bool, margin: int, name: str) -> Counts:
    """Return the counts of two label images of one shape, as in `compare_labels`.

    Raises
    ------
    FrameError
        If the margin leaves nothing of the image; the message starts with `name`.
    """
    if margin:
        result, truth = _crop(result, margin, name), _crop(truth, margin, name)
    pairs = find_overlaps(_renumber(result), _renumber(truth))
    touching = np.unique(pairs.result[pairs.of_cells])
    kept = (pairs.result > 0) & (np.isin(pairs.result, touching) if partial else True)
    return Counts(
        result_cells=len(np.unique(pairs.result[kept])),
        lone_cells=len(np.unique(pairs.result[pairs.result > 0])) - len(touching),
        truth_cells=len(np.unique(pairs.truth[pairs.truth > 0])),
        result_pixels=int(pairs.area[kept].sum()),
        truth_pixels=int(pairs.area[pairs.truth > 0].sum()),
        common_pixels=int(pairs.area[pairs.of_cells].sum()),
        covered_iou=float(pairs.iou[pairs.covers].sum()),
        matched=_count_matches(pairs),
    )


def _crop(labels: Image, margin: int, name: str) -> Image:
    """Return labels without the cells that have no pixel in the field of interest."""
    inner = labels[..., margin:-margin, margin:-margin]
    if 2 * margin >= min(labels.shape[-2:]):
        msg = f"a margin of {count_noun(margin, 'pixel')} leaves nothing of its shape {labels.shape}; give less"
        raise FrameError(msg, file=name)
    return np.where(np.isin(labels, np.unique(inner)), labels, 0)


def _renumber(labels: Image) -> Image:
    """Return the labels, numbered from 1 if two of them would not fit into 64 bits."""
    if labels.max(initial=0) < _LABEL_LIMIT:
        return labels
    known = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(known, labels) + 1, 0)


def _count_matches(pairs: Overlaps) -> tuple[int, ...]:
    """Count the matches one to one at each threshold.

    Above an IoU of 0.5 a cell has one partner at most. At exactly 0.5 it may have two, if they are its two halves,
    which have no other partner: one of them counts. In a graph of such stars, as in any forest, the matches are the
    cells less the pairs.
    """
    both = pairs.of_cells
    truth, result, area = pairs.truth[both], pairs.result[both], pairs.area[both]
    union = pairs.truth_area[both] + pairs.result_area[both] - area
    counts = []
    for threshold in THRESHOLDS:
        match = 20 * area >= round(20 * threshold) * union  # in whole numbers, so that 0.6 is exact
        counts.append(len(np.unique(truth[match])) + len(np.unique(result[match])) - int(match.sum()))
    return tuple(counts)
