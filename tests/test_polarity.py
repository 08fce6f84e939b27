"""The guess whether cells are bright or dark."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from scipy import ndimage

from segmenters.common.polarity import guess_foreground, measure_tails


def draw_cells(cover, *, seed=0, shape=(160, 200), noise=2.0, radius=7):
    """Blurred discs of different brightness that cover about this fraction of an image."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    image = np.zeros(shape)
    while (image > 0).mean() < cover:
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        image[(rows - y) ** 2 + (columns - x) ** 2 < radius**2] = rng.uniform(20, 90)
    return (ndimage.gaussian_filter(image, 1.5) + rng.normal(0, noise, shape)).astype(np.float32)


@pytest.mark.parametrize("cover", [0.01, 0.05, 0.1, 0.2, 0.35])
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_bright_and_dark_cells_are_guessed_also_under_uneven_light(cover, slope):
    image = draw_cells(cover)
    image += slope * np.arange(image.shape[1])
    assert guess_foreground(image + 100) == "bright"
    assert guess_foreground(100 - image) == "dark"


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6, 1e36])
def test_the_guess_does_not_depend_on_the_scale_of_the_grey_values(scale):
    image = (draw_cells(0.1) * np.float32(scale)).astype(np.float32)
    assert guess_foreground(image) == "bright"
    assert guess_foreground(-image) == "dark"


@pytest.mark.parametrize("shape", [(0, 5), (1, 1), (1, 30), (3, 0, 4), (2, 8, 8)])
def test_an_image_without_anything_in_it_has_no_tails(shape):
    assert measure_tails(np.full(shape, 7, np.uint16)) == 0
    assert guess_foreground(np.full(shape, 7, np.uint16)) == "bright"


def test_a_few_hot_pixels_do_not_change_the_guess():
    image = 100 - draw_cells(0.1)
    image[::50, ::50] = 60000
    assert guess_foreground(image) == "dark"


def test_a_stack_and_the_frames_of_a_movie_are_judged_together():
    cells, empty = draw_cells(0.1), np.random.default_rng(1).normal(0, 2, (160, 200)).astype(np.float32)
    assert guess_foreground(-np.stack([empty, cells, empty])) == "dark"
    assert guess_foreground(empty, -cells, empty) == "dark"
    assert guess_foreground() == "bright"


def test_the_reason_is_logged(caplog):
    with caplog.at_level(logging.INFO):
        guess_foreground(-draw_cells(0.1))
    assert "cells are taken to be dark" in caplog.text
    assert "foreground=bright or dark sets it" in caplog.text


@pytest.mark.parametrize("radius", [10, 14, 18, 20])
def test_one_cell_that_fills_much_of_a_small_image_is_bright(radius):
    image = 100.0 * (np.hypot(*(np.indices((60, 60)) - 30)) < radius)
    assert guess_foreground(image) == "bright"
    assert guess_foreground(-image) == "dark"
