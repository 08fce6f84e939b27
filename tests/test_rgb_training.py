"""RGB images: training, evaluation and use of networks with three channels, and grey values of RGB images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from click.testing import CliRunner
from PIL import Image
from support.tiny_models import make_examples, make_tiny_settings, train_tiny

from gnntrack.cli import cli
from gnntrack.errors import FrameError, ModelError, SegmenterError, TrainingError
from gnntrack.io import open_frames
from gnntrack.segmentation import load_segmenter
from gnntrack.settings import Settings, TrainSegmenterSettings
from gnntrack.training import train_segmenter
from gnntrack.training.examples import find_examples
from gnntrack.training.run import TrainingRun
from gnntrack.training.segmenter import learn
from segmenters.common.colours import check_pixels, is_flat, normalise_channels
from segmenters.common.tiles import predict_in_tiles
from segmenters.dense.augment import Augment
from segmenters.dense.unet import UNet

torch.set_num_threads(1)

SHAPE = (64, 80)
PLACES = [(12, 14), (14, 56), (40, 30), (50, 64)]
Y, X = np.indices(SHAPE)
LABELS = np.zeros(SHAPE, np.uint8)
for number, (y, x) in enumerate(PLACES, start=1):
    LABELS[(Y - y) ** 2 + (X - x) ** 2 <= 49] = number
STAIN = np.where(LABELS[..., None] > 0, (70, 60, 120), (220, 190, 205)).astype(np.uint8)
"""Purple nuclei on a pale ground: the contrast is best in red."""
NOISE = np.random.default_rng(0).integers(0, 9, (*SHAPE, 3)).astype(np.uint8)
RGB = STAIN + NOISE
GREY = RGB[..., 0]


def save(file: Path, image: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".npy":
        np.save(file, image)
    elif file.suffix == ".tif":
        tifffile.imwrite(file, image, photometric="rgb" if image.ndim == 3 and image.shape[-1] in (3, 4) else None)
    else:
        Image.fromarray(image).save(file)


def save_planar(file: Path, image: np.ndarray) -> None:
    tifffile.imwrite(file, np.moveaxis(image, -1, 0), photometric="rgb", planarconfig="separate")


def save_pair(folder: Path, image: np.ndarray, *, name: str = "a", suffix: str = ".png") -> Path:
    save(folder / f"{name}{suffix}", image)
    save(folder / f"{name}_mask.png", LABELS)
    return folder


def add_opacity(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image, np.full((*SHAPE, 1), 9, image.dtype)], axis=-1)


WIDE = RGB.astype(np.uint16) * 200
INPUTS: dict[str, tuple[np.ndarray, str]] = {
    "PNG": (RGB, ".png"),
    "PNG with opacity": (add_opacity(RGB), ".png"),
    "BMP": (RGB, ".bmp"),
    "TIFF": (RGB, ".tif"),
    "TIFF of 16 bits": (WIDE, ".tif"),
    "TIFF with opacity": (add_opacity(RGB), ".tif"),
    "planar TIFF": (RGB, "planar"),
    "planar TIFF of 16 bits": (WIDE, "planar"),
    "npy": (RGB, ".npy"),
    "npy of fractions": ((RGB / 255).astype(np.float32), ".npy"),
}


def save_input(folder: Path, name: str) -> np.ndarray:
    """Save an image with labels, and return its three colours."""
    image, suffix = INPUTS[name]
    if suffix == "planar":
        save_pair(folder, GREY)
        (folder / "a.png").unlink()
        save_planar(folder / "a.tif", image)
    else:
        save_pair(folder, image, suffix=suffix)
    return image[..., :3]


class TestReading:
    @pytest.mark.parametrize("name", INPUTS)
    def test_the_colour_of_best_contrast_or_all(self, tmp_path, name):
        colours = save_input(tmp_path, name)
        (example,) = find_examples(tmp_path)
        image, labels = example.read()
        np.testing.assert_array_equal(image, colours[..., 0])
        assert image.dtype == colours.dtype
        np.testing.assert_array_equal(labels, LABELS)
        assert example.has_colours()
        np.testing.assert_array_equal(example.keep_colours().read()[0], colours)

    @pytest.mark.parametrize("name", ["PNG", "PNG with opacity", "BMP", "TIFF", "TIFF of 16 bits", "npy"])
    def test_the_same_colour_as_in_a_movie(self, tmp_path, name):
        save_input(tmp_path, name)
        (example,) = find_examples(tmp_path)
        np.testing.assert_array_equal(example.read()[0], open_frames(example.image_file)[0])

    @pytest.mark.parametrize("image", [GREY, np.stack([GREY] * 3, -1), np.stack([GREY, GREY, GREY // 2 * 2], -1)])
    def test_grey_is_grey(self, tmp_path, image):
        (example,) = find_examples(save_pair(tmp_path, image))
        assert not example.has_colours()
        np.testing.assert_allclose(example.read()[0].astype(int), GREY, atol=1)

    def test_once_for_a_folder(self, tmp_path):
        save_pair(tmp_path, np.zeros((*SHAPE, 3), np.uint8), name="a")
        save_pair(tmp_path, RGB, name="b")
        save_pair(tmp_path, RGB[..., ::-1].copy(), name="c")
        read = [each.read()[0] for each in find_examples(tmp_path)]
        np.testing.assert_array_equal(read[1], RGB[..., 0])
        np.testing.assert_array_equal(read[2], RGB[..., 2])

    def test_each_image_of_the_data_science_bowl(self, tmp_path):
        for name, image in (("a", RGB), ("b", RGB[..., ::-1].copy())):
            save(tmp_path / name / "images" / f"{name}.png", image)
            save(tmp_path / name / "masks" / "1.png", (LABELS == 1).astype(np.uint8))
        for example in find_examples(tmp_path):
            np.testing.assert_array_equal(example.read()[0], GREY)

    def test_three_slices_are_no_colours(self, tmp_path):
        save_pair(tmp_path, GREY)
        (tmp_path / "a.png").unlink()
        tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(WIDE, -1, 0), photometric="minisblack")
        with pytest.raises(FrameError, match=r"its shape is \(3, 64, 80\)"):
            find_examples(tmp_path)[0].read()


class TestTraining:
    @pytest.mark.parametrize("name", ["unet", "fcn", pytest.param("deeplab", marks=pytest.mark.slow), "maskrcnn"])
    def test_networks_learn_colours(self, tmp_path, name):
        if name != "unet":
            pytest.importorskip("torchvision")
        save_pair(tmp_path / "data", RGB)
        model = train(name, tmp_path, augment=name == "unet")
        about = json.loads((model / "model.json").read_text())
        assert about["options"]["channels"] == 3
        segmenter: Any = load_segmenter(name, model=model)
        assert segmenter.channels == 3
        for image in (RGB, add_opacity(RGB), WIDE, GREY):
            assert segmenter.segment(image).shape == SHAPE

    @pytest.mark.parametrize(
        ("images", "colours", "channels"),
        [
            ([RGB, RGB], "auto", 3),
            ([RGB, RGB], "grey", 1),
            ([GREY, GREY], "auto", 1),
            ([np.stack([GREY] * 3, -1)], "auto", 1),
            ([RGB, GREY], "auto", 1),
            ([RGB, GREY], "rgb", 3),
            ([GREY], "rgb", 3),
        ],
    )
    def test_which_images_make_three_channels(self, tmp_path, images, colours, channels):
        for number, image in enumerate(images):
            save_pair(tmp_path / "data", image, name=f"t{number}")
        model = train("unet", tmp_path, colours=colours)
        assert json.loads((model / "model.json").read_text())["options"].get("channels", 1) == channels

    @pytest.mark.parametrize("more", [{"sparse": True}, {"margin": 4}, {"normalise": "root"}, {"normalise": "none"}])
    def test_other_settings_keep_the_colours(self, tmp_path, more):
        save_pair(tmp_path / "data", RGB)
        model = train("unet", tmp_path, augment=True, **more)
        assert json.loads((model / "model.json").read_text())["options"]["channels"] == 3

    def test_stained_nuclei_of_the_data_science_bowl(self, tmp_path):
        """Pictures with opacity and a mask for each nucleus, of several sizes and stains."""
        for number, image in enumerate([RGB, RGB[:50, :60], 255 - RGB // 2]):
            labels = LABELS[: image.shape[0], : image.shape[1]]
            folder = tmp_path / "data" / f"nuclei{number}"
            opaque = np.full((*labels.shape, 1), 255, np.uint8)
            save(folder / "images" / f"nuclei{number}.png", np.concatenate([image, opaque], axis=-1))
            for label in np.unique(labels)[1:]:
                save(folder / "masks" / f"{label}.png", (labels == label).astype(np.uint8) * 255)
        model = train("unet", tmp_path, held_out=0.4)
        assert json.loads((model / "model.json").read_text())["options"]["channels"] == 3

    def test_a_mixed_folder_is_named(self, tmp_path, caplog):
        save_pair(tmp_path / "data", RGB, name="first")
        save_pair(tmp_path / "data", GREY, name="second")
        train("unet", tmp_path)
        said = [each.getMessage() for each in caplog.records if "--colours rgb" in each.getMessage()]
        assert len(said) == 1
        assert "some images are RGB and data second is grey" in said[0]

    def test_stacks_have_no_colours(self, tmp_path):
        with pytest.raises(TrainingError, match="omit --colours rgb"):
            train_tiny("unet", tmp_path / "model", dimensions=3, colours="rgb")

    def test_a_segmenter_of_grey_values_refuses(self, tmp_path):
        with pytest.raises(SegmenterError, match="'diffusionnet' learns grey values only; omit --colours rgb"):
            train_tiny("diffusionnet", tmp_path / "model", dimensions=3, colours="rgb")

    def test_dice_rises_where_only_the_hue_differs(self, tmp_path):
        """Cells and debris are equally dark in each colour but one."""
        rng = np.random.default_rng(3)
        for number in range(3):
            labels, image = draw_hues(rng)
            save(tmp_path / "data" / f"{number}.png", image)
            save(tmp_path / "data" / f"{number}_mask.png", labels)
        options = {"width": 8, "levels": 2, "stem": 2}
        more = {"steps": 60, "batch": 4, "learning_rate": 0.01, "head": "foreground", "average": 0.9}
        model = train("unet", tmp_path, augment=True, options=options, held_out=0.0, **more)
        segmenter = load_segmenter("unet", model=model)
        labels, image = draw_hues(rng)
        found, truth = segmenter.segment(image) > 0, labels > 0
        assert 2 * np.sum(found & truth) / (found.sum() + truth.sum()) > 0.8

    def test_command(self, tmp_path):
        save_pair(tmp_path / "data", RGB)
        save_pair(tmp_path / "data", RGB, name="b")
        words = ["--steps", "1", "--batch", "1", "--patch", "32", "--option", "width=4", "--option", "levels=2"]
        model, masks = str(tmp_path / "model"), str(tmp_path / "masks")
        done = CliRunner().invoke(
            cli, ["train-segmenter", "unet", str(tmp_path / "data"), "-o", model, *words, "--colours", "rgb"]
        )
        assert done.exit_code == 0, done.output
        save(tmp_path / "movie" / "t0.png", RGB)
        done = CliRunner().invoke(
            cli, ["segment", str(tmp_path / "movie"), "-o", masks, "--segmenter", "unet", "--model", model]
        )
        assert done.exit_code == 0, done.output
        assert tifffile.imread(tmp_path / "masks" / "mask000.tif").shape == SHAPE


def draw_hues(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return blue cells and red debris of the same brightness on grey, of which only the cells have labels."""
    labels, image = np.zeros(SHAPE, np.uint8), np.full((*SHAPE, 3), 128, np.int64)
    for number in range(8):
        disc = (Y - rng.integers(6, 58)) ** 2 + (X - rng.integers(6, 74)) ** 2 <= 36
        labels[disc] = (number % 2) * number
        image[disc] = (60, 128, 196) if number % 2 else (196, 128, 60)
    return labels, (image + rng.integers(-9, 10, image.shape)).clip(0, 255).astype(np.uint8)


def train(name: str, folder: Path, *, resume: bool = False, start: Any = None, **changes: Any) -> Path:
    """Train a tiny network on the images in a folder."""
    settings = make_tiny_settings(name, **{"patch": 32, "held_out": 0.0, **changes})
    run = TrainingRun(folder / "model", device="cpu", resume=resume)
    train_segmenter(name, [folder / "data"], run, start=start, settings=Settings(train_segmenter=settings))
    return folder / "model"


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> dict[str, Path]:
    """Models of RGB and of grey images."""
    found = {}
    for kind, image in (("rgb", RGB), ("grey", GREY)):
        folder = tmp_path_factory.mktemp(kind)
        save_pair(folder / "data", image)
        found[kind] = train("unet", folder)
    return found


class TestStart:
    """`--from` a model of another number of channels."""

    @pytest.mark.parametrize(
        ("start", "image", "colours", "said"),
        [
            ("rgb", GREY, "auto", r"reads RGB images \(3 channels\), and these images are grey"),
            ("rgb", RGB, "grey", r"reads RGB images \(3 channels\), and --colours grey was given"),
            ("grey", RGB, "rgb", r"reads grey values \(1 channel\), and --colours rgb was given"),
            ("grey", GREY, "rgb", r"reads grey values \(1 channel\), and --colours rgb was given"),
            ("rgb", np.stack([GREY] * 3, -1), "auto", r"these images are grey"),
        ],
    )
    def test_refused(self, tmp_path, models, start, image, colours, said):
        save_pair(tmp_path / "data", image)
        with pytest.raises(ModelError, match=said):
            train("unet", tmp_path, start=models[start], colours=colours, options={})

    @pytest.mark.parametrize(
        ("start", "image", "colours"),
        [("rgb", RGB, "auto"), ("rgb", GREY, "rgb"), ("grey", RGB, "auto"), ("grey", GREY, "grey")],
    )
    def test_taken(self, tmp_path, models, start, image, colours, caplog):
        save_pair(tmp_path / "data", image)
        model = train("unet", tmp_path, start=models[start], colours=colours, options={})
        channels = json.loads((model / "model.json").read_text())["options"].get("channels", 1)
        assert channels == (3 if start == "rgb" else 1)
        lost = (start, colours) == ("grey", "auto") and image is RGB
        assert ("the images are RGB, and the network of" in caplog.text) == lost


def test_settings_that_were_added_do_not_stop_a_resumed_training(tmp_path, monkeypatch):
    """A checkpoint of a version without the setting `colours` goes on."""
    save_pair(tmp_path / "data", GREY)
    plain = TrainSegmenterSettings.to_dict

    def omit_colours(settings: TrainSegmenterSettings) -> dict[str, Any]:
        return {name: value for name, value in plain(settings).items() if name != "colours"}

    with monkeypatch.context() as older:
        older.setattr(TrainSegmenterSettings, "to_dict", omit_colours)
        train("unet", tmp_path)
    train("unet", tmp_path, resume=True)
    with pytest.raises(ModelError, match=r"settings \(colours\)"):
        train("unet", tmp_path, resume=True, colours="grey")


class TestUse:
    def test_a_movie_is_shown_in_colours(self, tmp_path, models, monkeypatch):
        seen = record_images(monkeypatch)
        for frame in range(2):
            save(tmp_path / "movie" / f"t{frame}.png", RGB)
        CliRunner().invoke(cli, segment_words(tmp_path, models), catch_exceptions=False)
        assert seen
        for image in seen:
            np.testing.assert_array_equal(image, np.moveaxis(RGB, -1, 0))

    @pytest.mark.parametrize("channel", ["red", "grey", "2"])
    def test_a_channel_chooses_what_is_tracked(self, tmp_path, models, monkeypatch, channel):
        seen = record_images(monkeypatch)
        save(tmp_path / "movie" / "t0.png", RGB)
        words = [*segment_words(tmp_path, models), "--channel", channel]
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(seen[0], np.moveaxis(RGB, -1, 0))

    @pytest.mark.parametrize("image", [GREY, np.stack([GREY] * 3, -1)])
    def test_grey_images_are_repeated_with_a_warning(self, tmp_path, models, monkeypatch, image):
        seen = record_images(monkeypatch)
        save(tmp_path / "movie" / "t0.png", image)
        done = CliRunner().invoke(cli, segment_words(tmp_path, models), catch_exceptions=False)
        np.testing.assert_array_equal(seen[0], np.stack([GREY] * 3))
        assert "is for RGB images, and these are grey" in done.output

    def test_tracked_in_colours(self, tmp_path, models, monkeypatch):
        seen = record_images(monkeypatch)
        for frame in range(2):
            save(tmp_path / "movie" / f"t{frame}.png", RGB)
        words = ["track", str(tmp_path / "movie"), "-o", str(tmp_path / "out"), "--segmenter", "unet"]
        CliRunner().invoke(cli, [*words, "--option", f"model={models['rgb']}"])
        assert seen
        assert all(np.array_equal(image, np.moveaxis(RGB, -1, 0)) for image in seen)

    @pytest.mark.parametrize("shape", [(3, 64, 80), (5, 64, 80), (64, 80, 2), (2, 64, 80, 3), (64,)])
    def test_other_shapes_are_refused(self, models, shape):
        with pytest.raises(FrameError, match=r"expected \(Y, X, 3\)|expected \(Y, X\)"):
            load_segmenter("unet", model=models["rgb"]).segment(np.zeros(shape, np.uint8))

    @pytest.mark.parametrize("image", [np.zeros((9, 9, 3)), np.full((9, 9, 3), (5, 6, 7)), np.zeros((0, 4, 3))])
    def test_one_value_in_each_colour_is_no_cell(self, models, image):
        labels = load_segmenter("unet", model=models["rgb"]).segment(image)
        assert labels.shape == image.shape[:2]
        assert not labels.any()


def segment_words(folder: Path, models: dict[str, Path]) -> list[str]:
    words = ["segment", str(folder / "movie"), "-o", str(folder / "masks"), "--segmenter", "unet"]
    return [*words, "--model", str(models["rgb"])]


def record_images(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Return a list that collects the images that a dense network is given, (C, Y, X)."""
    from segmenters.dense import segmenter

    seen: list[np.ndarray] = []
    plain = segmenter.segment_pixels

    def segment(network: Any, pixels: np.ndarray, *rest: Any, **more: Any) -> Any:
        seen.append(pixels)
        return plain(network, pixels, *rest, **more)

    monkeypatch.setattr(segmenter, "segment_pixels", segment)
    return seen


class TestParts:
    def test_each_colour_is_normalised_by_itself(self):
        pixels = check_pixels(RGB, [2], channels=3)
        ready = normalise_channels(pixels, "percentile", dtype=RGB.dtype, channels=3)
        scaled = normalise_channels(pixels * [[[2]], [[7]], [[1]]] + 30, "percentile", dtype=RGB.dtype, channels=3)
        np.testing.assert_allclose(ready, scaled, atol=1e-3)
        for channel in ready:
            low, high = np.percentile(channel, (1, 99.9))
            assert (round(low, 2), round(high, 2)) == (0, 1)

    @pytest.mark.parametrize("tile", [(16, 16), (17, 33), (64, 80), (99, 99)])
    def test_tiles_keep_the_colours_together(self, tile):
        pixels = check_pixels(RGB, [2], channels=3)
        found = predict_in_tiles(
            lambda batch: batch.sum(axis=1, keepdims=True), pixels, channels=1, tile=tile, overlap=(8, 8), batch=3
        )
        np.testing.assert_array_equal(found, pixels.sum(axis=0, keepdims=True))

    def test_colours_and_targets_turn_together(self):
        pytest.importorskip("monai")
        patch = np.stack([*np.moveaxis(RGB[:64, :64] / 255, -1, 0), *np.stack([LABELS[:64, :64] > 0] * 3)])
        augment, random = Augment(2, grey=False), np.random.default_rng(0)
        for _ in range(4):
            changed = augment(patch.astype(np.float32), random)
            assert changed.shape == patch.shape
            assert np.mean((changed[0] < 0.55) == (changed[3] > 0.5)) > 0.97

    def test_changed_colours_stay_colours_or_become_grey(self):
        pytest.importorskip("monai")
        patch = np.stack([*np.moveaxis(RGB[:64, :64] / 255, -1, 0), *np.zeros((3, 64, 64))]).astype(np.float32)
        augment, random = Augment(2, grey=True), np.random.default_rng(0)
        grey = [bool(np.allclose(found[0], found[1])) for found in (augment(patch, random) for _ in range(60))]
        assert 1 <= sum(grey) < 25

    def test_a_network_without_the_option_has_one_channel(self):
        assert UNet(width=4, levels=2).options == {
            "dimensions": 2, "width": 4, "levels": 2, "stem": 1, "flat": 0, "norm": "batch", "outputs": 2,
        }  # fmt: skip
        assert UNet(width=4, levels=2, channels=3)(torch.zeros(1, 3, 9, 7)).shape == (1, 2, 9, 7)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_flat(self, channels):
        assert is_flat(np.zeros((channels, 4, 4), np.float32), channels)
        assert not is_flat(np.arange(channels * 4, dtype=np.float32).reshape(channels, 2, 2), channels)


def test_an_example_without_colours_is_learnt_as_before(tmp_path):
    (tmp_path / "m").mkdir()
    settings = make_tiny_settings("unet", colours="auto")
    learn("unet", make_examples(), [], TrainingRun(tmp_path / "m", device="cpu"), settings=settings)
    assert "channels" not in json.loads((tmp_path / "m" / "model.json").read_text())["options"]
