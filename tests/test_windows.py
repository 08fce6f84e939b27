"""Large movies: tracked in windows of frames, with the same result as the whole movie."""

from pathlib import Path

import numpy as np
import pytest

import gnntrack
from gnntrack.cluster.jobs import run_job
from gnntrack.movie_scales import MovieScales, estimate_of_movie, name_scales, use_scales
from gnntrack.settings import Settings
from gnntrack.windows.masks_job import read_windows
from gnntrack.windows.result_stage import combine_notes, find_conflicts
from gnntrack.windows.tracking import collect_result, plan_tracking


def make_movie(**options):
    """Return images and masks with faults: masks that are missing, merged, or debris."""
    movie = gnntrack.simulate(**{"frames": 30, "cells": 8, "shape": (100, 100), "cycle": 20, "seed": 1003} | options)
    images, masks = np.array(movie.images), np.array(movie.masks)
    rng = np.random.default_rng(3)
    for frame in range(1, len(masks)):
        labels = np.unique(masks[frame])[1:]
        gone, merged, other = rng.choice(labels, 3, replace=False)
        masks[frame][masks[frame] == gone] = 0
        if frame % 3 == 0:
            masks[frame][masks[frame] == merged] = other
    return images, masks


def track_both(tmp_path, images, masks, *, frames=20, settings=None, method="hungarian", halo=8):
    """Track a movie as a whole and in windows of some frames, with their halos, and return both results."""
    settings = (settings or Settings()).replace(output__pictures=False)
    gnntrack.track(images, masks, out=tmp_path / "whole", method=method, settings=settings)
    cells = gnntrack.load(tmp_path / "whole").cells
    most_cells = round(frames * len(cells) / cells.n_frames)
    job = plan_tracking(
        images, masks, method=method, solver=None, settings=settings, options={}, most_cells=most_cells, halo=halo
    )
    assert run_job(job, tmp_path / "work")
    collect_result(tmp_path / "work", tmp_path / "windows")
    assert len(read_windows(tmp_path / "work")) > 2
    return tmp_path / "whole", tmp_path / "windows"


def find_free_place(masks, side):
    """Return the slices of a square without any cell in some frames, away from the border and from all cells."""
    taken = (masks > 0).any(axis=0)
    for y in range(side, taken.shape[0] - 2 * side):
        for x in range(side, taken.shape[1] - 2 * side):
            if not taken[y - 3 : y + side + 3, x - 3 : x + side + 3].any():
                return (slice(None), slice(y, y + side), slice(x, x + side))
    raise AssertionError


def list_differences(one: Path, other: Path, *, without=("summary.json",)):
    """Return the files of two results that are not the same."""
    files = [{path.relative_to(each) for path in each.rglob("*") if path.is_file()} for each in (one, other)]
    assert files[0] == files[1]
    return sorted(
        str(path)
        for path in files[0]
        if path.name not in without and (one / path).read_bytes() != (other / path).read_bytes()
    )


def test_windows_give_the_result_of_the_whole_movie(tmp_path):
    images, masks = make_movie()
    both = track_both(tmp_path, images, masks, frames=20)
    # the proven bound of the whole movie is not that of its windows
    assert list_differences(*both) == ["gnntrack/lineage.geff/.zattrs"]
    table = (both[0] / "gnntrack" / "repairs.csv").read_text()
    assert "filled" in table
    assert "split" in table


@pytest.mark.slow
def test_windows_give_the_masks_of_the_whole_movie_with_a_network(tmp_path):
    images, masks = make_movie(frames=44)
    differ = list_differences(*track_both(tmp_path, images, masks, frames=30, method="gnn", halo=12))
    assert not [name for name in differ if name.startswith(("mask", "res_track"))]


def test_windows_keep_the_rules_for_families(tmp_path):
    _, masks = make_movie(shape=(140, 140))
    masks[8:10][find_free_place(masks[6:12], 7)] = 900  # debris
    masks[18:20][find_free_place(masks[16:22], 13)] = 901  # a track of two frames
    settings = Settings().replace(repair__min_track_length=4)
    one, other = track_both(tmp_path, None, masks, settings=settings)
    differ = list_differences(one, other)  # z-scores of a frame that is measured again before short tracks are removed
    assert not [name for name in differ if name.startswith(("mask", "res_track", "gnntrack/repairs"))]
    table = (other / "gnntrack" / "repairs.csv").read_text()
    assert "short track" in table
    assert "debris" in table


@pytest.mark.slow
def test_windows_of_a_movie_with_empty_frames(tmp_path):
    _, masks = make_movie()
    masks[10:14] = 0
    both = track_both(tmp_path, None, masks, frames=20)
    assert list_differences(*both) == ["gnntrack/lineage.geff/.zattrs"]


def test_an_estimate_is_recorded_and_given_back():
    with use_scales(MovieScales()) as scales, name_scales("first"):
        assert estimate_of_movie("radius", lambda: 3.0) == 3.0
    with use_scales(MovieScales(scales.values)), name_scales("first"):
        assert estimate_of_movie("radius", lambda: 4.0) == 3.0
    assert estimate_of_movie("radius", lambda: 4.0) == 4.0


def test_of_links_that_exclude_each_other_at_a_seam_the_surest_stays():
    keep = np.ones(4, bool)
    lost = find_conflicts(np.array([0, 1, 2]), np.array([3, 3, -1]), np.array([0.9, 0.9, 1.0]), keep)
    assert lost.tolist() == [1, 2]


def test_the_reports_of_blocks_are_added_up():
    part = {"cells": 3, "fragments": "keep", "pixels_not_finite": 1}
    part |= {kind: {"count": 40, "listed": [[0, 1, 2]] * 40} for kind in ("disconnected", "split", "dropped")}
    whole = combine_notes([part, part])
    assert (whole["cells"], whole["split"]["count"], len(whole["split"]["listed"])) == (6, 80, 50)
    assert len(whole["dropped"]["listed"]) == 80


@pytest.mark.parametrize("ndim", [2, 3])
def test_blocks_of_frames_are_cut_and_joined(tmp_path, ndim):
    from gnntrack.io.frames import open_masks
    from gnntrack.measure import measure_cells
    from gnntrack.settings import CellSettings
    from gnntrack.windows.blocks import CellBlock, join_blocks, load_block, save_block

    masks = np.array(gnntrack.simulate(frames=5, cells=4, shape=(8, 40, 40)[-ndim:], seed=1005).masks)
    cells, runs, _ = measure_cells(open_masks(masks), settings=CellSettings())
    block = CellBlock(20, cells, runs, {"row": np.arange(len(cells))})
    save_block(tmp_path / "block", block.select(slice(0, 22)))
    again = join_blocks([load_block(tmp_path / "block"), block.select(slice(22, 23)), block.select(slice(23, 90))])
    assert again.first == 20
    for name in ("frame", "label", "position", "features"):
        assert np.array_equal(getattr(again.cells, name), getattr(cells, name))
    for name in ("cell", "start", "length", "offsets"):
        assert np.array_equal(getattr(again.runs, name), getattr(runs, name))
    moved = again.select(slice(21, 24)).count_from(0, 30)
    assert moved.cells.frame.min() >= 21
    assert np.array_equal(moved.runs.frames(), moved.cells.frame[moved.runs.cell])
