"""What mothers and daughters look like in this movie, learnt from its surest divisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.scores.densities import log_normal
from gnntrack.scores.quick_solution import Best

if TYPE_CHECKING:
    from gnntrack.types import CellGraph, FloatArray, IntArray

__all__ = ["LIMIT", "look_odds", "looks_of"]

_LOOK_WEIGHT = 20.0  # cells that the look of any cell counts for, against that of mothers and daughters
_LOOKS = (
    *("size_zscore", "elongation_zscore", "ellipsoid_fill_zscore"),
    *("intensity_mean_zscore", "intensity_std_zscore", "intensity_max_zscore"),
)
LIMIT = 6.0  # log odds that a hint (brightness, past and future of a division) may count for at most


def looks_of(graph: CellGraph, gain: FloatArray) -> FloatArray:
    """Return what a cell looks like and how that changed since the frame before, in robust z-scores, shape (N, F)."""
    cells = graph.cells
    columns = [cells.feature(name) for name in _LOOKS if cells.has(name)]
    value = np.stack(columns, axis=1).astype(np.float64) if columns else np.zeros((len(cells), 0))
    past = Best.of(graph, gain, graph.target).cell
    change = np.where((past >= 0)[:, None], value - value[past], 0)
    table = np.hstack([value, change])
    middle = np.median(table, axis=0)
    spread = 1.4826 * np.median(np.abs(table - middle), axis=0)
    return np.asarray(np.clip((table - middle) / np.maximum(spread, 1e-6), -5, 5))


def look_odds(looks: FloatArray, cells: IntArray) -> FloatArray:
    """Return the log odds of looking like the given cells rather than like any cell, shape (N,).

    One normal distribution per column, pulled to that of all cells where there are few given ones. The columns
    depend on each other, so that the sum is overconfident: it may speak against a division, not for one.
    """
    n = len(cells)
    everyone = np.maximum(looks.std(axis=0), 0.5)
    mean = looks[cells].sum(axis=0) / (_LOOK_WEIGHT + n)
    variance = (_LOOK_WEIGHT * everyone**2 + ((looks[cells] - mean) ** 2).sum(axis=0)) / (_LOOK_WEIGHT + n)
    odds = log_normal(looks, mean, np.sqrt(variance)) - log_normal(looks, looks.mean(axis=0), everyone)
    return np.asarray(np.clip(odds.sum(axis=1), -LIMIT, 0))
