"""Tables of other programs: CSV files with commas, semicolons or tabs, and with decimal points or commas.

Spreadsheets write CSV as the language of the computer has it: in German, French and other languages with semicolons
between the fields and commas in the numbers.
"""

from __future__ import annotations

import csv
import re
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gnntrack.errors import FormatError, InputError
from gnntrack.io.number_styles import is_number, normalise_columns
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TextTable", "clean_names", "find_columns", "find_delimiter", "list_columns", "read_delimited"]

_DELIMITERS = ",;\t"
_BTRACK = ["ID", "t", "x", "y", "z"]  # columns of btrack, which has spaces between them


class TextTable(NamedTuple):
    """A table of text."""

    columns: list[str]
    """Names of the columns, without spaces around them and without the ``#`` that NumPy writes before the first."""
    rows: list[dict[str, str]]
    """Fields of each row by column; missing ones are empty. Numbers have a decimal point and nothing else."""
    lines: list[int]
    """Line of each row in the file, from 1."""


def read_delimited(path: str | Path) -> TextTable:
    r"""Read a table with a line of names; the delimiter is the one that occurs most often in this line.

    Parameters
    ----------
    path : path
        A file in UTF-8, UTF-16 with a byte order mark, or the usual encoding of Windows (cp1252).

    Raises
    ------
    InputError
        If there is no such file.
    FormatError
        If it is not text, or a row of numbers has more fields than there are columns, as numbers with decimal commas
        have in a table with commas between the fields.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a.csv")
    >>> _ = file.write_text("frame;x\n0;1,5\n")
    >>> read_delimited(file)
    TextTable(columns=['frame', 'x'], rows=[{'frame': '0', 'x': '1.5'}], lines=[2])
    """
    file = Path(path)
    lines = _read_text(file).splitlines()
    skipped, delimiter = find_delimiter(lines)
    try:
        parsed = [(line, fields) for line, fields in _parse(lines, skipped, delimiter) if any(map(str.strip, fields))]
    except csv.Error as error:
        msg = f"{file}: it cannot be read as CSV ({error}); export the table again"
        raise FormatError(msg) from error
    if not parsed:
        return TextTable([], [], [])
    columns = clean_names(parsed[0][1])
    for line, fields in parsed[1:]:
        _check_row(file, columns, fields, line, delimiter)
    by_column = list(zip_longest(*(fields[: len(columns)] for _, fields in parsed[1:]), fillvalue=""))
    rows = zip(*normalise_columns([list(fields) for fields in by_column], delimiter), strict=True)
    named = [dict(zip_longest(columns, row, fillvalue="")) for row in rows]
    return TextTable(columns, named, [line for line, _ in parsed[1:]])


def find_columns(path: Path, table: TextTable, names: Iterable[str]) -> dict[str, str]:
    """Return the columns of a table by the names that are expected, without those that are absent.

    Capitals, and whether a name has spaces or underscores, make no difference.

    Raises
    ------
    FormatError
        If a column is there twice.

    Examples
    --------
    >>> find_columns(Path("a.csv"), TextTable(["Frame", "TRACK ID"], [], []), ["frame", "track_id", "label"])
    {'frame': 'Frame', 'track_id': 'TRACK ID'}
    """
    found = {}
    for name in names:
        same = [column for column in table.columns if _simplify(column) == _simplify(name)]
        if len(same) > 1:
            given = "' and '".join(same)
            msg = (
                f"{path}: the column {name} is there {count_noun(len(same), 'time')} ('{given}'); delete or "
                "rename all but one"
            )
            raise FormatError(msg)
        if same:
            found[name] = same[0]
    return found


def _simplify(name: str) -> str:
    return re.sub(r"[\s_]+", "_", name.strip()).lower()


def list_columns(table: TextTable, most: int = 8) -> str:
    """Return the columns of a table for a message.

    >>> list_columns(TextTable(["frame label"], [], []))
    "its columns are 'frame label'"
    """
    names = [f"'{name}'" for name in table.columns if name]
    if not names:
        return "it has no names of columns"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"its columns are {', '.join(names[:most])}{more}"


def _read_text(file: Path) -> str:
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        msg = f"{file}: no such file; check the path"
        raise InputError(msg) from error
    encodings = ["utf-16"] if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    msg = f"{file}: it cannot be read as CSV (it is not text); expected a table that was saved or exported as CSV"
    raise FormatError(msg)


def clean_names(fields: Iterable[str]) -> list[str]:
    """Return names of columns without spaces around them and without the ``#`` that NumPy writes before the first."""
    return [name.strip().removeprefix("# ").removeprefix("#") for name in fields]


def find_delimiter(lines: list[str]) -> tuple[int, str]:
    r"""Return the number of lines before the names of the columns, and the delimiter.

    >>> find_delimiter(["sep=;", "t;x"]), find_delimiter(["", "t\tx"])
    ((1, ';'), (1, '\t'))
    """
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    first = lines[start].strip('" ') if lines else ""
    if re.fullmatch(r"sep=.", first):  # Excel's
        return start + 1, first[-1]
    if first.split()[: len(_BTRACK)] == _BTRACK:
        return start, " "
    return start, max(_DELIMITERS, key=first.count)


def _parse(lines: list[str], start: int, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return the line and the fields of each row."""
    reader = csv.reader((f"{line}\n" for line in lines[start:]), delimiter=delimiter, skipinitialspace=True)
    return [(start + reader.line_num, fields) for fields in reader]


def _check_row(file: Path, columns: list[str], fields: list[str], line: int, delimiter: str) -> None:
    """Refuse a row with more fields than columns: its numbers are cut by decimal commas, or are in wrong columns."""
    more = fields[len(columns) :]
    if any(map(str.strip, more)) and any(map(is_number, fields)):
        remedy = "correct the row, or give each column a name in the first line"
        if delimiter == ",":
            remedy = (
                "if its numbers have decimal commas, save it with semicolons between the fields, or with decimal points"
            )
        msg = (
            f"{file}: line {line} has {count_noun(len(fields), 'field')} for "
            f"{count_noun(len(columns), 'column')}; {remedy}"
        )
        raise FormatError(msg)
