"""Results without cells, for movies that could not be tracked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.errors import GnntrackError
from gnntrack.measure.points import make_point_cells
from gnntrack.movie import open_images
from gnntrack.point_movie import PointMovie
from gnntrack.point_recipes import track_points
from gnntrack.point_results import write_point_result
from gnntrack.result_files import RunRecord
from gnntrack.settings import Settings
from gnntrack.types import PointSet

if TYPE_CHECKING:
    from pathlib import Path

    from gnntrack.batch.positions import Position

__all__ = ["write_empty_result"]


def write_empty_result(out: Path, position: Position, *, settings: Settings, overwrite: bool = False) -> None:
    """Write a result of points without any, with as many frames as the images; one if they cannot be opened.

    Parameters
    ----------
    out : Path
        Folder of the result.
    position : Position
        The movie.
    settings : Settings
        ``frames`` is used to open the images.
    overwrite : bool
        Replace an older result.

    Raises
    ------
    OutputError
        If `out` exists or cannot be written.
    """
    spacing = settings.frames.spacing or (1.0, 1.0, 1.0)
    unit = "pixel" if settings.frames.spacing is None else "um"
    shape, frames = (1,) * len(spacing), 1
    try:
        if position.images is not None:
            stack = open_images(position.images, settings=settings)
            spacing, unit, shape, frames = stack.spacing, stack.unit, stack.shape, len(stack)
    except (GnntrackError, OSError):
        pass  # the reason is in the table of the batch
    nothing = PointSet(np.zeros(0, np.int64), np.zeros((0, len(spacing))), spacing, unit, n_frames=frames, shape=shape)
    cells, _ = make_point_cells(nothing)
    lineage = track_points(PointMovie(cells), method="hungarian", solver=None, settings=Settings())
    quiet = settings.replace(output__pictures=False)
    write_point_result(out, lineage, run=RunRecord(settings=quiet), overwrite=overwrite)
