"""Divisions among points that only the shapes of the blobs tell, and shapes that are none."""

import numpy as np
import pandas as pd
import pytest

import gnntrack
from gnntrack.io.frames import open_frames
from gnntrack.measure.point_shapes import measure_shapes

FRAMES, SIZE, RADIUS = 12, 130, 4.0
LAST = FRAMES - 2  # frame in which the parent is last seen
AXIS = np.array([0.8, 0.6])  # through the daughters
ROUND = (2.6, 2.6, 100)  # widths along and across the axis, and light


def make_cells(*, parent=(ROUND, ROUND), daughters=ROUND, aside=0.0):
    """Return (frame, place, axis, look) of each cell; in the middle one divides, or another one comes into view.

    `parent` is its look in the last frame and in the one before.
    """
    rng = np.random.default_rng(8)

    def walk(place):
        return place + rng.normal(0, 0.5, (FRAMES, 2)).cumsum(axis=0)

    grid = [(y, x) for y in (20, 45, 95) for x in (20, 45, 70, 95)] + [(70.0, 20.0), (70.0, 110.0)]
    rows = [(t, where, AXIS, ROUND) for place in grid for t, where in enumerate(walk(place))]
    path = walk((70.0, 70.0))
    rows += [(t, path[t], AXIS, parent[LAST - t] if LAST - t < 2 else ROUND) for t in range(LAST + 1)]
    for t in range(LAST + 1, FRAMES):
        away = 4.0 + t - LAST
        for side in (-1 + aside, 1 + aside):
            rows.append((t, path[t] + side * away * AXIS, AXIS, daughters if t < LAST + 3 else ROUND))
    return rows


def draw(rows):
    """Return the images (T, Y, X) of the cells, as Gaussians."""
    y, x = np.mgrid[:SIZE, :SIZE]
    images = np.full((FRAMES, SIZE, SIZE), 10.0)
    for t, (cy, cx), axis, (along, across, light) in rows:
        one = (y - cy) * axis[0] + (x - cx) * axis[1]
        other = (y - cy) * axis[1] - (x - cx) * axis[0]
        images[t] += light * np.exp(-(one**2) / 2 / along**2 - other**2 / 2 / across**2)
    return np.random.default_rng(0).poisson(images).astype(np.uint16)


def count_divisions(rows, **options):
    table = pd.DataFrame([(t, *place) for t, place, *_ in rows], columns=["t", "y", "x"]).sort_values(
        "t", kind="stable"
    )
    lineage = gnntrack.track(points=table, radius=RADIUS, **options)
    return int((np.bincount(lineage.source) == 2).sum())


PLATE = ((1.0, 2.8, 240), (2.3, 2.5, 120))


def test_a_division_that_only_the_images_tell():
    cells = make_cells(parent=PLATE, aside=0.47)
    assert count_divisions(cells) == 0
    assert count_divisions(cells, images=draw(cells)) == 1


@pytest.mark.parametrize("look", [ROUND, (3.6, 1.8, 120)], ids=["round", "bright and long"])
def test_a_cell_that_comes_into_view_beside_another_one(look):
    cells = make_cells(parent=(look, look), aside=0.47)
    assert count_divisions(cells, images=draw(cells)) == 0


def test_images_without_light_change_nothing():
    cells = make_cells()
    assert count_divisions(cells, images=np.zeros((FRAMES, SIZE, SIZE), np.uint8)) == count_divisions(cells)


def test_moments_of_a_box_in_voxels_that_are_no_cubes():
    volume = np.full((1, 9, 31, 31), 7.0, np.float32)
    volume[0, 3:6, 10:21, 14:17] = 50
    pixel, reach = np.array([[4.0, 15.0, 15.0], [4.0, 4.0, 4.0]]), np.array([[3.0, 8.0, 8.0]] * 2)
    moments = measure_shapes(open_frames(volume), np.array([0, 0]), pixel, reach, spacing=(2.0, 0.5, 0.5))
    expected = np.diag([4 * 2 / 3, 0.25 * 10, 0.25 * 2 / 3])  # (n * n - 1) / 12 voxels
    np.testing.assert_allclose(moments[0], expected, rtol=1e-9, atol=1e-9)
    assert np.isnan(moments[1]).all()  # no light
