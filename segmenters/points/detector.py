"""Base of the detectors: checks of images and options, the typical diameter, the grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gnntrack.errors import FrameError, SegmenterError
from gnntrack.frame_slabs import SAMPLE_VOXELS, LargeFrame
from gnntrack.plurals import count_noun
from gnntrack.types.detections import Points
from segmenters.common.inputs import check_image
from segmenters.points.grid import Grid, choose_grid
from segmenters.points.scale import estimate_diameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Heights

__all__ = ["PointDetector", "expect_range"]

_VAST = 1e18  # images with brighter pixels are scaled as a whole
_HIGHEST = 1e6  # brighter images are made darker, so that squares are finite
_SMALL = 8.0  # pixels along x: the diameter if no cell is found from which it could be estimated


def expect_range(detector: str, low: float, high: float, **options: float | None) -> None:
    """Raise an error about the first option that is not a number in a range; None is allowed.

    Raises
    ------
    SegmenterError
        If an option is out of range.

    Examples
    --------
    >>> expect_range("dog", 0, 1, closest=2)
    Traceback (most recent call last):
    gnntrack.errors.SegmenterError: detector 'dog': option closest is 2, but must be a number from 0 to 1
    """
    for option, value in options.items():
        numeric = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (numeric and low <= value <= high):
            msg = f"detector '{detector}': option {option} is {value!r}, but must be a number from {low:g} to {high:g}"
            raise SegmenterError(msg)


class PointDetector:
    """Finds the centres of cells on a grid that fits their diameter; a subclass has the method ``find``.

    Parameters
    ----------
    diameter : float, optional
        Typical diameter of a cell in pixels along x; by default estimated from the images.
    closest : float
        Smallest distance of two cells, as a fraction of the diameter.
    """

    name: ClassVar[str]
    dimensions: ClassVar[tuple[int, ...]] = (2, 3)
    takes_large_frames: ClassVar[bool] = True
    across: float = 6.0
    """Blocks of the grid in a diameter."""

    def __init__(self, *, diameter: float | None, closest: float) -> None:
        expect_range(self.name, 1e-6, 1e6, diameter=diameter)
        expect_range(self.name, 0, 1, closest=closest)
        self.diameter, self.closest = diameter, closest
        self.estimated_diameter: float | None = None
        self._prepared: float | None = None

    def prepare(self, images: Sequence[npt.NDArray[Any]], spacing: Sequence[float]) -> None:
        """Estimate the diameter from some frames of a movie.

        Parameters
        ----------
        images : sequence of ([Z], Y, X) arrays
            Frames of the movie.
        spacing : D floats
            Size of a voxel.
        """
        if self.diameter is None:
            size = estimate_diameter([self._check(image, spacing) for image in images], spacing)
            self._prepared = None if size is None else size / spacing[-1]
            self.estimated_diameter = self._prepared

    def detect(self, image: npt.NDArray[Any] | LargeFrame, spacing: Sequence[float]) -> Points:
        """Return the cells of an image.

        Parameters
        ----------
        image : (Y, X) or (Z, Y, X) array of numbers, or a large frame
            Grey values of one frame; they are not modified.
        spacing : D floats
            Size of a voxel along ``[z], y, x``; ones if it is not known.

        Returns
        -------
        Points

        Raises
        ------
        FrameError
            If the image has another number of axes than `spacing`, is not an array of real numbers, or has NaN or
            infinite pixels.
        """
        if isinstance(image, LargeFrame):
            return self._detect_large(image, spacing)
        pixels = self._check(image, spacing)
        if not pixels.size or pixels.min() == pixels.max():
            return Points.empty(pixels.ndim)
        diameter = self._find_diameter(pixels, spacing)
        grid = choose_grid(spacing, diameter, self.across)
        brightness = float(np.abs(image).max()) / float(np.abs(pixels).max())
        return self._find_points(grid.shrink(pixels), grid, diameter, image.shape, brightness)

    def _detect_large(self, image: LargeFrame, spacing: Sequence[float]) -> Points:
        """Return the cells of a volume that is read in slabs: the same as those of the whole volume."""
        slabs = [(float(slab.min()), float(slab.max())) for _, slab in image.read_slabs()]
        lowest, highest = min(low for low, _ in slabs), max(high for _, high in slabs)
        if lowest == highest:
            return Points.empty(image.ndim)
        most = max(abs(lowest), abs(highest))
        if not most <= _VAST:  # also if a value is not a number: the whole volume is checked
            return self.detect(np.concatenate([slab for _, slab in image.read_slabs()]), spacing)

        def scale(part: npt.NDArray[Any]) -> Heights:
            pixels = check_image(part, self.dimensions)
            return pixels / np.float32(most / _HIGHEST) if most > _HIGHEST else pixels

        diameter = self._find_diameter(scale(image.read_middle(SAMPLE_VOXELS)), spacing)
        grid = choose_grid(spacing, diameter, self.across)
        values = grid.shrink_slabs(scale(slab) for _, slab in image.read_slabs())
        brightness = most / float(np.abs(scale(np.full((1, 1, 1), most, np.float32))).max())
        return self._find_points(values, grid, diameter, image.shape, brightness)

    def _find_points(
        self, values: Heights, grid: Grid, diameter: float, shape: tuple[int, ...], brightness: float
    ) -> Points:
        """Return the cells of an image of some shape from its values on the grid."""
        position, radius, peaks, score = self.find(values, grid, diameter)
        within = np.clip(grid.restore(position), -0.5, np.array(shape) - 0.5)
        return Points(within, radius, brightness * values[tuple(peaks.T)].astype(np.float64), score)

    def find(self, values: Heights, grid: Grid, diameter: float) -> tuple[Any, Any, Any, Any]:
        """Return position in blocks, radius, block (N, D) and score of the cells of an image on the grid."""
        raise NotImplementedError

    def _check(self, image: npt.NDArray[Any], spacing: Sequence[float]) -> Heights:
        pixels = check_image(image, self.dimensions)
        highest = float(np.abs(pixels).max(initial=0))
        if highest > _HIGHEST:
            pixels = pixels / np.float32(highest / _HIGHEST)
        if pixels.ndim != len(spacing):
            given = count_noun(len(spacing), "value")
            msg = f"the image has {pixels.ndim} axes, and the spacing {given}; give one value per axis"
            raise FrameError(msg)
        return pixels

    def _find_diameter(self, pixels: Heights, spacing: Sequence[float]) -> float:
        """Return the diameter in the unit of `spacing`: the given one, that of the movie, or that of this image."""
        if self.diameter is not None:
            return self.diameter * spacing[-1]
        if self._prepared is None:
            size = estimate_diameter([pixels], spacing)
            self.estimated_diameter = None if size is None else size / spacing[-1]
            return size or _SMALL * spacing[-1]
        return self._prepared * spacing[-1]
