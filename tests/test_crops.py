"""Crops of the surroundings of cells, which a benchmark gives to networks."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from support.worlds import find_candidates

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from crops import BRIGHT, DARK, SIDE, cut_crops


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.25), (3.0, 1.0, 1.0)])
def test_a_cell_is_in_the_centre_and_frames_beyond_the_movie_are_as_dark_as_the_background(spacing):
    """Black frames beyond the ends of a movie looked like a change; networks of such crops found fewer divisions."""
    shape = (80, 90) if len(spacing) == 2 else (6, 80, 90)
    disc = ((np.indices(shape[-2:]) - np.array([30, 60])[:, None, None]) ** 2).sum(axis=0) < 36
    masks = np.zeros((3, *shape), np.uint16)
    masks[..., disc] = 1
    crops = cut_crops(find_candidates(masks, spacing, flow="none"), np.array([0, 2]), np.where(masks > 0, 900, 100))
    assert crops.shape == (2, 3, SIDE, SIDE)
    np.testing.assert_array_equal(crops[0, 0], DARK)
    np.testing.assert_array_equal(crops[1, 2], DARK)
    for crop in (crops[0, 1], crops[0, 2], crops[1, 0], crops[1, 1]):
        np.testing.assert_allclose(crop[0, 0], DARK, atol=1)
        y, x = np.nonzero(crop > (DARK + BRIGHT) / 2)
        np.testing.assert_allclose([y.mean(), x.mean()], (SIDE - 1) / 2, atol=0.3)
