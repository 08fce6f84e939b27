"""Chosen links to tracks: every cell in exactly one track, daughters in tracks of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.compiled import compiled
from gnntrack.errors import FormatError
from gnntrack.types import Lineage, Tracks

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, FeatureArray, LinkScores

__all__ = ["build_lineage"]


def build_lineage(graph: CellGraph, chosen: BoolArray, scores: LinkScores) -> Lineage:
    """Return the lineage of the chosen links.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    chosen : (E,) bool
        At most one link into each cell, at most two out of it.
    scores : LinkScores
        Their scores; ``marginal`` becomes the confidence of the links. Where a scorer has none, a link's own score
        does, and the division's for daughters.

    Returns
    -------
    Lineage
        Tracks are numbered from 1 by their first cell. A cell with one successor goes on in its track, also
        over a gap; one with two ends it, and both daughters start tracks whose parent it is.

    Raises
    ------
    FormatError
        If two chosen links go into one cell, or more than two out of it.
    """
    source, target = graph.source[chosen], graph.target[chosen]
    n = len(graph.cells)
    children, parents = np.bincount(source, minlength=n), np.bincount(target, minlength=n)
    if (parents > 1).any() or (children > 2).any():
        row = int(np.flatnonzero((parents > 1) | (children > 2))[0])
        frame, label = int(graph.cells.frame[row]), int(graph.cells.label[row])
        msg = f"frame {frame}, label {label}: {parents[row]} links into the cell and {children[row]} out of it"
        raise FormatError(msg)
    before = np.full(n, -1)
    before[target] = source
    track, parent = _number_tracks(before, children)
    tracks = Tracks.from_cells(track, graph.cells.frame, lambda _: parent)
    return Lineage(graph.cells, track, tracks, source, target, _pick_confidence(chosen, scores), graph.provenance)


def _pick_confidence(chosen: BoolArray, scores: LinkScores) -> FeatureArray:
    """Return the score of each chosen link, that of the division for daughters, shape (L,)."""
    if scores.marginal is not None:
        return scores.marginal[chosen]  # a daughter's holds the division's already
    confidence = scores.link.copy()
    both = chosen[scores.pairs].all(axis=1)
    for side in (0, 1):
        confidence[scores.pairs[both, side]] = scores.division[both]
    return confidence[chosen]


@compiled
def _number_tracks(before, children):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return the track of each cell and the parent of each track; cells come in the order of time."""
    track = np.empty(before.size, np.int64)
    parent = np.empty(before.size, np.int64)
    n = 0
    for row in range(before.size):
        past = before[row]
        if past >= 0 and children[past] == 1:
            track[row] = track[past]
        else:
            parent[n] = track[past] if past >= 0 else 0
            n += 1
            track[row] = n
    return track, parent[:n].copy()
