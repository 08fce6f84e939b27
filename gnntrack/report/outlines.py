"""Outlines of the cells of a frame as a few bytes each, for the page.

For each cell in the order of its rows: the number of its contours; for each contour the number of its points, and then
the difference of x and of y of each point from the point before it. All are variable-length integers of base 128,
differences after the zigzag code (0, -1, 1, -2, ...), as in protocol buffers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import Image, IntArray

__all__ = ["decode_numbers", "encode_numbers", "encode_outlines", "encode_plane", "flatten_rows"]


def flatten_rows(rows: Image, axis: int = 0) -> IntArray:
    """Return a frame of row numbers seen along an axis: in a stack the first cell hides those behind it.

    >>> stack = np.array([[[0, 2]], [[3, 3]]])
    >>> flatten_rows(stack).tolist(), flatten_rows(stack, axis=2).tolist()
    ([[3, 2]], [[2], [3]])
    """
    if rows.ndim == 2:
        return rows
    first = np.expand_dims(np.argmax(rows > 0, axis=axis), axis)
    return np.asarray(np.take_along_axis(rows, first, axis).squeeze(axis))


def encode_outlines(rows: Image, first: int, count: int) -> bytes:
    """Return the outlines of the cells of a frame.

    Parameters
    ----------
    rows : (Y, X) int64
        Row of the cell of each pixel + 1, 0 = background.
    first, count : int
        Row of the first cell of the frame, and the number of its cells.

    Examples
    --------
    A cell of 2 x 3 pixels has a contour of 4 corners:

    >>> rows = np.zeros((6, 6), np.int64)
    >>> rows[1:3, 2:5] = 8
    >>> decode_numbers(encode_outlines(rows, 7, 1)).tolist()
    [1, 4, 4, 2, 0, 2, 4, 0, 0, 1]
    """
    numbers = _trace_cells(rows, _find_boxes(rows, first, count), first)
    return encode_numbers(np.concatenate(numbers)) if numbers else b""


def encode_plane(rows: Image, first: int, count: int) -> bytes:
    """Return the outlines of the cells of a plane of a stack: their number; for each, how many rows further it is.

    Parameters
    ----------
    rows, first, count
        As of `encode_outlines`; a cell that the plane lacks takes no space.

    Examples
    --------
    >>> rows = np.zeros((6, 6), np.int64)
    >>> rows[1:3, 2:5], rows[5, 5] = 8, 9
    >>> decode_numbers(encode_plane(rows, 5, 9)).tolist()
    [2, 2, 1, 4, 4, 2, 0, 2, 4, 0, 0, 1, 1, 1, 1, 10, 10]
    """
    boxes = _find_boxes(rows, first, count)
    seen = np.flatnonzero(boxes[:, 2] >= boxes[:, 0])
    numbers = [np.array([len(seen)])]
    for cell, step in zip(seen.tolist(), np.diff(seen, prepend=0).tolist(), strict=True):
        numbers += [np.array([step]), *_trace_cells(rows, boxes[cell : cell + 1], first + cell)]
    return encode_numbers(np.concatenate(numbers))


def _trace_cells(rows: Image, boxes: IntArray, first: int) -> list[IntArray]:
    """Return the numbers of the contours of each cell, of which the first has this row."""
    import cv2

    numbers: list[IntArray] = []
    for row, (top, left, bottom, right) in enumerate(boxes.tolist(), start=first + 1):
        if bottom < top:  # hidden
            numbers.append(np.zeros(1, np.int64))
            continue
        mask = (rows[top : bottom + 1, left : right + 1] == row).astype(np.uint8)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE, offset=(left, top))
        numbers.append(np.array([len(contours)]))
        for contour in contours:
            steps = np.diff(contour[:, 0].astype(np.int64), axis=0, prepend=0)
            numbers += [np.array([len(contour)]), ((steps << 1) ^ (steps >> 63)).ravel()]
    return numbers


def _find_boxes(rows: Image, first: int, count: int) -> IntArray:
    """Return top, left, bottom and right of each cell, both ends included, (count, 4); bottom < top if it is hidden."""
    boxes = np.empty((count, 4), np.int64)
    boxes[:, :2], boxes[:, 2:] = np.iinfo(np.int64).max, -1
    y, x = np.nonzero(rows)
    cell = rows[y, x] - 1 - first
    for column, (values, take) in enumerate(((y, np.minimum), (x, np.minimum), (y, np.maximum), (x, np.maximum))):
        take.at(boxes[:, column], cell, values)
    return boxes


def encode_numbers(numbers: IntArray) -> bytes:
    """Return numbers >= 0 as variable-length integers.

    >>> list(encode_numbers(np.array([5, 300])))
    [5, 172, 2]
    """
    groups = 1 + sum((numbers >= 1 << 7 * k).astype(np.int64) for k in range(1, 5))
    ends = np.cumsum(groups)
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    for k in range(5):
        there = groups > k
        more = np.where(groups > k + 1, 128, 0)
        out[(ends - groups + k)[there]] = (((numbers >> 7 * k) & 127) | more)[there]
    return out.tobytes()


def decode_numbers(encoded: bytes) -> IntArray:
    """Return the numbers of `encode_numbers`."""
    values = np.frombuffer(encoded, np.uint8).astype(np.int64)
    last = values < 128
    start = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1]) if len(values) else np.zeros(0, np.int64)
    place = np.arange(len(values)) - np.repeat(start, np.diff(np.append(start, len(values))))
    return np.add.reduceat((values & 127) << 7 * place, start) if len(values) else values
