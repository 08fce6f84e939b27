"""The best links and divisions of a whole movie: the exact optimum, by packing links and triplets.

Each candidate link is a choice that takes the future of its source and the past of its target; a division is a
choice of its own, a triplet of mother and two daughters, that takes the future of one and the past of two
(Padfield et al. 2011). No future and no past may be taken twice. Links over gaps are
choices like any other, so that continuations, divisions, gaps, starts and ends are weighed against each other
at once, and not one after the other as in `hungarian`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.solvers.objective import division_values, link_weights
from gnntrack.solvers.packing import best_packing

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["solve_triplets"]


def solve_triplets(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
    """Choose links so that the sum of all gains is greatest; there is no better choice.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    scores : LinkScores
        Their scores; divisions are taken from ``scores.pairs`` only.
    settings : SolverSettings
        Thresholds, and whether cells may divide.

    Returns
    -------
    (E,) bool
        The chosen links: at most one into each cell, at most one out of it, or two daughters of a scored pair.

    References
    ----------
    Padfield et al., Coupled minimum-cost flow cell tracking for high-throughput quantitative analysis, Medical Image
    Analysis 2011.
    """
    weight = link_weights(scores, settings)
    pairs, value = division_values(scores, weight, settings)
    single = np.flatnonzero(weight > 0)
    links = np.concatenate([np.stack([single, single], axis=1), pairs])  # (C, 2) of each choice
    future, past = graph.source[links[:, 0]], len(graph.cells) + graph.target[links]
    third = np.where(links[:, 0] < links[:, 1], past[:, 1], -1)
    place = np.stack([future, past[:, 0], third], axis=1)
    chosen = np.zeros(len(graph), bool)
    chosen[links[best_packing(place, np.concatenate([weight[single], value]))]] = True
    return chosen
