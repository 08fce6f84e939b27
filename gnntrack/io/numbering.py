"""Order of the files of a movie: the numbers and time stamps in their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from gnntrack.errors import FrameError

__all__ = ["order_frames"]

_MOST_MISSING = 100_000  # beyond this the numbers in the names are dates or times, not frames


def order_frames(files: Sequence[Path], folder: Path, *, allow_missing: bool = False) -> list[Path]:
    """Return the files in natural order (t1, t2, t10), with the missing ones in their places.

    Parameters
    ----------
    files : paths
        The files of one folder.
    folder : Path
        For messages.
    allow_missing : bool
        Put a path that does not exist where a number is missing.

    Raises
    ------
    FrameError
        If the list is empty, the names are of several kinds, or a number is missing or occurs twice.

    Examples
    --------
    >>> [path.name for path in order_frames([Path("t10.tif"), Path("t9.tif"), Path("t11.tif")], Path("."))]
    ['t9.tif', 't10.tif', 't11.tif']
    """
    if not files:
        raise FrameError(_describe_missing_frames(folder), file=folder)
    parts = {path: re.split(r"(\d+)", path.name) for path in files}
    ordered = sorted(files, key=lambda path: [int(p) if i % 2 else p.lower() for i, p in enumerate(parts[path])])
    if not _check_kinds(["#".join(parts[path][::2]).lower() for path in ordered], folder):
        return ordered
    column = _find_frame_column([[int(part) for part in parts[path][1::2]] for path in ordered], ordered, folder)
    if column is None:
        return ordered
    numbers = [int(parts[path][1 + 2 * column]) for path in ordered]
    return _fill_numbering(ordered, numbers, parts[ordered[0]], column, folder, allow_missing=allow_missing)


def _check_kinds(kinds: list[str], folder: Path) -> bool:
    """Return whether all names are of one kind, which is a name without its numbers; False if all kinds differ.

    Raises
    ------
    FrameError
        If some names are of one kind and some of another.
    """
    counts = Counter(kinds)
    if len(counts) > 1 and max(counts.values()) > 1:
        listed = ", ".join(f"{kind} ({count})" for kind, count in counts.most_common(3))
        msg = f"its TIFFs have names of {len(counts)} kinds: {listed}; keep only the frames of one movie in a folder"
        raise FrameError(msg, file=folder)
    return len(counts) == 1


def _find_frame_column(numbers: list[list[int]], ordered: list[Path], folder: Path) -> int | None:
    """Return which number in the names is that of the frame; None for a single file."""
    if len(ordered) == 1:
        return None
    columns = [list(column) for column in zip(*numbers, strict=True)]
    unique = [i for i, column in enumerate(columns) if len(set(column)) == len(column)]
    if unique:  # a time stamp beside the frame number spans more
        return min(unique, key=lambda i: max(columns[i]) - min(columns[i]))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    if len(varying) > 1:
        msg = (
            f"the names of its files count {len(varying)} things ({ordered[0].name}, {ordered[1].name}, ...), such as "
            "frames and slices or channels; expected one file per frame: join the slices of each frame into one file"
        )
        raise FrameError(msg, file=folder)
    twice = next(pair for pair in pairwise(zip(numbers, ordered, strict=True)) if pair[0][0] == pair[1][0])
    msg = f"{twice[0][1].name} and {twice[1][1].name} have the same number; remove one of them"
    raise FrameError(msg, file=folder)


def _fill_numbering(
    ordered: list[Path], numbers: list[int], parts: list[str], column: int, folder: Path, *, allow_missing: bool
) -> list[Path]:
    """Return the files with paths that do not exist for the numbers that are missing."""
    by_number = dict(sorted(zip(numbers, ordered, strict=True)))
    first, last = min(by_number), max(by_number)
    missing = last - first + 1 - len(by_number)
    if not missing:
        return list(by_number.values())
    if not allow_missing:
        number = next(low + 1 for low, high in pairwise(by_number) if high > low + 1)
        more = f" ({missing} numbers are missing between {first} and {last})" if missing > 1 else ""
        msg = (
            f"frame number {number} is missing{more}: no {_format_name(parts, column, number)}; add it, "
            "number the files without gaps, or read missing frames as empty ones with allow_missing (--allow-missing)"
        )
        raise FrameError(msg, file=folder)
    if missing > _MOST_MISSING:
        msg = f"its files are numbered from {first} to {last}, {missing} numbers are missing; number them by frame"
        raise FrameError(msg, file=folder)
    return [by_number.get(number, folder / _format_name(parts, column, number)) for number in range(first, last + 1)]


def _format_name(parts: list[str], column: int, number: int) -> str:
    width = len(parts[1 + 2 * column])
    return "".join([*parts[: 1 + 2 * column], f"{number:0{width}d}", *parts[2 + 2 * column :]])


def _describe_missing_frames(folder: Path) -> str:
    inside = sorted(
        path for path in folder.glob("*/") if any(file.suffix.lower() in {".tif", ".tiff"} for file in path.iterdir())
    )
    if inside:
        return f"the folder holds no TIFF itself; did you mean {' or '.join(str(path) for path in inside[:4])}?"
    others = Counter(path.suffix for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if not others:
        return "the folder is empty; expected a TIFF per frame, such as t000.tif, t001.tif"
    listed = ", ".join(f"{count} {suffix or 'nameless'}" for suffix, count in others.most_common(3))
    return f"the folder holds no TIFF but {listed}; expected a TIFF per frame, such as t000.tif, t001.tif"
