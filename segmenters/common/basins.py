"""A mask is split between the peaks of a relief: a watershed whose basins are joined where the saddle is high.

The basin of a peak is the pixels from which the steepest way upwards leads to it (L. Vincent and P. Soille, Watersheds
in digital spaces, IEEE Trans. Pattern Analysis and Machine Intelligence 13, 1991; with the steepest way of the
hill-climbing algorithms). Only pixels of the mask are visited, so the time does not depend on the size of the image
around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from gnntrack.compiled import compile_function

if TYPE_CHECKING:
    from segmenters.common.arrays import Heights, Integers, Labels, Mask

__all__ = ["find_peaks", "split_relief"]


def split_relief(
    relief: Heights, mask: Mask, *, peaks: Mask | None = None, neck: float = 1.0, dip: float = 0.0
) -> Labels:
    """Split a mask between the peaks of a relief.

    Every peak gets a basin; then basins are joined, highest saddle first, if the saddle reaches `neck` times the lower
    peak, or is at most `dip` below it, or if one of them has none of the allowed `peaks`.

    Parameters
    ----------
    relief : (Y, X) or (Z, Y, X) float32 array
        Higher is deeper inside a cell.
    mask : bool array of the same shape
        The mask to split.
    peaks : bool array of the same shape, optional
        Allowed peaks; by default all.
    neck, dip : float
        Thresholds of the rule; a saddle as high as the lower peak always joins.

    Returns
    -------
    labels : int32 array of the same shape
        One label per cell, with gaps, in the order of the highest pixels of the cells; 0 also in parts of the mask
        without any of the given `peaks`.
    """
    labels = np.zeros(tuple(n + 2 for n in relief.shape), np.int32)
    core = (slice(1, -1),) * relief.ndim
    framed = np.full(labels.shape, -np.inf, np.float32)
    framed[core] = np.where(mask, relief, -np.inf)
    inside = np.flatnonzero(framed > -np.inf)
    steps = np.array([np.prod(labels.shape[axis + 1 :], dtype=np.int64) for axis in range(relief.ndim)])
    number = labels.ravel()
    up = _find_upward(framed.ravel(), inside, steps, number)
    top = np.flatnonzero(up == np.arange(len(up)))
    basin = _number_basins(up, top)
    number[inside] = basin
    height = framed.ravel()[inside][top]
    allowed = np.ones(len(top), bool)
    if peaks is not None:
        allowed[:] = False
        allowed[basin[peaks[mask]] - 1] = True
    low, high, level = _find_saddles(framed.ravel(), inside, steps, number)
    root = _join(*_order_saddles(low, high, level, len(top)), height, allowed, neck, dip)
    number[inside] = np.where(allowed[root], root + 1, 0)[basin - 1]
    return np.ascontiguousarray(labels[core])


def find_peaks(relief: Heights) -> Mask:
    """Return the pixels that are not lower than any neighbour, across faces, edges and corners."""
    around = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
    if relief.ndim == 2:
        return np.asarray(relief == cv2.dilate(relief, around))
    highest = np.stack([cv2.dilate(plane, around) for plane in relief])
    beside = highest.copy()
    np.maximum(highest[1:], beside[:-1], out=highest[1:])
    np.maximum(highest[:-1], beside[1:], out=highest[:-1])
    return np.asarray(relief == highest)


@compile_function
def _find_upward(level: Heights, inside: Integers, steps: Integers, number: Labels) -> Integers:
    """Return for each pixel the position in `inside` of its highest neighbour across a face, or of itself.

    Of equal heights the first is the highest. `number` is overwritten.
    """
    for i in range(len(inside)):
        number[inside[i]] = i
    up = np.empty(len(inside), np.int64)
    for i in range(len(inside)):
        here = inside[i]
        best, at = level[here], here
        for step in steps:
            for there in (here - step, here + step):
                if level[there] > best or (level[there] == best and there < at):
                    best, at = level[there], there
        up[i] = number[at]
    return up


@compile_function
def _number_basins(up: Integers, top: Integers) -> Labels:
    """Return the number of the basin of each pixel, from 1: that of the peak that it leads to."""
    basin = np.zeros(len(up), np.int32)
    for peak in range(len(top)):
        basin[top[peak]] = peak + 1
    for i in range(len(up)):
        at = i
        while basin[at] == 0:
            at = up[at]
        found, at = basin[at], i
        while basin[at] == 0:
            basin[at] = found
            at = up[at]
    return basin


@compile_function
def _find_saddles(
    level: Heights, inside: Integers, steps: Integers, number: Labels
) -> tuple[Integers, Integers, Heights]:
    """Return where pixels of two basins touch: both basins, from 0, and the lower of the two heights."""
    touching = 0
    for here in inside:
        for step in steps:
            other = number[here + step]
            touching += other > 0 and other != number[here]
    low, high = np.empty(touching, np.int64), np.empty(touching, np.int64)
    saddle = np.empty(touching, np.float32)
    touching = 0
    for here in inside:
        for step in steps:
            other = number[here + step]
            if other > 0 and other != number[here]:
                low[touching] = min(other, number[here]) - 1
                high[touching] = max(other, number[here]) - 1
                saddle[touching] = min(level[here], level[here + step])
                touching += 1
    return low, high, saddle


def _order_saddles(low: Integers, high: Integers, level: Heights, count: int) -> tuple[Integers, Integers, Heights]:
    """Return the highest saddle of each pair of basins, highest first."""
    order = np.argsort(-level, kind="stable")
    _, first = np.unique((low * count + high)[order], return_index=True)
    chosen = order[np.sort(first)]
    return low[chosen], high[chosen], level[chosen]


@compile_function
def _join(
    low: Integers, high: Integers, level: Heights, height: Heights, allowed: Mask, neck: float, dip: float
) -> Integers:
    """Return the basin that each basin is joined to; it has the highest peak. `allowed` is then that of the whole."""
    root = np.arange(len(height))
    for i in range(len(level)):
        a, b = low[i], high[i]
        while root[a] != a:
            root[a] = root[root[a]]
            a = root[a]
        while root[b] != b:
            root[b] = root[root[b]]
            b = root[b]
        if height[a] > height[b]:
            a, b = b, a
        needed = min(neck * height[a], height[a] - dip)
        if a != b and (level[i] >= needed or not (allowed[a] and allowed[b])):
            root[a] = b
            allowed[b] |= allowed[a]
    for a in range(len(root)):
        while root[a] != root[root[a]]:
            root[a] = root[root[a]]
    return root
