"""Folders that gnntrack has written, recognised by the names in them, so that only those are overwritten.

A folder of another kind, such as the result of a writer of another package, holds a list of its files in
``.gnntrack.json``. A new format therefore needs no entry here.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gnntrack.json_files import read_json

__all__ = [
    "EXTRAS",
    "MANIFEST",
    "RECORDS",
    "RESULT_FOLDERS",
    "ResultFolder",
    "ResultUnits",
    "find_foreign_file",
    "find_kind",
    "list_listed_files",
    "read_units",
    "write_manifest",
]

MANIFEST = ".gnntrack.json"
"""File that lists the files of a result folder of any other kind than `RESULT_FOLDERS`."""
RECORDS = ".gnntrack"
"""Folder with the records of the outputs beside it; see `gnntrack.io.run_records`. It belongs to none of them."""
EXTRAS = "gnntrack"
"""Sub-folder of a CTC result with everything that the format has no place for; programs for the format ignore it."""


class ResultFolder(NamedTuple):
    """A kind of folder that gnntrack writes."""

    recognise: Callable[[Path, set[str]], bool]
    """Returns whether a folder with these entries is of this kind."""
    names: re.Pattern[str]
    """Names that it may hold; those of folders may end in ``/``."""
    recursive: bool = False
    """Whether the names are paths of all files below it, and not its entries."""


def _has_geff(folder: Path, names: set[str]) -> bool:
    file = "zarr.json" if "zarr.json" in names else ".zattrs"
    try:
        attributes = read_json(folder / file)
        return "geff" in (attributes.get("attributes", {}) if file == "zarr.json" else attributes)
    except (OSError, ValueError, AttributeError, TypeError):
        return False


_MODEL = r"(weights\.safetensors|model\.json|checkpoint\.safetensors)"
# metadata and chunks of zarr 2 ("0.1") and zarr 3 ("c/0/1"), in groups of any depth; a folder may be empty
_GEFF = (
    r"zarr\.json|\.zgroup|\.zattrs|\.zmetadata"
    r"|(nodes|edges)/((?:[^/]+/)*(zarr\.json|\.zgroup|\.zattrs|\.zmetadata|\.zarray|c|\d+(\.\d+)*)?)"
)


def _has_model(folder: Path, names: set[str]) -> bool:
    """Return whether a folder is a model, an interrupted training, or one that was killed before its checkpoint."""
    if {"weights.safetensors", "model.json"} <= names or "checkpoint.safetensors" in names:
        return True
    partial = rf"\.partial-[0-9a-f]{{8}}-{_MODEL}"
    if not names or not all(re.fullmatch(rf"appearance|{partial}", name) for name in names):  # before a look below
        return False
    begun = re.compile(rf"(appearance/)?{partial}|appearance/({_MODEL})?")
    return all(map(begun.fullmatch, _list_files(folder)))


RESULT_FOLDERS = {
    "model": ResultFolder(
        _has_model,
        re.compile(rf"(appearance/)?(\.partial-[0-9a-f]{{8}}-)?{_MODEL}|log\.csv|(learning_curve|reliability)\.png"),
        recursive=True,
    ),
    "geff": ResultFolder(_has_geff, re.compile(_GEFF), recursive=True),
    "ctc": ResultFolder(
        lambda folder, names: "res_track.txt" in names or (folder / EXTRAS / "summary.json").is_file(),
        re.compile(
            rf"res_track\.txt|mask\d+\.tif|{EXTRAS}/((cells|points|tracks|review|repairs)\.csv|(summary|edits)\.json|(overlay|lineage)\.png"
            rf"|lineage\.geff/({_GEFF}))"
        ),
        recursive=True,
    ),
}
"""Kinds of folders that are recognised without a list of their files."""


def find_kind(folder: Path, names: set[str]) -> ResultFolder | None:
    """Return the kind of a folder with these entries, None if it is of none of `RESULT_FOLDERS`."""
    return next((kind for kind in RESULT_FOLDERS.values() if kind.recognise(folder, names)), None)


def find_foreign_file(folder: Path) -> str | None:
    """Return the first file or folder in a folder that gnntrack has not written, or None if it wrote all of them."""
    found = (entry for entry in folder.iterdir() if entry.name != RECORDS)
    entries = sorted(f"{entry.name}/" if entry.is_dir() else entry.name for entry in found)
    if MANIFEST in entries:
        return _find_unlisted_file(folder)
    names = {entry.rstrip("/") for entry in entries}
    kind = find_kind(folder, names)
    if kind is None:
        return next((entry.rstrip("/") for entry in entries), None)
    inside = _list_files(folder) if kind.recursive else entries
    return next((name.rstrip("/") for name in inside if not kind.names.fullmatch(name)), None)


def _find_unlisted_file(folder: Path) -> str | None:
    listed = list_listed_files(folder)
    if listed is None:
        return f"an unreadable {MANIFEST}"
    return next((name for name in _list_files(folder) if name not in listed), None)


def list_listed_files(folder: Path) -> set[str] | None:
    """Return the names in the list of files of a folder, and that of the list; None if it has none."""
    try:
        return {MANIFEST, *read_json(folder / MANIFEST)["files"]}
    except (OSError, ValueError, LookupError, TypeError):
        return None


def write_manifest(folder: Path) -> None:
    """List the files of a new folder in it, unless it is recognised without such a list."""
    if find_foreign_file(folder) is not None:
        (folder / MANIFEST).write_text(json.dumps({"files": _list_files(folder)}, indent=0), encoding="utf-8")


def _list_files(folder: Path) -> list[str]:
    """Return all files below a folder, as paths relative to it, sorted; those of empty folders end in ``/``.

    Links, which gnntrack does not write, are not followed; they end in ``(a link)``.
    """
    found = []
    for top, folders, names in os.walk(folder):
        place = Path(top).relative_to(folder)
        links = {name for name in (*folders, *names) if Path(top, name).is_symlink()}
        found += [f"{(place / name).as_posix()} (a link)" for name in links]
        found += [(place / name).as_posix() for name in names if name not in links]
        folders[:] = [name for name in folders if name != RECORDS]
        if not folders and not names and place != Path():
            found.append(f"{place.as_posix()}/")
    return sorted(found)


class ResultUnits(NamedTuple):
    """Size of a voxel and frame interval of the run that wrote a result."""

    spacing: tuple[float, ...] | None
    """Size in um along ``[z], y, x``; None if it is not known."""
    interval: float | None
    """Seconds from a frame to the next; None if it is not known."""


def read_units(path: str | Path) -> ResultUnits:
    """Return size of a voxel and frame interval in the ``summary.json`` of a result; its masks do not hold them.

    Parameters
    ----------
    path : path
        The folder of the result, or a file or a pattern of files in it. Any other path has no units.

    Examples
    --------
    >>> read_units("movie.tif")
    ResultUnits(spacing=None, interval=None)
    """
    path = Path(path).expanduser()
    folder = path if path.is_dir() else path.parent
    try:
        movie = read_json(folder / EXTRAS / "summary.json")["movie"]
        spacing = tuple(map(float, movie["spacing"])) if movie["unit"] == "um" else None
        interval = movie.get("interval_s")
        return ResultUnits(spacing, None if interval is None else float(interval))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ResultUnits(None, None)
