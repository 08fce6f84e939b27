"""Cells that keep their own motion: where they pass each other, they are told apart by it."""

from __future__ import annotations

import numpy as np
import pytest

from gnntrack.pipeline import build_graph, solve
from gnntrack.scores.model import find_certain_links
from gnntrack.scores.own_motion import measure_own_motion

FRAMES, RADIUS, STEP = 12, 5, 16


def draw(places):
    """Return masks of discs at the places of (frame, cell, axis); the labels are shuffled."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:220, :220]
    masks = np.zeros((len(places), 220, 220), np.uint8)
    for mask, here in zip(masks, places, strict=True):
        for label, (row, column) in zip(random.permutation(len(here)) + 1, here, strict=True):
            mask[(y - row) ** 2 + (x - column) ** 2 <= RADIUS**2] = label
    return masks


def move_steadily():
    """Return the places of ten cells in lanes: each keeps its step, and those of the first two lanes meet."""
    lanes = 12 + 11 * np.array([0, 1, 3, 5, 7, 9, 11, 13, 15, 17])
    way = np.resize([1, -1], len(lanes))
    start = np.where(way > 0, 20, 200)
    start[:2] = 20, 198  # 178 apart: after five steps 18, after six -14, so that exchanged links would be shorter
    frames = np.arange(FRAMES)[:, None]
    return np.stack([np.broadcast_to(lanes, (FRAMES, len(lanes))), start + frames * STEP * way], axis=2)


def test_cells_that_pass_each_other_keep_their_motion():
    places = move_steadily()
    lineage = solve(build_graph(masks=draw(places)))
    rows = np.argmin(
        np.linalg.norm(lineage.cells.position[:, None] - places[lineage.cells.frame], axis=2), axis=1
    )  # the true cell
    assert (rows[lineage.source] == rows[lineage.target]).all()
    assert len(lineage.source) == (FRAMES - 1) * places.shape[1]


def measure(graph, right):
    certain = find_certain_links(graph)
    return measure_own_motion(graph, np.where(right, 5.0, -5.0), certain, median_of_norm=1.18)


def test_the_next_step_is_expected_to_be_like_the_last():
    places = move_steadily()
    graph = build_graph(masks=draw(places))
    cell = np.argmin(np.linalg.norm(graph.cells.position[:, None] - places[graph.cells.frame], axis=2), axis=1)
    right = (cell[graph.source] == cell[graph.target]) & (graph.gap == 1)
    own = measure(graph, right)
    inner = right & (graph.cells.frame[graph.source] > 0) & (graph.cells.frame[graph.target] < FRAMES - 1)
    assert np.median(own.distance[inner]) < 0.3
    assert np.isnan(own.distance[graph.gap == 2]).all()
    near = graph.feature("neighbour_residual")[inner]
    assert np.median(near) > 1  # the cells around them move the other way


@pytest.mark.parametrize("frames", [4, FRAMES])
def test_cells_without_a_motion_of_their_own_or_few_of_them(frames):
    random = np.random.default_rng(1)
    places = 12 + 20 * np.stack(np.divmod(np.arange(30), 6), axis=1) + random.integers(-3, 4, (frames, 30, 2))
    graph = build_graph(masks=draw(places))
    cell = np.argmin(np.linalg.norm(graph.cells.position[:, None] - places[graph.cells.frame], axis=2), axis=1)
    assert measure(graph, (cell[graph.source] == cell[graph.target]) & (graph.gap == 1)) is None
    none = graph.gap > 99
    assert measure_own_motion(graph, np.zeros(len(graph)), none, median_of_norm=1.18) is None
