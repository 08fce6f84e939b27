"""Time stamps in the file names of a movie: missing times, movies over midnight, and the frame interval."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from gnntrack.durations import format_duration
from gnntrack.errors import FrameError
from gnntrack.io.file_names import FileName, align_times, find_role, find_time_unit, parse_file_name
from gnntrack.io.limits import MAX_MISSING_FILES

__all__ = ["MISSING", "Timing", "continue_after_midnight", "describe_steps", "fill_stamps", "find_timing", "is_clock"]

_log = logging.getLogger(__name__)

MISSING = " (missing)"
"""Ending of the name of a frame that has no file."""

_DAY = 86400  # seconds
_LONGEST = 10**9  # seconds, 30 years
_JITTER = 0.25  # of the interval: time stamps that differ by this from a multiple of it are not a regular series
_COARSE = 3  # stamps are rounded to no more than a third of the interval; those that are coarser must be exact
_SPREAD = 0.02  # of the interval: steps that differ by less are equal, since a microscope is not a clock


def is_clock(raw: str) -> bool:
    """Return whether a part of a name is a time of the day without a date, such as ``23-59-00``."""
    return re.fullmatch(r"\d\d([-_:.])\d\d\1\d\d", raw) is not None


def continue_after_midnight(by_number: dict[int, Path]) -> dict[int, Path]:
    """Return files by the seconds of the day with those of the second day after those of the first.

    A movie goes over midnight if its first and last file are about as far apart as others are, once around the clock.
    """
    seconds = list(by_number)
    steps = [high - low for low, high in pairwise(seconds)]
    usual = median(steps) if len(steps) > 1 else 0
    pause = steps.index(max(steps)) if steps else 0
    if not usual or steps[pause] <= 3 * usual or seconds[0] + _DAY - seconds[-1] > 2 * usual:
        return by_number
    shifted = [(number + (_DAY if k <= pause else 0), path) for k, (number, path) in enumerate(by_number.items())]
    return dict(sorted(shifted))


def fill_stamps(seconds: Sequence[int], folder: Path, *, allow_missing: bool) -> list[int]:
    """Return the times of all frames; missing times of a regular series are added only if this is allowed.

    Parameters
    ----------
    seconds : ints
        Time stamps, ascending.
    folder : Path
        For messages.
    allow_missing : bool
        Add the times that are missing; otherwise a pause is a warning.

    Raises
    ------
    FrameError
        If far too many times are missing.

    Examples
    --------
    >>> fill_stamps([0, 1800, 3600, 7200], Path("."), allow_missing=True)
    [0, 1800, 3600, 5400, 7200]
    """
    steps = [high - low for low, high in pairwise(seconds)]
    usual = median(steps) if steps else 0
    counts = _count_intervals(steps, usual)
    if not any(count > 1 for count in counts):
        return list(seconds)
    if not allow_missing:
        _log.warning(
            "%s: %g min between two files, usually %g min; they are read as consecutive frames, and no frame interval "
            "is taken from them (--allow-missing reads the missing times as empty frames, --interval %s gives the "
            "interval)",
            folder,
            max(steps) / 60,
            usual / 60,
            format_duration(usual).replace(" ", ""),
        )
        return list(seconds)
    if sum(counts) - len(steps) > MAX_MISSING_FILES:
        missing = sum(counts) - len(steps)
        msg = f"{missing} times are missing between its files; expected at most {MAX_MISSING_FILES}: correct the names"
        raise FrameError(msg, file=folder)
    found = [seconds[0]]
    for low, count, high in zip(seconds[:-1], counts, seconds[1:], strict=True):
        found += [low + (high - low) * n // count for n in range(1, count + 1)]
    return found


def _count_intervals(steps: Sequence[float], usual: float) -> list[int]:
    """Return the number of usual intervals in each step; none if the steps are not multiples of the usual one."""
    counts = [max(1, round(step / usual)) for step in steps] if usual else []
    regular = all(abs(step - n * usual) <= _JITTER * usual for step, n in zip(steps, counts, strict=False))
    return counts if regular else []


# ---------------------------------------------------------------- frame interval


class Timing(NamedTuple):
    """The steps between the time stamps of a movie."""

    interval: float | None
    """Seconds from a frame to the next; None if the steps differ."""
    smallest: float
    largest: float
    told: bool = False
    """Whether the steps differ by pauses, which `fill_stamps` warns of."""


def find_timing(names: Sequence[str]) -> Timing | None:
    """Return the steps between the time stamps in the names of a movie's files, None if they have none.

    Steps that differ by no more than the stamps are rounded, or by a fraction of the interval, are equal. A time of the
    day in steps of 1 s, 1 min or 1 h is not used: three numbers such as 01_02_03 may count other things.

    Parameters
    ----------
    names : strings
        The file of each frame; one that ends in `MISSING` has none.

    Examples
    --------
    >>> find_timing(["a_00d00h00m.tif", "a_00d00h15m.tif", "a_00d00h30m.tif"]).interval
    900.0
    >>> find_timing(["a_0h.tif", "a_0.5h.tif", "a_1.5h.tif"]).smallest
    1800.0
    >>> find_timing(["t0.tif", "t1.tif"]) is None
    True
    """
    frames = [frame for frame, name in enumerate(names) if not name.endswith(MISSING)]
    if len(frames) < 2 or names[frames[0]] == names[frames[1]] or not _has_times(parse_file_name(names[frames[0]])):
        return None
    parsed = align_times([parse_file_name(names[frame]) for frame in frames])
    if len({name.texts for name in parsed}) > 1:
        return None
    found = (_measure_steps(parsed, place, frames) for place in range(len(parsed[0].numbers)))
    return min(filter(None, found), key=lambda timing: timing.interval is None, default=None)


def _has_times(name: FileName) -> bool:
    """Return whether a number of a name may be a time."""
    return any(name.stamped) or any(_find_units(name))


def describe_steps(timing: Timing) -> str:
    """Return why no frame interval is taken from time stamps, with the remedy.

    >>> describe_steps(Timing(None, 600.0, 5400.0))  # doctest: +ELLIPSIS
    'the time stamps in the file names are not regular, with steps of 10 min to 1.5 h, so that the frame interval ...'
    """
    return (
        f"the time stamps in the file names are not regular, with steps of {format_duration(timing.smallest)} to "
        f"{format_duration(timing.largest)}, so that the frame interval is not known; give --interval, such as "
        f"--interval {format_duration(timing.smallest).replace(' ', '')} (interval= in Python), for times and speeds"
    )


def _find_units(name: FileName) -> list[int | None]:
    """Return the seconds of the unit of each number, as of 5min or t30s; None for numbers without a unit of time."""
    # letters between two numbers, as in t1s2 (time 1, scene 2) and A1h2, are not a unit
    texts = [f"{text}{digits}" for text, digits in zip(name.texts[1:], (*name.raw[1:], ""), strict=True)]
    units = [find_time_unit(text) for text in texts]
    for place, text in enumerate(texts):
        if re.match(r"s(?:ecs?|econds?)?(?![a-zA-Z0-9])", text) and find_role(name, place) == "time":
            units[place] = 1
    return units


def _measure_steps(names: Sequence[FileName], place: int, frames: Sequence[int]) -> Timing | None:
    """Return the steps between the times that one number of the names is; None if it is not a time."""
    stamped, unit = names[0].stamped[place], _find_units(names[0])[place] or 0
    steps = [step * (1 if stamped else unit) for step in _list_steps(names, place)]
    if not 0 < min(steps) <= max(steps) <= _LONGEST or _is_ambiguous(names[0].raw[place], steps):
        return None
    rounding = max(_find_rounding(name.raw[place], unit) for name in names) if stamped else float(unit)
    each = [step / (high - low) for step, (low, high) in zip(steps, pairwise(frames), strict=True)]
    usual = median(each)
    tolerance = max(rounding if usual >= _COARSE * rounding else 0, _SPREAD * usual)
    if max(each) - min(each) > tolerance:
        paused = max(_count_intervals(steps, median(steps)), default=1) > 1
        return Timing(None, min(each), max(each), told=paused)
    count = frames[-1] - frames[0]
    mean = sum(steps) / count
    close = abs(mean - usual) * count <= tolerance
    return Timing(float(usual) if close else float(f"{mean:.4g}"), min(each), max(each))


def _list_steps(names: Sequence[FileName], place: int) -> list[int]:
    """Return the differences of one number of the names; times of the day go on after midnight."""
    steps = [high.numbers[place] - low.numbers[place] for low, high in pairwise(names)]
    return [step + _DAY if step < 0 else step for step in steps] if is_clock(names[0].raw[place]) else steps


def _is_ambiguous(raw: str, steps: Sequence[int]) -> bool:
    """Return whether three numbers are perhaps not a time of the day, but count something."""
    return is_clock(raw) and ":" not in raw and set(steps) <= {1, 60, 3600}


def _find_rounding(raw: str, unit: int) -> float:
    """Return the seconds to which a time stamp is rounded."""
    decimals = re.fullmatch(r"\d+[.,](\d+)", raw)
    if decimals is not None or (raw.isdecimal() and unit):
        return max(1.0, unit * 10.0 ** -(len(decimals[1]) if decimals else 0))
    digits = re.sub(r"\D", "", raw)
    if re.search(r"\dm(?:in)?$", raw) or len(digits) == 12:
        return 60
    return _DAY if len(digits) == 8 and not re.search(r"\d[hs]", raw) else 1
