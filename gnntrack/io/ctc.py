"""Cell Tracking Challenge (CTC) folders, read and written: a table of tracks and one mask per frame.

::

    01_RES/res_track.txt      L B E P: label, first and last frame (inclusive, from 0), parent or 0
    01_RES/mask000.tif ...    16-bit, 0 = background, else the label of the track
    01_GT/TRA/man_track.txt   the same for the truth, with man_track000.tif ...

The format knows no gaps: a track's label is in every frame from B to E. So a track with a frame that
was not painted is written as two, the second with the first as its parent.
"""

from __future__ import annotations

import logging
import os
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import tifffile

from gnntrack.errors import FormatError, FrameError, OutputError
from gnntrack.io.output import fresh_output
from gnntrack.io.stack import UNREADABLE
from gnntrack.masks.runs import decode_frame, encode_frame, join_frames
from gnntrack.types import Cells, Lineage, Runs, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gnntrack.types import FloatArray, Image, IntArray

__all__ = [
    "MAX_LABEL",
    "CtcFolder",
    "TrackRows",
    "find_ctc",
    "parse_track_table",
    "read_ctc",
    "read_mask",
    "read_tiff",
    "read_track_table",
    "threaded",
    "write_ctc",
]

MAX_LABEL = 65535
"""The largest label of a 16-bit mask."""

# tifffile logs damage as well as raising it; without any handler Python would print that on the terminal
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_T = TypeVar("_T")
_WORKERS = min(4, os.cpu_count() or 1)
_TABLES = {"mask": "res_track.txt", "man_track": "man_track.txt"}


# ---------------------------------------------------------------- the table


class TrackRows(NamedTuple):
    """A table of tracks as it stands in the file, good or bad."""

    rows: IntArray
    """(K, 4): label, begin, end, parent, in the order of the file."""
    lines: IntArray
    """(K,): line of each row in the file, from 1."""
    faults: list[tuple[int, str]]
    """Lines that hold no four integers, and why."""


def parse_track_table(path: str | Path) -> TrackRows:
    """Read a table of tracks without judging what it says; blank lines are skipped.

    Raises
    ------
    FormatError
        If the file cannot be read.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        msg = f"{path}: cannot read the table of tracks: {error.strerror}"
        raise FormatError(msg) from error
    rows: list[list[int]] = []
    lines: list[int] = []
    faults: list[tuple[int, str]] = []
    for line, content in enumerate(text.split("\n"), start=1):
        words = content.split()
        wrong = [word for word in words if not re.fullmatch(r"[+-]?[0-9]{1,18}", word)]
        if wrong:
            faults.append((line, f"{wrong[0]!r} is not an integer; expected four: label, begin, end, parent"))
        elif words and len(words) != 4:
            faults.append((line, f"{len(words)} numbers; expected four: label, begin, end, parent"))
        elif words:
            rows.append([int(word) for word in words])
            lines.append(line)
    return TrackRows(np.array(rows, np.int64).reshape(-1, 4), np.array(lines, np.int64), faults)


def read_track_table(path: str | Path) -> Tracks:
    """Read ``res_track.txt`` or ``man_track.txt``.

    Parameters
    ----------
    path : path
        A line per track with four integers, separated by spaces or tabs; lines in any order. An empty
        file is a movie without tracks.

    Raises
    ------
    FormatError
        If the file cannot be read, or names file and line where four good integers were expected.
    """
    table = parse_track_table(path)
    faults = [*table.faults, *_bad_rows(table)]
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


def _bad_rows(table: TrackRows) -> Iterable[tuple[int, str]]:
    seen: dict[int, int] = {}
    for line, (label, begin, end, parent) in zip(table.lines.tolist(), table.rows.tolist(), strict=True):
        if label < 1:
            yield line, f"label {label}; labels are positive"
        if label in seen:
            yield line, f"label {label} stands in line {seen[label]} too; a label has one line"
        if begin < 0 or parent < 0:
            yield line, f"label {label} has begin {begin} and parent {parent}; neither may be negative"
        if begin > end:
            yield line, f"label {label} begins in frame {begin} and ends before it, in frame {end}"
        seen[label] = line


# ---------------------------------------------------------------- the folder


@dataclass(frozen=True)
class CtcFolder:
    """What lies in a result or truth folder."""

    path: Path
    prefix: str
    """``"mask"`` for a result, ``"man_track"`` for a truth."""
    table: Path | None
    """The table of tracks, None where it is missing."""
    masks: dict[int, Path]
    """Mask of each frame, by frame."""
    strays: tuple[Path, ...]
    """TIFFs that are no mask of a frame of their own."""

    @property
    def n_frames(self) -> int:
        """One more than the last frame."""
        return max(self.masks, default=-1) + 1

    @property
    def missing(self) -> list[int]:
        """Frames without a mask before the last one."""
        return [frame for frame in range(self.n_frames) if frame not in self.masks]


def find_ctc(folder: str | Path) -> CtcFolder:
    """List a result folder (``01_RES``) or a truth folder (``01_GT`` or ``01_GT/TRA``); no mask is opened.

    Raises
    ------
    FormatError
        If there is no such folder.
    """
    path = Path(folder)
    if not path.is_dir():
        msg = f"{path}: no such folder; expected a folder with res_track.txt and mask000.tif, mask001.tif, ..."
        raise FormatError(msg)
    if (path / "TRA").is_dir() and not any((path / name).exists() for name in _TABLES.values()):
        path = path / "TRA"
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in {".tif", ".tiff"})
    truth = (path / "man_track.txt").exists() or any(file.name.startswith("man_track") for file in files)
    prefix = "man_track" if truth and not (path / "res_track.txt").exists() else "mask"
    masks: dict[int, Path] = {}
    strays = []
    for file in files:
        match = re.fullmatch(rf"{prefix}([0-9]{{1,9}})\.tif", file.name)
        if match is None or int(match[1]) in masks:
            strays.append(file)
        else:
            masks[int(match[1])] = file
    table = path / _TABLES[prefix]
    return CtcFolder(path, prefix, table if table.exists() else None, dict(sorted(masks.items())), tuple(strays))


def read_tiff(path: str | Path, *, frame: int | None = None) -> Image:
    """Read a TIFF whatever it holds.

    Raises
    ------
    FrameError
        If the file is no TIFF, is damaged, or holds colours.
    """
    try:
        with tifffile.TiffFile(path) as tiff:
            colours = int(tiff.pages.first.samplesperpixel)
            refuse_cut_short(tiff)
            pixels: Image = tiff.asarray()
    except UNREADABLE as error:
        msg = f"cannot be read as a TIFF ({error}); write it again"
        raise FrameError(msg, file=path, frame=frame) from error
    if colours > 1:
        msg = f"holds {colours} colours a pixel; expected one label a pixel"
        raise FrameError(msg, file=path, frame=frame)
    return pixels


def refuse_cut_short(tiff: tifffile.TiffFile) -> None:
    """Refuse a file that ends before its pixels: tifffile takes zeros for some of them."""
    ends = [at + n for page in tiff.pages for at, n in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if max(ends, default=0) > tiff.filehandle.size:
        msg = f"it has {tiff.filehandle.size} bytes, {max(ends)} are expected"
        raise ValueError(msg)


def read_mask(path: str | Path, *, frame: int | None = None) -> Image:
    """Read one mask as it is, (Y, X) or (Z, Y, X).

    Raises
    ------
    FrameError
        If the file cannot be read, or holds anything but integer labels >= 0.
    """
    mask = read_tiff(path, frame=frame)
    if mask.dtype.kind not in "ui" or mask.ndim not in (2, 3):
        msg = f"holds {mask.dtype} of shape {mask.shape}; expected integer labels, (Y, X) or (Z, Y, X)"
        raise FrameError(msg, file=path, frame=frame)
    if mask.dtype.kind == "i" and mask.size and mask.min() < 0:
        msg = f"holds label {mask.min()}; labels are 0 (background) or positive"
        raise FrameError(msg, file=path, frame=frame)
    return mask


def threaded(work: Callable[[int], _T], frames: Sequence[int]) -> list[_T]:
    """Do the work of each frame on a few threads, since reading and packing a TIFF release the interpreter."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        return list(pool.map(work, frames))


# ---------------------------------------------------------------- reading


class _FrameCells(NamedTuple):
    label: IntArray  # (n,) ascending
    centroid: FloatArray  # (n, D) in pixels
    size: IntArray  # (n,) pixels
    start: IntArray  # (r,) runs
    length: IntArray  # (r,)
    row: IntArray  # (r,) cell of each run, within the frame
    shape: tuple[int, ...]


def read_ctc(folder: str | Path, *, spacing: Sequence[float] | None = None) -> tuple[Lineage, Runs]:
    """Read a tracked movie: a result (``01_RES``) or a truth (``01_GT`` or ``01_GT/TRA``).

    Parameters
    ----------
    folder : path
        A table of tracks and a mask per frame.
    spacing : D floats, optional
        Size of a pixel along ``[z], y, x`` in micrometres; without it positions are in pixels.

    Returns
    -------
    lineage : Lineage
        The label of a cell is its track. Links run from frame to frame within tracks and from parents to
        daughters, with confidence 1. The cells have one feature, ``size``.
    runs : Runs
        The cells' pixels.

    Raises
    ------
    FrameError
        If a mask is missing, cannot be read, or differs in shape from the first.
    FormatError
        If the table is broken, or table and masks disagree; `validate_ctc` then tells everything at once.
    """
    found = find_ctc(folder)
    if found.table is None or not found.masks:
        msg = f"{found.path}: no {_TABLES[found.prefix]}" if found.table is None else f"{found.path}: no mask in it"
        raise FormatError(msg + "; expected a table of tracks and a mask per frame")
    if found.missing:
        msg = f"no mask for it, though there is one for frame {found.n_frames - 1}"
        raise FrameError(msg, file=found.path, frame=found.missing[0])
    tracks = read_track_table(found.table)
    frames = threaded(lambda t: _read_cells(found.masks[t], t), range(found.n_frames))
    _same_shape(found, frames)
    cells = _join_cells(frames, spacing)
    _table_and_masks_agree(found, tracks, cells)
    counts = np.array([len(f.label) for f in frames], np.int64)
    first = np.cumsum(counts) - counts
    parts = [(f.start, f.length, f.row + row) for f, row in zip(frames, first, strict=True)]
    runs = join_frames(parts, frames[0].shape)
    source, target = _links(cells, tracks)
    return Lineage(cells, cells.label, tracks, source, target, np.ones(len(source), np.float32)), runs


def _read_cells(path: Path, frame: int) -> _FrameCells:
    mask = read_mask(path, frame=frame)
    start, length, run_label = encode_frame(mask)
    label, row = np.unique(run_label, return_inverse=True)
    *outer, x = np.unravel_index(start, mask.shape)
    size = np.bincount(row, weights=length, minlength=len(label))
    middle = [*outer, x + (length - 1) / 2]
    centroid = [np.bincount(row, weights=axis * length, minlength=len(label)) / size for axis in middle]
    return _FrameCells(label, np.stack(centroid, 1), size.astype(np.int64), start, length, row, mask.shape)


def _same_shape(found: CtcFolder, frames: list[_FrameCells]) -> None:
    for frame, cells in enumerate(frames):
        if cells.shape != frames[0].shape:
            msg = f"has shape {cells.shape}, frame 0 has {frames[0].shape}; all masks must have one shape"
            raise FrameError(msg, file=found.masks[frame], frame=frame)


def _join_cells(frames: list[_FrameCells], spacing: Sequence[float] | None) -> Cells:
    ndim = len(frames[0].shape)
    if spacing is not None and (len(spacing) != ndim or not all(s > 0 for s in spacing)):
        msg = (
            f"spacing {tuple(spacing)} does not fit masks of shape {frames[0].shape}; expected {ndim} positive numbers"
        )
        raise FormatError(msg)
    scale = tuple(float(s) for s in spacing) if spacing is not None else (1.0,) * ndim
    unit = "pixel" if spacing is None else "um"
    size = np.concatenate([f.size for f in frames])[:, None] * np.prod(scale)
    return Cells(
        frame=np.repeat(np.arange(len(frames)), [len(f.label) for f in frames]),
        label=np.concatenate([f.label for f in frames]),
        position=np.concatenate([f.centroid for f in frames]) * np.array(scale),
        features=size.astype(np.float32),
        feature_names=("size",),
        feature_units=(f"{unit}{ndim}",),
        spacing=scale,
        n_frames=len(frames),
        shape=frames[0].shape,
        unit=unit,
    )


def _table_and_masks_agree(found: CtcFolder, tracks: Tracks, cells: Cells) -> None:
    advice = "'gnntrack validate' lists every broken rule"
    row = np.searchsorted(tracks.id, cells.label)
    row[row == len(tracks)] = 0
    known = np.isin(cells.label, tracks.id)
    outside = ~known
    outside[known] = (cells.frame[known] < tracks.start[row[known]]) | (cells.frame[known] > tracks.end[row[known]])
    if outside.any():
        first = int(np.argmax(outside))
        file = found.masks[int(cells.frame[first])]
        msg = f"{file}: label {cells.label[first]} is not in {found.table} for this frame; {advice}"
        raise FormatError(msg)
    expected = tracks.end - tracks.start + 1
    counted = np.bincount(row, minlength=len(tracks))[: len(tracks)]
    if (counted < expected).any():
        short = int(np.argmax(counted < expected))
        present = cells.frame[cells.label == tracks.id[short]].tolist()
        frame = next(t for t in tracks.frames(short) if t not in set(present))
        msg = f"{found.path}: label {tracks.id[short]} is missing in frame {frame}, within its range in {found.table}"
        msg = f"{msg}; {advice}"
        raise FormatError(msg)


def _links(cells: Cells, tracks: Tracks) -> tuple[IntArray, IntArray]:
    order = np.lexsort((cells.frame, cells.label))
    same = cells.label[order][1:] == cells.label[order][:-1]
    daughter = np.flatnonzero(tracks.parent)
    mother = np.searchsorted(tracks.id, tracks.parent[daughter])
    source = np.concatenate([order[:-1][same], cells.row_of(tracks.end[mother], tracks.id[mother])])
    target = np.concatenate([order[1:][same], cells.row_of(tracks.start[daughter], tracks.id[daughter])])
    by_source = np.lexsort((target, source))
    return source[by_source], target[by_source]


# ---------------------------------------------------------------- writing


class _Plan(NamedTuple):
    """What is painted where: tracks cut into segments without a gap."""

    tracks: Tracks  # of the segments
    cell_value: IntArray  # (N,) label of each cell
    fill_value: IntArray  # (R,) label of each run of the fills


def write_ctc(
    out: str | Path,
    lineage: Lineage,
    runs: Runs,
    *,
    fills: Runs | None = None,
    digits: int | None = None,
    overwrite: bool = False,
) -> Tracks:
    """Write a CTC result: ``res_track.txt`` and a 16-bit mask per frame.

    Parameters
    ----------
    out : path
        The result folder, such as ``01_RES``. It appears as a whole or not at all.
    lineage : Lineage
        The solved movie.
    runs : Runs
        Pixels of its cells.
    fills : Runs, optional
        Pixels painted for cells that were not detected, on background only; the column ``cell`` holds
        track ids.
    digits : int, optional
        Digits of the frame number in file names; 3, or 4 beyond 999 frames, where it is left out.
    overwrite : bool
        Replace an existing folder.

    Returns
    -------
    Tracks
        The table as written. Track ids are those of the lineage as long as they fit into 16 bits, else
        1..K in the same order. A track with a gap that is not painted is written as two: the later
        part has a new id and the earlier one as its parent; daughters hang on the last part.

    Raises
    ------
    OutputError
        If the folder exists, cannot be written, or the tracks do not fit the format.
    FormatError
        If lineage, runs and fills do not belong together.
    """
    _belong_together(lineage, runs, fills)
    n_frames = lineage.cells.n_frames
    width = _digits(n_frames, digits)
    plan = _plan(lineage, runs, fills)
    table = zip(plan.tracks.id, plan.tracks.start, plan.tracks.end, plan.tracks.parent, strict=True)

    def write_frame(t: int) -> None:
        # level 1 packs labels as well as higher levels do, in half the time
        mask = _paint(t, runs, fills, plan)
        tifffile.imwrite(
            folder / f"mask{t:0{width}d}.tif",
            mask,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": 1},
            maxworkers=1,
        )

    with fresh_output(Path(out), overwrite=overwrite) as folder:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            threaded(write_frame, range(n_frames))
            text = "".join(f"{label} {start} {end} {parent}\n" for label, start, end, parent in table)
            (folder / "res_track.txt").write_text(text, encoding="ascii")
        except OSError as error:
            msg = f"{out}: cannot be written: {error}"
            raise OutputError(msg) from error
    return plan.tracks


def _belong_together(lineage: Lineage, runs: Runs, fills: Runs | None) -> None:
    n_frames = lineage.cells.n_frames
    if n_frames == 0:
        msg = "the movie has no frames; a CTC result needs at least one"
        raise OutputError(msg)
    for name, part in (("runs", runs), ("fills", fills)):
        if part is not None and (len(part.offsets) != n_frames + 1 or part.shape != lineage.cells.shape):
            msg = (
                f"the {name} have {len(part.offsets) - 1} frames of shape {part.shape}, "
                f"the lineage has {n_frames} of shape {lineage.cells.shape}; pass those of the same movie"
            )
            raise FormatError(msg)
    if len(runs) and not np.array_equal(lineage.cells.frame[runs.cell], runs.frames()):
        msg = "the runs belong to other cells than the lineage's; pass those of the same movie"
        raise FormatError(msg)
    if not np.array_equal(np.unique(runs.cell), np.arange(len(lineage.cells))):
        msg = "a cell of the lineage has no pixels in the runs, so it cannot be painted; pass those of the same movie"
        raise FormatError(msg)
    if fills is not None and not np.isin(fills.cell, lineage.tracks.id).all():
        msg = "the fills name tracks that the lineage does not have; the column 'cell' of fills holds track ids"
        raise FormatError(msg)


def _digits(n_frames: int, digits: int | None) -> int:
    needed = len(str(n_frames - 1))
    if digits is None:
        return max(3, len(str(n_frames)))
    if digits < needed:
        msg = f"{digits} digits do not hold {n_frames} frames; pass digits={max(3, needed)} or leave it out"
        raise OutputError(msg)
    return digits


def _plan(lineage: Lineage, runs: Runs, fills: Runs | None) -> _Plan:
    n_frames, tracks = lineage.cells.n_frames, lineage.tracks
    cell_key = np.searchsorted(tracks.id, lineage.track) * n_frames + lineage.cells.frame
    fill_key = np.zeros(0, np.int64)
    visible = cell_key
    if fills is not None:
        fill_key = np.searchsorted(tracks.id, fills.cell) * n_frames + fills.frames()
        visible = np.concatenate([cell_key, _visible_keys(runs, fills, fill_key)])
    key = np.unique(visible)  # a key is a track in a frame
    row, frame = np.divmod(key, n_frames)
    opens = np.ones(len(key), bool)
    opens[1:] = (np.diff(key) > 1) | (np.diff(row) > 0)
    label, parent = _number(tracks, row[opens])
    closes = np.append(opens[1:], np.ones(min(1, len(key)), bool))
    segment = np.cumsum(opens) - 1
    order = np.argsort(label)
    table = Tracks(label[order], frame[opens][order], frame[closes][order], parent[order])

    def value(wanted: IntArray) -> IntArray:
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        return np.where(key[at] == wanted, label[segment[at]], 0) if len(key) else np.zeros(0, np.int64)

    return _Plan(table, value(cell_key), value(fill_key))


def _visible_keys(runs: Runs, fills: Runs, fill_key: IntArray) -> IntArray:
    """Return the keys of the fills of which a pixel is left beside the cells and the fills painted later."""
    keys = [np.zeros(0, np.int64)]
    for t in np.flatnonzero(np.diff(fills.offsets)):
        below, above = fills.frame(int(t)), runs.frame(int(t))
        start = np.concatenate([fills.start[below], runs.start[above]])
        length = np.concatenate([fills.length[below], runs.length[above]])
        n = below.stop - below.start
        painter = np.concatenate([np.arange(1, n + 1), np.zeros(above.stop - above.start, np.int64)])
        painted = decode_frame(fills.shape, start, length, painter, np.int32)
        keys.append(fill_key[below][np.unique(painted[painted > 0]) - 1])
    return np.concatenate(keys)


def _number(tracks: Tracks, row: IntArray) -> tuple[IntArray, IntArray]:
    """Give every segment its label and parent: the first of a track keeps the track's id."""
    if len(row) > MAX_LABEL:
        msg = (
            f"{len(row)} tracks do not fit the 16-bit labels of a CTC result, which hold {MAX_LABEL}; "
            "write the lineage as GEFF instead, or cut the movie in time or space and export the parts"
        )
        raise OutputError(msg)
    first = np.ones(len(row), bool)
    first[1:] = np.diff(row) > 0
    label = tracks.id[row].copy()
    label[~first] = label.max(initial=0) + 1 + np.arange(np.count_nonzero(~first))
    if label.max(initial=0) > MAX_LABEL:
        label = np.arange(1, len(row) + 1)
    parent = np.zeros(len(row), np.int64)
    parent[~first] = label[np.flatnonzero(~first) - 1]
    last = np.searchsorted(row, np.arange(len(tracks)), side="right") - 1  # last segment of each track
    has_parent = first & (tracks.parent[row] != 0)
    parent[has_parent] = label[last[np.searchsorted(tracks.id, tracks.parent[row[has_parent]])]]
    return label, parent


def _paint(t: int, runs: Runs, fills: Runs | None, plan: _Plan) -> Image:
    above = runs.frame(t)
    start, length, value = runs.start[above], runs.length[above], plan.cell_value[runs.cell[above]]
    if fills is not None and fills.offsets[t] != fills.offsets[t + 1]:
        below = fills.frame(t)  # painted first, so that cells cover them
        start, length = np.append(fills.start[below], start), np.append(fills.length[below], length)
        value = np.append(plan.fill_value[below], value)
    return decode_frame(runs.shape, start, length, value)
