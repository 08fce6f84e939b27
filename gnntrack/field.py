"""The field of interest: the image without a margin, outside of which cells are not to be told of.

The Cell Tracking Challenge leaves a margin of 25 or 50 pixels out of the truth of most of its data sets: a cell
that has no pixel inside is not annotated, and one in a result is an error. All cells are tracked, the more the
better; what lies outside altogether is taken out of the result at the end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.types import Lineage, Runs, Tracks

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, IntArray

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
    cells = lineage.cells
    n = len(cells)
    inside = np.zeros(n, bool)
    inside[runs.cell[_reaching(runs, margin)]] = True
    if inside.all():  # what is painted lies between two of them
        return lineage, runs, fills, np.zeros((0, 2), np.int64)
    painted = _painted(fills, margin)
    track, parent = _pieces(lineage, inside, painted)
    row = np.cumsum(inside) - 1
    kept = replace(cells, **{name: getattr(cells, name)[inside] for name in ("frame", "label", "position", "features")})
    ids, at = np.unique(track[inside], return_inverse=True)
    start, end = np.full(len(ids), cells.n_frames), np.full(len(ids), -1)
    np.minimum.at(start, at, kept.frame)
    np.maximum.at(end, at, kept.frame)
    mothers = np.array([parent[each] for each in ids.tolist()], np.int64)
    source, target = lineage.source, lineage.target
    linked = inside[source] & inside[target]
    linked[linked] = (track[source] == track[target])[linked] | _is_parent(
        ids, mothers, track[source[linked]], track[target[linked]]
    )
    smaller = Lineage(
        kept,
        track[inside],
        Tracks(ids, start, end, mothers),
        row[source[linked]],
        row[target[linked]],
        lineage.confidence[linked],
        lineage.notes,
    )
    left = np.column_stack([cells.frame[~inside], cells.label[~inside]])
    return smaller, runs.only(inside[runs.cell], row[runs.cell]), _renamed(fills, smaller, lineage, track, inside), left


def _reaching(runs: Runs, margin: int) -> BoolArray:
    """Tell which runs have a pixel in the field."""
    height, width = runs.shape[-2:]
    y, x = (runs.start // width) % height, runs.start % width
    return np.asarray((y >= margin) & (y < height - margin) & (x + runs.length > margin) & (x < width - margin))


def _painted(fills: Runs, margin: int) -> set[tuple[int, int]]:
    """Return track and frame of the painted masks that reach into the field."""
    reach = _reaching(fills, margin)
    return set(zip(fills.cell[reach].tolist(), fills.frames()[reach].tolist(), strict=True))


def _pieces(lineage: Lineage, inside: BoolArray, painted: set[tuple[int, int]]) -> tuple[IntArray, dict[int, int]]:
    """Return the new track of each cell that is inside, and the parent of each new track."""
    cells, tracks = lineage.cells, lineage.tracks
    new = np.zeros(len(cells), np.int64)
    order = np.lexsort((cells.frame, lineage.track))
    fresh = int(tracks.id[-1])
    first: dict[int, int] = {}  # the piece of an old track that holds its first cell, and that which holds its last
    last: dict[int, int] = {}
    parent: dict[int, int] = {}
    before = -1
    for cell in order.tolist():
        old, frame = int(lineage.track[cell]), int(cells.frame[cell])
        starts = before < 0 or lineage.track[before] != old
        if inside[cell]:
            goes_on = not starts and inside[before]
            goes_on = goes_on and all((old, t) in painted for t in range(int(cells.frame[before]) + 1, frame))
            if goes_on:
                new[cell] = new[before]
            elif old in parent:  # a later piece
                fresh += 1
                new[cell] = fresh
                parent[fresh] = 0
            else:
                new[cell] = old
                parent[old] = 0
            if starts:
                first[old] = old
            last[old] = int(new[cell])
        else:
            last.pop(old, None)
        before = cell
    for name, mother in zip(tracks.id.tolist(), tracks.parent.tolist(), strict=True):
        if mother and name in first:
            parent[name] = last.get(mother, 0)
    return new, parent


def _is_parent(ids: IntArray, mothers: IntArray, source: IntArray, target: IntArray) -> BoolArray:
    return np.asarray(mothers[np.searchsorted(ids, target)] == source)


def _renamed(fills: Runs, smaller: Lineage, lineage: Lineage, track: IntArray, inside: BoolArray) -> Runs:
    """Return the painted masks that lie within a track that is left, by its new name."""
    span = {
        name: (start, end)
        for name, start, end in zip(
            *(getattr(smaller.tracks, each).tolist() for each in ("id", "start", "end")), strict=True
        )
    }
    pieces: dict[int, set[int]] = {}
    for old, new in zip(lineage.track[inside].tolist(), track[inside].tolist(), strict=True):
        pieces.setdefault(old, set()).add(new)
    name = np.array(
        [
            next((piece for piece in pieces.get(old, ()) if span[piece][0] < t < span[piece][1]), 0)
            for old, t in zip(fills.cell.tolist(), fills.frames().tolist(), strict=True)
        ],
        np.int64,
    ).reshape(-1)
    return fills.only(name > 0, name)
