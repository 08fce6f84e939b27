"""Solutions around fixed links, with any solver: it gets only the candidates about which nothing is decided.

A fixed link takes the future of its first and the past of its second cell. Without the candidates that compete for
these, a solver can neither contradict the link nor has to know of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.lineage.build import build_lineage, number_tracks
from gnntrack.solvers.objective import compute_total_value
from gnntrack.solvers.registry import find_solution
from gnntrack.types import CellGraph, Lineage, LinkScores

if TYPE_CHECKING:
    from gnntrack.lineage.constraints import Constraints
    from gnntrack.settings import SolverSettings
    from gnntrack.solvers.solution import Solution
    from gnntrack.types import BoolArray

__all__ = ["FreeCandidates", "select_free", "select_kept", "set_certain", "solve_free"]

_ROUNDING = 1e-12  # smaller gaps are rounding errors


class FreeCandidates(NamedTuple):
    """Candidate links that constraints leave to a solver, with their scores."""

    graph: CellGraph
    scores: LinkScores


def select_kept(graph: CellGraph, scores: LinkScores, keep: BoolArray) -> FreeCandidates:
    """Return the graph without the cells that are not kept, and the scores of its links.

    Parameters
    ----------
    graph, scores
        All candidates.
    keep : (N,) bool
        Which cells are kept.
    """
    row = np.cumsum(keep) - 1
    fewer = _select_links(graph, scores, keep[graph.source] & keep[graph.target], np.ones(len(scores.pairs), bool))
    source, target = row[fewer.graph.source], row[fewer.graph.target]
    graph = replace(fewer.graph, cells=graph.cells.select(keep), source=source, target=target)
    return FreeCandidates(graph, fewer.scores)


def select_free(graph: CellGraph, scores: LinkScores, fixed: Constraints) -> FreeCandidates:
    """Return the candidates that constraints leave to a solver.

    Parameters
    ----------
    graph, scores
        All candidates; `fixed` refers to the rows of their cells, and removes none.
    fixed : Constraints
        Decisions.

    Examples
    --------
    >>> import gnntrack
    >>> from gnntrack.lineage.constraints import Constraints
    >>> masks = np.zeros((3, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11], masks[:, 12:18, 5:11] = 1, 2
    >>> graph = gnntrack.build_graph(masks=masks, max_gap=1)
    >>> scores = LinkScores(np.full(len(graph), 0.5))
    >>> free = select_free(graph, scores, Constraints(linked=np.array([[0, 2]])))
    >>> len(graph), sorted(zip(free.graph.source.tolist(), free.graph.target.tolist()))
    (8, [(1, 3), (2, 4), (2, 5), (3, 4), (3, 5)])
    """
    if not fixed:
        return FreeCandidates(graph, scores)
    may_divide = ~np.isin(graph.source[scores.pairs[:, 0]], fixed.single)
    return _select_links(graph, scores, fixed.find_free(graph.source, graph.target), may_divide)


def _select_links(graph: CellGraph, scores: LinkScores, keep: BoolArray, keep_pairs: BoolArray) -> FreeCandidates:
    """Return some links, (E,) bool, and those of some pairs, (M,) bool, whose links both are among them."""
    row = np.cumsum(keep) - 1
    both = keep_pairs & keep[scores.pairs].all(axis=1)
    marginal = None if scores.marginal is None else scores.marginal[keep]
    fewer = LinkScores(scores.link[keep], row[scores.pairs[both]].reshape(-1, 2), scores.division[both], marginal)
    links = {name: getattr(graph, name)[keep] for name in ("source", "target", "features")}
    return FreeCandidates(replace(graph, **links), fewer)


def solve_free(
    name: str, free: FreeCandidates, fixed: Constraints, *, settings: SolverSettings, rate: bool = True
) -> tuple[BoolArray, Lineage]:
    """Solve free candidates by the solver of this name, and add the fixed links.

    Parameters
    ----------
    name : str
        Of a solver, see `gnntrack.solvers.SOLVERS`.
    free : FreeCandidates
        From `select_free`.
    fixed : Constraints
        The decisions.
    settings : SolverSettings
        Of the solver.
    rate : bool
        Whether to prove how near to the best total value the solution is; it is not done around fixed links.

    Returns
    -------
    chosen : (E,) bool
        The free candidates that the solver chose.
    lineage : Lineage
        With these and the fixed links, whose confidence is 1. Its provenance holds whether time ran out, and the proven
        gap to the best total value.
    """
    found = find_solution(name, free.graph, free.scores, settings=settings, rate=rate and not fixed)
    chosen = found.chosen
    lineage = build_lineage(free.graph, chosen, free.scores).with_provenance(
        optimality_gap=_compute_gap(found, free, settings), time_limit_reached=found.stopped or None
    )
    if not len(fixed.linked):
        return chosen, lineage
    source = np.concatenate([lineage.source, fixed.linked[:, 0]])
    target = np.concatenate([lineage.target, fixed.linked[:, 1]])
    confidence = np.concatenate([lineage.confidence, np.ones(len(fixed.linked), np.float32)])
    order = np.lexsort((target, source))
    source, target = source[order], target[order]
    track, tracks = number_tracks(lineage.cells.frame, source, target)
    return chosen, Lineage(lineage.cells, track, tracks, source, target, confidence[order], lineage.provenance)


def _compute_gap(found: Solution, free: FreeCandidates, settings: SolverSettings) -> float | None:
    """Return by which fraction the best total value exceeds that of a solution at most; None without a bound."""
    if found.bound is None:
        return None
    total = compute_total_value(found.chosen, free.scores, settings)
    gap = (found.bound - total) / found.bound if found.bound > 0 else 0.0
    return gap if gap > _ROUNDING else 0.0


def set_certain(lineage: Lineage, fixed: Constraints) -> Lineage:
    """Return the lineage with confidence 1 for fixed links: they are given, not estimated."""
    n = len(lineage.cells)
    given = np.isin(lineage.source * n + lineage.target, fixed.linked[:, 0] * n + fixed.linked[:, 1])
    return replace(lineage, confidence=np.where(given, np.float32(1), lineage.confidence))
