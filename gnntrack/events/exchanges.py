"""Two cells that shared one mask for some frames, and left it exchanged, or with one of them lost.

A shared mask has one past and one future, so that a solver links it to one cell before it and to one after it, which
may be two different cells. The other two cells are linked over a gap, or end and start. The sizes and places of all
four, and of the mask, show which cells are the same.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.events.history import Change, take_best
from gnntrack.events.merges import LASTING, LONGEST, MISSED, SURE, compare_pairs, find_near, measure_from_both
from gnntrack.scores.model import PRIOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.events.densities import EventModel
    from gnntrack.events.history import History, NearbySearch

__all__ = ["find_exchanged_cells"]

# This step makes 14 of 14 simulated movies with faults better, LNK by .008 in the mean. The influence of the limits is
# stated in `pieces`; with 2 or 6 for SURE, LNK differs by at most .0005 in the mean.
_LARGER = 0.2  # log ratio of sizes from which a mask may be shared: that of the mask and of one of its cells
_FITS = 0.6  # largest log ratio of the sizes of a shared mask and of its two cells together


class _SharedMasks(NamedTuple):
    """Masks that two cells may share, and the cells: two before (the first one is linked), two after (ditto)."""

    masks: list[int]  # from the last one to the first
    before: tuple[int, int]
    after: tuple[int, int]


def find_exchanged_cells(history: History, model: EventModel, *, longest_gap: int) -> dict[int, int]:
    """Find cells that shared a mask with another cell, and were linked to the wrong one after it, or to none.

    Parameters
    ----------
    history, model
        The solution, and its densities.
    longest_gap : int
        Largest number of frames from source to target of a link. Those of a shared mask do not count: there, the cell
        is seen.

    Returns
    -------
    dict
        New past of cells. That of one cell after the shared masks is the last of them; that of the other one is a cell
        before the first.
    """
    exchanges = []
    for shared in _list_shared(history, missed=min(MISSED, longest_gap - 1)):
        log_odds, order = _compare(history, model, shared)
        if log_odds > SURE:
            cells = frozenset((*shared.masks, *shared.before, *shared.after))
            exchanges.append(Change(log_odds, _list_changes(shared, order), cells))
    return {row: past for row, past in take_best(exchanges).items() if history.past[row] != past}


def _list_shared(history: History, *, missed: int) -> Iterator[_SharedMasks]:
    """Yield the masks that may be shared by two cells."""
    over_gap = (history.past >= 0) & (history.frame - history.frame[history.past] > 1)
    only_child = history.only_child
    bridged = (only_child >= 0) & over_gap[only_child]
    before, after = history.make_search(history.ends | bridged), history.make_search(history.starts | over_gap)
    shrinks = (only_child >= 0) & ~over_gap[only_child]
    shrinks[shrinks] = (history.log_size[shrinks] - history.log_size[only_child[shrinks]]) > _LARGER
    for last in np.flatnonzero(shrinks).tolist():
        one = int(only_child[last])
        for other in find_near(history, after, last, range(1, missed + 2)):
            sizes = np.logaddexp(history.measure_after(one), history.measure_after(other))
            if other != one and history.past[other] != last and abs(history.log_size[last] - sizes) < _FITS:
                yield from _list_past(history, before, (one, other), last, missed=missed)


def _list_past(
    history: History, search: NearbySearch, after: tuple[int, int], last: int, *, missed: int
) -> Iterator[_SharedMasks]:
    """Yield the masks that end with the last one, and the cells before them, that may be shared by the cells after."""
    masks = history.walk_back(last, LONGEST)
    linked = int(history.past[after[1]])
    for length, first in enumerate(masks, start=1):
        near = find_near(history, search, first, range(-1, -missed - 2, -1))
        free = [row for row in near if history.n_children[row] == 0 or row == linked]
        for pair in _pair_with_own(history, first, free):
            if linked in (-1, pair[1]):
                yield _SharedMasks(masks[:length], pair, after)


def _pair_with_own(history: History, mask: int, free: list[int]) -> list[tuple[int, int]]:
    """Return pairs of cells before a mask that it may be shared by: its past and a free cell, or two free cells."""
    own = int(history.past[mask])
    if own < 0:
        return [pair for pair in permutations(free, 2) if history.n_children[pair[0]] == 0]
    larger = history.log_size[mask] - history.measure_before(own) > _LARGER
    return [(own, row) for row in free if row != own] if larger else []


def _compare(history: History, model: EventModel, shared: _SharedMasks) -> tuple[float, tuple[int, int]]:
    """Return the log odds that two cells share masks, and the cells after them in the order of those before."""
    (own, other), (one, two) = shared.before, shared.after
    last, first = shared.masks[0], shared.masks[-1]
    sizes = [history.measure_before(row) for row in shared.before]
    size = float(np.median(history.log_size[shared.masks]))
    missed = _count_missed(history, shared)
    log_odds = np.log(PRIOR.artefact_rate) + (len(shared.masks) - 1) * np.log(LASTING)
    log_odds += missed * np.log(PRIOR.miss_rate)
    log_odds += model.compare_sizes(size - float(np.logaddexp(sizes[0], sizes[1])))
    log_odds += model.compare_places(measure_from_both(history, shared.before, sizes, first))
    fit, order = compare_pairs(history, model, shared.before, shared.after)
    log_odds += fit
    if history.past[first] >= 0:
        log_odds -= model.explain_link(own, first, size - sizes[0])
    else:
        log_odds -= model.explain_start(first) + model.explain_end(own)
    log_odds -= model.explain_link(last, one, history.measure_after(one) - size)
    if history.past[two] >= 0:
        log_odds -= model.explain_link(other, two, history.measure_after(two) - sizes[1])
    else:
        log_odds -= model.explain_start(two) + model.explain_end(other)
    return float(log_odds), order


def _count_missed(history: History, shared: _SharedMasks) -> int:
    """Return in how many frames next to the shared masks one of the cells has no mask."""
    first, last = (int(history.frame[shared.masks[end]]) for end in (-1, 0))
    before = sum(first - 1 - int(history.frame[row]) for row in shared.before)
    return before + sum(int(history.frame[row]) - last - 1 for row in shared.after)


def _list_changes(shared: _SharedMasks, order: tuple[int, int]) -> dict[int, int]:
    """Return the past of the cells in and after shared masks; `order` are those after, in the order of those before."""
    last, first = shared.masks[0], shared.masks[-1]
    return {first: shared.before[0], order[0]: last, order[1]: shared.before[1]}
