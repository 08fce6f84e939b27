"""Cells that lie on each other, or all on one: links, pairs of daughters and memory stay in proportion to the cells."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import gnntrack
from gnntrack.graph.divisions import DivisionCandidates
from gnntrack.solvers import packing


def make_star(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return links of as many cells to the same cell, all of one value.

    ::

        0  1  2  3 ...      frame 0
         \\ | /  /
         count              frame 1
    """
    sources = np.arange(count)
    return np.column_stack([sources, np.full(count, count), np.full(count, -1)]), np.ones(count)


def test_many_cells_that_lie_on_one_are_not_compared_with_each_other() -> None:
    place, value = make_star(20_000)
    tracemalloc.start()
    found = packing.pack_choices(place, value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.chosen.sum() == 1
    assert found.bound == 1
    assert peak < 50e6  # 40 GB for all pairs


def test_rivals_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    place = np.column_stack([rng.permutation(4000) // 20, 200 + rng.integers(0, 200, 4000), np.full(4000, -1)])
    place, value = np.unique(place, axis=0), rng.integers(1, 4, len(np.unique(place, axis=0))).astype(float)
    whole = packing.pack_choices(place, value)
    largest = 0
    list_rivals = packing._list_rivals

    def record(*args: Any) -> tuple[np.ndarray, np.ndarray]:
        nonlocal largest
        found = list_rivals(*args)
        largest = max(largest, len(found[0]))
        return found

    monkeypatch.setattr(packing, "_PAIRS", 1000)
    monkeypatch.setattr(packing, "_list_rivals", record)
    assert packing.pack_choices(place, value).chosen.tolist() == whole.chosen.tolist()
    assert 0 < largest < 1200


def make_tiny(count: int) -> np.ndarray:
    """Return a mask of as many cells of one pixel, each two pixels from the next one."""
    mask = np.zeros((64, 2 * count // 32 + 2), np.uint16)
    mask[:64:2, : 2 * count // 32 : 2] = np.arange(1, count + 1).reshape(32, -1)
    return mask


def make_masks(kind: str, count: int) -> np.ndarray:
    tiny = make_tiny(count)
    if kind == "giant":  # one mask lies on the places of all others
        return np.stack([tiny, np.ones_like(tiny), tiny])
    if kind == "touching":
        return np.stack([np.arange(1, count + 1, dtype=np.uint16).reshape(32, -1)] * 3)
    border = np.zeros((2, 2 * count), np.uint16)
    border[0, ::2] = np.arange(1, count + 1)
    return np.stack([border] * 3)


@pytest.mark.parametrize("kind", ["giant", "touching", "border"])
def test_links_of_odd_masks_are_in_proportion_to_the_cells(kind: str) -> None:
    trusting = gnntrack.Settings().replace(frames__trust_masks=True)
    for count in (320, 1280):
        graph = gnntrack.build_graph(masks=make_masks(kind, count), settings=trusting)
        assert len(graph.source) < 20 * count
        assert len(DivisionCandidates.find(graph)) < 40 * count
