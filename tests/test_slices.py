"""Cells of stacks from cells of their planes: a movie through z whose truth can be read off the drawing."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from gnntrack.errors import FrameError, SegmenterError
from gnntrack.evaluate.counts import Counts, compare_labels
from gnntrack.pipeline import simulate
from gnntrack.segmentation.registry import load_segmenter
from gnntrack.settings import Settings
from segmenters.slices import SlicesSegmenter

SHAPE = (9, 40, 40)


class LabelsByBrightness:
    """A segmenter of planes that returns given labels: the grey value of the corner is the number of the plane."""

    def __init__(self, labels):
        self.labels = labels
        self.shown = []

    def prepare(self, images):
        self.shown.append([int(image[0, 0]) for image in images])

    def segment(self, image):
        return self.labels[int(image[0, 0])]


def block(labels, planes, rows, columns, label):
    """Paint a brick."""
    labels[slice(*planes), slice(*rows), slice(*columns)] = label


def lift_labels(labels, *, image=None, **options):
    """Lift given labels of planes; the image is as bright as its labels, unless one is given."""
    image = np.where(labels > 0, 100.0, 0.0) if image is None else image.astype(float)
    image[:, 0, 0] = range(len(labels))
    slices = SlicesSegmenter(**options)
    slices._inner = LabelsByBrightness(labels)
    return slices.segment(image)


def two_columns():
    """Two bricks through planes 1 to 7, side by side."""
    labels = np.zeros(SHAPE, np.int32)
    block(labels, (1, 8), (10, 20), (10, 20), 1)
    block(labels, (1, 8), (10, 20), (20, 30), 2)
    return labels


# --------------------------------------------------------------------------------------- links


def test_labels_of_planes_become_cells_whatever_their_numbers():
    truth = two_columns()
    planes = truth.copy()
    for z in range(len(planes)):  # 1 and 2 change places in every second plane
        planes[z] = np.choose(truth[z], [0, 3, 800] if z % 2 else [0, 70, 9])
    assert np.array_equal(lift_labels(planes), truth)


def test_links_are_chosen_together_and_not_one_by_one():
    # ...aaaaaaaaaa......      the upper a shares most with the lower b, but then the lower a had none
    planes = np.zeros((2, 40, 40), np.int32)
    planes[0, 10:20, 4:14], planes[0, 10:20, 14:30] = 1, 2
    planes[1, 10:20, 8:23], planes[1, 10:20, 23:34] = 1, 2
    labels = lift_labels(planes, min_overlap=0.3)
    assert labels.max() == 2
    assert labels[0, 15, 5] == labels[1, 15, 10]
    assert labels[0, 15, 29] == labels[1, 15, 30]


def test_labels_that_share_too_little_are_two_cells():
    planes = np.zeros((4, 40, 40), np.int32)
    block(planes, (0, 2), (10, 20), (10, 20), 1)
    block(planes, (2, 4), (10, 20), (17, 27), 1)
    assert lift_labels(planes, min_overlap=0.4).max() == 2
    assert lift_labels(planes, min_overlap=0.2).max() == 1


# ---------------------------------------------------------------------------------------- gaps


def test_a_plane_that_misses_a_cell_is_filled_if_the_image_shows_it():
    truth = two_columns()
    planes = truth.copy()
    planes[4][planes[4] == 2] = 0
    image = np.where(truth > 0, 100.0, 0.0)
    assert np.array_equal(lift_labels(planes, image=image), truth)
    assert lift_labels(planes, image=image, max_gap=0).max() == 3
    image[4][truth[4] == 2] = 0  # nothing to be seen there: two cells, one above the other
    assert lift_labels(planes, image=image).max() == 3


def test_longer_gaps_are_bridged_where_they_are_allowed():
    truth = two_columns()
    planes = truth.copy()
    planes[4:6][planes[4:6] == 2] = 0
    image = np.where(truth > 0, 100.0, 0.0)
    assert lift_labels(planes, image=image).max() == 3
    assert np.array_equal(lift_labels(planes, image=image, max_gap=2), truth)


def test_cells_that_one_plane_glues_are_parted_there():
    truth = two_columns()
    planes = truth.copy()
    planes[4][planes[4] == 2] = 1
    assert np.array_equal(lift_labels(planes, image=np.where(truth > 0, 100.0, 0.0)), truth)


def test_a_glued_plane_is_shared_out_though_the_cells_move():
    truth = np.zeros(SHAPE, np.int32)
    for z in range(1, 8):
        block(truth[z : z + 1], (0, 1), (8 + z, 18 + z), (10, 20), 1)
        block(truth[z : z + 1], (0, 1), (8 + z, 18 + z), (20, 30), 2)
    planes = truth.copy()
    planes[4][planes[4] == 2] = 1
    assert np.array_equal(lift_labels(planes, image=np.where(truth > 0, 100.0, 0.0)), truth)


def test_a_piece_that_one_plane_cuts_off_is_given_back():
    truth = two_columns()
    planes = truth.copy()
    planes[4, 10:20, 10:14] = 3
    assert np.array_equal(lift_labels(planes), truth)


def test_a_piece_that_goes_through_many_planes_is_a_cell():
    planes = two_columns()
    planes[3:7, 10:20, 10:12] = 3
    labels = lift_labels(planes)
    assert labels.max() == 3
    assert (labels[3:7, 10:20, 10:12] == 3).all()


# ----------------------------------------------------------------------------- necks, noise, blur


def ball(labels, centre, radius, label):
    grid = np.indices(labels.shape)
    labels[((grid - np.reshape(centre, (3, 1, 1, 1))) ** 2).sum(0) <= radius**2] = label


def test_cells_on_top_of_each_other_are_cut_at_the_neck():
    truth = np.zeros((24, 40, 40), np.int32)
    ball(truth, (7, 20, 20), 6, 1)
    ball(truth, (17, 20, 20), 6, 2)
    planes = (truth > 0).astype(np.int32)
    labels = lift_labels(planes)
    assert labels.max() == 2
    assert compare_labels(labels, truth).seg > 0.9
    assert lift_labels(planes, neck=1).max() == 1


def test_cells_that_shift_at_once_are_cut_without_a_neck():
    planes = np.zeros((12, 40, 40), np.int32)
    block(planes, (0, 6), (10, 20), (10, 20), 1)
    block(planes, (6, 12), (10, 20), (15, 25), 1)
    labels = lift_labels(planes)
    assert labels.max() == 2
    assert (labels[:5, 12, 12] == 1).all()
    assert (labels[7:, 12, 22] == 2).all()


@pytest.mark.parametrize(("width", "cells"), [(4, 1), (8, 2)])
def test_what_is_small_above_a_neck_is_no_cell_of_its_own(width, cells):
    planes = np.zeros((9, 40, 40), np.int32)
    block(planes, (0, 6), (10, 20), (10, 20), 1)
    block(planes, (6, 7), (12, 14), (12, 14), 1)
    block(planes, (7, 9), (10, 10 + width), (10, 10 + width), 1)
    assert lift_labels(planes).max() == cells


def test_a_slanted_cell_stays_one():
    planes = np.zeros((12, 40, 40), np.int32)
    for z in range(12):
        planes[z, 10:20, 5 + z : 15 + z] = 1
    assert lift_labels(planes).max() == 1


def test_noise_of_an_empty_plane_makes_no_cells():
    rng = np.random.default_rng(0)
    planes = two_columns()
    image = np.where(planes > 0, 100.0, 0.0) + rng.normal(0, 2, SHAPE)
    spots = ndimage.label(ndimage.gaussian_filter(image[0], 2) > 0)[0]
    planes[0] = planes[8] = spots
    assert spots.max() > 2
    labels = lift_labels(planes, image=image, min_planes=1)
    assert labels.max() == 2
    assert not labels[0].any()
    assert lift_labels(planes, image=image, min_planes=1, min_contrast=0, outline=0).max() > 2


@pytest.mark.parametrize("height", [100.0, -100.0])
def test_a_cell_ends_where_only_its_blur_is_left(height):
    truth = two_columns()
    planes = truth.copy()
    planes[0], planes[8] = truth[1], truth[7]
    image = np.where(truth > 0, height, 0.0)
    image[[0, 8]] = 0.3 * image[1]
    assert np.array_equal(lift_labels(planes, image=image), truth)
    assert lift_labels(planes, image=image, outline=0.2)[0].any()


def test_cells_that_are_no_brighter_than_their_surroundings_are_kept():
    planes = two_columns()
    image = np.zeros(SHAPE)
    image[planes == 1], image[planes == 2] = 50, -50
    assert lift_labels(planes, image=image).max() == 2


def test_cells_in_fewer_planes_are_left_out():
    planes = two_columns()
    planes[3:5, 30:38, 30:38] = 5
    assert lift_labels(planes).max() == 3
    assert lift_labels(planes, min_planes=3).max() == 2
    assert lift_labels(planes[3:4], min_planes=3).max() == 3  # a stack of one plane has no cells in three


# ------------------------------------------------------------------------------ the segmenter within


def test_options_reach_the_segmenter_of_the_planes():
    image = np.zeros((4, 60, 60))
    image[1:4, 10:25, 10:25], image[1:4, 35:50, 35:50] = 100, 40
    image = ndimage.gaussian_filter(image, (0, 1, 1)) + np.random.default_rng(0).normal(0, 1, image.shape)
    assert SlicesSegmenter(segmenter="threshold").segment(image).max() == 2
    assert load_segmenter("slices", segmenter="threshold", options={"threshold": 70}).segment(image).max() == 1


def test_the_segmenter_of_the_planes_is_shown_the_clearest_planes_once_a_movie():
    labels = two_columns()
    image = np.where(labels > 0, 100.0, 0.0) * np.arange(9)[:, None, None]
    image[:, 0, 0] = range(9)
    slices = SlicesSegmenter(segmenter="threshold")
    slices._inner = LabelsByBrightness(labels)
    slices.segment(image)
    assert slices._inner.shown == [[5, 6, 7]]
    slices.prepare([image, image[0]])
    slices.segment(image)
    assert slices._inner.shown == [[5, 6, 7]] * 2


def test_single_planes_are_for_the_other_segmenter():
    with pytest.raises(FrameError, match=r"shape \(5, 5\); expected \(Z, Y, X\).*use 'threshold' itself"):
        SlicesSegmenter(segmenter="threshold").segment(np.zeros((5, 5)))


@pytest.mark.parametrize(
    "options",
    [
        {"min_overlap": 2}, {"max_gap": -1}, {"min_planes": 0}, {"min_contrast": -0.1}, {"neck": 1.5}, {"outline": -1},
        {"segmenter": "slices"},
    ],
)  # fmt: skip
def test_options_out_of_range_are_refused(options):
    with pytest.raises(SegmenterError, match=f"option {next(iter(options))} is"):
        SlicesSegmenter(**options)


def test_a_segmenter_within_that_is_unknown_or_refuses_its_options_is_told():
    with pytest.raises(SegmenterError, match="unknown segmenter 'treshold'; did you mean 'threshold'"):
        SlicesSegmenter(segmenter="treshold")
    with pytest.raises(SegmenterError, match="segmenter 'threshold': option diameter is -3"):
        SlicesSegmenter(segmenter="threshold", options={"diameter": -3})


def test_a_segmenter_of_stacks_is_refused(monkeypatch):
    monkeypatch.setattr(LabelsByBrightness, "dimensions", (3,), raising=False)
    monkeypatch.setattr("segmenters.slices.load_segmenter", lambda name: LabelsByBrightness(name))
    with pytest.raises(SegmenterError, match="segmenter is 'drawn', but must be one that takes single planes"):
        SlicesSegmenter(segmenter="drawn")


# ------------------------------------------------------------------------------------------ quality


def test_touching_cells_of_a_simulated_stack_are_found():
    settings = Settings().replace(
        simulate__frames=1, simulate__shape=(16, 96, 96), simulate__cells=12, simulate__diameter=9.0,
        simulate__clustering=1.0,
    )  # fmt: skip
    total = Counts()
    for seed in (1, 2):
        movie = simulate(settings=settings, seed=seed)
        total += compare_labels(SlicesSegmenter(segmenter="threshold").segment(movie.images[0]), movie.masks[0])
    assert total.truth_cells >= 20
    assert total.f1 > 0.85  # a floor below what is measured, so that only a real loss trips it


@pytest.mark.data
def test_slices_on_a_real_stack(ctc_data):
    folder = ctc_data / "Fluo-N3DH-CHO"
    image, truth = tifffile.imread(folder / "02" / "t010.tif"), tifffile.imread(folder / "02_ERR_SEG" / "mask010.tif")
    assert compare_labels(SlicesSegmenter(segmenter="threshold").segment(image), truth).f1 > 0.75
