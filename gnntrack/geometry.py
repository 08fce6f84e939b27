"""Volumes of balls (in 2D areas of circles), and nearest points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = [
    "UNIT_BALL",
    "compute_radius",
    "find_mutual_nearest",
    "find_nearest",
    "find_nearest_both_ways",
    "find_within",
    "measure_lengths",
]

_FEW = 1 << 16  # pairs of points below which all distances are computed in less time than a tree is built

UNIT_BALL = {2: math.pi, 3: 4 / 3 * math.pi}
"""Area of the circle and volume of the ball of radius 1, by number of dimensions."""


def compute_radius(size: Any, ndim: int) -> Any:
    """Return the radius of the circle (2D) or ball (3D) of a given size.

    Parameters
    ----------
    size : float or array
        Area or volume, in pixels or in a unit of length to the power `ndim`.
    ndim : {2, 3}
        Number of dimensions.

    Examples
    --------
    >>> compute_radius(math.pi * 9, 2)
    3.0
    """
    return (size / UNIT_BALL[ndim]) ** (1 / ndim)


def measure_lengths(vectors: FloatArray) -> FloatArray:
    """Return the lengths (n,) of vectors (n, D), some times as fast as `numpy.linalg.norm`.

    >>> measure_lengths(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [5.0, 0.0]
    """
    squared = vectors[:, 0] ** 2
    for axis in range(1, vectors.shape[1]):
        squared += vectors[:, axis] ** 2
    return np.asarray(np.sqrt(squared))


def find_mutual_nearest(source: FloatArray, target: FloatArray) -> tuple[FloatArray, IntArray, BoolArray]:
    """Find the points that are nearest to each other.

    Parameters
    ----------
    source, target : (n, D) and (m, D) float64
        Positions, at least one each.

    Returns
    -------
    distance : (n,) float64
        From each source to its nearest target.
    nearest : (n,) int64
        Row of that target.
    mutual : (n,) bool
        Whether the source is also the nearest source of that target.

    Examples
    --------
    >>> distance, nearest, mutual = find_mutual_nearest(np.array([[0.0], [3.0]]), np.array([[2.5]]))
    >>> distance.tolist(), nearest.tolist(), mutual.tolist()
    ([2.5, 0.5], [0, 0], [False, True])
    """
    (distance, nearest), (_, back) = find_nearest_both_ways(source, target, (1, 1))
    return distance, nearest, back[nearest] == np.arange(len(source))


def find_nearest_both_ways(
    points: FloatArray, others: FloatArray, k: tuple[int, int], *, limit: float = math.inf
) -> tuple[tuple[FloatArray, IntArray], tuple[FloatArray, IntArray]]:
    """Return `find_nearest` from points to others, with ``k[0]`` others, and back, with ``k[1]`` points.

    Examples
    --------
    >>> there, back = find_nearest_both_ways(np.array([[0.0], [4.0]]), np.array([[1.0]]), (1, 2))
    >>> there[1].tolist(), back[1].tolist()
    ([0, 0], [[0, 1]])
    """
    if len(points) * len(others) > _FEW:
        return find_nearest(points, others, k[0], limit=limit), find_nearest(others, points, k[1], limit=limit)
    rows, columns = np.lexsort(points.T), np.lexsort(others.T)
    squared = _compute_squared_distances(points[rows], others[columns])
    back = _take_nearest(squared.T.copy(), k[1], limit)
    there = _take_nearest(squared, k[0], limit)
    return _restore_order(there, rows, columns), _restore_order(back, columns, rows)


def _restore_order(
    found: tuple[FloatArray, IntArray], points: IntArray, others: IntArray
) -> tuple[FloatArray, IntArray]:
    """Return what was found for sorted points among sorted others, in the orders before they were sorted by these."""
    distance, nearest = np.empty_like(found[0]), np.empty_like(found[1])
    distance[points], nearest[points] = found[0], np.append(others, len(others))[found[1]]
    return distance, nearest


def find_nearest(
    points: FloatArray, others: FloatArray, k: int = 1, *, limit: float = math.inf
) -> tuple[FloatArray, IntArray]:
    """Find the k nearest others of each point.

    Parameters
    ----------
    points, others : (n, D) and (m, D) float64
        Positions, at least one of the others.
    k : int, optional
        At most m.
    limit : float, optional
        Others at this distance or farther are not found.

    Returns
    -------
    distance : (n,) float64, or (n, k) if k > 1
        Ascending; infinite if there is no other within the limit.
    nearest : (n,) int64, or (n, k) if k > 1
        Rows of the others; m if there is none.

    Examples
    --------
    >>> distance, nearest = find_nearest(np.array([[0.0], [4.0]]), np.array([[1.0], [6.0]]), 2, limit=5)
    >>> distance.tolist(), nearest.tolist()
    ([[1.0, inf], [2.0, 3.0]], [[0, 2], [1, 0]])
    """
    place = np.lexsort(others.T)  # of others at the same distance, the choice depends on their places, not their rows
    distance, nearest = _find_nearest_sorted(points, others[place], k, limit)
    return distance, np.append(place, len(others))[nearest]


def _find_nearest_sorted(points: FloatArray, others: FloatArray, k: int, limit: float) -> tuple[FloatArray, IntArray]:
    """Find the nearest others; which of those at the same distance depends on their order."""
    if len(points) * len(others) > _FEW:
        from scipy.spatial import cKDTree  # slow to import

        distance, nearest = cKDTree(others).query(points, k, distance_upper_bound=limit)
        return distance, nearest
    return _take_nearest(_compute_squared_distances(points, others), k, limit)


def _take_nearest(squared: FloatArray, k: int, limit: float) -> tuple[FloatArray, IntArray]:
    """Return the k nearest columns of each row, from their squared distances (n, m), which are overwritten."""
    n, m = squared.shape
    distance, nearest, row = np.empty((n, k)), np.empty((n, k), np.int64), np.arange(n)
    for column in range(k):  # some times as fast as np.argpartition
        nearest[:, column] = found = squared.argmin(axis=1)
        distance[:, column] = squared[row, found]
        squared[row, found] = np.inf
    np.sqrt(distance, out=distance)
    far = distance >= limit
    distance[far], nearest[far] = np.inf, m
    return (distance[:, 0], nearest[:, 0]) if k == 1 else (distance, nearest)


def find_within(points: FloatArray, others: FloatArray, limit: float) -> list[list[int]]:
    """Return for each point the rows of the others within a distance, ascending.

    Parameters
    ----------
    points, others : (n, D) and (m, D) float64
        Positions, at least one of the others.
    limit : float
        The largest distance.

    Examples
    --------
    >>> find_within(np.array([[0.0], [4.0]]), np.array([[1.0], [6.0]]), 3)
    [[0], [0, 1]]
    """
    if len(points) * len(others) > _FEW:
        from scipy.spatial import cKDTree  # slow to import

        found: list[list[int]] = cKDTree(others).query_ball_point(points, limit, return_sorted=True).tolist()
        return found
    return [np.flatnonzero(row).tolist() for row in _compute_squared_distances(points, others) <= limit**2]


def _compute_squared_distances(points: FloatArray, others: FloatArray) -> FloatArray:
    squared = np.zeros((len(points), len(others)))
    difference = np.empty_like(squared)
    for axis in range(points.shape[1]):
        out = difference if axis else squared
        np.subtract(points[:, axis, None], others[:, axis], out=out)
        np.multiply(out, out, out=out)
        if axis:
            squared += difference
    return squared
