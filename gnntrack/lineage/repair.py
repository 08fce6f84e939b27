"""Repair of a lineage's masks: over-segmented fragments, missing and merged masks, the field of interest.

A result of the Cell Tracking Challenge has no gaps, and a link over a gap counts only if there is a mask in each frame
between. `repair_movie` merges fragments with their cells, fills gaps, and removes cells outside the field of interest.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.lineage.empty_frames import fill_empty_frames
from gnntrack.lineage.families import find_missing_frames
from gnntrack.lineage.field_of_interest import crop_to_field
from gnntrack.lineage.mask_changes import keep_fills, list_copies, list_fills, list_joined, list_outside, list_short
from gnntrack.lineage.merged_fragments import merge_fragments
from gnntrack.lineage.missing_masks import MissingMask, locate_missing_masks
from gnntrack.lineage.short_tracks import remove_short_tracks
from gnntrack.masks.runs import flatten_runs, join_frames
from gnntrack.plurals import count_noun
from gnntrack.types import Lineage, Runs, Tracks

if TYPE_CHECKING:
    from gnntrack.lineage.constraints import Constraints
    from gnntrack.lineage.mask_changes import MaskChange
    from gnntrack.provenance import Provenance
    from gnntrack.settings import RepairSettings
    from gnntrack.types import Cells, FrameStack, IntArray

__all__ = ["RepairedMovie", "fill_gaps", "match_masks", "remove_short", "repair_movie", "split_tracks"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RepairedMovie:
    """A lineage and its masks after repair.

    Parameters
    ----------
    lineage : Lineage
        The lineage; a gap that was not filled separates two tracks, a parent and its only child.
    runs : Runs
        Pixels of the cells; fewer than before if a mask was split between two cells.
    fills : Runs
        Pixels of the masks drawn in gaps; the column ``cell`` holds track ids.
    filled_masks : (G, 2) int64
        Track and frame of each mask drawn in a gap.
    split_masks : (P, 2) int64
        Frame and label of each mask that was split between two cells.
    changes : tuple of MaskChange
        Every mask that is not as it was.
    candidates : Cells, optional
        The cells before some were dropped because they are no cells.
    """

    lineage: Lineage
    runs: Runs
    fills: Runs
    filled_masks: IntArray
    split_masks: IntArray
    changes: tuple[MaskChange, ...] = ()
    candidates: Cells | None = None


def repair_movie(
    lineage: Lineage,
    runs: Runs,
    *,
    settings: RepairSettings,
    fixed: Constraints | None = None,
    images: FrameStack | None = None,
) -> RepairedMovie:
    """Merge fragments, fill gaps, and remove cells outside the field of interest.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    runs : Runs
        The pixels of its cells.
    settings : RepairSettings
        Kinds of repair, and the margin around the field of interest. With ``keep_masks`` all masks stay as they are,
        but for the cells in the margin.
    fixed : Constraints, optional
        Decisions that the repair keeps.
    images : FrameStack, optional
        The images, in which cells that have no mask are looked for.

    Returns
    -------
    RepairedMovie
        Its lineage's provenance lists the merged fragments, the removed cells, and the numbers of filled gaps and
        split masks.

    Examples
    --------
    A cell without a mask in frame 1:

    >>> from gnntrack.io.frames import open_masks
    >>> from gnntrack.measure.cells import measure_cells
    >>> from gnntrack.settings import CellSettings, RepairSettings
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[[0, 2], 5:11, 5:11] = 1
    >>> cells, runs, _ = measure_cells(open_masks(masks), settings=CellSettings())
    >>> lineage = Lineage(cells, [1, 1], Tracks([1], [0], [2], [0]), [0], [1], [0.9])
    >>> repaired = repair_movie(lineage, runs, settings=RepairSettings())
    >>> repaired.filled_masks.tolist(), int(repaired.fills.length.sum())
    ([[1, 1]], 36)
    """
    if settings.keep_masks:
        settings = settings.replace(fill_gaps=False, join_pieces=False)
    given, before = lineage, lineage.provenance
    lineage, runs, merged = merge_fragments(lineage, runs, settings=settings, fixed=fixed)
    repaired = fill_gaps(lineage, runs, settings=settings, images=images)
    changes = [*list_joined(given, merged), *repaired.changes]
    found: dict[str, Any] = {"pieces_joined": (*(before.pieces_joined or ()), *map(tuple, merged.tolist()))}
    if settings.min_track_length > 1:
        repaired, removed = remove_short(repaired, settings.min_track_length)
        changes = [*keep_fills(changes, repaired.lineage, repaired.filled_masks), *removed]
        short = [(change.frame, change.input_label) for change in removed]
        found["short_removed"] = (*(before.short_removed or ()), *short)
    if margin := settings.margin:
        kept, runs, fills, outside = crop_to_field(repaired.lineage, repaired.runs, repaired.fills, margin=margin)
        _log.info("field of interest: %s in the margin removed", count_noun(len(outside), "mask"))
        found["outside_field"] = (*(before.outside_field or ()), *map(tuple, outside.tolist()))
        filled = np.unique(np.column_stack([fills.cell, fills.frames()]), axis=0)
        changes = [*keep_fills(changes, kept, filled), *list_outside(lineage, outside, margin=margin)]
        repaired = replace(repaired, lineage=kept, runs=runs, fills=fills, filled_masks=filled)
    if settings.fill_empty_frames:
        fills, added = fill_empty_frames(repaired.lineage.track, repaired.runs, repaired.fills)
        _log.info("frames without a cell: %s of the nearest frame drawn", count_noun(len(added), "mask"))
        changes += list_copies(repaired.lineage, fills, added)
        repaired = replace(repaired, fills=fills, filled_masks=np.concatenate([repaired.filled_masks, added]))
    n_filled, n_split = len(repaired.filled_masks), len(repaired.split_masks)
    found |= {"gaps_filled": n_filled, "masks_split": n_split}
    _log.info("gaps: %s drawn, %s split between two cells", count_noun(n_filled, "mask"), count_noun(n_split, "mask"))
    _log.info("%s merged with their cells", count_noun(len(merged), "fragment"))
    return replace(repaired, lineage=repaired.lineage.with_provenance(**found), changes=tuple(changes))


def remove_short(repaired: RepairedMovie, frames: int) -> tuple[RepairedMovie, list[MaskChange]]:
    """Return a movie without short tracks, and the masks that were removed."""
    kept, runs, fills, removed = remove_short_tracks(repaired.lineage, repaired.runs, repaired.fills, frames=frames)
    _log.info("short tracks: %s removed", count_noun(len(removed), "mask"))
    filled = repaired.filled_masks[np.isin(repaired.filled_masks[:, 0], kept.tracks.id)]
    smaller = replace(repaired, lineage=kept, runs=runs, fills=fills, filled_masks=filled)
    return smaller, list_short(repaired.lineage, removed, frames=frames)


def fill_gaps(
    lineage: Lineage, runs: Runs, *, settings: RepairSettings, images: FrameStack | None = None
) -> RepairedMovie:
    """Draw the missing masks of all gaps; see `gnntrack.lineage.missing_masks` for the method.

    Parameters
    ----------
    lineage, runs, images
        As of `gnntrack.lineage.missing_masks.locate_missing_masks`.
    settings : RepairSettings
        ``fill_gaps``: whether to draw masks at all; ``use_images``: whether to look for cells in the images.

    Returns
    -------
    RepairedMovie
        A track is split at each gap that is not filled: if a mask would lie on other cells, or without
        ``settings.fill_gaps``.
    """
    seen = images if settings.use_images else None
    masks = locate_missing_masks(lineage, runs, seen) if settings.fill_gaps else []
    filled = np.array([(lineage.track[mask.before], mask.frame) for mask in masks], np.int64).reshape(-1, 2)
    split = [(mask.frame, lineage.cells.label[mask.split_cell]) for mask in masks if mask.split_cell >= 0]
    without_gaps = split_tracks(lineage, filled)
    return RepairedMovie(
        without_gaps,
        _remove_pixels(runs, masks),
        _draw_fills(masks, without_gaps.track, len(runs.offsets) - 1, runs.shape),
        filled,
        np.array(split, np.int64).reshape(-1, 2),
        tuple(list_fills(masks, lineage)),
    )


def match_masks(lineage: Lineage, cells: Cells, runs: Runs) -> Runs:
    """Return the pixels of a lineage's cells, from masks that were measured again.

    The masks still hold the fragments that the repair merged and the cells that it removed; both are known to the
    lineage's provenance and are treated in the same way again.

    Parameters
    ----------
    lineage : Lineage
        A lineage, as solved or repaired.
    cells, runs : Cells, Runs
        From `gnntrack.measure.measure_cells` on its masks, with the settings ``lineage.provenance.cell_settings``.

    Returns
    -------
    Runs
        The column ``cell`` holds rows of ``lineage.cells``.

    Raises
    ------
    FormatError
        If the masks are not those of the lineage: their cells, number of frames or shape differ.
    """
    old, provenance = lineage.cells, lineage.provenance
    frame, *labels = np.array(provenance.pieces_joined or (), np.int64).reshape(-1, 3).T
    fragment, owner = (cells.row_of(frame, label) for label in labels)
    gone = _list_gone(provenance)
    outside = cells.row_of(*np.array(gone, np.int64).reshape(-1, 2).T)
    known = all((rows >= 0).all() for rows in (fragment, owner, outside))
    keep = np.ones(len(cells), bool)
    if known:
        keep[fragment] = keep[outside] = False
    same = known and np.array_equal(cells.frame[keep], old.frame) and np.array_equal(cells.label[keep], old.label)
    if not same or cells.n_frames != old.n_frames or tuple(cells.shape) != tuple(old.shape):
        msg = (
            f"these masks are not those that the lineage was made from: they have {count_noun(len(cells), 'cell')} in "
            f"{count_noun(cells.n_frames, 'frame')} of {cells.shape}, the lineage has {len(old)} in "
            f"{old.n_frames} of {old.shape}, "
            f"or their labels differ; {_describe_own_masks(lineage)}"
        )
        raise FormatError(msg)
    row = np.cumsum(keep) - 1
    row[fragment], keep[fragment] = row[owner], keep[owner]
    return runs.select(keep[runs.cell], row[runs.cell])


def _describe_own_masks(lineage: Lineage) -> str:
    """Return which masks fit a lineage."""
    if lineage.origins is None:
        return "give the masks that it was solved from"
    return (
        "it is of a result, in which masks may have been cut, joined or drawn: give those in the folder of this result"
    )


def _list_gone(provenance: Provenance) -> list[tuple[int, ...]]:
    """Return frame and label of the masks that the lineage does not hold any more."""
    lists = (provenance.outside_field, provenance.short_removed, provenance.debris_dropped, provenance.removed_by_edits)
    spurious = [row[:2] for row in provenance.spurious_dropped or ()]
    return [*(row for rows in lists for row in rows or ()), *spurious]


def split_tracks(lineage: Lineage, filled: IntArray) -> Lineage:
    """Return the lineage with each track split at its gaps that are not filled.

    Parameters
    ----------
    lineage : Lineage
        Tracks; some may skip frames.
    filled : (G, 2) int64
        Track and frame of each mask drawn in a gap.
    """
    cells, tracks = lineage.cells, lineage.tracks
    done = set(map(tuple, filled.tolist()))
    frame, before, after = (column.tolist() for column in find_missing_frames(lineage))
    starts = [a for t, b, a in zip(frame, before, after, strict=True) if (int(lineage.track[b]), t) not in done]
    if not starts:
        return lineage
    order = np.lexsort((cells.frame, lineage.track))
    is_start = np.zeros(len(cells), bool)
    is_start[starts] = True
    track, ordered = lineage.track.copy(), lineage.track[order]
    parent = dict(zip(tracks.id.tolist(), tracks.parent.tolist(), strict=True))
    last_section: dict[int, int] = {}  # of each split track: the parent of its daughters
    for new, first in enumerate(np.flatnonzero(is_start[order]).tolist(), start=int(tracks.id[-1]) + 1):
        old = int(ordered[first])
        stop = int(np.searchsorted(ordered, old, side="right"))
        track[order[first:stop]] = new
        parent[new] = last_section.get(old, old)
        last_section[old] = new
    child = np.isin(tracks.parent, list(last_section))
    for daughter, old in zip(tracks.id[child].tolist(), tracks.parent[child].tolist(), strict=True):
        parent[daughter] = last_section[old]
    split = Tracks.from_cells(track, cells.frame, lambda ids: np.array([parent[i] for i in ids.tolist()]))
    return replace(lineage, track=track, tracks=split)


def _remove_pixels(runs: Runs, masks: list[MissingMask]) -> Runs:
    """Return the runs of the cells without the pixels of the masks that were split off them."""
    taken: dict[int, list[MissingMask]] = {}
    for mask in masks:
        if mask.split_cell >= 0:
            taken.setdefault(mask.frame, []).append(mask)
    if not taken:
        return runs
    frames = []
    for t in range(len(runs.offsets) - 1):
        if t in taken:
            here = runs.frame(t)
            gone = np.concatenate([np.ravel_multi_index(mask.pixels, runs.shape) for mask in taken[t]])
            start, length = np.append(runs.start[here], gone), np.append(runs.length[here], np.ones_like(gone))
            value = np.append(runs.cell[here] + 1, np.zeros_like(gone))
            start, length, value = flatten_runs(runs.shape, start, length, value)
            frames.append((start, length, value - 1))
        else:
            here = runs.frame(t)
            frames.append((runs.start[here], runs.length[here], runs.cell[here]))
    return join_frames(frames, runs.shape)


def _draw_fills(masks: list[MissingMask], track: IntArray, n_frames: int, shape: tuple[int, ...]) -> Runs:
    """Return the runs of the masks drawn in gaps, each with the track of the cell before."""
    none = np.zeros(0, np.int64)
    frames = [(none, none, none)] * n_frames
    for frame, group in groupby(masks, key=attrgetter("frame")):
        pixels = [(np.ravel_multi_index(mask.pixels, shape), track[mask.before]) for mask in group]
        start = np.concatenate([each for each, _ in pixels])
        value = np.repeat([each for _, each in pixels], [len(each) for each, _ in pixels])
        frames[frame] = flatten_runs(shape, start, np.ones_like(start), value)
    return join_frames(frames, shape)
