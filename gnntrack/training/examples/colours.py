"""Colours of the images to train on: one of them as grey values, or all three."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.io.channels import GREY
from gnntrack.io.colours import choose_colour, list_tried, take_colour
from gnntrack.io.images import TIFF_SUFFIXES, ImageFile, read_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gnntrack.types import Image

__all__ = ["FolderColours", "are_coloured", "read_unmarked"]


class FolderColours:
    """Reads RGB images of a folder as grey values: the colour with the best contrast, chosen once for the folder.

    It is the colour in which ``gnntrack segment`` reads the folder; see `gnntrack.io.colours`.

    Parameters
    ----------
    files : paths
        The images of the folder, in their order.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._chosen = ""

    def take_grey(self, pixels: Image) -> Image:
        """Return the grey values of an image of the folder, ([Z], Y, X, 3), in its type."""
        if not self._chosen:
            self._chosen = choose_colour(chain(self._read_early(), [np.moveaxis(pixels, -1, 0)]))
        return take_colour(pixels, self._chosen)

    def _read_early(self) -> Iterator[Image]:
        """Yield the colours of the early images that are marked as RGB."""
        for number in list_tried(len(self._files)):
            pixels, coloured = read_image(self._files[number])
            if coloured and pixels.shape[-1] >= 3:
                yield np.moveaxis(pixels, -1, 0)[:3]


def are_coloured(pixels: Image) -> bool:
    """Return whether the colours of an image, ([Z], Y, X, 3), differ.

    >>> grey = np.stack([np.eye(20)] * 3, axis=-1)
    >>> are_coloured(grey), are_coloured(grey * [1, 0, 0])
    (False, True)
    """
    return choose_colour([np.moveaxis(pixels, -1, 0)]) != GREY


def read_unmarked(file: Path, pixels: Image, shape: tuple[int, ...]) -> ImageFile:
    """Return the pixels of a file that does not mark them as colours, as colours if they are for labels of this shape.

    Arrays in ``.npy`` files have no marks. Three planes of a TIFF that are marked as colours may be three slices; with
    labels of one plane, they are colours.

    Parameters
    ----------
    file : path
        The file, which was read.
    pixels : array
        Its pixels.
    shape : tuple of int
        Shape of the labels of the image, ([Z], Y, X).

    Returns
    -------
    ImageFile
        The pixels, ([Z], Y, X, C) if they are colours.
    """
    if pixels.shape[:-1] == shape and pixels.shape[-1] in (3, 4) and file.suffix.lower() == ".npy":
        return ImageFile(pixels, coloured=True)
    if pixels.shape[1:] == shape and len(pixels) in (3, 4) and file.suffix.lower() in TIFF_SUFFIXES:
        return read_image(file, planar=True)
    return ImageFile(pixels, coloured=False)
