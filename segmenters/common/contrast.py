"""The contrast of labels with their surroundings: haze is much fainter than the cells of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from segmenters.common.arrays import Floats, Heights, Integers, Labels

__all__ = ["measure_contrast", "remove_faint"]


def measure_contrast(labels: Labels, pixels: Heights) -> Floats:
    """Return by how much labels are brighter than the unlabelled pixels within a quarter of a radius.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) int32 array
        0 = background.
    pixels : float32 array of the same shape
        Grey values, higher in cells.

    Returns
    -------
    contrast : (n + 1,) float64 array
        For each label up to the highest, n. A label that is surrounded by others is compared with the median of the
        background. 0 for the background, and for labels that do not occur.

    Examples
    --------
    >>> labels = np.zeros((8, 8), np.int32)
    >>> labels[2:5, 2:5] = 1
    >>> measure_contrast(labels, 3 + 10 * (labels > 0).astype(np.float32)).tolist()
    [0.0, 10.0]
    """
    n = int(labels.max(initial=0)) + 1
    area = np.bincount(labels.ravel(), minlength=n)
    level = np.bincount(labels.ravel(), pixels.ravel(), n) / np.maximum(area, 1)
    count, total = _sum_surroundings(labels, pixels, area)
    outside = pixels[labels == 0]
    background = float(np.median(outside)) if outside.size else float(pixels.min(initial=0))
    contrast = np.where(area > 0, level - np.where(count > 0, total / np.maximum(count, 1), background), 0)
    contrast[0] = 0
    return contrast


def _sum_surroundings(labels: Labels, pixels: Heights, area: Integers) -> tuple[Floats, Floats]:
    """Return the number of unlabelled pixels beside each label, plane by plane, and the sum of their grey values."""
    planes, values = (labels, pixels) if labels.ndim == 3 else (labels[None], pixels[None])
    n = len(area)
    sections = max(1, sum(len(np.unique(plane)) - 1 for plane in planes))
    reach = max(2, round(float(np.sqrt(area[1:].sum() / sections / np.pi)) / 4))
    ring = np.ones((2 * reach + 1,) * 2, np.uint8)
    count, total = np.zeros(n), np.zeros(n)
    for plane, value in zip(planes, values, strict=True):
        near = cv2.dilate(plane.astype(np.float32), ring).astype(np.int32)
        here = (plane == 0) & (near > 0)
        count += np.bincount(near[here], minlength=n)
        total += np.bincount(near[here], value[here], n)
    return count, total


def remove_faint(labels: Labels, pixels: Heights, fraction: float) -> Labels:
    """Remove labels whose contrast is below a fraction of the typical contrast; the others keep their numbers.

    The typical contrast is the median of the labels, without those smaller than a tenth of the median area, so that
    specks do not change it, nor a few very bright cells.

    Parameters
    ----------
    labels, pixels
        As in `measure_contrast`.
    fraction : float
        0 keeps all labels.
    """
    if fraction <= 0 or not labels.any():
        return labels
    contrast = measure_contrast(labels, pixels)
    area = np.bincount(labels.ravel(), minlength=len(contrast))
    whole = area >= 0.1 * np.median(area[1:][area[1:] > 0])
    whole[0] = False
    typical = float(np.median(contrast[whole]))
    return np.where((contrast >= fraction * typical)[labels], labels, 0).astype(np.int32)
