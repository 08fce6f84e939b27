"""The recipes of tracking for points without masks: `build_graph` and `track` with ``points=``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gnntrack.graph.point_links import build_point_links
from gnntrack.io.output import refuse_source, try_output
from gnntrack.io.points import read_points
from gnntrack.lineage.point_tracks import refuse_for_points
from gnntrack.methods import resolve_method, score_graph
from gnntrack.movie_candidates import choose_lineage
from gnntrack.point_movie import Detection, PointMovie, choose_point_settings, open_points
from gnntrack.point_results import find_file_format, write_point_result
from gnntrack.stage_times import time_stage
from gnntrack.windows.points import are_many, track_points_in_windows

if TYPE_CHECKING:
    from pathlib import Path

    from gnntrack.result_files import RunRecord
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, FrameStack, Lineage, Progress

__all__ = ["build_point_graph", "choose_point_settings", "track_and_write", "track_points"]


def build_point_graph(points: object, *, settings: Settings, progress: Progress | None = None) -> CellGraph:
    """Return the candidate links between points; see `gnntrack.build_graph`.

    Parameters
    ----------
    points : path, pandas.DataFrame, array (N, 1 + D) or PointMovie
        Points, or points that were opened with their images by `gnntrack.point_movie.open_points`.
    settings, progress
        As in `gnntrack.build_graph`.

    Examples
    --------
    >>> import numpy as np
    >>> from gnntrack.settings import Settings
    >>> points = np.array([[0, 5, 5], [0, 5, 99], [1, 6, 5], [1, 6, 99]])
    >>> graph = build_point_graph(points, settings=Settings())
    >>> len(graph.cells), graph.feature_names[:2], graph.has("iou")
    (4, ('gap', 'distance'), False)
    """
    settings = choose_point_settings(settings)
    movie = points if isinstance(points, PointMovie) else open_points(points, settings=settings)
    graph = build_point_links(movie.cells, motion=settings.motion, settings=settings.graph, progress=progress)
    return replace(graph, provenance=graph.provenance.replace(interval=movie.interval))


def track_points(
    points: object, *, method: str, solver: str | None, settings: Settings, progress: Progress | None = None
) -> Lineage:
    """Return the lineage of points; see `gnntrack.track`; `points` as of `build_point_graph`.

    Examples
    --------
    >>> import numpy as np
    >>> from gnntrack.settings import Settings
    >>> points = np.array([[0, 5, 5], [0, 5, 25], [1, 6, 5], [1, 6, 25]])
    >>> track_points(points, method="hungarian", solver=None, settings=Settings()).track.tolist()
    [1, 2, 1, 2]
    """
    plan = resolve_method(method, solver)
    scorer = plan.make_scorer(settings, images=False)
    movie = points if isinstance(points, PointMovie) else open_points(points, settings=settings)
    with time_stage("graph"):
        graph = build_point_graph(movie, settings=settings, progress=progress)
    with time_stage("scores"):
        scores = score_graph(scorer, graph, progress=progress)
    choice: dict[str, Any] = {"plan": (method, plan.solver), "settings": choose_point_settings(settings)}
    with time_stage("solving"):
        moments = movie.measure_shapes(progress=progress) if settings.solver.divisions else None
        return choose_lineage(graph, scores, scorer, **choice, progress=progress, moments=moments)


def track_and_write(
    run: RunRecord,
    out: str | Path | None,
    reading: dict[str, Any],
    *,
    plan: dict[str, Any],
    overwrite: bool,
    progress: Progress | None,
) -> Lineage:
    """Track the points of a run, and write the result; what cannot work is refused before points are looked for.

    Parameters
    ----------
    run : RunRecord
        Its points may be a `gnntrack.point_movie.Detection`.
    out : path, optional
        Folder or file of the result.
    reading : dict
        ``points_unit`` and ``radius``, as of `gnntrack.point_movie.open_points`.
    plan : dict
        ``method`` and ``solver``.
    overwrite, progress
        As in `gnntrack.track`.
    """
    refuse_for_points(run.settings)
    if out is not None:
        find_file_format(out)
        for source in (run.images, run.points):
            refuse_source(out, source)
        try_output(out, overwrite=overwrite)  # before the long work
    resolve_method(plan["method"], plan["solver"])
    lineage, images = _track(run, reading, plan=plan, progress=progress)
    if isinstance(run.points, Detection):
        run.points = str(run.points)  # as it is recorded
    if out is not None:
        write_point_result(out, lineage, images=images, run=run, overwrite=overwrite)
    return lineage


def _track(
    run: RunRecord, reading: dict[str, Any], *, plan: dict[str, Any], progress: Progress | None
) -> tuple[Lineage, FrameStack | None]:
    """Return the lineage of the points of a run, which are tracked in windows if they are many, and the images."""
    settings, points = run.settings, run.points
    if run.images is None and not isinstance(points, Detection):
        options: dict[str, Any] = {"unit": reading.get("points_unit"), "radius": reading.get("radius")}
        with time_stage("reading"):
            found = [read_points(points, settings=settings.frames, **options)]
        if are_many(found[0]):
            return track_points_in_windows(found, settings=settings, progress=progress, **plan), None
        points = found[0]
    with time_stage("reading"):
        movie = open_points(points, images=run.images, settings=settings, progress=progress, **reading)
    return track_points(movie, **plan, settings=settings, progress=progress), movie.images
