"""Cells of a tracking result matched with those of the ground truth, frame by frame.

A cell of the result matches a cell of the ground truth if it covers more than half of its pixels (Matula et al., 2015).
A cell of the ground truth has one match at most; a cell of the result may match several.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.masks.overlaps import find_overlaps, is_covered

if TYPE_CHECKING:
    from pathlib import Path

    from gnntrack.types import BoolArray, FloatArray, Image, IntArray

__all__ = ["FrameMatch", "MatchedGraphs", "TrackGraph", "match_frame", "match_graphs"]

_LABEL_LIMIT = 2**31


class FrameMatch(NamedTuple):
    """The cells of one frame."""

    truth: IntArray
    """(n,) labels of the ground truth, ascending."""
    result: IntArray
    """(m,) labels of the result, ascending."""
    matched_truth: IntArray
    """(k,) labels of the ground truth that have a match, ascending."""
    matched_result: IntArray
    """(k,) label of the result that covers more than half of each."""
    iou: FloatArray
    """(k,) intersection over union of each match."""
    piece: IntArray
    """(p,) labels of the result that match no label of the ground truth, but have most of their pixels in one."""
    cut: IntArray
    """(p,) this label of the ground truth."""


class TrackGraph(NamedTuple):
    """All cells of a result or a ground truth, sorted by (label, frame), and the links between them."""

    label: IntArray
    """(V,)"""
    frame: IntArray
    """(V,)"""
    source: IntArray
    """(E,) rows."""
    target: IntArray
    """(E,) rows."""
    parental: BoolArray
    """(E,) whether the link goes from a parent to its child, and not within a track."""


class MatchedGraphs(NamedTuple):
    """Result and ground truth, and the matches of their cells."""

    truth: TrackGraph
    result: TrackGraph
    covered_by: IntArray
    """(V of the ground truth,) row of the matching cell of the result, -1 = none."""
    covers: IntArray
    """(V of the result,) number of cells of the ground truth that each cell matches."""
    piece_of: IntArray
    """(V of the result,) row of the cell of the ground truth that a cell without a match is a piece of, -1 = none."""

    def list_followers(self) -> IntArray:
        """Return the label of the result that follows each cell of the ground truth, shape (V,).

        0 = no match, or one that matches other cells too.
        """
        follower = np.zeros(len(self.covered_by), np.int64)
        alone = self.covered_by >= 0
        alone[alone] = self.covers[self.covered_by[alone]] == 1
        follower[alone] = self.result.label[self.covered_by[alone]]
        return follower


def match_frame(result: Image, truth: Image, file: Path, frame: int) -> FrameMatch:
    """Match the cells of one frame.

    Parameters
    ----------
    result, truth : (Y, X) or (Z, Y, X) integer arrays
        Labels, 0 = background.
    file : Path
        The result's file, for messages.
    frame : int
        The frame's number, for messages.

    Raises
    ------
    FrameError
        If the shapes differ, or a label does not fit.
    """
    if result.shape != truth.shape:
        msg = f"has shape {result.shape}, the truth {truth.shape}; result and truth must have one shape"
        raise FrameError(msg, file=file, frame=frame)
    if max(result.max(initial=0), truth.max(initial=0)) >= _LABEL_LIMIT:
        msg = f"holds label {max(result.max(), truth.max())}; CTC labels have 16 bits"
        raise FrameError(msg, file=file, frame=frame)
    pairs = find_overlaps(result, truth)
    truth_label, result_label = (np.unique(side[side > 0]) for side in (pairs.truth, pairs.result))
    covers = pairs.covers
    inside = pairs.of_cells & is_covered(pairs.area, pairs.result_area) & ~np.isin(pairs.result, pairs.result[covers])
    matched = pairs.truth[covers], pairs.result[covers], pairs.iou[covers]
    return FrameMatch(truth_label, result_label, *matched, pairs.result[inside], pairs.truth[inside])


def match_graphs(rows: IntArray, truth_rows: IntArray, matches: list[FrameMatch]) -> MatchedGraphs:
    """Join the matches of all frames.

    Parameters
    ----------
    rows, truth_rows : (K, 4) int64
        The tables of tracks: label, first frame, last frame, parent (0 = none).
    matches : list of FrameMatch
        One per frame.
    """
    truth = _build_graph([match.truth for match in matches], truth_rows)
    result = _build_graph([match.result for match in matches], rows)
    frame = np.repeat(np.arange(len(matches)), [len(match.matched_truth) for match in matches])
    covered = _find_rows(truth, np.concatenate([match.matched_truth for match in matches]), frame)
    covering = _find_rows(result, np.concatenate([match.matched_result for match in matches]), frame)
    covered_by = np.full(len(truth.label), -1)
    covered_by[covered] = covering
    piece_of = np.full(len(result.label), -1)
    frame = np.repeat(np.arange(len(matches)), [len(match.piece) for match in matches])
    pieces = _find_rows(result, np.concatenate([match.piece for match in matches]), frame)
    piece_of[pieces] = _find_rows(truth, np.concatenate([match.cut for match in matches]), frame)
    return MatchedGraphs(truth, result, covered_by, np.bincount(covering, minlength=len(result.label)), piece_of)


def _build_graph(labels: list[IntArray], rows: IntArray) -> TrackGraph:
    """Return the graph of the cells in the masks; `labels` has those of each frame."""
    label, frame = np.concatenate(labels), np.repeat(np.arange(len(labels)), [len(each) for each in labels])
    order = np.lexsort((frame, label))
    none = np.zeros(0, np.int64)
    graph = TrackGraph(label[order], frame[order], none, none, none.astype(bool))
    within = np.flatnonzero((np.diff(graph.label) == 0) & (np.diff(graph.frame) == 1))
    child = rows[rows[:, 3] > 0]
    end = dict(zip(rows[:, 0].tolist(), rows[:, 2].tolist(), strict=True))
    parent_end = np.array([end[parent] for parent in child[:, 3].tolist()], np.int64)
    source = np.concatenate([within, _find_rows(graph, child[:, 3], parent_end)])
    target = np.concatenate([within + 1, _find_rows(graph, child[:, 0], child[:, 1])])
    return graph._replace(source=source, target=target, parental=np.arange(len(source)) >= len(within))


def _find_rows(graph: TrackGraph, label: IntArray, frame: IntArray) -> IntArray:
    """Return the row of each (label, frame); all of them exist."""
    names = np.unique(graph.label)
    stride = int(graph.frame.max(initial=0)) + 1
    key = np.searchsorted(names, graph.label) * stride + graph.frame
    return np.searchsorted(key, np.searchsorted(names, label) * stride + frame)
