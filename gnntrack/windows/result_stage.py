"""The stages ``tracks`` and ``result``: the lineage of the whole movie from those of its windows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.cluster.tasks import task_path
from gnntrack.io.ctc import number_segments
from gnntrack.io.ctc_labels import refuse_many_tracks
from gnntrack.io.ctc_table import format_track_table
from gnntrack.lineage.build import number_tracks
from gnntrack.lineage.families import find_gaps
from gnntrack.lineage.mask_changes import MaskChange, keep_fills
from gnntrack.lineage.merged_fragments import join_fragments
from gnntrack.lineage.repair import RepairedMovie, remove_short, split_tracks
from gnntrack.lineage.short_tracks import drop_debris
from gnntrack.movie import choose_cell_settings, warn_of_cells
from gnntrack.provenance import Provenance
from gnntrack.report.quick import find_full_frame
from gnntrack.result_files import RunRecord, write_tables
from gnntrack.results import Result, make_written_lineage
from gnntrack.types import Cells, Fusions, Lineage, MaskOrigins, Runs
from gnntrack.windows.blocks import CellBlock, join_blocks, load_block, load_notes
from gnntrack.windows.masks_job import list_blocks, read_windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gnntrack.types import BoolArray, IntArray
    from gnntrack.windows.masks_job import MaskTracking

__all__ = ["RESULT", "SUMMARY", "SolvedMovie", "join_windows", "read_decisions", "read_labels", "write_files"]

RESULT, SUMMARY = "files", "summary.json"
"""In the result of the stage ``result``: the folder of files, and what is to become its summary."""
_FEATURES = ("size", "diameter", "border_distance", "box_z", "box_y", "box_x")  # of the cells of the whole movie
_LISTED = {"disconnected": 50, "split": 50, "dropped": 10_000}


class SolvedMovie(NamedTuple):
    """The solution of all windows."""

    cells: Cells
    """All cells, with those that are spurious."""
    lineage: Lineage
    """Without spurious cells and debris."""
    conflicts: int
    """Links out of a window that another window excludes, and that are left out."""


def join_windows(job: MaskTracking, work: Path, out: Path) -> None:
    """Write which cells are debris, and which links are left out at seams."""
    solved, lost = _solve_movie(job, work)
    refuse_many_tracks(solved.lineage, job.settings.repair)
    debris = np.array(solved.lineage.provenance.debris_dropped or (), np.int64).reshape(-1, 2)
    with out.open("wb") as file:
        np.savez(file, debris=debris, lost=lost)


def read_decisions(work: Path) -> tuple[IntArray, IntArray]:
    """Return frame and label of debris, (M, 2), and the links that are left out, (L, 2): window and number in it."""
    with np.load(task_path(work, "tracks", 0), allow_pickle=False) as file:
        return file["debris"], file["lost"]


def _solve_movie(job: MaskTracking, work: Path) -> tuple[SolvedMovie, IntArray]:
    """Return the solution of all windows, and the links that are left out, (L, 2): window and number in it."""
    parts = [
        load_block(task_path(work, "windows", k), features=_FEATURES, runs=False)
        for k in range(len(read_windows(work)))
    ]
    block = join_blocks(parts)
    cells, links = block.cells, np.concatenate([part.tables["links"] for part in parts])
    confidence = np.concatenate([part.tables["confidence"] for part in parts])
    source, target = cells.row_of(*links[:, :2].T), cells.row_of(*links[:, 2:].T)
    percent = block.columns["percent"]
    lost = find_conflicts(source, target, confidence, percent < 0)
    kept = np.setdiff1d(np.arange(len(source)), lost)
    keep = percent < 0
    row = np.cumsum(keep) - 1
    source, target, real = row[source[kept]], row[target[kept]], cells.select(keep)
    order = np.lexsort((target, source))
    source, target, confidence = source[order], target[order], confidence[kept][order]
    track, tracks = number_tracks(real.frame, source, target)
    spurious = np.column_stack([cells.frame, cells.label, percent])[~keep]
    provenance = _describe(job, work, parts, spurious)
    lineage = Lineage(real, track, tracks, source, target, confidence, provenance)
    bridged = find_gaps(lineage)[0]
    if job.settings.repair.debris_size and not job.settings.repair.keep_masks:
        lineage = drop_debris(lineage, job.settings.repair.debris_size)
        bridged = find_gaps(lineage)[0]
    lineage = lineage.with_provenance(gaps_bridged=len(bridged))
    first = np.cumsum([0, *(len(part.tables["links"]) for part in parts)])
    window = np.searchsorted(first, lost, side="right") - 1
    return SolvedMovie(cells, lineage, len(lost)), np.column_stack([window, lost - first[window]])


def find_conflicts(source: IntArray, target: IntArray, confidence: NDArray[Any], keep: BoolArray) -> IntArray:
    """Return the links that are left out: of several into one cell all but the surest one, and those of removed cells.

    Parameters
    ----------
    source, target : (L,) int64
        Rows of the cells, -1 = the cell is in no window.
    confidence : (L,) float32
        Of the links.
    keep : (N,) bool
        Whether each cell is kept.

    Examples
    --------
    >>> keep = np.array([True, True, True, False])
    >>> find_conflicts(np.array([0, 1, 2]), np.array([2, 2, 3]), np.array([0.5, 0.9, 0.9]), keep).tolist()
    [0, 2]
    """
    missing = (source < 0) | (target < 0)
    missing[~missing] = ~(keep[source[~missing]] & keep[target[~missing]])
    order = np.lexsort((source, -confidence, target))
    again = np.zeros(len(source), bool)
    again[order[1:]] = np.diff(target[order]) == 0
    return np.flatnonzero(missing | again)


def _describe(job: MaskTracking, work: Path, parts: list[CellBlock], spurious: IntArray) -> Provenance:
    """Return the provenance of the solution."""
    notes = dict(parts[0].notes)
    gaps = [part.notes["gap"] for part in parts]
    notes.pop("gap")
    cut = np.concatenate([part.tables["cut"] for part in parts])
    known: dict[str, Any] = {
        "masks": combine_notes([load_notes(task_path(work, "measure", k)) for k in range(len(list_blocks(job)))]),
        "cell_settings": choose_cell_settings(job.settings).to_dict(),
        "interval": job.movie.interval,
        "masks_cut": tuple(map(tuple, cut.tolist())) or None,
        "spurious_dropped": tuple(map(tuple, spurious.tolist())) or None,
        "optimality_gap": None if None in gaps else max(gaps),
    }
    return Provenance(**notes | known)


def combine_notes(notes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the report of `gnntrack.measure.measure_cells` on a movie from those on its parts."""
    combined = {name: sum(part[name] for part in notes) for name in ("cells", "pixels_not_finite")}
    for kind, most in _LISTED.items():
        if kind == "disconnected" and notes[0]["fragments"] == "largest":
            most = _LISTED["dropped"]
        listed = [row for part in notes for row in part[kind]["listed"]]
        combined[kind] = {"count": sum(part[kind]["count"] for part in notes), "listed": listed[:most]}
    return {"cells": combined.pop("cells"), "fragments": notes[0]["fragments"], **combined}


def write_files(job: MaskTracking, work: Path, out: Path) -> None:
    """Write the files of the result, without the masks and ``summary.json``, and the label of each cell."""
    run = RunRecord(job.images, job.masks, job.settings)
    solved, _ = _solve_movie(job, work)
    warn_of_cells(job.movie, solved.lineage.cells, solved.lineage.provenance.masks)
    parts = [load_block(task_path(work, "repair", k), runs=False) for k in range(len(read_windows(work)))]
    repaired = _repair_movie(job, solved, parts)
    result, labels = _build_result(repaired, parts)
    run.names, run.segmenter, run.channel = job.movie.names, job.movie.segmenter, job.movie.channel
    run.segmenter_options = job.options.get("segmenter_options") or {}
    run.windows = {"count": len(parts), "conflicts_at_seams": solved.conflicts}
    out.mkdir()
    bounds = np.cumsum([len(part.cells) for part in parts])[:-1]
    for k, part in enumerate(np.split(labels, bounds)):
        np.save(_name_labels(out, k), part)
    (out / RESULT).mkdir()
    (out / RESULT / "res_track.txt").write_text(format_track_table(result.lineage.tracks), encoding="ascii")
    result = replace(result, runs=_load_runs(work, out, result))
    summary = write_tables(out / RESULT, result, repaired, job.movie.images, run)
    (out / SUMMARY).write_text(json.dumps(summary), encoding="utf-8")


def read_labels(work: Path, index: int) -> IntArray:
    """Return the label of each cell of a window in the written masks, 0 if it is removed."""
    labels: IntArray = np.load(_name_labels(task_path(work, "result", 0), index), allow_pickle=False)
    return labels


def _name_labels(folder: Path, index: int) -> Path:
    return folder / f"labels{index}.npy"


def _load_runs(work: Path, out: Path, result: Result) -> Runs:
    """Return the pixels of the written cells of the frame that is drawn; the other frames have none."""
    cells, frame = result.lineage.cells, find_full_frame(result.lineage.cells) if len(result.lineage.cells) else 0
    cores = [window.core for window in read_windows(work)]
    k = next(k for k, core in enumerate(cores) if core.start <= frame < core.stop)
    part = load_block(task_path(work, "repair", k), features=())
    label = np.load(_name_labels(out, k), allow_pickle=False)[part.cells.frame == frame - part.first]
    row = cells.row_of(frame, label)
    runs = part.select(slice(frame, frame + 1)).count_from(0, cells.n_frames).runs
    return runs.select(row[runs.cell] >= 0, row[runs.cell])


def _repair_movie(job: MaskTracking, solved: SolvedMovie, parts: list[CellBlock]) -> RepairedMovie:
    """Return the lineage of the movie after the repairs that were decided in its windows; without pixels."""
    lineage, cells = solved.lineage, solved.lineage.cells
    joined = np.concatenate([part.tables["joined"] for part in parts])
    if len(joined):
        fragment, owner = (cells.row_of(joined[:, 0], joined[:, k]) for k in (1, 2))
        lineage = join_fragments(lineage, fragment, owner)[0]
    filled = np.concatenate([part.tables["filled"] for part in parts])
    before = lineage.cells.row_of(*filled[:, 1:].T)
    masks = np.column_stack([lineage.track[before], filled[:, 0]])
    split = np.concatenate([part.tables["split"] for part in parts])
    changes = [_read_change(change) for part in parts for change in part.notes["changes"]]
    whole = split_tracks(lineage, masks)
    none = np.zeros(0, np.int64)
    empty = Runs(none, none, none, np.zeros(cells.n_frames + 1, np.int64), cells.shape)
    repaired = RepairedMovie(whole, empty, empty, masks, split, tuple(changes), solved.cells)
    found: dict[str, Any] = {"pieces_joined": tuple(map(tuple, joined.tolist()))}
    if job.settings.repair.min_track_length > 1:
        repaired, removed = remove_short(repaired, job.settings.repair.min_track_length)
        kept = keep_fills(changes, repaired.lineage, repaired.filled_masks)
        repaired = replace(repaired, changes=(*kept, *removed))
        found["short_removed"] = tuple((change.frame, change.input_label) for change in removed)
    found |= {"gaps_filled": len(repaired.filled_masks), "masks_split": len(split)}
    lineage = repaired.lineage.with_provenance(**found)
    return replace(repaired, lineage=_add_fusions(lineage, np.concatenate([part.tables["fusions"] for part in parts])))


def _add_fusions(lineage: Lineage, fusions: IntArray) -> Lineage:
    """Return a lineage with the fusions of its windows that it has: frame and label of both cells, (F, 4)."""
    source, target = (lineage.cells.row_of(*fusions[:, columns].T) for columns in ((0, 1), (2, 3)))
    known = Fusions(*(each[(source >= 0) & (target >= 0)] for each in (source, target)))
    valid = known.find_valid(lineage)
    return lineage.with_fusions(Fusions(known.source[valid], known.target[valid]))


def _read_change(values: list[Any]) -> MaskChange:
    kind, frame, label, owner, position, pixels, reason = values
    return MaskChange(kind, frame, label, (owner[0], owner[1]), tuple(position), pixels, reason)


def _build_result(repaired: RepairedMovie, parts: list[CellBlock]) -> tuple[Result, IntArray]:
    """Return the written cells, and the label of each cell of the windows, 0 if it is removed."""
    old, block = repaired.lineage, join_blocks(parts)
    cells, named = block.cells, block.columns["origin"]  # frame and label of the cell, or of the one before its gap
    row = old.cells.row_of(*named.T)
    drawn = named[:, 0] != cells.frame
    track = np.where(row >= 0, old.track[row], 0)
    fills = np.flatnonzero(drawn & (row >= 0))
    numbering = number_segments(old, (track[fills], cells.frame[fills]), np.arange(len(fills)))
    label = np.where(row >= 0, numbering.cell_value[row], 0)
    label[fills] = numbering.fill_value
    kept = np.flatnonzero(label)
    order = kept[np.lexsort((label[kept], cells.frame[kept]))]
    taken = {name: getattr(cells, name)[order] for name in ("frame", "position", "features")}
    written = replace(cells, **taken, label=label[order])
    place = np.full(len(cells), -1)
    place[order] = np.arange(len(order))
    own = np.flatnonzero(~drawn & (label > 0))
    new_row = np.full(len(old.cells), -1)
    new_row[row[own]] = place[own]
    origins = MaskOrigins(
        np.where(drawn, 0, named[:, 1])[order].astype(np.int64), block.columns["kind"][order].astype(np.int64)
    )
    lineage = make_written_lineage(old, written, numbering.tracks, new_row, origins)
    result = Result(lineage, repaired.runs, origins.input_label, origins.kind, numbering.cell_value)
    return result, label
