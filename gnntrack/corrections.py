"""The recipe that solves a movie again around the corrections of a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.correction_session import RecordedRun
from gnntrack.errors import InputError
from gnntrack.io.output import refuse_source, try_output
from gnntrack.io.writers import CellMasks
from gnntrack.lineage.edits import Edit, EditList, read_edits
from gnntrack.lineage.link_changes import LinkChange
from gnntrack.progress_bars import open_progress
from gnntrack.structural_session import StructuralSession, choose_session

if TYPE_CHECKING:
    from gnntrack.types import Lineage

__all__ = ["CorrectedLineage", "LinkChange", "apply_edits"]


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
    solved : bool
        Whether the movie was solved again; else only the links that the edits name were changed.
    """

    lineage: Lineage
    applied: tuple[Edit, ...] = ()
    refused: tuple[tuple[Edit, str], ...] = ()
    changes: tuple[LinkChange, ...] = ()
    solved: bool = True


def apply_edits(
    result: str | Path,
    edits: str | Path | EditList | Mapping[str, Any],
    *,
    out: str | Path | None = None,
    images: object = None,
    masks: object = None,
    method: str | None = None,
    overwrite: bool = False,
    progress: Any = None,
) -> CorrectedLineage:
    """Solve a movie again with the links that a person has fixed, by the method and the settings of the result.

    Links of edits are fixed, and the solver chooses among the candidates that they leave: a cell that is joined to
    another one is free neither for other links nor for divisions. The movie is read and scored again, because a result
    does not hold its candidates.

    The links of `gnntrack.import_tracks` and of other programs have no scores. Then the edits change the links and
    cells that they name, and nothing else, unless a method is given.

    Parameters
    ----------
    result : path
        Folder that `gnntrack.track` or `gnntrack.import_tracks` has written.
    edits : path, EditList or mapping
        The edits: ``edits.json`` of ``gnntrack report``, or the content of such a file.
    out : path, optional
        Folder of the new result; if None, nothing is written.
    images, masks : path, array or FrameStack, optional
        Those of the result, if they are no longer where they were.
    method : str, optional
        As in `gnntrack.track`, in place of that of the result; the masks of a result without scores are then tracked
        around the edits.
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
    >>> import gnntrack, numpy as np, tempfile
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
    before = RecordedRun.read(result)
    given = _read_given(edits, before)
    if out is not None:
        refuse_source(out, result)
        try_output(out, overwrite=overwrite)  # before the long work
    with open_progress(progress) as report:
        session = choose_session(before, images=images, masks=masks, method=method, progress=report)
        plan = session.plan(given)
        if given.edits and not plan.new:
            reasons = "; ".join(f"edit {n}: {reason}" for n, (_, reason) in enumerate(plan.refused[:5], start=1))
            name = f"{edits}: " if isinstance(edits, str | Path) else ""
            msg = f"{name}no edit can be applied; {reasons}"
            raise InputError(msg)
        solution = session.solve(plan, progress=report)
        if out is not None:
            session.write(solution, out, overwrite=overwrite)
    repaired = solution.repaired
    lineage = repaired.lineage.with_masks(CellMasks(repaired.runs, repaired.fills, session.run.names))
    solved = not isinstance(session, StructuralSession)
    return CorrectedLineage(lineage, solution.applied, solution.refused, solution.changes, solved)


def _read_given(edits: object, before: RecordedRun) -> EditList:
    """Return the new edits; raise if they are those of another result."""
    if isinstance(edits, Mapping):
        given = EditList.from_dict(dict(edits))
    else:
        given = edits if isinstance(edits, EditList) else read_edits(edits)  # type: ignore[arg-type]
    own = before.summary.get("fingerprint")
    if given.fingerprint and own and given.fingerprint != own:
        name = f"{edits}: " if isinstance(edits, str | Path) else ""
        msg = f"{name}the edits were made for another result than {before.folder}; give the result of their report"
        raise InputError(msg)
    return given
