"""Swapped, mixed and binary inputs, and masks with another background than 0, are recognised when a movie is opened."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

import gnntrack
from gnntrack import pipeline
from gnntrack.errors import FormatError, FrameError
from gnntrack.evaluate.segmentation import evaluate_segmentation
from gnntrack.inspection import inspect_movie
from gnntrack.io.frames import open_frames
from gnntrack.io.mask_checks import CheckOptions, check_images, check_masks, check_movie
from gnntrack.masks.recognise import describe_frame
from gnntrack.settings import Settings


def draw(shape=(128, 128), cells=12, radius=6, seed=0):
    """Return a label image of balls that do not touch the border."""
    random = np.random.default_rng(seed)
    labels, grid = np.zeros(shape, np.uint16), np.indices(shape)
    for label in range(1, cells + 1):
        centre = [random.uniform(min(radius + 1, side / 2), max(side - radius - 2, side / 2)) for side in shape]
        labels[sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True)) <= radius**2] = label
    return labels


def blur(labels, sigma=2.0):
    return ndimage.gaussian_filter((labels > 0).astype(float), sigma)


def noise(shape=(128, 128), *, mean=300, std=40, dtype=np.uint16):
    return np.random.default_rng(1).normal(mean, std, shape).astype(dtype)


POINTS = np.zeros((200, 200), np.uint16)
POINTS[::10, ::10] = np.arange(400).reshape(20, 20) + 1
SALT = np.random.default_rng(2).random((128, 128)) < 0.03
NOISY = np.where(SALT, np.random.default_rng(3).integers(0, 13, SALT.shape), draw())
ONE = blur(draw(cells=1, radius=10), 4) / blur(draw(cells=1, radius=10), 4).max()

LABELS = {
    "cells": draw(),
    "one cell": draw(cells=1),
    "32 x 32": draw((32, 32), 3, 4),
    "points of one pixel": POINTS,
    "touching tiles": np.kron(np.arange(1, 401).reshape(20, 20), np.ones((5, 5), int)),
    "salt noise": NOISY,
    "over-segmented": 2 * draw() + (draw() > 0) * (np.indices((128, 128))[1] // 3 % 2),
    "3D": draw((8, 64, 64), 10),
    "float": draw().astype(np.float32),
    "huge labels": draw().astype(np.int64) * 1_000_003,
    "thousands": np.kron(np.arange(1, 2501).reshape(50, 50), np.pad(np.ones((4, 4), int), 1)),
}
IMAGES = {
    "noise": noise(),
    "32 x 32": noise((32, 32)),
    "16 bits of noise": np.random.default_rng(4).integers(0, 65536, (32, 32)),
    "3D": noise((8, 48, 48)),
    "8 bits, background 0": (200 * blur(draw())).astype(np.uint8),
    "eight grey values": (8 * blur(draw())).astype(np.uint8),
    "one smooth cell, eight values": (8 * ONE).astype(np.uint8),
    "saturated": np.clip(1000 * blur(draw()), 0, 255).astype(np.uint8),
    "one saturated cell": np.clip(1000 * ONE, 0, 255).astype(np.uint8),
    "few photons": np.random.default_rng(5).poisson(2.0 * (draw() > 0)),
    "float": blur(draw()),
    "whole floats": np.round(300 * blur(draw()) + noise(mean=20, std=3, dtype=float)).astype(np.float32),
    "flat background": np.where(draw() > 0, noise(mean=100, std=9), 10),
    "gradient": np.indices((64, 64)).sum(0),
}
FOREGROUNDS = {
    "0 and 255": (draw() > 0).astype(np.uint8) * 255,
    "0 and 1": (draw() > 0).astype(np.uint16),
    "bool": draw() > 0,
    "float": (draw() > 0).astype(np.float32),
    "3D": (draw((8, 64, 64), 6) > 0).astype(np.uint8),
    "two cells of 32 x 32": (draw((32, 32), 2, 4, seed=3) > 0).astype(np.uint8),
    "1 and 2": 1 + (draw() > 0),
    "points": POINTS > 0,
    "inverted": np.where(draw() > 0, 0, 255),
}
LINES = np.where(ndimage.morphological_gradient(draw() + 1, size=2) > 0, 0, draw() + 1)
BACKGROUNDS = {
    "1": (draw() + 1, 1),
    "255": (np.where(draw() > 0, draw(), 255).astype(np.uint8), 255),
    "highest": (np.where(draw() > 0, draw(), 13), 13),
    "-1": (draw().astype(int) - 1, -1),
    "3D": (draw((8, 64, 64)) + 1, 1),
    "float": ((draw() + 1).astype(np.float32), 1),
    "lines of 0": (LINES, 1),
    "cell 0": (np.where(draw() > 0, draw().astype(int) - 1, 99), 99),
}


def repeat(frame, n=4):
    return np.stack([frame] * n)


def cells_of(source):
    return len(gnntrack.build_graph(masks=source).cells) // 4


@pytest.mark.parametrize("name", LABELS)
def test_label_images_are_recognised(name, caplog):
    kind = describe_frame(LABELS[name])
    assert kind.kind == "labels"
    assert kind.score >= 0.5
    masks = check_masks(open_frames(repeat(LABELS[name])))
    np.testing.assert_array_equal(masks[1], LABELS[name])
    assert not caplog.records


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_not_label_images(name):
    kind = describe_frame(IMAGES[name])
    assert kind.kind in {"image", "classes"}
    assert kind.score < 0.3


@pytest.mark.parametrize("name", IMAGES)
def test_images_as_masks_are_refused(name):
    stack = open_frames(repeat(IMAGES[name]))
    with pytest.raises(FrameError, match=r"not like a mask|not a label image|not whole numbers"):
        check_masks(stack)[0]


@pytest.mark.parametrize("name", IMAGES)
def test_swapped_images_and_masks_are_refused(name):
    image = repeat(IMAGES[name])
    labels = np.zeros_like(image, np.uint16)
    labels[..., 3:9, 3:9], labels[..., 14:20, 12:18] = 1, 2
    with pytest.raises(FrameError, match=r"are the two swapped\? give the images first and the masks second"):
        gnntrack.track(images=labels, masks=image)
    masks, images = check_movie(open_frames(labels), open_frames(image))
    np.testing.assert_array_equal(masks[0], labels[0])
    np.testing.assert_array_equal(images[0], image[0])


@pytest.mark.parametrize("name", [name for name in LABELS if name not in {"one cell"}])
def test_masks_as_images_are_refused(name):
    masks = open_frames(repeat(LABELS[name]))
    if LABELS[name].min() == 0:
        with pytest.raises(FrameError, match="looks like a mask, not like an image"):
            check_images(masks)
        with pytest.raises(FrameError, match="looks like a mask, not like an image"):
            check_movie(masks, masks)


def test_images_given_twice_are_refused():
    for image in (noise(), IMAGES["saturated"], IMAGES["8 bits, background 0"], noise((32, 32)), noise((8, 48, 48))):
        stack = open_frames(repeat(image))
        with pytest.raises(FrameError, match="looks like an image, not like a mask"):
            check_movie(stack, stack)


@pytest.mark.parametrize("name", FOREGROUNDS)
def test_binary_masks_are_refused_or_split(name):
    masks = repeat(FOREGROUNDS[name])
    with pytest.raises(FrameError, match=r"binary mask.*--fragments split"):
        gnntrack.build_graph(masks=masks)
    split = Settings().replace(cells__fragments="split")
    graph = gnntrack.build_graph(masks=masks, settings=split)
    foreground = masks[0] != (np.bincount(masks[0].astype(int).ravel()).argmax())
    pieces = ndimage.label(foreground, np.ones((3,) * foreground.ndim))[1]
    assert len(graph.cells) == 4 * pieces


def test_classes_are_refused():
    inner = ndimage.binary_erosion(draw() > 0, iterations=2)
    cycled = draw(cells=60, radius=4) % 8 + (draw(cells=60, radius=4) > 0)
    for classes in (
        (draw() > 0) + 1 * inner,
        2 - 1 * inner,
        cycled,
        (draw(cells=20, radius=4) + 1) // 2 % 3,
        POINTS % 3,
    ):
        with pytest.raises(FrameError, match=r"not a label image.*--fragments split"):
            check_masks(open_frames(repeat(classes)))


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_another_background_is_read_with_a_warning(name, caplog):
    masks, background = BACKGROUNDS[name]
    expected = 12 if name != "lines of 0" else len(np.unique(LINES)) - 2
    with caplog.at_level(logging.WARNING, "gnntrack"):
        assert cells_of(repeat(masks)) == expected
    assert f"the background is the value {background} and not 0" in caplog.text
    caplog.clear()
    given = Settings().replace(frames__background=background)
    assert len(gnntrack.build_graph(masks=repeat(masks), settings=given).cells) == 4 * expected
    assert "the background is" not in caplog.text


def test_another_background_is_a_problem_of_info(tmp_path):
    for name, (masks, background) in BACKGROUNDS.items():
        np.save(tmp_path / "m.npy", repeat(masks))
        found = inspect_movie(tmp_path / "m.npy")
        assert found["kind"] == "masks", name
        assert any(f"the background is the value {background}" in problem for problem in found["problems"]), name


def test_the_background_can_be_set_to_0():
    kept = Settings().replace(frames__background=0, frames__trust_masks=True)
    assert len(gnntrack.build_graph(masks=repeat(draw() + 1), settings=kept).cells) == 4 * 13


def test_trusted_masks_are_used_as_they_are():
    trusted = Settings().replace(frames__trust_masks=True)
    assert len(gnntrack.build_graph(masks=repeat(FOREGROUNDS["0 and 255"]), settings=trusted).cells) == 4
    small = repeat(IMAGES["32 x 32"])
    assert len(gnntrack.build_graph(masks=small, settings=trusted).cells) > 4
    assert check_images(open_frames(repeat(draw())), trusted=True).shape == (128, 128)


def test_frames_without_cells_are_no_fault(caplog):
    empty, some = np.zeros((128, 128), np.uint16), draw()
    for movie in ([empty] * 4, [empty, some], [some, empty, empty], [empty, empty, some, empty, empty], [empty]):
        check_masks(open_frames(np.stack(movie)))
        check_movie(open_frames(np.stack(movie)), open_frames(np.stack([noise()] * len(movie))))
    assert not caplog.records


def test_the_check_of_a_large_frame_is_quick():
    from time import perf_counter

    frames = [noise((1000, 1000)), draw((1000, 1000), 40, 12), noise((20, 300, 300))]
    describe_frame(noise((32, 32)))
    for frame in frames:
        seconds = []
        for _ in range(3):
            start = perf_counter()
            describe_frame(frame)
            seconds.append(perf_counter() - start)
        assert min(seconds) < 0.5  # measured: 0.02


def test_a_result_and_its_truth_that_are_swapped_are_named(tmp_path):
    truth, result = tmp_path / "01_GT", tmp_path / "01_RES"
    for folder, prefix in ((truth / "TRA", "man_track"), (result, "mask"), (truth / "SEG", "man_seg")):
        folder.mkdir(parents=True)
        for t in range(2):
            tifffile.imwrite(folder / f"{prefix}{t:03d}.tif", draw())
    rows = "".join(f"{label} 0 1 0\n" for label in range(1, 13))
    (truth / "TRA" / "man_track.txt").write_text(rows)
    (result / "res_track.txt").write_text(rows)
    assert pipeline.evaluate(result, truth)["TRA"] == 1
    for swapped in (truth, truth / "TRA"):
        with pytest.raises(FormatError, match=r"are the two swapped\? give the result first"):
            pipeline.evaluate(swapped, result)
    for swapped in (truth, truth / "SEG", truth / "TRA", truth / "SEG" / "man_seg000.tif"):
        against = result / "mask000.tif" if swapped.is_file() else result
        with pytest.raises(FormatError, match=r"are the two swapped\? give the result first"):
            evaluate_segmentation(swapped, against)
    assert pipeline.evaluate(truth, truth)["TRA"] == 1


def test_frames_of_other_dimensions_have_no_kind():
    assert {describe_frame(np.ones(shape)).kind for shape in ((3,), (2, 3, 4, 5), (0, 3), ())} == {"empty"}


def test_options_of_a_check():
    masks = check_masks(open_frames(repeat(draw() + 1)), CheckOptions(background=1))
    assert masks[0].min() == 0
    np.testing.assert_array_equal(masks[3] > 0, draw() > 0)


@pytest.mark.parametrize("ending", ["_cp_masks.png", "_mask.png", "_labels.png", "_masks.bmp"])
def test_masks_of_another_format_beside_the_images_are_used(tmp_path, ending, caplog):
    mask = np.zeros((32, 32), np.uint8)
    mask[4:12, 4:12], mask[16:26, 14:24] = 1, 2
    for t in range(3):
        tifffile.imwrite(tmp_path / f"img_{t:03d}.tif", noise((32, 32)))
        Image.fromarray(mask).save(tmp_path / f"img_{t:03d}{ending}")
    for call in (lambda: gnntrack.track(tmp_path), lambda: gnntrack.track(tmp_path, tmp_path)):
        assert len(call().tracks) == 2
    assert f"its masks are the 3 files img_#{ending}" in caplog.text
    pipeline.segment(tmp_path, tmp_path / "out")
    assert f"3 files img_#{ending} are masks and are not read as images" in caplog.text


def test_other_files_beside_the_images_are_no_fault(tmp_path):
    for t in range(3):
        tifffile.imwrite(tmp_path / f"img_{t:03d}.tif", noise((32, 32)))
    for name in ("preview.png", "img_000.png", "notes.txt", "other_mask.png", "img_001_mask.txt"):
        (tmp_path / name).write_bytes(b"")
    gnntrack.track(tmp_path)


def test_masks_as_images_of_validate_are_doubted(tmp_path, caplog):
    from gnntrack.io.ctc_validate import validate_ctc

    labels, image = repeat(draw()), repeat(noise())
    gnntrack.track(masks=labels, out=tmp_path / "01_RES")
    validate_ctc(tmp_path / "01_RES", images=image)
    assert not caplog.records
    validate_ctc(tmp_path / "01_RES", images=labels)
    assert "the images look like masks" in caplog.text


@pytest.mark.parametrize("frames", [[0], [3, 4, 5], [5]])
def test_a_background_that_differs_between_frames_is_reported(frames):
    masks = np.zeros((6, 48, 48), np.uint8)
    masks[:, 6:16, 6:16], masks[:, 28:40, 25:37] = 3, 4
    for frame in frames:
        masks[frame][masks[frame] == 0] = 9
    with pytest.warns(gnntrack.GnntrackWarning, match="background seems to differ between frames: 0 in frame"):
        gnntrack.track(masks=masks)


def move(cells=5, frames=4):
    """Return masks of discs that move by a pixel per frame."""
    masks, (y, x) = np.zeros((frames, 96, 96), np.uint8), np.indices((96, 96))
    for frame in range(frames):
        for label, (a, b) in enumerate([(16, 16), (16, 60), (50, 20), (60, 60), (80, 40)][:cells], 1):
            masks[frame][(y - a - frame) ** 2 + (x - b - frame) ** 2 <= 49] = label
    return masks


@pytest.mark.parametrize(
    "border", [((3, 3), (3, 3)), ((0, 5), (0, 0)), ((0, 0), (20, 0)), ((9, 2), (0, 7)), ((40, 40), (40, 40))]
)
@pytest.mark.parametrize("background", [1, 9, 255])
def test_a_background_inside_a_border_of_zeros_is_recognised(border, background):
    masks = move()
    other = np.where(masks == 0, background, masks + (background == 1)).astype(np.uint8)
    padded = np.pad(other, ((0, 0), *border))
    with pytest.warns(gnntrack.GnntrackWarning, match=f"background is the value {background} and not 0"):
        lineage = gnntrack.track(masks=padded)
    assert len(lineage) == 5
    assert len(gnntrack.track(masks=padded, background=background)) == 5


@pytest.mark.parametrize("seed", range(5))
def test_large_cells_stay_cells(seed):
    random = np.random.default_rng(seed)
    frame, (y, x) = np.zeros((128, 128), np.uint16), np.indices((128, 128))
    frame[(y - 64) ** 2 / random.uniform(0.5, 1) + (x - 60) ** 2 <= 50**2] = 1  # one cell fills most of the field
    frame[(y - 40) ** 2 + (x - 50) ** 2 <= 64], frame[(y - 90) ** 2 + (x - 70) ** 2 <= 64] = 2, 3
    frame[118:126, 2:12] = 4
    tiles = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((24, 24), int))  # cells that touch each other
    square = np.zeros((64, 64), int)
    square[10:50, 10:50], square[52:60, 12:20] = 1, 2
    for labels in (frame, tiles, np.pad(tiles, 9), square, np.stack([frame] * 3)):
        assert describe_frame(labels).background is None


@pytest.mark.parametrize("background", [5, 2, 77])
def test_a_background_that_is_the_label_of_a_cell_is_reported(background):
    with pytest.warns(gnntrack.GnntrackWarning, match=f"given as {background}, which covers fewer pixels than 0"):
        gnntrack.track(masks=move(), background=background)


@pytest.mark.parametrize("background", [0, 1, 200])
def test_a_right_background_is_not_reported(background, recwarn):
    masks = move() + 1
    masks[masks == 1] = background
    gnntrack.track(masks=masks, background=background)
    assert not [each for each in recwarn if "background" in str(each.message)]
