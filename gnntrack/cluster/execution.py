"""How and where the tasks of a job are run: the choices of a user, and the work folder that follows from them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gnntrack.cluster.jobs import run_job
from gnntrack.cluster.runners import Runner, open_processes, run_serially
from gnntrack.cluster.shards import Shard
from gnntrack.cluster.tasks import Job
from gnntrack.io.output_places import shorten_name

__all__ = ["Execution", "execute_job", "find_work_folder", "is_divided", "open_work_folder", "remove_work_folder"]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How and where the tasks of a job are run; the defaults run them one after the other in this process.

    Parameters
    ----------
    work : path, optional
        Work folder, which is kept. If None, a hidden folder beside the output, which is removed at the end.
    resume : bool
        Keep the tasks that an earlier run of the same job has finished.
    workers : int, optional
        Number of processes, or of workers that a scheduler of Dask starts.
    scheduler : str, optional
        Dask scheduler, as of `gnntrack.cluster.dask_runner.open_dask`.
    shard : Shard, optional
        Run only the tasks of one shard.
    max_memory : float, optional
        Bytes that a process takes at most, as far as its windows decide.
    """

    work: Path | None = None
    resume: bool = False
    workers: int | None = None
    scheduler: str | None = None
    shard: Shard | None = None
    max_memory: float | None = None


@contextmanager
def open_runner(execution: Execution) -> Iterator[Runner]:
    """Yield the runner of the choices."""
    if execution.scheduler is not None:
        from gnntrack.cluster.dask_runner import open_dask

        with open_dask(execution.scheduler, execution.workers) as runner:
            yield runner
    elif (execution.workers or 1) > 1:
        with open_processes(execution.workers or 1) as runner:
            yield runner
    else:
        yield run_serially


def execute_job(job: Job, work: Path, execution: Execution, *, progress: Any = None) -> bool:
    """Run a job in a work folder; return whether all of its tasks are finished, as `run_job`."""
    with open_runner(execution) as runner:
        return run_job(job, work, runner=runner, resume=execution.resume, shard=execution.shard, progress=progress)


@contextmanager
def open_work_folder(out: str | Path | None, execution: Execution) -> Iterator[Path]:
    """Yield the work folder of an output.

    A folder that the user has not chosen is removed after the body, but not if it fails, so that ``--resume`` can
    continue, and not after a shard. What an earlier run has left in it is removed if it is not continued.

    Parameters
    ----------
    out : path, optional
        The output; if None, the work folder is temporary.
    execution : Execution
        The choices.

    Examples
    --------
    >>> with open_work_folder("results/01_RES", Execution()) as work:
    ...     work.relative_to(Path.cwd()).as_posix()
    'results/.work-01_RES'
    """
    work = find_work_folder(out, execution)
    if work is None:
        with tempfile.TemporaryDirectory(prefix="gnntrack-") as folder:
            yield Path(folder) / "work"
        return
    own = execution.work is None and execution.shard is None
    if own and not execution.resume and work.is_dir():
        shutil.rmtree(work)
    yield work
    if own:
        shutil.rmtree(work, ignore_errors=True)


def remove_work_folder(out: str | Path) -> None:
    """Remove the hidden work folder of a finished output, which a run that was killed at its end has left."""
    work = find_work_folder(out, Execution())
    if work is not None:
        shutil.rmtree(work, ignore_errors=True)


def is_divided(out: str | Path | None, execution: Execution) -> bool:
    """Return whether work is divided: as the user chose, or because there is work to resume."""
    if execution != Execution(resume=execution.resume):
        return True
    work = find_work_folder(out, execution)
    return execution.resume and work is not None and work.is_dir()


def find_work_folder(out: str | Path | None, execution: Execution) -> Path | None:
    """Return the work folder of an output; None if neither of the two was chosen."""
    if execution.work is not None:
        return execution.work.expanduser().absolute()
    if out is None:
        return None
    target = Path(os.path.realpath(Path(out).expanduser()))
    return target.with_name(f".work-{shorten_name(target.name)}")
