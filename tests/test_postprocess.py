"""From a foreground to single cells: splitting, holes, sizes, and what a foreground may look like."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from gnntrack.errors import FrameError, SegmenterError
from gnntrack.settings import SimulateSettings
from gnntrack.simulate import simulate_movie
from segmenters.common.basins import split_relief
from segmenters.postprocess import PostprocessSegmenter, measure_depth, smooth, split_foreground


def balls(shape, cells, spacing=None):
    """Balls (centre, radius) in pixels along x, numbered from 1; later ones are drawn over earlier ones."""
    step = np.array(spacing or (1,) * len(shape)).reshape(-1, *[1] * len(shape))
    grid = np.indices(shape) * step
    truth = np.zeros(shape, np.int32)
    for label, (centre, radius) in enumerate(cells, start=1):
        inside = ((grid - np.array(centre).reshape(step.shape)) ** 2).sum(0) <= radius**2
        truth[inside] = label
    return truth


def seg(labels, truth):
    """SEG of the Cell Tracking Challenge: mean IoU with the cell that holds most of a true cell, or 0."""
    scores = []
    for cell in np.unique(truth[truth > 0]):
        own = truth == cell
        shared = np.bincount(labels[own])
        best = shared.argmax()
        matched = best > 0 and 2 * shared[best] > own.sum()
        scores.append(shared[best] / (own | (labels == best)).sum() if matched else 0.0)
    return float(np.mean(scores))


def heights(truth):
    """Distance to the own outline over its highest value in each cell: what a network is taught."""
    relief = np.zeros(truth.shape, np.float32)
    for cell in np.unique(truth[truth > 0]):
        depth = ndimage.distance_transform_edt(np.pad(truth == cell, 1))[(slice(1, -1),) * truth.ndim]
        relief = np.maximum(relief, (depth / depth.max()).astype(np.float32))
    return relief


PAIR = balls((60, 90), [((30, 25), 14), ((30, 49), 12)])
FIELD = balls((110, 100), [((20, 20), 8), ((20, 60), 9), ((60, 25), 7), ((70, 75), 10), ((95, 40), 8)])

# --------------------------------------------------------------------------------------- splitting


def test_touching_cells_are_split_at_their_neck():
    labels = split_foreground(PAIR > 0)
    assert labels.dtype == np.int32
    assert labels.max() == 2
    assert seg(labels, PAIR) > 0.95


def test_the_neck_decides_whether_a_pair_is_one_cell_or_two():
    # Necks of a half and of nine tenths of the cells' width.
    deep, shallow = (balls((60, 90), [((30, 30), 14), ((30, 30 + apart), 14)]) > 0 for apart in (24, 12))
    assert (split_foreground(deep).max(), split_foreground(shallow).max()) == (2, 1)
    assert split_foreground(deep, depth=0.8).max() == 1


def test_the_rule_is_the_same_for_cells_of_any_size():
    for scale in (1, 2, 4):
        mask = np.kron(PAIR > 0, np.ones((scale, scale), bool))
        assert split_foreground(mask).max() == 2


def test_ragged_outlines_split_nothing():
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=FIELD.shape), 1)
    ragged = ndimage.gaussian_filter((FIELD > 0).astype(float), 0.7) + 0.15 * noise / noise.std() > 0.5
    labels = split_foreground(ragged)
    assert labels.max() == 5
    assert seg(labels, FIELD) > 0.8


def test_a_long_bent_cell_stays_in_one_piece():
    x = np.linspace(15, 125, 400)
    mask = balls((70, 140), [((y, x), 8) for y, x in zip(35 + 12 * np.sin(x / 25), x, strict=True)]) > 0
    assert split_foreground(mask).max() == 1


def test_small_cells_are_split_by_no_stair_of_their_outline():
    # A ball of radius 3 with a step in its outline has a dip of a quarter of its depth, and is one cell.
    mask = balls((20, 30), [((10, 8), 3), ((10, 12), 3)]) > 0
    assert split_foreground(mask).max() == 1


def test_a_given_height_splits_what_the_outline_does_not():
    # Two halves of one disc: without a neck only the network knows.
    truth = balls((60, 60), [((30, 30), 20)])
    truth[:, 31:] *= 2
    assert split_foreground(truth > 0).max() == 1
    labels = split_foreground(truth > 0, height=heights(truth))
    assert labels.max() == 2
    assert seg(labels, truth) > 0.95


def test_a_given_height_joins_what_the_outline_splits():
    assert split_foreground(PAIR > 0).max() == 2
    assert split_foreground(PAIR > 0, height=(PAIR > 0).astype(np.float32)).max() == 1


def test_depth_is_the_least_dip_of_a_given_height():
    height = np.zeros((5, 21), np.float32)
    height[:, 1:20] = np.concatenate([np.linspace(0.5, 1, 5), np.linspace(1, 0.6, 5)[1:], np.linspace(0.6, 1, 11)[1:]])
    mask = height > 0
    assert split_foreground(mask, height=height, depth=0.35, smoothing=0).max() == 2
    assert split_foreground(mask, height=height, depth=0.45, smoothing=0).max() == 1


def test_basins_are_joined_highest_pass_first():
    # 1.0 \_0.66_/ 0.7 \_0.6_/ 0.9: the low summit belongs to the left one, and then 0.9 dips by 0.3.
    level = np.interp(np.arange(41), [0, 10, 20, 30, 40], [1, 0.66, 0.7, 0.6, 0.9]).astype(np.float32)
    labels = split_foreground(np.ones((3, 41)), height=np.tile(level, (3, 1)), smoothing=0, min_size=0)
    assert len(np.unique(labels)) == 2
    assert labels[1, 20] == labels[1, 0] != labels[1, 40]


def test_what_lies_outside_the_foreground_is_no_summit():
    mask = np.zeros((20, 40), bool)
    mask[5:10, 5:35] = True
    height = np.indices(mask.shape)[0] / 20  # highest below the mask
    assert np.array_equal(split_foreground(mask, height=height), mask)
    corner = np.zeros((8, 8), bool)
    corner[0:4, 0:4] = corner[4:8, 4:8] = True  # a summit across the corner is another cell's
    assert split_foreground(corner, height=np.indices(corner.shape).sum(0) / 14, smoothing=0).max() == 2


def test_noise_of_a_network_in_height_and_probability_makes_no_cells():
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(2, *PAIR.shape)), (0, 1.5, 1.5))
    noise /= noise.std()
    probability = ndimage.gaussian_filter((PAIR > 0).astype(float), 1) + 0.05 * noise[0]
    labels = split_foreground(probability, height=heights(PAIR) + 0.1 * noise[1])
    assert labels.max() == 2
    assert seg(labels, PAIR) > 0.9


def test_a_cell_at_the_border_of_the_image_is_no_thinner_for_that():
    mask = balls((60, 60), [((30, 0), 15), ((0, 59), 12)]) > 0
    depth = measure_depth(mask, (1.0, 1.0))
    assert depth[30, 0] == pytest.approx(16, abs=1)
    assert split_foreground(mask).max() == 2


# --------------------------------------------------------------------------- 3D, and voxels' sides


@pytest.mark.parametrize("step", [(2.0, 1.0), (1.0, 2.0, 1.0)])
def test_distance_and_smoothing_know_the_sides_of_a_voxel(step):
    mask = np.ones((21,) * len(step), bool)
    mask[(10,) * len(step)] = False
    centre = (10,) * (len(step) - 2)
    depth = measure_depth(mask, step)
    assert (depth[*centre, 10, 13], depth[*centre, 13, 10]) == pytest.approx((3, 6))
    blurred = smooth((~mask).astype(np.float32), 2.0, step)[centre] * 1000
    assert blurred[12, 10] == pytest.approx(blurred[10, 14], rel=0.02)
    assert np.all(measure_depth(np.ones_like(mask), step) == 21)


def test_cells_that_touch_in_depth_are_split_if_the_planes_distance_is_known():
    # Two balls above each other; planes lie four times as far apart as pixels.
    spacing = (4, 1, 1)
    truth = balls((14, 60, 60), [((16, 30, 30), 13), ((38, 30, 30), 13)], spacing)
    labels = split_foreground(truth > 0, spacing=spacing)
    assert labels.max() == 2
    assert seg(labels, truth) > 0.9
    assert np.array_equal(split_foreground(truth > 0, spacing=(2.0, 0.5, 0.5)), labels)


def test_pixels_that_are_no_squares_are_known_in_2d():
    truth = balls((20, 90), [((30, 25), 14), ((30, 49), 12)], (3, 1))
    labels = split_foreground(truth > 0, spacing=(3, 1))
    assert labels.max() == 2
    assert seg(labels, truth) > 0.9


def test_a_flat_stack_gives_what_its_plane_gives():
    assert np.array_equal(split_foreground((PAIR > 0)[None])[0] > 0, split_foreground(PAIR > 0) > 0)
    assert split_foreground((PAIR > 0)[None]).max() == 2


# ----------------------------------------------------------------------------------- holes and sizes


def test_a_hole_within_one_cell_is_filled_however_large():
    mask = FIELD > 0
    ring = mask & ~balls(FIELD.shape, [((70, 75), 6)]).astype(bool)
    assert np.array_equal(split_foreground(ring, max_hole=0) > 0, mask)


def test_a_small_hole_splits_nothing():
    mask = balls((60, 60), [((30, 30), 20)]) > 0
    holes = mask.copy()
    holes[28:31, 20] = holes[22, 33] = holes[40, 30:32] = False
    labels = split_foreground(holes)
    assert np.array_equal(labels, mask)


def test_a_gap_between_several_cells_stays():
    centres = [(30 + 17 * np.sin(a), 30 + 17 * np.cos(a)) for a in np.arange(6) * np.pi / 3]
    mask = balls((60, 60), [(centre, 9.5) for centre in centres]) > 0
    labels = split_foreground(mask)
    assert labels.max() == 6
    assert labels[30, 30] == 0


def test_a_hole_at_the_border_of_the_image_is_background():
    mask = np.ones((40, 40), bool)
    mask[:4, 18:22] = False
    assert np.array_equal(split_foreground(mask) > 0, mask)


def test_holes_of_a_stack_are_filled_plane_by_plane():
    tube = balls((21, 40, 40), [((10, 20, 20), 8)]) > 0
    tube[:, 19:22, 19:22] = False  # open above and below
    assert split_foreground(tube)[10, 20, 20] == 1


def test_specks_are_left_out_beside_the_typical_cell():
    specks = balls(FIELD.shape, [((10, 40), 1), ((45, 45), 1), ((85, 10), 1.5), ((100, 80), 1)]) > 0
    mask = (FIELD > 0) | specks
    assert split_foreground(mask).max() == 5
    assert split_foreground(mask, min_size=0).max() == 9
    assert split_foreground(specks).max() == 4  # where there is nothing else, they are the typical cell


def test_labels_have_no_gaps_and_each_cell_is_one_piece():
    mask = np.random.default_rng(3).random((80, 90)) > 0.4
    labels = split_foreground(ndimage.binary_opening(mask), min_size=0.3)
    assert labels.max() > 10
    assert np.array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert all(ndimage.label(labels == cell)[1] == 1 for cell in range(1, labels.max() + 1))


def test_every_pixel_of_the_foreground_belongs_to_a_cell_where_no_size_is_asked():
    mask = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(70, 70)), 2) > 0
    assert split_foreground(mask, min_size=0)[mask].all()


def test_the_cells_do_not_depend_on_how_the_image_lies_in_memory():
    assert np.array_equal(split_foreground(np.asfortranarray(PAIR > 0)), split_foreground(PAIR > 0))
    turned = split_foreground((PAIR > 0).T).T
    assert seg(turned, split_foreground(PAIR > 0)) > 0.97


def test_no_foreground_and_nothing_but_foreground():
    assert split_foreground(np.zeros((20, 30))).max() == 0
    assert np.array_equal(split_foreground(np.ones((20, 30))), np.ones((20, 30)))
    assert np.array_equal(split_foreground(np.ones((3, 20, 30)), spacing=(5, 1, 1)), np.ones((3, 20, 30)))
    assert split_foreground(np.zeros((0, 5))).shape == (0, 5)


def test_given_summits_alone_make_cells():
    mask = np.zeros((5, 12), bool)
    mask[1:4, 1:5] = mask[1:4, 7:11] = True
    summits = np.zeros_like(mask)
    summits[2, 2] = True
    labels = split_relief(measure_depth(mask, (1.0, 1.0)), mask, peaks=summits)
    assert np.array_equal(labels > 0, mask & (np.arange(12) < 6))


# ------------------------------------------------------------------------------- what is not accepted


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"height": np.zeros((5, 5))}, r"height has shape \(5, 5\); expected \(60, 90\)"),
        ({"height": np.full(PAIR.shape, np.nan)}, "5400 pixels are NaN"),
        ({"spacing": (1, 1, 1)}, "option spacing has 3 values"),
    ],
)
def test_what_does_not_fit_the_foreground_is_refused(options, problem):
    with pytest.raises(FrameError, match=problem):
        split_foreground(PAIR > 0, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 1.5}, {"depth": -0.1}, {"depth": 2}, {"smoothing": -1}, {"min_size": 2}, {"max_hole": -1},
        {"spacing": (1,)}, {"spacing": (1, 0)},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SegmenterError, match=f"segmenter 'postprocess': option {next(iter(options))} is"):
        PostprocessSegmenter(**options)


# ------------------------------------------------------------------------------ kinds of foreground

PROBABILITY = ndimage.gaussian_filter((PAIR > 0).astype(np.float32), 1)

KINDS = {
    "bool": PAIR > 0,
    "0 and 1": (PAIR > 0).astype(np.uint8),
    "0 and 255": (PAIR > 0).astype(np.uint8) * np.uint8(255),
    "a label image of one value": (PAIR > 0).astype(np.uint16) * np.uint16(7),
    "two values below 0": np.where(PAIR > 0, -1.0, -3.0),
    "probabilities": PROBABILITY,
    "float64": PROBABILITY.astype(np.float64),
    "float16": PROBABILITY.astype(np.float16),
    "uint8": (PROBABILITY * 255).round().astype(np.uint8),
    "uint16": (PROBABILITY * 65535).round().astype(np.uint16),
    "big endian": (PROBABILITY * 65535).round().astype(">u2"),
    "float up to 255": PROBABILITY * 255,
    "int32 up to 255": (PROBABILITY * 255).round().astype(np.int32),
    "interpolated, so beyond 0 and 1": PROBABILITY * 1.06 - 0.03,
    "logits": np.log(PROBABILITY.clip(0.01, 0.99) / (1 - PROBABILITY.clip(0.01, 0.99))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_masks_and_probabilities_of_any_type_give_the_same_cells(kind):
    labels = PostprocessSegmenter().segment(KINDS[kind])
    assert labels.max() == 2
    assert seg(labels, PAIR) > 0.95


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_a_frame_of_low_probabilities_has_no_cells(dtype):
    full = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    assert PostprocessSegmenter().segment((PROBABILITY * 0.3 * full).astype(dtype)).max() == 0
    assert PostprocessSegmenter(threshold=0.15).segment((PROBABILITY * 0.3 * full).astype(dtype)).max() == 2


@pytest.mark.parametrize(
    "image",
    [(PROBABILITY * 200).astype(np.uint16), (PROBABILITY * 200).astype(">u2"), PROBABILITY * 0.3 - 0.03],
    ids=["uint16", "big endian", "interpolated"],
)
def test_a_frame_with_next_to_nothing_in_it_is_not_stretched(image):
    assert PostprocessSegmenter().segment(image).max() == 0


@pytest.mark.parametrize("value", [0, 1, 0.7])
def test_a_frame_of_one_value_has_no_cells(value):
    assert PostprocessSegmenter().segment(np.full((20, 30), value)).max() == 0


def test_the_options_reach_the_recipe():
    spacing = (4.0, 1.0, 1.0)
    stack = balls((14, 60, 60), [((16, 30, 30), 13), ((38, 30, 30), 13)], spacing) > 0
    assert PostprocessSegmenter(spacing=spacing).segment(stack).max() == 2
    assert PostprocessSegmenter(depth=0.9).segment(PAIR > 0).max() == 1
    assert PostprocessSegmenter(smoothing=12).segment(PAIR > 0).max() == 1
    specks = (FIELD > 0) | (balls(FIELD.shape, [((10, 40), 1)]) > 0)
    assert PostprocessSegmenter(min_size=0).segment(specks).max() == 6
    gaps = balls((40, 60), [((20, 20), 12.2), ((20, 39), 12.2)]) > 0
    gaps[19:22, 28:31] = False
    assert PostprocessSegmenter(max_hole=0).segment(gaps)[20, 29] == 0
    assert PostprocessSegmenter().segment(gaps)[20, 29] > 0


# ----------------------------------------------------------------------------------------- how good


@pytest.mark.parametrize(
    ("life", "least"),
    [
        ({"cells": 90, "clustering": 0.7}, 0.94),
        ({"cells": 30, "clustering": 0.6, "shape": (24, 128, 128), "spacing": (1.5, 0.5, 0.5)}, 0.92),
    ],
)
def test_cells_of_a_simulated_colony_are_told_apart(life, least):
    settings = SimulateSettings(frames=12, images=False, **life)
    masks = simulate_movie(settings=settings, seed=1).masks
    scores = [seg(split_foreground(masks[t] > 0, spacing=settings.spacing), masks[t]) for t in (0, 11)]
    assert np.mean(scores) > least


@pytest.mark.data
@pytest.mark.parametrize(
    ("folder", "step", "least"),
    [
        ("Fluo-N2DH-GOWT1/01_GT/SEG", 8, 0.98),
        ("Fluo-N2DL-HeLa/01_ST/SEG", 30, 0.97),
        ("BBBC050-mouse-embryo-3D/01_GT/SEG", 20, 0.97),
    ],
)
def test_cells_of_real_movies_are_told_apart(ctc_data, folder, step, least):
    # Floors a little below what is measured, so that only a real loss trips them.
    truths = [tifffile.imread(file) for file in sorted((ctc_data / folder).glob("man_seg*.tif"))[::step]]
    assert np.mean([seg(split_foreground(truth > 0), truth) for truth in truths]) > least
