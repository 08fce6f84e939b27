"""Solvers: from scores to links. The protocol that every solver follows, and the registry of all solvers.

Any solver works with any scorer. A solver of another package is registered by an entry point of the group
``gnntrack.solvers``:

.. code-block:: toml

    [project.entry-points."gnntrack.solvers"]
    nearest = "my_package.nearest:solve_nearest"
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.plugins import Registry
from gnntrack.plurals import count_noun
from gnntrack.solvers.objective import list_choices
from gnntrack.solvers.solution import Solution

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["SOLVERS", "Solver", "find_solution", "solve"]


class Solver(Protocol):
    """A function that chooses links by their scores."""

    def __call__(self, graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray | Solution:
        """Choose links.

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        scores : LinkScores
            Their scores, from any scorer. Divisions are chosen from ``scores.pairs`` only.
        settings : SolverSettings
            Thresholds, whether cells may divide, and the time limit.

        Returns
        -------
        (E,) bool, or Solution
            The chosen links: at most one into each cell; at most one out of it, or two that are a pair of
            ``scores.pairs``. If the scores have no ties, the result does not depend on the order of the labels.
            A solver that maximises the total value of `gnntrack.solvers.objective` returns a `Solution`.
        """
        ...


SOLVERS: Registry[Solver] = Registry(
    "solver",
    {
        "greedy": "gnntrack.solvers.greedy:solve_greedy",
        "hungarian": "gnntrack.solvers.hungarian:solve_hungarian",
        "iou": "gnntrack.solvers.overlap:solve_overlap",
        "triplets": "gnntrack.solvers.triplets:solve_triplets",
        "exact": "gnntrack.solvers.triplets:solve_triplets",
    },
)
"""Solvers by name; they are imported when first used. ``exact`` is another name of ``triplets``."""


def solve(name: str, graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
    """Choose links with the solver of this name, shape (E,); arguments and errors as of `find_solution`."""
    return _run_solver(name, graph, scores, settings)[0].chosen


def find_solution(
    name: str, graph: CellGraph, scores: LinkScores, *, settings: SolverSettings, rate: bool = True
) -> Solution:
    """Choose links with the solver of this name, and prove how good they are.

    Parameters
    ----------
    name : str
        A key of `SOLVERS`.
    graph, scores, settings
        As of `Solver`.
    rate : bool
        Whether to prove a bound if the solver has none.

    Returns
    -------
    Solution
        Its bound is None if the solver has an objective of its own.

    Raises
    ------
    InputError
        If the name is unknown; the message proposes the nearest name.
    FormatError
        If the solver returns links that are not as `Solver` describes.
    """
    found, comparable = _run_solver(name, graph, scores, settings)
    if not (comparable and rate) or found.bound is not None:
        return found
    from gnntrack.solvers.packing import pack_choices  # needs lap, which the build of the manual pages lacks

    choices = list_choices(graph, scores, settings)
    best = pack_choices(choices.place, choices.value, deadline=0.0 if found.stopped else math.inf, programs=False)
    return found._replace(bound=best.bound)


def _run_solver(name: str, graph: CellGraph, scores: LinkScores, settings: SolverSettings) -> tuple[Solution, bool]:
    """Return the checked result of a solver, and whether its total value can be compared with that of others."""
    result = SOLVERS[name](graph, scores, settings=settings)
    comparable = isinstance(result, Solution)
    found = result if isinstance(result, Solution) else Solution(np.asarray(result))
    chosen = np.asarray(found.chosen)
    if chosen.dtype != bool or chosen.shape != (len(graph),):
        msg = (
            f"solver '{name}' returned {chosen.dtype} values of shape {chosen.shape}, expected one bool per candidate "
            f"link, shape ({len(graph)},); correct the solver, or choose another one"
        )
        raise FormatError(msg)
    _check_degrees(name, graph, scores, chosen)
    return found._replace(chosen=chosen), comparable


def _check_degrees(name: str, graph: CellGraph, scores: LinkScores, chosen: BoolArray) -> None:
    """Raise if more links enter or leave a cell than a lineage allows."""
    n = len(graph.cells)
    into, out = (np.bincount(rows[chosen], minlength=n) for rows in (graph.target, graph.source))
    divides = np.zeros(n, bool)
    divides[graph.source[scores.pairs[chosen[scores.pairs].all(axis=1), 0]]] = True
    wrong = np.flatnonzero((into > 1) | (out > 2) | ((out == 2) & ~divides))
    if len(wrong):
        row = wrong[0]
        msg = (
            f"solver '{name}' chose {count_noun(into[row], 'link')} into and {out[row]} out of frame "
            f"{graph.cells.frame[row]}, label "
            f"{graph.cells.label[row]}; expected at most one into a cell, and one out of it or two that are a pair of "
            "scores.pairs; correct the solver, or choose another one"
        )
        raise FormatError(msg)
