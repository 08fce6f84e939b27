"""Tables of other programs: CSV files with commas, semicolons or tabs, and with decimal points or commas.

Spreadsheets write CSV as the language of the computer has it: in German, French and other languages with semicolons
between the fields and commas in the numbers.
"""

from __future__ import annotations

import csv
import re
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from gnntrack.errors import FormatError, InputError

__all__ = ["TextTable", "is_number", "read_delimited"]

_DELIMITERS = ",;\t"
_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d*,\d+(?:[eE][+-]?\d+)?\s*")


class TextTable(NamedTuple):
    """A table of text."""

    columns: list[str]
    """Names of the columns, without spaces around them."""
    rows: list[dict[str, str]]
    """Fields of each row by column; missing ones are empty. Numbers have a decimal point."""
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
    skipped, delimiter = _find_delimiter(lines)
    try:
        parsed = [(line, fields) for line, fields in _parse(lines, skipped, delimiter) if any(map(str.strip, fields))]
    except csv.Error as error:
        msg = f"{file}: it cannot be read as CSV ({error}); export the table again"
        raise FormatError(msg) from error
    if not parsed:
        return TextTable([], [], [])
    columns = [name.strip() for name in parsed[0][1]]
    rows = [_make_row(file, columns, fields, line, delimiter) for line, fields in parsed[1:]]
    return TextTable(columns, rows, [line for line, _ in parsed[1:]])


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


def _find_delimiter(lines: list[str]) -> tuple[int, str]:
    """Return the number of lines before the names of the columns, and the delimiter."""
    start = next((number for number, line in enumerate(lines) if line.strip()), 0)
    first = lines[start].strip('" ') if lines else ""
    if re.fullmatch(r"sep=.", first):  # Excel's
        return start + 1, first[-1]
    return start, max(_DELIMITERS, key=first.count)


def _parse(lines: list[str], start: int, delimiter: str) -> list[tuple[int, list[str]]]:
    """Return the line and the fields of each row."""
    reader = csv.reader((f"{line}\n" for line in lines[start:]), delimiter=delimiter, skipinitialspace=True)
    return [(start + reader.line_num, fields) for fields in reader]


def _make_row(file: Path, columns: list[str], fields: list[str], line: int, delimiter: str) -> dict[str, str]:
    if delimiter != ",":
        fields = [field.replace(",", ".") if _DECIMAL_COMMA.fullmatch(field) else field for field in fields]
    elif any(field.strip() for field in fields[len(columns) :]) and any(map(is_number, fields)):
        msg = (
            f"{file}: line {line} has {len(fields)} fields, and there are {len(columns)} columns; if its numbers have "
            "decimal commas, save it with semicolons between the fields, or with decimal points"
        )
        raise FormatError(msg)
    return dict(zip_longest(columns, fields[: len(columns)], fillvalue=""))


def is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
