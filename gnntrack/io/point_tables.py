"""Tables of tracked points of any program: a row per cell with frame, position, and track or parent.

The columns are found by their names: those of napari, btrack, LapTrack, trackpy, Mastodon and of ``cells.csv``, in
capitals or not. A parent is a track if the table has tracks, and a cell if each row has an id of its own.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.io.delimited import TextTable, find_columns, list_columns
from gnntrack.io.limits import MAX_FRAMES
from gnntrack.io.number_styles import describe_number, is_number
from gnntrack.io.submission_table import OTHER_READER
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, IntArray

__all__ = ["TRACK_COLUMNS", "PointTable", "is_point_table", "read_point_table"]

_log = logging.getLogger(__name__)

_FRAME = ("frame", "t", "timepoint")
TRACK_COLUMNS = ("track", "track_id", "particle")
"""Names of the column of tracks, in small letters."""
_PARENT = ("parent", "parent_track_id", "parent_id")
_AXES = {axis: tuple(name.format(axis) for name in ("{}", "{}_um", "{}_pixel", "position_{}")) for axis in "zyx"}
_NONE = {"", "nan", "na", "n/a", "none", "null", "-", "<na>"}
_FARTHEST = 1e9


class PointTable(NamedTuple):
    """Points and their links; the rows are those of the table, without btrack's dummies."""

    frame: IntArray
    """(N,) from 0."""
    position: FloatArray
    """(N, 3) along z, y, x; z is 0 in 2D."""
    track: IntArray | None
    """(N,) > 0, None if the table has parents of cells instead."""
    label: IntArray | None
    """(N,) > 0, None if the table has none."""
    source: IntArray
    """(L,) rows of the links."""
    target: IntArray
    parent: dict[int, int]
    """Track -> its parent, of tracks with one."""
    unit: str | None
    """``"um"`` or ``"pixel"`` if the names of the columns have a unit."""

    @property
    def ndim(self) -> int:
        """2 if all z are 0, else 3."""
        return 3 if self.position[:, 0].any() else 2


def is_point_table(path: Path, table: TextTable) -> bool:
    """Return whether a table has columns for frame, y and x, and for tracks or parents.

    Raises
    ------
    FormatError
        If one of the columns is there twice.
    """
    known = _find(path, table)
    return {"frame", "y", "x"} <= known.keys() and bool({"track", "id"} & known.keys())


def read_point_table(path: Path, table: TextTable, *, parents: Literal["tracks", "cells"] | None = None) -> PointTable:
    """Return the points of a table.

    Ids of tracks may begin at 0 or below; then they are raised so that the lowest is 1.

    Parameters
    ----------
    path : Path
        For messages.
    table : TextTable
        A row per cell.
    parents : {"tracks", "cells"}, optional
        Whether the parent of a row is a track or a cell. By default a cell if each row has an id of its own, and the
        table has no tracks.

    Raises
    ------
    FormatError
        If a column is missing, a value is not a number of its kind, a track has two cells in a frame, a parent is
        missing or too late, or there is no row. The message gives the line.

    Examples
    --------
    >>> table = TextTable(["track_id", "t", "y", "x"], [{"track_id": "0", "t": "3", "y": "1", "x": "2"}], [2])
    >>> points = read_point_table(Path("tracks.csv"), table)
    >>> points.frame.tolist(), points.position.tolist(), points.track.tolist()
    ([3], [[0.0, 1.0, 2.0]], [1])
    """
    known = _check_columns(path, table, parents)
    table = _drop_dummies(path, table)
    if not table.rows:
        msg = f"{path}: a table without rows; expected a row per cell"
        raise FormatError(msg)
    reader = _Reader(path, table, known)
    frame = reader.read_whole("frame", 0, MAX_FRAMES - 1)
    position = np.column_stack([reader.read_position(axis) for axis in "zyx"])
    units = {known[axis].lower().rpartition("_")[2] for axis in "yx"} & {"um", "pixel"}
    unit = units.pop() if len(units) == 1 else None
    if (parents or reader.guess_parents()) == "cells":
        return PointTable(frame, position, None, reader.read_names(), *reader.link_cells(frame), {}, unit)
    label = reader.read_whole("label", 1, 2**31 - 1) if "label" in known else None
    track, parent = reader.read_tracks("track" if "track" in known else "id")
    links = reader.link_tracks(frame, track, parent)
    return PointTable(frame, position, track, label, *links, parent, unit)


def _check_columns(path: Path, table: TextTable, parents: str | None) -> dict[str, str]:
    """Return the columns by their role, if all that are needed are there."""
    if find_columns(path, table, ["row_type"]):
        msg = f"{path}: {OTHER_READER}"
        raise FormatError(msg)
    known = _find(path, table)
    named = {"tracks": {"track", "id"}, "cells": {"id"}, None: {"track", "id"}}[parents] & known.keys()
    absent = [name for name in ("frame", "y", "x") if name not in known]
    if not named:
        absent.append("id" if parents == "cells" else "track")
    if absent:
        msg = (
            f"{path}: no column for {', '.join(absent)}; expected frame (or t), y, x and track (or track_id, ID), and "
            f"for divisions parent, or id and parent_id of cells; {list_columns(table)}"
        )
        raise FormatError(msg)
    return known


def _find(path: Path, table: TextTable) -> dict[str, str]:
    """Return the columns by their role; of several names, the first that is there counts."""
    roles = {"frame": _FRAME, "track": TRACK_COLUMNS, "parent": _PARENT, **_AXES, "label": ("label",), "id": ("id",)}
    found: dict[str, str] = {}
    for role, names in roles.items():
        known = find_columns(path, table, names)
        column = next((known[name] for name in names if name in known), None)
        if column is not None:
            found[role] = column
    return found


def _drop_dummies(path: Path, table: TextTable) -> TextTable:
    """Return a table without the rows that btrack has put into gaps."""
    column = find_columns(path, table, ["dummy"]).get("dummy")
    if column is None:
        return table
    real = [row[column].strip().lower() in {"0", "0.0", "false", ""} for row in table.rows]
    if not all(real):
        _log.warning("%s: %s not used, which btrack has put into gaps", path, count_noun(real.count(False), "row"))
    rows = [row for row, good in zip(table.rows, real, strict=True) if good]
    return TextTable(table.columns, rows, [line for line, good in zip(table.lines, real, strict=True) if good])


class _Reader:
    """Columns of a table as numbers."""

    def __init__(self, path: Path, table: TextTable, known: dict[str, str]) -> None:
        self.path, self.table, self.known = path, table, known

    def list_texts(self, role: str) -> list[str]:
        """Return the fields of a column."""
        return [row[self.known[role]].strip() for row in self.table.rows]

    def read_position(self, axis: str) -> FloatArray:
        """Return the positions along an axis, 0 if there is no column."""
        if axis not in self.known:
            return np.zeros(len(self.table.rows))
        values = self._read(axis, self.list_texts(axis))
        return self._check(axis, values, np.abs(values) <= _FARTHEST, f"a number from {-_FARTHEST:g} to {_FARTHEST:g}")

    def read_whole(self, role: str, lowest: int, highest: int) -> IntArray:
        """Return a column of whole numbers within limits."""
        values = self._read(role, self.list_texts(role))
        good = (values >= lowest) & (values <= highest) & (values == np.rint(values))
        return self._check(role, values, good, f"a whole number from {lowest} to {highest}").astype(np.int64)

    def guess_parents(self) -> str:
        """Return whether parents are cells: without a column of tracks, if each row has an id of its own."""
        if "track" in self.known:
            return "tracks"
        distinct, n = len(set(self.list_texts("id"))), len(self.table.rows)
        of_cells = find_columns(self.path, self.table, ["parent_id"])  # the name in tables of cells
        return "cells" if distinct == n or (of_cells and distinct > n / 2) else "tracks"

    def read_names(self) -> IntArray | None:
        """Return the column label if all are labels of masks; in tables of Mastodon they are names of any kind."""
        texts = self.list_texts("label") if "label" in self.known else []
        good = all(is_number(text) and 1 <= float(text) < 2**31 and float(text).is_integer() for text in texts)
        return np.array(texts, np.float64).astype(np.int64) if texts and good else None

    def read_tracks(self, role: str) -> tuple[IntArray, dict[int, int]]:
        """Return the track of each row, and track -> parent."""
        given = self.read_whole(role, -(2**31), 2**31 - 1)
        shift = max(0, 1 - int(given.min()))
        first = dict(zip(given[::-1].tolist(), range(len(given) - 1, -1, -1), strict=True))
        parent: dict[int, int] = {}
        for own, other in self._list_parents_of_tracks(given):
            if other in first:
                parent[own + shift] = other + shift
            elif other > 0:  # 0 and -1 stand for none
                fault = f"the parent {other}, which is not a track of the table; correct it, or leave it empty"
                self.refuse(first[own], fault)
        return given + shift, parent

    def _list_parents_of_tracks(self, given: IntArray) -> list[tuple[int, int]]:
        """Return tracks with their parents, each once."""
        found: dict[int, int] = {}
        for k, (own, other) in enumerate(zip(given.tolist(), self._list_parents(), strict=True)):
            if other is not None and other != own and found.setdefault(own, other) != other:
                self.refuse(k, f"the parent {other} for track {own}, which has the parent {found[own]} before")
        return list(found.items())

    def link_tracks(self, frame: IntArray, track: IntArray, parent: dict[int, int]) -> tuple[IntArray, IntArray]:
        """Return the links within tracks and from parents, as rows of source and target."""
        order = np.lexsort((frame, track))
        same = track[order[1:]] == track[order[:-1]]
        double = same & (frame[order[1:]] == frame[order[:-1]])
        if double.any():
            row = int(order[1:][double][0])
            self.refuse(row, f"a second cell of track {track[row]} in frame {frame[row]}")
        first = {int(track[row]): int(row) for row in order[::-1]}
        last = {int(track[row]): int(row) for row in order}
        born = np.array([(last[other], first[own]) for own, other in parent.items()], np.int64).reshape(-1, 2)
        late = frame[born[:, 0]] >= frame[born[:, 1]]
        if late.any():
            row = int(born[late][0, 1])
            self.refuse(row, f"the first cell of track {track[row]}, which begins before its parent ends")
        return np.append(order[:-1][same], born[:, 0]), np.append(order[1:][same], born[:, 1])

    def link_cells(self, frame: IntArray) -> tuple[IntArray, IntArray]:
        """Return the links of a table in which each row has an id, and the id of its parent."""
        if "parent" not in self.known:
            msg = f"{self.path}: each row has an id of its own, and there is no column parent_id or track_id; add one"
            raise FormatError(msg)
        ids = self.read_whole("id", -(2**31), 2**31 - 1).tolist()
        row_of: dict[int, int] = {}
        for row, own in enumerate(ids):
            if row_of.setdefault(own, row) != row:
                self.refuse(row, f"a second cell with the id {own}")
        links = []
        for row, other in enumerate(self._list_parents()):
            if other is None or (other not in row_of and other < 1) or other == ids[row]:
                continue
            if other not in row_of:
                self.refuse(row, f"the parent {other}, and there is no cell with this id")
            if frame[row_of[other]] >= frame[row]:
                self.refuse(row, f"a parent, {other}, that is not in an earlier frame")
            links.append((row_of[other], row))
        ends = np.array(links, np.int64).reshape(-1, 2)
        return ends[:, 0], ends[:, 1]

    def _list_parents(self) -> list[int | None]:
        if "parent" not in self.known:
            return [None] * len(self.table.rows)
        texts = self.list_texts("parent")
        filled = [text if text.lower() not in _NONE else "-1" for text in texts]
        values = self._read("parent", filled)
        whole = self._check("parent", values, values == np.rint(values), "a whole number, or nothing").astype(np.int64)
        pairs = zip(whole.tolist(), texts, strict=True)
        return [value if text.lower() not in _NONE else None for value, text in pairs]

    def _read(self, role: str, texts: list[str]) -> FloatArray:
        wrong = next((k for k, text in enumerate(texts) if not is_number(text)), None)
        if wrong is not None:
            given = describe_number(texts[wrong])
            self.refuse(wrong, f"a value that is not a number in {self.known[role]}: {given}")
        return np.array(texts, np.float64)

    def _check(self, role: str, values: FloatArray, good: np.ndarray, wanted: str) -> FloatArray:
        if not good.all():
            row = int(np.argmin(good))
            self.refuse(row, f"the {self.known[role]} {values[row]:g}; expected {wanted}")
        return values

    def refuse(self, row: int, fault: str) -> None:
        """Raise for a row of the table."""
        msg = f"{self.path}: line {self.table.lines[row]} has {fault}"
        raise FormatError(msg)
