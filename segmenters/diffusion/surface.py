"""From a stack to its surface: triangles around all that is brighter than half a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from segmenters.diffusion.features import (
    COLUMNS,
    DENSITY,
    Levels,
    blur_in_voxels,
    compute_brightness,
    compute_features,
    make_voxel_stacks,
)
from segmenters.diffusion.points import Cloud, stack_to_points

if TYPE_CHECKING:
    from segmenters.common.arrays import Floats, Integers, Spacing, Stack


__all__ = ["build_surface_cloud", "stack_to_surface"]

_HALF = 0.5  # the surface lies at this share of a typical cell's brightness


def stack_to_surface(stack: Stack, *, threshold: float, spacing: Spacing, edge: float) -> tuple[Floats, Integers]:
    """Return the surface of the region above a threshold, closed at the ends of the stack.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Grey values.
    threshold : float
        Grey value at the surface.
    spacing : three floats
        Size of a voxel along z, y, x.
    edge : float
        About how long the edges of the triangles shall be, in the unit of `spacing`.

    Returns
    -------
    points : (N, 3) float array
        Vertices z, y, x in the unit of `spacing`.
    faces : (T, 3) int array
        Triangles; their corners are ordered so that normals point out of the bright region.

    Examples
    --------
    >>> stack = np.pad(np.ones((4, 4, 4), np.float32), 3)
    >>> points, faces = stack_to_surface(stack, threshold=0.5, spacing=(1.0, 1.0, 1.0), edge=1.0)
    >>> points.min(0).tolist(), points.max(0).tolist()
    ([2.5, 2.5, 2.5], [6.5, 6.5, 6.5])
    """
    nothing = np.zeros((0, 3)), np.zeros((0, 3), np.int64)
    if not stack.size or stack.max() <= threshold:
        return nothing
    step = np.maximum(edge, np.asarray(spacing, np.float64))
    count = [max(1, round((n - 1) * s / h) + 1) for n, s, h in zip(stack.shape, spacing, step, strict=True)]
    ratio = [(n - 1) / (c - 1) if c > 1 else 1.0 for n, c in zip(stack.shape, count, strict=True)]
    grid = np.meshgrid(*[np.arange(c) * r for c, r in zip(count, ratio, strict=True)], indexing="ij")
    coarse = np.asarray(ndimage.map_coordinates(stack, grid, order=1), np.float32)
    walled = np.pad(coarse, 1, constant_values=min(float(coarse.min()), 2 * threshold - float(coarse.max())))
    if walled.max() <= threshold:
        return nothing
    vertices, faces, _, _ = marching_cubes(walled, threshold)  # type: ignore[no-untyped-call]
    points = (vertices.astype(np.float64) - 1) * ratio * spacing
    return points, np.asarray(faces[:, ::-1], np.int64)


def build_surface_cloud(stack: Stack, levels: Levels, *, spacing: Spacing) -> Cloud:
    """Return the surface of all that may be a cell as a cloud with triangles.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Grey values.
    levels : Levels
        As of `measure_levels`.
    spacing : three floats
        Size of a voxel along z, y, x.

    Returns
    -------
    cloud : Cloud
        Its voxels are those inside the surface, each owned by the nearest vertex; without points where nothing
        is bright enough.
    """
    smooth = ndimage.gaussian_filter(stack, blur_in_voxels(0.5, levels, spacing), truncate=3)
    level = max(levels.threshold, levels.background + _HALF * (levels.bright - levels.background))
    points, faces = stack_to_surface(smooth, threshold=level, spacing=spacing, edge=levels.diameter / DENSITY)
    place = (points / spacing).T
    columns = np.zeros((len(points), COLUMNS))
    if len(points):
        for column, values in enumerate(make_voxel_stacks(stack, levels, spacing=spacing)):
            columns[:, column] = ndimage.map_coordinates(values, place, order=1, mode="nearest")
    features, vectors = compute_features(columns)
    inside, grey, voxels = stack_to_points(smooth, threshold=level, spacing=spacing)
    owner = cKDTree(points).query(inside)[1] if len(points) else np.zeros(0)
    bright = np.asarray(compute_brightness(grey, levels), np.float32)
    place, mass = points / levels.diameter, np.zeros(len(points))
    return Cloud(place, mass, features, vectors, voxels, owner.astype(np.int64), bright, faces=faces)
