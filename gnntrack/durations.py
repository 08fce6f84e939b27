"""Durations: units of time to seconds, and seconds in words."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Any

from gnntrack.prefixes import PREFIXES

__all__ = ["convert_duration", "format_duration", "is_duration_unit", "parse_duration"]

_SECONDS = {f"{prefix}second": float(f"1e{power}") for prefix, power in PREFIXES.items()} | {
    "week": 604800.0,
    "d": 86400.0, "day": 86400.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "min": 60.0, "m": 60.0, "minute": 60.0,
    "s": 1.0, "sec": 1.0,
    "ms": 1e-3, "msec": 1e-3, "millisec": 1e-3,
    "us": 1e-6, "usec": 1e-6,
    "ns": 1e-9, "nsec": 1e-9,
}  # fmt: skip
_LONGEST = 1e9  # seconds, 30 years; the shortest is 1e-9
_CLOCK = re.compile(r"(\d+):([0-5]\d):([0-5]\d)")
_PART = re.compile(r"([0-9.]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)")


def convert_duration(value: Any, unit: str | None) -> float | None:
    """Return a duration in seconds, or None if it is not a positive number, or its unit is not known.

    Parameters
    ----------
    value : number, timedelta or None
        The duration; the unit of a timedelta is not used.
    unit : str or None
        A unit in any spelling that microscopes use; None and "" are not known.

    Examples
    --------
    >>> [convert_duration(*each) for each in ((5, "min"), (250.0, "ms"), (1, "Hours"), (0, "s"))]
    [300.0, 0.25, 3600.0, None]
    """
    if isinstance(value, timedelta):
        value, unit = value.total_seconds(), "s"
    factor = _SECONDS.get(_normalise_unit(unit))
    try:
        seconds = math.nan if factor is None or value is None else float(value) * factor
    except (TypeError, ValueError, OverflowError):
        return None
    return float(f"{seconds:.12g}") if 1e-9 <= seconds <= _LONGEST else None


def is_duration_unit(unit: str | None) -> bool:
    """Return whether a unit is one of time, in any spelling that `convert_duration` takes.

    Examples
    --------
    >>> [is_duration_unit(unit) for unit in ("sec", "Minutes", "attosecond", "frame", "", None)]
    [True, True, True, False, False, False]
    """
    return _normalise_unit(unit) in _SECONDS


def parse_duration(text: str | float | timedelta) -> float:
    """Return a duration in seconds.

    Parameters
    ----------
    text : number, str or timedelta
        A number is in seconds; text has a unit, such as ``"30s"``, ``"5 min"``, ``"0.5h"``, ``"1h30min"`` or
        ``"00:05:00"`` (hours, minutes, seconds); the decimals may follow a comma.

    Raises
    ------
    ValueError
        If it is not a positive duration.

    Examples
    --------
    >>> [parse_duration(text) for text in (90, "30s", "5 min", "0,5h", "1h30min", "2.5", "00:05:00")]
    [90.0, 30.0, 300.0, 1800.0, 5400.0, 2.5, 300.0]
    """
    parts = _split(text) if isinstance(text, str) else [(text, "s")]
    seconds = [None if isinstance(value, bool) else convert_duration(value, unit) for value, unit in parts]
    known = [each for each in seconds if each is not None]
    if not known or len(known) < len(seconds):
        msg = "expected a time > 0 with its unit, such as 30s, 5min or 0.5h; a number alone is in seconds"
        raise ValueError(msg)
    return sum(known)


def _split(text: str) -> list[tuple[Any, str]]:
    """Return numbers and units of a text; one part without a number if the text is not a duration.

    >>> _split("1h 30 min"), _split("later")
    ([('1', 'h'), ('30', 'min')], [(None, 's')])
    """
    plain = text.strip().lower().replace("µ", "u").replace("μ", "u")
    plain = re.sub(r"(\d),(\d{1,2})(?!\d)", r"\1.\2", plain)  # three digits could be thousands
    if clock := _CLOCK.fullmatch(plain):
        return [(str(sum(int(part) * size for part, size in zip(clock.groups(), (3600, 60, 1), strict=True))), "s")]
    found = _PART.findall(plain)
    if "".join(map("".join, found)) != re.sub(r"\s", "", plain):
        return [(None, "s")]
    if len(found) > 1 and not all(unit for _, unit in found):
        return [(None, "s")]  # 1h30 is not an hour and 30 seconds
    return [(number, unit or "s") for number, unit in found] or [(None, "s")]


def _normalise_unit(unit: str | None) -> str:
    plain = (unit or "").strip().lower().replace("\\u00b5", "u").replace("µ", "u").replace("μ", "u").rstrip(".")
    return plain if plain in _SECONDS else plain.removesuffix("s").removesuffix("(s)")


def format_duration(seconds: float) -> str:
    """Return a duration with a unit in which it is easy to read.

    Examples
    --------
    >>> [format_duration(seconds) for seconds in (0.25, 30, 90, 1740, 3660, 5400, 90000)]
    ['250 ms', '30 s', '1.5 min', '29 min', '61 min', '1.5 h', '25 h']
    """
    units = [each for each in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (0.001, "ms")) if seconds >= each[0]]
    size, unit = next((each for each in units if _is_short(seconds / each[0])), units[0] if units else (0.001, "ms"))
    return f"{seconds / size:.6g} {unit}"


def _is_short(number: float) -> bool:
    """Return whether a number has few digits, so that it needs no smaller unit."""
    return abs(number - round(number, 2)) <= 1e-9 * number
