"""Movies: masks and the images that fit them, and the graph of their cells."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

from gnntrack.cut_cells import cut_cells
from gnntrack.errors import InputError
from gnntrack.graph.candidates import build_candidates
from gnntrack.graph.motion import estimate_motion
from gnntrack.io.channels import choose_channel, list_channels, name_channels
from gnntrack.io.first_frames import start_reading
from gnntrack.io.frames import open_frames
from gnntrack.io.mask_checks import CheckOptions, check_images, check_masks, check_movie
from gnntrack.io.pairs import complete_sources, find_interval, open_alone, open_pair, warn_of_masks
from gnntrack.io.slices import describe_slices
from gnntrack.io.stack import Stack, find_channel, set_spacing
from gnntrack.lineage.repair import match_masks
from gnntrack.measure.cells import measure_cells
from gnntrack.measure.flatness import measure_flatness, warn_of_cubes
from gnntrack.movie_scales import estimate_of_movie, name_scales
from gnntrack.plurals import count_noun
from gnntrack.settings import CellSettings, FrameSettings, MotionSettings, Settings
from gnntrack.stage_times import time_stage

if TYPE_CHECKING:
    from gnntrack.cut_cells import CutMovie
    from gnntrack.graph.flow import FlowRecorder
    from gnntrack.graph.motion import FlowSource, Motion
    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.segmentation.statistics import MovieStatistics
    from gnntrack.types import CellGraph, Cells, FrameStack, Lineage, Progress, Runs

__all__ = [
    "MeasuredMovie",
    "Movie",
    "Opening",
    "Reading",
    "build_with_runs",
    "choose_cell_settings",
    "link_cells",
    "match_runs",
    "open_images",
    "open_masks_of",
    "open_movie",
    "record_flow",
    "resolve_reading",
    "warn_of_cells",
]

_log = logging.getLogger(__name__)

_TWO_MASKS = "segmenter makes masks, and masks are given; omit one of the two"
_OWN_MASKS = "segmenter makes masks, and it has masks; omit the segmenter, or choose images by images_pattern"


@dataclass(frozen=True, kw_only=True)
class Movie:
    """Open images and their masks.

    Parameters
    ----------
    images : FrameStack, optional
        Images of the microscope: the channel that is tracked.
    masks : FrameStack
        Label images, 0 = background; as many and of the same shape.
    channels : mapping of str to FrameStack
        The images of each channel by name, to be measured; empty if there is one channel.
    interval : float, optional
        Seconds from a frame to the next; None if neither images nor masks have it.
    segmenter : str, optional
        Name of the segmenter that makes the masks from the images; None if masks were given.
    statistics : MovieStatistics, optional
        Statistics of the masks that the segmenter has made so far.
    channel : str, optional
        Name of the channel that is tracked; None if there is one channel.
    """

    images: FrameStack | None = None
    masks: FrameStack
    channels: Mapping[str, FrameStack] = field(default_factory=dict)
    interval: float | None = None
    segmenter: str | None = None
    statistics: MovieStatistics | None = None
    channel: str | None = None

    @property
    def names(self) -> Sequence[str]:
        """Files of the frames: of the images, else of the masks."""
        return self.masks.names if self.images is None else self.images.names


class Reading(TypedDict, total=False):
    """Keywords of the recipes for the reading of masks and images.

    Parameters
    ----------
    spacing : D floats, optional
        Size of a voxel in um along ``[z], y, x``, instead of ``settings.frames.spacing`` or the size in the files.
    interval : float or str, optional
        Time from a frame to the next: seconds, or text such as ``"5min"``, instead of ``settings.frames.interval`` or
        the time in the files.
    channel : int or str, optional
        Number, from 0, or name of the channel to track, if the images have several.
    masks_channel : int or str, optional
        The channel that holds the masks, if they are a channel of a file.
    allow_missing : bool
        Read a frame that is missing in the numbering of a folder as an empty one.
    """

    spacing: float | Sequence[float] | None
    interval: float | str | None
    channel: int | str | None
    masks_channel: int | str | None
    allow_missing: bool | None


class Opening(Reading, total=False):
    """Keywords of the recipes that can start from images alone: those of `Reading`, and the segmenter.

    Parameters
    ----------
    segmenter : str or Segmenter
        Segments images that have no masks; default ``"threshold"``. See `gnntrack.segmentation.available_segmenters`.
    segmenter_options : mapping, optional
        Options of a segmenter that is given by name, such as ``{"diameter": 30}`` (pixels) or ``{"diameter": "12um"}``.
    """

    segmenter: str | Segmenter | None
    segmenter_options: Mapping[str, Any] | None


def open_movie(
    images: object = None,
    masks: object = None,
    *,
    segmenter: str | Segmenter | None = None,
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
        If neither is given, masks are given and a segmenter too, one of them cannot be read, they differ in length or
        shape, they are swapped, or one of them is not what it should be, see `gnntrack.io.mask_checks`.
    """
    if images is None and masks is None:
        msg = "neither images nor masks are given; give track(images, masks), track(masks=masks) or track(images)"
        raise InputError(msg)
    settings = settings or Settings()
    frames = resolve_reading(settings, **reading)
    given = masks is not None
    images, masks = complete_sources(images, masks, frames)
    masks, frames = _find_composite(images, masks, frames)
    if masks is not None:
        _refuse_segmenter(segmenter or segmenter_options, None if given else images)
    if masks is None:
        return _segment(open_alone(images, frames, masks=False), frames, segmenter, segmenter_options)
    checks = CheckOptions(frames.background, frames.trust_masks, settings.cells.fragments != "keep")
    if images is None:
        mask_stack = open_alone(masks, frames, masks=True)
        return Movie(masks=check_masks(mask_stack, checks), interval=find_interval(mask_stack))
    opened, mask_stack = open_pair(images, masks, frames)
    interval = find_interval(opened, mask_stack)
    opened = _read_folder_ahead(images, opened)
    mask_stack, image_stack = check_movie(mask_stack, opened, checks)
    if mask_stack.unit == "pixel" and image_stack.unit != "pixel":
        mask_stack = set_spacing(mask_stack, image_stack.spacing, image_stack.unit)
    channels = _list_channels(opened, image_stack, excluded=_find_excluded(images, masks, frames))
    named = find_channel(opened)
    return Movie(images=image_stack, masks=mask_stack, channels=channels, interval=interval, channel=named)


def _read_folder_ahead(images: object, opened: FrameStack) -> FrameStack:
    """Return the images of a folder with one channel, whose frames are read from now on; others as they are."""
    folder = isinstance(images, str | Path) and Path(images).is_dir()
    return start_reading(opened) if folder and isinstance(opened, Stack) and not opened.channels else opened


def _refuse_segmenter(chosen: object, folder: object) -> None:
    """Raise if a segmenter is chosen for images with masks, which are in the folder of the images or given."""
    if chosen:
        raise InputError(_TWO_MASKS if folder is None else f"{folder}: {_OWN_MASKS}")


def _segment(
    opened: FrameStack, frames: FrameSettings, segmenter: str | Segmenter | None, options: Mapping[str, Any] | None
) -> Movie:
    """Return the movie of images whose masks are made when they are read."""
    from gnntrack.segmentation.movie import segment_on_demand
    from gnntrack.segmentation.protocol import get_name

    segmenter = segmenter or "threshold"
    masks, images = segment_on_demand(check_images(opened, trusted=frames.trust_masks), segmenter, options)
    name = segmenter if isinstance(segmenter, str) else get_name(segmenter)
    channels = _list_channels(opened, images)
    more: dict[str, Any] = {"segmenter": name, "statistics": masks.statistics, "channel": find_channel(opened)}
    return Movie(images=images, masks=masks, channels=channels, interval=find_interval(opened), **more)


def _find_composite(images: object, masks: object, frames: FrameSettings) -> tuple[object, FrameSettings]:
    """Return masks and settings; masks that are a channel of the images become the same object as these.

    If a composite has two channels, the one without the masks is tracked.
    """
    if frames.masks_channel is None or not (masks is None or _is_same_path(masks, images)):
        return masks, frames
    if frames.masks_pattern not in (None, frames.images_pattern):
        return masks, frames
    wanted, frames = frames.masks_channel, frames.with_given(masks_pattern=frames.images_pattern)
    names = list(getattr(open_frames(images, **frames.select_for_masks()), "channels", ())) or name_channels(1)
    number = choose_channel(wanted, names)
    if frames.channel is None and len(names) == 2:
        frames = frames.with_given(channel=1 - number)
    if frames.channel is not None and choose_channel(frames.channel, names) == number:
        msg = (
            f"images and masks are both channel {number} '{names[number]}'; give different ones of "
            f"{list_channels(names)}, such as --channel 0 --masks-channel 1 (in Python channel=0, masks_channel=1)"
        )
        raise InputError(msg)
    return images, frames


def _find_excluded(images: object, masks: object, frames: FrameSettings) -> int | str | None:
    """Return the channel of the images that holds the masks, None if these are elsewhere."""
    return frames.masks_channel if masks is images and frames.masks_pattern == frames.images_pattern else None


def _is_same_path(first: object, second: object) -> bool:
    return isinstance(first, str | Path) and isinstance(second, str | Path) and Path(first) == Path(second)


def _list_channels(
    opened: FrameStack, images: FrameStack, *, excluded: int | str | None = None
) -> Mapping[str, FrameStack]:
    """Return the channels of an open movie, with `images` in place of the one that is tracked."""
    channels: Mapping[str, Stack] = getattr(opened, "channels", {})
    names = list(channels)
    without = None if excluded is None or not names else names[choose_channel(excluded, names)]
    tracked = opened.read if isinstance(opened, Stack) else None
    return {name: images if stack.read is tracked else stack for name, stack in channels.items() if name != without}


def open_images(images: object, *, settings: Settings | None = None, **reading: Unpack[Reading]) -> FrameStack:
    """Open images without masks, and check that they are not masks."""
    frames = resolve_reading(settings, **reading)
    if frames.images_pattern is None:
        warn_of_masks(images)
    opened = open_frames(images, **frames.select_for_images())
    problem = describe_slices(opened)
    if problem is not None and frames.axes is None:
        _log.warning("%s: %s", opened.names[0], problem)
    return check_images(opened, trusted=frames.trust_masks)


def open_masks_of(lineage: Lineage, masks: object, settings: Settings, **reading: Unpack[Reading]) -> FrameStack:
    """Open the masks that a lineage was made from; its own rule for fragments decides whether they may be binary."""
    fragments = lineage.provenance.cell_settings.get("fragments", settings.cells.fragments)
    return open_movie(masks=masks, settings=settings.replace(cells__fragments=fragments), **reading).masks


def resolve_reading(
    settings: Settings | None,
    *,
    spacing: float | Sequence[float] | None = None,
    interval: float | str | None = None,
    channel: int | str | None = None,
    masks_channel: int | str | None = None,
    allow_missing: bool | None = None,
) -> FrameSettings:
    """Return the settings ``frames``, replaced by the keywords that are given to a recipe."""
    return (settings or Settings()).frames.with_given(
        spacing=spacing,
        interval=interval,
        channel=channel,
        masks_channel=masks_channel,
        allow_missing=allow_missing,
    )


class MeasuredMovie(NamedTuple):
    """The cells of a movie as its masks are, before merged masks are cut."""

    cells: Cells
    runs: Runs
    notes: dict[str, Any]
    """Report of `gnntrack.measure.measure_cells`."""
    flow: FlowSource | None
    """Optical flow of the images, if it is used."""


def build_with_runs(movie: Movie, settings: Settings, progress: Progress | None = None) -> tuple[CellGraph, Runs]:
    """Return the graph of an open movie, and the pixels of its cells."""
    with record_flow(movie, settings.motion) as recorder:
        with time_stage("reading"):
            cells, runs, notes = measure_cells(
                movie.masks,
                images=movie.images,
                settings=choose_cell_settings(settings),
                progress=progress,
                each_image=recorder.add_frame if recorder else None,
                channels=movie.channels,
            )
        with time_stage("graph"):
            graph, runs = link_cells(MeasuredMovie(cells, runs, notes, recorder), movie, settings, progress)
    warn_of_cells(movie, graph.cells, notes)
    return graph, runs


def choose_cell_settings(settings: Settings) -> CellSettings:
    """Return the settings by which masks are read: those that are kept are not cut."""
    return settings.cells.replace(max_merge=0) if settings.repair.keep_masks else settings.cells


@contextmanager
def record_flow(movie: Movie, settings: MotionSettings) -> Iterator[FlowRecorder | None]:
    """Yield a recorder of the images of a movie, None if their optical flow is not used."""
    recorder = None
    if movie.images is not None and settings.flow in ("auto", "images"):
        from gnntrack.graph.flow import FlowRecorder  # loads OpenCV

        recorder = FlowRecorder(len(movie.images.shape))
    try:
        yield recorder
    finally:
        if recorder is not None:
            recorder.close()


def link_cells(
    measured: MeasuredMovie, movie: Movie, settings: Settings, progress: Progress | None = None
) -> tuple[CellGraph, Runs]:
    """Return the graph of the cells of an open movie, whose merged masks are cut, and their pixels."""
    cells, runs, notes, recorder = measured
    reading = choose_cell_settings(settings)
    with name_scales("still"):
        still = estimate_motion(cells, settings=MotionSettings())
    cut = cut_cells(cells, runs, still, settings=reading, images=movie.images, channels=movie.channels)
    motion = _estimate_motion(cells, cut, still, recorder, settings.motion)
    if cut is not None:
        cells, runs = cut.cells, cut.runs
    graph = build_candidates(cells, runs, motion, settings=settings.graph, progress=progress)
    provenance = graph.provenance.replace(masks=notes, cell_settings=reading.to_dict(), interval=movie.interval)
    provenance = provenance.replace(masks_cut=None if cut is None else tuple(cut.cut))
    return replace(graph, provenance=provenance), runs


def warn_of_cells(movie: Movie, cells: Cells, notes: Mapping[str, Any]) -> None:
    """Tell signs that the sizes of pixels are wrong, or the masks poor; `notes` are those of `MeasuredMovie`."""
    warn_of_cubes(movie.masks, measure_flatness(cells))
    if movie.statistics is not None:
        _report_statistics(movie.statistics)
    pieces = notes["disconnected"]["count"]
    if pieces > 0.5 * len(cells):  # grey values, read as labels, are in many pieces each
        _log.warning(
            "%s in several pieces, of %d: are these masks, and not images?", count_noun(pieces, "label"), len(cells)
        )


def _estimate_motion(
    cells: Cells, cut: CutMovie | None, still: Motion, recorder: FlowSource | None, settings: MotionSettings
) -> Motion:
    """Return the motion of the cells after masks were cut; `still` is that of the masks, without images."""
    some_cut = estimate_of_movie("masks.cut", lambda: cut is not None)
    if cut is None and not some_cut:
        known = still if settings == MotionSettings() else None
        return estimate_motion(cells, recorder, settings=settings, known=known)
    if cut is not None and recorder is not None:
        recorder.cut_cells(cells, cut.row)
    cells = cells if cut is None else cut.cells
    if some_cut:
        return estimate_motion(cells, recorder, settings=settings)
    with name_scales("still"):  # a mask is cut in this part of a movie, and none in its sample
        known = estimate_motion(cells, settings=settings)
    return estimate_motion(cells, recorder, settings=settings, known=known)


def _report_statistics(statistics: MovieStatistics) -> None:
    """Log the estimated size of the cells that were segmented, and signs that the masks are poor."""
    from gnntrack.segmentation.quality import list_problems

    statistics.log_estimate()
    for problem in list_problems(statistics, steadiness=False):
        _log.warning(problem)


def match_runs(lineage: Lineage, masks: FrameStack, progress: Progress | None = None) -> Runs:
    """Return the pixels of a lineage's cells, from the masks that it was made from."""
    provenance = lineage.provenance
    settings = CellSettings(**provenance.cell_settings)
    if not provenance.masks_cut:
        cells, runs, _ = measure_cells(masks, settings=settings, progress=progress)
        return match_masks(lineage, cells, runs)
    # the same units as before, so that the same masks are cut
    masks = set_spacing(masks, lineage.cells.spacing, lineage.cells.unit)
    cells, runs, _ = measure_cells(masks, settings=settings, progress=progress)
    cut = cut_cells(cells, runs, estimate_motion(cells, settings=MotionSettings()), settings=settings)
    return match_masks(lineage, cells, runs) if cut is None else match_masks(lineage, cut.cells, cut.runs)
