"""The appearance of parents and daughters in this movie, estimated from its most certain divisions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.movie_scales import estimate_of_movie
from gnntrack.scores.densities import log_normal
from gnntrack.scores.quick_solution import BestLinks

if TYPE_CHECKING:
    from gnntrack.types import CellGraph, FloatArray, IntArray

__all__ = ["LIMIT", "compare_appearance", "fit_appearance", "measure_appearance"]

_PRIOR_WEIGHT = 20.0  # number of cells that the appearance of all cells counts for, as the prior of the given ones
_FEATURES = (
    *("size_zscore", "elongation_zscore", "ellipsoid_fill_zscore"),
    *("intensity_mean_zscore", "intensity_std_zscore", "intensity_max_zscore"),
)
LIMIT = 6.0  # bound of the log odds of indirect evidence: brightness, and the past and future of a division


def measure_appearance(graph: CellGraph, log_odds: FloatArray, *, step: int = 0) -> FloatArray:
    """Return the appearance of each cell and its change since the frame before, as robust z-scores.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    log_odds : (E,) float64
        Of the links; the best link into a cell leads to the same cell in the frame before.
    step : int
        How often the model of the movie was fitted before.

    Returns
    -------
    (N, F) float64
        Between -5 and 5; a change is 0 for cells without a link.
    """
    cells = graph.cells
    columns = [cells.feature(name) for name in _FEATURES if cells.has(name)]
    value = np.stack(columns, axis=1).astype(np.float64) if columns else np.zeros((len(cells), 0))
    past = BestLinks.find(graph, log_odds, graph.target).cell
    change = np.where((past >= 0)[:, None], value - value[past], 0)
    table = np.hstack([value, change])
    usual = estimate_of_movie(f"appearance.usual.{step}", lambda: _describe_columns(table))
    median, spread = np.array(usual).reshape(2, -1)
    return np.asarray(np.clip((table - median) / np.maximum(spread, 1e-6), -5, 5))


def _describe_columns(table: FloatArray) -> list[list[float]]:
    """Return the median and the robust standard deviation of each column."""
    median = np.median(table, axis=0)
    spread = 1.4826 * np.median(np.abs(table - median), axis=0)
    return [median.tolist(), spread.tolist()]


def fit_appearance(appearance: FloatArray, cells: IntArray) -> list[list[float]]:
    """Return means and standard deviations of the columns: of the given cells, and of all cells.

    There is one normal distribution per column, with that of all cells as the prior of that of the given ones.

    Parameters
    ----------
    appearance : (N, F) float64
        See `measure_appearance`.
    cells : (K,) int64
        Rows of the given cells, such as all parents.
    """
    n = len(cells)
    std_of_all = np.maximum(appearance.std(axis=0), 0.5)
    mean_of_all = appearance.mean(axis=0)
    mean = (_PRIOR_WEIGHT * mean_of_all + appearance[cells].sum(axis=0)) / (_PRIOR_WEIGHT + n)
    variance = (_PRIOR_WEIGHT * std_of_all**2 + ((appearance[cells] - mean) ** 2).sum(axis=0)) / (_PRIOR_WEIGHT + n)
    return [each.tolist() for each in (mean, np.sqrt(variance), mean_of_all, std_of_all)]


def compare_appearance(appearance: FloatArray, fitted: list[list[float]]) -> FloatArray:
    """Return the log odds that each cell resembles the given cells rather than any cell, shape (N,).

    The columns depend on each other, so that the sum is overconfident; therefore it is at most 0: it can lower the odds
    of a division only.

    Parameters
    ----------
    appearance : (N, F) float64
        See `measure_appearance`.
    fitted : lists of float
        From `fit_appearance`.
    """
    mean, std, mean_of_all, std_of_all = np.array(fitted).reshape(4, -1)
    log_odds = log_normal(appearance, mean, std)
    log_odds -= log_normal(appearance, mean_of_all, std_of_all)
    return np.asarray(np.clip(log_odds.sum(axis=1), -LIMIT, 0))
