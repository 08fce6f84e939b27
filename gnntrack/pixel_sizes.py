"""Sizes of pixels along the axes of a movie, as users give them: one number, or one per axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from gnntrack.errors import InputError
from gnntrack.setting_kinds import is_pixel_size

__all__ = ["expand_spacing"]


def expand_spacing(spacing: Any, ndim: int, owner: str) -> tuple[float, ...]:
    """Return the size of a pixel along each axis.

    Parameters
    ----------
    spacing : float or floats
        One number for all axes, or one per axis, in um along ``[z], y, x``.
    ndim : {2, 3}
        Number of axes.
    owner : str
        Name of the source of these axes, for the message of an error.

    Raises
    ------
    InputError
        If a size is not a number from 1e-9 to 1e9, or their number is not that of the axes.

    Examples
    --------
    >>> expand_spacing(0.5, 3, "the movie"), expand_spacing([2, 0.5, 0.5], 3, "the movie")
    ((0.5, 0.5, 0.5), (2.0, 0.5, 0.5))
    >>> expand_spacing((1, 1, 1), 2, "the movie")
    Traceback (most recent call last):
    gnntrack.errors.InputError: spacing (1, 1, 1): the movie has 2 axes; expected 2 positive sizes in um along y, x ...
    """
    try:
        sizes = [float(size) for size in np.atleast_1d(np.asarray(spacing, dtype=float)).ravel()]
    except (TypeError, ValueError):
        sizes = []
    sizes = sizes * ndim if len(sizes) == 1 else sizes
    if len(sizes) != ndim or not all(map(is_pixel_size, sizes)):
        axes = ", ".join("zyx"[-ndim:])
        expected = f"expected {ndim} positive sizes in um along {axes} (1e-9 to 1e9), or one number for all"
        msg = f"spacing {spacing!r}: {owner} has {ndim} axes; {expected} (--spacing)"
        raise InputError(msg)
    return tuple(sizes)
