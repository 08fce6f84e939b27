"""The recipe that solves a movie again around the corrections of a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.io.result_folders import EXTRAS
from gnntrack.lineage.constraints import Constraints, EditChecker
from gnntrack.lineage.edits import (
    Edit,
    EditList,
    RefusedEditError,
    list_own_links,
    read_edits,
    translate_edit,
)
from gnntrack.loading import load
from gnntrack.methods import METHODS
from gnntrack.pipeline import track_movie
from gnntrack.plurals import choose_form, count_noun
from gnntrack.progress_bars import open_progress
from gnntrack.result_files import RunRecord, find_source, restore_settings
from gnntrack.results import find_result

if TYPE_CHECKING:
    from gnntrack.types import Cells, Lineage

__all__ = ["CorrectedLineage", "LinkChange", "apply_edits"]

_Cell = tuple[int, int]
_Link = tuple[_Cell, _Cell]


class LinkChange(NamedTuple):
    """A link that differs from that of the result before the edits."""

    added: bool
    """Whether the link is new; else it is no longer there."""
    source: _Cell
    """Frame and label of the first cell in the masks that were tracked."""
    target: _Cell
    """Those of the second cell."""
    labels: tuple[int, int]
    """Labels of both in the result before the edits; 0 if a cell was not in it."""

    def __str__(self) -> str:
        state = "added" if self.added else "removed"
        first, second = self.labels
        return f"{state}: frame {self.source[0]}, label {first} -> frame {self.target[0]}, label {second}"


@dataclass(frozen=True)
class CorrectedLineage:
    """A lineage that was solved around edits.

    Parameters
    ----------
    lineage : Lineage
        As `gnntrack.track` returns it.
    applied : tuple of Edit
        The edits that it keeps, in the labels of the masks that were tracked; also those that an earlier
        `apply_edits` has kept.
    refused : tuple of (Edit, str)
        Edits that were not used, as they were given, and the reason of each.
    changes : tuple of LinkChange
        All other links that differ from those of the result before: not those that an edit names.
    """

    lineage: Lineage
    applied: tuple[Edit, ...] = ()
    refused: tuple[tuple[Edit, str], ...] = ()
    changes: tuple[LinkChange, ...] = ()


def apply_edits(
    result: str | Path,
    edits: str | Path | EditList | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    images: object = None,
    masks: object = None,
    overwrite: bool = False,
    progress: Any = None,
) -> CorrectedLineage:
    """Solve a movie again with the links that a person has fixed, by the method and the settings of the result.

    Links of edits are fixed, and the solver chooses among the candidates that they leave: a cell that is joined to
    another one is free neither for other links nor for divisions. The movie is read and scored again, because a result
    does not hold its candidates.

    Parameters
    ----------
    result : path
        Folder that `gnntrack.track` has written.
    edits : path, EditList or mapping
        The edits: ``edits.json`` of ``gnntrack report``, or the content of such a file.
    out : path, optional
        Folder of the new result; if None, nothing is written.
    images, masks : path, array or FrameStack, optional
        Those of the result, if they are no longer where they were.
    overwrite, progress
        As in `gnntrack.track`.

    Returns
    -------
    CorrectedLineage
        The lineage, the edits that it keeps, those that were refused, and the other links that changed.

    Raises
    ------
    InputError
        If the result has no record of its run or was changed since, the edits are those of another result, every one
        is refused, or the movie is not the one that was tracked.
    OutputError
        As `gnntrack.track`.

    Examples
    --------
    >>> import tempfile
    >>> import gnntrack
    >>> masks = np.zeros((4, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11], masks[:, 25:31, 20:26] = 1, 2
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "masks.npy", masks)
    >>> len(gnntrack.track(masks=folder / "masks.npy", out=folder / "01_RES"))
    2
    >>> edits = EditList((Edit("cut", ((1, 1), (2, 1))),))
    >>> corrected = apply_edits(folder / "01_RES", edits)
    >>> len(corrected.lineage), len(corrected.applied), corrected.changes
    (3, 1, ())
    """
    before = _RecordedRun.read(result)
    given = _read_given(edits, before)
    chosen = {"images": images if images is not None else before.source("images"), "masks": masks}
    options: dict[str, Any] = {}
    if masks is None:
        chosen["masks"] = before.source("masks")
        if before.summary.get("segmenter"):
            options["segmenter"] = before.summary["segmenter"]
            options["segmenter_options"] = before.summary.get("segmenter_options") or None
    run = RunRecord(chosen["images"], chosen["masks"], restore_settings(before.summary))
    plan = _Plan(before, given, run)
    choice = {"method": before.summary["method"], "solver": before.summary["solver"]}
    with open_progress(progress) as report:
        lineage = track_movie(
            run, out=out, overwrite=overwrite, progress=report, correct=plan.constrain, **choice, **options
        )
    changes = tuple(_compare_links(before.lineage, lineage, plan.applied))
    return CorrectedLineage(lineage, tuple(plan.applied), tuple(plan.refused), changes)


@dataclass(frozen=True)
class _RecordedRun:
    """A result with the record of the run that made it.

    Parameters
    ----------
    folder : Path
        Of the result.
    summary : dict
        Content of its ``summary.json``.
    lineage : Lineage
        As it was written, with its origins.
    """

    folder: Path
    summary: dict[str, Any]
    lineage: Lineage

    @classmethod
    def read(cls, path: str | Path) -> _RecordedRun:
        folder = find_result(Path(path).expanduser())
        try:
            if folder is None:
                raise FileNotFoundError
            summary = json.loads((folder / EXTRAS / "summary.json").read_text(encoding="utf-8"))
            known = summary["method"], summary["solver"], summary["settings"], summary["input"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            msg = f"{path}: there is no record of the run in it; give a folder that 'gnntrack track' has written"
            raise FormatError(msg) from error
        if known[0] not in METHODS:
            msg = (
                f"{path}: its method is '{known[0]}', so that its links have no scores to solve again with; track the "
                "masks with 'gnntrack track' first"
            )
            raise InputError(msg)
        lineage = load(folder)
        if lineage.origins is None:
            msg = f"{path}: its masks or res_track.txt were changed after it was written; track the movie again"
            raise FormatError(msg)
        return cls(folder, summary, lineage)

    def source(self, name: str) -> str | None:
        """Return the path of the images or masks; raise if nothing is there."""
        recorded: str | None = self.summary["input"].get(name)
        found = None if recorded is None else find_source(recorded, self.folder)
        if recorded is None or found is not None:
            return found
        msg = f"{self.folder}: its {name} were '{recorded}', which is not there; give {name} (--{name} PATH)"
        raise InputError(msg)


def _read_given(edits: object, before: _RecordedRun) -> EditList:
    """Return the new edits; raise if they are those of another result."""
    if isinstance(edits, Mapping):
        given = EditList.from_dict(dict(edits))
    else:
        given = edits if isinstance(edits, EditList) else read_edits(edits)  # type: ignore[arg-type]
    own = before.summary.get("fingerprint")
    if given.fingerprint and own and given.fingerprint != own:
        msg = f"the edits were made for another result than {before.folder}; give the result of their report"
        raise InputError(msg)
    return given


@dataclass
class _Plan:
    """Edits in the labels of the input: new ones, and after them those that the result keeps already."""

    before: _RecordedRun
    given: EditList
    run: RunRecord
    applied: list[Edit] = field(default_factory=list)
    refused: list[tuple[Edit, str]] = field(default_factory=list)
    shown: dict[_Cell, int] = field(default_factory=dict)

    def constrain(self, cells: Cells) -> Constraints:
        """Return what the edits fix, and record those that were applied and refused."""
        _check_cells(self.before.lineage, cells)
        self.shown = _list_old_links(self.before.lineage)[1]
        checker = EditChecker(cells, shown=self.shown if self.given.labels == "result" else None)
        new: list[Edit] = []
        for number, edit in enumerate(self.given.edits, start=1):
            self._add(checker, edit, f"edit {number}", new)
        if self.given.edits and not new:
            reasons = "; ".join(f"edit {n}: {reason}" for n, (_, reason) in enumerate(self.refused[:5], start=1))
            msg = f"no edit can be applied; {reasons}"
            raise InputError(msg)
        earlier: list[Edit] = []
        file = self.before.folder / EXTRAS / "edits.json"
        for edit in read_edits(file).edits if file.exists() else ():
            self._add(checker, edit, "an earlier edit", earlier, translated=True)
        self.applied = list(dict.fromkeys([*earlier, *new]))
        self.run.edits = EditList(tuple(self.applied), labels="input")
        return checker.make_constraints()

    def _add(self, checker: EditChecker, edit: Edit, name: str, kept: list[Edit], *, translated: bool = False) -> None:
        try:
            own = edit if translated else self._translate(edit)
            checker.add(own, name)
        except RefusedEditError as error:
            reason = f"it was made earlier, and now {error}" if translated else str(error)
            self.refused.append((edit, reason))
        else:
            kept.append(own)

    def _translate(self, edit: Edit) -> Edit:
        """Return a new edit in the labels of the input."""
        if self.given.labels == "result":
            return translate_edit(edit, self.before.lineage)
        if edit.kind != "confirm":
            return edit
        cells = tuple((cell[0], self.shown.get(cell, 0)) for cell in edit.cells)
        return translate_edit(edit._replace(cells=cells), self.before.lineage)


def _check_cells(result: Lineage, cells: Cells) -> None:
    """Raise unless the cells contain those of the result."""
    label = result.origins.input_label if result.origins is not None else result.cells.label
    own = label > 0
    lost = own.copy()
    lost[own] = cells.row_of(result.cells.frame[own], label[own]) < 0
    if result.cells.n_frames != cells.n_frames or lost.any():
        n = int(lost.sum())
        msg = (
            f"the masks are not those that the result was made from: they have {count_noun(cells.n_frames, 'frame')}, "
            f"the result {result.cells.n_frames}, and {count_noun(n, 'cell')} of the result "
            f"{choose_form(n, 'is', 'are')} not in them; give the masks of this result (--masks PATH)"
        )
        raise InputError(msg)


def _compare_links(before: Lineage, after: Lineage, applied: list[Edit]) -> Iterator[LinkChange]:
    """Yield the links that differ and that no edit names, by time."""
    named: set[_Link] = set()
    gone: set[_Cell] = set()
    for edit in applied:
        named |= {(edit.cells[0], target) for target in edit.cells[1:]}
        gone |= set(edit.cells) if edit.kind == "spurious" else set()
    old, shown = _list_old_links(before)
    frame, label = after.cells.frame.tolist(), after.cells.label.tolist()
    cells = list(zip(frame, label, strict=True))
    new = {(cells[s], cells[t]) for s, t in zip(after.source.tolist(), after.target.tolist(), strict=True)}
    for source, target in sorted(old ^ new, key=lambda link: (link[0][0], link)):
        if (source, target) not in named and gone.isdisjoint((source, target)):
            yield LinkChange((source, target) in new, source, target, (shown.get(source, 0), shown.get(target, 0)))


def _list_old_links(before: Lineage) -> tuple[set[_Link], dict[_Cell, int]]:
    """Return the links of a result in the labels of the input, and its own label of each cell."""
    past = list_own_links(before).past
    label = before.origins.input_label if before.origins is not None else before.cells.label
    cells = list(zip(before.cells.frame.tolist(), label.tolist(), strict=True))
    links = {(cells[past[row]], cells[row]) for row in np.flatnonzero(past >= 0).tolist()}
    return links, dict(zip(cells, before.cells.label.tolist(), strict=True))
