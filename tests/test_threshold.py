"""The segmenter 'threshold' on images that are dark, stained, hazy, uneven, empty or extreme."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from support.movies import compute_ious

from gnntrack.errors import FrameError
from segmenters.common import levels
from segmenters.common.basins import find_peaks
from segmenters.common.contrast import remove_faint
from segmenters.common.levels import compute_li, compute_otsu
from segmenters.postprocess import measure_depth, smooth
from segmenters.threshold import ThresholdSegmenter

CELLS = [((20, 20), 8, 1.0), ((20, 60), 9, 0.6), ((60, 25), 8, 1.4), ((70, 75), 10, 0.5), ((95, 40), 8, 1.0)]


def draw(cells=CELLS, shape=(120, 110), *, level=100.0, noise=2.0, seed=0):
    grid = np.indices(shape)
    image, truth = np.zeros(shape), np.zeros(shape, np.int32)
    for number, ((y, x), radius, bright) in enumerate(cells, start=1):
        inside = (grid[0] - y) ** 2 + (grid[1] - x) ** 2 <= radius**2
        image[inside], truth[inside] = bright * level, number
    image = ndimage.gaussian_filter(image, 1)
    return (image + np.random.default_rng(seed).normal(0, noise, shape)).astype(np.float32), truth


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_dark_cells_are_found_without_an_option(slope):
    image, truth = draw()
    image = 300 - image + slope * np.arange(image.shape[1], dtype=np.float32)
    assert compute_ious(ThresholdSegmenter().segment(image), truth).min() > 0.7


def test_dark_cells_on_an_uneven_stained_ground_are_found():
    rng = np.random.default_rng(2)
    image, truth = draw(noise=0)
    image = 200 - image + 10 * ndimage.gaussian_filter(rng.normal(size=image.shape), 2) / 0.14
    assert (compute_ious(ThresholdSegmenter(foreground="dark").segment(image), truth) > 0.5).sum() >= 4


def test_noise_alone_makes_few_cells():
    image = np.random.default_rng(0).normal(100, 10, (200, 200)).astype(np.float32)
    assert ThresholdSegmenter().segment(image).max() <= 2


def test_a_movie_is_judged_once():
    image, _ = draw()
    segmenter = ThresholdSegmenter()
    segmenter.prepare([-image, -image, np.full((3, 3), np.nan)])
    assert ThresholdSegmenter(foreground="dark").segment(image).max() != 5
    np.testing.assert_array_equal(segmenter.segment(image), ThresholdSegmenter(foreground="dark").segment(image))
    segmenter.prepare([image])
    assert segmenter.segment(image).max() == 5


@pytest.mark.parametrize("fraction", [0.01, 0.02, 0.03])
def test_haze_is_removed(fraction):
    image, truth = draw([*CELLS, ((100, 88), 14, fraction)], noise=0.1)
    segmenter = ThresholdSegmenter(threshold=0.5, foreground="bright")
    assert segmenter.segment(image)[100, 88] == 0
    kept = ThresholdSegmenter(threshold=0.5, foreground="bright", min_contrast=0).segment(image)
    assert kept[100, 88] > 0
    assert compute_ious(kept, truth)[:5].min() > 0.7


def test_a_few_very_bright_cells_do_not_remove_the_others():
    labels = np.zeros((60, 60), np.int32)
    for number in range(6):
        labels[8 * number + 2 : 8 * number + 7, 5:12] = number + 1
    pixels = np.array([0, 1, 1, 1, 1, 100, 100], np.float32)[labels]
    np.testing.assert_array_equal(remove_faint(labels, pixels, 0.05), labels)


EXTREMES = {
    "one pixel": np.ones((1, 1)),
    "one row": np.arange(7.0)[None],
    "no rows": np.zeros((0, 5)),
    "no planes": np.zeros((0, 4, 4)),
    "1 bit": np.indices((30, 30)).sum(0) % 2 == 0,
    "two values": np.repeat([0, 65535], 200).reshape(20, 20).astype(np.uint16),
    "16 bit": np.arange(65536, dtype=np.uint16).reshape(256, 256),
    "a bright speck": np.pad([[60000]], 20),
    "huge": np.pad(np.full((9, 9), 3e38, np.float32), 9, constant_values=-3e38),
    "tiny": np.pad(np.full((9, 9), 1e-38, np.float32), 9),
    "thin stack": np.random.default_rng(0).integers(0, 255, (1, 9, 9)),
}


@pytest.mark.parametrize("name", EXTREMES)
@pytest.mark.parametrize("foreground", ["auto", "bright", "dark"])
def test_every_image_has_a_result(name, foreground):
    image = EXTREMES[name]
    assert ThresholdSegmenter(foreground=foreground).segment(image).shape == image.shape


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(FrameError, match="1 pixel is NaN or infinite; replace them"):
        ThresholdSegmenter().segment(np.array([[0, value], [1, 2]]))


@pytest.mark.parametrize("pair", [(0.2, 0.8), (0.3, 0.31), (0.0, 1.0), (0.5, 0.6), (0.1, 0.4)])
def test_an_iteration_that_alternates_for_ever_ends_with_otsu(monkeypatch, pair):
    calls = []

    def alternate(values, sums, threshold):
        calls.append(threshold)
        return pair[len(calls) % 2]

    monkeypatch.setattr(levels, "_improve_li", alternate)
    sample = np.random.default_rng(0).random(1000)
    assert compute_li(sample) == compute_otsu(sample)
    assert len(calls) <= 100


@pytest.mark.parametrize("step", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (0.4, 1.0, 1.0), (2.0, 2.0, 1.0)])
def test_distances_and_peaks_of_a_stack_are_exact(step):
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.random((20, 40, 50)), 2).astype(np.float32)
    mask = noise > 0.5
    mask[3] = True
    np.testing.assert_allclose(measure_depth(mask, step), ndimage.distance_transform_edt(mask, step), atol=1e-4)
    blurred = ndimage.gaussian_filter(noise, [2 / side for side in step], truncate=3)
    np.testing.assert_allclose(smooth(noise, 2.0, step), blurred, atol=1e-4)
    np.testing.assert_array_equal(find_peaks(noise), noise == ndimage.maximum_filter(noise, 3))
