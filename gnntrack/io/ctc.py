"""Results and ground truths of the Cell Tracking Challenge (CTC): a table of tracks and a mask per frame.

::

    01_RES/res_track.txt      L B E P: label, first and last frame (inclusive, from 0), parent or 0
    01_RES/mask000.tif ...    16-bit, 0 = background, else the label of the track
    01_GT/TRA/man_track.txt   the same for the ground truth, with man_track000.tif ...

The format does not allow gaps: a track's label is in every frame from B to E. A track without a mask in some frame is
therefore written as two tracks, and the first is the parent of the second.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tifffile

from gnntrack.compression import compress
from gnntrack.errors import FormatError, FrameError, OutputError
from gnntrack.io.ctc_labels import refuse_many_labels
from gnntrack.io.ctc_names import MAX_LABEL, CtcFolder, count_digits, find_ctc, format_name
from gnntrack.io.ctc_table import format_track_table, read_track_table
from gnntrack.io.frames import map_frames
from gnntrack.io.images import read_mask
from gnntrack.io.output import fresh_output
from gnntrack.io.result_folders import ResultUnits, read_units
from gnntrack.io.tiff import describe_frame
from gnntrack.masks.runs import decode_slabs, encode_frame, flatten_runs, join_frames
from gnntrack.pixel_sizes import expand_spacing
from gnntrack.plurals import choose_form, count_noun
from gnntrack.types import Cells, Lineage, Runs, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gnntrack.types import FloatArray, IntArray

__all__ = [
    "Numbering",
    "link_tracks",
    "number_masks",
    "number_segments",
    "prepare_ctc",
    "read_ctc",
    "write_ctc",
    "write_mask",
]

_CLASSIC = (1 << 32) - (1 << 25)  # bytes of a mask, beyond which the file is a BigTIFF

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
    """Read a tracked movie: a result (``01_RES``) or a ground truth (``01_GT`` or ``01_GT/TRA``).

    Parameters
    ----------
    folder : path
        A table of tracks and a mask per frame.
    spacing : D floats, optional
        Size of a pixel along ``[z], y, x`` in micrometres; if None, that of the run that wrote the result, else that
        in the masks of a result, or else positions are in pixels.

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
        If the table is not valid, or table and masks do not match; `validate_ctc` lists all problems.
    """
    found = find_ctc(folder)
    if found.table is None or not found.masks:
        msg = f"{found.path}: no {found.table_name}" if found.table is None else f"{found.path}: no mask in it"
        raise FormatError(msg + "; expected a table of tracks and a mask per frame")
    if found.gaps:
        msg = f"its mask is missing; the last mask is that of frame {found.n_frames - 1}"
        raise FrameError(msg, file=found.path, frame=found.gaps[0].start)
    tracks = read_track_table(found.table)
    frames = map_frames(lambda t: _read_cells(found.masks[t], t), range(found.n_frames))
    _check_shapes(found, frames)
    units = _find_units(found)
    cells = _join_cells(frames, units.spacing if spacing is None else spacing)
    _check_labels(found, tracks, cells)
    counts = np.array([len(f.label) for f in frames], np.int64)
    first = np.cumsum(counts) - counts
    parts = [(f.start, f.length, f.row + row) for f, row in zip(frames, first, strict=True)]
    runs = join_frames(parts, frames[0].shape)
    source, target = link_tracks(cells, tracks)
    lineage = Lineage(cells, cells.label, tracks, source, target, np.ones(len(source), np.float32))
    return lineage.with_provenance(interval=units.interval), runs


def _find_units(found: CtcFolder) -> ResultUnits:
    """Return size of a voxel and frame interval: those of the run, else those in the masks of a result."""
    units = read_units(found.path)
    if units.spacing is not None or found.table_name != "res_track.txt":
        return units
    stored = describe_frame(next(iter(found.masks.values())), None, None)
    return ResultUnits(stored.spacing or None, units.interval or stored.interval)


def _read_cells(path: Path, frame: int) -> _FrameCells:
    mask = read_mask(path, frame=frame)
    start, length, run_label = encode_frame(mask)
    label, row = np.unique(run_label, return_inverse=True)
    *outer, x = np.unravel_index(start, mask.shape)
    size = np.bincount(row, weights=length, minlength=len(label))
    middle = [*outer, x + (length - 1) / 2]
    centroid = [np.bincount(row, weights=axis * length, minlength=len(label)) / size for axis in middle]
    return _FrameCells(label, np.stack(centroid, 1), size.astype(np.int64), start, length, row, mask.shape)


def _check_shapes(found: CtcFolder, frames: list[_FrameCells]) -> None:
    for frame, cells in enumerate(frames):
        if cells.shape != frames[0].shape:
            msg = f"has shape {cells.shape}, frame 0 has {frames[0].shape}; all masks must have one shape"
            raise FrameError(msg, file=found.masks[frame], frame=frame)


def _join_cells(frames: list[_FrameCells], spacing: Sequence[float] | None) -> Cells:
    ndim = len(frames[0].shape)
    scale = (1.0,) * ndim if spacing is None else expand_spacing(spacing, ndim, "the movie of these masks")
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


def _check_labels(found: CtcFolder, tracks: Tracks, cells: Cells) -> None:
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


def link_tracks(cells: Cells, tracks: Tracks) -> tuple[IntArray, IntArray]:
    """Return the links of cells whose labels are their tracks.

    Parameters
    ----------
    cells : Cells
        The cells of a CTC result.
    tracks : Tracks
        Its table; no track has a gap.

    Returns
    -------
    source, target : (L,) int64
        Rows of cells, sorted by source: from frame to frame within tracks, and from parents to daughters.
    """
    order = np.lexsort((cells.frame, cells.label))
    same = cells.label[order][1:] == cells.label[order][:-1]
    daughter = np.flatnonzero(tracks.parent)
    parent = np.searchsorted(tracks.id, tracks.parent[daughter])
    source = np.concatenate([order[:-1][same], cells.row_of(tracks.end[parent], tracks.id[parent])])
    target = np.concatenate([order[1:][same], cells.row_of(tracks.start[daughter], tracks.id[daughter])])
    by_source = np.lexsort((target, source))
    return source[by_source], target[by_source]


# ---------------------------------------------------------------- writing


class Numbering(NamedTuple):
    """Labels of the written masks: each track is cut into segments without a gap."""

    tracks: Tracks
    """The segments: the table that is written."""
    cell_value: IntArray
    """Label of each cell, shape (N,)."""
    fill_value: IntArray
    """Label of each run of the fills, shape (R,); 0 for masks without a visible pixel."""


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
        Masks drawn for cells that were not detected, on background only; the column ``cell`` holds track ids.
    digits : int, optional
        Digits of the frame number in file names; default: 3, or 4 for more than 999 frames.
    overwrite : bool
        Replace an older result.

    Returns
    -------
    Tracks
        The table as written. Track ids are those of the lineage if they fit into 16 bits, else 1..K in the same
        order. A track with a gap that is not filled is written as two: the second has a new id, the first as its
        parent, and the daughters.

    Raises
    ------
    OutputError
        If the folder exists, cannot be written, or the tracks do not fit the format.
    FormatError
        If lineage, runs and fills are not of the same movie.
    """
    write = prepare_ctc(lineage, runs, fills=fills, digits=digits)
    with fresh_output(Path(out), overwrite=overwrite) as folder:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            return write(folder)
        except OSError as error:
            msg = f"{out}: cannot be written ({error}); check permissions and free space"
            raise OutputError(msg) from error


def prepare_ctc(
    lineage: Lineage, runs: Runs, *, fills: Runs | None = None, digits: int | None = None
) -> Callable[..., Tracks]:
    """Return a function that writes the files of a CTC result to a folder, once everything that may not fit is checked.

    It may run in another thread, since compression leaves the interpreter to others; with ``spare=1`` it leaves a core
    to them, too.

    Parameters
    ----------
    lineage, runs, fills, digits
        As of `write_ctc`.

    Raises
    ------
    OutputError, FormatError
        As of `write_ctc`. The function raises OSError if a file cannot be written.
    """
    _check_arguments(lineage, runs, fills)
    n_frames = lineage.cells.n_frames
    width, units = _choose_digits(n_frames, digits), _describe_units(lineage)
    plan = number_masks(lineage, runs, fills)

    def write(folder: Path, *, spare: int = 0) -> Tracks:
        def write_frame(frame: int) -> None:
            runs_of_frame = _list_mask_runs(frame, runs, fills, plan)
            write_mask(folder / format_name("mask", frame, digits=width), runs.shape, runs_of_frame, units)

        map_frames(write_frame, range(n_frames), spare=spare)
        (folder / "res_track.txt").write_text(format_track_table(plan.tracks), encoding="ascii")
        return plan.tracks

    return write


def _describe_units(lineage: Lineage) -> dict[str, Any]:
    """Return the tags for the size of a voxel and the frame interval, as ImageJ writes them.

    Of cells with masks the format has none: their size is in the summary of the result, and that of their input.
    """
    cells = lineage.cells
    if not cells.points or cells.unit != "um":
        return {}
    slices = cells.shape[0] if cells.ndim == 3 else 1
    lines = ["ImageJ=1.54f", f"images={slices}", *[f"slices={slices}"] * (slices > 1), "unit=um", "loop=false"]
    lines += [f"spacing={float(cells.spacing[0])!r}"] if cells.ndim == 3 else []
    if lineage.provenance.interval is not None:
        lines.append(f"finterval={float(lineage.provenance.interval)!r}")
    x, y = cells.spacing[-1], cells.spacing[-2]
    return {"description": "\n".join([*lines, ""]), "metadata": None, "resolution": (1 / x, 1 / y), "resolutionunit": 1}


def write_mask(
    file: Path,
    shape: tuple[int, ...],
    runs: tuple[IntArray, IntArray, IntArray],
    units: Mapping[str, Any] | None = None,
) -> None:
    """Write the mask of a frame, plane by plane; a large one is also drawn in slabs.

    Parameters
    ----------
    file : path
        A TIFF.
    shape : D ints
        Shape of the frame.
    runs : start, length, label, each (R,) int64
        Later runs are on top.
    units : mapping, optional
        Tags of the TIFF.
    """
    tifffile.imwrite(
        file,
        # tifffile itself needs three times as long
        (compress(page) for _, slab in decode_slabs(shape, *runs) for page in slab.reshape(-1, *shape[-2:])),
        shape=shape,
        dtype=np.uint16,
        photometric="minisblack",
        compression="zlib",
        rowsperstrip=shape[-2],
        maxworkers=1,
        bigtiff=2 * math.prod(shape) > _CLASSIC,
        **(units or {}),
    )


def _check_arguments(lineage: Lineage, runs: Runs, fills: Runs | None) -> None:
    n_frames = lineage.cells.n_frames
    if n_frames == 0:
        msg = "the movie has no frames; expected at least one"
        raise OutputError(msg)
    for name, part in (("runs", runs), ("fills", fills)):
        if part is not None and (len(part.offsets) != n_frames + 1 or part.shape != lineage.cells.shape):
            msg = (
                f"the {name} have {count_noun(len(part.offsets) - 1, 'frame')} of shape {part.shape}, "
                f"the lineage has {n_frames} of shape {lineage.cells.shape}; pass those of the same movie"
            )
            raise FormatError(msg)
    if len(runs) and not np.array_equal(lineage.cells.frame[runs.cell], runs.frames()):
        msg = "the runs are of other cells than the lineage; pass those of the same movie"
        raise FormatError(msg)
    if not np.array_equal(np.unique(runs.cell), np.arange(len(lineage.cells))):
        msg = "a cell of the lineage has no pixels in the runs; pass those of the same movie"
        raise FormatError(msg)
    if fills is not None and not np.isin(fills.cell, lineage.tracks.id).all():
        msg = "the fills name tracks that the lineage does not have; the column 'cell' of fills holds track ids"
        raise FormatError(msg)


def _choose_digits(n_frames: int, digits: int | None) -> int:
    needed = len(str(n_frames - 1))
    if digits is None:
        return count_digits(n_frames)
    if digits < needed:
        msg = (
            f"{count_noun(digits, 'digit')} {choose_form(digits, 'is', 'are')} too few for "
            f"{count_noun(n_frames, 'frame')}; pass digits={max(3, needed)}, or None"
        )
        raise OutputError(msg)
    return digits


def number_masks(lineage: Lineage, runs: Runs, fills: Runs | None = None) -> Numbering:
    """Return the labels of the masks that `write_ctc` writes.

    Parameters
    ----------
    lineage, runs, fills
        As of `write_ctc`.

    Raises
    ------
    OutputError
        If there are more segments than a 16-bit mask can have labels.
    """
    if fills is None:
        none = np.zeros(0, np.int64)
        return number_segments(lineage, (none, none), none)
    return number_segments(lineage, (fills.cell, fills.frames()), _find_visible(runs, fills))


def number_segments(lineage: Lineage, drawn: tuple[IntArray, IntArray], visible: IntArray) -> Numbering:
    """Return the labels of masks.

    Parameters
    ----------
    lineage : Lineage
        The solved movie.
    drawn : (R,) int64, (R,) int64
        Track and frame of masks that are drawn for cells that were not detected; one may be named several times.
    visible : (V,) int64
        Rows of `drawn`: at least one of each mask of which a pixel is visible.

    Raises
    ------
    OutputError
        As of `number_masks`.
    """
    n_frames, tracks = lineage.cells.n_frames, lineage.tracks
    cell_key = np.searchsorted(tracks.id, lineage.track) * n_frames + lineage.cells.frame
    fill_key = np.searchsorted(tracks.id, drawn[0]) * n_frames + drawn[1]
    key = np.unique(np.concatenate([cell_key, fill_key[visible]]))  # a key is a track in a frame
    row, frame = np.divmod(key, n_frames)
    opens = np.ones(len(key), bool)
    opens[1:] = (np.diff(key) > 1) | (np.diff(row) > 0)
    label, parent = _number(tracks, row[opens])
    closes = np.append(opens[1:], np.ones(min(1, len(key)), bool))
    segment = np.cumsum(opens) - 1
    order = np.argsort(label)
    table = Tracks(label[order], frame[opens][order], frame[closes][order], parent[order])

    def find_label(wanted: IntArray) -> IntArray:
        at = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
        return np.where(key[at] == wanted, label[segment[at]], 0) if len(key) else np.zeros(0, np.int64)

    return Numbering(table, find_label(cell_key), find_label(fill_key))


def _find_visible(runs: Runs, fills: Runs) -> IntArray:
    """Return the runs of the fills of which a pixel is visible, not covered by cells or by later fills."""
    rows = [np.zeros(0, np.int64)]
    for t in np.flatnonzero(np.diff(fills.offsets)):
        below, above = fills.frame(int(t)), runs.frame(int(t))
        start = np.concatenate([fills.start[below], runs.start[above]])
        length = np.concatenate([fills.length[below], runs.length[above]])
        n = below.stop - below.start
        owner = np.concatenate([np.arange(1, n + 1), np.zeros(above.stop - above.start, np.int64)])
        drawn = flatten_runs(fills.shape, start, length, owner)[2]
        rows.append(below.start + np.unique(drawn) - 1)
    return np.concatenate(rows)


def _number(tracks: Tracks, row: IntArray) -> tuple[IntArray, IntArray]:
    """Return label and parent of every segment; the first segment of a track keeps the track's id."""
    refuse_many_labels(len(row))
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


def _list_mask_runs(t: int, runs: Runs, fills: Runs | None, plan: Numbering) -> tuple[IntArray, IntArray, IntArray]:
    """Return start, length and label of the runs of a mask; later ones are on top."""
    above = runs.frame(t)
    start, length, value = runs.start[above], runs.length[above], plan.cell_value[runs.cell[above]]
    if fills is not None and fills.offsets[t] != fills.offsets[t + 1]:
        below = fills.frame(t)  # first, so that cells cover them
        start, length = np.append(fills.start[below], start), np.append(fills.length[below], length)
        value = np.append(plan.fill_value[below], value)
    return start, length, value
