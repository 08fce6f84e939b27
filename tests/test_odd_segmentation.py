"""Segmentation and training with unusual images, masks and options."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from scipy import ndimage

import gnntrack
from gnntrack.batch import find_positions, track_positions
from gnntrack.cli import cli
from gnntrack.errors import FrameError, InputError, OutputError, SegmenterError
from gnntrack.io import open_frames
from gnntrack.segmentation import load_for_movie
from gnntrack.segmentation.movie import segment_movie
from gnntrack.segmentation.quality import list_problems
from gnntrack.segmentation.statistics import MovieStatistics, measure_frame
from gnntrack.settings import Settings
from gnntrack.training.examples.search import find_examples
from gnntrack.training.segmenter import train_segmenter

QUIET = Settings().replace(output__pictures=False)
PLACES = [(14, 14), (14, 46), (46, 18), (44, 48)]


def draw_labels(shape=(64, 64), radius=6):
    grid = np.indices(shape)
    labels = np.zeros(shape, np.int32)
    for number, (y, x) in enumerate(PLACES, start=1):
        labels[(grid[0] - y) ** 2 + (grid[1] - x) ** 2 <= radius**2] = number
    return labels


def draw_movie(frames=3):
    """Four discs of 12 pixels on noise."""
    noise = np.random.default_rng(0).normal(100, 3, (frames, 64, 64))
    return np.clip(noise + 120 * (draw_labels() > 0), 0, 255).astype(np.uint8)


MOVIE = draw_movie()


def colour(red, green, blue, frames=MOVIE):
    return np.stack([frames * red, frames * green, frames * blue], axis=1).astype(np.uint8)  # (T, 3, Y, X)


# ------------------------------------------------------------------ planar RGB


def save_planar(file, image, **options):
    tifffile.imwrite(file, image, photometric="rgb", planarconfig="separate", **options)


PLANAR = {
    "8 bits": (colour(0.2, 1, 0.4), {}),
    "16 bits": (colour(0.2, 1, 0.4).astype(np.uint16) * 200, {}),
    "float": (colour(0.2, 1, 0.4).astype(np.float32), {}),
    "compressed tiles": (colour(0.2, 1, 0.4), {"compression": "zlib", "tile": (16, 16)}),
    "opacity": (np.insert(colour(0.2, 1, 0.4), 3, 255, axis=1), {"extrasamples": ["unassalpha"]}),
}


@pytest.mark.parametrize("case", PLANAR)
def test_planes_marked_as_colours_are_read_as_rgb(tmp_path, case):
    images, options = PLANAR[case]
    for t, image in enumerate(images):
        save_planar(tmp_path / f"t{t}.tif", image, **options)
    with pytest.warns(gnntrack.GnntrackWarning, match=r"planes as the colours of an RGB image.*--axes tyx"):
        opened = open_frames(tmp_path)
    np.testing.assert_array_equal(np.stack(list(opened)), images[:, 1])
    assert list(opened.channels) == ["red", "green", "blue"]


@pytest.mark.parametrize("axes", ["QSYX", "TSYX"])
def test_a_file_of_planar_rgb_images_is_a_movie(tmp_path, axes):
    images = colour(1, 0.2, 0.1)
    more = {"ome": True, "metadata": {"axes": axes}} if axes == "TSYX" else {}
    save_planar(tmp_path / "movie.tif", images, **more)
    with pytest.warns(gnntrack.GnntrackWarning, match="RGB"):
        opened = open_frames(tmp_path / "movie.tif")
    np.testing.assert_array_equal(np.stack(list(opened)), images[:, 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_movie_of_three_frames_is_not_taken_as_rgb(tmp_path, dtype):
    save_planar(tmp_path / "movie.tif", MOVIE.astype(dtype))
    with pytest.raises(FrameError, match=r"--axes tyx .*; if they are colours, choose one: --channel NUMBER"):
        open_frames(tmp_path / "movie.tif")
    np.testing.assert_array_equal(np.stack(list(open_frames(tmp_path / "movie.tif", axes="tyx"))), MOVIE)


@pytest.mark.parametrize("planar", [False, True])
def test_a_grey_tiff_in_a_coloured_movie_has_three_equal_colours(tmp_path, planar):
    images = colour(0.2, 1, 0.4)
    for t, image in enumerate(images):
        config = "separate" if planar else "contig"
        pixels = image if planar else np.moveaxis(image, 0, -1)
        tifffile.imwrite(tmp_path / f"t{t}.tif", pixels, photometric="rgb", planarconfig=config)
    tifffile.imwrite(tmp_path / "t1.tif", MOVIE[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gnntrack.GnntrackWarning)
        opened = open_frames(tmp_path)
    np.testing.assert_array_equal(opened[1], MOVIE[1])
    np.testing.assert_array_equal(opened[2], images[2, 1])


# ------------------------------------------------------------------ diameters


@pytest.mark.parametrize(
    ("diameter", "spacing"), [(1e-9, None), (0.5, None), ("0.2px", None), ("12nm", 0.3), ("1um", 12), ("0.9", 2)]
)
@pytest.mark.parametrize("segmenter", ["threshold", "unet"])
def test_a_diameter_of_less_than_a_pixel_is_refused(segmenter, diameter, spacing):
    images = open_frames(MOVIE, spacing=spacing)
    with pytest.raises(SegmenterError, match=r"less than one.*check its unit, and the size of a pixel"):
        load_for_movie(segmenter, {"diameter": diameter}, images)


@pytest.mark.parametrize(("diameter", "spacing"), [(1e9, None), (65, None), ("1mm", 0.5), ("100um", 0.1), ("1e4px", 3)])
def test_a_diameter_larger_than_a_frame_gives_a_warning(diameter, spacing):
    with pytest.warns(gnntrack.GnntrackWarning, match="a frame is only 64 x 64 pixels; check its unit"):
        load_for_movie("threshold", {"diameter": diameter}, open_frames(MOVIE, spacing=spacing))


# ------------------------------------------------------------------ saturation and specks


def expose(limit, dtype):
    """Return blurred discs, twice as bright as the camera can record, on noise."""
    smooth = ndimage.gaussian_filter((draw_labels(radius=8) > 0).astype(float), 2)
    noise = np.random.default_rng(0).normal(0.2, 0.02, smooth.shape)
    return np.clip(limit * (2 * smooth + noise), 0, limit).astype(dtype)


@pytest.mark.parametrize(
    ("limit", "dtype"),
    [(255, np.uint8), (4000, np.uint16), (700.5, np.float32), (1.0, np.float32), (60000, np.int32), (250, np.uint8)],
)
def test_values_that_are_cut_off_are_saturated(limit, dtype):
    assert measure_frame(draw_labels(), expose(limit, dtype)).saturated > 0.1


def test_smooth_cells_are_not_saturated():
    smooth = ndimage.gaussian_filter((draw_labels(radius=8) > 0).astype(float), 2)
    for levels in (200, 3000, 40000):
        assert measure_frame(draw_labels(), (levels * smooth).astype(np.uint16)).saturated == 0


@pytest.mark.parametrize("limit", [255, 4095, 65535, 1000])
def test_a_saturated_ground_is_no_problem(limit):
    image = np.where(draw_labels() > 0, MOVIE[0] * (limit / 512), limit).astype(np.uint16)
    assert measure_frame(draw_labels(), image).saturated == 0


@pytest.mark.parametrize("side", [2, 3, 4])
def test_specks_of_noise_are_named(side):
    labels = np.zeros((100, 100), np.int32)
    for number in range(100):
        y, x = 10 * np.array(divmod(number, 10)) + 3
        labels[y : y + side, x : x + side] = number + 1
    statistics = MovieStatistics(load_for_movie("threshold", None, open_frames(MOVIE)))
    statistics.add_frame(0, labels)
    assert any("if your cells are larger, these are noise" in each for each in list_problems(statistics))


# ------------------------------------------------------------------ resumed runs


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"segmenter_options": {"diameter": 12}}, {}),
        ({"segmenter_options": {"diameter": 12}}, {"segmenter_options": {"diameter": 13}}),
        ({}, {"segmenter_options": {"foreground": "bright"}}),
        ({}, {"solver": "greedy"}),
        ({"method": "greedy"}, {}),
        ({}, {"segmenter": "postprocess"}),
    ],
)
def test_a_batch_is_not_resumed_with_other_choices(tmp_path, before, now):
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", MOVIE)
    positions, out = find_positions(tmp_path / "in"), tmp_path / "out"
    first = track_positions(positions, out, settings=QUIET, **before)
    assert [row.error for row in first] == [""]
    assert track_positions(positions, out, settings=QUIET, resume=True, **before)[0].status == "kept"
    (other,) = track_positions(positions, out, settings=QUIET, resume=True, **now)
    name = next(iter({**before, **now}))
    assert f"{name}" in other.error
    assert " was " in other.error


@pytest.mark.parametrize("again", ["12px", " 12 ", 12.0])
def test_a_batch_is_resumed_with_the_same_diameter_in_another_spelling(tmp_path, again):
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", MOVIE)
    positions, out = find_positions(tmp_path / "in"), tmp_path / "out"
    track_positions(positions, out, settings=QUIET, segmenter_options={"diameter": 12})
    (row,) = track_positions(positions, out, settings=QUIET, resume=True, segmenter_options={"diameter": again})
    assert (row.status, row.error) == ("kept", "")


def interrupt_segmentation(images, out, **options):
    ready = load_for_movie("unet", {"device": "cpu", **options}, images)
    frames = images.names

    class Interrupted:
        """The movie, whose second frame is never read."""

        names, shape, spacing, unit = frames, images.shape, images.spacing, images.unit
        channels = getattr(images, "channels", {})
        read = getattr(images, "read", None)

        def __len__(self):
            return len(images)

        def __getitem__(self, frame):
            if frame == 1:
                raise KeyboardInterrupt
            return images[frame]

    with pytest.raises(KeyboardInterrupt):
        segment_movie(Interrupted(), ready, out, resume=True)


def test_masks_of_another_channel_or_model_are_not_continued(tmp_path):
    images = np.moveaxis(colour(0.2, 1, 0.4), 1, -1)
    interrupt_segmentation(open_frames(images, channel="green"), tmp_path / "masks", diameter=12)
    changed = load_for_movie("unet", {"device": "cpu", "diameter": 12}, open_frames(images, channel="green"))
    with pytest.raises(OutputError, match="another movie, segmenter or options"):
        segment_movie(open_frames(images, channel="red"), changed, tmp_path / "masks", resume=True)
    with pytest.raises(OutputError, match="another movie, segmenter or options"):
        segment_movie(open_frames(images, channel="green", spacing=2), changed, tmp_path / "masks", resume=True)
    next(changed.network.parameters()).data[:] += 1
    with pytest.raises(OutputError, match="another movie, segmenter or options"):
        segment_movie(open_frames(images, channel="green"), changed, tmp_path / "masks", resume=True)
    same = load_for_movie("unet", {"device": "cpu", "diameter": 12}, open_frames(images, channel="green"))
    assert segment_movie(open_frames(images, channel="green"), same, tmp_path / "masks", resume=True) > 0


# ------------------------------------------------------------------ images to train on


def write_pairs(folder, *pairs):
    folder.mkdir()
    for number, (image, labels) in enumerate(pairs):
        tifffile.imwrite(folder / f"a{number}.tif", image)
        tifffile.imwrite(folder / f"a{number}_mask.tif", labels)
    return folder


LABELS = draw_labels().astype(np.uint16)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.astype(np.int64) * 2**50,
        LABELS.astype(np.uint32) * 1_000_000_007,
        np.where(LABELS > 0, LABELS.astype(np.uint64) + 2**40, 0),
        LABELS.astype(np.float64) * 2**33,
        np.where(LABELS > 0, LABELS.astype(np.int64) * 2**40, 0)[None],
    ],
)
def test_labels_of_any_size_are_learnt(tmp_path, labels):
    (example,) = find_examples([write_pairs(tmp_path / "a", (MOVIE[0][None] if labels.ndim > 2 else MOVIE[0], labels))])
    np.testing.assert_array_equal(example.read()[1], LABELS)


@pytest.mark.parametrize("shape", [(1, 64, 64), (64, 64)])
def test_a_single_plane_is_an_image(tmp_path, shape):
    for axes in ((1, 64, 64), (64, 64)):
        folder = write_pairs(tmp_path / f"a{len(axes)}", (MOVIE[0].reshape(shape), LABELS.reshape(axes)))
        (example,) = find_examples([folder])
        assert [each.shape for each in example.read()] == [(64, 64), (64, 64)]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_images_with_nan_are_refused_by_name(tmp_path, value):
    image = MOVIE[0].astype(np.float32)
    image[3, 4] = value
    with pytest.raises(FrameError, match=r"a0\.tif: 1 pixel is NaN or infinite; replace them"):
        train_segmenter("unet", [write_pairs(tmp_path / "a", (image, LABELS))], tmp_path / "model", start="shipped")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("value", [0, 7, 255])
def test_images_of_one_value_are_refused(tmp_path, value):
    pairs = [(np.full_like(MOVIE[0], value), LABELS)] * 3
    with pytest.raises(InputError, match="a single grey value each"):
        train_segmenter("unet", [write_pairs(tmp_path / "a", *pairs)], tmp_path / "model")


def test_images_without_cells_are_not_for_validation(tmp_path):
    given = {"steps": 1, "patch": 32, "batch": 1, "held_out": 0.15}
    settings = Settings().replace(**{f"train_segmenter__{name}": value for name, value in given.items()})
    pairs = [(MOVIE[0], LABELS), (MOVIE[1], LABELS * 0), (MOVIE[2], LABELS)]
    data = write_pairs(tmp_path / "a", *pairs)
    with pytest.warns(gnntrack.GnntrackWarning, match="no images are kept for validation"):
        summary = train_segmenter("unet", [data], tmp_path / "model", start="shipped", settings=settings)
    assert summary["images"] == 3
    with pytest.raises(InputError, match="none of the validation images has a cell"):
        train_segmenter("unet", [data], tmp_path / "other", validation=[write_pairs(tmp_path / "b", pairs[1])])


def test_a_stack_among_images_is_named(tmp_path):
    settings = Settings().replace(train_segmenter__steps=2, train_segmenter__patch=32, train_segmenter__held_out=0)
    pairs = [(MOVIE[0], LABELS), (np.stack([MOVIE[0]] * 5), np.stack([LABELS] * 5))]
    with (
        pytest.warns(gnntrack.GnntrackWarning),
        pytest.raises(FrameError, match=r"a1.*all images to train on must have 2 axes: remove those that do not"),
    ):
        train_segmenter("unet", [write_pairs(tmp_path / "a", *pairs)], tmp_path / "model", settings=settings)


def test_the_summary_has_the_options_of_the_segmenter(tmp_path):
    gnntrack.track(MOVIE, out=tmp_path / "out", segmenter_options={"diameter": "12px"}, settings=QUIET)
    summary = json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())
    assert (summary["segmenter"], summary["segmenter_options"]) == ("threshold", {"diameter": "12px"})


# ------------------------------------------------------------------ options that do not fit


def run(*arguments, code=2):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result.output


def test_images_that_are_trained_on_are_no_validation(tmp_path):
    settings = Settings().replace(train_segmenter__steps=1, train_segmenter__patch=32, train_segmenter__batch=1)
    data = write_pairs(tmp_path / "a", (MOVIE[0], LABELS), (MOVIE[1], LABELS))
    with pytest.warns(gnntrack.GnntrackWarning, match="2 of 2 images to validate on are trained on, too, such as a a0"):
        train_segmenter("unet", [data], tmp_path / "model", start="shipped", settings=settings, validation=[data])


def test_a_background_label_without_sparse_is_refused(tmp_path):
    data = write_pairs(tmp_path / "a", (MOVIE[0], LABELS), (MOVIE[1], LABELS))
    said = run("train-segmenter", "unet", data, "-o", tmp_path / "model", "--background-label", 1)
    assert "give --sparse too" in said
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("start", ["shiped", "Shipped", "no/such/folder"])
def test_a_start_that_does_not_exist_names_the_shipped_model(tmp_path, start):
    data = write_pairs(tmp_path / "a", (MOVIE[0], LABELS), (MOVIE[1], LABELS))
    assert "or 'shipped'" in run("train-segmenter", "unet", data, "-o", tmp_path / "model", "--from", start)


@pytest.mark.parametrize("command", ["track", "batch"])
@pytest.mark.parametrize(("option", "value"), [("model", "folder"), ("device", "cpu")])
def test_an_option_of_the_segmenter_is_named_as_track_takes_it(tmp_path, command, option, value):
    np.save(tmp_path / "a.npy", MOVIE)
    source = tmp_path if command == "batch" else tmp_path / "a.npy"
    said = run(command, source, "-o", tmp_path / "out", "--segmenter", "unet", f"--{option}", value)
    assert f"for the segmenter give --option {option}={value}" in said


@pytest.mark.parametrize("dtype", [bool, np.float32, np.float64, np.int64, np.uint8])
@pytest.mark.parametrize("name", ["mask{:03d}.tif", "cells_{}.tif"])
def test_masks_of_any_type_are_scored(tmp_path, name, dtype):
    for folder, labels in (("result", LABELS.astype(dtype)), ("truth", LABELS)):
        (tmp_path / folder).mkdir()
        for frame in range(2):
            tifffile.imwrite(tmp_path / folder / name.format(frame), labels)
    assert "Dice      1.0000" in run("evaluate-segmentation", tmp_path / "result", tmp_path / "truth", code=0)
