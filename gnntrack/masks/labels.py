"""Guessing whether an image is a label image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["is_label_image"]


def is_label_image(image: Image) -> bool:
    """Guess whether an image is a label image: integers, constant within the cells, with some background.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array
        Any values.

    Returns
    -------
    bool
        True if at least 90 % of neighbouring pixels along x that are both not 0 are equal, at least 5 % of the pixels
        are 0, and there are at least two other values.

    Examples
    --------
    >>> labels = np.zeros((32, 32), np.uint16); labels[4:12, 4:12] = 7; labels[20:28, 3:9] = 9
    >>> is_label_image(labels), is_label_image(labels * np.arange(32)), is_label_image(labels * 0)
    (True, False, False)
    """
    if image.dtype.kind not in "iu" or image.ndim < 2:
        return False
    left, right = image[..., :-1], image[..., 1:]
    both = (left != 0) & (right != 0)
    pairs = int(both.sum())
    flat = pairs > 0 and np.count_nonzero(both & (left == right)) >= 0.9 * pairs
    # a binary or saturated image is constant too, but it has only one other value
    return bool(flat and np.count_nonzero(image == 0) >= 0.05 * image.size and len(np.unique(image)) > 2)
