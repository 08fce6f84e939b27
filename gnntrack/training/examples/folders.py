"""Images and folders in a folder, in natural order."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from gnntrack.io.images import PILLOW_SUFFIXES, TIFF_SUFFIXES
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["get_natural_key", "list_folders", "list_images", "warn_unlabelled"]

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


def warn_unlabelled(name: str, count: int, images: int) -> None:
    """Log how many of the images of a folder have no labels, if any."""
    if count > 0:
        _log.warning(
            "%s: %d of %s without labels of the kind asked for, not used", name, count, count_noun(images, "image")
        )
