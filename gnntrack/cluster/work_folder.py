"""Work folders: the manifest that describes their job, and the locks of the runs that use them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gnntrack.cluster.tasks import MANIFEST, Job
from gnntrack.errors import InputError, OutputError
from gnntrack.io.manifests import list_changes, write_manifest
from gnntrack.io.output import check_writable
from gnntrack.io.output_locks import lock_file, unlock_file
from gnntrack.io.output_places import list_leftovers, remove_path
from gnntrack.json_files import parse_json, read_json

__all__ = ["hold_work_folder", "read_description", "wait_for_lock"]

_LISTED = 5  # changed values that a message names
_WAIT = 0.2  # seconds between two looks at a lock
_PATIENCE = 3.0  # seconds in which another shard gives its lock free


@contextmanager
def hold_work_folder(job: Job, work: Path, *, resume: bool, shared: bool) -> Iterator[None]:
    """Keep other runs out of a work folder, but for other shards, and check that it belongs to the job.

    Raises
    ------
    InputError
        If it belongs to another job.
    OutputError
        If it is used by another run, holds something else, cannot be written, or holds a job and `resume` is False.
    """
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"{work}: the work folder cannot be made ({error.strerror}); choose another one (--work)"
        raise OutputError(msg) from error
    check_writable(work / MANIFEST, work)
    file = work / ".lock"
    descriptor = _lock_work_folder(work, file, shared=shared)
    try:
        with wait_for_lock(work / "manifest"):
            for path in list_leftovers(work / MANIFEST):
                remove_path(path)
            _check_manifest(job, work, resume=resume)
        yield
    finally:
        unlock_file(file, descriptor)


def _lock_work_folder(work: Path, file: Path, *, shared: bool) -> int | None:
    """Return the descriptor of the lock of a work folder; a shard waits while another one gives it free."""
    end = time.monotonic() + (_PATIENCE if shared else 0)
    while True:
        try:
            return lock_file(file, shared=shared)
        except BlockingIOError:
            if time.monotonic() < end:
                time.sleep(_WAIT)
                continue
            msg = f"{work}: another run of gnntrack uses this work folder; wait until it has ended, or choose another"
            raise OutputError(msg) from None


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Wait until no other process has the lock of a path, and hold it.

    The lock of a process that has died is free. Without locks, as on some file systems of clusters, there is no wait:
    then two processes may do the same work, with the same result.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.with_name(f".lock-{path.name}")
    while True:
        try:
            descriptor = lock_file(file)
            break
        except BlockingIOError:
            time.sleep(_WAIT)
    try:
        yield
    finally:
        unlock_file(file, descriptor)


def read_description(work: Path) -> dict[str, Any] | None:
    """Return the description of the job of a work folder, None if there is none.

    Raises
    ------
    InputError
        If the manifest is damaged.
    """
    try:
        found = read_json(work / MANIFEST)
        description: dict[str, Any] = found["job"]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, OSError) as error:
        msg = f"{work / MANIFEST}: it cannot be read ({error}); remove the folder {work}, or choose another one"
        raise InputError(msg) from error
    return description


def _check_manifest(job: Job, work: Path, *, resume: bool) -> None:
    """Raise if a work folder may not be used for a job; write its manifest if it is new."""
    wanted = parse_json(json.dumps(job.describe()))
    found = read_description(work)
    if found is None:
        strange = next((path.name for path in sorted(work.iterdir()) if not path.name.startswith(".")), None)
        if strange is not None:
            msg = f"{work}: it holds {strange}, and is not a work folder of gnntrack; choose a new folder (--work)"
            raise OutputError(msg)
        write_manifest(work / MANIFEST, {"job": wanted})
        return
    if not resume:
        msg = f"{work}: it holds the work of an earlier run; continue it with --resume, or choose a new folder (--work)"
        raise OutputError(msg)
    changes = list_changes(found, wanted)
    if changes:
        more = [f"{len(changes) - _LISTED} more"] if len(changes) > _LISTED else []
        msg = (
            f"{work}: it holds the work of a run with other inputs, settings or another version "
            f"({'; '.join([*changes[:_LISTED], *more])}); choose a new folder (--work)"
        )
        raise InputError(msg)
