"""Simulated images of embryos and of cells in a plane, with the centres of all nuclei, for the training of detectors.

Each image has its own random size and crowd of nuclei, brightness, blur, haze, noise and voxel size, so that a network
that learns from them fits many microscopes. They are small, and made in milliseconds; a movie with a lineage is made by
`gnntrack.simulate`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter, zoom

from gnntrack.types import Points

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, Image

__all__ = ["SimulatedPoints", "simulate_point_examples"]

_STREAM = 67  # first number of the random stream, so that it differs from those of other simulations
_PLANAR = 0.25  # fraction of the images that are 2D
_SHAPES = {2: (96, 96), 3: (26, 44, 44)}
_TRIES = 1500  # places that are tried for a nucleus


@dataclass(frozen=True)
class _Scene:
    """Sizes in um, lights as multiples of that of a typical nucleus."""

    shape: tuple[int, ...]
    spacing: FloatArray
    diameter: float
    rng: np.random.Generator = field(repr=False)

    @cached_property
    def extent(self) -> FloatArray:
        """Size of the image in um."""
        return np.asarray(np.array(self.shape) * self.spacing)

    def draw_log(self, low: float, high: float) -> float:
        """Draw a number whose logarithm is evenly distributed."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))


class SimulatedPoints:
    """A simulated image with the centres of its nuclei.

    Parameters
    ----------
    seed : int
        The same seed gives the same image.
    dimensions : {2, 3}, optional
        Axes of the image; by default drawn, most have 3.
    """

    complete = True
    """All nuclei are known."""
    simulated = True

    def __init__(self, seed: int, dimensions: int | None = None) -> None:
        self.seed, self.name = seed, f"simulated image {seed}"
        self._rng = np.random.default_rng([seed, _STREAM])
        planar = self._rng.random() < _PLANAR
        self.dimensions = dimensions or (2 if planar else 3)
        self.movie = f"simulated {self.dimensions}D"

    def read(self) -> tuple[Image, Points, tuple[float, ...]]:
        """Return the image, the nuclei in voxels, and the size of a voxel along ``[z], y, x`` in um."""
        scene = _draw_scene(self.dimensions, np.random.default_rng([self.seed, _STREAM, 1]))
        position, radius = _place_nuclei(scene)
        light, power = _draw_nuclei(scene, position, radius)
        image = _take_image(scene, light)
        inside = ((position >= 0) & (position < scene.extent)).all(axis=1)
        points = Points(position[inside] / scene.spacing - 0.5, radius[inside], power[inside])
        return image, points, tuple(map(float, scene.spacing))


def simulate_point_examples(count: int, *, seed: int = 0, dimensions: int | None = None) -> list[SimulatedPoints]:
    """Return simulated images; each is made when it is read.

    Parameters
    ----------
    count : int
        Number of images.
    seed : int
        The same seed gives the same images.
    dimensions : {2, 3}, optional
        Axes of the images; by default some have 2 and most 3.

    Examples
    --------
    >>> image, points, spacing = simulate_point_examples(1, seed=1)[0].read()
    >>> image.ndim == len(spacing) == points.position.shape[1]
    True
    """
    return [SimulatedPoints(1_000_000 * seed + i, dimensions) for i in range(count)]


def _draw_scene(dimensions: int, rng: np.random.Generator) -> _Scene:
    diameter = float(rng.uniform(5, 12))
    across = float(np.exp(rng.uniform(np.log(3.3), np.log(8.5))))  # diameter in pixels
    spacing = np.full(dimensions, diameter / across)
    if dimensions == 3:
        spacing[0] *= min(float(np.exp(rng.uniform(np.log(0.6), np.log(3.2)))), across / 1.6)
    return _Scene(_SHAPES[dimensions], spacing, diameter, rng)


def _place_nuclei(scene: _Scene) -> tuple[FloatArray, FloatArray]:
    """Return the centres in um and the radii of nuclei that fill a tissue of random shape; some divide just now."""
    rng, d = scene.rng, len(scene.shape)
    closest = scene.draw_log(0.75, 1.6) * scene.diameter
    tissue = gaussian_filter(rng.normal(size=scene.shape), [2.5 * scene.diameter / side for side in scene.spacing])
    tissue = (tissue - tissue.mean()) / max(float(tissue.std()), 1e-9) + rng.uniform(-0.8, 2.2)
    margin = 0.5 * scene.diameter
    tries = rng.uniform(-margin, scene.extent + margin, (_TRIES, d))
    voxel = np.clip((tries / scene.spacing).astype(int), 0, np.array(scene.shape) - 1)
    tries = tries[tissue[tuple(voxel.T)] > 0]
    position = _keep_apart(tries, closest, most=int(scene.draw_log(6, 800)))
    radius = 0.5 * scene.diameter * np.exp(rng.normal(0, rng.uniform(0.02, 0.18), len(position)))
    pairs = rng.random(len(position)) < rng.uniform(0, 0.12)
    way = rng.normal(size=(int(pairs.sum()), d))
    way *= 0.36 * scene.diameter / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
    daughters = np.concatenate([position[pairs] - way, position[pairs] + way])
    shrunk = 0.72 * np.concatenate([radius[pairs], radius[pairs]])
    return np.concatenate([position[~pairs], daughters]), np.concatenate([radius[~pairs], shrunk])


def _keep_apart(tries: FloatArray, closest: float, *, most: int) -> FloatArray:
    """Return the first of the places that are not closer to an earlier one than a distance."""
    kept = np.empty((0, tries.shape[1]))
    for place in tries:
        if not len(kept) or ((kept - place) ** 2).sum(axis=1).min() > closest**2:
            kept = np.vstack([kept, place])
            if len(kept) == most:
                break
    return kept


def _draw_nuclei(scene: _Scene, position: FloatArray, radius: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the light of all nuclei before the blur, and the brightness of each."""
    rng, n = scene.rng, len(position)
    spread = rng.uniform(0.05, 0.7)
    power = np.exp(rng.normal(0, spread, n)) * np.where(rng.random(n) < 0.15, rng.uniform(0.2, 0.6), 1)
    texture, soft = rng.uniform(0, 0.6), rng.uniform(0.08, 0.3)
    grain = gaussian_filter(rng.normal(size=scene.shape), 0.12 * scene.diameter / scene.spacing)
    grain = 1 + texture * grain / max(float(grain.std()), 1e-9)
    light = np.zeros(scene.shape)
    for centre, size, bright in zip(position, radius, power, strict=True):
        box, level = _draw_body(scene, centre, size, soft)
        light[box] = np.maximum(light[box], bright * level * np.maximum(grain[box], 0.1))
    for _ in range(rng.poisson(rng.choice([0, 0, 2, 8]))):  # debris
        centre, size = rng.uniform(0, scene.extent), scene.diameter * rng.uniform(0.06, 0.16)
        box, level = _draw_body(scene, centre, size, soft)
        light[box] += scene.draw_log(0.3, 3) * level
    return light, power


def _draw_body(scene: _Scene, centre: FloatArray, size: float, soft: float) -> tuple[tuple[slice, ...], FloatArray]:
    """Return the box of an ellipsoid, and its light there: 1 inside, 0 outside, with a soft edge."""
    rng, d = scene.rng, len(scene.shape)
    axes = np.exp(rng.normal(0, 0.13, d))
    axes *= size / np.prod(axes) ** (1 / d)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    reach = 1.5 * size
    low = np.clip(np.floor((centre - reach) / scene.spacing).astype(int), 0, scene.shape)
    high = np.clip(np.ceil((centre + reach) / scene.spacing).astype(int) + 1, 0, scene.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    grid = np.meshgrid(*((np.arange(a, b) + 0.5) for a, b in zip(low, high, strict=True)), indexing="ij")
    away = np.stack([g * s - c for g, s, c in zip(grid, scene.spacing, centre, strict=True)], axis=-1) @ turn / axes
    distance = np.sqrt((away**2).sum(axis=-1))
    return box, np.clip((1 - distance) / soft + 0.5, 0, 1)


def _take_image(scene: _Scene, light: FloatArray) -> Any:
    """Return the grey values: blur, haze, uneven light, photon noise, read noise, hot pixels, offset and gain."""
    rng, d = scene.rng, len(scene.shape)
    blur = np.full(d, scene.draw_log(0.04, 0.22) * scene.diameter)
    if d == 3:
        blur[0] *= rng.uniform(1, 3)
    wide = np.minimum(rng.uniform(0.8, 2.5) * scene.diameter / scene.spacing, scene.shape)
    halo = gaussian_filter(light, wide, truncate=2.5)
    coarse = rng.normal(1, 0.5, [max(2, round(e / scene.diameter / 4)) for e in scene.extent])
    uneven = zoom(coarse, [n / m for n, m in zip(scene.shape, coarse.shape, strict=True)], order=1)
    seen = gaussian_filter(light, blur / scene.spacing) + rng.choice([0, 1]) * rng.uniform(0, 1.5) * halo
    seen += rng.choice([0, 1]) * scene.draw_log(0.02, 0.8) * np.maximum(uneven, 0)
    if d == 3 and rng.random() < 0.5:  # deeper planes are darker
        seen *= np.exp(-np.linspace(0, rng.uniform(0, 1.2), scene.shape[0]))[:, None, None]
    ground, photons = scene.draw_log(0.02, 2), scene.draw_log(10, 800)
    counts = rng.poisson(photons * (seen + ground)) + rng.normal(0, rng.uniform(0, 0.1 * photons**0.5 + 1), scene.shape)
    hot = rng.random(scene.shape) < rng.choice([0, 0, 2e-4])
    counts = counts + hot * photons * rng.uniform(1, 4)
    gain = scene.draw_log(1, 30)
    return np.clip(np.rint(rng.uniform(0, 300) + gain * counts), 0, 65535).astype(np.uint16)
