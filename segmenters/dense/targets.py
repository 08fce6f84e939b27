"""Targets from a label image: foreground, depth of a pixel in its cell, and places where two cells are close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy import ndimage
from skimage.segmentation import expand_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

__all__ = ["compute_depth", "compute_nearness", "measure_mean_diameter", "measure_whole_cells"]

_REACH = 6  # largest distance in pixels of two cells that count as close
_WIDTH = 3.0  # pixels: standard deviation across the border


def compute_depth(labels: npt.NDArray[Any], *, spacing: Sequence[float] | None = None) -> npt.NDArray[np.float32]:
    """Return the distance of each pixel to the outline of its own cell, as a fraction of the largest in the cell.

    It is 1 in the middle of a cell and about 0 at its outline, also between touching cells, so the saddle between two
    cells is low for cells of any size.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) integer array
        0 = background, below 0 = unknown. The border of the image does not count as an outline, because a cell can
        continue beyond it.
    spacing : sequence of float, optional
        Sides of a pixel along ``[z], y, x``; by default squares or cubes.

    Returns
    -------
    depth : float32 array of the same shape
        0 outside the cells, above 0 up to 1 inside. -1 where labels are unknown, and in the whole of a cell that
        touches such a pixel, because its outline is unknown.
    """
    unknown = labels < 0
    some_unknown = bool(unknown.any())
    depth = np.where(unknown, np.float32(-1), np.float32(0))
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        # one more pixel on each side, as far as the image extends
        wide = tuple(slice(max(s.start - 1, 0), min(s.stop + 1, n)) for s, n in zip(box, labels.shape, strict=True))
        mask = labels[wide] == label
        if some_unknown and unknown[wide][ndimage.binary_dilation(mask)].any():
            depth[wide][mask] = -1
            continue
        inside = _compute_distance(mask, spacing)
        depth[wide][mask] = inside[mask] / inside.max()
    return depth


def _compute_distance(mask: npt.NDArray[np.bool_], spacing: Sequence[float] | None) -> npt.NDArray[np.float32]:
    if mask.all():
        return np.ones(mask.shape, np.float32)
    if mask.ndim == 2 and spacing is None:
        return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing), np.float32)


def compute_nearness(labels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return the nearness of two cells: high for the few pixels that decide whether two cells are separated.

    After the weight map of the U-Net (Ronneberger et al., 2015).

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) integer array
        0 = background, below 0 = unknown.

    Returns
    -------
    nearness : float32 array of the same shape
        1 on the line between two cells that are at most 6 pixels apart, less beside it, 0 elsewhere. Planes of a
        stack may lie far apart: there, two cells are near each other if they touch.
    """
    expand: Any = expand_labels
    step = (_REACH,) * (labels.ndim - 2) + (1, 1)
    wide = expand(np.maximum(labels, 0), _REACH / 2, spacing=step)
    line = np.zeros(labels.shape, bool)
    for axis in range(labels.ndim):
        one = wide[(slice(None),) * axis + (slice(None, -1),)]
        other = wide[(slice(None),) * axis + (slice(1, None),)]
        meet = (one != other) & (one > 0) & (other > 0)
        line[(slice(None),) * axis + (slice(None, -1),)] |= meet
        line[(slice(None),) * axis + (slice(1, None),)] |= meet
    if not line.any():
        return np.zeros(labels.shape, np.float32)
    far = np.asarray(ndimage.distance_transform_edt(~line, sampling=step), np.float32)
    return np.where(far < 3 * _WIDTH, np.exp(-0.5 * (far / _WIDTH) ** 2), np.float32(0))


def measure_whole_cells(labels: npt.NDArray[Any]) -> tuple[float, int]:
    """Return the median diameter of the cells that the border of the image does not cut, and their number.

    If more than half of the cells, and all but two, are cut, all cells are measured. Without cells, the diameter is 0.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) integer array
        0 = background, below 0 = unknown.

    Examples
    --------
    >>> labels = np.zeros((8, 8), int)
    >>> labels[2:5, 2:5], labels[7, 6:8] = 1, 2
    >>> diameter, cells = measure_whole_cells(labels)
    >>> round(diameter, 2), cells
    (3.39, 1)
    """
    cells = np.unique(labels[labels > 0])
    edge = np.ones(labels.shape, bool)
    edge[..., 1:-1, 1:-1] = False
    whole = np.setdiff1d(cells, labels[edge])
    if 2 * len(whole) >= len(cells) or len(whole) > 2:
        cells = whole
    size = measure_mean_diameter(np.where(np.isin(labels, cells), labels, 0))
    return size or 0.0, len(cells)


def measure_mean_diameter(labels: npt.NDArray[Any]) -> float | None:
    """Return the median over cells of the diameter of a disc of the same area, in pixels; None without cells.

    In 3D, the area of a cell is that of its largest section along y and x.
    """
    planes = labels[None] if labels.ndim == 2 else labels
    count = int(labels.max(initial=0)) + 1
    area = np.max([np.bincount(np.maximum(plane, 0).ravel(), minlength=count) for plane in planes], axis=0)[1:]
    area = area[area > 0]
    return float(np.median(2 * np.sqrt(area / np.pi))) if area.size else None
