"""The scale of an image for a network: cells get the size of those that the network was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from skimage.filters import threshold_otsu

from segmenters.postprocess import measure_diameter, smooth

if TYPE_CHECKING:
    from collections.abc import Callable

    from segmenters.common.arrays import Heights


__all__ = ["clip_factor", "search_factor"]

_GUESSES = (1.0, 2.0, 0.5)  # multiples of the first guess at which cells are searched
_CLOSE = 1.2  # two successive estimates within this ratio end the search
_LARGEST_FACTOR = 8.0


def search_factor(image: Heights, diameter: float, *, improve: Callable[[float], float | None], rounds: int) -> float:
    """Return the factor that scales cells to the size of the training data.

    The first guess comes from the thickness of the bright regions. The size of the cells that the network finds at
    this scale gives a better estimate. If it finds none, other guesses are tried.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) float32 array
        A normalised image.
    diameter : float
        Typical diameter of the cells of the training data, in pixels of the network.
    improve : callable
        From a factor to a better one by the cells that the network finds, or None if it finds no cell.
    rounds : int
        Largest number of improvements.

    Examples
    --------
    A network that always finds cells of 15 pixels in the image, for a training diameter of 30:

    >>> image = np.zeros((64, 64), np.float32)
    >>> image[20:30, 20:30] = 1
    >>> search_factor(image, 30.0, improve=lambda factor: 30 / 15, rounds=3)
    2.0
    """
    plane = image if image.ndim == 2 else image.max(axis=0)
    first = diameter / _measure_bright_diameter(plane)
    for guess in _GUESSES:
        factor = found = clip_factor(guess * first, image.shape)
        for _ in range(rounds):
            better = improve(factor)
            if better is None:
                break
            found = clip_factor(better, image.shape)
            if max(found / factor, factor / found) < _CLOSE:
                return found
            factor = found
        else:
            return found
    return clip_factor(first, image.shape)


def clip_factor(factor: float, shape: tuple[int, ...]) -> float:
    """Limit a factor so that a scaled image is neither tiny nor huge."""
    return float(np.clip(factor, min(1.0, 32 / max(shape[-2:])), _LARGEST_FACTOR))


def _measure_bright_diameter(plane: Heights) -> float:
    blurred = smooth(np.ascontiguousarray(plane), 1.0, (1.0, 1.0))
    if blurred.min() == blurred.max():
        return 10.0
    return measure_diameter(blurred > threshold_otsu(blurred), (1.0, 1.0))  # type: ignore[no-untyped-call]
