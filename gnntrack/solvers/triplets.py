"""Exact solver: the links and divisions of a whole movie with the highest total value, as a set packing.

Each candidate link is a choice that takes the future of its source and the past of its target. A division is a choice
of its own, a triplet of a parent and two daughters, that takes the future of one cell and the past of two (Padfield et
al. 2011). No future and no past may be taken twice. Links over gaps are choices like any other: continuations,
divisions, gaps, starts and ends are optimised together, while `hungarian` chooses gaps last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gnntrack.solvers.objective import list_choices
from gnntrack.solvers.packing import pack_choices
from gnntrack.solvers.solution import Solution, find_deadline

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import CellGraph, LinkScores

__all__ = ["solve_triplets"]


def solve_triplets(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> Solution:
    """Choose the links and divisions with the highest total value; the result is exact unless time runs out.

    See `gnntrack.solvers.registry.Solver` for the parameters and the result.

    References
    ----------
    Padfield et al., Coupled minimum-cost flow cell tracking for high-throughput quantitative analysis, Medical Image
    Analysis 2011.
    """
    deadline = find_deadline(settings)
    choices = list_choices(graph, scores, settings)
    found = pack_choices(choices.place, choices.value, deadline=deadline)
    return Solution(choices.mark_links(found.chosen), found.bound, found.stopped)
