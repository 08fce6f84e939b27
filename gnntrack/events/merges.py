"""Two cells that shared one mask for some frames: their separation is not a division.

A cell ends next to another one whose mask grows by its size at once, and later this mask falls into two cells of the
sizes and at the places of the two. In the first frames of a movie, the cells before are not seen; there the sizes of
all cells of the movie show that the mask is as large as two of them.
"""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.movie_scales import estimate_of_movie
from gnntrack.scores.densities import log_normal, place_apart
from gnntrack.scores.model import PRIOR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.events.densities import EventModel
    from gnntrack.events.history import History, NearbySearch

__all__ = [
    "LASTING",
    "LONGEST",
    "MISSED",
    "SURE",
    "compare_pairs",
    "find_merged_masks",
    "find_near",
    "measure_from_both",
]

LONGEST = 10  # frames that a mask is shared at most
LASTING = 0.7  # fraction of shared masks that are still shared in the next frame
_NEAR = 4.0  # radii of the shared mask from its centre to those of its cells
MISSED = 1  # frames next to those of a shared mask in which one of its cells may be missing, if gaps are bridged
SURE = 4.0  # log odds from which a mask is shared
_FROM_FIRST = 4.0  # the same without a past


class _Merge(NamedTuple):
    """A shared mask: log odds, its first cell, the cells before (-1 = unknown) and after it, number of frames."""

    log_odds: float
    first: int
    before: tuple[int, int]
    after: tuple[int, int]
    frames: int


def find_merged_masks(history: History, model: EventModel, *, longest_gap: int) -> dict[int, int]:
    """Find divisions that are the separation of a shared mask.

    Parameters
    ----------
    history, model
        The solution, and its densities.
    longest_gap : int
        Largest number of frames from source to target of a link; those of the shared mask do not count, since the cell
        is seen there.

    Returns
    -------
    dict
        New past of cells after the separation: that of one is the shared mask, that of the other the cell that ended
        before it, or -1 if it is not seen.
    """
    changes: dict[int, int] = {}
    search = history.make_search(history.ends)
    missed = min(MISSED, longest_gap - 1)
    for parent in np.flatnonzero(history.n_children == 2).tolist():
        merge = max(_list_explanations(history, model, search, parent, missed=missed), default=None)
        if merge is None or any(row in changes.values() for row in merge.before if row >= 0 and history.ends[row]):
            continue
        own, ended = merge.before
        bridged = ended >= 0 and history.frame[merge.after[1]] - history.frame[ended] - merge.frames < longest_gap
        changes |= {merge.after[0]: parent, merge.after[1]: ended if bridged else -1}
        if own != history.past[merge.first]:
            changes[merge.first] = own
    return changes


def _list_explanations(
    history: History, model: EventModel, search: NearbySearch, parent: int, *, missed: int
) -> Iterator[_Merge]:
    """Yield the shared masks that explain a division better than a division does."""
    shared = history.walk_back(parent, LONGEST)
    for length, first in enumerate(shared, start=1):
        own = int(history.past[first])
        if history.frame[first] == 0:
            merge = _explain_from_first(history, model, parent, shared[:length])
            if merge.log_odds > _FROM_FIRST:
                yield merge
        near = list(find_near(history, search, first, range(-1, -missed - 2, -1)))
        pairs = [(own, end) for end in near] if own >= 0 else list(permutations(near, 2))
        for before in pairs:
            merge = _explain(history, model, parent, shared[:length], before)
            if merge.log_odds > SURE:
                yield merge


def find_near(history: History, search: NearbySearch, mask: int, frames: range) -> Iterator[int]:
    """Yield the cells near a shared mask, some frames later or earlier."""
    for frames_later in frames:
        frame = int(history.frame[mask]) + frames_later
        if 0 <= frame < history.n_frames:
            yield from search.find(history.position[mask], frame, _NEAR * history.radius[mask])


def _explain(history: History, model: EventModel, parent: int, shared: list[int], before: tuple[int, int]) -> _Merge:
    """Return the log odds that the cells `before` share the masks `shared`, from the last to the first of them."""
    first, (a, b) = shared[-1], history.list_children(parent)
    sizes = [history.measure_before(row) for row in before]
    size = float(np.median(history.log_size[shared]))
    missed = sum(int(history.frame[first] - history.frame[row]) - 1 for row in before)
    log_odds = np.log(PRIOR.artefact_rate) + (len(shared) - 1) * np.log(LASTING) + missed * np.log(PRIOR.miss_rate)
    log_odds += model.compare_sizes(size - float(np.logaddexp(sizes[0], sizes[1])))
    log_odds += model.compare_places(measure_from_both(history, before, sizes, first))
    fit, after = compare_pairs(history, model, before, (a, b))
    log_odds += fit
    if history.past[first] >= 0:
        log_odds -= model.explain_link(before[0], first, size - sizes[0])
    else:
        log_odds -= model.explain_start(first) + model.explain_end(before[0])
    log_odds -= model.explain_end(before[1]) + model.explain_division(parent, (a, b))
    return _Merge(float(log_odds), first, before, after, len(shared))


def compare_pairs(
    history: History, model: EventModel, before: tuple[int, int], after: tuple[int, int]
) -> tuple[float, tuple[int, int]]:
    """Compare two cells with two later ones.

    Returns
    -------
    log_odds : float
        Log density of the sizes and places of the later cells, if they are the earlier ones.
    order : (int, int)
        The later cells, in the order of the earlier cells that they fit best.
    """
    sizes, new = [history.measure_before(row) for row in before], [history.measure_after(row) for row in after]
    fits = []
    for order in ((0, 1), (1, 0)):
        log_odds = 0.0
        for i, j in enumerate(order):
            frames = int(history.frame[after[j]] - history.frame[before[i]])
            log_odds += model.compare_sizes(new[j] - sizes[i])
            log_odds += model.compare_places(history.measure_distance(before[i], after[j]), frames)
        fits.append((log_odds, (after[order[0]], after[order[1]])))
    return max(fits)


def measure_from_both(history: History, before: tuple[int, int], sizes: list[float], shared: int) -> float:
    """Return the distance from the expected centre of two cells together to a shared mask, in its radii."""
    weight = np.exp(np.array(sizes) - np.logaddexp(sizes[0], sizes[1]))
    frame = int(history.frame[shared])
    centre = sum(w * history.predict(row, frame) for w, row in zip(weight, before, strict=True))
    return float(np.linalg.norm(history.position[shared] - centre) / history.radius[shared])


def _explain_from_first(history: History, model: EventModel, parent: int, shared: list[int]) -> _Merge:
    """Return the log odds that masks since the first frame of the movie are two cells.

    Two cells have the sizes of any two cells of the movie. The parent in a division has the size of a cell.
    """
    after = history.list_children(parent)
    new = np.array([history.measure_after(row) for row in after])
    size = history.measure_before(parent)
    centre, spread = _describe_population(history)
    log_odds = np.log(PRIOR.artefact_rate) + (len(shared) - 1) * np.log(LASTING)
    log_odds += log_normal(new, centre, spread).sum() + model.compare_sizes(size - float(np.logaddexp(*new)))
    a, b = after
    weight = np.exp(new - np.logaddexp(*new))
    middle = weight[0] * history.position[a] + weight[1] * history.position[b]
    expected = history.predict(parent, int(history.frame[a]))
    apart = max(float(np.linalg.norm(history.position[a] - history.position[b]) / history.radius[parent]), 1e-3)
    log_odds += model.compare_places(float(np.linalg.norm(middle - expected) / history.radius[parent]))
    log_odds += place_apart(apart, float(np.log(1.4)), 0.3, model.ndim)
    log_odds -= log_normal(np.float64(size), centre + 0.15, np.hypot(spread, 0.2))
    log_odds -= model.explain_division(parent, (a, b))
    larger = int(np.argmax(new))
    return _Merge(float(log_odds), shared[-1], (-1, -1), (after[larger], after[1 - larger]), len(shared))


def _describe_population(history: History) -> tuple[float, float]:
    """Return the median of the logarithmic sizes of all cells, and their standard deviation."""
    centre = estimate_of_movie("events.size", lambda: float(np.median(history.log_size)))
    away = estimate_of_movie("events.size_spread", lambda: float(np.median(np.abs(history.log_size - centre))))
    return centre, max(1.4826 * away, 0.12)
