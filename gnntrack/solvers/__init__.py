"""Solvers: from scores to links. Any scorer goes with any solver.

Contract: ``solve(graph, scores, settings=...) -> (E,) bool``. The links chosen are candidates of the
graph; at most one goes into a cell; at most one goes out of it, or two that are a pair of
``scores.pairs``. The answer does not depend on the order in which cells are labelled.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Protocol

from gnntrack.errors import SettingsError
from gnntrack.solvers.greedy import solve_greedy
from gnntrack.solvers.hungarian import solve_hungarian
from gnntrack.solvers.overlap import solve_overlap
from gnntrack.solvers.triplets import solve_triplets

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["SOLVERS", "Solver", "solve"]


class Solver(Protocol):
    """What every solver is."""

    def __call__(self, graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
        """Choose links."""


SOLVERS: dict[str, Solver] = {
    "greedy": solve_greedy,
    "hungarian": solve_hungarian,
    "iou": solve_overlap,
    "triplets": solve_triplets,
}


def solve(name: str, graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
    """Choose links with the solver of this name, shape (E,).

    Raises
    ------
    SettingsError
        If there is no solver of this name.
    """
    if name not in SOLVERS:
        near = difflib.get_close_matches(name, SOLVERS, 1, 0)[0]
        msg = f"unknown solver '{name}'; did you mean '{near}'? There are: {', '.join(SOLVERS)}"
        raise SettingsError(msg)
    return SOLVERS[name](graph, scores, settings=settings)
