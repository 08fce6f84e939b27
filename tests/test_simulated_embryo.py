"""Simulated embryos: their motion, faults and divisions follow the settings; dense and sparse truth agree."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from gnntrack.errors import InputError, SettingsError
from gnntrack.settings import EmbryoSettings
from gnntrack.simulate.embryo import draw_embryo_settings, simulate_embryo
from gnntrack.simulate.lightsheet import take_volume
from gnntrack.simulate.tissue import TissueSnapshot

OTHERS = ((1, 2), (0, 2), (0, 1))  # axes other than z, y, x
STILL = {"drift": 0.0, "speed": 0.0, "flow": 0.0, "frozen": 0.0, "jumps": 0.0, "divisions": False, "death_rate": 0.0}
CLEAN = {"misses": 0.0, "clutter": 0.0, "noise": 0.0, "whole_voxels": False}


@pytest.fixture(scope="module")
def embryo():
    return simulate_embryo(settings=EmbryoSettings(frames=60, frozen=0.1), seed=1000)


def list_steps(truth):
    return truth.position[truth.target] - truth.position[truth.source]


def test_the_same_seed_gives_the_same_embryo(embryo):
    again = simulate_embryo(settings=embryo.settings, seed=1000)
    assert embryo.points.equals(again.points)
    np.testing.assert_array_equal(embryo.truth.position, again.truth.position)
    np.testing.assert_array_equal(embryo.point_truth, again.point_truth)
    other = simulate_embryo(settings=embryo.settings, seed=1001)
    assert not embryo.points.equals(other.points)


def test_displacements_are_those_of_real_embryos(embryo):
    length = np.linalg.norm(list_steps(embryo.truth), axis=1)
    assert 0.9 < np.median(length) < 2.9
    assert 2.3 < np.percentile(length, 90) < 4.7
    assert 4.5 < np.percentile(length, 99) < 9


def test_misses_clutter_and_noise_follow_the_settings(embryo):
    truth, points, found = embryo.truth, embryo.points, embryo.point_truth
    real = found > 0
    assert len(np.unique(found[real])) == real.sum()
    assert 0.03 < 1 - real.sum() / len(truth) < 0.07
    assert 0.03 < (~real).sum() / len(truth) < 0.07
    at = found[real] - 1
    np.testing.assert_array_equal(truth.frame[at], points["t"][real])
    error = points[["z", "y", "x"]].to_numpy()[real] * embryo.spacing - truth.position[at]
    assert 0.35 < error[:, 1:].std() < 0.5  # 0.4 and the rounding of both positions
    assert np.abs(error).max() < 8


def test_positions_are_whole_voxels_inside_the_volume(embryo):
    voxel = embryo.points[["z", "y", "x"]].to_numpy()
    assert voxel.dtype == np.int64
    assert (voxel >= 0).all()
    assert (voxel < embryo.settings.shape).all()
    np.testing.assert_allclose(embryo.truth.voxels, np.rint(embryo.truth.voxels))


def test_frozen_frames_are_copies_and_the_next_frame_jumps(embryo):
    assert 2 <= len(embryo.frozen) <= 12
    for t in embryo.frozen:
        one, other = (embryo.points[embryo.points["t"] == k].drop(columns="t").to_numpy() for k in (t - 1, t))
        np.testing.assert_array_equal(one, other)
    gaps = np.linalg.norm(list_steps(embryo.truth), axis=1)
    at = embryo.truth.frame[embryo.truth.target]
    assert gaps[np.isin(at, embryo.frozen)].max() == 0
    after = np.setdiff1d(embryo.frozen + 1, embryo.frozen)
    assert np.median(gaps[np.isin(at, after)]) > 1.2 * np.median(gaps[~np.isin(at, [*after, *embryo.frozen])])


def test_daughters_separate_and_links_are_a_forest(embryo):
    truth = embryo.truth
    assert (truth.gap == 1).all()
    assert truth.parents.max() == 1
    assert truth.children.max() == 2
    dividing = np.flatnonzero(truth.children == 2)
    assert 15 < len(dividing) < 70  # 0.0025 of 15,000
    child = [truth.target[truth.source == row] for row in dividing]
    apart = [np.linalg.norm(np.subtract(*truth.position[pair])) for pair in child]
    assert 3 < np.median(apart) < 7


def test_nuclei_do_not_overlap_and_flow_together():
    still = simulate_embryo(settings=EmbryoSettings(frames=3, cells=600, **CLEAN), seed=1002)
    first = still.truth.position[still.truth.frame == 2]
    assert cKDTree(first).query(first, 2)[0][:, 1].min() > 3
    settings = EmbryoSettings(frames=3, **STILL | CLEAN).replace(flow=1.0)
    truth = simulate_embryo(settings=settings, seed=1003).truth
    step = list_steps(truth)
    now = truth.frame[truth.source] == 1
    at, step = truth.position[truth.source[now]], step[now]
    pairs = cKDTree(at).query_pairs(12, output_type="ndarray")
    alike = (step[pairs[:, 0]] * step[pairs[:, 1]]).sum() / (step[pairs] ** 2).sum() * 2
    assert 0.6 < alike < 1
    assert 0.7 < np.sqrt((step**2).sum(axis=1).mean()) < 1.4


def test_a_jump_of_the_stack_lasts_one_frame():
    settings = EmbryoSettings(frames=40, cells=60, **STILL | CLEAN).replace(jumps=0.1)
    truth = simulate_embryo(settings=settings, seed=1004).truth
    step = np.stack([np.median(list_steps(truth)[truth.frame[truth.target] == t], axis=0) for t in range(1, 40)])
    jump = np.flatnonzero(np.linalg.norm(step, axis=1) > 2.5)
    assert len(jump) >= 2
    np.testing.assert_allclose(step.sum(axis=0), 0, atol=0.2)


def test_nuclei_that_cannot_be_missed_are_all_detected():
    embryo = simulate_embryo(settings=EmbryoSettings(frames=5, cells=80, **CLEAN), seed=1005)
    np.testing.assert_array_equal(np.sort(embryo.point_truth), embryo.truth.id)
    at = embryo.point_truth - 1
    voxel = embryo.points[["z", "y", "x"]].to_numpy()
    np.testing.assert_allclose(voxel, embryo.truth.voxels[at], atol=1e-3)


def test_the_sparse_truth_is_whole_lineages_of_the_dense_one(embryo):
    dense, sparse = embryo.truth, embryo.sparse_truth(0.05)
    assert 0.05 * len(dense) <= len(sparse) < 0.08 * len(dense)
    assert sparse.total == len(dense)
    kept = np.isin(dense.id, sparse.id)
    np.testing.assert_array_equal(dense.position[kept], sparse.position)
    # a link of a chosen point is in it, with its other end
    assert (kept[dense.source] == kept[dense.target]).all()
    assert len(sparse.source) == kept[dense.source].sum()
    assert set(embryo.sparse_truth(0.05, seed=1).id) != set(sparse.id)
    assert len(embryo.sparse_truth(0)) == 0
    assert len(embryo.sparse_truth(1)) == len(dense)


def test_wrong_fractions_and_settings_are_refused(embryo):
    with pytest.raises(InputError, match=r"fraction=3: expected a fraction of the nuclei between 0 and 1"):
        embryo.sparse_truth(3)
    with pytest.raises(SettingsError, match="shape of a frame"):
        EmbryoSettings(shape=(0, 64, 64))


@pytest.mark.parametrize(
    "changes", [{"cells": 0}, {"frames": 1}, {"shape": (1, 64, 64)}, {"cells": 10**6, "shape": (8, 64, 64)}]
)
def test_odd_embryos(changes):
    embryo = simulate_embryo(settings=EmbryoSettings(**{"frames": 3} | changes), seed=1)
    assert embryo.truth.n_frames == embryo.settings.frames
    assert len(embryo.points) == len(embryo.point_truth)


def test_settings_drawn_for_training_differ_and_work():
    drawn = [draw_embryo_settings(seed, frames=4, cells=40) for seed in range(1000, 1006)]
    assert len({each.drift for each in drawn}) == 6
    assert draw_embryo_settings(1000, frames=4, cells=40) == drawn[0]
    for settings in drawn:
        assert len(simulate_embryo(settings=settings, seed=1).truth) > 0


@pytest.fixture(scope="module")
def small():
    return simulate_embryo(settings=EmbryoSettings(frames=12, shape=(20, 96, 96), cells=250, frozen=0.3), seed=1006)


def test_volumes_are_computed_when_read_and_the_same_each_time(small):
    images = small.images
    assert images.shape == (12, 20, 96, 96)
    assert images.dtype == np.uint16
    assert images.spacing == small.spacing == (1.625, 0.40625, 0.40625)
    late = images[-1]
    again = simulate_embryo(settings=small.settings, seed=1006).images
    np.testing.assert_array_equal(again[3], images[3])
    np.testing.assert_array_equal(again[11], late)
    assert len(small.frozen)
    for t in small.frozen:
        np.testing.assert_array_equal(images[t], images[t - 1])
    moving = np.setdiff1d(np.arange(1, 12), small.frozen)
    assert (images[moving[0]] != images[moving[0] - 1]).mean() > 0.9


def test_nuclei_are_bright_where_the_truth_is(small):
    truth, image = small.truth, small.images[5].astype(float)
    z, y, x = np.rint(truth.voxels[truth.frame == 5]).astype(int).T
    assert np.median(image[z, y, x]) > np.median(image) + 60
    assert image.max() < 5000


def test_the_blur_is_larger_along_z():
    sharp = EmbryoSettings(
        frames=1, shape=(41, 41, 41), spacing=(0.5, 0.5, 0.5), cells=0, background=0, read_noise=0, haze=0, shading=0
    )
    point = TissueSnapshot(
        *np.array([[1], [0]]), np.full((1, 3), 10.0), np.ones(1), np.eye(3)[:1], np.ones(1), np.full(1, 1e4),
        np.ones(1), np.ones(1, bool),
    )  # fmt: skip
    light = take_volume(point, 0, settings=sharp, seed=1).astype(float) - 100
    width = [np.sqrt((light.sum(axis=other) * (np.arange(41) - 20.0) ** 2).sum() / light.sum()) for other in OTHERS]
    assert width[1] == pytest.approx(width[2], rel=0.02)
    assert 2 < width[0] / width[1] < 3  # 3, less by the size of the nucleus


def test_a_dividing_nucleus_is_brighter_and_its_daughters_are_small():
    settings = EmbryoSettings(frames=30, shape=(40, 128, 128), cells=300, division_rate=0.02, frozen=0.0)
    embryo = simulate_embryo(settings=settings, seed=1007)
    now = {int(i): (s, k) for s in embryo.snapshots for k, i in enumerate(s.id)}  # the last state of each nucleus
    first = {}
    for snapshot in embryo.snapshots:
        for k, i in enumerate(snapshot.id.tolist()):
            first.setdefault(i, (snapshot, k))
    bright, small, flat = [], [], []
    for i, (snapshot, k) in first.items():
        mother = int(snapshot.parent[k])
        if i > 0 and mother in now and mother in first and first[mother][0] is not now[mother][0]:
            before, row = now[mother]
            bright.append(before.light[row] / first[mother][0].light[first[mother][1]])
            small.append((snapshot.radius[k] / before.radius[row]) ** 3)
            flat.append(before.aspect[row])
    assert len(bright) > 20
    assert np.median(bright) > 1.4
    assert 0.2 < np.median(small) < 0.55
    assert np.median(flat) < 0.6
