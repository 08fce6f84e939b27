"""The frames of a large movie: a sample, from which its scales are estimated, and the windows that it is tracked in.

Both follow from the numbers of cells per frame alone, so that a movie has the same ones on any machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["MOST_SAMPLED", "Window", "choose_sample", "find_inner_frames", "plan_windows"]

MOST_SAMPLED = 300_000
"""Cells from which the scales of a movie are estimated; a movie with no more of them is its own sample."""

_BLOCKS = 3  # of the sample: a movie changes
_FOLLOWED = 8  # frames for which tracks are followed before and after a cell
_FEWEST_FRAMES = 3 * _FOLLOWED  # of a block
_SEARCHES = 30  # bisections of the size of a window


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
        The whole movie if it is small enough. Otherwise up to three blocks of equal numbers of cells, around one sixth,
        one half and five sixths of the cells. There are fewer blocks if they would have less than 48 frames, and a
        block of 24 frames may have more than its share of the cells.

    Examples
    --------
    >>> choose_sample(100, [50] * 100)
    [slice(0, 100, None)]
    >>> choose_sample(900, [50] * 900, most_cells=9000)
    [slice(120, 180, None), slice(420, 480, None), slice(720, 780, None)]
    >>> choose_sample(900, [50] * 900, most_cells=1000)
    [slice(438, 462, None)]
    """
    total = _add_up(cells_per_frame)
    if total[-1] <= most_cells or n_frames <= _FEWEST_FRAMES:
        return [slice(0, n_frames)]
    for count in range(_BLOCKS, 0, -1):
        middles = total[-1] * (np.arange(count) * 2 + 1) / (2 * count)
        half = most_cells / (2 * count)
        first = np.searchsorted(total, middles - half, side="right") - 1
        stop = np.maximum(np.searchsorted(total, middles + half, side="left"), first + 1)
        if count == 1 or (stop - first).min() >= 2 * _FEWEST_FRAMES:
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
    fewest = len(_fill_windows(n_frames, total, halo, most_cells))
    low, high = 0, most_cells
    for _ in range(_SEARCHES):  # the smallest windows of this number
        middle = (low + high) // 2
        small = len(_fill_windows(n_frames, total, halo, middle)) <= fewest
        low, high = (low, middle) if small else (middle, high)
    return _fill_windows(n_frames, total, halo, high)


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
