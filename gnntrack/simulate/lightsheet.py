"""Volumes of simulated nuclei in a light-sheet microscope: blurred most along z, hazy, dimmer in the depth, noisy."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import correlate1d, gaussian_filter

from gnntrack.compiled import compile_function
from gnntrack.randomness import draw_traits

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.settings import EmbryoSettings
    from gnntrack.simulate.tissue import TissueSnapshot
    from gnntrack.types import FeatureArray

__all__ = ["GREY_PER_PHOTON", "take_volume"]

GREY_PER_PHOTON = 4.0
"""Grey values that a photon adds to a volume."""

_OFFSET = 100  # grey value of the camera in the dark
_WAVES = 4  # number of waves whose sum is the texture of the chromatin
_COARSE = 8  # voxels along y and x that are one when the haze is computed
_HALO = 1.5  # standard deviation of the haze, in diameters of a grown nucleus
_CLOUD = 26.0  # um between the random values of the background


def take_volume(snapshot: TissueSnapshot, time: int, *, settings: EmbryoSettings, seed: int) -> npt.NDArray[np.uint16]:
    """Return the volume of one time, the same at each call.

    Light of the nuclei (bleached, textured) -> blur and a wide faint halo -> less light in the depth -> noise of
    photons and camera -> grey values. The number of photons is drawn from a normal distribution with the variance of
    the Poisson distribution, which takes a tenth of the time.

    Parameters
    ----------
    snapshot : TissueSnapshot
        State of the tissue.
    time : int
        Its number, which the noise depends on.
    settings : EmbryoSettings
        Size of the volume, brightness, blur and noise.
    seed : int
        Seed of the embryo.

    Returns
    -------
    (Z, Y, X) uint16
    """
    s = settings
    rng = np.random.default_rng([seed, 7, time])
    light = _draw_nuclei(snapshot, s, seed)
    coarse = _reduce(light)
    for axis, sigma in enumerate(s.blur * np.array([s.axial_blur, 1, 1]) / s.spacing):
        light = _blur(light, float(sigma), axis)
    light *= np.float32(s.photons * (1 - s.bleaching) ** (time / max(1, s.frames - 1)))
    sigmas = np.minimum(_HALO * s.diameter / np.multiply(s.spacing, (1, _COARSE, _COARSE)), coarse.shape)
    haze = gaussian_filter(coarse, sigmas, mode="nearest", truncate=2.5) * np.float32(4 * s.haze * s.photons)
    light += _enlarge(haze, s.shape)
    light += np.float32(s.background) * _make_background(s.shape, s.spacing, seed)
    light *= np.linspace(1, 1 - s.shading, s.shape[0], dtype=np.float32)[:, None, None]
    grey = rng.standard_normal(s.shape, np.float32)
    _expose(light.ravel(), grey.ravel(), np.float32(s.read_noise**2), np.float32(GREY_PER_PHOTON))
    return grey.astype(np.uint16)


def _draw_nuclei(snapshot: TissueSnapshot, settings: EmbryoSettings, seed: int) -> FeatureArray:
    """Return the light of nuclei and clutter before any blur; 1 = the middle of an ordinary nucleus."""
    along = snapshot.radius * np.cbrt(snapshot.aspect) ** 2
    across = snapshot.radius / np.cbrt(snapshot.aspect)
    contrast = settings.texture * (1 - 0.7 * snapshot.condensed)
    columns = [snapshot.position, snapshot.axis, along, across, snapshot.light, contrast]
    chance = draw_traits(snapshot.id, 4 * _WAVES, seed=seed + 2).reshape(-1, _WAVES, 4)
    wave = chance[..., :3] - 0.5
    wave *= (0.8 + 1.2 * chance[..., 3:]) / np.maximum(np.linalg.norm(wave, axis=-1, keepdims=True), 1e-9)
    waves = np.concatenate([wave, 2 * math.pi * chance[..., 3:]], axis=-1)  # rad per um, rad
    light = np.zeros(settings.shape, np.float32)
    _fill_nuclei(light, np.column_stack(columns), waves, np.array(settings.spacing))
    return light


@compile_function
def _fill_nuclei(light, nuclei, waves, spacing):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    for n in range(len(nuclei)):
        z, y, x, az, ay, ax, along, across, bright, contrast = nuclei[n]
        reach = max(along, across)
        z0, z1 = (
            max(0, math.ceil((z - reach) / spacing[0])),
            min(light.shape[0] - 1, math.floor((z + reach) / spacing[0])),
        )
        y0, y1 = (
            max(0, math.ceil((y - reach) / spacing[1])),
            min(light.shape[1] - 1, math.floor((y + reach) / spacing[1])),
        )
        x0, x1 = (
            max(0, math.ceil((x - reach) / spacing[2])),
            min(light.shape[2] - 1, math.floor((x + reach) / spacing[2])),
        )
        for i in range(z0, z1 + 1):
            dz = i * spacing[0] - z
            for j in range(y0, y1 + 1):
                dy = j * spacing[1] - y
                for k in range(x0, x1 + 1):
                    dx = k * spacing[2] - x
                    on_axis = dz * az + dy * ay + dx * ax
                    off_axis = dz * dz + dy * dy + dx * dx - on_axis * on_axis
                    depth = on_axis * on_axis / (along * along) + off_axis / (across * across)
                    if depth >= 1:
                        continue
                    value = bright * (1 - 0.35 * depth * depth)
                    if contrast > 0:
                        grain = 0.0
                        for w in range(waves.shape[1]):
                            wave = waves[n, w]
                            grain += math.sin(wave[0] * dz + wave[1] * dy + wave[2] * dx + wave[3])
                        value *= max(0.1, 1 + contrast * grain)
                    light[i, j, k] = max(light[i, j, k], value)


@compile_function
def _expose(light, grey, variance, gain):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Turn normal random numbers into grey values, in place."""
    for i in range(len(light)):
        photons = light[i] + grey[i] * math.sqrt(light[i] + variance)
        grey[i] = min(max(_OFFSET + gain * photons + np.float32(0.5), np.float32(0)), np.float32(65535))


def _blur(light: FeatureArray, sigma: float, axis: int) -> FeatureArray:
    """Return the light, blurred along one axis."""
    reach = math.ceil(2.5 * sigma)
    if not reach:
        return light
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    blurred: FeatureArray = correlate1d(light, kernel / kernel.sum(), axis, mode="nearest")
    return blurred


def _list_starts(shape: tuple[int, ...]) -> list[npt.NDArray[np.int64]]:
    """Return the first voxels of the coarse ones, along y and along x."""
    return [np.arange(0, size, _COARSE) for size in shape[1:]]


def _reduce(light: FeatureArray) -> FeatureArray:
    """Return the mean light of blocks of some voxels along y and x, (Z, Y', X')."""
    y, x = _list_starts(light.shape)
    size = np.outer(*(np.diff(start, append=n) for start, n in zip((y, x), light.shape[1:], strict=True)))
    return np.asarray(np.add.reduceat(np.add.reduceat(light, y, 1), x, 2) / size, np.float32)


def _enlarge(coarse: FeatureArray, shape: tuple[int, ...]) -> FeatureArray:
    """Return coarse values in all voxels, interpolated along y and x."""
    y, x = (_make_weights(size, len(start)) for size, start in zip(shape[1:], _list_starts(shape), strict=True))
    return np.asarray(y @ coarse @ x.T, np.float32)


def _make_weights(size: int, coarse: int) -> FeatureArray:
    """Return the weights of linear interpolation, (size, coarse)."""
    at = np.clip((np.arange(size) + 0.5) / _COARSE - 0.5, 0, coarse - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(coarse))), np.float32)


@lru_cache(2)
def _make_background(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int) -> FeatureArray:
    """Return the uneven light of the background, about 1."""
    coarse = (shape[0], *map(len, _list_starts(shape)))
    noise = np.random.default_rng([seed, 13]).normal(0, 1, coarse)
    smooth = gaussian_filter(noise, np.minimum(_CLOUD / np.multiply(spacing, (1, _COARSE, _COARSE)), coarse))
    uneven = 1 + 0.25 * (smooth - smooth.mean()) / max(float(smooth.std()), 1e-9)
    return _enlarge(np.maximum(uneven, 0.2).astype(np.float32), shape)
