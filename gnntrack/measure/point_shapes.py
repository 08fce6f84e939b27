"""Shapes of the blobs around points in the images: the second moments of their light.

The light of a blob is what is brighter than the shell around it. Its moments tell a round nucleus from a plate of
chromosomes or from two daughters that are still close.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.measure.point_intensities import read_volumes

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.measure.point_intensities import Volume
    from gnntrack.types import FloatArray, FrameStack, IntArray, Progress

__all__ = ["PointShapes", "measure_shapes"]

_INNER = 1.25  # radius in which light is counted, in radii of the point
_SHELL = 1.6  # outer radius of the shell that is the background
_SUMS = 10  # moments of a ball: one of order 0, three of order 1, six of order 2


class PointShapes:
    """Second moments of the light around points, measured image by image.

    Parameters
    ----------
    pixel : (N, D) float64
        Centre of each point in voxels along ``[z], y, x``.
    reach : (N, D) float64
        Radius of each point in voxels along each axis.
    spacing : tuple of D floats
        Size of a voxel.

    Attributes
    ----------
    moments : (N, D, D) float64
        Covariance of the places of the light of each point, in the squared unit of `spacing`; NaN where the point is
        not brighter than the shell around it, or was not measured.
    """

    def __init__(self, pixel: FloatArray, reach: FloatArray, spacing: tuple[float, ...]) -> None:
        n, self.ndim = pixel.shape
        self._centre, self._reach = np.zeros((n, 3)), np.full((n, 3), 0.5)
        self._centre[:, 3 - self.ndim :], self._reach[:, 3 - self.ndim :] = pixel, np.maximum(reach, 0.5)
        self._spacing = np.ones(3)
        self._spacing[3 - self.ndim :] = spacing
        self.moments = np.full((n, self.ndim, self.ndim), np.nan)

    @property
    def balls(self) -> tuple[FloatArray, FloatArray]:
        """Centre and radius of each point in voxels along z, y, x, each (N, 3)."""
        return self._centre, self._reach

    def add_volume(self, rows: IntArray, volume: Volume) -> None:
        """Measure the points of some rows in the planes around them."""
        out = np.empty((len(rows), 3, 3))
        _measure_blobs(*volume, self._centre[rows], self._reach[rows], self._spacing, out)
        self.moments[rows] = out[:, 3 - self.ndim :, 3 - self.ndim :]


def measure_shapes(
    images: FrameStack,
    frame: IntArray,
    pixel: FloatArray,
    reach: FloatArray,
    *,
    spacing: tuple[float, ...],
    progress: Progress | None = None,
) -> FloatArray:
    """Return the second moments of the light around points, (N, D, D); see `PointShapes`.

    Parameters
    ----------
    images, frame, pixel, reach, progress
        As of `gnntrack.measure.point_intensities.measure_balls`.
    spacing : tuple of D floats
        Size of a voxel.

    Raises
    ------
    FrameError
        As of `gnntrack.measure.point_intensities.measure_balls`.

    Examples
    --------
    >>> from gnntrack.io.frames import open_frames
    >>> image = np.zeros((1, 21, 21), np.uint8)
    >>> image[0, 9:12, 6:15] = 90
    >>> where = np.array([[10.0, 10.0]]), np.array([[5.0, 5.0]])
    >>> measure_shapes(open_frames(image), np.array([0]), *where, spacing=(1.0, 1.0)).round(2).tolist()
    [[[0.67, 0.0], [0.0, 6.67]]]
    """
    shapes = PointShapes(pixel, reach, spacing)
    for rows, volume in read_volumes(images, frame, *shapes.balls, progress=progress):
        shapes.add_volume(rows, volume)
    return shapes.moments


@compile_function
def _measure_blobs(
    volume: npt.NDArray[np.float32],
    top: int,
    depth: int,
    centre: FloatArray,
    reach: FloatArray,
    spacing: FloatArray,
    out: FloatArray,
) -> None:
    """Write the covariance (n, 3, 3) of the light of each blob along z, y, x."""
    light, ones = np.empty(_SUMS), np.empty(_SUMS)
    for k in range(len(centre)):
        background = _sum_moments(volume, top, depth, centre[k], reach[k], spacing, light, ones)
        light -= background * ones
        total = light[0]
        out[k] = np.nan
        if not total > 1e-9 * max(abs(background), 1.0) * ones[0]:
            continue
        place = 4
        for i in range(3):
            for j in range(i, 3):
                value = light[place] / total - light[1 + i] * light[1 + j] / (total * total)
                out[k, i, j] = value
                out[k, j, i] = value
                place += 1


@compile_function
def _sum_moments(
    volume: npt.NDArray[np.float32],
    top: int,
    depth: int,
    centre: FloatArray,
    reach: FloatArray,
    spacing: FloatArray,
    light: FloatArray,
    ones: FloatArray,
) -> float:
    """Sum the moments of a ball, of its values and of its voxels; return the mean of the shell around it.

    Moments are relative to the centre of the ball, in the order 1, z, y, x, zz, zy, zx, yy, yx, xx.
    """
    cz, cy, cx = centre[0], centre[1], centre[2]
    rz, ry, rx = reach[0], reach[1], reach[2]
    _, height, width = volume.shape
    light[:] = 0.0
    ones[:] = 0.0
    m, around = 0, 0.0
    for z in range(max(0, math.ceil(cz - _SHELL * rz)), min(depth - 1, math.floor(cz + _SHELL * rz)) + 1):
        for y in range(max(0, math.ceil(cy - _SHELL * ry)), min(height - 1, math.floor(cy + _SHELL * ry)) + 1):
            across = ((z - cz) / rz) ** 2 + ((y - cy) / ry) ** 2
            if across > _SHELL * _SHELL:
                continue
            half = rx * math.sqrt(_SHELL * _SHELL - across)
            v0, v1, v2, n0, n1, n2 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
            for x in range(max(0, math.ceil(cx - half)), min(width - 1, math.floor(cx + half)) + 1):
                value = float(volume[z - top, y, x])
                if not math.isfinite(value):
                    continue
                dx = x - cx
                if across + (dx / rx) ** 2 > _INNER * _INNER:
                    m += 1
                    around += value
                    continue
                n0 += 1.0
                n1 += dx
                n2 += dx * dx
                v0 += value
                v1 += value * dx
                v2 += value * dx * dx
            if n0 > 0:
                dz, dy = (z - cz) * spacing[0], (y - cy) * spacing[1]
                _add_row(ones, dz, dy, n0, n1 * spacing[2], n2 * spacing[2] ** 2)
                _add_row(light, dz, dy, v0, v1 * spacing[2], v2 * spacing[2] ** 2)
    return around / m if m else 0.0


@compile_function
def _add_row(sums: FloatArray, dz: float, dy: float, zeroth: float, first: float, second: float) -> None:
    """Add the moments along x of one row of voxels to those of a ball."""
    sums[0] += zeroth
    sums[1] += dz * zeroth
    sums[2] += dy * zeroth
    sums[3] += first
    sums[4] += dz * dz * zeroth
    sums[5] += dz * dy * zeroth
    sums[6] += dz * first
    sums[7] += dy * dy * zeroth
    sums[8] += dy * first
    sums[9] += second
