"""Segmentation of a movie: frame by frame when the masks are read, or into a folder of masks."""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile

from gnntrack.errors import FrameError, GnntrackError, OutputError, SegmenterError
from gnntrack.io.manifests import describe_run, list_changes, read_manifest, write_manifest
from gnntrack.io.output import check_output, fresh_output
from gnntrack.io.output_places import remove_path
from gnntrack.io.stack import find_channel
from gnntrack.plurals import count_noun
from gnntrack.segmentation.colours import check_colours, show_colours
from gnntrack.segmentation.diameter import check_diameter, convert_diameters
from gnntrack.segmentation.protocol import MovieSegmenter, check_labels, get_channels, get_name
from gnntrack.segmentation.registry import expect_diameter, load_segmenter
from gnntrack.segmentation.statistics import MovieStatistics, get_estimated_diameter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from gnntrack.segmentation.protocol import Segmenter
    from gnntrack.types import FrameStack, Image, Progress

__all__ = [
    "SegmentedStack",
    "load_for_movie",
    "prepare_segmenter",
    "segment_frame",
    "segment_movie",
    "segment_on_demand",
]

_log = logging.getLogger(__name__)
_NOTE = "run.json"
_MOST_CHANGES = 3  # that a message lists


def load_for_movie(segmenter: str | Segmenter, options: Mapping[str, Any] | None, images: FrameStack) -> Segmenter:
    """Return a segmenter that is prepared for a movie.

    Parameters
    ----------
    segmenter : str or Segmenter
        A name, or an object with ``segment(image)``.
    options : mapping, optional
        Keyword arguments of the class of a segmenter given by name. Its option ``spacing``, if it has one that is not
        given, is set to the voxel size of the movie if that is known in um. Its option ``diameter`` may be text with a
        unit, such as ``"12um"`` or ``"30px"``.
    images : FrameStack
        The movie.

    Raises
    ------
    SegmenterError, MissingDependencyError
        As `gnntrack.segmentation.load_segmenter`; also for options of a segmenter that is an object, and for a diameter
        of less than a pixel, or in um if the voxel size is not known.
    """
    if isinstance(segmenter, str):
        name, options = segmenter, convert_diameters(options or {}, images.spacing, images.unit)
        if "diameter" in options:
            expect_diameter(name)
            check_diameter(options["diameter"], images)
        segmenter = load_segmenter(name, **options)
        if images.unit == "um" and getattr(segmenter, "spacing", images.spacing) is None:
            segmenter = load_segmenter(name, spacing=images.spacing, **options)
    elif options:
        msg = (
            f"options are given for the segmenter '{get_name(segmenter)}', which is an object: set them when it is made"
        )
        raise SegmenterError(msg)
    check_colours(images, segmenter)
    prepare_segmenter(segmenter, show_colours(images, segmenter))
    return segmenter


def prepare_segmenter(segmenter: Segmenter, images: FrameStack) -> None:
    """Show some frames of a movie to a segmenter that has a method ``prepare``, before it segments them.

    So it can estimate parameters once for the whole movie instead of for each frame. Frames that cannot be
    read are skipped; the error comes when they are segmented, with their number.
    """
    if not isinstance(segmenter, MovieSegmenter):
        return
    some = sorted({0, len(images) // 2, max(len(images) - 1, 0)}) if len(images) else []
    frames = []
    for frame in some:
        with suppress(GnntrackError):
            frames.append(images[frame])
    with suppress(FrameError):
        segmenter.prepare(frames)
    diameter = get_estimated_diameter(segmenter)
    if diameter is not None:
        number = count_noun(len(frames), "frame")
        _log.info("cell diameter %.1f pixels, estimated from %s (--diameter sets it)", diameter, number)


def segment_frame(segmenter: Segmenter, image: Image, *, frame: int | None = None, file: object = None) -> Image:
    """Return the labels of one frame; every error names segmenter, file and frame.

    Raises
    ------
    FrameError
        If the segmenter cannot use the image.
    SegmenterError
        If it fails otherwise, or does not return a label image.
    """
    name = get_name(segmenter)
    try:
        labels = segmenter.segment(image)
    except FrameError as error:
        if error.frame is not None or error.file is not None:
            raise
        raise FrameError(str(error), file=file, frame=frame) from error
    except (GnntrackError, MemoryError):
        raise
    except Exception as error:  # a plug-in may raise anything
        where = "" if frame is None else f", frame {frame}"
        msg = f"segmenter '{name}'{where}: it failed with {type(error).__name__}: {error}"
        raise SegmenterError(msg) from error
    coloured = get_channels(segmenter) > 1 and image.ndim == 3
    return check_labels(labels, image[..., 0] if coloured else image, name, frame)


# ------------------------------------------------------------------------------- masks on demand


def segment_on_demand(
    images: FrameStack, segmenter: str | Segmenter, options: Mapping[str, Any] | None = None
) -> tuple[SegmentedStack, FrameStack]:
    """Return masks that are made when they are read, and images that decode each frame once for both.

    Parameters
    ----------
    images, segmenter, options
        As in `load_for_movie`.

    Returns
    -------
    masks : SegmentedStack
    images : FrameStack

    Raises
    ------
    SegmenterError, MissingDependencyError
        As `gnntrack.segmentation.load_segmenter`.
    """
    stack = _FrameCache(images)
    ready = load_for_movie(segmenter, options, images)
    colours = show_colours(images, ready)
    return SegmentedStack(stack, ready, colours=None if colours is images else colours), stack


class _FrameCache:
    """A stack that keeps its latest frame: segmentation and measurement ask for the same one in turn."""

    def __init__(self, frames: FrameStack) -> None:
        self._frames = frames
        self._latest: tuple[int, Image] | None = None
        self.spacing, self.unit, self.names, self.shape = frames.spacing, frames.unit, frames.names, frames.shape

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, frame: int, /) -> Image:
        latest = self._latest  # one variable, so that a second thread may replace it meanwhile
        if latest is None or latest[0] != frame:
            latest = self._latest = frame, self._read(frame)
        return latest[1]

    def _read(self, frame: int) -> Image:
        return self._frames[frame]


class SegmentedStack(_FrameCache):
    """The masks of a stack of images, made when they are read, and their statistics so far.

    A segmenter that reads RGB images is given the frames of `colours`.
    """

    def __init__(self, images: FrameStack, segmenter: Segmenter, *, colours: FrameStack | None = None) -> None:
        super().__init__(images)
        self._segmenter, self._seen = segmenter, colours or images
        self.statistics = MovieStatistics(segmenter, images.spacing)

    def _read(self, frame: int) -> Image:
        image = self._seen[frame]
        labels = segment_frame(self._segmenter, image, frame=frame, file=self.names[frame])
        self.statistics.add_frame(frame, labels, image)
        return labels


# ------------------------------------------------------------------------------- folder of masks


def segment_movie(
    images: FrameStack,
    segmenter: Segmenter,
    out: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    write_extras: Callable[[Path, MovieStatistics], None] | None = None,
    source: object = None,
) -> int:
    """Segment a movie frame by frame into a folder of masks.

    Parameters
    ----------
    images : FrameStack
        The movie.
    segmenter : Segmenter
        Used on each frame in turn.
    out : str or Path
        The folder to make: ``maskTTT.tif`` for each frame, 16 bit, or 32 bit for a frame with labels above 65535.
    overwrite : bool
        Replace an earlier result at `out`.
    resume : bool
        Keep the masks if the run is interrupted, in a folder ``.NAME.unfinished`` beside `out`, and continue an
        earlier run that left such a folder, if movie and segmenter are the same. If they are not, `overwrite` begins
        again.
    progress : Progress, optional
        Called after each frame.
    write_extras : callable, optional
        Called with the folder and the statistics of the masks when all masks are written; it may write more files.
    source : path or paths, optional
        The files of the movie. Without them `resume` does not notice a change of pixels.

    Returns
    -------
    int
        Number of cells in all frames.

    Raises
    ------
    FrameError
        If a frame cannot be read or used.
    SegmenterError
        If the segmenter fails or does not return a label image.
    OutputError
        If `out` exists or cannot be written; then nothing is left there.
    """
    target = check_output(out, overwrite=overwrite)
    unfinished = target.with_name(f".{target.name}.unfinished")
    if not resume:
        with fresh_output(out, overwrite=overwrite) as folder:
            folder.mkdir()
            statistics = _write_masks(images, segmenter, folder, progress=progress)
            if write_extras is not None:
                write_extras(folder, statistics)
        remove_path(unfinished)  # of an earlier run
        return statistics.cells
    _begin(unfinished, images, segmenter, source, overwrite=overwrite)
    statistics = _write_masks(images, segmenter, unfinished, progress=progress, keep=True)
    if write_extras is not None:
        write_extras(unfinished, statistics)
    with fresh_output(out, overwrite=overwrite) as folder:
        unfinished.rename(folder)
        for note in folder.glob("mask*.json"):
            note.unlink()
        (folder / _NOTE).unlink()  # not before: masks without a description would be those of any run
    return statistics.cells


def _write_masks(
    images: FrameStack, segmenter: Segmenter, folder: Path, *, progress: Progress | None, keep: bool = False
) -> MovieStatistics:
    """Write the masks that are missing in a folder; return the statistics of all of them.

    With `keep`, the statistics of a frame are written beside its mask, so that another run can continue.
    """
    statistics, digits = MovieStatistics(segmenter, images.spacing), max(3, len(str(len(images) - 1)))
    seen = show_colours(images, segmenter)
    for frame in range(len(images)):
        place = folder / f"mask{frame:0{digits}d}.tif"
        if not _restore(statistics, frame, place, images.shape):
            image = seen[frame]
            labels = segment_frame(segmenter, image, frame=frame, file=images.names[frame])
            statistics.add_frame(frame, labels, image)
            dtype = np.min_scalar_type(max(65535, int(labels.max(initial=0))))
            aside = place.with_suffix(".partial")  # renamed when complete, so that half a mask is never resumed from
            tifffile.imwrite(aside, labels.astype(dtype), compression="zlib", compressionargs={"level": 1})
            if keep:
                write_manifest(place.with_suffix(".json"), statistics.save_frame(frame))
            aside.replace(place)
        if progress is not None:
            progress("segment", frame + 1, len(images))
    statistics.log_estimate()
    return statistics


def _restore(statistics: MovieStatistics, frame: int, place: Path, shape: tuple[int, ...]) -> bool:
    """Take a frame that an earlier run has written; False if it is missing or damaged, as after a power failure."""
    saved = read_manifest(place.with_suffix(".json")) if place.exists() else None
    if saved is None:
        return False
    try:
        if tifffile.imread(place).shape != shape:
            return False
        statistics.restore_frame(frame, saved, shape)
    except (OSError, ValueError, LookupError, TypeError, tifffile.TiffFileError):
        return False
    return True


def _describe_segmentation(
    images: FrameStack, segmenter: Segmenter, source: object, known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return a description of movie, segmenter and options; a run is resumed only if it is the same."""
    options = {key: str(value) for key, value in vars(segmenter).items() if not key.startswith("_")}
    for name in ("network", "estimated_diameter", "guessed_model"):  # the network is recorded by its weights
        options.pop(name, None)
    listed = source if isinstance(source, list | tuple) else [source]
    files: Any = listed if all(isinstance(each, str | os.PathLike) for each in listed) else None
    about = {
        "segmenter": get_name(segmenter),
        "options": options,
        "weights": _hash_weights(segmenter),
        "frames": len(images),
        "shape": list(images.shape),
        "spacing": [*images.spacing, images.unit],
        "channel": find_channel(images),
    }
    return describe_run("segment", {"images": files}, about, known=known)


def _hash_weights(segmenter: Segmenter) -> str:
    """Return a checksum of the weights of the network of a segmenter; empty if it has none."""
    network: Any = getattr(segmenter, "network", None)
    if not hasattr(network, "state_dict"):
        return ""
    found = hashlib.sha256()
    for name, values in sorted(network.state_dict().items()):
        found.update(name.encode() + values.detach().cpu().numpy().tobytes())
    return found.hexdigest()


def _begin(folder: Path, images: FrameStack, segmenter: Segmenter, source: object, *, overwrite: bool) -> None:
    """Make the folder of a run, or check that an earlier run with the same movie and segmenter left it."""
    note = folder / _NOTE
    before = read_manifest(note)
    now = _describe_segmentation(images, segmenter, source, before)
    changes = list_changes(before, now) if before is not None else []
    if changes and not overwrite:
        msg = (
            f"{folder}: it is of an interrupted run with another movie, segmenter or options: "
            f"{'; '.join(changes[:_MOST_CHANGES])}; repeat the call of that run, or begin again with overwrite "
            "(--overwrite)"
        )
        raise OutputError(msg)
    if changes or (before is None and folder.exists()):
        remove_path(folder)  # masks without a description would be those of any run
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(note, now)
