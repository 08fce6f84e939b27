"""Tables of points whose tracks are known: as points, and as masks in which each point is a ball.

::

    DATASET/NN_points.csv              t, track, [z], y, x, and radius; in the columns' units, or voxels
    DATASET/NN_GT/TRA/man_track.txt    track, first frame, last frame, parent
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import InputError
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.delimited import read_delimited
from gnntrack.io.point_tables import read_point_table
from gnntrack.io.points import read_points
from gnntrack.io.stack import Stack
from gnntrack.masks.balls import draw_balls
from gnntrack.plurals import count_noun
from gnntrack.training.tracked_points import TrackedPoints

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.training.sequences import TrainingSequence
    from gnntrack.types import FloatArray, Image, IntArray

__all__ = ["BallMasks", "draw_ball_masks", "open_track_table"]

_FINE = 2.5  # radius of small balls, in voxels of the masks
_SMALL = 0.1  # fraction of the balls that are small
_ALONE = 0.4  # radius of points whose radius is not known, in distances to the nearest neighbour
_MOST = 20_000_000  # voxels of a mask


class BallMasks(NamedTuple):
    """Masks of balls."""

    masks: Stack
    """Frames of int32; in each, cells are numbered from 1, in the order of the table."""
    markers: Stack
    """Frames of int32; labels are tracks."""


def open_track_table(sequence: TrainingSequence, *, settings: Settings) -> TrackedPoints:
    """Read a table of points whose tracks are known.

    Parameters
    ----------
    sequence : TrainingSequence
        Its `points` is the table, and its `truth` has ``man_track.txt``.
    settings : Settings
        ``frames`` has the size of a voxel, if it is known.

    Returns
    -------
    TrackedPoints
        The points, without any fault of a detector.

    Raises
    ------
    InputError
        If a file cannot be read, or tracks of the table are not in ``man_track.txt``.
    """
    path, tracks = sequence.points, read_track_table(sequence.truth / "man_track.txt")
    if path is None:
        msg = f"{sequence.truth}: no table {sequence.number}_points.csv beside the truth; give points with a track"
        raise InputError(msg)
    known = read_point_table(path, read_delimited(path))
    points = read_points(path, settings=settings.frames, keep_interpolated=True)
    if known.track is None or len(known.track) != len(points.frame):
        msg = f"{path}: expected a column 'track' with a number above 0 in each row"
        raise InputError(msg)
    lost = np.setdiff1d(known.track, tracks.id)
    if len(lost):
        rows = count_noun(int(np.isin(known.track, lost).sum()), "point")
        msg = f"{path}: {rows} of track {lost[0]}, which is not in {sequence.truth}/man_track.txt; add its line"
        raise InputError(msg)
    frames = max(int(tracks.end.max(initial=0)), int(points.frame.max(initial=0))) + 1
    return TrackedPoints(sequence.name, points._replace(n_frames=frames), known.track, tracks, detected=False)


def draw_ball_masks(movie: TrackedPoints) -> BallMasks:
    """Return masks in which each point is a ball (in 2D a disc) of its radius; the nearest centre in radii wins.

    The voxels are cubes, so small that one ball in ten has a radius of 2.5 voxels or less.

    Parameters
    ----------
    movie : TrackedPoints
        Points; without radii, balls are as large as fits between most neighbours.

    Examples
    --------
    >>> from gnntrack.types import PointSet, Tracks
    >>> place = np.array([[0.0, 0.0], [0.0, 10.0], [0.0, 10.0]])
    >>> points = PointSet(np.array([0, 0, 1]), place, (1.0, 1.0), "um", radius=np.full(3, 5.0), n_frames=2)
    >>> movie = TrackedPoints("a", points, np.array([1, 2, 2]), Tracks([1, 2], [0, 0], [0, 1], [0, 0]))
    >>> masks, markers = draw_ball_masks(movie)
    >>> masks.shape, masks.spacing, np.unique(masks[1]).tolist(), np.unique(markers[1]).tolist()
    ((6, 11), (2.0, 2.0), [0, 1], [0, 2])
    """
    points = movie.points
    radius = _guess_radii(points.frame, points.position) if points.radius is None else points.radius
    radius = np.maximum(radius, 1e-9)
    low = (points.position - radius[:, None]).min(axis=0, initial=np.inf)
    size = (points.position + radius[:, None]).max(axis=0, initial=-np.inf) - low
    ndim = points.position.shape[1]
    if not len(radius):
        low, size, radius = np.zeros(ndim), np.ones(ndim), np.ones(1)
    edge = max(float(np.quantile(radius, _SMALL)) / _FINE, float((np.prod(size) / _MOST) ** (1 / ndim)))
    shape = tuple(int(n) + 1 for n in np.ceil(size / edge))
    rows = [np.flatnonzero(points.frame == t) for t in range(movie.n_frames)]

    def draw(frame: int) -> Image:
        here = rows[frame]
        reach = np.repeat(radius[here, None] / edge, ndim, axis=1)
        return draw_balls((points.position[here] - low) / edge, reach, shape)

    def draw_tracks(frame: int) -> Image:
        label: IntArray = np.concatenate([[0], movie.track[rows[frame]]])
        return np.asarray(label[draw(frame)], np.int32)

    names = [f"frame {t}" for t in range(movie.n_frames)]
    cube = (edge,) * ndim
    return BallMasks(*(Stack(make, names, shape, cube, points.unit) for make in (draw, draw_tracks)))


def _guess_radii(frame: IntArray, position: FloatArray) -> FloatArray:
    """Return the same radius for all points, so that most balls do not touch, (N,)."""
    from scipy.spatial import cKDTree

    near = [
        cKDTree(position[frame == t]).query(position[frame == t], k=2)[0][:, 1]
        for t in np.unique(frame)
        if (frame == t).sum() > 1
    ]
    return np.full(len(frame), _ALONE * float(np.median(np.concatenate(near))) if near else 1.0)
