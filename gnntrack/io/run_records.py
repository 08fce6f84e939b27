"""Records of outputs: how each was made, so that ``--resume`` keeps what is finished and unchanged.

The record of an output ``NAME`` is the file ``.gnntrack/NAME.json`` beside it, so that outputs hold nothing but their
content. It is written just before the output appears, and keeps the one before it, whose output may still be there if
the run is killed in between. Records whose output is gone are removed by the next run that writes one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from gnntrack.io.output_places import remove_path, shorten_name
from gnntrack.io.result_folders import RECORDS, list_listed_files

__all__ = ["find_record", "find_records", "note_begin", "note_output", "record_outputs", "write_record"]

_KEPT = 2  # records of an output
_run: ContextVar[Mapping[str, Any] | None] = ContextVar("run", default=None)


@contextmanager
def record_outputs(run: Mapping[str, Any] | None) -> Iterator[None]:
    """Record all outputs that are written inside of the body as made by a run.

    Parameters
    ----------
    run : mapping, optional
        As of `gnntrack.io.manifests.describe_run`. If None, nothing is recorded.
    """
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)


def note_output(place: Path, target: Path) -> None:
    """Record that an output is about to be moved from `place` to `target`; without a run, nothing is done.

    An output is worth more than its record: if the record cannot be written, there is none.
    """
    run = _run.get()
    if run is None:
        return
    with suppress(OSError):
        write_record(target, {**run, "output": _describe_output(place)})


def note_begin(target: Path) -> None:
    """Record that an output that is made step by step, such as a model, is begun; without a run, nothing is done."""
    run = _run.get()
    if run is not None:
        with suppress(OSError):
            write_record(target, run)


def write_record(target: Path, run: Mapping[str, Any]) -> None:
    """Write the record of an output, before the one that is there.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    from gnntrack.io.manifests import write_manifest

    file = _find_file(target)
    write_manifest(file, {"runs": [run, *find_records(target)][:_KEPT]})
    _remove_stale(file)


def find_record(target: Path) -> dict[str, Any] | None:
    """Return the description of the run that made the output that is at a path now, None if it is not known.

    It is not known for an output that was made by an earlier version or in Python, or has been changed since.
    """
    from gnntrack.io.manifests import is_same

    records = [each for each in find_records(target) if isinstance(each.get("output"), dict)]
    if not records:
        return None
    now = _describe_output(target)
    return next((each for each in records if is_same(each["output"], now)), None)


def find_records(target: Path) -> list[dict[str, Any]]:
    """Return the descriptions of the last runs that have written a path, or were about to; the latest first."""
    from gnntrack.io.manifests import read_manifest

    runs = (read_manifest(_find_file(target)) or {}).get("runs")
    return [each for each in runs if isinstance(each, dict)] if isinstance(runs, list) else []


def _find_file(target: Path) -> Path:
    target = Path(os.path.realpath(target.expanduser()))
    return target.parent / RECORDS / f"{shorten_name(target.name)}.json"


def _describe_output(place: Path) -> dict[str, Any]:
    """Return a description of an output; of a folder that lists its files, only of these."""
    from gnntrack.io.manifests import describe_path

    found = describe_path(place, names=list_listed_files(place))
    del found["path"]  # a temporary one
    return found


def _remove_stale(own: Path) -> None:
    """Remove the records beside another one whose outputs are not there, and that no run writes now."""
    with suppress(OSError):
        there = {shorten_name(name) for name in os.listdir(own.parent.parent)}  # noqa: PTH208  # names only
        for file in own.parent.iterdir():
            name = file.name.removesuffix(".json")
            if file != own and name not in there and shorten_name(f".lock-{name}") not in there:
                remove_path(file)
