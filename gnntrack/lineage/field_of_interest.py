"""The field of interest: the image without a margin, outside of which cells are not to be told of.

The Cell Tracking Challenge leaves a margin of 25 or 50 pixels out of the truth of most of its data sets: a cell
that has no pixel inside is not annotated, and one in a result is an error. All cells are tracked, the more the
better; what lies outside altogether is taken out of the result at the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.types import Tracks

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, IntArray, Lineage, Runs

__all__ = ["keep_field"]


def keep_field(lineage: Lineage, runs: Runs, fills: Runs, *, margin: int) -> tuple[Lineage, Runs, Runs, IntArray]:
    """Take out the masks that lie in the margin altogether.

    A track that leaves the field and comes back is two tracks, without a link between them; a daughter whose mother
    was outside when she divided has no mother.

    Parameters
    ----------
    lineage : Lineage
        Tracks without gaps, but for those that `fills` fills.
    runs : Runs
        The pixels of the lineage's cells.
    fills : Runs
        Pixels painted in gaps; the column ``cell`` holds track ids.
    margin : int
        Pixels along y and x that are outside; planes of a stack are all inside.

    Returns
    -------
    lineage, runs, fills
        Of what is left.
    left_out : (M, 2) int64
        Frame and label of each cell that is not.
    """
    cells, tracks = lineage.cells, lineage.tracks
    inside = np.zeros(len(cells), bool)
    inside[runs.cell[_reaching(runs, margin)]] = True
    order = np.lexsort((cells.frame, lineage.track))
    seen = order[inside[order]]
    # places in time, track by track; a piece goes on as long as every mask since its last cell is painted
    at = lineage.track[seen] * cells.n_frames + cells.frame[seen]
    place = fills.cell * cells.n_frames + fills.frames()
    painted = np.unique(place[_reaching(fills, margin)])
    begins = np.diff(lineage.track[seen], prepend=0) > 0
    again = ~begins & (np.diff(at, prepend=0) - 1 != np.diff(np.searchsorted(painted, at), prepend=0))
    name = np.where(begins, lineage.track[seen], tracks.id.max(initial=0) + np.cumsum(again))
    opens = begins | again
    track = np.zeros(len(cells), np.int64)  # 0 is left out
    track[seen] = name[opens][np.cumsum(opens) - 1]
    source, target = lineage.source, lineage.target
    linked = inside[source] & inside[target]
    linked &= (track[source] == track[target]) | (lineage.track[source] != lineage.track[target])
    row = np.cumsum(inside) - 1
    smaller = replace(
        lineage,
        cells=cells.only(inside),
        track=track[inside],
        tracks=_tracks(lineage, order, track),
        source=row[source[linked]],
        target=row[target[linked]],
        confidence=lineage.confidence[linked],
    )
    around = np.concatenate([[0], track[seen], [0]])  # of a painted mask, the piece before it and that after it
    i = np.searchsorted(at, place)
    owner = np.where(around[i] == around[i + 1], around[i], 0)
    left_out = np.column_stack([cells.frame[~inside], cells.label[~inside]])
    return smaller, runs.only(inside[runs.cell], row[runs.cell]), fills.only(owner > 0, owner), left_out


def _reaching(runs: Runs, margin: int) -> BoolArray:
    """Tell which runs have a pixel in the field."""
    height, width = runs.shape[-2:]
    y, x = (runs.start // width) % height, runs.start % width
    across = np.minimum(x + runs.length, width - margin) > np.maximum(x, margin)
    return np.asarray(across & (y >= margin) & (y < height - margin))


def _tracks(lineage: Lineage, order: IntArray, track: IntArray) -> Tracks:
    """Return the table of the new tracks of the cells, which are in `order` of their old tracks and time."""
    old, kept = lineage.tracks, track > 0
    first = order[np.searchsorted(lineage.track[order], old.id)]
    last = order[np.searchsorted(lineage.track[order], old.id, side="right") - 1]
    mother = np.where(old.parent > 0, track[last[np.searchsorted(old.id, old.parent)]], 0)
    born = kept[first]  # in the field

    def parents(ids: IntArray) -> IntArray:
        parent = np.zeros(len(ids), np.int64)
        parent[np.searchsorted(ids, old.id[born])] = mother[born]
        return parent

    return Tracks.spanning(track[kept], lineage.cells.frame[kept], parents)
