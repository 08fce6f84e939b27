"""Scores of masks against ground truth, image by image; labels need not agree.

The metrics are those of `gnntrack.evaluate.counts`. For the total, pixels and cells of all images are counted
together; the mean over images gives each image the same weight.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gnntrack.errors import FormatError, FrameError, InputError
from gnntrack.evaluate.counts import METRICS, Counts, convert_labels, count_cells
from gnntrack.io.ctc_names import format_name, parse_name
from gnntrack.io.images import TIFF_SUFFIXES, drop_plane, read_image, read_tiff
from gnntrack.io.mask_checks import describe_kind
from gnntrack.masks.fragments import number_pieces
from gnntrack.masks.recognise import FrameKind, describe_frame
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import Image, Progress

__all__ = ["ImageCounts", "SegmentationReport", "evaluate_segmentation"]

_log = logging.getLogger(__name__)

_WORKERS = min(4, os.cpu_count() or 1)
_SUFFIXES = {*TIFF_SUFFIXES, ".png"}


@dataclass(frozen=True)
class ImageCounts:
    """Counts of one image of the ground truth."""

    truth: Path
    result: Path
    counts: Counts


@dataclass(frozen=True)
class SegmentationReport:
    """Scores of the masks of a movie or a folder.

    Parameters
    ----------
    images : tuple of ImageCounts
        In the order of the frames or names.
    partial : bool
        Whether cells of the result that touch no cell of the ground truth were ignored.
    margin : int
        Pixels along the border; cells that lie there entirely were ignored.
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
            {"truth": str(image.truth), "result": str(image.result), **_list_values(image.counts)}
            for image in self.images
        ]
        return {
            "partial": self.partial,
            "margin": self.margin,
            "total": _list_values(self.total),
            "mean": self.mean,
            "images": images,
        }


def _list_values(counts: Counts) -> dict[str, float | None]:
    cells = {"truth_cells": counts.truth_cells, "result_cells": counts.result_cells, "lone_cells": counts.lone_cells}
    return cells | counts.scores()


class _TruthFile(NamedTuple):
    file: Path
    plane: int | None  # plane of the result's frame, if the ground truth is one plane of a stack


class _Job(NamedTuple):
    """One image of the result with its ground truth."""

    key: _Key
    file: Path
    truths: list[_TruthFile]


_Kinds = tuple[FrameKind, FrameKind]  # of the result and the truth
_Key = int | str  # the frame in a name of the Cell Tracking Challenge, else the name without its suffix


def evaluate_segmentation(
    result: str | Path,
    truth: str | Path,
    *,
    partial: bool = False,
    margin: int = 0,
    fragments: Literal["keep", "split"] = "keep",
    progress: Progress | None = None,
) -> SegmentationReport:
    """Compare the masks of a folder, or of one file, with the ground truth.

    Parameters
    ----------
    result : path
        A folder of label images, TIFF or PNG, such as ``01_RES`` with ``mask000.tif``; or one of them. Images without
        ground truth are ignored.
    truth : path
        ``01_GT`` or ``01_ST`` with a folder ``SEG``; a folder of label images; or one of them. A file named as in the
        challenge (``man_seg007.tif``, or ``man_seg_007_012.tif`` for plane 12 of frame 7) is compared with that frame
        of the result, any other with the result of the same name, whatever the suffixes are. Two single files are
        compared whatever their names are.
    partial : bool
        Set it if not all cells are annotated: cells of the result that share no pixel with a cell of the ground truth
        do not count.
    margin : int
        Pixels along y and x outside the field of interest: cells of either side that lie there entirely do not count.
    fragments : {"keep", "split"}
        ``"split"``: in an image with one value, a binary mask, each connected piece is a cell, on both sides. By
        default the image is one cell, with a warning.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    SegmentationReport
        Counts of each image, their total and mean.

    Raises
    ------
    FormatError
        If a folder holds no label images.
    FrameError
        If a frame with ground truth has no mask in the result, a file is not a label image but an image of grey values,
        or shapes differ.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import tifffile
    >>> folder = Path(tempfile.mkdtemp())
    >>> tifffile.imwrite(folder / "mask000.tif", np.array([[1, 1, 1, 0]], np.uint8))
    >>> tifffile.imwrite(folder / "man_seg000.tif", np.array([[5, 5, 5, 5]], np.uint8))
    >>> evaluate_segmentation(folder / "mask000.tif", folder / "man_seg000.tif").total.seg
    0.75
    """
    if fragments not in {"keep", "split"}:
        msg = f"fragments {fragments!r}: expected 'keep' or 'split'"
        raise InputError(msg)
    _refuse_swapped(Path(result), Path(truth))
    jobs = _list_jobs(Path(result), Path(truth))
    split = fragments == "split"

    def compare(job: _Job) -> list[tuple[ImageCounts, _Kinds]]:
        frame = job.key if isinstance(job.key, int) else None
        labels, kind = _read_labels(job.file, frame, "result", split=split)
        rows = []
        for each in job.truths:
            true_labels, true_kind = _read_labels(each.file, frame, "ground truth", split=split)
            pair = _pair_planes((labels, job.file), (true_labels, each), frame)
            counts = count_cells(*pair, partial=partial, margin=margin, name=str(job.file))
            rows.append((ImageCounts(each.file, job.file, counts), (kind, true_kind)))
        return rows

    rows: list[tuple[ImageCounts, _Kinds]] = []
    with ThreadPoolExecutor(_WORKERS) as pool:  # reading and counting release the interpreter
        for done, found in enumerate(pool.map(compare, jobs), start=1):
            rows += found
            if progress is not None:
                progress("compare", done, len(jobs))
    if not split:
        _warn_of_binary_masks(rows)
    return SegmentationReport(tuple(image for image, _ in rows), partial, margin)


def _warn_of_binary_masks(rows: Sequence[tuple[ImageCounts, _Kinds]]) -> None:
    """Warn of each side that has binary masks, which are one cell each."""
    for side, role in enumerate(("result", "ground truth")):
        found = [(image, kinds[side]) for image, kinds in rows if _is_binary(kinds[side], kinds[1 - side])]
        if found:
            image, kind = found[0]
            _log.warning(
                "%s: the %s is %s, and is scored as one cell, so that only Dice and IoU are of use (%d of %s); "
                "--fragments split (fragments='split' in Python) makes a cell of each piece",
                (image.result, image.truth)[side],
                role,
                describe_kind(kind),
                len(found),
                count_noun(len(rows), "image"),
            )


def _is_binary(kind: FrameKind, other: FrameKind) -> bool:
    """Return whether an image is a binary mask, and not a label image with one cell that is in pieces."""
    if kind.kind != "foreground":
        return False
    return kind.highest == 255 or kind.pieces > 3 or (other.kind == "labels" and other.values > 1)


def _refuse_swapped(result: Path, truth: Path) -> None:
    """Raise if the result is a ground truth of the challenge, and the truth a result.

    Raises
    ------
    FormatError
        With the right order.
    """
    if _find_kinds(result) & {"man_seg", "man_track"} and "mask" in _find_kinds(truth):
        msg = (
            f"{result} is a ground truth (SEG, TRA or man_seg files) and {truth} is a result (mask files): are the two "
            "swapped? give the result first and the ground truth second: RESULT TRUTH"
        )
        raise FormatError(msg)


def _find_kinds(path: Path) -> set[str]:
    """Return the kinds of files of the challenge at a path; the folders SEG and TRA count as ``"man_seg"``."""
    if path.is_dir() and any((path / name).is_dir() for name in ("SEG", "TRA")):
        return {"man_seg"}
    files = path.iterdir() if path.is_dir() else [path]
    names = [parse_name(file.name, suffixes=("tif", "tiff")) for file in files]
    return {name.kind for name in names if name is not None}


def _pair_planes(result: tuple[Image, Path], truth: tuple[Image, _TruthFile], frame: int | None) -> tuple[Image, Image]:
    """Return the labels of the result and of the truth, of the plane that the truth is.

    Raises
    ------
    FrameError
        If their shapes differ.
    """
    (labels, file), (true_labels, place) = result, truth
    if place.plane is not None:
        if labels.ndim != 3 or place.plane >= len(labels):
            msg = f"has shape {labels.shape}; the truth {place.file} is plane {place.plane} of a stack (Z, Y, X)"
            raise FrameError(msg, file=file, frame=frame)
        labels = labels[place.plane]
    labels, true_labels = drop_plane(labels), drop_plane(true_labels)
    if labels.shape != true_labels.shape:
        msg = (
            f"has shape {labels.shape}, the truth {place.file} {true_labels.shape}; "
            "result and truth must have one shape"
        )
        raise FrameError(msg, file=file, frame=frame)
    return labels, true_labels


def _read_labels(file: Path, frame: int | None, role: str, *, split: bool) -> tuple[Image, FrameKind]:
    """Read the labels of one image, and what its values are; `split` numbers the pieces of a binary mask.

    Raises
    ------
    FrameError
        If the file cannot be read, or is an image of the microscope.
    """
    labels = _read(file, frame)
    kind = describe_frame(labels)
    if kind.kind == "image" and not kind.doubtful:
        msg = (
            f"the {role} is {describe_kind(kind)}, not a label image: give label images on both sides, the result "
            "first and the ground truth second: RESULT TRUTH"
        )
        raise FrameError(msg, file=file, frame=frame)
    if split and kind.kind == "foreground":
        labels = number_pieces((labels != 0) & (labels != (kind.background or 0)))
    return labels, kind


def _read(file: Path, frame: int | None) -> Image:
    if frame is not None and file.suffix.lower() in TIFF_SUFFIXES:
        return convert_labels(read_tiff(file, frame=frame), str(file))
    pixels, coloured = read_image(file)
    if coloured:
        msg = f"holds {pixels.shape[-1]} colours a pixel; expected one label a pixel, 8 or 16 bits, without a palette"
        raise FrameError(msg, file=file)
    return convert_labels(pixels, str(file))


def _list_jobs(result: Path, truth: Path) -> list[_Job]:
    """List the images that have ground truth, with their files."""
    if not result.is_dir() and not truth.is_dir():
        (file,), (truth_file,) = _list_images(result), _list_images(truth)
        key, plane = _parse_key(truth_file)
        return [_Job(key, file, [_TruthFile(truth_file, plane)])]
    masks = _list_by_key(_list_images(_find_folder(result)), result)
    truths: dict[_Key, list[_TruthFile]] = {}
    for file in _list_images(_find_folder(truth)):
        key, plane = _parse_key(file)
        truths.setdefault(key, []).append(_TruthFile(file, plane))
    if not result.is_dir():
        truths = {key: found for key, found in truths.items() if key in masks}
        if not truths:
            msg = f"{truth}: no truth for {result.name} in it; expected the same frame or name"
            raise FormatError(msg)
    for key, found in truths.items():
        if key not in masks:
            raise _describe_missing(result, key, found[0].file)
    return [_Job(key, masks[key], truths[key]) for key in sorted(truths, key=lambda key: (isinstance(key, str), key))]


def _describe_missing(result: Path, key: _Key, truth: Path) -> FrameError:
    if isinstance(key, int):
        msg = (
            f"no mask for it, though there is truth, {truth}; expected {format_name('mask', key)}. Frames are numbered "
            "from 0 by 'segment' and 'track'; segment all frames, or give a folder with the truth of these frames alone"
        )
        return FrameError(msg, file=result, frame=key)
    return FrameError(f"no mask for the truth {truth}; expected {key}.tif or {key}.png", file=result)


def _find_folder(path: Path) -> Path:
    """Return the folder of label images in the folder of a ground truth, or the folder itself."""
    if (path / "SEG").is_dir():
        return path / "SEG"
    if (path / "TRA").is_dir():
        msg = f"{path}: no folder SEG in it; if the markers in TRA are whole cells, give {path / 'TRA'}"
        raise FormatError(msg)
    return path


def _list_images(path: Path) -> Sequence[Path]:
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


def _parse_key(file: Path) -> tuple[_Key, int | None]:
    """Return the frame and the plane in a name of the challenge, else the name without its suffix and None."""
    name = parse_name(file.name)
    if name is None or name.kind == "t":
        return file.stem, None
    return name.frame, name.plane


def _list_by_key(files: Sequence[Path], folder: Path) -> dict[_Key, Path]:
    masks: dict[_Key, Path] = {}
    for file in files:
        key, _ = _parse_key(file)
        if key in masks:
            msg = f"{folder}: both {masks[key].name} and {file.name} would be the mask of one image; move one away"
            raise FormatError(msg)
        masks[key] = file
    return masks
