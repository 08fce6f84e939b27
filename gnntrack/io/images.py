"""One image of a file: TIFF, PNG, JPEG and others that Pillow reads, or ``.npy``.

Movies, whose frames are read one after the other, are opened by `gnntrack.io.frames`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.io.special_files import describe_special_file
from gnntrack.io.stack import UNREADABLE
from gnntrack.io.tiff import read_frame

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = [
    "PILLOW_SUFFIXES",
    "TIFF_SUFFIXES",
    "ImageFile",
    "drop_plane",
    "read_image",
    "read_mask",
    "read_tiff",
]

TIFF_SUFFIXES = (".tif", ".tiff")
PILLOW_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg", ".webp", ".gif", ".pgm", ".ppm", ".pnm")
"""Suffixes of the files that `read_image` reads with Pillow."""


class ImageFile(NamedTuple):
    """The pixels of a file."""

    pixels: Image
    """(Y, X) or (Z, Y, X); with `coloured` one more axis, the last, of 1 to 4 colour channels."""
    coloured: bool
    """Whether the last axis holds colour channels."""


def read_image(
    file: str | Path, *, frame: int | None = None, palette_indices: bool = False, planar: bool = False
) -> ImageFile:
    """Read an image, whatever it holds.

    Parameters
    ----------
    file : path
        A TIFF, whose pages are a stack; a file that Pillow reads (``PILLOW_SUFFIXES``); or one array in ``.npy``.
    frame : int, optional
        The frame's number, for messages.
    palette_indices : bool
        Return the numbers of a palette's colours, which are labels in some data sets, and not the colours.
    planar : bool
        Three or four planes of a TIFF that are marked as colours are colours, of whatever type, and not slices.

    Raises
    ------
    FrameError
        If the file cannot be read, or holds several images that are not a stack, such as an animation.
    """
    path = Path(file)
    suffix = path.suffix.lower()
    if suffix in TIFF_SUFFIXES:
        return _read_tiff(path, frame, planar=planar)
    try:
        special = describe_special_file(path)
        if special is not None:
            raise FrameError(special, file=path, frame=frame)
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


def drop_plane(mask: Image) -> Image:
    """Return a mask of one plane, (1, Y, X), as (Y, X); other masks are returned as they are.

    >>> drop_plane(np.zeros((1, 4, 5))).shape, drop_plane(np.zeros((2, 4, 5))).shape
    ((4, 5), (2, 4, 5))
    """
    return mask[0] if mask.ndim == 3 and len(mask) == 1 else mask


def _read_tiff(file: Path, frame: int | None, *, planar: bool = False) -> ImageFile:
    pixels, axes = read_frame(file, frame=frame)
    if "s" not in axes:
        return ImageFile(pixels, coloured=False)
    if axes.index("s") == 0 and len(pixels) > 1 and pixels.dtype != np.uint8 and not planar:
        return ImageFile(pixels, coloured=False)  # 3 or 4 slices, which tifffile marks as colours if not told otherwise
    return ImageFile(np.moveaxis(pixels, axes.index("s"), -1), coloured=True)


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
