"""Assignment of the cells of consecutive frames, without gaps and divisions.

With overlap scores (method ``iou``) these are Algorithms 1 and 2 of the internship report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.solvers.assignment import find_matching

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["solve_overlap"]


def solve_overlap(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:  # noqa: ARG001
    """Assign the cells of each frame to those of the frame before, at the least sum of 1 - score.

    Two cells with a score of 0 cost as much as two unassigned cells, so that they stay unassigned. Links over gaps
    are ignored, and a cell has at most one link to the next frame. The settings are not used. See
    `gnntrack.solvers.registry.Solver` for the parameters and the result.

    In the internship report, Algorithm 1 is this assignment with the cost 1 - IoU; Algorithm 2 passes the labels on
    from frame to frame and gives new labels to unassigned cells, as `build_lineage` does.
    """
    return find_matching(graph.source, graph.target, np.where(graph.gap == 1, scores.link.astype(np.float64), 0.0))
