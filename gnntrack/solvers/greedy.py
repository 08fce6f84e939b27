"""Greedy solver: the link or division of highest value first, then the next one whose cells are still free."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.solvers.objective import compute_division_values, compute_link_values

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["solve_greedy"]


def solve_greedy(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
    """Choose links and divisions by descending value; of equals the first in the order of the graph.

    See `gnntrack.solvers.registry.Solver` for the parameters and the result.
    """
    value = compute_link_values(scores, settings)
    pairs, pair_value = compute_division_values(scores, value, settings)
    link = np.flatnonzero(value > 0)
    choice = np.concatenate([np.stack([link, link], axis=1), pairs])
    order = np.argsort(-np.concatenate([value[link], pair_value]), kind="stable")
    return np.asarray(_take_in_order(choice[order], graph.source, graph.target, len(graph.cells)), dtype=bool)


@compile_function
def _take_in_order(choice, source, target, n):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Take each choice (two links, the same one twice for a single link) whose cells are all free."""
    has_next, has_past = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    chosen = np.zeros(source.size, np.bool_)
    for i in range(choice.shape[0]):
        a, b = choice[i]
        if has_next[source[a]] or has_past[target[a]] or has_past[target[b]]:
            continue
        has_next[source[a]] = True
        has_past[target[a]] = has_past[target[b]] = True
        chosen[a] = chosen[b] = True
    return chosen
