"""Divisions of a solution, decided again: with several frames before and after them, and with the tracks known.

The scores see a division in the frames next to it. After a first solution, the tracks show more: how large cells were
before and after, how long they live, and which cells appear or vanish near by without an explanation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.events.daughters import find_earlier_divisions, find_late_daughters, find_third_daughters
from gnntrack.events.deaths import find_deaths, find_rejoined_pieces
from gnntrack.events.densities import EventModel
from gnntrack.events.exchanges import find_exchanged_cells
from gnntrack.events.history import History
from gnntrack.events.lost import choose_longest_gap, find_lost_cells
from gnntrack.events.merges import find_merged_masks
from gnntrack.events.pieces import find_split_masks
from gnntrack.lineage.build import number_tracks
from gnntrack.movie_scales import are_scales_used, estimate_of_movie
from gnntrack.scores.model import MovieModel
from gnntrack.types import Lineage

if TYPE_CHECKING:
    from gnntrack.lineage.constraints import Constraints
    from gnntrack.types import CellGraph

__all__ = ["revise_divisions"]

_log = logging.getLogger(__name__)

_CONFIDENCE = 0.75  # of a new link, if the scorer has no calibration: measured by benchmarks/confidence.py


def revise_divisions(
    lineage: Lineage,
    graph: CellGraph,
    *,
    longest_gap: int,
    longer_gaps: bool = False,
    fixed: Constraints | None = None,
) -> Lineage:
    """Decide divisions again, with several frames before and after them.

    Parameters
    ----------
    lineage : Lineage
        A solution.
    graph : CellGraph
        The graph that it was made from.
    longest_gap : int
        Largest number of frames from source to target of a link within a track.
    longer_gaps : bool
        Join tracks over longer gaps, too, in a movie where so many masks are missed that these must occur. Not if the
        graph has no links over gaps.
    fixed : Constraints, optional
        Decisions that are not changed.

    Returns
    -------
    Lineage
        Without divisions that are the separation of a shared mask, a death, or an over-segmented mask; with
        divisions whose daughters appear up to three frames late, and with third daughters.
    """
    solved = history = History.from_lineage(graph, lineage)
    steps: tuple[tuple[str, Callable[[History, EventModel], dict[int, int]]], ...] = (
        ("pieces", find_split_masks),
        ("merged masks", lambda *given: find_merged_masks(*given, longest_gap=longest_gap)),
        ("exchanged cells", lambda *given: find_exchanged_cells(*given, longest_gap=longest_gap)),
        ("over-segmented masks", find_rejoined_pieces),
        ("late daughters", find_late_daughters),
        ("earlier divisions", find_earlier_divisions),
        ("third daughters", find_third_daughters),
        ("deaths", find_deaths),
        (
            "lost cells",
            lambda *given: find_lost_cells(*given, longest_gap=_limit_gaps(given[0], longest_gap, longer=longer_gaps)),
        ),
    )
    movie = MovieModel.from_graph(graph)
    model = EventModel.from_solution(history, movie, step="start")
    for name, find in steps:
        changes = find(history, model)
        if fixed:
            changes = fixed.select_changes(history.past, changes)
        if changes:
            _log.info("%s: the past of %d cells is decided again", name, len(changes))
            history = history.replace(changes)
        if changes or are_scales_used():
            model = EventModel.from_solution(history, movie, step=name)
    target = np.flatnonzero(history.past >= 0)
    source = history.past[target]
    confidence = np.full(len(graph.cells), _CONFIDENCE, np.float32)
    confidence[lineage.target] = lineage.confidence
    confidence[history.past != solved.past] = _CONFIDENCE
    track, tracks = number_tracks(graph.cells.frame, source, target)
    return Lineage(graph.cells, track, tracks, source, target, confidence[target], lineage.provenance)


def _limit_gaps(history: History, longest_gap: int, *, longer: bool) -> int:
    """Return the largest number of frames between tracks that are joined."""
    bridged = estimate_of_movie("events.bridged", lambda: bool(history.graph.gap.max(initial=1) > 1))
    if not (longer and bridged):
        return longest_gap
    return estimate_of_movie("events.longest_gap", lambda: choose_longest_gap(history, least=longest_gap))
