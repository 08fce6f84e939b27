"""Field of interest: the frame without a border of `margin` pixels.

The Cell Tracking Challenge annotates no cell that lies in the border entirely: 25 or 50 pixels in most of its data
sets. Such a cell in a result counts as an error. All cells are tracked, because more cells make better tracks, and
those outside the field are removed from the result at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import InputError
from gnntrack.plurals import count_noun
from gnntrack.types import Tracks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import BoolArray, IntArray, Lineage, Runs

__all__ = ["check_margin", "crop_to_field"]


def check_margin(margin: int, shape: Sequence[int]) -> None:
    """Refuse a margin that leaves nothing of a frame.

    Parameters
    ----------
    margin : int
        Pixels along y and x.
    shape : D ints
        Shape of a frame, ``[z], y, x``.

    Raises
    ------
    InputError
        If the margin is half of the height or width, or more.

    Examples
    --------
    >>> check_margin(20, (40, 60))
    Traceback (most recent call last):
    gnntrack.errors.InputError: a margin of 20 pixels leaves nothing of frames of 40 x 60; give less than 20
    """
    height, width = shape[-2:]
    if 2 * margin >= min(height, width):
        half = -(-min(height, width) // 2)
        msg = (
            f"a margin of {count_noun(margin, 'pixel')} leaves nothing of frames of {height} x {width}; give "
            f"less than {half}"
        )
        raise InputError(msg)


def crop_to_field(lineage: Lineage, runs: Runs, fills: Runs, *, margin: int) -> tuple[Lineage, Runs, Runs, IntArray]:
    """Remove the cells that lie in the border entirely; the others stay whole.

    A track that leaves the field and comes back becomes two tracks without a link between them. A daughter whose
    parent was outside when it divided has no parent.

    Parameters
    ----------
    lineage : Lineage
        Tracks without gaps, except those that `fills` fills.
    runs : Runs
        The pixels of the lineage's cells.
    fills : Runs
        Pixels of the masks drawn in gaps; the column ``cell`` holds track ids.
    margin : int
        Width of the border along y and x, in pixels. The planes of a stack have no border.

    Returns
    -------
    lineage, runs, fills
        Of the cells inside.
    removed : (M, 2) int64
        Frame and label of each removed cell.
    """
    cells = lineage.cells
    inside = np.zeros(len(cells), bool)
    inside[runs.cell[_are_in_field(runs, margin)]] = True
    order = np.lexsort((cells.frame, lineage.track))
    kept = order[inside[order]]
    # a number for each (track, frame), ascending
    key = lineage.track[kept] * cells.n_frames + cells.frame[kept]
    fill_key = fills.cell * cells.n_frames + fills.frames()
    track = np.zeros(len(cells), np.int64)  # 0 = removed
    track[kept] = _number_sections(lineage, kept, key, np.unique(fill_key[_are_in_field(fills, margin)]))
    source, target = lineage.source, lineage.target
    linked = inside[source] & inside[target]
    linked &= (track[source] == track[target]) | (lineage.track[source] != lineage.track[target])
    row = np.cumsum(inside) - 1
    smaller = lineage.change_cells(
        np.where(inside, row, -1),
        cells=cells.select(inside),
        track=track[inside],
        tracks=_build_tracks(lineage, order, track),
        source=row[source[linked]],
        target=row[target[linked]],
        confidence=lineage.confidence[linked],
    )
    sections = np.concatenate([[0], track[kept], [0]])
    i = np.searchsorted(key, fill_key)
    owner = np.where(sections[i] == sections[i + 1], sections[i], 0)  # a fill needs one section before and after it
    removed = np.column_stack([cells.frame[~inside], cells.label[~inside]])
    return smaller, runs.select(inside[runs.cell], row[runs.cell]), fills.select(owner > 0, owner), removed


def _number_sections(lineage: Lineage, kept: IntArray, key: IntArray, drawn: IntArray) -> IntArray:
    """Return the new tracks of the cells in the field: sections of the old tracks.

    A section ends where a mask is missing between two of its cells. The first section of a track keeps its id.

    Parameters
    ----------
    lineage : Lineage
        The lineage before.
    kept : (n,) int64
        Rows of the cells in the field, sorted by track and frame.
    key : (n,) int64
        ``track * n_frames + frame`` of each.
    drawn : (m,) int64
        The keys of the masks that were drawn in gaps and reach into the field, ascending.
    """
    old = lineage.track[kept]
    begins = np.diff(old, prepend=0) > 0
    returns = ~begins & (np.diff(key, prepend=0) - 1 != np.diff(np.searchsorted(drawn, key), prepend=0))
    name = np.where(begins, old, lineage.tracks.id.max(initial=0) + np.cumsum(returns))
    opens = begins | returns
    return np.asarray(name[opens][np.cumsum(opens) - 1])


def _are_in_field(runs: Runs, margin: int) -> BoolArray:
    """Return, for each run, whether it has a pixel in the field, shape (R,)."""
    height, width = runs.shape[-2:]
    y, x = (runs.start // width) % height, runs.start % width
    across = np.minimum(x + runs.length, width - margin) > np.maximum(x, margin)
    return np.asarray(across & (y >= margin) & (y < height - margin))


def _build_tracks(lineage: Lineage, order: IntArray, track: IntArray) -> Tracks:
    """Return the table of the new tracks.

    Parameters
    ----------
    lineage : Lineage
        The lineage before.
    order : (N,) int64
        Rows of its cells, sorted by old track and frame.
    track : (N,) int64
        New track of each cell, 0 = removed.
    """
    old, kept = lineage.tracks, track > 0
    first = order[np.searchsorted(lineage.track[order], old.id)]
    last = order[np.searchsorted(lineage.track[order], old.id, side="right") - 1]
    parent = np.where(old.parent > 0, track[last[np.searchsorted(old.id, old.parent)]], 0)
    begins = kept[first]  # in the field

    def find_parents(ids: IntArray) -> IntArray:
        parents = np.zeros(len(ids), np.int64)
        parents[np.searchsorted(ids, old.id[begins])] = parent[begins]
        return parents

    return Tracks.from_cells(track[kept], lineage.cells.frame[kept], find_parents)
