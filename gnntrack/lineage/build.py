"""From chosen links to tracks: each cell is in exactly one track, and each daughter starts a track."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.plurals import count_noun
from gnntrack.types import Lineage, Tracks

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, FeatureArray, IntArray, LinkScores

__all__ = ["build_lineage", "number_tracks"]


def build_lineage(graph: CellGraph, chosen: BoolArray, scores: LinkScores) -> Lineage:
    """Return the lineage of the chosen links.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    chosen : (E,) bool
        At most one link into each cell, at most two out of it.
    scores : LinkScores
        Scores of all candidates.

    Returns
    -------
    Lineage
        Tracks are numbered from 1, by their first cells. A track continues through a cell with one link out of it,
        also over a gap. It ends at a cell with two, and becomes the parent of two new tracks. The confidence of a link
        is its ``marginal`` score; without marginals it is the score of the link, or of the division for links to
        daughters.

    Raises
    ------
    FormatError
        If two chosen links go into one cell, or more than two out of it.

    Examples
    --------
    >>> import gnntrack
    >>> from gnntrack.types import LinkScores
    >>> masks = np.zeros((2, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> graph = gnntrack.build_graph(masks=masks)
    >>> lineage = build_lineage(graph, np.array([True]), LinkScores([0.75]))
    >>> lineage.track.tolist(), lineage.confidence.tolist()
    ([1, 1], [0.75])
    >>> build_lineage(graph, np.array([False]), LinkScores([0.75])).track.tolist()
    [1, 2]
    """
    source, target = graph.source[chosen], graph.target[chosen]
    n = len(graph.cells)
    children, parents = np.bincount(source, minlength=n), np.bincount(target, minlength=n)
    if (parents > 1).any() or (children > 2).any():
        row = int(np.flatnonzero((parents > 1) | (children > 2))[0])
        frame, label = int(graph.cells.frame[row]), int(graph.cells.label[row])
        msg = (
            f"frame {frame}, label {label}: {count_noun(parents[row], 'link')} into the cell and "
            f"{children[row]} out of it"
        )
        raise FormatError(msg)
    track, tracks = number_tracks(graph.cells.frame, source, target)
    return Lineage(graph.cells, track, tracks, source, target, _pick_confidence(chosen, scores), graph.provenance)


def number_tracks(frame: IntArray, source: IntArray, target: IntArray) -> tuple[IntArray, Tracks]:
    """Return the track of each cell, and the table of tracks, of links between cells.

    Parameters
    ----------
    frame : (N,) int64
        Frame of each cell, ascending.
    source, target : (L,) int64
        Rows of the cells of each link; at most one link goes into a cell.

    Returns
    -------
    track : (N,) int64
        Numbered from 1, by their first cells.
    tracks : Tracks
        The table of tracks.

    Examples
    --------
    >>> track, tracks = number_tracks(np.array([0, 1, 1, 2]), np.array([0, 0, 2]), np.array([1, 2, 3]))
    >>> track.tolist(), tracks.parent.tolist()
    ([1, 2, 3, 3], [0, 1, 1])
    """
    before = np.full(len(frame), -1)
    before[target] = source
    track, parent = _number_tracks(before, np.bincount(source, minlength=len(frame)))
    return track, Tracks.from_cells(track, frame, lambda _: parent)


def _pick_confidence(chosen: BoolArray, scores: LinkScores) -> FeatureArray:
    """Return the confidence of each chosen link, shape (L,)."""
    if scores.marginal is not None:
        return scores.marginal[chosen]  # that of a daughter includes the division
    confidence = scores.link.copy()
    both = chosen[scores.pairs].all(axis=1)
    for side in (0, 1):
        confidence[scores.pairs[both, side]] = scores.division[both]
    return confidence[chosen]


def _number_tracks(before: IntArray, children: IntArray) -> tuple[IntArray, IntArray]:
    """Return the track of each cell and the parent of each track; cells are sorted by frame.

    `before` (N,) is the row of the linked earlier cell, -1 = none; `children` (N,) the number of links out of a cell.
    """
    begins = (before < 0) | (children[before] != 1)
    first = np.where(begins, np.arange(len(before)), before)  # becomes the first cell of the track of each cell
    earlier = first[first]
    while not np.array_equal(earlier, first):
        first, earlier = earlier, earlier[earlier]
    track = np.cumsum(begins)[first]
    past = before[begins]
    return track, np.where(past >= 0, track[past], 0)
