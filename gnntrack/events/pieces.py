"""Masks that fell into two pieces for one frame, whose pieces were linked to other cells.

The pieces of a mask are smaller than a cell, so that links from one piece to the next cell, or over a gap to a piece of
another cell, may seem likely. The cell before or after shows that both pieces together are one cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.events.history import Change, take_best
from gnntrack.scores.densities import place_pieces
from gnntrack.scores.model import PRIOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.events.densities import EventModel
    from gnntrack.events.history import History, NearbySearch
    from gnntrack.types import FloatArray

__all__ = ["find_split_masks"]

# This step makes 13 of 14 simulated movies with 3 % dropped, 2 % merged and 2 % split cells better (LNK by .004 in the
# mean) and one worse by .0003. In 8 of them LNK differs by at most .0007 in the mean with 2 or 5 for _SURE, and with .4
# or .9 for _FITS, .1 or .35 for _SMALLER, here and in `exchanges`.
_SMALLER = 0.2  # log ratio of sizes from which a mask may be a piece of a cell
_FITS = 0.6  # largest log ratio of the sizes of both pieces and of the cell before or after
_NEAR = 2.0  # radii of the cell between the centres of two pieces
_SURE = 3.0  # log odds from which two masks are pieces


class _Split(NamedTuple):
    """A cell before, the two pieces, the cell after, and another cell that a piece is linked to (-1 = none).

    The size of the cell is that before the pieces, or that after them if the mask was not larger before.
    """

    before: int
    pieces: tuple[int, int]
    after: int
    rest: int
    size: float


def find_split_masks(history: History, model: EventModel) -> dict[int, int]:
    """Find masks that fell into two pieces for one frame, and cut the links of the pieces to other cells.

    Parameters
    ----------
    history, model
        The solution, and its densities.

    Returns
    -------
    dict
        New past of cells: the larger piece is the cell, the other one has no past and no future.
    """
    found = ((_compare(history, model, split), split) for split in _list_splits(history))
    changes = take_best(
        Change(log_odds, _list_changes(history, split), frozenset((*split.pieces, split.after)))
        for log_odds, split in found
        if log_odds > _SURE
    )
    return {row: past for row, past in changes.items() if history.past[row] != past}


def _list_splits(history: History) -> Iterator[_Split]:
    """Yield pairs of masks that may be the pieces of a cell."""
    search = history.make_search(np.ones(len(history.past), bool))
    linked = np.flatnonzero(history.past >= 0)
    smaller = history.log_size[history.past[linked]] - history.log_size[linked] > _SMALLER
    for piece in linked[smaller].tolist():
        before = int(history.past[piece])
        size = history.measure_before(before)
        for other in _list_partners(history, search, piece, size):
            if history.past[other] == before and other < piece:
                continue  # of two daughters, one is enough
            for own, rest in ((piece, other), (other, piece)):
                after = int(history.only_child[own])
                if after >= 0 and abs(history.log_size[after] - size) < _FITS:
                    yield from _make_split(history, before, (piece, other), (after, rest), size)
    grows = linked[~smaller & (history.only_child[linked] >= 0)]
    grows = grows[history.log_size[history.only_child[grows]] - history.log_size[grows] > _SMALLER]
    for piece in grows.tolist():
        after = int(history.only_child[piece])
        size = history.measure_after(after)
        for other in _list_partners(history, search, piece, size):
            for one, two in ((piece, other), (other, piece)):
                before = int(history.past[one])
                if before >= 0:
                    yield from _make_split(history, before, (one, two), (after, other), size)


def _make_split(
    history: History, before: int, pieces: tuple[int, int], later: tuple[int, int], size: float
) -> Iterator[_Split]:
    """Yield a split of two pieces, unless they are two cells; `later` is the cell after them and the other piece."""
    after, rest = later
    if history.n_children[rest] < 2 and not _are_two_cells(history, before, pieces[1], rest):
        yield _Split(before, pieces, after, int(history.only_child[rest]), size)


def _are_two_cells(history: History, before: int, other: int, rest: int) -> bool:
    """Return whether two masks have two cells before them and two after: then nothing is left over.

    If they were pieces, the cell that the other one is linked to would be missing in just this frame.
    """
    return history.past[other] not in (-1, before) and history.only_child[rest] >= 0


def _list_partners(history: History, search: NearbySearch, piece: int, size: float) -> Iterator[int]:
    """Yield the masks near a piece that together with it have a size."""
    radius = history.radius[history.past[piece]]
    for other in search.find(history.position[piece], int(history.frame[piece]), _NEAR * radius):
        if other != piece and abs(np.logaddexp(history.log_size[piece], history.log_size[other]) - size) < _FITS:
            yield other


def _compare(history: History, model: EventModel, split: _Split) -> float:
    """Return the log odds of two pieces of a cell against the links of the solution."""
    _, (piece, other), after, rest, _ = split
    log_odds = _explain_pieces(history, model, split)
    own = int(history.past[after])
    log_odds -= model.explain_link(own, after, history.measure_after(after) - float(history.log_size[own]))
    if rest >= 0:
        left = int(history.past[rest])
        log_odds += model.explain_start(rest)
        log_odds -= model.explain_link(left, rest, float(history.log_size[rest] - history.log_size[left]))
    else:
        log_odds -= model.explain_end(piece if own == other else other)
    return log_odds - _explain_past(history, model, split)


def _explain_pieces(history: History, model: EventModel, split: _Split) -> float:
    """Return the log density of two pieces of a cell given the cell before, and of the cell after them given both."""
    before, (piece, other), after, _, size = split
    radius = history.radius[before]
    a, b = float(history.log_size[piece]), float(history.log_size[other])
    together, frame, later = float(np.logaddexp(a, b)), int(history.frame[piece]), int(history.frame[after])

    def average(one: FloatArray, two: FloatArray) -> FloatArray:
        return np.asarray(np.exp(a - together) * one + np.exp(b - together) * two)

    centre = average(history.position[piece], history.position[other])
    error = float(np.linalg.norm(centre - history.predict(before, frame)) / radius)
    expected = average(history.predict(piece, later), history.predict(other, later))
    error_after = float(np.linalg.norm(history.position[after] - expected) / radius)
    apart = max(float(np.linalg.norm(history.position[piece] - history.position[other]) / radius), 1e-3)
    log_odds = np.log(PRIOR.artefact_rate) + place_pieces(np.array(apart), model.ndim)
    log_odds += model.compare_sizes(together - size)
    log_odds += model.compare_places(error, frame - int(history.frame[before]))
    log_odds += model.compare_sizes(history.measure_after(after) - history.measure_before(before))
    log_odds += model.compare_places(error_after, later - frame)
    return float(log_odds + (later - frame - 1) * np.log(PRIOR.miss_rate))


def _explain_past(history: History, model: EventModel, split: _Split) -> float:
    """Return the log density of the pieces by their links to the cells before, less the ends of cells that lose one."""
    before, (piece, other), *_ = split
    source = int(history.past[other])
    if source == before:
        return model.explain_division(before, (piece, other))
    log_odds = model.explain_link(before, piece, float(history.log_size[piece]) - history.measure_before(before))
    if source < 0:
        return log_odds + model.explain_start(other)
    log_odds += model.explain_link(source, other, float(history.log_size[other]) - history.measure_before(source))
    return log_odds - (model.explain_end(source) if history.n_children[source] == 1 else 0.0)


def _list_changes(history: History, split: _Split) -> dict[int, int]:
    """Return the new past of the pieces and of the cells after them."""
    kept, fragment = sorted(split.pieces, key=lambda row: -float(history.log_size[row]))
    changes = {kept: split.before, fragment: -1, split.after: kept}
    if split.rest >= 0:
        changes[split.rest] = -1
    return changes
