"""Tracks of a first solution of points, and how they and their neighbours move."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.scores.densities import CHUNK
from gnntrack.types import StackMotion

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray

__all__ = ["STEPS", "PointField", "PointTracks", "Velocities"]

_NEIGHBOURS = 10  # points whose mean motion is the local motion
STEPS = 2
"""Steps of a point's own track, before it and after it, by which its displacement is predicted."""

_FEWEST = 3  # neighbours from which a local motion is known


@dataclass(frozen=True, eq=False)
class PointField:
    """The points of a movie without the motion of the stack.

    Parameters
    ----------
    graph : CellGraph
        Candidate links of points.
    """

    graph: CellGraph

    @cached_property
    def stack(self) -> StackMotion:
        """Motion of the stack."""
        return StackMotion.from_graph(self.graph)

    @cached_property
    def position(self) -> FloatArray:
        """Positions without it, (N, D)."""
        return self.stack.remove(self.graph.cells)

    @cached_property
    def time(self) -> IntArray:
        """Number of the time step that each point shows, (N,)."""
        return np.asarray(self.stack.shown[self.graph.cells.frame])

    def find_seen(self, distance: float) -> BoolArray:
        """Return which links pass a point in a frame between, nearer than a distance to the straight line, (E,)."""
        from scipy.spatial import cKDTree  # slow to import

        graph, cells = self.graph, self.graph.cells
        seen = np.zeros(len(graph), bool)
        first = cells.frame[graph.source]
        longest = int(graph.gap.max(initial=1))
        for frame in range(1, cells.n_frames - 1):
            rows = cells.rows(frame)
            if rows.start == rows.stop:
                continue
            low, high = np.searchsorted(first, [frame - longest + 1, frame])
            links = low + np.flatnonzero(first[low:high] + graph.gap[low:high] > frame)
            if not len(links):
                continue
            start, end = self.position[graph.source[links]], self.position[graph.target[links]]
            part = ((frame - first[links]) / graph.gap[links])[:, None]
            nearest = cKDTree(self.position[rows]).query(start + part * (end - start), distance_upper_bound=distance)[0]
            seen[links[np.isfinite(nearest)]] = True
        return seen

    @cached_property
    def neighbours(self) -> IntArray:
        """Rows of the nearest points of the same frame, nearest first, -1 where there are fewer, (N, K)."""
        from scipy.spatial import cKDTree  # slow to import

        cells = self.graph.cells
        found = np.full((len(cells), _NEIGHBOURS), -1)
        for frame in range(cells.n_frames):
            rows = cells.rows(frame)
            k = min(_NEIGHBOURS, rows.stop - rows.start - 1)
            if k > 0:
                position = self.position[rows]
                near = cKDTree(position).query(position, k + 1)[1] + rows.start
                own = near == np.arange(rows.start, rows.stop)[:, None]
                own[~own.any(axis=1), -1] = True  # another point at the same place came first
                found[rows, :k] = near[~own].reshape(-1, k)
        return found

    def average_around(self, values: FloatArray, rows: IntArray) -> FloatArray:
        """Return the mean over the neighbours of some points of values (N, D) that may be NaN; 0 if few are known."""
        result = np.zeros((len(rows), values.shape[1]))
        known = np.append(np.isfinite(values[:, 0]), False)  # the last one stands for no neighbour
        filled = np.vstack([np.nan_to_num(values), np.zeros(values.shape[1])])
        for start in range(0, len(rows), CHUNK):
            around = self.neighbours[rows[start : start + CHUNK]]
            count = known[around].sum(axis=1)
            total = filled[around].sum(axis=1)
            enough = (count >= _FEWEST)[:, None]
            result[start : start + CHUNK] = np.where(enough, total / np.maximum(count, 1)[:, None], 0)
        return result


class Velocities(NamedTuple):
    """Displacements of each point per time step along its own track."""

    values: tuple[FloatArray, ...]
    """Of the nearest steps, the nearest one first, each (N, D); 0 where there is none."""
    n_steps: IntArray
    """Number of these steps that exist, 0 to `STEPS`, (N,)."""


@dataclass(frozen=True, eq=False)
class PointTracks:
    """Tracks without divisions.

    Parameters
    ----------
    field : PointField
        The points.
    past, future : (N,) int64
        Row of the linked earlier and later point, -1 = none.
    """

    field: PointField
    past: IntArray
    future: IntArray

    @classmethod
    def from_links(cls, field: PointField, chosen: BoolArray) -> PointTracks:
        """Return the tracks of chosen candidates, (E,) bool."""
        graph = field.graph
        past, future = np.full((2, len(graph.cells)), -1)
        source, target = graph.source[chosen], graph.target[chosen]
        past[target], future[source] = source, target
        return cls(field, past, future)

    def measure_velocities(self, *, ahead: bool) -> Velocities:
        """Return the velocities after each point, or before it; steps to a copy do not count."""
        linked, time, position = self.future if ahead else self.past, self.field.time, self.field.position
        other = np.where(linked >= 0, linked, -1)
        still = (other >= 0) & (time[other] == time)  # a copy: one further
        other = np.where(still, linked[other], other)
        found = (other >= 0) & (time[other] != time)
        first = np.zeros_like(position)
        steps = (time[other] - time)[found]
        first[found] = (position[other] - position)[found] / steps[:, None]
        values, count = [first], found.astype(np.int64)
        for _ in range(STEPS - 1):
            values.append(np.where(found[:, None], values[-1][other], 0))
            count = np.where(found, 1 + np.minimum(count[other], len(values) - 1), 0)
        return Velocities(tuple(values), count)

    def measure_lengths(self) -> tuple[IntArray, IntArray]:
        """Return the number of points of its track before each point, and after it, (N,)."""
        before, after = np.zeros((2, len(self.past)), np.int64)
        cells = self.field.graph.cells
        for frame in range(cells.n_frames):
            here = cells.rows(frame)
            before[here] = np.where(self.past[here] >= 0, before[self.past[here]] + 1, 0)
        for frame in range(cells.n_frames)[::-1]:
            here = cells.rows(frame)
            after[here] = np.where(self.future[here] >= 0, after[self.future[here]] + 1, 0)
        return before, after

    def find_later(self, gap: int) -> tuple[IntArray, FloatArray]:
        """Return the point of the same track `gap` frames later, -1 if there is none, and the displacement until then.

        In a gap of the track, the displacement is interpolated; it is NaN after the end of the track.

        Returns
        -------
        (N,) int64, (N, D) float64
        """
        frame, position = self.field.graph.cells.frame, self.field.position
        at = np.arange(len(frame))  # the last point of the track up to then
        for _ in range(gap):
            following = self.future[at]
            on = (following >= 0) & (frame[following] - frame <= gap)
            at = np.where(on, following, at)
        exact = frame[at] - frame == gap
        following = self.future[at]
        inside = ~exact & (following >= 0)
        fraction = np.where(inside, (frame + gap - frame[at]) / np.maximum(frame[following] - frame[at], 1), 0.0)
        place = position[at] + fraction[:, None] * (position[following] - position[at])
        return np.where(exact, at, -1), np.where((exact | inside)[:, None], place - position, np.nan)
