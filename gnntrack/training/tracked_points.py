"""Movies of points whose lineage is known, and random variants of them: missed points, clutter, noise, fewer frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.lineage.build import number_tracks
from gnntrack.measure.cells import measure_cells
from gnntrack.simulate.embryo import draw_embryo_settings, simulate_embryo
from gnntrack.training.corruption.movie import thin_tracks
from gnntrack.training.truth import is_sparse, match_cells
from gnntrack.types import PointSet, Tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.settings import Settings
    from gnntrack.training.movies import TrainingMovie
    from gnntrack.types import FloatArray, IntArray, PointGraph

__all__ = ["TrackedPoints", "number_true_tracks", "reduce_to_points", "simulate_tracked_points", "vary_points"]

_FRAMES = 40  # frames of a simulated embryo
_EMBRYOS = 1000  # first seed of the embryos of a training
_FLAT = 4  # every fourth simulated embryo is 2D
_THICKNESS = 3.0  # planes of such an embryo, in diameters of nuclei
_DETECTED = 0.3  # strength of further faults of points that a detector has found
_STEPS = (1, 1, 1, 2, 2, 4)  # one of these: every n-th frame is kept
_LONG_ENOUGH = 12  # frames that remain
_STAY = 0.6  # probability that clutter is there in the next frame too
_KNOWN = 0.5  # probability that a variant keeps radii, and that it keeps the brightness


@dataclass(frozen=True)
class TrackedPoints:
    """Points whose lineage is known.

    Parameters
    ----------
    name : str
        Used in messages and in the log.
    points : PointSet
        The points, in any order; its ``n_frames`` is given.
    track : (N,) int64
        Track of each point, 0 = clutter or not annotated.
    tracks : Tracks
        Table of the tracks of the ground truth.
    sparse : bool
        Only some of the cells are annotated.
    detected : bool
        The points are those of a detector, with its faults; else they are exact.
    """

    name: str
    points: PointSet
    track: IntArray
    tracks: Tracks
    sparse: bool = False
    detected: bool = True

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.points.n_frames or int(self.points.frame.max(initial=-1)) + 1

    def select(self, start: int, stop: int) -> TrackedPoints:
        """Return frames ``start`` to ``stop - 1`` as a movie."""
        frames = range(max(start, 0), min(stop, self.n_frames))
        return replace(self.keep_frames(frames), name=f"{self.name} [{frames.start}:{frames.stop}]")

    def keep_frames(self, frames: Sequence[int]) -> TrackedPoints:
        """Return some frames, ascending, as a movie."""
        number = np.full(self.n_frames, -1)
        number[list(frames)] = np.arange(len(frames))
        rows = np.flatnonzero(number[self.points.frame] >= 0)
        points = _select_points(self.points, rows)
        points = points._replace(frame=number[points.frame], n_frames=len(frames))
        return replace(self, points=points, track=self.track[rows], tracks=thin_tracks(self.tracks, list(frames)))


def _select_points(points: PointSet, rows: IntArray) -> PointSet:
    return points._replace(
        frame=points.frame[rows],
        position=points.position[rows],
        label=None if points.label is None else points.label[rows],
        radius=None if points.radius is None else points.radius[rows],
        intensity=None if points.intensity is None else points.intensity[rows],
    )


def _join_points(points: PointSet, more: PointSet) -> PointSet:
    """Return the points of both, which have the same columns, numbered again."""

    def join(first: FloatArray | None, last: FloatArray | None) -> FloatArray | None:
        return None if first is None or last is None else np.concatenate([first, last])

    return points._replace(
        frame=np.concatenate([points.frame, more.frame]),
        position=np.concatenate([points.position, more.position]),
        label=None,
        radius=join(points.radius, more.radius),
        intensity=join(points.intensity, more.intensity),
    )


def number_true_tracks(truth: PointGraph) -> tuple[IntArray, Tracks]:
    """Return the track of each point of a ground truth, (N,), and the table of the tracks.

    Of several parents, which only a wrong ground truth has, the latest counts.

    Examples
    --------
    >>> from gnntrack.types import PointGraph
    >>> place = [[0, 0], [0, 1], [0, 0], [0, 2]]
    >>> truth = PointGraph([5, 6, 7, 8], [0, 1, 2, 2], place, [0, 1, 1], [1, 2, 3], (1, 1))
    >>> track, tracks = number_true_tracks(truth)
    >>> track.tolist(), tracks.parent.tolist()
    ([1, 1, 2, 3], [0, 1, 1])
    """
    order = np.argsort(truth.frame, kind="stable")  # points may be in any order, cells are sorted by frame
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    links = truth.links[np.argsort(truth.frame[truth.links[:, 0]], kind="stable")]
    parent = np.full(len(truth), -1)
    parent[links[:, 1]] = links[:, 0]
    target = np.flatnonzero(parent >= 0)
    track, tracks = number_tracks(truth.frame[order], row[parent[target]], row[target])
    return track[row], tracks


def simulate_tracked_points(seed: int) -> TrackedPoints:
    """Simulate an embryo with random settings; every fourth one is projected to a plane.

    Examples
    --------
    >>> movie = simulate_tracked_points(3)
    >>> movie.n_frames, movie.points.position.shape[1], movie.sparse
    (40, 2, False)
    """
    flat = seed % _FLAT == _FLAT - 1
    settings = draw_embryo_settings(_EMBRYOS + seed, frames=_FRAMES)
    if flat:
        planes = max(round(_THICKNESS * settings.diameter / settings.spacing[0]), 1)
        settings = settings.replace(shape=(planes, *settings.shape[1:]), cells=max(settings.cells // 3, 20))
    embryo = simulate_embryo(settings=settings, seed=_EMBRYOS + seed)
    table, spacing = embryo.points, embryo.spacing
    position = table[["z", "y", "x"]].to_numpy(np.float64) * spacing
    keep = slice(1, None) if flat else slice(None)
    points = PointSet(
        table["t"].to_numpy(np.int64),
        np.ascontiguousarray(position[:, keep]),
        spacing[keep],
        "um",
        radius=table["radius"].to_numpy(np.float64),
        intensity=table["intensity"].to_numpy(np.float64),
        n_frames=settings.frames,
        shape=settings.shape[keep],
    )
    track, tracks = number_true_tracks(embryo.truth)
    row = np.searchsorted(embryo.truth.id, embryo.point_truth)
    found = np.where(embryo.point_truth > 0, track[np.minimum(row, len(track) - 1)], 0)
    return TrackedPoints(f"embryo {_EMBRYOS + seed}", points, found, tracks)


def reduce_to_points(movie: TrainingMovie, *, settings: Settings) -> TrackedPoints:
    """Return the centroids of the masks of a movie, with their radii and their brightness if there are images."""
    cells, runs, _ = measure_cells(movie.masks, images=movie.images, settings=settings.cells)
    track = match_cells(cells, runs, movie.markers)
    points = PointSet(
        cells.frame,
        cells.position,
        cells.spacing,
        cells.unit,
        radius=cells.feature("diameter").astype(np.float64) / 2,
        intensity=cells.feature("intensity_mean").astype(np.float64) if cells.has("intensity_mean") else None,
        n_frames=cells.n_frames,
        shape=cells.shape,
    )
    return TrackedPoints(movie.name, points, track, movie.tracks, sparse=is_sparse(track, movie.tracks), detected=False)


# --- variants --------------------------------------------------------------------------------------------------------


def vary_points(movie: TrackedPoints, rng: np.random.Generator, *, strength: float = 1.0) -> TrackedPoints:
    """Return a random variant of a movie: fewer frames, missed points, noise, clutter, no radii, no brightness.

    Parameters
    ----------
    movie : TrackedPoints
        The movie.
    rng : Generator
        Source of the random numbers.
    strength : float
        Factor of the rates of faults; those of points that a detector has found are lower.
    """
    strength *= _DETECTED if movie.detected else 1.0
    step = int(rng.choice([each for each in _STEPS if movie.n_frames // each >= _LONG_ENOUGH] or [1]))
    movie = movie.keep_frames(range(int(rng.integers(step)), movie.n_frames, step))
    movie = _drop_points(movie, strength * rng.uniform(0, 0.2), rng)
    apart = _measure_spacing(movie.points)
    movie = _add_clutter(movie, strength * rng.uniform(0, 0.3), apart, rng)
    noise = strength * rng.uniform(0, 0.15) * apart
    position = movie.points.position + rng.normal(0, 1, movie.points.position.shape) * noise
    points = movie.points._replace(position=_limit(position, movie.points))
    if rng.random() >= _KNOWN:
        points = points._replace(radius=None)
    if rng.random() >= _KNOWN:
        points = points._replace(intensity=None)
    return replace(movie, points=points)


def _measure_spacing(points: PointSet) -> float:
    """Return the usual distance between neighbours, as if the points were spread evenly over the field."""
    field = (np.asarray(points.shape or (1,)) * np.asarray(points.spacing)).astype(np.float64)
    extent = np.maximum(np.minimum(field, np.ptp(points.position, axis=0) if len(points.frame) else field), 1e-6)
    per_frame = max(len(points.frame) / max(points.n_frames or 1, 1), 1.0)
    return float((np.prod(extent) / per_frame) ** (1 / len(extent)))


def _limit(position: FloatArray, points: PointSet) -> FloatArray:
    """Return positions inside the field."""
    if points.shape is None:
        return position
    return np.clip(position, 0, (np.asarray(points.shape) - 1) * np.asarray(points.spacing))


def _drop_points(movie: TrackedPoints, rate: float, rng: np.random.Generator) -> TrackedPoints:
    """Remove points at random; each cell has a rate of its own, and one miss makes a next one more likely."""
    number = np.unique(np.where(movie.track > 0, movie.track, -np.arange(len(movie.track)) - 1), return_inverse=True)[1]
    own = rng.exponential(rate, int(number.max(initial=-1)) + 1)[number]
    rows = np.flatnonzero(rng.random(len(own)) >= np.minimum(own, 0.6))
    return replace(movie, points=_select_points(movie.points, rows), track=movie.track[rows])


def _add_clutter(movie: TrackedPoints, rate: float, apart: float, rng: np.random.Generator) -> TrackedPoints:
    """Add false points that appear beside others, walk for some frames, and disappear."""
    points, n = movie.points, len(movie.points.frame)
    begin = rng.integers(n, size=rng.poisson(rate * (1 - _STAY) * n)) if n else np.zeros(0, np.int64)
    life = rng.geometric(1 - _STAY, len(begin))
    row = np.repeat(begin, life)
    age = np.arange(len(row)) - np.repeat(np.cumsum(life) - life, life)
    ndim = points.position.shape[1]
    walk = np.repeat(rng.normal(0, apart / 2, (len(begin), ndim)), life, axis=0)
    place = points.position[row] + walk + rng.normal(0, 0.05 * apart, (len(row), ndim)) * np.sqrt(age + 1)[:, None]
    frame = points.frame[row] + age
    inside = frame < movie.n_frames
    more = _select_points(points, row[inside])._replace(frame=frame[inside], position=_limit(place, points)[inside])
    track = np.concatenate([movie.track, np.zeros(int(inside.sum()), np.int64)])
    return replace(movie, points=_join_points(points, more), track=track)
