"""The objective of the solvers: the values of links and divisions, whose sum is maximised.

A value is the log odds of the score minus the log odds of a threshold. The default thresholds minimise the expected
cost of errors in the acyclic oriented graph matching (AOGM) measure of the Cell Tracking Challenge (Matula et al., PLoS
ONE 2015). There a missing link costs 1.5 and a wrong link 1, so that a link that is right with probability p saves
2.5 p - 1; a division that is found saves two links and a new start, 4.5 q - 2. Both are 0 at p = 0.4 and q = 0.444.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.types import log_odds

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray, LinkScores

__all__ = ["Choices", "compute_division_values", "compute_link_values", "compute_total_value", "list_choices"]


def compute_link_values(scores: LinkScores, settings: SolverSettings) -> FloatArray:
    """Return the value of each link, shape (E,): its log odds minus those of the threshold."""
    return log_odds(scores.link) - float(log_odds(np.array(settings.choose_link_threshold())))


def compute_division_values(
    scores: LinkScores, link_value: FloatArray, settings: SolverSettings
) -> tuple[IntArray, FloatArray]:
    """Return the divisions with a positive value.

    Parameters
    ----------
    scores : LinkScores
        Scores of links and of pairs of links.
    link_value : (E,) float64
        Values of the links.
    settings : SolverSettings
        Threshold, and whether cells may divide.

    Returns
    -------
    (K, 2) int64, (K,) float64
        The two links of each division, sorted; its value: that of its better link alone, if positive, plus the log
        odds of the division minus those of the threshold.
    """
    if not settings.divisions or not len(scores.pairs):
        return np.zeros((0, 2), np.int64), np.zeros(0)
    extra = log_odds(scores.division) - float(log_odds(np.array(settings.division_threshold)))
    value = np.maximum(np.maximum(link_value[scores.pairs[:, 0]], link_value[scores.pairs[:, 1]]), 0) + extra
    keep = (extra > 0) & (value > 0)
    pairs = np.sort(scores.pairs[keep], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], value[keep][order]


class Choices(NamedTuple):
    """Links and divisions of positive value, as choices that take places: no place may be taken twice.

    A link takes the future of its source and the past of its target, a division the future of the parent and the past
    of both daughters.
    """

    links: IntArray
    """Links of each choice, shape (C, 2); the same one twice for a single link. Divisions come last."""
    place: IntArray
    """Cells whose future is taken, and number of cells + cells whose past is taken, or -1, shape (C, 3)."""
    value: FloatArray
    """Shape (C,)."""
    n_links: int
    """Number of the candidate links, E."""

    def mark_links(self, taken: BoolArray | IntArray) -> BoolArray:
        """Return which links are in the choices that are taken, shape (E,)."""
        chosen = np.zeros(self.n_links, bool)
        chosen[self.links[taken]] = True
        return chosen


def list_choices(graph: CellGraph, scores: LinkScores, settings: SolverSettings) -> Choices:
    """Return the links and divisions of positive value.

    Parameters
    ----------
    graph, scores, settings
        As of `gnntrack.solvers.registry.Solver`.
    """
    value = compute_link_values(scores, settings)
    pairs, pair_value = compute_division_values(scores, value, settings)
    single = np.flatnonzero(value > 0)
    links = np.concatenate([np.stack([single, single], axis=1), pairs])
    past = len(graph.cells) + graph.target[links]
    third = np.where(links[:, 0] < links[:, 1], past[:, 1], -1)
    place = np.stack([graph.source[links[:, 0]], past[:, 0], third], axis=1)
    return Choices(links, place, np.concatenate([value[single], pair_value]), len(graph))


def compute_total_value(chosen: BoolArray, scores: LinkScores, settings: SolverSettings) -> float:
    """Return the total value of links, (E,) bool, and of the divisions that they form; this is what solvers maximise.

    Examples
    --------
    >>> from gnntrack.settings import SolverSettings
    >>> from gnntrack.types import LinkScores
    >>> scores = LinkScores(np.array([0.5, 0.5]), np.array([[0, 1]]), np.array([0.8]))
    >>> settings = SolverSettings(link_threshold=0.5, division_threshold=0.5)
    >>> [round(compute_total_value(np.array(links), scores, settings), 3) for links in ([True, True], [True, False])]
    [1.386, 0.0]
    """
    value = compute_link_values(scores, settings)
    pairs, pair_value = compute_division_values(scores, value, settings)
    both = chosen[pairs].all(axis=1)
    return float(value[chosen].sum() + (pair_value[both] - value[pairs[both]].sum(axis=1)).sum())
