"""Tables of tracks that a person or another program made: a row per cell, or a row per track with its parent."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.io.delimited import TextTable, find_columns, list_columns, read_delimited
from gnntrack.io.number_styles import describe_number

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gnntrack.types import IntArray

__all__ = ["is_cell_table", "is_edge_table", "link_cell_table", "read_edges", "read_parents"]

_NO_PARENT = {"", "nan", "na", "n/a", "none", "null", "-"}


def is_cell_table(path: Path, table: TextTable) -> bool:
    """Return whether a table has the columns frame, label and track.

    Raises
    ------
    FormatError
        If it has one of them twice.
    """
    return len(find_columns(path, table, ("frame", "label", "track"))) == 3


_EDGE = ("source_frame", "source_label", "target_frame", "target_label")


def is_edge_table(path: Path, table: TextTable) -> bool:
    """Return whether a table has the columns of Trackastra's table of links, as ``export --to edges`` writes it.

    Raises
    ------
    FormatError
        If it has one of them twice.
    """
    return len(find_columns(path, table, _EDGE)) == len(_EDGE)


def read_edges(path: Path, table: TextTable) -> IntArray:
    """Return the links of such a table: frame and label of both ends, (L, 4).

    Raises
    ------
    FormatError
        If a value is not a whole number.
    """
    return np.array(_read_integers(path, table, _EDGE), np.int64).reshape(-1, len(_EDGE))


def link_cell_table(path: Path, table: TextTable, parents: dict[int, int] | None = None) -> IntArray:
    """Return the links of a table with frame, label, track and perhaps parent: frame and label of both ends, (L, 4).

    Parameters
    ----------
    path : Path
        For messages.
    table : TextTable
        A row per cell.
    parents : dict, optional
        Track -> its parent; they prevail over the column ``parent``.

    Raises
    ------
    FormatError
        If a value is not a whole number, a track has two cells in a frame, or a parent is not a track of the table.
    """
    rows = _read_integers(path, table, ("frame", "label", "track"), "parent")
    cells = _group_by_track(path, rows)
    found = _select_parents((track, parent) for _, _, track, parent in sorted(rows)) | (parents or {})
    for kind, named in (("parent", set(found.values())), ("daughter", set(found))):
        unknown = sorted(named - cells.keys())
        if unknown:
            msg = f"{path}: the {kind} {unknown[0]} is not a track of the table; correct it, or leave it empty"
            raise FormatError(msg)
    for track, parent in found.items():
        if cells[parent][-1][0] >= cells[track][0][0]:
            msg = (
                f"{path}: track {track} begins in frame {cells[track][0][0]}, and its parent {parent} ends in frame "
                f"{cells[parent][-1][0]}; expected a parent that ends before"
            )
            raise FormatError(msg)
    links = [(*a, *b) for members in cells.values() for a, b in pairwise(members)]
    links += [(*cells[parent][-1], *cells[track][0]) for track, parent in found.items()]
    return np.array(links, np.int64).reshape(-1, 4)


def _group_by_track(path: Path, rows: list[tuple[int, ...]]) -> dict[int, list[tuple[int, int]]]:
    """Return frame and label of the cells of each track, in the order of frames."""
    cells: dict[int, list[tuple[int, int]]] = {}
    first = min(frame for frame, *_ in rows)
    if first < 0:
        msg = f"{path}: a cell is in frame {first}; count frames from 0"
        raise FormatError(msg)
    for frame, label, track, _ in sorted(rows):
        members = cells.setdefault(track, [])
        if track < 1 or (members and members[-1][0] == frame):
            fault = f"track {track} has two cells in frame {frame}" if members else f"a track has the id {track}"
            msg = f"{path}: {fault}; expected tracks from 1, with at most one cell in a frame"
            raise FormatError(msg)
        members.append((frame, label))
    return cells


def _select_parents(pairs: Iterable[tuple[int, int]]) -> dict[int, int]:
    """Return track -> parent of the tracks with one; in some formats, a track without one is its own parent."""
    return {track: parent for track, parent in pairs if parent > 0 and parent != track}


def read_parents(path: str | Path | None) -> dict[int, int]:
    """Return the parent of each track in a table with the columns track and parent.

    Raises
    ------
    InputError
        If there is no such file, or it has not these columns with whole numbers (`FormatError`).
    """
    if path is None:
        return {}
    rows = _read_integers(Path(path), read_delimited(path), ("track", "parent"))
    return _select_parents((track, parent) for track, parent in rows)


def _read_integers(path: Path, table: TextTable, names: tuple[str, ...], *more: str) -> list[tuple[int, ...]]:
    """Return columns as integers, and others that may be absent (then 0)."""
    known = find_columns(path, table, (*names, *more))
    absent = [name for name in names if name not in known]
    if absent:
        msg = f"{path}: no column {', '.join(absent)}; expected the columns {', '.join(names)}; {list_columns(table)}"
        raise FormatError(msg)
    if not table.rows:
        msg = f"{path}: a table without rows; expected the columns {', '.join(names)}"
        raise FormatError(msg)
    missing = (0,) * (len(names) + len(more) - len(known))
    return [(*_read_row(path, line, row, known), *missing) for line, row in zip(table.lines, table.rows, strict=True)]


def _read_row(path: Path, line: int, row: dict[str, str], known: dict[str, str]) -> list[int]:
    numbers = []
    for name, column in known.items():
        text = row[column].strip()
        value = 0 if name == "parent" and text.lower() in _NO_PARENT else _parse_whole(text)
        if value is None:
            msg = (
                f"{path}: line {line} has a value that is not a number in {name}: {describe_number(text)}; "
                f"expected whole numbers in {', '.join(known)}"
            )
            raise FormatError(msg)
        numbers.append(value)
    return numbers


def _parse_whole(text: str) -> int | None:
    """Return a whole number, None for any other text.

    >>> _parse_whole(" 7.0"), _parse_whole("0.5"), _parse_whole("1e99")
    (7, None, None)
    """
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if abs(value) < 2**53 and value == int(value) else None
