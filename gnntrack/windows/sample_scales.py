"""The scales of a movie from those of the blocks of its sample."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["combine_scales"]


def combine_scales(blocks: Sequence[Mapping[str, Any]], cells: Sequence[int]) -> dict[str, Any]:
    """Return the scales of a movie from those that were recorded while blocks of frames were tracked.

    Parameters
    ----------
    blocks : sequence of mapping
        The scales of each block by name; see `gnntrack.movie_scales.MovieScales`.
    cells : sequence of int
        Number of cells of each block.

    Returns
    -------
    dict
        Numbers are means over the cells, and whole ones are rounded; lists and mappings are combined element by
        element. All other values, and lists of different lengths, are those of the most cells.

    Examples
    --------
    >>> combine_scales([{"radius": 4.0, "copies": False}, {"radius": 5.0, "copies": True}], [100, 300])
    {'radius': 4.75, 'copies': True}
    >>> combine_scales([{"gap": [1, 2.0]}, {"gap": [2, 4.0], "late": 3}], [1, 1])
    {'gap': [2, 3.0], 'late': 3}
    """
    return dict(_combine(list(blocks), [float(number) for number in cells]))


def _combine(values: list[Any], weights: list[float]) -> Any:
    """Return one value of the same kind as some values of JSON."""
    kinds = set(map(type, values))
    if len(values) == 1:
        return values[0]
    if kinds <= {int, float}:
        return _average(values, weights)
    if kinds == {dict}:
        names = dict.fromkeys(name for value in values for name in value)
        return {name: _combine_known(values, weights, name) for name in names}
    if kinds == {list} and len(set(map(len, values))) == 1:
        return [_combine(list(each), weights) for each in zip(*values, strict=True)]
    return _elect(values, weights)


def _elect(values: list[Any], weights: list[float]) -> Any:
    """Return the value of the highest weight, of equal ones the first."""
    votes: dict[str, float] = defaultdict(float)
    for value, weight in zip(values, weights, strict=True):
        votes[repr(value)] += weight
    return values[[repr(value) for value in values].index(max(votes, key=lambda name: votes[name]))]


def _combine_known(values: list[dict[str, Any]], weights: list[float], name: str) -> Any:
    """Return the combined value of a name, of those mappings that have it."""
    known = [k for k, value in enumerate(values) if name in value]
    return _combine([values[k][name] for k in known], [weights[k] for k in known])


def _average(values: list[float], weights: list[float]) -> float:
    """Return the mean of the finite numbers, a whole one if all are whole."""
    finite = [k for k, value in enumerate(values) if math.isfinite(value)]
    if not finite or len(set(values)) == 1:
        return values[0]
    weight = math.fsum(weights[k] for k in finite) or 1.0
    mean = math.fsum(values[k] * weights[k] for k in finite) / weight
    return math.floor(mean + 0.5) if all(isinstance(values[k], int) for k in finite) else mean
