"""Statistics of the masks of a movie, collected while a segmenter makes them."""

from __future__ import annotations

import inspect
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.measure.flatness import measure_label_flatness
from gnntrack.plurals import count_noun
from gnntrack.segmentation.protocol import get_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.types import Image

__all__ = ["FrameStatistics", "MovieStatistics", "get_border_width", "get_estimated_diameter", "measure_frame"]

_log = logging.getLogger(__name__)
_BORDER = 0.03  # width of the strip along the border, as a fraction of the shorter side
_LEAST_SATURATED = 0.001  # fraction of the pixels with the highest value, fewer are not counted
_IN_CELLS = 0.25  # smallest fraction of the saturated pixels that are in cells
_NEAR, _SPIKE = 0.05, 3.0  # so many times more pixels have the highest value than are in this fraction of the range
_VALUES, _TRIED = 16, 4096  # images of fewer values are masks; pixels that are examined for that
_FULL = {2**bits - 1 for bits in (8, 10, 12, 14, 16)}  # largest values of cameras


class FrameStatistics(NamedTuple):
    """Statistics of one frame."""

    cells: int
    """Number of cells."""
    diameter: float
    """Median diameter of the cells, as of circles or balls of their size, in pixels along x; 0 without cells."""
    weighted_diameter: float
    """Median diameter, weighted by the size of the cells."""
    largest: float
    """Size of the largest cell as a fraction of the frame."""
    at_border: int
    """Number of cells with more than four fifths of their pixels in a strip along the border."""
    saturated: float = 0.0
    """Fraction of the pixels of the image that have the largest value of the camera."""
    constant: bool = False
    """Whether the image has a single grey value."""
    flatness: float = 0.0
    """Median ratio of width to height of the cells of a 3D frame, in voxels; 0 if it has none."""


def measure_frame(labels: Image, image: Image | None = None, spacing: Sequence[float] | None = None) -> FrameStatistics:
    """Return the statistics of a frame.

    Parameters
    ----------
    labels : integer array (Y, X) or (Z, Y, X)
        0 = background.
    image : array of the same shape, optional
        Its image.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x``.

    Examples
    --------
    >>> labels = np.zeros((40, 40), np.int32)
    >>> labels[10:20, 10:20] = 1
    >>> measure_frame(labels, labels + 7)
    FrameStatistics(cells=1, diameter=11.28, weighted_diameter=11.28, largest=0.0625, at_border=0, saturated=0.0, \
constant=False, flatness=0.0)
    """
    size, inside = _count_pixels(labels)
    saturated, constant = (0.0, False) if image is None else _measure_image(np.asarray(image), labels)
    if not len(size):
        return FrameStatistics(0, 0.0, 0.0, 0.0, 0, saturated, constant)
    voxel = 1.0 if spacing is None else float(np.prod([side / spacing[-1] for side in spacing]))
    diameter = _convert_sizes(np.sort(size) * voxel, labels.ndim)
    weight = np.cumsum(np.sort(size))
    middle = int(np.searchsorted(weight, weight[-1] / 2))
    flatness = measure_label_flatness(labels)
    return FrameStatistics(
        len(size),
        round(float(np.median(diameter)), 2),
        round(float(diameter[middle]), 2),
        float(size.max() / labels.size),
        int((inside < size / 5).sum()),
        saturated,
        constant,
        float(np.median(flatness)) if len(flatness) else 0.0,
    )


def _count_pixels(labels: Image) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels of each cell, and those of them that are not in the strip along the border."""
    if labels.size and int(labels.max()) > 4 * labels.size:  # labels of another numbering
        values, numbers = np.unique(labels, return_inverse=True)
        labels = numbers.reshape(labels.shape) + int(values[0] != 0)
    width = get_border_width(labels.shape)
    count = np.bincount(labels.ravel(), minlength=1)
    inside = np.bincount(labels[..., width:-width, width:-width].ravel(), minlength=len(count))
    count[0] = 0
    return count[count > 0], inside[count > 0]


def get_border_width(shape: Sequence[int]) -> int:
    """Return the width of the strip along the border of a frame, in pixels."""
    return max(2, round(_BORDER * min(shape[-2:])))


def _convert_sizes(size: np.ndarray, axes: int) -> np.ndarray:
    """Return the diameters of circles (2 axes) or balls (3 axes) of some sizes."""
    return np.sqrt(4 * size / np.pi) if axes == 2 else np.cbrt(6 * size / np.pi)


def _measure_image(image: Image, labels: Image) -> tuple[float, bool]:
    """Return the fraction of saturated pixels of an image, and whether it has a single grey value.

    Of RGB images, the colour with the most saturated pixels counts. Pixels are saturated if they have the highest
    value and it is that of a camera, or far more of them have it than the values next to it. Images of a few values are
    masks. A saturated ground is no problem, so saturated pixels count only if some are in cells, unless there are none.
    """
    if not image.size:
        return 0.0, False
    constant = bool(image.min() == image.max())
    if constant:
        return 0.0, True
    colours = [image] if image.shape == labels.shape else [image[..., k] for k in range(image.shape[-1])]
    return max(_measure_saturation(colour, labels) for colour in colours), False


def _measure_saturation(image: Image, labels: Image) -> float:
    highest = image.max()
    full = image == highest
    count = int(np.count_nonzero(full))
    if count < _LEAST_SATURATED * image.size or not _is_clipped(image, full, count):
        return 0.0
    in_cells = int(np.count_nonzero(labels[full]))
    return count / image.size if in_cells >= _IN_CELLS * count or not labels.any() else 0.0


def _is_clipped(image: Image, full: np.ndarray, count: int) -> bool:
    """Return whether the highest value of an image is that at which a camera or a program cut off higher ones."""
    below = image[~full]
    if below.size == 0 or image.dtype == bool:
        return False
    if image.dtype.kind in "iu" and int(image.max()) in _FULL:
        return True
    low = float(below.min())
    near = np.count_nonzero(below > float(image.max()) - _NEAR * (float(image.max()) - low))
    return bool(0 < near < count / _SPIKE) and len(np.unique(below[:: 1 + below.size // _TRIED])) > _VALUES


class MovieStatistics:
    """Statistics of the masks of a movie.

    Parameters
    ----------
    segmenter : Segmenter
        It has seen some frames of the movie already, if it has a method ``prepare``.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x``.

    Attributes
    ----------
    segmenter : str
        Name of the segmenter.
    takes_diameter : bool
        Whether its class has the option ``diameter``.
    shape : tuple of int
        Shape of a frame; empty before the first one.
    frames : dict of int to FrameStatistics
        The frames so far.
    """

    def __init__(self, segmenter: Segmenter, spacing: Sequence[float] | None = None) -> None:
        self._segmenter, self._spacing = segmenter, spacing
        self._prepared = get_estimated_diameter(segmenter)
        self._diameters: dict[int, float] = {}
        self.segmenter = get_name(segmenter)
        self.takes_diameter = "diameter" in inspect.signature(type(segmenter)).parameters
        self.frames: dict[int, FrameStatistics] = {}
        self.shape: tuple[int, ...] = ()

    def add_frame(self, frame: int, labels: Image, image: Image | None = None) -> None:
        """Record a frame once.

        Parameters
        ----------
        frame : int
            Number of the frame.
        labels : integer array (Y, X) or (Z, Y, X)
            Its labels, 0 = background.
        image : array of the same shape, optional
            Its image, from which the segmenter has just made the labels.
        """
        if frame in self.frames:
            return
        self.frames[frame] = measure_frame(labels, image, self._spacing)
        self.shape = labels.shape
        found = None if image is None else get_estimated_diameter(self._segmenter)
        if found is not None and self._prepared is None:
            self._diameters[frame] = float(found)

    def save_frame(self, frame: int) -> dict[str, Any]:
        """Return what is recorded of a frame as plain JSON values, for `restore_frame`."""
        return {"frame": [float(each) for each in self.frames[frame]], "diameter": self._diameters.get(frame)}

    def restore_frame(self, frame: int, saved: Mapping[str, Any], shape: tuple[int, ...]) -> None:
        """Record a frame that an earlier run has segmented.

        Raises
        ------
        ValueError, LookupError, TypeError
            If the values are not those of `save_frame`.
        """
        kinds = [type(each) for each in FrameStatistics(0, 0.0, 0.0, 0.0, 0)]
        values: list[Any] = [kind(each) for kind, each in zip(kinds, saved["frame"], strict=True)]
        self.frames[frame], self.shape = FrameStatistics(*values), shape
        if saved["diameter"] is not None:
            self._diameters[frame] = float(saved["diameter"])

    @property
    def cells(self) -> int:
        """Number of cells in all frames so far."""
        return sum(each.cells for each in self.frames.values())

    @property
    def estimated_diameter(self) -> float | None:
        """Typical diameter of a cell in pixels along x, as the segmenter estimated it; None if it did not."""
        if self._prepared is not None:
            return self._prepared
        return float(np.median(list(self._diameters.values()))) if self._diameters else None

    @property
    def guessed_model(self) -> str | None:
        """Name of the model that the segmenter has chosen by a guess; None if it has not guessed."""
        return getattr(self._segmenter, "guessed_model", None)

    def log_estimate(self) -> None:
        """Log the diameter of a segmenter that estimates it for each frame, after the last frame."""
        if self._prepared is None and self._diameters:
            _log.info(
                "cell diameter %.1f pixels, the median of %s, each estimated by itself (--diameter sets it)",
                self.estimated_diameter,
                count_noun(len(self._diameters), "frame"),
            )


def get_estimated_diameter(segmenter: Segmenter) -> float | None:
    """Return the attribute ``estimated_diameter`` of a segmenter, None if it has none."""
    value = getattr(segmenter, "estimated_diameter", None)
    return None if value is None else float(value)
