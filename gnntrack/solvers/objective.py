"""The objective of the solvers: the values of links and divisions, whose sum is maximised.

A value is the log odds of the score minus the log odds of a threshold. The default thresholds minimise the expected
cost of errors in the acyclic oriented graph matching (AOGM) measure of the Cell Tracking Challenge (Matula et al., PLoS
ONE 2015). There a missing link costs 1.5 and a wrong link 1, so that a link that is right with probability p saves
2.5 p - 1; a division that is found saves two links and a new start, 4.5 q - 2. Both are 0 at p = 0.4 and q = 0.444.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.types import log_odds

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import FloatArray, IntArray, LinkScores

__all__ = ["compute_division_values", "compute_link_values"]


def compute_link_values(scores: LinkScores, settings: SolverSettings) -> FloatArray:
    """Return the value of each link, shape (E,): its log odds minus those of the threshold."""
    return log_odds(scores.link) - float(log_odds(np.array(settings.link_threshold)))


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
