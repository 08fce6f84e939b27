"""Colours of families, the same in every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import FloatArray

__all__ = ["choose_family_colours"]

_GOLDEN = (5**0.5 - 1) / 2
_PLASTIC = 0.7548776662466927  # the second such number (Roberts 2018), so that hue and lightness do not repeat together


def choose_family_colours(family: npt.ArrayLike) -> FloatArray:
    """Return red, green and blue in [0, 1] for each family id, shape (..., 3).

    Hue and lightness advance by irrational fractions with each id (hue: the golden ratio), so that ids near each
    other look different, also to colour-blind readers. The lightness is limited to values that are visible on white
    and on black. Colours are chosen in OKLCH (Ottosson 2020), where equal steps look equal.

    >>> choose_family_colours([1, 2]).round(2).tolist()
    [[0.16, 0.7, 0.86], [0.72, 0.56, 0.16]]
    """
    number = np.asarray(family, np.float64)
    hue = 2 * np.pi * (number * _GOLDEN % 1)
    lightness = 0.58 + 0.18 * (number * _PLASTIC % 1)
    chroma = np.full_like(lightness, 0.17)
    for _ in range(12):  # a colour outside sRGB gets less chroma
        colours = _convert_to_linear(lightness, chroma, hue)
        outside = (colours < 0).any(-1) | (colours > 1).any(-1)
        chroma = np.where(outside, chroma * 0.9, chroma)
    colours = np.clip(colours, 0, 1)
    gamma = np.where(colours <= 0.0031308, 12.92 * colours, 1.055 * colours ** (1 / 2.4) - 0.055)
    return np.asarray(gamma, np.float64)


def _convert_to_linear(lightness: FloatArray, chroma: FloatArray, hue: FloatArray) -> FloatArray:
    """Return linear sRGB, shape (..., 3)."""
    lab = np.stack([lightness, chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    cones = lab @ np.array(
        [[1, 1, 1], [0.3963377774, -0.1055613458, -0.0894841775], [0.2158037573, -0.0638541728, -1.291485548]]
    )
    to_rgb = [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.707614701],
    ]
    return np.asarray(cones**3 @ np.array(to_rgb).T)
