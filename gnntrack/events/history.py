"""The solution while it is revised: the past of each cell, and quick answers about its neighbours in time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.geometry import find_within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray, Lineage

__all__ = ["Change", "History", "take_best"]

_OF_CELLS = ("frame", "n_frames", "radius", "log_size", "position", "shift", "_places")  # whatever their past is
_WINDOW = 3  # cells of a track whose median size is the size of a cell


@dataclass(frozen=True)
class History:
    """Links as the past of each cell, with the measurements that events are recognised by.

    Parameters
    ----------
    graph : CellGraph
        The cells.
    past : (N,) int64
        Row of the linked earlier cell, -1 = none.
    settled : frozenset of int
        Cells whose past was decided again.
    """

    graph: CellGraph
    past: IntArray
    settled: frozenset[int] = frozenset()

    @classmethod
    def from_lineage(cls, graph: CellGraph, lineage: Lineage) -> History:
        """Return the history of a lineage that was made from the graph."""
        past = np.full(len(graph.cells), -1)
        past[lineage.target] = lineage.source
        return cls(graph, past)

    def replace(self, changes: dict[int, int]) -> History:
        """Return the history with other pasts of some cells."""
        past = self.past.copy()
        for row, new in changes.items():
            past[row] = new
        changed = History(self.graph, past, self.settled | changes.keys())
        vars(changed).update({name: value for name, value in vars(self).items() if name in _OF_CELLS})
        return changed

    @cached_property
    def frame(self) -> IntArray:
        """Frame of each cell, shape (N,)."""
        return self.graph.cells.frame

    @cached_property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.graph.cells.n_frames

    @cached_property
    def radius(self) -> FloatArray:
        """Radius of each cell, bounded, shape (N,)."""
        return self.graph.cell_radii

    @cached_property
    def log_size(self) -> FloatArray:
        """Logarithm of the size of each cell, shape (N,)."""
        return np.asarray(np.log(np.maximum(self.graph.cells.feature("size").astype(np.float64), 1e-12)))

    @cached_property
    def position(self) -> FloatArray:
        """Position of each cell, shape (N, D)."""
        return self.graph.cells.position

    @cached_property
    def shift(self) -> FloatArray:
        """Motion of the cells around each cell to the next frame, shape (N, D)."""
        cells = self.graph.cells
        return np.stack([cells.feature(f"shift_{axis}") for axis in "zyx"[-cells.ndim :]], axis=1).astype(np.float64)

    @cached_property
    def n_children(self) -> IntArray:
        """Number of links out of each cell, shape (N,)."""
        return np.bincount(self.past[self.past >= 0], minlength=len(self.past))

    @cached_property
    def _children(self) -> tuple[IntArray, IntArray]:
        """Return all linked cells by their past, and the first index of each past."""
        linked = np.flatnonzero(self.past >= 0)
        order = linked[np.argsort(self.past[linked], kind="stable")]
        return order, np.concatenate([[0], np.cumsum(self.n_children)])

    @cached_property
    def only_child(self) -> IntArray:
        """Row that each cell is linked to, -1 if there is none or more than one, shape (N,)."""
        child = np.full(len(self.past), -1)
        linked = np.flatnonzero(self.past >= 0)
        child[self.past[linked]] = linked
        child[self.n_children != 1] = -1
        return child

    def list_children(self, row: int) -> list[int]:
        """Return the rows that a cell is linked to, ascending."""
        order, start = self._children
        children: list[int] = order[start[row] : start[row + 1]].tolist()
        return children

    @cached_property
    def last_frame(self) -> IntArray:
        """Last frame of each cell's descendants and itself, shape (N,)."""
        last = self.frame.copy()
        for frame in range(self.n_frames - 1, 0, -1):
            here = self.graph.cells.rows(frame)
            linked = np.arange(here.start, here.stop)[self.past[here] >= 0]
            np.maximum.at(last, self.past[linked], last[linked])
        return last

    @cached_property
    def starts(self) -> BoolArray:
        """Whether each cell has no past though there are frames before, shape (N,)."""
        return np.asarray((self.past < 0) & (self.frame > 0))

    @cached_property
    def orphans(self) -> BoolArray:
        """Whether each cell may get a parent: it starts, and this was not decided again, shape (N,)."""
        orphans = self.starts.copy()
        orphans[list(self.settled)] = False
        return orphans

    @cached_property
    def ends(self) -> BoolArray:
        """Whether each cell has no future though there are frames after it, shape (N,)."""
        return np.asarray((self.n_children == 0) & (self.frame < self.n_frames - 1))

    def walk_back(self, row: int, count: int) -> list[int]:
        """Return a cell and those before it in its track, at most `count`, backwards."""
        rows = [row]
        while len(rows) < count and (past := int(self.past[rows[-1]])) >= 0 and self.n_children[past] == 1:
            rows.append(past)
        return rows

    def walk_on(self, row: int, count: int) -> list[int]:
        """Return a cell and those after it in its track, at most `count`, forwards."""
        rows = [row]
        while len(rows) < count and self.n_children[rows[-1]] == 1:
            rows += self.list_children(rows[-1])
        return rows

    def measure_before(self, row: int) -> float:
        """Return the median logarithmic size of a cell and those before it in its track."""
        if row not in self._before:
            self._before[row] = median(float(self.log_size[each]) for each in self.walk_back(row, _WINDOW))
        return self._before[row]

    def measure_after(self, row: int) -> float:
        """Return the median logarithmic size of a cell and those after it in its track."""
        if row not in self._after:
            self._after[row] = median(float(self.log_size[each]) for each in self.walk_on(row, _WINDOW))
        return self._after[row]

    @cached_property
    def _before(self) -> dict[int, float]:
        return {}

    @cached_property
    def _after(self) -> dict[int, float]:
        return {}

    def predict(self, row: int, frame: int) -> FloatArray:
        """Return where a cell is expected in a later frame, from the motion of the cells around it."""
        return np.asarray(self.position[row] + self.shift[row] * (frame - self.frame[row]))

    def measure_distance(self, row: int, other: int) -> float:
        """Return the distance from the expected position of a cell to a later cell, in radii of the first cell."""
        return math.hypot(*self.measure_offset(row, other)) / float(self.radius[row])

    def measure_offset(self, row: int, other: int) -> tuple[float, ...]:
        """Return the vector from the expected position of a cell to a later cell, D numbers."""
        (place, step), (end, _) = self._places[row], self._places[other]
        frames = int(self.frame[other] - self.frame[row])
        return tuple(b - a - by * frames for a, b, by in zip(place, end, step, strict=True))

    @cached_property
    def _places(self) -> list[tuple[list[float], list[float]]]:
        """Position and motion of each cell as plain numbers, which single cells are compared by many times faster."""
        return list(zip(self.position.tolist(), self.shift.tolist(), strict=True))

    def make_search(self, which: BoolArray) -> NearbySearch:
        """Return a search among some cells, (N,) bool."""
        return NearbySearch(self, which)


class Change(NamedTuple):
    """Log odds of an event against the solution, the new past of its cells, and the cells that it depends on."""

    log_odds: float
    past: dict[int, int]
    cells: frozenset[int]


def take_best(changes: Iterable[Change]) -> dict[int, int]:
    """Return the new past of cells: the best changes are made first, and no cell takes part in two of them.

    A change decides the past of its own cells. It may also change that of others, which were linked to them, unless
    these are cells of another change.

    Examples
    --------
    >>> good, better = Change(4.0, {7: 2}, frozenset({2, 7})), Change(5.0, {8: 2}, frozenset({2, 8}))
    >>> take_best([good, better])
    {8: 2}
    >>> take_best([better, Change(4.0, {8: -1, 9: 3}, frozenset({3, 9}))])
    {8: 2, 9: 3}
    """
    decided: dict[int, int] = {}
    others: dict[int, int] = {}
    used: set[int] = set()
    for change in sorted(changes, key=lambda each: -each.log_odds):
        if used.isdisjoint(change.cells):
            used |= change.cells
            for row, past in change.past.items():
                (decided if row in change.cells else others)[row] = past
    return others | decided


class NearbySearch:
    """Finds cells of a frame near a place.

    Parameters
    ----------
    history : History
        All cells.
    which : (N,) bool
        The cells that can be found.
    """

    def __init__(self, history: History, which: BoolArray) -> None:
        self._position, self._which, self._cells = history.position, which, history.graph.cells
        self._rows: dict[int, IntArray] = {}

    def find(self, place: FloatArray, frame: int, distance: float) -> list[int]:
        """Return the rows of the cells of a frame within a distance of a place (D,), ascending."""
        if frame not in self._rows:
            here = self._cells.rows(frame)
            self._rows[frame] = here.start + np.flatnonzero(self._which[here])
        rows = self._rows[frame]
        return rows[find_within(place[None], self._position[rows], distance)[0]].tolist() if len(rows) else []
