"""Recognition of label images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["looks_like_labels"]


def looks_like_labels(image: Image) -> bool:
    """Tell whether an image is a label image by its looks: integers, flat within the cells, some background.

    >>> labels = np.zeros((32, 32), np.uint16); labels[4:12, 4:12] = 7; labels[20:28, 3:9] = 9
    >>> looks_like_labels(labels), looks_like_labels(labels * np.arange(32)), looks_like_labels(labels * 0)
    (True, False, False)
    """
    if image.dtype.kind not in "iu" or image.ndim < 2:
        return False
    left, right = image[..., :-1], image[..., 1:]
    both = (left != 0) & (right != 0)
    pairs = int(both.sum())
    flat = pairs > 0 and np.count_nonzero(both & (left == right)) >= 0.9 * pairs
    # a binary or saturated image is flat too, but it holds one value only
    return bool(flat and np.count_nonzero(image == 0) >= 0.05 * image.size and len(np.unique(image)) > 2)
