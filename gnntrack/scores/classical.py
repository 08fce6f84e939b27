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

from gnntrack.graph.divisions import Pairs
from gnntrack.scores.model import Model
from gnntrack.types import LinkScores

if TYPE_CHECKING:
    from gnntrack.settings import ScoreSettings
    from gnntrack.types import CellGraph

__all__ = ["score_links", "score_overlap"]

_HEAT = 3.0  # temperature: the features of a link are not independent, so that their odds are too sure


def score_overlap(graph: CellGraph) -> LinkScores:
    """Score links by the intersection over union of their masks.

    Raises
    ------
    FormatError
        If the graph was built without masks.
    """
    return LinkScores(np.clip(graph.feature("iou"), 0, 1))


def score_links(graph: CellGraph, *, settings: ScoreSettings) -> LinkScores:
    """Score candidate links and possible divisions.

    Parameters
    ----------
    graph : CellGraph
        Candidates with the features of ``graph.py``; brightness is used where it is there.
    settings : ScoreSettings
        Prior rates.

    Returns
    -------
    LinkScores
        ``link``: probability that the two cells are one, against both being unrelated. ``division``:
        probability that a pair are the daughters of their source, against the best explanation without.
    """
    if not len(graph):
        return LinkScores(np.zeros(0, np.float32))
    pairs = Pairs.of(graph) if settings.divisions else Pairs.none()
    model = Model.of(graph, settings)
    for _ in range(settings.rounds):
        model = model.refitted(graph, pairs, settings)
    gain = model.link_gain(graph, settings)
    link = model.link_gain(graph, settings, pieces=True)
    return LinkScores(expit(link / _HEAT), pairs.links, expit(model.division_gain(graph, pairs, gain) / _HEAT))
