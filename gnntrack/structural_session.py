"""A result without scores, such as that of another program: edits change the links that they name, without solving.

A `StructuralSession` has the methods of a `gnntrack.correction_session.CorrectionSession`; `choose_session` opens the
one that fits a result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.correction_session import CorrectedMovie, CorrectionSession, EditPlan, make_plan, open_session
from gnntrack.lineage.constraints import Constraints
from gnntrack.lineage.edits import EditList, list_input_cells
from gnntrack.lineage.link_changes import compare_links
from gnntrack.lineage.repair import repair_movie
from gnntrack.lineage.structural_edits import change_links
from gnntrack.movie import Movie, open_movie
from gnntrack.result_files import RunRecord, restore_settings, write_result
from gnntrack.results import Result, build_result, read_result
from gnntrack.types import Cells
from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gnntrack.correction_session import RecordedRun
    from gnntrack.types import IntArray, Lineage, Progress, Runs

__all__ = ["StructuralSession", "choose_session"]


def choose_session(
    before: RecordedRun,
    *,
    images: object = None,
    masks: object = None,
    method: str | None = None,
    progress: Progress | None = None,
) -> CorrectionSession | StructuralSession:
    """Return the session for a result: it is solved again if its links have scores, or a method is given.

    Parameters
    ----------
    before : RecordedRun
        The result.
    images, masks, method, progress
        As of `gnntrack.apply_edits`.

    Raises
    ------
    InputError
        As of `gnntrack.correction_session.open_session`.
    """
    if before.has_scores or method is not None or masks is not None:
        return open_session(before, images=images, masks=masks, method=method, progress=progress)
    summary = before.summary
    settings = restore_settings(summary)
    chosen = images if images is not None else before.find("images")
    recorded = summary["input"]
    run = RunRecord(chosen or recorded.get("images"), recorded.get("masks") or str(before.folder), settings)
    with record_warnings() as messages:
        movie = open_movie(chosen, before.folder, settings=settings.replace(frames__trust_masks=True))
        lineage, runs = read_result(before.folder)
    run.names, run.channel = movie.names, movie.channel
    return StructuralSession(before, lineage, runs, movie, run, tuple(messages))


@dataclass(frozen=True)
class StructuralSession:
    """A result whose links have no scores, so that edits change it and nothing is solved.

    Parameters
    ----------
    before : RecordedRun
        The result.
    lineage, runs : Lineage, Runs
        Its cells and their pixels.
    movie : Movie
        Its images, if there are any, and its masks.
    run : RunRecord
        Of the run that made the result.
    warnings : tuple of str
        Warnings about the movie.
    """

    before: RecordedRun
    lineage: Lineage
    runs: Runs
    movie: Movie
    run: RunRecord
    warnings: tuple[str, ...] = ()

    def plan(self, given: EditList, *, shown: Mapping[tuple[int, int], int] | None = None) -> EditPlan:
        """Check edits, as `gnntrack.correction_session.CorrectionSession.plan` does."""
        return make_plan(self.before, given, self._list_cells()[0], shown)

    def solve(self, plan: EditPlan, *, progress: Progress | None = None) -> CorrectedMovie:  # noqa: ARG002
        """Change the links of the result that the edits of a plan name, and draw the masks of new gaps."""
        fixed = _select_rows(plan.fixed, self._list_cells()[1])
        changed = change_links(self.lineage, fixed)
        row = np.cumsum(changed.kept) - 1
        runs = self.runs.select(changed.kept[self.runs.cell], row[self.runs.cell])
        # the labels of the result are cells: fragments were merged when it was made, and the margin was removed
        settings = self.run.settings.repair.replace(join_pieces=False, margin=0)
        with record_warnings() as messages:
            repaired = repair_movie(changed.lineage, runs, settings=settings, images=self.movie.images)
        known = self.lineage.provenance
        lineage = repaired.lineage.with_origins(changed.lineage.origins).with_provenance(
            method=known.method or "imported",
            removed_by_edits=tuple(edit.cells[0] for edit in plan.applied if edit.kind == "spurious"),
            masks_split=(known.masks_split or 0) + len(repaired.split_masks),
        )
        repaired = replace(repaired, lineage=lineage)
        changes = tuple(compare_links(self.before.lineage, lineage, plan.applied))
        return CorrectedMovie(repaired, plan.applied, plan.refused, changes, tuple(messages))

    def build(self, solution: CorrectedMovie) -> Result:
        """Return the cells of the masks that `write` would write."""
        return build_result(solution.repaired, self.movie.images, self.movie.channels)

    def write(self, solution: CorrectedMovie, out: str | Path, *, overwrite: bool) -> None:
        """Write the changed result.

        Raises
        ------
        OutputError
            As of `gnntrack.track`.
        """
        edits = EditList(solution.applied, labels="input")
        run = replace(self.run, edits=edits, warnings=[*self.warnings, *solution.warnings])
        write_result(
            out,
            solution.repaired,
            images=self.movie.images,
            channels=self.movie.channels,
            run=run,
            overwrite=overwrite,
        )

    def _list_cells(self) -> tuple[Cells, IntArray]:
        """Return the cells in the labels of the input, and the row of each in the result, -1 = none.

        Cells that earlier edits have removed are among them.
        """
        cells = self.lineage.cells
        row_of = {cell: row for row, cell in enumerate(list_input_cells(self.lineage)) if cell[1]}
        named = {cell for edit in self.before.read_edits() for cell in edit.cells}
        found = sorted({*row_of, *named})
        table: dict[str, Any] = {"feature_names": (), "feature_units": ()}
        table |= {name: getattr(cells, name) for name in ("spacing", "n_frames", "shape", "unit")}
        frame, labels = np.array(found, np.int64).reshape(-1, 2).T
        n = len(found)
        listed = Cells(frame, labels, np.zeros((n, cells.ndim)), np.zeros((n, 0), np.float32), **table)
        return listed, np.array([row_of.get(cell, -1) for cell in found], np.int64)


def _select_rows(fixed: Constraints, row: IntArray) -> Constraints:
    """Return decisions about cells in other rows, without those about cells that are no longer there, row -1."""
    linked, cut, single, removed = (row[each] for each in (fixed.linked, fixed.cut, fixed.single, fixed.removed))
    return Constraints(
        linked[(linked >= 0).all(axis=1)], cut[(cut >= 0).all(axis=1)], single[single >= 0], removed[removed >= 0]
    )
