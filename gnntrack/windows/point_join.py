"""One lineage of points from the results of the windows of their movie."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.cluster import task_path
from gnntrack.lineage.build import number_tracks
from gnntrack.lineage.point_tracks import MARK, finish_points
from gnntrack.methods import resolve_method
from gnntrack.plurals import count_noun
from gnntrack.provenance import Provenance
from gnntrack.types import Cells, Lineage
from gnntrack.windows.point_job import SolvedWindow

if TYPE_CHECKING:
    from pathlib import Path

    from gnntrack.types import BoolArray, FloatArray, IntArray
    from gnntrack.windows.point_job import PointJob
    from gnntrack.windows.point_store import PointStore

__all__ = ["join_windows"]

_log = logging.getLogger(__name__)


def join_windows(job: PointJob, work: Path) -> Lineage:
    """Return the lineage of a movie whose windows are tracked.

    Where the windows on both sides of a seam link a cell to different cells before it, the link of the higher
    confidence is kept. The number of such cells is in the provenance under ``windows``.

    Parameters
    ----------
    job : PointJob
        The job.
    work : Path
        Its work folder, in which all tasks are finished.
    """
    windows = [SolvedWindow(task_path(work, "windows", k)) for k in range(job.count_tasks("windows", work))]
    lineage = finish_points(_link_windows(job, work, windows), settings=job.settings.points)
    solver = resolve_method(job.method, job.solver).solver
    return lineage.with_provenance(method=job.method, solver=solver, **windows[0].about["decision"])


def _link_windows(job: PointJob, work: Path, windows: list[SolvedWindow]) -> Lineage:
    """Return the lineage of all windows as they were solved."""
    store = job.open_store(work)
    source, target, confidence = (
        np.concatenate([each.read(name) for each in windows]) for name in ("source", "target", "confidence")
    )
    keep = _resolve_seams(source, target, confidence)
    conflicts = int((~keep).sum())
    if conflicts:
        _log.info("%s in two windows were linked differently", count_noun(conflicts, "cell"))
        source, target, confidence = source[keep], target[keep], confidence[keep]
    cells = _collect_cells(store, windows, more=(MARK,) if job.settings.points.interpolate else ())
    track, tracks = number_tracks(cells.frame, source, target)
    provenance = _collect_provenance(windows).replace(
        stack=job.read_stack(work).as_dict(),
        other={"windows": {"count": len(windows), "halo": job.halo, "conflicts_at_seams": conflicts}},
    )
    return Lineage(cells, track, tracks, source, target, confidence, provenance)


def _resolve_seams(source: IntArray, target: IntArray, confidence: FloatArray) -> BoolArray:
    """Return which links are kept, (L,): of several into one cell the one of the highest confidence."""
    keep = np.ones(len(target), bool)
    order = np.argsort(target, kind="stable")
    same = target[order[1:]] == target[order[:-1]]
    if same.any():
        order = np.lexsort((-source, -confidence, target))
        keep[order[1:][target[order[1:]] == target[order[:-1]]]] = False
    return keep


def _collect_cells(store: PointStore, windows: list[SolvedWindow], *, more: tuple[str, ...]) -> Cells:
    """Return all points with the features from the windows, and with more features that are 0."""
    about = windows[0].about
    points = store.read(slice(0, len(store.counts)))
    names, units = (*about["names"], *more), (*about["units"], *("" for _ in more))
    features = np.zeros((len(points.frame), len(names)), np.float32, order="F")
    row = 0
    for window in windows:
        part = window.read("features")
        features[row : row + len(part), : part.shape[1]] = part
        row += len(part)
    kind: dict[str, Any] = {"points": True, "ids": points.ids}
    return Cells(
        points.frame,
        np.zeros(0, np.int64) if points.label is None else points.label,
        points.position,
        features,
        names,
        units,
        points.spacing,
        points.n_frames or 0,
        points.shape or (),
        points.unit,
        **kind,
    )


def _collect_provenance(windows: list[SolvedWindow]) -> Provenance:
    """Return the provenance of the first window, with the largest gap to the best solution of all."""
    every = [Provenance.from_dict(each.about["provenance"]) for each in windows]
    gaps = [each.optimality_gap for each in every if each.optimality_gap is not None]
    late = any(each.time_limit_reached for each in every) or None
    gap = max(gaps) if len(gaps) == len(every) else None
    return every[0].replace(optimality_gap=gap, time_limit_reached=late)
