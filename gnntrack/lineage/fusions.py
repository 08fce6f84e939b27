"""Fusions in a solved movie: two cells whose masks become one for good, as myoblasts and macrophages do.

The solver gives the common mask one parent, and the track of the other cell ends. `find_fusions` finds the cells that
such a track has gone into. A false fusion is worse than one that is missed, so a track counts only if

- it lasted for some frames, and its cell and the other one were both covered by the same mask of the next frame, away
  from the border,
- the size of this mask fits the sum of both cells, whose sizes were steady before,
- the mask stays as large to the end of the movie, or for longer than masks are merged by mistake, and
- no cell comes out of it again, and its track does not divide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.lineage.families import find_neighbours
from gnntrack.masks.overlaps import count_shared_pixels
from gnntrack.types import Fusions

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray, Lineage, Runs

__all__ = ["find_fusions"]

_BEFORE = 4  # frames that both cells were seen for before they fuse
_AFTER = 7  # frames that the common mask is seen for, one more than masks are cut for
_AT_END = 3  # frames that it is seen for if it lasts to the end of the movie
_COVERED = 0.5  # least fraction of each cell's pixels in the common mask
_SMALLEST = 0.3  # least size of the cell that ends, in that of the other one
_FIT = (0.75, 1.4)  # size of the common mask, in the sum of the sizes before
_GROWN = 0.5  # least growth, in the size of the cell that ends, in each of these frames
_LARGE = 0.9  # least fraction of all later frames of the track in which it has grown so much
_STEADY = 0.25  # largest change of a size before, as a fraction of it


def find_fusions(lineage: Lineage, runs: Runs) -> Fusions:
    """Return the tracks that end because their cell fuses with another one.

    Parameters
    ----------
    lineage : Lineage
        A solved movie with masks; none of its links or tracks changes.
    runs : Runs
        The pixels of its cells.

    Examples
    --------
    Two cells that touch from frame 4 on are one cell from frame 6 on:

    >>> import gnntrack
    >>> masks = np.zeros((12, 40, 60), np.uint8)
    >>> for frame in range(12):
    ...     left = 10 + min(2 * frame, 8)
    ...     masks[frame, 15:25, left : left + 12], masks[frame, 15:25, 30:40] = 1, 1 if frame > 5 else 2
    >>> lineage = gnntrack.track(masks=masks)
    >>> list(lineage.fusions), lineage.tracks.end.tolist()
    ([(11, 12)], [11, 5])
    """
    if lineage.cells.points or not lineage.cells.has("size"):
        return Fusions()
    courses = _Courses.collect(lineage)
    groups = _group_ends(courses, runs)
    found = [
        (row, into)
        for into, rows in groups.items()
        if _are_seen(courses, rows, into) and _fits(courses, rows, into) and not _comes_apart(courses, runs, into)
        for row in rows
    ]
    rows, into = np.array(found, np.int64).reshape(-1, 2).T
    return Fusions(rows, into)


class _Courses(NamedTuple):
    """The cells of each track in the order of time."""

    lineage: Lineage
    size: FloatArray
    """(N,) of each cell."""
    inside: BoolArray
    """(N,) whether its mask is away from the border."""
    previous: IntArray
    """(N,) row of the cell before in the track, -1 at its beginning."""
    order: IntArray
    """(N,) rows of cells, by track and frame."""
    place: IntArray
    """(N,) of each cell in `order`."""
    stop: IntArray
    """(N,) place after the last cell of its track."""

    @classmethod
    def collect(cls, lineage: Lineage) -> _Courses:
        cells, track = lineage.cells, lineage.track
        order = np.lexsort((cells.frame, track))
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        inside = cells.feature("border_distance") > 0 if cells.has("border_distance") else np.ones(len(cells), bool)
        stop = np.searchsorted(track[order], track, side="right")
        return cls(
            lineage, cells.feature("size").astype(float), inside, find_neighbours(lineage)[0], order, place, stop
        )

    def before(self, row: int) -> IntArray:
        """Return the rows of a cell and of those before it in its track, at most `_BEFORE`."""
        here = self.place[row] + 1
        rows = self.order[max(here - _BEFORE, 0) : here]
        own: IntArray = rows[self.lineage.track[rows] == self.lineage.track[row]]
        return own

    def after(self, row: int, frames: int | None = None) -> IntArray:
        """Return the rows of a cell and of those after it in its track."""
        here, stop = self.place[row], self.stop[row]
        return self.order[here : stop if frames is None else min(stop, here + frames)]


def _group_ends(courses: _Courses, runs: Runs) -> dict[int, list[int]]:
    """Return the last cells of tracks that are covered by the mask of another track, by the row of this mask.

    The mask is larger than that before it in its track, which it covers too, and covers no cell whose track goes on.
    """
    lineage, previous = courses.lineage, courses.previous
    last = np.ones(len(lineage.cells), bool)
    last[lineage.source] = False
    ends = np.flatnonzero(last & (lineage.cells.frame < lineage.cells.n_frames - 1))
    least = 1 + _GROWN * _SMALLEST
    grown = np.flatnonzero((previous >= 0) & (courses.size >= least * courses.size[previous]))
    grown = grown[np.isin(lineage.cells.frame[grown] - 1, lineage.cells.frame[ends])]
    groups: dict[int, list[int]] = {}
    if not len(ends) or not len(grown):
        return groups
    for row, into in _find_covered(runs, grown, lineage.cells.frame):
        groups.setdefault(into, []).append(row)
    others = {into: [row for row in rows if row != previous[into]] for into, rows in groups.items()}
    return {
        into: rows
        for into, rows in others.items()
        if rows and len(rows) < len(groups[into]) and last[rows].all()  # the cell before is covered too
    }


def _find_covered(runs: Runs, grown: IntArray, frame: IntArray) -> list[tuple[int, int]]:
    """Return cells of which some masks of the next frame cover the most, with the rows of these, ascending."""
    chosen = np.isin(frame, frame[grown] - 1)
    chosen[grown] = True
    runs = runs.select(chosen[runs.cell], runs.cell)
    source, target, pixels = count_shared_pixels(runs, 1)
    area = np.bincount(runs.cell, weights=runs.length, minlength=len(frame))
    covered = (pixels >= _COVERED * area[source]) & np.isin(target, grown)
    return list(zip(source[covered].tolist(), target[covered].tolist(), strict=True))


def _are_seen(courses: _Courses, rows: list[int], into: int) -> bool:
    """Return whether cells and their common mask are seen for long enough, away from the border."""
    lineage, after = courses.lineage, courses.after(into, _AFTER)
    at_end = lineage.cells.frame[after[-1]] == lineage.cells.n_frames - 1
    cells = [courses.before(row) for row in (courses.previous[into], *rows)]
    long = all(len(each) == _BEFORE for each in cells) and len(after) >= (_AT_END if at_end else _AFTER)
    return long and bool(courses.inside[np.concatenate([*cells, after])].all())


def _fits(courses: _Courses, rows: list[int], into: int) -> bool:
    """Return whether the sizes of cells before, and of their common mask after, are those of a fusion."""
    size, after = courses.size, courses.size[courses.after(into)]
    before = [size[courses.before(row)] for row in (courses.previous[into], *rows)]
    own, *others = (float(np.median(each)) for each in before)
    steady = all(np.ptp(each) <= 2 * _STEADY * np.median(each) for each in before)
    fit = np.median(after[:_AFTER]) / (own + sum(others))
    large = after >= own + _GROWN * sum(others)
    return bool(
        steady
        and min(others) >= _SMALLEST * own
        and _FIT[0] <= fit <= _FIT[1]
        and large[:_AFTER].all()
        and large.mean() >= _LARGE
    )


def _comes_apart(courses: _Courses, runs: Runs, into: int) -> bool:
    """Return whether a track divides, or another one begins in its masks."""
    lineage = courses.lineage
    if lineage.track[into] in lineage.tracks.parent:
        return True
    begins = np.ones(len(lineage.cells), bool)
    begins[lineage.target] = False
    chosen = begins & (lineage.cells.frame > lineage.cells.frame[into])
    starts = np.flatnonzero(chosen)
    chosen[courses.after(into)] = True
    # the other way round: how much of a new cell lies in the mask before it
    runs = runs.select(chosen[runs.cell], runs.cell)
    source, target, pixels = count_shared_pixels(runs, 1)
    size = np.bincount(runs.cell, weights=runs.length, minlength=len(chosen))
    own = lineage.track[source] == lineage.track[into]
    return bool((own & np.isin(target, starts) & (pixels >= _COVERED * size[target])).any())
