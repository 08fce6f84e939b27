"""Thinning of 3D masks to lines that keep every piece and every loop."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.compiled import compile_function

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["thin_volume"]

_STEPS = np.array([step for step in itertools.product((-1, 0, 1), repeat=3) if any(step)])  # (26, 3) to the neighbours
_BITS = 2 ** np.arange(26)  # a set of neighbours is an integer with these bits
_AHEAD = np.flatnonzero((np.abs(_STEPS).sum(1) == 1) & (_STEPS.sum(1) == 1))  # one step along each axis
_LEEWAY = 1e-6  # relative, for multiples of a side of a voxel


def _list_contacts(*, reach: int) -> IntArray:
    """Return (26,) for each neighbour the set of the other neighbours at most `reach` steps along the axes away."""
    between = np.abs(_STEPS[:, None] - _STEPS[None])
    touch = (between.max(-1) == 1) & (between.sum(-1) <= reach)
    contacts: IntArray = (touch * _BITS).sum(1)
    return contacts


_BY_CORNER, _BY_FACE = _list_contacts(reach=3), _list_contacts(reach=1)
_NEAR = int(_BITS[np.abs(_STEPS).sum(1) < 3].sum())  # the 18 neighbours that share a face or an edge
_BESIDE = int(_BITS[np.abs(_STEPS).sum(1) == 1].sum())  # the 6 that share a face


def thin_volume(mask: BoolArray, depth: FloatArray, spacing: tuple[float, ...]) -> BoolArray:
    """Return the medial lines of a 3D mask, one voxel wide.

    Parameters
    ----------
    mask : (Z, Y, X) bool
        One or more bodies.
    depth : (Z, Y, X) float64
        Distance of each voxel of the mask to the outside, in the unit of `spacing`.
    spacing : 3 floats
        Size of a voxel.

    Returns
    -------
    (Z, Y, X) bool
        Part of `mask` with the same pieces, tunnels and cavities. Voxels touch by faces, edges or corners, those
        outside by faces.

    Notes
    -----
    Voxels are removed one by one, each only if it is simple: the number of pieces, tunnels and cavities stays the same
    (Bertrand and Malandain, Pattern Recognition Letters 1994). A voxel with one neighbour is an end and stays. The
    order is that of the depth, as in distance-ordered thinning (Pudney, CVIU 1998). A surface that moves inwards with
    unit speed meets the layers of voxels along an axis at the multiples of the side of a voxel; at these times the
    voxels are removed that are open to one side of this axis and covered on the other. So a body of even thickness
    is left with one of its two middle layers.

    Examples
    --------
    >>> from scipy import ndimage
    >>> bar = np.pad(np.ones((4, 4, 20), bool), 1)
    >>> int(thin_volume(bar, ndimage.distance_transform_edt(bar), (1.0, 1.0, 1.0)).sum())
    18
    """
    padded = np.pad(mask, 1)
    parity = sum(2**axis * (np.indices(padded.shape, sparse=True)[axis] % 2) for axis in range(3))
    solid = (padded * (1 + parity)).astype(np.uint8).ravel()
    strides = np.array([padded.shape[1] * padded.shape[2], padded.shape[2], 1])
    order = np.argsort(depth[mask], kind="stable")
    # depths within the rounding of a multiple of a side count as that multiple
    _remove_layers(
        solid, np.flatnonzero(solid)[order], depth[mask][order] * (1 - _LEEWAY), strides, np.array(spacing, float)
    )
    lines: BoolArray = solid.reshape(padded.shape)[1:-1, 1:-1, 1:-1].astype(np.bool_)
    return lines


@compile_function
def _remove_layers(
    solid: IntArray, voxels: IntArray, depth: FloatArray, strides: IntArray, spacing: FloatArray
) -> None:
    """Remove the voxels of a flat volume that are not on its medial lines.

    Parameters
    ----------
    solid : (M,) uint8
        0 outside and at the border; inside 1 to 8, the class by even and odd indices. Changed in place.
    voxels, depth : (n,)
        The voxels inside, in the order of their depth.
    strides, spacing : (3,)
        Distance of neighbours along each axis in `solid`, and in space.
    """
    steps = (_STEPS * strides).sum(1)
    left = np.empty_like(voxels)  # first n: those reached by the surface that are solid still
    n, reached = 0, 0
    due, idle = spacing.copy(), np.zeros(3, np.bool_)  # when each axis is peeled next; nothing to peel until a change
    while not idle.all() or reached < len(voxels):
        if idle.all():
            _set_due(due, idle, spacing, depth[reached])
        axis = _choose_axis(due, idle, spacing)
        now = due[axis]
        first = reached
        while reached < len(voxels) and depth[reached] <= now:
            left[n + reached - first] = voxels[reached]
            reached += 1
        n += reached - first
        removed = _remove_layer(solid, left[:n], strides[axis], steps)
        due[axis] += spacing[axis]
        idle[axis] = removed == 0
        if removed or reached > first:
            _set_due(due, idle, spacing, now)
            kept = left[:n][solid[left[:n]] > 0]
            n = len(kept)
            left[:n] = kept
    while _remove(solid, left[:n], steps):  # corners of stairs
        pass


@compile_function
def _set_due(due: FloatArray, idle: BoolArray, spacing: FloatArray, now: float) -> None:
    """Let idle axes be peeled at the next multiple of their spacing."""
    for axis in range(3):
        if idle[axis]:
            idle[axis] = False
            due[axis] = max(due[axis], np.ceil(now / spacing[axis] - _LEEWAY) * spacing[axis])


@compile_function
def _choose_axis(due: FloatArray, idle: BoolArray, spacing: FloatArray) -> int:
    """Return the axis to peel next; of several at the same time the one with the largest spacing."""
    best = -1
    for axis in range(3):
        if idle[axis]:
            continue
        ahead = 0.0 if best < 0 else due[best] - due[axis]
        even = abs(ahead) < _LEEWAY * due[axis]
        if best < 0 or (even and spacing[axis] > spacing[best]) or (not even and ahead > 0):
            best = axis
    return best


@compile_function
def _remove_layer(solid: IntArray, voxels: IntArray, stride: int, steps: IntArray) -> int:
    """Remove one layer on both sides of an axis; return the number of voxels removed."""
    count: int = 0
    for side in (-stride, stride):
        layer = voxels[(solid[voxels] > 0) & (solid[voxels + side] == 0) & (solid[voxels - side] > 0)]
        count += _remove(solid, layer, steps)
    count += _remove(solid, _find_loose(solid, voxels, steps), steps)
    return count


@compile_function
def _find_loose(solid: IntArray, voxels: IntArray, steps: IntArray) -> IntArray:
    """Return the voxels that are open to no side and covered on the other: they hang on edges and corners."""
    loose = solid[voxels] > 0
    for k in _AHEAD:
        loose &= (solid[voxels + steps[k]] > 0) == (solid[voxels - steps[k]] > 0)
    return voxels[loose]


@compile_function
def _remove(solid: IntArray, voxels: IntArray, steps: IntArray) -> int:
    """Remove those of the voxels that are simple and not ends; return their number.

    Voxels of the same class do not touch, so that their order changes nothing and no line is eaten from one end.
    """
    count = 0
    for parity in range(1, 9):
        for voxel in voxels[solid[voxels] == parity]:
            neighbours = 0
            for k in range(26):
                if solid[voxel + steps[k]]:
                    neighbours |= 1 << k
            several = neighbours & (neighbours - 1)
            if several and _is_simple(neighbours):
                solid[voxel] = 0
                count += 1
    return count


@compile_function
def _is_simple(neighbours: int) -> bool:
    """Return whether the neighbours inside are one piece, and those outside that share a face are one, too."""
    near = ~neighbours & _NEAR
    beside = near & _BESIDE
    if not beside:
        return False
    if _find_connected(beside & -beside, near, _BY_FACE) & beside != beside:
        return False
    one_piece: bool = _find_connected(neighbours & -neighbours, neighbours, _BY_CORNER) == neighbours
    return one_piece


@compile_function
def _find_connected(found: int, within: int, contacts: IntArray) -> int:
    """Return the set of neighbours that are connected to those found."""
    fresh = found
    while fresh:
        grown = 0
        for k in range(26):
            if (fresh >> k) & 1:
                grown |= contacts[k]
        fresh = grown & within & ~found
        found |= fresh
    return found
