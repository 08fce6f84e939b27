"""Validation of a result or ground truth of the Cell Tracking Challenge: all broken rules at once.

The rules are the union of those of the challenge's evaluation software, those of py-ctcmetrics, and our own; `RULES`
lists them. A result without an error is accepted by both programs.
"""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gnntrack.errors import FrameError
from gnntrack.io.ctc_names import MAX_LABEL, CtcFolder, find_ctc, find_digits, suggest_conversion
from gnntrack.io.ctc_table import TrackRows, parse_track_table
from gnntrack.io.frames import map_frames
from gnntrack.io.images import drop_plane, read_tiff
from gnntrack.io.tiff import names_other_files
from gnntrack.masks.runs import encode_frame
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gnntrack.types import FrameStack, Image, IntArray

__all__ = ["RULES", "Problem", "check_labels", "check_table", "validate_ctc"]

_log = logging.getLogger(__name__)

RULES = {
    "no-track-table": "the folder has a table of tracks, res_track.txt",
    "not-integer": "a line of the table holds four integers: label, begin, end, parent",
    "separator": "spaces or tabs between numbers, as in line 1; no blank line, no byte order mark (py-ctcmetrics)",
    "id-range": f"labels lie in 1..{MAX_LABEL}",
    "negative": "begin and parent are not negative",
    "duplicate-id": "a label has one line in the table",
    "begin-after-end": "a track does not end before it begins",
    "beyond-movie": "a track ends within the movie",
    "unknown-parent": "a parent has a line in the table",
    "self-parent": "a track is not its own parent",
    "parent-end": "a parent ends before its child begins",
    "single-child": "a parent has two children, or one after a gap (a warning: allowed, but LNK and TRA get worse)",
    "empty-table": "the table has a track (a warning: the challenge refuses a result without one)",
    "no-masks": "the folder has masks, mask000.tif, mask001.tif, ...",
    "stray-file": "the folder has no other TIFFs; some readers take all of them for masks",
    "missing-frame": "frames are numbered from 0, and none is missing",
    "digits": "frame numbers have 3 or 4 digits (more: a warning), as many as images named t000.tif or t0000.tif",
    "unreadable": "a mask is a TIFF that can be read",
    "dtype": "a mask is unsigned with 16 bits",
    "shape": "all masks have one shape, that of the images",
    "frame-count": "each image has a mask",
    "label-missing": "a label is in the mask of every frame from its begin to its end",
    "label-unknown": "a label in a mask has a line in the table",
    "label-outside": "a label is in no mask outside the frames of its line",
    "empty-frame": "every frame has a cell (a warning: the challenge's evaluation refuses a frame without one)",
}
"""The rules, by name."""

_WARNINGS = {"single-child", "empty-table", "empty-frame"}
_LISTED = 5


@dataclass(frozen=True)
class Problem:
    """A broken rule."""

    rule: str
    """Name of the rule, a key of `RULES`."""
    severity: Literal["error", "warning"]
    """An error makes the result invalid, a warning does not."""
    message: str
    """The value found and the values expected."""
    file: str | None = None
    """The file in which the rule is broken."""
    frame: int | None = None
    """The frame in which the rule is broken, from 0."""

    def __str__(self) -> str:
        where = [part for part in (self.file, None if self.frame is None else f"frame {self.frame}") if part]
        return f"{self.severity} [{self.rule}] {', '.join(where)}: {self.message}"


class _Mask(NamedTuple):
    shape: tuple[int, ...] | None
    labels: IntArray | None  # ascending, without 0; None if the mask cannot be read
    problems: list[Problem]


def validate_ctc(result: str | Path, *, images: str | Path | FrameStack | None = None) -> list[Problem]:
    """Check a CTC result or ground truth against all rules.

    Parameters
    ----------
    result : path
        ``01_RES``, ``01_GT`` or ``01_GT/TRA``.
    images : path or FrameStack, optional
        The movie; with it the number of frames, their shape and the digits of the file names are checked too.

    Returns
    -------
    list of Problem
        Empty, or without an error, if the result is valid. Problems of the table come first, then those of the
        files, then those of each frame.

    Raises
    ------
    FormatError
        If the folder does not exist.
    FrameError
        If the images cannot be opened.
    """
    found = find_ctc(result)
    problems = [*_check_files(found)]
    masks = dict(zip(found.masks, map_frames(lambda t: _read(found.masks[t], t), list(found.masks)), strict=True))
    shapes = {t: mask.shape for t, mask in masks.items() if mask.shape is not None}
    if images is not None:
        problems += _check_against_images(found, shapes, images)
    elif shapes:
        first = next(iter(shapes))
        problems += _check_shapes(found, shapes, shapes[first], f"frame {first}")
    problems += [problem for mask in masks.values() for problem in mask.problems]
    labels = {t: mask.labels for t, mask in masks.items() if mask.labels is not None}
    if found.table is None:
        return [
            _make_problem("no-track-table", f"no {found.table_name}{suggest_conversion(found.path)}", found.path),
            *problems,
            *_list_empty_frames(found, labels),
        ]
    table = parse_track_table(found.table)
    about_table = check_table(table, found.table, n_frames=found.n_frames)
    return about_table + problems + check_labels(table, labels, found)


# ---------------------------------------------------------------- the table


def check_table(table: TrackRows, file: str | Path, *, n_frames: int) -> list[Problem]:
    """Check the table of tracks alone; ``n_frames`` is the number of masks."""
    problems = [_make_problem("not-integer", f"line {line}: {fault}", file) for line, fault in table.faults]
    problems += [_make_problem("separator", f"line {line}: {fault}", file) for line, fault in table.layout_faults]
    if not len(table.rows) and not table.faults:
        problems.append(_make_problem("empty-table", "no track", file))
    problems += [
        _make_problem(rule, f"line {line}: {fault}", file) for line, rule, fault in _check_rows(table, n_frames)
    ]
    problems += [_make_problem(rule, f"line {line}: {fault}", file) for line, rule, fault in _check_parents(table)]
    lonely = _find_single_children(table.rows)
    if len(lonely):
        message = (
            f"{count_noun(len(lonely), 'track')} {choose_form(len(lonely), 'goes', 'go')} on under a new "
            f"label in the very next frame: {_list_some(lonely)}"
        )
        problems.append(_make_problem("single-child", message, file))
    return problems


def _check_rows(table: TrackRows, n_frames: int) -> Iterator[tuple[int, str, str]]:
    seen: dict[int, int] = {}
    for line, (label, begin, end, parent) in zip(table.lines.tolist(), table.rows.tolist(), strict=True):
        if not 1 <= label <= MAX_LABEL:
            yield line, "id-range", f"label {label} is outside 1..{MAX_LABEL}; number the tracks from 1"
        if label in seen:
            yield line, "duplicate-id", f"label {label} is in line {seen[label]} as well"
        if begin < 0:
            yield line, "negative", f"label {label} begins in frame {begin}"
        if parent < 0:
            yield line, "negative", f"label {label} has parent {parent}; without a parent it is 0"
        if begin > end:
            yield line, "begin-after-end", f"label {label} begins in frame {begin} and ends in frame {end}"
        if n_frames and max(begin, end) >= n_frames:
            yield (
                line,
                "beyond-movie",
                f"label {label} has frames {begin}..{end}; the last mask is frame {n_frames - 1}",
            )
        seen.setdefault(label, line)


def _check_parents(table: TrackRows) -> Iterator[tuple[int, str, str]]:
    end_of = {label: end for label, _, end, _ in table.rows.tolist()}
    for line, (label, begin, _, parent) in zip(table.lines.tolist(), table.rows.tolist(), strict=True):
        if parent <= 0:
            continue
        if parent == label:
            yield line, "self-parent", f"label {label} is its own parent"
        elif parent not in end_of:
            yield line, "unknown-parent", f"label {label} has parent {parent}, which has no line"
        elif end_of[parent] >= begin:
            fault = (
                f"label {label} begins in frame {begin}; its parent {parent} ends in frame {end_of[parent]}, not before"
            )
            yield line, "parent-end", fault


def _find_single_children(rows: IntArray) -> IntArray:
    """Return the parents whose only child begins in the frame after their last."""
    child = rows[rows[:, 3] > 0]
    parent, index, count = np.unique(child[:, 3], return_index=True, return_counts=True)
    begin = child[index, 1]
    end_of = {label: end for label, _, end, _ in rows.tolist()}
    end = np.array([end_of.get(label, -2) for label in parent.tolist()], np.int64)
    lonely: IntArray = parent[(count == 1) & (begin == end + 1)]
    return lonely


# ---------------------------------------------------------------- the files


def _check_files(found: CtcFolder) -> Iterator[Problem]:
    example = f"{found.prefix}000.tif, {found.prefix}001.tif, ..."
    if not found.masks:
        yield _make_problem("no-masks", f"no mask; expected {example}", found.path)
        return
    for stray in found.strays:
        yield _make_problem("stray-file", f"not a mask of a frame of its own; expected only {example}", stray)
    for gap in found.gaps:
        those = "its mask is" if len(gap) == 1 else f"the masks of frames {gap[0]} to {gap[-1]} are"
        message = f"{those} missing; the last one is frame {found.n_frames - 1}"
        yield _make_problem("missing-frame", message, found.path, gap[0])
    widths = sorted({_count_digits(file.name) for file in found.masks.values()})
    if len(widths) > 1 or widths[0] < 3:
        message = (
            f"frame numbers have {' and '.join(map(str, widths))} "
            f"{choose_form(widths[-1], 'digit', 'digits')}; expected 3, or 4 beyond 999 frames"
        )
        yield _make_problem("digits", message, found.path)
    elif widths[0] > max(4, len(str(found.n_frames))):
        yield _make_problem(
            "digits", f"frame numbers have {widths[0]} digits, 3 or 4 are usual", found.path, severity="warning"
        )


def _check_against_images(
    found: CtcFolder, shapes: dict[int, tuple[int, ...]], images: str | Path | FrameStack
) -> Iterator[Problem]:
    from gnntrack.io.frames import open_frames
    from gnntrack.io.mask_checks import describe_movie

    movie = open_frames(images)
    with suppress(FrameError):  # the values of the images are not needed
        if describe_movie(movie)[0].is_surely_labels():
            _log.warning("%s: the images look like masks; give the images of the microscope", movie.names[0])
    if found.n_frames != len(movie):
        yield _make_problem(
            "frame-count",
            f"masks for {count_noun(found.n_frames, 'frame')}, {count_noun(len(movie), 'image')}",
            found.path,
        )
    yield from _check_shapes(found, shapes, tuple(movie.shape), "the images")
    wanted = find_digits(movie.names)
    widths = {_count_digits(file.name) for file in found.masks.values()}
    if wanted is not None and len(widths) == 1 and widths != {wanted}:
        message = (
            f"frame numbers have {count_noun(widths.pop(), 'digit')}, those of the images {wanted}; the "
            "challenge's evaluation takes "
            "one number of digits for both: name the masks as the images are"
        )
        yield _make_problem("digits", message, found.path)


def _check_shapes(
    found: CtcFolder, shapes: dict[int, tuple[int, ...]], expected: tuple[int, ...], whose: str
) -> Iterator[Problem]:
    for frame, shape in shapes.items():
        if shape != expected:
            yield _make_problem("shape", f"shape {shape}; {whose} has {expected}", found.masks[frame], frame)


def _read(path: Path, frame: int) -> _Mask:
    try:
        mask = read_tiff(path, frame=frame)
    except FrameError as error:
        message = str(error).partition(": ")[2]
        return _Mask(None, None, [_make_problem("unreadable", message, path, frame)])
    problems = []
    if mask.dtype.kind != "u" or mask.dtype.itemsize != 2:
        problems.append(_make_problem("dtype", f"{mask.dtype} pixels; expected unsigned with 16 bits", path, frame))
    labels = _find_labels(mask)
    wild = labels[(labels < 0) | (labels > MAX_LABEL)]
    if len(wild):
        problems.append(_make_problem("id-range", f"labels outside 0..{MAX_LABEL}: {_list_some(wild)}", path, frame))
    if names_other_files(path):
        message = "part of an OME-TIFF in several files, which other readers open as one movie; expected a plain TIFF"
        problems.append(_make_problem("ome-set", message, path, frame))
    return _Mask(drop_plane(mask).shape, labels, problems)


def _find_labels(mask: Image) -> IntArray:
    if mask.dtype.kind not in "ui" or mask.dtype.itemsize > 4:
        with np.errstate(invalid="ignore"):
            mask = mask.astype(np.int64)
    labels: IntArray = np.unique(encode_frame(mask)[2])
    return labels


# ---------------------------------------------------------------- the table against the masks


def check_labels(table: TrackRows, labels: dict[int, IntArray], found: CtcFolder) -> list[Problem]:
    """Check that each label is in the frames of its line and in no other.

    Parameters
    ----------
    table : TrackRows
        The table.
    labels : dict of (n,) int64
        Labels in each frame that could be read.
    found : CtcFolder
        For the names of files.
    """
    rows = table.rows
    frame = np.repeat(list(labels), [len(part) for part in labels.values()]).astype(np.int64)
    label = np.concatenate([*labels.values(), np.zeros(0, np.int64)])
    names = np.unique(np.concatenate([rows[:, 0], label]))
    # keys are made of the ranks of labels, so that they stay small for any labels; lines of any length are compared in
    # the frames that have a mask
    present, stride = np.array(sorted(labels), np.int64), found.n_frames + 1
    begin, end = np.searchsorted(present, rows[:, 1]), np.searchsorted(present, rows[:, 2], side="right")
    length = np.maximum(end - begin, 0)
    place = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length - begin, length)
    wanted = np.unique(np.repeat(np.searchsorted(names, rows[:, 0]), length) * stride + present[place])
    seen = np.searchsorted(names, label) * stride + frame
    in_table = np.isin(label, rows[:, 0])
    outside = in_table & ~np.isin(seen, wanted)
    absent = wanted[~np.isin(wanted, seen)]
    return [
        *_report_by_frame(
            "label-missing", "in the table for this frame, not in the mask", absent, names, stride, found
        ),
        *_report_by_frame("label-unknown", "in the mask, not in the table", seen[~in_table], names, stride, found),
        *_report_by_frame(
            "label-outside", "in the mask, not in the table for this frame", seen[outside], names, stride, found
        ),
        *_list_empty_frames(found, labels),
    ]


def _report_by_frame(
    rule: str, message: str, key: IntArray, names: IntArray, stride: int, found: CtcFolder
) -> Iterator[Problem]:
    for frame in np.unique(key % stride).tolist():
        label = names[key[key % stride == frame] // stride]
        yield _make_problem(rule, f"{message}: {_list_some(label)}", found.masks[frame], frame)


def _list_empty_frames(found: CtcFolder, labels: dict[int, IntArray]) -> list[Problem]:
    empty = [frame for frame, part in labels.items() if not len(part)]
    return [_make_problem("empty-frame", "no cell", found.masks[frame], frame) for frame in empty]


# ---------------------------------------------------------------- words


def _make_problem(
    rule: str,
    message: str,
    file: str | Path,
    frame: int | None = None,
    *,
    severity: Literal["error", "warning"] | None = None,
) -> Problem:
    return Problem(rule, severity or ("warning" if rule in _WARNINGS else "error"), message, str(file), frame)


def _list_some(labels: Sequence[int] | IntArray) -> str:
    more = f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else ""
    return ", ".join(str(int(label)) for label in labels[:_LISTED]) + more


def _count_digits(name: str) -> int:
    """Return the number of digits of a file's frame number, 0 without one."""
    match = re.search(r"([0-9]+)\.tiff?$", name, re.IGNORECASE)
    return len(match[1]) if match else 0
