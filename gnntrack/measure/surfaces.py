"""Smooth closed surfaces (3D) and outlines (2D) of cells."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FeatureArray, FloatArray, IntArray

__all__ = ["Boundary", "find_boundary"]

_LEEWAY = 0.05  # the smoothed surface stays at least a fifth of the way from a voxel's centre, so no thin arm is lost
_BLUR = 1.0  # voxels: steps of the mask are smoothed, cells of a few voxels keep their form
_ROUNDS = 8  # of moving a surface to the volume of its cell; two are enough except for cells of a few voxels
_VOLUME_ERROR = 1e-3  # relative difference in volume at which the moves stop


class Boundary(NamedTuple):
    """A closed surface (3D) or outline (2D), lengths in the unit of the spacing."""

    content: float  # enclosed volume or area
    size: float  # area of the surface or length of the outline
    corners: FloatArray  # (M, D); x, y, z in 3D
    faces: IntArray | None = None  # (F, 3) rows of corners, in 3D


def find_boundary(mask: BoolArray, origin: IntArray, spacing: tuple[float, ...]) -> Boundary:
    """Find the smooth closed boundary of a cell that encloses as much as its voxels.

    Parameters
    ----------
    mask : bool array, 2D or 3D
        The cell in its bounding box.
    origin : (D,) int64
        First voxel of the box in the frame.
    spacing : D floats
        Size of a voxel along ``[z], y, x``.

    Returns
    -------
    Boundary
        Lengths in the unit of `spacing`.

    Notes
    -----
    The 0.5 surface of the smoothed mask, by marching cubes (Lewiner et al., J. Graphics Tools 2003) or marching
    squares, is moved along its normals until the enclosed volume differs from that of the voxels by less than 0.1 %.

    Examples
    --------
    >>> boundary = find_boundary(np.ones((4, 5), bool), np.array([0, 0]), (0.5, 1.0))
    >>> round(boundary.content, 1)
    10.0
    """
    field = _smooth(mask)
    content = np.count_nonzero(mask) * math.prod(spacing)
    if len(spacing) == 2:
        return _extract_outline(field, content, spacing)
    return _extract_surface(field, content, spacing, origin)


def _smooth(mask: BoolArray) -> FeatureArray:
    """Return the mask with a margin, blurred, but above 0.5 inside the cell and below 0.5 outside.

    The 0.5 surface separates the same voxels as the mask and rounds its steps, as surface nets do (Gibson, MICCAI
    1998). The margin closes it where the frame cuts the cell.
    """
    from scipy import ndimage

    mask = np.pad(mask, 1)
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), _BLUR, mode="constant", truncate=2)
    inside, outside = np.maximum(blurred, 0.5 + _LEEWAY), np.minimum(blurred, 0.5 - _LEEWAY)
    field: FeatureArray = np.where(mask, inside, outside).astype(np.float32)
    return field


def _extract_surface(field: FeatureArray, content: float, spacing: tuple[float, ...], origin: IntArray) -> Boundary:
    """Return the surface of a smoothed 3D mask, moved until it encloses `content`."""
    from skimage.measure import marching_cubes

    places, faces, _, _ = marching_cubes(field, 0.5, spacing=spacing)  # type: ignore[no-untyped-call]
    places = places[:, ::-1].astype(float)  # x, y, z; the mirror image turns the faces outwards
    volume, area, normals = _measure_surface(places, faces)
    for _ in range(_ROUNDS):
        step = _choose_step(content, volume, area, spacing)
        if not step:
            break
        places = places + step * normals
        volume, area, normals = _measure_surface(places, faces)
    shift = ((origin - 1) * spacing)[::-1]  # the margin is one voxel
    return Boundary(volume, area, places + shift, faces)


def _measure_surface(places: FloatArray, faces: IntArray) -> tuple[float, float, FloatArray]:
    """Return the volume and the area of a closed mesh, and the unit normal (M, 3) of each vertex.

    The volume is the sum of the tetrahedra from the origin to the faces; the normal of a vertex is the mean of the
    normals of its faces, weighted by their area.
    """
    a, b, c = places[faces.T]
    cross = np.cross(b - a, c - a)  # (F, 3), its length is twice the area
    normals = np.zeros_like(places)
    for corner in faces.T:
        for axis in range(3):
            normals[:, axis] += np.bincount(corner, cross[:, axis], minlength=len(places))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return float((a * cross).sum() / 6), float(np.linalg.norm(cross, axis=1).sum() / 2), normals


def _extract_outline(field: FeatureArray, content: float, spacing: tuple[float, ...]) -> Boundary:
    """Return the outline of a smoothed 2D mask, moved until it encloses `content`."""
    from skimage.measure import find_contours

    # the last point of a ring is its first; outer rings and holes have opposite orientations
    rings = [ring[:-1] * spacing for ring in find_contours(field, 0.5)]  # type: ignore[no-untyped-call]
    sign = math.copysign(1, sum(map(_compute_area, rings)))
    area, length = sign * sum(map(_compute_area, rings)), sum(map(_compute_length, rings))
    for _ in range(_ROUNDS):
        step = _choose_step(content, area, length, spacing)
        if not step:
            break
        rings = [ring + sign * step * _compute_normals(ring) for ring in rings]
        area, length = sign * sum(map(_compute_area, rings)), sum(map(_compute_length, rings))
    return Boundary(area, length, np.concatenate(rings))


def _choose_step(wanted: float, content: float, boundary: float, spacing: tuple[float, ...]) -> float:
    """Return how far to move a boundary along its normals, at most a quarter of a voxel; 0 if it fits."""
    if abs(content - wanted) < _VOLUME_ERROR * wanted:
        return 0.0
    limit = min(spacing) / 4
    return float(np.clip((wanted - content) / boundary, -limit, limit))


def _compute_area(ring: FloatArray) -> float:
    """Return the signed area of a polygon (M, 2)."""
    after = np.roll(ring, -1, axis=0)
    return float((ring[:, 0] * after[:, 1] - ring[:, 1] * after[:, 0]).sum() / 2)


def _compute_length(ring: FloatArray) -> float:
    """Return the perimeter of a polygon (M, 2)."""
    return float(np.linalg.norm(np.roll(ring, -1, axis=0) - ring, axis=1).sum())


def _compute_normals(ring: FloatArray) -> FloatArray:
    """Return a unit normal per point (M, 2), outwards if the signed area is positive."""
    along = np.roll(ring, -1, axis=0) - np.roll(ring, 1, axis=0)
    normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
    unit: FloatArray = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return unit
