"""Random augmentation of patches with MONAI: rotation, mirroring, scale, blur, brightness and noise."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import explain_missing

if TYPE_CHECKING:
    from segmenters.common.arrays import Heights


__all__ = ["Augment"]

_SCALE = 0.3  # cells become larger or smaller by up to this fraction
_EMPTY = 0.03  # fraction of the patches that are replaced by noise without cells
_HAZE, _BRIGHTEST_HAZE = 0.2, 0.5  # fraction of the patches with a smooth haze, and its largest brightness
_HAZE_GRID = 5  # largest number of patches of haze along a side
_GREYED = 0.1  # fraction of the RGB patches that become grey
_TINT = 0.2  # largest change of the scale of a colour
_INVERTED = 0.5  # fraction of the patches that are inverted, if they may be


class Augment:
    """Random changes of patches.

    Parameters
    ----------
    dimensions : {2, 3}
        Axes of the patches. Patches of 3D stacks are rotated about z only, because z is often coarser.
    grey : bool
        Change grey values too, and replace some patches by noise without cells. Not for images that are not
        normalised, because their networks may depend on the absolute grey values.
    scale : bool
        Make cells larger or smaller by up to 30 %.
    invert : bool
        Invert half of the patches.

    Raises
    ------
    MissingDependencyError
        If MONAI is not installed.
    """

    def __init__(self, dimensions: int, *, grey: bool, scale: bool = True, invert: bool = False) -> None:
        otherwise = "set train_segmenter.augment to false"
        with explain_missing("augmentation needs", None, "pip install 'gnntrack[segmenters]'", otherwise=otherwise):
            transforms: Any = import_module("monai.transforms")
        self._keys = keys = ["image", "foreground", "depth", "nearness"]
        turn: Any = (math.pi, 0.0, 0.0) if dimensions == 3 else math.pi
        change = _SCALE if scale else 0.0
        scales: Any = ((0.0, 0.0), change, change) if dimensions == 3 else change
        steps: list[Any] = [
            transforms.RandFlipd(keys, prob=0.5, spatial_axis=dimensions - 1),
            transforms.RandAffined(
                keys,
                prob=0.5,
                rotate_range=turn,
                scale_range=scales,
                mode=["bilinear", "nearest", "bilinear", "bilinear"],
                padding_mode="reflection",
            ),
        ]
        if grey:
            steps += _make_grey_steps(transforms, dimensions)
        self._change = transforms.Compose(steps)
        self._grey, self._invert = grey, invert

    def __call__(self, patch: Heights, random: np.random.Generator) -> Heights:
        """Return a changed patch, (4, *shape): image, foreground, depth, and nearness of two cells.

        A patch of an RGB image, (6, *shape), has three channels in place of the image.
        """
        targets = len(self._keys) - 1
        image = patch[:-targets]
        if self._grey and random.random() < _EMPTY:
            return np.concatenate([_add_noise(image.shape, random), np.zeros_like(patch[-targets:])])
        if self._grey and random.random() < _HAZE:
            image = image + _make_haze(patch.shape[1:], random)
        self._change.set_random_state(int(random.integers(2**31)))
        changed = self._change(dict(zip(self._keys, [image, *patch[-targets:, None]], strict=True)))
        patch = np.concatenate([np.asarray(changed[key], np.float32) for key in self._keys])
        if self._grey and len(image) > 1:
            patch[:-targets] = _change_colours(patch[:-targets], random)
        if self._invert and random.random() < _INVERTED:
            patch[:-targets] = 1 - patch[:-targets]
        return patch


def _make_grey_steps(transforms: Any, dimensions: int) -> list[Any]:
    """Return the transforms of MONAI that change grey values."""
    return [
        transforms.RandGaussianSmoothd(["image"], prob=0.2, **_blur(dimensions)),
        transforms.RandAdjustContrastd(["image"], prob=0.4, gamma=(0.6, 1.6), retain_stats=False),
        transforms.RandScaleIntensityd(["image"], prob=0.5, factors=0.4),
        transforms.RandShiftIntensityd(["image"], prob=0.5, offsets=0.1),
        transforms.RandGaussianNoised(["image"], prob=0.4, std=0.1),
    ]


def _blur(dimensions: int) -> dict[str, tuple[float, float]]:
    sigma = {"sigma_x": (0.3, 1.5), "sigma_y": (0.3, 1.5)}
    return {"sigma_x": (0.01, 0.02), "sigma_y": (0.3, 1.5), "sigma_z": (0.3, 1.5)} if dimensions == 3 else sigma


def _change_colours(image: Heights, random: np.random.Generator) -> Heights:
    """Return an image, (3, Y, X), with other colours: each channel is scaled and shifted, or all are replaced by grey.

    So the network depends less on the stain and the camera, and finds cells in grey images too.
    """
    if random.random() < _GREYED:
        return np.broadcast_to(image.mean(axis=0), image.shape)
    scale, shift = random.uniform(1 - _TINT, 1 + _TINT, 3), random.uniform(-_TINT / 2, _TINT / 2, 3)
    return image * scale.astype(np.float32)[:, None, None] + shift.astype(np.float32)[:, None, None]


def _make_haze(shape: tuple[int, ...], random: np.random.Generator) -> Heights:
    """Return a smooth haze, such as out-of-focus light, autofluorescence or uneven illumination."""
    import cv2

    side = int(random.integers(2, _HAZE_GRID + 1))
    grid = random.random((side, side)).astype(np.float32) * np.float32(random.uniform(0, _BRIGHTEST_HAZE))
    haze = cv2.resize(grid, shape[:-3:-1], interpolation=cv2.INTER_CUBIC)
    return np.broadcast_to(haze, shape).astype(np.float32)


def _add_noise(shape: tuple[int, ...], random: np.random.Generator) -> Heights:
    """Return noise like a normalised image without cells, with a random grain size."""
    import cv2

    planes = random.normal(size=(math.prod(shape[:-2]), *shape[-2:])).astype(np.float32)
    sigma = float(random.choice([0.0, 0.7, 1.5]))
    if sigma:
        planes = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in planes])
    low, high = np.percentile(planes, (1, 99.9))
    return np.asarray((planes - low) / (high - low), np.float32).reshape(shape)
