"""Solvers: from scores to links. The protocol that every solver follows, and the registry of all solvers.

Any solver works with any scorer. A solver of another package is registered by an entry point of the group
``gnntrack.solvers``:

.. code-block:: toml

    [project.entry-points."gnntrack.solvers"]
    nearest = "my_package.nearest:solve_nearest"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from gnntrack.plugins import Registry

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
    """
    return SOLVERS[name](graph, scores, settings=settings)
