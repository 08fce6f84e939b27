"""From the values of the grid to the inputs of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from segmenters.points.noise import measure_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segmenters.common.arrays import Heights

__all__ = ["INPUTS", "prepare_inputs"]

INPUTS = {2: 2, 3: 3}
"""Number of inputs by the number of axes."""

_WIDE = 5.0  # sigma of the surroundings of a voxel, in voxels: about the diameter of a cell
_DARK = 10.0  # percentile of the values that is the dark ground
_LEAST = 0.004  # noise of the clearest images that the shipped models have learnt from, as a fraction of the range
_SOFT = 3.0  # values above the ground up to this multiple of the noise count linearly, brighter ones logarithmically


def prepare_inputs(values: Heights, step: Sequence[float]) -> Heights:
    """Return the inputs of the network, (C, [Z], Y, X).

    The first is the light above the dark ground, as a multiple of the noise and on a scale like a logarithm; the second
    is the contrast with the surroundings; the third, for stacks only, is the logarithm of the height of a voxel by its
    side.

    Parameters
    ----------
    values : ([Z], Y, X) float32 array
        Means of the blocks of the grid.
    step : D floats
        Size of a block.
    """
    low, high = (float(value) for value in np.percentile(values, (_DARK, 99.9)))
    noise = max(measure_noise(values), _LEAST * (high - low))  # as low as in training
    light = np.arcsinh((values - np.float32(low)) / np.float32(_SOFT * noise)) / 2
    sigma = [_WIDE * step[-1] / side for side in step]
    around = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=2)
    away = values - around
    spread = np.sqrt(ndimage.gaussian_filter(away * away, sigma, mode="nearest", truncate=2)) + np.float32(noise)
    inputs = [light, away / spread]
    if values.ndim == 3:
        inputs.append(np.full_like(values, np.log(step[0] / step[-1])))
    return np.asarray(np.stack(inputs), np.float32)
