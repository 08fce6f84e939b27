"""How close cells come to cells of the next frame, after a predicted displacement: a measure of predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import find_nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gnntrack.types import Cells, FloatArray

__all__ = ["CLEARLY", "CLOSE", "count_cells", "measure_closeness", "measure_spacing"]

CLOSE = 0.15
"""Distance at which the closeness is one half, as a fraction of the distance between neighbouring cells."""
CLEARLY = 3.0
"""Standard errors by which a prediction has to be closer than another one."""


def measure_closeness(cells: Cells, shift: FloatArray, frames: Iterable[int], near: float) -> FloatArray:
    """Return 1 / (1 + (distance / near)^2) of each cell of some frames, shape (n,).

    Parameters
    ----------
    cells : Cells
        All cells of the movie.
    shift : (N, D) float64
        Predicted displacement of each cell; the distance is from there to the nearest cell of the next frame, which may
        have none: then the closeness is 0.
    frames : iterable of int
        The frames whose cells are measured, in this order.
    near : float
        The distance at which the closeness is one half.
    """
    found = [np.zeros(0)]
    for frame in frames:
        here, there = cells.rows(frame), cells.rows(frame + 1)
        close = np.zeros(count_cells(cells, frame))
        if len(close) and count_cells(cells, frame + 1):
            distance = find_nearest(cells.position[here] + shift[here], cells.position[there])[0]
            close = 1 / (1 + (distance / near) ** 2)
        found.append(close)
    return np.concatenate(found)


def measure_spacing(cells: Cells) -> float:
    """Return the median distance of cells to the nearest cell of their frame; 0 if no frame has two cells."""
    found = []
    for frame in range(cells.n_frames):
        position = cells.position[cells.rows(frame)]
        if len(position) > 1:
            found.append(find_nearest(position, position, 2)[0][:, 1])
    return float(np.median(np.concatenate(found))) if found else 0.0


def count_cells(cells: Cells, frame: int) -> int:
    """Return the number of cells of a frame."""
    rows = cells.rows(frame)
    return int(rows.stop - rows.start)
