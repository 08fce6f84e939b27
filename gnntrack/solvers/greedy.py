"""The best link or division first, then the next best that still fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.compiled import compiled
from gnntrack.solvers.objective import division_values, link_weights

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["solve_greedy"]


def solve_greedy(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
    """Choose links and divisions best first; of equals the first in the order of the graph.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    scores : LinkScores
        Their scores.
    settings : SolverSettings
        Thresholds, and whether cells may divide.

    Returns
    -------
    (E,) bool
        The chosen links: at most one into each cell, at most one out of it, or two daughters of a scored pair.
    """
    weight = link_weights(scores, settings)
    pairs, value = division_values(scores, weight, settings)
    link = np.flatnonzero(weight > 0)
    choice = np.concatenate([np.stack([link, link], axis=1), pairs])
    order = np.argsort(-np.concatenate([weight[link], value]), kind="stable")
    return np.asarray(_best_first(choice[order], graph.source, graph.target, len(graph.cells)), dtype=bool)


@compiled
def _best_first(choice, source, target, n):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Take each choice (two links, the same twice for a single one) whose cells are all free."""
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
