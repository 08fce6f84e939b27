"""Comparison of outputs for `same_results.py`, and the table of differences that are intended."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
import zarr
from safetensors.numpy import load_file

Json = Any


class Change(NamedTuple):
    """An intended difference between the base revision and the working tree.

    ``option``: a word of the command line; ``file``: the name of an output file; ``name``: a column of a table, or
    a property of a GEFF graph and its metadata; ``key``: a key of JSON or TOML, or of the metadata of a graph, that
    the base revision lacks (`old` is empty) or the working tree lacks (`new` is empty), with or without its table;
    ``result``: a pattern of ``CASE: FILE`` whose difference is accepted (`new` is empty).
    """

    kind: Literal["option", "file", "name", "key", "result"]
    old: str
    new: str
    reason: str


ON_PURPOSE: tuple[Change, ...] = (
    Change("key", "", "allow_missing", "it is a setting of [frames], no longer an argument"),
    *(
        Change("key", name, "", "no movie needed another value: it is a constant now")
        for name in (
            *("scores.divisions", "scores.start_rate", "scores.border_rate", "scores.end_rate", "scores.miss_rate"),
            *("scores.division_rate", "scores.artefact_rate"),
            *("solver.costs", "repair.min_visible", "repair.glued_share"),
        )
    ),
    *(
        Change("name", f"{name}_z{rest}", f"{name}_zscore{rest}", "columns of z-scores end in _zscore; _z is the axis")
        for name, rest in (
            *((name, "") for name in ("size", "elongation", "ellipsoid_fill")),
            *((f"intensity_{name}", "") for name in ("mean", "std", "min", "max")),
            ("intensity_mean", "_difference"),
        )
    ),
)

# Keys of JSON files and columns of tables that differ from run to run, or that hold the version.
VARIABLE = {"seconds", "stages", "time", "memory", "date", "revision", "gnntrack", "geff_version"}
# Text for people: it may be rewritten without a change of the result.
PROSE = {"message", "description"}
# Files that are not compared: pictures, whose titles are prose.
SKIPPED = ("*.png",)


def compare_folders(base: Path, new: Path) -> list[tuple[str, str]]:
    """Return the files that differ, each with the kind of difference."""
    ours, theirs = _outputs(new), {_renamed_file(name): path for name, path in _outputs(base).items()}
    found = [(name, "missing") for name in sorted(theirs.keys() - ours.keys())]
    found += [(name, "not in the base revision") for name in sorted(ours.keys() - theirs.keys())]
    for name in sorted(theirs.keys() & ours.keys()):
        if difference := compare_files(theirs[name], ours[name]):
            found.append((name, difference))
    return found


def _outputs(folder: Path) -> dict[str, Path]:
    """Return the outputs of a case by name; a graph on disk (GEFF), a folder of many files, counts as one."""
    found: dict[str, Path] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        graph = next((part for part in (*reversed(name.parents), name) if part.suffix == ".geff"), None)
        if graph:
            found[graph.as_posix()] = folder / graph
        elif path.is_file() and not any(path.match(pattern) for pattern in SKIPPED):
            found[name.as_posix()] = path
    return {name: path for name, path in found.items() if name not in {"stdout", "stderr", "run.json"}}


def _renamed_file(name: str) -> str:
    for change in ON_PURPOSE:
        if change.kind == "file":
            name = name.replace(change.old, change.new)
    return name


def compare_files(base: Path, new: Path) -> str | None:
    """Return how two outputs differ, None if they are the same."""
    if base.suffix == ".geff":
        return compare_graphs(base, new)
    if base.read_bytes() == new.read_bytes():
        return None
    compare = COMPARISONS.get(base.suffix)
    return compare(base, new) if compare else "bytes"


def compare_graphs(base: Path, new: Path) -> str | None:
    """Compare two graphs on disk: every array, and the metadata without its prose."""
    groups = [zarr.open_group(str(path), mode="r") for path in (base, new)]
    theirs, ours = [
        {name: item for name, item in group.members(max_depth=None) if isinstance(item, zarr.Array)} for group in groups
    ]
    theirs = {"/".join(map(_rename_column, name.split("/"))): array for name, array in theirs.items()}
    if theirs.keys() != ours.keys():
        return f"arrays {_both(sorted(theirs.keys() ^ ours.keys()))} are in one only"
    differing = [name for name in ours if not _same_array(np.asarray(theirs[name][...]), np.asarray(ours[name][...]))]
    if differing:
        return f"arrays {_both(differing)}"
    attributes = [dict(group.attrs) for group in groups]
    return _compare_plain(attributes[0], attributes[1], columns=True)


def compare_images(base: Path, new: Path) -> str | None:
    """Compare the pixels of two TIFFs."""
    return None if _same_array(tifffile.imread(base), tifffile.imread(new)) else "pixels"


def compare_tensors(base: Path, new: Path) -> str | None:
    """Compare the tensors of two safetensors files."""
    theirs, ours = load_file(base), load_file(new)
    if theirs.keys() != ours.keys():
        return f"tensors {_both(sorted(theirs.keys() ^ ours.keys()))} are in one only"
    differing = [name for name in ours if not _same_array(theirs[name], ours[name])]
    return f"tensors {_both(differing)}" if differing else None


def compare_json(base: Path, new: Path) -> str | None:
    """Compare two JSON files without what differs from run to run, and without prose."""
    try:
        theirs, ours = [json.loads(path.read_text(encoding="utf-8")) for path in (base, new)]
    except ValueError:
        return "not JSON"
    return _compare_plain(theirs, ours)


def compare_settings(base: Path, new: Path) -> str | None:
    """Compare the values of two TOML files; comments may differ."""
    theirs, ours = [tomllib.loads(path.read_text(encoding="utf-8")) for path in (base, new)]
    return _compare_plain(theirs, ours)


def compare_tables(base: Path, new: Path) -> str | None:
    """Compare two CSV files, column by column, without those that differ from run to run."""
    theirs, ours = [list(csv.reader(path.read_text(encoding="utf-8").splitlines())) for path in (base, new)]
    names = [[*map(_rename_column, theirs[0])], ours[0]] if theirs and ours else [[], []]
    if names[0] != names[1]:
        return f"columns {_both(sorted(set(names[0]) ^ set(names[1]))) or 'in another order'}"
    if len(theirs) != len(ours):
        return f"{len(theirs) - 1} rows, {len(ours) - 1} rows"
    columns = zip(names[0], zip(*theirs[1:], strict=True), zip(*ours[1:], strict=True), strict=True)
    differing = [name for name, a, b in columns if a != b and name not in VARIABLE]
    return f"columns {_both(differing)}" if differing else None


COMPARISONS: dict[str, Callable[[Path, Path], str | None]] = {
    ".tif": compare_images,
    ".safetensors": compare_tensors,
    ".json": compare_json,
    ".toml": compare_settings,
    ".csv": compare_tables,
}


def _same_array(base: npt.NDArray[Any], new: npt.NDArray[Any]) -> bool:
    return base.dtype == new.dtype and base.shape == new.shape and base.tobytes() == new.tobytes()


def _compare_plain(base: Json, new: Json, *, columns: bool = False) -> str | None:
    """Compare nested tables; with `columns`, texts may be names of columns, which are renamed.

    A model keeps the names of the columns that it was trained with, so in JSON files they are not renamed.
    """
    changes = [change for change in ON_PURPOSE if change.kind == "key"]
    rename = _rename_column if columns else str
    theirs = dict(_leaves(base, skipped={change.old for change in changes if not change.new}, rename=rename))
    ours = dict(_leaves(new, skipped={change.new for change in changes if not change.old}, rename=str))
    # as text: NaN equals NaN, and 1 is not 1.0
    differing = [key for key in {**theirs, **ours} if repr(theirs.get(key, "-")) != repr(ours.get(key, "-"))]
    return f"values {_both(differing)}" if differing else None


def _leaves(
    value: Json, *, skipped: set[str], rename: Callable[[str], str], key: str = ""
) -> Iterator[tuple[str, Json]]:
    """Yield the path and the value of every leaf of nested tables, without variable values and prose."""
    if isinstance(value, dict):
        compared = [name for name in value if not {name, f"{key.rpartition('.')[2]}.{name}"} & (skipped | PROSE)]
        yield f"{key} keys", [rename(name) for name in compared]
        for name in compared:
            each = value[name]
            # the provenance of a graph is a table named gnntrack, too
            if name not in VARIABLE or isinstance(each, dict):
                yield from _leaves(each, skipped=skipped, rename=rename, key=f"{key}.{rename(name)}")
    elif isinstance(value, list):
        yield f"{key} length", len(value)
        for number, each in enumerate(value):
            yield from _leaves(each, skipped=skipped, rename=rename, key=f"{key}[{number}]")
    else:
        yield key, rename(value) if isinstance(value, str) else value


def _rename_column(name: str) -> str:
    return next((change.new for change in ON_PURPOSE if change.kind == "name" and change.old == name), name)


def _both(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more
