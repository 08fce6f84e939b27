"""Exact solver: the links and divisions of a whole movie with the highest total value, as a set packing.

Each candidate link is a choice that takes the future of its source and the past of its target. A division is a choice
of its own, a triplet of a parent and two daughters, that takes the future of one cell and the past of two (Padfield et
al. 2011). No future and no past may be taken twice. Links over gaps are choices like any other: continuations,
divisions, gaps, starts and ends are optimised together, while `hungarian` chooses gaps last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.solvers.objective import compute_division_values, compute_link_values
from gnntrack.solvers.packing import find_packing

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["solve_triplets"]


def solve_triplets(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
    """Choose the links and divisions with the highest total value; the result is exact.

    See `gnntrack.solvers.registry.Solver` for the parameters and the result.

    References
    ----------
    Padfield et al., Coupled minimum-cost flow cell tracking for high-throughput quantitative analysis, Medical Image
    Analysis 2011.
    """
    value = compute_link_values(scores, settings)
    pairs, pair_value = compute_division_values(scores, value, settings)
    single = np.flatnonzero(value > 0)
    links = np.concatenate([np.stack([single, single], axis=1), pairs])  # (C, 2) of each choice
    future, past = graph.source[links[:, 0]], len(graph.cells) + graph.target[links]
    third = np.where(links[:, 0] < links[:, 1], past[:, 1], -1)
    place = np.stack([future, past[:, 0], third], axis=1)
    chosen = np.zeros(len(graph), bool)
    chosen[links[find_packing(place, np.concatenate([value[single], pair_value]))]] = True
    return chosen
