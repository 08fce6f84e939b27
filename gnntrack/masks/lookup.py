"""Cells at given pixels of a frame, found among its runs without drawing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.masks.runs import expand_runs

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, IntArray, Runs

__all__ = ["CellLookup", "make_grid"]


class CellLookup:
    """The cells of a frame by their pixels; pixels can be taken away from them.

    Parameters
    ----------
    runs : Runs
        Pixels of the cells of a movie.
    frame : int
        Which frame.

    Examples
    --------
    >>> from gnntrack.types import Runs
    >>> lookup = CellLookup(Runs([3], [1], [2], [0, 1], (2, 3)), 0)
    >>> lookup.draw((slice(0, 2), slice(1, 3))).tolist(), lookup.list_pixels(3).tolist()
    ([[4, 4], [0, 0]], [[0, 1], [0, 2]])
    >>> lookup.take((np.array([0]), np.array([1])))
    >>> lookup.find((np.array([0, 0]), np.array([1, 2]))).tolist()
    [0, 4]
    """

    def __init__(self, runs: Runs, frame: int) -> None:
        here = runs.frame(frame)
        self.shape = runs.shape
        self._start, self._cell = runs.start[here], runs.cell[here]
        self._length = runs.length[here]
        self._taken = np.zeros(0, np.int64)

    def find(self, pixels: tuple[IntArray, ...]) -> IntArray:
        """Return the row + 1 of the cell at each pixel, 0 for background and for pixels that were taken away."""
        flat = np.ravel_multi_index(pixels, self.shape)
        found = np.zeros(flat.shape, np.int64)
        if len(self._start):
            run = np.searchsorted(self._start, flat, "right") - 1
            inside = (run >= 0) & (flat < self._start[run] + self._length[run])
            found[inside] = self._cell[run[inside]] + 1
        return np.where(self.is_taken(pixels), 0, found)

    def is_taken(self, pixels: tuple[IntArray, ...]) -> BoolArray:
        """Return whether each pixel was taken away, bool."""
        if not len(self._taken):
            return np.zeros(np.shape(pixels[0]), bool)
        return np.isin(np.ravel_multi_index(pixels, self.shape), self._taken)

    def draw(self, window: tuple[slice, ...]) -> IntArray:
        """Return the row + 1 of the cells in a part of the frame."""
        return self.find(make_grid(window))

    def take(self, pixels: tuple[IntArray, ...]) -> None:
        """Take pixels away from their cells."""
        self._taken = np.append(self._taken, np.ravel_multi_index(pixels, self.shape))

    def list_pixels(self, row: int) -> IntArray:
        """Return the pixels that a cell still has, (n, D), in reading order."""
        own = self._cell == row
        flat = expand_runs(self._start[own], self._length[own])
        flat = flat[~np.isin(flat, self._taken)]
        return np.stack(np.unravel_index(flat, self.shape), axis=1)


def make_grid(window: tuple[slice, ...]) -> tuple[IntArray, ...]:
    """Return the coordinates of all pixels of a part of a frame."""
    sides = [each.stop - each.start for each in window]
    grid = np.indices(sides)
    return tuple(axis + each.start for axis, each in zip(grid, window, strict=True))
