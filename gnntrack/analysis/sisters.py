"""Correlation of the properties of sister cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.analysis.quantities import Z95, Quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import FloatArray, IntArray, Tracks

__all__ = ["correlate_pairs", "correlate_sisters", "find_sisters"]

_FEWEST_PAIRS = 4


def find_sisters(tracks: Tracks) -> IntArray:
    """Return the rows of the two daughters of each division into two, (P, 2).

    Examples
    --------
    >>> from gnntrack.types import Tracks
    >>> find_sisters(Tracks([1, 2, 3, 4], [0, 2, 2, 0], [1, 3, 3, 3], [0, 1, 1, 0])).tolist()
    [[1, 2]]
    """
    child = np.flatnonzero(tracks.parent > 0)
    child = child[np.argsort(tracks.parent[child], kind="stable")]
    _, first, count = np.unique(tracks.parent[child], return_index=True, return_counts=True)
    first = first[count == 2]
    return np.column_stack([child[first], child[first + 1]]) if len(first) else np.zeros((0, 2), np.int64)


def correlate_pairs(one: FloatArray, other: FloatArray) -> tuple[float, float, float]:
    """Return the intraclass correlation of pairs without an order, and its 95 % confidence interval.

    The correlation of Fisher (1925, Statistical Methods for Research Workers, section 38), in which each pair counts in
    both orders; the interval is that of artanh(r), whose variance is 1 / (n - 3/2).

    Parameters
    ----------
    one, other : (P,) float64
        Values of the pairs.

    Returns
    -------
    value, low, high : float
        NaN for fewer than four pairs, or if all values are equal.

    Examples
    --------
    >>> correlate_pairs(np.array([1.0, 2, 3, 4]), np.array([1.0, 2, 3, 4]))[0]
    1.0
    """
    if len(one) < _FEWEST_PAIRS:
        return (math.nan,) * 3
    mean = (one.mean() + other.mean()) / 2
    spread = float(((one - mean) ** 2 + (other - mean) ** 2).sum())
    if spread <= 0:
        return (math.nan,) * 3
    value = 2 * float(((one - mean) * (other - mean)).sum()) / spread
    middle, width = math.atanh(min(max(value, -1 + 1e-12), 1 - 1e-12)), Z95 / math.sqrt(len(one) - 1.5)
    return value, math.tanh(middle - width), math.tanh(middle + width)


def correlate_sisters(tracks: Tracks, properties: Mapping[str, FloatArray]) -> list[Quantity]:
    """Return the correlation of sisters for each property, over the pairs in which both have a value.

    Parameters
    ----------
    tracks : Tracks
        The table of tracks.
    properties : mapping of str to (K,) float64
        Values of the tracks; NaN is not known.
    """
    pairs = find_sisters(tracks)
    found = []
    for name, values in properties.items():
        both = values[pairs][np.isfinite(values[pairs]).all(1)]
        value, low, high = correlate_pairs(both[:, 0], both[:, 1])
        found.append(Quantity(f"sister_correlation_{name}", value, "", low, high, len(both), "pairs"))
    return found
