"""Cells that share a mask for 1 to 6 frames: two or three, resting or moving, in 2D and 3D, with and without images."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from support import events
from support.events import Look
from support.paths import divide, list_cases, stay

import gnntrack

FIRST = 4  # first frame in which the cells share their mask
FRAMES = range(15)
RADIUS = 6.0
LOOK = Look(radius=RADIUS, jitter=0.4, neighbours=5, frames=15, at=FIRST)
VOLUME = Look(ndim=3, radius=4.0, jitter=0.2, neighbours=3, frames=15, at=FIRST)


def two_at_rest(rng, last):
    return {"a": stay(rng, (0, -5.7), RADIUS, FRAMES), "b": stay(rng, (0, 5.7), RADIUS, FRAMES)}


def two_with_background_between(rng, last):
    return {"a": stay(rng, (0, -6.6), RADIUS, FRAMES), "b": stay(rng, (0, 6.6), RADIUS, FRAMES)}


def two_of_different_sizes(rng, last):
    return {"a": stay(rng, (0, -4.2), 4.3, FRAMES), "b": stay(rng, (0, 6.6), 6.8, FRAMES)}


def three_in_a_row(rng, last):
    return {name: stay(rng, (0, x), RADIUS, FRAMES) for name, x in zip("abc", (-11.4, 0, 11.4), strict=True)}


def three_in_a_triangle(rng, last):
    turn = 2 * np.pi / 3 * np.arange(3)
    places = 6.5 * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    return {name: stay(rng, place, RADIUS, FRAMES) for name, place in zip("abc", places, strict=True)}


def two_in_3d(rng, last):
    return {"a": stay(rng, (0, 0, -3.8), 4.0, FRAMES), "b": stay(rng, (0, 0, 3.8), 4.0, FRAMES)}


def three_in_3d(rng, last):
    return two_in_3d(rng, last) | {"c": stay(rng, (0, 6.6, 0), 4.0, FRAMES)}


def two_that_meet_and_part(rng, last):
    paths = two_at_rest(rng, last)
    away = {t: 2.0 * max(FIRST - t, t - last, 0) for t in FRAMES}
    return {
        name: {t: (place + np.array((0, side * away[t])), radius) for t, (place, radius) in paths[name].items()}
        for name, side in (("a", -1), ("b", 1))
    }


def two_that_move_together(rng, last):
    way = {"velocity": (1.7, 0.8), "at": FIRST + 3}
    return {"a": stay(rng, (0, -5.7), RADIUS, FRAMES, **way), "b": stay(rng, (0, 5.7), RADIUS, FRAMES, **way)}


def one_that_passes_another(rng, last):
    way = {"velocity": (0, 2.5), "at": (FIRST + last) / 2}
    return {"a": stay(rng, (-5.8, 0), RADIUS, FRAMES), "b": stay(rng, (5.8, 0), RADIUS, FRAMES, **way)}


def two_that_pass_each_other(rng, last):
    middle = (FIRST + last) / 2
    return {
        "a": stay(rng, (-5.8, 0), RADIUS, FRAMES, velocity=(0, -1.3), at=middle),
        "b": stay(rng, (5.8, 0), RADIUS, FRAMES, velocity=(0, 1.3), at=middle),
    }


def two_at_the_border(rng, last):
    y = 3 - LOOK.shape[0] / 2
    return {"a": stay(rng, (y, -5.7), RADIUS, FRAMES), "b": stay(rng, (y, 5.7), RADIUS, FRAMES)}


def two_beside_a_third(rng, last):
    return two_at_rest(rng, last) | {"n": stay(rng, (0, 17.5), RADIUS, FRAMES)}


def one_that_divides_soon(rng, last):
    """b divides three frames after it is seen alone."""
    return {"a": stay(rng, (-5.8, 0), RADIUS, FRAMES)} | divide(rng, "bxy", (5.8, 0), RADIUS, FRAMES, last + 4)


VARIANTS = [
    two_at_rest,
    two_with_background_between,
    two_of_different_sizes,
    three_in_a_row,
    three_in_a_triangle,
    two_in_3d,
    three_in_3d,
    two_that_meet_and_part,
    two_that_move_together,
    one_that_passes_another,
    two_that_pass_each_other,
    two_at_the_border,
    two_beside_a_third,
    one_that_divides_soon,
]
METHODS = ["hungarian", "gnn"]


def is_fast(variant, frames, method, images):
    """Return whether a test is in the fast suite: half of the lengths with `hungarian`, one with images and `gnn`."""
    odd = VARIANTS.index(variant) % 2
    if method == "gnn":
        return images and frames == 3 - odd
    return not images and frames in ((1, 3, 6), (2, 4))[odd]


@pytest.mark.filterwarnings("ignore:no images")
@pytest.mark.parametrize(
    ("variant", "frames", "method", "images"),
    list_cases(product(VARIANTS, (1, 2, 3, 4, 6), METHODS, (False, True)), fast=is_fast),
)
def test_cells_go_through_a_merged_mask(variant, frames, method, images):
    rng = np.random.default_rng(frames)
    last = FIRST + frames - 1
    names = "abc" if variant.__name__.startswith("three") else "ab"
    look = VOLUME if variant.__name__.endswith("3d") else LOOK
    shared = {t: [tuple(names)] for t in range(FIRST, last + 1)}
    movie = events.draw_movie(rng, look, variant(rng, last), shared=shared)
    lineage = gnntrack.track(masks=movie.masks, images=movie.draw_images(rng) if images else None, method=method)
    drawn = np.asarray(lineage.labels())
    for name in names:
        found = movie.find_covering_tracks(drawn, name)
        assert len({track for track, _ in found.values()}) == 1, f"{name} has several tracks"
        assert min(iou for _, iou in found.values()) > 0.7, f"{name} is not cut at its outline"
    divides = variant is one_that_divides_soon
    assert events.count_divisions(lineage) == int(divides)
    if divides:
        assert movie.has_daughters(lineage, ("b", last + 3), [("x", last + 4), ("y", last + 4)])
