"""The recipe of tracking whose work is divided: between processes, workers of Dask, or runs that share a folder."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.cluster.execution import Execution, execute_job, open_work_folder
from gnntrack.errors import InputError
from gnntrack.estimates import count_fitting_cells
from gnntrack.io.output import refuse_source, try_output
from gnntrack.lineage.point_tracks import refuse_for_masks, refuse_for_points
from gnntrack.methods import resolve_method
from gnntrack.options import accept_options
from gnntrack.pipeline import SOURCES, TRACKING, take_points
from gnntrack.point_movie import Detection
from gnntrack.point_results import find_file_format, write_point_result
from gnntrack.result_files import RunRecord
from gnntrack.settings import Settings
from gnntrack.stage_times import record_stages
from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.cluster.tasks import Job

__all__ = ["track_divided"]

_FEWEST_CELLS = 1000  # of a window


@accept_options(*TRACKING, other=(*SOURCES, "method", "solver"))
def track_divided(
    images: object = None,
    masks: object = None,
    *,
    out: str | Path,
    execution: Execution,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **options: Any,
) -> bool:
    """Track a movie as `gnntrack.track`, with its work divided into tasks.

    Parameters
    ----------
    images, masks : path, optional
        As of `gnntrack.track`; arrays are refused, since other processes read the movie too.
    out : path
        The result. It is not written by a shard.
    execution : Execution
        How and where the tasks are run.
    settings, overwrite, progress, **options
        As of `gnntrack.track`, with ``method`` and ``solver``.

    Returns
    -------
    bool
        Whether all tasks are finished; if not, other shards or a run without shards do the rest.

    Raises
    ------
    InputError
        As of `gnntrack.track`; if the movie is not given by paths; or if the work folder belongs to another job.
    OutputError
        As of `gnntrack.track`; or if the work folder cannot be used.

    Examples
    --------
    >>> import gnntrack, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> movie = gnntrack.simulate(folder / "movie", frames=6, cells=6, shape=(100, 100), seed=1)
    >>> masks = folder / "movie" / "01_GT" / "TRA"
    >>> track_divided(masks=masks, out=folder / "01_RES", execution=Execution())
    True
    >>> len((folder / "01_RES" / "res_track.txt").read_text().splitlines())
    10
    """
    settings = settings or Settings()
    points, reading = take_points(masks, options)
    plan = {"method": options.pop("method", "hungarian"), "solver": options.pop("solver", None)}
    resolve_method(plan["method"], plan["solver"])
    images, masks, points = (_find_path(source, out) for source in (images, masks, points))
    if execution.shard is None:
        try_output(out, overwrite=overwrite)  # before the long work
    run = RunRecord(images, masks, settings, points=points)
    with record_warnings() as run.warnings, record_stages() as run.stages, open_work_folder(out, execution) as work:
        if points is not None:
            job, write = _plan_points(run, out, plan | {"reading": reading}, execution.max_memory)
        else:
            job, write = _plan_masks(run, plan | {"options": options}, execution.max_memory)
        finished = execute_job(job, work, execution, progress=progress)
        if finished and execution.shard is None:
            write(work, out, overwrite=overwrite)
    return finished


def _find_path(source: object, out: str | Path) -> str | None:
    """Return the absolute path of a source, which workers in other folders can read.

    Raises
    ------
    InputError
        If it is not a path.
    OutputError
        If it is the output.
    """
    if source is None:
        return None
    if isinstance(source, Detection):
        msg = "points of a detector are tracked in one piece; write them with 'gnntrack detect', and give --points"
        raise InputError(msg)
    if not isinstance(source, str | os.PathLike):
        msg = f"{type(source).__name__} in place of a path: every process reads the movie; save it, and give its path"
        raise InputError(msg)
    refuse_source(out, source)
    return os.path.abspath(Path(source).expanduser())  # noqa: PTH100  # links stay


def _limit_sizes(
    memory: float | None, shape: tuple[int, ...], way: str, *, most_cells: int, most_sampled: int
) -> dict[str, int]:
    """Return the cells of windows and of the sample that fit into a memory, if these are fewer than usual.

    Raises
    ------
    InputError
        If the memory is too small.
    """
    if memory is None:
        return {}
    fitting = count_fitting_cells(memory, shape, way)
    if fitting < _FEWEST_CELLS:
        msg = f"{memory / 1e6:.0f} MB are not enough to track {_FEWEST_CELLS} cells at once; give more memory"
        raise InputError(msg)
    usual = {"most_cells": most_cells, "most_sampled": most_sampled}
    return {name: fitting for name, most in usual.items() if fitting < most}


def _plan_points(
    run: RunRecord, out: str | Path, plan: dict[str, Any], memory: float | None
) -> tuple[Job, Callable[..., object]]:
    """Return the job that tracks the points of a run, and the function that writes its result."""
    from gnntrack.windows.point_job import PointJob
    from gnntrack.windows.point_join import join_windows

    refuse_for_points(run.settings)
    find_file_format(out)
    if run.images is not None:
        msg = "points with images are tracked in one piece; omit the images, or the options that divide the work"
        raise InputError(msg)
    usual: dict[str, Any] = {"most_cells": PointJob.most_cells, "most_sampled": PointJob.most_sampled}
    sizes: dict[str, Any] = _limit_sizes(memory, (), "points", **usual)
    job = PointJob(str(run.points), run.settings, **plan, **sizes)

    def write(work: Path, out: str | Path, *, overwrite: bool) -> None:
        write_point_result(out, join_windows(job, work), run=run, overwrite=overwrite)

    return job, write


def _plan_masks(run: RunRecord, plan: dict[str, Any], memory: float | None) -> tuple[Job, Callable[..., object]]:
    """Return the job that tracks the masks of a run, and the function that writes its result."""
    from gnntrack.windows.masks_job import MOST_CELLS
    from gnntrack.windows.tracking import collect_result, plan_tracking

    refuse_for_masks(run.settings.points)
    if run.masks is None and run.settings.frames.masks_channel is None:
        msg = "images that are segmented are tracked in one piece; write masks with 'gnntrack segment', and give them"
        raise InputError(msg)
    repair = run.settings.repair
    whole = [name for name in ("margin", "fill_empty_frames") if getattr(repair, name)]
    if whole:
        msg = f"the setting repair.{whole[0]} needs all masks at once; omit it, or the options that divide the work"
        raise InputError(msg)
    job = plan_tracking(run.images, run.masks, settings=run.settings, **plan)
    network = resolve_method(job.method, job.solver).reads("gnn")
    way = "gnn with images" if network else "hungarian" if run.images is None else "hungarian with images"
    usual: dict[str, Any] = {"most_cells": MOST_CELLS, "most_sampled": job.most_sampled}
    sizes: dict[str, Any] = _limit_sizes(memory, job.shape, way, **usual)
    return replace(job, **sizes), partial(collect_result, run=run)
