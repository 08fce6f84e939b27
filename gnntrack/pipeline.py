"""The recipes of tracking: each joins the stages for one job.

``track`` is ``build_graph``, ``solve`` and ``export`` in one, with each mask and each image decoded once. Images and
masks, in this order, are anything that ``gnntrack.io.open_frames`` reads: a path, an array, or an open stack. A
*method* is a scorer with its usual solver. Other recipes: `gnntrack.training`, `gnntrack.inspection` and
`gnntrack.morphometry`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.errors import InputError
from gnntrack.io.ctc_labels import refuse_many_cells
from gnntrack.io.output import refuse_source, try_output
from gnntrack.io.writers import WRITERS, CellMasks, uses_masks
from gnntrack.lineage.field_of_interest import check_margin
from gnntrack.lineage.point_tracks import refuse_for_masks, refuse_for_points
from gnntrack.lineage.repair import repair_movie
from gnntrack.mask_repairs import collect_repairs
from gnntrack.methods import METHODS, resolve_method, score_graph
from gnntrack.movie import build_with_runs, match_runs, open_masks_of, open_movie
from gnntrack.movie_candidates import choose_lineage, find_candidates, find_spurious, open_run, solve_movie
from gnntrack.movie_recipes import segment, simulate
from gnntrack.options import accept_options
from gnntrack.plurals import count_noun
from gnntrack.point_movie import (
    DETECTOR_OPTIONS,
    POINT_OPTIONS,
    open_points,
    plan_detection,
    refuse_masks,
)
from gnntrack.point_recipes import build_point_graph, track_and_write
from gnntrack.point_results import draw_points
from gnntrack.result_files import RunRecord, write_result
from gnntrack.settings import Settings
from gnntrack.stage_times import record_stages
from gnntrack.types import CellGraph, Lineage
from gnntrack.user_warnings import record_warnings
from gnntrack.views import find_masks
from gnntrack.windows.tracking import is_large, track_large

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.evaluate.graphs import Source

__all__ = ["METHODS", "build_graph", "evaluate", "export", "segment", "simulate", "solve", "track"]

_log = logging.getLogger(__name__)
TRACKING = ("frames", "cells", "motion", "graph", "scores", "gnn", "solver", "repair", "points", "output")
"""Sections of the settings that `track` takes as keywords."""
SOURCES = (*POINT_OPTIONS, *DETECTOR_OPTIONS, "segmenter", "segmenter_options")


@accept_options("frames", "cells", "motion", "graph", other=SOURCES)
def build_graph(
    images: object = None,
    masks: object = None,
    *,
    settings: Settings | None = None,
    progress: Any = None,
    **options: Any,
) -> CellGraph:
    """Find the candidate links between the cells of masks, or between points.

    Parameters
    ----------
    images : path, array (T, [Z], Y, X) or FrameStack, optional
        Images of the microscope; they add intensities and optical flow.
    masks : path, array (T, [Z], Y, X) or FrameStack, optional
        Label images, 0 = background. If None, each image is segmented when its mask is read.
    settings : Settings, optional
        Default ``Settings()``.
    progress : Progress or bool, optional
        True shows progress bars; a function is called after each frame, and after other steps.
    **options
        Single settings by their names, such as ``max_gap=3``, ``max_distance=20`` or ``spacing=0.5``;
        ``segmenter``, ``segmenter_options`` for images without masks, see `gnntrack.movie.Opening`; and ``points`` in
        place of masks: a path, a data frame, or an array (N, 1 + D) with the columns t, [z], y, x, with ``radius`` and
        ``points_unit``, see `gnntrack.point_movie.open_points`; or ``detector`` and ``detector_options``, which finds
        points in the images, see `gnntrack.detect`.

    Returns
    -------
    CellGraph
        Its provenance holds the estimates and the settings by which the masks were read.

    Raises
    ------
    InputError
        If the movie cannot be read, the masks are not label images, or an option is unknown (`OptionError`).

    Examples
    --------
    >>> movie = simulate(frames=6, cells=6, shape=(100, 100), seed=1)
    >>> graph = build_graph(movie.images, movie.masks)
    >>> len(graph.cells), len(graph), graph.feature_names[:3]
    (52, 159, ('gap', 'distance', 'distance_radii'))
    """
    settings = settings or Settings()
    points, reading = take_points(masks, options)
    if points is not None:
        refuse_for_points(settings)
        movie = open_points(points, images=images, settings=settings, progress=progress, **reading)
        return build_point_graph(movie, settings=settings, progress=progress)
    return build_with_runs(open_movie(images, masks, settings=settings, **options), settings, progress)[0]


@accept_options("scores", "gnn", "solver", "points")
def solve(
    graph: CellGraph,
    *,
    method: str = "hungarian",
    solver: str | None = None,
    settings: Settings | None = None,
    progress: Any = None,
    **options: Any,  # noqa: ARG001  (they are in the settings)
) -> Lineage:
    """Score the candidate links and choose among them.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    method : str
        Scorer with its solver: ``"iou"``, ``"greedy"``, ``"hungarian"``, ``"gnn"``, ``"auto"`` (the scores of ``gnn``
        on movies of masks that the network suits, else those of ``hungarian``), or a scorer of another package.
    solver : str, optional
        Name of a solver; by default that of the method.
    settings, progress, **options
        As in `build_graph`, such as ``divisions=False``, or ``device="cpu"`` and ``model`` for ``gnn``.

    Returns
    -------
    Lineage
        Every cell is in a track, but for debris (``repair.debris_size``) and spurious cells (``repair.drop_spurious``).
        Masks missing in gaps are not drawn yet: ``export`` does that.

    Raises
    ------
    InputError
        If the method, solver or device is unknown, the graph lacks a feature that is scored (`FormatError`), or the
        network of ``gnn`` is missing or needs images (`ModelError`; ``auto`` does without images).

    Examples
    --------
    >>> movie = simulate(frames=6, cells=6, shape=(100, 100), seed=1)
    >>> lineage = solve(build_graph(masks=movie.masks), method="greedy")
    >>> len(lineage.cells), len(lineage), lineage.provenance.solver
    (52, 10, 'greedy')
    """
    _expect_kind(graph, CellGraph, "build_graph()")
    settings = settings or Settings()
    if not graph.cells.points:
        refuse_for_masks(settings.points)
    plan = resolve_method(method, solver, goal=settings.solver.goal)
    scorer = plan.make_scorer(settings, images=False)
    scores = score_graph(scorer, graph, progress=progress)
    choice: dict[str, Any] = {"plan": (method, plan.solver), "settings": settings}
    fixed = find_spurious(graph, scores, scorer, settings=settings)
    return choose_lineage(graph, scores, scorer, **choice, progress=progress, fixed=fixed)


def _expect_kind(value: object, kind: type, source: str) -> None:
    if not isinstance(value, kind):
        msg = f"{type(value).__name__} in place of a {kind.__name__}; give the result of {source}"
        raise InputError(msg)


@accept_options(*TRACKING, other=SOURCES)
def track(
    images: object = None,
    masks: object = None,
    *,
    out: str | Path | None = None,
    method: str = "hungarian",
    solver: str | None = None,
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **options: Any,
) -> Lineage:
    """Track the cells of a movie, and write the result in the format of the Cell Tracking Challenge (CTC).

    Parameters
    ----------
    images, masks, settings, progress
        As in `build_graph`: ``track(images, masks)``, ``track(masks=masks)``, ``track(images)`` or
        ``track(points=points)``, which may have images too.
    out : path, optional
        Folder of the result; if None, nothing is written. For points, ``.geff``, ``.csv`` and ``.xml`` are files.
    method, solver
        As in `solve`.
    overwrite : bool
        Replace `out` if it exists.
    **options
        As in `build_graph` and `solve`, such as ``max_gap=3`` or ``divisions=False``.

    Returns
    -------
    Lineage
        As it is written: a gap whose masks could not be drawn splits its track into two, parent and daughter. It
        holds its masks: see `gnntrack.Lineage.labels`.

    Raises
    ------
    InputError
        If the movie cannot be read; otherwise as `solve`.
    OutputError
        If `out` exists, cannot be written, or has more than 65535 tracks.

    Examples
    --------
    >>> movie = simulate(frames=6, cells=6, shape=(100, 100), seed=1)
    >>> lineage = track(movie.images, movie.masks)
    >>> lineage
    <Lineage: 10 tracks, 0 divisions, 52 cells in 6 frames of 100 x 100 pixels, by hungarian>
    >>> len(track(masks=movie.masks, max_gap=1, divisions=False).divisions)
    0
    """
    points, reading = take_points(masks, options)
    run = RunRecord(images, masks, settings or Settings(), points=points)
    with record_warnings() as run.warnings, record_stages() as run.stages:
        if points is not None:
            plan: dict[str, Any] = {"method": method, "solver": solver}
            return track_and_write(run, out, reading, plan=plan, overwrite=overwrite, progress=progress)
        refuse_for_masks(run.settings.points)
        if out is not None:
            for source in (images, masks):
                refuse_source(out, source)
            try_output(out, overwrite=overwrite)  # before the long work
        opened = open_run(run, method=method, solver=solver, **options)
        if out is not None and is_large(opened.movie, run.settings):
            plan = {"method": method, "solver": solver, "options": options}
            return track_large(run, opened.movie, out, **plan, overwrite=overwrite, progress=progress)
        candidates = find_candidates(opened, run, progress=progress)
        if out is not None:
            refuse_many_cells(candidates.graph.cells.frame, run.settings.repair)
        movie, repaired = candidates.movie, solve_movie(candidates, progress=progress)
        if out is not None:
            write_result(out, repaired, images=movie.images, channels=movie.channels, run=run, overwrite=overwrite)
    own = CellMasks(repaired.runs, repaired.fills, movie.names)
    return repaired.lineage.with_masks(own).with_repairs(collect_repairs(repaired))


def take_points(masks: object, options: dict[str, Any]) -> tuple[object, dict[str, Any]]:
    """Take points, or a detector, and how they are read out of the options of a recipe; None without points."""
    detection = plan_detection(options)
    points, *values = (options.pop(name, None) for name in POINT_OPTIONS)
    reading = {name: value for name, value in zip(POINT_OPTIONS[1:], values, strict=True) if value is not None}
    points = points if detection is None else detection
    if points is not None:
        refuse_masks(masks, options)
    elif reading:
        msg = f"{next(iter(reading))} belongs to points, and none are given; give points=PATH, a table or an array"
        raise InputError(msg)
    return points, reading


@accept_options("frames", "repair", other=("radius",))
def export(
    lineage: Lineage,
    out: str | Path,
    *,
    masks: object = None,
    to: str = "ctc",
    settings: Settings | None = None,
    overwrite: bool = False,
    progress: Any = None,
    **options: Any,
) -> Lineage:
    """Write a lineage as a CTC result, as tables, or in another format.

    Parameters
    ----------
    lineage : Lineage
        Result of `solve` or `track`.
    out : path
        The file or folder to make; ``gnntrack export --help`` describes it for each format.
    masks : path, array or FrameStack, optional
        The masks that the lineage was made from, for formats that draw masks, such as ``ctc``. A lineage of `track` or
        `gnntrack.load` does not need them.
    to : str
        Name of a format in `gnntrack.io.writers.WRITERS`, such as ``ctc`` or ``csv``, or of another package.
    settings : Settings, optional
        Its sections ``frames`` and ``repair`` are used; ``cells`` comes from the provenance of the lineage.
    overwrite, progress, **options
        As in `track`, such as ``fill_gaps=False``; for points ``radius``, that of the balls that are drawn for formats
        of masks, in um if the size of a voxel is known, else in pixels.

    Returns
    -------
    Lineage
        As it is written.

    Raises
    ------
    InputError
        If the format is unknown, or the masks are missing or not those of the lineage.
    OutputError
        If `out` exists, cannot be written, or does not fit the format.

    Examples
    --------
    >>> import tempfile
    >>> movie = simulate(frames=3, cells=6, seed=1)
    >>> lineage = solve(build_graph(masks=movie.masks))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = export(lineage, Path(folder, "links.csv"), to="edges")
    ...     Path(folder, "links.csv").read_text().splitlines()[0]
    'source_frame,source_label,target_frame,target_label,weight'
    """
    _expect_kind(lineage, Lineage, "track(), solve() or load()")
    writer, chosen = WRITERS[to](), settings or Settings()
    if masks is not None and lineage.cells.points:
        msg = "masks are given, and the lineage is of points, which have no labels in masks; omit masks (--masks)"
        raise InputError(msg)
    if not writer.needs_masks:
        if chosen.repair.margin:
            margin = count_noun(chosen.repair.margin, "pixel")
            _log.warning("the margin of %s is not applied in format '%s'; track with it", margin, to)
        kept, found = _match_masks(lineage, masks, chosen, progress, own=uses_masks(writer))
        writer.write(kept, out, masks=found if uses_masks(writer) else None, overwrite=overwrite)
        return kept
    if masks is None and not lineage.has_masks and not lineage.cells.points:
        msg = f"format '{to}' draws the masks that the lineage was made from, and none are given; give masks"
        raise InputError(msg)
    try_output(out, overwrite=overwrite)
    if masks is None:
        kept, own = _find_own_masks(lineage, options.get("radius"), chosen)
        writer.write(kept, out, masks=own, overwrite=overwrite)
        return kept
    stack = open_masks_of(lineage, masks, chosen)
    check_margin(chosen.repair.margin, stack.shape)
    repaired = repair_movie(lineage, match_runs(lineage, stack, progress), settings=chosen.repair)
    drawn = CellMasks(repaired.runs, repaired.fills, stack.names)
    writer.write(repaired.lineage, out, masks=drawn, overwrite=overwrite)
    return repaired.lineage


def _find_own_masks(lineage: Lineage, radius: float | None, settings: Settings) -> tuple[Lineage, CellMasks]:
    """Return a lineage after repair, with the masks that it holds, or balls around its points."""
    if lineage.has_masks:
        return find_masks(lineage)
    balls = draw_points(lineage, radius, settings=settings.repair)
    return balls.lineage, CellMasks(balls.runs, balls.fills)


def _match_masks(
    lineage: Lineage, masks: object, settings: Settings, progress: Any, *, own: bool
) -> tuple[Lineage, CellMasks | None]:
    """Return the lineage with given masks, which must fit also if they are not drawn, or with its own ones."""
    if masks is not None:
        stack = open_masks_of(lineage, masks, settings)
        return lineage, CellMasks(match_runs(lineage, stack, progress), names=stack.names)
    return find_masks(lineage) if own and lineage.has_masks else (lineage, None)


def evaluate(
    result: Source,
    truth: Source,
    *,
    gate: float | None = None,
    total: float | None = None,
    spacing: float | Sequence[float] | None = None,
) -> dict[str, Any]:
    """Score a result against its ground truth: masks with tracks, or points and links.

    Parameters
    ----------
    result, truth : path, Lineage, PointGraph or mapping
        Folder of masks with ``res_track.txt``; folder ``01_GT`` of the Cell Tracking Challenge, or a second result;
        or a lineage that holds its masks, such as that of `track` or `import_tracks`. Points: a GEFF, a submission to
        the embryo competition of 2026, a `gnntrack.PointGraph`, or several of them: a folder, or a dict by movie.
    gate : float, optional
        Of points: the largest distance in um of two that match, default 7. If it or `total` is given, masks are
        compared by their centroids.
    total : float, optional
        Of points: estimated number of cells in all frames, if the truth does not hold it.
    spacing : float or D floats, optional
        Of points: voxel size of positions in voxels, default that of the other side.

    Returns
    -------
    dict
        Metric -> value, None if it is not defined; see `gnntrack.evaluate.tracking`, of points
        `gnntrack.evaluate.graphs`.

    Raises
    ------
    InputError
        If a folder is not a CTC result or ground truth, or result and ground truth are of different movies.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     movie = simulate(Path(folder, "movie"), frames=6, cells=6, shape=(100, 100), seed=1)
    ...     lineage = track(movie.images, movie.masks, out=Path(folder, "01_RES"))
    ...     scores = evaluate(Path(folder, "01_RES"), Path(folder, "movie", "01_GT"))
    >>> scores["TRA"] > 0.9, scores["LNK"] > 0.9
    (True, True)
    """
    from gnntrack.evaluate.lineages import evaluate_result

    return evaluate_result(result, truth, gate=gate, total=total, spacing=spacing)
