"""Cells that keep their own motion from frame to frame, relative to the cells around them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.geometry import measure_lengths
from gnntrack.graph.divisions import predict_positions
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.scores.densities import estimate_scale
from gnntrack.scores.quick_solution import BestLinks

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, FloatArray

__all__ = ["OwnMotion", "measure_own_motion"]

_FEWEST = 50  # certain links from which the persistence of motion is estimated
_LONGEST = 3.0  # median lengths to which steps are shortened for that, so that wrong links count little
_HELPS = 0.85  # ratio of the scales with and without the cells' own motion from which it is used


class OwnMotion(NamedTuple):
    """Places predicted from the steps of the same cells before and after.

    Parameters
    ----------
    distance : (E,) float64
        Distance of each link's target from its predicted place, in radii; NaN if no step is known.
    scale : float
        Its scale in links that are certain.
    """

    distance: FloatArray
    scale: float


def measure_own_motion(
    graph: CellGraph, log_odds: FloatArray, certain: BoolArray, *, median_of_norm: float
) -> OwnMotion | None:
    """Return the places that the cells' own motion predicts, or None if it predicts them no better.

    The step of a cell is its displacement minus that of the cells around it. It is predicted as a fraction of the step
    before it, of the one after it, or of both, along the links that are the best of both their cells. The fractions are
    those of the movie, by least squares.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    log_odds : (E,) float64
        Of the links.
    certain : (E,) bool
        Links to the next frame from which fractions and scale are estimated.
    median_of_norm : float
        Median length of a vector of standard normal variables.
    """
    cells, near = graph.cells, graph.gap == 1
    before, after = _find_steps(graph, log_odds)
    known = ~np.isnan(before[graph.source, 0]), ~np.isnan(after[graph.target, 0])
    step = cells.position[graph.target] - predict_positions(cells, graph.source)
    expected = np.full(step.shape, np.nan)
    for name, past, future in (("before", True, False), ("after", False, True), ("both", True, True)):
        links = np.flatnonzero(near & (known[0] == past) & (known[1] == future))
        other = np.zeros(step[links].shape)
        if past:
            other += before[graph.source[links]]
        if future:
            other += after[graph.target[links]]
        fraction = estimate_of_movie(f"own_motion.{name}", partial(_fit_fraction, step[links], other, certain[links]))
        expected[links] = fraction * other
    radius = (graph.cell_radii[graph.source] + graph.cell_radii[graph.target]) / 2
    distance = measure_lengths(step - expected) / radius
    still = measure_lengths(step) / radius  # the distance without any motion of its own

    def estimate() -> float | None:
        used = certain & ~np.isnan(distance)
        if used.sum() < _FEWEST:
            return None
        scale, without = (estimate_scale(each[used], 0.15, median_of_norm) for each in (distance, still))
        return scale if scale < _HELPS * without else None

    scale = estimate_of_movie("own_motion.scale", estimate)
    return None if scale is None else OwnMotion(distance, scale)


def _find_steps(graph: CellGraph, log_odds: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the step that leads to each cell, and the one that leads from it, NaN if there is none, shapes (N, D)."""
    cells = graph.cells
    past, future = (BestLinks.find(graph, log_odds, node).cell for node in (graph.target, graph.source))
    target = np.flatnonzero(past >= 0)
    target = target[future[past[target]] == target]
    source = past[target]
    into, out = (np.full(cells.position.shape, np.nan) for _ in range(2))
    into[target] = out[source] = cells.position[target] - predict_positions(cells, source)
    return into, out


def _fit_fraction(step: FloatArray, other: FloatArray, certain: BoolArray) -> float:
    """Return the fraction of the other steps that the steps are, 0 to 1; 0 if too few links are certain."""
    if certain.sum() < _FEWEST:
        return 0.0
    y, x = (_shorten(each[certain]) for each in (step, other))
    return float(np.clip((x * y).sum() / max(float((x * x).sum()), 1e-12), 0, 1))


def _shorten(step: FloatArray) -> FloatArray:
    """Return vectors (M, D) whose lengths are at most a multiple of their median."""
    length = measure_lengths(step)
    most = _LONGEST * float(np.median(length))
    return np.asarray(step * np.minimum(1, most / np.maximum(length, 1e-12))[:, None])
