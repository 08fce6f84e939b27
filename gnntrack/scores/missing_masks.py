"""Missing masks of a movie: how often they are missing, and for how many frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.movie_scales import estimate_of_movie

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, FloatArray

__all__ = ["GAPS", "compute_gap_lengths", "find_misses", "find_seen_next", "get_usual_stay"]

GAPS = 4.0  # number of missing masks that the prior of the lengths of gaps counts for
_STAY = 0.1  # lowest prior rate of missed cells that are missed again


def compute_gap_lengths(graph: CellGraph, stay_rate: float) -> FloatArray:
    """Return the log probabilities of gaps of 1, 2, ... missing masks: a truncated geometric distribution."""
    log_odds = np.log(stay_rate) * np.arange(_count_most_missing(graph))
    return np.asarray(log_odds - np.logaddexp.reduce(log_odds))


def get_usual_stay(graph: CellGraph) -> float:
    """Return the prior rate of missed cells that are missed again.

    It depends on the longest gap that the user asks for, which thereby is not unusual. Up to two missing masks, misses
    are nearly independent.
    """
    return max(1 - 2 / _count_most_missing(graph), _STAY)


def find_misses(graph: CellGraph, best: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Return whether each chosen link has a gap, and whether each missing mask is followed by another missing one.

    The rate of the latter describes the lengths of gaps, by a geometric distribution.
    """
    missing = graph.gap[best] - 1
    again = np.arange(int(missing.sum())) < int(np.maximum(missing - 1, 0).sum())
    return missing > 0, again


def find_seen_next(graph: CellGraph) -> BoolArray:
    """Return whether a cell of the next frame lies within the mask of each cell, shape (N,).

    Such a cell is the same cell, or a fragment of it, so that a link over a gap would skip it. A larger cell that
    covers the mask does not count: it may be a merged mask.
    """
    seen = np.zeros(len(graph.cells), bool)
    if graph.has("containment_target_moved"):
        inside = (graph.gap == 1) & (graph.feature("containment_target_moved") > 0.6)
        seen[graph.source[inside]] = True
    return seen


def _count_most_missing(graph: CellGraph) -> int:
    """Return the largest number of missing masks that a candidate link spans, at least 1."""
    here = int(graph.gap.max(initial=1))
    return max(estimate_of_movie("model.longest_gap", lambda: here) - 1, here - 1, 1)
