"""Peaks of a smooth field: local maxima, their sub-voxel positions, and one peak for each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from segmenters.common.arrays import Floats, Heights, Integers

__all__ = ["find_peaks", "merge_peaks", "refine_peaks", "thin_out"]

_PARTS = (0.2, 0.35, 0.5, 0.65, 0.8)  # places on the way from a peak to another


def find_peaks(field: Heights, lowest: float) -> Integers:
    """Return the voxels, (N, D), that are above a value and not below any of their neighbours; highest first.

    Parameters
    ----------
    field : ([Z], Y, X) float32 array
        Smooth values.
    lowest : float
        Peaks are above this value.

    Examples
    --------
    >>> find_peaks(np.array([[0, 3, 0, 5, 5, 0]], np.float32), 1).tolist()
    [[0, 3], [0, 4], [0, 1]]
    """
    if not field.size:
        return np.empty((0, field.ndim), np.int64)
    high = ndimage.maximum_filter(field, size=3, mode="nearest")
    found = np.argwhere((field == high) & (field > lowest))
    values = field[tuple(found.T)]
    return np.asarray(found[np.argsort(-values, kind="stable")], np.int64)


def refine_peaks(field: Heights, peaks: Integers) -> Floats:
    """Return sub-voxel positions, (N, D): the vertex of a parabola through each peak and its two neighbours per axis.

    A peak on the border of the field stays at its voxel along that axis.

    Examples
    --------
    >>> refine_peaks(np.array([0, 3, 4, 3.5, 0], np.float32), np.array([[2]])).round(3).tolist()
    [[2.167]]
    """
    position = peaks.astype(np.float64)
    here = field[tuple(peaks.T)].astype(np.float64)
    for axis in range(field.ndim):
        inner = (peaks[:, axis] > 0) & (peaks[:, axis] < field.shape[axis] - 1)
        step = np.zeros(field.ndim, np.int64)
        step[axis] = 1
        before = field[tuple((peaks[inner] - step).T)].astype(np.float64)
        after = field[tuple((peaks[inner] + step).T)].astype(np.float64)
        bend = before - 2 * here[inner] + after
        move = np.where(bend < 0, 0.5 * (before - after) / np.where(bend < 0, bend, 1), 0)
        position[inner, axis] += np.clip(move, -0.5, 0.5)
    return position


def thin_out(position: Floats, step: Sequence[float], closest: float) -> Integers:
    """Return the rows of peaks that have no earlier kept peak within a distance; give the highest peaks first.

    Parameters
    ----------
    position : (N, D) float array
        In voxels of the field.
    step : D floats
        Size of such a voxel.
    closest : float
        Smallest distance of two cells, in the unit of `step`.

    Examples
    --------
    >>> thin_out(np.array([[0.0, 0], [0, 1], [0, 2]]), (1, 1), 1.5).tolist()
    [0, 2]
    """
    kept = np.ones(len(position), bool)
    if len(position) > 1:
        pairs = cKDTree(position * np.asarray(step)).query_pairs(closest, output_type="ndarray")
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        for first, second in pairs.tolist():  # query_pairs: first < second, so that the first is the higher one
            if kept[first]:
                kept[second] = False
    return np.flatnonzero(kept)


def merge_peaks(
    field: Heights, position: Floats, step: Sequence[float], reach: float, *, dip: float, noise: float
) -> Integers:
    """Return the rows of peaks without those between which the field hardly falls: two maxima of one flat cell.

    Parameters
    ----------
    field : ([Z], Y, X) float32 array
        Smooth values.
    position : (N, D) float array
        Peaks in voxels of the field, the highest first.
    step : D floats
        Size of a voxel.
    reach : float
        Peaks farther apart than this, in the unit of `step`, are not compared.
    dip : float
        Two peaks are one if the field falls by less than this fraction of the lower peak on the way between them.
    noise : float
        Or by less than this.

    Examples
    --------
    >>> field = np.array([[0, 5, 4.9, 5, 0, 0, 5, 0]], np.float32)
    >>> merge_peaks(field, np.array([[0.0, 1], [0, 3], [0, 6]]), (1, 1), 4, dip=0.1, noise=0).tolist()
    [0, 2]
    """
    kept = np.ones(len(position), bool)
    if len(position) > 1:
        pairs = cKDTree(position * np.asarray(step)).query_pairs(reach, output_type="ndarray")
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        first, second = position[pairs[:, 0]], position[pairs[:, 1]]
        way = np.stack([first + part * (second - first) for part in _PARTS])
        values = ndimage.map_coordinates(field, np.moveaxis(way, -1, 0), order=1, mode="nearest")
        height = ndimage.map_coordinates(field, second.T, order=1, mode="nearest")
        flat = height - values.min(axis=0) < np.maximum(dip * height, noise)
        for above, below in pairs[flat].tolist():
            if kept[above]:
                kept[below] = False
    return np.flatnonzero(kept)
