"""Files of points as tables: CSV in any dialect, Parquet, and arrays of NumPy.

A CSV file is read by pandas if it is plain (numbers with decimal points), which takes a second for a million rows;
else by `gnntrack.io.delimited`, which reads the numbers of spreadsheets in all languages.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError, InputError, explain_missing
from gnntrack.io.delimited import clean_names, find_delimiter, read_delimited
from gnntrack.io.number_styles import convert_numbers, is_number
from gnntrack.io.point_columns import find_point_columns

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.io.point_columns import PointColumn, PointColumns

__all__ = ["POINT_FILES", "PointRows", "name_columns", "read_rows", "take_index"]

_TABLES = (".csv", ".tsv", ".txt", ".dat")
_PARQUET = (".parquet", ".pq")
POINT_FILES = (".csv", ".tsv", *_PARQUET, ".xml")
"""Suffixes of files that hold points and nothing else."""
_HEAD = 1 << 16  # bytes of a file in which its names of columns are
_ROWS = 1 << 18  # of a file that are read at the same time
_SURPLUS = "\0"  # name of the field after the last of a row
_HEADINGS = 3  # further rows of headings below the names, in tables of TrackMate


class PointRows(NamedTuple):
    """A table of points as it was read."""

    source: str
    """The table in messages."""
    table: pd.DataFrame
    """A row per point; columns that are used are numbers, or text that is not a number."""
    columns: PointColumns
    """Its columns by their role."""
    locate: Callable[[int], str]
    """From a row of the table to its place in messages, such as ``line 7``."""
    unit: str = ""
    """Unit of positions in a row below the names, such as ``micron``; nothing if there is none."""
    time_unit: str = ""
    """Unit of times in that row, such as ``sec``."""


def read_rows(path: Path, *, unit: str | None = None) -> PointRows:
    r"""Return the table in a file.

    Parameters
    ----------
    path : Path
        A ``.csv``, ``.tsv``, ``.txt``, ``.parquet`` or ``.npy`` file.
    unit : {"um", "pixel"}, optional
        As of `gnntrack.io.point_columns.find_point_columns`.

    Raises
    ------
    InputError
        If the file is not there, or of another kind.
    FormatError
        If it cannot be read as a table with columns for frame, y and x.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "points.csv")
    >>> _ = file.write_text("frame;y;x\n0;1,5;2\n")
    >>> rows = read_rows(file)
    >>> rows.table["y"].tolist(), rows.locate(0)
    ([1.5], 'line 2')
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        msg = f"{path}: no such file; check the path"
        raise InputError(msg)
    if suffix in _TABLES:
        return _read_plain(path, unit) or _read_text(path, unit)
    if suffix in _PARQUET:
        return _read_parquet(path, unit)
    if suffix == ".npy":
        return name_columns(_load_array(path), str(path))
    kinds = ", ".join((*_TABLES[:2], *_PARQUET[:1], ".npy"))
    msg = (
        f"{path}: points are a table ({kinds}), a .geff or a TrackMate .xml; images and masks are given as IMAGES and "
        "MASKS"
    )
    raise InputError(msg)


def name_columns(values: object, source: str) -> PointRows:
    """Return the table of an array (N, 1 + D) with the columns t, [z], y, x.

    Raises
    ------
    InputError
        If the array has another shape, or does not hold numbers.
    """
    import pandas as pd

    try:
        array = np.asarray(values)
    except ValueError as error:
        msg = f"{source}: rows of different lengths in place of points; give t, y, x or t, z, y, x for each"
        raise InputError(msg) from error
    if array.ndim != 2 or array.shape[1] not in (3, 4):
        msg = (
            f"{source}: an array of shape {array.shape} in place of points; give (N, 3) with the columns t, y, x or "
            "(N, 4) with t, z, y, x"
        )
        raise InputError(msg)
    if array.dtype.kind not in "iufb":
        msg = f"{source}: an array of {array.dtype} in place of points; give numbers"
        raise InputError(msg)
    names = ["t", *"zyx"[-(array.shape[1] - 1) :]]
    table = pd.DataFrame(array, columns=names)
    return PointRows(source, table, find_point_columns(names, source), "row {}".format)


def _load_array(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        msg = f"{path}: it cannot be read as .npy; expected an array of numbers saved by numpy.save, complete"
        raise FormatError(msg) from error
    return array


def take_index(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose index, if it has a name, is a column.

    >>> import pandas as pd
    >>> list(take_index(pd.DataFrame({"frame": [0], "x": [1.0]}).set_index("frame")))
    ['frame', 'x']
    """
    named = any(name is not None and name not in table.columns for name in table.index.names)
    return table.reset_index(drop=not named)


def _read_parquet(path: Path, unit: str | None) -> PointRows:
    import pandas as pd

    try:
        need, install = f"{path}: Parquet needs", "pip install 'gnntrack[parquet]'"
        with explain_missing(need, "pyarrow", install, otherwise="use CSV"):
            table = take_index(pd.read_parquet(path))
    except (OSError, ValueError) as error:
        msg = f"{path}: it cannot be read as Parquet ({error}); save the table again, or as CSV"
        raise FormatError(msg) from error
    return PointRows(str(path), table, find_point_columns(list(table), str(path), unit=unit), "row {}".format)


def _read_plain(path: Path, unit: str | None) -> PointRows | None:
    """Return the table of a CSV file by pandas; None if that does not read each number."""
    import pandas as pd

    with path.open("rb") as file:
        head = file.read(_HEAD)
    encoding = _find_encoding(head)
    lines = [] if encoding is None else head.decode(encoding, errors="replace").splitlines()
    skipped, delimiter = find_delimiter(lines)
    if len(lines) < skipped + 2 or delimiter == " " or '"' in lines[skipped + 1]:
        return None
    names = clean_names(next(csv.reader(lines[skipped : skipped + 1], delimiter=delimiter)))
    if len(lines[skipped + 1].split(delimiter)) != len(names) or len(set(names)) < len(names):
        return None
    columns = find_point_columns(names, str(path), unit=unit)
    options = {"sep": delimiter, "encoding": encoding, "skiprows": skipped + 1}
    try:
        table = _read_columns(path, names, columns.names, **options)
    except (ValueError, pd.errors.ParserWarning):
        return None
    if _has_empty_row(table, columns):
        return None
    headings, *units = _find_headings(table, columns)
    table = table.iloc[headings:].reset_index(drop=True)
    for name in columns.names:
        if table[name].dtype.kind not in "iufb":
            number = convert_numbers(table[name])
            if (number.isna() & table[name].notna()).any():
                return None
            table[name] = number
    start = skipped + 1 + headings
    return PointRows(str(path), table, columns, lambda row: f"line {_find_line(path, start + row)}", *units)


def _read_columns(path: Path, names: list[str], used: list[str], **options: Any) -> pd.DataFrame:
    """Return some columns of a CSV file, of which some rows are read at a time: all columns take more memory.

    Raises
    ------
    ValueError, pandas.errors.ParserWarning
        If the file cannot be read, or a row has more fields than there are names.
    """
    import pandas as pd

    # all columns are read: with usecols, pandas 3 refuses a name without a field
    options |= {"names": [*names, _SURPLUS], "header": None, "index_col": False, "skipinitialspace": True}
    parts = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # of rows with more fields than names
        with pd.read_csv(path, low_memory=False, chunksize=_ROWS, **options) as reader:
            for part in reader:
                _refuse_surplus(part)
                parts.append(part[used])
        if len(parts) == 1:
            return parts[0]
        if all(_are_alike([part[name] for part in parts]) for name in used):
            columns = {name: np.concatenate([part.pop(name) for part in parts]) for name in used}
            return pd.DataFrame(columns, copy=False)
        table: pd.DataFrame = pd.read_csv(path, low_memory=False, **options)
    _refuse_surplus(table)
    return table[used]


def _has_empty_row(table: pd.DataFrame, columns: PointColumns) -> bool:
    """Return whether all fields of a row are empty: spreadsheets write such rows, and `_read_text` leaves them out."""
    return bool(table[columns.frame.name].isna().any() and table[columns.names].isna().all(axis=1).any())


def _refuse_surplus(table: pd.DataFrame) -> None:
    if table[_SURPLUS].notna().any():
        msg = "a row has more fields than there are names"
        raise ValueError(msg)


def _are_alike(parts: list[pd.Series[Any]]) -> bool:
    """Return whether parts of a column become what the whole is read as: integers, or numbers that floats hold."""
    kinds = {part.dtype.kind for part in parts}
    if kinds != {"i", "f"}:
        return kinds in ({"i"}, {"f"})
    whole = [part for part in parts if part.dtype.kind == "i"]
    return all(bool(part.between(-(2**53), 2**53).all()) for part in whole)


def _find_encoding(head: bytes) -> str | None:
    """Return the encoding of a file by its first bytes, None if it is not of one byte a letter in names and numbers."""
    if b"\0" in head or head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return None
    try:
        head[: head.rfind(b"\n") + 1].decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig"


def _find_headings(table: pd.DataFrame, columns: PointColumns) -> tuple[int, str, str]:
    """Return the number of further rows of headings, which TrackMate writes, and units of position and time in them."""
    first = table[columns.frame.name].head(_HEADINGS + 1).tolist()
    count = next((k for k, value in enumerate(first) if is_number(str(value))), len(first))
    if not 0 < count <= _HEADINGS or any(str(value) == "nan" for value in first[:count]):
        return 0, "", ""

    def find_unit(column: PointColumn | None) -> str:
        texts = [] if column is None else [str(value).strip() for value in table[column.name].head(count)]
        return next((text.strip("() ") for text in texts if text.startswith("(")), "")

    return count, find_unit(columns.axes[-1]), find_unit(columns.time)


def _find_line(path: Path, row: int) -> int:
    """Return the line of a row of a file, from 1; `row` counts the lines that are not empty, from 0."""
    with path.open("rb") as file:
        filled = (number for number, line in enumerate(file, start=1) if line.strip())
        return next((number for k, number in enumerate(filled) if k == row), row + 1)


def _read_text(path: Path, unit: str | None) -> PointRows:
    """Return the table of a CSV file in any dialect; columns that are not numbers stay text."""
    import pandas as pd

    text = read_delimited(path)
    columns = find_point_columns(text.columns, str(path), unit=unit)
    whole = pd.DataFrame({name: [row[name] for row in text.rows] for name in columns.names}, dtype=object)
    headings, *units = _find_headings(whole, columns) if len(whole) else (0, "", "")
    table = whole.iloc[headings:].reset_index(drop=True)
    lines = text.lines[headings:]
    for name in columns.names:
        number = convert_numbers(table[name])
        if not (number.isna() & (table[name].str.strip() != "")).any():
            table[name] = number
    return PointRows(str(path), table, columns, lambda row: f"line {lines[row]}", *units)
