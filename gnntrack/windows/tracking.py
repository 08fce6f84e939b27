"""Tracking of a large movie in windows: the job is run, and its files become the result."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.cluster.execution import Execution, execute_job, open_work_folder
from gnntrack.cluster.tasks import task_path
from gnntrack.frame_slabs import LargeFrame
from gnntrack.io.output import fresh_output
from gnntrack.result_files import describe_time, save_summary
from gnntrack.results import load_result
from gnntrack.stage_times import time_stage
from gnntrack.windows.masks_job import MaskTracking, read_windows
from gnntrack.windows.plan import MOST_SAMPLED
from gnntrack.windows.result_stage import RESULT, SUMMARY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.movie import Movie
    from gnntrack.result_files import RunRecord
    from gnntrack.settings import Settings
    from gnntrack.types import Lineage

__all__ = ["collect_result", "is_large", "plan_tracking", "track_large"]

_FEW_PIXELS = 2e7  # of a movie that cannot have many cells


def is_large(movie: Movie, settings: Settings) -> bool:
    """Return whether a movie of masks has so many cells, by one of its frames, that it is tracked in windows.

    Some repairs need all masks at once; with these, a movie counts as small.
    """
    masks, repair = movie.masks, settings.repair
    small = math.prod(masks.shape) * len(masks) < _FEW_PIXELS
    if small or movie.segmenter is not None or repair.margin or repair.fill_empty_frames:
        return False
    labels = [np.unique(slab) for _, slab in LargeFrame(masks, len(masks) // 2).read_slabs()]
    return int(np.count_nonzero(np.unique(np.concatenate(labels)))) * len(masks) > MOST_SAMPLED


def track_large(
    run: RunRecord, movie: Movie, out: str | Path, *, overwrite: bool, progress: Any, **plan: Any
) -> Lineage:
    """Track a movie of masks in windows, with a work folder that is removed at the end, and return its lineage.

    Parameters
    ----------
    run : RunRecord
        Images, masks and settings.
    movie : Movie
        The open movie.
    out, overwrite, progress
        As in `gnntrack.track`.
    **plan
        ``method``, ``solver`` and ``options`` of `MaskTracking`.
    """
    job = plan_tracking(run.images, run.masks, movie=movie, settings=run.settings, **plan)
    execution = Execution()
    with open_work_folder(out, execution) as work:
        execute_job(job, work, execution, progress=progress)
        collect_result(work, out, overwrite=overwrite, run=run)
    return load_result(out)


def plan_tracking(
    images: object,
    masks: object,
    *,
    method: str,
    solver: str | None,
    settings: Settings,
    options: Mapping[str, Any],
    movie: Movie | None = None,
    **sizes: int,
) -> MaskTracking:
    """Return the job that tracks a movie of masks.

    Parameters
    ----------
    images, masks, method, solver, settings
        As of `gnntrack.track`.
    options : mapping
        As of `gnntrack.windows.MaskTracking`.
    movie : Movie, optional
        The movie, if it is open.
    **sizes : int
        ``most_cells``, ``halo`` and ``most_sampled`` of it.
    """
    from gnntrack.movie import open_movie

    movie = movie or open_movie(images, masks, settings=settings, **options)
    size: dict[str, Any] = {"n_frames": len(movie.masks), "shape": tuple(movie.masks.shape), **sizes}
    return MaskTracking(images, masks, method, solver, settings, options=dict(options), **size)


def collect_result(work: Path, out: str | Path, *, overwrite: bool = False, run: RunRecord | None = None) -> None:
    """Make the result from the files of the tasks, which stay where they are.

    Parameters
    ----------
    work : path
        The work folder.
    out, overwrite
        As in `gnntrack.track`.
    run : RunRecord, optional
        Warnings, stages and time of the run are recorded in ``summary.json``.
    """
    with fresh_output(out, overwrite=overwrite) as folder:
        with time_stage("writing"):
            _link_files(task_path(work, "result", 0) / RESULT, folder)
            for k in range(len(read_windows(work))):
                _link_files(task_path(work, "masks", k), folder)
        summary = json.loads((task_path(work, "result", 0) / SUMMARY).read_bytes())
        if summary:
            now = {} if run is None else describe_time(run)
            known = [*(run.warnings if run else ()), *summary["warnings"]]
            save_summary(folder, summary | now | {"warnings": list(dict.fromkeys(known))})


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
