"""The frames of a large movie: a sample, from which its scales are estimated, and the windows that it is tracked in.

Both follow from the numbers of cells per frame alone, so that a movie has the same ones on any machine.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MOST_SAMPLED", "Window", "choose_sample", "count_largest", "find_inner_frames", "plan_windows"]

MOST_SAMPLED = 200_000
"""Cells from which the scales of a movie are estimated; a movie with no more of them is its own sample.

A movie of more masks is tracked in windows."""

_BLOCKS = (4, 2, 1)  # of the sample: a movie changes, and two workers have as much to do as each other
_FOLLOWED = 8  # frames for which tracks are followed before and after a cell
_FEWEST_FRAMES = 3 * _FOLLOWED  # of a block
_ENOUGH_FRAMES = 5 * _FOLLOWED  # of each of several blocks
_SEARCHES = 30  # bisections of the size of a window
_SHARED = (4, 2)  # the number of windows is a multiple, so that as many workers have equal work
_LONG = 4  # halos that cores must then have, so that the halos cost little


class Window(NamedTuple):
    """Frames that are tracked together.

    Parameters
    ----------
    core : slice
        Frames whose cells, and the links out of them, are those of the result. The cores of the windows of a movie
        follow each other without a gap.
    span : slice
        Frames that are tracked: the core and the halo on both sides.
    """

    core: slice
    span: slice


def choose_sample(
    n_frames: int, cells_per_frame: Sequence[int] | NDArray[np.integer], *, most_cells: int = MOST_SAMPLED
) -> list[slice]:
    """Return the blocks of frames from which the scales of a movie are estimated.

    Each block is tracked by itself, and `gnntrack.windows.combine_scales` combines the scales of the blocks.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    cells_per_frame : sequence of int
        Number of cells in each frame.
    most_cells : int
        Cells of a movie that is its own sample, and of all blocks together.

    Returns
    -------
    list of slice
        The whole movie if it is small enough. Otherwise four blocks of equal numbers of cells, around one, three, five
        and seven eighths of the cells. There are two or one if blocks would have less than 40 frames, and a block of 24
        frames may have more than its share of the cells.

    Examples
    --------
    >>> choose_sample(100, [50] * 100)
    [slice(0, 100, None)]
    >>> choose_sample(900, [50] * 900, most_cells=4000)
    [slice(205, 245, None), slice(655, 695, None)]
    >>> choose_sample(900, [50] * 900, most_cells=1000)
    [slice(438, 462, None)]
    """
    total = _add_up(cells_per_frame)
    if total[-1] <= most_cells or n_frames <= _FEWEST_FRAMES:
        return [slice(0, n_frames)]
    for count in _BLOCKS:
        middles = total[-1] * (np.arange(count) * 2 + 1) / (2 * count)
        half = most_cells / (2 * count)
        first = np.searchsorted(total, middles - half, side="right") - 1
        stop = np.maximum(np.searchsorted(total, middles + half, side="left"), first + 1)
        if count == 1 or (stop - first).min() >= _ENOUGH_FRAMES:
            break
    missing = np.maximum(_FEWEST_FRAMES - (stop - first), 0)
    first = np.clip(first - (missing + 1) // 2, 0, n_frames - _FEWEST_FRAMES)
    stop = np.clip(np.maximum(stop, first + _FEWEST_FRAMES), None, n_frames)
    first[1:] = np.maximum(first[1:], stop[:-1])
    return [slice(a, b) for a, b in zip(first.tolist(), stop.tolist(), strict=True)]


def find_inner_frames(block: slice, n_frames: int) -> slice:
    """Return the frames of a block of a sample, counted in the block, in which tracks are not cut by its ends.

    Examples
    --------
    >>> find_inner_frames(slice(30, 60), 90), find_inner_frames(slice(0, 60), 90), find_inner_frames(slice(0, 60), 60)
    (slice(8, 22, None), slice(0, 52, None), slice(0, 60, None))
    """
    length = block.stop - block.start
    return slice(_FOLLOWED if block.start else 0, length - _FOLLOWED if block.stop < n_frames else length)


def plan_windows(
    n_frames: int, cells_per_frame: Sequence[int] | NDArray[np.integer], halo: int, most_cells: int
) -> list[Window]:
    """Return the windows of a movie, of about equal numbers of cells.

    Their number is a multiple of four, or of two, if they are then still much longer than their halos: workers have
    equal work.

    Parameters
    ----------
    n_frames : int
        Number of frames.
    cells_per_frame : sequence of int
        Number of cells in each frame.
    halo : int
        Frames before and after the core of a window that are tracked with it. There are fewer at the ends of the movie.
    most_cells : int
        Cells of a window with its halo. It has more only if a core of one frame does.

    Examples
    --------
    >>> for window in plan_windows(10, [100] * 10, halo=1, most_cells=500):
    ...     print(window.core, window.span)
    slice(0, 4, None) slice(0, 5, None)
    slice(4, 7, None) slice(3, 8, None)
    slice(7, 10, None) slice(6, 10, None)
    """
    total = _add_up(cells_per_frame)
    windows = _fill_windows(n_frames, total, halo, most_cells)
    counts = [math.ceil(len(windows) / each) * each for each in _SHARED]
    shared = [count for count in counts if len(windows) > 1 and n_frames >= count * _LONG * halo]
    most = max(shared[:1], default=len(windows))
    low, high = 0, most_cells
    for _ in range(_SEARCHES):  # the smallest windows of this number
        middle = (low + high) // 2
        small = len(_fill_windows(n_frames, total, halo, middle)) <= most
        low, high = (low, middle) if small else (middle, high)
    return _fill_windows(n_frames, total, halo, high)


def count_largest(windows: Sequence[Window], cells_per_frame: Sequence[int] | NDArray[np.integer]) -> int:
    """Return the number of cells of the window that has most of them, with its halo.

    >>> count_largest(plan_windows(10, [100] * 10, halo=1, most_cells=500), [100] * 10)
    500
    """
    total = _add_up(cells_per_frame)
    return max((int(total[span.stop] - total[span.start]) for _, span in windows), default=0)


def _fill_windows(n_frames: int, total: NDArray[np.int64], halo: int, most_cells: int) -> list[Window]:
    """Return windows that are each as long as a number of cells allows."""
    windows, first = [], 0
    while first < n_frames:
        before = max(first - halo, 0)
        after = int(np.searchsorted(total, total[before] + most_cells, side="right")) - 1  # the last end of a span
        stop = n_frames if after >= n_frames else max(after - halo, first + 1)
        windows.append(Window(slice(first, stop), slice(before, min(stop + halo, n_frames))))
        first = stop
    return windows


def _add_up(cells_per_frame: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the number of cells before each frame, and that of all, shape (T + 1,)."""
    return np.concatenate([[0], np.cumsum(np.asarray(cells_per_frame, np.int64))])
