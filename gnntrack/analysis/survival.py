"""Times to an event that some individuals do not reach while they are seen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.analysis.quantities import Z95

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["Survival", "estimate_survival"]


@dataclass(frozen=True)
class Survival:
    """Fraction without an event against time (Kaplan and Meier 1958), with a row for each time of an individual.

    Parameters
    ----------
    time : (R,) float64
        Times, ascending.
    at_risk : (R,) int64
        Individuals that are seen until this time or longer, without an earlier event.
    events, censored : (R,) int64
        Events at this time, and individuals that are last seen then, without an event.
    fraction : (R,) float64
        Fraction without an event just after this time.
    error : (R,) float64
        Its standard error (Greenwood 1926).
    low, high : (R,) float64
        Ends of its 95 % confidence interval, from that of log(-log(fraction)) (Kalbfleisch and Prentice 1980); NaN
        where the fraction is 0 or 1.
    median, median_low, median_high : float
        Time at which the fraction falls to a half, and its 95 % confidence interval: the times at which the ends of the
        interval of the fraction do so (Brookmeyer and Crowley 1982). NaN if that is not reached.
    """

    time: FloatArray
    at_risk: IntArray
    events: IntArray
    censored: IntArray
    fraction: FloatArray
    error: FloatArray
    low: FloatArray
    high: FloatArray
    median: float
    median_low: float
    median_high: float


def estimate_survival(duration: FloatArray, has_event: BoolArray) -> Survival:
    r"""Return the Kaplan-Meier estimate :math:`S(t) = \prod_{t_i \le t} (1 - d_i / n_i)`.

    An individual whose observation ends at the time of an event is at risk of it.

    Parameters
    ----------
    duration : (N,) float64
        Time to the event, or to the end of the observation.
    has_event : (N,) bool
        Whether there is an event; False: right-censored.

    Examples
    --------
    >>> survival = estimate_survival(np.array([2.0, 3.0, 3.0, 5.0]), np.array([True, True, False, True]))
    >>> survival.fraction.tolist(), survival.median
    ([0.75, 0.5, 0.0], 3.0)
    """
    time, row = np.unique(duration, return_inverse=True)
    seen = np.bincount(row, minlength=len(time))
    events = np.bincount(row[has_event], minlength=len(time))
    at_risk = seen[::-1].cumsum()[::-1]
    fraction = np.cumprod(1 - events / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.sqrt(np.cumsum(events / (at_risk * (at_risk - events))))
        width = Z95 * relative / -np.log(fraction)
        low, high = fraction ** np.exp(width), fraction ** np.exp(-width)
    inside = (fraction > 0) & (fraction < 1)
    low, high = (np.where(inside, end, np.nan) for end in (low, high))
    return Survival(
        time=time,
        at_risk=at_risk,
        events=events,
        censored=seen - events,
        fraction=fraction,
        error=np.where(fraction > 0, fraction * np.nan_to_num(relative, posinf=0.0), 0.0),
        low=low,
        high=high,
        median=_find_half(time, fraction),
        median_low=_find_half(time, low),
        median_high=_find_half(time, high),
    )


def _find_half(time: FloatArray, fraction: FloatArray) -> float:
    """Return the first time at which a fraction is a half or less, NaN if there is none."""
    reached = np.flatnonzero(fraction <= 0.5 + 1e-12)
    return float(time[reached[0]]) if len(reached) else math.nan
