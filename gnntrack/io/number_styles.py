"""Numbers as spreadsheets write them: with decimal commas or points, and with thousands separators.

A number such as ``1,234`` can be read in two ways. The other numbers of its column decide, then those of the table,
then the delimiter: with semicolons between the fields, a comma is a decimal comma. If nothing decides, it stays as it
is, and `describe_number` explains it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["convert_numbers", "describe_number", "is_number", "normalise_columns"]

_SPACED = re.compile(r"[+-]?\d{1,3}(?:[ '\u2019\u00a0\u2009\u202f]\d{3})+(?:[.,]\d+)?")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(?:([.,])\d{3})(?:\1\d{3})*")
_PLAIN = re.compile(r"[+-]?\d*([.,])\d+(?:[eE][+-]?\d+)?")
_BOTH = re.compile(r"[+-]?\d{1,3}(?:([.,])\d{3})+(?!\1)([.,])\d+")
_OTHER = {",": ".", ".": ","}


def normalise_columns(columns: list[list[str]], delimiter: str) -> list[list[str]]:
    """Return the fields of each column with numbers in the style of Python; other fields stay as they are.

    Parameters
    ----------
    columns : list of list of str
        Fields of each column.
    delimiter : str
        Character between the fields of the file.

    Examples
    --------
    >>> normalise_columns([["1,234", "0,5"], ["1.234,5", "a, b"], ["7", "1,234"]], ",")
    [['1.234', '0.5'], ['1234.5', 'a, b'], ['7', '1.234']]
    >>> normalise_columns([["1,234"]], ","), normalise_columns([["1,234"]], ";"), normalise_columns([["1 234,5"]], ";")
    ([['1,234']], [['1.234']], [['1234.5']])
    """
    found = [_find_marks(fields) for fields in columns]
    default = _choose_mark(set().union(*found))
    if default is None and delimiter == ";" and any(_has_comma(field) for fields in columns for field in fields):
        default = ","
    marks = [_choose_mark(marks) if marks else default for marks in found]
    return [[_normalise(field, mark) for field in fields] for fields, mark in zip(columns, marks, strict=True)]


def _has_comma(field: str) -> bool:
    """Return whether a field is a number with a comma."""
    return "," in field and _GROUPED.fullmatch(field.strip()) is not None


def _choose_mark(marks: set[str]) -> str | None:
    """Return the decimal mark if there is one, not two or none."""
    return next(iter(marks)) if len(marks) == 1 else None


def _find_marks(fields: Iterable[str]) -> set[str]:
    """Return the decimal marks of the numbers that can be read in one way only."""
    return {mark for field in fields if (mark := _find_mark(field.strip())) is not None}


def _find_mark(text: str) -> str | None:
    """Return the decimal mark that a number has for sure."""
    if both := _BOTH.fullmatch(text):
        return both[2]
    if grouped := _GROUPED.fullmatch(text):
        return _OTHER[grouped[1]] if text.count(grouped[1]) > 1 else None
    plain = _PLAIN.fullmatch(text) or re.fullmatch(r"[^.,]*([.,])\d+", text if _SPACED.fullmatch(text) else "")
    return plain[1] if plain else None


def _normalise(field: str, mark: str | None) -> str:
    text = field.strip()
    if _SPACED.fullmatch(text):
        return re.sub(r"[ '\u2019\u00a0\u2009\u202f]", "", text).replace(",", ".")
    mark = _find_mark(text) or mark
    if mark is None or not (_BOTH.fullmatch(text) or _GROUPED.fullmatch(text) or _PLAIN.fullmatch(text)):
        return field
    return text.replace(_OTHER[mark], "").replace(mark, ".")


def is_number(text: str) -> bool:
    """Return whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def describe_number(text: str) -> str:
    """Return a text that is not the expected number, with the reason if it could be one in two ways.

    >>> describe_number("1,234")
    "'1,234', which could be 1.234 or 1234: export the table with decimal points and without thousands separators"
    """
    if _has_comma(text):
        decimal, whole = text.strip().replace(",", "."), text.strip().replace(",", "")
        remedy = "export the table with decimal points and without thousands separators"
        return f"{text!r}, which could be {decimal} or {whole}: {remedy}"
    return repr(text) if text else "empty"


def convert_numbers(column: pd.Series) -> pd.Series:
    """Return a column as numbers, NaN for all other text.

    >>> import pandas as pd
    >>> convert_numbers(pd.Series(["1.5", "a", ""])).tolist()
    [1.5, nan, nan]
    """
    import pandas as pd

    try:
        return pd.to_numeric(column, errors="coerce")
    except OverflowError:  # of whole numbers of more than 308 digits
        return pd.to_numeric(column.where(column.astype(str).str.len() <= 300), errors="coerce")
