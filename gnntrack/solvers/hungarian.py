"""Hungarian solver: the links of each pair of frames by sparse assignment, then links over gaps.

The value of a link is its log odds minus those of a threshold; an unlinked cell has the value 0. Each target takes one
link. Each source has two places: the first takes a continuation, the second takes another daughter. With one value per
link in the second place, this is one assignment problem per pair of frames, and its solution is exact, without an
integer program.

However, the value of a division belongs to a pair of daughters. So each link in the second place starts with the
highest value that any of its pairs can have. If the solution contains a pair of lower value, the value of the link is
lowered to it, and the components concerned are solved again, until all values in the solution are right.

Links over gaps are then one sparse assignment between the cells without a link to a later frame and those without a
link to an earlier frame. Their values already enter the assignment of the frame pairs: a cell whose past lies two
frames back does not get a doubtful link or division instead.

Detectors of points miss so many cells that links over gaps are not an exception: between points, all links are one
assignment problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.solvers.assignment import find_matching, label_edges
from gnntrack.solvers.objective import compute_division_values, compute_link_values, list_choices
from gnntrack.solvers.solution import Solution, find_deadline, is_late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray, LinkScores

__all__ = ["solve_hungarian"]

_ROUNDS = 30  # corrections of the values of divisions; divisions that are still wrong then are removed
_EPSILON = 1e-9
_BLOCK = 1 << 17  # links that are solved at once


def solve_hungarian(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> Solution:
    """Choose the links and divisions of highest total value, frame pair by frame pair, and then links over gaps.

    See `gnntrack.solvers.registry.Solver` for the parameters and the result. When time runs out, the best links and
    divisions that are still possible are taken one after the other.

    References
    ----------
    Jaqaman et al., Robust single-particle tracking in live-cell time-lapse sequences, Nature Methods 2008.
    """
    deadline = find_deadline(settings)
    link_value = compute_link_values(scores, settings)
    pairs, value = compute_division_values(scores, link_value, settings)
    if graph.cells.points:
        return Solution(_solve_points(graph, link_value, pairs, value))
    leave, arrive = _compute_gap_values(graph, link_value)
    near = graph.gap == 1
    chosen = np.zeros(len(link_value), bool)
    inner = np.where(near, link_value - leave[graph.source] - arrive[graph.target], -np.inf)
    if len(pairs):
        both = arrive[graph.target[pairs[:, 0]]] + arrive[graph.target[pairs[:, 1]]]
        value = value - leave[graph.source[pairs[:, 0]]] - both
        pairs, value = pairs[value > 0], value[value > 0]
    # only links that can raise the total matter, and those are few of the candidates
    useful = inner > 0
    useful[pairs] = True
    order = np.argsort(pairs[:, 0], kind="stable")
    pairs, value = pairs[order], value[order]
    for block in _split_by_frame(graph):
        if is_late(deadline):
            return Solution(_take_best(graph, scores, chosen, settings), stopped=True)
        links = block.start + np.flatnonzero(useful[block])
        own = slice(*np.searchsorted(pairs[:, 0], (block.start, block.stop)).tolist())
        chosen[links[_solve_block(graph, links, inner[links], np.searchsorted(links, pairs[own]), value[own])]] = True
    open_source, open_target = np.ones(len(graph.cells), bool), np.ones(len(graph.cells), bool)
    open_source[graph.source[chosen]] = False
    open_target[graph.target[chosen]] = False
    rest = np.flatnonzero(open_source[graph.source] & open_target[graph.target])
    chosen[rest] = find_matching(graph.source[rest], graph.target[rest], link_value[rest])
    return Solution(chosen)


def _take_best(graph: CellGraph, scores: LinkScores, chosen: BoolArray, settings: SolverSettings) -> BoolArray:
    """Return the chosen links and, of those that are still possible, the ones of highest value first."""
    from gnntrack.solvers.greedy import take_in_order  # slow to import

    choices = list_choices(graph, scores, settings)
    taken = np.append(np.zeros(2 * len(graph.cells), bool), False)  # the last one, -1, stands for no place
    taken[graph.source[chosen]] = taken[len(graph.cells) + graph.target[chosen]] = True
    free = np.flatnonzero(~taken[choices.place].any(axis=1))
    order = free[np.argsort(-choices.value[free], kind="stable")]
    return chosen | choices.mark_links(order[take_in_order(choices.place[order])])


def _solve_points(graph: CellGraph, link_value: FloatArray, pairs: IntArray, value: FloatArray) -> BoolArray:
    """Return which links between points are chosen: those over gaps are in the same assignment problem."""
    from gnntrack.sparse_assignment import match_sparse  # slow to import

    useful = link_value > 0
    useful[pairs] = True
    links = np.flatnonzero(useful)
    chosen = np.zeros(len(link_value), bool)
    order = np.argsort(pairs[:, 0], kind="stable")
    pairs, value = np.searchsorted(links, pairs[order]), value[order]
    chosen[links[_solve_block(graph, links, link_value[links], pairs, value, match=match_sparse)]] = True
    return chosen


def _split_by_frame(graph: CellGraph) -> Iterator[slice]:
    """Yield the links out of some frames at a time, which are independent of the others: arrays stay in the cache."""
    frames = np.searchsorted(graph.cells.frame, np.arange(graph.cells.n_frames + 1))
    bounds = np.searchsorted(graph.source, frames)
    first = 0
    while first < len(bounds) - 1:
        stop = max(first + 1, int(np.searchsorted(bounds, bounds[first] + _BLOCK, "right")) - 1)
        yield slice(int(bounds[first]), int(bounds[stop]))
        first = stop


def _solve_block(
    graph: CellGraph,
    links: IntArray,
    link_value: FloatArray,
    pairs: IntArray,
    value: FloatArray,
    *,
    match: Callable[[IntArray, IntArray, FloatArray], BoolArray] = find_matching,
) -> BoolArray:
    """Return which links of a block are chosen; `pairs` are rows of `links`."""
    if not len(links):
        return np.zeros(0, bool)
    source, target = graph.source[links], graph.target[links]
    source, target = source - source.min(), target - target.min()
    if not len(pairs):
        return match(source, target, link_value)
    return _Places(source, target, link_value, pairs, value, match).solve()


def _compute_gap_values(graph: CellGraph, value: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the value that each cell loses if it is not free for a link over a gap, out of it and into it.

    Only the excess over the best link of the other end to or from the next frame counts, since that end will rarely
    stay free. The best link of the other end does not count if a better link into the same cell excludes it.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    value : (E,) float64
        Values of the links.

    Returns
    -------
    (N,) float64, (N,) float64
    """
    near, far = np.flatnonzero((graph.gap == 1) & (value > 0)), (graph.gap > 1) & (value > 0)
    out, into, certain_out, certain_into, leave, arrive = (np.zeros(len(graph.cells)) for _ in range(6))
    source, target = graph.source[near], graph.target[near]
    np.maximum.at(out, source, value[near])
    np.maximum.at(into, target, value[near])
    first, last = value[near] >= into[target], value[near] >= out[source]
    np.maximum.at(certain_out, source[first], value[near][first])
    np.maximum.at(certain_into, target[last], value[near][last])
    source, target = graph.source[far], graph.target[far]
    np.maximum.at(leave, source, value[far] - certain_into[target])
    np.maximum.at(arrive, target, value[far] - certain_out[source])
    return leave, arrive


class _Places:
    """The assignment problem of links to the next frame: links in the first places, then links in the second places.

    Parameters
    ----------
    source, target : (E,) int64
        Cells of each link.
    link_value : (E,) float64
        Value of each link alone.
    pairs : (K, 2) int64
        Links of each division, sorted.
    value : (K,) float64
        Value of each division.
    match : callable
        Solves an assignment problem, as `find_matching` does.
    """

    def __init__(
        self,
        source: IntArray,
        target: IntArray,
        link_value: FloatArray,
        pairs: IntArray,
        value: FloatArray,
        match: Callable[[IntArray, IntArray, FloatArray], BoolArray],
    ) -> None:
        self.match = match
        self.n_links = len(link_value)
        self.source = source
        self.link_value = link_value
        self.pairs, self.value = pairs, value
        self.key = pairs[:, 0] * self.n_links + pairs[:, 1]
        self.second_links = np.unique(pairs)
        self.row = np.concatenate([source, source[self.second_links] + int(source.max()) + 1])
        self.column = np.concatenate([target, target[self.second_links]])
        # a daughter has at least half of the division's value in the first place, so that it is not outbid there
        self.first = link_value.copy()
        half = value / 2
        for side in (0, 1):
            np.maximum.at(self.first, pairs[:, side], half)
        self.second = np.full(self.n_links, -np.inf)
        for side in (0, 1):
            own = np.maximum(link_value[pairs[:, 1 - side]], half)
            np.maximum.at(self.second, pairs[:, side], value - own)

    def solve(self) -> BoolArray:
        """Return the chosen links, shape (E,)."""
        value = self._join_values()
        component = label_edges(self.row, self.column, value > 0)
        chosen = self.match(self.row, self.column, value)
        for _ in range(_ROUNDS):
            wrong = self._correct(chosen)
            if not len(wrong):
                break
            again = np.isin(component, component[wrong]) & (component >= 0)
            chosen[again] = self.match(self.row[again], self.column[again], self._join_values()[again])
        return self._select_links(chosen)

    def _join_values(self) -> FloatArray:
        return np.concatenate([self.first, self.second[self.second_links]])

    def _list_second(self, chosen: BoolArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Return the chosen second links, the first link of the same source (-1 = none), and the value of both."""
        first_of = np.full(int(self.source.max()) + 1, -1)
        first = np.flatnonzero(chosen[: self.n_links])
        first_of[self.source[first]] = first
        second = self.second_links[chosen[self.n_links :]]
        partner = first_of[self.source[second]]
        key = np.minimum(second, partner) * self.n_links + np.maximum(second, partner)
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return second, partner, np.where((self.key[at] == key) & (partner >= 0), self.value[at], -np.inf)

    def _correct(self, chosen: BoolArray) -> IntArray:
        """Correct the values that are wrong in the solution; return the links whose components change."""
        second, partner, value = self._list_second(chosen)
        surplus = np.where(partner >= 0, self.first[partner], 0.0) + self.second[second] - value
        over = surplus > _EPSILON
        self.second[second[over]] -= surplus[over]
        single = chosen[: self.n_links].copy()
        single[partner[partner >= 0]] = False
        single &= self.first > self.link_value + _EPSILON
        self.first[single] = self.link_value[single]
        return np.concatenate([second[over], np.flatnonzero(single)])

    def _select_links(self, chosen: BoolArray) -> BoolArray:
        """Return the chosen links, without second links that form no division and daughters without a sister."""
        links = chosen[: self.n_links].copy()
        second, partner, value = self._list_second(chosen)
        real = np.isfinite(value)
        links &= (self.link_value > 0) | np.isin(np.arange(self.n_links), partner[real])
        links[second[real]] = True
        return links
