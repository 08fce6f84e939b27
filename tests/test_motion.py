"""Motion: shifts that were put in are found again, and nothing is made up where nothing can be known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, shift
from support import worlds

from gnntrack.graph.flow import FlowRecorder
from gnntrack.graph.motion import Motion, estimate_motion
from gnntrack.graph.translation import estimate_shift
from gnntrack.settings import MotionSettings
from gnntrack.types import Cells


def make_cells(frames, *, size=200.0, spacing=(1.0, 1.0), radius=5.0):
    """Return cells at the positions of each frame; the label is the place in the list."""
    ndim = len(spacing)
    position = np.concatenate([np.zeros((0, ndim)), *(np.reshape(frame, (-1, ndim)) for frame in frames)])
    return Cells(
        [t for t, frame in enumerate(frames) for _ in frame],
        [1 + i for frame in frames for i in range(len(frame))],
        position,
        np.full((len(position), 1), 2 * radius),
        ("diameter",),
        ("um",),
        spacing,
        len(frames),
        tuple(round(size / s) for s in spacing),
    )


def scatter(n, *, size=200.0, ndim=2, seed=0):
    return np.random.default_rng(seed).uniform(0.2 * size, 0.8 * size, (n, ndim))


def estimate(cells, recorder=None, **options):
    return estimate_motion(cells, recorder, settings=MotionSettings(**options))


def make_texture(shape, seed=0, blur=2.0):
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=shape), blur)
    return 1000 * (noise - noise.min()) / np.ptp(noise)


@settings(deadline=None)
@given(
    n=st.tuples(st.integers(3, 17), st.integers(3, 17)),
    by=st.tuples(st.integers(-20, 20), st.integers(-20, 20)),
    seed=st.integers(0, 99),
)
def test_estimate_shift_finds_whole_pixels(n, by, seed):
    before = np.random.default_rng(seed).normal(size=n)
    found = estimate_shift(before, np.roll(before, by, (0, 1)))
    np.testing.assert_allclose((found - by + np.array(n) / 2) % n, np.array(n) / 2, atol=1e-6)
    assert (np.abs(found) <= np.array(n) / 2 + 1e-6).all()


def test_estimate_shift_in_3d_and_between_pixels():
    before = make_texture((16, 24, 20))
    np.testing.assert_allclose(estimate_shift(before, np.roll(before, (3, -5, 2), (0, 1, 2))), (3, -5, 2), atol=1e-6)
    plane = make_texture((64, 64))
    found = estimate_shift(plane, shift(plane, (2.3, -4.4), mode="grid-wrap", order=3))
    np.testing.assert_allclose(found, (2.3, -4.4), atol=0.3)


def test_maps_without_structure_have_no_shift():
    np.testing.assert_array_equal(estimate_shift(np.zeros((8, 8)), np.zeros((8, 8))), 0)


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.5, 0.25), (2.0, 1.0, 1.0)])
def test_a_drift_of_the_whole_field_is_found(spacing):
    by = np.array([4.0, 21.0, -17.0])[-len(spacing) :]
    start = scatter(30, ndim=len(spacing))
    cells = make_cells([start, start + by, start + by], spacing=spacing)
    motion = estimate(cells)
    np.testing.assert_allclose(motion.drift[0], by, atol=2.5)  # a bin of the map is half a cell
    np.testing.assert_allclose(motion.neighbours[cells.rows(0)], np.tile(by, (30, 1)), atol=1e-6)
    np.testing.assert_array_equal(motion.drift[1:], 0)
    np.testing.assert_array_equal(motion.shift[cells.rows(2)], 0)
    np.testing.assert_array_equal(estimate(cells, drift=False).drift, 0)


def test_cells_at_random_do_not_drift():
    """A shift that brings no cell nearer to a cell explains nothing."""
    cells = make_cells([scatter(40, seed=seed) for seed in range(4)])
    np.testing.assert_array_equal(estimate(cells).drift, 0)


def test_two_groups_move_in_their_own_ways():
    """One half of the field goes up, the other down."""
    start = np.concatenate([scatter(12, size=100), np.array([0, 400]) + scatter(12, size=100, seed=1)])
    by = np.repeat([[4.0, 0.0], [-4.0, 0.0]], 12, axis=0)
    motion = estimate(make_cells([start, start + by], size=500))
    np.testing.assert_allclose(motion.shift[:24], by, atol=1e-6)
    assert motion.flow == "cells"


@pytest.mark.parametrize("frames", [[], [0], [2, 2], [0, 5, 0, 5], [5, 0, 0, 5], [1, 1, 2]])
def test_few_cells_and_empty_frames_stay_where_they_are(frames):
    cells = make_cells([scatter(n, seed=t) for t, n in enumerate(frames)])
    motion = estimate(cells)
    for table in (motion.shift, motion.neighbours, motion.extrapolate(cells, 2)):
        assert table.shape == (sum(frames), 2)
        np.testing.assert_array_equal(table, 0)
    assert motion.drift.shape == (len(frames), 2)


def test_over_a_gap_a_cell_goes_on_with_the_cells_around_it():
    """Two columns of cells; a cell moves from frame 1 to 2 with the cells around it there::

    left   +1 y, then +2 y           right   -1 y, then -2 y
    """
    left, right = ([(20.0 * i, x) for i in range(1, 5)] for x in (20.0, 180.0))
    frames = [np.array(left + right)]
    steps = [np.repeat([[s, 0.0], [-s, 0.0]], 4, axis=0) for s in (1.0, 2.0, 0.0)]
    for step in steps[:2]:
        frames.append(frames[-1] + step)
    cells = make_cells(frames)
    motion = Motion(np.concatenate(steps), np.zeros((3, 2)), np.zeros((24, 2)), "cells")
    np.testing.assert_array_equal(motion.extrapolate(cells, 1), motion.shift)
    np.testing.assert_array_equal(motion.extrapolate(cells, 2)[:8], steps[0] + steps[1])


@pytest.mark.parametrize("apart", [7.0, 12.0, 30.0])
def test_over_a_gap_the_flow_of_another_cell_does_not_count(apart):
    """The cell has no mask in the frame between; the nearest cell there is seen in the images to move by itself."""
    cells = make_cells([[(50.0, 50.0)], [(50.0, 50.0 + apart)], [(50.0, 50.0)]])
    flow = np.array([[0.0, 0.0], [9.0, 9.0], [0.0, 0.0]])
    motion = Motion(flow, np.zeros((3, 2)), np.zeros((3, 2)), "images", 1.0, np.zeros((3, 2)))
    np.testing.assert_array_equal(motion.extrapolate(cells, 2)[0], [0, 0])


def test_over_a_gap_a_cell_that_is_seen_goes_on_by_its_own_flow():
    cells = make_cells([[(50.0, 50.0)], [(51.0, 52.0)], [(60.0, 61.0)]])
    flow = np.array([[1.0, 2.0], [9.0, 9.0], [0.0, 0.0]])
    motion = Motion(flow, np.zeros((3, 2)), np.zeros((3, 2)), "images", 1.0, np.zeros((3, 2)))
    np.testing.assert_array_equal(motion.extrapolate(cells, 2)[0], [10, 11])


def test_over_an_empty_frame_only_the_drift_is_known():
    start = scatter(5)
    cells = make_cells([start, start[:0], start])
    drift = np.array([[0, 0], [3.0, -2.0], [0, 0]])
    motion = Motion(np.ones((10, 2)), drift, np.zeros((10, 2)), "cells")
    np.testing.assert_array_equal(motion.extrapolate(cells, 2)[:5], np.tile([4.0, -1.0], (5, 1)))


def record(images, cells, spacing=(1.0, 1.0)):
    """Show the images to a recorder, with the cells of each frame, in pixels."""
    recorder = FlowRecorder(len(spacing))
    for frame, image in enumerate(images):
        place = cells.position[cells.rows(frame)] / np.asarray(spacing)
        recorder.add_frame(frame, image, place, np.full(len(place), 5.0))
    return recorder


@pytest.mark.parametrize("by", [(2.0, -3.0), (0.0, 25.0)])
def test_lone_cells_move_as_the_images(by):
    """Three cells in a moving texture: too few and too far apart to estimate the motion from cells."""
    first = make_texture((200, 200), blur=4)
    images = [first, shift(first, by, mode="grid-wrap")]
    start = np.array([[60.0, 60.0], [100.0, 140.0], [150.0, 80.0]])
    cells = make_cells([start, start + by])
    found = record(images, cells).get_shifts(cells)
    np.testing.assert_allclose(found[:3], np.tile(by, (3, 1)), atol=1.0)
    np.testing.assert_array_equal(found[3:], 0)


def test_images_in_3d_tell_nothing_of_z_and_shifts_are_in_the_unit():
    first = make_texture((200, 160), blur=4)
    images = [np.stack([0 * plane, plane]) for plane in (first, np.roll(first, (4, -2), (0, 1)))]
    spacing = (2.0, 0.5, 0.5)
    start = np.array([[2.0, 40.0, 40.0], [2.0, 50.0, 30.0]])
    cells = make_cells([start, start + np.array([0, 2.0, -1.0])], size=80.0, spacing=spacing)
    found = record(images, cells, spacing).get_shifts(cells)
    np.testing.assert_allclose(found[:2], [[0, 2.0, -1.0]] * 2, atol=0.3)


def test_frames_without_cells_are_looked_at_all_the_same():
    first = make_texture((100, 100), blur=4)
    start = np.array([[50.0, 50.0]])
    cells = make_cells([start[:0], start, start[:0], start], size=100)
    recorder = record([first] * 4, cells)
    np.testing.assert_allclose(recorder.get_shifts(cells), 0, atol=0.1)


def test_a_dark_and_a_saturated_image_pass():
    cells = make_cells([scatter(4)] * 2)
    for value in (0, 65535):
        images = [np.full((200, 200), value, np.uint16)] * 2
        np.testing.assert_allclose(record(images, cells).get_shifts(cells), 0, atol=1e-3)


def test_auto_takes_the_predictor_that_lands_nearer_to_cells():
    start = scatter(20)
    by = np.array([6.0, 3.0])
    cells = make_cells([start, start + by])
    still = make_texture((200, 200), blur=4)
    assert estimate(cells, record([still, still], cells)).flow in ("cells", "none")
    assert estimate(cells, record([still, still], cells), flow="images").flow in ("images", "none")
    assert estimate(cells, flow="none").flow == "none"
    few = make_cells([start[:2], start[:2] + by])
    moving = record([still, shift(still, by, mode="grid-wrap")], few)
    assert estimate(few, moving).flow == "images"


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), drift=st.booleans())
def test_in_which_order_cells_are_labelled_does_not_matter(seed, drift):
    masks = worlds.draw_blobs((40, 60), 12, seed=seed)
    tables = [worlds.measure_masks(m)[0] for m in (masks, worlds.relabel_masks(masks, seed))]
    shifts = []
    for table in tables:
        motion = estimate(table, drift=drift)
        key = np.lexsort((*table.position.T, table.frame))
        shifts.append(np.hstack([table.position, motion.shift, motion.neighbours])[key])
    np.testing.assert_allclose(*shifts, atol=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_among_equally_near_neighbours_the_labels_do_not_choose(seed):
    """Cells of one pixel are often at the same distance from each other."""
    random = np.random.default_rng(seed)
    masks = np.zeros((2, 24, 24), np.int64)
    place = np.stack(np.divmod(random.choice(64, 30, replace=False), 8), axis=1) * 3 + 1
    for mask in masks:
        mask[tuple(place.T)] = random.permutation(30) + 1
        place = place + random.integers(-1, 2, place.shape)
    shifts = []
    for each in (masks, *(worlds.relabel_masks(masks, other) for other in range(4))):
        table = worlds.measure_masks(each)[0]
        shifts.append(estimate(table, drift=False, flow="cells").shift[np.lexsort((*table.position.T, table.frame))])
    for other in shifts[1:]:
        np.testing.assert_allclose(other, shifts[0], atol=1e-9)
