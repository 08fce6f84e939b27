"""Candidate links between points: as those of cells with masks, after the motion of the whole stack is removed.

A link may span several frames, since detectors miss cells. Its gate grows with the square root of the number of time
steps, and it leads from a point without a clear future to one without a clear past. A point of a frame that is copied
has one candidate, its copy. The distances of all features are those without the motion of the stack.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import measure_lengths
from gnntrack.graph.candidates import (
    COMPETITION,
    RATIOS,
    add_motion,
    bound_radii,
    compute_log_ratio,
    fill_competition,
    replace_zeros,
)
from gnntrack.graph.stack import describe_stack, estimate_stack
from gnntrack.movie_scales import are_scales_known, estimate_of_movie
from gnntrack.types import CellGraph, Provenance, StackMotion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scipy.spatial import cKDTree

    from gnntrack.settings import GraphSettings, MotionSettings
    from gnntrack.types import BoolArray, Cells, FeatureArray, FloatArray, IntArray, Progress

__all__ = ["build_point_links", "measure_rounding"]

_log = logging.getLogger(__name__)

_FEW = 30  # pairs below which nothing is known about how far points move
_FEWEST = 3  # pairs of points from which a local motion is estimated
_ROUNDS = 2  # estimates of the local motion, each from pairs that the one before predicts
_ONE_SIGMA = 0.6827  # quantile
_GATE_SIGMAS = 5.0  # the gate is at least this many standard deviations
_GATE_FAR = 3.0  # and this many 99 % quantiles, up to a distance of neighbours:
_GATE_APART = 1.5  # in typical distances of nearest points: daughters move farther than other cells
_GAP_APART = 1.2  # the same for links over several frames
_GATE_LEAST = 0.3  # in typical distances of nearest points; the gate is at least this
_WHOLE = 0.95  # fraction of whole positions along an axis on which all are rounded
_SPREAD = 0.5  # of a pixel: positions that differ by less are not rounded to whole ones
_CHUNK = 1 << 16  # links whose features are computed at once
_CLEAR = 0.5  # standard deviations up to which mutual nearest points are clear partners, so that gaps skip them


def build_point_links(
    cells: Cells, *, motion: MotionSettings, settings: GraphSettings, progress: Progress | None = None
) -> CellGraph:
    """Return the candidate links between points with their features.

    Parameters
    ----------
    cells : Cells
        Points of a movie.
    motion : MotionSettings
        Whether the motion of the stack and the local motion are estimated, and from how many neighbours.
    settings : GraphSettings
        Number of neighbours, gap, gate.
    progress : Progress, optional
        Called for each number of frames that a link may span.

    Returns
    -------
    CellGraph
        Its provenance holds the motion of the stack, see `StackMotion.from_graph`.

    Examples
    --------
    >>> from gnntrack.measure.points import make_point_cells
    >>> from gnntrack.settings import GraphSettings, MotionSettings
    >>> from gnntrack.types import PointSet
    >>> place = np.array([[5.0, 5.0], [5.0, 40.0], [6.0, 5.0], [6.0, 40.0]])
    >>> cells, _ = make_point_cells(PointSet(np.array([0, 0, 1, 1]), place, (1.0, 1.0), "pixel"))
    >>> graph = build_point_links(cells, motion=MotionSettings(), settings=GraphSettings(max_neighbours=1))
    >>> list(zip(graph.source.tolist(), graph.target.tolist()))
    [(0, 2), (1, 3)]
    """
    known = estimate_of_movie("points.stack", lambda: estimate_stack(cells, drift=motion.drift).as_dict())
    stack = StackMotion.from_dict(known, cells)
    if not are_scales_known() and (line := describe_stack(stack)) is not None:
        _log.warning(line)
    points = _SteadyPoints(cells, stack)
    flow = points.estimate_flow(motion.neighbours if motion.flow in ("auto", "cells") else 0)
    residual, has_future, has_past = points.compare_with_nearest(flow)
    gate, of_gaps = settings.max_distance or 0.0, settings.max_distance or 0.0
    if settings.max_distance is None:
        bounds = (_GATE_APART, _GAP_APART)
        gate, of_gaps = estimate_of_movie("points.gates", lambda: [_choose_gate(residual, cells, k) for k in bounds])
    search = _Search(points, flow, (gate, of_gaps), ~has_future, ~has_past)
    longest = min(settings.max_gap, max(cells.n_frames - 1, 1))
    source, target, shifts = search.find_all(longest, settings.max_neighbours, progress)
    names, features = _compute_features(points, source, target, shifts)
    typical = estimate_of_movie(
        "points.radius", lambda: float(np.median(cells.feature("diameter"))) / 2 if len(cells) else 0.0
    )
    by = "cells" if estimate_of_movie("points.flow", lambda: bool(flow.any())) else "none"
    _log.info("gate %.1f %s, motion from %s", gate, cells.unit, by)
    provenance = Provenance(gate=gate, gate_radii=gate / typical if typical else None, flow=by, stack=stack.as_dict())
    moving = np.zeros((cells.n_frames, cells.ndim))
    moving[:-1] = np.diff(stack.place, axis=0)
    return CellGraph(add_motion(cells, flow + moving[cells.frame]), source, target, features, names, provenance)


def measure_rounding(cells: Cells) -> FloatArray:
    """Return the standard deviation of displacements by the rounding of positions to whole pixels, (D,); 0 without it.

    Examples
    --------
    >>> from gnntrack.measure.points import make_point_cells
    >>> from gnntrack.types import PointSet
    >>> points = PointSet(np.array([0, 0]), np.array([[4.0, 1.0], [8.0, 1.5]]), (2.0, 1.0), "um")
    >>> measure_rounding(make_point_cells(points)[0]).round(3).tolist()
    [0.816, 0.0]
    """
    return np.array(estimate_of_movie("points.rounding", lambda: _measure_rounding(cells).tolist()))


def _measure_rounding(cells: Cells) -> FloatArray:
    pixel = cells.position / cells.spacing
    if not len(cells):
        return np.zeros(cells.ndim)
    whole = (np.abs(pixel - np.rint(pixel)) < 1e-4).mean(axis=0) > _WHOLE
    whole &= np.ptp(pixel, axis=0) > _SPREAD  # positions in metres are near 0, and not rounded
    return np.asarray(np.where(whole, np.asarray(cells.spacing) / np.sqrt(6), 0.0))


class _SteadyPoints:
    """Points without the motion of the stack, with a search tree per frame.

    Parameters
    ----------
    cells : Cells
        The points as they are.
    stack : StackMotion
        The motion that is removed.
    """

    def __init__(self, cells: Cells, stack: StackMotion) -> None:
        self.cells, self.stack = cells, stack
        self.position = stack.remove(cells)

    @cached_property
    def trees(self) -> list[cKDTree]:
        """Search tree of each frame."""
        from scipy.spatial import cKDTree  # slow to import

        return [cKDTree(self.position[self.cells.rows(frame)]) for frame in range(self.cells.n_frames)]

    @cached_property
    def copies(self) -> IntArray:
        """Row of the copy of each point in the next frame, -1 if it has none, shape (N,)."""
        found = np.full(len(self.cells), -1)
        for frame in self.stack.frozen:
            before, now = self.cells.rows(frame - 1), self.cells.rows(frame)
            there = {tuple(place): now.start + k for k, place in enumerate(self.cells.position[now].tolist())}
            for k, place in enumerate(self.cells.position[before].tolist()):
                found[before.start + k] = there.pop(tuple(place), -1)
        return found

    def list_pairs(self) -> Iterator[tuple[int, slice, slice]]:
        """Yield each frame, its rows, and those of the next one, if that is not a copy and both have points."""
        for frame in range(self.cells.n_frames - 1):
            here, there = self.cells.rows(frame), self.cells.rows(frame + 1)
            moves = self.stack.shown[frame + 1] > self.stack.shown[frame]
            if moves and here.start < here.stop and there.start < there.stop:
                yield frame, here, there

    def _find_mutual(self, frame: int, expected: FloatArray) -> tuple[FloatArray, IntArray, BoolArray]:
        """Return the distance and the row of the nearest points of the next frame, and whether both are nearest."""
        from scipy.spatial import cKDTree

        there = self.cells.rows(frame + 1)
        distance, nearest = self.trees[frame + 1].query(expected)
        back = cKDTree(expected).query(self.position[there])[1]
        return distance, nearest + there.start, back[nearest] == np.arange(len(expected))

    def estimate_flow(self, neighbours: int) -> FloatArray:
        """Return the displacement to the next frame of the points around each point, (N, D); zero to a copy."""
        from scipy.spatial import cKDTree

        position, flow = self.position, np.zeros_like(self.position)
        for frame, here, _ in self.list_pairs():
            for _ in range(_ROUNDS if neighbours else 0):
                _, nearest, mutual = self._find_mutual(frame, position[here] + flow[here])
                pairs = np.flatnonzero(mutual)
                if len(pairs) < _FEWEST:
                    break
                k = min(neighbours, len(pairs))
                around = cKDTree(position[here][pairs]).query(position[here], k)[1].reshape(-1, k)
                flow[here] = np.median((position[nearest] - position[here])[pairs][around], axis=1)
        return flow

    def compare_with_nearest(self, flow: FloatArray) -> tuple[FloatArray, BoolArray, BoolArray]:
        """Compare predicted places with the nearest points.

        Returns
        -------
        residual : (K, D) float64
            Differences of mutually nearest points from the predicted places, per square root of time.
        has_future, has_past : (N,) bool
            Whether a point has a clear partner in the next frame, and in the frame before.
        """
        distance, nearest = np.full(len(self.cells), np.inf), np.full(len(self.cells), -1)
        residual = [np.zeros((0, self.cells.ndim))]
        for frame, here, _ in self.list_pairs():
            expected = self.position[here] + flow[here]
            root = np.sqrt(self.stack.shown[frame + 1] - self.stack.shown[frame])
            near, row, mutual = self._find_mutual(frame, expected)
            residual.append((self.position[row] - expected)[mutual] / root)
            distance[here], nearest[here] = np.where(mutual, near / root, np.inf), row
        found = np.concatenate(residual)
        scale = estimate_of_movie("points.scale", lambda: _measure_scale(found, self.cells))
        clear = distance <= _CLEAR * scale
        has_past = np.zeros(len(self.cells), bool)
        has_past[nearest[clear]] = True
        copied = self.copies >= 0
        has_past[self.copies[copied]] = True
        return found, clear | copied, has_past


def _measure_scale(residual: FloatArray, cells: Cells) -> float:
    """Return the root mean square length of ordinary residuals, at least that of rounding to whole pixels."""
    if not len(residual):
        return 0.0
    return float(np.linalg.norm(np.maximum(np.quantile(np.abs(residual), _ONE_SIGMA, axis=0), measure_rounding(cells))))


def _choose_gate(residual: FloatArray, cells: Cells, most: float) -> float:
    """Return the farthest that a point may be from its predicted place after one time step.

    Parameters
    ----------
    residual : (K, D) float64
        Differences of mutually nearest points from the predicted places.
    cells : Cells
        The points.
    most : float
        Bound in typical distances of nearest points, unless the residuals themselves are larger.
    """
    between = cells.feature("neighbour_distance")
    apart = float(np.median(between)) if len(between) else 0.0
    if len(residual) < _FEW:
        return most * apart
    far = _GATE_FAR * float(np.quantile(measure_lengths(residual), 0.99))
    least = max(_GATE_SIGMAS * _measure_scale(residual, cells), _GATE_LEAST * apart)
    return max(least, min(far, most * apart))


class _Search:
    """The search for candidates.

    Parameters
    ----------
    points : _SteadyPoints
        The points.
    flow : (N, D) float64
        Predicted displacements to the next frame.
    gates : (float, float)
        Farthest distances from the predicted place after one time step, in the next frame and in later ones.
    ends, starts : (N,) bool
        Points without a clear future, and without a clear past: the ends of gaps.
    """

    def __init__(
        self, points: _SteadyPoints, flow: FloatArray, gates: tuple[float, float], ends: BoolArray, starts: BoolArray
    ) -> None:
        self.points, self.flow, self.gates = points, flow, gates
        self.ends, self.starts = ends, starts
        self.is_copy = np.zeros(len(starts), bool)
        self.is_copy[points.copies[points.copies >= 0]] = True

    def find_all(self, longest: int, k: int, progress: Progress | None) -> tuple[IntArray, IntArray, list[FloatArray]]:
        """Return sources and targets (E,), sorted, and the predicted displacements (N, D) over 1, 2, ... frames."""
        cells, n = self.points.cells, max(len(self.points.cells), 1)
        copied = np.flatnonzero(self.points.copies >= 0)
        found = [copied * n + self.points.copies[copied]]
        shifts = [self.flow]
        for gap in range(1, longest + 1):
            if gap > 1:
                shifts.append(self._extrapolate(shifts[-1], gap))
            counts = (k, max(1, k // 3)) if gap == 1 else (max(1, k // 2), max(1, k // 6))
            for frame in range(cells.n_frames - gap):
                source, target = self._find(frame, gap, shifts[-1], counts)
                found.append(source * n + target)
            if progress is not None:
                progress("linking", gap, longest)
        key = np.sort(np.concatenate(found))  # ten times as fast as np.unique
        key = key[np.diff(key, prepend=-1) > 0]
        return key // n, key % n, shifts

    def _find(self, frame: int, gap: int, shift: FloatArray, counts: tuple[int, int]) -> tuple[IntArray, IntArray]:
        """Return the candidates from a frame over a gap."""
        from scipy.spatial import cKDTree

        here, there = self.points.cells.rows(frame), self.points.cells.rows(frame + gap)
        source = here.start + np.flatnonzero((self.points.copies[here] < 0) & (self.ends[here] | (gap == 1)))
        target = there.start + np.flatnonzero(~self.is_copy[there] & (self.starts[there] | (gap == 1)))
        if not len(source) or not len(target):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        steps = max(int(self.points.stack.shown[frame + gap] - self.points.stack.shown[frame]), 1)
        reach, goal = self.gates[gap > 1] * float(np.sqrt(steps)), self.points.position[target]
        expected = self.points.position[source] + shift[source]
        whole = len(target) == there.stop - there.start
        tree = self.points.trees[frame + gap] if whole else cKDTree(goal)
        i, j = _list_near(tree, expected, min(counts[0], len(target)), reach)
        b, a = _list_near(cKDTree(expected), goal, min(counts[1], len(source)), reach)
        return source[np.concatenate([i, a])], target[np.concatenate([j, b])]

    def _extrapolate(self, shift: FloatArray, gap: int) -> FloatArray:
        """Return displacements over `gap` frames: after one less, a point moves with the point that is nearest then."""
        total, cells = shift.copy(), self.points.cells
        for frame in range(cells.n_frames - gap):
            here, there = cells.rows(frame), cells.rows(frame + gap - 1)
            rows = here.start + np.flatnonzero(self.ends[here])
            if len(rows) and there.start < there.stop:
                near = self.points.trees[frame + gap - 1].query(self.points.position[rows] + total[rows])[1]
                total[rows] += self.flow[there][near]
        return total


def _list_near(tree: cKDTree, points: FloatArray, k: int, limit: float) -> tuple[IntArray, IntArray]:
    """Return (point, other), the k nearest others of each point within a distance."""
    distance, other = tree.query(points, k, distance_upper_bound=limit)
    inside = np.isfinite(distance).reshape(len(points), k)
    return np.nonzero(inside)[0], other.reshape(len(points), k)[inside]


def _compute_features(
    points: _SteadyPoints, source: IntArray, target: IntArray, shifts: list[FloatArray]
) -> tuple[tuple[str, ...], FeatureArray]:
    """Return names and columns (E, K) of the features of links."""
    cells = points.cells
    positive = {name: replace_zeros(cells.feature(name), name=name) for name in RATIOS if cells.has(name)}
    ratios = [RATIOS[name] for name in positive]
    names = ("gap", "distance", "distance_radii", "residual", "neighbour_residual", *ratios, *COMPETITION)
    features = np.empty((len(source), len(names)), np.float32, order="F")
    table = dict(zip(names, features.T, strict=True))
    radius = bound_radii(cells)
    predicted = np.stack(shifts)
    for start in range(0, len(source), _CHUNK):
        part = slice(start, start + _CHUNK)
        a, b = source[part], target[part]
        gap, r = cells.frame[b] - cells.frame[a], (radius[a] + radius[b]) / 2
        step = points.position[b] - points.position[a]
        distance, residual = measure_lengths(step), measure_lengths(step - predicted[gap - 1, a])
        columns = {"gap": gap, "distance": distance, "distance_radii": distance / r, "residual": residual / r}
        columns |= {RATIOS[name]: compute_log_ratio(value, a, b) for name, value in positive.items()}
        for name, column in columns.items():
            table[name][part] = column
    table["neighbour_residual"][:] = table["residual"]
    fill_competition(cells, source, target, table)
    return names, features
