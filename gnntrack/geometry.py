"""Volumes of balls (in 2D areas of circles), and nearest points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["UNIT_BALL", "compute_radius", "find_mutual_nearest"]

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
    from scipy.spatial import cKDTree

    distance, nearest = cKDTree(target).query(source)
    mutual = cKDTree(source).query(target)[1][nearest] == np.arange(len(source))
    return distance, nearest, mutual
