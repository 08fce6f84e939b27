"""Points as input: detections of any program, as a table, an array or a file.

A table has a row per point, and columns for the frame and the position.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.types import PointSet

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.settings import FrameSettings
    from gnntrack.types import FloatArray, IntArray

__all__ = ["read_points"]


def read_points(points: object, *, settings: FrameSettings) -> PointSet:
    """Return the points of an array, a table or a file.

    Parameters
    ----------
    points : array (N, 1 + D), pandas.DataFrame or path
        Columns t, [z], y, x in pixels; a table may have more.
    settings : FrameSettings
        ``spacing`` is the size of a pixel in um.

    Raises
    ------
    InputError
        If the points cannot be read.

    Examples
    --------
    >>> from gnntrack.settings import FrameSettings
    >>> found = read_points(np.array([[0, 5.0, 6.0], [1, 5.0, 7.0]]), settings=FrameSettings(spacing=(0.5, 0.5)))
    >>> found.frame.tolist(), found.position.tolist(), found.unit
    ([0, 1], [[2.5, 3.0], [2.5, 3.5]], 'um')
    """
    import pandas as pd

    if isinstance(points, str | Path):
        points = pd.read_csv(points)
    if isinstance(points, pd.DataFrame):
        return _read_frame(points, settings)
    values = np.asarray(points, np.float64)
    if values.ndim != 2 or values.shape[1] not in (3, 4):
        msg = f"an array of shape {values.shape} in place of points; give (N, 3) with t, y, x or (N, 4) with t, z, y, x"
        raise InputError(msg)
    return _scale(values[:, 0].astype(np.int64), values[:, 1:], settings)


def _read_frame(table: pd.DataFrame, settings: FrameSettings) -> PointSet:
    names = {str(name).lower(): name for name in table.columns}
    time = names.get("t", names.get("frame"))
    axes = [names[axis] for axis in "zyx" if axis in names]
    if time is None or len(axes) < 2:
        msg = f"the table has the columns {list(table.columns)}; points need t (or frame), y and x, in 3D z too"
        raise FormatError(msg)
    more: dict[str, Any] = {
        name: table[names[name]].to_numpy(np.float64) for name in ("radius", "intensity") if name in names
    }
    position = table[axes].to_numpy(np.float64)
    return _scale(table[time].to_numpy(np.int64), position, settings)._replace(**more)


def _scale(frame: IntArray, position: FloatArray, settings: FrameSettings) -> PointSet:
    """Return points whose positions are in pixels."""
    ndim = position.shape[1]
    spacing = settings.spacing
    if spacing is None:
        return PointSet(frame, position, (1.0,) * ndim, "pixel")
    if len(spacing) == 1:
        spacing = spacing * ndim
    if len(spacing) != ndim:
        msg = f"{len(spacing)} voxel sizes for points with {ndim} axes; give --spacing with {ndim} numbers"
        raise InputError(msg)
    return PointSet(frame, position * np.asarray(spacing), tuple(spacing), "um")
