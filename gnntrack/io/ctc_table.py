"""Tables of tracks of the Cell Tracking Challenge: ``res_track.txt`` and ``man_track.txt``.

A line per track with four integers, L B E P: label, first and last frame (inclusive, from 0), parent or 0.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.plurals import count_noun
from gnntrack.types import Tracks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gnntrack.types import IntArray

__all__ = ["TrackRows", "format_track_table", "parse_track_table", "read_track_table"]


class TrackRows(NamedTuple):
    """The lines of a table of tracks, valid or not."""

    rows: IntArray
    """(K, 4): label, begin, end, parent, in the order of the file."""
    lines: IntArray
    """(K,): line of each row in the file, from 1."""
    faults: list[tuple[int, str]]
    """Number and fault of each line that does not hold four integers."""
    layout_faults: Sequence[tuple[int, str]] = ()
    """Number and fault of each line that py-ctcmetrics cannot read, although it is blank or holds four integers."""


def parse_track_table(path: str | Path) -> TrackRows:
    """Read a table of tracks without checking its numbers; blank lines are skipped.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path}: the table of tracks cannot be read ({error.strerror}); check that it exists and its permissions"
        raise FormatError(msg) from error
    marked, text = text.startswith("\ufeff"), text.removeprefix("\ufeff")
    rows: list[list[int]] = []
    lines: list[int] = []
    faults: list[tuple[int, str]] = []
    for line, content in enumerate(text.split("\n"), start=1):
        words = content.split()
        wrong = [word for word in words if not re.fullmatch(r"[+-]?[0-9]{1,18}", word)]
        if wrong:
            faults.append((line, f"{wrong[0]!r} is not an integer; {_find_remedy(line, content)}"))
        elif words and len(words) != 4:
            faults.append((line, f"{count_noun(len(words), 'number')}; expected four: label, begin, end, parent"))
        elif words:
            rows.append([int(word) for word in words])
            lines.append(line)
    layout = list(_find_layout_faults(text, {line for line, _ in faults}))
    if marked:
        layout.insert(0, (1, "it begins with a byte order mark; save the table as UTF-8 without it, or as ASCII"))
    return TrackRows(np.array(rows, np.int64).reshape(-1, 4), np.array(lines, np.int64), faults, layout)


def _find_remedy(line: int, content: str) -> str:
    """Return what a line that is not four integers should be, and how it becomes that."""
    expected = "expected four: label, begin, end, parent"
    if re.fullmatch(r"\s*([+-]?[0-9]+\s*[,;]\s*){3}[+-]?[0-9]+\s*", content):
        return f"{expected}, separated by spaces: replace {',' if ',' in content else ';'} by a space in all lines"
    if re.fullmatch(r"\s*([+-]?[0-9]+(\.0*)?\s+){3}[+-]?[0-9]+(\.0*)?\s*", content):
        return f"{expected}, written without a decimal point"
    if line == 1 and not re.search("[0-9]", content):
        return f"{expected}: remove line 1, a header, since the format has none"
    return expected


def _find_layout_faults(text: str, known: set[int]) -> Iterator[tuple[int, str]]:
    """Return the lines, but the known ones, on which the reader of py-ctcmetrics fails: it splits all as the first."""
    lines = text.removesuffix("\n").split("\n") if text else []
    separator = " " if lines and " " in lines[0] else "\t"
    name = {" ": "spaces", "\t": "tabs"}[separator]
    for number, line in enumerate(lines, start=1):
        words = [word for word in line.strip().split(separator) if word]
        if number in known:
            continue
        if not words:
            yield number, "the line is blank; remove it"
        elif any(len(word.split()) != 1 for word in words):
            yield number, f"the numbers are not separated by {name} only, as line 1 requires; use single spaces"


def read_track_table(path: str | Path) -> Tracks:
    """Read ``res_track.txt`` or ``man_track.txt``.

    Parameters
    ----------
    path : path
        A line per track with four integers, separated by spaces or tabs, in any order of lines. An empty
        file is a movie without tracks.

    Raises
    ------
    FormatError
        If the file cannot be read or a line is not valid; the message names file and line.
    """
    table = parse_track_table(path)
    faults = [*table.faults, *_find_faults(table)]
    if faults:
        line, fault = min(faults)
        msg = f"{path}, line {line}: {fault}"
        raise FormatError(msg)
    label, begin, end, parent = table.rows[np.argsort(table.rows[:, 0])].T
    try:
        return Tracks(label, begin, end, parent)
    except FormatError as error:
        msg = f"{path}: {error}"
        raise FormatError(msg) from None


def _find_faults(table: TrackRows) -> Iterable[tuple[int, str]]:
    seen: dict[int, int] = {}
    for line, (label, begin, end, parent) in zip(table.lines.tolist(), table.rows.tolist(), strict=True):
        if label < 1:
            yield line, f"label {label}; labels are positive"
        if label in seen:
            yield line, f"label {label} is in line {seen[label]} as well; expected one line per label"
        if begin < 0 or parent < 0:
            yield line, f"label {label} has begin {begin} and parent {parent}; neither may be negative"
        if begin > end:
            yield line, f"label {label} begins in frame {begin} and ends before it, in frame {end}"
        seen[label] = line


def format_track_table(tracks: Tracks) -> str:
    """Return the text of a table of tracks, a line per track.

    >>> tracks = Tracks(np.array([1, 2]), np.array([0, 5]), np.array([4, 9]), np.array([0, 1]))
    >>> print(format_track_table(tracks), end="")
    1 0 4 0
    2 5 9 1
    """
    rows = zip(tracks.id, tracks.start, tracks.end, tracks.parent, strict=True)
    return "".join(f"{label} {start} {end} {parent}\n" for label, start, end, parent in rows)
