"""A result that is corrected while it is shown: after each edit the movie is solved again in memory.

Edits are kept in the labels of the masks that were tracked, because the labels of a result change with its tracks. The
page names cells by the labels that it shows; a request names the revision of the page, so that an older page cannot
change other cells than those that it shows.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import InputError, OutputError
from gnntrack.io.result_folders import EXTRAS
from gnntrack.json_files import read_json
from gnntrack.lineage.edits import Edit, EditList, RefusedEditError, read_edits, translate_edit
from gnntrack.lineage.link_changes import compare_links
from gnntrack.plurals import count_noun
from gnntrack.report.page_data import collect_data, pack_column, write_colours
from gnntrack.report.page_views import trace_frames
from gnntrack.report.web import render_page
from gnntrack.reporting import update_content
from gnntrack.serving.shown_cells import ShownCells, choose_colour_numbers, find_changed_frames

if TYPE_CHECKING:
    from gnntrack.correction_session import CorrectedMovie, CorrectionSession
    from gnntrack.report.web import PageContent
    from gnntrack.structural_session import StructuralSession
    from gnntrack.types import Lineage

__all__ = ["LiveResult", "OutdatedPageError", "read_kept_edits"]

_Cell = tuple[int, int]
_VIEWS = ("views", "planes", "kind", "grey")  # parts of the page that stay
_MOST_CHANGES = 200  # that the page lists


class OutdatedPageError(InputError):
    """A request of a page that shows an older lineage."""


@dataclass(frozen=True)
class _State:
    """A solution and the cells that the page shows of it."""

    edits: tuple[Edit, ...]  # that were made here, in the labels of the input
    solution: CorrectedMovie
    shown: ShownCells


@dataclass
class LiveResult:
    """A result with the edits that are made in its page.

    Parameters
    ----------
    session : CorrectionSession or StructuralSession
        The result, with its movie in memory.
    content : PageContent
        The page of the result, with the images.
    out : Path
        Folder that `save` writes.
    edits_file : Path
        File that holds the edits after each change.
    overwrite : bool
        Whether `save` may replace an older result.

    Notes
    -----
    All methods may be called from several threads.
    """

    session: CorrectionSession | StructuralSession
    content: PageContent
    out: Path
    edits_file: Path
    overwrite: bool = False
    revision: int = 0
    saved: int = -1
    _confirmed: set[Edit] = field(default_factory=set, repr=False)  # made as confirmations
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _kept: bytes | None = field(init=False, repr=False)  # content of the file of edits, as it is known here
    _is_kept: bool = field(default=True, init=False, repr=False)  # whether it holds the present edits
    _state: _State = field(init=False, repr=False)
    _first: ShownCells = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._kept = self._read_file()
        self._state = self._solve(EditList((), labels="input"))
        self._first = self._state.shown

    @property
    def edits(self) -> tuple[Edit, ...]:
        """The edits that were made here, in the labels of the input."""
        return self._state.edits

    @property
    def lineage(self) -> Lineage:
        """The lineage as it is shown."""
        return self._state.shown.lineage

    @property
    def is_saved(self) -> bool:
        """Whether `save` has written the present lineage."""
        return self.saved == self.revision

    def resume(self, given: EditList) -> list[str]:
        """Start with edits of an earlier session, or of the page of ``gnntrack report``.

        Returns
        -------
        list of str
            The edits that are refused, with the reason of each.
        """
        with self._lock:
            self._state = self._solve(given)
            self.revision += 1
            if self._is_written():
                self.saved = self.revision
            return [f"{edit}: {reason}" for edit, reason in self._state.solution.refused]

    def make_page(self, token: str) -> str:
        """Return the page as it is now, as HTML.

        Parameters
        ----------
        token : str
            That the page sends with its requests.
        """
        with self._lock:
            shown = self._state.shown
            content = update_content(self.content, shown.lineage)
            data = collect_data(replace(content, runs=shown.sort_runs()))
            self._complete(data)
            return render_page(data | {"live": self._describe() | {"token": token}}, live=True)

    def edit(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a request of the page.

        Parameters
        ----------
        request : mapping
            ``revision`` of the page; and ``add``, an edit as in ``edits.json`` with the labels of the page, or
            ``remove``, the number of an edit from 1.

        Returns
        -------
        dict
            What the page changes, as JSON has it; ``refused`` is the reason if nothing changes.

        Raises
        ------
        OutdatedPageError
            If the page is older than the lineage.
        InputError
            If the request is none of these.
        """
        with self._lock:
            self._check_revision(request)
            before = self._state
            if "add" in request:
                given = EditList.from_dict({"version": 1, "edits": [request["add"]]})
                try:
                    state = self._add(given.edits[0])
                except RefusedEditError as error:
                    return {"revision": self.revision, "refused": str(error)}
            else:
                state = self._remove(request.get("remove"))
            self._state = state
            self.revision += 1
            return self._describe_changes(before) | self._try_to_keep()

    def save(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Write the corrected result, as ``gnntrack apply-edits`` does.

        Raises
        ------
        OutputError
            If it cannot be written, or another program has changed the file of edits.
        """
        with self._lock:
            self._check_revision(request)
            self._check_file()
            self.session.write(self._state.solution, self.out, overwrite=self.overwrite)
            self.overwrite, self.saved = True, self.revision  # it was written here
            return {"revision": self.revision, "saved": str(self.out)} | self._try_to_keep()

    def describe_end(self) -> str:
        """Return a sentence about the edits, for the end of the session; wait for a request that is being done."""
        with self._lock:
            if not self.edits:
                return "Stopped. There are no edits."
            count = count_noun(len(self.edits), "edit")
            if self.is_saved:
                return f"Stopped. The result with {count} is in {self.out}."
            if not self._is_kept:
                return f"Stopped. The result with {count} was not saved; {self.edits_file} does not hold the last ones."
            return (
                f"Stopped. The result with {count} was not saved; the edits are kept in {self.edits_file}, and the "
                "same command resumes them."
            )

    def _check_revision(self, request: Mapping[str, Any]) -> None:
        if request.get("revision") != self.revision:
            msg = "the page shows an older lineage, because it is open twice; reload it"
            raise OutdatedPageError(msg)

    def _add(self, edit: Edit) -> _State:
        """Return the state with one more edit; raise if it is refused."""
        own = translate_edit(edit, self.lineage)
        if own in self.edits:
            msg = f"edit {self.edits.index(own) + 1} is the same"
            raise RefusedEditError(msg)
        if edit.kind == "confirm":
            self._confirmed.add(own)
        plan = self.session.plan(EditList((*self.edits, own), labels="input"), shown=self._state.shown.labels)
        if own not in plan.new:
            raise RefusedEditError(next(reason for each, reason in plan.refused if each == own))
        return self._solve(EditList((*self.edits, own), labels="input"))

    def _remove(self, number: object) -> _State:
        edits = list(self.edits)
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= len(edits):
            msg = f"there is no edit {number!r:.20}; there are {len(edits)}"
            raise InputError(msg)
        del edits[number - 1]
        return self._solve(EditList(tuple(edits), labels="input"))

    def _solve(self, given: EditList) -> _State:
        plan = self.session.plan(given)
        solution = self.session.solve(plan)
        return _State(tuple(dict.fromkeys(plan.new)), solution, ShownCells.from_result(self.session.build(solution)))

    def _complete(self, data: dict[str, Any]) -> None:
        """Add what only a page has that is served: where the outlines are, and colours that stay."""
        shown = self._state.shown
        data["cells"] |= {"outline": pack_column(shown.place, "i4"), "identity": pack_column(shown.identity, "i4")}
        track, root = choose_colour_numbers(shown, self._first)
        data["tracks"] |= {"trackColour": write_colours(track), "familyColour": write_colours(root)}

    def _describe_changes(self, before: _State) -> dict[str, Any]:
        shown = self._state.shown
        content = update_content(self.content, shown.lineage)
        data = collect_data(replace(content, runs=None, pictures=None))
        self._complete(data)
        data = {name: value for name, value in data.items() if name not in _VIEWS}
        frames = find_changed_frames(before.shown, shown)
        outlines = trace_frames(shown.lineage, shown.sort_runs(), content.planes, frames)
        return self._describe(before) | {"data": data, "outlines": outlines}

    def _describe(self, before: _State | None = None) -> dict[str, Any]:
        """Return edits and changes as the page lists them."""
        state = self._state
        changes: list[list[Any]] = []
        if before is not None:
            lineages = before.solution.repaired.lineage, state.solution.repaired.lineage
            named = {*before.solution.applied, *state.solution.applied}
            changes = [
                [change.added, self._find_row(change.target), self._name([change.source, change.target])]
                for change in compare_links(*lineages, named)
            ]
        refused = state.solution.refused
        return {
            "revision": self.revision,
            "edits": [self._describe_edit(edit) for edit in state.edits],
            "earlier": len(state.solution.applied) - len(state.edits),
            "overruled": [[edit.kind, self._name(edit.cells), reason] for edit, reason in refused],
            "changes": changes[:_MOST_CHANGES],
            "changeCount": len(changes),
            "allChanges": len(state.solution.changes),
            "saved": self.is_saved or not (self.edits or self.overwrite),
            "out": str(self.out),
        }

    def _describe_edit(self, edit: Edit) -> dict[str, Any]:
        rows = [self._find_row(cell) for cell in edit.cells]
        kind = "confirm" if edit in self._confirmed else edit.kind
        return {"kind": kind, "rows": rows, "names": self._name(edit.cells), "frame": edit.cells[-1][0]}

    def _find_row(self, cell: _Cell) -> int:
        return self._state.shown.rows.get(cell, -1)

    def _name(self, cells: Iterable[_Cell]) -> list[list[int]]:
        """Return frame and label of cells as the page shows them; of removed ones as it showed them at first."""
        labels, first = self._state.shown.labels, self._first.labels
        return [[frame, labels.get((frame, label), first.get((frame, label), 0))] for frame, label in cells]

    def _try_to_keep(self) -> dict[str, str]:
        """Write the edits to their file; return what the page shows if that fails."""
        self._is_kept = False
        try:
            self._check_file()
            self._keep()
        except OutputError as error:
            return {"problem": f"The edits are not kept: {error}"}
        except OSError as error:
            reason = f"The edits cannot be kept in {self.edits_file} ({error.strerror}); save the result"
            return {"problem": reason}
        self._is_kept = True
        return {}

    def _read_file(self) -> bytes | None:
        """Return the content of the file of edits, None if there is none that can be read."""
        try:
            return self.edits_file.read_bytes()
        except OSError:
            return None

    def _check_file(self) -> None:
        """Raise if another program has changed the file of edits, such as a second server of the same result."""
        now = self._read_file()
        if now is not None and now != self._kept:
            msg = (
                f"{self.edits_file} was changed by another program, perhaps a second 'gnntrack serve' of this result; "
                "stop that one, and move the file away to keep the edits of this page"
            )
            raise OutputError(msg)

    def _keep(self) -> None:
        """Write the edits to their file, as a whole or not at all."""
        edits = EditList(self.edits, labels="input", fingerprint=self.content.fingerprint)
        content = edits.to_dict() | ({"saved": str(self.out)} if self.overwrite else {})
        place = self.edits_file.with_name(f".partial-{self.edits_file.name}")
        written = (json.dumps(content, indent=1) + "\n").encode()
        place.write_bytes(written)
        place.replace(self.edits_file)
        self._kept = written

    def _is_written(self) -> bool:
        """Return whether the folder of `save` holds a result with exactly these edits."""
        file = self.out / EXTRAS / "edits.json"
        return self.overwrite and file.exists() and read_edits(file).edits == self._state.solution.applied


def read_kept_edits(path: Path, *, out: Path, fingerprint: str | None) -> tuple[EditList, bool]:
    """Read the edits that an earlier session has kept.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    out : Path
        Where the result is to be saved.
    fingerprint : str, optional
        Of the result that is served.

    Returns
    -------
    edits : EditList
        None if there is no file.
    saved : bool
        Whether the earlier session has written `out`.

    Raises
    ------
    FormatError
        If it is not a file of edits.
    InputError
        If the edits are those of another result.
    """
    if not os.path.lexists(path):
        return EditList(labels="input"), False
    edits = read_edits(path)
    if edits.fingerprint and fingerprint and edits.fingerprint != fingerprint:
        msg = f"{path}: it holds edits of another result; move it, or choose another file (--edits FILE)"
        raise InputError(msg)
    saved = read_json(path).get("saved")
    return edits, saved == str(out)
