"""Matching of points with those of a ground truth: one to one in each frame, by distance.

The rule is that of the embryo competition of 2026. Of all points of a frame that are at most a gate apart, pairs are
chosen with the largest sum of 1 / (1 + distance), and so that every point of the smaller side has a partner, if that
is possible. If it is not, points without any neighbour inside the gate may remain without one at a cost of 1, and if
that does not suffice, all points may. A point thus takes a farther partner rather than leave another one without.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray, PointGraph

__all__ = ["Neighbours", "choose_pairs", "find_neighbours", "match_points"]

_DENSE = 1_000_000  # pairs of a frame up to which all of them, also those beyond the gate, are put into a matrix
_SLACK = 1e-9  # of the gate, so that the last bit of a distance in the tree does not matter


class Neighbours(NamedTuple):
    """Pairs of a true point and a point of the result in the same frame, at most the gate apart.

    They are sorted by true point, then by point of the result.
    """

    truth: IntArray
    """(P,) rows of true points."""
    result: IntArray
    """(P,) rows of points of the result."""
    gain: FloatArray
    """(P,) 1 / (1 + distance), with the precision of 32 bits."""
    place: IntArray
    """(P,) number of the true point in its frame, from 0."""
    result_place: IntArray
    """(P,) number of the point of the result in its frame."""
    frame: IntArray
    """(P,) frame."""


def find_neighbours(result: PointGraph, truth: PointGraph, gate: float) -> Neighbours:
    """Return the pairs of points that may match.

    Parameters
    ----------
    result, truth : PointGraph
        In the same unit.
    gate : float
        Largest distance in this unit.
    """
    places, true_places = _number_in_frames(result), _number_in_frames(truth)
    found = []
    for t in np.intersect1d(result.frame, truth.frame).tolist():
        rows, true_rows = places.of_frame(t), true_places.of_frame(t)
        here, there = result.position[rows], truth.position[true_rows]
        near = cKDTree(there).sparse_distance_matrix(cKDTree(here), gate * (1 + _SLACK), output_type="ndarray")
        order = np.lexsort((near["j"], near["i"]))
        i, j = near["i"][order].astype(np.int64), near["j"][order].astype(np.int64)
        step = there[i] - here[j]
        squares = step[:, 0] ** 2
        for k in range(1, step.shape[1]):
            squares += step[:, k] ** 2
        distance = np.sqrt(squares)
        inside = distance <= gate
        i, j, distance = i[inside], j[inside], distance[inside]
        gain = (1 / (1 + distance)).astype(np.float32).astype(np.float64)
        found.append((true_rows[i], rows[j], gain, i, j, np.full(len(i), t)))
    columns = zip(*found, strict=True) if found else [[np.zeros(0, np.int64)]] * 6
    truth_row, row, gain, i, j, frame = (np.concatenate(column) for column in columns)
    return Neighbours(truth_row, row, gain.astype(np.float64), i, j, frame)


class _FramePlaces(NamedTuple):
    """Rows of points by frame, in their order."""

    order: IntArray
    bounds: IntArray

    def of_frame(self, frame: int) -> IntArray:
        """Return the rows of the points of a frame."""
        return self.order[self.bounds[frame] : self.bounds[frame + 1]]


def _number_in_frames(graph: PointGraph) -> _FramePlaces:
    order = np.argsort(graph.frame, kind="stable")
    return _FramePlaces(order, np.searchsorted(graph.frame[order], np.arange(graph.n_frames + 1)))


def match_points(neighbours: Neighbours) -> tuple[IntArray, IntArray]:
    """Return the rows of true points and of their partners in the result, each once.

    Parameters
    ----------
    neighbours : Neighbours
        All pairs that may match.

    Examples
    --------
    >>> from gnntrack.types import PointGraph
    >>> truth = PointGraph([1, 2], [0, 0], [[0.0, 0.0], [0.0, 5.0]], [], [], (1.0, 1.0))
    >>> result = PointGraph([1, 2], [0, 0], [[0.0, 4.0], [0.0, 11.0]], [], [], (1.0, 1.0))
    >>> [rows.tolist() for rows in match_points(find_neighbours(result, truth, 7.0))]  # 5 is nearer, but 0 has no other
    [[0, 1], [0, 1]]
    """
    bounds = np.append(np.flatnonzero(np.diff(neighbours.frame, prepend=-1)), len(neighbours.frame)).tolist()
    chosen: list[IntArray] = []
    for start, end in pairwise(bounds):
        here = slice(start, end)
        row, column = neighbours.place[here], neighbours.result_place[here]
        chosen.append(start + choose_pairs(row, column, neighbours.gain[here]))
    pairs = np.concatenate([np.zeros(0, np.int64), *chosen])
    return neighbours.truth[pairs], neighbours.result[pairs]


def choose_pairs(row: IntArray, column: IntArray, gain: FloatArray) -> IntArray:
    """Return which pairs of one frame match, one to one.

    Parameters
    ----------
    row, column : (P,) int64
        Number of the true point and of the point of the result in their frame; sorted by row, then column. Like in
        the program of the competition, points after the last one with a neighbour do not exist.
    gain : (P,) float64
        Above 0.

    Returns
    -------
    (K,) int64
        Indices of the pairs that are chosen.
    """
    if len(row) and row[-1] == 0:
        return np.array([np.argmax(gain)])
    shape = (int(row.max(initial=-1)) + 1, int(column.max(initial=-1)) + 1)
    full = _match_fully(row, column, gain, shape)
    if full is None:
        lonely = ~np.isin(np.arange(shape[0]), row), ~np.isin(np.arange(shape[1]), column)
        choose = _choose_among_all if shape[0] * shape[1] <= _DENSE else _choose_among_neighbours
        full = choose(row, column, gain, *lonely)
    key = row * shape[1] + column
    wanted = full[0] * shape[1] + full[1]
    return np.flatnonzero(np.isin(key, wanted))


def _match_fully(
    row: IntArray, column: IntArray, gain: FloatArray, shape: tuple[int, int]
) -> tuple[IntArray, IntArray] | None:
    """Return the best pairs in which every point of the smaller side has a partner, None if there are none."""
    if min(len(np.unique(row)), len(np.unique(column))) < min(shape):
        return None
    try:
        rows, columns = min_weight_full_bipartite_matching(csr_array((gain, (row, column)), shape), maximize=True)
    except ValueError:  # there are none
        return None
    return rows.astype(np.int64), columns.astype(np.int64)


def _choose_among_all(
    row: IntArray, column: IntArray, gain: FloatArray, lonely_row: BoolArray, lonely_column: BoolArray
) -> tuple[IntArray, IntArray]:
    """Return pairs of a small frame; those beyond the gate, which are dropped afterwards, cost 1 each."""
    weight = np.zeros((len(lonely_row), len(lonely_column)))
    weight[lonely_row], weight[:, lonely_column] = -1, -1
    weight[row, column] = gain
    i, j = np.nonzero(weight)
    full = _match_fully(i, j, weight[i, j], (len(lonely_row), len(lonely_column)))
    if full is not None:
        return full
    weight[weight == 0] = -1
    rows, columns = linear_sum_assignment(weight, maximize=True)
    return rows, columns


def _choose_among_neighbours(
    row: IntArray, column: IntArray, gain: FloatArray, lonely_row: BoolArray, lonely_column: BoolArray
) -> tuple[IntArray, IntArray]:
    """Return the same pairs as `_choose_among_all`, but for ties, without a matrix of the whole frame.

    A pair of the smaller side beyond the gate costs 1, so each pair inside it gains 1 more. With a free place for every
    point (`spare` = their number) this is the choice among all pairs; as long as points without a neighbour suffice for
    the others, or cannot suffice, it is the right one. Otherwise only they are free.
    """
    if len(lonely_row) > len(lonely_column):
        columns, rows = _choose_among_neighbours(column, row, gain, lonely_column, lonely_row)
        return rows, columns
    width = len(lonely_column)
    real = np.flatnonzero(~lonely_row)
    own = (np.concatenate([row, real]), np.concatenate([column, width + real]))
    weight = np.concatenate([gain + 2, np.ones(len(real))])  # 1 more for every pair, since 0 stands for no pair
    free = _match_rows(*own, weight)
    free_places = int(lonely_column.sum())
    if free is None or len(real) - int((free[1] < width).sum()) <= free_places:
        return _drop_spare(free, width)
    shared = np.repeat(real, free_places), np.tile(width + np.arange(free_places), len(real))
    few = (np.concatenate([row, shared[0]]), np.concatenate([column, shared[1]]))
    weight = np.concatenate([gain + 2, np.ones(len(shared[0]))])
    return _drop_spare(_match_rows(*few, weight) or free, width)


def _match_rows(row: IntArray, column: IntArray, weight: FloatArray) -> tuple[IntArray, IntArray] | None:
    """Return the best pairs in which every row that occurs has a partner."""
    rows, row = np.unique(row, return_inverse=True)
    columns, column = np.unique(column, return_inverse=True)
    if len(columns) < len(rows):
        return None
    order = np.lexsort((column, row))
    found = _match_fully(row[order], column[order], weight[order], (len(rows), len(columns)))
    return None if found is None else (rows[found[0]], columns[found[1]])


def _drop_spare(pairs: tuple[IntArray, IntArray] | None, width: int) -> tuple[IntArray, IntArray]:
    if pairs is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    inside = pairs[1] < width
    return pairs[0][inside], pairs[1][inside]
