"""The guess whether cells are brighter or darker than their surroundings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from segmenters.common.arrays import Heights

    Foreground = Literal["bright", "dark"]

__all__ = ["guess_foreground", "measure_tails"]

_log = logging.getLogger(__name__)

_SIDE = 512  # pixels along the longer side of the image that is measured; larger images are reduced
_PLANES = 9  # planes of a stack that are measured
_SURROUNDINGS = 4  # the surroundings are averaged over this fraction of the longer side: 1/4
_CLEAR = 0.5  # the surroundings are subtracted if the grey values themselves are less asymmetric than this
_TAILS = (0.1, 0.5)  # percentiles that are compared with the median: small, because cells may be few


def guess_foreground(*frames: npt.NDArray[Any]) -> Foreground:
    """Guess whether cells are brighter or darker than their surroundings, and log the reason at level INFO.

    Cells cover less than half of most images, so the grey values, relative to their surroundings, have a long tail
    on the side of the cells.

    Parameters
    ----------
    *frames : (Y, X) or (Z, Y, X) arrays of finite numbers
        One frame, or some frames of one movie, which are judged together.

    Returns
    -------
    {"bright", "dark"}
        ``bright`` if both tails are equal, as in an empty frame.

    See Also
    --------
    measure_tails : The measure of one frame.

    Examples
    --------
    >>> image = np.zeros((64, 64), np.float32)
    >>> image[10:20, 10:20] = 50
    >>> guess_foreground(image), guess_foreground(-image)
    ('bright', 'dark')
    """
    tails = [measure_tails(frame) for frame in frames]
    balance = float(np.mean(tails)) if tails else 0.0
    foreground: Foreground = "dark" if balance < 0 else "bright"
    _log.info(
        "foreground: cells are taken to be %s, because the grey values reach further %s their surroundings "
        "(balance %+.2f, from -1 = dark cells to 1 = bright cells); foreground=bright or dark sets it",
        *(foreground, "below" if balance < 0 else "above", balance),
    )
    return foreground


def measure_tails(pixels: npt.NDArray[Any]) -> float:
    """Return the balance of the two tails of the grey values, relative to their surroundings.

    Parameters
    ----------
    pixels : (Y, X) or (Z, Y, X) array of finite numbers
        One frame.

    Returns
    -------
    float
        From -1 (only dark objects) to 1 (only bright objects): the distances a and b of the highest and the lowest
        percentiles to the median give (a - b) / (a + b). Hinkley (Biometrika 62, 1975) uses it as a measure of
        skewness that outliers cannot dominate. 0 for an image of one grey value or without pixels.

    Examples
    --------
    >>> image = np.zeros((64, 64))
    >>> image[10:12, 10:20] = -50
    >>> round(measure_tails(image))
    -1
    """
    stack = np.asarray(pixels)[None] if np.ndim(pixels) == 2 else np.asarray(pixels)
    if not stack.size:
        return 0.0
    chosen = np.unique(np.linspace(0, len(stack) - 1, _PLANES).round().astype(int))
    shown = stack[chosen].astype(np.float32)
    middle, reach = float(np.median(shown)), float(np.abs(shown).max()) or 1.0
    planes = [_reduce(plane / reach - middle / reach) for plane in shown]
    whole = _compare_tails(np.concatenate([plane.ravel() for plane in planes]))
    if abs(whole) >= _CLEAR:
        return whole
    return _compare_tails(np.concatenate([_subtract_surroundings(plane).ravel() for plane in planes]))


def _compare_tails(values: Heights) -> float:
    low, centre, high = np.split(np.percentile(values, [*_TAILS, 50, *(100 - tail for tail in _TAILS)]), [2, 3])
    above, below = high - centre, centre - low
    total = above + below
    return float(np.divide(above - below, total, out=np.zeros(len(_TAILS)), where=total > 0).mean())


def _reduce(plane: Heights) -> Heights:
    """Return a smoothed plane, reduced to at most `_SIDE` pixels."""
    size = max(plane.shape)
    if size > _SIDE:
        sides = [max(1, round(side * _SIDE / size)) for side in plane.shape]
        plane = np.asarray(cv2.resize(plane, (sides[1], sides[0]), interpolation=cv2.INTER_AREA), np.float32)
    plane = np.asarray(cv2.medianBlur(plane, 3), np.float32)  # removes hot pixels
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.0), np.float32)


def _subtract_surroundings(plane: Heights) -> Heights:
    window = 2 * (max(plane.shape) // (2 * _SURROUNDINGS)) + 1
    return plane - np.asarray(cv2.blur(plane, (window, window), borderType=cv2.BORDER_REFLECT), np.float32)
