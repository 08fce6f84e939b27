"""Detectors: plug-ins that find the centres of cells instead of their masks.

A detector is an object with ``detect(image, spacing) -> Points``. It registers a class under the entry-point group
``gnntrack.detectors``; its options are the keyword-only arguments of that class. Further members are optional:

- ``dimensions``, a tuple: the numbers of axes of the images that it takes; 2 and 3 by default.
- ``prepare(images, spacing)``: it receives a few frames of a movie before the first one is searched, so that estimates
  are the same for all frames.
- ``takes_large_frames``, True: ``detect`` also takes a `gnntrack.frame_slabs.LargeFrame`, a volume that it reads in
  slabs; other detectors receive large volumes as arrays.
- the option ``diameter``, and the attribute ``estimated_diameter``: as of a segmenter, in pixels along x, see
  `gnntrack.segmentation.protocol`.

A detector that can be trained has a classmethod ``train`` as well: see `gnntrack.training.detector`.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from gnntrack.errors import FrameError, GnntrackError, SegmenterError
from gnntrack.frame_slabs import LargeFrame, is_large, read_middle
from gnntrack.plugins import Registry, get_distribution
from gnntrack.plurals import count_noun
from gnntrack.segmentation.description import describe_segmenter
from gnntrack.segmentation.diameter import check_diameter, convert_diameters
from gnntrack.segmentation.registry import check_options, make_plugin
from gnntrack.types import Points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from gnntrack.segmentation.description import SegmenterInfo
    from gnntrack.types import FrameStack, Image, Progress

__all__ = [
    "DETECTORS",
    "Detector",
    "available_detectors",
    "detect_frame",
    "detect_movie",
    "load_detector",
    "prepare_detector",
]

_log = logging.getLogger(__name__)

DETECTORS: Registry[Any] = Registry("detector", {}, error=SegmenterError)
"""Name -> class. All are entry points of the group ``gnntrack.detectors``, those of this project too."""


@runtime_checkable
class Detector(Protocol):
    """Finds the centres of the cells in one frame."""

    def detect(self, image: Image, spacing: Sequence[float], /) -> Points:
        """Return the cells of an image.

        Parameters
        ----------
        image : (Y, X) or (Z, Y, X) array of numbers
            Grey values of one frame; they are not modified.
        spacing : D floats
            Size of a voxel along ``[z], y, x`` in um; in pixels, thus 1, if it is not known.

        Returns
        -------
        Points
            Positions in voxels, inside the image.

        Raises
        ------
        FrameError
            If the image has an unsupported number of axes, is not an array of real numbers, or has NaN or infinite
            pixels.
        """
        ...


def available_detectors() -> dict[str, SegmenterInfo]:
    """Return all installed detectors by name; none of them is imported.

    >>> available_detectors()["dog"].needs
    ('numpy',)
    """
    return {name: describe_segmenter(name, found) for name, found in sorted(DETECTORS.find_entries().items())}


def load_detector(name: str, /, **options: Any) -> Detector:
    """Return a detector by name.

    Parameters
    ----------
    name : str
        As listed by `available_detectors`.
    **options
        Keyword arguments of its class.

    Raises
    ------
    SegmenterError
        If no detector has this name or several have, if it cannot be imported or has no method ``detect``, or if an
        option is unknown, missing, or refused.
    MissingDependencyError
        If a library that it needs is not installed.
    """
    factory = DETECTORS[name]
    check_options("detector", name, factory, options)
    detector = make_plugin("detector", name, factory, options)
    if isinstance(detector, type) or not isinstance(detector, Detector):
        entry = DETECTORS.find_entries()[name][0]
        msg = (
            f"detector '{name}' of {get_distribution(entry)}: {entry.value} makes a {type(detector).__name__}, "
            f"which has no method detect(image, spacing); its author must register a class that has one"
        )
        raise SegmenterError(msg)
    return detector


def prepare_detector(detector: str | Detector, options: Mapping[str, Any] | None, images: FrameStack) -> Detector:
    """Return a detector that has received some frames of a movie.

    Parameters
    ----------
    detector : str or Detector
        A name, or an object with ``detect(image, spacing)``.
    options : mapping, optional
        Keyword arguments of the class of a detector given by name. Its option ``diameter`` may be text with a unit,
        such as ``"8um"``.
    images : FrameStack
        The movie.

    Raises
    ------
    SegmenterError, MissingDependencyError
        As `load_detector`; also for options of a detector that is an object.
    """
    if isinstance(detector, str):
        options = convert_diameters(options or {}, images.spacing, images.unit)
        check_diameter(options.get("diameter"), images)
        detector = load_detector(detector, **options)
    elif options:
        msg = (
            f"options are given for the detector '{_get_name(detector)}', which is an object: set them when it is made"
        )
        raise SegmenterError(msg)
    prepare = getattr(detector, "prepare", None)
    if prepare is None:
        return detector
    frames = []
    for frame in sorted({0, len(images) // 2, max(len(images) - 1, 0)}) if len(images) else []:
        with suppress(GnntrackError):  # the error comes when the frame is searched, with its number
            frames.append(read_middle(images, frame))
    with suppress(FrameError):
        prepare(frames, images.spacing)
    diameter = getattr(detector, "estimated_diameter", None)
    if diameter is not None:
        size = f" = {diameter * images.spacing[-1]:.3g} um" if images.unit == "um" else ""
        number = count_noun(len(frames), "frame")
        _log.info("cell diameter %.1f pixels%s, estimated from %s (--diameter sets it)", diameter, size, number)
    return detector


def detect_frame(
    detector: Detector,
    image: Image | LargeFrame,
    spacing: Sequence[float],
    *,
    frame: int | None = None,
    file: object = None,
) -> Points:
    """Return the points of one frame; every error names detector, file and frame.

    Raises
    ------
    FrameError
        If the detector cannot use the image.
    SegmenterError
        If it fails otherwise, or does not return points inside the image.
    """
    where = f"detector '{_get_name(detector)}'" + ("" if frame is None else f", frame {frame}")
    try:
        points: Any = detector.detect(image, spacing)  # type: ignore[arg-type]  # a large one only if it can
    except FrameError as error:
        if error.frame is not None or error.file is not None:
            raise
        raise FrameError(str(error), file=file, frame=frame) from error
    except (GnntrackError, MemoryError):
        raise
    except Exception as error:  # a plug-in may raise anything
        msg = f"{where}: it failed with {type(error).__name__}: {error}"
        raise SegmenterError(msg) from error
    problem = ""
    if not isinstance(points, Points):
        problem = f"{type(points).__name__}; expected gnntrack.types.Points"
    elif points.position.shape[1] != image.ndim:
        given, expected = (count_noun(n, "axis", "axes") for n in (points.position.shape[1], image.ndim))
        problem = f"positions with {given} for an image with {expected}"
    elif ((points.position < -0.5) | (points.position > np.array(image.shape) - 0.5)).any():
        problem = "a point outside the image; positions are in voxels"
    if problem:
        msg = f"{where}: it returned {problem}"
        raise SegmenterError(msg)
    return points  # type: ignore[no-any-return]


def detect_movie(images: FrameStack, detector: Detector, *, progress: Progress | None = None) -> pd.DataFrame:
    """Return the points of a movie.

    Parameters
    ----------
    images : FrameStack
        The movie.
    detector : Detector
        Used on each frame in turn.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    pandas.DataFrame
        Columns ``t``, ``z`` (of stacks), ``y``, ``x`` in voxels, ``radius`` in the unit of the movie, ``intensity`` and
        ``score``, in the order of the frames, the highest score first.

    Raises
    ------
    FrameError, SegmenterError
        As `detect_frame`; also if a frame cannot be read.
    """
    import pandas as pd

    found = list(_search_frames(images, detector, progress))
    axes = "zyx"[-len(images.shape) :]
    columns: dict[str, Any] = {"t": np.repeat(np.arange(len(found)), [len(points) for points in found])}
    position = np.concatenate([np.empty((0, len(axes))), *(points.position for points in found)])
    columns |= dict(zip(axes, position.T, strict=True))
    for name in ("radius", "intensity", "score"):
        columns[name] = np.concatenate([np.empty(0), *(getattr(points, name) for points in found)])
    return pd.DataFrame(columns)


def _search_frames(images: FrameStack, detector: Detector, progress: Progress | None) -> Iterator[Points]:
    for frame in range(len(images)):
        large = is_large(images) and getattr(detector, "takes_large_frames", False)
        image = LargeFrame(images, frame) if large else images[frame]
        points = detect_frame(detector, image, images.spacing, frame=frame, file=images.names[frame])
        yield points.take(np.argsort(-points.score, kind="stable"))
        if progress is not None:
            progress("detect", frame + 1, len(images))


def _get_name(detector: Detector) -> str:
    name = getattr(detector, "name", None)
    return name if isinstance(name, str) else type(detector).__name__
