"""Brightness of the images around points: in a ball of their radius, and in the shell around it.

=================== ====== ==================================================================
feature             unit   meaning
=================== ====== ==================================================================
intensity_mean      grey   in the ball; so are ``intensity_std``, ``_min`` and ``_max``
intensity_contrast  grey   mean of the ball minus that of the shell up to 1.6 radii around it
intensity_*_zscore         the four of the ball, compared with those of the other points of the frame
=================== ====== ==================================================================

A ball holds the voxels whose centres are in it, at least the nearest one. Values that are not finite are not counted.
"""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.errors import FrameError
from gnntrack.frame_slabs import is_large, list_slabs, read_planes
from gnntrack.measure.cells import INTENSITY_FEATURES, INTENSITY_ZSCORES, compute_zscores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    from gnntrack.types import FloatArray, FrameStack, IntArray, Progress

__all__ = ["Volume", "measure_balls", "read_volumes"]

_SHELL = 1.6  # outer radius of the shell, in radii


def measure_balls(
    images: FrameStack,
    frame: IntArray,
    pixel: FloatArray,
    reach: FloatArray,
    *,
    measure_more: Callable[[IntArray, Volume], None] | None = None,
    progress: Progress | None = None,
) -> dict[str, tuple[FloatArray, str]]:
    """Measure the images around points, frame by frame.

    Parameters
    ----------
    images : FrameStack
        The images; frames without points are not read.
    frame : (N,) int64
        Frame of each point, ascending.
    pixel : (N, D) float64
        Centre of each point in voxels along ``[z], y, x``.
    reach : (N, D) float64
        Radius of each point in voxels along each axis.
    measure_more : callable, optional
        Called with the rows of some points and the volume around them, so that it is read only once.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    dict
        Name of a feature -> its values (N,) and its unit.

    Raises
    ------
    FrameError
        If an image cannot be read, or has another shape.

    Examples
    --------
    >>> from gnntrack.io.frames import open_frames
    >>> image = np.zeros((1, 9, 9), np.uint8)
    >>> image[0, 3:6, 3:6] = 90
    >>> found = measure_balls(open_frames(image), np.array([0]), np.array([[4.0, 4.0]]), np.array([[1.5, 1.5]]))
    >>> found["intensity_mean"][0].tolist(), found["intensity_contrast"][0].tolist()
    ([90.0], [90.0])
    """
    ndim = pixel.shape[1]
    deep = np.zeros((len(pixel), 3)), np.full((len(pixel), 3), 0.5)
    deep[0][:, 3 - ndim :], deep[1][:, 3 - ndim :] = pixel, np.maximum(reach, 0.5)
    offsets = np.searchsorted(frame, np.arange(len(images) + 1))
    sums = np.zeros((len(pixel), len(INTENSITY_FEATURES) + 1))
    for rows, volume in read_volumes(images, frame, *deep, progress=progress):
        out = np.empty((len(rows), sums.shape[1]))
        _sum_balls(*volume, deep[0][rows], deep[1][rows], _SHELL, out)
        sums[rows] = out
        if measure_more is not None:
            measure_more(rows, volume)
    found = {name: (sums[:, k], "grey") for k, name in enumerate(INTENSITY_FEATURES)}
    found["intensity_contrast"] = sums[:, 0] - sums[:, -1], "grey"
    zscores = compute_zscores(sums[:, : len(INTENSITY_FEATURES)], offsets)
    return found | {name: (zscores[:, k], "") for k, name in enumerate(INTENSITY_ZSCORES)}


class Volume(NamedTuple):
    """Planes of a frame."""

    values: npt.NDArray[np.float32]
    """(Z, Y, X)."""
    first: int
    """Number of the first of these planes."""
    depth: int
    """Planes of the whole frame."""


def read_volumes(
    images: FrameStack, frame: IntArray, centre: FloatArray, reach: FloatArray, *, progress: Progress | None = None
) -> Iterator[tuple[IntArray, Volume]]:
    """Yield the rows of some points of a frame, and the planes around them; all of a frame at once if it is small.

    Parameters
    ----------
    images, frame, progress
        As of `measure_balls`.
    centre, reach : (N, 3) float64
        Centre and radius of each point in voxels along z, y, x.

    Raises
    ------
    FrameError
        As of `measure_balls`.
    """
    n_frames = len(images)
    offsets = np.searchsorted(frame, np.arange(n_frames + 1))
    for t, (low, high) in enumerate(itertools.pairwise(offsets.tolist())):
        rows = np.arange(low, high)
        if high > low and is_large(images):
            yield from _read_slabs(images, t, rows, centre[rows, 0], reach[rows, 0])
        elif high > low:
            image = np.asarray(images[t])
            if image.shape != tuple(images.shape):
                msg = f"an image of shape {image.shape}; the others have {tuple(images.shape)}"
                raise FrameError(msg, file=images.names[t], frame=t)
            values = np.ascontiguousarray(image, np.float32).reshape((1,) * (3 - image.ndim) + image.shape)
            yield rows, Volume(values, 0, len(values))
        if progress is not None:
            progress("images", t + 1, n_frames)


def _read_slabs(
    images: FrameStack, frame: int, rows: IntArray, z: FloatArray, reach: FloatArray
) -> Iterator[tuple[IntArray, Volume]]:
    """Yield the points of each slab, and its planes with those that the shells around the points reach."""
    depth = images.shape[0]
    plane = np.clip(np.rint(z), 0, depth - 1)
    margin = math.ceil(_SHELL * float(reach.max())) + 1
    for slab in list_slabs(images):
        inside = (plane >= slab.start) & (plane < slab.stop)
        if inside.any():
            first = max(0, slab.start - margin)
            values = read_planes(images, frame, slice(first, min(depth, slab.stop + margin)))
            yield rows[inside], Volume(np.ascontiguousarray(values, np.float32), first, depth)


@compile_function
def _sum_balls(
    volume: npt.NDArray[np.float32],
    top: int,
    depth: int,
    centre: FloatArray,
    reach: FloatArray,
    shell: float,
    out: FloatArray,
) -> None:
    """Write mean, standard deviation, minimum and maximum of each ball, and the mean of its shell."""
    for k in range(len(centre)):
        first = _read_nearest(volume, top, depth, centre[k])
        n, total, squares, low, high, m, around = _sum_ball(volume, top, depth, centre[k], reach[k], shell, first)
        if n == 0:
            n, low, high = 1, first, first
        mean = total / n
        out[k, 0] = first + mean
        out[k, 1] = math.sqrt(max(squares / n - mean * mean, 0.0))
        out[k, 2] = low
        out[k, 3] = high
        out[k, 4] = around / m if m else first + mean


@compile_function
def _read_nearest(volume: npt.NDArray[np.float32], top: int, depth: int, centre: FloatArray) -> float:
    """Return the value of the voxel nearest to a centre, 0 if it is not finite."""
    _, height, width = volume.shape
    z = min(max(round(centre[0]), 0), depth - 1)
    y = min(max(round(centre[1]), 0), height - 1)
    x = min(max(round(centre[2]), 0), width - 1)
    value = float(volume[z - top, y, x])
    return value if math.isfinite(value) else 0.0


@compile_function
def _sum_ball(
    volume: npt.NDArray[np.float32],
    top: int,
    depth: int,
    centre: FloatArray,
    reach: FloatArray,
    shell: float,
    first: float,
) -> tuple[int, float, float, float, float, int, float]:
    """Return the sums of a ball, its lowest and highest value, and number and sum of the values in its shell.

    The sums of a ball are number, sum, and sum of squares of the differences from `first`, which keep the digits of
    small spreads.
    """
    cz, cy, cx = centre[0], centre[1], centre[2]
    rz, ry, rx = reach[0], reach[1], reach[2]
    _, height, width = volume.shape
    n, total, squares, low, high, m, around = 0, 0.0, 0.0, math.inf, -math.inf, 0, 0.0
    for z in range(max(0, math.ceil(cz - shell * rz)), min(depth - 1, math.floor(cz + shell * rz)) + 1):
        dz = ((z - cz) / rz) ** 2
        for y in range(max(0, math.ceil(cy - shell * ry)), min(height - 1, math.floor(cy + shell * ry)) + 1):
            dy = dz + ((y - cy) / ry) ** 2
            for x in range(max(0, math.ceil(cx - shell * rx)), min(width - 1, math.floor(cx + shell * rx)) + 1):
                away = dy + ((x - cx) / rx) ** 2
                value = float(volume[z - top, y, x])
                if away > shell * shell or not math.isfinite(value):
                    continue
                if away > 1:
                    m += 1
                    around += value
                    continue
                n += 1
                total += value - first
                squares += (value - first) ** 2
                low, high = min(low, value), max(high, value)
    return n, total, squares, low, high, m, around
