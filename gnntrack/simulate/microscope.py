"""Images of simulated cells: stained nuclei in a fluorescence microscope, blurred, unevenly lit, bleaching, noisy."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from gnntrack.compiled import compile_function
from gnntrack.randomness import draw_traits
from gnntrack.simulate.drawing import draw_cells

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.settings import SimulateSettings
    from gnntrack.simulate.colony import Snapshot
    from gnntrack.types import FeatureArray, FloatArray

__all__ = ["take_image"]

_OFFSET = 100  # grey value of the camera in the dark
_GAIN = 4.0  # grey values per photon
_GRAINS = 12  # number of waves whose sum is the texture of a cell's chromatin
_SPOTS = 4  # number of dark spots (nucleoli)


def take_image(
    snapshot: Snapshot,
    frame: int,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    *,
    settings: SimulateSettings,
    seed: int,
) -> npt.NDArray[np.uint16]:
    """Return the image of one frame, the same at each call.

    Light of the cells (bleached, textured) -> blur and a wide faint halo -> uneven light -> photons are counted
    (Poisson) -> read noise -> grey values.
    """
    rng = np.random.default_rng([seed, 7, frame])
    bleached = (1 - settings.bleaching) ** (frame / max(1, settings.frames - 1))
    light = bleached * _compute_light(snapshot, shape, spacing, settings, seed)
    sigma = np.array([2.5, 1.0, 1.0])[-len(shape) :] * settings.blur / spacing
    sharp = gaussian_filter(light, sigma, mode="nearest")
    # light from out of focus: a wide halo around each cell
    halo = gaussian_filter(light, np.minimum(0.8 * settings.diameter / np.array(spacing), np.array(shape)), truncate=2)
    scene = settings.photons * (0.9 * sharp + 0.12 * halo)
    scene += settings.background * (0.5 + 0.5 * bleached) * _make_haze(shape, seed)
    photons = rng.poisson(np.maximum(scene * _make_shade(shape, settings.shading, seed), 0))
    grey = _OFFSET + _GAIN * (photons + rng.normal(0, settings.read_noise, shape))
    return np.asarray(np.clip(np.rint(grey), 0, 65535), np.uint16)


def _compute_light(
    snapshot: Snapshot, shape: tuple[int, ...], spacing: tuple[float, ...], settings: SimulateSettings, seed: int
) -> FeatureArray:
    """Return the light of the cells before any blur; 1 = the middle of a typical cell."""
    owner, level = draw_cells(snapshot, shape, spacing, seed)
    n, d = len(snapshot), len(shape)
    place = np.zeros((n, 3))
    place[:, -d:] = snapshot.position
    scale = np.broadcast_to(snapshot.axes[:, -2:].mean(axis=1)[:, None], (n, 1))
    strength = settings.texture * (1 - 0.6 * snapshot.condensed)
    cell = np.column_stack([place, scale, snapshot.angle, snapshot.light, strength])
    layout = (1, *shape)[-3:]
    light = np.zeros(layout, np.float32)
    pixel = np.array((1.0, *spacing)[-3:])
    grains, spots = _draw_chromatin(snapshot, d, seed)
    _fill_light(light, owner.reshape(layout), level.reshape(layout), cell, grains, spots, pixel, d)
    light = light.reshape(shape)
    return light if not snapshot.outlined else _add_outlines(light, owner, snapshot.outlined)


def _add_outlines(light: FeatureArray, owner: npt.NDArray[np.int32], strength: float) -> FeatureArray:
    """Return light that is brightest at the membranes: at pixels beside those of another cell or the background."""
    edge = np.zeros(owner.shape, bool)
    for axis in range(owner.ndim):
        first, last = (np.take(owner, range(i, owner.shape[axis] - 1 + i), axis) for i in (0, 1))
        differs = first != last
        before, after = [slice(None)] * owner.ndim, [slice(None)] * owner.ndim
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        edge[tuple(before)] |= differs
        edge[tuple(after)] |= differs
    return np.asarray((light + strength * (edge & (owner > 0))) / (1 + 0.5 * strength), np.float32)


def _draw_chromatin(snapshot: Snapshot, ndim: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return the waves (n, grains, 4) and the spots (n, spots, 5) of each cell, in radii of the cell."""
    chance = draw_traits(snapshot.id, 4 * _GRAINS, seed=seed + 2).reshape(-1, _GRAINS, 4)
    turn, up = 2 * math.pi * chance[..., 0], (2 * chance[..., 1] - 1) * (ndim == 3)
    length = 3 + 11 * chance[..., 2] ** 1.5
    flat = length * np.sqrt(1 - up**2)
    slow = 0.12 * np.clip(snapshot.age, 0, None)[:, None] * (chance[..., 1] - 0.5)
    grains = np.stack(
        [length * up, flat * np.cos(turn), flat * np.sin(turn), 2 * math.pi * chance[..., 3] + slow], axis=-1
    )
    chance = draw_traits(snapshot.id, 5 * _SPOTS, seed=seed + 3).reshape(-1, _SPOTS, 5)
    away, turn = 0.65 * np.sqrt(chance[..., 0]), 2 * math.pi * chance[..., 1]
    up = (chance[..., 2] - 0.5) * (ndim == 3)
    # each of the nucleoli is there with a probability of 0.6
    depth = 0.9 * (chance[..., 4] < 0.6) * np.ones_like(up)
    spots = np.stack([up, away * np.cos(turn), away * np.sin(turn), 0.09 + 0.1 * chance[..., 3], depth], axis=-1)
    return grains, spots


@lru_cache(2)
def _make_shade(shape: tuple[int, ...], depth: float, seed: int) -> FloatArray:
    """Return the factor of uneven light: 1 at a point near the middle, lowest in one of the corners."""
    bright = np.random.default_rng([seed, 11]).uniform(0.3, 0.7, 2)
    y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in shape[-2:]), indexing="ij")
    away = (y - bright[0]) ** 2 + (x - bright[1]) ** 2
    return np.asarray(1 - depth * away / max(float(away.max()), 1e-9))


@lru_cache(2)
def _make_haze(shape: tuple[int, ...], seed: int) -> FloatArray:
    """Return the uneven light of the background, about 1: medium, dirt, out-of-focus debris."""
    coarse = np.random.default_rng([seed, 13]).normal(1, 0.18, (6, 6))
    factor = (shape[-2] / 6, shape[-1] / 6)
    return np.maximum(np.asarray(zoom(coarse, factor, order=3, mode="nearest", grid_mode=True), np.float64), 0.3)


@compile_function
def _fill_light(light, owner, level, cell, grains, spots, pixel, ndim):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for z in range(owner.shape[0]):
        for y in range(owner.shape[1]):
            for x in range(owner.shape[2]):
                c = owner[z, y, x] - 1
                if c < 0:
                    continue
                cos, sin, size = math.cos(cell[c, 4]), math.sin(cell[c, 4]), cell[c, 3]
                dy, dx = (y * pixel[1] - cell[c, 1]) / size, (x * pixel[2] - cell[c, 2]) / size
                w = (z * pixel[0] - cell[c, 0]) / size if ndim == 3 else 0.0
                v, u = cos * dy + sin * dx, cos * dx - sin * dy
                grain = 0.0
                for k in range(grains.shape[1]):
                    g = grains[c, k]
                    grain += math.sin(g[0] * w + g[1] * v + g[2] * u + g[3])
                texture = 1 + cell[c, 6] * grain / 2.5
                for k in range(spots.shape[1]):
                    s = spots[c, k]
                    away = (w - s[0]) ** 2 + (v - s[1]) ** 2 + (u - s[2]) ** 2
                    texture *= 1 - min(1.0, 1.6 * cell[c, 6]) * s[4] * math.exp(-away / (2 * s[3] ** 2))
                # in 2D the light adds up over the cell's thickness, in 3D a section is evenly bright
                depth = level[z, y, x]
                body = math.sqrt(1 - 0.85 * depth**3) if ndim == 2 else 1 - 0.25 * depth**4
                light[z, y, x] = cell[c, 5] * max(texture, 0.08) * body
