"""Volumes of balls, in 2D areas of circles."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["UNIT_BALL", "compute_radius"]

UNIT_BALL = {2: math.pi, 3: 4 / 3 * math.pi}
"""Area of the circle and volume of the ball of radius 1, by number of dimensions."""


def compute_radius(size: Any, ndim: int) -> Any:
    """Return the radius of the circle (2D) or ball (3D) of a given size.

    Parameters
    ----------
    size : float or array
        Area or volume, in pixels or in a unit of length to the power `ndim`.
    ndim : {2, 3}
        Number of dimensions.

    Examples
    --------
    >>> compute_radius(math.pi * 9, 2)
    3.0
    """
    return (size / UNIT_BALL[ndim]) ** (1 / ndim)
