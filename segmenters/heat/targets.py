"""From known cells to the map that the network learns, and the voxels where nothing is known.

The known cells of an image may be a few of many. Then three kinds of voxels count: those in an annotated cell
(positive), those around it that are too near for another cell, and dark ones (both sure background). All others are
unknown and have no loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from segmenters.points.noise import measure_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segmenters.common.arrays import Floats, Heights, Mask

__all__ = ["Target", "draw_target"]

_SIGMA = 1.0  # of the peak of a cell, in blocks along x
_PLANES = 0.6  # least sigma along an axis, in blocks of that axis, so that a cell between two planes has a peak
_RING = 0.75  # no other cell has its centre nearer than this, in diameters
_DARK = 3.0  # a voxel is dark if its smoothed value is less than this multiple of the noise above the ground


@dataclass(frozen=True)
class Target:
    """The map that the network learns from an image; arrays ([Z], Y, X) on the grid."""

    heat: Heights
    """1 at the centre of a cell, falling as a Gaussian."""
    radius: Heights
    """Logarithm of the radius of the cell in blocks along x, in its middle; NaN elsewhere."""
    known: Mask
    """Voxels that have a loss."""


def draw_target(
    values: Heights,
    step: Sequence[float],
    position: Floats,
    radius: Floats,
    *,
    diameter: float,
    complete: bool,
) -> Target:
    """Return the target of an image.

    Parameters
    ----------
    values : ([Z], Y, X) float32 array
        Means of the blocks of the grid.
    step : D floats
        Size of a block.
    position : (N, D) float array
        Known cells, in blocks.
    radius : (N,) float array
        Their radii in the unit of `step`; NaN if unknown.
    diameter : float
        Typical diameter of a cell, in the unit of `step`.
    complete : bool
        Whether all cells of the image are known.
    """
    sides = np.asarray(step, float)
    sigma = np.maximum(_SIGMA * sides[-1], _PLANES * sides)
    heat = np.zeros(values.shape, np.float32)
    size = np.full(values.shape, np.nan, np.float32)
    known = np.full(values.shape, complete)
    if not complete:
        known |= _find_dark(values, step)
    ring = _RING * diameter
    reach = np.maximum(3 * sigma, 0 if complete else ring)
    for centre, r in zip(position, radius, strict=True):
        low = np.maximum(np.floor(centre - reach / sides), 0).astype(int)
        high = np.minimum(np.ceil(centre + reach / sides) + 1, values.shape).astype(int)
        if (low >= high).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        away = [(np.arange(a, b) - c) * s for a, b, c, s in zip(low, high, centre, sides, strict=True)]
        squares = sum(np.meshgrid(*((each / s) ** 2 for each, s in zip(away, sigma, strict=True)), indexing="ij"))
        peak = np.exp(-0.5 * squares).astype(np.float32)
        if np.isfinite(r):
            size[box][(peak > 0.3) & (peak >= heat[box])] = np.log(r / sides[-1])
        heat[box] = np.maximum(heat[box], peak)
        if not complete:
            distance = sum(np.meshgrid(*(each**2 for each in away), indexing="ij"))
            known[box] |= distance <= ring**2
    return Target(heat, size, known)


def _find_dark(values: Heights, step: Sequence[float]) -> Mask:
    """Return the voxels that are as dark as the ground."""
    smooth = ndimage.gaussian_filter(values, [step[-1] / side for side in step], mode="nearest", truncate=2)
    ground = np.percentile(smooth, 10)
    return np.asarray(smooth < ground + _DARK * 0.4 * measure_noise(values))
