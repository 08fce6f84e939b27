"""The positions of an experiment, tracked one after the other or side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.batch.budget import TimeBudget
from gnntrack.batch.outcomes import Outcome, write_outcomes
from gnntrack.batch.scheduling import run_side_by_side
from gnntrack.batch.tracking import BatchWork
from gnntrack.durations import parse_duration
from gnntrack.errors import InputError, OutputError
from gnntrack.io.output import check_writable
from gnntrack.io.output_locks import claim_output
from gnntrack.methods import resolve_method
from gnntrack.plurals import count_noun
from gnntrack.results import expect_extras
from gnntrack.segmentation.detection import DETECTORS
from gnntrack.segmentation.registry import SEGMENTERS, check_options
from gnntrack.setting_errors import check_bools
from gnntrack.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from gnntrack.batch.positions import Position

__all__ = ["track_positions"]


def track_positions(
    positions: Sequence[Position],
    out: str | Path,
    *,
    settings: Settings | None = None,
    resume: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
    time_budget: float | str | timedelta | None = None,
    report: Callable[[Outcome], None] | None = None,
    **choices: Any,
) -> list[Outcome]:
    """Track each position into ``OUT/NAME_RES``, and write the table ``OUT/summary.csv``.

    A position that fails does not stop the others. The table is written after each position.

    Parameters
    ----------
    positions : sequence of Position
        From `find_positions`.
    out : path
        Folder of the results.
    settings : Settings, optional
        Default ``Settings()``.
    resume : bool
        Keep the results of an earlier run with the same settings and unchanged inputs.
    overwrite : bool
        Replace results of an earlier run.
    jobs : int
        Positions that are tracked at the same time, each by a process of its own.
    time_budget : float, str or timedelta, optional
        Time for the whole batch, in seconds or such as ``"12h"``; it starts now. Each position is then tracked in a
        process of its own that is ended if it takes too long. A position that does not fit into the time that is left,
        or that fails, gets a fall-back: a faster method or detector, only its first frames, or at last a result
        without cells. See `gnntrack.batch.budget`.
    report : callable, optional
        Called with each outcome.
    **choices
        Further keywords of `gnntrack.track`, such as ``method`` or ``detector``; a detector is used for all images
        without masks, also if there is a table of points.

    Returns
    -------
    list of Outcome
        In the order of the positions.

    Raises
    ------
    OutputError
        If `out` has results, and neither `resume` nor `overwrite` is given; if another process writes it, or it cannot
        be written.
    GnntrackError
        If a method, segmenter or detector is unknown, or an option of a detector; with a time budget, also if a keyword
        is unknown, a model cannot be read, an option of a segmenter is refused, the spacing has not the axes of the
        points, or the method compares masks and all positions are tracked as points.
    InputError
        If one of these is neither True nor False, the time is not a duration, a segmenter is given and all positions
        have masks, or a detector and none has images.

    Examples
    --------
    >>> import tempfile
    >>> from gnntrack.batch import find_positions
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a_points.csv").write_text(chr(10).join(["t,y,x", "0,5,5", "1,5,6"]))
    >>> [row.tracks for row in track_positions(find_positions(folder), folder / "out")]
    [1]
    """
    seconds = None if time_budget is None else _read_budget(time_budget)
    budget = None if seconds is None else TimeBudget(seconds, jobs=max(min(jobs, len(positions)), 1))
    check_bools(resume=resume, overwrite=overwrite)
    expect_extras(settings or Settings(), "batch")
    _check_plugins(choices)
    _refuse_unused(choices, positions)
    out = Path(out)
    _check_out(out, positions, resume=resume, overwrite=overwrite)
    work = BatchWork(out, settings or Settings(), resume=resume, overwrite=overwrite, choices=choices)
    place = {position.name: k for k, position in enumerate(positions)}
    done: list[Outcome] = []
    with _claim_folder(out):
        for outcome in _track_all(work, positions, jobs, budget):
            done = sorted([*done, outcome], key=lambda each: place[each.position])
            write_outcomes(done, out / "summary.csv")
            if report is not None:
                report(outcome)
    return done


@contextmanager
def _claim_folder(out: Path) -> Iterator[None]:
    """Keep other runs from the folder of the results.

    Raises
    ------
    OutputError
        If another process writes it, or it cannot be written.
    """
    claim = claim_output(Path(os.path.realpath(out)), out)
    try:
        check_writable(claim.target / "summary.csv" if out.is_dir() else claim.target, out)
        yield
    finally:
        claim.release()


def _track_all(
    work: BatchWork, positions: Sequence[Position], jobs: int, budget: TimeBudget | None
) -> Iterator[Outcome]:
    """Yield the outcomes as the positions finish: in this process, or in others."""
    if budget is None and (jobs <= 1 or len(positions) <= 1):
        for position in positions:
            yield work.keep(position) or work.track(position, work.list_ways(position)[0]).outcome
        return
    yield from run_side_by_side(work, positions, jobs=jobs, budget=budget)


def _refuse_unused(choices: dict[str, Any], positions: Sequence[Position]) -> None:
    """Raise if a segmenter or detector is given that no position needs."""
    if (choices.get("segmenter") or choices.get("segmenter_options")) and all(each.mask_place for each in positions):
        msg = "segmenter (--segmenter) makes masks, and all positions have masks; omit it"
        raise InputError(msg)
    if choices.get("detector") and all(each.images is None or each.mask_place for each in positions):
        msg = "detector (--detector) finds points in images without masks, and no position has such images; omit it"
        raise InputError(msg)


def _check_plugins(choices: dict[str, Any]) -> None:
    """Raise if a plug-in is not installed, or a detector lacks an option, before all positions fail for this reason."""
    resolve_method(choices.get("method", "hungarian"), choices.get("solver"))
    for kind, registry in (("segmenter", SEGMENTERS), ("detector", DETECTORS)):
        if isinstance(choices.get(kind), str):
            factory = registry[choices[kind]]
            if kind == "detector":
                check_options(kind, choices[kind], factory, dict(choices.get("detector_options") or {}))


def _read_budget(time_budget: float | str | timedelta) -> float:
    """Return the seconds of a batch."""
    try:
        return parse_duration(time_budget)
    except ValueError as error:
        msg = f"time_budget={time_budget!r}: {error}"
        raise InputError(msg) from error


def _check_out(out: Path, positions: Sequence[Position], *, resume: bool, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        msg = f"{out}: it is a file, expected a folder for the results; choose another output"
        raise OutputError(msg)
    there = [position.name for position in positions if (out / f"{position.name}_RES").exists()]
    if there and not (resume or overwrite):
        msg = (
            f"{out}: it has results of {count_noun(len(there), 'position')}, such as {there[0]}; keep them with "
            "resume (--resume), replace them with overwrite (--overwrite), or choose another output"
        )
        raise OutputError(msg)
