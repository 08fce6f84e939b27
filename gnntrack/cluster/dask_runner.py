"""The tasks of a job on Dask: each is one task of the scheduler, and data go through the work folder."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

from gnntrack import __version__
from gnntrack.cluster.runners import ONE_THREAD, Runner, try_task
from gnntrack.cluster.slurm_workers import check_jobs, open_slurm_workers
from gnntrack.cluster.tasks import Job, is_finished, name_task
from gnntrack.errors import GnntrackWarning, InputError, OutputError, explain_missing

__all__ = ["LOCAL", "SLURM", "open_dask"]

LOCAL, SLURM = "local", "slurm"
"""Names of schedulers that are started for a job and end with it."""
_AHEAD = 2000  # tasks that the scheduler holds at a time
_PATIENCE = 60.0  # seconds until a shared file system shows the file of another machine
_SHORT = 0.02  # seconds between two looks at the finished tasks
_WATCH = 10.0  # seconds between two looks at the workers
_one_at_a_time = Lock()  # warnings are collected for each process, not for each thread

_SPAWNED = "distributed.nanny.pre-spawn-environ"
"""Setting of Dask: the environment of workers. Its default gives the memory of each array back to the system
(MALLOC_TRIM_THRESHOLD_), which takes as much time as the tracking."""


@contextmanager
def open_dask(scheduler: str, workers: int | None = None) -> Iterator[Runner]:
    """Yield a runner that runs tasks on the workers of a Dask scheduler.

    A task whose worker dies is run again by the scheduler, three times by default (its setting
    ``distributed.scheduler.allowed-failures``).

    Parameters
    ----------
    scheduler : str
        Address, such as ``tcp://node7:8786``; path of the file of ``dask scheduler --scheduler-file``; ``local`` for
        processes of this machine; or ``slurm`` for jobs of SLURM, which dask-jobqueue submits as it is configured.
    workers : int, optional
        Number of workers that are started for ``local``, default the number of processors, and ``slurm``, default 1.

    Raises
    ------
    MissingDependencyError
        If Dask is not installed.
    InputError
        If the scheduler does not answer.
    """
    with _start_cluster(scheduler, workers) as cluster, _connect(cluster) as client:
        watch = partial(_check_workers, client, cluster)

        def run(job: Job, work: Path, stage: str, indices: list[int], report: Callable[[], None], /) -> None:
            tasks = _Tasks(client, job, work, stage)
            tasks.run(indices, report, watch)

        yield run


@contextmanager
def _start_cluster(scheduler: str, workers: int | None) -> Iterator[Any]:
    """Yield the address of a scheduler, or a cluster that is started for this run."""
    distributed = _import_package("distributed")
    if scheduler == LOCAL:
        settings = import_module("dask.config").set({_SPAWNED: ONE_THREAD})
        with (
            settings,
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                security=True,  # other people on this machine cannot send tasks
                silence_logs=logging.ERROR,
                env=ONE_THREAD,
            ) as cluster,
        ):
            yield cluster
    elif scheduler == SLURM:
        with open_slurm_workers(_import_package("dask_jobqueue"), workers or 1) as cluster:
            yield cluster
    else:
        yield scheduler


def _import_package(name: str) -> Any:
    """Return a package that is imported only here.

    Raises
    ------
    MissingDependencyError
        If it is not installed.
    """
    command = "pip install dask-jobqueue" if name == "dask_jobqueue" else "pip install 'gnntrack[dask]'"
    with explain_missing("--scheduler needs", name.replace("_", "-"), command):
        return import_module(name)


@contextmanager
def _connect(address: Any) -> Iterator[Any]:
    """Yield a client of a scheduler."""
    distributed = _import_package("distributed")
    is_file = isinstance(address, str) and address.endswith(".json")
    try:
        client = distributed.Client(**{"scheduler_file" if is_file else "address": address}, set_as_default=False)
    except (OSError, ValueError) as error:
        msg = (
            f"{address}: no Dask scheduler answers there ({error}); expected 'local', 'slurm', an address such as "
            "tcp://node7:8786, or the file of 'dask scheduler --scheduler-file FILE'"
        )
        raise InputError(msg) from error
    with client:
        yield client


class _Tasks:
    """Tasks of a stage on the workers of a scheduler."""

    def __init__(self, client: Any, job: Job, work: Path, stage: str) -> None:
        self._client, self._stage, self._work = client, stage, work
        self._task = {"job": job, "work": work, "stage": stage, "version": __version__}
        self._futures: dict[Any, int] = {}
        self._run = uuid4().hex

    def run(self, indices: list[int], report: Callable[[], None], watch: Callable[[], None]) -> None:
        """Run tasks, and wait for them; `watch` is called now and then while none ends."""
        waiting = iter(indices)
        finished = _import_package("distributed").as_completed(loop=self._client.loop)
        finished.update(self._submit(list(islice(waiting, _AHEAD))))
        looked = time.monotonic()
        try:
            while self._futures:
                done = finished.next_batch(block=False)
                for future in done:
                    index = self._futures.pop(future)
                    _raise_failure(future, self._stage, index)
                    _wait_for_result(self._work, self._stage, index)
                    report()
                    finished.update(self._submit(list(islice(waiting, 1))))
                if not done:
                    time.sleep(_SHORT)
                if time.monotonic() > looked + _WATCH:
                    watch()
                    looked = time.monotonic()
        finally:
            if self._futures:
                self._client.cancel(list(self._futures))

    def _submit(self, chosen: list[int]) -> list[Any]:
        """Return the futures of some tasks."""
        keys = [f"gnntrack-{self._stage}-{self._run}-{index}" for index in chosen]
        new = list(self._client.map(_run_in_turn, chosen, **self._task, key=keys)) if chosen else []
        self._futures.update(zip(new, chosen, strict=True))
        return new


def _check_workers(client: Any, cluster: Any) -> None:
    """Warn if a scheduler has no workers.

    Raises
    ------
    OutputError
        If it has ended, or if all jobs of SLURM have.
    """
    try:
        if client.nthreads():
            return
    except OSError as lost:
        raise OutputError(_describe_loss(lost)) from lost
    if isinstance(cluster, str):
        msg = f"{cluster}: the scheduler has no workers; the run waits for them: dask worker ADDRESS"
        warnings.warn(msg, GnntrackWarning, stacklevel=2)
    elif hasattr(cluster, "job_cls"):
        check_jobs(cluster)


def _run_in_turn(index: int, *, job: Job, work: Path, stage: str, version: str) -> Exception | None:
    """Run a task on a worker, one at a time in each process; return its error."""
    with _one_at_a_time:
        return try_task(job, work, stage, index, version)


def _raise_failure(future: Any, stage: str, index: int) -> None:
    """Raise the error of a task, if it has one."""
    distributed = _import_package("distributed")
    try:
        error = future.result()
    except distributed.KilledWorker as killed:
        msg = (
            f"{name_task(stage, index)} ended its worker {killed.allowed_failures + 1} times, perhaps for lack of "
            "memory; use workers with more memory, and continue with --resume"
        )
        raise OutputError(msg) from killed
    except (CancelledError, OSError) as lost:
        raise OutputError(_describe_loss(lost)) from lost
    if error is not None:
        raise error


def _describe_loss(lost: BaseException) -> str:
    return f"the Dask scheduler has ended ({lost}); continue with --resume"


def _wait_for_result(work: Path, stage: str, index: int) -> None:
    """Wait until this machine sees the result of a task of another one.

    Raises
    ------
    OutputError
        If it does not.
    """
    end = time.monotonic() + _PATIENCE
    while not is_finished(work, stage, index):
        if time.monotonic() > end:
            msg = f"{work}: the result of {name_task(stage, index)} does not appear; workers must share this folder"
            raise OutputError(msg)
        time.sleep(0.5)
