"""The noise of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from segmenters.common.arrays import Heights

__all__ = ["measure_noise"]


def measure_noise(values: Heights) -> float:
    """Return the standard deviation of the noise, from second differences along x; above 0.

    >>> flat = np.random.default_rng(0).normal(50, 3, (60, 60)).astype(np.float32)
    >>> round(measure_noise(flat))
    3
    """
    span = float(np.ptp(values)) if values.size else 0.0
    least = max(1e-4 * span, 1e-12)
    if values.shape[-1] < 3:
        return least
    bend = values[..., 2:] - 2 * values[..., 1:-1] + values[..., :-2]
    return max(float(np.median(np.abs(bend))) * 1.4826 / 6**0.5, least)
