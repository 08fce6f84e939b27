"""A result whose movie was read again: it is solved around edits any number of times.

`gnntrack.corrections` solves it once, for ``gnntrack apply-edits``; `gnntrack.serving` after each edit in the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gnntrack.errors import FormatError, InputError
from gnntrack.io.result_folders import EXTRAS
from gnntrack.json_files import read_json
from gnntrack.lineage.constraints import Constraints, EditChecker
from gnntrack.lineage.edits import Edit, EditList, RefusedEditError, read_edits, translate_edit
from gnntrack.lineage.link_changes import LinkChange, compare_links, list_labels
from gnntrack.loading import load
from gnntrack.methods import METHODS
from gnntrack.movie_candidates import MovieCandidates, read_candidates, solve_movie
from gnntrack.plurals import choose_form, count_noun
from gnntrack.result_files import RunRecord, find_source, restore_settings, write_result
from gnntrack.results import Result, build_result, find_point_result, find_result
from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    from gnntrack.lineage.repair import RepairedMovie
    from gnntrack.movie import Movie
    from gnntrack.types import Cells, Lineage, Progress

__all__ = ["CorrectedMovie", "CorrectionSession", "EditPlan", "RecordedRun", "make_plan", "open_session"]

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
    earlier : tuple of Edit, optional
        Edits that the result was solved around, if they are not those of its ``edits.json``.
    """

    folder: Path
    summary: dict[str, Any]
    lineage: Lineage
    earlier: tuple[Edit, ...] | None = None

    @classmethod
    def read(cls, path: str | Path) -> RecordedRun:
        """Read the record of a result.

        Raises
        ------
        InputError
            If there is none, or the result was changed since.
        """
        folder = find_result(Path(path).expanduser())
        if folder is None and find_point_result(Path(path).expanduser()) is not None:
            msg = (
                f"{path}: a result of points, and corrections need masks; 'gnntrack export {path} --to ctc --radius "
                "RADIUS -o 01_RES' draws a ball for each point, and its result can be corrected"
            )
            raise FormatError(msg)
        if folder is None and not Path(path).expanduser().exists():
            msg = f"{path}: no such folder; give a folder that 'gnntrack track' or 'gnntrack import' has written"
            raise FormatError(msg)
        if folder is not None and not (folder / EXTRAS).exists():  # of another program
            return cls(folder, {"method": "imported", "solver": None, "settings": {}, "input": {}}, load(folder))
        try:
            if folder is None:
                raise FileNotFoundError
            summary = read_json(folder / EXTRAS / "summary.json")
            _ = summary["method"], summary["solver"], summary["settings"], summary["input"]
        except (OSError, ValueError, LookupError, TypeError) as error:
            msg = f"{path}: there is no record of the run in it; give a folder that 'gnntrack track' has written"
            raise FormatError(msg) from error
        lineage = load(folder)
        if lineage.origins is None and summary["method"] in METHODS:
            msg = f"{path}: its masks or res_track.txt were changed after it was written; track the movie again"
            raise FormatError(msg)
        return cls(folder, summary, lineage)

    @property
    def has_scores(self) -> bool:
        """Whether its method can score the links again."""
        return self.summary["method"] in METHODS

    def read_edits(self) -> tuple[Edit, ...]:
        """Return the edits that the result was solved around, in the labels of the input."""
        if self.earlier is not None:
            return self.earlier
        file = self.folder / EXTRAS / "edits.json"
        return read_edits(file).edits if file.exists() else ()

    def find(self, name: str) -> str | None:
        """Return the path of the images or masks, None if nothing is there."""
        recorded: str | None = self.summary["input"].get(name)
        return None if recorded is None else find_source(recorded, self.folder)

    def take_as_input(self) -> RecordedRun:
        """Return the same result, of which the masks themselves are the input that is tracked."""
        label = list_labels(self.lineage)
        earlier = [
            edit._replace(cells=tuple((cell[0], label[cell]) for cell in edit.cells))
            for edit in self.read_edits()
            if all(cell in label for cell in edit.cells)  # cells that were removed are not in the masks
        ]
        summary = self.summary | {"input": self.summary["input"] | {"masks": str(self.folder)}}
        return replace(self, summary=summary, lineage=self.lineage.with_origins(None), earlier=tuple(earlier))

    def source(self, name: str) -> str | None:
        """Return the path of the images or masks; raise if nothing is there."""
        recorded, found = self.summary["input"].get(name), self.find(name)
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

    @property
    def movie(self) -> Movie:
        """Images and masks."""
        return self.candidates.movie

    def plan(self, given: EditList, *, shown: Mapping[_Cell, int] | None = None) -> EditPlan:
        """Check new edits against each other, and those that the result keeps already against the new ones.

        Parameters
        ----------
        given : EditList
            New edits.
        shown : mapping of (frame, label) to int, optional
            Labels by which the reasons of refused edits name the cells of the input.
        """
        return make_plan(self.before, given, self.candidates.graph.cells, shown)

    def solve(self, plan: EditPlan, *, progress: Progress | None = None) -> CorrectedMovie:
        """Solve the movie around the edits of a plan.

        Parameters
        ----------
        plan : EditPlan
            From `plan`.
        progress : Progress, optional
            As in `gnntrack.track`.
        """
        with record_warnings() as messages:
            repaired = solve_movie(self.candidates, fixed=plan.fixed, progress=progress)
        changes = tuple(compare_links(self.before.lineage, repaired.lineage, plan.applied))
        return CorrectedMovie(repaired, plan.applied, plan.refused, changes, tuple(messages))

    def build(self, solution: CorrectedMovie) -> Result:
        """Return the cells of the masks that `write` would write."""
        return build_result(solution.repaired, self.movie.images, self.movie.channels)

    def write(self, solution: CorrectedMovie, out: str | Path, *, overwrite: bool) -> None:
        """Write a solution as a result, as `apply_edits` does.

        Raises
        ------
        OutputError
            As of `gnntrack.track`.
        """
        movie = self.movie
        with record_warnings() as messages:
            messages[:] = dict.fromkeys([*self.warnings, *solution.warnings, *messages])
            edits = EditList(solution.applied, labels="input")
            run = replace(self.run, edits=edits, warnings=messages)
            write_result(
                out, solution.repaired, images=movie.images, channels=movie.channels, run=run, overwrite=overwrite
            )


def open_session(
    before: RecordedRun,
    *,
    images: object = None,
    masks: object = None,
    method: str | None = None,
    progress: Progress | None = None,
) -> CorrectionSession:
    """Read and score the movie of a result again.

    Parameters
    ----------
    before : RecordedRun
        The result.
    images, masks, method, progress
        As of `apply_edits`.

    Raises
    ------
    InputError
        If the movie is not there, or is not the one that was tracked, or the links have no scores and no method is
        given.
    """
    if method is None and not before.has_scores:
        msg = (
            f"{before.folder}: its method is '{before.summary['method']}', so that its links have no scores to solve "
            "again with; give a method, or track the masks with 'gnntrack track' first"
        )
        raise InputError(msg)
    if not before.has_scores and masks is None:
        before = before.take_as_input()
    chosen = {"images": images if images is not None else before.source("images"), "masks": masks}
    options: dict[str, Any] = {}
    if masks is None:
        chosen["masks"] = before.source("masks")
        if before.summary.get("segmenter"):
            options["segmenter"] = before.summary["segmenter"]
            options["segmenter_options"] = before.summary.get("segmenter_options") or None
    run = RunRecord(chosen["images"], chosen["masks"], restore_settings(before.summary))
    names: dict[str, Any] = {
        "method": method or before.summary["method"],
        "solver": None if method else before.summary["solver"],
    }
    with record_warnings() as messages:
        candidates = read_candidates(run, **names, progress=progress, **options)
    _check_cells(before.lineage, candidates.graph.cells)
    return CorrectionSession(before, candidates, run, tuple(messages))


class EditPlan(NamedTuple):
    """Edits that were checked, in the labels of the input."""

    fixed: Constraints
    """What they fix."""
    applied: tuple[Edit, ...]
    """Those that are kept: first the earlier ones, of the result, then the new ones."""
    refused: tuple[tuple[Edit, str], ...]
    """Those that are not, as they were given, and the reason of each."""
    new: tuple[Edit, ...]
    """The new ones of those that are kept."""


def make_plan(before: RecordedRun, given: EditList, cells: Cells, shown: Mapping[_Cell, int] | None) -> EditPlan:
    """Check new edits against each other, and those that a result keeps already against the new ones.

    Parameters
    ----------
    before : RecordedRun
        The result.
    given, shown
        As of `CorrectionSession.plan`.
    cells : Cells
        The cells of the masks that were tracked.
    """
    own = list_labels(before.lineage)
    checker = EditChecker(cells, shown=own if given.labels == "result" else shown)
    new, earlier = [], []
    refused: list[tuple[Edit, str]] = []
    for number, edit in enumerate(given.edits, start=1):
        try:
            translated = _translate(edit, given.labels, before.lineage, own)
            checker.add(translated, f"edit {number}")
        except RefusedEditError as error:
            refused.append((edit, str(error)))
        else:
            new.append(translated)
    for edit in before.read_edits():
        try:
            checker.add(edit, "an earlier edit")
        except RefusedEditError as error:
            refused.append((edit, f"it was made earlier, and now {error}"))
        else:
            earlier.append(edit)
    applied = tuple(dict.fromkeys([*earlier, *new]))
    return EditPlan(checker.make_constraints(), applied, tuple(refused), tuple(new))


def _translate(edit: Edit, labels: str, lineage: Lineage, own: dict[_Cell, int]) -> Edit:
    """Return a new edit in the labels of the input; a confirmation becomes what it confirms."""
    if labels == "result":
        return translate_edit(edit, lineage)
    if edit.kind != "confirm":
        return edit
    cells = tuple((cell[0], own.get(cell, 0)) for cell in edit.cells)
    return translate_edit(edit._replace(cells=cells), lineage)


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
