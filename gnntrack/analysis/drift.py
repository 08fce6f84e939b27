"""Drift: motion that all cells of a movie have in common."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import InputError
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, Lineage

__all__ = ["estimate_drift", "remove_drift"]

_FEWEST = 3  # cells whose median motion is not that of one of them


def estimate_drift(lineage: Lineage) -> FloatArray:
    """Return the drift of the field of view since frame 0.

    The drift from a frame to the next is the median displacement, along each axis, of the tracks that have a cell in
    both frames. It is 0 where fewer than three tracks do. The median is not affected by a minority of cells that move;
    a motion that most cells share, such as the expansion of one side of a colony, is drift as well.

    Returns
    -------
    (T, D) float64
        Along ``[z], y, x``, in the unit of the positions.

    Examples
    --------
    >>> from gnntrack.types import Cells, Lineage, Tracks
    >>> position = [[0, 0], [0, 5], [5, 0], [1, 2], [1, 7], [6, 2]]
    >>> cells = Cells([0, 0, 0, 1, 1, 1], [1, 2, 3] * 2, position, [[]] * 6, (), (), (1, 1), 2, (9, 9))
    >>> tracks = Tracks([1, 2, 3], [0] * 3, [1] * 3, [0] * 3)
    >>> estimate_drift(Lineage(cells, [1, 2, 3] * 2, tracks, [0, 1, 2], [3, 4, 5], [1] * 3)).tolist()
    [[0.0, 0.0], [1.0, 2.0]]
    """
    step = np.zeros((lineage.cells.n_frames, lineage.cells.ndim))
    for frame, displacement in _list_steps(lineage):
        if len(displacement) >= _FEWEST:
            step[frame] = np.median(displacement, axis=0)
    return np.cumsum(step, axis=0)


def remove_drift(lineage: Lineage) -> Lineage:
    """Return the lineage with positions from which the drift is subtracted.

    The estimate contains the motion of the cells themselves: with n cells a frame, their mean squared displacements are
    about 1/n too small.

    Raises
    ------
    InputError
        If fewer than half of the frames have three tracks with a cell in the frame before, too.
    """
    linked = [len(displacement) for _, displacement in _list_steps(lineage)]
    steps = lineage.cells.n_frames - 1
    if steps > 0 and sum(n >= _FEWEST for n in linked) < steps / 2:
        msg = (
            f"the drift is estimated from at least {_FEWEST} tracks in a frame; this lineage has "
            f"{count_noun(int(np.median([*linked, *[0] * (steps - len(linked))])), 'track')} in most frames: analyse "
            "it with the drift"
        )
        raise InputError(msg)
    cells = lineage.cells
    moved = replace(cells, position=cells.position - estimate_drift(lineage)[cells.frame])
    return replace(lineage, cells=moved)


def _list_steps(lineage: Lineage) -> list[tuple[int, FloatArray]]:
    """Return frames and the displacements, (n, D), of the tracks that have a cell there and in the frame before."""
    cells = lineage.cells
    step = cells.frame[lineage.target] - cells.frame[lineage.source] == 1
    within = step & (lineage.track[lineage.source] == lineage.track[lineage.target])
    source, target = lineage.source[within], lineage.target[within]
    order = np.argsort(target, kind="stable")
    frame = cells.frame[target[order]]
    displacement = (cells.position[target] - cells.position[source])[order]
    bounds = np.searchsorted(frame, np.arange(cells.n_frames + 1))
    return [(t, displacement[bounds[t] : bounds[t + 1]]) for t in range(cells.n_frames) if bounds[t] < bounds[t + 1]]
