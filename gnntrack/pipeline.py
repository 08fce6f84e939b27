"""The recipes: the only place where the stages meet.

``track`` is ``build_graph``, ``solve`` and ``export`` in one, with each mask and each image decoded
once. Movies and masks are given as anything that ``gnntrack.io.open_frames`` reads: a path, an array, or a
stack that is open already.

A *method* is a scorer with its usual solver; ``solver`` changes the second.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from gnntrack.errors import InputError
from gnntrack.graph.candidates import build_candidates
from gnntrack.graph.motion import FlowRecorder, estimate_motion
from gnntrack.io.ctc import write_ctc
from gnntrack.io.frames import check_pair, open_frames, open_masks
from gnntrack.io.output import fresh_output, try_output
from gnntrack.io.writers import WRITERS, CellMasks
from gnntrack.lineage.build import build_lineage
from gnntrack.lineage.families import find_gaps
from gnntrack.lineage.field_of_interest import check_margin
from gnntrack.lineage.repair import match_masks, repair_movie
from gnntrack.measure.cells import measure_cells
from gnntrack.methods import METHODS, resolve_method, score_graph
from gnntrack.scores.registry import CellPixels
from gnntrack.settings import CellSettings, Settings
from gnntrack.solvers import solve as choose_links

if TYPE_CHECKING:
    from gnntrack.scores.registry import Scorer
    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.simulate import SimulatedMovie
    from gnntrack.types import CellGraph, FrameStack, Lineage, Progress, Runs

__all__ = [
    "METHODS",
    "build_graph",
    "build_with_runs",
    "evaluate",
    "export",
    "open_movie",
    "segment",
    "simulate",
    "solve",
    "track",
]

_log = logging.getLogger(__name__)


class _Reading(TypedDict):
    """How ``open_frames`` and ``open_masks`` are to read a source."""

    spacing: Sequence[float] | None
    allow_missing: bool
    axes: str | None


def build_graph(
    masks: object,
    images: object = None,
    *,
    settings: Settings | None = None,
    spacing: Sequence[float] | None = None,
    allow_missing: bool = False,
    progress: Progress | None = None,
) -> CellGraph:
    """Find the candidate links between the cells of masks.

    Parameters
    ----------
    masks, images : path, array (T, [Z], Y, X) or FrameStack
        Label images, 0 = background, and the microscope's images, which add intensities and optical flow.
    settings : Settings, optional
        The defaults where it is left out.
    spacing : D floats, optional
        Size of a voxel in um along ``[z], y, x``; read from the files where it is left out.
    allow_missing : bool
        Take frames that are missing in the numbering for empty ones.
    progress : Progress, optional
        Told after each frame.

    Returns
    -------
    CellGraph
        Its provenance holds the estimates and the settings by which the masks were read.

    Raises
    ------
    InputError
        If the movie cannot be read or the masks are no label images.
    """
    settings = settings or Settings()
    opened = open_movie(masks, images, settings=settings, spacing=spacing, allow_missing=allow_missing)
    return build_with_runs(*opened, settings, progress)[0]


def solve(
    graph: CellGraph,
    *,
    method: str = "hungarian",
    solver: str | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> Lineage:
    """Score the candidate links and choose among them.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    method : {"iou", "greedy", "hungarian", "gnn"}
        How links are scored and chosen.
    solver : str, optional
        Another solver than the method's own.
    settings : Settings, optional
        The defaults where it is left out.
    progress : Progress, optional
        Told when the scores and the links stand.

    Returns
    -------
    Lineage
        Every cell is in a track. Bridged gaps are not painted yet: ``export`` does that.

    Raises
    ------
    InputError
        If there is no such method or solver (the message names those there are), or no device of this name here.
    ModelError
        If the network of ``gnn`` is missing, cannot be used, or looks at images, which a graph does not hold.
    FormatError
        If the graph lacks a feature that the method scores by.
    """
    settings = settings or Settings()
    plan = resolve_method(method, solver)
    scorer = plan.new_scorer(settings, images=False)
    return _solved(graph, scorer, method=method, solver=plan.solver, settings=settings, progress=progress)


def _solved(
    graph: CellGraph,
    scorer: Scorer,
    *,
    method: str,
    solver: str,
    settings: Settings,
    pixels: CellPixels | None = None,
    progress: Progress | None = None,
) -> Lineage:
    scores = score_graph(scorer, graph, pixels=pixels, progress=progress)
    _tell(progress, "solving", 1, 2)
    chosen = choose_links(solver, graph, scores, settings=settings.solver)
    _tell(progress, "solving", 2, 2)
    lineage = build_lineage(graph, chosen, scores)
    bridged = len(find_gaps(lineage)[0])
    _log.info("links: %d of %d candidates chosen by %s, %d over gaps", chosen.sum(), len(graph), solver, bridged)
    return lineage.with_provenance(method=method, solver=solver, gaps_bridged=bridged)


def track(
    masks: object,
    images: object = None,
    *,
    out: str | Path | None = None,
    method: str = "hungarian",
    solver: str | None = None,
    segmenter: str | Segmenter = "threshold",
    segmenter_options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    spacing: Sequence[float] | None = None,
    allow_missing: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Lineage:
    """Track the cells of masks, and write the result in the format of the Cell Tracking Challenge.

    Parameters
    ----------
    masks, images, settings, spacing, allow_missing, progress
        As in ``build_graph``. Where masks are None, each image is segmented when its turn comes.
    out : path, optional
        Folder of the result; nothing is written where it is left out.
    method, solver
        As in ``solve``.
    segmenter, segmenter_options
        What segments images without masks, and its options.
    overwrite : bool
        Replace ``out`` if it exists.

    Returns
    -------
    Lineage
        As it is written: a gap that could not be painted is two tracks, parent and daughter.

    Raises
    ------
    InputError
        If the movie cannot be read, or there is no such method, solver or device.
    ModelError
        If the network of ``gnn`` is missing, cannot be used, or looks at images and there are none.
    OutputError
        If ``out`` exists, cannot be written, or has more than 65535 tracks.
    """
    settings = settings or Settings()
    plan = resolve_method(method, solver)  # errors in method, model, device or output are raised before the long work
    scorer = plan.new_scorer(settings, images=images is not None)
    if out is not None:
        try_output(out, overwrite=overwrite)
    mask_stack, image_stack = open_movie(
        masks,
        images,
        segmenter=segmenter,
        segmenter_options=segmenter_options,
        settings=settings,
        spacing=spacing,
        allow_missing=allow_missing,
    )
    check_margin(settings.repair.margin, mask_stack.shape)
    graph, runs = build_with_runs(mask_stack, image_stack, settings, progress)
    pixels = None if image_stack is None else CellPixels(runs, image_stack)
    lineage = _solved(
        graph, scorer, method=method, solver=plan.solver, settings=settings, pixels=pixels, progress=progress
    )
    repaired = repair_movie(lineage, runs, settings=settings.repair)
    if out is not None:
        write_ctc(out, repaired.lineage, repaired.runs, fills=repaired.fills, overwrite=overwrite)
    return repaired.lineage


def export(
    lineage: Lineage,
    out: str | Path,
    *,
    masks: object = None,
    to: str = "ctc",
    settings: Settings | None = None,
    spacing: Sequence[float] | None = None,
    allow_missing: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Lineage:
    """Write a lineage as a CTC result, as tables, or in another format.

    Parameters
    ----------
    lineage : Lineage
        Any lineage.
    out : path
        A folder for ``ctc``, ``csv`` and ``geff``, a file for ``edges``.
    masks : path, array or FrameStack
        The masks that the lineage was made from; only ``ctc`` needs them.
    to : str
        Name of a format in `gnntrack.io.writers.WRITERS`: ``ctc`` (masks and ``res_track.txt``), ``csv`` (a table of
        cells and one of tracks), ``edges`` (a table of links), ``geff`` (a graph), or one of another package.
    settings : Settings, optional
        Of ``repair``; how the masks are read is known to the lineage.
    spacing, allow_missing, overwrite, progress
        As in ``track``.

    Returns
    -------
    Lineage
        As it is written.

    Raises
    ------
    InputError
        If there is no such format, or the masks are missing or not those of the lineage.
    OutputError
        If ``out`` exists, cannot be written, or does not fit the format.
    """
    writer = WRITERS[to]()
    if not writer.needs_masks:
        if settings is not None and settings.repair.margin:
            _log.warning(
                "the margin of %d pixels is not applied in format '%s'; track with it", settings.repair.margin, to
            )
        writer.write(lineage, out, overwrite=overwrite)
        return lineage
    if masks is None:
        msg = f"format '{to}' draws the masks that the lineage was made from, and none are given; give masks"
        raise InputError(msg)
    try_output(out, overwrite=overwrite)
    settings = settings or Settings()
    stack = open_movie(masks, settings=settings, spacing=spacing, allow_missing=allow_missing)[0]
    check_margin(settings.repair.margin, stack.shape)
    runs = _match_runs(lineage, stack, progress)
    repaired = repair_movie(lineage, runs, settings=settings.repair)
    writer.write(repaired.lineage, out, masks=CellMasks(repaired.runs, repaired.fills), overwrite=overwrite)
    return repaired.lineage


def segment(
    images: object,
    out: str | Path,
    *,
    segmenter: str | Segmenter = "threshold",
    options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    spacing: Sequence[float] | None = None,
    allow_missing: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> int:
    """Segment the images of a movie into a folder of masks, and return the number of cells.

    With `resume`, the masks of a run that does not come to its end are kept, and those of an earlier run are gone on
    with; see `gnntrack.segmentation.segment_movie`.

    Raises
    ------
    InputError
        If the images cannot be read.
    SegmenterError
        If there is no such segmenter, or it returns something that is no label image.
    OutputError
        If ``out`` exists or cannot be written.
    """
    from gnntrack.segmentation.movie import load_for_movie, segment_movie

    try_output(out, overwrite=overwrite)
    frames = (settings or Settings()).frames
    size = spacing if spacing is not None else frames.spacing
    stack = open_frames(images, spacing=size, allow_missing=allow_missing, axes=frames.axes)
    ready = load_for_movie(segmenter, options, stack)
    return segment_movie(stack, ready, out, overwrite=overwrite, resume=resume, progress=progress)


def simulate(
    out: str | Path | None = None,
    *,
    settings: Settings | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> SimulatedMovie:
    """Make a movie with a known lineage; with ``out``, write images, masks and truth in the CTC layout.

    Raises
    ------
    OutputError
        If ``out`` exists or cannot be written.
    """
    from gnntrack.simulate import simulate_movie, write_movie

    life = (settings or Settings()).simulate
    if out is None:
        return simulate_movie(settings=life, seed=seed)
    with fresh_output(out, overwrite=overwrite) as folder:
        movie = simulate_movie(settings=life, seed=seed)
        write_movie(movie, folder, progress=progress)
    return movie


def evaluate(result: str | Path, truth: str | Path) -> dict[str, Any]:
    """Score a CTC result against its truth; see ``gnntrack.evaluate.tracking``.

    Raises
    ------
    InputError
        If either folder is no CTC result or truth.
    """
    from gnntrack.evaluate.tracking import evaluate_sequence

    return evaluate_sequence(result, truth)


def open_movie(
    masks: object,
    images: object = None,
    *,
    segmenter: str | Segmenter = "threshold",
    segmenter_options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    spacing: Sequence[float] | None = None,
    allow_missing: bool = False,
) -> tuple[FrameStack, FrameStack | None]:
    """Open masks and their images, which have to fit each other.

    A voxel size that only the images tell serves the masks too. Where masks are None, they are made from the
    images frame by frame, when they are asked for.

    Raises
    ------
    InputError
        If either cannot be read, they differ in length or shape, or images alone look like masks.
    """
    frames = (settings or Settings()).frames
    size = spacing if spacing is not None else frames.spacing
    reading: _Reading = {"spacing": size, "allow_missing": allow_missing, "axes": frames.axes}
    if masks is None:
        from gnntrack.segmentation.movie import segment_on_demand

        return segment_on_demand(open_frames(images, **reading), segmenter, segmenter_options)
    mask_stack = open_masks(masks, **reading)
    if images is None:
        return mask_stack, None
    image_stack = open_frames(images, **reading)
    check_pair(image_stack, mask_stack)
    if mask_stack.unit == "pixel" and image_stack.unit != "pixel":
        reading["spacing"] = image_stack.spacing
        mask_stack = open_masks(masks, **reading)
    return mask_stack, image_stack


def build_with_runs(
    masks: FrameStack, images: FrameStack | None, settings: Settings, progress: Progress | None = None
) -> tuple[CellGraph, Runs]:
    """Return the graph of an open movie, and the pixels of its cells."""
    recorder = None
    if images is not None and settings.motion.flow in ("auto", "images"):
        recorder = FlowRecorder(len(images.shape))
    cells, runs, notes = measure_cells(
        masks, images, settings=settings.cells, progress=progress, each_image=recorder.see if recorder else None
    )
    torn = notes["disconnected"]["count"]
    if torn > 0.5 * len(cells):  # told without reading a frame twice: grey values are labels in many pieces
        _log.warning("%d labels in several pieces, of %d cells: are these masks, and not images?", torn, len(cells))
    motion = estimate_motion(cells, recorder, settings=settings.motion)
    graph = build_candidates(cells, runs, motion, settings=settings.graph, progress=progress)
    provenance = graph.provenance.replace(masks=notes, cell_settings=settings.cells.model_dump())
    return replace(graph, provenance=provenance), runs


def _match_runs(lineage: Lineage, masks: FrameStack, progress: Progress | None) -> Runs:
    """Return the pixels of a lineage's cells, from the masks that it was made from."""
    settings = CellSettings(**lineage.provenance.cell_settings)
    cells, runs, _ = measure_cells(masks, settings=settings, progress=progress)
    return match_masks(lineage, cells, runs)


def _tell(progress: Progress | None, stage: str, done: int, total: int) -> None:
    if progress is not None:
        progress(stage, done, total)
