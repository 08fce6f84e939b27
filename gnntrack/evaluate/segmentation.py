"""How good masks are, image by image, whatever the labels: against label images of the truth.

=====================  =====================================================================
Dice, IoU              of the foreground, all cells of one side together: 2 |A & B| / (|A| + |B|), |A & B| / |A | B|
SEG                    mean IoU of the truth's cells, each with the cell that covers more than half of it, else 0 (the
                       Cell Tracking Challenge's measure, as in `gnntrack.evaluate.tracking`)
AP(t)                  TP / (TP + FP + FN), cells matched one to one where their IoU is at least t (Data Science Bowl
                       2018); AP(mean) is the mean over t = 0.5, 0.55, ..., 0.9
F1(0.5)                2 TP / (2 TP + FP + FN) at t = 0.5
=====================  =====================================================================

An image without cells on both sides is right: all of these are 1. Where only the truth has none, SEG, which sees no
false positives, is not defined (None), and the others are 0. In total, pixels and cells of all images are counted
together; the mean over images gives every image one vote.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError, FrameError, InputError
from gnntrack.io.frames import open_masks
from gnntrack.io.images import read_mask, read_tiff
from gnntrack.io.stack import UNREADABLE, frames_of
from gnntrack.masks.overlaps import Overlaps, find_overlaps

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gnntrack.types import Image, Progress

__all__ = [
    "METRICS",
    "THRESHOLDS",
    "Counts",
    "ImageCounts",
    "SegmentationReport",
    "compare_labels",
    "evaluate_segmentation",
]

THRESHOLDS = tuple(n / 20 for n in range(10, 19))
"""The IoU, 0.5 to 0.9, from which on two cells match for AP."""

METRICS = ("Dice", "IoU", "SEG", "AP(0.5)", "AP(0.75)", "AP(0.9)", "AP(mean)", "F1(0.5)")
"""The metrics of a report, in its order."""

_LARGEST = 2**31  # two labels below it are packed into one number of 64 bits
_WORKERS = min(4, os.cpu_count() or 1)
_SUFFIXES = {".tif", ".tiff", ".png"}
_CTC_NAME = re.compile(r"(?:mask|man_track|man_seg_?)([0-9]{1,9})(?:_([0-9]{1,9}))?\.tif")


# ---------------------------------------------------------------- two label images


@dataclass(frozen=True)
class Counts:
    """What the metrics are made of; those of several images add up.

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
    """Cells of the result that share no pixel with one of the truth, whether they were left out or not."""
    result_pixels: int = 0
    """Pixels in a cell of the result."""
    truth_pixels: int = 0
    common_pixels: int = 0
    covered_iou: float = 0.0
    """Sum of the IoU of the truth's cells that are covered by more than half, for SEG."""
    matched: tuple[int, ...] = (0,) * len(THRESHOLDS)
    """Pairs of cells that match, by threshold."""

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
        return _ratio(2 * self.common_pixels, self.result_pixels + self.truth_pixels)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard index) of the foreground."""
        return _ratio(self.common_pixels, self.result_pixels + self.truth_pixels - self.common_pixels)

    @property
    def seg(self) -> float | None:
        """SEG; None where there are cells in the result only."""
        return _ratio(self.covered_iou, self.truth_cells) if self.truth_cells or not self.result_cells else None

    @property
    def f1(self) -> float:
        """F1 of the cells at an IoU of 0.5."""
        return _ratio(2 * self.matched[0], self.result_cells + self.truth_cells)

    @property
    def mean_ap(self) -> float:
        """Mean of AP over all thresholds."""
        return sum(map(self.ap, THRESHOLDS)) / len(THRESHOLDS)

    def ap(self, threshold: float) -> float:
        """Return AP, TP / (TP + FP + FN), at a threshold.

        Raises
        ------
        InputError
            If it is none of `THRESHOLDS`.
        """
        if threshold not in THRESHOLDS:
            msg = f"threshold {threshold}; matches are counted at {', '.join(map(str, THRESHOLDS))}"
            raise InputError(msg)
        matched = self.matched[THRESHOLDS.index(threshold)]
        return _ratio(matched, self.result_cells + self.truth_cells - matched)

    def scores(self) -> dict[str, float | None]:
        """Return `METRICS` by name, plain numbers."""
        ap = (self.ap(0.5), self.ap(0.75), self.ap(0.9), self.mean_ap)
        return dict(zip(METRICS, (self.dice, self.iou, self.seg, *ap, self.f1), strict=True))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 1.0  # nothing to find and nothing found


def compare_labels(result: npt.ArrayLike, truth: npt.ArrayLike, *, partial: bool = False, margin: int = 0) -> Counts:
    """Compare two label images.

    Parameters
    ----------
    result, truth : (Y, X) or (Z, Y, X) arrays
        0 is background, every other value one cell; labels of the two need not agree.
    partial : bool
        The truth has not all cells: leave out the result's cells that share no pixel with one of the truth.
    margin : int
        Pixels along y and x outside the field of interest: cells that lie there altogether are left out of both.

    Raises
    ------
    FrameError
        If one is no label image, their shapes differ, or the margin leaves nothing of them.

    Examples
    --------
    A cell torn into halves: each has an IoU of exactly 0.5 with it, and one of them may match.

    >>> halves, cell = np.array([[1, 1, 2, 2]]), np.array([[5, 5, 5, 5]])
    >>> counts = compare_labels(halves, cell)
    >>> counts.dice, counts.seg, counts.matched[:2], counts.ap(0.5)
    (1.0, 0.0, (1, 0), 0.5)
    """
    mine, theirs = _checked(np.asarray(result), "result"), _checked(np.asarray(truth), "truth")
    if mine.shape != theirs.shape:
        msg = f"the result has shape {mine.shape}, the truth {theirs.shape}; result and truth must have one shape"
        raise FrameError(msg)
    return _compared(mine, theirs, partial=partial, margin=margin, name="result")


def _compared(mine: Image, theirs: Image, *, partial: bool, margin: int, name: str) -> Counts:
    if margin:
        mine, theirs = _in_field(mine, margin, name), _in_field(theirs, margin, name)
    return _count(find_overlaps(_small(mine), _small(theirs)), partial=partial)


def _in_field(labels: Image, margin: int, name: str) -> Image:
    """Return labels without the cells that have no pixel in the field of interest."""
    inner = labels[..., margin:-margin, margin:-margin]
    if 2 * margin >= min(labels.shape[-2:]):
        msg = f"a margin of {margin} pixels leaves nothing of its shape {labels.shape}; give less"
        raise FrameError(msg, file=name)
    return np.where(np.isin(labels, np.unique(inner)), labels, 0)


def _checked(labels: npt.NDArray[Any], name: str) -> Image:
    """Return what is a label image, floats and booleans as integers."""
    if labels.ndim not in (2, 3):
        msg = f"its shape is {labels.shape}; expected labels, (Y, X) or (Z, Y, X)"
        raise FrameError(msg, file=name)
    if not labels.size:
        return np.zeros(labels.shape, np.uint8)
    return open_masks(frames_of(labels[None], "tzyx" if labels.ndim == 3 else "tyx", name=name))[0].reshape(
        labels.shape
    )


def _small(labels: Image) -> Image:
    """Give cells new numbers where two labels would not fit into 64 bits."""
    if labels.max(initial=0) < _LARGEST:
        return labels
    known = np.unique(labels[labels > 0])
    return np.where(labels > 0, np.searchsorted(known, labels) + 1, 0)


def _count(pairs: Overlaps, *, partial: bool) -> Counts:
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
        matched=_matches(pairs),
    )


def _matches(pairs: Overlaps) -> tuple[int, ...]:
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
        match = 20 * area >= round(20 * threshold) * union  # in whole numbers: 0.6 is 0.6
        counts.append(len(np.unique(truth[match])) + len(np.unique(result[match])) - int(match.sum()))
    return tuple(counts)


# ---------------------------------------------------------------- folders of them


@dataclass(frozen=True)
class ImageCounts:
    """One image of the truth."""

    truth: Path
    result: Path
    counts: Counts


@dataclass(frozen=True)
class SegmentationReport:
    """Masks against their truth.

    Parameters
    ----------
    images : tuple of ImageCounts
        In the order of the frames or names.
    partial : bool
        Whether cells of the result that touch none of the truth were left out.
    margin : int
        Pixels along the border; cells that lie there altogether were left out.
    """

    images: tuple[ImageCounts, ...]
    partial: bool = False
    margin: int = 0

    @property
    def total(self) -> Counts:
        """All images together."""
        return sum((image.counts for image in self.images), Counts())

    @property
    def mean(self) -> dict[str, float | None]:
        """Mean of each metric over the images for which it is defined."""
        scores = [image.counts.scores() for image in self.images]
        defined = {name: [value for each in scores if (value := each[name]) is not None] for name in METRICS}
        return {name: sum(values) / len(values) if values else None for name, values in defined.items()}

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values that go into JSON."""
        images = [
            {"truth": str(image.truth), "result": str(image.result), **_told(image.counts)} for image in self.images
        ]
        return {
            "partial": self.partial,
            "margin": self.margin,
            "total": _told(self.total),
            "mean": self.mean,
            "images": images,
        }


def _told(counts: Counts) -> dict[str, float | None]:
    cells = {"truth_cells": counts.truth_cells, "result_cells": counts.result_cells, "lone_cells": counts.lone_cells}
    return cells | counts.scores()


class _Truth(NamedTuple):
    file: Path
    plane: int | None  # of the result's frame, where the truth is one plane of a stack


_Key = int | str  # the frame of a name of the Cell Tracking Challenge, else the name without its suffix


def evaluate_segmentation(
    result: str | Path,
    truth: str | Path,
    *,
    partial: bool = False,
    margin: int = 0,
    progress: Progress | None = None,
) -> SegmentationReport:
    """Compare the masks of a folder, or of one file, with the truth.

    Parameters
    ----------
    result : path
        A folder of label images, TIFF or PNG, such as ``01_RES`` with ``mask000.tif``; or one of them. Those
        without truth are not looked at.
    truth : path
        ``01_GT`` or ``01_ST`` with a folder ``SEG``; a folder of label images; or one of them. Names of the challenge
        (``man_seg007.tif``, or ``man_seg_007_012.tif`` for plane 12 of frame 7) go with the result's frame, any other
        with the result of the same name, but for the suffix. Two single files go together whatever their names are.
    partial : bool
        The truth has not all cells: leave out the result's cells that share no pixel with one of the truth.
    margin : int
        Pixels along y and x outside the field of interest: cells that lie there altogether are left out of both.
    progress : Progress or None
        Told after each frame.

    Raises
    ------
    FormatError
        If there are no label images.
    FrameError
        If a frame of the truth has no mask in the result, a file is no label image, or shapes differ.
    """
    jobs = _paired(Path(result), Path(truth))

    def compare(job: tuple[_Key, Path, list[_Truth]]) -> list[ImageCounts]:
        key, file, truths = job
        frame = key if isinstance(key, int) else None
        labels = _read(file, frame)
        return [
            ImageCounts(each.file, file, _compare_files(labels, file, each, frame, partial=partial, margin=margin))
            for each in truths
        ]

    images: list[ImageCounts] = []
    with ThreadPoolExecutor(_WORKERS) as pool:  # reading and counting release the interpreter
        for done, rows in enumerate(pool.map(compare, jobs), start=1):
            images += rows
            if progress is not None:
                progress("compare", done, len(jobs))
    return SegmentationReport(tuple(images), partial, margin)


def _compare_files(
    labels: Image, file: Path, truth: _Truth, frame: int | None, *, partial: bool, margin: int
) -> Counts:
    theirs = _read(truth.file, frame)
    if truth.plane is not None:
        if labels.ndim != 3 or truth.plane >= len(labels):
            msg = f"has shape {labels.shape}; the truth {truth.file} is plane {truth.plane} of a stack (Z, Y, X)"
            raise FrameError(msg, file=file, frame=frame)
        labels = labels[truth.plane]
    if labels.shape != theirs.shape:
        msg = f"has shape {labels.shape}, the truth {truth.file} {theirs.shape}; result and truth must have one shape"
        raise FrameError(msg, file=file, frame=frame)
    return _compared(labels, theirs, partial=partial, margin=margin, name=str(file))


def _read(file: Path, frame: int | None) -> Image:
    if file.suffix.lower() == ".png":
        return _checked(_read_png(file), str(file))
    return _checked(read_tiff(file), str(file)) if frame is None else read_mask(file, frame=frame)


def _read_png(file: Path) -> Image:
    import imagecodecs

    try:
        pixels: Image = imagecodecs.png_decode(file.read_bytes())
    except UNREADABLE as error:
        msg = f"cannot be read as a PNG ({error}); write it again"
        raise FrameError(msg, file=file) from error
    if pixels.ndim != 2:
        msg = f"holds {pixels.shape[-1]} colours a pixel; expected one label a pixel, 8 or 16 bits, without a palette"
        raise FrameError(msg, file=file)
    return pixels


def _paired(result: Path, truth: Path) -> list[tuple[_Key, Path, list[_Truth]]]:
    """List the frames that have truth, with their files."""
    if not result.is_dir() and not truth.is_dir():
        (file,), (theirs,) = _label_files(result), _label_files(truth)
        key, plane = _key(theirs)
        return [(key, file, [_Truth(theirs, plane)])]
    masks = _masks_by_key(_label_files(_label_folder(result)), result)
    truths: dict[_Key, list[_Truth]] = {}
    for file in _label_files(_label_folder(truth)):
        key, plane = _key(file)
        truths.setdefault(key, []).append(_Truth(file, plane))
    if not result.is_dir():
        truths = {key: found for key, found in truths.items() if key in masks}
        if not truths:
            msg = f"{truth}: no truth for {result.name} in it; expected the same frame or name"
            raise FormatError(msg)
    for key, found in truths.items():
        if key not in masks:
            raise _missing(result, key, found[0].file)
    return [(key, masks[key], truths[key]) for key in sorted(truths, key=lambda key: (isinstance(key, str), key))]


def _missing(result: Path, key: _Key, truth: Path) -> FrameError:
    if isinstance(key, int):
        msg = f"no mask for it, though there is truth, {truth}; expected mask{key:03d}.tif"
        return FrameError(msg, file=result, frame=key)
    return FrameError(f"no mask for the truth {truth}; expected {key}.tif or {key}.png", file=result)


def _label_folder(path: Path) -> Path:
    if (path / "SEG").is_dir():
        return path / "SEG"
    if (path / "TRA").is_dir():
        msg = f"{path}: no folder SEG in it; where its markers are whole cells, give {path / 'TRA'}"
        raise FormatError(msg)
    return path


def _label_files(path: Path) -> Sequence[Path]:
    """List the label images in a folder; a file is a list of its own."""
    if not path.exists():
        msg = f"{path}: no such file or folder; expected label images, TIFF or PNG, or a folder of them"
        raise FormatError(msg)
    found = sorted(path.iterdir()) if path.is_dir() else [path]
    files = [file for file in found if file.suffix.lower() in _SUFFIXES]
    if not files:
        msg = f"{path}: no label images; expected TIFF or PNG files, such as mask000.tif"
        raise FormatError(msg)
    return files


def _key(file: Path) -> tuple[_Key, int | None]:
    match = _CTC_NAME.fullmatch(file.name)
    if match is None:
        return file.stem, None
    return int(match[1]), None if match[2] is None else int(match[2])


def _masks_by_key(files: Sequence[Path], folder: Path) -> dict[_Key, Path]:
    masks: dict[_Key, Path] = {}
    for file in files:
        key, _ = _key(file)
        if key in masks:
            msg = f"{folder}: both {masks[key].name} and {file.name} would be the mask of one image; move one away"
            raise FormatError(msg)
        masks[key] = file
    return masks
