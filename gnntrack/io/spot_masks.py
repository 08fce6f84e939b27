"""Masks of spots: the outline of each, or a disc or ball of its radius."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.draw import polygon

from gnntrack.io.stack import Stack

if TYPE_CHECKING:
    from gnntrack.io.trackmate import Spots
    from gnntrack.types import FloatArray, Image, IntArray

__all__ = ["draw_spots"]


def draw_spots(
    spots: Spots, pixel: FloatArray, label: IntArray, shape: tuple[int, ...], spacing: tuple[float, ...], n_frames: int
) -> Stack:
    """Return masks with an outline or a ball for each spot; each frame is drawn when it is read.

    Parameters
    ----------
    spots : Spots
        The spots; their outlines are used in 2D. Of overlapping ones, the smaller is on top.
    pixel : (N, D) float64
        Centre of each spot in pixels.
    label : (N,) int64
        Value of each spot, different within a frame.
    shape : D ints
        Shape of the frames.
    spacing : D floats
        Size of a pixel in the unit of the spots.
    n_frames : int
        Number of frames.
    """
    rows = [np.flatnonzero(spots.frame == frame) for frame in range(n_frames)]

    def read(frame: int) -> Image:
        mask = np.zeros(shape, np.int32)
        for row in rows[frame][np.argsort(spots.radius[rows[frame]], kind="stable")].tolist():  # small ones in holes
            outline = spots.outlines.get(row) if len(shape) == 2 else None
            draw = _list_ball(pixel[row], spots.radius[row], shape, spacing)
            if outline is not None:
                y, x = (pixel[row] + outline / np.array(spacing)).T
                draw = polygon(y, x, shape)  # type: ignore[no-untyped-call]
            free = tuple(axis[mask[draw] == 0] for axis in draw)
            mask[free] = label[row]
        for row in rows[frame].tolist():  # a cell that others cover keeps a pixel
            if not (mask == label[row]).any():
                mask[_find_pixel(mask, pixel[row])] = label[row]
        return mask

    unit = spots.unit if spots.spacing is not None or spots.unit == "um" else "pixel"
    names = [f"spots, frame {frame}" for frame in range(n_frames)]
    return Stack(read, names, shape, spacing if unit == "um" else (1.0,) * len(shape), unit)


def _find_pixel(mask: Image, centre: FloatArray) -> tuple[int, ...]:
    """Return the pixel nearest to a centre that is background, or that its cell can spare."""
    count = np.bincount(mask.ravel())
    spare = np.argwhere((mask == 0) | (count[mask] > 1))
    nearest = int(np.argmin(((spare - centre) ** 2).sum(axis=1)))
    return tuple(spare[nearest].tolist())


def _list_ball(
    centre: FloatArray, radius: float, shape: tuple[int, ...], spacing: tuple[float, ...]
) -> tuple[IntArray, ...]:
    """Return the pixels of a disc or ball, an array per axis; at least the one at its centre."""
    reach = radius / np.array(spacing)
    low = np.clip(np.floor(centre - reach).astype(int), 0, np.array(shape) - 1)
    high = np.clip(np.ceil(centre + reach).astype(int), 0, np.array(shape) - 1)
    grid = np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high, strict=True)), indexing="ij")
    away = sum(((axis - middle) / max(r, 0.5)) ** 2 for axis, middle, r in zip(grid, centre, reach, strict=True))
    near = away <= max(1.0, float(np.min(away)))
    return tuple(axis[near] for axis in grid)
