"""The positions of an experiment, tracked one after the other or side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.earlier_runs import list_changes
from gnntrack.errors import GnntrackError, InputError, OutputError
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.tables import write_csv
from gnntrack.plurals import count_noun
from gnntrack.results import expect_extras, load_result
from gnntrack.setting_errors import check_bools
from gnntrack.settings import Settings
from gnntrack.user_warnings import prefix_warnings, show_warnings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.batch.positions import Position

__all__ = ["Outcome", "track_positions"]

_MOST_CHANGES = 3  # that a message lists


@dataclass(frozen=True)
class Outcome:
    """One row of the table of a batch."""

    position: str
    status: str
    """``done``, ``kept`` (finished by an earlier run) or ``failed``."""
    frames: int | None = None
    cells: int | None = None
    tracks: int | None = None
    divisions: int | None = None
    seconds: float | None = None
    warnings: str = ""
    error: str = ""
    images: str = ""
    masks: str = ""
    result: str = ""


def track_positions(
    positions: Sequence[Position],
    out: str | Path,
    *,
    settings: Settings | None = None,
    resume: bool = False,
    overwrite: bool = False,
    jobs: int = 1,
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
        Keep the results of an earlier run with the same settings and input.
    overwrite : bool
        Replace results of an earlier run.
    jobs : int
        Positions that are tracked at the same time, each by a process of its own.
    report : callable, optional
        Called with each outcome.
    **choices
        Further keywords of `gnntrack.track`, such as ``method``.

    Returns
    -------
    list of Outcome
        In the order of the positions.

    Raises
    ------
    OutputError
        If `out` has results, and neither `resume` nor `overwrite` is given.
    InputError
        If one of these is neither True nor False, or a segmenter is given and all positions have masks.

    Examples
    --------
    >>> import tempfile
    >>> from gnntrack.batch import find_positions
    >>> folder = Path(tempfile.mkdtemp())
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> np.save(folder / "a_masks.npy", masks)
    >>> [row.tracks for row in track_positions(find_positions(folder), folder / "out")]
    [1]
    """
    check_bools(resume=resume, overwrite=overwrite)
    expect_extras(settings or Settings(), "batch")
    if (choices.get("segmenter") or choices.get("segmenter_options")) and all(each.mask_place for each in positions):
        msg = "segmenter (--segmenter) makes masks, and all positions have masks; omit it"
        raise InputError(msg)
    out = Path(out)
    _check_out(out, positions, resume=resume, overwrite=overwrite)
    work = partial(
        _track_position,
        out=out,
        settings=settings or Settings(),
        resume=resume,
        overwrite=overwrite,
        choices=choices,
    )
    done: list[Outcome] = []
    for outcome in _run_all(work, positions, jobs):
        done.append(outcome)
        _write_table(done, out / "summary.csv")
        if report is not None:
            report(outcome)
    return done


def _run_all(work: Callable[[Position], Outcome], positions: Sequence[Position], jobs: int) -> Iterator[Outcome]:
    if jobs <= 1 or len(positions) <= 1:
        yield from map(work, positions)
        return
    with ProcessPoolExecutor(min(jobs, len(positions)), get_context("spawn"), show_warnings) as pool:
        yield from pool.map(work, positions)


def _check_out(out: Path, positions: Sequence[Position], *, resume: bool, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        msg = f"{out}: it is a file, expected a folder for the results; choose another output"
        raise OutputError(msg)
    there = [position.name for position in positions if _get_result_path(out, position).exists()]
    if there and not (resume or overwrite):
        msg = (
            f"{out}: it has results of {count_noun(len(there), 'position')}, such as {there[0]}; keep them with "
            "resume (--resume), replace them with overwrite (--overwrite), or choose another output"
        )
        raise OutputError(msg)


def _get_result_path(out: Path, position: Position) -> Path:
    return out / f"{position.name}_RES"


def _track_position(
    position: Position, *, out: Path, settings: Settings, resume: bool, overwrite: bool, choices: dict[str, Any]
) -> Outcome:
    """Track one position; an error is part of the outcome."""
    from gnntrack.pipeline import track

    result = _get_result_path(out, position)
    paths: dict[str, Any] = {"images": str(position.images or ""), "masks": str(position.mask_place or "")}
    try:
        chosen = _select_choices(choices, position)
        finished = resume and _is_finished(result, position, settings, chosen, overwrite=overwrite)
        kept = finished and _is_complete(result)
        if not kept:
            chosen = dict(chosen) | {"overwrite": overwrite or finished}
            with prefix_warnings(position.name):
                track(position.images, position.masks, out=result, settings=settings, **chosen)
        summary = _read_summary(result)
    except Exception as error:  # noqa: BLE001  # no fault of one position may stop the others
        name = "" if isinstance(error, GnntrackError | OSError) else f"{type(error).__name__}: "
        return Outcome(position.name, "failed", error=f"{name}{error}", **paths)
    counts = {name: summary["counts"][name] for name in ("cells", "tracks", "divisions")}
    return Outcome(
        position.name,
        "kept" if kept else "done",
        frames=summary["movie"]["frames"],
        seconds=summary["seconds"],
        warnings="; ".join(summary["warnings"]),
        result=str(result),
        **counts,
        **paths,
    )


def _select_choices(choices: dict[str, Any], position: Position) -> dict[str, Any]:
    """Return the keywords of `track` for a position; one with masks needs no segmenter."""
    if position.mask_place is None:
        return choices
    return {name: value for name, value in choices.items() if not name.startswith("segmenter")}


def _read_summary(result: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((result / EXTRAS / "summary.json").read_text(encoding="utf-8"))
    return content


def _is_complete(result: Path) -> bool:
    """Return whether a result can be loaded, with all its frames."""
    try:
        return load_result(result).cells.n_frames == int(_read_summary(result)["movie"]["frames"])
    except GnntrackError:
        return False


def _is_finished(result: Path, position: Position, settings: Settings, choices: Any, *, overwrite: bool) -> bool:
    """Return whether an earlier run has finished a position.

    Raises
    ------
    OutputError
        If it did so with another input, method, segmenter or other settings, which `overwrite` replaces.
    """
    if not (result / EXTRAS / "summary.json").is_file():
        return False
    source, segmented = {"images": position.images, "masks": position.masks}, position.mask_place is None
    changes = list(list_changes(_read_summary(result), source, settings, choices, segmented=segmented))
    if changes and not overwrite:
        listed = "; ".join(changes[:_MOST_CHANGES])
        msg = f"{result}: an earlier run made it with other settings: {listed}; replace it with overwrite (--overwrite)"
        raise OutputError(msg)
    return not changes


def _write_table(outcomes: Sequence[Outcome], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {each.name: np.array([getattr(row, each.name) for row in outcomes], object) for each in fields(Outcome)}
    write_csv(columns, path, overwrite=True)
