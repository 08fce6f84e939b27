"""Numbers that describe a lineage."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.families import count_divisions

if TYPE_CHECKING:
    from gnntrack.lineage.doubts import Doubt
    from gnntrack.types import Lineage

__all__ = ["ReviewItem", "Summary", "review", "summarise"]


@dataclass(frozen=True)
class Summary:
    """Numbers that describe a lineage.

    Parameters
    ----------
    frames, cells, tracks, divisions : int
        Their numbers; frames without cells count.
    gaps_bridged : int
        Links that skip frames, as chosen by the solver.
    gaps_filled : int or None
        Masks that were drawn in gaps; None if the gaps have not been filled yet.
    dropped_cells : int
        Cells that were dropped because they are smaller than ``cells.min_size``.
    """

    frames: int
    cells: int
    tracks: int
    divisions: int
    gaps_bridged: int
    gaps_filled: int | None
    dropped_cells: int


def summarise(lineage: Lineage) -> Summary:
    """Return the numbers that describe a lineage.

    Examples
    --------
    >>> import gnntrack
    >>> import numpy as np
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[[0, 2], 5:11, 5:11] = 1  # a cell, without a mask in frame 1
    >>> summary = summarise(gnntrack.track(masks=masks))
    >>> summary.cells, summary.tracks, summary.gaps_bridged, summary.gaps_filled
    (2, 1, 1, 1)
    """
    provenance = lineage.provenance
    return Summary(
        frames=lineage.cells.n_frames,
        cells=len(lineage.cells),
        tracks=len(lineage.tracks),
        divisions=count_divisions(lineage.tracks),
        gaps_bridged=provenance.gaps_bridged or 0,
        gaps_filled=provenance.gaps_filled,
        dropped_cells=provenance.dropped_cells,
    )


@dataclass(frozen=True)
class ReviewItem:
    """One place to check, of the deprecated `review`.

    Parameters
    ----------
    kind : {"link", "fragments", "empty frames"}
        A link with a low confidence, labels in several pieces, or frames without cells.
    frame : int
        The frame to look at; for a link that of its target.
    label : int or None
        Label of the cell in this frame; None for a frame without cells.
    text : str
        Description in words.
    """

    kind: str
    frame: int
    label: int | None
    text: str


def review(lineage: Lineage, *, links: int = 3, below: float = 0.5) -> list[ReviewItem]:
    """Return the least confident links, one label in several pieces and one empty frame; deprecated.

    Use `gnntrack.lineage.list_doubts`, from which this list is taken.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    links : int
        Number of links and divisions to list at most, default 3.
    below : float
        List only links and divisions with a lower confidence than this, default 0.5.

    Returns
    -------
    list of ReviewItem
        The least confident links first. A division is listed as one link, with the frame and the label of its parent.
    """
    warnings.warn("review is deprecated; use gnntrack.lineage.list_doubts", DeprecationWarning, stacklevel=2)
    doubts = list_doubts(lineage, below=below)
    unsure = [doubt for doubt in doubts if doubt.confidence < below][:links]
    pieces = [doubt for doubt in doubts if doubt.kind == "pieces"][:1]
    empty = [doubt for doubt in doubts if doubt.kind == "empty frame"][:1]
    listed = {"link": unsure, "fragments": pieces, "empty frames": empty}
    return [_make_item(lineage, kind, doubt) for kind, found in listed.items() for doubt in found]


def _make_item(lineage: Lineage, kind: str, doubt: Doubt) -> ReviewItem:
    label = int(lineage.cells.label[doubt.row]) if doubt.row >= 0 else None
    return ReviewItem(kind, doubt.frame, label, doubt.why)
