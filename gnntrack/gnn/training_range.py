"""The range of the movies that a network was trained on: a movie outside of it is unlike the training data.

Compared are the statistics of a movie, which the classical scores measure (`gnntrack.scores.movie_statistics`): the
scales and rates fitted to it, and how clear its links are.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["DESCRIPTIONS", "Unlike", "are_ranges", "describe_unlike", "find_unlike", "is_number", "measure_ranges"]

DESCRIPTIONS = {
    "residual": "distance of cells from their predicted positions, in cell radii",
    "neighbour_residual": "distance of cells from the positions predicted by their neighbours' motion, in cell radii",
    "size_change": "change of the size of a cell from frame to frame, as log ratio",
    "start_rate": "fraction of the cells that appear",
    "end_rate": "fraction of the cells that vanish",
    "division_rate": "fraction of the cells that divide",
    "miss_rate": "fraction of the cells whose mask is missing",
    "crowding": "fraction of the space that is filled around a cell",
    "unclear": "fraction of the cells without a clear link",
    "unlinked": "fraction of the cells without a likely link",
}
"""What the statistics of a movie are, in words."""

_LEAST = 0.01  # smaller statistics count as this one: rare is not unlike rarer
_BEYOND = 0.5  # fraction of the width of the range of the training data by which a movie may be outside of it
_NARROW = 2 * math.log(10)  # least width that counts: the training data may be a single movie


class Unlike(NamedTuple):
    """A statistic of a movie that is outside of the range of the training data."""

    name: str
    value: float
    low: float
    high: float


def is_number(value: Any, *, least: float = -math.inf, most: float = math.inf) -> bool:
    """Return whether a value from a file is a finite number within limits.

    >>> is_number(0.5, most=1), is_number(2, most=1), is_number("2"), is_number(True), is_number(float("nan"))
    (True, False, False, False, False)
    """
    # math.isfinite fails for a whole number that is too large for a float
    return type(value) in (int, float) and abs(value) <= sys.float_info.max and least <= value <= most


def are_ranges(given: Any) -> bool:
    """Return whether a value from a file is ranges of statistics, as `measure_ranges` returns them.

    >>> are_ranges({"residual": [0.05, 0.2]}), are_ranges({"residual": [0.2]}), are_ranges({"mood": [0, 1]})
    (True, False, False)
    """
    return isinstance(given, dict) and all(
        name in DESCRIPTIONS
        and isinstance(limits, list)
        and len(limits) == 2
        and all(is_number(limit) for limit in limits)
        and limits[0] <= limits[1]
        for name, limits in given.items()
    )


def measure_ranges(movies: Iterable[Mapping[str, float] | None]) -> dict[str, list[float]]:
    """Return the lowest and the highest value of each statistic of the training data, by name.

    Parameters
    ----------
    movies : iterable of dict or None
        Statistics of each movie of the training data, see `gnntrack.types.LinkScores`. Missing ones are not counted.

    Examples
    --------
    >>> measure_ranges([{"residual": 0.2}, None, {"residual": 0.05, "crowding": float("nan")}])
    {'residual': [0.05, 0.2]}
    """
    known = [each for each in movies if each is not None]
    values = {name: [each[name] for each in known if np.isfinite(each.get(name, np.nan))] for name in DESCRIPTIONS}
    return {
        name: [float(f"{limit:.4g}") for limit in (min(found), max(found))] for name, found in values.items() if found
    }


def find_unlike(statistics: Mapping[str, float] | None, ranges: Mapping[str, Sequence[float]]) -> list[Unlike]:
    """Return the statistics of a movie that are outside of the range of the training data.

    The range is widened on both sides by half of its width, as logarithms, and at least by a factor of 10.

    Parameters
    ----------
    statistics : dict or None
        Of the movie.
    ranges : dict
        From `measure_ranges`; statistics without a range are not compared.

    Examples
    --------
    >>> find_unlike({"residual": 3.0, "end_rate": 0.02}, {"residual": [0.01, 0.5], "end_rate": [0.001, 0.1]})
    []
    >>> find_unlike({"residual": 9.0}, {"residual": [0.01, 0.5]})
    [Unlike(name='residual', value=9.0, low=0.01, high=0.5)]
    """
    found = []
    for name, value in (statistics or {}).items():
        if name not in ranges or not np.isfinite(value):
            continue
        low, high, here = (float(math.log(max(each, _LEAST))) for each in (*ranges[name], value))
        slack = _BEYOND * max(high - low, _NARROW)
        if not low - slack <= here <= high + slack:
            found.append(Unlike(name, float(value), float(ranges[name][0]), float(ranges[name][1])))
    return found


def describe_unlike(found: Sequence[Unlike]) -> str:
    """Return why a movie is unlike the training data.

    Examples
    --------
    >>> describe_unlike([Unlike("end_rate", 0.5, 0.001, 0.1)])
    'fraction of the cells that vanish 0.5, in the training data 0.001 to 0.1'
    """
    return "; ".join(
        f"{DESCRIPTIONS[name]} {value:.2g}, in the training data {low:.2g} to {high:.2g}"
        for name, value, low, high in found
    )
