"""Daughters that the solvers cannot give to their parent: those that appear some frames late, and third daughters.

The mask of a second daughter often appears a frame or two after that of the first, which until then seems to be the
parent with half of its size. The masks of both may also be missing at first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.events.history import Change, take_best
from gnntrack.scores.densities import log_t
from gnntrack.scores.model import PRIOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gnntrack.events.densities import EventModel
    from gnntrack.events.history import History, NearbySearch
    from gnntrack.types import BoolArray

__all__ = ["find_earlier_divisions", "find_late_daughters", "find_third_daughters"]

_LATEST = 3  # frames that a daughter appears later than in the next frame
_LATE = 0.1  # fraction of the daughters that appear late
_LATER = 0.5  # fraction of those that are still missing in the next frame
_FARTHEST = 4.0  # radii from a parent to its daughters
# The search for late daughters makes 3 of 14 simulated movies with faults better and one worse by .0006, LNK by .0005
# in the mean of all. No division moves to earlier frames in them.
_SURE = 3.0  # log odds from which a cell has another parent
_SURE_LATE = 5.0  # the same if a daughter appears late
_SURE_GAP = 8.0  # over a gap; in movies with faults, 3 of 42 such births are wrong, and 8 of 18 between 5 and 8
_SURE_DAUGHTER = 10.0  # the same if her sister may be the parent: up to 9.7 where she is, mostly above 10 where not
_SURE_EARLIER = 12.0  # the same if a division moves to earlier frames: dividing cells change their size before, too
_LASTING = 2  # frames that daughters are followed
_THREE = 0.02  # fraction of the divisions that have three daughters


class _Birth(NamedTuple):
    """Log odds of a division against none, less those from which it is sure, the parent and the daughters."""

    log_odds: float
    parent: int
    daughters: tuple[int, int]


def find_late_daughters(history: History, model: EventModel) -> dict[int, int]:
    """Find divisions of which at least one daughter appears some frames late.

    Parameters
    ----------
    history, model
        The solution, and its densities.

    Returns
    -------
    dict
        New past of the daughters: their parent.
    """
    return take_best(
        Change(
            birth.log_odds, dict.fromkeys(birth.daughters, birth.parent), frozenset((birth.parent, *birth.daughters))
        )
        for birth in _list_births(history, model)
    )


def _list_births(history: History, model: EventModel) -> Iterator[_Birth]:
    """Yield the births of each late daughter that explain it better than a start does; the best one of each.

    The first daughter may be late, too: then the last masks of the parent or the first ones of both are missing.
    """
    parents = history.make_search(history.n_children <= 1)
    starts = history.make_search(history.orphans)
    lasting = _find_lasting(history)
    for late in np.flatnonzero(history.orphans & lasting).tolist():
        frame = int(history.frame[late])
        reach = 1.3 * _FARTHEST * history.radius[late]
        yield from _choose_birth(
            _measure_birth(history, model, parent, (sister, late))
            for before in range(max(frame - 1 - _LATEST, 0), frame)
            for parent in parents.find(history.position[late], before, reach)
            for sister in history.list_children(parent) or _find_sisters(history, starts, parent, frame)
            if sister != late and history.frame[sister] <= frame and lasting[sister]
            if not _may_be_parent(history, model, parent, (sister, late))
        )
    yield from _list_births_over_gaps(history, model, starts)


def _list_births_over_gaps(history: History, model: EventModel, starts: NearbySearch) -> Iterator[_Birth]:
    """Yield the births of late daughters that are linked to their parent over a gap, in which their sister starts."""
    lasting = _find_lasting(history)
    past = np.maximum(history.past, 0)
    over_gap = (history.past >= 0) & (history.frame - history.frame[past] > 1) & (history.n_children[past] == 1)
    for late in np.flatnonzero(over_gap & lasting).tolist():
        parent = int(history.past[late])
        if history.frame[late] - history.frame[parent] <= _LATEST + 1:
            births = (
                _measure_birth(history, model, parent, (sister, late))
                for sister in _find_sisters(history, starts, parent, int(history.frame[late]) - 1)
                if lasting[sister]
            )
            yield from _choose_birth(births)


def _choose_birth(births: Iterable[_Birth]) -> Iterator[_Birth]:
    """Yield the best birth, if it is better than none."""
    best = max(births, default=None)
    if best is not None and best.log_odds > 0:
        yield best


def _find_sisters(history: History, starts: NearbySearch, parent: int, latest: int) -> list[int]:
    """Return new cells up to a frame near a cell without a future."""
    reach = _FARTHEST * history.radius[parent]
    return [
        row
        for frame in range(int(history.frame[parent]) + 1, latest + 1)
        for row in starts.find(history.predict(parent, frame), frame, reach)
    ]


def _find_lasting(history: History) -> BoolArray:
    """Return whether each cell is followed for some frames, or up to the last frame, shape (N,)."""
    last = history.last_frame
    return np.asarray((last >= history.frame + _LASTING) | ((last == history.n_frames - 1) & (history.frame > 0)))


def _may_be_parent(history: History, model: EventModel, parent: int, daughters: tuple[int, int]) -> bool:
    """Return whether the first daughter may be the parent up to the frame before the late one: then none is late.

    Cells shrink and round up before they divide, so that sizes must tell the two apart far better than chance. If
    the first solution has the division in the usual frame, `find_earlier_divisions` asks the same, and more.
    """
    sister, late = daughters
    steps = history.walk_on(sister, int(history.frame[late] - history.frame[sister]) + 1)
    between = [row for row in steps if history.frame[row] < history.frame[late]]
    own = steps[len(between) :]
    if history.past[sister] != parent or not between or not own or history.frame[own[0]] != history.frame[late]:
        return False
    return _compare_earlier(history, model, [*between[::-1], parent], own[0], late) <= _SURE_DAUGHTER


def _measure_birth(history: History, model: EventModel, parent: int, daughters: tuple[int, int]) -> _Birth:
    sister, late = daughters
    over_gap = history.frame[sister] > history.frame[parent] + 1 or history.past[late] == parent
    sure = _SURE_GAP if over_gap else _SURE_LATE if history.frame[late] > history.frame[sister] else _SURE
    return _Birth(_compare(history, model, parent, *daughters) - sure, parent, daughters)


def _compare(history: History, model: EventModel, parent: int, sister: int, late: int) -> float:
    """Return the log odds of a late birth against one of the daughters being the parent and the other one new."""
    frames = int(history.frame[late] - history.frame[sister])
    if not frames and history.last_frame[[sister, late]].min() < history.frame[late] + _LASTING:
        return -np.inf  # too short to overrule the solver
    log_odds = model.explain_division(parent, (sister, late)) + _explain_lateness(frames)
    log_odds += int(history.frame[sister] - history.frame[parent] - 1) * float(np.log(PRIOR.miss_rate))
    others = [row for row in (sister, late) if history.past[row] != parent]
    log_odds -= sum(model.explain_start(row) for row in others)
    if len(others) == 2:
        return log_odds - model.explain_end(parent)
    same = sister if history.past[sister] == parent else late
    gap = int(history.frame[same] - history.frame[parent])
    log_odds -= model.compare_sizes(history.measure_after(same) - history.measure_before(parent))
    log_odds -= model.compare_places(history.measure_distance(parent, same), gap)
    return float(log_odds - (gap - 1) * np.log(PRIOR.miss_rate))


def find_earlier_divisions(history: History, model: EventModel) -> dict[int, int]:
    """Find divisions that happened some frames earlier: the parent's last cells are the first of the daughters.

    Returns
    -------
    dict
        New past of the daughters; the parent's last cells are a part of one of them.
    """
    changes: dict[int, int] = {}
    for last in np.flatnonzero(history.n_children == 2).tolist():
        a, b = history.list_children(last)
        if not history.frame[a] == history.frame[b] == history.frame[last] + 1:
            continue
        rows = history.walk_back(last, _LATEST + 1)
        moved = [
            (_compare_earlier(history, model, rows[: n + 1], own, late), rows[n], rows[n - 1], own, late)
            for n in range(1, len(rows))
            for own, late in ((a, b), (b, a))
        ]
        log_odds, parent, sister, own, late = max(moved, default=(-np.inf, 0, 0, 0, 0))
        if log_odds > _SURE_EARLIER:
            changes |= {sister: parent, late: parent, own: last}
    return changes


def _compare_earlier(history: History, model: EventModel, rows: list[int], own: int, late: int) -> float:
    """Return the log odds of the last of `rows` (backwards) being the parent, and the others the cell `own`."""
    parent, between = rows[-1], rows[:-1]
    before, after = history.measure_before(parent), history.measure_after(own)
    log_odds = _explain_lateness(len(between))
    for row in between:
        size = float(history.log_size[row])
        log_odds += model.compare_sizes(size - after) - model.compare_sizes(size - before)
    log_odds += model.explain_division(parent, (between[-1], late)) - model.explain_division(between[0], (own, late))
    log_odds += model.compare_places(history.measure_distance(between[0], own))
    return log_odds - model.compare_places(history.measure_distance(parent, between[-1]))


def find_third_daughters(history: History, model: EventModel) -> dict[int, int]:
    """Find a third daughter of divisions: a new cell of the size of the other two, which together lack its size.

    Returns
    -------
    dict
        New past of the daughters: their parent.
    """
    changes: dict[int, int] = {}
    search = history.make_search(history.orphans & _find_lasting(history))
    for parent in np.flatnonzero(history.n_children == 2).tolist():
        found = []
        for frame in range(
            int(history.frame[parent]) + 1, min(int(history.frame[parent]) + 2 + _LATEST, history.n_frames)
        ):
            reach = _FARTHEST * history.radius[parent]
            for third in search.find(history.predict(parent, frame), frame, reach):
                log_odds = _compare_third(history, model, parent, third)
                if log_odds > _SURE and third not in changes:
                    found.append((log_odds, third))
        if len(found) == 1:  # more are the pieces of a dead nucleus
            changes[found[0][1]] = parent
    return changes


def _compare_third(history: History, model: EventModel, parent: int, third: int) -> float:
    """Return the log odds of three daughters against two and a start."""
    a, b = history.list_children(parent)
    sizes = np.array([history.measure_after(row) for row in (a, b, third)])
    before, movie = history.measure_before(parent), model.movie
    missing = int(history.frame[third] - history.frame[parent]) - 1
    log_odds = np.log(_THREE) + _explain_lateness(missing)
    together = np.logaddexp.reduce(sizes), np.logaddexp(sizes[0], sizes[1])
    for value, sign in zip(together, (1, -1), strict=True):
        log_odds += sign * log_t(value - before - movie.together[0], movie.together[1], 4)
    log_odds += log_t(sizes[2] - sizes[:2].mean(), movie.unequal, 4)
    radius = history.radius[parent]
    offset = np.array(
        [(history.position[row] - history.predict(parent, int(history.frame[row]))) / radius for row in (a, b, third)]
    )
    for rows, sign in ((3, 1), (2, -1)):
        middle = float(np.linalg.norm(offset[:rows].mean(axis=0)))
        log_odds += sign * log_t(np.float64(middle), movie.middle, 4, model.ndim)
    log_odds += log_t(float(np.linalg.norm(offset[2])), 1.0, 4, model.ndim)
    return float(log_odds - model.explain_start(third))


def _explain_lateness(frames: int) -> float:
    """Return the log probability that a daughter is seen so many frames late."""
    return float(np.log(_LATE) + (frames - 1) * np.log(_LATER)) if frames else 0.0
