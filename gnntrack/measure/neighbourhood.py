"""How close the cells of a frame are to each other."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import UNIT_BALL, find_nearest

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, IntArray

__all__ = ["measure_neighbourhood"]


def measure_neighbourhood(
    position: FloatArray, offsets: IntArray, spacing: tuple[float, ...], shape: tuple[int, ...], neighbours: int
) -> dict[str, FloatArray]:
    """Return the distance of each cell from the nearest one of its frame, and the density around it.

    Parameters
    ----------
    position : (N, D) float64
        Sorted by frame, in the unit of `spacing`.
    offsets : (n_frames + 1,) int64
        Rows ``offsets[t]:offsets[t + 1]`` are those of frame t.
    spacing : D floats
        Size of a pixel.
    shape : D ints
        Shape of a frame in pixels.
    neighbours : int
        Number of nearest cells from which the density is computed.

    Returns
    -------
    dict
        ``neighbour_distance`` and ``density``, (N,) each; a cell alone in its frame has the diagonal of the frame as
        its distance, and the density 0.

    Examples
    --------
    >>> around = measure_neighbourhood(np.array([[0.0, 0.0], [0.0, 5.0]]), np.array([0, 2]), (1, 1), (9, 9), 6)
    >>> around["neighbour_distance"].tolist()
    [5.0, 5.0]
    """
    nearest = np.full(len(position), math.dist([0] * len(shape), np.multiply(shape, spacing)))
    density = np.zeros(len(position))
    for low, high in itertools.pairwise(offsets):
        k = min(neighbours, int(high - low) - 1)
        if k < 1:
            continue
        place = position[low:high]
        distance = find_nearest(place, place, k + 1)[0]
        nearest[low:high] = distance[:, 1]  # after the cell itself
        # two cells may have one centroid (a ring around another cell); half a pixel keeps the density finite
        density[low:high] = k / (UNIT_BALL[len(shape)] * np.maximum(distance[:, k], min(spacing) / 2) ** len(shape))
    return {"neighbour_distance": nearest, "density": density}
