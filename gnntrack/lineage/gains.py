"""Expected gain of a check: how many errors of the result a person is expected to find and correct at a place.

It is ``exp(a + b log(doubt) + c x)``, where the doubt is the probability that something is wrong at the place, and x
describes what is around it: a Poisson regression. A wrong link between crowded cells, or beside a track that ends,
comes with more errors than one between cells that are far apart. The weights, a set for each kind of place, are in
``confidence.json``; they are fitted by ``benchmarks/review.py`` on movies with ground truth. An error is a cell, a link
or a division that a result has and the ground truth has not, or the other way round (`gnntrack.evaluate.mistakes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from gnntrack.lineage.open_tracks import OpenTracks
    from gnntrack.types import BoolArray, Cells, FloatArray, IntArray, Lineage

__all__ = ["GAIN_EVIDENCE", "GAIN_KINDS", "Surroundings", "expect_gain", "measure_surroundings"]

GAIN_EVIDENCE = ("doubt", "starts", "ends", "jump", "step", "space", "border", "short")
"""Logarithm of the doubt; whether other tracks start, or end, nearby; ratio of sizes; step against those of the
neighbours; distance to the nearest cell, and to the border; whether the track has at most two frames."""
GAIN_KINDS = {
    **{kind: kind for kind in ("link", "division", "start", "end", "short track")},
    **dict.fromkeys(("size", "filled mask", "split mask", "merged fragments", "pieces"), "mask"),
}
"""The set of weights of each kind of place."""

_MOST = 10.0  # largest gain
_LEAST = 1e-4  # doubts below it count as this
_NEIGHBOURS = 6
_BLOCK = 1 << 16  # cells whose neighbours are known at the same time
_FEW = 250  # cells of a frame up to which all distances are computed in less time than a tree is built
_FAR = {"jump": 1.0, "step": 1.5, "space": 3.0, "border": 5.0}  # largest values


@dataclass(frozen=True)
class Surroundings:
    """What is around each cell; distances are in steps that a cell may make in a frame (`OpenTracks.reach`).

    Parameters
    ----------
    starts, ends : (N,) bool
        Whether another track begins, or ends, nearby in the same frame.
    jump : (N,) float64
        Logarithm of the ratio of sizes, without sign, between the cell and the one before it; 0 without any.
    step : (N,) float64
        Difference between the step to the cell and the median step to its neighbours; 0 without any.
    space : (N,) float64
        Distance to the nearest cell in its frame.
    border : (N,) float64
        Distance to the border of the frame.
    short : (N,) bool
        Whether the track of the cell has at most two frames.
    """

    starts: BoolArray
    ends: BoolArray
    jump: FloatArray
    step: FloatArray
    space: FloatArray
    border: FloatArray
    short: BoolArray

    def describe(self, source: IntArray, target: IntArray, doubt: FloatArray) -> FloatArray:
        """Return the evidence of links, or of other places of which both cells are the same, (P, E) float64.

        The columns are those of `GAIN_EVIDENCE`.
        """
        of_target = (self.jump, self.step, self.space, self.border)
        columns = [np.log(np.maximum(doubt, _LEAST)), self.starts[target], self.ends[source]]
        columns += [each[target] for each in of_target] + [np.maximum(self.short[source], self.short[target])]
        return np.stack(columns, axis=1)


def measure_surroundings(lineage: Lineage, opened: OpenTracks) -> Surroundings:
    """Return what is around each cell of a lineage.

    Examples
    --------
    Two cells that stay 20 pixels apart:

    >>> import gnntrack
    >>> from gnntrack.lineage.open_tracks import find_open_tracks
    >>> masks = np.zeros((3, 60, 60), np.uint8)
    >>> masks[:, 20:30, 10:20], masks[:, 20:30, 30:40] = 1, 2
    >>> lineage = gnntrack.track(masks=masks)
    >>> found = measure_surroundings(lineage, find_open_tracks(lineage))
    >>> found.step.tolist(), float(found.space.max())
    ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 3.0)
    """
    cells, n = lineage.cells, len(lineage.cells)
    if not n:
        none = np.zeros(0)
        return Surroundings(none > 0, none > 0, none, none, none, none, none > 0)
    reach = max(opened.reach, 1e-9)
    starts, ends = np.zeros((2, n), bool)
    starts[np.append(opened.starts, opened.border_starts)] = True
    ends[np.append(opened.ends, opened.border_ends)] = True
    before = np.full(n, -1, np.int32)
    before[lineage.target] = lineage.source
    near_starts, near_ends = np.zeros((2, n), bool)
    differs, space = np.zeros((2, n))
    for frames in _list_blocks(cells):
        rows = slice(cells.rows(frames.start).start, cells.rows(frames.stop - 1).stop)
        near, distance = _find_neighbours(cells, frames)
        distance = distance / reach
        close: BoolArray = distance < 2
        near_starts[rows], near_ends[rows] = _is_any(starts[rows], near, close), _is_any(ends[rows], near, close)
        step = _measure_steps(cells, rows, before[rows])
        differs[rows] = np.minimum(_compare_steps(step, near, distance) / reach, _FAR["step"])
        space[rows] = np.minimum(distance.min(axis=1, initial=_FAR["space"]), _FAR["space"])
    return Surroundings(
        near_starts,
        near_ends,
        _measure_jumps(lineage),
        differs,
        space,
        np.clip(opened.distance / reach, 0, _FAR["border"]),
        opened.short,
    )


def _measure_steps(cells: Cells, rows: slice, before: npt.NDArray[np.integer]) -> FloatArray:
    """Return the step to each of some cells from the cell before it, (n, D); NaN without one, where `before` is -1."""
    step = cells.position[rows] - cells.position[before]
    step[before < 0] = np.nan
    return np.asarray(step)


def _measure_jumps(lineage: Lineage) -> FloatArray:
    """Return the ratio of sizes of each cell and the one before it, as of `Surroundings`, (N,)."""
    cells, source, target = lineage.cells, lineage.source, lineage.target
    if not cells.has("size"):
        return np.broadcast_to(0.0, len(cells))  # takes no memory
    jump = np.zeros(len(cells))
    size = np.log(np.maximum(cells.feature("size").astype(np.float64), 1e-9))
    jump[target] = np.minimum(np.abs(size[target] - size[source]), _FAR["jump"])
    return jump


def _list_blocks(cells: Cells) -> Iterator[slice]:
    """Yield blocks of frames with about as many cells each; what is around all cells takes more memory than they do."""
    first = 0
    for frame in range(cells.n_frames):
        if frame + 1 == cells.n_frames or cells.rows(frame).stop - cells.rows(first).start >= _BLOCK:
            yield slice(first, frame + 1)
            first = frame + 1


def _find_neighbours(cells: Cells, frames: slice) -> tuple[IntArray, FloatArray]:
    """Return the nearest cells in the frame of each cell, (n, K), and their distances; infinite if there are fewer.

    Cells are those of some frames, counted from the first of them.
    """
    first, stop = cells.rows(frames.start).start, cells.rows(frames.stop - 1).stop
    near = np.repeat(np.arange(stop - first)[:, None], _NEIGHBOURS, axis=1)
    distance = np.full(near.shape, np.inf)
    for frame in range(frames.start, frames.stop):
        rows = np.arange(stop - first)[cells.rows(frame).start - first : cells.rows(frame).stop - first]
        if len(rows) > 1:
            found, lengths = _find_nearest_others(cells.position[cells.rows(frame)])
            near[rows, : found.shape[1]], distance[rows, : found.shape[1]] = rows[found], lengths
    return near, distance


def _find_nearest_others(position: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the nearest other points of each point, (n, K), and their distances; at least two points."""
    n = len(position)
    k = min(_NEIGHBOURS, n - 1)
    if n <= _FEW:
        lengths = np.sqrt(((position[:, None] - position[None]) ** 2).sum(axis=2))
        np.fill_diagonal(lengths, np.inf)
        near = np.argpartition(lengths, k - 1, axis=1)[:, :k]
        return near, np.take_along_axis(lengths, near, 1)
    from scipy.spatial import cKDTree  # slow to import

    lengths, near = cKDTree(position).query(position, k=k + 1)
    own = near == np.arange(n)[:, None]
    own[~own.any(axis=1), -1] = True  # of many points at the same place
    kept = (~own).nonzero()[1].reshape(n, k)
    return np.take_along_axis(near, kept, 1), np.take_along_axis(lengths, kept, 1)


def _is_any(which: BoolArray, near: IntArray, close: BoolArray) -> BoolArray:
    """Return which cells have such a neighbour close by."""
    return np.asarray((which[near] & close).any(axis=1))


def _compare_steps(step: FloatArray, near: IntArray, distance: FloatArray) -> FloatArray:
    """Return the length of the difference of each step from the median of the neighbours', 0 if not known."""
    others = np.where(np.isfinite(distance)[..., None], step[near], np.nan)
    known = np.isfinite(step[:, 0]) & np.isfinite(others[..., 0]).any(axis=1)
    found = np.zeros(len(step))
    found[known] = np.linalg.norm(step[known] - np.nanmedian(others[known], axis=1), axis=1)
    return found


def expect_gain(kind: str, doubt: FloatArray, evidence: FloatArray, weights: Mapping[str, Any]) -> FloatArray:
    """Return the expected number of errors at places of a kind, (P,) float64.

    Parameters
    ----------
    kind : str
        One of `GAIN_KINDS`.
    doubt : (P,) float64
        Probability that something is wrong there; where it is 0, so is the gain.
    evidence : (P, E) float64
        From `Surroundings.describe`.
    weights : mapping
        A set of weights and an intercept for each kind.
    """
    own = weights[GAIN_KINDS[kind]]
    value = evidence @ [own[name] for name in GAIN_EVIDENCE] + own["intercept"]
    return np.where(np.asarray(doubt) > 0, np.exp(np.minimum(value, np.log(_MOST))), 0.0)
