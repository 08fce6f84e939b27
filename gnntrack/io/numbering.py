"""Order of the files of a movie: by the numbers or the time stamps in their names."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from gnntrack.errors import FrameError, PatternError
from gnntrack.io.file_names import LETTERS, FileName, align_times, describe_kind, find_role, parse_file_name
from gnntrack.io.limits import MAX_MISSING_FILES
from gnntrack.io.time_stamps import continue_after_midnight, fill_stamps, is_clock
from gnntrack.plurals import choose_form, count_noun

__all__ = ["fill_numbers", "find_roles", "order_frames", "suggest_pattern"]

_log = logging.getLogger(__name__)


def order_frames(
    files: Sequence[Path], folder: Path, *, allow_missing: bool = False, role: str = "images"
) -> list[Path]:
    """Return the files in natural order (t1, t2, t10), with the missing ones in their places.

    Numbers in steps (t000, t005, t010) are consecutive frames. Names with time stamps are in the order of time.

    Parameters
    ----------
    files : paths
        The files of one folder, or of its sub-folders.
    folder : Path
        For messages.
    allow_missing : bool
        Put a path that does not exist where a number is missing in the series.
    role : {"images", "masks"}
        For the options in messages.

    Raises
    ------
    PatternError
        If the names are of several kinds, or count several things.
    FrameError
        If the list is empty, or a number is missing or occurs twice.

    Examples
    --------
    >>> [path.name for path in order_frames([Path("t10.tif"), Path("t9.tif"), Path("t11.tif")], Path("."))]
    ['t9.tif', 't10.tif', 't11.tif']
    >>> [path.name for path in order_frames([Path("t10.tif"), Path("t5.tif"), Path("t0.tif")], Path("."))]
    ['t0.tif', 't5.tif', 't10.tif']
    """
    if not files:
        msg = "the folder is empty; expected a file per frame, such as t000.tif, t001.tif"
        raise FrameError(msg, file=folder)
    names = dict(zip(files, align_times([parse_file_name(_name_in(folder, path)) for path in files]), strict=True))
    ordered = sorted(files, key=lambda path: names[path].order)
    if not _check_kinds([names[path] for path in ordered], folder, role):
        return ordered
    place = _find_frame_number([names[path] for path in ordered], folder, role)
    if place is None:
        return ordered
    by_number = dict(sorted((names[path].numbers[place], path) for path in ordered))
    if all(is_clock(names[path].raw[place]) for path in files):
        by_number = continue_after_midnight(by_number)
    first = names[ordered[0]]

    def format_name(number: int) -> str:
        return first.replace_number(place, number)

    if first.stamped[place]:
        numbers = fill_stamps(list(by_number), folder, allow_missing=allow_missing)
    else:
        numbers = fill_numbers(list(by_number), folder, format_name, allow_missing=allow_missing)
    return [by_number.get(number, folder / format_name(number)) for number in numbers]


def _name_in(folder: Path, path: Path) -> str:
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return path.name


def fill_numbers(
    numbers: Sequence[int], folder: Path, format_name: Callable[[int], str], *, allow_missing: bool
) -> list[int]:
    """Return the numbers of all frames, with those that are missing in the series.

    Parameters
    ----------
    numbers : ints
        Ascending.
    folder : Path
        For messages.
    format_name : callable
        Returns the file name of a number.
    allow_missing : bool
        Return missing numbers; otherwise they are an error.

    Raises
    ------
    FrameError
        If a number is missing, or if there are far too many missing ones.

    Examples
    --------
    >>> fill_numbers([0, 5, 10, 20], Path("."), str, allow_missing=True)
    [0, 5, 10, 15, 20]
    """
    first, last = numbers[0], numbers[-1]
    step = _find_step(numbers, allow_missing=allow_missing)
    missing = (last - first) // step + 1 - len(numbers)
    if not missing:
        if step > 1:
            _log.info("%s: its files are numbered in steps of %d; they are read as consecutive frames", folder, step)
        return list(numbers)
    if not allow_missing:
        number = next(low + step for low, high in pairwise(numbers) if high > low + step)
        steps = f" in steps of {step}" if step > 1 else ""
        count = f"{count_noun(missing, 'number')} {choose_form(missing, 'is', 'are')}"
        more = f" ({count} missing between {first} and {last}{steps})" if missing > 1 or steps else ""
        msg = (
            f"frame number {number} is missing{more}: no {format_name(number)}; add it, "
            "number the files without gaps, or read missing frames as empty ones with allow_missing (--allow-missing)"
        )
        raise FrameError(msg, file=folder)
    if missing > MAX_MISSING_FILES:
        msg = f"its files are numbered from {first} to {last}, {missing} numbers are missing; number them by frame"
        raise FrameError(msg, file=folder)
    return list(range(first, last + 1, step))


def _find_step(numbers: Sequence[int], *, allow_missing: bool) -> int:
    """Return the step of a regular series: at least half of the numbers follow the one before by this step."""
    steps = [high - low for low, high in pairwise(numbers)]
    if len(steps) < 2 and allow_missing:
        return 1  # of two numbers, nothing but the call indicates that some are missing
    step = math.gcd(*steps) if steps else 1
    return step if 2 * steps.count(step) >= len(steps) else 1


# ---------------------------------------------------------------- which number is the frame


def _check_kinds(names: Sequence[FileName], folder: Path, role: str) -> bool:
    """Return whether all names are of one kind, which is a name without its numbers; False if all kinds differ.

    Raises
    ------
    FrameError
        If some names are of one kind and some of another.
    """
    counts = Counter(name.kind for name in names)
    if len(counts) > 1 and max(counts.values()) > 1:
        listed = ", ".join(describe_kind(kind, count) for kind, count in counts.most_common(3))
        patterns = [suggest_pattern([n for n in names if n.kind == kind]) for kind, _ in counts.most_common(3)]
        options = " or ".join(f"'{pattern}'" for pattern in patterns)
        other = "images" if role == "masks" else "masks"
        msg = (
            f"its files have names of {len(counts)} kinds: {listed}; choose the {role} with --{role}-pattern {options} "
            f"(in Python {role}_pattern=), and the {other}, if they are there too, with --{other}-pattern"
        )
        raise PatternError(msg, file=folder, role=role, pattern=patterns[0])
    return len(counts) == 1


def _find_frame_number(names: Sequence[FileName], folder: Path, role: str) -> int | None:
    """Return which number in the names is that of the frame; None for a single file or names without numbers."""
    if len(names) == 1:
        return None
    columns = list(zip(*(name.numbers for name in names), strict=True))
    unique = [i for i, column in enumerate(columns) if len(set(column)) == len(column)]
    if unique:  # a number is the frame rather than a time stamp beside it, which also spans more
        return min(unique, key=lambda i: (names[0].stamped[i], max(columns[i]) - min(columns[i])))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    if len(varying) > 1:
        message, pattern = _describe_counters(names, varying, role), suggest_pattern(names)
        raise PatternError(message, file=folder, role=role, pattern=pattern)
    twice = next(pair for pair in pairwise(names) if pair[0].numbers == pair[1].numbers)
    first, second = (name.format_pattern({}) for name in twice)
    msg = f"{first} and {second} have the same number; remove one of them"
    raise FrameError(msg, file=folder)


def suggest_pattern(names: Sequence[FileName]) -> str:
    """Return a pattern of names of one kind, with ``{t}`` in place of the frame number.

    >>> suggest_pattern([parse_file_name(f"pos1_t{t}_cp_masks.png") for t in range(3)])
    'pos1_t{t}_cp_masks.png'
    """
    roles = find_roles(names)
    brackets = {place: "{" + LETTERS[role] + "}" for place, role in roles.items() if role in ("time", "slice")}
    return names[0].format_pattern(brackets)


def find_roles(names: Sequence[FileName]) -> dict[int, str]:
    """Return the numbers that differ between names of one kind, with what they count; exactly one of them is the time.

    >>> find_roles([parse_file_name(f"s{s}_t{t}.png") for s in range(2) for t in range(3)])
    {0: 'position', 1: 'time'}
    """
    columns = list(zip(*(name.numbers for name in names), strict=True))
    varying = [i for i, column in enumerate(columns) if len(set(column)) > 1]
    return _guess_roles(names[0], varying) if varying else {}


def _guess_roles(name: FileName, varying: Sequence[int]) -> dict[int, str]:
    """Return the role of each varying number; exactly one of them is the time."""
    roles = {place: find_role(name, place) or "" for place in varying}
    times = [place for place in varying if roles[place] == "time"]
    free = [place for place in varying if not roles[place]]
    time = (times or free or list(varying))[-1]
    return {place: "time" if place == time else (roles[place] or "position") for place in varying}


def _describe_counters(names: Sequence[FileName], varying: Sequence[int], role: str) -> str:
    """Return the message for names that count several things, with a pattern that chooses among them."""
    roles = _guess_roles(names[0], varying)
    listed = []
    for place in varying:
        values = sorted({(name.numbers[place], name.raw[place]) for name in names})
        some = ", ".join(raw for _, raw in values[:3]) + (", ..." if len(values) > 3 else "")
        listed.append(f"{roles[place]} ({some})")
    others = "; 'gnntrack batch' tracks all positions" if "position" in roles.values() else ""
    remedies = []
    if "slice" in roles.values():
        remedies.append("join the slices of each frame")
    remedies += [f"choose one {kind}" for kind in ("position", "channel") if kind in roles.values()]
    return (
        f"the names of its files count {len(varying)} things: {', '.join(listed)}; {' and '.join(remedies)} by a "
        f"pattern: --{role}-pattern '{suggest_pattern(names)}' ({role}_pattern= in Python){others}"
    )
