"""Links that are fixed by edits, checked one by one against those before.

An edit fixes links completely: what follows a cell that is joined or divides is known, and so is what is before the
cells that it leads to. A cut only forbids a link, and leaves the rest to the solver.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.components import label_components
from gnntrack.lineage.edits import Edit, RefusedEditError, describe_cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import BoolArray, Cells, IntArray

__all__ = ["Constraints", "EditChecker"]

_NO_PAIRS = np.zeros((0, 2), np.int64)
_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Constraints:
    """Decisions about N cells that a solution has to keep.

    Parameters
    ----------
    linked : (F, 2) int64
        Rows of both cells of links that are right. No other link goes out of the first or into the second cell.
    cut : (M, 2) int64
        Rows of both cells of links that are wrong.
    single : (S,) int64
        Rows of cells that do not divide.
    removed : (R,) int64
        Rows of masks that are not cells, as edits state.
    spurious : (P, 2) int64
        Rows of masks that are not cells by their scores, with the probability in percent; none of them is named above.

    Examples
    --------
    >>> fixed = Constraints(linked=np.array([[0, 2]]))
    >>> fixed.find_free(np.array([0, 0, 1]), np.array([2, 3, 3])).tolist()
    [False, False, True]
    """

    linked: IntArray = field(default_factory=lambda: _NO_PAIRS)
    cut: IntArray = field(default_factory=lambda: _NO_PAIRS)
    single: IntArray = field(default_factory=lambda: _NO_ROWS)
    removed: IntArray = field(default_factory=lambda: _NO_ROWS)
    spurious: IntArray = field(default_factory=lambda: _NO_PAIRS)

    def __bool__(self) -> bool:
        return any(map(len, (self.linked, self.cut, self.single, self.removed, self.spurious)))

    def find_free(self, source: IntArray, target: IntArray) -> BoolArray:
        """Return which links from source to target, (E,) each, the constraints leave to the solver."""
        free = ~np.isin(source, self.linked[:, 0]) & ~np.isin(target, self.linked[:, 1])
        n = int(max(source.max(initial=0), target.max(initial=0), self.cut.max(initial=0))) + 1
        return np.asarray(free & ~np.isin(source * n + target, self.cut[:, 0] * n + self.cut[:, 1]))

    def find_named(self, n: int) -> BoolArray:
        """Return which of n cells are named, shape (n,)."""
        named = np.zeros(n, bool)
        for rows in (self.linked, self.cut, self.single):
            named[rows] = True
        return named

    def list_removed(self) -> IntArray:
        """Return the rows of all masks that are not cells."""
        return np.concatenate([self.removed, self.spurious[:, 0]])

    def remove_cells(self, n: int) -> tuple[BoolArray, Constraints]:
        """Return which of n cells are kept, (n,) bool, and the constraints in the rows of these."""
        keep = np.ones(n, bool)
        keep[self.list_removed()] = False
        row = np.cumsum(keep) - 1
        pairs = [row[each[keep[each].all(axis=1)]] for each in (self.linked, self.cut)]
        return keep, Constraints(pairs[0], pairs[1], row[self.single[keep[self.single]]])

    def select_changes(self, past: IntArray, changes: dict[int, int]) -> dict[int, int]:
        """Return those of some changes of a solution that keep the constraints.

        Changes that share a cell belong together, as in the exchange of two cells: all of them are kept, or none.

        Parameters
        ----------
        past : (N,) int64
            Row of the linked earlier cell of each cell, -1 = none.
        changes : dict
            New past of cells.

        Examples
        --------
        Cells 2 and 3 exchange their pasts, but the link from 0 to 2 is fixed:

        >>> fixed = Constraints(linked=np.array([[0, 2]]))
        >>> fixed.select_changes(np.array([-1, -1, 0, 1, -1, -1]), {2: 1, 3: 0, 5: 4})
        {5: 4}
        """
        if not changes:
            return {}
        rows, new = np.array(list(changes)), np.array(list(changes.values()))
        after = past.copy()
        after[rows] = new
        children = np.bincount(after[after >= 0], minlength=len(past))
        wrong = np.isin(rows, self.linked[:, 1]) | (np.isin(new, self.single) & (children[new] > 1))
        wrong |= np.isin(new, self.linked[:, 0]) | np.isin(past[rows], self.linked[:, 0])
        wrong |= ~self.find_free(np.maximum(new, 0), rows) & (new >= 0)
        ends = [(row, each) for row, each in zip(rows.tolist() * 2, [*past[rows], *new], strict=True) if each >= 0]
        one, other = np.array(ends, np.int64).reshape(-1, 2).T
        group, _ = label_components(len(past), one, other)
        kept = ~np.isin(group[rows], group[rows[wrong]])
        return {row: changes[row] for row in rows[kept].tolist()}


class EditChecker:
    """Turns edits into constraints, and refuses those that contradict an earlier one.

    Parameters
    ----------
    cells : Cells
        The cells, with the labels of the edits.
    shown : mapping of (frame, label) to int, optional
        Labels by which messages name cells, if these are others.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((2, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> checker = EditChecker(gnntrack.build_graph(masks=masks).cells)
    >>> checker.add(Edit("cut", ((0, 1), (1, 1))), "edit 1")
    >>> checker.add(Edit("join", ((0, 1), (1, 1))), "edit 2")
    Traceback (most recent call last):
    gnntrack.lineage.edits.RefusedEditError: edit 1 cuts the link from cell 1 of frame 0 to cell 1 of frame 1
    """

    def __init__(self, cells: Cells, *, shown: Mapping[tuple[int, int], int] | None = None) -> None:
        self._cells = cells
        self._shown = shown or {}
        self._past: dict[int, int] = {}  # of the second cell of a fixed link: the first one
        self._future: dict[int, set[int]] = {}
        self._cut: dict[tuple[int, int], str] = {}
        self._single: dict[int, str] = {}
        self._removed: dict[int, str] = {}
        self._fixed_by: dict[int, str] = {}  # row of an end of a fixed link -> name of the edit

    def add(self, edit: Edit, name: str) -> None:
        """Add an edit; the kind is not ``confirm``, which `translate_edit` replaces.

        Parameters
        ----------
        edit : Edit
            With the labels of the cells.
        name : str
            How messages call it, such as ``"edit 3"``.

        Raises
        ------
        RefusedEditError
            If the edit names a cell that does not exist, goes back in time, or contradicts an earlier edit. It is
            then not added.
        """
        rows = [self._find_row(cell) for cell in edit.cells]
        late = [cell for cell in edit.cells[1:] if cell[0] <= edit.cells[0][0]]
        if late:
            msg = f"{self._name(late[0])} is not later than {self._name(edit.cells[0])}"
            raise RefusedEditError(msg)
        if edit.kind in ("join", "divide"):
            self._add_links(rows, name)
        elif edit.kind == "cut":
            self._refuse_link(rows[0], rows[1])
            self._cut.setdefault((rows[0], rows[1]), name)
        elif edit.kind == "undivide":
            if len(self._future.get(rows[0], ())) > 1:
                self._refuse(f"{self._fixed_by[rows[0]]} divides {self._describe(rows[0])}")
            self._single.setdefault(rows[0], name)
        else:
            if rows[0] in self._fixed_by:
                self._refuse(f"{self._fixed_by[rows[0]]} links {self._describe(rows[0])}")
            self._removed.setdefault(rows[0], name)

    def make_constraints(self) -> Constraints:
        """Return what all edits fix."""
        linked = sorted((source, target) for target, source in self._past.items())
        pairs = [np.array(each, np.int64).reshape(-1, 2) for each in (linked, sorted(self._cut))]
        rows = [np.array(sorted(each), np.int64) for each in (self._single, self._removed)]
        return Constraints(pairs[0], pairs[1], rows[0], rows[1])

    def _add_links(self, rows: list[int], name: str) -> None:
        source, targets = rows[0], set(rows[1:])
        for row in rows:
            if row in self._removed:
                self._refuse(f"{self._removed[row]} marks {self._describe(row)} as spurious")
        known = self._future.get(source, set())
        if not known <= targets and not targets <= known:
            follower = self._describe(min(known - targets))
            self._refuse(f"{self._fixed_by[source]} links {self._describe(source)} to {follower}")
        if len(targets | known) > 1 and source in self._single:
            self._refuse(f"{self._single[source]} states that {self._describe(source)} does not divide")
        for target in sorted(targets):
            if (source, target) in self._cut:
                ends = f"{self._describe(source)} to {self._describe(target)}"
                self._refuse(f"{self._cut[source, target]} cuts the link from {ends}")
            if self._past.get(target, source) != source:
                past = self._describe(self._past[target])
                self._refuse(f"{self._fixed_by[target]} links {past} to {self._describe(target)}")
        self._future[source] = known | targets
        self._past |= dict.fromkeys(targets, source)
        for row in rows:
            self._fixed_by.setdefault(row, name)

    def _refuse_link(self, source: int, target: int) -> None:
        if self._past.get(target) == source:
            ends = f"{self._describe(source)} to {self._describe(target)}"
            self._refuse(f"{self._fixed_by[target]} links {ends}")

    def _find_row(self, cell: tuple[int, int]) -> int:
        row = int(self._cells.row_of(*cell))
        if row < 0:
            self._refuse(f"there is no {self._name(cell)}")
        return row

    def _describe(self, row: int) -> str:
        return self._name((int(self._cells.frame[row]), int(self._cells.label[row])))

    def _name(self, cell: tuple[int, int]) -> str:
        return describe_cell((cell[0], self._shown.get(cell, cell[1])))

    @staticmethod
    def _refuse(reason: str) -> None:
        raise RefusedEditError(reason)
