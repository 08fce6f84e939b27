"""What links and divisions gain: scores as log odds against the thresholds at which they pay.

In the challenge's AOGM a missed link costs 1.5 and a wrong one 1, so that a link which is right with probability p
saves 2.5 p - 1 errors; a division that is found saves two links and a new start, 4.5 q - 2 (Matula et al., PLoS ONE
2015). Both are 0 at the default thresholds, p = 0.4 and q = 0.444.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.types import log_odds

if TYPE_CHECKING:
    from gnntrack.settings import SolverSettings
    from gnntrack.types import FloatArray, IntArray, LinkScores

__all__ = ["division_values", "link_weights"]


def link_weights(scores: LinkScores, settings: SolverSettings) -> FloatArray:
    """Return what each link gains, shape (E,): its log odds minus those of the threshold."""
    return log_odds(scores.link) - float(log_odds(np.array(settings.link_threshold)))


def division_values(scores: LinkScores, weight: FloatArray, settings: SolverSettings) -> tuple[IntArray, FloatArray]:
    """Return the pairs that may gain, shape (M, 2), and what each gains in all, shape (M,).

    A pair gains what the better of its links gains alone, and what the division gains on top.
    """
    if not settings.divisions or not len(scores.pairs):
        return np.zeros((0, 2), np.int64), np.zeros(0)
    extra = log_odds(scores.division) - float(log_odds(np.array(settings.division_threshold)))
    value = np.maximum(weight[scores.pairs].max(axis=1), 0) + extra
    keep = (extra > 0) & (value > 0)
    pairs = np.sort(scores.pairs[keep], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    return pairs[order], value[keep][order]
