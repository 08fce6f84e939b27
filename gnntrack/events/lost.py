"""Tracks that end and tracks that start near by soon after: one cell that was not seen in between.

After all other events are decided, most of the ends and starts that are left inside a dense field are the two sides of
a gap that is longer than usual, or of a fault that broke a link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.graph.gaps import expect_longest_gap
from gnntrack.solvers.assignment import find_matching

if TYPE_CHECKING:
    from gnntrack.events.densities import EventModel
    from gnntrack.events.history import History

__all__ = ["choose_longest_gap", "find_lost_cells"]

_MOST = 5  # longest gap that is chosen from the movie
_NEAR = 3.0  # radii from the expected place of a cell
_SURE = 5.0  # log odds from which two tracks are one


def choose_longest_gap(history: History, *, least: int) -> int:
    """Return the longest gap that is expected at least once in the movie, from its missing masks.

    Parameters
    ----------
    history : History
        The solution.
    least : int
        Lowest result.
    """
    linked = np.flatnonzero(history.past >= 0)
    missed = history.frame[linked] - history.frame[history.past[linked]] - 1
    return max(least, min(expect_longest_gap(int(missed.sum()), len(history.frame)), _MOST))


def find_lost_cells(history: History, model: EventModel, *, longest_gap: int) -> dict[int, int]:
    """Find tracks that continue others over a gap.

    Parameters
    ----------
    history, model
        The solution, and its densities.
    longest_gap : int
        Largest number of frames from source to target of a link.

    Returns
    -------
    dict
        New past of the first cells of tracks.
    """
    search = history.make_search(history.orphans)
    found = []
    for end in np.flatnonzero(history.ends).tolist():
        frame = int(history.frame[end])
        for later in range(frame + 1, min(frame + longest_gap, history.n_frames - 1) + 1):
            for start in search.find(history.predict(end, later), later, _NEAR * history.radius[end]):
                size = history.measure_after(start) - history.measure_before(end)
                log_odds = model.explain_link(end, start, size)
                log_odds -= model.explain_end(end) + model.explain_start(start)
                if log_odds > _SURE:
                    found.append((end, start, log_odds))
    if not found:
        return {}
    source, target, value = (np.array(column) for column in zip(*found, strict=True))
    chosen = find_matching(source, target, value)
    return dict(zip(target[chosen].tolist(), source[chosen].tolist(), strict=True))
