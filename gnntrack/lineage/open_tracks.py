"""Tracks that begin or end inside the frame, though cells neither appear from nothing nor vanish."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import compute_radius, find_within, measure_lengths

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray, Lineage

__all__ = ["OpenTracks", "find_open_tracks"]

_SHORT = 2  # frames
_AHEAD = 5  # frames in which a track that ended may be found again
_FRAMES = 32  # of which ends of tracks are compared at the same time
_BLOCK = 1 << 16  # links that are measured at the same time


@dataclass(frozen=True)
class OpenTracks:
    """The open ends of tracks: rows of cells where a track begins or ends, inside the frame unless named otherwise.

    Parameters
    ----------
    starts : (S,) int64
        First cells of tracks without a parent.
    ends : (E,) int64
        Last cells of tracks without daughters.
    border_starts, border_ends : (S,) and (E,) int64
        The same so near to the border of the frame that the cell may have come in, or left.
    short : (N,) bool
        Cells of tracks of at most two frames.
    alone : (N,) bool
        Those of them whose tracks are open at both ends.
    distance : (N,) float64
        Distance of each cell from the nearest border of the frame, in the unit of positions.
    reach : float
        Distance that a cell may move in a frame, together with its radius.
    partner_of_end, partner_of_start : dict
        From the row of an end to that of the nearest start of the next five frames that could be the same cell, and
        from the row of a start to that of the nearest end before it.
    daughter, parent : dict
        From the row of an end to that of the nearest daughter, of the next five frames, of a track that divides, and
        from the row of a start to that of the nearest cell before it after which a track divides.
    """

    starts: IntArray
    ends: IntArray
    border_starts: IntArray
    border_ends: IntArray
    short: BoolArray
    alone: BoolArray
    distance: FloatArray
    reach: float
    partner_of_end: dict[int, int]
    partner_of_start: dict[int, int]
    daughter: dict[int, int]
    parent: dict[int, int]


def find_open_tracks(lineage: Lineage) -> OpenTracks:
    """Return the tracks that begin or end inside the frame.

    Examples
    --------
    A cell that is seen in frame 2 only:

    >>> import gnntrack
    >>> masks = np.zeros((5, 60, 60), np.uint8)
    >>> masks[2, 25:35, 25:35] = 1
    >>> found = find_open_tracks(gnntrack.track(masks=masks))
    >>> found.starts.tolist(), found.ends.tolist(), found.alone.tolist()
    ([0], [0], [True])
    """
    cells, tracks = lineage.cells, lineage.tracks
    if not len(cells):
        none = np.zeros(0, np.int64)
        return OpenTracks(none, none, none, none, none > 0, none > 0, np.zeros(0), 0.0, {}, {}, {}, {})
    order = np.lexsort((cells.frame, lineage.track))
    edge = np.searchsorted(lineage.track[order], tracks.id, side="left")
    first, last = order[edge], order[np.append(edge[1:], len(order)) - 1]
    distance, reach = _measure_border_distance(lineage), _measure_reach(lineage)
    begins: BoolArray = (tracks.start > 0) & (tracks.parent == 0)
    stops: BoolArray = (tracks.end < cells.n_frames - 1) & ~np.isin(tracks.id, tracks.parent)
    border_starts, border_ends = first[begins & (distance[first] <= reach)], last[stops & (distance[last] <= reach)]
    begins, stops = begins & (distance[first] > reach), stops & (distance[last] > reach)
    short = tracks.end - tracks.start < _SHORT
    track = np.searchsorted(tracks.id, lineage.track)
    starts, ends = first[begins], last[stops]
    # of points, the border is not that of an image
    all_starts = starts if cells.points else np.append(starts, border_starts)
    all_ends = ends if cells.points else np.append(ends, border_ends)
    parents, daughters = _find_divisions(lineage)
    return OpenTracks(
        starts,
        ends,
        border_starts,
        border_ends,
        short[track],
        (short & begins & stops)[track],
        distance,
        reach,
        _find_nearest(lineage, all_ends, all_starts, 2 * reach, later=True),
        _find_nearest(lineage, all_starts, all_ends, 2 * reach, later=False),
        _find_nearest(lineage, ends, daughters, reach, later=True),
        _find_nearest(lineage, starts, parents, reach, later=False),
    )


def _find_divisions(lineage: Lineage) -> tuple[IntArray, IntArray]:
    """Return the last cells of tracks that divide, and the first cells of their daughters."""
    children = np.bincount(lineage.source, minlength=len(lineage.cells))
    across = children[lineage.source] > 1
    return np.flatnonzero(children > 1), lineage.target[across]


def _measure_border_distance(lineage: Lineage) -> FloatArray:
    """Return the distance of each centroid from the nearest border of the frame, shape (N,)."""
    cells = lineage.cells
    size = np.array(cells.shape) * np.array(cells.spacing)
    last = size - np.array(cells.spacing)
    distance = np.full(len(cells), np.inf)
    for place, far in zip(cells.position.T, last.tolist(), strict=True):
        np.minimum(distance, place, out=distance)
        np.minimum(distance, far - place, out=distance)
    return distance


def _measure_reach(lineage: Lineage) -> float:
    """Return the distance from the border within which a cell may enter or leave between two frames.

    It is the radius of the median cell, if the sizes are known, and the step that 95 of 100 links do not exceed.
    """
    cells = lineage.cells
    step = np.empty(len(lineage.source))
    for start in range(0, len(step), _BLOCK):
        links = slice(start, start + _BLOCK)
        step[links] = measure_lengths(cells.position[lineage.target[links]] - cells.position[lineage.source[links]])
    radius = float(compute_radius(float(np.median(cells.feature("size"))), cells.ndim)) if cells.has("size") else 0.0
    return radius + (float(np.quantile(step, 0.95)) if len(step) else 0.0)


def _find_nearest(lineage: Lineage, rows: IntArray, others: IntArray, limit: float, *, later: bool) -> dict[int, int]:
    """Return, for some of the rows, the nearest of the other cells in the next or last frames, if one is near."""
    found: dict[int, int] = {}
    frame, times = lineage.cells.frame[rows], lineage.cells.frame[others]
    for first in np.unique(frame // _FRAMES * _FRAMES).tolist():  # of all frames, more and more lie at one place
        lowest, stop = (first, first + _FRAMES + _AHEAD) if later else (first - _AHEAD, first + _FRAMES)
        own, near = frame // _FRAMES * _FRAMES == first, (times >= lowest) & (times < stop)
        found |= _find_nearest_in_block(lineage, rows[own], others[near], limit, later=later)
    return found


def _find_nearest_in_block(
    lineage: Lineage, rows: IntArray, others: IntArray, limit: float, *, later: bool
) -> dict[int, int]:
    cells = lineage.cells
    found: dict[int, int] = {}
    if not len(others):
        return found
    for row, near in zip(rows.tolist(), find_within(cells.position[rows], cells.position[others], limit), strict=True):
        lag = cells.frame[others[near]] - cells.frame[row]
        lag = lag if later else -lag
        close = others[near][(lag > 0) & (lag <= _AHEAD)]
        if len(close):
            step = np.linalg.norm(cells.position[close] - cells.position[row], axis=1)
            found[row] = int(close[np.argmin(step)])
    return found
