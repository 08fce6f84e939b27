"""Families, divisions and gaps of a lineage.

A *family* is a track with all its descendants; its *root* is the one track of it without a parent. A *division* is a
track with two or more daughters. A *gap* is a link inside a track that skips frames. Each of the three is defined
here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.components import label_components
from gnntrack.types import Tracks

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, IntArray, Lineage

__all__ = [
    "count_divisions",
    "count_generations",
    "find_divisions",
    "find_gaps",
    "find_missing_frames",
    "find_neighbours",
    "find_roots",
    "measure_families",
    "select_families",
]


def find_roots(tracks: Tracks) -> IntArray:
    """Return the root of each track's family.

    Parameters
    ----------
    tracks : Tracks
        The table of K tracks.

    Returns
    -------
    (K,) int64
        Track id of the first ancestor; a track without a parent is its own root.

    Examples
    --------
    >>> from gnntrack.types import Tracks
    >>> find_roots(Tracks([2, 5, 7, 9], [0, 4, 4, 8], [3, 7, 9, 9], [0, 2, 2, 5])).tolist()
    [2, 2, 2, 2]
    """
    child = np.flatnonzero(tracks.parent)
    family, _ = label_components(len(tracks), np.searchsorted(tracks.id, tracks.parent[child]), child)
    first = np.flatnonzero(tracks.parent == 0)
    root = np.zeros(len(first), np.int64)  # a tree has one node without a parent, so there are as many families
    root[family[first]] = tracks.id[first]
    return root[family]


def count_generations(tracks: Tracks) -> IntArray:
    """Return the number of divisions between each track and its root.

    A track that is the only child of its parent continues it, so that no division is counted there.

    Returns
    -------
    (K,) int64
        0 for a root.

    Examples
    --------
    Track 1 divides into 2 and 3; 4 continues 3.

    >>> from gnntrack.types import Tracks
    >>> count_generations(Tracks([1, 2, 3, 4], [0, 2, 2, 7], [1, 9, 5, 9], [0, 1, 1, 3])).tolist()
    [0, 1, 1, 1]
    """
    ancestor = np.arange(len(tracks))
    child = np.flatnonzero(tracks.parent)
    ancestor[child] = np.searchsorted(tracks.id, tracks.parent[child])
    divides = np.bincount(ancestor[child], minlength=len(tracks)) > 1
    count = np.zeros(len(tracks), np.int64)
    count[child] = divides[ancestor[child]]
    while not np.array_equal(ancestor, ancestor[ancestor]):  # each round doubles the generations that are spanned
        count += count[ancestor]
        ancestor = ancestor[ancestor]
    return count


def count_divisions(tracks: Tracks) -> int:
    """Return the number of tracks with two or more daughters."""
    return int((_count_daughters(tracks)[1] > 1).sum())


def find_divisions(lineage: Lineage) -> IntArray:
    """Return the divisions into two daughters.

    Returns
    -------
    (K, 3) int64
        Track ids of the parent and of its daughters, ascending; a row per division, ascending by parent.
    """
    tracks = lineage.tracks
    parent, count = _count_daughters(tracks)
    dividing = parent[count == 2]
    if not len(dividing):
        return np.zeros((0, 3), np.int64)
    child = np.flatnonzero(np.isin(tracks.parent, dividing))
    child = child[np.argsort(tracks.parent[child], kind="stable")]
    return np.column_stack([dividing, tracks.id[child].reshape(-1, 2)])


def find_gaps(lineage: Lineage) -> tuple[IntArray, IntArray]:
    """Return the cells before and after each gap.

    A daughter that appears some frames after her parent's last one makes no gap: her track starts with her.

    Returns
    -------
    before, after : (G,) int64
        Rows of ``lineage.cells``, in the order of the links.
    """
    frame = lineage.cells.frame
    gap = _is_within_track(lineage) & (frame[lineage.target] - frame[lineage.source] > 1)
    return lineage.source[gap], lineage.target[gap]


def find_missing_frames(lineage: Lineage) -> tuple[IntArray, IntArray, IntArray]:
    """Return each frame of each gap: the places where a track has no cell.

    Returns
    -------
    frame : (M,) int64
        The frame; ascending within a gap.
    before, after : (M,) int64
        Rows of ``lineage.cells``: the cells before and after the gap, in the order of `find_gaps`.
    """
    before, after = find_gaps(lineage)
    first = lineage.cells.frame[before] + 1
    length = lineage.cells.frame[after] - first
    gap = np.repeat(np.arange(len(before)), length)
    step = np.arange(len(gap)) - np.repeat(np.cumsum(length) - length, length)
    return first[gap] + step, before[gap], after[gap]


def find_neighbours(lineage: Lineage) -> tuple[IntArray, IntArray]:
    """Return the cells before and after each cell in its own track.

    Returns
    -------
    previous, following : (N,) int64
        Rows of ``lineage.cells``; -1 at the beginning and at the end of a track.
    """
    previous, following = np.full((2, len(lineage.cells)), -1)
    within = _is_within_track(lineage)
    previous[lineage.target[within]] = lineage.source[within]
    following[lineage.source[within]] = lineage.target[within]
    return previous, following


def measure_families(lineage: Lineage) -> tuple[IntArray, IntArray, IntArray]:
    """Return the family of each cell, shape (N,), and the first and the last frame of each family, shapes (F,)."""
    cells = lineage.cells
    family, count = label_components(len(cells), lineage.source, lineage.target)
    first, last = np.full(count, cells.n_frames), np.full(count, -1)
    np.minimum.at(first, family, cells.frame)
    np.maximum.at(last, family, cells.frame)
    return family, first, last


def select_families(lineage: Lineage, keep: BoolArray) -> Lineage:
    """Return a lineage with some families only; tracks keep their numbers.

    Parameters
    ----------
    lineage : Lineage
        The lineage.
    keep : (N,) bool
        Its cells that are kept: all cells of a family, or none.
    """
    tracks = lineage.tracks
    row, links = np.cumsum(keep) - 1, keep[lineage.source]
    known = np.isin(tracks.id, lineage.track[keep])
    return lineage.change_cells(
        np.where(keep, row, -1),
        cells=lineage.cells.select(keep),
        track=lineage.track[keep],
        tracks=Tracks(tracks.id[known], tracks.start[known], tracks.end[known], tracks.parent[known]),
        source=row[lineage.source[links]],
        target=row[lineage.target[links]],
        confidence=lineage.confidence[links],
    )


def _count_daughters(tracks: Tracks) -> tuple[IntArray, IntArray]:
    """Return the tracks that are a parent, ascending, and the number of their daughters."""
    return np.unique(tracks.parent[tracks.parent > 0], return_counts=True)


def _is_within_track(lineage: Lineage) -> BoolArray:
    """Return, for each link, whether it stays in one track, shape (L,)."""
    return np.asarray(lineage.track[lineage.source] == lineage.track[lineage.target])
