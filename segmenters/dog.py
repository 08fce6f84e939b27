"""Bright blobs of one size by the difference of two Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from segmenters.points.detector import PointDetector, expect_range
from segmenters.points.noise import measure_noise
from segmenters.points.peaks import find_peaks, merge_peaks, refine_peaks, thin_out
from segmenters.points.scale import difference_of_gaussians, measure_gain

if TYPE_CHECKING:
    from segmenters.common.arrays import Floats, Heights, Integers
    from segmenters.points.grid import Grid

__all__ = ["DogDetector"]

_SIGMA = 0.25  # of the smaller Gaussian, in diameters
_SIZES = (0.7, 1.4)  # factors of this sigma at which the response is measured for the radius
_DIP, _DIP_NOISE = 0.1, 1.5  # two maxima are one cell if the response between them falls by less: fraction, noise
_BRIGHT = 90  # percentile of the heights that is the height of a bright cell


class DogDetector(PointDetector):
    """Difference of Gaussians: bright blobs of one size, at sub-voxel positions; 2D and 3D, no training.

    Parameters
    ----------
    diameter : float, optional
        Typical diameter of a cell in pixels along x; by default estimated from the images.
    threshold : float
        A cell stands out from its surroundings by at least this multiple of the noise.
    contrast : float
        And by at least this fraction of the contrast of a bright cell of the frame.
    closest : float
        Smallest distance of two cells, as a fraction of the diameter.

    Raises
    ------
    SegmenterError
        If an option is out of range.

    Examples
    --------
    >>> rows, columns = np.indices((60, 60))
    >>> image = 100 * np.exp(-((rows - 20.3) ** 2 + (columns - 40) ** 2) / 18)
    >>> DogDetector().detect(image, (1.0, 1.0)).position.round(1).tolist()
    [[20.3, 40.0]]
    """

    name = "dog"

    def __init__(
        self,
        *,
        diameter: float | None = None,
        threshold: float = 5.0,
        contrast: float = 0.1,
        closest: float = 0.5,
    ) -> None:
        super().__init__(diameter=diameter, closest=closest)
        expect_range(self.name, 0, 1e6, threshold=threshold)
        expect_range(self.name, 0, 1, contrast=contrast)
        self.threshold, self.contrast = threshold, contrast

    def find(self, values: Heights, grid: Grid, diameter: float) -> tuple[Floats, Floats, Integers, Floats]:
        """Return position in blocks, radius, block and score of the cells; see `PointDetector.find`."""
        sigma = [_SIGMA * diameter / side for side in grid.step]
        response = difference_of_gaussians(values, sigma)
        noise = self.threshold * measure_noise(values) * measure_gain(values.shape, sigma)
        peaks = find_peaks(response, float(noise.min()))
        height, lowest = response[tuple(peaks.T)], noise[tuple(peaks.T)]
        if (height > lowest).any():
            lowest = np.maximum(lowest, self.contrast * np.percentile(height[height > lowest], _BRIGHT))
        peaks, lowest = peaks[height > lowest], lowest[height > lowest]
        position = refine_peaks(response, peaks)
        kept = thin_out(position, grid.step, self.closest * diameter)
        flat = {"dip": _DIP, "noise": _DIP_NOISE / max(self.threshold, 1) * float(np.median(noise))}
        kept = kept[merge_peaks(response, position[kept], grid.step, diameter, **flat)]
        position, peaks = position[kept], peaks[kept]
        height = response[tuple(peaks.T)].astype(np.float64)
        score = height / (height + lowest[kept])
        return position, _measure_radius(values, sigma, height, peaks, diameter), peaks, score


def _measure_radius(values: Heights, sigma: list[float], height: Floats, peaks: Integers, diameter: float) -> Floats:
    """Return the radius of each cell from the scale of its highest response: a parabola through three scales."""
    below, above = (
        difference_of_gaussians(values, [factor * s for s in sigma])[tuple(peaks.T)].astype(np.float64)
        for factor in _SIZES
    )
    bend = below - 2 * height + above
    move = np.where(bend < 0, 0.5 * (below - above) / np.where(bend < 0, bend, 1), np.sign(above - below))
    return np.asarray(0.5 * diameter * _SIZES[1] ** np.clip(move, -1, 1))
