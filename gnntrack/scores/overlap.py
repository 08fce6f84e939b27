"""Overlap scores: intersection over union of two cells' masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import InputError
from gnntrack.types import LinkScores

if TYPE_CHECKING:
    from gnntrack.scores.registry import CellPixels
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, Progress

__all__ = ["OverlapScorer", "score_by_overlap"]


class OverlapScorer:
    """Scores links by `score_by_overlap`; it has no settings."""

    sections: tuple[str, ...] = ()

    def __init__(self, settings: Settings, *, images: bool = False) -> None:
        pass

    def score(
        self, graph: CellGraph, *, pixels: CellPixels | None = None, progress: Progress | None = None
    ) -> LinkScores:
        """Return the scores of all candidate links; see `gnntrack.scores.registry.Scorer.score`."""
        return score_by_overlap(graph)


def score_by_overlap(graph: CellGraph) -> LinkScores:
    """Score links by the intersection over union of their masks.

    Raises
    ------
    InputError
        If the graph was built from points, or (`FormatError`) without masks.
    """
    if graph.cells.points:
        msg = "the method 'iou' compares masks, and points have none; choose another one, such as --method hungarian"
        raise InputError(msg)
    return LinkScores(np.clip(graph.feature("iou"), 0, 1))
