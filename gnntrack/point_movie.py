"""Points and the images that they belong to, opened and checked together: the input of tracking without masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gnntrack.errors import InputError
from gnntrack.io.points import read_points
from gnntrack.io.stack import get_interval
from gnntrack.measure.points import add_features, make_point_cells
from gnntrack.movie import open_images

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.types import Cells, FrameStack, Progress

__all__ = ["POINT_OPTIONS", "PointMovie", "open_points", "refuse_masks"]

POINT_OPTIONS = ("points", "points_unit", "radius")
"""Keywords of the recipes for points."""


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
    """

    cells: Cells
    images: FrameStack | None = None
    interval: float | None = None


def open_points(
    points: object,
    *,
    images: object = None,
    settings: Settings,
    points_unit: Any = None,
    radius: float | None = None,
    progress: Progress | None = None,
) -> PointMovie:
    """Read points, and measure the images around them.

    Parameters
    ----------
    points : path, pandas.DataFrame or array (N, 1 + D)
        See `gnntrack.io.points.read_points`.
    images : path, array (T, [Z], Y, X) or FrameStack, optional
        Images of the microscope. They are measured around each point, unless the table of points has intensities.
    settings : Settings
        ``frames`` and ``cells`` are used.
    points_unit : {"um", "pixel"}, optional
        Unit of the positions, if the names of their columns do not have it and they are not in voxels.
    radius : float, optional
        Radius of all points.
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
    found = read_points(points, settings=settings.frames, unit=points_unit, radius=radius, images=stack)
    cells, _ = make_point_cells(found, neighbours=settings.cells.neighbours)
    if stack is not None and not cells.has("intensity_mean"):
        from gnntrack.measure.point_intensities import measure_balls

        sizes = cells.spacing
        reach = cells.feature("diameter")[:, None].astype(float) / 2 / sizes
        cells = add_features(cells, measure_balls(stack, cells.frame, cells.position / sizes, reach, progress=progress))
    interval = settings.frames.interval or found.interval or (None if stack is None else get_interval(stack))
    return PointMovie(cells, stack, interval)


def refuse_masks(masks: object, options: dict[str, Any]) -> None:
    """Raise if masks or a segmenter are given beside points."""
    given = ["masks"] * (masks is not None)
    given += [name for name in ("segmenter", "segmenter_options") if options.get(name)]
    if given:
        msg = f"points are given, and {given[0]} too; points are tracked without masks: omit one of the two"
        raise InputError(msg)
