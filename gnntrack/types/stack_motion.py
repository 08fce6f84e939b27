"""Motion of the whole stack of a movie: drift, jumps, and frames that are copies of the frame before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.types.columns import expect, freeze_columns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types.columns import FloatArray, IntArray
    from gnntrack.types.tables import CellGraph, Cells

__all__ = ["StackMotion"]


@dataclass(frozen=True, eq=False)
class StackMotion:
    """Where the whole stack is in each frame, and which picture a frame shows.

    Parameters
    ----------
    place : (T, D) float64
        Displacement since the first frame along ``[z], y, x`` in the unit of the cells.
    shown : (T,) int64
        The frame whose picture each frame shows: itself, or for a copy the frame that was copied. Differences are the
        number of time steps between two frames.
    jumps : tuple of int
        Frames in which the stack is displaced for a short time.

    Examples
    --------
    >>> stack = StackMotion(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]), np.array([0, 1, 1]))
    >>> stack.frozen, stack.count_steps(np.array([0, 1]), np.array([2, 2])).tolist()
    ((2,), [1, 0])
    """

    place: FloatArray
    shown: IntArray
    jumps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        freeze_columns(self, place=np.float64, shown=np.int64)
        expect(self.place.ndim == 2 and len(self.place) == len(self.shown), "the motion of the stack differs in length")

    @classmethod
    def make_still(cls, n_frames: int, ndim: int) -> StackMotion:
        """Return the motion of a stack that does not move."""
        return cls(np.zeros((n_frames, ndim)), np.arange(n_frames))

    @classmethod
    def from_graph(cls, graph: CellGraph) -> StackMotion:
        """Return the motion that a graph of points was built with; that of masks does not move.

        The drift of masks is part of their predicted motion.
        """
        return cls.from_dict(graph.provenance.stack, graph.cells)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], cells: Cells) -> StackMotion:
        """Return the motion that `as_dict` has written, or that of a stack that does not move if it is empty.

        Raises
        ------
        FormatError
            If it does not fit the cells.
        """
        if not stored:
            return cls.make_still(cells.n_frames, cells.ndim)
        frames, place = np.arange(cells.n_frames), np.asarray(stored["place"], np.float64)
        expect(place.shape == (cells.n_frames, cells.ndim), f"the stack has {place.shape} places, for other cells")
        copies = np.isin(frames, stored["copies"])
        return cls(place, np.maximum.accumulate(np.where(copies, 0, frames)), tuple(stored["jumps"]))

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values, for the provenance."""
        return {"place": self.place.tolist(), "copies": list(self.frozen), "jumps": list(self.jumps)}

    @property
    def frozen(self) -> tuple[int, ...]:
        """Frames that are copies of the frame before."""
        return tuple(np.flatnonzero(self.shown < np.arange(len(self.shown))).tolist())

    def count_steps(self, source: IntArray, target: IntArray) -> IntArray:
        """Return the number of time steps between frames, 0 from a frame to its copy."""
        return np.asarray(self.shown[target] - self.shown[source])

    def remove(self, cells: Cells) -> FloatArray:
        """Return the positions of cells without the motion of the stack, shape (N, D)."""
        return np.asarray(cells.position - self.place[cells.frame])
