"""Simulated movies: the truth fits the pixels, the seed fixes all random numbers, and cells follow the settings."""

from __future__ import annotations

import time

import numpy as np
import pytest
import tifffile

from gnntrack.errors import OutputError
from gnntrack.io.ctc import read_ctc
from gnntrack.io.frames import check_pair, open_frames, open_masks
from gnntrack.measure.cells import measure_cells
from gnntrack.randomness import draw_traits
from gnntrack.settings import CellSettings, Settings, SimulateSettings
from gnntrack.simulate import simulate_cells, simulate_movie, write_movie

SMALL = SimulateSettings(frames=24, shape=(160, 200), cells=14, cycle=10, death_rate=0.01)
DEEP = SimulateSettings(frames=8, shape=(12, 90, 100), cells=12, cycle=6)
BOTH = pytest.mark.parametrize("settings", [SMALL, DEEP], ids=["2D", "3D"])


@pytest.fixture(scope="module")
def small():
    return simulate_movie(settings=SMALL, seed=4)


def list_arrays(lineage):
    cells, tracks = lineage.cells, lineage.tracks
    return [
        *(cells.frame, cells.label, cells.position, cells.features, lineage.track, lineage.source, lineage.target),
        *(tracks.id, tracks.start, tracks.end, tracks.parent),
    ]


@BOTH
def test_the_same_seed_gives_the_same_movie_in_any_order(settings):
    one, other = (simulate_movie(settings=settings, seed=5) for _ in range(2))
    for a, b in zip(list_arrays(one.lineage), list_arrays(other.lineage), strict=True):
        np.testing.assert_array_equal(a, b)
    last = len(one.masks) - 1
    late = one.images[last]
    np.testing.assert_array_equal(one.images[0], other.images[0])
    np.testing.assert_array_equal(late, other.images[-1])
    np.testing.assert_array_equal(one.masks[last], other.masks[last])


def test_another_seed_gives_another_movie(small):
    other = simulate_movie(settings=SMALL, seed=6)
    assert (other.masks[0] != small.masks[0]).any()
    empty = SMALL.replace(cells=0, shading=0.0, background=0.0)
    noise = [simulate_movie(settings=empty, seed=seed).images[0] for seed in (4, 6)]
    assert (noise[0] != noise[1]).any()


@BOTH
def test_the_truth_is_what_is_measured_on_the_masks(settings):
    movie = simulate_movie(settings=settings, seed=2)
    check_pair(movie.images, movie.masks)
    cells, runs, notes = measure_cells(movie.masks, images=movie.images, settings=CellSettings())
    truth = movie.lineage.cells
    np.testing.assert_array_equal(cells.frame, truth.frame)
    np.testing.assert_array_equal(cells.label, truth.label)
    np.testing.assert_allclose(cells.position, truth.position)
    for name in ("size", "diameter"):
        np.testing.assert_allclose(cells.feature(name), truth.feature(name), rtol=1e-6)
    np.testing.assert_array_equal(runs.start, movie.runs.start)
    np.testing.assert_array_equal(runs.cell, movie.runs.cell)
    assert notes["disconnected"]["count"] == 0
    assert cells.unit == truth.unit == "um"


@BOTH
def test_tracks_have_no_gaps_and_links_follow_them(settings):
    lineage = simulate_movie(settings=settings, seed=3).lineage
    frame, track, tracks = lineage.cells.frame, lineage.track, lineage.tracks
    for row, number in enumerate(tracks.id):
        np.testing.assert_array_equal(
            np.sort(frame[track == number]), np.arange(tracks.start[row], tracks.end[row] + 1)
        )
    assert (frame[lineage.target] - frame[lineage.source] == 1).all()
    parent = np.append(0, tracks.parent)
    same = track[lineage.source] == track[lineage.target]
    assert (same | (parent[track[lineage.target]] == track[lineage.source])).all()
    assert len(lineage.source) == (tracks.end - tracks.start).sum() + (tracks.parent > 0).sum()


def test_daughters_have_half_the_size_and_lie_beside_their_parent(small):
    lineage, size = small.lineage, small.lineage.cells.feature("size")
    parents = [m for m in np.unique(lineage.tracks.parent) if m and (lineage.tracks.parent == m).sum() == 2]
    assert len(parents) > 8
    share, distance = [], []
    for parent in parents:
        end = lineage.tracks.end[parent - 1]
        before = np.flatnonzero((lineage.track == parent) & (lineage.cells.frame == end - 3))
        daughters = lineage.tracks.id[lineage.tracks.parent == parent]
        after = np.flatnonzero(np.isin(lineage.track, daughters) & (lineage.cells.frame == end + 1))
        assert len(after) == 2
        share += (size[after] / size[before]).tolist() if len(before) else []
        last = np.flatnonzero((lineage.track == parent) & (lineage.cells.frame == end))
        middle = lineage.cells.position[after].mean(axis=0) - lineage.cells.position[last[0]]
        distance.append(np.linalg.norm(middle))
    assert 0.4 < np.median(share) < 0.6
    assert np.median(distance) < SMALL.diameter / 3


def test_a_parent_brightens_before_it_divides(small):
    cells, _, _ = measure_cells(small.masks, images=small.images, settings=CellSettings())
    lineage, mean = small.lineage, cells.feature("intensity_mean")
    gain = []
    for parent in np.unique(lineage.tracks.parent[lineage.tracks.parent > 0]):
        rows = np.flatnonzero(lineage.track == parent)
        if len(rows) > 6:
            gain.append(mean[rows[-1]] / mean[rows[-7]])
    assert np.median(gain) > 1.3


def test_cells_touch_and_stay_connected(small):
    cells, _, notes = measure_cells(small.masks, settings=CellSettings())
    assert (cells.feature("touching") > 0).mean() > 0.1
    assert notes["disconnected"]["count"] == 0
    assert np.median(cells.feature("ellipsoid_fill")) > 0.95


def test_crowded_cells_push_each_other_apart():
    crowd = SMALL.replace(cells=60, speed=3.0)
    cells, _, _ = measure_cells(simulate_movie(settings=crowd, seed=1).masks, settings=CellSettings())
    late = cells.frame > 15
    apart = cells.feature("neighbour_distance")[late] / cells.feature("diameter")[late]
    assert np.percentile(apart, 3) > 0.6


def test_cells_enter_leave_and_die():
    settings = SimulateSettings(
        frames=40, shape=(200, 200), cells=20, speed=2, drift=2, divisions=False, death_rate=0.02
    )
    lineage = simulate_movie(settings=settings, seed=1).lineage
    tracks, cells = lineage.tracks, lineage.cells
    entered, left = tracks.start > 0, tracks.end < 39
    assert entered.sum() > 3
    assert left.sum() > 3
    assert not tracks.parent.any()
    border = np.minimum(cells.position, np.array([100.0, 100.0]) - cells.position).min(axis=1)
    last = np.array(
        [
            np.flatnonzero((lineage.track == t) & (cells.frame == e))[0]
            for t, e in zip(tracks.id, tracks.end, strict=True)
        ]
    )
    inside = left & (border[last] > settings.diameter)
    assert inside.any(), "no cell died in the middle of the field"


def test_labels_do_not_identify_a_cell_over_time(small):
    lineage, label = small.lineage, small.lineage.cells.label
    same_track = lineage.track[lineage.source] == lineage.track[lineage.target]
    assert (label[lineage.source] == label[lineage.target])[same_track].mean() < 0.25


def test_light_bleaches_and_the_corner_is_dark():
    settings = SMALL.replace(bleaching=0.6, shading=0.6, divisions=False, death_rate=0.0)
    movie = simulate_movie(settings=settings, seed=4)
    light = [movie.images[t][movie.masks[t] > 0].mean() - 100 for t in (0, -1)]
    assert light[1] < 0.6 * light[0]
    lit = simulate_movie(settings=settings.replace(shading=0.0), seed=4).images[0].astype(float) - 100
    ratio = (
        (movie.images[0] - 100.0)[:20, :20].mean() / lit[:20, :20].mean(),
        (movie.images[0] - 100.0).mean() / lit.mean(),
    )
    assert min(ratio) < 0.95


def test_cells_are_brighter_than_what_lies_beside_them(small):
    for t in (0, 23):
        image, mask = small.images[t], small.masks[t]
        assert np.median(image[mask > 0]) > np.percentile(image[mask == 0], 95)


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": 0},
        {"frames": 1},
        {"cells": 1, "divisions": False},
        {"shape": (5, 7)},
        {"shape": (1, 30, 30)},
        {"diameter": 2.0},
    ],
)
def test_small_and_empty_movies_are_movies(changes):
    settings = SMALL.replace(**changes)
    movie = simulate_movie(settings=settings, seed=1)
    assert len(movie.masks) == len(movie.images) == settings.frames
    assert movie.masks[0].shape == movie.images[0].shape == settings.shape
    for t in range(settings.frames):
        assert (
            np.array_equal(np.unique(movie.masks[t]), np.arange((movie.lineage.cells.frame == t).sum() + 1))
            or (movie.masks[t] > 0).all()
        )


def test_without_images_there_are_none():
    assert simulate_movie(settings=SMALL.replace(images=False)).images is None


def test_frames_outside_the_movie_are_an_error(small):
    with pytest.raises(IndexError):
        small.masks[24]


@BOTH
def test_a_written_movie_reads_as_it_was(settings, tmp_path):
    movie = simulate_movie(settings=settings, seed=7)
    steps = []
    write_movie(movie, tmp_path / "movie", progress=lambda *step: steps.append(step))
    assert steps[-1] == ("simulate", settings.frames, settings.frames)
    images, masks = open_frames(tmp_path / "movie" / "01"), open_masks(tmp_path / "movie" / "01_ERR_SEG")
    assert images.spacing == masks.spacing == pytest.approx(movie.masks.spacing)
    assert images.unit == "um"
    for t in range(settings.frames):
        np.testing.assert_array_equal(images[t], movie.images[t])
        np.testing.assert_array_equal(masks[t], movie.masks[t])
    truth, _ = read_ctc(tmp_path / "movie" / "01_GT" / "TRA")
    np.testing.assert_array_equal(truth.tracks.id, movie.lineage.tracks.id)
    np.testing.assert_array_equal(truth.tracks.parent, movie.lineage.tracks.parent)
    order = np.lexsort((movie.lineage.track, movie.lineage.cells.frame))
    np.testing.assert_array_equal(truth.track, movie.lineage.track[order])
    outlines = tifffile.imread(tmp_path / "movie" / "01_GT" / "SEG" / "man_seg003.tif")
    np.testing.assert_array_equal(outlines > 0, movie.masks[3] > 0)


def test_a_movie_written_twice_is_the_same_file_for_file(small, tmp_path):
    for name in ("a", "b"):
        write_movie(small, tmp_path / name)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.tif")]
    assert len(files) == 4 * SMALL.frames
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_nothing_is_written_over(small, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_movie(small, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "changes", [{"simulate__spacing": (1.0, 1.0, 1.0)}, {"simulate__shape": (0, 9)}, {"simulate__cycle": 1}]
)
def test_settings_that_make_no_movie_are_refused(changes):
    with pytest.raises(ValueError, match="simulate"):
        Settings().replace(**changes)


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 9)])
def test_a_table_has_the_cells_asked_for_and_their_lineage(shape):
    cells, lineage = simulate_cells(cells=6000, frames=60, settings=SimulateSettings(shape=shape, cycle=15), seed=2)
    assert len(cells) == pytest.approx(6000, rel=0.15)
    assert cells.n_frames == 60
    assert np.isfinite(cells.features).all()
    frame = cells.frame
    assert (frame[lineage.target] - frame[lineage.source] == 1).all()
    counts = np.bincount(lineage.source, minlength=len(cells))
    assert counts.max() == 2
    assert (counts == 2).sum() > 50
    assert np.bincount(lineage.target).max() == 1
    step = np.linalg.norm(cells.position[lineage.target] - cells.position[lineage.source], axis=1)
    assert np.median(step) < 0.25 * np.median(cells.feature("diameter"))
    again, _ = simulate_cells(cells=6000, frames=60, settings=SimulateSettings(shape=shape, cycle=15), seed=2)
    np.testing.assert_array_equal(cells.features, again.features)


def test_traits_are_even_and_belong_to_the_cell():
    chance = draw_traits(np.arange(1, 2001), 8, seed=3)
    assert abs(chance.mean() - 0.5) < 0.01
    assert np.abs(np.corrcoef(chance.T) - np.eye(8)).max() < 0.1
    np.testing.assert_array_equal(draw_traits(np.array([700, 5]), 8, seed=3), chance[[699, 4]])
    assert (draw_traits(np.array([5]), 8, seed=4) != chance[4]).all()


@pytest.mark.slow
def test_a_million_cells_take_well_under_a_minute():
    start = time.perf_counter()
    cells, _ = simulate_cells()
    assert time.perf_counter() - start < 45
    assert len(cells) == pytest.approx(1_000_000, rel=0.05)
