"""Greedy solver: the link or division of highest value first, then the next one whose cells are still free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.solvers.objective import list_choices
from gnntrack.solvers.solution import Solution

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, IntArray, LinkScores

__all__ = ["solve_greedy", "take_in_order"]


def solve_greedy(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> Solution:
    """Choose links and divisions by descending value; of equals the first in the order of the graph.

    See `gnntrack.solvers.registry.Solver` for the parameters and the result.
    """
    choices = list_choices(graph, scores, settings)
    order = np.argsort(-choices.value, kind="stable")
    return Solution(choices.mark_links(order[take_in_order(choices.place[order])]))


def take_in_order(place: IntArray) -> BoolArray:
    """Take each choice of which no place is taken, one after the other.

    Parameters
    ----------
    place : (C, 3) int64
        Places of each choice, >= 0; the third is -1 for a choice of two places.

    Returns
    -------
    (C,) bool

    Examples
    --------
    >>> take_in_order(np.array([[0, 3, 4], [1, 4, 5], [1, 5, -1]])).tolist()
    [True, False, True]
    """
    return np.asarray(_take_in_order(place, int(place.max(initial=-1)) + 1), dtype=bool)


@compile_function
def _take_in_order(place, n):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    taken, chosen = np.zeros(n, np.bool_), np.zeros(place.shape[0], np.bool_)
    for i in range(place.shape[0]):
        first, second, third = place[i]
        if taken[first] or taken[second] or (third >= 0 and taken[third]):
            continue
        chosen[i] = taken[first] = taken[second] = True
        if third >= 0:
            taken[third] = True
    return chosen
