"""Divisions whose masks are missing for one or two frames: of a daughter, of both, or the last ones of the parent."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from support import events
from support.events import Look
from support.paths import divide, list_cases, stay

import gnntrack

AT = 4  # first frame after the division
FRAMES = range(12)
RADIUS = 7.0
LOOK = Look(radius=RADIUS, jitter=0.4, neighbours=6, frames=12, at=AT)
VOLUME = Look(ndim=3, radius=4.5, jitter=0.2, neighbours=3, frames=12, at=AT)


def divide_here(rng, missing, **changed):
    return divide(
        rng, "pbc", **({"place": (0, 0), "radius": RADIUS, "frames": FRAMES, "at": AT, "missing": missing} | changed)
    )


def one_late(rng, late):
    return divide_here(rng, (0, 0, late))


def both_late(rng, late):
    return divide_here(rng, (0, late, late))


def parent_unseen(rng, late):
    return divide_here(rng, (late, 0, 0))


def one_after_the_other(rng, late):
    """No cell is seen for a frame, and one daughter for another frame; the parent or both daughters lack a mask."""
    return divide_here(rng, (1, 0, 1) if late == 1 else (0, 1, 2))


def small_one_late(rng, late):
    return divide_here(rng, (0, 0, late), parts=(0.65, 0.4))


def large_one_late(rng, late):
    return divide_here(rng, (0, 0, late), parts=(0.4, 0.6))


def one_late_in_3d(rng, late):
    return divide_here(rng, (0, 0, late), place=(0, 0, 0), radius=4.5)


def one_late_beside_a_neighbour(rng, late):
    """A resting cell of the parent's size touches the late daughter."""
    return divide_here(rng, (0, 0, late)) | {"n": stay(rng, (0, -21), RADIUS, FRAMES)}


def one_late_beside_a_small_neighbour(rng, late):
    """A resting cell of the daughters' size is near the late one."""
    return divide_here(rng, (0, 0, late)) | {"n": stay(rng, (-7, -16), RADIUS / 2**0.5, FRAMES)}


def one_late_of_a_moving_cell(rng, late):
    return divide_here(rng, (0, 0, late), velocity=(1.5, 0.8))


def one_late_at_the_border(rng, late):
    return divide_here(rng, (0, 0, late), place=(4 - LOOK.shape[0] / 2, 0))


def one_late_beside_another_division(rng, late):
    return divide_here(rng, (0, 0, late)) | divide(rng, "qrs", (22, 0), RADIUS, FRAMES, AT)


VARIANTS = [
    one_late,
    both_late,
    parent_unseen,
    one_after_the_other,
    small_one_late,
    large_one_late,
    one_late_in_3d,
    one_late_beside_a_neighbour,
    one_late_beside_a_small_neighbour,
    one_late_of_a_moving_cell,
    one_late_at_the_border,
    one_late_beside_another_division,
]
METHODS = ["hungarian", "gnn"]


def is_fast(variant, late, method, images, seed):
    """Return whether a test is in the fast suite: `hungarian` without, and a part of `gnn` with images."""
    if method == "gnn":
        return images and seed == 0 and late == 1 + VARIANTS.index(variant) % 2
    return not images and seed == late


@pytest.mark.filterwarnings("ignore:no images")
@pytest.mark.parametrize(
    ("variant", "late", "method", "images", "seed"),
    list_cases(product(VARIANTS, (1, 2), METHODS, (False, True), range(3)), fast=is_fast),
)
def test_daughters_have_their_parent(variant, late, method, images, seed):
    rng = np.random.default_rng(seed)
    movie = events.draw_movie(rng, VOLUME if variant is one_late_in_3d else LOOK, variant(rng, late))
    lineage = gnntrack.track(masks=movie.masks, images=movie.draw_images(rng) if images else None, method=method)
    families = [names for names in ("pbc", "qrs") if names[0] in movie.number]
    assert events.count_divisions(lineage) == len(families)
    for parent, *daughters in families:
        last = max(t for name, t in movie.label if name == parent)
        both = max(min(t for name, t in movie.label if name == daughter) for daughter in daughters)
        assert movie.has_daughters(lineage, (parent, last), [(name, both) for name in daughters])
