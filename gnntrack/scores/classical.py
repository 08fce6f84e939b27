"""Classical link and division scores: a generative model whose scales are estimated from the movie itself.

A link is scored by the log-likelihood ratio of its features under "the same cell" and under "any other
cell of this movie" (Poore and Gadaleta 2006, eq. 3), with heavy-tailed densities: the displacement after
motion compensation in cell radii, and the ratios of size and of brightness. The scales come from the
movie's mutual nearest pairs, so that nothing has to be set for a new microscope.

A division is scored against its best explanation without one: one daughter is the mother going on, the
other appears from nowhere. Daughters lie on both sides of the mother at a distance of about two radii,
resemble each other, and add up to the mother.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from gnntrack.graph.divisions import DivisionCandidates
from gnntrack.scores.model import Model
from gnntrack.types import LinkScores

if TYPE_CHECKING:
    from gnntrack.scores.registry import CellPixels
    from gnntrack.settings import ScoreSettings, Settings
    from gnntrack.types import CellGraph, Progress

__all__ = ["ClassicalScorer", "score_links"]

_HEAT = 3.0  # temperature: the features of a link are not independent, so that their odds are too sure


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
    """
    if not len(graph):
        return LinkScores(np.zeros(0, np.float32))
    pairs = DivisionCandidates.find(graph) if divisions else DivisionCandidates.empty()
    model = Model.of(graph)
    for _ in range(settings.rounds):
        model = model.refitted(graph, pairs)
    gain = model.link_gain(graph)
    link = model.link_gain(graph, pieces=True)
    division = model.division_gain(graph, pairs, gain)
    return LinkScores(expit(link / _HEAT), pairs.links, expit(division / _HEAT), candidates=pairs)
