"""The report's Algorithms 1 and 2: cells of consecutive frames assigned by intersection over union."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.solvers.assignment import best_matching

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["solve_overlap"]


def solve_overlap(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:  # noqa: ARG001
    """Assign the cells of each frame to those of the one before, at the least sum of 1 - score.

    Algorithm 1 solves the linear assignment of the cost 1 - IoU between two frames; Algorithm 2 hands the
    labels on from frame to frame and gives new labels to cells that were not assigned. Pairs that share no
    pixel cost as much as no pair at all, so they are left unassigned. No gaps, no divisions.

    Parameters
    ----------
    graph : CellGraph
        Candidate links; those over gaps are ignored.
    scores : LinkScores
        With ``scores.score_by_overlap`` this is the report's method.
    settings : SolverSettings
        Not used; solvers have one signature.

    Returns
    -------
    (E,) bool
        The chosen links: at most one out of each cell and one into it.
    """
    return best_matching(graph.source, graph.target, np.where(graph.gap == 1, scores.link.astype(np.float64), 0.0))
