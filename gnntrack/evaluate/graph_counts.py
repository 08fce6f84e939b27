"""Counts of links, divisions and tracks of points against a ground truth that may be sparse.

Links and divisions are counted as in the embryo competition of 2026:

- A link of the result is right (TP) if its two points match points of the ground truth that are linked. It is false
  (FP) if it is not right, and its first point matches a cell from which a true link goes, or its second point one to
  which a true link goes. All other links are ignored. Links of the ground truth that are not found are missed (FN).
- A division, a point with two children, is found if points of one connected part of the result match the cell before
  the division and both daughters, and this part has a fork that no other division uses. For it, the parent, the cell
  that divides, its daughters and their children are matched alone. Each fork or branching into more children whose
  point matches a cell from which a true link goes is claimed; claimed forks above the number of found divisions are
  false.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.components import label_components
from gnntrack.evaluate.division_counts import count_divisions
from gnntrack.evaluate.point_matching import find_neighbours, match_points

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, IntArray, PointGraph

__all__ = ["GraphCounts", "count_graph"]

_NODE_PENALTY = 0.1
_DIVISION_WEIGHT = 0.1
_ADDED, _REMOVED = 1.5, 1.0  # weights of a missing and of a wrong link in the LNK of the challenge


@dataclass(frozen=True)
class GraphCounts:
    """Counts of one or several movies; those of several movies add up.

    Examples
    --------
    >>> one = GraphCounts(edge_tp=8, edge_fp=1, edge_fn=1, nodes=110, weight=10, weighted_jaccard=0.79 * 10)
    >>> (one + one).edge_jaccard, round((one + one).adjusted_edge_jaccard, 4)
    (0.8, 0.79)
    """

    nodes: int = 0
    """Points of the result."""
    annotated: int = 0
    """Points of the ground truth."""
    estimated: float = 0.0
    """Estimated number of cells of the movies that have one."""
    matched: int = 0
    """Points of the ground truth with a partner in the result."""
    edge_tp: int = 0
    edge_fp: int = 0
    edge_fn: int = 0
    division_tp: int = 0
    division_fp: int = 0
    division_fn: int = 0
    tracks: int = 0
    """Tracks of the ground truth with at least one link; a track goes on up to a division."""
    complete: int = 0
    """Those of which all links are found, and of which no cell has a false link."""
    pure: int = 0
    """Matched points of the result that belong to the true track of which their own track has most points."""
    in_tracks: int = 0
    """Matched points of the result."""
    redundant: int = 0
    """Links between two matched points that are not linked in the ground truth."""
    swapped: int = 0
    """Links that are found, but as part of a division in one of the two and within a track in the other."""
    weight: int = 0
    """Links that count, of the movies with an estimated number of cells."""
    weighted_jaccard: float = 0.0
    """Sum of the adjusted Jaccard indices of these movies, each times its links that count."""

    def __add__(self, other: GraphCounts) -> GraphCounts:
        return GraphCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def edge_jaccard(self) -> float | None:
        """TP / (TP + FP + FN) of links."""
        return _divide(self.edge_tp, self.edge_tp + self.edge_fp + self.edge_fn)

    @property
    def adjusted_edge_jaccard(self) -> float | None:
        """Edge Jaccard, lower by a tenth of the relative excess of points; the mean of movies by their links."""
        return _divide(self.weighted_jaccard, self.weight)

    @property
    def division_jaccard(self) -> float | None:
        """TP / (TP + FP + FN) of divisions."""
        return _divide(self.division_tp, self.division_tp + self.division_fp + self.division_fn)

    @property
    def score(self) -> float | None:
        """Adjusted edge Jaccard plus a tenth of the division Jaccard, if it is defined."""
        adjusted, division = self.adjusted_edge_jaccard, self.division_jaccard
        return None if adjusted is None else adjusted + _DIVISION_WEIGHT * (division or 0.0)

    @property
    def lnk(self) -> float | None:
        """LNK of the Cell Tracking Challenge, from these matches."""
        true = self.edge_tp + self.edge_fn
        cost = _ADDED * self.edge_fn + _REMOVED * (self.redundant + self.swapped)
        return None if not true else 1 - min(1.0, cost / (_ADDED * true))

    def scores(self) -> dict[str, float | None]:
        """Return all metrics and counts by name, plain numbers; None if a metric is not defined."""
        edges = {"tp": self.edge_tp, "fp": self.edge_fp, "fn": self.edge_fn}
        divisions = {"tp": self.division_tp, "fp": self.division_fp, "fn": self.division_fn}
        return {
            "score": self.score,
            "edge_jaccard": self.edge_jaccard,
            "adjusted_edge_jaccard": self.adjusted_edge_jaccard,
            "division_jaccard": self.division_jaccard,
            **_rate("edge", **edges),
            **_rate("division", **divisions),
            "node_recall": _divide(self.matched, self.annotated),
            "track_purity": _divide(self.pure, self.in_tracks),
            "complete_tracks": _divide(self.complete, self.tracks),
            "LNK": self.lnk,
            **{f"edge_{name}": count for name, count in edges.items()},
            **{f"division_{name}": count for name, count in divisions.items()},
            "nodes": self.nodes,
            "annotated_nodes": self.annotated,
            "matched_nodes": self.matched,
            "estimated_nodes": self.estimated or None,
            "tracks": self.tracks,
        }


def _rate(name: str, *, tp: int, fp: int, fn: int) -> dict[str, float | None]:
    """Return precision, recall and F1."""
    return {
        f"{name}_precision": _divide(tp, tp + fp),
        f"{name}_recall": _divide(tp, tp + fn),
        f"{name}_f1": _divide(2 * tp, 2 * tp + fp + fn),
    }


def _divide(count: float, total: float) -> float | None:
    return count / total if total else None


def count_graph(result: PointGraph, truth: PointGraph, *, gate: float) -> GraphCounts:
    """Count what of a ground truth is found.

    Parameters
    ----------
    result, truth : PointGraph
        In the same unit. ``truth.total`` is the estimated number of cells; None: the adjusted index is not defined.
    gate : float
        Largest distance of two points that match, in this unit.

    Examples
    --------
    The fork is false: its second link goes to a point beside the annotated cell.

    >>> from gnntrack.types import PointGraph
    >>> truth = PointGraph([1, 2], [0, 1], [[0.0, 0.0], [0.0, 1.0]], [0], [1], (1.0, 1.0), total=2)
    >>> result = PointGraph([1, 2, 3], [0, 1, 1], [[0.0, 0.0], [0.0, 1.0], [0.0, 9.0]], [0, 0], [1, 2], (1.0, 1.0))
    >>> counts = count_graph(result, truth, gate=7.0)
    >>> counts.edge_tp, counts.edge_fp, counts.edge_fn, counts.division_fp, counts.adjusted_edge_jaccard
    (1, 1, 0, 1, 0.475)
    """
    neighbours = find_neighbours(result, truth, gate)
    true_row, row = match_points(neighbours)
    match = np.full(len(result), -1)
    match[row] = true_row
    links = result.links
    ends = match[links]  # (L, 2) rows of the ground truth, -1 = none
    right = _find_links(truth, ends)
    leaves = (ends[:, 0] >= 0) & (truth.children[ends[:, 0]] > 0) if len(truth) else np.zeros(len(ends), bool)
    enters = (ends[:, 1] >= 0) & (truth.parents[ends[:, 1]] > 0) if len(truth) else np.zeros(len(ends), bool)
    false = ~right & (leaves | enters)
    touched = np.concatenate([ends[false & leaves, 0], ends[false & enters, 1]])
    tp, fp = int(right.sum()), int(false.sum())
    fn = len(truth.links) - tp
    divisions = count_divisions(result, truth, neighbours, match)
    tracks, complete = _count_tracks(truth, ends[right], touched)
    pure, in_tracks = _count_pure(result, truth, row, true_row)
    jaccard = _divide(tp, tp + fp + fn)
    adjusted = None if truth.total is None or jaccard is None else _adjust(jaccard, len(result), truth.total)
    return GraphCounts(
        nodes=len(result),
        annotated=len(truth),
        estimated=truth.total or 0.0,
        matched=len(row),
        edge_tp=tp,
        edge_fp=fp,
        edge_fn=fn,
        division_tp=divisions[0],
        division_fp=divisions[1],
        division_fn=divisions[2],
        tracks=tracks,
        complete=complete,
        pure=pure,
        in_tracks=in_tracks,
        redundant=int((~right & (ends >= 0).all(axis=1)).sum()),
        swapped=_count_swapped(result, truth, links[right], ends[right]),
        weight=0 if adjusted is None else tp + fp + fn,
        weighted_jaccard=0.0 if adjusted is None else (tp + fp + fn) * adjusted,
    )


def _find_links(truth: PointGraph, ends: IntArray) -> BoolArray:
    """Return which pairs of rows of the ground truth, -1 = none, are linked there."""
    n = len(truth)
    known = truth.links[:, 0] * n + truth.links[:, 1]
    linked: BoolArray = (ends >= 0).all(axis=1) & np.isin(ends[:, 0] * n + ends[:, 1], known)
    return linked


def _adjust(jaccard: float, nodes: int, total: float) -> float:
    return max(0.0, jaccard * (1 - _NODE_PENALTY * (nodes - total) / total))


def _count_swapped(result: PointGraph, truth: PointGraph, links: IntArray, ends: IntArray) -> int:
    """Count the links that are found, but divide in one of the two only."""
    return int(((result.children[links[:, 0]] > 1) != (truth.children[ends[:, 0]] > 1)).sum())


def _label_tracks(graph: PointGraph) -> IntArray:
    """Return the track of each point: a path without branches."""
    source, target = graph.links.T
    alone = (graph.children[source] == 1) & (graph.parents[target] == 1)
    return label_components(len(graph), source[alone], target[alone])[0]


def _count_tracks(truth: PointGraph, found: IntArray, touched: IntArray) -> tuple[int, int]:
    """Return the number of true tracks with a link, and of those that are complete.

    Parameters
    ----------
    found : (K, 2) int64
        Links that are found, as rows of the ground truth.
    touched : (F,) int64
        Cells with a false link.
    """
    track = _label_tracks(truth)
    n = int(track.max(initial=-1)) + 1
    inside = track[truth.links[:, 0]] == track[truth.links[:, 1]]
    length = np.bincount(track[truth.links[inside, 0]], minlength=n)
    kept = found[track[found[:, 0]] == track[found[:, 1]], 0]
    complete = (np.bincount(track[kept], minlength=n) == length) & (length > 0)
    complete[track[touched]] = False
    return int((length > 0).sum()), int(complete.sum())


def _count_pure(result: PointGraph, truth: PointGraph, row: IntArray, true_row: IntArray) -> tuple[int, int]:
    """Return how many matched points belong to the true track that is the most frequent in their track, and all."""
    pairs = np.column_stack([_label_tracks(result)[row], _label_tracks(truth)[true_row]])
    kinds, count = np.unique(pairs, axis=0, return_counts=True)
    most: Counter[int] = Counter()
    for track, number in zip(kinds[:, 0].tolist(), count.tolist(), strict=True):
        most[track] = max(most[track], number)
    return sum(most.values()), len(row)
