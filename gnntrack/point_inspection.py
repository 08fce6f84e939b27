"""Report on points before tracking: how many, in which frames and units, and what may be wrong with them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import GnntrackWarning
from gnntrack.io.geff_store import is_geff
from gnntrack.io.point_files import POINT_FILES
from gnntrack.io.points import LINKED_AGAIN
from gnntrack.point_movie import open_points
from gnntrack.results import find_point_result
from gnntrack.user_warnings import record_warnings

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["holds_points", "inspect_points"]


def holds_points(path: str | Path) -> bool:
    """Return whether a path is a table of points, a TrackMate file, a GEFF, or a result of points.

    Examples
    --------
    >>> holds_points("points.csv"), holds_points("movie.tif")
    (True, False)
    """
    path = Path(path).expanduser()
    if path.suffix.lower() in POINT_FILES:
        return True
    return path.is_dir() and (is_geff(path) or find_point_result(path) is not None)


def inspect_points(path: str | Path, *, settings: Settings, points_unit: str | None = None) -> dict[str, Any]:
    r"""Read points and describe them.

    Parameters
    ----------
    path : path
        As of `gnntrack.track` with ``points``.
    settings : Settings
        Its sections ``frames`` and ``cells`` are used.
    points_unit : {"um", "pixel"}, optional
        As in `gnntrack.track`.

    Returns
    -------
    dict
        Plain JSON values: kind, frames, shape, spacing, unit, interval, number of points, those per frame (minimum,
        median, maximum), the median distance from the nearest point of the frame, the median radius or None, names of
        the features, and a list of problems.

    Raises
    ------
    InputError
        If the points cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> from gnntrack.settings import Settings
    >>> file = Path(tempfile.mkdtemp(), "points.csv")
    >>> _ = file.write_text("frame,y,x\n0,1,5\n0,1,9\n2,1,2\n")
    >>> found = inspect_points(file, settings=Settings())
    >>> found["points"], found["points_per_frame"], len(found["problems"])
    (3, [0, 1.0, 2], 1)
    """
    with warnings.catch_warnings(), record_warnings() as problems:
        warnings.simplefilter("ignore", GnntrackWarning)
        movie = open_points(str(path), settings=settings, points_unit=points_unit)
    cells = movie.cells
    count = np.bincount(cells.frame, minlength=cells.n_frames)
    return {
        "kind": "points",
        "frames": cells.n_frames,
        "shape": [int(side) for side in cells.shape],
        "spacing": [float(size) for size in cells.spacing],
        "unit": cells.unit,
        "interval": movie.interval,
        "points": len(cells),
        "points_per_frame": [int(count.min()), float(np.median(count)), int(count.max())],
        "neighbour_distance": float(np.median(cells.feature("neighbour_distance"))),
        "radius": float(np.median(cells.feature("diameter"))) / 2 if cells.has("size") else None,
        "features": list(cells.feature_names),
        "problems": [problem for problem in problems if not problem.endswith(LINKED_AGAIN)],
    }
