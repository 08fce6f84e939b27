"""Divisions that need more than one frame before and after: shared masks, deaths, late and third daughters."""

from __future__ import annotations

import numpy as np
import pytest
from support import events
from support.events import Look

import gnntrack

SEEDS = range(5)
CASES = [("hungarian", seed) for seed in SEEDS] + [("gnn", seed) for seed in (0, 3)]  # the network is slow to load


def track(movie, method="hungarian"):
    return gnntrack.track(masks=movie.masks, method=method)


def has_division(movie, lineage, look, daughters="bc", late=0):
    """Return whether p divides into its daughters, of which the last one is late, and no other cell divides."""
    first = [(name, look.at + (late if name == daughters[-1] else 0)) for name in daughters]
    return events.count_divisions(lineage) == 1 and movie.has_daughters(lineage, ("p", look.at - 1), first)


@pytest.mark.filterwarnings("ignore:no images")
@pytest.mark.parametrize("frames_merged", [1, 2, 3])
@pytest.mark.parametrize(("method", "seed"), CASES)
def test_resting_cells_that_share_a_mask_do_not_divide(seed, frames_merged, method):
    look = Look(radius=6 + seed, jitter=0.5 + 0.1 * seed, neighbours=8)
    rng = np.random.default_rng(seed)
    movie, _ = events.draw_merged_masks(rng, frames_merged=frames_merged, look=look, approach=0, ratio=1 - 0.04 * seed)
    lineage = track(movie, method)
    assert events.count_divisions(lineage) == 0
    if frames_merged == 1:
        for name in "ab":
            assert movie.find_track(lineage, name, look.at - 1) == movie.find_track(lineage, name, look.at + 1)


@pytest.mark.filterwarnings("ignore:no images")
@pytest.mark.parametrize("late", [1, 2])
@pytest.mark.parametrize(("method", "seed"), CASES)
def test_a_daughter_that_appears_late_has_her_parent(seed, late, method):
    look = Look(radius=6 + seed, jitter=0.5, neighbours=6 + 2 * seed)
    movie, _ = events.draw_division(np.random.default_rng(seed), late=late, look=look, unequal=0.5 - 0.02 * seed)
    assert has_division(movie, track(movie, method), look, late=late)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_late_daughter_in_3d(seed):
    look = Look(ndim=3, radius=5, jitter=0.4, neighbours=5)
    movie, _ = events.draw_division(np.random.default_rng(seed), late=1, look=look)
    assert has_division(movie, track(movie), look, late=1)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_division_is_still_a_division(seed):
    look = Look(radius=6 + seed, jitter=0.5)
    movie, _ = events.draw_division(np.random.default_rng(seed), look=look)
    assert has_division(movie, track(movie), look)


@pytest.mark.parametrize(("seed", "rounded"), [(2, 0.65), (3, 0.65), (4, 0.65), (5, 0.65), (5, 0.55)])
def test_a_mother_that_shrinks_before_she_divides_is_no_daughter(seed, rounded):
    look = Look(radius=6 + seed, jitter=0.5, neighbours=8)
    unequal = 0.5 - 0.02 * seed
    movie, _ = events.draw_division(np.random.default_rng(seed), look=look, pace=0.2, unequal=unequal, rounded=rounded)
    assert has_division(movie, track(movie), look)


@pytest.mark.filterwarnings("ignore:no images")
@pytest.mark.parametrize("pieces", [2, 3, 5])
@pytest.mark.parametrize(("method", "seed"), CASES)
def test_a_nucleus_that_falls_to_pieces_does_not_divide(seed, pieces, method):
    look = Look(radius=7 + seed, jitter=0.5, neighbours=8)
    lasting = 1 + seed % 3
    movie, _ = events.draw_pieces(np.random.default_rng(seed), pieces=pieces, lasting=lasting, look=look)
    assert events.count_divisions(track(movie, method)) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_three_daughters_have_their_parent(seed):
    look = Look(radius=7 + seed, jitter=0.5, neighbours=8)
    movie, _ = events.draw_division(np.random.default_rng(seed), daughters=3, look=look)
    assert has_division(movie, track(movie), look, daughters="bcd")


@pytest.mark.parametrize("frames_before", [1, 6])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_division_in_the_last_frame_is_found(seed, frames_before):
    look = Look(radius=6 + seed, jitter=0.3 + 0.1 * seed)
    movie, _ = events.draw_division(np.random.default_rng(seed), look=look)
    lineage = gnntrack.track(masks=movie.masks[look.at - frames_before : look.at + 1])
    assert events.count_divisions(lineage) == 1


@pytest.mark.parametrize("frames_before", [1, 6])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_mask_that_is_cut_in_the_last_frame_does_not_divide(seed, frames_before):
    look = Look(radius=6 + seed, jitter=0.3 + 0.1 * seed)
    movie, _ = events.draw_division(np.random.default_rng(seed), look=look)
    masks = movie.masks[look.at - frames_before : look.at].copy()
    masks = np.concatenate([masks, masks[-1:]])
    pixels = masks[-1] == movie.label["p", look.at - 1]
    row = np.indices(pixels.shape)[0]
    middle = round(row[pixels].mean())
    masks[-1][pixels & (row > middle)] = masks.max() + 1
    masks[-1][pixels & (row == middle)] = 0
    assert events.count_divisions(gnntrack.track(masks=masks)) == 0
