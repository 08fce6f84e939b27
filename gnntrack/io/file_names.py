"""Parts of the file names of a movie: numbers, time stamps, and the kinds of masks that other programs write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

__all__ = [
    "LETTERS",
    "STAMP_PATTERN",
    "TIME_UNIT",
    "FileName",
    "align_times",
    "describe_kind",
    "find_role",
    "find_time_unit",
    "is_companion",
    "is_mask_kind",
    "parse_file_name",
]

_ELAPSED = r"(?P<days>\d+)d(?P<hours>\d+)h(?P<minutes>\d+)m(?:in)?(?:(?P<seconds>\d+)s)?"
_SHORT = r"(?P<hours_>\d+)h(?:r)?_?(?P<minutes_>\d+)m(?:in)?(?:_?(?P<seconds_>\d+)s(?:ec)?)?"
_DATE = (
    r"(?P<year>(?:19|20)\d\d)(?P<dash>[-_.]?)(?P<month>0[1-9]|1[0-2])(?P=dash)(?P<day>0[1-9]|[12]\d|3[01])"
    r"(?:[T _-]{1,2}(?P<hour>[01]\d|2[0-3])(?P<colon>[-_:.h]?)(?P<minute>[0-5]\d)(?:(?P=colon)|m)(?P<second>[0-5]\d)s?"
    r"|[T _-](?P<hour2>[01]\d|2[0-3])[-_:.h]?(?P<minute2>[0-5]\d))?Z?"
)
_LETTERED = r"(?P<year4>(?:19|20)\d\d)y(?P<month4>\d\d)m(?P<day4>\d\d)d(?:[_ -]?(?P<hour4>\d\d)h(?P<minute4>\d\d)m)?"
_COMPACT = (
    r"(?P<year5>(?:19|20)\d\d)(?P<month5>0[1-9]|1[0-2])(?P<day5>0[1-9]|[12]\d|3[01])"
    r"(?P<hour5>[01]\d|2[0-3])(?P<minute5>[0-5]\d)(?P<second5>[0-5]\d)?"
)
_CLOCK = r"(?P<hour3>[01]\d|2[0-3])(?P<colon3>[-_:.])(?P<minute3>[0-5]\d)(?P=colon3)(?P<second3>[0-5]\d)"
TIME_UNIT = r"(?i:h|hrs?|hours?|mins?|minutes?)(?![a-zA-Z0-9])"
"""Regular expression of a unit of time after a number; not of seconds, since 0.5s is usually an exposure."""
_DECIMAL = rf"(?<![\d.,vV])(?P<decimal>\d+[.,]\d+)(?={TIME_UNIT})"
_STAMP = re.compile(rf"(?<!\d)(?:{_DECIMAL}|{_LETTERED}|{_ELAPSED}|{_SHORT}|{_COMPACT}|{_DATE}|{_CLOCK})(?!\d)")
STAMP_PATTERN = rf"\d+d\d+h\d+m(?:\d+s)?|\d+h\d+m(?:\d+s)?|{_DECIMAL.replace('?P<decimal>', '?:')}"
"""Regular expression of elapsed times, such as 01d02h30m, and 1.5 in 1.5h."""

_ROLES = {
    "time": ("t", "time", "timepoint", "tp", "frame", "fr", "tt"),
    "position": ("p", "pos", "position", "xy", "s", "scene", "series", "fov", "well", "site", "field", "stage", "m"),
    "slice": ("z", "slice", "sl", "plane", "depth"),
    "channel": ("c", "ch", "chan", "channel", "w", "wave", "wavelength"),
}
LETTERS = {"time": "t", "position": "p", "slice": "z", "channel": "c"}
"""Bracket of each role in a pattern."""

_MASK_WORDS = r"cp_?masks?|masks?|labels?|lbl|seg|segm|segmented|segmentations?|man_?seg|man_?track"
_MASK = re.compile(rf"(?:^|[^a-z])(?:{_MASK_WORDS})(?:$|[^a-z])")
_COMPANIONS = re.compile(
    r"_cp_(?:output|outlines?|flows?|cellprob|styles?)\b|_(?:flows|cellprob|outlines)\.|_metadata\.|_acdc_"
)


class FileName(NamedTuple):
    """A file name as text and numbers in turn: ``text number text ... number text``."""

    texts: tuple[str, ...]
    numbers: tuple[int, ...]
    """Each number, or the seconds of a time stamp."""
    raw: tuple[str, ...]
    """Each number as it is written."""
    stamped: tuple[bool, ...]
    """Whether each number is a time stamp."""

    @property
    def kind(self) -> str:
        """The name without its numbers, in lower case; ``.tiff`` and ``.tif`` are the same."""
        return re.sub(r"\.tiff$", ".tif", re.sub(r"\.jpeg$", ".jpg", "#".join(self.texts).lower()))

    @property
    def order(self) -> tuple[str | int, ...]:
        """Key for the natural order, in which t2 comes before t10."""
        pairs = zip(self.texts, (*self.numbers, 0), strict=True)
        return tuple(part for text, number in pairs for part in (text.lower(), number))

    def format_pattern(self, brackets: dict[int, str]) -> str:
        """Return the name with brackets, such as ``{t}``, in place of some of its numbers."""
        parts = [brackets.get(place, raw) for place, raw in enumerate(self.raw)]
        return "".join(text + part for text, part in zip(self.texts, [*parts, ""], strict=True))

    def replace_number(self, place: int, number: int) -> str:
        """Return the name with another number, written with as many digits."""
        return self.format_pattern({place: f"{number:0{len(self.raw[place])}d}"})


def parse_file_name(name: str) -> FileName:
    """Divide a file name into text and numbers.

    Examples
    --------
    >>> parse_file_name("pos1_t007.tif").numbers, parse_file_name("A1_00d01h30m.tif").numbers
    ((1, 7), (1, 5400))
    >>> parse_file_name("2024-01-31_10-30-00.png").stamped
    (True,)
    """
    texts, numbers, raw, stamped, at = [], [], [], [], 0
    found = [(match.span(), _count_seconds(match)) for match in _STAMP.finditer(name)]
    spans = [span for span, seconds in found if seconds is not None]
    plain = [m.span() for m in re.finditer(r"\d+", name) if not any(a <= m.start() < b for a, b in spans)]
    seconds = {span: value for span, value in found if value is not None}
    for span in sorted([*spans, *plain]):
        texts.append(name[at : span[0]])
        raw.append(name[span[0] : span[1]])
        numbers.append(seconds.get(span, 0) if span in seconds else int(raw[-1]))
        stamped.append(span in seconds)
        at = span[1]
    return FileName((*texts, name[at:]), tuple(numbers), tuple(raw), tuple(stamped))


def _count_seconds(match: re.Match[str]) -> int | None:
    """Return the seconds of a time stamp, or None if it is not a date of the calendar."""
    if match["decimal"] is not None:
        unit = find_time_unit(match.string[match.end() :])
        return None if unit is None else round(float(match["decimal"].replace(",", ".")) * unit)
    part = {name.rstrip("_2345"): int(text) for name, text in match.groupdict().items() if text and text.isdigit()}
    if "year" not in part:
        days, hours, minutes = (part.get(f"{unit}s", part.get(unit, 0)) for unit in ("day", "hour", "minute"))
        return ((days * 24 + hours) * 60 + minutes) * 60 + part.get("seconds", part.get("second", 0))
    try:
        day = datetime(part["year"], part["month"], part["day"], tzinfo=UTC)
        return int(
            (
                day + timedelta(hours=part.get("hour", 0), minutes=part.get("minute", 0), seconds=part.get("second", 0))
            ).timestamp()
        )
    except ValueError:
        return None


def find_time_unit(text: str) -> int | None:
    """Return the seconds of the unit of time at the beginning of the text after a number, or None.

    >>> [find_time_unit(text) for text in ("h.tif", "min_a.tif", "hela.tif", "_min.tif", "x.tif")]
    [3600, 60, None, None, None]
    """
    match = re.match(TIME_UNIT, text)
    return None if match is None else 3600 if match[0].lower().startswith("h") else 60


def align_times(names: Sequence[FileName]) -> list[FileName]:
    """Return names in which whole hours beside decimal ones are times too: 1h beside 1.5h.

    >>> [name.numbers for name in align_times([parse_file_name("1h.tif"), parse_file_name("1.5h.tif")])]
    [(3600,), (5400,)]
    """
    kinds = {name.texts for name in names}
    if len(kinds) != 1 or not any(any(name.stamped) for name in names):
        return list(names)
    columns = zip(*(name.stamped for name in names), strict=True)
    mixed = [place for place, column in enumerate(columns) if len(set(column)) > 1]
    return [_read_as_times(name, [place for place in mixed if not name.stamped[place]]) for name in names]


def _read_as_times(name: FileName, places: Sequence[int]) -> FileName:
    """Return a name whose numbers at some places are times in the unit after them."""
    numbers, stamped = list(name.numbers), list(name.stamped)
    for place in places:
        numbers[place] *= find_time_unit(name.texts[place + 1]) or 1
        stamped[place] = True
    return name._replace(numbers=tuple(numbers), stamped=tuple(stamped))


def find_role(name: FileName, place: int) -> str | None:
    """Return the role of a number in a name, from the letters before it: time, position, slice or channel.

    >>> [find_role(parse_file_name("xy02_img_z3_5.tif"), place) for place in range(3)]
    ['position', 'slice', None]
    """
    if name.stamped[place]:
        return "time"
    letters = re.search(r"([a-z]+)[ _\-=.]*$", name.texts[place].lower())
    return next((role for role, words in _ROLES.items() if letters and letters[1] in words), None)


def is_mask_kind(kind: str) -> bool:
    """Return whether files of this kind of name are masks, by the usual names of other programs.

    >>> [is_mask_kind(kind) for kind in ("img_#_cp_masks.png", "im#_seg.npy", "mask#.tif", "masked_#.tif", "t#.tif")]
    [True, True, True, False, False]
    """
    return _MASK.search(kind) is not None


def is_companion(kind: str) -> bool:
    """Return whether files of this kind are written beside masks by cellpose and others, and are not masks or images.

    >>> is_companion("img_#_cp_output.png"), is_companion("img_#_cp_masks.png")
    (True, False)
    """
    return _COMPANIONS.search(kind) is not None


def describe_kind(kind: str, count: int) -> str:
    """Return a kind of name and how many files have it, in words.

    >>> describe_kind("t#.tif", 12)
    't#.tif (12)'
    """
    return f"{kind} ({count})"
