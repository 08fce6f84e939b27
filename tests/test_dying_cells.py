"""Cells that fall to pieces or shrink, and vanish: no divisions, beside cells that stay or divide."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from support import events
from support.events import Look
from support.paths import break_up, divide, list_cases, stay

import gnntrack

AT = 5  # first frame in pieces
FRAMES = range(13)
BEFORE = range(AT)
SOON = range(AT, AT + 2)
RADIUS = 8.0
LOOK = Look(radius=RADIUS, jitter=0.4, neighbours=6, frames=13, at=AT)
VOLUME = Look(ndim=3, radius=5.0, jitter=0.2, neighbours=3, frames=13, at=AT)


def shrink(rng, *radii):
    """Return the path of a cell that has the radii in its last frames."""
    path = stay(rng, (0, 0), RADIUS, BEFORE)
    return path | {t: (path[t][0], radius) for t, radius in zip(BEFORE[-len(radii) :], radii, strict=True)}


def two_pieces(rng):
    return {"p": shrink(rng, 7, 6.5)} | break_up(rng, "q", (0, 0), (3, 3), SOON, distance=4.5)


def two_large_pieces_for_one_frame(rng):
    pieces = break_up(rng, "q", (0, 0), (4.5, 4), range(AT, AT + 1), distance=4.5)
    return {"p": stay(rng, (0, 0), RADIUS, BEFORE)} | pieces


def three_unequal_pieces(rng):
    return {"p": shrink(rng, 7, 6)} | break_up(rng, "q", (0, 0), (4, 2.5, 1.8), SOON, distance=4.5)


def six_pieces_that_scatter(rng):
    pieces = break_up(rng, "q", (0, 0), (2.2,) * 6, range(AT, AT + 3), distance=4.5, speed=3)
    return {"p": stay(rng, (0, 0), RADIUS, BEFORE)} | pieces


def pieces_in_3d(rng):
    pieces = break_up(rng, "q", (0, 0, 0), (2.5, 2.3, 2), SOON, distance=3.2)
    return {"p": stay(rng, (0, 0, 0), 5.0, BEFORE)} | pieces


def a_cell_that_shrinks(rng):
    return {"p": shrink(rng, 7, 6, 5, 4)}


def a_cell_that_shrinks_beside_another(rng):
    return {"p": shrink(rng, 7, 6, 5, 4), "n": stay(rng, (0, 16), RADIUS, FRAMES)}


def pieces_that_reach_a_neighbour(rng):
    """The pieces last for four frames and come near to a resting cell."""
    pieces = break_up(rng, "q", (0, 0), (2.5,) * 3, range(AT, AT + 4), distance=4.5, speed=1.3)
    return {"n": stay(rng, (0, 17), RADIUS, FRAMES), "p": shrink(rng, 7, 6)} | pieces


def debris_beside_a_neighbour(rng):
    """One piece stays up to the end of the movie, near a resting cell."""
    debris = {"q9": stay(rng, (0, 5), 2.0, range(AT, FRAMES.stop))}
    pieces = break_up(rng, "q", (-2, -4), (2.5, 2), SOON, distance=3)
    return {"n": stay(rng, (0, 17), RADIUS, FRAMES), "p": shrink(rng, 7, 6)} | pieces | debris


def pieces_at_the_border(rng):
    place = 5 - LOOK.shape[0] / 2, 0
    return {"p": stay(rng, place, RADIUS, BEFORE)} | break_up(rng, "q", place, (3, 2.5), SOON, distance=4.5)


def pieces_beside_a_division(rng):
    return two_pieces(rng) | divide(rng, "mxy", (0, 26), RADIUS, FRAMES, AT)


def a_daughter_that_dies(rng):
    """One of two daughters falls to pieces, five frames after the division."""
    paths = divide(rng, "mxy", (0, 0), RADIUS, FRAMES, 3)
    paths["x"] = {t: cell for t, cell in paths["x"].items() if t < 8}
    return paths | break_up(rng, "q", paths["x"][7][0], (2.4, 2), range(8, 10), distance=3)


VARIANTS = [
    two_pieces,
    two_large_pieces_for_one_frame,
    three_unequal_pieces,
    six_pieces_that_scatter,
    pieces_in_3d,
    a_cell_that_shrinks,
    a_cell_that_shrinks_beside_another,
    pieces_that_reach_a_neighbour,
    debris_beside_a_neighbour,
    pieces_at_the_border,
    pieces_beside_a_division,
    a_daughter_that_dies,
]


def is_fast(variant, method, images, seed):
    """Return whether a test is in the fast suite: `hungarian` without, and `gnn` with images."""
    return seed == 1 and images if method == "gnn" else seed == 0 and not images


@pytest.mark.filterwarnings("ignore:no images")
@pytest.mark.parametrize(
    ("variant", "method", "images", "seed"),
    list_cases(product(VARIANTS, ("hungarian", "gnn"), (False, True), range(4)), fast=is_fast),
)
def test_a_death_is_not_a_division(variant, method, images, seed):
    rng = np.random.default_rng(seed)
    movie = events.draw_movie(rng, VOLUME if variant is pieces_in_3d else LOOK, variant(rng))
    lineage = gnntrack.track(masks=movie.masks, images=movie.draw_images(rng) if images else None, method=method)
    divides = "m" in movie.number
    assert events.count_divisions(lineage) == int(divides)
    if divides:
        last = max(t for name, t in movie.label if name == "m")
        assert movie.has_daughters(lineage, ("m", last), [("x", last + 1), ("y", last + 1)])
    if "n" in movie.number:
        assert len({movie.find_track(lineage, "n", t) for t in FRAMES}) == 1
        assert movie.find_parent(lineage, "n", 0) == 0
