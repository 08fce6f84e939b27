"""The cells that a served page shows, and which of them are the same before and after an edit."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.lineage.families import find_roots

if TYPE_CHECKING:
    from gnntrack.results import Result
    from gnntrack.types import IntArray, Lineage, Runs

__all__ = ["ShownCells", "choose_colour_numbers", "find_changed_frames"]


@dataclass(frozen=True)
class ShownCells:
    """The cells of a result, and what they are in another solution of the same movie.

    Parameters
    ----------
    lineage : Lineage
        The result.
    runs : Runs
        Pixels of its cells.
    identity : (N,) int64
        Label of each cell in the masks that were tracked; of a mask that was drawn, a negative number by its place.
    place : (N,) int64
        Position of each cell among those of its frame when these are sorted by their identities: the outlines are in
        this order, so that they need not be sent again if only tracks get other numbers.
    """

    lineage: Lineage
    runs: Runs
    identity: IntArray
    place: IntArray

    @classmethod
    def from_result(cls, result: Result) -> ShownCells:
        """Return the cells of a result."""
        n, frame = len(result.lineage.cells), result.lineage.cells.frame
        start = np.full(n, np.iinfo(np.int64).max)
        np.minimum.at(start, result.runs.cell, result.runs.start)
        identity = np.where(result.input_label > 0, result.input_label, -1 - start)
        order = np.lexsort((identity, frame))
        place = np.empty(n, np.int64)
        place[order] = np.arange(n)
        return cls(result.lineage, result.runs, identity, place - np.searchsorted(frame, frame))

    @cached_property
    def rows(self) -> dict[tuple[int, int], int]:
        """Row of each cell of the input by its frame and label there."""
        cells = zip(self.lineage.cells.frame.tolist(), self.identity.tolist(), strict=True)
        return {cell: row for row, cell in enumerate(cells) if cell[1] > 0}

    @cached_property
    def labels(self) -> dict[tuple[int, int], int]:
        """Label of each cell in the result by its frame and label in the input."""
        label = self.lineage.cells.label.tolist()
        return {cell: label[row] for cell, row in self.rows.items()}

    @cached_property
    def signatures(self) -> list[bytes]:
        """A number for each frame that is the same if all cells and their pixels are."""
        runs, found = self.runs, []
        for t in range(len(runs.offsets) - 1):
            here = runs.frame(t)
            columns = (runs.start[here], runs.length[here], self.identity[runs.cell[here]])
            found.append(hashlib.blake2b(np.stack(columns).tobytes(), digest_size=16).digest())
        return found

    def sort_runs(self) -> Runs:
        """Return the runs with rows in the order of the outlines."""
        frame = self.lineage.cells.frame
        return replace(self.runs, cell=(np.searchsorted(frame, frame) + self.place)[self.runs.cell])


def find_changed_frames(before: ShownCells, after: ShownCells) -> list[int]:
    """Return the frames whose masks differ."""
    pairs = zip(before.signatures, after.signatures, strict=True)
    return [frame for frame, (old, new) in enumerate(pairs) if old != new]


def choose_colour_numbers(shown: ShownCells, first: ShownCells) -> tuple[IntArray, IntArray]:
    """Return a number for each track, and that of the first track of its family, by which colours are chosen.

    A track has the id that the track of its first cell had at first, unless an earlier track has it already, so that
    cells keep their colours while tracks get other ids.

    Parameters
    ----------
    shown, first : ShownCells
        Now, and before the edits.
    """
    lineage, before = shown.lineage, first.lineage.track.tolist()
    tracks, cells = lineage.tracks, lineage.cells
    by_time = np.argsort(cells.frame, kind="stable")
    begins = by_time[np.unique(lineage.track[by_time], return_index=True)[1]]
    number = np.zeros(len(tracks), np.int64)
    spare = max(before, default=0)
    used = {0}
    for k in np.argsort(tracks.start, kind="stable").tolist():
        cell = (int(cells.frame[begins[k]]), int(shown.identity[begins[k]]))
        chosen = before[first.rows[cell]] if cell in first.rows else 0
        if chosen in used:
            spare += 1
            chosen = spare
        used.add(chosen)
        number[k] = chosen
    return number, number[np.searchsorted(tracks.id, find_roots(tracks))]
