"""Possible births among points: a track that goes on, and a cell near it that may be its second daughter.

In a solution without divisions, a division is a track that goes on as one daughter, while the other daughter starts
near by, perhaps some frames late, or was given to another track by a doubtful link.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import measure_lengths
from gnntrack.graph.divisions import predict_positions
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.types import log_odds

if TYPE_CHECKING:
    from gnntrack.types import CellGraph, FloatArray, IntArray, LinkScores

__all__ = ["Births", "FirstSolution", "reverse_time"]

_DOUBTFUL = 3.0  # log odds of a link that may be wrong because its target is a daughter
_FARTHEST = 2.0  # distance of two daughters, in typical distances of neighbours
_LATEST = 4  # frames from the parent to the second daughter: who is missed for longer is rarer than clutter


@dataclass(frozen=True)
class FirstSolution:
    """Tracks without divisions.

    Parameters
    ----------
    graph : CellGraph
        The candidate links.
    past, future : (N,) int64
        Row of the linked earlier and later cell, -1 = none.
    value : (E,) float64
        Log odds of the candidate links.
    moments : (N, D, D) float64, optional
        Shapes of the cells in the images; see `gnntrack.measure.point_shapes.PointShapes`.
    """

    graph: CellGraph
    past: IntArray
    future: IntArray
    value: FloatArray
    moments: FloatArray | None = None

    @classmethod
    def from_links(
        cls,
        graph: CellGraph,
        scores: LinkScores,
        source: IntArray,
        target: IntArray,
        *,
        moments: FloatArray | None = None,
    ) -> FirstSolution:
        """Return the tracks of chosen links, given the rows of their cells; no two have the same source.

        A track that ends near two cells that start goes on with one of them: daughters may be too far for a link.
        """
        past, future = np.full(len(graph.cells), -1), np.full(len(graph.cells), -1)
        past[target], future[source] = source, target
        first = cls(graph, past, future, log_odds(scores.link))
        onward = _find_onward_links(first)
        links = onward[(first.future < 0) & (onward >= 0)]
        links = links[np.unique(graph.target[links], return_index=True)[1]]
        past, future = past.copy(), future.copy()
        past[graph.target[links]], future[graph.source[links]] = graph.source[links], graph.target[links]
        return cls(graph, past, future, first.value, moments)

    @cached_property
    def first_frame(self) -> IntArray:
        """First frame of the track of each cell, shape (N,)."""
        return self._pass_on(self.past, range(self.graph.cells.n_frames))

    @cached_property
    def last_frame(self) -> IntArray:
        """Last frame of the track of each cell, shape (N,)."""
        return self._pass_on(self.future, range(self.graph.cells.n_frames)[::-1])

    def _pass_on(self, other: IntArray, frames: range) -> IntArray:
        found = self.graph.cells.frame.copy()
        for frame in frames:
            here = self.graph.cells.rows(frame)
            linked = here.start + np.flatnonzero(other[here] >= 0)
            found[linked] = found[other[linked]]
        return found

    @cached_property
    def value_of_past(self) -> FloatArray:
        """Log odds of the chosen link into each cell, -inf = there is none, shape (N,)."""
        value = np.full(len(self.past), -np.inf)
        chosen = self.past[self.graph.target] == self.graph.source
        value[self.graph.target[chosen]] = self.value[chosen]
        return value

    @cached_property
    def spacing(self) -> FloatArray:
        """Typical distance of neighbouring cells around each cell, shape (N,), in the unit of the cells."""
        cells = self.graph.cells
        field = float(np.prod(np.asarray(cells.shape) * np.asarray(cells.spacing)))
        density = np.maximum(cells.feature("density").astype(np.float64), 1 / field)
        return np.asarray(density ** (-1 / cells.ndim))

    @cached_property
    def noise(self) -> float:
        """Typical distance of a cell from its predicted place in the next frame, in the unit of the cells."""
        return estimate_of_movie("births.noise", self._measure_noise)

    def _measure_noise(self) -> float:
        graph = self.graph
        near = (graph.gap == 1) & (self.past[graph.target] == graph.source)
        residual = graph.feature("residual")[near] * graph.cell_radii[graph.source[near]]
        least = 1e-3 * float(np.median(self.spacing)) if len(self.spacing) else 1.0
        return max(float(np.median(residual)) if len(residual) else 0.0, least)

    def find_at(self, rows: IntArray, frame: IntArray) -> IntArray:
        """Return the cells of tracks in later frames.

        Parameters
        ----------
        rows : (M,) int64
            A cell of each track; -1 = none.
        frame : (M,) int64
            The frames.

        Returns
        -------
        (M,) int64
            -1 where the track has no cell in the frame.
        """
        at, own = rows.copy(), self.graph.cells.frame
        before = np.flatnonzero((at >= 0) & (own[at] < frame))
        while len(before):
            at[before] = self.future[at[before]]
            before = before[at[before] >= 0]
            before = before[own[at[before]] < frame[before]]
        return np.where((at >= 0) & (own[at] == frame), at, -1)

    def walk(self, rows: IntArray, step: IntArray, count: int) -> IntArray:
        """Return the cells (M, count) of tracks from given cells on, along `past` or `future`; -1 = none."""
        walked = [rows]
        for _ in range(count - 1):
            walked.append(np.where(walked[-1] >= 0, step[walked[-1]], -1))
        return np.stack(walked, axis=1)


@dataclass(frozen=True)
class Births:
    """Possible births.

    Parameters
    ----------
    links : (M, 2) int64
        Rows of the candidate links from the parent to the daughter that its track goes on with, and to the other one.
    parent, sister, late : (M,) int64
        Rows of the cells: the parent, the next cell of its track, and the other daughter, who may be detected some
        frames later than her sister.
    twin : (M,) int64
        The cell of the sister's track in the frame of the other daughter.
    """

    links: IntArray
    parent: IntArray
    sister: IntArray
    late: IntArray
    twin: IntArray

    @classmethod
    def find(cls, first: FirstSolution) -> Births:
        """Return the pairs of a track that goes on and of a cell near it that starts, or whose past is doubtful.

        A track that ends goes on with the first cell that starts near it, in case that both daughters are too far away.
        """
        graph = first.graph
        source, target, frame = graph.source, graph.target, graph.cells.frame
        onward = _find_onward_links(first)
        doubtful = first.value_of_past[target] < _DOUBTFUL
        possible = doubtful & (graph.gap <= _LATEST)
        rows = np.flatnonzero((onward[source] >= 0) & (first.past[target] != source) & possible)
        parent, late = source[rows], target[rows]
        sister = target[onward[parent]]
        twin = first.find_at(sister, frame[late])
        apart = measure_lengths(graph.cells.position[late] - graph.cells.position[twin])
        near = (twin >= 0) & (twin != late) & (apart < _FARTHEST * first.spacing[parent])
        links = np.stack([onward[parent], rows], axis=1)
        return cls(*(each[near] for each in (links, parent, sister, late, twin)))

    def __len__(self) -> int:
        return len(self.links)


def _find_onward_links(first: FirstSolution) -> IntArray:
    """Return the link from each cell to the next one of its track, or to one of two that start near it; -1 = none."""
    graph = first.graph
    onward = np.full(len(graph.cells), -1)
    starts = np.flatnonzero((first.future[graph.source] < 0) & (first.past[graph.target] < 0))
    two = np.bincount(graph.source[starts], minlength=len(onward)) > 1
    starts = starts[two[graph.source[starts]]]
    order = starts[np.lexsort((first.value[starts], -graph.gap[starts]))]
    onward[graph.source[order]] = order  # of equal sources the last one is kept: the shortest gap, the highest value
    chosen = np.flatnonzero(first.past[graph.target] == graph.source)
    onward[graph.source[chosen]] = chosen
    return onward


def reverse_time(first: FirstSolution) -> FirstSolution:
    """Return the same tracks backwards in time, where nothing divides.

    Misses, clutter and swaps of neighbours look the same in both directions, so that births in the reversed movie are
    as common as births that are none in the movie.
    """
    graph, cells = first.graph, first.graph.cells
    order = np.lexsort((cells.label, -cells.frame))
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    features = cells.features[order].copy()
    columns = [cells.feature_names.index(f"shift_{axis}") for axis in "zyx"[-cells.ndim :]]
    features[:, columns] = -_find_shifts_to(first)[order]
    backwards = replace(
        cells,
        frame=cells.n_frames - 1 - cells.frame[order],
        label=cells.label[order],
        position=cells.position[order],
        features=features,
    )
    key = row[graph.target] * len(cells) + row[graph.source]
    links = np.argsort(key)
    key, names = key[links], ("gap", "residual")  # all that is read below
    reversed_graph = replace(
        graph,
        cells=backwards,
        source=key // len(cells),
        target=key % len(cells),
        features=np.stack([graph.feature(name)[links] for name in names], axis=1),
        feature_names=names,
    )
    del key
    past, future = (np.where(each >= 0, row[each], -1)[order] for each in (first.future, first.past))
    moments = None if first.moments is None else first.moments[order]
    return FirstSolution(reversed_graph, past, future, first.value[links], moments)


def _find_shifts_to(first: FirstSolution) -> FloatArray:
    """Return the motion around each cell from the frame before, shape (N, D): that of its past, or the typical one."""
    cells = first.graph.cells
    shift = predict_positions(cells, np.arange(len(cells))) - cells.position
    found = np.zeros_like(shift)
    for frame in range(1, cells.n_frames):
        here, before = cells.rows(frame), cells.rows(frame - 1)
        if before.start < before.stop:
            found[here] = np.median(shift[before], axis=0)
    near = np.flatnonzero((first.past >= 0) & (cells.frame[first.past] == cells.frame - 1))
    found[near] = shift[first.past[near]]
    return found
