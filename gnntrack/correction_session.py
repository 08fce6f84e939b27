"""A result whose movie was read again: it is solved around edits any number of times.

`gnntrack.corrections` solves it once, for ``gnntrack apply-edits``; `gnntrack.serving` after each edit in the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import FormatError, InputError
from gnntrack.io.result_folders import EXTRAS
from gnntrack.lineage.constraints import Constraints, EditChecker
from gnntrack.lineage.edits import Edit, EditList, RefusedEditError, read_edits, translate_edit
from gnntrack.lineage.link_changes import LinkChange, compare_links, list_old_links
from gnntrack.loading import load
from gnntrack.methods import METHODS
from gnntrack.movie_candidates import MovieCandidates, read_candidates, solve_movie
from gnntrack.plurals import choose_form, count_noun
from gnntrack.result_files import RunRecord, find_source, restore_settings, write_result
from gnntrack.results import Result, build_result, find_result
from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    from gnntrack.lineage.repair import RepairedMovie
    from gnntrack.types import Cells, Lineage, Progress

__all__ = ["CorrectedMovie", "CorrectionSession", "RecordedRun", "open_session"]

_Cell = tuple[int, int]


@dataclass(frozen=True)
class RecordedRun:
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
    def read(cls, path: str | Path) -> RecordedRun:
        """Read the record of a result.

        Raises
        ------
        InputError
            If there is none, or the result was changed since.
        """
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

    def read_edits(self) -> tuple[Edit, ...]:
        """Return the edits that the result was solved around, in the labels of the input."""
        file = self.folder / EXTRAS / "edits.json"
        return read_edits(file).edits if file.exists() else ()

    def source(self, name: str) -> str | None:
        """Return the path of the images or masks; raise if nothing is there."""
        recorded: str | None = self.summary["input"].get(name)
        found = None if recorded is None else find_source(recorded, self.folder)
        if recorded is None or found is not None:
            return found
        msg = f"{self.folder}: its {name} were '{recorded}', which is not there; give {name} (--{name} PATH)"
        raise InputError(msg)


@dataclass(frozen=True)
class CorrectedMovie:
    """A movie that was solved around edits, before it is written.

    Parameters
    ----------
    repaired : RepairedMovie
        Lineage and masks.
    applied, refused, changes
        As of `CorrectedLineage`.
    warnings : tuple of str
        Warnings of this solution.
    """

    repaired: RepairedMovie
    applied: tuple[Edit, ...]
    refused: tuple[tuple[Edit, str], ...]
    changes: tuple[LinkChange, ...]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class CorrectionSession:
    """A result whose movie was read and scored again, so that it can be solved around edits any number of times.

    Parameters
    ----------
    before : RecordedRun
        The result.
    candidates : MovieCandidates
        Its movie.
    run : RunRecord
        Of the run that is repeated.
    warnings : tuple of str
        Warnings about the movie.
    """

    before: RecordedRun
    candidates: MovieCandidates
    run: RunRecord
    warnings: tuple[str, ...] = ()

    def solve(
        self, given: EditList, *, shown: Mapping[_Cell, int] | None = None, progress: Progress | None = None
    ) -> CorrectedMovie:
        """Solve the movie around edits, and around those that the result keeps already.

        Parameters
        ----------
        given : EditList
            New edits.
        shown : mapping of (frame, label) to int, optional
            Labels by which the reasons of refused edits name the cells of the input.
        progress : Progress, optional
            As in `gnntrack.track`.

        Raises
        ------
        InputError
            If edits are given and all of them are refused.
        """
        with record_warnings() as messages:
            plan = _Plan(self.before, given, self.candidates.graph.cells, shown)
            fixed = plan.constrain()
            repaired = solve_movie(self.candidates, fixed=fixed, progress=progress)
        changes = tuple(compare_links(self.before.lineage, repaired.lineage, plan.applied))
        return CorrectedMovie(repaired, tuple(plan.applied), tuple(plan.refused), changes, tuple(messages))

    def build(self, solution: CorrectedMovie) -> Result:
        """Return the cells of the masks that `write` would write."""
        movie = self.candidates.movie
        return build_result(solution.repaired, movie.images, movie.channels)

    def write(self, solution: CorrectedMovie, out: str | Path, *, overwrite: bool) -> None:
        """Write a solution as a result, as `apply_edits` does.

        Raises
        ------
        OutputError
            As of `gnntrack.track`.
        """
        movie = self.candidates.movie
        with record_warnings() as messages:
            messages[:] = dict.fromkeys([*self.warnings, *solution.warnings, *messages])
            edits = EditList(solution.applied, labels="input")
            run = replace(self.run, edits=edits, warnings=messages)
            write_result(
                out, solution.repaired, images=movie.images, channels=movie.channels, run=run, overwrite=overwrite
            )


def open_session(
    before: RecordedRun, *, images: object = None, masks: object = None, progress: Progress | None = None
) -> CorrectionSession:
    """Read and score the movie of a result again.

    Parameters
    ----------
    before : RecordedRun
        The result.
    images, masks, progress
        As of `apply_edits`.

    Raises
    ------
    InputError
        If the movie is not there, or is not the one that was tracked.
    """
    chosen = {"images": images if images is not None else before.source("images"), "masks": masks}
    options: dict[str, Any] = {}
    if masks is None:
        chosen["masks"] = before.source("masks")
        if before.summary.get("segmenter"):
            options["segmenter"] = before.summary["segmenter"]
            options["segmenter_options"] = before.summary.get("segmenter_options") or None
    run = RunRecord(chosen["images"], chosen["masks"], restore_settings(before.summary))
    names = {"method": before.summary["method"], "solver": before.summary["solver"]}
    with record_warnings() as messages:
        candidates = read_candidates(run, **names, progress=progress, **options)
    _check_cells(before.lineage, candidates.graph.cells)
    return CorrectionSession(before, candidates, run, tuple(messages))


@dataclass
class _Plan:
    """Edits in the labels of the input: new ones, and after them those that the result keeps already."""

    before: RecordedRun
    given: EditList
    cells: Cells
    shown: Mapping[_Cell, int] | None = None
    applied: list[Edit] = field(default_factory=list)
    refused: list[tuple[Edit, str]] = field(default_factory=list)

    def constrain(self) -> Constraints:
        """Return what the edits fix, and record those that were applied and refused."""
        own = list_old_links(self.before.lineage)[1]
        checker = EditChecker(self.cells, shown=own if self.given.labels == "result" else self.shown)
        new: list[Edit] = []
        for number, edit in enumerate(self.given.edits, start=1):
            self._add(checker, edit, f"edit {number}", new, own)
        if self.given.edits and not new:
            reasons = "; ".join(f"edit {n}: {reason}" for n, (_, reason) in enumerate(self.refused[:5], start=1))
            msg = f"no edit can be applied; {reasons}"
            raise InputError(msg)
        earlier: list[Edit] = []
        for edit in self.before.read_edits():
            self._add(checker, edit, "an earlier edit", earlier, None)
        self.applied = list(dict.fromkeys([*earlier, *new]))
        return checker.make_constraints()

    def _add(self, checker: EditChecker, edit: Edit, name: str, kept: list[Edit], own: dict[_Cell, int] | None) -> None:
        """Add an edit to those that are kept, or to those that are refused; an earlier one has no `own`."""
        try:
            translated = edit if own is None else self._translate(edit, own)
            checker.add(translated, name)
        except RefusedEditError as error:
            reason = f"it was made earlier, and now {error}" if own is None else str(error)
            self.refused.append((edit, reason))
        else:
            kept.append(translated)

    def _translate(self, edit: Edit, own: dict[_Cell, int]) -> Edit:
        """Return a new edit in the labels of the input."""
        if self.given.labels == "result":
            return translate_edit(edit, self.before.lineage)
        if edit.kind != "confirm":
            return edit
        cells = tuple((cell[0], own.get(cell, 0)) for cell in edit.cells)
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
