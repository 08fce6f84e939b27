"""Report on points: how many, in which frames and units, what may be wrong with them, and their tracks."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FormatError, GnntrackWarning
from gnntrack.estimates import Workload, count_links, estimate_tracking, measure_speed
from gnntrack.io.geff_store import GeffStore, is_geff
from gnntrack.io.point_files import POINT_FILES
from gnntrack.io.points import LINKED_AGAIN
from gnntrack.io.result_folders import EXTRAS
from gnntrack.lineage.families import count_divisions, find_gaps
from gnntrack.loading import load
from gnntrack.point_movie import open_points
from gnntrack.point_recipes import choose_point_settings
from gnntrack.results import find_point_result
from gnntrack.user_warnings import record_warnings
from gnntrack.windows.plan import count_largest, plan_windows
from gnntrack.windows.point_job import HALO, MOST_CELLS

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.types import Cells, Lineage

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
        median, maximum), the estimated cost of ``tracking`` as of `gnntrack.inspection.inspect_movie`, the median
        distance from the nearest point of the frame (None if no frame has two points),
        the median radius or None, names of the features, and a list of problems. Of a result and a GEFF also the number
        of candidate links, or those of tracks, families, divisions, bridged gaps and interpolated points, the median
        frames of a track, the mean confidence of the links, and the method; these are None if there are no links.

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
        movie = open_points(str(path), settings=settings, points_unit=points_unit, keep_interpolated=True)
        linked = _inspect_links(Path(path).expanduser(), problems)
    cells = movie.cells
    count = np.bincount(cells.frame, minlength=cells.n_frames)
    between = cells.feature("neighbour_distance")[count[cells.frame] > 1]  # a point alone has the diagonal
    return {
        "kind": "points",
        "frames": cells.n_frames,
        "shape": [int(side) for side in cells.shape],
        "spacing": [float(size) for size in cells.spacing],
        "unit": cells.unit,
        "interval": movie.interval,
        "points": len(cells),
        "points_per_frame": [int(count.min()), float(np.median(count)), int(count.max())],
        "neighbour_distance": float(np.median(between)) if len(between) else None,
        "radius": float(np.median(cells.feature("diameter"))) / 2 if cells.has("size") else None,
        "features": list(cells.feature_names),
        "tracking": {"points": _estimate_cost(cells, settings)},
        **linked,
        "problems": [problem for problem in problems if not problem.endswith(LINKED_AGAIN)],
    }


def _estimate_cost(cells: Cells, settings: Settings) -> dict[str, float]:
    """Return the estimated cost of ``gnntrack track --points``."""
    load = Workload.of(cells, count_links(cells, choose_point_settings(settings)))
    count = np.bincount(cells.frame, minlength=cells.n_frames)
    windows = plan_windows(cells.n_frames, count, HALO, MOST_CELLS) if load.cells > MOST_CELLS else []
    window = count_largest(windows, count) or None
    return estimate_tracking(load, "points", speed=measure_speed(), window=window)._asdict()


def _inspect_links(path: Path, problems: list[str]) -> dict[str, Any]:
    """Return the values that describe the links of a result or GEFF; a fault in them is a problem."""
    found = dict.fromkeys(
        ("candidates", "tracks", "families", "divisions", "gaps_bridged", "interpolated", "track_frames", "confidence",
         "method", "scored_by")
    )  # fmt: skip
    folder = None if path.is_file() or is_geff(path) else find_point_result(path)
    stored = GeffStore(path if folder is None else folder / EXTRAS / "lineage.geff") if path.is_dir() else None
    if stored is None or not len(stored.edges):
        return found
    if stored.own and not stored.holds_lineage:
        return found | {"candidates": len(stored.edges)}
    try:
        lineage = load(stored.path, points=True, related=False)
    except FormatError as error:
        problems.append(str(error))
        return found
    return found | _describe_tracks(lineage)


def _describe_tracks(lineage: Lineage) -> dict[str, Any]:
    tracks, bridged = lineage.tracks, lineage.provenance.gaps_bridged
    known = lineage.confidence[np.isfinite(lineage.confidence)]
    return {
        "tracks": len(tracks),
        "families": int((tracks.parent == 0).sum()),
        "divisions": count_divisions(tracks),
        "gaps_bridged": len(find_gaps(lineage)[0]) if bridged is None else bridged,
        "interpolated": int(lineage.cells.feature("interpolated").sum()) if lineage.cells.has("interpolated") else 0,
        "track_frames": float(np.median(tracks.end - tracks.start + 1)),
        "confidence": float(known.mean()) if len(known) else None,
        "method": lineage.provenance.method,
        "scored_by": lineage.provenance.scored_by,
    }
