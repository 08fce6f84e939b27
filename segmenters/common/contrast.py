"""The contrast of labels with their surroundings: haze is much fainter than the cells of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from segmenters.common.labels import keep_labels
from segmenters.common.levels import draw_sample

if TYPE_CHECKING:
    from segmenters.common.arrays import Floats, Heights, Integers, Labels

__all__ = ["average_labels", "find_sign", "measure_contrast", "measure_surroundings", "remove_faint"]

_SAME_SIGN = 0.8  # labels are bright or dark if at least this fraction of their contrast has one sign


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
    inside = labels > 0
    level, area = average_labels(labels[inside], pixels[inside], int(labels.max(initial=0)) + 1)
    return np.where(area > 0, level - measure_surroundings(labels, pixels, len(area)), 0)


def measure_surroundings(labels: Labels, pixels: Heights, n: int) -> Floats:
    """Return the mean grey value of the unlabelled pixels within a quarter of a radius of each label, in its planes.

    Parameters
    ----------
    labels, pixels
        As in `measure_contrast`.
    n : int
        Length of the result: the highest label and one more.

    Returns
    -------
    around : (n,) float64 array
        For a label without unlabelled pixels nearby the median of all of them, or else the lowest grey value.
    """
    planes, values = (labels, pixels) if labels.ndim == 3 else (labels[None], pixels[None])
    sections = [area[area > 0] for plane in planes for area in [np.bincount(plane[plane > 0])]]
    areas = np.concatenate([np.zeros(0), *sections])
    reach = max(2, round(float(np.sqrt(np.median(areas) / np.pi)) / 4)) if areas.size else 2
    ring = np.ones((2 * reach + 1,) * 2, np.uint8)
    count, total = np.zeros(n), np.zeros(n)
    for plane, value in zip(planes, values, strict=True):
        first = int(plane[plane > 0].min(initial=n)) - 1  # 16 bits can represent the labels of most planes
        most = int(plane.max(initial=0)) - first
        small = np.where(plane > 0, plane - first, 0)
        near = cv2.dilate(small.astype(np.uint16) if most < 2**16 else small.astype(np.float32), ring)
        here = (plane == 0) & (near > 0)
        owner = near[here].astype(np.int64) + first
        count += np.bincount(owner, minlength=n)
        total += np.bincount(owner, value[here], n)
    outside = draw_sample(pixels)[draw_sample(labels) == 0]
    background = float(np.median(outside)) if outside.size else float(pixels.min(initial=0))
    return np.where(count > 0, total / np.maximum(count, 1), background)


def average_labels(labels: Labels, values: Heights, n: int) -> tuple[Floats, Integers]:
    """Return the mean of the values of each label, (n,), 0 without any, and their number, (n,).

    Parameters
    ----------
    labels : (P,) int32 array
        Below `n`.
    values : (P,) float32 array
        Grey values of the same pixels.
    n : int
        Length of the results.
    """
    area = np.bincount(labels, minlength=n)
    return np.bincount(labels, values, n) / np.maximum(area, 1), area


def find_sign(area: Integers, contrast: Floats) -> int:
    """Return 1 if nearly all labels are brighter than their surroundings, -1 if they are darker, else 0.

    Parameters
    ----------
    area : (n,) int64 array
        Pixels of each label.
    contrast : (n,) float64 array
        Contrast of each label, see `measure_contrast`.
    """
    light = area * contrast
    up, down = float(light[light > 0].sum()), -float(light[light < 0].sum())
    if max(up, down) <= _SAME_SIGN * (up + down):
        return 0
    return 1 if up > down else -1


def remove_faint(labels: Labels, pixels: Heights, fraction: float) -> Labels:
    """Remove labels whose contrast is below a fraction of the typical contrast, and number the others from 1.

    The typical contrast is the median of the labels, without those smaller than a tenth of the median area, so that
    specks do not change it, nor a few very bright cells. If labels are neither brighter nor darker than their
    surroundings, all are kept.

    Parameters
    ----------
    labels, pixels
        As in `measure_contrast`; cells may be dark as well.
    fraction : float
        0 keeps all labels.
    """
    if fraction <= 0 or not labels.any():
        return labels
    contrast = measure_contrast(labels, pixels)
    area = np.bincount(labels[labels > 0], minlength=len(contrast))
    contrast = find_sign(area, contrast) * contrast
    whole = area >= 0.1 * np.median(area[1:][area[1:] > 0])
    whole[0] = False
    typical = float(np.median(contrast[whole]))
    keep = (area > 0) & (contrast >= fraction * typical)
    return keep_labels(labels, keep)
