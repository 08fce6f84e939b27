"""Tracks on a line: the positions of each track in all its frames, one track behind the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray, Lineage

__all__ = ["Timelines", "arrange_timelines"]


@dataclass(frozen=True)
class Timelines:
    """The tracks of a lineage with an entry for each of their frames, gaps included.

    Parameters
    ----------
    track : (M,) int64
        Row of the table of tracks; ascending.
    frame : (M,) int64
        Frame; ascending by one within a track.
    cell : (M,) int64
        Row of the cells, -1 in a gap.
    position : (M, D) float64
        Position along ``[z], y, x``, NaN in a gap.
    first : (K,) int64
        Entry at which each track begins.
    """

    track: IntArray
    frame: IntArray
    cell: IntArray
    position: FloatArray
    first: IntArray

    def __len__(self) -> int:
        return len(self.track)

    def pair(self, lag: int) -> tuple[IntArray, BoolArray]:
        """Return the entries that have a cell of their track `lag` frames later.

        Parameters
        ----------
        lag : int
            Frames between the two cells, > 0.

        Returns
        -------
        start : (P,) int64
            Entries; those of the later cells are ``start + lag``.
        begins : (P,) bool
            Whether the entry is the first of its track.
        """
        n = max(len(self) - lag, 0)
        both = (self.track[:n] == self.track[lag:]) & (self.cell[:n] >= 0) & (self.cell[lag:] >= 0)
        start = np.flatnonzero(both)
        return start, self.first[self.track[start]] == start


def arrange_timelines(lineage: Lineage) -> Timelines:
    """Return the tracks of a lineage, with an entry for each of their frames.

    Examples
    --------
    A track of the frames 0 and 2, with a gap:

    >>> from gnntrack.types import Cells, Lineage, Tracks
    >>> cells = Cells([0, 2], [1, 1], [[0, 0], [3, 4]], [[], []], (), (), (1, 1), 3, (9, 9))
    >>> lines = arrange_timelines(Lineage(cells, [1, 1], Tracks([1], [0], [2], [0]), [0], [1], [1]))
    >>> lines.frame.tolist(), lines.cell.tolist(), lines.position[:, 0].tolist()
    ([0, 1, 2], [0, -1, 1], [0.0, nan, 3.0])
    """
    cells, tracks = lineage.cells, lineage.tracks
    row = np.searchsorted(tracks.id, lineage.track)
    span = tracks.end - tracks.start + 1
    first = np.cumsum(span) - span
    track = np.repeat(np.arange(len(tracks)), span)
    frame = np.arange(len(track)) - first[track] + tracks.start[track]
    at = first[row] + cells.frame - tracks.start[row]
    cell = np.full(len(track), -1)
    cell[at] = np.arange(len(cells))
    position = np.full((len(track), cells.ndim), np.nan)
    position[at] = cells.position
    return Timelines(track, frame, cell, position, first)
