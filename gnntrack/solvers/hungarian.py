"""The best links of a whole movie by sparse assignment: continuations, gaps, starts, ends and divisions.

Every link gains the log odds of its score against the threshold at which it pays to keep it; a cell
without links gains nothing. Each target takes one link. Each source has two places: the first takes a
continuation, the second a further daughter, at the price of a division. With one price per second link
this is one assignment problem per frame pair, and its optimum is exact (no integer program is needed).

The price of a division, however, belongs to a pair of daughters. So each second link starts with the
best that any of its pairs can gain; where the solution takes a pair that gains less, the price is set to
what the pair really gains, and the components concerned are solved again until no price is wrong.

Links over gaps are then one sparse assignment between the cells that are left without a next or without
a past. What such a link would gain is known to the frame pairs before: a cell is not bent into a
doubtful link or division if its real past lies two frames back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.solvers.assignment import best_matching, components
from gnntrack.solvers.objective import division_values, link_weights

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray, LinkScores

__all__ = ["solve_hungarian"]

_ROUNDS = 30  # corrections of division prices; what is still wrong then is taken back
_EPSILON = 1e-9


def solve_hungarian(graph: CellGraph, scores: LinkScores, *, settings: SolverSettings) -> BoolArray:
    """Choose links so that the sum of all gains is greatest.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    scores : LinkScores
        Their scores; divisions are taken from ``scores.pairs`` only.
    settings : SolverSettings
        Thresholds, and whether cells may divide.

    Returns
    -------
    (E,) bool
        The chosen links: at most one into each cell, at most one out of it, or two daughters of a scored pair.

    References
    ----------
    Jaqaman et al., Robust single-particle tracking in live-cell time-lapse sequences, Nature Methods 2008.
    """
    weight = link_weights(scores, settings)
    pairs, value = division_values(scores, weight, settings)
    leave, arrive = _gap_options(graph, weight)
    near = graph.gap == 1
    chosen = np.zeros(len(weight), bool)
    inner = np.where(near, weight - leave[graph.source] - arrive[graph.target], -np.inf)
    if len(pairs):
        value = value - leave[graph.source[pairs[:, 0]]] - arrive[graph.target[pairs]].sum(axis=1)
        pairs, value = pairs[value > 0], value[value > 0]
    if len(pairs):
        # only links that can gain matter, and those are few of the candidates
        useful = inner > 0
        useful[pairs] = True
        links = np.flatnonzero(useful)
        places = _Places(graph.source[links], graph.target[links], inner[links], np.searchsorted(links, pairs), value)
        chosen[links[places.solved()]] = True
    else:
        chosen = best_matching(graph.source, graph.target, inner)
    open_source, open_target = np.ones(len(graph.cells), bool), np.ones(len(graph.cells), bool)
    open_source[graph.source[chosen]] = False
    open_target[graph.target[chosen]] = False
    rest = np.flatnonzero(open_source[graph.source] & open_target[graph.target])
    chosen[rest] = best_matching(graph.source[rest], graph.target[rest], weight[rest])
    return chosen


def _gap_options(graph: CellGraph, weight: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what a link over a gap would gain for each cell, out of it and into it, shapes (N,).

    Only what it gains over the best link of its other end to the next frame counts, since that end will hardly
    be left free for it; a link that a better one into the same cell will take does not hold it.
    """
    near, far = np.flatnonzero((graph.gap == 1) & (weight > 0)), (graph.gap > 1) & (weight > 0)
    out, into, sure_out, sure_into, leave, arrive = (np.zeros(len(graph.cells)) for _ in range(6))
    source, target = graph.source[near], graph.target[near]
    np.maximum.at(out, source, weight[near])
    np.maximum.at(into, target, weight[near])
    first, last = weight[near] >= into[target], weight[near] >= out[source]
    np.maximum.at(sure_out, source[first], weight[near][first])
    np.maximum.at(sure_into, target[last], weight[near][last])
    source, target = graph.source[far], graph.target[far]
    np.maximum.at(leave, source, weight[far] - sure_into[target])
    np.maximum.at(arrive, target, weight[far] - sure_out[source])
    return leave, arrive


class _Places:
    """The assignment problem: links into the first places, then links into the second places."""

    def __init__(
        self, source: IntArray, target: IntArray, weight: FloatArray, pairs: IntArray, value: FloatArray
    ) -> None:
        self.n_links = len(weight)
        self.source = source
        self.weight = weight
        self.pairs, self.value = pairs, value
        self.key = pairs[:, 0] * self.n_links + pairs[:, 1]
        self.second_links = np.unique(pairs)
        self.row = np.concatenate([source, source[self.second_links] + int(source.max()) + 1])
        self.column = np.concatenate([target, target[self.second_links]])
        # a daughter counts half of the division in the first place, so that it is not outbid there
        self.first = weight.copy()
        half = value / 2
        for side in (0, 1):
            np.maximum.at(self.first, pairs[:, side], half)
        self.second = np.full(self.n_links, -np.inf)
        for side in (0, 1):
            own = np.maximum(weight[pairs[:, 1 - side]], half)
            np.maximum.at(self.second, pairs[:, side], value - own)

    def solved(self) -> BoolArray:
        """Return the chosen links."""
        gain = self._gain()
        component = components(self.row, self.column, gain > 0)
        chosen = best_matching(self.row, self.column, gain)
        for _ in range(_ROUNDS):
            wrong = self._corrected(chosen)
            if not len(wrong):
                break
            again = np.isin(component, component[wrong]) & (component >= 0)
            chosen[again] = best_matching(self.row[again], self.column[again], self._gain()[again])
        return self._links(chosen)

    def _gain(self) -> FloatArray:
        return np.concatenate([self.first, self.second[self.second_links]])

    def _taken(self, chosen: BoolArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Return chosen second links, the first link of the same source (-1 = none), and the value of both."""
        first_of = np.full(int(self.source.max()) + 1, -1)
        first = np.flatnonzero(chosen[: self.n_links])
        first_of[self.source[first]] = first
        second = self.second_links[chosen[self.n_links :]]
        partner = first_of[self.source[second]]
        key = np.minimum(second, partner) * self.n_links + np.maximum(second, partner)
        at = np.minimum(np.searchsorted(self.key, key), len(self.key) - 1)
        return second, partner, np.where((self.key[at] == key) & (partner >= 0), self.value[at], -np.inf)

    def _corrected(self, chosen: BoolArray) -> IntArray:
        """Correct the prices that the solution shows to be wrong; return links whose components change."""
        second, partner, value = self._taken(chosen)
        surplus = np.where(partner >= 0, self.first[partner], 0.0) + self.second[second] - value
        over = surplus > _EPSILON
        self.second[second[over]] -= surplus[over]
        lonely = chosen[: self.n_links].copy()
        lonely[partner[partner >= 0]] = False
        lonely &= self.first > self.weight + _EPSILON
        self.first[lonely] = self.weight[lonely]
        return np.concatenate([second[over], np.flatnonzero(lonely)])

    def _links(self, chosen: BoolArray) -> BoolArray:
        """Return the chosen links without second links that are no division, and without lonely daughters."""
        links = chosen[: self.n_links].copy()
        second, partner, value = self._taken(chosen)
        real = np.isfinite(value)
        links &= (self.weight > 0) | np.isin(np.arange(self.n_links), partner[real])
        links[second[real]] = True
        return links
