"""Points and the images that they belong to, opened and checked together: the input of tracking without masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gnntrack.errors import InputError
from gnntrack.io.points import read_points
from gnntrack.io.stack import get_interval
from gnntrack.measure.points import add_features, make_point_cells
from gnntrack.movie import open_images
from gnntrack.segmentation.detection import detect_movie, prepare_detector
from gnntrack.types import PointSet

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from gnntrack.segmentation.detection import Detector
    from gnntrack.settings import Settings
    from gnntrack.types import Cells, FloatArray, FrameStack, Progress

__all__ = [
    "DETECTOR_OPTIONS",
    "POINT_OPTIONS",
    "Detection",
    "PointMovie",
    "choose_point_settings",
    "open_points",
    "plan_detection",
    "refuse_masks",
]

POINT_OPTIONS = ("points", "points_unit", "radius")
"""Keywords of the recipes for points."""
DETECTOR_OPTIONS = ("detector", "detector_options")
"""Keywords of the recipes for points that a detector finds in the images."""
_DIVISION = 0.5  # probability above which a division pays: a false one costs as much as a missed one
_MAX_GAP = 6  # frames that a link may span by default: detectors miss a dim cell in up to five frames


@dataclass(frozen=True)
class Detection:
    """Points that are still to be found.

    Parameters
    ----------
    detector : str or Detector
        A detector, or its name.
    options : mapping, optional
        Options of a detector that is given by name.
    """

    detector: str | Detector
    options: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        name = self.detector if isinstance(self.detector, str) else type(self.detector).__name__
        return f"found by detector {name}" + (f" with {dict(self.options)}" if self.options else "")


@dataclass(frozen=True)
class PointMovie:
    """Points as cells, with their images if there are any.

    Parameters
    ----------
    cells : Cells
        The points.
    images : FrameStack, optional
        Images of the microscope.
    interval : float, optional
        Seconds from a frame to the next; None if neither settings, points nor images have it.
    moments : (N, D, D) float64, optional
        Shapes of the cells in the images; see `gnntrack.measure.point_shapes.PointShapes`.
    """

    cells: Cells
    images: FrameStack | None = None
    interval: float | None = None
    moments: FloatArray | None = None

    def measure_shapes(self, *, progress: Progress | None = None) -> FloatArray | None:
        """Return the shapes of the cells in the images, (N, D, D) float64; None without images."""
        if self.images is None or self.moments is not None:
            return self.moments
        from gnntrack.measure.point_shapes import measure_shapes

        spacing = self.cells.spacing
        where = _find_balls(self.cells)
        return measure_shapes(self.images, self.cells.frame, *where, spacing=spacing, progress=progress)


def choose_point_settings(settings: Settings) -> Settings:
    """Return settings in which those that are not given have the defaults for points."""
    gap = {} if "max_gap" in settings.graph.given else {"graph__max_gap": _MAX_GAP}
    even = {} if "division_threshold" in settings.solver.given else {"solver__division_threshold": _DIVISION}
    return settings.replace(**gap, **even) if gap or even else settings


def open_points(
    points: object,
    *,
    images: object = None,
    settings: Settings,
    points_unit: Any = None,
    radius: float | None = None,
    keep_interpolated: bool = False,
    progress: Progress | None = None,
) -> PointMovie:
    """Read points, and measure the images around them.

    Parameters
    ----------
    points : path, pandas.DataFrame, array (N, 1 + D), PointSet or Detection
        See `gnntrack.io.points.read_points`; a `PointSet` is what that has read. A `Detection` is found in the images.
    images : path, array (T, [Z], Y, X) or FrameStack, optional
        Images of the microscope. They are measured around each point, unless the table of points has intensities.
    settings : Settings
        ``frames`` and ``cells`` are used.
    points_unit : {"um", "pixel"}, optional
        Unit of the positions, if the names of their columns do not have it and they are not in voxels.
    radius : float, optional
        Radius of all points.
    keep_interpolated : bool
        Whether points that are marked as interpolated are kept; they are not detections.
    progress : Progress, optional
        Called after each image.

    Raises
    ------
    InputError
        If points or images cannot be read, or do not fit each other.

    Examples
    --------
    >>> import numpy as np
    >>> from gnntrack.settings import Settings
    >>> image = np.zeros((2, 9, 9), np.uint8)
    >>> image[:, 3:6, 3:6] = 90
    >>> movie = open_points([[0, 4, 4], [1, 4, 4]], images=image, radius=1.5, settings=Settings())
    >>> movie.cells.feature("intensity_mean").tolist(), movie.cells.shape
    ([90.0, 90.0], (9, 9))
    """
    stack = None if images is None else open_images(images, settings=settings)
    if isinstance(points, Detection):
        if stack is None:
            msg = "a detector finds points in images, and none are given; give images, or points"
            raise InputError(msg)
        points = _find_points(stack, points, progress)
    if isinstance(points, PointSet):
        found = points
    else:
        options: dict[str, Any] = {"unit": points_unit, "radius": radius, "keep_interpolated": keep_interpolated}
        found = read_points(points, settings=settings.frames, images=stack, **options)
    cells, _ = make_point_cells(found, neighbours=settings.cells.neighbours)
    moments = None
    if stack is not None and not cells.has("intensity_mean"):
        cells, moments = _measure_images(stack, cells, progress)
    interval = settings.frames.interval or found.interval or (None if stack is None else get_interval(stack))
    return PointMovie(cells, stack, interval, moments)


def _measure_images(images: FrameStack, cells: Cells, progress: Progress | None) -> tuple[Cells, FloatArray]:
    """Return cells with the brightness of the images, and their shapes; images are read once for both."""
    from gnntrack.measure.point_intensities import measure_balls
    from gnntrack.measure.point_shapes import PointShapes

    pixel, reach = _find_balls(cells)
    shapes = PointShapes(pixel, reach, cells.spacing)
    found = measure_balls(images, cells.frame, pixel, reach, measure_more=shapes.add_volume, progress=progress)
    return add_features(cells, found), shapes.moments


def _find_balls(cells: Cells) -> tuple[FloatArray, FloatArray]:
    """Return centres (N, D) and radii (N, D) of cells in voxels."""
    return cells.position / cells.spacing, cells.feature("diameter")[:, None].astype(float) / 2 / cells.spacing


def _find_points(stack: FrameStack, detection: Detection, progress: Progress | None) -> pd.DataFrame:
    """Return the points of a detector; an error if there are none."""
    points = detect_movie(stack, prepare_detector(detection.detector, detection.options, stack), progress=progress)
    if not len(points):
        msg = (
            f"no points are {detection} in the images; check them, or give a lower threshold or the diameter of the "
            "cells (--option threshold=VALUE, --diameter; in Python detector_options)"
        )
        raise InputError(msg)
    return points


def plan_detection(options: dict[str, Any]) -> Detection | None:
    """Take the keywords of a detector out of the options of a recipe; None if there is none.

    Raises
    ------
    InputError
        If points are given too, or only options of a detector.
    """
    detector, more = (options.pop(name, None) for name in DETECTOR_OPTIONS)
    if detector is None:
        if more:
            msg = "detector_options are given without a detector; give its name too, such as detector='dog'"
            raise InputError(msg)
        return None
    if options.get("points") is not None:
        msg = "points are given, and a detector too, which finds points in images: omit one of the two"
        raise InputError(msg)
    return Detection(detector, more)


def refuse_masks(masks: object, options: dict[str, Any]) -> None:
    """Raise if masks or a segmenter are given beside points."""
    given = ["masks"] * (masks is not None)
    given += [name for name in ("segmenter", "segmenter_options") if options.get(name)]
    if given:
        msg = f"points are given, and {given[0]} too; points are tracked without masks: omit one of the two"
        raise InputError(msg)
