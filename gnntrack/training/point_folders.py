"""Folders of points with ground truth, in the layout of the embryo competition of 2026.

::

    FOLDER/NAME.geff         ground truth: points and links, of all cells or of some
    FOLDER/NAME_points.csv   what a detector found (or NAME.csv, .tsv, .parquet)
    FOLDER/NAME.zarr         images, in which the brightness of the points is measured

Without detections, the points of the ground truth are used, and misses, clutter and noise are simulated.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import InputError
from gnntrack.geometry import find_mutual_nearest
from gnntrack.io.point_graph import read_point_graph
from gnntrack.plurals import count_noun
from gnntrack.point_movie import open_points
from gnntrack.training.movies import open_sequence, split_movie
from gnntrack.training.sequences import find_sequences
from gnntrack.training.track_tables import open_track_table
from gnntrack.training.tracked_points import (
    TrackedPoints,
    number_true_tracks,
    reduce_to_points,
    simulate_tracked_points,
)
from gnntrack.types import PointSet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.settings import Settings
    from gnntrack.types import Cells, IntArray, PointGraph

__all__ = ["PointSource", "find_point_sources", "open_tracked_movies", "open_tracked_points"]

_DETECTIONS = tuple(
    f"{end}{suffix}" for end in ("_points", "") for suffix in (".csv", ".tsv", ".txt", ".parquet", ".xml")
)
_COMPLETE = 2 / 3  # fraction of the points that a dense ground truth has at least
_FARTHEST = 7.0  # um from a point to its true place at most
_FEW = 0.5  # fraction of the annotated points with a detection below which something is wrong


class PointSource(NamedTuple):
    """The files of a movie of points with ground truth."""

    name: str
    truth: Path
    points: Path | None
    images: Path | None


def find_point_sources(folder: str | Path) -> list[PointSource]:
    """Return the movies of points in a folder that have a ground truth; none if there are none.

    Parameters
    ----------
    folder : path
        A folder that holds ``NAME.geff``, or such a file itself.

    Examples
    --------
    >>> find_point_sources("no folder")
    []
    """
    folder = Path(folder).expanduser()
    truths = [folder] if folder.suffix == ".geff" and folder.is_dir() else sorted(folder.glob("*.geff"))
    return [_find_files(truth) for truth in truths]


def _find_files(truth: Path) -> PointSource:
    points = [file for end in _DETECTIONS if (file := truth.with_name(f"{truth.stem}{end}")).is_file()]
    images = truth.with_suffix(".zarr")
    return PointSource(truth.stem, truth, points[0] if points else None, images if images.is_dir() else None)


def open_tracked_movies(
    data: Sequence[str | Path],
    validation: Sequence[str | Path] | None,
    *,
    simulated: int,
    seed: int,
    settings: Settings,
) -> tuple[list[TrackedPoints], list[TrackedPoints]]:
    """Return movies of points for training and movies for validation.

    Parameters
    ----------
    data : paths
        Folders with ground truth of points, see `find_point_sources`, or in the layout of the Cell Tracking Challenge,
        of which the centroids of the masks are used, or points with their tracks (`gnntrack.training.track_tables`).
    validation, simulated, seed, settings
        As of `gnntrack.training.movies.open_training_movies`; embryos are simulated.
    """
    opened = [movie for folder in data for movie in _open_folder(folder, settings)]
    made = [simulate_tracked_points(seed * 1000 + i) for i in range(simulated)]
    if validation:
        return opened + made, [movie for folder in validation for movie in _open_folder(folder, settings)]
    training, checks = zip(*(split_movie(movie, settings.train.held_out) for movie in opened or made), strict=True)
    return [*training, *(made if opened else [])], [movie for movie in checks if movie is not None]


def _open_folder(folder: str | Path, settings: Settings) -> list[TrackedPoints]:
    sources = find_point_sources(folder)
    if sources:
        return [open_tracked_points(each, settings=settings) for each in sources]
    return [
        open_track_table(each, settings=settings)
        if each.points is not None
        else reduce_to_points(open_sequence(each, settings=settings), settings=settings)
        for each in find_sequences(folder)
    ]


def open_tracked_points(source: PointSource, *, settings: Settings) -> TrackedPoints:
    """Open the points of a movie, and match them with its ground truth.

    A point and a point of the ground truth match if each is the nearest one of the other in its frame. Their distance
    is at most 7 um, and at most the median distance between neighbouring points.

    Parameters
    ----------
    source : PointSource
        Its files.
    settings : Settings
        ``frames`` and ``cells`` for the points, and ``train.truth``, whether all cells are annotated.

    Raises
    ------
    InputError
        If a file cannot be read, most of the annotated points have no detection, or all cells should be annotated and
        most points are not.
    """
    truth = read_point_graph(source.truth)
    if not len(truth.source):
        msg = f"{source.truth}: it has no links to learn from; give ground truth, not candidates or detections"
        raise InputError(msg)
    number, tracks = number_true_tracks(truth)
    if source.points is None:
        points = PointSet(
            truth.frame, truth.position, truth.spacing, truth.unit, n_frames=truth.n_frames, shape=_find_shape(truth)
        )
        sparse = _is_sparse(len(truth), truth, settings)
        return TrackedPoints(source.name, points, number, tracks, sparse=sparse, detected=False)
    if settings.frames.spacing is None and truth.unit == "um":
        settings = settings.replace(frames__spacing=truth.spacing)
    cells = open_points(source.points, images=source.images, settings=settings).cells
    track = _match(cells, truth, number, source)
    sparse = _is_sparse(len(cells), truth, settings)
    if settings.train.truth == "dense" and (track > 0).mean() < _FEW:
        msg = (
            f"{source.name}: the ground truth annotates {int((track > 0).sum())} of {count_noun(len(cells), 'point')}, "
            f"and --truth dense (the setting train.truth) is for ground truth of all cells: the others would count as "
            "false detections; omit it, or give --truth sparse"
        )
        raise InputError(msg)
    return TrackedPoints(source.name, _list_points(cells), track, tracks, sparse=sparse)


def _match(cells: Cells, truth: PointGraph, number: IntArray, source: PointSource) -> IntArray:
    """Return the track of each cell, 0 = none, shape (N,)."""
    if cells.ndim != truth.ndim:
        msg = f"{source.name}: the points are {cells.ndim}D, the truth is {truth.ndim}D; give those of one movie"
        raise InputError(msg)
    if cells.unit != truth.unit:
        truth = truth.set_spacing(cells.spacing, cells.unit)
    apart = float(np.median(cells.feature("neighbour_distance"))) if len(cells) else 0.0
    gate = min(_FARTHEST, apart) if cells.unit == "um" else apart
    track = np.zeros(len(cells), np.int64)
    for frame in range(cells.n_frames):
        rows, true_rows = cells.rows(frame), np.flatnonzero(truth.frame == frame)
        if not len(true_rows) or rows.start == rows.stop:
            continue
        distance, nearest, mutual = find_mutual_nearest(truth.position[true_rows], cells.position[rows])
        near = mutual & (distance <= gate)
        track[rows.start + nearest[near]] = number[true_rows[near]]
    seen, found = int((truth.frame < cells.n_frames).sum()), int((track > 0).sum())
    if found < _FEW * seen:
        msg = (
            f"{source.name}: {found / seen:.0%} of the points of {source.truth.name} have a point of {source.points} "
            f"within {gate:.3g} {cells.unit}, expected at least {_FEW:.0%}; "
            "they are of different movies, or in different units (--spacing)"
        )
        raise InputError(msg)
    return track


def _list_points(cells: Cells) -> PointSet:
    """Return cells as points, with the features that do not depend on other cells."""
    radius = cells.feature("diameter").astype(np.float64) / 2 if cells.has("size") else None
    light = cells.feature("intensity_mean").astype(np.float64) if cells.has("intensity_mean") else None
    where = cells.frame, cells.position, cells.spacing, cells.unit
    return PointSet(*where, radius=radius, intensity=light, n_frames=cells.n_frames, shape=cells.shape)


def _find_shape(truth: PointGraph) -> tuple[int, ...]:
    """Return the shape in voxels of the smallest field that holds all points."""
    return tuple(int(n) for n in np.ceil(truth.voxels.max(axis=0) + 1))


def _is_sparse(points: int, truth: PointGraph, settings: Settings) -> bool:
    """Return whether only some cells are annotated: as the settings say, the ground truth, or the number of points."""
    if settings.train.truth != "auto":
        return settings.train.truth == "sparse"
    total = truth.total if truth.total is not None else points
    return len(truth) < _COMPLETE * total
