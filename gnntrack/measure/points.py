"""From points to cells: the features that can be had without masks.

=================== ====== =======================================================================
feature             unit   meaning
=================== ====== =======================================================================
diameter            u      twice the given radius; without radii, one length scale for all points
size                uD     area (volume) of the disc (ball) of the given radius; missing without radii
border_distance     u      from the point to the nearest border of the frame along y and x
neighbour_distance  u      to the nearest point of the frame
density             1/uD   points per area (volume) around the point
intensity_mean             as given, or measured in the images; missing without both
score                      of the detector, as given
=================== ====== =======================================================================
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.components import count_within_frames
from gnntrack.geometry import UNIT_BALL
from gnntrack.measure.neighbourhood import measure_neighbourhood
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.types import Cells, PointSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import FloatArray, IntArray

__all__ = ["add_features", "find_shape", "make_point_cells"]

_APART = 0.5  # radius of points without a radius, in median distances to the nearest point of the frame


def make_point_cells(points: PointSet, *, neighbours: int = 6) -> tuple[Cells, IntArray]:
    """Return the cells of points, and the row of each point among them.

    Parameters
    ----------
    points : PointSet
        The points.
    neighbours : int
        Number of nearest points from which the local density is computed.

    Returns
    -------
    Cells
        With ``points=True``.
    (N,) int64
        Row of each given point.

    Examples
    --------
    >>> place = np.array([[2.0, 3.0], [2.0, 9.0], [2.0, 4.0]])
    >>> cells, _ = make_point_cells(PointSet(np.array([0, 0, 1]), place, (1.0, 1.0), "pixel"))
    >>> cells.label.tolist(), cells.feature("diameter").tolist(), cells.has("size"), cells.shape
    ([1, 2, 1], [6.0, 6.0, 6.0], False, (3, 10))
    """
    label = count_within_frames(points.frame) if points.label is None else points.label
    order = np.lexsort((label, points.frame))
    frame, label, position = points.frame[order], label[order], points.position[order].astype(np.float64)
    n_frames = int(frame.max(initial=-1)) + 1 if points.n_frames is None else points.n_frames
    spacing, unit, ndim = points.spacing, points.unit, len(points.spacing)
    shape = points.shape or find_shape(position, spacing)
    extent = np.asarray(shape) * np.asarray(spacing)
    offsets = np.searchsorted(frame, np.arange(n_frames + 1))
    around = measure_neighbourhood(position, offsets, spacing, shape, neighbours)
    columns: dict[str, tuple[FloatArray, str]] = {}
    if points.radius is None:
        nearest = around["neighbour_distance"]
        common = estimate_of_movie("points.common_radius", lambda: _estimate_radius(nearest, extent, position))
        columns["diameter"] = np.full(len(frame), 2 * common), unit
    else:
        radius = points.radius[order]
        columns["diameter"] = 2 * radius, unit
        columns["size"] = UNIT_BALL[ndim] * radius**ndim, f"{unit}{ndim}"
    inside = np.minimum(position, extent - position)[:, -2:]
    columns["border_distance"] = np.maximum(inside.min(axis=1), 0) if len(frame) else np.zeros(0), unit
    columns["neighbour_distance"] = around["neighbour_distance"], unit
    columns["density"] = around["density"], f"1/{unit}{ndim}"
    if points.intensity is not None:
        columns["intensity_mean"] = points.intensity[order], ""
    if points.score is not None:
        columns["score"] = points.score[order], ""
    features = np.stack([values for values, _ in columns.values()], axis=1).astype(np.float32)
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    units = tuple(unit for _, unit in columns.values())
    return Cells(
        frame, label, position, features, tuple(columns), units, spacing, n_frames, shape, unit,
        points=True, ids=None if points.ids is None else points.ids[order],
    ), row  # fmt: skip


def add_features(cells: Cells, columns: Mapping[str, tuple[FloatArray, str]]) -> Cells:
    """Return cells with further features: name -> values, (N,), and unit."""
    values = np.stack([cells.features.T[k] for k in range(len(cells.feature_names))] + [v for v, _ in columns.values()])
    return replace(
        cells,
        features=values.T.astype(np.float32),
        feature_names=(*cells.feature_names, *columns),
        feature_units=(*cells.feature_units, *(unit for _, unit in columns.values())),
    )


def find_shape(position: FloatArray, spacing: tuple[float, ...]) -> tuple[int, ...]:
    """Return the smallest shape of a frame in pixels that holds all points."""
    top = position.max(axis=0) if len(position) else np.zeros(len(spacing))
    return tuple(max(1, math.ceil(round(t / s, 6)) + 1) for t, s in zip(top, spacing, strict=True))


def _estimate_radius(nearest: FloatArray, extent: FloatArray, position: FloatArray) -> float:
    """Return a radius for points without one: a part of their distance from each other."""
    known = nearest[nearest < math.dist([0] * len(extent), extent)] if len(nearest) else nearest
    apart = float(np.median(known)) if len(known) else float(extent[-2:].min()) / 10
    spread = float(np.ptp(position, axis=0).max()) if len(position) else 0.0
    return max(_APART * apart, 1e-6 * spread, 1e-12 * float(extent.max()))
