"""Units of the quantities of a lineage, and rows of the table of a movie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, IntArray, Lineage

__all__ = ["Z95", "Quantity", "Units", "average_groups", "average_values"]

Z95 = 1.959964
"""Half the width of the 95 % interval of the normal distribution."""


@dataclass(frozen=True)
class Units:
    """Units of lengths and times.

    Parameters
    ----------
    length : str
        ``"um"`` or ``"pixel"``.
    ndim : {2, 3}
        Number of dimensions.
    interval : float or None
        Seconds from a frame to the next; None if it is not known: times are then in frames.

    Examples
    --------
    >>> units = Units("um", 2, 300.0)
    >>> units.speed, units.rate, units.density, units.minutes
    ('um_per_min', 'per_h', 'per_um2', 5.0)
    >>> Units("pixel", 3, None).speed, Units("pixel", 3, None).size
    ('pixel_per_frame', 'pixel3')
    """

    length: str
    ndim: int
    interval: float | None

    @classmethod
    def read(cls, lineage: Lineage) -> Units:
        """Return the units of a lineage."""
        return cls(lineage.cells.unit, lineage.cells.ndim, lineage.provenance.interval)

    @property
    def time(self) -> str:
        """Unit of short times."""
        return "frame" if self.interval is None else "min"

    @property
    def minutes(self) -> float:
        """Short times in a frame: minutes, or 1."""
        return 1.0 if self.interval is None else self.interval / 60

    @property
    def long_time(self) -> str:
        """Unit of long times, such as cell cycles."""
        return "frame" if self.interval is None else "h"

    @property
    def hours(self) -> float:
        """Long times in a frame: hours, or 1."""
        return 1.0 if self.interval is None else self.interval / 3600

    @property
    def speed(self) -> str:
        """Unit of speeds, as in names of columns."""
        return f"{self.length}_per_{self.time}"

    @property
    def diffusion(self) -> str:
        """Unit of diffusion coefficients."""
        return f"{self.length}2_per_{self.time}"

    @property
    def size(self) -> str:
        """Unit of areas in 2D, of volumes in 3D."""
        return f"{self.length}{self.ndim}"

    @property
    def density(self) -> str:
        """Unit of cells per area or volume."""
        return f"per_{self.size}"

    @property
    def rate(self) -> str:
        """Unit of rates over long times."""
        return f"per_{self.long_time}"


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
