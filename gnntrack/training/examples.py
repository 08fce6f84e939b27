"""Images with labels to learn segmentation from: where they lie, and how they are split.

::

    DATASET/NN/t000.tif            the Cell Tracking Challenge (CTC): images,
    DATASET/NN_GT/SEG              gold labels, drawn by people: man_seg000.tif, or man_seg_000_004.tif for plane 4,
    DATASET/NN_ST/SEG              silver labels, computed: man_seg000.tif
    FOLDER/a.bmp, a_anno.bmp       pairs side by side; _mask, _masks, _label, _labels, _seg and _gt as well
    FOLDER/images/a.png, masks/a.png   pairs in two folders: images, image, raw or img, and masks, mask, labels, label,
                                   annotations or gt; there too a label's name may end with _mask and so on
    FOLDER/ID/images/ID.png, ID/masks/*.png   the Data Science Bowl 2018: a mask per cell
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tifffile

from gnntrack.errors import FrameError, InputError
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.frames import open_masks
from gnntrack.io.images import check_not_truncated, read_mask, read_tiff
from gnntrack.io.stack import UNREADABLE, Stack

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import Image

    Kind = Literal["GT", "ST"]
    Labels = npt.NDArray[np.int32]

__all__ = ["Example", "find_examples", "split_examples", "time_folds"]

_log = logging.getLogger(__name__)

_TIFFS = (".tif", ".tiff")
_PICTURES = (".png", ".bmp", ".jpg", ".jpeg", ".webp", ".gif", ".pgm", ".ppm", ".pnm")
_LOSSY = (".jpg", ".jpeg", ".webp")
_SUFFIXES = (*_TIFFS, *_PICTURES, ".npy")
_LABEL_ENDINGS = ("_anno", "_mask", "_masks", "_label", "_labels", "_seg", "_gt")
_IMAGE_ENDINGS = ("_img", "_image", "_raw")
_IMAGE_FOLDERS = ("images", "image", "raw", "img")
_LABEL_FOLDERS = ("masks", "labels", "label", "annotations", "gt", "mask")
_LUMINANCE = np.array([0.2125, 0.7154, 0.0721], np.float32)  # of ITU-R BT.709, as in scikit-image
_COVERED = 0.5  # part of a marker's pixels that lie on a label
_BLURRED = 32  # grey values by which lossy compression moves black and white
_CLEAR = 0.95  # part of the pixels of a lossy mask that are nearly black or nearly white
_WANTED = (
    "expected a CTC data set (NN/t000.tif with NN_GT/SEG or NN_ST/SEG/man_seg000.tif), a folder of such, a sequence NN "
    "or a truth NN_GT or NN_ST; or images with labels beside them (a.bmp and a_anno.bmp; _mask, _label, _seg, _gt) or "
    "in folders images and masks (or labels) under the same names; or ID/images/ID.png with a mask per cell in ID/masks"
)


@dataclass(frozen=True)
class Example:
    """An image with its labels, still on disk."""

    name: str
    """Unique, without a path of this machine: ``"Fluo-N2DH-GOWT1/01 frame 12"``."""
    movie: str
    """``"Fluo-N2DH-GOWT1/01"``; the name of the folder where there is no time."""
    frame: int | None
    """None where there is no time."""
    gold: bool
    """Labels drawn by people rather than computed."""
    image_file: Path
    labels_file: Path
    """A folder where there is a mask per cell."""
    plane: int | None = None
    """The plane of the stack that the labels are of, from 0; None where they are of the whole image."""
    markers_file: Path | None = None
    """The tracking truth of this frame, a marker for every cell, where it is there."""

    def read(self) -> tuple[Image, Labels]:
        """Return the image and its labels as the files have them.

        Colours become luminance, float32 in the range of the colours. Outside the CTC, labels of a single value are
        the foreground: its connected parts (diagonals connect) are numbered. The indices of a picture with a palette
        are its labels; lossy pictures (JPEG) can only be a foreground. Of masks that overlap the last by name counts.

        Returns
        -------
        image : (Y, X) or (Z, Y, X) array
            Grey values.
        labels : int32 array of the same shape
            0 is background. A gold frame may lack cells, see `complete`.

        Raises
        ------
        FrameError
            If a file cannot be read, labels are none, or the two shapes differ.
        """
        image = _grey(self.image_file, frame=self.frame)
        if self.plane is not None:
            if image.ndim != 3 or self.plane >= len(image):
                msg = f"its shape is {image.shape}, and {self.labels_file} has labels of plane {self.plane}"
                raise FrameError(msg + "; expected a stack with this plane", file=self.image_file, frame=self.frame)
            image = image[self.plane]
        labels = self._labels()
        if image.shape != labels.shape:
            msg = f"its shape is {image.shape}, that of {self.labels_file} is {labels.shape}; give labels of this image"
            raise FrameError(msg, file=self.image_file, frame=self.frame)
        if image.ndim not in (2, 3):
            msg = f"the image has shape {image.shape}; expected (Y, X) or (Z, Y, X)"
            raise FrameError(msg, file=self.image_file, frame=self.frame)
        # numba and torch take neither foreign byte orders nor broken strides
        return np.ascontiguousarray(image, image.dtype.newbyteorder("=")), labels

    def complete(self) -> bool:
        """Tell whether every cell has a label, as far as is known; files are read for it.

        Gold labels of the CTC are often of some cells of a frame only, and the others look like background. The
        markers of the tracking truth (``NN_GT/TRA``) tell: at least half of each must lie on a label. Without
        markers the answer is True.

        Raises
        ------
        FrameError
            If a file cannot be read, or markers and labels differ in shape.
        """
        if self.markers_file is None:
            return True
        markers = read_mask(self.markers_file, frame=self.frame)
        if self.plane is not None and markers.ndim == 3 and self.plane < len(markers):
            markers = markers[self.plane]
        labels = self._labels()
        if markers.shape != labels.shape:
            msg = f"its shape is {labels.shape}, that of {self.markers_file} is {markers.shape}; expected one shape"
            raise FrameError(msg, file=self.labels_file, frame=self.frame)
        marked = markers > 0
        _, row = np.unique(markers[marked], return_inverse=True)
        covered = np.bincount(row, weights=labels[marked] > 0)
        return bool(np.all(covered >= _COVERED * np.bincount(row)))

    def _labels(self) -> Labels:
        if self.labels_file.is_dir():
            return _stacked(_files(self.labels_file), self.labels_file)
        if self.frame is None:
            return _int32(_parts(_labels_of(self.labels_file)), self.labels_file)
        return _int32(read_mask(self.labels_file, frame=self.frame), self.labels_file)


def find_examples(
    data: str | Path | Sequence[str | Path], *, truth: Literal["best", "gold", "silver"] = "best"
) -> list[Example]:
    """Return the images with labels in folders of any of the layouts above, in natural order.

    Images without labels are left out, and their number is logged. Folders of pairs count as gold. A folder may hold
    folders with any one of the layouts.

    Parameters
    ----------
    data : paths
        Folders; what is named twice is taken once.
    truth : {"best", "gold", "silver"}
        Which labels of the CTC. ``"best"`` is gold where it is there, else silver. A gold frame that lacks cells
        (see `Example.complete`), and gold of single planes, yield to silver where silver is there; where it is not
        they are taken, so a caller may want to look at `Example.complete`.

    Raises
    ------
    InputError
        If a folder is not there, has nothing to learn from, has no labels of the wanted kind, or it is not clear
        which labels are an image's.
    """
    sequences: dict[Path, set[Kind]] = {}
    pairs: dict[Path, dict[Path, Example]] = {}
    for given in [data] if isinstance(data, str | Path) else data:
        folder = Path(given).expanduser().resolve()  # a name is wanted of "." too
        if not folder.is_dir():
            msg = f"{given}: there is no such folder; {_WANTED}"
            raise InputError(msg)
        ctc = _sequences(folder)
        annotated = {} if ctc else _annotated(folder)
        if not ctc and not annotated:
            raise InputError(_nothing(given, folder))
        _check_kinds(given, ctc, truth)
        for movie, kinds in ctc.items():
            sequences.setdefault(movie, set()).update(kinds)
        for home, examples in annotated.items():
            pairs.setdefault(home, {}).update({each.labels_file: each for each in examples})
    found = {movie: _of_sequence(movie, kinds, truth) for movie, kinds in sequences.items()}
    found |= {home: list(by_file.values()) for home, by_file in pairs.items()}
    if found and not any(found.values()):
        msg = f"no image of {_told(found)} has labels of the kind asked for; expected t012.tif for man_seg012.tif"
        raise InputError(msg)
    return _named(found)


def split_examples(examples: Sequence[Example], *, held_out: float) -> tuple[list[Example], list[Example]]:
    """Return what to learn from and what to validate on.

    Of each movie the last frames are for validation; where there is no time, images spread evenly over the names. A
    movie of two or more examples gives at least one to each; the planes of a frame stay together unless it is the only
    frame.

    Parameters
    ----------
    examples : Examples
        In any order, which is kept.
    held_out : float
        Part of each movie that is for validation, from 0 (nothing) to below 1.

    Raises
    ------
    InputError
        If `held_out` is out of range.
    """
    if not 0 <= held_out < 1:
        msg = f"held_out is {held_out}; expected a part of the images, from 0 to below 1"
        raise InputError(msg)
    checks: set[Example] = set()
    for movie in _movies(examples).values() if held_out else ():
        groups = _moments(movie)
        groups = [[each] for each in movie] if len(groups) == 1 else groups
        if len(groups) > 1:
            count = min(max(round(held_out * len(groups)), 1), len(groups) - 1)
            chosen = groups[-count:] if _has_time(movie) else _spread(groups, count)
            checks.update(chain.from_iterable(chosen))
    return [each for each in examples if each not in checks], [each for each in examples if each in checks]


def time_folds(examples: Sequence[Example], n: int, *, gap: int = 1) -> list[tuple[list[Example], list[Example]]]:
    """Return the parts of an n-fold cross-validation: what is learnt from, and what is tested on.

    Each movie is cut into `n` blocks of time, as many frames with labels in each as possible; where there is no time,
    every n-th image by name is of the same part. Each example is tested on once.

    Parameters
    ----------
    examples : Examples
        In any order, which is kept.
    n : int
        Number of folds.
    gap : int
        Examples of the same movie whose frame number is at most so far from that of a tested one are not learnt from
        in that fold. They look too much like it.

    Raises
    ------
    InputError
        If there are fewer than two folds, a negative gap, or a fold with nothing to learn from or to test on.
    """
    if n < 2 or gap < 0:
        msg = f"{n} folds with a gap of {gap} frames; expected at least 2 folds and a gap of 0 or more"
        raise InputError(msg)
    fold: dict[Example, int] = {}
    first = 0  # of short movies each goes on where the last one ended, so that no fold stays empty
    for movie in _movies(examples).values():
        groups, timed = _moments(movie), _has_time(movie)
        for i, group in enumerate(groups):
            block = i * n // max(len(groups), n) if timed else i
            fold |= dict.fromkeys(group, (first + block) % n)
        first += len(groups)
    parts = [_fold(examples, fold, number, gap) for number in range(n)]
    for number, (learnt, tested) in enumerate(parts):
        if not learnt or not tested:
            msg = (
                f"fold {number + 1} of {n} has {len(learnt)} images to learn from and {len(tested)} to test on, of "
                f"{len(examples)} with a gap of {gap} frames; give more images, fewer folds or a smaller gap"
            )
            raise InputError(msg)
    return parts


# ---------------------------------------------------------------- splitting


def _movies(examples: Iterable[Example]) -> dict[str, list[Example]]:
    """Return the examples of each movie, in order of time, else of their names."""
    movies: dict[str, list[Example]] = {}
    for each in examples:
        movies.setdefault(each.movie, []).append(each)
    for movie in movies.values():
        if _has_time(movie):
            movie.sort(key=lambda each: (each.frame or 0, -1 if each.plane is None else each.plane, each.name))
        else:
            movie.sort(key=lambda each: _natural(each.name))
    return movies


def _has_time(movie: Iterable[Example]) -> bool:
    return all(each.frame is not None for each in movie)


def _moments(movie: Sequence[Example]) -> list[list[Example]]:
    """Return the examples of each frame; one by one where there is no time."""
    if not _has_time(movie):
        return [[each] for each in movie]
    return [list(group) for _, group in groupby(movie, key=lambda each: each.frame)]


def _spread(groups: Sequence[list[Example]], count: int) -> list[list[Example]]:
    return [groups[(2 * i + 1) * len(groups) // (2 * count)] for i in range(count)]


def _fold(
    examples: Sequence[Example], fold: Mapping[Example, int], number: int, gap: int
) -> tuple[list[Example], list[Example]]:
    tested = [each for each in examples if fold[each] == number]
    near = {
        (each.movie, each.frame + step) for each in tested if each.frame is not None for step in range(-gap, gap + 1)
    }
    learnt = [each for each in examples if fold[each] != number and (each.movie, each.frame) not in near]
    return learnt, tested


# ---------------------------------------------------------------- finding: the Cell Tracking Challenge


def _sequences(folder: Path) -> dict[Path, set[Kind]]:
    """Return the sequences (DATASET/NN) with labels, and of which kinds, in a folder of any level."""
    truth = folder.parent if folder.name == "SEG" else folder
    if re.fullmatch(r"[0-9]+_(GT|ST)", truth.name):
        places = [truth / "SEG"]
    else:
        own = folder.parent.glob(f"{folder.name}_[GS]T/SEG") if re.fullmatch("[0-9]+", folder.name) else ()
        places = list(own) or [*folder.glob("*_[GS]T/SEG"), *folder.glob("*/*_[GS]T/SEG")]
    found: dict[Path, set[Kind]] = {}
    for place in sorted(places):
        number, _, kind = place.parent.name.rpartition("_")
        if re.fullmatch("[0-9]+", number) and _numbered(place, "man_seg_?"):
            found.setdefault(place.parent.parent / number, set()).add("GT" if kind == "GT" else "ST")
    return found


def _numbered(folder: Path, start: str) -> dict[tuple[int, int | None], Path]:
    """Return the TIFFs of a folder by frame and, where the name has one, plane."""
    pattern = re.compile(rf"{start}([0-9]{{1,9}})(?:_([0-9]{{1,9}}))?\.tiff?")
    found: dict[tuple[int, int | None], Path] = {}
    for file in sorted(folder.glob("*.tif*")):
        if match := pattern.fullmatch(file.name):
            found.setdefault((int(match[1]), None if match[2] is None else int(match[2])), file)
    return found


def _numbered_images(movie: Path) -> dict[int, Path]:
    return {frame: file for (frame, plane), file in _numbered(movie, "t").items() if plane is None}


def _of_sequence(movie: Path, kinds: set[Kind], truth: str) -> list[Example]:
    images = _numbered_images(movie)
    markers_folder = movie.parent / f"{movie.name}_GT" / "TRA"
    markers = find_ctc(markers_folder).masks if markers_folder.is_dir() else {}
    found: dict[Kind, list[Example]] = {"GT": [], "ST": []}
    lonely = 0
    for kind in sorted(kinds):
        labels = _numbered(movie.parent / f"{movie.name}_{kind}" / "SEG", "man_seg_?")
        for (frame, plane), file in sorted(labels.items(), key=lambda each: (each[0][0], each[0][1] or 0)):
            if frame not in images:
                lonely += 1
                continue
            name = f"frame {frame}" if plane is None else f"frame {frame} plane {plane}"
            marker = markers.get(frame)
            found[kind].append(Example(name, "", frame, kind == "GT", images[frame], file, plane, marker))
    chosen = {"gold": found["GT"], "silver": found["ST"]}.get(truth)
    chosen = _best(found["GT"], found["ST"]) if chosen is None else chosen
    shown = f"{movie.parent.name}/{movie.name}"
    if lonely:
        _log.warning("%s: %d labels have no image and are left out", shown, lonely)
    _tell_unlabelled(shown, len(images) - len({each.frame for each in chosen}), len(images))
    return chosen


def _best(gold: Sequence[Example], silver: Sequence[Example]) -> list[Example]:
    """Return gold where it is complete or alone, else silver."""
    if any(each.plane is None for each in silver):
        gold = [each for each in gold if each.plane is None]  # nothing learns from stacks and planes at once
    instead = {(each.frame, each.plane) for each in silver}
    kept = [each for each in gold if (each.frame, each.plane) not in instead or each.complete()]
    taken = {(each.frame, each.plane) for each in kept}
    kept += [each for each in silver if (each.frame, each.plane) not in taken]
    return sorted(kept, key=lambda each: (each.frame or 0, each.plane or 0))


def _check_kinds(given: object, ctc: Mapping[Path, set[Kind]], truth: str) -> None:
    """Refuse a folder without images, or without any labels of the wanted kind; one of pairs has gold."""
    kinds = {kind for each in ctc.values() for kind in each} if ctc else {"GT"}
    if truth not in {"best", "gold", "silver"}:
        msg = f"truth {truth!r}; expected 'best', 'gold' or 'silver'"
        raise InputError(msg)
    if truth == "gold" and "GT" not in kinds:
        msg = f"{given}: its labels are silver only (NN_ST/SEG), gold (NN_GT/SEG) is asked for; take 'silver' or 'best'"
        raise InputError(msg)
    if truth == "silver" and "ST" not in kinds:
        msg = f"{given}: its labels are gold only, silver (NN_ST/SEG) is asked for; take 'gold' or 'best'"
        raise InputError(msg)
    if ctc and not any(_numbered_images(movie) for movie in ctc):
        msg = f"{given}: there are labels of {_told(ctc)} but no images; put t000.tif and so on into these folders"
        raise InputError(msg)


def _told(movies: Iterable[Path]) -> str:
    names = [f"{movie.parent.name}/{movie.name}" for movie in sorted(movies)]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# ---------------------------------------------------------------- finding: pairs and masks per cell


def _annotated(folder: Path) -> dict[Path, list[Example]]:
    """Return the images with labels that are no movie, by the folder that names them."""
    for find in (_pairs, _nuclei):
        if found := find(folder):
            return found
    inside: dict[Path, list[Example]] = {}
    for below in _folders(folder).values():
        inside |= _pairs(below) or _nuclei(below)
    return inside


def _pairs(folder: Path) -> dict[Path, list[Example]]:
    """Return pairs side by side in a folder, or in two folders in it."""
    files, below = _files(folder), _folders(folder)
    beside = [file for file in files if file.stem.lower().endswith(_LABEL_ENDINGS)]
    places: list[tuple[list[Path], list[Path], Sequence[str]]]
    places = [([file for file in files if file not in beside], beside, _LABEL_ENDINGS)]
    for one, other in product(_IMAGE_FOLDERS, _LABEL_FOLDERS):
        if one in below and other in below:
            places.append((_files(below[one]), _files(below[other]), ("", *_LABEL_ENDINGS)))
    found = [(len(images), matched) for images, labels, ends in places if (matched := _matched(images, labels, ends))]
    if not found:
        return {}
    if len(found) > 1:
        told = ", ".join(" and ".join(str(file) for file in next(iter(matched.items()))) for _, matched in found)
        msg = f"{folder}: there are several pairs of folders with images and labels, such as {told}; keep one pair"
        raise InputError(msg)
    images, matched = found[0]
    _tell_unlabelled(folder.name, images - len(matched), images)
    return {folder: [_pair(image, labels) for image, labels in matched.items()]}


def _pair(image: Path, labels: Path) -> Example:
    return Example(name=image.stem, movie="", frame=None, gold=True, image_file=image, labels_file=labels)


def _matched(images: Sequence[Path], labels: Sequence[Path], endings: Sequence[str]) -> dict[Path, Path]:
    """Return the labels of each image that has some: its name, or that without _img, and one of some endings."""
    by_stem: dict[str, list[Path]] = {}
    for file in labels:
        by_stem.setdefault(file.stem.lower(), []).append(file)
    matched: dict[Path, Path] = {}
    owner: dict[Path, Path] = {}
    for image in images:
        stem = image.stem.lower()
        stems = dict.fromkeys((stem, *(stem.removesuffix(ending) for ending in _IMAGE_ENDINGS)))
        same = by_stem.get(stem, []) if "" in endings else []
        found = same or [file for start in stems for end in endings for file in by_stem.get(start + end, [])]
        if len(found) > 1:
            msg = f"{image}: its labels may be {' or '.join(str(file) for file in found)}; keep one of them"
            raise InputError(msg)
        for file in found:
            if file in owner:
                msg = f"{file}: it may be the labels of {owner[file]} or of {image}; keep one of them"
                raise InputError(msg)
            matched[image], owner[file] = file, image
    return matched


def _nuclei(folder: Path) -> dict[Path, list[Example]]:
    """Return images with a mask per cell: ID/images/ID.png and ID/masks/*.png."""
    alone = _nucleus(folder)
    if alone is not None:
        return {folder.parent: [alone]}
    below = _folders(folder).values()
    found = [example for each in below if (example := _nucleus(each)) is not None]
    if not found:
        return {}
    images = sum("images" in _folders(each) for each in below)
    _tell_unlabelled(folder.name, images - len(found), images)
    return {folder: found}


def _nucleus(folder: Path) -> Example | None:
    below = _folders(folder)
    images, masks = (_files(below[name]) if name in below else [] for name in ("images", "masks"))
    if len(images) != 1 or not masks or _matched(images, masks, ("", *_LABEL_ENDINGS)):
        return None
    return _pair(images[0], below["masks"])


def _files(folder: Path) -> list[Path]:
    """Return the pictures in a folder, in natural order."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and not file.name.startswith("."))
    return sorted((file for file in files if file.is_file()), key=lambda file: _natural(file.name))


def _folders(folder: Path) -> dict[str, Path]:
    """Return the folders in a folder by their names in small letters, in natural order."""
    below = (each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    return {each.name.lower(): each for each in sorted(below, key=lambda each: _natural(each.name))}


def _natural(name: str) -> tuple[list[int | str], str]:
    """Return a key that sorts train_2 before train_10."""
    return [int(part) if i % 2 else part for i, part in enumerate(re.split(r"([0-9]+)", name.lower()))], name


def _tell_unlabelled(name: str, count: int, images: int) -> None:
    if count > 0:
        _log.warning("%s: %d of %d images have no labels of the kind asked for and are left out", name, count, images)


def _nothing(given: object, folder: Path) -> str:
    files = Counter(file.suffix or "nameless" for file in folder.iterdir() if file.is_file())
    told = [f"{count} {suffix} files" for suffix, count in files.most_common(3)]
    told += [f"folder {each.name}" for each in list(_folders(folder).values())[:5]]
    return f"{given}: no images with labels found; it has {', '.join(told) or 'nothing in it'}; {_WANTED}"


def _named(found: Mapping[Path, list[Example]]) -> list[Example]:
    """Give movies the shortest end of their path that no other has: DATASET/NN, or the name of a folder."""
    length = {home: 1 if each and each[0].frame is None else 2 for home, each in found.items()}
    while True:
        names = {home: "/".join(home.parts[-length[home] :]) for home in found}
        taken = Counter(names.values())
        clashing = [home for home in found if taken[names[home]] > 1 and length[home] < len(home.parts)]
        if not clashing:
            break
        for home in clashing:
            length[home] += 1
    return [
        replace(each, movie=names[home], name=f"{names[home]} {each.name}")
        for home in sorted(found, key=lambda home: _natural(names[home]))
        for each in found[home]
    ]


# ---------------------------------------------------------------- reading


def _pixels(file: Path, *, indices: bool = False, frame: int | None = None) -> tuple[Image, bool]:
    """Return what is in a file, and whether its last axis is one of colours.

    With `indices` the colours of a palette are left for their numbers.
    """
    suffix = file.suffix.lower()
    if suffix in _TIFFS:
        return _tiff(file, frame)
    try:
        pixels: Image = np.load(file, allow_pickle=False) if suffix == ".npy" else _picture(file, indices=indices)
    except FrameError:
        raise
    except UNREADABLE as error:
        msg = f"it cannot be read ({error}); is the file complete? Write it again"
        raise FrameError(msg, file=file) from error
    return pixels, pixels.ndim == 3 and suffix != ".npy"


def _picture(file: Path, *, indices: bool) -> Image:
    from PIL import Image as Pillow

    with Pillow.open(file) as picture:
        if (count := getattr(picture, "n_frames", 1)) > 1:
            msg = f"it holds {count} pictures; expected one: save each as a file of its own"
            raise FrameError(msg, file=file)
        if picture.mode in {"P", "PA"} and not indices:
            return np.asarray(picture.convert("RGBA"))
        return np.asarray(picture.convert("RGB") if picture.mode in {"CMYK", "YCbCr", "HSV", "LAB"} else picture)


def _tiff(file: Path, frame: int | None) -> tuple[Image, bool]:
    """Return what is in a TIFF, colours as its last axis; several pages are a stack."""
    try:
        with tifffile.TiffFile(file) as tiff:
            axes = tiff.series[0].axes
            if "S" in axes:
                check_not_truncated(tiff)
                return np.moveaxis(tiff.series[0].asarray(), axes.index("S"), -1), True
    except UNREADABLE as error:
        msg = f"cannot be read as a TIFF ({error}); write it again"
        raise FrameError(msg, file=file, frame=frame) from error
    return read_tiff(file, frame=frame), False


def _grey(file: Path, *, frame: int | None) -> Image:
    """Return the grey values in a file, or the luminance of its colours, whatever their opacity."""
    pixels, coloured = _pixels(file, frame=frame)
    if not coloured:
        return pixels
    if pixels.shape[-1] < 3:
        return pixels[..., 0]
    return np.asarray(pixels[..., :3].astype(np.float32) @ _LUMINANCE)


def _labels_of(file: Path) -> Image:
    """Return the labels in a file, one channel of them, checked."""
    pixels, coloured = _pixels(file, indices=True)
    if coloured:
        colours = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
        if np.any(colours != colours[..., :1]):
            msg = "its labels are colours; expected a grey value per cell: save the labels instead of their colours"
            raise FrameError(msg, file=file)
        pixels = colours[..., 0]
    if file.suffix.lower() in _LOSSY:
        return _sharp(pixels, file)
    return open_masks(Stack(lambda _: pixels, (str(file),), pixels.shape, (1.0,) * pixels.ndim))[0]


def _sharp(pixels: Image, file: Path) -> Image:
    """Return the foreground of a mask that lossy compression blurred, if that is what it is."""
    clear = np.mean((pixels < _BLURRED) | (pixels > 255 - _BLURRED))
    if clear < _CLEAR or (pixels.any() and pixels.max() <= 255 - _BLURRED):
        msg = "lossy compression changed its labels; only black and white survive it: save labels as PNG or TIFF"
        raise FrameError(msg, file=file)
    return np.asarray(pixels > 127, np.uint8)


def _parts(labels: Image) -> Image:
    """Return labels; the connected parts of a foreground, which has one value only, are numbered."""
    if np.count_nonzero(np.unique(labels)) != 1:
        return labels
    from scipy import ndimage

    return np.asarray(ndimage.label(labels, np.ones((3,) * labels.ndim))[0])


def _stacked(files: Sequence[Path], folder: Path) -> Labels:
    """Return the labels of masks with a cell each."""
    labels: npt.NDArray[Any] | None = None
    for number, file in enumerate(files, start=1):
        mask = _labels_of(file)
        labels = np.zeros(mask.shape, np.int32) if labels is None else labels
        if mask.shape != labels.shape:
            msg = f"its shape is {mask.shape}, that of {files[0].name} is {labels.shape}; expected masks of one image"
            raise FrameError(msg, file=file)
        labels[mask > 0] = number
    if labels is None:
        msg = "there is no mask in it any more; expected one for each cell"
        raise FrameError(msg, file=folder)
    return labels


def _int32(labels: Image, file: Path) -> Labels:
    highest = int(labels.max(initial=0))
    if highest > np.iinfo(np.int32).max:
        msg = f"its highest label is {highest}; expected at most {np.iinfo(np.int32).max}: number the cells anew"
        raise FrameError(msg, file=file)
    return np.asarray(labels, np.int32)
