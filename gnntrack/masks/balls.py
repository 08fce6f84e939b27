"""Masks of points: a ball around each, in 2D a disc; balls do not overlap.

A voxel in several balls belongs to the centre that is nearest in radii. The voxel at a centre belongs to this centre.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.errors import FormatError
from gnntrack.masks.runs import encode_frame, join_frames

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import Cells, FloatArray, Runs

__all__ = ["draw_ball_runs", "draw_balls"]

_EDGE = 0.5  # of a voxel: the centre of the first one is 0


def draw_ball_runs(cells: Cells, radius: FloatArray) -> Runs:
    """Return the pixels of balls around the points of a movie.

    Parameters
    ----------
    cells : Cells
        The points.
    radius : (N,) float64
        Radius of each in ``cells.unit``.

    Raises
    ------
    FormatError
        If a position is below 0.

    Examples
    --------
    >>> from gnntrack.types import Cells
    >>> cells = Cells([0, 0], [1, 2], [[4, 4], [4, 7]], np.zeros((2, 0)), (), (), (1, 1), 1, (9, 9), points=True)
    >>> runs = draw_ball_runs(cells, np.array([2.0, 2.0]))
    >>> np.bincount(runs.cell, weights=runs.length).tolist()
    [12.0, 11.0]
    """
    spacing = np.asarray(cells.spacing)
    pixel, reach = cells.position / spacing, radius[:, None] / spacing
    if pixel.min(initial=0) < -_EDGE:
        row = int(np.argmin(pixel.min(axis=1)))
        msg = (
            f"point {cells.label[row]} of frame {cells.frame[row]} is at voxel {pixel[row].min():g}, and masks begin "
            "with the voxel 0: add a constant to the positions to draw balls"
        )
        raise FormatError(msg)
    frames = []
    for t in range(cells.n_frames):
        rows = cells.rows(t)
        start, length, value = encode_frame(draw_balls(pixel[rows], reach[rows], tuple(cells.shape)))
        frames.append((start, length, value - 1 + rows.start))
    return join_frames(frames, tuple(cells.shape))


def draw_balls(pixel: FloatArray, reach: FloatArray, shape: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Return an image with the number of the ball at each voxel, 0 = none.

    Parameters
    ----------
    pixel : (N, D) float64
        Centres in voxels along ``[z], y, x``; those outside are moved to the border.
    reach : (N, D) float64
        Radii in voxels along each axis.
    shape : D ints
        Shape of the image.

    Returns
    -------
    array of `shape`, int32
        Balls are numbered from 1; each has at least one voxel, as long as there are no more balls than voxels.

    Examples
    --------
    >>> draw_balls(np.array([[0.0, 1.0], [0.0, 3.0]]), np.full((2, 2), 1.5), (1, 6))
    array([[1, 1, 1, 2, 2, 0]], dtype=int32)
    """
    ndim = len(shape)
    solid = (1,) * (3 - ndim) + tuple(shape)
    centre, size = np.zeros((len(pixel), 3)), np.full((len(pixel), 3), 0.5)
    centre[:, 3 - ndim :] = np.clip(pixel, 0, np.asarray(shape) - 1)
    size[:, 3 - ndim :] = np.maximum(reach, 1e-6)
    owner = np.zeros(solid, np.int32)
    _fill_balls(owner, np.full(solid, np.inf, np.float32), centre, size)
    return owner.reshape(shape)


@compile_function
def _fill_balls(
    owner: npt.NDArray[np.int32], nearest: npt.NDArray[np.float32], centre: FloatArray, reach: FloatArray
) -> None:
    """Write the number of the ball at each voxel; `nearest` holds the squared distance from its centre in radii."""
    depth, height, width = owner.shape
    for k in range(len(centre)):
        cz, cy, cx = centre[k]
        rz, ry, rx = reach[k]
        for z in range(max(0, math.ceil(cz - rz)), min(depth - 1, math.floor(cz + rz)) + 1):
            dz = ((z - cz) / rz) ** 2
            for y in range(max(0, math.ceil(cy - ry)), min(height - 1, math.floor(cy + ry)) + 1):
                dy = dz + ((y - cy) / ry) ** 2
                for x in range(max(0, math.ceil(cx - rx)), min(width - 1, math.floor(cx + rx)) + 1):
                    away = np.float32(dy + ((x - cx) / rx) ** 2)
                    if away <= 1 and away < nearest[z, y, x]:
                        nearest[z, y, x] = away
                        owner[z, y, x] = k + 1
    for k in range(len(centre)):  # the voxel at the centre, or the nearest one that is not the centre of another ball
        z, y, x = _find_own(nearest, centre[k])
        nearest[z, y, x] = -1
        owner[z, y, x] = k + 1


@compile_function
def _find_own(nearest: npt.NDArray[np.float32], centre: FloatArray) -> tuple[int, int, int]:
    """Return the voxel nearest to a centre that is not taken, which is marked by -1."""
    depth, height, width = nearest.shape
    cz, cy, cx = round(centre[0]), round(centre[1]), round(centre[2])
    best = (cz, cy, cx)
    for step in range(max(depth, height, width)):
        least = math.inf
        for z in range(max(0, cz - step), min(depth - 1, cz + step) + 1):
            for y in range(max(0, cy - step), min(height - 1, cy + step) + 1):
                for x in range(max(0, cx - step), min(width - 1, cx + step) + 1):
                    away = (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2
                    if nearest[z, y, x] >= 0 and away < least:
                        least, best = away, (z, y, x)
        if least < math.inf:
            break
    return best
