"""A result that is corrected step by step: its edits, what they change, and undo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.correction_session import CorrectionSession, RecordedRun
from gnntrack.errors import InputError
from gnntrack.io.output import fresh_output
from gnntrack.io.writers import CellMasks
from gnntrack.lineage.edits import Edit, EditList, RefusedEditError, translate_edit
from gnntrack.lineage.link_changes import list_labels
from gnntrack.structural_session import StructuralSession, choose_session

if TYPE_CHECKING:
    from gnntrack.correction_session import CorrectedMovie, EditPlan
    from gnntrack.lineage.link_changes import LinkChange
    from gnntrack.types import Lineage, Progress

__all__ = ["Revision", "Solution", "find_past", "propose_edit"]


class Solution(NamedTuple):
    """A movie that was solved around edits."""

    lineage: Lineage
    """As a result of it would be written, with its masks and origins."""
    edits: tuple[Edit, ...]
    """In the labels of the masks that were tracked."""
    changes: tuple[LinkChange, ...]
    """Links that differ from those of the result and that no edit names."""
    refused: tuple[tuple[Edit, str], ...]
    """Edits of the result itself that newer ones contradict, and the reason of each."""
    movie: CorrectedMovie | None
    """What is written; None for the result itself."""


class Revision:
    """The edits of a result, each solved when it is made.

    Edits are held in the labels of the masks that were tracked, which no solution changes.

    Parameters
    ----------
    result : path
        A result of `gnntrack.track`, with the record of its run.
    images, masks : object, optional
        Those of the result, if they are not files that it names.

    Raises
    ------
    InputError
        If the result has no record of its run, or was changed since.
    """

    def __init__(self, result: str | Path, *, images: object = None, masks: object = None) -> None:
        self.before = RecordedRun.read(result)
        self._sources = images, masks
        self._session: CorrectionSession | StructuralSession | None = None
        self.shown = Solution(self.before.lineage, (), (), (), None)
        self.undone: tuple[Edit, ...] = ()

    def add(self, edit: Edit, progress: Progress) -> Solution:
        """Return the solution with one more edit, in the labels of the lineage that is shown.

        The revision stays as it is until `accept`.

        Raises
        ------
        RefusedEditError
            If it contradicts an earlier edit, or names no cell or link.
        InputError
            If the movie cannot be read again.
        """
        own = translate_edit(edit, self.shown.lineage)
        if own in self.shown.edits:
            msg = f"{own} is an edit already"
            raise RefusedEditError(msg)
        edits = (*self.shown.edits, own)
        plan = self._plan(edits, progress)
        reason = next((reason for edit, reason in plan.refused if edit is own), None)
        if reason is not None:
            raise RefusedEditError(reason)
        return self._solve(edits, plan, progress)

    def undo(self, progress: Progress) -> Solution:
        """Return the solution without the last edit.

        Raises
        ------
        InputError
            If there is none.
        """
        if not self.shown.edits:
            msg = "there is no edit to undo"
            raise InputError(msg)
        edits = self.shown.edits[:-1]
        return self._solve(edits, self._plan(edits, progress), progress)

    def redo(self, progress: Progress) -> Solution:
        """Return the solution with the edit that was undone last.

        Raises
        ------
        InputError
            If there is none.
        """
        if not self.undone:
            msg = "there is no edit to redo"
            raise InputError(msg)
        edits = (*self.shown.edits, self.undone[-1])
        return self._solve(edits, self._plan(edits, progress), progress)

    def accept(self, solution: Solution) -> None:
        """Show a solution from now on."""
        before, after = self.shown.edits, solution.edits
        if len(after) < len(before):
            self.undone = (*self.undone, *reversed(before[len(after) :]))
        elif self.undone and after[-1] == self.undone[-1]:
            self.undone = self.undone[:-1]
        else:
            self.undone = ()
        self.shown = solution

    def save_edits(self, path: str | Path) -> None:
        """Write the edits as a file for ``gnntrack apply-edits``.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        edits = EditList(self.shown.edits, "input", self.before.summary.get("fingerprint"))
        with fresh_output(path, overwrite=True) as place:
            place.write_text(json.dumps(edits.to_dict(), indent=2), encoding="utf-8")

    def save_result(self, out: str | Path, progress: Progress) -> None:
        """Write the solution that is shown as a result, with its edits.

        Raises
        ------
        OutputError
            If it exists and is not a result, or cannot be written.
        """
        session = self._open(progress)
        movie = self.shown.movie or session.solve(session.plan(EditList((), "input")), progress=progress)
        session.write(movie, out, overwrite=True)

    def _open(self, progress: Progress) -> CorrectionSession | StructuralSession:
        if self._session is None:
            images, masks = self._sources
            self._session = choose_session(self.before, images=images, masks=masks, progress=progress)
        return self._session

    def _plan(self, edits: tuple[Edit, ...], progress: Progress) -> EditPlan:
        return self._open(progress).plan(EditList(edits, "input"), shown=list_labels(self.shown.lineage))

    def _solve(self, edits: tuple[Edit, ...], plan: EditPlan, progress: Progress) -> Solution:
        session = self._open(progress)
        movie = session.solve(plan, progress=progress)
        result = session.build(movie)
        masks = CellMasks(result.runs, names=session.run.names)
        return Solution(result.lineage.with_masks(masks), edits, movie.changes, movie.refused, movie)


def find_past(lineage: Lineage, row: int) -> int:
    """Return the row of the cell that a cell is linked to in an earlier frame, -1 if there is none."""
    found = np.flatnonzero(lineage.target == row)
    return int(lineage.source[found[0]]) if len(found) else -1


def propose_edit(lineage: Lineage, kind: str, rows: list[int]) -> Edit:
    """Return the edit of a kind about selected cells, in the labels of the lineage.

    Parameters
    ----------
    lineage : Lineage
        The lineage that is shown.
    kind : str
        One of `gnntrack.lineage.edits.EDIT_KINDS`.
    rows : list of int
        The selected cell, and for ``join`` and ``divide`` the other ones.

    Raises
    ------
    RefusedEditError
        If there is no such link, or too few cells are given.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((2, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> str(propose_edit(gnntrack.track(masks=masks), "cut", [1]))
    'cut (0, 7) -> (1, 7)'
    """
    cells = lineage.cells
    if kind in ("cut", "confirm"):
        past = find_past(lineage, rows[0])
        if past < 0:
            msg = "the cell has no link to an earlier frame; select another cell"
            raise RefusedEditError(msg)
        rows = [past, rows[0]]
    elif kind == "undivide":
        same = np.flatnonzero(lineage.track == lineage.track[rows[0]])
        rows = [int(same[np.argmax(cells.frame[same])])]
    elif kind == "join":
        rows = sorted(rows, key=lambda row: int(cells.frame[row]))
    return Edit(kind, tuple((int(cells.frame[row]), int(cells.label[row])) for row in rows))
