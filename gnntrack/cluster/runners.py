"""Runners: how the tasks of a stage are run, one after the other or in several processes."""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from gnntrack import __version__
from gnntrack.cluster.tasks import Job, execute_task, name_task
from gnntrack.cluster.workers import Worker
from gnntrack.errors import GnntrackError, InputError, OutputError
from gnntrack.plurals import count_noun

__all__ = ["MOST_DEATHS", "ONE_THREAD", "Runner", "open_processes", "run_serially", "try_task"]

MOST_DEATHS = 3
"""How often the process of a task may die before the job ends with an error."""
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR")}
"""Variables of the environment by which a worker uses one processor, so that N workers use N."""


class Runner(Protocol):
    """Runs tasks of one stage."""

    def __call__(self, job: Job, work: Path, stage: str, indices: list[int], report: Callable[[], None], /) -> None:
        """Run the tasks with `execute_task`, in any order, and call `report` after each."""


def run_serially(job: Job, work: Path, stage: str, indices: list[int], report: Callable[[], None], /) -> None:
    """Run tasks one after the other in this process."""
    for index in indices:
        execute_task(job, work, stage, index)
        report()


@contextmanager
def open_processes(workers: int) -> Iterator[Runner]:
    """Yield a runner that runs tasks in several processes of this machine.

    Each process uses one thread. One that dies is replaced, and its task is run again, up to three times. The
    processes end with the context.

    Parameters
    ----------
    workers : int
        Number of processes.
    """
    idle: list[Worker] = []
    running: dict[Any, tuple[Worker, int]] = {}

    def run(job: Job, work: Path, stage: str, indices: list[int], report: Callable[[], None], /) -> None:
        waiting, deaths = deque(indices), dict.fromkeys(indices, 0)
        while waiting or running:
            while waiting and len(running) < workers:
                index = waiting.popleft()
                worker = idle.pop() if idle else Worker(ONE_THREAD)
                running[worker.pipe] = worker, index
                worker.send(try_task, job, work, stage, index)
            for pipe in wait(list(running)):
                worker, index = running.pop(pipe)
                try:
                    error = worker.receive()
                except (EOFError, OSError):
                    deaths[index] += 1
                    _check_deaths(stage, index, deaths[index], worker.find_end())
                    waiting.appendleft(index)
                    continue
                idle.append(worker)
                if error is not None:
                    raise error
                report()

    try:
        yield run
    finally:
        workers_left = [*idle, *(worker for worker, _ in running.values())]
        for worker in workers_left:
            worker.terminate()
        for worker in workers_left:
            worker.end()


def _check_deaths(stage: str, index: int, deaths: int, code: int | None) -> None:
    """Raise if the process of a task has died too often.

    Raises
    ------
    OutputError
        If it has.
    """
    if deaths >= MOST_DEATHS:
        msg = (
            f"{name_task(stage, index)} ended its process {count_noun(deaths, 'time')} (exit code {code}), perhaps for "
            "lack of memory; use fewer workers or more memory, and continue with --resume"
        )
        raise OutputError(msg)


def try_task(job: Job, work: Path, stage: str, index: int, version: str = __version__) -> Exception | None:
    """Run a task in another process, and return its error, None if it has none."""
    try:
        execute_task(job, work, stage, index, version)
    except Exception as error:  # noqa: BLE001  (it is raised where the job was started)
        return _make_portable(error, name_task(stage, index))
    return None


def _make_portable(error: Exception, task: str) -> Exception:
    """Return an error that can be sent to another process; unexpected ones get their traceback as a note."""
    if not isinstance(error, GnntrackError):
        error.add_note(f"in {task}:\n{''.join(traceback.format_exception(error))}")
    try:
        copy(error)  # as when it is sent
    except TypeError:  # it needs arguments that are not kept
        kinds = (InputError, GnntrackError, RuntimeError)
        return next(kind for kind in kinds if isinstance(error, kind) or kind is RuntimeError)(str(error))
    return error
