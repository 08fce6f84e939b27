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
_LOBES = 3  # number of waves whose sum is the lobes of an amoeboid cell
_TALLEST = 0.6  # height of a single lobe, as a fraction of that of all
_REACH = 1.35  # farthest point of a cell without lobes, in half axes


def draw_cells(
    snapshot: Snapshot, shape: tuple[int, ...], spacing: tuple[float, ...], seed: int
) -> tuple[npt.NDArray[np.int32], FeatureArray]:
    """Draw the cells of one frame.

    A cell is an ellipse (ellipsoid) with bumps: the pixel at x is inside where ``|M (x - c)| < 1 + bumps``. A rod is
    such an ellipse with a straight or bent middle.
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
    waves, form = _draw_waves(snapshot, len(shape), seed), np.zeros((len(snapshot), 5))
    form[:, 4] = _REACH
    if snapshot.lobes is not None:
        waves = np.concatenate([waves, _draw_lobes(snapshot, snapshot.lobes, len(shape), seed)], axis=1)
        form[:, 4] += _LOBES * _TALLEST * snapshot.lobes
    form[:, 0] = snapshot.angle
    form[:, 1] = 0 if snapshot.core is None else snapshot.core
    form[:, 2] = 0 if snapshot.bend is None else snapshot.bend
    form[:, 3] = 1.000001 + np.abs(waves[..., 4]).sum(axis=1)  # no outline is farther from its centre
    _fill_cells(owner, level, place, axes, form, waves, pixel, len(shape))
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


def _draw_lobes(snapshot: Snapshot, height: FloatArray, ndim: int, seed: int) -> FloatArray:
    """Return the waves of the lobes, (n, lobes, 5), as of `_draw_waves`; they move around the cell within some frames.

    On the unit circle, a wave of length 1.2 to 2 has one or two maxima.
    """
    chance = draw_traits(snapshot.id, 6 * _LOBES, seed=seed + 4).reshape(-1, _LOBES, 6)
    turn, up = 2 * math.pi * chance[..., 0], (2 * chance[..., 1] - 1) * (ndim == 3)
    length = 1.2 + 0.8 * chance[..., 2]
    flat = length * np.sqrt(1 - up**2)
    age = np.clip(snapshot.age, 0, None)[:, None] % 1000
    phase = 2 * math.pi * chance[..., 3] + 1.2 * age * (chance[..., 4] - 0.5)
    grows = 0.5 + 0.5 * np.sin(2 * math.pi * chance[..., 5] + 0.3 * age)
    tall = _TALLEST * height[:, None] * grows
    return np.stack([length * up, flat * np.cos(turn), flat * np.sin(turn), phase, tall], axis=-1)


@compile_function
def _sum_waves(waves, z, y, x):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    total = 0.0
    for k in range(waves.shape[0]):
        total += waves[k, 4] * math.sin(waves[k, 0] * z + waves[k, 1] * y + waves[k, 2] * x + waves[k, 3])
    return total


@compile_function
def _straighten(along, across, core, bend):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return a place relative to the nearer end of the middle of a rod; the ends are `core` from its centre."""
    if core == 0:
        return along, across
    across -= 0.5 * bend * (along * along - core * core / 3)
    return math.copysign(max(abs(along) - core, 0.0), along), across


@compile_function
def _fill_cells(owner, level, place, axes, form, waves, pixel, ndim):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    low, high = np.zeros(3, np.int64), np.ones(3, np.int64)
    for c in range(place.shape[0]):
        core, bend, highest, limit = form[c, 1], form[c, 2], form[c, 3], form[c, 4]
        reach = limit * axes[c].max() if ndim == 2 else limit * max(axes[c, 1], axes[c, 2])
        for axis in range(3 - ndim, 3):
            span = reach + core if axis else limit * axes[c, 0]
            low[axis] = max(0, math.ceil((place[c, axis] - span) / pixel[axis]))
            high[axis] = min(owner.shape[axis], math.floor((place[c, axis] + span) / pixel[axis]) + 1)
        cos, sin = math.cos(form[c, 0]), math.sin(form[c, 0])
        for z in range(low[0], high[0]):
            dz = (z * pixel[0] - place[c, 0]) / axes[c, 0] if ndim == 3 else 0.0
            for y in range(low[1], high[1]):
                dy = y * pixel[1] - place[c, 1]
                for x in range(low[2], high[2]):
                    dx = x * pixel[2] - place[c, 2]
                    along, across = _straighten(cos * dy + sin * dx, cos * dx - sin * dy, core, bend)
                    along, across = along / axes[c, 1], across / axes[c, 2]
                    far = math.sqrt(dz * dz + along * along + across * across)
                    if far >= min(limit, highest * level[z, y, x]):
                        continue
                    if far > 1e-6:
                        # divided by the outline's radius in this direction; the bumps turn with the cell
                        far /= 1 + _sum_waves(waves[c], dz / far, along / far, across / far)
                    if far < level[z, y, x]:
                        level[z, y, x] = far
                        owner[z, y, x] = c + 1
