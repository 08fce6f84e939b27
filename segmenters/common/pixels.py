"""Normalisation of grey values and resizing of images for a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

from segmenters.common.kinds import guess_kind

if TYPE_CHECKING:
    from segmenters.common.arrays import Heights

    Normalise = Literal["percentile", "root", "standard", "none"]

__all__ = ["normalise", "resize"]

_SAMPLE = 250_000  # pixels from which percentiles are computed
_LOW, _HIGH = 1.0, 99.9  # percentiles mapped to 0 and 1
_BRIGHT = 0.6  # of the range of grey values: a background above it is bright


def normalise(pixels: Heights, how: Normalise, *, dtype: np.dtype[Any]) -> Heights:
    """Return an image with normalised grey values.

    Parameters
    ----------
    pixels : float32 array
        Grey values of a whole image.
    how : {"percentile", "root", "standard", "none"}
        ``percentile``: the 1st percentile becomes 0 and the 99.9th percentile 1; higher values are compressed by a
        logarithm, so that one bright speck or a dividing cell does not darken all others. ``root``: the square root
        of that, so that cells of a hundredth of the highest brightness are seen, after an image with a bright
        background has been inverted. ``standard``: mean 0, standard deviation 1. ``none``: unchanged, divided by the
        maximum of an integer dtype.
    dtype : dtype
        Dtype of the image before conversion to float32.
    """
    if how == "none":
        return pixels / np.float32(np.iinfo(dtype).max) if dtype.kind in "iu" else pixels
    if how == "standard":
        spread = float(pixels.std())
        return np.asarray((pixels - pixels.mean()) / (spread or 1.0), np.float32)
    if how == "root" and guess_kind(pixels).background > _BRIGHT:
        pixels = -pixels
    sample = pixels.ravel()[:: max(1, pixels.size // _SAMPLE) | 1]  # odd: not always the same columns
    low, high = np.percentile(sample, (_LOW, _HIGH))
    if high <= low:
        low, high = float(pixels.min()), float(pixels.max())
    scaled = (pixels - np.float32(low)) * np.float32(1 / max(high - low, 1e-38))
    if how == "root":
        np.sqrt(np.maximum(scaled, 0, out=scaled), out=scaled)
    bright = scaled > 1
    scaled[bright] = 1 + np.log(scaled[bright])
    return np.asarray(scaled, np.float32)


def resize(pixels: Heights, size: tuple[int, int]) -> Heights:
    """Return an image, or a stack of planes, resized along y and x."""
    if pixels.shape[-2:] == size:
        return pixels
    if pixels.ndim > 2:
        return np.stack([resize(plane, size) for plane in pixels])
    shrinks = size[0] < pixels.shape[0] or size[1] < pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, size[::-1], interpolation=how), np.float32)
