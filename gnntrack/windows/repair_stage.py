"""The stages ``repair`` and ``masks``: the masks of the core of a window are repaired, and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.cluster.tasks import task_path
from gnntrack.io.ctc import write_mask
from gnntrack.io.ctc_names import choose_digits, format_name
from gnntrack.lineage.build import number_tracks
from gnntrack.lineage.fusions import find_fusions
from gnntrack.lineage.repair import repair_movie
from gnntrack.movie import choose_cell_settings
from gnntrack.provenance import Provenance
from gnntrack.results import build_result
from gnntrack.types import Lineage
from gnntrack.windows.blocks import CellBlock, load_block, save_block
from gnntrack.windows.masks_job import load_frames, read_windows, stack_keys
from gnntrack.windows.result_stage import read_decisions, read_labels

if TYPE_CHECKING:
    from gnntrack.lineage.repair import RepairedMovie
    from gnntrack.results import Result
    from gnntrack.types import IntArray
    from gnntrack.windows.masks_job import MaskTracking

__all__ = ["repair_window", "write_masks"]


def repair_window(job: MaskTracking, index: int, work: Path, out: Path) -> None:
    """Write the cells of the masks in the core of a window, as they will be written, and what was changed.

    The columns of the cells are ``origin``, frame and label of the cell of the windows, or of the one before the gap
    that a mask was drawn in, and ``kind``.
    """
    core, span = read_windows(work)[index]
    block, lineage = _load_lineage(job, work, span)
    settings = job.settings.repair.replace(min_track_length=1)
    repaired = repair_movie(lineage, block.runs, settings=settings, images=job.movie.images)
    fusions = find_fusions(repaired.lineage, repaired.runs)
    result = build_result(repaired, job.movie.images, job.movie.channels)
    tables = {
        "joined": np.array(repaired.lineage.provenance.pieces_joined or (), np.int64).reshape(-1, 3),
        "filled": _list_filled(repaired),
        "split": repaired.split_masks,
        "fusions": np.hstack([stack_keys(repaired.lineage.cells, each) for each in (fusions.source, fusions.target)]),
    }
    tables = {name: table[(table[:, 0] >= core.start) & (table[:, 0] < core.stop)] for name, table in tables.items()}
    changes = [list(change) for change in repaired.changes if core.start <= change.frame < core.stop]
    columns = {"origin": _find_origins(repaired, result), "kind": result.mask_kind}
    cells = result.lineage.cells
    save_block(out, CellBlock(0, cells, result.runs, columns, tables, {"changes": changes}).select(core))


def _load_lineage(job: MaskTracking, work: Path, span: slice) -> tuple[CellBlock, Lineage]:
    """Return the cells of some frames, with the frames of the movie, and their lineage; spurious cells are left out."""
    windows = read_windows(work)
    debris, lost = read_decisions(work)
    block = load_frames(work, "windows", [window.core for window in windows], span).count_from(0, job.n_frames)
    links, confidence, cut = _load_links(work, span, lost)
    keep = block.columns["percent"] < 0
    rows = block.cells.row_of(*debris.T)
    keep[rows[rows >= 0]] = False
    row = np.where(keep, np.cumsum(keep) - 1, -1)
    cells = block.cells.select(keep)
    runs = block.runs.select(keep[block.runs.cell], row[block.runs.cell])
    source, target = (cells.row_of(*links[:, columns].T) for columns in ((0, 1), (2, 3)))
    known = (source >= 0) & (target >= 0)
    source, target, confidence = source[known], target[known], confidence[known]
    order = np.lexsort((target, source))
    source, target = source[order], target[order]
    track, tracks = number_tracks(cells.frame, source, target)
    provenance = Provenance(
        cell_settings=choose_cell_settings(job.settings).to_dict(), masks_cut=tuple(map(tuple, cut.tolist())) or None
    )
    block = CellBlock(0, cells, runs)
    return block, Lineage(cells, track, tracks, source, target, confidence[order], provenance)


def _load_links(work: Path, span: slice, lost: IntArray) -> tuple[IntArray, Any, IntArray]:
    """Return the links out of some frames with their confidences, and the cells that were cut off masks."""
    links, confidence, cut = [], [], []
    for k, window in enumerate(read_windows(work)):
        if window.core.start < span.stop and span.start < window.core.stop:
            part = load_block(task_path(work, "windows", k), features=(), runs=False)
            kept = np.setdiff1d(np.arange(len(part.tables["links"])), lost[lost[:, 0] == k, 1])
            links.append(part.tables["links"][kept])
            confidence.append(part.tables["confidence"][kept])
            cut.append(part.tables["cut"])
    joined, pieces = np.concatenate(links).astype(np.int64), np.concatenate(cut).astype(np.int64)
    inside = (joined[:, 0] >= span.start) & (joined[:, 2] < span.stop)
    return joined[inside], np.concatenate(confidence)[inside], pieces


def _list_filled(repaired: RepairedMovie) -> IntArray:
    """Return the frame of each mask that was drawn, and frame and label of the cell before its gap, (G, 3)."""
    filled = [(change.frame, *change.owner) for change in repaired.changes if change.kind == "filled"]
    return np.array(filled, np.int64).reshape(-1, 3)


def _find_origins(repaired: RepairedMovie, result: Result) -> IntArray:
    """Return frame and label of the cell that each written cell is, or that is before its gap, (N, 2)."""
    cells, old = result.lineage.cells, repaired.lineage
    origin = np.full((len(cells), 2), -1)
    rows = cells.row_of(old.cells.frame, result.written_label)
    origin[rows] = stack_keys(old.cells, np.arange(len(old.cells)))
    frame, *before = _list_filled(repaired).T
    drawn = cells.row_of(frame, result.written_label[old.cells.row_of(*before)])
    visible = drawn >= 0
    origin[drawn[visible]] = np.column_stack(before)[visible]
    return origin


def write_masks(job: MaskTracking, index: int, work: Path, out: Path) -> None:
    """Write the masks in the core of a window into a folder."""
    block = load_block(task_path(work, "repair", index), features=())
    label, runs = read_labels(work, index), block.runs
    digits = choose_digits(job.movie.names, job.n_frames)
    out.mkdir()
    for frame in range(block.cells.n_frames):
        here = runs.frame(frame)
        drawn = runs.start[here], runs.length[here], label[runs.cell[here]]
        write_mask(out / format_name("mask", block.first + frame, digits=digits), runs.shape, drawn)
