"""Tasks of a job: where their results are, how they are made, and whether they are whole.

::

    WORK/STAGE/INDEX/result        what the task wrote, a file or a folder
    WORK/STAGE/INDEX/checks.json   size and hash of each file, and the warnings of the task
    WORK/STAGE/INDEX/times.json    time and memory of the task, and of stages of the run that it timed

The folder of a task appears as a whole, by a rename.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from gnntrack import __version__
from gnntrack.errors import GnntrackWarning, InputError, OutputError
from gnntrack.io.output import explain_error
from gnntrack.io.output_places import choose_temporary_path, list_leftovers, move_output, remove_path
from gnntrack.json_files import read_json
from gnntrack.stage_times import StageTimes, record_stages, time_stage

__all__ = [
    "MANIFEST",
    "Job",
    "execute_task",
    "find_damaged",
    "is_finished",
    "name_task",
    "read_times",
    "read_warnings",
    "remove_leftovers",
    "remove_task",
    "task_path",
]

MANIFEST = "manifest.json"
"""File of a work folder that describes its job."""
_RESULT, _CHECKS, _TIMES = "result", "checks.json", "times.json"
_UNITS = ("seconds", "cpu_seconds", "peak_mb")
_BLOCK = 1 << 20  # bytes that are hashed at a time


class Job(Protocol):
    """Long work as stages of independent tasks.

    A job is sent to other processes, so that it must be possible to pickle it: paths and settings, no open files. A
    task reads the results of tasks of earlier stages at `task_path`.
    """

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in their order. They are names of folders."""

    def describe(self) -> dict[str, Any]:
        """Return what the results depend on, as `gnntrack.io.manifests.describe_run`: inputs, settings, version."""

    def count_tasks(self, stage: str, work: Path) -> int:
        """Return the number of tasks of a stage; it may depend on results of earlier stages."""

    def run_task(self, stage: str, index: int, work: Path, out: Path) -> None:
        """Write the result of a task, a file or a folder, to `out`, whose folder exists.

        It is always the same for the same description, also byte by byte.
        """


def task_path(work: str | Path, stage: str, index: int) -> Path:
    """Return the path of the result of a task, a file or a folder.

    >>> task_path("work", "windows", 12).as_posix()
    'work/windows/12/result'
    """
    return Path(work) / stage / str(index) / _RESULT


def name_task(stage: str, index: int) -> str:
    """Return the name of a task in messages.

    >>> name_task("windows", 12)
    "task 12 of stage 'windows'"
    """
    return f"task {index} of stage '{stage}'"


def execute_task(job: Job, work: Path, stage: str, index: int, version: str = __version__) -> None:
    """Run a task, and move its result to its place; what it has written is removed if it fails.

    Raises
    ------
    InputError
        If this machine does not have the work folder, or has another version of gnntrack than the one that runs the
        job.
    OutputError
        If the task wrote nothing.
    """
    _check_machine(work, version)
    target = task_path(work, stage, index).parent
    place = choose_temporary_path(target)
    place.mkdir(parents=True)
    try:
        with _catch_warnings() as messages, record_stages() as stages, time_stage(stage):
            job.run_task(stage, index, work, place / _RESULT)
        files = _measure_files(place)
        if not files:
            msg = f"{name_task(stage, index)} wrote nothing"
            raise OutputError(msg)
        _write_json(place / _CHECKS, {"files": files, "warnings": messages})
        _write_json(place / _TIMES, stages)
        move_output(place, target)
    except BaseException as error:
        remove_path(place)
        told = explain_error(error, place, f"{work}: {name_task(stage, index)}")
        if told is not None:
            raise OutputError(told) from error
        raise


def _check_machine(work: Path, version: str) -> None:
    """Raise if this machine cannot run tasks of a job that was started on another one."""
    if version != __version__:
        msg = (
            f"gnntrack {__version__} is installed where a task runs, and {version} where the job was started; "
            "install the same version on all machines"
        )
        raise InputError(msg)
    if not (work / MANIFEST).exists():
        msg = f"{work}: no such work folder where a task runs; choose a folder that all machines share (--work)"
        raise InputError(msg)


@contextmanager
def _catch_warnings() -> Iterator[list[str]]:
    """Collect warnings about the input, each once; others are given at the end."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GnntrackWarning)
        yield messages
    for each in caught:
        if not issubclass(each.category, GnntrackWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
        elif str(each.message) not in messages:
            messages.append(str(each.message))


def _measure_files(folder: Path) -> dict[str, list[Any]]:
    """Return the size and the hash of each file of a result."""
    own = {folder / _CHECKS, folder / _TIMES}
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path not in own)
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, _hash_file(path)] for path in files}


def _hash_file(path: Path) -> str:
    hashed = blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            hashed.update(block)
    return hashed.hexdigest()


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def is_finished(work: Path, stage: str, index: int) -> bool:
    """Return whether a task has a result, without a look at its content."""
    return task_path(work, stage, index).with_name(_CHECKS).exists()


def find_damaged(work: Path, stage: str, indices: Iterable[int]) -> list[int]:
    """Return those of some tasks whose result is there, but is not what the task wrote."""
    return [
        index
        for index in indices
        if task_path(work, stage, index).parent.exists() and not _is_whole(task_path(work, stage, index).parent)
    ]


def _is_whole(folder: Path) -> bool:
    """Return whether the files of a task are those that it wrote."""
    try:
        files = read_json(folder / _CHECKS)["files"]
        return bool(files) and _measure_files(folder) == files
    except (OSError, ValueError, TypeError, KeyError):
        return False


def read_warnings(work: Path, stage: str, count: int) -> list[str]:
    """Return the warnings of the finished tasks of a stage, in the order of the tasks."""
    checks = [read_json(task_path(work, stage, index).with_name(_CHECKS)) for index in range(count)]
    return [message for each in checks for message in each["warnings"]]


def read_times(work: Path, stage: str, count: int) -> Iterator[StageTimes]:
    """Yield time and memory of what the tasks of a stage did, in the order of the tasks, also of an earlier run.

    Times that cannot be read, which results do not depend on, are left out.
    """
    for index in range(count):
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            found = read_json(task_path(work, stage, index).with_name(_TIMES))
            yield {name: {unit: _read_number(used[unit]) for unit in _UNITS} for name, used in found.items()}


def _read_number(value: Any) -> float | None:
    return None if value is None else float(value)


def remove_task(work: Path, stage: str, index: int) -> None:
    """Remove the result of a task."""
    folder = task_path(work, stage, index).parent
    aside = choose_temporary_path(folder)
    with suppress(FileNotFoundError):  # another shard was faster
        folder.rename(aside)
    remove_path(aside)


def remove_leftovers(work: Path, stage: str, indices: Iterable[int]) -> None:
    """Remove what killed processes have left of some tasks."""
    folder = work / stage
    if not folder.is_dir():
        return
    for index in indices:
        for path in list_leftovers(folder / str(index)):
            remove_path(path)
