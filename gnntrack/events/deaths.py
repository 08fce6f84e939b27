"""Nuclei that fall to pieces, and masks that fall into pieces for some frames: neither is a division.

The pieces of a dead nucleus vanish within a few frames, or are far smaller than daughters. The pieces of an
over-segmented mask are one mask again after a few frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.scores.densities import log_normal, place_apart, place_pieces
from gnntrack.scores.model import PRIOR

if TYPE_CHECKING:
    from gnntrack.events.densities import EventModel
    from gnntrack.events.history import History, NearbySearch

__all__ = ["find_deaths", "find_rejoined_pieces"]

_LONGEST = 3  # frames in which the pieces of a dead nucleus are seen, unless they are debris
_STAYS = 0.3  # fraction of the pieces that are seen longer
_APART = (0.0, 0.5)  # distance between two pieces in radii: mean and std of its logarithm; their middle is in the cell
_TOGETHER = (-0.8, 0.9)  # log ratio of the size of both and of the cell before
_DEBRIS = 0.25  # a piece of at most this fraction of a cell's size may stay
_IN_PIECES = 0.1  # fraction of the deaths in which a nucleus falls to pieces
_AGAIN = 3  # frames in which a cell that was lost would be seen again
_NEAR = 2.0  # radii within which it would be seen again
_SAME = 0.6  # a piece of at least this fraction of a cell's size may be the cell
_LONGEST_SPLIT = 5  # frames in which an over-segmented mask is in pieces
_LAST = 0.5  # fraction of over-segmented masks that are still in pieces in the next frame


def find_deaths(history: History, model: EventModel) -> dict[int, int]:
    """Find divisions that are deaths: the daughters and their descendants vanish within a few frames, or are debris.

    Parameters
    ----------
    history, model
        The solution, and its densities.

    Returns
    -------
    dict
        New past of the pieces: -1, except of the nearest one that is nearly as large as the cell.
    """
    changes: dict[int, int] = {}
    search = history.make_search(history.starts)
    for parent in np.flatnonzero(history.n_children >= 2).tolist():
        pieces = history.list_children(parent)
        if not all(_vanishes(history, row, _LONGEST) or _is_debris(history, parent, row) for row in pieces):
            continue
        if not any(_is_seen_again(history, search, row) for row in pieces) and _is_death(history, model, parent):
            changes |= dict.fromkeys(pieces, -1)
            large = [row for row in pieces if history.log_size[row] - history.log_size[parent] > np.log(_SAME)]
            if large:
                del changes[min(large, key=lambda row: history.measure_distance(parent, row))]
    return changes


def _vanishes(history: History, row: int, longest: int) -> bool:
    """Return whether a cell and its descendants vanish within some frames, before the movie ends."""
    last = int(history.last_frame[row])
    return last < min(int(history.frame[row]) + longest, history.n_frames - 1)


def _is_debris(history: History, parent: int, row: int) -> bool:
    """Return whether a cell without descendants is far too small for a daughter."""
    small = history.measure_after(row) - history.measure_before(parent) < np.log(_DEBRIS)
    return bool(small and history.n_children[history.walk_on(row, history.n_frames)[-1]] == 0)


def _is_seen_again(history: History, search: NearbySearch, row: int) -> bool:
    """Return whether a track ends only because its cell is lost: one of its size appears near its end soon after."""
    end = history.walk_on(row, _LONGEST)[-1]
    frame = int(history.frame[end])
    for later in range(frame + 1, min(frame + _AGAIN, history.n_frames - 1) + 1):
        for other in search.find(history.predict(end, later), later, _NEAR * history.radius[end]):
            if abs(history.log_size[other] - history.log_size[end]) < -np.log(_SAME):
                return True
    return False


def _is_death(history: History, model: EventModel, parent: int) -> bool:
    """Return whether a death explains vanishing pieces better than a division does."""
    pieces = history.list_children(parent)
    a, b = sorted(pieces, key=lambda row: -float(history.log_size[row]))[:2]
    division = model.explain_division(parent, (a, b))
    vanishing = [row for row in (a, b) if _vanishes(history, row, history.n_frames)]
    stay = sum(not _vanishes(history, row, _LONGEST) for row in (a, b))
    division += sum(model.explain_end(row, int(history.last_frame[row] - history.frame[row]) + 1) for row in vanishing)
    shrunk = history.measure_before(parent) - float(history.log_size[parent])
    radius = history.radius[parent] * np.exp(shrunk / model.ndim)
    apart = max(float(np.linalg.norm(history.position[a] - history.position[b]) / radius), 1e-3)
    death = model.explain_end(parent) + np.log(_IN_PIECES) + stay * np.log(_STAYS)
    death += float(place_apart(apart, *_APART, model.ndim)) - np.log(np.pi if model.ndim == 2 else 4 / 3 * np.pi)
    together = np.logaddexp(history.log_size[a], history.log_size[b]) - history.measure_before(parent)
    death += log_normal(together, *_TOGETHER)
    death += log_normal(history.log_size[a] - history.log_size[b], 0, 0.7) + np.log(2)
    return bool(death > division)


def find_rejoined_pieces(history: History, model: EventModel) -> dict[int, int]:
    """Find divisions that are over-segmented masks: one piece ends when the other grows to the size of the cell.

    Returns
    -------
    dict
        New past of the pieces: -1, except of the larger one, which is the cell until the mask is whole again.
    """
    changes: dict[int, int] = {}
    for parent in np.flatnonzero(history.n_children == 2).tolist():
        for piece, kept in (children := history.list_children(parent)), children[::-1]:
            track = history.walk_on(piece, _LONGEST_SPLIT + 1)
            if len(track) > _LONGEST_SPLIT or history.n_children[track[-1]]:
                continue
            rest = history.walk_on(kept, len(track) + 1)
            if len(rest) == len(track) + 1 and _is_rejoined(history, model, parent, track, rest):
                changes |= _choose_piece(history, track, rest)
                break
    return changes


def _choose_piece(history: History, piece: list[int], rest: list[int]) -> dict[int, int]:
    """Return the new past of the smaller piece, and of the whole cell after it if the larger piece was not linked."""
    sizes = [float(np.median(history.log_size[rows])) for rows in (piece, rest[:-1])]
    return {piece[0]: -1} if sizes[0] <= sizes[1] else {rest[0]: -1, rest[-1]: piece[-1]}


def _is_rejoined(history: History, model: EventModel, parent: int, piece: list[int], rest: list[int]) -> bool:
    """Return whether a piece (its cells) and the rest of a cell are one mask again, in the last cell of the rest."""
    whole = rest[-1]
    if history.frame[whole] != history.frame[piece[-1]] + 1:
        return False
    sizes = [float(np.median(history.log_size[rows])) for rows in (piece, rest[:-1])]
    size, before = history.measure_after(whole), history.measure_before(parent)
    split = np.log(PRIOR.artefact_rate) + (len(piece) - 1) * np.log(_LAST)
    split += model.compare_sizes(size - before) + model.compare_sizes(float(np.logaddexp(sizes[0], sizes[1])) - before)
    split += model.compare_places(history.measure_distance(parent, whole), len(rest))
    weight = np.exp(np.array(sizes) - np.logaddexp(sizes[0], sizes[1]))
    pair = piece[0], rest[0]
    centre = sum(w * history.position[row] for w, row in zip(weight, pair, strict=True))
    expected = history.predict(parent, int(history.frame[rest[0]]))
    split += model.compare_places(float(np.linalg.norm(centre - expected) / history.radius[parent]))
    apart = np.linalg.norm(history.position[pair[0]] - history.position[pair[1]]) / history.radius[parent]
    split += float(place_pieces(np.maximum(apart, 1e-3), model.ndim))
    division = model.explain_division(parent, pair) + model.explain_end(piece[-1])
    division += model.compare_sizes(size - sizes[1])
    division += model.compare_places(history.measure_distance(rest[-2], whole))
    return bool(split > division)
