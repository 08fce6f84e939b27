"""Movies: masks and the images that fit them, and the graph of their cells."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from gnntrack.errors import InputError
from gnntrack.graph.candidates import build_candidates
from gnntrack.graph.motion import FlowRecorder, estimate_motion
from gnntrack.io.frames import check_pair, open_frames, open_masks
from gnntrack.lineage.repair import match_masks
from gnntrack.measure.cells import measure_cells
from gnntrack.settings import CellSettings, Settings

if TYPE_CHECKING:
    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.types import CellGraph, FrameStack, Lineage, Progress, Runs

__all__ = ["Movie", "Opening", "Reading", "build_with_runs", "match_runs", "open_movie", "resolve_reading"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Movie:
    """Open images and their masks.

    Parameters
    ----------
    images : FrameStack, optional
        Images of the microscope.
    masks : FrameStack
        Label images, 0 = background; as many and of the same shape.
    """

    images: FrameStack | None = None
    masks: FrameStack


class Reading(TypedDict, total=False):
    """Keywords of the recipes for the reading of masks and images.

    Parameters
    ----------
    spacing : D floats, optional
        Size of a voxel in um along ``[z], y, x``, instead of ``settings.frames.spacing`` or the size in the files.
    allow_missing : bool
        Deprecated: use ``settings.frames.allow_missing``.
    """

    spacing: float | Sequence[float] | None
    allow_missing: bool | None


class Opening(Reading, total=False):
    """Keywords of the recipes that can start from images alone: those of `Reading`, and the segmenter.

    Parameters
    ----------
    segmenter : str or Segmenter
        Segments images that have no masks; default ``"threshold"``. See `gnntrack.segmentation.available_segmenters`.
    segmenter_options : mapping, optional
        Options of a segmenter that is given by name.
    """

    segmenter: str | Segmenter
    segmenter_options: Mapping[str, Any] | None


def open_movie(
    images: object = None,
    masks: object = None,
    *,
    segmenter: str | Segmenter = "threshold",
    segmenter_options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    **reading: Unpack[Reading],
) -> Movie:
    """Open images and their masks, and check that they fit each other.

    If only the images have a voxel size, it is used for the masks too. If `masks` is None, each image is segmented
    when its mask is read.

    Raises
    ------
    InputError
        If neither is given, either cannot be read, they differ in length or shape, or images alone look like masks.
    """
    if images is None and masks is None:
        msg = "neither images nor masks are given; give track(images, masks), track(masks=masks) or track(images)"
        raise InputError(msg)
    options = resolve_reading(settings, **reading)
    if masks is None:
        from gnntrack.segmentation.movie import segment_on_demand

        made, stack = segment_on_demand(open_frames(images, **options), segmenter, segmenter_options)
        return Movie(images=stack, masks=made)
    mask_stack = open_masks(masks, **options)
    if images is None:
        return Movie(masks=mask_stack)
    image_stack = open_frames(images, **options)
    check_pair(image_stack, mask_stack)
    if mask_stack.unit == "pixel" and image_stack.unit != "pixel":
        mask_stack = open_masks(masks, **options | {"spacing": image_stack.spacing})
    return Movie(images=image_stack, masks=mask_stack)


def resolve_reading(
    settings: Settings | None,
    *,
    spacing: float | Sequence[float] | None = None,
    allow_missing: bool | None = None,
) -> dict[str, Any]:
    """Return the keywords of ``open_frames``: those given to a recipe, else the settings ``frames``."""
    if allow_missing is not None:
        msg = "allow_missing= is deprecated; use settings=Settings().replace(frames__allow_missing=True)"
        warnings.warn(msg, DeprecationWarning, stacklevel=4)
    frames = (settings or Settings()).frames.with_given(spacing=spacing, allow_missing=allow_missing)
    return frames.model_dump()


def build_with_runs(movie: Movie, settings: Settings, progress: Progress | None = None) -> tuple[CellGraph, Runs]:
    """Return the graph of an open movie, and the pixels of its cells."""
    recorder = None
    if movie.images is not None and settings.motion.flow in ("auto", "images"):
        recorder = FlowRecorder(len(movie.images.shape))
    cells, runs, notes = measure_cells(
        movie.masks,
        images=movie.images,
        settings=settings.cells,
        progress=progress,
        each_image=recorder.add_frame if recorder else None,
    )
    pieces = notes["disconnected"]["count"]
    if pieces > 0.5 * len(cells):  # grey values, read as labels, are in many pieces each
        _log.warning("%d labels in several pieces, of %d cells: are these masks, and not images?", pieces, len(cells))
    motion = estimate_motion(cells, recorder, settings=settings.motion)
    graph = build_candidates(cells, runs, motion, settings=settings.graph, progress=progress)
    provenance = graph.provenance.replace(masks=notes, cell_settings=settings.cells.model_dump())
    return replace(graph, provenance=provenance), runs


def match_runs(lineage: Lineage, masks: FrameStack, progress: Progress | None = None) -> Runs:
    """Return the pixels of a lineage's cells, from the masks that it was made from."""
    settings = CellSettings(**lineage.provenance.cell_settings)
    cells, runs, _ = measure_cells(masks, settings=settings, progress=progress)
    return match_masks(lineage, cells, runs)
