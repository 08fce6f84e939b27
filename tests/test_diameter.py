"""The diameter of a cell: given in pixels or um, or estimated by the segmenter and reported."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from click.testing import CliRunner

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import MissingDependencyError, SegmenterError
from gnntrack.io.frames import open_frames
from gnntrack.segmentation import available_segmenters, load_for_movie, segment_movie, segmenter_class
from gnntrack.segmentation.diameter import convert_diameters, parse_diameter
from gnntrack.segmentation.registry import expect_diameter


def draw_movie(frames=4, shape=(64, 64)):
    """Four discs of 12 pixels, on noise."""
    grid = np.indices(shape)
    image = np.random.default_rng(0).normal(100, 3, (frames, *shape))
    for y, x in ((16, 16), (16, 46), (46, 16), (46, 46)):
        image[:, (grid[0] - y) ** 2 + (grid[1] - x) ** 2 <= 36] += 200
    return image.astype(np.uint16)


@pytest.fixture
def file(tmp_path):
    place = tmp_path / "movie.npy"
    np.save(place, draw_movie())
    return place


def run(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result.output


# ------------------------------------------------------------------ the text of a diameter


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (30, (30, None)),
        (np.float32(7.5), (7.5, None)),
        ("30", (30, None)),
        ("30px", (30, None)),
        (" 30 Pixels ", (30, None)),
        ("1e1px", (10, None)),
        ("12um", (12, 1)),
        ("12 µm", (12, 1)),
        ("12 microns", (12, 1)),
        (".012mm", (0.012, 1000)),
        ("900nm", (900, 0.001)),
    ],
)
def test_a_diameter_is_read(value, expected):
    assert parse_diameter(value) == expected


@pytest.mark.parametrize(
    "value", ["", "px", "large", "-3", "0", "0um", "3 s", "1,5um", "nan", "inf", True, -1, [3], {}]
)
def test_a_wrong_diameter_is_refused_with_examples(value):
    with pytest.raises(SegmenterError, match="30 or 30px, or a length such as 12um"):
        parse_diameter(value)


@pytest.mark.parametrize(
    ("spacing", "pixels"), [((0.5, 0.5), 24), ((2.0, 0.5, 0.25), 48), ((0.4, 0.3), 40), ((12, 12), 1), ((1, 24), 0.5)]
)
def test_a_length_is_converted_with_the_pixel_along_x(spacing, pixels):
    assert convert_diameters({"diameter": "12um"}, spacing, "um") == {"diameter": pixels}


def test_options_of_options_are_converted_and_others_stay():
    options = {"options": {"diameter": "6um", "neck": 0.5}, "diameter": None, "segmenter": "threshold"}
    found = convert_diameters(options, (1, 0.5, 0.5), "um")
    assert found == {**options, "options": {"diameter": 12, "neck": 0.5}}


@pytest.mark.parametrize("shape", [(64, 64), (4, 64, 64)])
def test_a_length_needs_the_size_of_a_pixel(shape):
    axes = "Z,Y,X" if len(shape) == 3 else "Y,X"
    with pytest.raises(
        SegmenterError, match=f"12um needs the size of a pixel.*--spacing {axes} in um.*or the diameter in"
    ):
        load_for_movie("threshold", {"diameter": "12um"}, open_frames(np.zeros((2, *shape), np.uint8)))


@pytest.mark.parametrize(
    ("name", "takes"), [(name, name not in {"postprocess", "stardist"}) for name in available_segmenters()]
)
def test_which_segmenters_take_a_diameter(name, takes):
    try:
        segmenter_class(name)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    if takes:
        expect_diameter(name)
        return
    with pytest.raises(SegmenterError, match=f"'{name}' does not take a diameter; omit --diameter .*its options are: "):
        expect_diameter(name)


def test_options_of_a_segmenter_that_is_an_object_are_refused():
    own = segmenter_class("threshold")()
    with pytest.raises(SegmenterError, match="'threshold', which is an object: set them when it is made"):
        gnntrack.track(draw_movie(), segmenter=own, segmenter_options={"diameter": 12})


# ------------------------------------------------------------------ commands


@pytest.mark.parametrize(
    ("options", "pixels"),
    [
        (["--diameter", "13"], 13),
        (["--diameter", "13px"], 13),
        (["--diameter", "6um", "--spacing", "0.5,0.5"], 12),
        (["--option", "diameter=6um", "--spacing", "0.5,0.5"], 12),
        (["--option", "diameter=14"], 14),
    ],
)
@pytest.mark.parametrize("command", ["segment", "track"])
def test_the_segmenter_gets_the_diameter(command, options, pixels, file, tmp_path, monkeypatch):
    got = []
    own = segmenter_class("threshold")
    make = own.__init__
    monkeypatch.setattr(own, "__init__", lambda self, **given: (got.append(given["diameter"]), make(self, **given))[1])
    printed = run(command, file, "-o", tmp_path / "out", *options)
    assert got[-1] == pixels
    assert "estimated" not in printed  # it was given, and not estimated
    summary = json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())
    assert summary["estimates"]["diameter"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--diameter", "large"], "the diameter is 'large'; expected a number above 0"),
        (["--diameter", "12um"], "12um needs the size of a pixel, which is not known: give --spacing Y,X in um"),
        (["--diameter", "12", "--option", "diameter=13"], "the diameter is given twice: --diameter 12 and --option"),
        (["--diameter", "12", "--segmenter", "postprocess"], "'postprocess' does not take a diameter; omit --diameter"),
        (["--option", "diameter=wide"], "the diameter is 'wide'; expected"),
    ],
)
@pytest.mark.parametrize("command", ["segment", "track"])
def test_a_diameter_that_cannot_be_used(command, options, message, file, tmp_path):
    printed = run(command, file, "-o", tmp_path / "out", *options, code=2)
    assert message in " ".join(printed.split())
    assert not (tmp_path / "out").exists()


def test_batch_takes_a_diameter(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "all" / name / "images").mkdir(parents=True)
        np.save(tmp_path / "all" / name / "images" / "movie.npy", draw_movie())
    run("batch", tmp_path / "all", "-o", tmp_path / "out", "--images", "{}/images/movie.npy", "--diameter", "12")
    summary = json.loads((tmp_path / "out" / "a_RES" / "gnntrack" / "summary.json").read_text())
    assert (summary["counts"]["tracks"], summary["estimates"]["diameter"]) == (4, None)


def test_a_diameter_beside_masks_is_refused(file, tmp_path):
    np.save(tmp_path / "masks.npy", np.ones((4, 64, 64), np.uint8))
    printed = run("track", file, tmp_path / "masks.npy", "-o", tmp_path / "out", "--diameter", "12", code=2)
    assert "--diameter and --option make masks from images, and masks are given; omit them" in " ".join(printed.split())


# ------------------------------------------------------------------ estimates


class PreparedSegmenter:
    """Finds nothing; estimates 17 pixels for the movie."""

    estimated_diameter = None

    def prepare(self, _images):
        self.estimated_diameter = 17.04

    def segment(self, image):
        return np.zeros(image.shape, np.int32)


class FrameSegmenter(PreparedSegmenter):
    """Estimates the size for each frame."""

    prepare = None

    def segment(self, image):
        self.estimated_diameter = float(image.max())
        return np.zeros(image.shape, np.int32)


@pytest.mark.parametrize("command", ["segment", "track"])
def test_the_estimate_is_logged_printed_and_recorded(command, file, tmp_path):
    printed = run(command, file, "-o", tmp_path / "out", "-v")
    summary = json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())
    diameter = summary["estimates"]["diameter"]
    assert diameter == pytest.approx(12, abs=3)
    assert f"cell diameter {diameter:.1f} pixels, the median of 4 frames, each estimated by itself (--diam" in printed
    assert f"cells of {diameter:.1f} pixels, estimated; --diameter sets it" in printed


@pytest.mark.parametrize(
    ("command", "options", "model"),
    [
        ("segment", [], "nuclei"),
        ("track", [], "nuclei"),
        ("segment", ["--kind", "fluorescence"], None),
        ("track", ["--kind", "phase"], None),
        ("segment", ["--segmenter", "threshold"], None),
    ],
)
def test_a_guessed_model_is_printed_and_recorded(command, options, model, file, tmp_path):
    printed = run(command, file, "-o", tmp_path / "out", "--diameter", "12", "--segmenter", "unet", *options)
    summary = json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())
    assert summary["estimates"]["model"] == model
    assert ("nuclei, a guess; --kind sets it" in printed) == (model is not None)
    assert (" in 4 frames" in printed) == (command == "segment")


def test_an_estimate_for_the_movie_is_logged_once(tmp_path, caplog):
    caplog.set_level(logging.INFO, "gnntrack")
    gnntrack.segment(draw_movie(), tmp_path / "out", segmenter=PreparedSegmenter())
    found = [record.getMessage() for record in caplog.records if "diameter" in record.getMessage()]
    assert found == ["cell diameter 17.0 pixels, estimated from 3 frames (--diameter sets it)"]
    assert json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())["estimates"]["diameter"] == 17.04


def test_estimates_of_single_frames_give_their_median(tmp_path):
    movie = np.zeros((5, 8, 8), np.uint8)
    movie[:, 0, 0] = [9, 11, 14, 90, 10]
    gnntrack.segment(movie, tmp_path / "out", segmenter=FrameSegmenter())
    assert json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())["estimates"]["diameter"] == 11


@pytest.mark.parametrize("segmenter", ["threshold", "slices"])
def test_segmenters_report_estimates_and_not_what_was_given(segmenter):
    options = {"segmenter": "threshold"} if segmenter == "slices" else {}
    stack = np.repeat(draw_movie(1), 5, 0) if segmenter == "slices" else draw_movie(1)[0]
    free, fixed = (segmenter_class(segmenter)(**options, **more) for more in ({}, {"diameter": 12}))
    for each in (free, fixed):
        assert each.estimated_diameter is None
        each.segment(stack)
    assert free.estimated_diameter == pytest.approx(12, abs=3)
    assert fixed.estimated_diameter is None


def test_slices_name_the_model_that_was_guessed_for_the_planes():
    stack = np.repeat(draw_movie(1), 5, 0)
    free, told = (segmenter_class("slices")(options={"diameter": 12, **more}) for more in ({}, {"kind": "stained"}))
    for each in (free, told):
        each.segment(stack)
    assert (free.guessed_model, told.guessed_model) == ("nuclei", None)


# ------------------------------------------------------------------ the folder of masks


def test_a_folder_of_masks_with_its_summary_is_read_as_masks(file, tmp_path):
    out = tmp_path / "masks"
    run("segment", file, "-o", out)
    assert sorted(path.name for path in out.iterdir()) == ["gnntrack", *(f"mask{t:03d}.tif" for t in range(4))]
    masks = open_frames(out)
    assert (len(masks), masks.unit, int(masks[0].max())) == (4, "pixel", 4)
    assert len(gnntrack.track(file, out)) == 4
    run("info", out)
    run("segment", file, "-o", out, "--overwrite")
    run("segment", file, "-o", out, "--overwrite", "--resume")
    assert (out / "gnntrack" / "summary.json").is_file()


def test_the_recipe_of_the_stage_writes_masks_alone(tmp_path):
    assert segment_movie(open_frames(draw_movie()), segmenter_class("threshold")(), tmp_path / "out") == 16
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir())[-1] == ".tif"
