"""Tracking of a large movie in windows: the job is run, and its files become the result."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.cluster.jobs import run_job
from gnntrack.cluster.tasks import task_path
from gnntrack.io.output import fresh_output
from gnntrack.result_files import save_summary
from gnntrack.windows.masks_job import MaskTracking, read_windows
from gnntrack.windows.result_stage import RESULT, SUMMARY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.settings import Settings

__all__ = ["collect_result", "plan_tracking", "track_in_windows"]


def plan_tracking(
    images: object,
    masks: object,
    *,
    method: str,
    solver: str | None,
    settings: Settings,
    options: Mapping[str, Any],
    **sizes: int,
) -> MaskTracking:
    """Return the job that tracks a movie of masks.

    Parameters
    ----------
    images, masks, method, solver, settings
        As of `gnntrack.track`.
    options : mapping
        As of `gnntrack.windows.MaskTracking`.
    **sizes : int
        ``most_cells``, ``halo`` and ``most_sampled`` of it.
    """
    from gnntrack.movie import open_movie

    movie = open_movie(images, masks, settings=settings, **options)
    size: dict[str, Any] = {"n_frames": len(movie.masks), "shape": tuple(movie.masks.shape), **sizes}
    return MaskTracking(images, masks, method, solver, settings, options=dict(options), **size)


def track_in_windows(
    job: MaskTracking, work: Path, out: str | Path, *, overwrite: bool = False, **running: Any
) -> bool:
    """Track a movie in windows; returns whether the result is complete.

    Parameters
    ----------
    job : MaskTracking
        From `plan_tracking`.
    work : path
        Folder of the results of its tasks.
    out : path
        Folder of the result.
    overwrite : bool
        Replace an older result.
    **running
        As of `gnntrack.cluster.run_job`.
    """
    complete = run_job(job, work, **running)
    if complete:
        collect_result(work, out, overwrite=overwrite)
    return complete


def collect_result(work: Path, out: str | Path, *, overwrite: bool = False) -> None:
    """Make the result from the files of the tasks, which stay where they are."""
    with fresh_output(out, overwrite=overwrite) as folder:
        _link_files(task_path(work, "result", 0) / RESULT, folder)
        for k in range(len(read_windows(work))):
            _link_files(task_path(work, "masks", k), folder)
        summary = json.loads((task_path(work, "result", 0) / SUMMARY).read_bytes())
        if summary:
            save_summary(folder, summary)


def _link_files(source: Path, target: Path) -> None:
    """Make all files of a folder appear in another one, by hard links if the file system has them, else by copies."""
    for place, _, names in os.walk(source):
        folder = target / Path(place).relative_to(source)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            try:
                os.link(Path(place, name), folder / name)
            except OSError:
                shutil.copy2(Path(place, name), folder / name)
