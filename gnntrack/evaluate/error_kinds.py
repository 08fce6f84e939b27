"""The errors of a tracking result, each with a kind and its cost in corrections.

Every correction that turns the graph of the result into that of the ground truth (Matula et al., 2015) belongs to one
error:

1. **Cells.** Cells of the ground truth that are missed, merged with others, or cut into pieces are one error as long as
   they follow one another. It is *broken* there if a cell behind it has another ancestor in the result than the cell
   before it. Cells of the result that match nothing are *spurious*.
2. **Divisions.** A division of which a link lacks is missed; links of the result to several daughters, of which one is
   wrong, are a false division.
3. **Links.** The other wrong and missing links form chains, in which neighbours share a cell. A chain that touches an
   error of the two groups above belongs to it, to the nearest if there are several. Others have a kind of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

if TYPE_CHECKING:
    from gnntrack.evaluate.differences import Differences
    from gnntrack.types import BoolArray, IntArray

__all__ = ["ERROR_KINDS", "ErrorOwners", "find_owners"]

_MISSED, _SPLIT, _MERGED = 0, 2, 4

ERROR_KINDS = {
    "missed cell": "the result lacks the cell, for one or more frames; nothing is broken by it",
    "broken at a missed cell": "the result lacks the cell, and what follows it has another ancestor",
    "split cell": "the cell is in pieces; nothing is broken by it",
    "broken at a split cell": "the cell is in pieces, and what follows it has another ancestor",
    "merged cells": "one mask covers several cells; nothing is broken by it",
    "broken at merged cells": "one mask covers several cells, and what follows one of them has another ancestor",
    "spurious cell": "the ground truth has no cell there",
    "missed division": "a link to a daughter is missing",
    "false division": "the result has several daughters, and one of them is wrong",
    "swap": "two or more cells are linked to the successors of each other",
    "false end": "a track ends, and its successor is linked to a cell that ends in the ground truth",
    "false start": "a track starts, and its predecessor is linked to a cell that starts in the ground truth",
    "missed link": "both cells are there, but a track ends at the first and another starts at the second",
    "wrong link": "a link to another cell, alone or in a chain of them",
    "changed label": "a link is right, but only one side changes the label there",
}
"""Kind of an error to its description, in the order of tables."""

_KINDS = tuple(ERROR_KINDS)
_CHAINS = {(1, 0): "missed link", (0, 1): "wrong link"}


class ErrorOwners(NamedTuple):
    """The error that each cell and link belongs to, -1 = none; errors are numbered from 0."""

    kind: list[str]
    """Kind of each error."""
    truth_cell: IntArray
    """(W,) errors of missed, split and merged cells of the ground truth."""
    cell: IntArray
    """(V,) those of spurious and merged cells and pieces of the result."""
    missing: IntArray
    """(F,) those of links that the result lacks."""
    wrong: IntArray
    """(E,) those of links of the result that are not right."""
    changed: IntArray
    """(E,) those of links that are right, but change the label on one side only."""


def find_owners(known: Differences) -> ErrorOwners:
    """Return the errors of a result."""
    kind: list[str] = []
    truth_cell, cell = _own_cells(known, kind)
    missing, wrong = _own_seeds(known, truth_cell, cell)
    right = np.zeros(len(wrong), bool)
    right[known.edge] = True
    _own_divisions(known, kind, missing, wrong)
    chains = _Chains(known, np.flatnonzero(known.missing), np.flatnonzero(~right))
    chains.spread(missing, wrong)
    chains.name_rest(kind, missing, wrong)
    changed = _own_changes(known, kind, ErrorOwners(kind, truth_cell, cell, missing, wrong, np.full(len(wrong), -1)))
    return ErrorOwners(kind, truth_cell, cell, missing, wrong, changed)


def _own_cells(known: Differences, kind: list[str]) -> tuple[IntArray, IntArray]:
    """Return the errors of cells of the ground truth, and of the result."""
    graphs, truth, result = known.graphs, known.graphs.truth, known.graphs.result
    state = np.full(len(truth.label), -1)
    state[graphs.covered_by < 0] = _MISSED
    pieces = np.flatnonzero(graphs.piece_of >= 0)
    state[graphs.piece_of[pieces]] = _SPLIT
    merged = np.flatnonzero(graphs.covered_by >= 0)
    merged = merged[graphs.covers[graphs.covered_by[merged]] > 1]
    state[merged] = _MERGED
    faulty = np.flatnonzero(state >= 0)
    inside = (state[truth.source] >= 0) & (state[truth.target] >= 0)
    # cells of one mask are joined through a node for the mask
    joined = np.concatenate([truth.source[inside], merged])
    others = np.concatenate([truth.target[inside], len(truth.label) + graphs.covered_by[merged]])
    part = _find_parts(joined, others, len(truth.label) + len(result.label))
    truth_cell, cell = np.full(len(truth.label), -1), np.full(len(result.label), -1)
    _, truth_cell[faulty] = np.unique(part[faulty], return_inverse=True)
    worst = np.full(int(truth_cell.max(initial=-1)) + 1, _MISSED)
    np.maximum.at(worst, truth_cell[faulty], state[faulty])
    broken = _find_broken(known, truth_cell, len(worst))
    kind.extend(_KINDS[number] for number in (worst + broken).tolist())
    cell[pieces] = truth_cell[graphs.piece_of[pieces]]
    cell[graphs.covered_by[merged]] = truth_cell[merged]
    spurious = np.flatnonzero((graphs.covers == 0) & (graphs.piece_of < 0))
    is_spurious = np.zeros(len(result.label), bool)
    is_spurious[spurious] = True
    inside = is_spurious[result.source] & is_spurious[result.target]
    part = _find_parts(result.source[inside], result.target[inside], len(result.label))
    names, number = np.unique(part[spurious], return_inverse=True)
    cell[spurious] = number + len(kind)
    kind.extend(["spurious cell"] * len(names))
    return truth_cell, cell


def _find_parts(one: IntArray, other: IntArray, n: int) -> IntArray:
    """Return the number of the connected part of each of `n` nodes."""
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(n, n))
    part: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
    return part


def _find_broken(known: Differences, truth_cell: IntArray, n: int) -> BoolArray:
    """Return for each of `n` errors of cells whether a cell behind it has lost its ancestor before it."""
    truth, result = known.graphs.truth, known.graphs.result
    broken = np.zeros(n, bool)
    leaves = (truth_cell[truth.source] >= 0) & (truth_cell[truth.target] < 0)
    for source, target in zip(truth.source[leaves].tolist(), truth.target[leaves].tolist(), strict=True):
        before = source
        while before >= 0 and truth_cell[before] >= 0:
            before = int(known.true_parent[before])
        if before >= 0 and not _descends(
            known.parent, result.frame, int(known.alone[target]), int(known.alone[before])
        ):
            broken[truth_cell[source]] = True
    return broken


def _descends(parent: IntArray, frame: IntArray, cell: int, ancestor: int) -> bool:
    """Return whether a cell is an ancestor of another, or the same cell before."""
    while cell >= 0 and frame[cell] > frame[ancestor]:
        cell = int(parent[cell])
    return cell == ancestor


def _own_seeds(known: Differences, truth_cell: IntArray, cell: IntArray) -> tuple[IntArray, IntArray]:
    """Return the errors of the links that touch an error of a cell: those of the ground truth, those of the result."""
    truth, result = known.graphs.truth, known.graphs.result
    missing = np.where(truth_cell[truth.target] >= 0, truth_cell[truth.target], truth_cell[truth.source])
    missing[~known.missing] = -1
    own = cell.copy()
    there = known.row_in_truth >= 0
    own[there] = truth_cell[known.row_in_truth[there]]  # the larger piece of a split cell
    wrong = np.where(own[result.target] >= 0, own[result.target], own[result.source])
    wrong[known.edge] = -1
    return missing, wrong


def _own_divisions(known: Differences, kind: list[str], missing: IntArray, wrong: IntArray) -> None:
    """Give the links of missed and of false divisions to errors of their own, unless a cell nearby explains them."""
    truth, result = known.graphs.truth, known.graphs.result
    lacking = np.flatnonzero(known.missing & known.true_fork & (missing < 0))
    parents, number = np.unique(truth.source[lacking], return_inverse=True)
    missing[lacking] = number + len(kind)
    kind.extend(["missed division"] * len(parents))
    explained = np.zeros(len(truth.label), bool)  # cells whose link from the parent lacks for a known reason
    explained[truth.target[missing >= 0]] = True
    divides = np.zeros(len(truth.label), bool)
    divides[truth.source[lacking]] = True
    false = np.flatnonzero(known.wrong & known.fork & (wrong < 0))
    source, target = known.row_in_truth[result.source[false]], known.row_in_truth[result.target[false]]
    false = false[~explained[target] & ~divides[source]]
    parents, number = np.unique(result.source[false], return_inverse=True)
    wrong[false] = number + len(kind)
    kind.extend(["false division"] * len(parents))


class _Chains:
    """Missing and wrong links; those are neighbours that start or end at the same cell."""

    def __init__(self, known: Differences, missing: IntArray, wrong: IntArray) -> None:
        truth, result = known.graphs.truth, known.graphs.result
        self.missing, self.wrong = missing, wrong
        self.alone = known.alone
        n = len(result.label)
        starts = np.concatenate([known.alone[truth.source[missing]], result.source[wrong]])
        ends = np.concatenate([known.alone[truth.target[missing]], result.target[wrong]])
        ends[ends >= 0] += n
        side = np.concatenate([starts, ends])
        link = np.tile(np.arange(len(starts)), 2)
        self.link, self.side = link[side >= 0], side[side >= 0]
        self.n_sides = 2 * n

    def spread(self, missing: IntArray, wrong: IntArray) -> None:
        """Give each link without an error that of the nearest link that has one."""
        owner = self._join(missing, wrong)
        none = len(missing) + len(wrong) + self.n_sides  # larger than the number of any error
        while True:
            best = np.full(self.n_sides, none)
            np.minimum.at(best, self.side, np.where(owner[self.link] >= 0, owner[self.link], none))
            near = np.full(len(owner), none)
            np.minimum.at(near, self.link, best[self.side])
            new = (owner < 0) & (near < none)
            if not new.any():
                break
            owner[new] = near[new]
        self._part(owner, missing, wrong)

    def name_rest(self, kind: list[str], missing: IntArray, wrong: IntArray) -> None:
        """Make an error of each chain that belongs to no other."""
        owner = self._join(missing, wrong)
        rest = np.flatnonzero(owner < 0)
        free = owner[self.link] < 0
        part = _find_parts(self.link[free], len(owner) + self.side[free], len(owner) + self.n_sides)
        names, number = np.unique(part[rest], return_inverse=True)
        owner[rest] = number + len(kind)
        of_truth = np.bincount(number[rest < len(self.missing)], minlength=len(names))
        of_result = np.bincount(number[rest >= len(self.missing)], minlength=len(names))
        sides = np.unique(np.stack([part[self.link[free]], self.side[free]]), axis=1)
        ends = np.bincount(np.searchsorted(names, sides[0]), minlength=len(names))
        is_end = self.side[free] >= self.n_sides // 2
        shared = np.zeros(len(names), bool)  # whether two links end at one cell
        some, count = np.unique(self.side[free][is_end], return_counts=True)
        twice = np.isin(self.side[free], some[count > 1])
        shared[np.searchsorted(names, part[self.link[free][twice]])] = True
        for each in range(len(names)):
            m, w = int(of_truth[each]), int(of_result[each])
            if m == w > 1 and ends[each] == m + w:
                kind.append("swap")
            elif (m, w) == (1, 1):
                kind.append("false end" if shared[each] else "false start")
            else:
                kind.append(_CHAINS.get((m, w), "wrong link"))
        self._part(owner, missing, wrong)

    def _join(self, missing: IntArray, wrong: IntArray) -> IntArray:
        return np.concatenate([missing[self.missing], wrong[self.wrong]])

    def _part(self, owner: IntArray, missing: IntArray, wrong: IntArray) -> None:
        missing[self.missing], wrong[self.wrong] = np.split(owner, [len(self.missing)])


def _own_changes(known: Differences, kind: list[str], owners: ErrorOwners) -> IntArray:
    """Return the errors of links that are right but within a track on one side only."""
    truth, result = known.graphs.truth, known.graphs.result
    changed = np.full(len(result.source), -1)
    differ = result.parental[known.edge] != truth.parental[known.truth_edge]
    beside = np.full(len(result.label), -1)  # error of a link that starts at a cell
    np.maximum.at(beside, result.source, owners.wrong)
    lacking = np.full(len(truth.label), -1)
    np.maximum.at(lacking, truth.source, owners.missing)
    for edge, true_edge in zip(known.edge[differ].tolist(), known.truth_edge[differ].tolist(), strict=True):
        owner = max(int(beside[result.source[edge]]), int(lacking[truth.source[true_edge]]))
        if owner < 0:
            owner = len(kind)
            kind.append("changed label")
        changed[edge] = owner
    return changed
