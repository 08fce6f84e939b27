"""Simulated cells that overlap are pushed apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from gnntrack.types import FloatArray

__all__ = ["push_apart"]


def push_apart(position: FloatArray, radius: FloatArray, *, reach: float, strength: float) -> FloatArray:
    """Return the displacement of each cell away from the cells that it overlaps, shape (N, D).

    Parameters
    ----------
    position : (N, D) float64
        Centres.
    radius : (N,) float64
        In the same unit.
    reach : float
        Distance at which two cells begin to push each other, in sums of their radii.
    strength : float
        Displacement of each of the two, in parts of what is missing to that distance.

    Examples
    --------
    >>> push_apart(np.array([[0.0, 0.0], [0.0, 3.0]]), np.array([2.0, 2.0]), reach=1.0, strength=0.5).tolist()
    [[0.0, -0.5], [0.0, 0.5]]
    """
    n = len(position)
    pairs = cKDTree(position).query_pairs(2 * float(radius.max()), output_type="ndarray")
    a, b = pairs[:, 0], pairs[:, 1]
    apart = position[b] - position[a]
    distance = np.maximum(np.linalg.norm(apart, axis=1), 1e-6)
    overlap = reach * (radius[a] + radius[b]) - distance
    close = overlap > 0
    a, b = a[close], b[close]
    push = (strength * overlap / distance)[close, None] * apart[close]
    columns = [np.bincount(b, each, n) - np.bincount(a, each, n) for each in push.T]
    return np.stack(columns, axis=1)
