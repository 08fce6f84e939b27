"""Fragments: labels in several pieces are found, then kept, reduced to the largest piece, or split into cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.components import label_components
from gnntrack.masks.runs import decode_frame, encode_frame, find_touching_runs

if TYPE_CHECKING:
    from gnntrack.settings import CellSettings
    from gnntrack.types import BoolArray, Image, IntArray

    Pairs = dict[tuple[int, int], tuple[IntArray, IntArray]]

__all__ = ["CleanFrame", "clean_frame", "find_pieces", "number_pieces"]

_NONE = np.zeros((2, 0), np.int64)


@dataclass(frozen=True)
class CleanFrame:
    """The cells of a frame after the rules for fragments and small cells.

    Parameters
    ----------
    start, length, cell : (R,) int64
        The runs that stay, ascending by `start`, with the row of each in `label`.
    label : (n,) int64
        Labels of the cells, ascending.
    disconnected : (2, .) int64
        Labels in several pieces, and the number of pieces.
    split : (2, .) int64
        New labels of pieces, and the labels that they had before.
    dropped : (2, .) int64
        Labels that were removed because they are too small, and their number of pixels.
    touching : dict of int to (3, P) int64
        For axis 0 (along z, in 3D) and 1 (along y): pairs of runs that share faces normal to it, and their faces.
    """

    start: IntArray
    length: IntArray
    cell: IntArray
    label: IntArray
    disconnected: IntArray
    split: IntArray
    dropped: IntArray
    touching: dict[int, IntArray]


def clean_frame(
    start: IntArray, length: IntArray, label: IntArray, *, layout: tuple[int, int, int], settings: CellSettings
) -> CleanFrame:
    """Apply the rule for fragments, then the minimum size, to the runs of one frame.

    Parameters
    ----------
    start, length, label : (R,) int64
        Runs of the frame, ascending by `start`, none across the end of an image row.
    layout : 3 ints
        Depth, height and width of the frame in pixels; depth 1 in 2D.
    settings : CellSettings
        `fragments` and `min_size` are used.

    Returns
    -------
    CleanFrame
        The remaining cells, and lists of the changes.

    Notes
    -----
    Pixels are connected to all of their 8 (3D: 26) neighbours. Of pieces of equal size the first in reading
    order counts as the largest. Split pieces get labels above the frame's highest label, in reading order, so
    that the result does not depend on the order of the labels.

    Examples
    --------
    >>> from gnntrack.masks.runs import encode_frame
    >>> from gnntrack.settings import CellSettings
    >>> runs = encode_frame(np.array([[3, 0, 7, 0, 3, 3]]))
    >>> clean = clean_frame(*runs, layout=(1, 1, 6), settings=CellSettings(fragments="split"))
    >>> clean.label[clean.cell].tolist(), clean.split.tolist()
    ([8, 7, 3], [[8], [3]])
    """
    if not len(start):
        return CleanFrame(start, length, label, label, _NONE, _NONE, _NONE, {})
    pairs = _pair_neighbours(start, length, layout)
    piece, n_pieces = _join_pieces(label, pairs)
    pixels = np.bincount(piece, length, n_pieces).astype(np.int64)
    piece_label = np.empty(n_pieces, np.int64)
    piece_label[piece] = label
    labels, group = np.unique(piece_label, return_inverse=True)
    keep, disconnected, split = np.ones(n_pieces, bool), _NONE, _NONE
    if len(labels) < n_pieces:
        count = np.bincount(group)
        disconnected = np.stack([labels[count > 1], count[count > 1]])
        minor = _find_minor_pieces(group, pixels)
        if settings.fragments == "largest":
            keep = ~minor
        elif settings.fragments == "split":
            split = np.stack([labels[-1] + 1 + np.arange(minor.sum()), piece_label[minor]])
            piece_label[minor] = split[0]
            labels, group = np.unique(piece_label, return_inverse=True)
    size = np.bincount(group[keep], pixels[keep], len(labels)).astype(np.int64)
    large = size >= settings.min_size
    keep &= large[group]
    stays, cell = keep[piece], (np.cumsum(large) - 1)[group[piece]]
    dropped = np.stack([labels[~large], size[~large]])
    touching = {
        1 - step[0]: _count_faces(start, length, layout, step, pairs[step], stays) for step in pairs if 0 in step
    }
    return CleanFrame(start[stays], length[stays], cell[stays], labels[large], disconnected, split, dropped, touching)


def number_pieces(mask: Image) -> Image:
    """Return the pieces of a binary mask with a number each, from 1 in reading order; diagonals connect.

    Parameters
    ----------
    mask : (Y, X) or (Z, Y, X) array
        0 is background.

    Examples
    --------
    >>> number_pieces(np.array([[255, 0, 255], [0, 0, 255]])).tolist()
    [[1, 0, 2], [0, 0, 2]]
    """
    start, length, value = encode_frame(np.asarray(mask != 0, np.int64))
    layout = (1, *mask.shape)[-3:]
    piece, _ = find_pieces(start, length, value, (int(layout[0]), int(layout[1]), int(layout[2])))
    return decode_frame(mask.shape, start, length, piece + 1, np.int32)


def _find_minor_pieces(group: IntArray, pixels: IntArray) -> BoolArray:
    """Return which pieces are not the largest of their label, (P,) bool."""
    order = np.lexsort((np.arange(len(group)), -pixels, group))
    minor = np.ones(len(group), bool)
    minor[order[np.flatnonzero(np.diff(group[order], prepend=-1))]] = False
    return minor


def find_pieces(
    start: IntArray, length: IntArray, label: IntArray, layout: tuple[int, int, int]
) -> tuple[IntArray, int]:
    """Return the piece of each run (R,), numbered in reading order, and the number of pieces.

    Parameters
    ----------
    start, length, label : (R,) int64
        Runs of the frame, ascending by `start`, none across the end of an image row.
    layout : 3 ints
        Depth, height and width of the frame in pixels; depth 1 in 2D.

    Examples
    --------
    >>> start, length, label = encode_frame(np.array([[3, 0, 7], [0, 3, 0]]))
    >>> piece, n_pieces = find_pieces(start, length, label, (1, 2, 3))
    >>> piece.tolist(), n_pieces
    ([0, 1, 0], 2)
    """
    return _join_pieces(label, _pair_neighbours(start, length, layout))


def _pair_neighbours(start: IntArray, length: IntArray, layout: tuple[int, int, int]) -> Pairs:
    """Return the pairs of runs with neighbouring pixels, corners included, by the step in planes and rows."""
    # the row above, and the three nearest in the plane below
    steps = [(0, 1)] if layout[0] == 1 else [(0, 1), (1, 1), (1, 0), (1, -1)]
    return {step: find_touching_runs(start, length, layout, step, margin=1)[:2] for step in steps}


def _join_pieces(label: IntArray, pairs: Pairs) -> tuple[IntArray, int]:
    """Return the piece of each run (R,), and the number of pieces."""
    one, other = (np.concatenate(side) for side in zip(*pairs.values(), strict=True))
    same = label[one] == label[other]
    return label_components(len(label), one[same], other[same])


def _count_faces(
    start: IntArray,
    length: IntArray,
    layout: tuple[int, int, int],
    step: tuple[int, int],
    pair: tuple[IntArray, IntArray],
    stays: BoolArray,
) -> IntArray:
    """Return the pairs of runs that stay and share faces, and the number of their faces, (3, P)."""
    run, other = pair
    moved = start[run] - (step[0] * layout[1] + step[1]) * layout[2]
    first, last = np.maximum(moved, start[other]), np.minimum(moved + length[run], start[other] + length[other])
    kept = (last > first) & stays[run] & stays[other]
    row = np.cumsum(stays) - 1
    return np.stack([row[run[kept]], row[other[kept]], (last - first)[kept]])
