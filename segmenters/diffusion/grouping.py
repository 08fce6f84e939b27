"""From points with predicted cell centres to cells, and from cells to voxels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    import numpy.typing as npt

    from segmenters.common.arrays import AnyFloats, Integers, Labels
    from segmenters.diffusion.points import Cloud


__all__ = ["draw_voxels", "group_points"]

_BIN = 0.06  # votes this close together are counted as one, in diameters
_SMOOTH = 0.12  # standard deviation of the Gaussian over the votes, in diameters
_REACH = 0.2  # votes this far apart are neighbours, in diameters
_NEAREST = 8  # number of nearest points that are used for a voxel
_FAR = 0.7  # largest distance of a voxel from a point whose label it takes, in diameters
_SURE = 0.1  # foreground values nearer than this to 0 or 1 count as 0 or 1
_CHUNK = 500_000  # voxels that are labelled at once


def group_points(
    points: AnyFloats, offset: AnyFloats, mass: AnyFloats, *, neck: float = 0.6, min_size: float = 0.08
) -> Labels:
    """Return the cell of each point: points that vote for the same centre are one cell.

    Parameters
    ----------
    points : (N, 3) float array
        Positions of points in cells, in diameters.
    offset : (N, 3) float array
        From each point to the centre of its cell.
    mass : (N,) float array
        Weight of each vote.
    neck : float
        Two peaks of the density of votes are one cell if the saddle between them reaches this fraction of the lower
        peak.
    min_size : float
        Cells with less than this fraction of the mass of a typical cell are removed.

    Returns
    -------
    labels : (N,) int32 array
        1, 2, ...; 0 = in no cell.

    Notes
    -----
    The density of the votes is a sum of Gaussians; its peaks are joined by their prominence, as in ToMATo
    (Chazal, Guibas, Oudot and Skraba 2013): pairs of neighbouring votes are processed in the order of
    density, highest first.
    """
    if not len(points):
        return np.zeros(0, np.int32)
    votes = np.asarray(points + offset, np.float64)
    _, owner = np.unique(np.floor(votes / _BIN).astype(np.int64), axis=0, return_inverse=True)
    owner = owner.ravel()
    weight = np.bincount(owner, mass)
    place = np.stack([np.bincount(owner, mass * along) for along in votes.T], axis=1) / weight[:, None]
    heaps = _find_peaks(place, weight, neck)
    labels = heaps[owner]
    return _renumber(labels, mass, min_size)


def _find_peaks(place: AnyFloats, weight: npt.NDArray[Any], neck: float) -> Integers:
    """Return the heap of each bin of votes."""
    tree = cKDTree(place)
    pair = tree.query_pairs(3 * _SMOOTH, output_type="ndarray")
    squared = np.sum((place[pair[:, 0]] - place[pair[:, 1]]) ** 2, axis=1)
    kernel = np.exp(-squared / (2 * _SMOOTH**2))
    n = len(place)
    density = weight.copy()
    for here, there in ((0, 1), (1, 0)):
        density += np.bincount(pair[:, here], kernel * weight[pair[:, there]], n)
    near = pair[squared <= _REACH**2]
    level = np.minimum(*density[near].T)
    order = np.lexsort((-np.maximum(*density[near].T), -level))
    return _join(near[order], level[order], density, neck)


def _join(pair: Integers, level: AnyFloats, height: AnyFloats, neck: float) -> Integers:
    """Return the heap of each place, pairs being joined in their order where the pass is high enough."""
    root, top = list(range(len(height))), height.tolist()

    def find(place: int) -> int:
        while root[place] != place:
            root[place] = root[root[place]]
            place = root[place]
        return place

    for (a, b), crossing in zip(pair.tolist(), level.tolist(), strict=True):
        low, high = find(a), find(b)
        if low == high:
            continue
        if top[low] > top[high]:
            low, high = high, low
        if crossing >= neck * top[low]:
            root[low] = high
    return np.array([find(place) for place in range(len(height))], np.int64)


def _renumber(heap: Integers, mass: AnyFloats, min_size: float) -> Labels:
    """Return the heaps numbered from 1, without small ones; half of all points lie in heaps smaller than typical."""
    size = np.bincount(heap, mass)
    order = np.sort(size)
    below = np.cumsum(order)
    typical = order[np.searchsorted(below, below[-1] / 2)]
    keep = (size > 0) & (size >= min_size * typical)
    return np.asarray((np.cumsum(keep) * keep)[heap], np.int32)


def draw_voxels(
    cloud: Cloud, labels: Labels, foreground: AnyFloats, *, shape: tuple[int, ...], scale: AnyFloats
) -> Labels:
    """Return the cells as voxels.

    The foreground probability of a point is used as the fraction of foreground in its box: that fraction of the voxels
    of the box, the brightest, is foreground, so the outline has the resolution of the voxels. Points of a surface have
    no boxes; there the nearest points decide. A voxel belongs to the cell of most of the points around it.

    Parameters
    ----------
    cloud : Cloud
        The points, and the voxels that they stand for.
    labels : (N,) int32 array
        Cell of each point, 0 = none.
    foreground : (N,) float array
        Probability that a point lies in a cell.
    shape : three ints
        Of the stack.
    scale : (3,) float array
        Size of a voxel along z, y, x in diameters.

    Returns
    -------
    labels : (Z, Y, X) int32 array
        1, 2, ... without gaps, each cell in one piece; 0 = background.
    """
    labels_of_voxels = np.zeros(shape, np.int32)
    known = np.flatnonzero(labels > 0)
    if not len(known):
        return labels_of_voxels
    chosen = cloud.voxels[
        _select_brightest(cloud, foreground) if cloud.faces is None else foreground[cloud.owner] > 0.5
    ]
    tree = cKDTree(cloud.points[known])
    for first in range(0, len(chosen), _CHUNK):
        voxels = chosen[first : first + _CHUNK]
        distance, index = _count_asked(tree, voxels * scale)
        winner = _find_majority(labels[known[index]], 1 / (distance + 0.05) ** 2)
        winner[distance[:, 0] > _FAR] = 0
        labels_of_voxels[tuple(voxels.T)] = winner
    return _clean_cells(labels_of_voxels)


def _select_brightest(cloud: Cloud, foreground: AnyFloats) -> npt.NDArray[np.bool_]:
    """Return which voxels are the brightest of their point, in the number given by its foreground."""
    count = np.bincount(cloud.owner, minlength=len(cloud))
    order = np.lexsort((-cloud.brightness, cloud.owner))
    rank = np.empty(len(order))
    rank[order] = np.arange(len(order)) - (np.cumsum(count) - count)[cloud.owner[order]]
    # a box that is surely inside, or outside, is so as a whole
    share = np.clip((foreground - _SURE) / (1 - 2 * _SURE), 0, 1)
    return np.asarray((rank + 0.5) / count[cloud.owner] < share[cloud.owner])


def _count_asked(tree: cKDTree, place: AnyFloats) -> tuple[AnyFloats, Integers]:
    """Return distance and row of the nearest points, (V, K)."""
    k = min(_NEAREST, tree.n)
    distance, index = tree.query(place, k=k)
    return distance.reshape(len(place), k), index.reshape(len(place), k)


def _find_majority(labels: Labels, weight: AnyFloats) -> Labels:
    """Return the label with the most weight in each row."""
    same = labels[:, :, None] == labels[:, None, :]
    best = np.argmax((same * weight[:, None, :]).sum(2), axis=1)
    return np.asarray(labels[np.arange(len(labels)), best], np.int32)


def _clean_cells(labels_of_voxels: Labels) -> Labels:
    """Keep the largest part of each cell, fill its holes, and number cells without gaps."""
    out, number = np.zeros_like(labels_of_voxels), 0
    for label, box in enumerate(ndimage.find_objects(labels_of_voxels), start=1):
        if box is None:
            continue
        number += 1
        here = labels_of_voxels[box]
        parts, _ = ndimage.label(here == label)
        largest = parts == np.bincount(parts.ravel())[1:].argmax() + 1
        own = ndimage.binary_fill_holes(largest) & ((here == label) | (here == 0))
        out[box][own] = number
    return out
