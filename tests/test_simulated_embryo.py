"""Simulated embryos: their motion, faults and divisions follow the settings; dense and sparse truth agree."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import zarr
from click.testing import CliRunner
from scipy.spatial import cKDTree

from gnntrack.cli import cli
from gnntrack.embryos import simulate_embryos
from gnntrack.errors import InputError, OutputError, SettingsError
from gnntrack.io import open_frames, read_point_graph
from gnntrack.io.omezarr_writer import write_omezarr
from gnntrack.settings import EmbryoSettings, Settings
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
    assert np.abs(error.mean(axis=0)).max() < 0.05  # rounded, not cut off


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
            small.append((snapshot.radius[k] / (settings.diameter / 2)) ** 3)
            flat.append(before.aspect[row])
    assert len(bright) > 20
    assert np.median(bright) > 1.4
    assert 0.2 < np.median(small) < 0.55
    assert np.median(flat) < 0.6


TINY = {"frames": 3, "shape": (12, 64, 48), "cells": 300}


def test_files_have_the_layout_of_the_competition(tmp_path):
    counts = simulate_embryos(tmp_path / "out", seed=7, movies=2, sparse=0.3, **TINY)
    assert [each.name for each in counts] == ["embryo_0007", "embryo_0008"]
    names = {file.name for file in (tmp_path / "out").iterdir() if file.name[0] != "."}
    assert names == {f"embryo_000{k}{end}" for k in (7, 8) for end in (".zarr", ".geff", "_points.csv")}
    group = zarr.open_group(tmp_path / "out" / "embryo_0008.zarr", mode="r")
    array, embryo = group["0"], simulate_embryo(settings=EmbryoSettings(**TINY), seed=8)
    assert (group.metadata.zarr_format, list(group.array_keys())) == (3, ["0"])
    assert (array.shape, array.chunks, array.dtype) == ((3, 12, 64, 48), (1, 12, 64, 48), np.uint16)
    np.testing.assert_array_equal(array[:], embryo.images)
    described = json.loads((tmp_path / "out" / "embryo_0008.zarr" / "0" / "zarr.json").read_text())["codecs"]
    blosc = {"typesize": 2, "cname": "zstd", "clevel": 1, "shuffle": "bitshuffle", "blocksize": 0}
    assert described[0]["name"] == "bytes"
    assert described[1] == {"name": "blosc", "configuration": blosc}
    quantiles = group.attrs["image_statistics"]["quantiles"]
    assert list(quantiles) == ["0.0", "0.001", "0.01", "0.1", "0.9", "0.99", "0.999", "1.0"]
    np.testing.assert_allclose(quantiles["0.9"], np.quantile(array[:], 0.9), atol=1)
    assert (quantiles["0.0"], quantiles["1.0"]) == (array[:].min(), array[:].max())
    movie = open_frames(tmp_path / "out" / "embryo_0008.zarr")
    assert (len(movie), movie.shape, movie.spacing, movie.unit) == (3, (12, 64, 48), embryo.spacing, "um")
    np.testing.assert_array_equal(movie[2], embryo.images[2])


def test_the_written_truth_and_detections_are_those_of_the_embryo(tmp_path):
    settings = Settings().replace(**{f"embryo__{name}": value for name, value in TINY.items()}, embryo__images=False)
    simulate_embryos(tmp_path / "dense", settings=settings, seed=8)
    simulate_embryos(tmp_path / "sparse", settings=settings, seed=8, sparse=0.3)
    embryo = simulate_embryo(settings=settings.embryo, seed=8)
    assert not (tmp_path / "dense" / "embryo_0008.zarr").exists()
    for folder, truth in (("dense", embryo.truth), ("sparse", embryo.sparse_truth(0.3))):
        read = read_point_graph(tmp_path / folder / "embryo_0008.geff")
        assert read.total == len(embryo.truth)
        np.testing.assert_array_equal(read.id, truth.id)
        np.testing.assert_allclose(read.position, truth.position)
        np.testing.assert_array_equal(read.source, truth.source)
    points = pd.read_csv(tmp_path / "dense" / "embryo_0008_points.csv")
    pd.testing.assert_frame_equal(points, embryo.points)


def test_an_embryo_without_nuclei_is_written(tmp_path):
    simulate_embryos(tmp_path / "out", frames=2, shape=(4, 16, 16), cells=0, clutter=0)
    assert len(read_point_graph(tmp_path / "out" / "embryo_0000.geff")) == 0
    assert len(pd.read_csv(tmp_path / "out" / "embryo_0000_points.csv")) == 0


def test_the_command_writes_movies_and_refuses_options_of_the_other_kind(tmp_path):
    def run(*words):
        return CliRunner().invoke(cli, ["simulate", "-o", str(tmp_path / "out"), *map(str, words)])

    size = ("--frames", 2, "--shape", "8,32,32", "--cells", 40, "--spacing", "2,0.5,0.5")
    done = run("--kind", "embryo", "--seed", 5, "--movies", 2, "--drift", 3, *size)
    assert done.exit_code == 0, done.output
    assert "embryo_0005 to embryo_0006" in done.output
    wanted = EmbryoSettings(frames=2, shape=(8, 32, 32), cells=40, spacing=(2, 0.5, 0.5), drift=3)
    written = pd.read_csv(tmp_path / "out" / "embryo_0006_points.csv")
    pd.testing.assert_frame_equal(written, simulate_embryo(settings=wanted, seed=6).points)
    assert "it exists already" in run("--kind", "embryo", *size).output
    assert "--flow is an option of --kind embryo" in run("--flow", 1).output
    assert "--sparse is an option of --kind embryo" in run("--sparse", 0.1).output
    assert "--cycle is an option of --kind cells" in run("--kind", "embryo", "--cycle", 9).output


@pytest.mark.parametrize(
    ("option", "message"),
    [({"sparse": 0.0}, "sparse=0.0: expected a fraction"), ({"movies": 0}, "movies=0: expected a number of movies")],
)
def test_wrong_numbers_of_movies_and_fractions_are_refused(option, message, tmp_path):
    with pytest.raises(InputError, match=message):
        simulate_embryos(tmp_path / "out", **option)
    assert not (tmp_path / "out").exists()


def test_only_volumes_of_uint16_are_written(tmp_path):
    with pytest.raises(OutputError, match="frame 0 is float64; expected uint16"):
        write_omezarr(open_frames(np.zeros((2, 4, 4, 4))), tmp_path / "a.zarr")
