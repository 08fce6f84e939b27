"""An image with its labels: the two files, and their pixels."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.io.frames import open_masks
from gnntrack.io.images import drop_plane, read_image, read_mask
from gnntrack.io.pickled_arrays import is_pickled, read_pickled
from gnntrack.io.stack import Stack
from gnntrack.masks.fragments import number_pieces
from gnntrack.masks.recognise import describe_frame
from gnntrack.plurals import choose_form, count_noun
from gnntrack.training.examples.colours import FolderColours, are_coloured, read_unmarked
from gnntrack.training.examples.folders import list_images

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gnntrack.types import Image

    Labels = npt.NDArray[np.int32]

__all__ = ["Example"]

_log = logging.getLogger(__name__)

_LOSSY = (".jpg", ".jpeg", ".webp")
_COVERED = 0.5  # smallest fraction of a marker's pixels that are labelled if its cell is
_BLURRED = 32  # grey values by which lossy compression moves black and white
_CLEAR = 0.95  # smallest fraction of the pixels of a lossy mask that are nearly black or nearly white


@dataclass(frozen=True)
class Example:
    """An image with its labels, still on disk."""

    name: str
    """Unique, without the path of the folders above: ``"Fluo-N2DH-GOWT1/01 frame 12"``."""
    movie: str
    """``"Fluo-N2DH-GOWT1/01"``; the name of the folder if the images are not a movie."""
    frame: int | None
    """Number of the frame; None if the images are not a movie."""
    gold: bool
    """Whether the labels are drawn by people and not computed."""
    image_file: Path
    labels_file: Path
    """A file, or a folder with one mask per cell."""
    plane: int | None = None
    """The plane of the stack that is labelled, from 0; None if the whole image is."""
    markers_file: Path | None = None
    """Label image of the tracking ground truth of this frame, with a marker for every cell, if there is one."""
    colours: FolderColours | None = field(default=None, compare=False, repr=False)
    """Reads RGB images of the same folder as grey values; None if this image is alone."""
    in_colour: bool = False
    """Whether RGB images are read in all three colours."""

    def read(self) -> tuple[Image, Labels]:
        """Return the image and its labels, with the values of the files.

        Of RGB images the colour with the best contrast is read, chosen once for a folder, unless they are read
        `in_colour`; opacity is ignored. Outside the CTC, labels of a single value are
        a foreground: its connected components (diagonals connect) are numbered. The indices of an image with a palette
        are its labels. Images with lossy compression (JPEG) can only be a foreground. If masks of single cells
        overlap, the last one by name is on top.

        Returns
        -------
        image : (Y, X) or (Z, Y, X) array
            Grey values; RGB images that are read `in_colour` have another axis at the end, of length 3.
        labels : int32 array, (Y, X) or (Z, Y, X)
            0 is background. A gold frame may lack cells, see `complete`.

        Raises
        ------
        FrameError
            If a file cannot be read, labels are not valid, or the two shapes differ.
        """
        image, coloured = read_image(self.image_file, frame=self.frame)
        if self.plane is not None:
            image = self._take_plane(image, coloured=coloured)
        labels = self._read_labels()
        if not coloured and image.ndim > labels.ndim:
            image, coloured = read_unmarked(self.image_file, image, labels.shape)
        image = self._convert_colours(image) if coloured else image
        if not coloured:  # a single plane is an image, as in segmentation
            image, labels = drop_plane(image), drop_plane(labels)
        shape = image.shape[: labels.ndim] if self.in_colour and coloured and image.shape[-1] == 3 else image.shape
        if shape != labels.shape:
            msg = f"its shape is {shape}, that of {self.labels_file} is {labels.shape}; give labels of this image"
            raise FrameError(msg, file=self.image_file, frame=self.frame)
        if len(shape) not in (2, 3):
            msg = f"the image has shape {shape}; expected (Y, X) or (Z, Y, X)"
            raise FrameError(msg, file=self.image_file, frame=self.frame)
        _check_finite(image, self.image_file, self.frame)
        # numba and torch accept neither foreign byte orders nor negative strides
        return np.ascontiguousarray(image, image.dtype.newbyteorder("=")), labels

    def _take_plane(self, image: Image, *, coloured: bool) -> Image:
        if image.ndim - coloured != 3 or self.plane is None or self.plane >= len(image):
            msg = f"its shape is {image.shape}, and {self.labels_file} has labels of plane {self.plane}"
            raise FrameError(msg + "; expected a stack with this plane", file=self.image_file, frame=self.frame)
        return np.asarray(image[self.plane])

    def _convert_colours(self, pixels: Image) -> Image:
        """Return the three colours of an image, or its grey values."""
        if pixels.shape[-1] < 3:
            return pixels[..., 0]
        if self.in_colour:
            return pixels[..., :3]
        return (self.colours or FolderColours([self.image_file])).take_grey(pixels[..., :3])

    def has_colours(self) -> bool:
        """Return whether this is an RGB image, and not grey values saved as RGB; it is read for that.

        Raises
        ------
        FrameError
            If the image cannot be read.
        """
        pixels, coloured = read_image(self.image_file, frame=self.frame)
        if not coloured and pixels.ndim > 2:
            pixels, labels = self.keep_colours().read()
            coloured = pixels.ndim > labels.ndim
        return coloured and pixels.shape[-1] >= 3 and are_coloured(pixels[..., :3])

    def keep_colours(self) -> Self:
        """Return the same image, read in all three colours if it is RGB."""
        return replace(self, in_colour=True)

    def complete(self) -> bool:
        """Return whether every cell has a label, as far as is known; files are read for it.

        Gold labels of the CTC are often of some cells of a frame only, and the other cells would count as background.
        If there are markers of the tracking ground truth (``NN_GT/TRA``), at least half of the pixels of each must be
        labelled. Without markers the result is True.

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
        labels = self._read_labels()
        if markers.shape != labels.shape:
            msg = f"its shape is {labels.shape}, that of {self.markers_file} is {markers.shape}; expected one shape"
            raise FrameError(msg, file=self.labels_file, frame=self.frame)
        marked = markers > 0
        _, row = np.unique(markers[marked], return_inverse=True)
        covered = np.bincount(row, weights=labels[marked] > 0)
        return bool(np.all(covered >= _COVERED * np.bincount(row)))

    def _read_labels(self) -> Labels:
        if self.labels_file.is_dir():
            return _read_cell_masks(list_images(self.labels_file), self.labels_file)
        if self.frame is None:
            return _convert_to_int32(_number_components(_read_labels(self.labels_file), self.labels_file))
        return _convert_to_int32(read_mask(self.labels_file, frame=self.frame))


def _read_labels(file: Path) -> Image:
    """Return the labels in a file, checked, with one channel."""
    if file.suffix.lower() == ".npy" and is_pickled(file):
        return _read_cellpose(file)
    pixels, coloured = read_image(file, palette_indices=True)
    if coloured:
        colours = pixels[..., :3] if pixels.shape[-1] >= 3 else pixels[..., :1]
        if np.any(colours != colours[..., :1]):
            msg = "its labels are colours; expected a grey value per cell: save the labels instead of their colours"
            raise FrameError(msg, file=file)
        pixels = colours[..., 0]
    if file.suffix.lower() in _LOSSY:
        return _sharpen(pixels, file)
    return open_masks(Stack(lambda _: pixels, (str(file),), pixels.shape, (1.0,) * pixels.ndim))[0]


def _read_cellpose(file: Path) -> Image:
    """Return the masks in a file that cellpose saved (``_seg.npy``); nothing in it is executed."""
    found = read_pickled(file)
    masks = found.get("masks") if isinstance(found, dict) else None
    if not isinstance(masks, np.ndarray) or masks.dtype.kind not in "ui":
        msg = "it holds no array 'masks' of whole numbers, as cellpose's _seg.npy do; save the labels as a TIFF"
        raise FrameError(msg, file=file)
    return masks


def _sharpen(pixels: Image, file: Path) -> Image:
    """Return the foreground of a mask that lossy compression blurred.

    Raises
    ------
    FrameError
        If the mask is not nearly black and white.
    """
    clear = np.mean((pixels < _BLURRED) | (pixels > 255 - _BLURRED))
    if clear < _CLEAR or (pixels.any() and pixels.max() <= 255 - _BLURRED):
        msg = "lossy compression changed its labels; only black and white survive it: save labels as PNG or TIFF"
        raise FrameError(msg, file=file)
    return np.asarray(pixels > 127, np.uint8)


def _number_components(labels: Image, file: Path) -> Image:
    """Return the labels with the background 0; if there is a single value, its connected components are numbered."""
    if labels.ndim not in (2, 3):
        return labels  # refused with the shape of the image
    kind = describe_frame(labels)
    if kind.kind == "image":
        msg = (
            "these labels look like an image of grey values: are image and labels swapped? expected label images, with "
            "0 for the background and a number for each cell"
        )
        raise FrameError(msg, file=file)
    if kind.background is not None:
        _log.warning("%s: the background is the value %d and not 0, and is read as 0", file, kind.background)
        labels = open_masks(labels[None], background=kind.background, zeros_are_cells=kind.values == 1)[0]
    return labels if np.count_nonzero(np.unique(labels)) != 1 else number_pieces(labels)


def _read_cell_masks(files: Sequence[Path], folder: Path) -> Labels:
    """Return the labels of files with the mask of one cell each; a single file may hold the labels of all cells."""
    if len(files) == 1:
        return _convert_to_int32(_number_components(_read_labels(files[0]), files[0]))
    labels: npt.NDArray[Any] | None = None
    for number, file in enumerate(files, start=1):
        mask = _read_labels(file)
        labels = np.zeros(mask.shape, np.int32) if labels is None else labels
        if mask.shape != labels.shape:
            msg = f"its shape is {mask.shape}, that of {files[0].name} is {labels.shape}; expected masks of one image"
            raise FrameError(msg, file=file)
        _check_one_cell(mask, file)
        labels[mask > 0] = number
    if labels is None:
        msg = "it has no masks any more; expected one for each cell"
        raise FrameError(msg, file=folder)
    return labels


def _check_one_cell(mask: Image, file: Path) -> None:
    """Raise if a mask has several labels; below the highest value of the dtype, others are soft edges."""
    values = np.unique(mask[mask > 0])
    if len(values) > 1 and values[-1] not in (255, 65535):
        msg = (
            f"it has {count_noun(len(values), 'label')}, and is one of several files with the mask of one cell each; "
            "keep one file of labels for an image, or a file for each cell"
        )
        raise FrameError(msg, file=file)


def _convert_to_int32(labels: Image) -> Labels:
    """Return the labels as int32; those of an image with larger ones are numbered from 1."""
    if int(labels.max(initial=0)) > np.iinfo(np.int32).max:
        values, numbers = np.unique(labels, return_inverse=True)
        labels = numbers.reshape(labels.shape) + int(values[0] != 0)
    return np.asarray(labels, np.int32)


def _check_finite(image: Image, file: Path, frame: int | None) -> None:
    """Raise if an image has pixels that are not finite numbers."""
    broken = np.count_nonzero(~np.isfinite(image)) if image.dtype.kind in "fc" else 0
    if broken:
        verb = choose_form(broken, "is", "are")
        msg = f"{count_noun(broken, 'pixel')} {verb} NaN or infinite; replace them, for example by 0"
        raise FrameError(msg, file=file, frame=frame)
