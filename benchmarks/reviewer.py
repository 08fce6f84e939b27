"""A reviewer who knows the ground truth: the edit that it implies at each place of a review list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.frames import open_masks
from gnntrack.lineage.doubts import list_doubts
from gnntrack.lineage.edits import Edit
from gnntrack.results import read_result
from gnntrack.training.truth import match_cells
from gnntrack.types.origins import MASK_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.lineage.doubts import Doubt
    from gnntrack.types import IntArray, Lineage, Tracks

_FILLED = MASK_KINDS.index("filled")


@dataclass(frozen=True)
class Reviewer:
    """The cells of a result with their true past.

    Parameters
    ----------
    lineage : Lineage
        The result.
    track : (N,) int64
        Track of each cell in the ground truth, 0 = none.
    truth : (N,) int64
        Row of the true past of each cell, -1 = none among the cells.
    past : (N,) int64
        Row of its past in the result, -1 = none.
    """

    lineage: Lineage
    track: IntArray
    truth: IntArray
    past: IntArray

    @classmethod
    def read(cls, result: Path, truth: Path) -> Reviewer:
        """Match the cells of a result to the markers of the ground truth, the folder ``NN_GT``."""
        lineage, runs = read_result(result)
        track = match_cells(lineage.cells, runs, open_masks(truth / "TRA"))
        table = read_track_table(truth / "TRA" / "man_track.txt")
        past = np.full(len(track), -1)
        past[lineage.target] = lineage.source
        return cls(lineage, track, find_true_past(track, table), past)

    def review(self, doubt: Doubt) -> list[Edit]:
        """Return the edits that the truth implies at a place; none if there is nothing to say by an edit.

        A link or a division that is right is confirmed. A track that begins or ends rightly, or a mask that is a cell,
        needs no edit. A short track is corrected at both ends; everything else gets at most one edit.
        """
        row, other = doubt.row, doubt.other
        if row < 0:
            return []
        past, future = self._review_past(row), self._review_future(row)
        if doubt.kind == "division":
            edits = [future or self._confirm(row, int(np.flatnonzero(self.past == row)[0]))]
        elif doubt.kind == "link":
            edits = [past or self._confirm(int(self.past[row]), row)]
        elif doubt.kind == "end":
            edits = [future or (self._review_past(other) if other >= 0 else None)]
        elif doubt.kind == "start":
            edits = [past or (self._review_future(other) if other >= 0 else None)]
        else:
            edits = [past, future]
        return list(dict.fromkeys(edit for edit in edits if edit is not None))

    def _review_past(self, row: int) -> Edit | None:
        if not self.track[row]:
            return self._remove(row)
        past, truth = int(self.past[row]), int(self.truth[row])
        if past == truth:
            return None
        if truth < 0:
            return self._make("cut", past, row)
        return self._link(truth)

    def _review_future(self, row: int) -> Edit | None:
        if not self.track[row]:
            return self._remove(row)
        true, found = np.flatnonzero(self.truth == row), np.flatnonzero(self.past == row)
        if np.array_equal(true, found):
            return None
        if len(true):
            return self._link(row)
        return self._make("undivide", row) if len(found) > 1 else self._make("cut", row, int(found[0]))

    def _link(self, row: int) -> Edit:
        children = np.flatnonzero(self.truth == row).tolist()
        return self._make("join" if len(children) == 1 else "divide", row, *children)

    def _remove(self, row: int) -> Edit | None:
        """Return the edit for a cell that is not in the truth; a drawn mask is removed by a cut."""
        origins = self.lineage.origins
        if origins is None or origins.kind[row] != _FILLED:
            return self._make("spurious", row)
        return self._make("cut", int(self.past[row]), row) if self.past[row] >= 0 else None

    def _confirm(self, source: int, target: int) -> Edit:
        return self._make("confirm", source, target)

    def _make(self, kind: str, *rows: int) -> Edit:
        cells = self.lineage.cells
        return Edit(kind, tuple((int(cells.frame[row]), int(cells.label[row])) for row in rows))


def find_true_past(track: IntArray, tracks: Tracks) -> IntArray:
    """Return the row of each cell's past in the truth: before it in its track, or the last of the parent; -1 = none.

    The cells are sorted by frame; `track` (N,) is the track of each in the truth, 0 = none.
    """
    past = np.full(len(track), -1)
    rows_of = {number: np.flatnonzero(track == number) for number in tracks.id.tolist()}
    for number, parent in zip(tracks.id.tolist(), tracks.parent.tolist(), strict=True):
        rows = rows_of[number]
        past[rows[1:]] = rows[:-1]
        if parent and len(rows) and len(rows_of[parent]):
            past[rows[0]] = rows_of[parent][-1]
    return past


def list_edits(reviewer: Reviewer, *, most: int, doubts: Sequence[Doubt] | None = None) -> tuple[list[Edit], int]:
    """Return the first edits from the top of the review list, each once, and the number of places looked at."""
    edits: dict[Edit, None] = {}
    looked = 0
    for doubt in list_doubts(reviewer.lineage) if doubts is None else doubts:
        if len(edits) >= most:
            break
        looked += 1
        edits |= dict.fromkeys(reviewer.review(doubt))
    return list(edits)[:most], looked
