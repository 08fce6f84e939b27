"""Classical scores of links and divisions, by a generative model whose scales are estimated from the movie itself.

The score of a link is the log-likelihood ratio of its features under "the same cell" and under "any other cell of this
movie" (Poore and Gadaleta 2006, eq. 3), with heavy-tailed densities. The features are the displacement in cell radii,
after motion compensation, and the ratios of size and of brightness. The scales come from pairs of cells that are each
other's nearest, so that nothing has to be set for a new microscope.

The score of a division compares it with the best explanation without a division: one daughter is the same cell as the
parent, and the other one is new. Daughters lie on both sides of the parent at a distance of about two radii, resemble
each other, and have together the size of the parent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.graph.divisions import DivisionCandidates
from gnntrack.scores.model import MovieModel, find_certain_links, get_median_of_norm
from gnntrack.scores.movie_statistics import measure_movie
from gnntrack.scores.own_motion import measure_own_motion
from gnntrack.types import LinkScores, invert_log_odds

if TYPE_CHECKING:
    from gnntrack.scores.registry import CellPixels
    from gnntrack.settings import ScoreSettings, Settings
    from gnntrack.types import CellGraph, FloatArray, Progress

__all__ = ["ClassicalScorer", "score_links"]

_TEMPERATURE = 3.0  # divides the log odds: the features of a link are not independent, so that their sum is too large


class ClassicalScorer:
    """Scores links and division candidates by `score_links`.

    Parameters
    ----------
    settings : Settings
        ``scores.rounds`` is how often rates are estimated again. Divisions are scored only if ``solver.divisions``
        allows them.
    images : bool
        Not used.
    """

    sections: tuple[str, ...] = ("scores",)
    confidence = "links"
    cell_weights = "links"

    def __init__(self, settings: Settings, *, images: bool = False) -> None:
        self.settings = settings

    def score(
        self, graph: CellGraph, *, pixels: CellPixels | None = None, progress: Progress | None = None
    ) -> LinkScores:
        """Return the scores of all candidate links; see `gnntrack.scores.registry.Scorer.score`."""
        return score_links(graph, settings=self.settings.scores, divisions=self.settings.solver.divisions)


def score_links(graph: CellGraph, *, settings: ScoreSettings, divisions: bool = True) -> LinkScores:
    """Score candidate links and division candidates.

    Parameters
    ----------
    graph : CellGraph
        Candidates with the features of ``graph.py``; brightness is used where it is there.
    settings : ScoreSettings
        How often the rates are estimated again.
    divisions : bool
        Find and score division candidates.

    Returns
    -------
    LinkScores
        ``link``: probability that the two cells are one, against both being unrelated. ``division``:
        probability that a pair are the daughters of their source, against the best explanation without.
        ``movie``: the statistics of the movie, if the cells have masks.
    """
    if not len(graph):
        return LinkScores(np.zeros(0, np.float32))
    points = _score_points(graph, settings) if graph.cells.points else None
    if points is not None and not divisions:
        return LinkScores(invert_log_odds(points / _TEMPERATURE).astype(np.float32))
    pairs = DivisionCandidates.find(graph) if divisions else DivisionCandidates.empty()
    model = MovieModel.from_graph(graph)
    same, in_field = (model.compute_same_cell_density(graph, by=by) for by in ("residual", "neighbour_residual"))
    for step in range(settings.rounds):
        model = model.refit(graph, pairs, same=same, same_in_field=in_field, step=step)
    division = model.compute_division_log_odds(graph, pairs, model.compute_link_log_odds(graph, same), in_field)
    link = points
    if link is None:
        link = _score_masks(graph, model)
    scores = [invert_log_odds(each / _TEMPERATURE).astype(np.float32) for each in (link, division)]
    movie = None if graph.cells.points else measure_movie(graph, model, scores[0])
    return LinkScores(scores[0], pairs.links, scores[1], candidates=pairs, movie=movie)


def _score_masks(graph: CellGraph, model: MovieModel) -> FloatArray:
    """Return the log odds of links between cells with masks, (E,).

    The first ones tell which links lead to and from each cell, and so whether cells keep their own motion.
    """
    link = model.compute_link_log_odds(graph, model.compute_same_cell_density(graph, fragments=True))
    median_of_norm = get_median_of_norm(graph.cells.ndim)
    own = measure_own_motion(graph, link, find_certain_links(graph), median_of_norm=median_of_norm)
    if own is None:
        return link
    return model.compute_link_log_odds(graph, model.compute_same_cell_density(graph, fragments=True, own=own))


def _score_points(graph: CellGraph, settings: ScoreSettings) -> FloatArray:
    """Return the log odds of links between points, (E,)."""
    from gnntrack.scores.points import score_point_links  # slow to import

    return score_point_links(graph, rounds=settings.rounds)
