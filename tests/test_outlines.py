"""Outlines along the borders of pixels."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_fill_holes, label
from skimage.draw import polygon

from gnntrack.masks.outlines import trace_outlines


def draw(points, shape):
    drawn = np.zeros(shape, bool)
    drawn[polygon(*points.T, shape)] = True
    return drawn


def test_a_polygon_of_an_outline_is_the_largest_piece_without_its_holes():
    random = np.random.default_rng(0)
    seen = [0, 0]
    for _ in range(60):
        mask = (random.random((11, 13)) < random.random()) * random.integers(1, 4, (11, 13))
        outlines = trace_outlines(mask)
        assert outlines.label.tolist() == np.unique(mask[mask > 0]).tolist()
        for k, value in enumerate(outlines.label):
            pieces, number = label(mask == value, np.ones((3, 3)))
            size = np.bincount(pieces.ravel())[1:]
            largest = [pieces == 1 + piece for piece in np.flatnonzero(size == size.max())]
            drawn = draw(outlines.points[outlines.offsets[k] : outlines.offsets[k + 1]], mask.shape)
            same = [np.array_equal(drawn, binary_fill_holes(piece)) for piece in largest]
            assert any(same)
            assert outlines.pieces[k] == number
            assert outlines.holes[k] == (drawn.sum() > size.max())
            seen[0] += number > 1
            seen[1] += bool(outlines.holes[k])
    assert min(seen) > 10


def test_corners_are_where_the_direction_changes():
    mask = np.zeros((9, 9), np.uint8)
    mask[2:5, 3:8] = 4
    assert trace_outlines(mask).points.tolist() == [[1.5, 2.5], [1.5, 7.5], [4.5, 7.5], [4.5, 2.5]]


def test_a_frame_without_cells_and_one_that_is_a_cell():
    empty = trace_outlines(np.zeros((4, 5), np.uint16))
    assert len(empty.label) == len(empty.points) == 0
    assert empty.offsets.tolist() == [0]
    assert len(trace_outlines(np.ones((4, 5), np.uint16)).points) == 4
