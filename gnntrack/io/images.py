"""One image of a file: TIFF, PNG, JPEG and others that Pillow reads, or ``.npy``.

Movies, whose frames are read one after the other, are opened by `gnntrack.io.frames`.
"""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tifffile

from gnntrack.errors import FrameError
from gnntrack.io.stack import UNREADABLE

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = [
    "PILLOW_SUFFIXES",
    "TIFF_SUFFIXES",
    "ImageFile",
    "read_image",
    "read_mask",
    "read_tiff",
]

TIFF_SUFFIXES = (".tif", ".tiff")
PILLOW_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".webp", ".gif", ".pgm", ".ppm", ".pnm")
"""Suffixes of the files that `read_image` reads with Pillow."""

# tifffile logs damage as well as raising it; without any handler Python would print that on the terminal
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class ImageFile(NamedTuple):
    """The pixels of a file."""

    pixels: Image
    """(Y, X) or (Z, Y, X); with `coloured` one more axis, the last, of 1 to 4 colour channels."""
    coloured: bool
    """Whether the last axis holds colour channels."""


def read_image(file: str | Path, *, frame: int | None = None, palette_indices: bool = False) -> ImageFile:
    """Read an image, whatever it holds.

    Parameters
    ----------
    file : path
        A TIFF, whose pages are a stack; a file that Pillow reads (``PILLOW_SUFFIXES``); or one array in ``.npy``.
    frame : int, optional
        The frame's number, for messages.
    palette_indices : bool
        Return the numbers of a palette's colours, which are labels in some data sets, and not the colours.

    Raises
    ------
    FrameError
        If the file cannot be read, or holds several images that are not a stack, such as an animation.
    """
    path = Path(file)
    suffix = path.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        return _read_tiff(path, frame)
    try:
        pixels: Image = np.load(path, allow_pickle=False) if suffix == ".npy" else _read_pillow(path, palette_indices)
    except FrameError:
        raise
    except UNREADABLE as error:
        msg = f"it cannot be read ({error}); check that the file is complete, or write it again"
        raise FrameError(msg, file=path, frame=frame) from error
    return ImageFile(pixels, pixels.ndim == 3 and suffix != ".npy")


def read_tiff(file: str | Path, *, frame: int | None = None) -> Image:
    """Read a TIFF without colours, of any type and shape.

    Raises
    ------
    FrameError
        If the file is not a TIFF, is damaged, or holds colours.
    """
    pixels, coloured = _read_tiff(Path(file), frame)
    if coloured:
        msg = f"holds {pixels.shape[-1]} colours a pixel; expected one label a pixel"
        raise FrameError(msg, file=file, frame=frame)
    return pixels


def read_mask(file: str | Path, *, frame: int | None = None) -> Image:
    """Read one mask of a CTC folder, (Y, X) or (Z, Y, X), in the type that the file has.

    Raises
    ------
    FrameError
        If the file cannot be read, or holds anything but integer labels >= 0.
    """
    mask = read_tiff(file, frame=frame)
    if mask.dtype.kind not in "ui" or mask.ndim not in (2, 3):
        msg = f"holds {mask.dtype} of shape {mask.shape}; expected integer labels, (Y, X) or (Z, Y, X)"
        raise FrameError(msg, file=file, frame=frame)
    if mask.dtype.kind == "i" and mask.size and mask.min() < 0:
        msg = f"holds label {mask.min()}; labels are 0 (background) or positive"
        raise FrameError(msg, file=file, frame=frame)
    return mask


def _check_not_truncated(tiff: tifffile.TiffFile) -> None:
    """Raise if a file ends before its pixels: tifffile would return zeros for some of them.

    Raises
    ------
    ValueError
        With the two sizes.
    """
    ends = [at + n for page in tiff.pages for at, n in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if max(ends, default=0) > tiff.filehandle.size:
        msg = f"it has {tiff.filehandle.size} bytes, expected {max(ends)}"
        raise ValueError(msg)


def _read_tiff(file: Path, frame: int | None) -> ImageFile:
    try:
        with tifffile.TiffFile(file) as tiff:
            _check_not_truncated(tiff)
            axes = tiff.series[0].axes
            pixels: Image = tiff.series[0].asarray()
    except UNREADABLE as error:
        msg = f"cannot be read as a TIFF ({error}); write it again"
        raise FrameError(msg, file=file, frame=frame) from error
    coloured = "S" in axes
    return ImageFile(np.moveaxis(pixels, axes.index("S"), -1) if coloured else pixels, coloured)


def _read_pillow(file: Path, palette_indices: bool) -> Image:  # noqa: FBT001
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)  # half of the size that is refused
            opened = Pillow.open(file)
    except Pillow.DecompressionBombError as error:
        msg = f"it is larger than Pillow reads ({error}); save it as a TIFF"
        raise FrameError(msg, file=file) from error
    with opened as image:
        if (count := getattr(image, "n_frames", 1)) > 1:
            msg = f"it holds {count} images; expected one: save each as a file of its own"
            raise FrameError(msg, file=file)
        if image.mode in {"P", "PA"} and not palette_indices:
            return np.asarray(image.convert("RGBA"))
        return np.asarray(image.convert("RGB") if image.mode in {"CMYK", "YCbCr", "HSV", "LAB"} else image)
