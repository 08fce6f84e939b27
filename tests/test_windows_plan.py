"""The frames of a large movie: its sample and its windows."""

import numpy as np
import pytest

from gnntrack.windows import choose_sample, combine_scales, plan_windows

RNG = np.random.default_rng(5)
MOVIES = {
    "even": np.full(200, 40),
    "growing": np.arange(300),
    "empty frames": np.where(np.arange(150) % 3, 0, 60),
    "one full frame": np.where(np.arange(90) == 44, 5000, 10),
    "random": RNG.integers(0, 300, 120),
    "one frame": np.array([70]),
    "no cells": np.zeros(30, int),
}


@pytest.mark.parametrize("counts", MOVIES.values(), ids=MOVIES)
@pytest.mark.parametrize(("halo", "most"), [(0, 1000), (3, 2500), (8, 4000), (8, 10)])
def test_windows_cover_each_frame_once_and_stay_small(counts, halo, most):
    windows = plan_windows(len(counts), counts, halo, most)
    assert [k for window in windows for k in range(window.core.start, window.core.stop)] == list(range(len(counts)))
    for core, span in windows:
        assert (span.start, span.stop) == (max(core.start - halo, 0), min(core.stop + halo, len(counts)))
        assert core.stop - core.start == 1 or counts[span].sum() <= most


@pytest.mark.parametrize(
    ("frames", "halo", "lengths"),
    [(100, 2, [26, 24, 24, 26]), (100, 8, [29, 21, 21, 29]), (100, 11, [27, 16, 16, 16, 25]), (30, 2, [30])],
)
def test_workers_have_equal_work(frames, halo, lengths):
    windows = plan_windows(frames, [10] * frames, halo, 400)
    assert [window.core.stop - window.core.start for window in windows] == lengths


def test_two_or_four_workers_estimate_the_scales():
    assert len(choose_sample(500, [2000] * 500, most_cells=200_000)) == 2
    assert len(choose_sample(2000, [500] * 2000, most_cells=200_000)) == 4


@pytest.mark.parametrize("counts", MOVIES.values(), ids=MOVIES)
@pytest.mark.parametrize("most", [10, 1500, 10**6])
def test_a_sample_has_separate_blocks_of_enough_frames(counts, most):
    blocks = choose_sample(len(counts), counts, most_cells=most)
    frames = [k for block in blocks for k in range(block.start, block.stop)]
    assert frames == sorted(set(frames))
    assert set(frames) <= set(range(len(counts)))
    assert all(block.stop - block.start >= min(24, len(counts)) for block in blocks)
    if counts.sum() <= most:
        assert blocks == [slice(0, len(counts))]


def test_a_scale_that_few_blocks_have_counts_and_infinite_ones_do_not():
    combined = combine_scales([{"a": float("inf"), "b": [1, 2]}, {"a": 3.0, "b": [1], "c": {"x": "y"}}], [9, 1])
    assert combined == {"a": 3.0, "b": [1, 2], "c": {"x": "y"}}
