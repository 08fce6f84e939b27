"""Rows of the table of a movie, and means."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, IntArray

__all__ = ["Z95", "Quantity", "average_groups", "average_values"]

Z95 = 1.959964
"""Half the width of the 95 % interval of the normal distribution."""


class Quantity(NamedTuple):
    """A row of the table of a movie."""

    quantity: str
    """Name; ``docs/analysis.md`` defines it."""
    value: float
    unit: str
    """Unit, empty for a pure number."""
    low: float = math.nan
    """Lower end of the 95 % confidence interval, NaN if it is not known."""
    high: float = math.nan
    """Upper end."""
    n: int = 0
    """Number of the things that the value is computed from."""
    of: str = ""
    """Their name, such as tracks."""

    @classmethod
    def with_error(cls, name: str, value: float, error: float, unit: str, *, n: int, of: str) -> Quantity:
        """Return a row with the interval of a normal distribution of this standard error."""
        return cls(name, value, unit, value - Z95 * error, value + Z95 * error, n, of)


def average_values(name: str, values: FloatArray, unit: str, *, of: str) -> Quantity:
    """Return the mean of the values that are known, with its 95 % confidence interval.

    Examples
    --------
    >>> average_values("speed", np.array([1.0, 3.0, np.nan]), "um", of="tracks")[:2]
    ('speed', 2.0)
    """
    known = values[np.isfinite(values)]
    mean = float(known.mean()) if len(known) else math.nan
    error = float(known.std(ddof=1)) / math.sqrt(len(known)) if len(known) > 1 else math.nan
    return Quantity.with_error(name, mean, error, unit, n=len(known), of=of)


def average_groups(values: FloatArray, group: IntArray, n: int) -> FloatArray:
    """Return the mean of the known values of each of n groups; NaN for a group without one.

    Parameters
    ----------
    values : (N,) float64
        NaN is not known.
    group : (N,) int64
        Number of the group, from 0.
    n : int
        Number of groups.

    Examples
    --------
    >>> average_groups(np.array([1.0, 2.0, np.nan]), np.array([0, 0, 1]), 2).tolist()
    [1.5, nan]
    """
    known = np.isfinite(values)
    total = np.bincount(group[known], weights=values[known], minlength=n)
    count = np.bincount(group[known], minlength=n)
    return np.asarray(np.divide(total, count, out=np.full(n, np.nan), where=count > 0))
