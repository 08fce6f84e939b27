"""Selection of labels of a label image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from segmenters.common.arrays import Labels, Mask

__all__ = ["keep_labels"]


def keep_labels(labels: Labels, keep: Mask) -> Labels:
    """Return some of the labels, numbered from 1 without gaps; all others become background.

    Parameters
    ----------
    labels : int32 array
        0 = background.
    keep : (n,) bool array
        Which labels to keep, at least up to the highest; that of the background is ignored.

    Examples
    --------
    >>> keep_labels(np.array([1, 2, 3, 0], np.int32), np.array([False, True, False, True]))
    array([1, 0, 2, 0], dtype=int32)
    """
    if keep[1:].all():
        return labels
    number = np.cumsum(keep[1:], dtype=np.int32) * keep[1:]
    return np.asarray(np.concatenate([np.zeros(1, np.int32), number]).take(labels), np.int32)
