"""Large movies of points: whether one is large, and its lineage, tracked in windows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.cluster import run_job
from gnntrack.stage_times import time_stage
from gnntrack.windows.point_job import MOST_CELLS, PointJob
from gnntrack.windows.point_join import join_windows
from gnntrack.windows.point_store import write_points

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.types import Lineage, PointSet, Progress

__all__ = ["are_many", "track_points_in_windows"]


def are_many(points: PointSet) -> bool:
    """Return whether a movie has more points than are tracked at once.

    Examples
    --------
    >>> import numpy as np
    >>> from gnntrack.types import PointSet
    >>> are_many(PointSet(np.array([0, 1]), np.array([[2.5, 3.0], [2.5, 3.5]]), (1.0, 1.0), "pixel"))
    False
    """
    return len(points.frame) > MOST_CELLS


def track_points_in_windows(
    found: list[PointSet], *, settings: Settings, progress: Progress | None, **options: Any
) -> Lineage:
    """Return the lineage of many points, which are tracked in windows with a temporary work folder.

    Parameters
    ----------
    found : list of PointSet
        The points of one movie. They are taken out of the list, so that their memory is free while they are tracked.
    settings, progress
        As in `gnntrack.track`.
    **options
        Further parameters of `PointJob`.

    Examples
    --------
    >>> import numpy as np
    >>> from gnntrack.settings import Settings
    >>> from gnntrack.types import PointSet
    >>> place = np.tile([[5.0, 5.0], [5.0, 25.0]], (9, 1))
    >>> points = PointSet(np.repeat(np.arange(9), 2), place, (1.0, 1.0), "pixel")
    >>> lineage = track_points_in_windows([points], settings=Settings(), progress=None, halo=2, most_cells=10)
    >>> lineage.tracks.id.tolist(), lineage.provenance.other["windows"]["count"]
    ([1, 2], 5)
    """
    with tempfile.TemporaryDirectory(prefix="gnntrack-") as folder:
        points = found.pop()
        store = Path(folder, "points")
        with time_stage("reading"):
            write_points(points, store, interval=settings.frames.interval or points.interval)
        del points
        job, work = PointJob(store, settings, **options), Path(folder, "work")
        run_job(job, work, progress=progress)
        with time_stage("joining"):
            return join_windows(job, work)
