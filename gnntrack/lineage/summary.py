"""Summary of a lineage, and the list of places that a person should check first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.lineage.families import count_divisions, find_missing_frames

if TYPE_CHECKING:
    from gnntrack.types import IntArray, Lineage

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


@dataclass(frozen=True)
class ReviewItem:
    """One place to check.

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


def summarise(lineage: Lineage) -> Summary:
    """Return the numbers that describe a lineage.

    Examples
    --------
    >>> import gnntrack
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


def review(lineage: Lineage, *, links: int = 3, below: float = 0.5) -> list[ReviewItem]:
    """Return the places that a person should check first.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    links : int
        Number of links to list at most, default 3.
    below : float
        List only links with a lower confidence than this, default 0.5.

    Returns
    -------
    list of ReviewItem
        The least confident links first; then one item for all labels in several pieces, and one for all frames
        without cells, if there are any.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[0, 5:11, 5:11] = 1
    >>> [item.text for item in review(gnntrack.track(masks=masks))]
    ['2 frames without cells, such as frame 1; the official evaluator refuses those']
    """
    return [*_review_links(lineage, links, below), *_review_fragments(lineage), *_review_empty_frames(lineage)]


def _review_links(lineage: Lineage, links: int, below: float) -> list[ReviewItem]:
    cells, items = lineage.cells, []
    for link in np.argsort(lineage.confidence, kind="stable")[:links].tolist():
        source, target = int(lineage.source[link]), int(lineage.target[link])
        confidence = float(lineage.confidence[link])
        if confidence < below:
            text = (
                f"link of frame {cells.frame[source]}, label {cells.label[source]} -> frame {cells.frame[target]}, "
                f"label {cells.label[target]} (track {lineage.track[target]}, confidence {confidence:.2f})"
            )
            items.append(ReviewItem("link", int(cells.frame[target]), int(cells.label[target]), text))
    return items


def _review_fragments(lineage: Lineage) -> list[ReviewItem]:
    found = lineage.provenance.masks.get("disconnected", {})
    if not found.get("count"):
        return []
    frame, label, pieces = found["listed"][0][:3]
    text = f"{found['count']} labels in several pieces, such as {label} in frame {frame} ({pieces} pieces)"
    return [ReviewItem("fragments", frame, label, text)]


def _review_empty_frames(lineage: Lineage) -> list[ReviewItem]:
    empty = np.setdiff1d(np.arange(lineage.cells.n_frames), _list_filled_frames(lineage))
    if not len(empty):
        return []
    text = f"{len(empty)} frames without cells, such as frame {empty[0]}; the official evaluator refuses those"
    return [ReviewItem("empty frames", int(empty[0]), None, text)]


def _list_filled_frames(lineage: Lineage) -> IntArray:
    """Return the frame of each mask: those of the cells, and those drawn in gaps once these are filled."""
    frame = lineage.cells.frame
    if not lineage.provenance.repaired:
        return frame
    return np.concatenate([frame, find_missing_frames(lineage)[0]])
