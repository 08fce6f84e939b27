"""Warnings about the masks that a segmenter has made, and the picture and the summary beside them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import GnntrackWarning
from gnntrack.io.frames import open_frames
from gnntrack.report.quick import paint_overlay
from gnntrack.segmentation import segmenter_class
from gnntrack.segmentation.quality import list_problems
from gnntrack.segmentation.statistics import FrameStatistics, MovieStatistics, measure_frame


class DrawnSegmenter:
    """Returns the image as labels; estimates 12 pixels."""

    name = "drawn"

    def __init__(self, *, diameter=None, estimate=None):
        self.estimated_diameter = None if diameter else estimate

    def segment(self, image):
        return image.astype(np.int32)


def place_discs(centres, radius=6, shape=(100, 100)):
    grid = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for label, (y, x) in enumerate(centres, start=1):
        labels[(grid[0] - y) ** 2 + (grid[1] - x) ** 2 <= radius**2] = label
    return labels


GRID = [(y, x) for y in range(12, 100, 19) for x in range(12, 100, 19)]  # 25 cells


def collect(movie, images=None, estimate=None):
    statistics = MovieStatistics(DrawnSegmenter(estimate=estimate))
    for frame, labels in enumerate(movie):
        statistics.add_frame(frame, labels, None if images is None else images[frame])
    return statistics


def scatter(count, size=2, shape=(100, 100), seed=0):
    """Specks of size x size pixels."""
    labels = np.zeros(shape, np.int32)
    places = np.random.default_rng(seed).permutation(shape[0] // 3 * (shape[1] // 3))[:count]
    for label, place in enumerate(places, start=1):
        y, x = 3 * (place // (shape[1] // 3)), 3 * (place % (shape[1] // 3))
        labels[y : y + size, x : x + size] = label
    return labels


def fill_border(n=30):
    """Specks along the border, and three cells inside."""
    labels = place_discs([(30, 30), (50, 60), (70, 40)])
    for k in range(n):
        labels[0:3, 3 * k : 3 * k + 2] = 4 + k
    return labels


GOOD = [place_discs(GRID)] * 8

# ------------------------------------------------------------------ statistics


def test_the_statistics_of_a_frame():
    labels = place_discs(GRID[:3])
    labels[0, :20] = 9
    found = measure_frame(labels, np.full((100, 100), 255, np.uint8))
    assert found == FrameStatistics(4, 11.99, 11.99, pytest.approx(0.0113), 1, 0.0, constant=True)


@pytest.mark.parametrize("first", [1, 70_000, 2**31 - 60, 2**40])
def test_labels_of_any_size_are_counted(first):
    labels = place_discs(GRID).astype(np.int64)
    labels[labels > 0] += first
    assert measure_frame(labels)[:4] == measure_frame(place_discs(GRID))[:4]


def test_labels_without_background_are_counted():
    assert measure_frame(np.full((30, 30), 10**9)).cells == 1


def test_the_diameter_in_3d_uses_the_distance_of_planes():
    grid = np.indices((9, 40, 40)) - np.array([4, 20, 20]).reshape(3, 1, 1, 1)
    labels = ((4 * grid[0]) ** 2 + grid[1] ** 2 + grid[2] ** 2 <= 14**2).astype(np.int32)
    assert measure_frame(labels, spacing=(2.0, 0.5, 0.5)).diameter == pytest.approx(28, abs=1)


@pytest.mark.parametrize(
    ("dtype", "value", "saturated"),
    [(np.uint8, 255, 0.25), (np.uint16, 4095, 0.25), (np.uint16, 3000, 0), (float, 255, 0)],
)
def test_saturated_pixels_have_the_largest_value_of_a_camera(dtype, value, saturated):
    image = np.arange(100, dtype=dtype).reshape(10, 10)
    image[:5, :5] = value
    assert measure_frame(np.zeros((10, 10), np.int32), image).saturated == saturated


# ------------------------------------------------------------------ warnings

CASES = {
    "no cells are found in any of 8 frames": [np.zeros((100, 100), np.int32)] * 8,
    "no cells are found in 2 of 8 frames (3, 5)": [GOOD[0] * (t not in {3, 5}) for t in range(8)],
    "no cells are found in the only frame": [np.zeros((100, 100), np.int32)],
    "800 cells are found, 800 in a frame, with a median diameter of only 2.3": [scatter(800)],
    "the largest cell covers 89 % of the frame": [np.pad(np.ones((90, 99), np.int32), ((5, 5), (0, 1)))] * 8,
    "91 % of the cells lie in a strip of 3 pixels along the border, which is 12 %": [fill_border()] * 8,
    "the number of cells flickers between 5 and 25": [place_discs(GRID[: 5 if t % 2 else 25]) for t in range(8)],
    "the number of cells flickers between 12 and 25": [place_discs(GRID[: 12 if t % 2 else 25]) for t in range(5)],
}


@pytest.mark.parametrize("start", CASES)
def test_poor_masks_are_one_sentence_with_an_option(start):
    found = [each for each in list_problems(collect(CASES[start])) if each.startswith(start)]
    assert len(found) == 1, list_problems(collect(CASES[start]))
    assert "--diameter 30 (the true size in pixels) or --segmenter unet (in Python " in found[0]


@pytest.mark.parametrize("estimate", [2.5, 5.9, 24.5, 60, 170])
def test_sizes_far_from_the_estimate(estimate):
    (found,) = list_problems(collect(GOOD, GOOD, estimate))
    assert found.startswith(f"the cells found have a diameter of 12 pixels, but {estimate:.0f} pixels were estimated")
    assert "--diameter 12 " in found


@pytest.mark.parametrize("frames", [(0,), (3, 4), range(8)])
def test_frames_of_one_grey_value_are_named(frames):
    images = [np.where(GOOD[0] > 0, 100, 7).astype(np.uint8)] * 8
    movie = list(GOOD)
    for frame in frames:
        images[frame], movie[frame] = np.full((100, 100), 7, np.uint8), np.zeros((100, 100), np.int32)
    found = list_problems(collect(movie, images), steadiness=False)
    assert len(found) == 1
    assert found[0].startswith(f"{len(frames)} of 8 frames ({', '.join(map(str, list(frames)[:3]))}")


def test_saturated_frames():
    images = [np.where(each > 0, 255, np.arange(100)).astype(np.uint8) for each in GOOD]
    (found,) = list_problems(collect(GOOD, images))
    assert found.startswith(
        "28 % of the pixels are saturated in 8 of 8 frames: they have the largest value of the camera"
    )


@pytest.mark.parametrize(
    "movie",
    [
        GOOD,
        GOOD[:1],
        [place_discs(GRID[:n]) for n in (20, 21, 21, 22, 23, 24, 25, 25)],
        [place_discs([(50, 50)])] * 8,
        [place_discs([(50, 50)], radius=30)] * 8,
        [place_discs([(0, 50), (99, 20), (40, 0), (50, 50)])] * 8,
        [place_discs(GRID, radius=3)] * 3,
    ],
)
def test_good_masks_give_no_warning(movie):
    assert list_problems(collect(movie, movie)) == []


@pytest.mark.parametrize(
    ("segmenter", "advice"),
    [
        (
            "threshold",
            "try --diameter 30 (the true size in pixels), --segmenter unet or --option foreground=dark for dark",
        ),
        ("postprocess", "try --segmenter unet (in Python segmenter='unet')"),
    ],
)
def test_the_advice_fits_the_segmenter(segmenter, advice):
    statistics = MovieStatistics(segmenter_class(segmenter)())
    statistics.add_frame(0, np.zeros((9, 9), np.int32))
    assert advice in list_problems(statistics)[0]


@pytest.mark.parametrize("model", ["nuclei", "cells", None])
def test_a_guessed_model_is_the_first_doubt(model):
    segmenter = segmenter_class("threshold")()
    segmenter.guessed_model = model
    statistics = MovieStatistics(segmenter)
    statistics.add_frame(0, np.zeros((9, 9), np.int32))
    told = list_problems(statistics)[0]
    assert (f"try --kind (the model for {model} is a guess), --diameter 30" in told) == (model is not None)
    assert ("in Python the segmenter's option kind" in told) == (model is not None)


# ------------------------------------------------------------------ in the recipes and commands


def draw_movie(frames=3, bright=200):
    noise = np.random.default_rng(0).normal(100, 3, (frames, 100, 100))
    return (noise + bright * (place_discs(GRID) > 0)).astype(np.uint16)


def run(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


@pytest.mark.parametrize("command", ["segment", "track"])
def test_commands_warn_once_and_record_it(command, tmp_path):
    movie = draw_movie()
    movie[1] = 50
    np.save(tmp_path / "movie.npy", movie)
    text = run(command, tmp_path / "movie.npy", "-o", tmp_path / "out").output
    assert text.count("Warning: 1 of 3 frames (1) has a single grey value and no cells; check the channel") == 1
    summary = json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())
    assert [each[:19] for each in summary["warnings"]] == ["1 of 3 frames (1) h"]


@pytest.mark.parametrize("recipe", [gnntrack.build_graph, gnntrack.track])
def test_recipes_warn(recipe):
    with pytest.warns(GnntrackWarning, match="no cells are found in any of 3 frames"):
        recipe(draw_movie(), segmenter="threshold", segmenter_options={"threshold": 999})


def test_given_masks_are_not_examined():
    movie = np.stack([np.zeros((100, 100), np.uint16), GOOD[0], GOOD[0]]).astype(np.uint16)
    assert len(gnntrack.track(masks=movie)) == 25


@pytest.mark.parametrize(("options", "written"), [([], True), (["--no-pictures"], False)])
def test_segment_draws_the_typical_frame(options, written, tmp_path):
    np.save(tmp_path / "movie.npy", draw_movie())
    text = run("segment", tmp_path / "movie.npy", "-o", tmp_path / "out", "--spacing", "0.5,0.5", *options).stdout
    picture = tmp_path / "out" / "gnntrack" / "overlay.png"
    assert picture.is_file() is written
    assert (f"view     open {picture}" in text) is written
    assert len(open_frames(tmp_path / "out")) == 3
    if written:
        with Pillow.open(picture) as opened:
            assert opened.size == (800, 800)
    run("segment", tmp_path / "movie.npy", "-o", tmp_path / "out", "--overwrite", "--resume", *options)


@pytest.mark.parametrize("shape", [(100, 100), (3, 100, 100)])
def test_the_scale_bar_has_its_length(shape):
    labels = np.zeros(shape, np.int32)
    labels[..., 40:60, 40:60] = 1
    plain, scaled = (
        np.asarray(paint_overlay(None, labels, None, 7, spacing=each)) for each in (None, (0.5,) * len(shape))
    )
    differ = (plain != scaled).any(axis=2)
    rows = np.flatnonzero(differ.any(axis=1))
    white = (scaled[rows[-1], 400:] == 255).all(axis=1)
    assert white.sum() == pytest.approx(10 / 0.5 * 8, abs=2)  # 10 um, enlarged 8 times
    assert (plain[-40:, :100] == 255).any()  # the number of the frame


def test_a_picture_that_is_too_small_has_no_text():
    assert not np.asarray(paint_overlay(None, np.zeros((9, 9), np.int32), None, 7, spacing=(1, 1))).any()
