"""Traces of a script in a folder: which files it made, changed or removed."""

from __future__ import annotations

import os
from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

__all__ = ["Changes", "list_changes", "take_snapshot"]

Snapshot = dict[str, tuple[int, ...]]


class Changes(NamedTuple):
    """Paths relative to the folder, sorted."""

    made: list[str]
    changed: list[str]
    removed: list[str]


def take_snapshot(folder: Path, *, skip: Container[str] = ()) -> Snapshot:
    """Return all files and folders below a folder, each with numbers that change if its content does.

    Parameters
    ----------
    folder : Path
        A folder; one that does not exist is empty.
    skip : strings
        Names of entries of the folder that are not read.

    Examples
    --------
    >>> import tempfile
    >>> place = Path(tempfile.mkdtemp())
    >>> before = take_snapshot(place)
    >>> (place / "a.txt").touch()
    >>> list_changes(before, take_snapshot(place))
    Changes(made=['a.txt'], changed=[], removed=[])
    """
    found: Snapshot = {}
    for top, folders, names in os.walk(folder):
        if Path(top) == folder:
            folders[:] = [name for name in folders if name not in skip]
        for name in (*folders, *names):
            path = Path(top) / name
            if path.parent == folder and name in skip:
                continue
            status = path.lstat()
            # the content of a folder is that of its files; ctime, unlike mtime, cannot be set
            marks = (0,) if path.is_dir() and not path.is_symlink() else (status.st_size, status.st_ctime_ns)
            found[path.relative_to(folder).as_posix()] = (status.st_mode, *marks)
    return found


def list_changes(before: Snapshot, after: Snapshot) -> Changes:
    """Return the differences of two snapshots."""
    both = before.keys() & after.keys()
    return Changes(
        sorted(after.keys() - before.keys()),
        sorted(name for name in both if before[name] != after[name]),
        sorted(before.keys() - after.keys()),
    )
