"""The split of a mask between the peaks of a relief."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.segmentation import watershed

from segmenters.common.basins import find_peaks, split_relief


def make_relief(shape, sigma, seed):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, sigma).astype(np.float32)


@pytest.mark.parametrize(
    ("shape", "sigma", "seed"),
    [((80, 90), 4, 0), ((120, 60), 6, 1), ((200, 40), 3, 2), ((18, 40, 50), 3, 3), ((30, 30, 30), 4, 4)],
)
def test_basins_are_those_of_a_watershed(shape, sigma, seed):
    relief = make_relief(shape, sigma, seed)
    mask = relief > 0
    peaks = mask & find_peaks(relief)
    markers, _ = ndimage.label(peaks, np.ones((3,) * len(shape)))
    flooded = watershed(-relief, markers, mask=mask)
    found = split_relief(relief, mask, peaks=peaks, neck=np.inf)
    assert len(np.unique(found)) == len(np.unique(flooded))
    top = markers > 0
    same = {(int(a), int(b)) for a, b in zip(found[top], flooded[top], strict=True)}
    owner = dict(same)
    assert len(same) == len(owner)
    agree = np.vectorize(lambda label: owner.get(label, 0))(found) == flooded
    assert agree[mask].mean() > 0.95


def test_level_ground_is_one_basin():
    level = np.full((6, 50), 3, np.float32)
    mask = np.zeros((6, 50), bool)
    mask[1:5, 2:20] = mask[2:4, 20:30] = mask[:, 35:] = True
    labels = split_relief(level, mask)
    assert len(np.unique(labels[mask])) == 2
    assert (labels[:, :32][mask[:, :32]] == labels[1, 2]).all()


def test_terraces_belong_to_the_peak_above_them():
    steps = np.array([0, 1, 1, 1, 2, 2, 5, 2, 2, 1, 1, 1, 1, 2, 2, 4, 2, 1, 0], np.float32)
    relief = np.tile(steps, (5, 1))
    labels = split_relief(relief, relief > 0, neck=0.9)
    assert (labels[:, 4:9] == labels[0, 6]).all()
    assert (labels[:, 13:17] == labels[0, 15]).all()
    assert labels[0, 6] != labels[0, 15]


def test_labels_follow_the_places_of_the_highest_pixels():
    relief = np.zeros((5, 30), np.float32)
    relief[2, [4, 14, 24]] = 3, 1, 2
    relief = ndimage.gaussian_filter(relief, 1.5)
    labels = split_relief(relief, relief > 0.001, neck=np.inf)
    assert 0 < labels[2, 4] < labels[2, 14] < labels[2, 24]


def test_a_peak_that_is_not_allowed_goes_to_its_higher_neighbour():
    heights = np.interp(np.arange(31), [0, 5, 10, 15, 22, 25, 30], [0, 5, 2, 4, 3, 6, 0]).astype(np.float32)
    relief = np.tile(heights, (3, 1))
    peaks = np.zeros(relief.shape, bool)
    peaks[:, [5, 25]] = True
    labels = split_relief(relief, relief > 0, peaks=peaks, neck=0.9)
    assert labels[1, 15] == labels[1, 25] != labels[1, 5]


def test_an_empty_mask_has_no_basin():
    assert not split_relief(np.ones((4, 5), np.float32), np.zeros((4, 5), bool)).any()
    assert split_relief(np.ones((1, 1), np.float32), np.ones((1, 1), bool)).tolist() == [[1]]
