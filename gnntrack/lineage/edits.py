"""Corrections of a lineage by a person: the edits, and the file that holds them.

The file is JSON; ``docs/correct.md`` describes it::

    {"format": "gnntrack edits", "version": 1, "labels": "result",
     "edits": [{"kind": "cut", "cells": [[4, 12], [5, 12]]}]}

A cell is written as its frame, from 0, and its label in the masks of this frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.json_files import read_json
from gnntrack.plurals import count_noun
from gnntrack.types.origins import MASK_KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import IntArray, Lineage

__all__ = [
    "EDIT_KINDS",
    "Edit",
    "EditList",
    "RefusedEditError",
    "describe_cell",
    "list_own_links",
    "read_edits",
    "resolve_edit",
    "translate_edit",
]

FORMAT = "gnntrack edits"
VERSION = 1

EDIT_KINDS = {
    "cut": "the second cell does not follow from the first one",
    "join": "the second cell is the first one, later",
    "confirm": "the link between the two cells is right; if it leads to a daughter, so is the division",
    "divide": "the first cell divides into the others",
    "undivide": "the cell does not divide",
    "spurious": "the mask is not a cell",
}
"""Kinds of edits with their meaning."""

_LARGEST = 2**62  # frame or label that tables of cells can hold
_N_CELLS = {"cut": 2, "join": 2, "confirm": 2, "divide": 3, "undivide": 1, "spurious": 1}


class Edit(NamedTuple):
    """One correction."""

    kind: str
    """One of `EDIT_KINDS`."""
    cells: tuple[tuple[int, int], ...]
    """Frame, from 0, and label of each cell; in the order of time."""

    def __str__(self) -> str:
        return f"{self.kind} {' -> '.join(f'({frame}, {label})' for frame, label in self.cells)}"


class RefusedEditError(InputError):
    """An edit that cannot be used; the message is the reason."""


@dataclass(frozen=True)
class EditList:
    """Edits in the order in which they were made.

    Parameters
    ----------
    edits : tuple of Edit
        The edits.
    labels : {"result", "input"}
        Whether the labels are those of the masks of the result, or of the masks that were tracked.
    fingerprint : str, optional
        That of the result for which the edits were made (``fingerprint`` in its ``summary.json``).

    Examples
    --------
    >>> edits = EditList((Edit("cut", ((4, 12), (5, 12))),))
    >>> EditList.from_dict(edits.to_dict()) == edits
    True
    >>> EditList.from_dict({"version": 1, "edits": [{"kind": "cut", "cells": [[4, 12]]}]})
    Traceback (most recent call last):
    gnntrack.errors.FormatError: edit 1: a cut has 2 cells, and 1 cell is given
    """

    edits: tuple[Edit, ...] = ()
    labels: str = "result"
    fingerprint: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the file, plain JSON values."""
        listed = [{"kind": edit.kind, "cells": [list(cell) for cell in edit.cells]} for edit in self.edits]
        head: dict[str, Any] = {"format": FORMAT, "version": VERSION, "labels": self.labels}
        return head | ({"result": self.fingerprint} if self.fingerprint else {}) | {"edits": listed}

    @classmethod
    def from_dict(cls, content: object) -> EditList:
        """Return the edits in the content of a file.

        Raises
        ------
        FormatError
            If it is not as `to_dict` makes it. Other keys are ignored.
        """
        if not isinstance(content, dict) or not isinstance(content.get("edits"), list):
            msg = 'no list of edits; expected {"version": 1, "edits": [{"kind": "cut", "cells": [[4, 12], [5, 12]]}]}'
            raise FormatError(msg)
        if content.get("version") != VERSION:
            msg = f"version {content.get('version')!r} of the edits cannot be read, expected {VERSION}; update gnntrack"
            raise FormatError(msg)
        labels = content.get("labels", "result")
        if labels not in ("result", "input"):
            msg = f"labels are {labels!r}; expected 'result' or 'input'"
            raise FormatError(msg)
        edits = tuple(_read_edit(each, n) for n, each in enumerate(content["edits"], start=1))
        return cls(edits, labels, content.get("result"))


def _read_edit(content: object, number: int) -> Edit:
    kind = content.get("kind") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(kind, str) or kind not in EDIT_KINDS:
        msg = f"edit {number}: unknown kind {kind!r:.60}; there are: {', '.join(EDIT_KINDS)}"
        raise FormatError(msg)
    cells = content.get("cells")
    if not isinstance(cells, list) or not all(map(_is_cell, cells)):
        msg = f"edit {number}: the cells are {cells!r:.60}; expected [[frame, label], ...], whole numbers"
        raise FormatError(msg)
    _check_number(kind, cells, number)
    found = tuple((frame, label) for frame, label in cells)
    return Edit(kind, tuple(sorted(found)) if kind in ("cut", "join", "confirm") else found)


def _check_number(kind: str, cells: list[list[int]], number: int) -> None:
    """Raise unless an edit has as many cells as its kind needs, and different daughters."""
    wanted = _N_CELLS[kind]
    if len(cells) != wanted and not (kind == "divide" and len(cells) > wanted):
        given = f"{count_noun(len(cells), 'cell')} {'is' if len(cells) == 1 else 'are'} given"
        msg = f"edit {number}: a {kind} has {count_noun(wanted, 'cell')}, and {given}"
        raise FormatError(msg)
    if len(set(map(tuple, cells[1:]))) < len(cells) - 1:
        msg = f"edit {number}: a daughter is named twice, in {cells!r:.60}; name each daughter once"
        raise FormatError(msg)


def _is_cell(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST


def read_edits(path: str | Path) -> EditList:
    """Read a file of edits.

    Raises
    ------
    FormatError
        If the file cannot be read, or is not a file of edits.
    """
    try:
        content = read_json(Path(path).expanduser())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        msg = f"{path}: cannot be read as edits: {reason}; give the edits.json of 'gnntrack report'"
        raise FormatError(msg) from error
    try:
        return EditList.from_dict(content)
    except FormatError as error:
        msg = f"{path}: {error}"
        raise FormatError(msg) from None


def describe_cell(cell: Sequence[int]) -> str:
    """Return a cell in words.

    >>> describe_cell((4, 12))
    'cell 12 of frame 4'
    """
    return f"cell {cell[1]} of frame {cell[0]}"


def translate_edit(edit: Edit, result: Lineage) -> Edit:
    """Return an edit of a result in the labels of the masks that were tracked.

    A mask that was drawn in a gap is not in these masks: a link to it or from it is the link over the gap. A
    confirmation becomes what it confirms: ``join``, or ``divide`` for a link to a daughter.

    Parameters
    ----------
    edit : Edit
        With the labels of the result.
    result : Lineage
        A result that was written, with its origins (`gnntrack.Lineage.origins`).

    Raises
    ------
    RefusedEditError
        If the result lacks a cell or a confirmed link, or the cell itself was drawn.
    """
    kind, rows = resolve_edit(edit, result)
    frame, label = result.cells.frame, _get_origins(result)[0]
    return Edit(kind, tuple((int(frame[row]), int(label[row])) for row in rows))


def resolve_edit(edit: Edit, result: Lineage) -> tuple[str, list[int]]:
    """Return the kind and the rows of the cells of an edit of a result, as `translate_edit` without its labels.

    Raises
    ------
    RefusedEditError
        As `translate_edit`.
    """
    links = list_own_links(result)
    rows = [_find_row(result, cell) for cell in edit.cells]
    if edit.kind in ("undivide", "spurious") and not links.own[rows[0]]:
        msg = f"the mask of {describe_cell(edit.cells[0])} was drawn in a gap; cut the link over the gap instead"
        raise RefusedEditError(msg)
    rows = [int(links.earlier[rows[0]]), *(int(links.later[row]) for row in rows[1:])]
    if edit.kind != "confirm":
        return edit.kind, rows
    children: list[int] = np.flatnonzero(links.past == rows[0]).tolist()
    if rows[1] not in children:
        ends = " to ".join(map(describe_cell, edit.cells))
        msg = f"the result has no link from {ends}; join the cells instead"
        raise RefusedEditError(msg)
    return ("join", rows) if len(children) == 1 else ("divide", [rows[0], *children])


class _OwnLinks(NamedTuple):
    """The links between the cells of a result that were in the masks, where those drawn in gaps are skipped."""

    own: np.ndarray  # (N,) bool: whether the mask was in the input
    earlier: IntArray  # (N,) the cell itself or the one before it that is
    later: IntArray  # (N,) the cell itself or the one after it that is
    past: IntArray  # (N,) the linked earlier cell that is, -1 = none; -1 for drawn masks


def list_own_links(result: Lineage) -> _OwnLinks:
    """Return the links of a result without the masks that were drawn in gaps."""
    n = len(result.cells)
    own = _get_origins(result)[1] != MASK_KINDS.index("filled")
    past, future = np.full((2, n), -1)
    past[result.target] = result.source
    future[result.source] = result.target  # a drawn mask has one cell after it
    earlier, later = np.arange(n), np.arange(n)
    for walked, step in ((earlier, past), (later, future)):
        while (drawn := ~own[walked] & (step[walked] >= 0)).any():
            walked[drawn] = step[walked[drawn]]
    before = np.where((past >= 0) & own, np.append(earlier, -1)[past], -1)
    return _OwnLinks(own, earlier, later, before)


def _get_origins(result: Lineage) -> tuple[IntArray, IntArray]:
    if result.origins is None:
        n = len(result.cells)
        return result.cells.label, np.zeros(n, np.int64)
    return result.origins.input_label, result.origins.kind


def list_input_cells(lineage: Lineage) -> list[tuple[int, int]]:
    """Return frame and label of each cell in the masks that were tracked; label 0 = drawn by gnntrack in a gap.

    A lineage that was not written yet has the labels of the input.
    """
    return list(zip(lineage.cells.frame.tolist(), _get_origins(lineage)[0].tolist(), strict=True))


def _find_row(lineage: Lineage, cell: tuple[int, int]) -> int:
    row = int(lineage.cells.row_of(*cell))
    if row < 0:
        msg = f"there is no {describe_cell(cell)}"
        raise RefusedEditError(msg)
    return row
