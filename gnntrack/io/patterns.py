"""File names chosen by a pattern: a glob (``*_cp_masks.png``), or brackets (``pos{p}_t{t}_z{z}.tif``).

==========  =====================================================================================
part        stands for
==========  =====================================================================================
``*``       any text; ``?`` one letter; ``[ab]`` one of these letters; ``**/`` any sub-folders
``{t}``     the number of the frame, or a time stamp such as 00d01h30m; ``{t:03d}``: 3 digits or more
``{z}``     the number of the slice: the slices of a frame, each a file, are joined
``{p}``     the position, a number or text: one is read, chosen by ``position``
``{c}``     the channel, a number or text: one is read, chosen by ``channel``
==========  =====================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from gnntrack.errors import FrameError
from gnntrack.io.file_names import STAMP_PATTERN, TIME_UNIT, align_times, find_time_unit, parse_file_name
from gnntrack.io.numbering import fill_numbers, order_frames
from gnntrack.io.time_stamps import MISSING, fill_stamps
from gnntrack.plurals import count_noun

__all__ = ["FileSeries", "has_pattern", "list_candidates", "match_pattern", "split_pattern"]

_BRACKET = re.compile(r"\{([^{}:]*)(?::0?(\d*)d?)?\}")
_GLOB = re.compile(r"[*?\[]")
_LISTED = 4


@dataclass(frozen=True)
class FileSeries:
    """The files of a movie, in the order of the frames."""

    folder: Path
    files: tuple[tuple[Path, ...], ...]
    """The files of each frame: one, or one of each slice."""
    absent: frozenset[int] = frozenset()
    """Frames whose files do not exist; they are read as empty frames."""
    channels: dict[str, FileSeries] = field(default_factory=dict)
    """The series of each channel by name, if files of several channels match the pattern."""

    @property
    def first(self) -> Path:
        """The first file that exists."""
        return next(files[0] for frame, files in enumerate(self.files) if frame not in self.absent)

    @property
    def names(self) -> list[str]:
        """A name of each frame, for messages."""
        return [f"{files[0]}{MISSING}" if t in self.absent else str(files[0]) for t, files in enumerate(self.files)]


def has_pattern(text: str) -> bool:
    """Return whether a path is a pattern; ``[`` alone is not one, since it occurs in names of folders.

    >>> has_pattern("movie/t*.tif"), has_pattern("t{t:03d}.tif"), has_pattern("movie [old]/t.tif")
    (True, True, False)
    """
    return "*" in text or "?" in text or _BRACKET.search(text) is not None


def split_pattern(path: Path) -> tuple[Path, str]:
    """Return the folder and the pattern in it, of a path with a pattern.

    >>> split_pattern(Path("data/pos1/t{t}.tif")), split_pattern(Path("data/*/t.tif"))
    ((PosixPath('data/pos1'), 't{t}.tif'), (PosixPath('data'), '*/t.tif'))
    """
    parts = path.parts
    first = next((k for k, part in enumerate(parts) if has_pattern(part)), len(parts) - 1)
    return Path(*parts[:first]), "/".join(parts[first:])


def match_pattern(
    folder: Path,
    pattern: str,
    *,
    position: str | None = None,
    allow_missing: bool = False,
    role: str = "images",
) -> FileSeries:
    """Return the files in a folder whose names fit a pattern.

    Parameters
    ----------
    folder : Path
        The folder.
    pattern : str
        A glob, or a name with brackets, relative to the folder; see the table of this module.
    position : str, optional
        The position to read where the pattern has ``{p}``.
    allow_missing : bool
        Missing frames are empty frames, and not an error.
    role : {"images", "masks"}
        For the options in messages.

    Raises
    ------
    FrameError
        If no file fits, a frame or slice is missing, or there are several positions and none is chosen.
    """
    expression = _compile(pattern, folder)
    found = _find_files(folder, pattern, expression)
    if not found:
        raise FrameError(_describe_no_match(folder, pattern), file=folder)
    found = _choose_position(found, position, folder, pattern, role)
    channels = _list_values(found, "c")
    if len(channels) < 2:
        return _order(found, folder, allow_missing, role)
    ordered = {
        name: _order([match for match in found if match.parts["c"] == name], folder, allow_missing, role)
        for name in channels
    }
    first = ordered[channels[0]]
    odd = next((name for name, series in ordered.items() if len(series.files) != len(first.files)), None)
    if odd is not None:
        counts = (
            f"channel {channels[0]} has {count_noun(len(first.files), 'frame')}, channel {odd} has "
            f"{len(ordered[odd].files)}"
        )
        msg = f"{counts}; add the missing files, or choose one channel by writing its name in place of {{c}}"
        raise FrameError(msg, file=folder)
    return replace(first, channels=ordered)


def _list_values(found: Sequence[_Match], letter: str) -> list[str]:
    """Return the texts of a bracket, in natural order."""
    values = {match.parts[letter] for match in found if letter in match.parts}
    return sorted(values, key=lambda value: parse_file_name(value).order)


class _Match(NamedTuple):
    path: Path
    name: str
    parts: dict[str, str]
    """Text of each bracket."""
    rest: str
    """The name without its brackets."""
    unit: str = ""
    """Unit of time after a number in place of ``{t}``, such as h."""


def _compile(pattern: str, folder: Path) -> re.Pattern[str]:
    """Return the regular expression of a pattern."""
    found, at, seen = [], 0, set()
    for match in _BRACKET.finditer(pattern):
        letter, digits = match[1].strip().lower(), match[2]
        if letter not in set("tzpc"):
            msg = (
                f"'{match[0]}' in the pattern '{pattern}' is not known; expected {{t}} (frame), {{z}} (slice), "
                "{p} (position) or {c} (channel)"
            )
            raise FrameError(msg, file=folder)
        found.append(_translate_glob(pattern[at : match.start()]))
        exact = pattern[match.end() : match.end() + 1] == "{"  # the number ends where the next bracket begins
        number = _match_bracket(letter, digits, first=match.start() > at or at == 0, exact=exact)
        found.append(f"(?P={letter})" if letter in seen else f"(?P<{letter}>{number})")
        seen.add(letter)
        at = match.end()
    return _compile_text("".join(found) + _translate_glob(pattern[at:]), pattern, folder)


def _compile_text(text: str, pattern: str, folder: Path) -> re.Pattern[str]:
    if Path(pattern).is_absolute() or not Path(pattern).parts:
        msg = f"the pattern '{pattern}' is not relative to the folder; write names of files in it, such as '*_raw.tif'"
        raise FrameError(msg, file=folder)
    try:
        return re.compile(text)
    except re.error as error:
        msg = (
            f"the pattern '{pattern}' cannot be read: {error.msg}; expected, for example, '[a-c]*.tif' or 't{{t}}.tif'"
        )
        raise FrameError(msg, file=folder) from error


def _match_bracket(letter: str, digits: str | None, *, first: bool, exact: bool) -> str:
    """Return the regular expression of a bracket; `first`: text or nothing is before it, and not another number."""
    if letter in "pc" and not digits:
        return "[^/]+?"
    start = r"(?<!\d)" if first else ""
    number = rf"{start}\d{{{digits}{'' if exact else ','}}}" if digits else rf"{start}\d+"
    # 5 in 0.5h is not a number of its own, whatever * stands for
    return number if letter != "t" or digits else rf"(?:{STAMP_PATTERN}|{_DATES}|(?!(?<=\d[.,])\d+{TIME_UNIT}){number})"


_DATES = r"\d{4}[-_.]?\d\d[-_.]?\d\d(?:[T _-]{1,2}\d\d[-_:.h]?\d\d(?:[-_:.m]?\d\ds?)?)?Z?|\d{4}y\d\dm\d\dd_\d\dh\d\dm"


def _translate_glob(text: str) -> str:
    found = []
    for part in re.split(r"(\*\*/|\*|\?|\[[^\]/]+\])", text):
        known = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}.get(part)
        is_set = part.startswith("[") and part.endswith("]")
        found.append(known or (part.replace("[!", "[^") if is_set else re.escape(part)))
    return "".join(found)


def list_candidates(folder: Path, pattern: str) -> Iterator[tuple[str, Path]]:
    """Yield the files in a folder that a pattern may mean, with brackets as ``*``, and their names in it; sorted."""
    for path in sorted(folder.glob(re.sub(r"\*{2,}(?!/)", "*", _BRACKET.sub("*", pattern)))):
        if not path.name.startswith(".") and path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _find_files(folder: Path, pattern: str, expression: re.Pattern[str]) -> list[_Match]:
    if not folder.is_dir():
        return []
    found = []
    for name, path in list_candidates(folder, pattern):
        match = expression.fullmatch(name)
        if match is not None:
            unit = _find_unit(name[match.end("t") :]) if "t" in match.groupdict() else ""
            found.append(_Match(path, name, match.groupdict(), _remove_spans(name, match), unit))
    return found


def _find_unit(text: str) -> str:
    unit = re.match(r"[a-zA-Z]+", text)
    return unit[0] if unit and find_time_unit(text) else ""


def _remove_spans(name: str, match: re.Match[str]) -> str:
    for start, end in sorted((match.span(letter) for letter in match.groupdict()), reverse=True):
        name = name[:start] + name[end:]
    return name


def _choose_position(found: list[_Match], position: str | None, folder: Path, pattern: str, role: str) -> list[_Match]:
    values = _list_values(found, "p")
    if position is None and len(values) > 1:
        filled = re.sub(r"\{p[^}]*\}", values[0], pattern)
        msg = (
            f"there are files of {len(values)} positions: {_list_some(values)}; choose one with --position {values[0]} "
            f"(position= in Python), or with --{role}-pattern '{filled}'"
        )
        raise FrameError(msg, file=folder)
    if position is None or not values:
        return found
    same = [value for value in values if _is_same(value, position)]
    if not same:
        msg = f"there is no position '{position}'; its positions are {_list_some(values)}"
        raise FrameError(msg, file=folder)
    return [match for match in found if match.parts["p"] == same[0]]


def _is_same(value: str, wanted: str) -> bool:
    """Return whether two names are equal, or are the same number."""
    return value == wanted or (value.isdecimal() and wanted.isdecimal() and int(value) == int(wanted))


def _order(found: list[_Match], folder: Path, allow_missing: bool, role: str) -> FileSeries:  # noqa: FBT001
    """Return the files of one channel: by the frame number of the pattern, or by those in the names."""
    if any("t" in match.parts for match in found):
        frames = _order_by_bracket(found, folder, allow_missing=allow_missing)
    else:
        # without {t}, files whose names differ only in the brackets are of one frame
        marked = any(match.parts for match in found)
        grouped: dict[Path, list[_Match]] = {}
        for match in found:
            grouped.setdefault(folder / match.rest if marked else match.path, []).append(match)
        paths = order_frames(list(grouped), folder, allow_missing=allow_missing, role=role)
        frames = [(path.relative_to(folder).as_posix(), grouped.get(path, [])) for path in paths]
    files = tuple(_order_slices(matches, folder, name) for name, matches in frames)
    absent = frozenset(frame for frame, (_, matches) in enumerate(frames) if not matches)
    _check_depth(files, absent)
    return FileSeries(folder, files, absent)


def _check_depth(files: Sequence[tuple[Path, ...]], absent: frozenset[int]) -> None:
    """Raise if frames differ in the number of slices."""
    depth = {frame: len(each) for frame, each in enumerate(files) if frame not in absent}
    usual = max(depth.values())
    odd = next((frame for frame, count in depth.items() if count != usual), None)
    if odd is not None:
        msg = f"it has {count_noun(depth[odd], 'slice')}, other frames have {usual}; add the missing files"
        raise FrameError(msg, file=files[odd][0], frame=odd)


def _order_by_bracket(found: list[_Match], folder: Path, *, allow_missing: bool) -> list[tuple[str, list[_Match]]]:
    """Return name and files of each frame; a frame that is missing has no files."""
    texts = {match.parts["t"]: match.parts["t"] + match.unit for match in found}
    parsed = dict(zip(texts, align_times([parse_file_name(text) for text in texts.values()]), strict=True))
    number = {text: name.numbers[0] for text, name in parsed.items()}
    grouped: dict[int, list[_Match]] = {}
    for match in found:
        grouped.setdefault(number[match.parts["t"]], []).append(match)
    first = min(found, key=lambda match: number[match.parts["t"]])
    stamped = any(name.stamped[0] for name in parsed.values())

    def format_name(wanted: int) -> str:
        text = first.parts["t"]
        return first.name.replace(text, f"{wanted:0{len(text)}d}", 1) if text in first.name else first.name

    if stamped:
        order = fill_stamps(sorted(grouped), folder, allow_missing=allow_missing)
    else:
        order = fill_numbers(sorted(grouped), folder, format_name, allow_missing=allow_missing)
    return [(format_name(each), grouped.get(each, [])) for each in order]


def _order_slices(found: Sequence[_Match], folder: Path, name: str) -> tuple[Path, ...]:
    if not found:
        return (folder / name,)
    if len(found) > 1 and not all("z" in match.parts for match in found):
        msg = (
            f"{found[0].name} and {found[1].name} are the same frame by the pattern; make the pattern narrower, or "
            "mark slices by {z}, channels by {c} and positions by {p}"
        )
        raise FrameError(msg, file=folder)
    ordered = sorted(found, key=lambda match: int(match.parts.get("z", 0)))
    numbers = [int(match.parts.get("z", 0)) for match in ordered]
    if len(set(numbers)) < len(numbers):
        msg = f"two files are slice {numbers[0]} of {ordered[0].name}; make the pattern narrower"
        raise FrameError(msg, file=folder)
    return tuple(match.path for match in ordered)


def _describe_no_match(folder: Path, pattern: str) -> str:
    if not folder.is_dir():
        return "no such folder; check the path before the pattern"
    inside = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    some = f"it holds {_list_some(inside)}" if inside else "the folder is empty"
    return f"no file fits the pattern '{pattern}'; {some}. Put a pattern in quotes, so that the shell does not read it"


def _list_some(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
