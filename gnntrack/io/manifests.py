"""Manifests: the inputs, settings and version that something was made with, and what has changed since.

An input is described by the names, sizes and times of its files, and by a hash of their content. Names, sizes and times
are looked at first: if they are the same, nothing is read. Only otherwise the content decides, so that a copy of an
input is the same input. The content of more than 256 MiB is not hashed; the times decide then.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

from gnntrack import __version__
from gnntrack.io.folders import FRAME_SUFFIXES
from gnntrack.io.output_places import is_temporary, write_text
from gnntrack.io.patterns import has_pattern, list_candidates, split_pattern
from gnntrack.io.result_folders import find_kind
from gnntrack.json_files import read_json
from gnntrack.plurals import count_noun

__all__ = [
    "compare_values",
    "describe_inputs",
    "describe_path",
    "describe_run",
    "flatten",
    "is_same",
    "list_changes",
    "read_manifest",
    "write_manifest",
]

_HASHED = 256 << 20  # bytes of an input whose content is hashed: less than a second
_TICK = 2 * 10**9  # ns; the times of files can be as coarse as this
_TABLES = ("man_track.txt", "res_track.txt")
_STORES = (".zgroup", ".zattrs", ".zarray", "zarr.json")


def describe_run(
    command: str,
    inputs: Mapping[str, str | Path | Sequence[str | Path] | None],
    settings: Mapping[str, Any],
    *,
    known: Mapping[str, Any] | None = None,
    without: Sequence[Path] = (),
) -> dict[str, Any]:
    """Return the description of a run: plain JSON values, for `write_manifest` and `list_changes`.

    Parameters
    ----------
    command : str
        Its name.
    inputs : mapping
        The paths of each input by its name, as of `describe_inputs`.
    settings : mapping
        Plain JSON values, which may be nested.
    known, without
        As of `describe_inputs`; `known` is an earlier description of a run.

    Examples
    --------
    >>> before = describe_run("solve", {}, {"solver": {"goal": "balanced"}})
    >>> list_changes(before, describe_run("solve", {}, {"solver": {"goal": "links"}}))
    ['solver.goal was balanced, and is now links']
    """
    described = describe_inputs(inputs, known=(known or {}).get("inputs"), without=without)
    return {"command": command, "version": __version__, "inputs": described, "settings": dict(settings)}


def describe_inputs(
    inputs: Mapping[str, str | Path | Sequence[str | Path] | None],
    *,
    known: Mapping[str, Any] | None = None,
    without: Sequence[Path] = (),
) -> dict[str, Any]:
    """Return a description of the files of each input.

    Parameters
    ----------
    inputs : mapping
        For each name a file, a folder or a pattern, several of them, or None, which is omitted.
    known : mapping, optional
        An earlier description of the same inputs. Where names, sizes and times of files are still the same, their hash
        is taken from it.
    without : sequence of Path
        Outputs, which may lie in a folder of the input, and do not belong to it.

    Returns
    -------
    dict
        A list of descriptions for each name; see `describe_path`.
    """
    found: dict[str, Any] = {}
    for name, given in inputs.items():
        if given is None:
            continue
        paths = [given] if isinstance(given, str | os.PathLike) else list(given)
        before = (known or {}).get(name, [])
        found[name] = [
            describe_path(path, known=before[k] if k < len(before) else None, without=without)
            for k, path in enumerate(paths)
        ]
    return found


def describe_path(
    path: str | Path,
    *,
    known: Mapping[str, Any] | None = None,
    without: Sequence[Path] = (),
    names: Collection[str] | None = None,
) -> dict[str, Any]:
    """Return a description of the files at a path: plain JSON values.

    Of a result of gnntrack, its own files count; of a folder with images, these; of any other folder, all files that
    are not hidden. A path that does not exist has no files.

    Parameters
    ----------
    path : path
        A file, a folder or a pattern.
    known, without
        As of `describe_inputs`, for one path.
    names : collection of str, optional
        The files of a folder that count.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a.csv")
    >>> written = file.write_text("1")
    >>> describe_path(file)["files"], describe_path(file.parent)["newest"]
    (1, 'a.csv')
    """
    now = time.time_ns()
    place = Path(path).expanduser()
    listed = _list_files(place, without) if names is None else ((name, place / name) for name in names)
    files = sorted((name, file, file.stat()) for name, file in listed if file.exists())
    looks = blake2b(digest_size=16)
    for name, _, stat in files:
        looks.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    latest, newest = max(((stat.st_mtime_ns, name) for name, _, stat in files), default=(0, ""))
    size = sum(stat.st_size for _, _, stat in files)
    found: dict[str, Any] = {
        "path": os.path.abspath(place),  # noqa: PTH100  # links stay
        "files": len(files),
        "bytes": size,
        "newest": newest,
        "settled": latest < now - _TICK,
        "looks": looks.hexdigest(),
        "content": None,
    }
    if known is not None and _looks_same(known, found):
        found["content"] = known.get("content")
    elif size <= _HASHED:
        found["content"] = _hash_content((name, file) for name, file, _ in files)
    return found


def _hash_content(files: Iterable[tuple[str, Path]]) -> str:
    """Return a hash of the names and the content of files."""
    hashed = blake2b(digest_size=16)
    for name, file in files:
        with file.open("rb") as opened:
            content = file_digest(opened, lambda: blake2b(digest_size=16))
        hashed.update(f"{name}\0{content.hexdigest()}\n".encode(errors="surrogateescape"))
    return hashed.hexdigest()


def _looks_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether names, sizes and times of files are the same, and older than a tick of the clock."""
    return bool(before.get("settled")) and before.get("looks") == now.get("looks")


def is_same(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether two descriptions of `describe_path` are of the same content, wherever it lies."""
    if before.get("content") is None or now.get("content") is None:
        return before.get("looks") == now.get("looks")
    return bool(before["content"] == now["content"])


def _list_files(place: Path, without: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """Yield the files at a path, each with its name relative to it."""
    if not place.exists() and has_pattern(str(place)):
        yield from list_candidates(*split_pattern(place))
    elif place.is_dir():
        yield from _list_folder(place, {os.path.realpath(each) for each in without})
    elif place.exists():
        yield "", place


def _list_folder(folder: Path, without: set[str]) -> Iterator[tuple[str, Path]]:
    entries = sorted(folder.iterdir())
    names = {entry.name for entry in entries}
    kind = find_kind(folder, names)
    if kind is None and names.isdisjoint(_STORES):
        images = [entry for entry in entries if _is_frame(entry)]
        if images:
            yield from ((entry.name, entry) for entry in images)
            yield from ((name, folder / name) for name in sorted(names.intersection(_TABLES)))
            return
    for name, path in _list_tree(os.path.realpath(folder), without):
        if kind is None or kind.names.fullmatch(name):
            yield name, path


def _is_frame(path: Path) -> bool:
    return path.suffix.lower() in FRAME_SUFFIXES and not _is_hidden(path.name) and path.is_file()


def _list_tree(root: str, without: set[str]) -> Iterator[tuple[str, Path]]:
    """Yield all files below a folder that are not hidden."""
    for top, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not _is_hidden(name) and f"{top}{os.sep}{name}" not in without]
        for name in names:
            path = f"{top}{os.sep}{name}"
            if not _is_hidden(name) and path not in without:
                yield os.path.relpath(path, root).replace(os.sep, "/"), Path(path)


def _is_hidden(name: str) -> bool:
    """Return whether a file is no input: a hidden one that is not of zarr."""
    return is_temporary(Path(name)) or (name.startswith(".") and name not in _STORES)


def list_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a text for each difference of two runs: command, version, inputs, settings.

    Parameters
    ----------
    before, now : mapping
        Descriptions of `describe_run`.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> written = (folder / "a.csv").write_text("1")
    >>> before = describe_run("convert", {"source": folder / "a.csv"}, {})
    >>> list_changes(before, describe_run("convert", {"source": folder / "a.csv"}, {}))
    []
    >>> written = (folder / "a.csv").write_text("2")
    >>> list_changes(before, describe_run("convert", {"source": folder / "a.csv"}, {}))
    ['source: the content of a.csv has changed']
    """
    told = [{"command": each.get("command"), "version": each.get("version")} for each in (before, now)]
    inputs = _list_changed_inputs(before.get("inputs", {}), now.get("inputs", {}))
    settings = compare_values(flatten(before.get("settings", {})), flatten(now.get("settings", {})))
    return [*compare_values(*told), *inputs, *settings]


def compare_values(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield a text for each name whose value differs."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            yield f"{name} was {before.get(name)}, and is now {now.get(name)}"


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of nested sections by names with points, such as ``graph.max_gap``."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _list_changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(before.keys() | now.keys()):
        old, new = before.get(name, []), now.get(name, [])
        if len(old) != len(new):
            yield f"{name}: {count_noun(len(old), 'path')} before, and {len(new)} now"
            continue
        for one, other in zip(old, new, strict=True):
            if not is_same(one, other):
                yield f"{name}: {_describe_change(one, other)}"


def _describe_change(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    place = Path(now["path"]).name
    if before["files"] != now["files"]:
        return f"{place} had {count_noun(before['files'], 'file')}, and has now {now['files']}"
    newest = f"; its newest file is {now['newest']}" if now["files"] > 1 else ""
    if now["content"] is None:
        return f"names, sizes or times of the files of {place} have changed{newest}"
    return f"the content of {place} has changed{newest}"


def write_manifest(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a manifest as a JSON file, as a whole or not at all.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    write_text(Path(path), json.dumps(content, indent=1) + "\n")


def read_manifest(path: str | Path) -> dict[str, Any] | None:
    """Return the content of a manifest, None if there is none or it is damaged."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
