"""Report on a movie before tracking: kind, size, problems, and the time and memory that tracking takes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import ChannelError, FrameError, MissingDependencyError, SegmenterError
from gnntrack.estimates import Workload, count_links, estimate_tracking, measure_speed, survey_images
from gnntrack.frame_slabs import can_read_planes, get_thickness, read_planes
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.frames import iterate, open_frames
from gnntrack.io.limits import MAX_INSPECTED_PIXELS
from gnntrack.io.mask_checks import MovieKind, describe_movie, find_fault, open_with_background
from gnntrack.io.pairs import warn_of_masks
from gnntrack.io.slices import describe_slices
from gnntrack.io.stack import find_channel, get_interval
from gnntrack.io.time_stamps import describe_steps, find_timing
from gnntrack.lineage.families import count_divisions
from gnntrack.measure.cells import measure_cells
from gnntrack.plurals import choose_form, count_noun
from gnntrack.results import find_result
from gnntrack.settings import Settings
from gnntrack.windows.masks_job import HALO, NETWORK_HALO, plan_mask_windows
from gnntrack.windows.plan import MOST_SAMPLED, count_largest

if TYPE_CHECKING:
    from collections.abc import Callable

    from gnntrack.types import Cells, FrameStack, Image, Progress

__all__ = ["inspect_movie"]

_UNREAD = {"dtype": "unknown", "lowest": 0.0, "highest": 0.0, "tracking": {}}
_MASK_WAYS = ("hungarian", "hungarian with images", "gnn with images")
_SURVEYED = 1 << 24  # pixels of a frame that is segmented to estimate the cost of tracking images
_LISTED = 20  # problems of one kind that are listed


def inspect_movie(
    path: str | Path,
    *,
    settings: Settings | None = None,
    as_masks: bool | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Read a whole movie and describe it.

    Parameters
    ----------
    path : path
        Images or masks, anything that ``open_frames`` reads.
    settings : Settings, optional
        Its sections ``frames``, ``cells`` and ``graph`` are used.
    as_masks : bool, optional
        Whether the frames are masks; if None, the values of some frames decide.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    dict
        Plain JSON values: kind (``"masks"``, ``"images"``, or ``"unknown"`` if frames are so large that their values
        are not read), frames, shape, spacing, unit, interval in seconds or None and whether it is that of the
        time stamps in the file names, names of the channels and of the one that is described, how this one was chosen
        if it was not given, dtype, lowest and highest value, a list of problems, and ``tracking``: by way of tracking
        the estimated ``time`` (seconds of one processor), ``memory`` and ``disk`` (bytes), of images with the segmenter
        ``threshold``, and empty if that finds no cells or the frames are large. For masks also the number of cells,
        those per frame (minimum, median, maximum), their median diameter, empty frames, and of a result or ground truth
        the number of tracks and divisions, else None.

    Raises
    ------
    InputError
        If no frame can be read.
    """
    settings = settings or Settings()
    problems: list[str] = []
    frames = opened = _open_tolerantly(path, settings, problems, as_masks=bool(as_masks))
    if not as_masks and math.prod(opened.shape) > MAX_INSPECTED_PIXELS:
        return {"kind": "unknown", **_describe_stack(opened), **_UNREAD, "problems": [*problems, _name_large(opened)]}
    if not as_masks and settings.frames.images_pattern is None and settings.frames.masks_pattern is None:
        warn_of_masks(path)
    kind, _ = describe_movie(_TolerantStack(frames, problems))
    as_masks = kind.is_like_masks() if as_masks is None else as_masks
    if as_masks:
        frames = _check_masks(frames, kind, settings, problems)
    problems += filter(None, [describe_slices(frames)])
    problems += _describe_stamps(opened)
    stack = _TolerantStack(frames, problems)
    found: dict[str, Any] = {
        "kind": "masks" if as_masks else "images",
        **_describe_stack(opened),
    }
    found |= _inspect_masks(stack, settings, progress) if as_masks else _inspect_images(stack, progress)
    found |= _count_tracks(path) if as_masks else {}
    return {**found, "problems": problems}


def _describe_stack(opened: FrameStack) -> dict[str, Any]:
    """Return the properties of a movie that are known without its values."""
    return {
        "frames": len(opened),
        "shape": list(opened.shape),
        "spacing": list(opened.spacing),
        "unit": opened.unit,
        "interval": get_interval(opened),
        "interval_from_names": getattr(opened, "from_names", False),
        "channels": list(getattr(opened, "channels", ())),
        "channel": find_channel(opened),
        "channel_chosen": getattr(opened, "chosen", ""),
    }


def _name_large(opened: FrameStack) -> str:
    """Return the problem of frames that are too large to read their values."""
    pixels = math.prod(opened.shape)
    return (
        f"{opened.names[0]}: a frame has {pixels} pixels; the values of frames of more than {MAX_INSPECTED_PIXELS} are "
        "not read, and whether they are masks is not known; --masks (as_masks=True) reads them as masks"
    )


class _TolerantStack:
    """A stack that lists unreadable frames as problems, and returns empty frames in their place."""

    def __init__(self, frames: FrameStack, problems: list[str]) -> None:
        self._frames, self._problems = frames, problems
        self.spacing, self.unit, self.names, self.shape = frames.spacing, frames.unit, frames.names, frames.shape
        self.dtype = "unknown"
        self.range = (np.inf, -np.inf)
        self.thickness = get_thickness(frames)
        self.read_part = self.read_planes if can_read_planes(frames) else None

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, frame: int, /) -> Image:
        return self._read(lambda: self._frames[frame], self.shape)

    def read_planes(self, frame: int, planes: slice) -> Image:
        """Return some planes of a frame."""
        shape = (len(range(self.shape[0])[planes]), *self.shape[1:])
        return self._read(lambda: read_planes(self._frames, frame, planes), shape)

    def _read(self, read: Callable[[], Image], shape: tuple[int, ...]) -> Image:
        try:
            image = read()
        except FrameError as error:
            if str(error) not in self._problems:
                self._problems.append(str(error))
            return np.zeros(shape, np.uint8)
        self.dtype = str(image.dtype)
        finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image
        if finite.size:
            self.range = (min(self.range[0], float(finite.min())), max(self.range[1], float(finite.max())))
        return image


def _describe_stamps(opened: FrameStack) -> list[str]:
    """Return the problem of irregular time stamps in the file names, if the frame interval is not known."""
    timing = find_timing(opened.names) if get_interval(opened) is None else None
    return [] if timing is None or timing.told else [describe_steps(timing)]


def _open_tolerantly(path: str | Path, settings: Settings, problems: list[str], *, as_masks: bool) -> FrameStack:
    """Open a movie; frames missing in the numbering are listed as a problem. Of several channels, open the first."""
    frames = settings.frames
    as_masks = as_masks or (frames.images_pattern is None and frames.masks_pattern is not None)
    reading = frames.select_for_masks() if as_masks else frames.select_for_images()
    try:
        return open_frames(path, **reading)
    except ChannelError:
        return _open_tolerantly(
            path, settings.replace(frames__channel=0, frames__masks_channel=0), problems, as_masks=as_masks
        )
    except FrameError as error:
        try:
            stack = open_frames(path, **reading | {"allow_missing": True})
        except FrameError:
            raise error from None
        problems.append(str(error))
        return stack


def _check_masks(frames: FrameStack, kind: MovieKind, settings: Settings, problems: list[str]) -> FrameStack:
    """Return masks with the background 0; another background, and masks that are not label images, are problems."""
    fault = find_fault(kind, split=settings.cells.fragments != "keep")
    if fault is not None:
        problems.append(f"{frames.names[fault[0]]}, frame {fault[0]}: {fault[1]}")
    stack, note = open_with_background(_TolerantStack(frames, problems), kind, settings.frames.background)
    problems += [note] if note else []
    return stack


def _inspect_images(stack: _TolerantStack, progress: Progress | None) -> dict[str, Any]:
    flat, broken = [], []
    for frame, image in enumerate(iterate(stack)):
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            broken.append(frame)
        elif image.size and image.min() == image.max():
            flat.append(frame)
        if progress is not None:
            progress("images", frame + 1, len(stack))
    if flat:
        stack._problems.append(
            f"{count_noun(len(flat), 'frame')} {choose_form(len(flat), 'holds', 'hold')} one value only: "
            f"{_list_some(flat)}"
        )
    if broken:
        problem = "NaN or infinite values, which are not measured"
        stack._problems.append(
            f"{count_noun(len(broken), 'frame')} {choose_form(len(broken), 'holds', 'hold')} {problem}: "
            f"{_list_some(broken)}"
        )
    return {**_get_values(stack), "tracking": _survey_images(stack)}


def _survey_images(stack: _TolerantStack) -> dict[str, dict[str, float]]:
    """Return the estimated cost of tracking images without masks, empty if it is not known."""
    if math.prod(stack.shape) > _SURVEYED:
        return {}
    try:
        load, seconds = survey_images(stack)
    except (FrameError, SegmenterError, MissingDependencyError):
        return {}
    if not load.cells:
        return {}
    speed = measure_speed()
    found = estimate_tracking(load, "threshold", speed=speed, segmenting=seconds * speed)
    return {"threshold": found._asdict()}


def _inspect_masks(stack: _TolerantStack, settings: Settings, progress: Progress | None) -> dict[str, Any]:
    cells, runs, notes = measure_cells(stack, settings=settings.cells, progress=progress)
    count = np.bincount(cells.frame, minlength=cells.n_frames)
    empty = np.flatnonzero(count == 0).tolist()
    problems = stack._problems
    if empty:
        problems.append(f"{count_noun(len(empty), 'frame')} without cells: {_list_some(empty)}")
    pieces = notes["disconnected"]
    if pieces["count"]:
        named = ", ".join(f"{label} in frame {frame}" for frame, label, *_ in pieces["listed"][:5])
        problems.append(
            f"{count_noun(pieces['count'], 'label')} in several pieces, such as {named}; choose their "
            "treatment with --fragments"
        )
    per_frame = [int(count.min()), float(np.median(count)), int(count.max())] if len(count) else [0, 0.0, 0]
    return {
        **_get_values(stack),
        "cells": len(cells),
        "cells_per_frame": per_frame,
        "diameter": float(np.median(cells.feature("diameter"))) if len(cells) else 0.0,
        "empty_frames": empty,
        "tracking": _estimate_cost(cells, len(runs), settings),
    }


def _count_tracks(path: str | Path) -> dict[str, int | None]:
    """Return the numbers of tracks and divisions in the table beside the masks of a result or ground truth."""
    folder = find_result(path) if isinstance(path, str | Path) else None
    table = None if folder is None else find_ctc(folder).table
    if table is None:
        return {"tracks": None, "divisions": None}
    tracks = read_track_table(table)
    return {"tracks": len(tracks), "divisions": count_divisions(tracks)}


def _get_values(stack: _TolerantStack) -> dict[str, Any]:
    low, high = stack.range if stack.range[0] <= stack.range[1] else (0.0, 0.0)
    return {"dtype": stack.dtype, "lowest": low, "highest": high}


def _estimate_cost(cells: Cells, runs: int, settings: Settings) -> dict[str, dict[str, float]]:
    """Return the estimated cost of ``gnntrack track`` by way of tracking."""
    load, speed = Workload.of(cells, count_links(cells, settings), runs), measure_speed()
    count = np.bincount(cells.frame, minlength=cells.n_frames)

    def estimate(way: str) -> dict[str, float]:
        halo = NETWORK_HALO if way.startswith("gnn") else HALO
        largest = count_largest(plan_mask_windows(count, halo), count) if load.cells > MOST_SAMPLED else None
        return estimate_tracking(load, way, speed=speed, window=largest)._asdict()

    return {way: estimate(way) for way in _MASK_WAYS}


def _list_some(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:_LISTED])) + (", ..." if len(numbers) > _LISTED else "")
