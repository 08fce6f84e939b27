"""Log densities, and scales and rates that lean on a prior where there is little to learn from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.types import BoolArray, FeatureArray, FloatArray

__all__ = ["CHUNK", "ODD", "either", "in_chunks", "location_of", "log_normal", "log_t", "rate_of", "scale_of"]

_PRIOR_WEIGHT = 20.0  # cells that the prior scales count for
_RATE_WEIGHT = 200.0  # cells that the prior rates count for
ODD = 0.05  # part of the true links with a feature out of its usual range: a jump, or a mask that flickers
CHUNK = 1 << 19  # links and pairs that are scored at once, to bound the memory


def log_t(x: FeatureArray | FloatArray, scale: FloatArray | float, nu: float, ndim: int = 1) -> FloatArray:
    """Return the log density of a centred t-distribution at distance ``x`` in ``ndim`` dimensions."""
    constant = gammaln((nu + ndim) / 2) - gammaln(nu / 2) - ndim / 2 * np.log(nu * np.pi)
    return np.asarray(constant - ndim * np.log(scale) - (nu + ndim) / 2 * np.log1p((x / scale) ** 2 / nu))


def log_normal(x: FloatArray, mean: FloatArray | float, std: FloatArray | float) -> FloatArray:
    """Return the log density of a normal distribution."""
    return np.asarray(-0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi))


def either(usual: FloatArray, odd: FloatArray) -> FloatArray:
    """Return the log density of a mixture, in which the odd case is rare."""
    return np.asarray(np.logaddexp(np.log1p(-ODD) + usual, np.log(ODD) + odd))


def scale_of(values: FeatureArray | FloatArray, prior: float, median_of_unit: float = 0.6745) -> float:
    """Return a scale from the median of absolute values, pulled to a prior where there are few."""
    n = len(values)
    estimate = float(np.median(values)) / median_of_unit if n else prior
    return float(np.sqrt((_PRIOR_WEIGHT * prior**2 + n * max(estimate, 0.02) ** 2) / (_PRIOR_WEIGHT + n)))


def location_of(values: FeatureArray | FloatArray, mean: float, std: float) -> tuple[float, float]:
    """Return median and scale, pulled to their priors where there are few values."""
    n = len(values)
    if not n:
        return mean, std
    middle = (_PRIOR_WEIGHT * mean + n * float(np.median(values))) / (_PRIOR_WEIGHT + n)
    return middle, scale_of(np.abs(values - middle), std)


def rate_of(happened: BoolArray, prior: float) -> float:
    """Return a rate, pulled to its prior where there are few cells."""
    return float((_RATE_WEIGHT * prior + happened.sum()) / (_RATE_WEIGHT + len(happened)))


def in_chunks(n: int, compute: Callable[[slice], FloatArray]) -> FloatArray:
    """Return a long column computed piece by piece, to bound the memory of what is computed on the way."""
    column = np.empty(n)
    for start in range(0, n, CHUNK):
        part = slice(start, min(start + CHUNK, n))
        column[part] = compute(part)
    return column
