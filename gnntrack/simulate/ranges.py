"""Distributions that settings of simulated movies are drawn from."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Range", "draw_values"]


class Range(NamedTuple):
    """A distribution that a setting is drawn from.

    Parameters
    ----------
    distribution : {"uniform", "log-uniform", "integer", "log-uniform integer", "choice", "exponential"}
        Its name; integers are below `high`.
    low, high : float
        Its limits; of an exponential distribution, `low` is the mean. A choice is 0 with probability `low`,
        else uniform from 0 to `high`.

    Examples
    --------
    >>> Range("integer", 3, 4).draw(np.random.default_rng(1))
    3
    """

    distribution: str
    low: float
    high: float = math.nan

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a value."""
        match self.distribution:
            case "uniform":
                return float(rng.uniform(self.low, self.high))
            case "log-uniform":
                return float(np.exp(rng.uniform(np.log(self.low), np.log(self.high))))
            case "log-uniform integer":
                return round(float(np.exp(rng.uniform(np.log(self.low), np.log(self.high)))))
            case "integer":
                return int(rng.integers(int(self.low), int(self.high)))
            case "choice":
                return 0.0 if rng.random() < self.low else float(rng.uniform(0, self.high))
            case _:
                return float(rng.exponential(self.low))


def draw_values(ranges: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Draw a value from each range, in the order of the table; other values stay as they are."""
    return {name: value.draw(rng) if isinstance(value, Range) else value for name, value in ranges.items()}
