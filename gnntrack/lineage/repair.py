"""Masks that a segmenter lost, tore or glued for a frame, mended with what the lineage knows.

A result of the Cell Tracking Challenge knows no gaps, and a link over one counts only if there is a mask
in between. The missing mask is voted by its neighbours in time: each is moved to where the cell is
expected, and a pixel belongs to the cell if at least half of the vote, weighted by nearness in time, is
for it. It is painted on background only. Where it falls upon a neighbour's mask instead, and that one is
far larger than before and after, the segmenter glued the two: the mask is shared between them. A cell that
is seen in one frame only, linked to nothing, and completes its neighbour to the size and place that the
neighbour has before and after, is a piece torn off it and is given back.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from gnntrack.lineage.families import find_missing_frames, find_neighbours
from gnntrack.masks.runs import decode_frame, encode_frame, expand_runs, join_frames
from gnntrack.types import Lineage, Runs, Tracks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.settings import RepairSettings
    from gnntrack.types import BoolArray, FloatArray, Image, IntArray

__all__ = ["Repaired", "fill_gaps", "join_pieces"]


@dataclass(frozen=True)
class Repaired:
    """A lineage and its masks after repair.

    Parameters
    ----------
    lineage : Lineage
        The lineage; a gap that was not painted is two tracks, parent and child.
    runs : Runs
        The cells' pixels; fewer than before where a mask was shared between two cells.
    fills : Runs
        Pixels painted in gaps; the column ``cell`` holds track ids.
    filled : (G, 2) int64
        Track and frame of each painted mask.
    parted : (P, 2) int64
        Frame and label of each mask that was shared between two cells.
    """

    lineage: Lineage
    runs: Runs
    fills: Runs
    filled: IntArray
    parted: IntArray


def fill_gaps(lineage: Lineage, runs: Runs, *, settings: RepairSettings) -> Repaired:
    """Paint the missing masks of all gaps inside tracks.

    Parameters
    ----------
    lineage : Lineage
        Tracks; some may skip frames.
    runs : Runs
        The pixels of the lineage's cells.
    settings : RepairSettings
        Whether to paint at all, and when a mask counts as glued.

    Returns
    -------
    Repaired
        A gap with a mask that would lie on other cells altogether is not painted, nor is any without
        ``settings.fill_gaps``: there the track is split.
    """
    by_frame = _missing(lineage) if settings.fill_gaps else {}
    shapes = _Shapes(lineage, runs, by_frame)
    placed = [fill for frame in sorted(by_frame) for fill in _placed(shapes, runs, frame, by_frame[frame], settings)]
    # a gap of several frames is painted altogether or not at all: a track has a mask in each of its frames
    wanted = Counter(before for gaps in by_frame.values() for _, before, _ in gaps)
    found = Counter(fill.before for fill in placed)
    fills = [fill for fill in placed if found[fill.before] == wanted[fill.before]]
    filled = np.array([(lineage.track[fill.before], fill.frame) for fill in fills], np.int64).reshape(-1, 2)
    glued = [(fill.frame, lineage.cells.label[fill.glued]) for fill in fills if fill.glued >= 0]
    split = _split(lineage, filled)
    return Repaired(
        split,
        _cut(runs, fills),
        _painted(fills, split.track, len(runs.offsets) - 1, runs.shape),
        filled,
        np.array(glued, np.int64).reshape(-1, 2),
    )


def _missing(lineage: Lineage) -> dict[int, list[tuple[int, int, int]]]:
    """Return (track, row before, row after) of every missing mask, by frame."""
    frame, before, after = find_missing_frames(lineage)
    columns = (frame, lineage.track[before], before, after)
    missing: dict[int, list[tuple[int, int, int]]] = {}
    for t, *gap in zip(*(column.tolist() for column in columns), strict=True):
        missing.setdefault(t, []).append(tuple(gap))
    return missing


def _split(lineage: Lineage, painted: IntArray) -> Lineage:
    """Return the lineage with tracks split where a frame of a gap was not painted."""
    cells, tracks = lineage.cells, lineage.tracks
    done = set(map(tuple, painted.tolist()))
    late = [
        after for frame, gaps in _missing(lineage).items() for track, _, after in gaps if (track, frame) not in done
    ]
    if not late:
        return lineage
    order = np.lexsort((cells.frame, lineage.track))
    fresh = np.zeros(len(cells), bool)
    fresh[late] = True
    new = np.flatnonzero(fresh[order])
    last = int(tracks.id[-1])
    track, ordered = lineage.track.copy(), lineage.track[order]
    parent = dict(zip(tracks.id.tolist(), tracks.parent.tolist(), strict=True))
    heir: dict[int, int] = {}  # the last piece of each track, which its daughters come from
    for i, first in enumerate(new.tolist(), start=last + 1):
        old = int(ordered[first])
        stop = int(np.searchsorted(ordered, old, side="right"))
        track[order[first:stop]] = i
        parent[i] = heir.get(old, old)
        heir[old] = i
    child = np.isin(tracks.parent, list(heir))
    for name, mother in zip(tracks.id[child].tolist(), tracks.parent[child].tolist(), strict=True):
        parent[name] = heir[mother]
    split = Tracks.spanning(track, cells.frame, lambda ids: np.array([parent[i] for i in ids.tolist()]))
    return replace(lineage, track=track, tracks=split)


def join_pieces(lineage: Lineage, runs: Runs, *, settings: RepairSettings) -> tuple[Lineage, Runs, IntArray]:
    """Give pieces that were torn off a cell for one frame back to it.

    Parameters
    ----------
    lineage : Lineage
        Tracks.
    runs : Runs
        The pixels of the lineage's cells.
    settings : RepairSettings
        Whether to join at all.

    Returns
    -------
    lineage : Lineage
        Without the pieces; their cells' features stay as they were measured.
    runs : Runs
        The pieces' pixels belong to their cells.
    joined : (J, 3) int64
        Frame, label of the piece, label of the cell that it was given to.
    """
    piece, owner = _torn(lineage) if settings.join_pieces else (np.zeros(0, np.int64),) * 2
    if not len(piece):
        return lineage, runs, np.zeros((0, 3), np.int64)
    cells = lineage.cells
    joined = np.column_stack([cells.frame[piece], cells.label[piece], cells.label[owner]])
    keep = np.ones(len(cells), bool)
    keep[piece] = False
    row = np.cumsum(keep) - 1
    row[piece] = row[owner]
    there = np.isin(lineage.tracks.id, lineage.track[keep])
    tracks = Tracks(*(getattr(lineage.tracks, name)[there] for name in ("id", "start", "end", "parent")))
    smaller = replace(
        lineage,
        cells=cells.only(keep),
        track=lineage.track[keep],
        tracks=tracks,
        source=row[lineage.source],
        target=row[lineage.target],
    )
    return smaller, replace(runs, cell=row[runs.cell]), joined


def _torn(lineage: Lineage) -> tuple[IntArray, IntArray]:
    """Return pieces and the cells they were torn off, as rows."""
    cells = lineage.cells
    past, future = find_neighbours(lineage)
    alone = np.ones(len(cells), bool)
    alone[lineage.source] = alone[lineage.target] = False
    pieces, owners = [], []
    for frame in np.unique(cells.frame[alone]).tolist():
        here = cells.rows(frame)
        rows = np.arange(here.start, here.stop)
        single, whole = rows[alone[rows]], rows[(past[rows] >= 0) & (future[rows] >= 0)]
        if not len(single) or not len(whole):
            continue
        k = min(3, len(whole))
        near = whole[cKDTree(cells.position[whole]).query(cells.position[single], k)[1].reshape(len(single), k)]
        for column in range(k):
            fits = _completes(lineage, single, near[:, column], past, future)
            pieces.append(single[fits])
            owners.append(near[fits, column])
    if not pieces:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    piece, first = np.unique(np.concatenate(pieces), return_index=True)
    return piece, np.concatenate(owners)[first]


def _completes(lineage: Lineage, piece: IntArray, cell: IntArray, past: IntArray, future: IntArray) -> BoolArray:
    """Tell whether a cell with its piece is nearer to its size and place before and after than without."""
    cells = lineage.cells
    place = cells.position
    own, torn, before, after = (
        cells.feature("size")[rows].astype(np.float64) for rows in (cell, piece, past[cell], future[cell])
    )
    usual = (before + after) / 2
    expected = (place[past[cell]] + place[future[cell]]) / 2
    both = own + torn
    middle = (place[cell] * own[:, None] + place[piece] * torn[:, None]) / both[:, None]
    nearer = np.linalg.norm(middle - expected, axis=1) < np.linalg.norm(place[cell] - expected, axis=1)
    alone, together = np.abs(np.log(own / usual)), np.abs(np.log(both / usual))
    steady = np.abs(np.log(before / after)) < 0.4  # else there is no usual size to speak of
    return np.asarray(nearer & steady & (together < 0.5 * alone) & (together < 0.3))


class _Shapes:
    """Pixels of the cells that surround gaps, and what is known of the tracks around them."""

    def __init__(self, lineage: Lineage, runs: Runs, missing: dict[int, list[tuple[int, int, int]]]) -> None:
        self.lineage = lineage
        self.shape = runs.shape
        self.spacing = np.asarray(lineage.cells.spacing)
        wanted = np.zeros(len(lineage.cells), bool)
        for gaps in missing.values():
            wanted[[row for gap in gaps for row in gap[1:]]] = True
        use = np.flatnonzero(wanted[runs.cell])
        use = use[np.argsort(runs.cell[use], kind="stable")]
        self.start, self.length, self.cell = runs.start[use], runs.length[use], runs.cell[use]
        self.by_track = np.lexsort((lineage.cells.frame, lineage.track))
        self.rank = np.empty(len(lineage.cells), np.int64)
        self.rank[self.by_track] = np.arange(len(lineage.cells))

    def pixels(self, row: int) -> IntArray:
        """Return the pixel coordinates of a cell, shape (n, D)."""
        part = slice(*np.searchsorted(self.cell, [row, row + 1]))
        flat = expand_runs(self.start[part], self.length[part])
        return np.stack(np.unravel_index(flat, self.shape), axis=1)

    def usual_size(self, row: int) -> float:
        """Return the mean size of the cells before and after in the same track; 0 where there are none."""
        near = [self.rank[row] - 1, self.rank[row] + 1]
        near = [self.by_track[i] for i in near if 0 <= i < len(self.by_track)]
        near = [i for i in near if self.lineage.track[i] == self.lineage.track[row]]
        return float(self.lineage.cells.feature("size")[near].mean()) if near else 0.0

    def expected_centre(self, row: int) -> FloatArray:
        """Return where the cells before and after in its track expect a cell, in pixels, shape (D,)."""
        near = [self.by_track[i] for i in (self.rank[row] - 1, self.rank[row] + 1) if 0 <= i < len(self.by_track)]
        near = [i for i in near if self.lineage.track[i] == self.lineage.track[row]] or [row]
        return np.asarray(self.lineage.cells.position[near].mean(axis=0) / self.spacing)


@dataclass(frozen=True)
class _Fill:
    """A missing mask: its pixels, the row of the cell before it, and that of the cell it was glued to (-1 = none)."""

    frame: int
    before: int
    pixels: tuple[IntArray, ...]
    glued: int


def _rows(runs: Runs, frame: int) -> Image:
    """Return a frame's pixels by the rows + 1 of their cells."""
    part = runs.frame(frame)
    return decode_frame(runs.shape, runs.start[part], runs.length[part], runs.cell[part] + 1, np.int64)


def _placed(
    shapes: _Shapes, runs: Runs, frame: int, gaps: list[tuple[int, int, int]], settings: RepairSettings
) -> Iterator[_Fill]:
    """Yield the missing masks of a frame that find a place; none takes what another one has."""
    rows = _rows(runs, frame)
    free = rows == 0
    for _, before, after in gaps:
        taken = _place(shapes, rows, free, frame, before, after, settings)
        if taken is not None:
            pixels, glued = taken
            free[pixels] = False
            rows[pixels] = 0
            yield _Fill(frame, before, pixels, glued)


def _place(
    shapes: _Shapes, rows: Image, free: Image, frame: int, before: int, after: int, settings: RepairSettings
) -> tuple[tuple[IntArray, ...], int] | None:
    """Return the pixels of a missing mask and the row of the cell it was glued to (-1 = none), or None."""
    cells = shapes.lineage.cells
    share = (frame - cells.frame[before]) / (cells.frame[after] - cells.frame[before])
    centre = ((1 - share) * cells.position[before] + share * cells.position[after]) / shapes.spacing
    shape = _voted(shapes, (before, after), (1 - share, share), centre)
    if not len(shape):
        return None
    at = tuple(shape.T)
    open_pixels = tuple(shape[free[at]].T)
    under = rows[at]
    glued = int(np.bincount(under[under > 0]).argmax()) - 1 if (under > 0).any() else -1
    if glued >= 0 and (under == glued + 1).mean() > 0.5 and _too_large(shapes, glued, len(shape), settings):
        own = np.argwhere(rows == glued + 1)
        ways = [(own - middle) * shapes.spacing for middle in (centre, shapes.expected_centre(glued))]
        nearer = np.linalg.norm(ways[0], axis=1) < np.linalg.norm(ways[1], axis=1)
        if 0 < nearer.sum() < len(own):
            joined = np.concatenate([own[nearer], shape[free[at]]])
            return tuple(joined.T), glued
    if not len(open_pixels[0]) or len(open_pixels[0]) < settings.min_visible * len(shape):
        return None
    return open_pixels, -1


def _voted(shapes: _Shapes, rows: tuple[int, int], weights: tuple[float, float], centre: FloatArray) -> IntArray:
    """Return the pixels that at least half of the weighted vote is for, once moved to a centre, shape (n, D)."""
    moved = []
    for row in rows:
        own = shapes.lineage.cells.position[row] / shapes.spacing
        moved.append(shapes.pixels(row) + np.rint(centre - own).astype(np.int64))
    pixels = np.concatenate(moved)
    vote = np.concatenate([np.full(len(m), w) for m, w in zip(moved, weights, strict=True)])
    inside = ((pixels >= 0) & (pixels < shapes.shape)).all(axis=1)
    if not inside.any():
        return pixels[:0]
    flat, inverse = np.unique(np.ravel_multi_index(tuple(pixels[inside].T), shapes.shape), return_inverse=True)
    for_it = np.bincount(inverse, vote[inside]) >= 0.5 - 1e-9
    return np.stack(np.unravel_index(flat[for_it], shapes.shape), axis=1)


def _too_large(shapes: _Shapes, row: int, pixels: int, settings: RepairSettings) -> bool:
    """Tell whether a mask is as large as its own cell and the missing one together."""
    usual = shapes.usual_size(row)
    missing = pixels * float(np.prod(shapes.spacing))
    return bool(usual) and float(shapes.lineage.cells.feature("size")[row]) > usual + settings.glued_share * missing


def _cut(runs: Runs, fills: list[_Fill]) -> Runs:
    """Return the cells' runs without the pixels that were given to a missing cell."""
    taken: dict[int, list[_Fill]] = {}
    for fill in fills:
        if fill.glued >= 0:
            taken.setdefault(fill.frame, []).append(fill)
    if not taken:
        return runs
    parts = []
    for t in range(len(runs.offsets) - 1):
        if t in taken:
            rows = _rows(runs, t)
            for fill in taken[t]:
                rows[fill.pixels] = 0
            start, length, value = encode_frame(rows)
            parts.append((start, length, value - 1))
        else:
            part = runs.frame(t)
            parts.append((runs.start[part], runs.length[part], runs.cell[part]))
    return join_frames(parts, runs.shape)


def _painted(fills: list[_Fill], track: IntArray, n_frames: int, shape: tuple[int, ...]) -> Runs:
    """Return the runs of missing masks, by the track of the cell before."""
    none = np.zeros(0, np.int64)
    parts = [(none, none, none)] * n_frames
    canvas = np.zeros(shape, np.int64)
    for frame, group in groupby(fills, key=attrgetter("frame")):
        canvas[:] = 0
        for fill in group:
            canvas[fill.pixels] = track[fill.before]
        parts[frame] = encode_frame(canvas)
    return join_frames(parts, shape)
