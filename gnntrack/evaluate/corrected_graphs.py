"""A result in which some of its errors are corrected, as tables of tracks and matches, which can be scored again.

No masks are drawn: a cell that is added is one that matches its cell of the ground truth and no other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.evaluate.matching import FrameMatch

if TYPE_CHECKING:
    from gnntrack.evaluate.differences import Differences
    from gnntrack.evaluate.error_kinds import ErrorOwners
    from gnntrack.types import BoolArray, IntArray

__all__ = ["correct_errors"]


def correct_errors(
    known: Differences, owners: ErrorOwners, fixed: BoolArray, n_frames: int
) -> tuple[IntArray, list[FrameMatch]]:
    """Return the tracks of the result after a correction, and the matches of its cells.

    Parameters
    ----------
    known : Differences
        Result and ground truth.
    owners : ErrorOwners
        The errors.
    fixed : (n,) bool
        Which errors are corrected: missed cells are added, merged ones separated, pieces and spurious cells deleted,
        with the links of the ground truth in place of those of the result.
    n_frames : int
        Number of frames.

    Returns
    -------
    rows : (K, 4) int64
        Label, first frame, last frame, parent (0 = none).
    matches : list of FrameMatch
        One per frame.
    """
    nodes = _Nodes(known, _take(fixed, owners.truth_cell), _take(fixed, owners.cell))
    missing, wrong = _take(fixed, owners.missing), _take(fixed, owners.wrong)
    parent = nodes.link(known, missing, wrong)
    parental = nodes.find_label_changes(known, parent, missing, _take(fixed, owners.changed))
    return nodes.number_tracks(known, parent, parental, n_frames)


def _take(fixed: BoolArray, owner: IntArray) -> BoolArray:
    """Return whether the error of each cell or link is corrected."""
    taken: BoolArray = np.append(fixed, False)[owner]
    return taken


class _Nodes:
    """The cells of the result, and after them those of the ground truth; only some are there."""

    def __init__(self, known: Differences, added: BoolArray, removed: BoolArray) -> None:
        graphs, truth, result = known.graphs, known.graphs.truth, known.graphs.result
        n = len(result.label)
        added = added & (known.alone < 0)  # the larger piece of a split cell stays
        self.n, self.removed = n, removed
        self.there = np.concatenate([~removed, added])
        self.frame = np.concatenate([result.frame, truth.frame])
        self.stand = np.where(added, n + np.arange(len(truth.label)), graphs.covered_by)
        """(W,) node of each cell of the ground truth, -1 = none."""

    def link(self, known: Differences, missing: BoolArray, wrong: BoolArray) -> IntArray:
        """Return the parent of each node, -1 = none."""
        truth, result = known.graphs.truth, known.graphs.result
        parent = np.concatenate([known.parent, np.full(len(truth.label), -1)])
        parent[result.target[wrong]] = -1
        self._leave_removed(known, parent)
        source, target = self.stand[truth.source[missing]], self.stand[truth.target[missing]]
        right = np.zeros(len(result.source), bool)
        right[known.edge] = True
        # a cell that gets its successor loses a wrong one
        gets = np.zeros(len(parent), bool)
        gets[source] = True
        lost = result.target[gets[result.source] & ~right]
        parent[lost[parent[lost] < self.n]] = -1
        parent[target] = source
        return parent

    def _leave_removed(self, known: Differences, parent: IntArray) -> None:
        """Link what follows removed cells to the cell before them, if that is its ancestor in the ground truth."""
        result, truth_frame = known.graphs.result, known.graphs.truth.frame
        orphans = np.flatnonzero((known.parent >= 0) & self.removed[known.parent] & ~self.removed)
        for cell in orphans.tolist():
            before = int(known.parent[cell])
            while before >= 0 and self.removed[before]:
                before = int(known.parent[before])
            kept = -1
            if before >= 0 and known.row_in_truth[before] >= 0 and known.row_in_truth[cell] >= 0:
                ancestor = int(known.row_in_truth[cell])
                while ancestor >= 0 and truth_frame[ancestor] > result.frame[before]:
                    ancestor = int(known.true_parent[ancestor])
                kept = before if ancestor == known.row_in_truth[before] else -1
            parent[cell] = kept

    def find_label_changes(
        self, known: Differences, parent: IntArray, missing: BoolArray, changed: BoolArray
    ) -> BoolArray:
        """Return whether the label of each node differs from that of its parent."""
        truth, result = known.graphs.truth, known.graphs.result
        parental = np.zeros(len(parent), bool)
        parental[result.target[result.parental & ~known.fork]] = True
        single = truth.parental & ~known.true_fork
        parental[self.stand[truth.target[missing]]] = single[missing]
        again = np.flatnonzero(changed[known.edge])
        parental[result.target[known.edge[again]]] = single[known.truth_edge[again]]
        children = np.bincount(parent[self.there & (parent >= 0)], minlength=len(parent))
        parental |= children[parent] > 1
        parental[parent < 0] = True
        return parental

    def number_tracks(
        self, known: Differences, parent: IntArray, parental: BoolArray, n_frames: int
    ) -> tuple[IntArray, list[FrameMatch]]:
        """Return the table of tracks and the matches."""
        head = np.where(parental, np.arange(len(parent)), parent)
        while (further := head[head] != head).any():
            head[further] = head[head[further]]
        label = np.zeros(len(parent), np.int64)
        rows = np.flatnonzero(self.there)
        heads, number = np.unique(head[rows], return_inverse=True)
        order = np.argsort(self.frame[heads], kind="stable")  # CHOTA needs parents before their daughters
        heads, number = heads[order], np.argsort(order)[number]
        label[rows] = number + 1
        end = np.zeros(len(heads), np.int64)
        np.maximum.at(end, number, self.frame[rows])
        of_parent = np.where(parent[heads] >= 0, label[parent[heads]], 0)
        table = np.stack([np.arange(1, len(heads) + 1), self.frame[heads], end, of_parent], axis=1)
        return table, self._match_frames(known, label, rows, n_frames)

    def _match_frames(self, known: Differences, label: IntArray, rows: IntArray, n_frames: int) -> list[FrameMatch]:
        truth = known.graphs.truth
        found = np.flatnonzero(self.stand >= 0)
        labels = _part_frames(truth.label, truth.frame, n_frames)[0]
        own = _part_frames(label[rows], self.frame[rows], n_frames)[0]
        matched = _part_frames(truth.label[found], truth.frame[found], n_frames, label[self.stand[found]])
        none = np.zeros(0, np.int64)
        return [
            FrameMatch(true, here, one, other, np.ones(len(one)), none, none)
            for true, here, one, other in zip(labels, own, *matched, strict=True)
        ]


def _part_frames(label: IntArray, frame: IntArray, n_frames: int, *others: IntArray) -> list[list[IntArray]]:
    """Return labels, ascending in each frame, and columns that belong to them, by frame."""
    order = np.lexsort((label, frame))
    bounds = np.searchsorted(frame[order], np.arange(1, n_frames))
    return [np.split(column[order], bounds) for column in (label, *others)]
