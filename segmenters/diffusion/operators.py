"""Laplacian, eigenbasis and gradients of a cloud, which describe its shape to DiffusionNet.

Surfaces and clouds on surfaces use the robust Laplacian of Sharp and Crane (2020); volumes use finite volumes of their
boxes.
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
    from segmenters.common.arrays import Floats, Integers
    from segmenters.diffusion.points import Cloud

    Matrix = Any  # scipy.sparse.csr_array; scipy has no type information

__all__ = ["Operators", "build_cloud_operators", "build_operators", "build_surface_operators", "build_volume_operators"]

MODES = 96
"""Eigenvectors of a block."""

_DENSE = 350  # up to this number of points a dense solver is faster
_FLAT = 1e-2  # the gradient is 0 in directions where the squared extent of the neighbours is below this fraction
_NEAR = 20  # neighbours of a point on a surface


@dataclass(frozen=True, eq=False)
class Operators:
    """Operators for diffusion and gradients.

    Parameters
    ----------
    mass : (N,) float array
        Volume or area of each point.
    eigenvalues : (K,) float array
        Eigenvalues of the Laplacian, ascending from 0; 1 / length^2.
    eigenvectors : (N, K) float array
        Orthonormal by mass: ``eigenvectors.T @ diag(mass) @ eigenvectors = 1``.
    gradients : three sparse (N, N) arrays
        Slope along z, y, x; tangential on a surface.
    normals : (N, 3) float array
        Normals of a surface, outwards if it is closed; 0 in a volume.
    """

    mass: Floats
    eigenvalues: Floats
    eigenvectors: Floats
    gradients: tuple[Matrix, Matrix, Matrix]
    normals: Floats

    def compute_slopes(self) -> Floats:
        """Return the slopes of the eigenvectors along z, y, x, shape (3, N, K)."""
        return np.stack([np.asarray(gradient @ self.eigenvectors) for gradient in self.gradients])


def build_operators(cloud: Cloud, *, modes: int = MODES) -> Operators:
    """Return the operators of a cloud of any kind: triangles, boxes, or points on a surface.

    Parameters
    ----------
    cloud : Cloud
        At least one point.
    modes : int
        Largest number of eigenvectors.
    """
    if cloud.faces is not None:
        return build_surface_operators(cloud.points, cloud.faces, modes=modes)
    if cloud.box is not None and cloud.edges is not None:
        return build_volume_operators(cloud.points, cloud.mass, cloud.box, cloud.edges, modes=modes)
    return build_cloud_operators(cloud.points, modes=modes)


def build_volume_operators(
    points: Floats, mass: Floats, box: Integers, edges: Floats, *, modes: int = MODES
) -> Operators:
    """Return the operators of a volume made of boxes, by finite volumes, without flow through its surface.

    Parameters
    ----------
    points : (N, 3) float array
        A point in each box.
    mass : (N,) float array
        Filled volume of each box.
    box : (N, 3) int array
        Grid positions of the boxes.
    edges : (3,) float array
        Edges of a box.
    modes : int
        Largest number of eigenvectors.

    Notes
    -----
    Between boxes a and b that share a face of area A, with centres at a distance h, the weight is
    A / h * min(filled_a, filled_b).
    """
    n, volume = len(points), float(np.prod(edges))
    filled = np.clip(mass / volume, 0.05, 1.0)
    rows, columns, weights = [], [], []
    for axis in range(3):
        a, b = _find_neighbours(box, axis)
        rows.append(a)
        columns.append(b)
        weights.append(volume / edges[axis] ** 2 * np.minimum(filled[a], filled[b]))
    laplacian = _build_laplacian(np.concatenate(rows), np.concatenate(columns), np.concatenate(weights), n)
    values, vectors = compute_eigenbasis(laplacian, filled * volume, modes=modes)
    near = laplacian + laplacian @ laplacian  # boxes one and two steps away
    return Operators(filled * volume, values, vectors, _build_slope_operators(points, near, None), np.zeros((n, 3)))


def _find_neighbours(box: Integers, axis: int) -> tuple[Integers, Integers]:
    """Return the pairs of neighbouring boxes along an axis, the lower box first."""
    shape = box.max(0) + 2
    key = np.ravel_multi_index(tuple(box.T), tuple(shape))
    order = np.argsort(key)
    beyond = key + int(np.prod(shape[axis + 1 :]))
    at = np.minimum(np.searchsorted(key[order], beyond), len(key) - 1)
    found = key[order][at] == beyond
    return np.flatnonzero(found), order[at[found]]


def _build_laplacian(a: Integers, b: Integers, weight: Floats, n: int) -> Matrix:
    """Return the positive semidefinite Laplacian of weighted pairs."""
    sides = sparse.coo_array((weight, (a, b)), (n, n))
    sides = sparse.csr_array(sides + sides.T)
    return sparse.csr_array(sparse.diags_array(np.asarray(sides.sum(axis=1)).ravel()) - sides)


def build_surface_operators(points: Floats, faces: Integers, *, modes: int = MODES) -> Operators:
    """Return the operators of a surface of triangles of any quality.

    Parameters
    ----------
    points : (N, 3) float array
        Vertices.
    faces : (T, 3) int array
        Triangles.
    modes : int
        Largest number of eigenvectors.
    """
    laplacian, mass = robust_laplacian.mesh_laplacian(np.asarray(points, np.float64), np.asarray(faces, np.int64))
    area = _make_positive(mass.diagonal())
    values, vectors = compute_eigenbasis(sparse.csr_array(laplacian), area, modes=modes)
    corner = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    near = _build_laplacian(corner[:, 0], corner[:, 1], np.ones(len(corner)), len(points))
    normals = _compute_normals(points, faces)
    return Operators(area, values, vectors, _build_slope_operators(points, near, normals), normals)


def build_cloud_operators(points: Floats, *, modes: int = MODES) -> Operators:
    """Return the operators of points on a surface without triangles.

    The orientation of the normals is arbitrary.

    Parameters
    ----------
    points : (N, 3) float array
        At least 5 points on a surface.
    modes : int
        Largest number of eigenvectors.
    """
    laplacian, mass = robust_laplacian.point_cloud_laplacian(np.asarray(points, np.float64))
    area = _make_positive(mass.diagonal())
    values, vectors = compute_eigenbasis(sparse.csr_array(laplacian), area, modes=modes)
    k = min(_NEAR + 1, len(points))
    index = cKDTree(points).query(points, k=k)[1]
    away = points[index] - points[:, None]
    normals = np.linalg.eigh(np.einsum("nka,nkb->nab", away, away))[1][:, :, 0]
    row = np.repeat(np.arange(len(points)), k - 1)
    near = _build_laplacian(row, index[:, 1:].ravel(), np.ones(len(row)), len(points))
    return Operators(area, values, vectors, _build_slope_operators(points, near, normals), normals)


def _make_positive(area: Floats) -> Floats:
    """Give points without a triangle a small positive area, to avoid division by zero."""
    known = area[area > 0]
    return np.maximum(area, 1e-3 * float(np.median(known)) if len(known) else 1.0)


def _compute_normals(points: Floats, faces: Integers) -> Floats:
    """Return the mean normal of the triangles at each vertex, weighted by their area."""
    a, b, c = (points[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, faces[:, k], across)
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12), np.float64)


# --------------------------------------------------------------------------------------- eigenbasis


def compute_eigenbasis(laplacian: Matrix, mass: Floats, *, modes: int) -> tuple[Floats, Floats]:
    """Return the smoothest functions on a cloud: the eigenvectors with the lowest eigenvalues.

    Each connected part is solved separately, so that eigenvalues shared by many parts (such as 0) cause no problem.

    Parameters
    ----------
    laplacian : sparse (N, N) array
        Positive semidefinite, rows sum to 0.
    mass : (N,) float array
        Above 0.
    modes : int
        Largest number of eigenvectors.

    Returns
    -------
    eigenvalues : (K,) float array
        Ascending; K = min(modes, N), or one per part if there are more parts than `modes`.
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
        # Weyl's law: the number of modes is proportional to the size of the part; compute a few more
        wanted = min(len(rows), modes, int(1.25 * modes * len(rows) / n) + 6)
        found, vectors = _solve_part(laplacian[rows][:, rows], mass[rows], wanted)
        values.append(found)
        blocks.append((rows, vectors))
    eigenvalues = np.concatenate(values)
    kept = np.argsort(eigenvalues, kind="stable")[: max(modes, count)]
    return eigenvalues[kept], _assemble(blocks, n)[:, kept]


def _assemble(blocks: list[tuple[Integers, Floats]], n: int) -> Floats:
    whole = np.zeros((n, sum(vectors.shape[1] for _, vectors in blocks)))
    column = 0
    for rows, vectors in blocks:
        whole[rows, column : column + vectors.shape[1]] = vectors
        column += vectors.shape[1]
    return whole


def _solve_part(laplacian: Matrix, mass: Floats, modes: int) -> tuple[Floats, Floats]:
    """Return eigenvalues and eigenvectors of one connected part."""
    n, root = len(mass), np.sqrt(mass)
    scale = sparse.diags_array(1 / root)
    symmetric = sparse.csc_array(scale @ laplacian @ scale)
    symmetric = (symmetric + symmetric.T) / 2
    if n <= _DENSE or modes > n // 3:
        values, vectors = eigh(symmetric.toarray(), subset_by_index=[0, modes - 1])
    else:
        start = np.random.default_rng(0).normal(size=n)  # fixed, so that the result is reproducible
        shift = -1e-3 * float(symmetric.diagonal().mean())
        values, vectors = eigsh(symmetric, modes, sigma=shift, which="LM", v0=start, tol=1e-8)
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
    vectors = vectors / root[:, None]
    # The first eigenvector is known to be constant; setting it exactly makes diffusion preserve the mean.
    values[0], vectors[:, 0] = 0.0, 1 / np.sqrt(mass.sum())
    return np.maximum(values, 0.0), vectors


# ---------------------------------------------------------------------------------------- gradients


def _build_slope_operators(points: Floats, near: Matrix, normals: Floats | None) -> tuple[Matrix, Matrix, Matrix]:
    """Return operators for the slope along z, y, x, by a least-squares plane through each point.

    Parameters
    ----------
    points : (N, 3) float array
        Positions.
    near : sparse (N, N) array
        Its off-diagonal entries mark neighbours.
    normals : (N, 3) float array or None
        Normals of a surface, to make slopes tangential.

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
