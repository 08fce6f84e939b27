"""The stages ``scales`` and ``windows``: candidate links of some frames, and the choice among them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.cluster.tasks import task_path
from gnntrack.methods import resolve_method
from gnntrack.movie import MeasuredMovie, link_cells
from gnntrack.movie_candidates import MovieCandidates, choose_lineage, find_spurious
from gnntrack.movie_scales import MovieScales, use_scales
from gnntrack.windows.blocks import CellBlock, save_block
from gnntrack.windows.masks_job import (
    count_cells,
    cut_movie,
    list_blocks,
    load_frames,
    read_scales,
    read_windows,
    stack_keys,
)
from gnntrack.windows.measure_stage import FLOW, KnownFlow
from gnntrack.windows.sample_scales import combine_scales

if TYPE_CHECKING:
    from gnntrack.types import CellGraph, Lineage, Runs
    from gnntrack.windows.masks_job import MaskTracking

__all__ = ["combine_sample", "estimate_scales", "track_window"]

_OF_MOVIE = (
    *("gate", "gate_radii", "flow", "flow_by_images", "cell_settings", "interval", "method", "solver"),
    *("scored_by", "scoring_reason"),
)  # fields of the provenance that all windows have in common


class _SolvedWindow(NamedTuple):
    graph: CellGraph
    runs: Runs
    lineage: Lineage


def estimate_scales(job: MaskTracking, index: int, work: Path, out: Path) -> None:
    """Write the scales of a block of the sample."""
    with use_scales(MovieScales()) as recorded:
        _solve(job, work, job.choose_sample(count_cells(job, work))[index])
    out.write_text(json.dumps(recorded.values), encoding="utf-8")


def combine_sample(job: MaskTracking, work: Path, out: Path) -> None:
    """Write the scales of the movie, and its windows."""
    count = count_cells(job, work)
    sample = job.choose_sample(count)
    scales = [json.loads(task_path(work, "sample", k).read_bytes()) for k in range(len(sample))]
    combined = combine_scales(scales, [int(count[frames].sum()) for frames in sample])
    plan = [[[part.start, part.stop] for part in window] for window in job.plan(count)]
    out.write_text(json.dumps({"scales": combined, "windows": plan}), encoding="utf-8")


def track_window(job: MaskTracking, index: int, work: Path, out: Path) -> None:
    """Write the cells of the core of a window, and the links out of them."""
    core, span = read_windows(work)[index]
    with use_scales(MovieScales(read_scales(work))):
        graph, runs, lineage = _solve(job, work, span)
    spurious = np.array(lineage.provenance.spurious_dropped or (), np.int64).reshape(-1, 3)
    percent = np.full(len(graph.cells), -1)
    percent[graph.cells.row_of(*spurious[:, :2].T)] = spurious[:, 2]
    cells, first = lineage.cells, span.start
    inside = (cells.frame[lineage.source] >= core.start - first) & (cells.frame[lineage.source] < core.stop - first)
    ends = [stack_keys(cells, each[inside]) + np.array([first, 0]) for each in (lineage.source, lineage.target)]
    cut = np.array(lineage.provenance.masks_cut or (), np.int64).reshape(-1, 3) + np.array([first, 0, 0])
    cut = cut[(cut[:, 0] >= core.start) & (cut[:, 0] < core.stop)]
    known = lineage.provenance
    notes = {name: getattr(known, name) for name in _OF_MOVIE}
    notes["cell_settings"] = dict(known.cell_settings)
    notes["gap"] = known.optimality_gap
    tables = {"links": np.hstack(ends), "confidence": lineage.confidence[inside], "cut": cut}
    save_block(out, CellBlock(first, graph.cells, runs, {"percent": percent}, tables, notes).select(core))


def _solve(job: MaskTracking, work: Path, frames: slice) -> _SolvedWindow:
    """Choose the links of some frames, which are numbered from 0."""
    block = load_frames(work, "measure", list_blocks(job), frames)
    movie, settings = cut_movie(job.movie, frames), job.without_debris
    plan = resolve_method(job.method, job.solver, goal=settings.solver.goal)
    scorer = plan.make_scorer(settings, images=movie.images is not None)
    flow = KnownFlow(block.columns[FLOW]) if FLOW in block.columns else None
    notes = {"disconnected": {"count": 0}}
    graph, runs = link_cells(MeasuredMovie(block.cells, block.runs, notes, flow), movie, settings)
    scores = MovieCandidates(movie, graph, runs, scorer, job.method, plan.solver, settings).score()
    fixed = find_spurious(graph, scores, scorer, settings=settings)
    names: dict[str, Any] = {"plan": (job.method, plan.solver), "settings": settings}
    return _SolvedWindow(graph, runs, choose_lineage(graph, scores, scorer, **names, fixed=fixed))
