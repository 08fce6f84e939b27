"""Jobs: long work as stages of independent tasks, each of which writes its result into a work folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gnntrack.cluster.runners import Runner, run_serially
from gnntrack.cluster.shards import Shard
from gnntrack.cluster.tasks import (
    Job,
    find_damaged,
    is_finished,
    read_times,
    read_warnings,
    remove_leftovers,
    remove_task,
    task_path,
)
from gnntrack.cluster.work_folder import hold_work_folder, wait_for_lock
from gnntrack.stage_times import add_stages
from gnntrack.user_warnings import warn_user

__all__ = ["Job", "Runner", "run_job", "task_path"]


def run_job(
    job: Job,
    work: str | Path,
    *,
    runner: Runner = run_serially,
    resume: bool = False,
    shard: Shard | None = None,
    progress: Any = None,
) -> bool:
    """Run the tasks of a job that are not finished yet, stage after stage.

    The results do not depend on the runner, on the number of shards, or on interruptions. Warnings of the tasks are
    given after each stage, in the order of the tasks.

    Parameters
    ----------
    job : Job
        The work.
    work : path
        Folder of the results of the tasks. It is made.
    runner : Runner
        How tasks are run: `run_serially`, or one of `gnntrack.cluster.runners` and `gnntrack.cluster.dask_runner`.
    resume : bool
        Keep the tasks that an earlier run of the same job has finished in `work`.
    shard : Shard, optional
        Run only the tasks of this shard, and stages of one task if no other shard runs them. Other shards may run at
        the same time, and finished tasks are always kept. At the first stage that waits for tasks of other shards,
        the run ends.
    progress : Progress, optional
        Called after each task.

    Returns
    -------
    bool
        Whether all stages are finished; always, if `shard` is None.

    Raises
    ------
    InputError
        If `work` belongs to another job: its inputs, settings or version are not the same.
    OutputError
        If `work` holds a job and `resume` is False, is used by another run, or cannot be written; or if the process of
        a task died each time.
    GnntrackError
        As of the tasks.
    """
    folder = Path(work).absolute()
    with hold_work_folder(job, folder, resume=resume or shard is not None, shared=shard is not None):
        for stage in job.stages:
            count = job.count_tasks(stage, folder)
            _run_stage(job, folder, stage, count, runner=runner, shard=shard, progress=progress)
            if not all(is_finished(folder, stage, index) for index in range(count)):
                return False
            for times in read_times(folder, stage, count):
                add_stages(times)
            for message in dict.fromkeys(read_warnings(folder, stage, count)):
                warn_user(message)
    return True


def _run_stage(
    job: Job, work: Path, stage: str, count: int, *, runner: Runner, shard: Shard | None, progress: Any
) -> None:
    """Run the tasks of a stage that are not finished."""
    if shard is not None and count == 1:
        with wait_for_lock(work / stage / "0"):
            _run_tasks(job, work, stage, [0], runner=runner, progress=progress)
        return
    indices = range(count) if shard is None else range(shard.index, count, shard.count)
    if shard is None:
        remove_leftovers(work, stage, range(count))
    _run_tasks(job, work, stage, list(indices), runner=runner, progress=progress)


def _run_tasks(job: Job, work: Path, stage: str, indices: list[int], *, runner: Runner, progress: Any) -> None:
    """Run those of some tasks that are not finished, or whose results are damaged."""
    for index in find_damaged(work, stage, indices):
        remove_task(work, stage, index)
    waiting = [index for index in indices if not is_finished(work, stage, index)]
    done = len(indices) - len(waiting)

    def report() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(stage, done, len(indices))

    if done and progress is not None:
        progress(stage, done, len(indices))
    if waiting:
        runner(job, work, stage, waiting, report)
        remove_leftovers(work, stage, waiting)
