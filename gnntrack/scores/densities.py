"""Log densities, and estimates of scales and rates with a prior for movies that have few cells."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.types import BoolArray, FeatureArray, FloatArray

__all__ = [
    "CHUNK",
    "ODD",
    "compute_in_chunks",
    "estimate_location",
    "estimate_rate",
    "estimate_scale",
    "log_normal",
    "log_t",
    "mix_densities",
    "place_apart",
    "place_pieces",
]

_PRIOR_WEIGHT = 20.0  # number of cells that the prior scales count for
_RATE_WEIGHT = 200.0  # number of cells that the prior rates count for
ODD = 0.05  # fraction of the true links with a feature outside its usual range: a jump, or a flickering mask
_LOG_USUAL, _LOG_ODD, _LOG_ROOT = math.log1p(-ODD), math.log(ODD), 0.5 * math.log(2 * math.pi)
_PIECES = (np.log(0.9), 0.2)  # distance between the pieces of a mask in radii: mean and std of its logarithm
CHUNK = 1 << 16  # links or pairs that are scored at once, so that intermediate arrays stay in the cache


@overload
def log_t(x: float, scale: float, nu: float, ndim: int = 1) -> float: ...


@overload
def log_t(x: FeatureArray | FloatArray, scale: FloatArray | float, nu: float, ndim: int = 1) -> FloatArray: ...


def log_t(x: Any, scale: Any, nu: float, ndim: int = 1) -> Any:
    """Return the log density of a centred t-distribution at distance ``x`` in ``ndim`` dimensions.

    Parameters
    ----------
    x, scale : (M,) float, or numbers
        Distance and scale in the same unit.
    nu : float
        Degrees of freedom.
    ndim : int
        Dimensions of the space.
    """
    functions = math if isinstance(x, float) and isinstance(scale, float) else np  # faster for single numbers
    distance = (nu + ndim) / 2 * functions.log1p((x / scale) ** 2 / nu)
    return _normalise_t(nu, ndim) - ndim * functions.log(scale) - distance


@cache
def _normalise_t(nu: float, ndim: int) -> float:
    """Return the logarithm of the constant factor of a t-density."""
    return float(math.lgamma((nu + ndim) / 2) - math.lgamma(nu / 2) - ndim / 2 * np.log(nu * np.pi))


@overload
def log_normal(x: float, mean: float, std: float) -> float: ...


@overload
def log_normal(x: FloatArray, mean: FloatArray | float, std: FloatArray | float) -> FloatArray: ...


def log_normal(x: Any, mean: Any, std: Any) -> Any:
    """Return the log density of a normal distribution at ``x``."""
    log = math.log if isinstance(std, float) else np.log
    return -0.5 * ((x - mean) / std) ** 2 - log(std) - _LOG_ROOT


@overload
def mix_densities(usual: float, odd: float) -> float: ...


@overload
def mix_densities(usual: FloatArray, odd: FloatArray) -> FloatArray: ...


def mix_densities(usual: Any, odd: Any) -> Any:
    """Return the log density of a mixture of the usual case and, with probability `ODD`, the odd case."""
    usual, odd = _LOG_USUAL + usual, _LOG_ODD + odd
    if isinstance(usual, float) and isinstance(odd, float):
        return max(usual, odd) + math.log1p(math.exp(-abs(usual - odd)))
    return np.logaddexp(usual, odd)


@overload
def place_apart(length: float, mean: float, std: float, ndim: int) -> float: ...


@overload
def place_apart(length: FloatArray, mean: float, std: float, ndim: int) -> FloatArray: ...


def place_apart(length: Any, mean: float, std: float, ndim: int) -> Any:
    """Return the log density of a vector from its length, whose logarithm is normal and whose direction is any.

    It is a density per area or volume, not per length.
    """
    log = math.log if isinstance(length, float) else np.log
    density = log_normal(log(length), mean, std) - log(length)
    return density - log(2 * math.pi * length if ndim == 2 else 4 * math.pi * length**2)


def place_pieces(apart: FloatArray, ndim: int) -> FloatArray:
    """Return the log density of the vector between the pieces of one mask, from its length in the cell's radii.

    The centres of two pieces of a cell lie about 0.9 radii apart, wherever the cut is, and farther if it is long.
    Daughters that touch are 1.4 radii apart.
    """
    return place_apart(apart, *_PIECES, ndim)


def estimate_scale(
    values: FeatureArray | FloatArray, prior: float, median_of_unit: float = 0.6745, *, most: float = math.inf
) -> float:
    """Return the scale of values >= 0 from their median, and from a prior if they are few.

    Parameters
    ----------
    values : (K,) float
        Absolute values, or lengths of vectors.
    prior : float
        Scale of a movie without values.
    median_of_unit : float
        Median of such values at a scale of 1; the default is that of the absolute value of a normal variable.
    most : float
        Largest scale that the values count for, in prior scales: a single value that is far off says little.
    """
    n = len(values)
    estimate = min(float(np.median(values)) / median_of_unit, most * prior) if n else prior
    return float(np.sqrt((_PRIOR_WEIGHT * prior**2 + n * max(estimate, 0.02) ** 2) / (_PRIOR_WEIGHT + n)))


def estimate_location(
    values: FeatureArray | FloatArray, mean: float, std: float, *, most: float = math.inf
) -> tuple[float, float]:
    """Return the median and the scale of values, shape (K,), and from their priors if the values are few.

    `most` is that of `estimate_scale`.
    """
    n = len(values)
    if not n:
        return mean, std
    middle = (_PRIOR_WEIGHT * mean + n * float(np.median(values))) / (_PRIOR_WEIGHT + n)
    return middle, estimate_scale(np.abs(values - middle), std, most=most)


def estimate_rate(happened: BoolArray, prior: float, *, weight: float = _RATE_WEIGHT) -> float:
    """Return the fraction of cells, shape (K,), to which something happened.

    If they are few, the result is near the prior, which counts for `weight` cells.
    """
    return float((weight * prior + happened.sum()) / (weight + len(happened)))


def compute_in_chunks(n: int, compute: Callable[[slice], FloatArray]) -> FloatArray:
    """Return a column of n rows that is computed chunk by chunk, to bound the memory of intermediate arrays."""
    column = np.empty(n)
    for start in range(0, n, CHUNK):
        rows = slice(start, min(start + CHUNK, n))
        column[rows] = compute(rows)
    return column
