"""Examples that are not a movie: pairs of an image and its labels, and images with a mask per cell."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

from gnntrack.errors import InputError
from gnntrack.io.file_names import is_companion
from gnntrack.io.numpy_files import is_seg_file
from gnntrack.training.examples.example import Example
from gnntrack.training.examples.folders import (
    list_folders,
    list_images,
    warn_labels_without_image,
    warn_unlabelled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    Place = tuple[list[Path], list[Path], Sequence[str]]  # images, labels, endings of the labels' names

__all__ = ["find_annotated_images"]

_LABEL_WORDS = ("anno", "mask", "masks", "label", "labels", "seg", "gt", "cp_masks")
_LABEL_ENDINGS = tuple(mark + word for mark in "_- ." for word in _LABEL_WORDS)
_LABEL_NAME = re.compile(r"(?:annotations?|masks?|labels?|seg|gt)(?: ?\[?[0-9]+\]?)?")  # of a layer of napari, saved
_IMAGE_ENDINGS = ("_img", "_image", "_raw")
_IMAGE_FOLDERS = ("images", "image", "raw", "img")
_LABEL_FOLDERS = ("masks", "labels", "label", "annotations", "gt", "mask", "lab")


def find_annotated_images(folder: Path) -> dict[Path, list[Example]]:
    """Return the images with labels in a folder or in the folders in it, by the folder that names them."""
    for find in (_find_pairs, _find_nuclei, _find_single):
        if found := find(folder):
            return found
    inside: dict[Path, list[Example]] = {}
    others: list[Path] = []
    for below in list_folders(folder).values():
        found = _find_pairs(below) or _find_nuclei(below)
        for home, examples in found.items():
            inside.setdefault(home, []).extend(examples)
        if not found:
            others.append(below)
    if singles := _find_singles(folder.name, others):
        inside.setdefault(folder, []).extend(singles)
    return inside


def _find_singles(name: str, folders: Sequence[Path]) -> list[Example]:
    """Return the examples of folders with one image each, and log which folders have images without labels."""
    found = {folder: examples for folder in folders for examples in _find_single(folder).values()}
    if found:
        images = [folder for folder in folders if list_images(folder)]
        warn_unlabelled(name, [folder for folder in images if folder not in found], len(images))
    return [example for examples in found.values() for example in examples]


def _find_pairs(folder: Path) -> dict[Path, list[Example]]:
    """Return pairs side by side in a folder, or in two folders in it."""
    found = [
        (images, labels, matched)
        for images, labels, endings in _list_places(folder)
        if (matched := _match_labels(images, labels, endings))
    ]
    if not found:
        return {}
    if len(found) > 1:
        pairs = ", ".join(" and ".join(str(file) for file in next(iter(matched.items()))) for *_, matched in found)
        msg = f"{folder}: there are several pairs of folders with images and labels, such as {pairs}; keep one pair"
        raise InputError(msg)
    images, labels, matched = found[0]
    warn_unlabelled(folder.name, [each for each in images if each not in matched], len(images))
    warn_labels_without_image(folder.name, _list_unused(labels, matched))
    return {folder: [_make_example(image, labels) for image, labels in matched.items()]}


def _list_places(folder: Path) -> list[Place]:
    """Return where images and labels may be: side by side in a folder, or in two folders in it."""
    files, below = _skip_companions(list_images(folder)), list_folders(folder)
    beside = [file for file in files if file.stem.lower().endswith(_LABEL_ENDINGS)]
    places: list[Place] = [([file for file in files if file not in beside], beside, _LABEL_ENDINGS)]
    for images, labels in product(_IMAGE_FOLDERS, _LABEL_FOLDERS):
        if images in below and labels in below:
            pictures, drawn = (_skip_companions(list_images(below[name])) for name in (images, labels))
            places.append(([file for file in pictures if not is_seg_file(file)], drawn, ("", *_LABEL_ENDINGS)))
    return places


def _skip_companions(files: Sequence[Path]) -> list[Path]:
    """Return files without those that cellpose and others write beside masks, such as flows and outlines."""
    return [file for file in files if not is_companion(file.name.lower())]


def _make_example(image: Path, labels: Path) -> Example:
    return Example(name=image.stem, movie="", frame=None, gold=True, image_file=image, labels_file=labels)


def _match_labels(images: Sequence[Path], labels: Sequence[Path], endings: Sequence[str]) -> dict[Path, Path]:
    """Return the labels of each image that has some: the image's name, with or without _img, and one of the endings."""
    by_stem: dict[str, list[Path]] = {}
    for file in labels:
        by_stem.setdefault(file.stem.lower(), []).append(file)
    matched: dict[Path, Path] = {}
    owner: dict[Path, Path] = {}
    for image in images:
        found = _find_labels(image, by_stem, endings)
        if len(found) > 1:
            msg = f"{image}: its labels may be {' or '.join(str(file) for file in found)}; keep one of them"
            raise InputError(msg)
        for file in found:
            if file in owner:
                msg = f"{file}: it may be the labels of {owner[file]} or of {image}; keep one of them"
                raise InputError(msg)
            matched[image], owner[file] = file, image
    return matched


def _find_labels(image: Path, by_stem: dict[str, list[Path]], endings: Sequence[str]) -> list[Path]:
    """Return the files that may be the labels of an image; one of the same name is preferred if `endings` has ""."""
    stem = image.stem.lower()
    same = by_stem.get(stem, []) if "" in endings else []
    stems = dict.fromkeys((stem, *(stem.removesuffix(ending) for ending in _IMAGE_ENDINGS)))
    found = same or [file for start in stems for end in endings for file in by_stem.get(start + end, [])]
    return _choose_edited(found)


def _choose_edited(found: list[Path]) -> list[Path]:
    """Return the file that cellpose's window saves with each change, if all others are exports of it."""
    edited = [file for file in found if is_seg_file(file)]
    others = [file for file in found if not is_seg_file(file)]
    return edited if edited and all(file.stem.lower().endswith("_cp_masks") for file in others) else found


def _list_unused(labels: Sequence[Path], matched: dict[Path, Path]) -> list[Path]:
    """Return the labels that belong to none of the images, exports of other labels excepted."""
    used = {re.sub(r"_(?:seg|cp_masks)$", "", file.stem.lower()) for file in matched.values()}
    taken = set(matched.values())
    return [
        file
        for file in labels
        if file not in taken and re.sub(r"_(?:seg|cp_masks)$", "", file.stem.lower()) not in used
    ]


def _find_single(folder: Path) -> dict[Path, list[Example]]:
    """Return the only image of a folder with a file of labels named ``Labels.tif`` or the like.

    Raises
    ------
    InputError
        If there are several images that it may belong to.
    """
    files = _skip_companions(list_images(folder))
    labels = [file for file in files if _LABEL_NAME.fullmatch(file.stem.lower())]
    images = [file for file in files if file not in labels]
    if not labels or not images:
        return {}
    if len(labels) > 1 or len(images) > 1:
        msg = (
            f"{labels[0]}: it is not clear which of the images in this folder it belongs to; name the labels of each "
            f"image as the image, with _labels: {images[0].stem}_labels{labels[0].suffix}"
        )
        raise InputError(msg)
    return {folder: [_make_example(images[0], labels[0])]}


def _find_nuclei(folder: Path) -> dict[Path, list[Example]]:
    """Return images with a mask per cell: ID/images/ID.png and ID/masks/*.png."""
    single = _find_nucleus_image(folder)
    if single is not None:
        return {folder.parent: [single]}
    below = list_folders(folder).values()
    found = [example for each in below if (example := _find_nucleus_image(each)) is not None]
    if not found:
        return {}
    images = [each for each in below if "images" in list_folders(each)]
    labelled = {each.labels_file.parent for each in found}
    warn_unlabelled(folder.name, [each for each in images if each not in labelled], len(images))
    return {folder: found}


def _find_nucleus_image(folder: Path) -> Example | None:
    """Return the example of a folder with one image in images/ and a mask per cell in masks/."""
    below = list_folders(folder)
    images, masks = (list_images(below[name]) if name in below else [] for name in ("images", "masks"))
    if len(images) != 1 or not masks or _match_labels(images, masks, ("", *_LABEL_ENDINGS)):
        return None
    return _make_example(images[0], below["masks"])
