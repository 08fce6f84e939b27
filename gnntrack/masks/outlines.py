"""Outlines of the cells of a label image, along the borders of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from skimage.measure import label as label_pieces

from gnntrack.compiled import compile_function

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, Image, IntArray

__all__ = ["Outlines", "trace_outlines"]


class Outlines(NamedTuple):
    """Outlines of the labels of a frame, by label."""

    label: IntArray
    """(K,) labels, ascending."""
    points: FloatArray
    """(P, 2) corners along y, x in pixels; the centre of the first pixel is at 0, 0, so that corners are at halves."""
    offsets: IntArray
    """(K + 1,) the corners of outline k are ``points[offsets[k]:offsets[k + 1]]``; the last joins the first."""
    pieces: IntArray
    """(K,) pieces of each label; the outline is that of the largest one."""
    holes: BoolArray
    """(K,) whether the piece has a hole, which its outline encloses."""


def trace_outlines(mask: Image) -> Outlines:
    """Return the outline of each label of a label image.

    The outline runs along the borders of the pixels, so that a polygon drawn with it has the same pixels again, except
    for holes and for all pieces but the largest. Pixels that touch at a corner belong to one piece.

    Parameters
    ----------
    mask : (Y, X) integer array
        0 is background.

    Examples
    --------
    >>> outlines = trace_outlines(np.array([[0, 7, 7], [0, 0, 7]]))
    >>> outlines.label.tolist(), outlines.points.tolist()
    ([7], [[-0.5, 0.5], [-0.5, 2.5], [1.5, 2.5], [1.5, 1.5], [0.5, 1.5], [0.5, 0.5]])
    """
    pieces: Any = label_pieces(mask, background=0, connectivity=2)  # type: ignore[no-untyped-call]
    flat = pieces.ravel()
    inside = np.flatnonzero(flat)
    first = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
    first[flat[inside[::-1]]] = inside[::-1]  # of repeated places, the last assignment stays
    size = np.bincount(flat, minlength=len(first))
    found, count = np.unique(np.asarray(mask).ravel()[first[1:]], return_counts=True)
    order = 1 + np.lexsort((-size[1:], np.asarray(mask).ravel()[first[1:]]))  # by label, the largest piece first
    chosen = order[np.append(0, np.cumsum(count)[:-1])] if len(found) else order[:0]
    points, offsets, area = _trace(np.pad(pieces, 1), first[chosen] // pieces.shape[1], first[chosen] % pieces.shape[1])
    return Outlines(found.astype(np.int64), points - 0.5, offsets, count, area > size[chosen])


@compile_function
def _trace(pieces: Any, row: Any, column: Any) -> Any:
    """Return corners (P, 2), offsets (K + 1,) and enclosed areas (K,) of the pieces that begin at some pixels.

    `pieces` has a border of one pixel of background. The walk keeps the piece on its right: at each corner it turns
    left if the pixel ahead on the left belongs to the piece, and right if neither pixel ahead does.
    """
    points = np.empty((1024, 2), np.float64)
    offsets = np.zeros(len(row) + 1, np.int64)
    area = np.zeros(len(row), np.int64)
    used = 0
    for k in range(len(row)):
        piece = pieces[row[k] + 1, column[k] + 1]
        y, x, down, right = row[k], column[k], 0, 1
        while True:
            if used == len(points):
                longer = np.empty((2 * used, 2), np.float64)
                longer[:used] = points
                points = longer
            points[used, 0], points[used, 1] = y, x
            used += 1
            while True:
                y, x = y + down, x + right
                area[k] -= x * down
                # pixels ahead of the corner, on the left and on the right; a corner is above and left of its pixel
                ahead_y, ahead_x = y + 1 + (down - 1) // 2, x + 1 + (right - 1) // 2
                if down == 0:
                    left, other = pieces[y, ahead_x], pieces[y + 1, ahead_x]
                    above_is_left = right == 1
                else:
                    left, other = pieces[ahead_y, x + 1], pieces[ahead_y, x]
                    above_is_left = down == 1
                if not above_is_left:
                    left, other = other, left
                if left == piece:
                    down, right = -right, down
                    break
                if other != piece:
                    down, right = right, -down
                    break
            if y == row[k] and x == column[k]:
                break
        offsets[k + 1] = used
    return points[:used].copy(), offsets, np.abs(area)
