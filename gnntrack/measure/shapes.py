"""Cells to shapes: the surface, the form and the branches of every cell, and its mesh.

Columns, with ``u`` for the movie's unit (um or pixel); `docs/shape.md` has definitions and sources.

==================== ====== ==============================================================================
at_border                   1 if the cell touches the border of the frame, which may cut it; else 0
volume               u3     number of voxels times voxel size; in 2D ``area``, u2
surface              u2     area of the mesh; in 2D ``perimeter``, u, of the outline; holes included
sphericity                  pi^(1/3) (6 V)^(2/3) / A of the mesh, 1 = a ball; in 2D ``circularity``, 4 pi A / P^2
ramification                surface over that of a ball of the same volume, 1 = a ball; in 2D perimeter and circle
hull_volume          u3     of the convex hull of the mesh; in 2D ``hull_area``, u2
solidity                    volume of the mesh / volume of its convex hull
longest_axis         u      full axes of the ellipsoid (ellipse) with the same second moments
middle_axis          u      3D only
shortest_axis        u
skeleton_length      u      total length of all branches of the skeleton
branches                    segments of the skeleton between ends and junctions
endpoints                   ends of branches; 2 for a rod, k for a star of k arms, 0 for a ball
junctions                   places where three or more branches meet
longest_branch       u      0 without branches
==================== ====== ==============================================================================

Every cell has every value, even a cell of a single pixel.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.masks.runs import expand_runs
from gnntrack.measure.skeletons import SKELETON_COLUMNS, measure_skeletons
from gnntrack.measure.surfaces import Boundary, find_boundary

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.types import BoolArray, Cells, FloatArray, IntArray, Progress, Runs

__all__ = ["EachMesh", "list_shape_columns", "measure_shapes"]

EachMesh = Callable[[int, int, "FloatArray", "IntArray"], None]

_COUNTS = {"at_border", "branches", "endpoints", "junctions"}  # columns of whole numbers


class _Crop(NamedTuple):
    """A cell in its bounding box."""

    mask: BoolArray  # (D sides of the box)
    origin: IntArray  # (D,) the box's first voxel in the frame


def list_shape_columns(*, ndim: int, unit: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names and units of the columns of shapes.

    Parameters
    ----------
    ndim, unit
        Number of spatial dimensions and unit of length, as of `gnntrack.measure.cells.list_features`.

    Examples
    --------
    >>> names, units = list_shape_columns(ndim=2, unit="um")
    >>> dict(zip(names, units))["area"], dict(zip(names, units))["perimeter"], "middle_axis" in names
    ('um2', 'um', False)
    """
    if ndim == 2:
        columns = {"at_border": "", "area": f"{unit}2", "perimeter": unit, "circularity": "", "ramification": ""}
        columns |= {"hull_area": f"{unit}2", "solidity": "", "longest_axis": unit, "shortest_axis": unit}
    else:
        columns = {"at_border": "", "volume": f"{unit}3", "surface": f"{unit}2", "sphericity": "", "ramification": ""}
        columns |= {"hull_volume": f"{unit}3", "solidity": ""}
        columns |= {"longest_axis": unit, "middle_axis": unit, "shortest_axis": unit}
    columns |= {name: unit if name in {"skeleton_length", "longest_branch"} else "" for name in SKELETON_COLUMNS}
    return tuple(columns), tuple(columns.values())


def measure_shapes(
    cells: Cells, runs: Runs, *, each_mesh: EachMesh | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """Measure the shape of every cell.

    Parameters
    ----------
    cells : Cells
        All cells of a movie, at least one.
    runs : Runs
        Their pixels.
    each_mesh : callable, optional
        Called with (frame, label, vertices (M, 3), faces (F, 3)) for every cell of a 3D movie. Vertices are ``x, y, z``
        in the movie's unit; the origin is the centre of the frame's first voxel. The mesh is closed, and its faces are
        anticlockwise seen from outside.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    DataFrame
        A row per cell, sorted by frame and label: ``frame``, ``label``, the centroid along ``[z], y, x``, and the
        columns of `list_shape_columns` with their units, as in ``surface_um2``.

    Raises
    ------
    MissingDependencyError
        If skan is not installed.

    Examples
    --------
    >>> from gnntrack.types import Cells, Runs
    >>> cells = Cells([0], [7], [[1.5, 2.0]], [[]], (), (), (1.0, 1.0), 1, (4, 6))
    >>> runs = Runs([0] * 4, [0, 6, 12, 18], [5] * 4, [0, 4], (4, 6))
    >>> table = measure_shapes(cells, runs)
    >>> table["area_pixel2"].tolist(), table["at_border"].tolist()
    ([20.0], [1])
    """
    import pandas as pd

    parts = []
    for frame in range(cells.n_frames):
        rows = cells.rows(frame)
        crops = list(_cut_out(runs, frame, range(rows.start, rows.stop)))
        boundaries = [find_boundary(crop.mask, crop.origin, cells.spacing) for crop in crops]
        parts.append(_measure_frame(crops, boundaries, cells.spacing, cells.shape))
        if each_mesh is not None:
            for label, boundary in zip(cells.label[rows].tolist(), boundaries, strict=True):
                if boundary.faces is not None:
                    each_mesh(frame, label, boundary.corners, boundary.faces)
        if progress is not None:
            progress("shapes", frame + 1, cells.n_frames)
    values = np.concatenate(parts)
    columns: dict[str, Any] = {"frame": cells.frame, "label": cells.label}
    columns |= {f"{axis}_{cells.unit}": cells.position[:, k] for k, axis in enumerate("zyx"[-cells.ndim :])}
    for k, (name, unit) in enumerate(zip(*list_shape_columns(ndim=cells.ndim, unit=cells.unit), strict=True)):
        column = values[:, k].astype(np.int64) if name in _COUNTS else values[:, k]
        columns[f"{name}_{unit}" if unit else name] = column
    return pd.DataFrame(columns)


def _cut_out(runs: Runs, frame: int, rows: range) -> Iterator[_Crop]:
    """Yield the cells of a frame in their bounding boxes, in the order of the rows."""
    part = runs.frame(frame)
    order = np.argsort(runs.cell[part], kind="stable")
    start, length = runs.start[part][order], runs.length[part][order]
    bounds = np.searchsorted(runs.cell[part][order], [*rows, rows.stop])
    for first, stop in itertools.pairwise(bounds):
        lengths = length[first:stop]
        voxels = np.stack(np.unravel_index(expand_runs(start[first:stop], lengths), runs.shape))
        origin = voxels.min(1)
        mask = np.zeros(voxels.max(1) - origin + 1, bool)
        mask[tuple(voxels - origin[:, None])] = True
        yield _Crop(mask, origin)


def _measure_frame(
    crops: list[_Crop], boundaries: list[Boundary], spacing: tuple[float, ...], shape: tuple[int, ...]
) -> FloatArray:
    """Return the values (n, columns) of the cells of a frame."""
    ndim = len(spacing)
    skeletons = measure_skeletons([crop.mask for crop in crops], spacing)
    values = []
    for crop, boundary, skeleton in zip(crops, boundaries, skeletons, strict=True):
        cut = (crop.origin == 0).any() or (crop.origin + crop.mask.shape == shape).any()
        content = np.count_nonzero(crop.mask) * math.prod(spacing)
        hull = _compute_hull(boundary.corners)
        # a ball (circle) has the smallest boundary of all bodies of its volume (area)
        if ndim == 3:
            ramification = boundary.size / (math.pi ** (1 / 3) * (6 * boundary.content) ** (2 / 3))
            roundness = 1 / ramification
        else:
            ramification = boundary.size / math.sqrt(4 * math.pi * boundary.content)
            roundness = 1 / ramification**2
        form = [cut, content, boundary.size, roundness, ramification, hull, boundary.content / hull]
        values.append([*form, *_fit_axes(crop.mask, spacing), *skeleton])
    return np.array(values, float).reshape(len(crops), len(list_shape_columns(ndim=ndim, unit="")[0]))


def _fit_axes(mask: BoolArray, spacing: tuple[float, ...]) -> FloatArray:
    """Return the full axes (D,) of the ellipsoid with the same second moments, longest first.

    Along a semiaxis a, the variance is a^2 / 5 in an ellipsoid and a^2 / 4 in an ellipse; a voxel counts as a box.
    """
    ndim = len(spacing)
    places = np.argwhere(mask) * spacing
    off = places - places.mean(0)
    moments = off.T @ off / len(off) + np.diag(np.square(spacing) / 12)
    axes: FloatArray = 2 * np.sqrt((ndim + 2) * np.linalg.eigvalsh(moments)[::-1])
    return axes


def _compute_hull(corners: FloatArray) -> float:
    """Return the volume (2D: area) of the convex hull of points (M, D)."""
    from scipy.spatial import ConvexHull

    return float(ConvexHull(corners).volume)
