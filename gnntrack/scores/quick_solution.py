"""A quick, greedy solution of a movie, from which the movie model estimates its rates and scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.gnn.best_links import find_best_links

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray

__all__ = ["BestLinks", "LinkContext", "guess_solution"]

_CERTAIN = 5.0  # log odds of a division from which the movie's rates and scales are estimated by it


@dataclass(frozen=True)
class BestLinks:
    """The two best links of each cell in one direction of time, among links with positive log odds.

    Parameters
    ----------
    log_odds : (N,) float64
        Of the best link; 0 if there is none.
    cell : (N,) int64
        Row of the cell at the other end of the best link; -1 if there is none.
    second : (N,) float64
        Log odds of the second-best link; 0 if there is none.
    """

    log_odds: FloatArray
    cell: IntArray
    second: FloatArray

    @classmethod
    def find(cls, graph: CellGraph, log_odds: FloatArray, node: IntArray, gap: int = 1) -> BestLinks:
        """Return the best links over this many frames.

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        log_odds : (E,) float64
            Of the links.
        node : (E,) int64
            ``graph.source`` for links to later frames, ``graph.target`` for links to earlier frames.
        gap : int
            Frames from source to target.
        """
        other = graph.target if node is graph.source else graph.source
        use = np.flatnonzero((graph.feature("gap") == gap) & (log_odds > 0))
        best = find_best_links(node[use], log_odds[use], len(graph.cells), none=0.0)
        return cls(best.odds, np.append(other[use], -1)[best.link], best.second)

    def allow_both(self, two: IntArray) -> BoolArray:
        """Return whether two cells, shape (M, 2), can both have a link with positive log odds, shape (M,)."""
        a, b = two.T
        same = self.cell[a] == self.cell[b]
        return np.asarray(
            (self.cell[a] >= 0) & (self.cell[b] >= 0) & (~same | (self.second[a] > 0) | (self.second[b] > 0))
        )

    def add_disjoint(self, two: IntArray) -> FloatArray:
        """Return the highest sum of log odds of two cells whose links may not share their other end, shape (M,)."""
        a, b = two.T
        same = (self.cell[a] == self.cell[b]) & (self.cell[a] >= 0)
        shared = np.maximum(self.log_odds[a] + self.second[b], self.second[a] + self.log_odds[b])
        return np.asarray(np.where(same, shared, self.log_odds[a] + self.log_odds[b]))


@dataclass(frozen=True)
class LinkContext:
    """The best links of every cell to the next frame, to the frame before, and to the frame before that."""

    ahead: BestLinks
    before: BestLinks
    two_before: BestLinks

    @classmethod
    def find(cls, graph: CellGraph, log_odds: FloatArray) -> LinkContext:
        """Return the best links, given the log odds of all links, shape (E,)."""
        directions = (graph.source, 1), (graph.target, 1), (graph.target, 2)
        return cls(*(BestLinks.find(graph, log_odds, node, gap) for node, gap in directions))


def guess_solution(
    graph: CellGraph, link: FloatArray, pairs: IntArray, division: FloatArray
) -> tuple[BoolArray, BoolArray]:
    """Return the links and the divisions that are the best for all their cells.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    link : (E,) float64
        Log odds of each link.
    pairs : (M, 2) int64
        Links of the division candidates.
    division : (M,) float64
        Log odds of each division candidate, against its better link alone.

    Returns
    -------
    (E,) bool, (M,) bool
        The chosen links, without those of divisions; the chosen divisions.
    """
    n = len(graph.cells)
    value = division + np.maximum(np.maximum(link[pairs[:, 0]], link[pairs[:, 1]]), 0)
    out, into = np.zeros(n), np.zeros(n)
    likely = np.flatnonzero(link > 0)
    source, target, likely_link = graph.source[likely], graph.target[likely], link[likely]
    np.maximum.at(out, source, likely_link)
    np.maximum.at(into, target, likely_link)
    parent, daughters = graph.source[pairs[:, 0]], graph.target[pairs]
    pair_out, pair_into = np.zeros(n), np.zeros(n)
    certain = division > _CERTAIN
    np.maximum.at(pair_out, parent[certain], value[certain])
    for side in (0, 1):
        np.maximum.at(pair_into, daughters[certain, side], value[certain])
    divides = certain & (value >= pair_out[parent]) & (value > out[parent])
    for side in (0, 1):
        other = into[daughters[:, side]]
        own = link[pairs[:, side]]
        divides &= (value >= pair_into[daughters[:, side]]) & ((other <= np.maximum(own, 0)) | (value > other))
    has_past, has_future = np.zeros(n, bool), np.zeros(n, bool)
    has_past[daughters[divides]] = True
    has_future[parent[divides]] = True
    best = np.zeros(len(link), bool)
    mutual = (likely_link >= out[source]) & (likely_link >= into[target])
    best[likely] = mutual & ~has_past[target] & ~has_future[source]
    return best, divides
