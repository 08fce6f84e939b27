"""Laplacian, eigenbasis and gradients of a cloud: all that DiffusionNet knows of its shape.

Surfaces and clouds on surfaces get the robust Laplacian of Sharp and Crane (2020); volumes, which that one is
not made for, the finite volumes of their boxes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import robust_laplacian
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import eigsh
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    import numpy.typing as npt

    from segmenters.diffusion.points import Cloud

    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]
    Matrix = Any  # scipy.sparse.csr_array; scipy tells no types

__all__ = ["Operators", "cloud_operators", "operators_of", "surface_operators", "volume_operators"]

MODES = 96
"""Eigenvectors of a block."""

_DENSE = 350  # up to so many points all eigenvectors at once are faster
_FLAT = 1e-2  # directions in which neighbours reach less far than this share (squared) have no gradient
_NEAR = 20  # neighbours of a point on a surface


@dataclass(frozen=True, eq=False)
class Operators:
    """What diffusion and gradients need.

    Parameters
    ----------
    mass : (N,) float array
        Volume or area of each point.
    eigenvalues : (K,) float array
        Of the Laplacian, ascending from 0; 1 / length^2.
    eigenvectors : (N, K) float array
        Orthonormal by mass: ``eigenvectors.T @ diag(mass) @ eigenvectors = 1``.
    gradients : three sparse (N, N) arrays
        Slope along z, y, x; tangential on a surface.
    normals : (N, 3) float array
        Of a surface, outwards where it is closed; 0 in a volume.
    """

    mass: Floats
    eigenvalues: Floats
    eigenvectors: Floats
    gradients: tuple[Matrix, Matrix, Matrix]
    normals: Floats

    def slopes(self) -> Floats:
        """Return the slopes of the eigenvectors along z, y, x, shape (3, N, K)."""
        return np.stack([np.asarray(gradient @ self.eigenvectors) for gradient in self.gradients])


def operators_of(cloud: Cloud, *, modes: int = MODES) -> Operators:
    """Return the operators of a cloud, whichever it is: of triangles, of boxes, or of points on a surface.

    Parameters
    ----------
    cloud : Cloud
        At least one point.
    modes : int
        Eigenvectors at most.
    """
    if cloud.faces is not None:
        return surface_operators(cloud.points, cloud.faces, modes=modes)
    if cloud.box is not None and cloud.edges is not None:
        return volume_operators(cloud.points, cloud.mass, cloud.box, cloud.edges, modes=modes)
    return cloud_operators(cloud.points, modes=modes)


def volume_operators(points: Floats, mass: Floats, box: Integers, edges: Floats, *, modes: int = MODES) -> Operators:
    """Return the operators of a volume made of boxes, by finite volumes; nothing flows out of its surface.

    Parameters
    ----------
    points : (N, 3) float array
        A point in each box.
    mass : (N,) float array
        How much of each box is filled.
    box : (N, 3) int array
        Places of the boxes.
    edges : (3,) float array
        Edges of a box.
    modes : int
        Eigenvectors at most.

    Notes
    -----
    Between boxes a and b that share a face of area A, with middles a distance h apart, the weight is
    A / h * min(filled_a, filled_b).
    """
    n, volume = len(points), float(np.prod(edges))
    filled = np.clip(mass / volume, 0.05, 1.0)
    rows, columns, weights = [], [], []
    for axis in range(3):
        a, b = _pairs_along(box, axis)
        rows.append(a)
        columns.append(b)
        weights.append(volume / edges[axis] ** 2 * np.minimum(filled[a], filled[b]))
    laplacian = _laplacian(np.concatenate(rows), np.concatenate(columns), np.concatenate(weights), n)
    values, vectors = eigenbasis(laplacian, filled * volume, modes=modes)
    near = laplacian + laplacian @ laplacian  # boxes one and two steps away
    return Operators(filled * volume, values, vectors, _slope_operators(points, near, None), np.zeros((n, 3)))


def _pairs_along(box: Integers, axis: int) -> tuple[Integers, Integers]:
    """Return the pairs of boxes that are neighbours along an axis, lower one first."""
    shape = box.max(0) + 2
    key = np.ravel_multi_index(tuple(box.T), tuple(shape))
    order = np.argsort(key)
    beyond = key + int(np.prod(shape[axis + 1 :]))
    at = np.minimum(np.searchsorted(key[order], beyond), len(key) - 1)
    found = key[order][at] == beyond
    return np.flatnonzero(found), order[at[found]]


def _laplacian(a: Integers, b: Integers, weight: Floats, n: int) -> Matrix:
    """Return the positive semidefinite Laplacian of weighted pairs."""
    sides = sparse.coo_array((weight, (a, b)), (n, n))
    sides = sparse.csr_array(sides + sides.T)
    return sparse.csr_array(sparse.diags_array(np.asarray(sides.sum(axis=1)).ravel()) - sides)


def surface_operators(points: Floats, faces: Integers, *, modes: int = MODES) -> Operators:
    """Return the operators of a surface of triangles, whatever its triangles are like.

    Parameters
    ----------
    points : (N, 3) float array
        Vertices.
    faces : (T, 3) int array
        Triangles.
    modes : int
        Eigenvectors at most.
    """
    laplacian, mass = robust_laplacian.mesh_laplacian(np.asarray(points, np.float64), np.asarray(faces, np.int64))
    area = _positive(mass.diagonal())
    values, vectors = eigenbasis(sparse.csr_array(laplacian), area, modes=modes)
    corner = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    near = _laplacian(corner[:, 0], corner[:, 1], np.ones(len(corner)), len(points))
    normals = _mesh_normals(points, faces)
    return Operators(area, values, vectors, _slope_operators(points, near, normals), normals)


def cloud_operators(points: Floats, *, modes: int = MODES) -> Operators:
    """Return the operators of points on a surface of which no triangles are known.

    The normals point to either side.

    Parameters
    ----------
    points : (N, 3) float array
        Points on a surface, 5 at least.
    modes : int
        Eigenvectors at most.
    """
    laplacian, mass = robust_laplacian.point_cloud_laplacian(np.asarray(points, np.float64))
    area = _positive(mass.diagonal())
    values, vectors = eigenbasis(sparse.csr_array(laplacian), area, modes=modes)
    k = min(_NEAR + 1, len(points))
    index = cKDTree(points).query(points, k=k)[1]
    away = points[index] - points[:, None]
    normals = np.linalg.eigh(np.einsum("nka,nkb->nab", away, away))[1][:, :, 0]
    row = np.repeat(np.arange(len(points)), k - 1)
    near = _laplacian(row, index[:, 1:].ravel(), np.ones(len(row)), len(points))
    return Operators(area, values, vectors, _slope_operators(points, near, normals), normals)


def _positive(area: Floats) -> Floats:
    """Give points without a triangle the least area, so that they can be divided by."""
    known = area[area > 0]
    return np.maximum(area, 1e-3 * float(np.median(known)) if len(known) else 1.0)


def _mesh_normals(points: Floats, faces: Integers) -> Floats:
    """Return the mean normal of the triangles at each vertex, weighted by their area."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, faces[:, k], across)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12), np.float64)


# --------------------------------------------------------------------------------------- eigenbasis


def eigenbasis(laplacian: Matrix, mass: Floats, *, modes: int) -> tuple[Floats, Floats]:
    """Return the smoothest functions on a cloud: the eigenvectors with the lowest eigenvalues.

    Each connected part is solved on its own: an eigenvalue that many parts share, as 0, is no hindrance then.

    Parameters
    ----------
    laplacian : sparse (N, N) array
        Positive semidefinite, rows sum to 0.
    mass : (N,) float array
        Above 0.
    modes : int
        Eigenvectors at most.

    Returns
    -------
    eigenvalues : (K,) float array
        Ascending; K = min(modes, N), or one a part where there are more parts than `modes`.
    eigenvectors : (N, K) float array
        Orthonormal by mass.
    """
    n = len(mass)
    count, part = connected_components(laplacian, directed=False)
    order = np.argsort(part, kind="stable")
    bounds = np.searchsorted(part[order], np.arange(count + 1))
    values, blocks = [], []
    for first, last in pairwise(bounds.tolist()):
        rows = order[first:last]
        # Weyl's law: as many modes as the part is large, and a few more to choose from
        wanted = min(len(rows), modes, int(1.25 * modes * len(rows) / n) + 6)
        found, vectors = _part_basis(laplacian[rows][:, rows], mass[rows], wanted)
        values.append(found)
        blocks.append((rows, vectors))
    eigenvalues = np.concatenate(values)
    kept = np.argsort(eigenvalues, kind="stable")[: max(modes, count)]
    return eigenvalues[kept], _assembled(blocks, n)[:, kept]


def _assembled(blocks: list[tuple[Integers, Floats]], n: int) -> Floats:
    whole = np.zeros((n, sum(vectors.shape[1] for _, vectors in blocks)))
    column = 0
    for rows, vectors in blocks:
        whole[rows, column : column + vectors.shape[1]] = vectors
        column += vectors.shape[1]
    return whole


def _part_basis(laplacian: Matrix, mass: Floats, modes: int) -> tuple[Floats, Floats]:
    """Return eigenvalues and eigenvectors of one connected part."""
    n, root = len(mass), np.sqrt(mass)
    scale = sparse.diags_array(1 / root)
    symmetric = sparse.csc_array(scale @ laplacian @ scale)
    symmetric = (symmetric + symmetric.T) / 2
    if n <= _DENSE or modes > n // 3:
        values, vectors = eigh(symmetric.toarray(), subset_by_index=[0, modes - 1])
    else:
        start = np.random.default_rng(0).normal(size=n)  # the same cloud gives the same basis
        shift = -1e-3 * float(symmetric.diagonal().mean())
        values, vectors = eigsh(symmetric, modes, sigma=shift, which="LM", v0=start, tol=1e-8)
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
    vectors = vectors / root[:, None]
    # The first is known: it is constant, so that diffusion keeps the mean to the last digit.
    values[0], vectors[:, 0] = 0.0, 1 / np.sqrt(mass.sum())
    return np.maximum(values, 0.0), vectors


# ---------------------------------------------------------------------------------------- gradients


def _slope_operators(points: Floats, near: Matrix, normals: Floats | None) -> tuple[Matrix, Matrix, Matrix]:
    """Return operators for the slope along z, y, x: of the plane through a point that fits its neighbours best.

    Parameters
    ----------
    points : (N, 3) float array
        Positions.
    near : sparse (N, N) array
        Its entries, off the diagonal, tell who is whose neighbour.
    normals : (N, 3) float array or None
        Of a surface: then slopes are tangential.

    Notes
    -----
    Least squares with weights w = exp(-d^2 / 2 h^2), h the mean distance of neighbours:
    slope = (sum w d d^T)^+ sum w d (u_j - u_i).
    """
    n, pairs = len(points), sparse.coo_array(near)
    off = pairs.row != pairs.col
    row, column = pairs.row[off], pairs.col[off]
    away = points[column] - points[row]
    if normals is not None:
        away -= np.sum(away * normals[row], axis=1, keepdims=True) * normals[row]
    squared = np.sum(away**2, axis=1)
    weight = np.exp(-squared / (2 * float(squared.mean()))) if len(row) else squared
    moments = np.zeros((n, 3, 3))
    for a in range(3):
        for b in range(3):
            moments[:, a, b] = np.bincount(row, weight * away[:, a] * away[:, b], n)
    inverse = np.linalg.pinv(moments, rcond=_FLAT, hermitian=True)
    slope = np.einsum("eab,eb->ea", inverse[row], weight[:, None] * away)
    found = []
    for axis in range(3):
        to = sparse.coo_array((slope[:, axis], (row, column)), (n, n))
        own = sparse.diags_array(np.bincount(row, slope[:, axis], n).astype(np.float64))
        found.append(sparse.csr_array(to.tocsr() - own))
    return found[0], found[1], found[2]
