"""Simulated cells on the pixel grid: the cell of each pixel, and the depth of the pixel inside the cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.compiled import compile_function
from gnntrack.randomness import draw_traits

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.simulate.colony import Snapshot
    from gnntrack.types import FeatureArray, FloatArray

__all__ = ["draw_cells"]

_WAVES = 5  # number of waves whose sum is the bumps of an outline


def draw_cells(
    snapshot: Snapshot, shape: tuple[int, ...], spacing: tuple[float, ...], seed: int
) -> tuple[npt.NDArray[np.int32], FeatureArray]:
    """Draw the cells of one frame.

    A cell is an ellipse (ellipsoid) with bumps: the pixel at x is inside where ``|M (x - c)| < 1 + bumps``.
    Where cells overlap, a pixel belongs to the cell that it lies deeper in, so that cells touch along a line.

    Returns
    -------
    owner : (Y, X) or (Z, Y, X) int32
        Row of the cell in the snapshot plus 1; 0 = background.
    level : float32 of the same shape
        0 in the centre of a cell, 1 on its outline and beyond.
    """
    layout = (1, *shape)[-3:]
    owner, level = np.zeros(layout, np.int32), np.ones(layout, np.float32)
    place, axes = np.zeros((len(snapshot), 3)), np.ones((len(snapshot), 3))
    place[:, -len(shape) :], axes[:, -len(shape) :] = snapshot.position, snapshot.axes
    pixel = np.array((1.0, *spacing)[-3:])
    waves = _draw_waves(snapshot, len(shape), seed)
    _fill_cells(owner, level, place, axes, snapshot.angle, waves, pixel, len(shape))
    return owner.reshape(shape), level.reshape(shape)


def _draw_waves(snapshot: Snapshot, ndim: int, seed: int) -> FloatArray:
    """Return wave vector, phase and height of each cell's bumps, (n, waves, 5); they change slowly with age."""
    chance = draw_traits(snapshot.id, 5 * _WAVES, seed=seed + 1).reshape(-1, _WAVES, 5)
    turn, up = 2 * math.pi * chance[..., 0], (2 * chance[..., 1] - 1) * (ndim == 3)
    length = 1.5 + 2.5 * chance[..., 2]
    flat = length * np.sqrt(1 - up**2)
    age = np.clip(snapshot.age, 0, None)[:, None]
    phase = 2 * math.pi * chance[..., 3] + 0.25 * age * (chance[..., 4] - 0.5)
    height = np.broadcast_to(snapshot.rough[:, None] / math.sqrt(_WAVES / 2), phase.shape)
    return np.stack([length * up, flat * np.cos(turn), flat * np.sin(turn), phase, height], axis=-1)


@compile_function
def _sum_waves(waves, z, y, x):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    total = 0.0
    for k in range(waves.shape[0]):
        total += waves[k, 4] * math.sin(waves[k, 0] * z + waves[k, 1] * y + waves[k, 2] * x + waves[k, 3])
    return total


@compile_function
def _fill_cells(owner, level, place, axes, angle, waves, pixel, ndim):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    low, high = np.zeros(3, np.int64), np.ones(3, np.int64)
    for c in range(place.shape[0]):
        reach = 1.35 * axes[c].max() if ndim == 2 else 1.35 * max(axes[c, 1], axes[c, 2])
        for axis in range(3 - ndim, 3):
            span = reach if axis else 1.35 * axes[c, 0]
            low[axis] = max(0, math.ceil((place[c, axis] - span) / pixel[axis]))
            high[axis] = min(owner.shape[axis], math.floor((place[c, axis] + span) / pixel[axis]) + 1)
        cos, sin = math.cos(angle[c]), math.sin(angle[c])
        for z in range(low[0], high[0]):
            dz = (z * pixel[0] - place[c, 0]) / axes[c, 0] if ndim == 3 else 0.0
            for y in range(low[1], high[1]):
                dy = y * pixel[1] - place[c, 1]
                for x in range(low[2], high[2]):
                    dx = x * pixel[2] - place[c, 2]
                    along, across = (cos * dy + sin * dx) / axes[c, 1], (cos * dx - sin * dy) / axes[c, 2]
                    far = math.sqrt(dz * dz + along * along + across * across)
                    if far >= 1.35:
                        continue
                    if far > 1e-6:
                        # divided by the outline's radius in this direction; the bumps turn with the cell
                        far /= 1 + _sum_waves(waves[c], dz / far, along / far, across / far)
                    if far < level[z, y, x]:
                        level[z, y, x] = far
                        owner[z, y, x] = c + 1
