"""RGB images: the colour with the best contrast is chosen once for a movie; RGB masks are refused."""

from __future__ import annotations

import json
import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image, ImageDraw

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import ChannelError, FrameError
from gnntrack.io import open_frames, open_masks
from gnntrack.io.colours import measure_contrasts

SHAPE = (64, 80)
PLACES = [(10, 12), (30, 50), (48, 20), (14, 60)]
Y, X = np.indices(SHAPE)


def draw_cells(frame: int = 0, *, radius: float = 6) -> np.ndarray:
    """Return smooth bright discs on 0, from 0 to 1, that move to the right."""
    away = np.min([np.hypot(Y - y, X - x - frame) for y, x in PLACES], axis=0)
    return np.clip((radius - away) / 3, 0, 1)


def add_noise(image: np.ndarray, scale: float, seed: int = 0) -> np.ndarray:
    return np.clip(image + np.random.default_rng(seed).normal(0, scale, image.shape), 0, 255).astype(np.uint8)


GREY = np.stack([add_noise(20 + 180 * draw_cells(t), 4, t) for t in range(3)])


def colour(*parts: float | np.ndarray) -> np.ndarray:
    """Return RGB images: each colour is the grey movie times a number, or an image."""
    return np.stack(
        [GREY * p if isinstance(p, int | float) else np.broadcast_to(p, GREY.shape) for p in parts], -1
    ).astype(np.uint8)


def stain(dark: tuple[int, int, int], pale: tuple[int, int, int]) -> np.ndarray:
    """Return dark cells on a pale ground, with patches of another stain, that of eosin, in green and blue only."""
    ground, cells = np.array(pale, float), np.stack([draw_cells(t) for t in range(3)])[..., None]
    patch = ((X // 40) % 2)[None, ..., None] * np.array([5, 120, 70.0])
    mixed = (ground - patch) * (1 - cells) + np.array(dark) * cells
    return add_noise(mixed, 3)


def letter(image: np.ndarray, tint: tuple[int, int, int]) -> np.ndarray:
    """Return images with a scale bar and its length drawn on them."""
    lettered = []
    for frame in image:
        picture = Image.fromarray(frame)
        draw = ImageDraw.Draw(picture)
        draw.rectangle([50, 54, 72, 56], fill=tint)
        draw.text((50, 42), "9 um", fill=tint)
        lettered.append(np.asarray(picture))
    return np.stack(lettered)


NOISE = np.random.default_rng(5).integers(0, 255, GREY.shape)
CASES = {
    "green LUT": (colour(0, 1, 0), "green"),
    "blue LUT": (colour(0, 0, 1), "blue"),
    "red LUT": (colour(1, 0, 0), "red"),
    "magenta LUT": (colour(1, 0, 1), "red"),
    "cyan LUT": (colour(0, 1, 1), "green"),
    "orange LUT": (colour(1, 0.5, 0), "red"),
    "blue with a yellow scale bar": (letter(colour(0, 0, 1), (255, 255, 0)), "blue"),
    "green with a white scale bar": (letter(colour(0, 1, 0), (255, 255, 255)), "green"),
    "blue with a red scale bar": (letter(colour(0, 0, 1), (255, 0, 0)), "blue"),
    "red is noise": (colour(NOISE, 0.4, 0), "green"),
    "green is saturated": (colour(0.5, np.clip(GREY * 12.0, 0, 255), 0), "red"),
    "blue ground": (colour(1, 0, np.full(SHAPE, 200)), "red"),
    "cells of one value": (colour(0, 255.0 * (np.stack([draw_cells()] * 3) > 0.5), 0), "green"),
    "purple stain beside eosin": (stain((60, 60, 130), (215, 190, 210)), "red"),
    "blue stain beside eosin": (stain((60, 100, 110), (210, 210, 215)), "red"),
}


class TestChoice:
    @pytest.mark.parametrize("case", CASES)
    def test_best_contrast(self, case):
        images, best = CASES[case]
        opened = open_frames(images)
        names = ["red", "green", "blue"]
        found = [
            k for k, name in enumerate(names) if np.array_equal(np.stack(list(opened)), images[..., names.index(name)])
        ]
        assert found
        assert names[found[0]] == best

    def test_no_contrast_in_one_value(self):
        assert measure_contrasts([np.full(SHAPE, 7.0)] * 3) == [0, 0, 0]

    def test_once_for_a_movie(self):
        images = np.concatenate([colour(1, 0, 0), colour(0, 1, 0)])
        np.testing.assert_array_equal(np.stack(list(open_frames(images))), images[..., 0])

    def test_a_black_start_is_passed(self, tmp_path):
        images = np.concatenate([np.zeros((3, *SHAPE, 3), np.uint8), colour(0, 0.9, 0.2)])
        for t, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / f"t{t}.png")
        for source in (images, tmp_path):
            np.testing.assert_array_equal(np.stack(list(open_frames(source))), images[..., 1])

    @pytest.mark.parametrize("tint", [(1, 1, 1), (1, 0.98, 0.99)])
    def test_grey_in_colours_is_one_channel(self, tint):
        opened = open_frames(colour(*tint))
        assert opened.channels == {}
        np.testing.assert_allclose(np.stack(list(opened)).astype(int), GREY, atol=3)

    def test_said(self, caplog):
        with caplog.at_level(logging.INFO, "gnntrack"):
            open_frames(colour(0, 1, 0))
        assert [each.getMessage() for each in caplog.records] == [
            "array: RGB images: the green channel is used, it has the best contrast (--channel chooses another)"
        ]


def write_pictures(folder: Path, images: np.ndarray, suffix: str, mode: str | None = None) -> Path:
    folder.mkdir()
    for t, image in enumerate(images):
        picture = Image.fromarray(image)
        picture = picture if mode is None else picture.convert(mode)
        if mode == "RGBA":
            picture.putalpha(Image.fromarray((255 * (X > Y)).astype(np.uint8)))
        picture.save(folder / f"t{t}.{suffix}")
    return folder


IMAGES = colour(0.1, 0.3, 1)
SOURCES = {
    "png": lambda where: write_pictures(where / "m", IMAGES, "png"),
    "bmp": lambda where: write_pictures(where / "m", IMAGES, "bmp"),
    "opacity": lambda where: write_pictures(where / "m", IMAGES, "png", "RGBA"),
    "one png": lambda where: write_pictures(where / "m", IMAGES[:1], "png") / "t0.png",
    "tiff": lambda where: write_pictures(where / "m", IMAGES, "tif"),
    "tiff with opacity": lambda where: write_pictures(where / "m", IMAGES, "tif", "RGBA"),
    "pages": lambda where: write_pages(where / "m.tif"),
    "npy": lambda where: save_npy(where / "m.npy"),
    "npy of a frame": lambda where: save_npy(where / "t.npy", 0).parent,
    "array": lambda _: IMAGES,
    "array of a frame": lambda _: IMAGES[0],
    "list": lambda _: list(IMAGES),
    "paths": lambda where: write_pictures(where / "m", IMAGES, "png").glob("*.png"),
    "16 bit": lambda _: IMAGES.astype(np.uint16) * 200,
    "floats": lambda _: (IMAGES / 255).astype(np.float32),
}


def write_pages(path: Path) -> Path:
    tifffile.imwrite(path, IMAGES, photometric="rgb")
    return path


def save_npy(path: Path, frame: int | None = None) -> Path:
    np.save(path, IMAGES if frame is None else IMAGES[frame])
    return path


@pytest.fixture(params=SOURCES)
def source(request, tmp_path):
    return SOURCES[request.param](tmp_path)


class TestSources:
    def test_read(self, source):
        opened = open_frames(source)
        assert list(opened.channels) == ["red", "green", "blue"]
        frame = np.asarray(opened[0])
        np.testing.assert_allclose(frame / frame.max(), IMAGES[0, ..., 2] / IMAGES[0, ..., 2].max(), atol=1e-6)
        again = pickle.loads(pickle.dumps(opened))
        np.testing.assert_array_equal(again[0], frame)

    def test_masks_are_refused(self, source):
        with pytest.raises(FrameError, match=r"it is an RGB image of shape .*; expected one grey value or label"):
            open_masks(source)

    def test_grey_is_the_mean(self, source):
        opened = open_frames(source, channel="grey")
        mean = IMAGES[0].mean(-1)
        frame = np.asarray(opened[0]).astype(float)
        np.testing.assert_allclose(frame / frame.max(), mean / mean.max(), atol=0.02)
        assert frame.dtype != bool

    @pytest.mark.parametrize("number", range(3))
    def test_a_given_colour(self, source, number):
        frame = np.asarray(open_frames(source, channel=["red", "green", "blue"][number])[0])
        np.testing.assert_allclose(
            frame / frame.max(), IMAGES[0, ..., number] / IMAGES[0, ..., number].max(), atol=1e-6
        )


def test_jpeg_and_palette(tmp_path):
    for suffix, mode in (("jpg", None), ("png", "P"), ("gif", "P")):
        opened = open_frames(write_pictures(tmp_path / f"{suffix}{mode}", IMAGES, suffix, mode))
        near = np.abs(opened[1].astype(int) - IMAGES[1, ..., 2])
        assert np.median(near) < 30


def test_a_grey_frame_among_coloured_ones(tmp_path):
    write_pictures(tmp_path / "m", IMAGES, "png")
    Image.fromarray(GREY[1]).save(tmp_path / "m" / "t1.png")
    np.testing.assert_array_equal(open_frames(tmp_path / "m")[1], GREY[1])
    Image.fromarray(np.repeat(GREY[1][..., None], 3, 2)).save(tmp_path / "m" / "t1.png")
    np.testing.assert_array_equal(open_frames(tmp_path / "m", channel="red")[1], GREY[1])


def test_a_file_per_channel_in_its_colour(tmp_path):
    for t in range(3):
        Image.fromarray(colour(0, 0, 1)[t]).save(tmp_path / f"t{t}_dapi.png")
        Image.fromarray(colour(0, 0.5, 0)[t]).save(tmp_path / f"t{t}_gfp.png")
    opened = open_frames(tmp_path, pattern="t{t}_{c}.png", channel="gfp")
    assert list(opened.channels) == ["dapi", "gfp"]
    np.testing.assert_array_equal(opened[1], colour(0, 0.5, 0)[1, ..., 1])
    np.testing.assert_array_equal(opened.channels["dapi"][1], GREY[1])


def test_channels_with_names_are_not_colours():
    xr = pytest.importorskip("xarray")
    named = xr.DataArray(IMAGES, dims=("t", "y", "x", "c"), coords={"c": ["DAPI", "GFP", "RFP"]})
    with pytest.raises(ChannelError):
        open_frames(named)


class TestRecipes:
    def test_segment_a_folder(self, tmp_path):
        folder = write_pictures(tmp_path / "m", IMAGES, "png")
        result = CliRunner().invoke(
            cli, ["segment", str(folder), "-o", str(tmp_path / "masks")], catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        assert tifffile.imread(tmp_path / "masks" / "mask001.tif").max() == len(PLACES)

    def test_track_names_the_channel(self, tmp_path):
        lineage = gnntrack.track(IMAGES, out=tmp_path / "out")
        assert len(lineage.tracks) == len(PLACES)
        for name in ("red", "green", "blue"):
            assert lineage.cells.has(f"intensity_mean_{name}")
        np.testing.assert_array_equal(
            lineage.cells.feature("intensity_mean"), lineage.cells.feature("intensity_mean_blue")
        )
        assert json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())["movie"]["channel"] == "blue"

    def test_info(self, tmp_path):
        folder = write_pictures(tmp_path / "m", IMAGES, "png")
        output = CliRunner().invoke(cli, ["info", str(folder)], catch_exceptions=False).output
        assert "values of 'blue' (it has the best contrast of the colours); choose one with --channel" in output
        output = CliRunner().invoke(cli, ["info", str(folder), "--channel", "grey"], catch_exceptions=False).output
        assert "values of 'grey'; choose" in output
