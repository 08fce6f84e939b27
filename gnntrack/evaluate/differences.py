"""Differences between the graphs of a result and of its ground truth: cells and links that only one of them has."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.evaluate.metrics import match_links

if TYPE_CHECKING:
    from gnntrack.evaluate.matching import MatchedGraphs, TrackGraph
    from gnntrack.types import BoolArray, IntArray

__all__ = ["Differences", "compare_graphs", "find_forks", "find_parents"]


class Differences(NamedTuple):
    """Cells and links of a result (V cells, E links) and a ground truth (W cells, F links), and which of them agree."""

    graphs: MatchedGraphs
    alone: IntArray
    """(W,) row of the cell of the result that matches this cell of the ground truth and no other, -1 = none."""
    row_in_truth: IntArray
    """(V,) the same from the other side."""
    edge: IntArray
    """(k,) links of the result that are right."""
    truth_edge: IntArray
    """(k,) the same links in the ground truth."""
    wrong: BoolArray
    """(E,) whether the ground truth lacks a link between two cells that match one cell each."""
    missing: BoolArray
    """(F,) whether the result lacks a link, with links to and from cells that have no match of their own."""
    fork: BoolArray
    """(E,) whether a link leads to one of several daughters."""
    true_fork: BoolArray
    """(F,)"""
    parent: IntArray
    """(V,) row of the parent of each cell, or of the same cell in the frame before, -1 = none."""
    true_parent: IntArray
    """(W,)"""

    @property
    def comparable(self) -> BoolArray:
        """(F,) whether both cells of a link of the ground truth have a match of their own."""
        truth, alone = self.graphs.truth, self.alone
        both: BoolArray = (alone[truth.source] >= 0) & (alone[truth.target] >= 0)
        return both


def compare_graphs(graphs: MatchedGraphs) -> Differences:
    """Return the differences between a result and its ground truth."""
    truth, result = graphs.truth, graphs.result
    links = match_links(graphs)
    alone = np.full(len(truth.label), -1)
    rows = np.flatnonzero(links.row_in_truth >= 0)
    alone[links.row_in_truth[rows]] = rows
    wrong = links.comparable.copy()
    wrong[links.edge] = False
    missing = np.ones(len(truth.source), bool)
    missing[links.truth_edge] = False
    return Differences(
        graphs,
        alone,
        links.row_in_truth,
        links.edge,
        links.truth_edge,
        wrong,
        missing,
        find_forks(result),
        find_forks(truth),
        find_parents(result),
        find_parents(truth),
    )


def find_forks(graph: TrackGraph) -> BoolArray:
    """Return which links lead to one of several daughters, shape (E,)."""
    children = np.bincount(graph.source, minlength=len(graph.label))
    forks: BoolArray = children[graph.source] > 1
    return forks


def find_parents(graph: TrackGraph) -> IntArray:
    """Return the row of the cell that each cell is linked from, shape (V,), -1 = none."""
    parent = np.full(len(graph.label), -1)
    parent[graph.target] = graph.source
    return parent
