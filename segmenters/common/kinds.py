"""Kinds of microscopy, guessed from the grey values, and the shipped models for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Heights

__all__ = ["KINDS", "MODELS", "UNSTAINED", "KindGuess", "find_majority", "guess_kind"]

MODELS = {"fluorescence": "nuclei", "stained": "nuclei", "phase": "cells", "brightfield": "cells"}
"""Kind of microscopy -> name of the shipped model: stained nuclei, or whole cells without a stain."""

UNSTAINED = MODELS["phase"]
"""Name of the model for cells without a stain."""

KINDS = ("auto", *MODELS)
"""Values of the option ``kind``."""

_DARK, _BRIGHT = 0.2, 0.82  # of the range of grey values: a background below or above it has cells on one side only
_BINS = 50
_SIDE = 512  # pixels: larger images are reduced


class KindGuess(NamedTuple):
    """A guess of the kind of microscopy."""

    kind: str | None
    """A key of `MODELS`; None if the grey values do not tell it."""
    background: float
    """Most frequent grey value, as a fraction of the range of the image: 0 = the darkest, 1 = the brightest."""

    def explain(self) -> str:
        """Return the reason for the guess."""
        return f"the background is at {100 * self.background:.0f} % of the range of grey values"


def guess_kind(pixels: Heights) -> KindGuess:
    """Return the kind of microscopy of an image, by the grey value of its background.

    Parameters
    ----------
    pixels : (Y, X) or (Z, Y, X) float32 array
        Grey values; those that are NaN or infinite do not count.

    Examples
    --------
    >>> image = np.zeros((64, 64), np.float32)
    >>> image[20:30, 20:30] = 1
    >>> guess_kind(image).kind, guess_kind(1 - image).kind, guess_kind(image + 2 * image.T + 0.2 * np.eye(64)).kind
    ('fluorescence', 'stained', 'fluorescence')
    """
    smooth = _smooth(pixels if pixels.ndim == 2 else pixels[len(pixels) // 2])
    low, high = np.percentile(smooth, (0.5, 99.5)) if smooth.size else (0.0, 0.0)
    if high <= low:
        return KindGuess(None, 0.0)
    place = np.clip((smooth - low) / (high - low), 0, 1 - 1e-6)
    count = np.convolve(np.bincount((place * _BINS).astype(int).ravel(), minlength=_BINS), (1, 2, 3, 2, 1), "same")
    background = (float(np.argmax(count)) + 0.5) / _BINS
    kind = "fluorescence" if background < _DARK else "stained" if background > _BRIGHT else None
    return KindGuess(kind, background)


def find_majority(guesses: Sequence[KindGuess]) -> str | None:
    """Return the most frequent kind if the kind of more than half of the images is known; else None.

    >>> find_majority([KindGuess("stained", 0.9), KindGuess(None, 0.5), KindGuess("stained", 0.9)])
    'stained'
    """
    known = [guess.kind for guess in guesses if guess.kind is not None]
    return max(sorted(set(known)), key=known.count) if 2 * len(known) > len(guesses) else None


def _smooth(plane: Heights) -> npt.NDArray[np.float64]:
    """Return the grey values of a plane without noise, reduced if it is large; only those of finite pixels."""
    known = np.isfinite(plane)
    if known.all():
        return _reduce(plane).ravel()
    smooth, weights = (_reduce(each) for each in (np.where(known, plane, 0), known))
    return smooth[weights > 0.5] / weights[weights > 0.5]


def _reduce(plane: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    plane = plane.astype(np.float64)
    whole = max(1, max(plane.shape, default=0) // _SIDE)
    if whole > 1:
        size = tuple(max(1, side // whole) for side in plane.shape[::-1])
        plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float64)
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.5), np.float64) if plane.size else plane
