"""Frames without a cell in a result: the evaluation software of the Cell Tracking Challenge refuses them.

Such a frame is usually a fault of the microscope: a frame without light or out of focus, between frames with cells. The
cells of the nearest frame are drawn in it at their places, so that a track goes on. A cell that is there then counts as
found; one that is not there costs 1 in TRA, where a missing one costs 10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.masks.runs import flatten_runs, join_frames

if TYPE_CHECKING:
    from gnntrack.types import IntArray, Runs

__all__ = ["fill_empty_frames"]


def fill_empty_frames(track: IntArray, runs: Runs, fills: Runs) -> tuple[Runs, IntArray]:
    """Return the drawn masks of a movie with those of frames that have no cell.

    Parameters
    ----------
    track : (N,) int64
        Track of each cell.
    runs : Runs
        The pixels of the cells.
    fills : Runs
        Masks drawn so far; the column ``cell`` holds track ids.

    Returns
    -------
    fills : Runs
        With the cells of the nearest frame that has some, the earlier one first, in each frame without a cell.
    filled : (G, 2) int64
        Track and frame of each mask that was added; none if no frame has a cell.

    Examples
    --------
    A cell in frame 1 of three frames:

    >>> from gnntrack.types import Runs
    >>> runs = Runs([0], [4], [2], [0, 0, 1, 1], (3, 3))
    >>> none = Runs([], [], [], [0, 0, 0, 0], (3, 3))
    >>> fills, filled = fill_empty_frames(np.array([7]), runs, none)
    >>> filled.tolist(), fills.cell.tolist(), fills.frames().tolist()
    ([[7, 0], [7, 2]], [7, 7], [0, 2])
    """
    n_frames = len(runs.offsets) - 1
    occupied = (np.diff(runs.offsets) > 0) | (np.diff(fills.offsets) > 0)
    if occupied.all() or not occupied.any():
        return fills, np.zeros((0, 2), np.int64)
    known = np.flatnonzero(occupied)
    frames, added = [], []
    for t in range(n_frames):
        if occupied[t]:
            here = fills.frame(t)
            frames.append((fills.start[here], fills.length[here], fills.cell[here]))
        else:
            nearest = int(known[max(int(np.searchsorted(known, t)) - 1, 0)])
            start, length, cell = _draw_tracks(track, runs, fills, nearest)
            frames.append((start, length, cell))
            added += [(each, t) for each in np.unique(cell).tolist()]
    return join_frames(frames, runs.shape), np.array(added, np.int64).reshape(-1, 2)


def _draw_tracks(track: IntArray, runs: Runs, fills: Runs, frame: int) -> tuple[IntArray, IntArray, IntArray]:
    """Return the runs of a frame in which each pixel of a cell has the track of the cell; cells cover fills."""
    below, above = fills.frame(frame), runs.frame(frame)
    start = np.append(fills.start[below], runs.start[above])
    length = np.append(fills.length[below], runs.length[above])
    return flatten_runs(runs.shape, start, length, np.append(fills.cell[below], track[runs.cell[above]]))
