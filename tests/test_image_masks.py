"""Missed cells are looked for in the image, and taken from it only where size, contrast and place agree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gnntrack
from gnntrack.io.frames import open_frames
from gnntrack.lineage.image_masks import ImageSearch
from gnntrack.lineage.repair import fill_gaps
from gnntrack.masks.lookup import CellLookup
from gnntrack.measure.cells import measure_cells
from gnntrack.settings import CellSettings, RepairSettings
from gnntrack.types import Lineage, Tracks

AT = ((20, 20), (22, 26), (30, 34), (31, 40))  # of a cell that is not where the frames around expect it in frame 2
BESIDE = (36, 42)


def draw(*, shape=(60, 70), neighbour=False, seen=True):
    """Return images, and masks of a cell of four frames; its mask in frame 2 is missing, and returned alone."""
    grid = np.stack(np.indices(shape), axis=-1)
    masks = np.zeros((4, *shape), np.uint8)
    for t, centre in enumerate(AT):
        away = (grid - np.array([*shape[:-2], *centre])[-len(shape) :]) * np.array([1, 1.0 + 0.1 * t])
        masks[t][(away**2).sum(axis=-1) <= 36] = 1
        if neighbour:
            masks[t][(((grid - np.array(BESIDE)) ** 2).sum(axis=-1) <= 16) & (masks[t] == 0)] = 2
    noise = np.random.default_rng(5).normal(0, 3, masks.shape)
    images = 100 + 50 * (masks > 0) + noise
    missing = masks[2] == 1
    if not seen:
        images[2] = 100 + noise[2]
    masks[2][missing] = 0
    return images.astype(np.float32), masks, missing


def fill(images, masks, **options):
    """Return the mask that is drawn in frame 2, and the change that is listed."""
    cells, runs, _ = measure_cells(open_frames(masks), settings=CellSettings())
    rows = np.flatnonzero(cells.label == 1)
    track = np.where(cells.label == 1, 1, 2)
    others = np.flatnonzero(cells.label == 2)
    tracks = Tracks([1, 2][: track.max()], [0] * track.max(), [3] * track.max(), [0] * track.max())
    source, target = np.append(rows[:-1], others[:-1]), np.append(rows[1:], others[1:])
    lineage = Lineage(cells, track, tracks, source, target, np.ones(len(source), np.float32))
    result = fill_gaps(lineage, runs, settings=RepairSettings(**options), images=open_frames(images))
    drawn = np.zeros(masks[0].size, bool)
    here = result.fills.frame(2)
    for start, length in zip(result.fills.start[here], result.fills.length[here], strict=True):
        drawn[start : start + length] = True
    return drawn.reshape(masks[0].shape), result.changes[0]


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_cell_is_found_in_the_image_where_shapes_miss_it(sign):
    images, masks, missing = draw()
    found, change = fill(sign * images, masks)
    voted, _ = fill(sign * images, masks, use_images=False)
    assert overlap(found, missing) > 0.9
    assert overlap(voted, missing) < 0.6
    assert (change.pixels, "found in the image" in change.reason) == (found.sum(), True)


def test_pixels_of_a_neighbour_that_is_as_bright_are_not_taken():
    images, masks, missing = draw(neighbour=True)
    found, change = fill(images, masks)
    assert "found in the image" in change.reason
    assert not (found & (masks[2] > 0)).any()
    assert overlap(found, missing) > 0.9


@pytest.mark.parametrize("size", [0, 45])
def test_shapes_vote_where_the_image_shows_no_cell_or_a_much_larger_one(size):
    images, masks, _ = draw(seen=False)
    images[2, 5 : 5 + size, 15 : 15 + size] = 150
    found, change = fill(images, masks)
    voted, _ = fill(images, masks, use_images=False)
    assert "vote" in change.reason
    np.testing.assert_array_equal(found, voted)


def test_images_in_which_the_known_masks_are_not_found_are_not_used():
    images, masks, _ = draw()
    textured = images.copy()
    textured[:, ::4], textured[:, 1::4] = 60, 180  # the masks before and after are no level of this image
    _, change = fill(textured, masks)
    assert "vote" in change.reason
    _, change = fill(np.full_like(images, np.nan), masks)
    assert "vote" in change.reason


def test_cells_are_found_in_stacks_and_by_track():
    images, masks, missing = (np.repeat(each[:, None] if each.ndim == 3 else each[None], 3, axis=-3) for each in draw())
    found, change = fill(images, masks)
    assert "found in the image" in change.reason
    assert overlap(found, missing) > 0.9
    movie = gnntrack.simulate(frames=8, cells=8, shape=(120, 120), seed=1002)
    given = np.array(movie.masks)
    label = int(np.unique(given[3][given[3] > 0])[2])
    given[3][given[3] == label] = 0
    lineage = gnntrack.track(movie.images, given)
    assert lineage.to_pandas("repairs").reason.str.contains("found in the image").any()


def test_images_are_read_once_where_gaps_of_several_lengths_lie_beside_each_other():
    movie = gnntrack.simulate(frames=12, cells=6, shape=(120, 120), seed=1003)
    _, runs, _ = measure_cells(open_frames(np.array(movie.masks)), settings=CellSettings())
    images, read = open_frames(np.array(movie.images)), []
    counted = replace(images, read=lambda frame: read.append(frame) or images.read(frame))
    search = ImageSearch(counted, runs, np.ones(2))
    pixels = np.argwhere(np.ones((9, 9))) + 40
    for frame in range(3, 9):
        for before, after in ((frame - 1, frame + 1), (frame - 2, frame + 1), (frame - 1, frame + 2)):
            search.find([(before, pixels), (after, pixels)], frame, pixels, CellLookup(runs, frame))
    assert sorted(read) == list(range(1, 11))
