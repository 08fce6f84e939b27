"""Nearest points: all distances at once give the same as a tree."""

from __future__ import annotations

import numpy as np
import pytest

from gnntrack import geometry


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (7, 3), (40, 60), (0, 4)])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("limit", [np.inf, 0.3, 1e-9])
def test_few_and_many_points_have_the_same_neighbours(monkeypatch, n, m, ndim, limit):
    rng = np.random.default_rng(m)
    points, others = rng.random((n, ndim)), rng.random((m, ndim))
    found = {}
    for few in (0, 10**9):
        monkeypatch.setattr(geometry, "_FEW", few if n else 10**9)
        found[few] = [geometry.find_nearest(points, others, k, limit=limit) for k in sorted({1, min(m, 3), m})]
        if n:
            found[few] += geometry.find_nearest_both_ways(points, others, (min(m, 3), 1), limit=limit)
        found[few].append((np.array(geometry.find_within(points, others, limit), object),))
    for trees, distances in zip(*found.values(), strict=True):
        for tree, all_at_once in zip(trees, distances, strict=True):
            assert tree.shape == all_at_once.shape
            np.testing.assert_array_equal(tree, all_at_once)


def test_points_in_one_place_have_the_distance_0():
    distance, nearest = geometry.find_nearest(np.ones((4, 2)), np.ones((4, 2)), 3)
    assert not distance.any()
    assert all(len(set(row)) == 3 for row in nearest.tolist())


@pytest.mark.parametrize("few", [0, 10**9])
@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 9])
def test_of_points_at_one_distance_the_order_does_not_choose(monkeypatch, few, ndim, k):
    """On a lattice, as the centres of cells of few pixels are."""
    monkeypatch.setattr(geometry, "_FEW", few)
    others = np.stack(np.indices((4,) * ndim), axis=-1).reshape(-1, ndim).astype(float)
    points = others[::3] + 0.5
    found = []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(len(others))
        nearest = geometry.find_nearest(points, others[order], k)[1].reshape(len(points), k)
        found.append(sorted(map(sorted, order[nearest].tolist())))
    assert all(each == found[0] for each in found)
