"""What the links alone say: the best link of each cell, and a quick guess at the solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray

__all__ = ["Around", "Best", "explanation"]

_SURE = 5.0  # log odds from which a division teaches the movie's rates and scales


@dataclass(frozen=True)
class Best:
    """The two best links of each cell in one direction of time; 0 and -1 where there is none with a gain."""

    gain: FloatArray  # (N,)
    cell: IntArray  # (N,) at the other end
    second: FloatArray  # (N,)

    @classmethod
    def of(cls, graph: CellGraph, gain: FloatArray, node: IntArray, gap: int = 1) -> Best:
        """Return the best links of each ``node``: ``graph.source`` looks ahead, ``graph.target`` back."""
        other = graph.target if node is graph.source else graph.source
        use = np.flatnonzero((graph.feature("gap") == gap) & (gain > 0))
        ends, worth, n = node[use], gain[use], len(graph.cells)
        best, second, first = np.zeros(n), np.zeros(n), np.full(n, -1)
        np.maximum.at(best, ends, worth)
        top = np.flatnonzero(worth >= best[ends])[::-1]
        first[ends[top]] = use[top]  # backwards, so that of equals the first one stays
        rest = use != first[ends]
        np.maximum.at(second, ends[rest], worth[rest])
        return cls(best, np.where(first >= 0, other[first], -1), second)

    def distinct(self, two: IntArray) -> BoolArray:
        """Tell whether two cells can both have a link with a gain, shape (M,)."""
        a, b = two.T
        same = self.cell[a] == self.cell[b]
        return np.asarray((self.cell[two] >= 0).all(axis=1) & (~same | (self.second[a] > 0) | (self.second[b] > 0)))

    def apart(self, two: IntArray) -> FloatArray:
        """Return the best total gain of two cells that may not share a link's other end, shape (M,)."""
        a, b = two.T
        same = (self.cell[a] == self.cell[b]) & (self.cell[a] >= 0)
        shared = np.maximum(self.gain[a] + self.second[b], self.second[a] + self.gain[b])
        return np.asarray(np.where(same, shared, self.gain[a] + self.gain[b]))


@dataclass(frozen=True)
class Around:
    """The best links of every cell to the frame after, to the frame before, and to the one before that."""

    ahead: Best
    before: Best
    longer: Best

    @classmethod
    def of(cls, graph: CellGraph, gain: FloatArray) -> Around:
        """Find them."""
        back = graph.target
        return cls(*(Best.of(graph, gain, node, gap) for node, gap in ((graph.source, 1), (back, 1), (back, 2))))


def explanation(graph: CellGraph, gain: FloatArray, links: IntArray, odds: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return links and pairs that are the best for all their cells: a quick guess at the solution."""
    n = len(graph.cells)
    value = odds + np.maximum(gain[links].max(axis=1, initial=-np.inf), 0) if len(links) else odds
    out, into = np.zeros(n), np.zeros(n)
    np.maximum.at(out, graph.source, gain)
    np.maximum.at(into, graph.target, gain)
    mother, daughters = graph.source[links[:, 0]], graph.target[links]
    pair_out, pair_into = np.zeros(n), np.zeros(n)
    good = odds > _SURE
    np.maximum.at(pair_out, mother[good], value[good])
    for side in (0, 1):
        np.maximum.at(pair_into, daughters[good, side], value[good])
    divided = good & (value >= pair_out[mother]) & (value > out[mother])
    for side in (0, 1):
        other = into[daughters[:, side]]
        own = gain[links[:, side]]
        divided &= (value >= pair_into[daughters[:, side]]) & ((other <= np.maximum(own, 0)) | (value > other))
    taken = np.zeros(n, bool)
    taken[daughters[divided]] = True
    used = np.zeros(n, bool)
    used[mother[divided]] = True
    best = (gain > 0) & (gain >= out[graph.source]) & (gain >= into[graph.target])
    best &= ~taken[graph.target] & ~used[graph.source]
    return best, divided
