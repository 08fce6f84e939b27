"""Statistics of a movie: the scales and rates that the classical model fitted to it, and how clear its links are.

They determine how much of a network's correction is added (`gnntrack.gnn.strength`), and whether the movie is like
those that the network was trained on (`gnntrack.gnn.training_range`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.movie_scales import estimate_of_movie

if TYPE_CHECKING:
    from gnntrack.scores.model import MovieModel
    from gnntrack.types import CellGraph, FeatureArray

__all__ = ["measure_movie"]

_CLEAR = 0.9  # score of a cell's best link from which it is clear


def measure_movie(graph: CellGraph, model: MovieModel, link: FeatureArray) -> dict[str, float]:
    """Return the statistics of a movie by name.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    model : MovieModel
        Scales and rates, fitted to the graph.
    link : (E,) float32 in [0, 1]
        Classical scores of the links.

    Returns
    -------
    dict
        Distances in cell radii, sizes as log ratios, rates as fractions of the cells; ``images`` is 1 with images, else
        0. NaN if the movie has no cells for it.
    """
    return estimate_of_movie("movie.statistics", lambda: _measure(graph, model, link))


def _measure(graph: CellGraph, model: MovieModel, link: FeatureArray) -> dict[str, float]:
    cells = graph.cells
    best = np.zeros(len(cells))
    np.maximum.at(best, graph.target, link)
    later = best[cells.frame > 0]
    around = cells.feature("density").astype(np.float64) * model.radius**cells.ndim
    return {
        "images": float(cells.has("intensity_mean")),
        "residual": model.residual,
        "neighbour_residual": model.neighbour_residual,
        "size_change": model.size,
        "start_rate": model.start_rate,
        "end_rate": model.end_rate,
        "division_rate": model.division_rate,
        "miss_rate": model.miss_rate,
        "crowding": float(np.median(around)) if len(around) else np.nan,
        "unclear": float(np.mean(later < _CLEAR)) if len(later) else np.nan,
        "unlinked": float(np.mean(later <= 0.5)) if len(later) else np.nan,
    }
