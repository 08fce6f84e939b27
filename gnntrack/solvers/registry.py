"""Solvers: from scores to links. The protocol that every solver follows, and the registry of all solvers.

Any solver works with any scorer. A solver of another package is registered by an entry point of the group
``gnntrack.solvers``:

.. code-block:: toml

    [project.entry-points."gnntrack.solvers"]
    nearest = "my_package.nearest:solve_nearest"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.plugins import Registry
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, LinkScores

__all__ = ["SOLVERS", "Solver", "solve"]


class Solver(Protocol):
    """A function that chooses links by their scores."""

    def __call__(self, graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
        """Choose links.

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        scores : LinkScores
            Their scores, from any scorer. Divisions are chosen from ``scores.pairs`` only.
        settings : SolverSettings
            Thresholds, and whether cells may divide.

        Returns
        -------
        (E,) bool
            The chosen links: at most one into each cell; at most one out of it, or two that are a pair of
            ``scores.pairs``. If the scores have no ties, the result does not depend on the order of the labels.
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
    """Choose links with the solver of this name; see `Solver`.

    Raises
    ------
    InputError
        If the name is unknown; the message proposes the nearest name.
    FormatError
        If the solver returns links that are not as `Solver` describes.
    """
    chosen = np.asarray(SOLVERS[name](graph, scores, settings=settings))
    if chosen.dtype != bool or chosen.shape != (len(graph),):
        msg = (
            f"solver '{name}' returned {chosen.dtype} values of shape {chosen.shape}, expected one bool per candidate "
            f"link, shape ({len(graph)},); correct the solver, or choose another one"
        )
        raise FormatError(msg)
    _check_degrees(name, graph, scores, chosen)
    return chosen


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
