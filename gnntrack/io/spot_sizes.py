"""Radii of cells, for formats in which a cell is a disc or a ball."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import compute_radius

if TYPE_CHECKING:
    from gnntrack.types import Cells, FloatArray

__all__ = ["find_radius"]


def find_radius(cells: Cells) -> FloatArray:
    """Return the radius of a disc or ball of the size of each cell, in the unit of the positions.

    Returns
    -------
    (N,) float64
        From the feature ``diameter``, else from ``size``; NaN if neither is known.

    Examples
    --------
    >>> from gnntrack.types import Cells
    >>> find_radius(Cells([0], [1], [[0, 0]], [[12.566]], ("size",), ("pixel2",), (1, 1), 1, (9, 9))).round(2).tolist()
    [2.0]
    """
    radius = np.full(len(cells), np.nan)
    if cells.has("diameter"):
        radius = cells.feature("diameter").astype(np.float64) / 2
    elif cells.has("size"):
        radius = compute_radius(cells.feature("size").astype(np.float64), cells.ndim)
    return np.where(np.isfinite(radius) & (radius > 0), radius, np.nan)
