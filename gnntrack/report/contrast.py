"""Contrast of a movie: the same grey values in each of its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import FeatureArray, Image

__all__ = ["Contrast", "find_contrast", "project_image"]

_MEAN = 0.25  # grey value, of 1, that a dark movie is brightened to, as far as an exponent of 0.5 does


class Contrast(NamedTuple):
    """Range of grey values, and the exponent by which a dark movie is brightened."""

    low: float
    high: float
    gamma: float

    def apply(self, image: Image) -> Image:
        """Return the image in 8 bits."""
        if image.dtype in (np.uint8, np.uint16) and image.size > 1 << 16:  # each grey value is converted once
            return self.apply(np.arange(np.iinfo(image.dtype).max + 1, dtype=np.float32))[image]
        values = np.nan_to_num(image.astype(np.float32), nan=self.low, posinf=self.high, neginf=self.low)
        scaled = np.clip((values - self.low) / (self.high - self.low), 0, 1)
        return np.asarray(255 * scaled**self.gamma + 0.5).astype(np.uint8)


def find_contrast(images: list[Image], planes: Sequence[Image] = ()) -> Contrast:
    """Return the contrast of a movie, from a few flat images of it: the 0.3 and 99.8 percentiles of the grey values.

    Planes of a stack are darker than its projection: if some are given, the lower value is theirs.

    >>> find_contrast([np.arange(1001).reshape(1, 1001)]).apply(np.array([0, 500, 1000])).tolist()
    [0, 127, 255]
    """
    values = _sample_values(images)
    if not len(values):
        return Contrast(0.0, 1.0, 1.0)
    low, high = np.percentile(values, (0.3, 99.8)).tolist()
    darker = _sample_values(planes) if planes else values[:0]
    low = float(np.percentile(darker, 0.3)) if len(darker) else low
    high = high if high > low else low + 1
    mean = float(np.clip((values - low) / (high - low), 0, 1).mean())
    return Contrast(low, high, float(np.clip(np.log(_MEAN) / np.log(np.clip(mean, 1e-3, 0.99)), 0.5, 1)))


def _sample_values(images: Sequence[Image]) -> FeatureArray:
    values = np.concatenate([np.ravel(image[::2, ::2]).astype(np.float32) for image in images])
    return np.asarray(values[np.isfinite(values)])


def project_image(image: Image) -> Image:
    """Return an image as (Y, X): of a stack the brightest plane at each pixel."""
    flat = np.asarray(image)
    return flat.max(axis=0) if flat.ndim == 3 else flat
