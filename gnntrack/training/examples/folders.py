"""Images and folders in a folder, in natural order."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from gnntrack.io.images import PILLOW_SUFFIXES, TIFF_SUFFIXES
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "get_natural_key",
    "list_file_names",
    "list_folders",
    "list_images",
    "warn_labels_without_image",
    "warn_unlabelled",
]

_log = logging.getLogger(__name__)

_SUFFIXES = (*TIFF_SUFFIXES, *PILLOW_SUFFIXES, ".npy")


def list_images(folder: Path) -> list[Path]:
    """Return the image files in a folder, in natural order; hidden files are skipped."""
    files = (file for file in folder.iterdir() if file.suffix.lower() in _SUFFIXES and not file.name.startswith("."))
    return sorted((file for file in files if file.is_file()), key=lambda file: get_natural_key(file.name))


def list_folders(folder: Path) -> dict[str, Path]:
    """Return the folders in a folder by their names in lower case, in natural order; hidden ones are skipped."""
    below = (each for each in folder.iterdir() if each.is_dir() and not each.name.startswith("."))
    return {each.name.lower(): each for each in sorted(below, key=lambda each: get_natural_key(each.name))}


def get_natural_key(name: str) -> tuple[list[int | str], str]:
    """Return a sort key that puts train_2 before train_10.

    >>> sorted(["train_10", "train_2"], key=get_natural_key)
    ['train_2', 'train_10']
    """
    return [int(piece) if i % 2 else piece for i, piece in enumerate(re.split(r"([0-9]+)", name.lower()))], name


def warn_unlabelled(name: str, without: Sequence[Path], images: int) -> None:
    """Log which of the images of a folder have no labels, if any."""
    if without:
        _log.warning(
            "%s: %d of %s without labels of the kind asked for, not used: %s",
            name,
            len(without),
            count_noun(images, "image"),
            list_file_names(without),
        )


def warn_labels_without_image(name: str, labels: Sequence[Path]) -> None:
    """Log which labels in a folder belong to none of its images, if any."""
    if labels:
        _log.warning(
            "%s: %s without an image of this name, not used: %s",
            name,
            count_noun(len(labels), "file of labels", "files of labels"),
            list_file_names(labels),
        )


def list_file_names(files: Sequence[Path]) -> str:
    """Return the names of the first three files.

    >>> from pathlib import Path
    >>> list_file_names([Path(f"{letter}.tif") for letter in "abcde"])
    'a.tif, b.tif, c.tif and 2 more'
    """
    shown = ", ".join(file.name for file in files[:3])
    return f"{shown} and {len(files) - 3} more" if len(files) > 3 else shown
