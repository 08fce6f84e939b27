"""Masks that hold several cells for some frames are cut, and the identities of the cells go through."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest

import gnntrack

SIZE, FRAMES, FIRST = 120, 14, 4


def draw_disk(frame, centre, radius, label):
    y, x = np.indices(frame.shape)
    frame[((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2) & (frame == 0)] = label


def make_truth(n, seed=0):
    """Return masks of n neighbours in a row, labels 1 to n, and of four cells around them."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((FRAMES, SIZE, SIZE), np.uint16)
    for frame in truth:
        for label in range(1, n + 1):
            centre = 60, 60 + 16 * (label - (n + 1) / 2)
            draw_disk(frame, centre + rng.normal(0, 0.4, 2), 8 + label / 2, label)
        for label, corner in enumerate(((20, 20), (20, 100), (100, 20), (100, 100)), start=n + 1):
            draw_disk(frame, corner + rng.normal(0, 1, 2), 8, label)
    return truth


def merge(truth, labels, frames):
    """Return masks in which cells have the label of the first one in some frames."""
    masks = truth.copy()
    for frame in frames:
        masks[frame][np.isin(masks[frame], labels)] = labels[0]
    return masks


def make_images(masks):
    rng = np.random.default_rng(1)
    return np.clip(100 + 800 * (masks > 0) + rng.normal(0, 20, masks.shape), 0, None).astype(np.uint16)


def find_tracks(lineage, truth, label):
    """Return the tracks that cover most of a true cell, one per frame."""
    drawn = lineage.labels()
    found = []
    for frame, true in zip(drawn, truth, strict=True):
        below = frame[true == label]
        most = np.bincount(below).argmax()
        assert (below == most).mean() > 0.8
        found.append(int(most))
    return found


@pytest.mark.parametrize("method", ["hungarian", "gnn"])
@pytest.mark.parametrize("frames", [1, 2, 4, 6])
@pytest.mark.parametrize("n", [2, 3])
def test_identities_go_through_a_merged_mask(n, frames, method):
    truth = make_truth(n)
    masks = merge(truth, range(1, n + 1), range(FIRST, FIRST + frames))
    lineage = gnntrack.track(masks=masks, method=method)
    assert not lineage.divisions
    for label in range(1, n + 1):
        assert len(set(find_tracks(lineage, truth, label))) == 1
    assert len(lineage.tracks) == n + 4
    assert len(lineage.provenance.masks_cut) == (n - 1) * frames


def test_images_do_not_change_what_is_cut(tmp_path):
    truth = make_truth(2)
    masks = merge(truth, (1, 2), range(FIRST, FIRST + 3))
    lineage = gnntrack.track(make_images(masks), masks, out=tmp_path / "with", spacing=0.5)
    assert lineage.provenance.masks_cut == gnntrack.track(masks=masks).provenance.masks_cut
    assert not np.isnan(lineage.cells.features).any()
    intensity = lineage.cells.feature("intensity_mean")
    assert intensity.min() > 800  # that of the cells that were cut, too
    solved = gnntrack.solve(gnntrack.build_graph(make_images(masks), masks, spacing=0.5))
    gnntrack.export(solved, tmp_path / "again", masks=masks)
    again = gnntrack.load(tmp_path / "again")
    assert len(again.tracks) == len(lineage.tracks) == 6
    repairs = pd.read_csv(tmp_path / "with" / "gnntrack" / "repairs.csv")
    assert Counter(repairs["kind"]) == {"split": 6}
    assert repairs["input_label"].tolist() == [1] * 6


@pytest.mark.parametrize("options", [{"max_merge": 0}, {"keep_masks": True}, {"max_merge": 2}])
def test_masks_are_kept_on_demand(options):
    masks = merge(make_truth(2), (1, 2), range(FIRST, FIRST + 3))
    lineage = gnntrack.track(masks=masks, fill_gaps=False, **options)
    assert not lineage.provenance.masks_cut
    assert len(lineage.cells) == sum(len(np.unique(frame)) - 1 for frame in masks)


def test_the_pieces_of_a_cell_are_no_cells():
    """A cell falls into two pieces for a frame, and divides three frames later."""
    masks = np.zeros((FRAMES, SIZE, SIZE), np.uint16)
    for t, frame in enumerate(masks):
        if t < 8:
            draw_disk(frame, (60, 60), 12, 1)
            if t == FIRST:
                frame[:, 60:][frame[:, 60:] == 1] = 2
        else:
            draw_disk(frame, (60, 52 - (t - 8)), 8.5, 5)
            draw_disk(frame, (60, 68 + (t - 8)), 8.5, 6)
        for label, corner in enumerate(((20, 20), (20, 100), (100, 20)), start=7):
            draw_disk(frame, corner, 12, label)
    lineage = gnntrack.track(masks=masks)
    assert not lineage.provenance.masks_cut
    assert len(lineage.divisions) == 1


def test_two_cells_in_the_last_frame():
    truth = make_truth(2)
    lineage = gnntrack.track(masks=merge(truth, (1, 2), [FRAMES - 1]))
    assert len(set(find_tracks(lineage, truth, 2))) == 1


@pytest.mark.parametrize("frames", [2, 4])
def test_cells_that_barely_touch_are_followed_while_they_share_a_mask(frames):
    """The centre of their mask lies on background."""
    truth = np.zeros((FRAMES, SIZE, SIZE), np.uint16)
    for frame in truth:
        for label, centre in enumerate(((60, 53), (60, 67), (20, 20), (20, 100), (100, 20)), start=1):
            draw_disk(frame, centre, 6, label)
    assert not truth[:, 60, 60].any()
    lineage = gnntrack.track(masks=merge(truth, (1, 2), range(FIRST, FIRST + frames)))
    assert len(lineage.provenance.masks_cut) == frames
    assert len(lineage.tracks) == 5
    for label in (1, 2):
        assert len(set(find_tracks(lineage, truth, label))) == 1


def make_disks(*cells):
    """Return true masks of four cells at the corners and of others: centre (two per cell, while it moves), radius,
    first frame, last frame."""
    truth = np.zeros((FRAMES, SIZE, SIZE), np.uint16)
    corners = [((y, x), (y, x), 8, 0, FRAMES - 1) for y in (15, 105) for x in (15, 105)]
    for label, (start, end, radius, first, last) in enumerate([*cells, *corners], start=1):
        for t in range(first, last + 1):
            moved = np.array(start) + (np.array(end) - start) * (t - first) / max(last - first, 1)
            draw_disk(truth[t], moved, radius, label)
    return truth


def test_a_daughter_is_cut_off_the_neighbour_that_it_is_merged_with_when_it_is_born():
    mother = (60, 50), (60, 50), 10, 0, FIRST - 1
    one = (60, 42), (60, 38), 7.5, FIRST, FRAMES - 1
    other = (60, 58), (60, 58), 7.5, FIRST, FRAMES - 1
    truth = make_disks(mother, one, other, ((60, 74), (60, 74), 8, 0, FRAMES - 1))
    lineage = gnntrack.track(masks=merge(truth, (3, 4), [FIRST]))
    assert len(lineage.provenance.masks_cut) == 1
    assert len(lineage.divisions) == 1
    assert len(set(find_tracks(lineage, truth, 4))) == 1


def test_a_cell_that_is_merged_with_one_neighbour_and_then_with_another():
    truth = make_truth(3)
    masks = merge(merge(truth, (1, 2), [FIRST]), (2, 3), [FIRST + 1])
    lineage = gnntrack.track(masks=masks)
    assert len(lineage.provenance.masks_cut) == 2
    assert len(lineage.tracks) == 7
    for label in (1, 2, 3):
        assert len(set(find_tracks(lineage, truth, label))) == 1


def test_small_cells_share_a_mask_as_large_as_that_of_a_usual_cell():
    cells = [((60, x), (60, x), 5.7, 0, FRAMES - 1) for x in (54, 66)]
    truth = make_disks(*cells, *(((y, 60), (y, 60), 8, 0, FRAMES - 1) for y in (15, 105)))
    lineage = gnntrack.track(masks=merge(truth, (1, 2), [FIRST]))
    assert len(lineage.provenance.masks_cut) == 1
    assert len(lineage.tracks) == 8


def test_a_cell_that_is_small_for_a_frame_before_it_divides_is_not_cut():
    mother, small = ((60, 60), (60, 60), 12, 0, FIRST - 2), ((60, 60), (60, 60), 8.5, FIRST - 1, FIRST - 1)
    last = (60, 60), (60, 60), 12, FIRST, FIRST
    daughters = [((60, x), (60, x), 8.5, FIRST + 1, FRAMES - 1) for x in (51.5, 68.5)]
    lineage = gnntrack.track(masks=make_disks(mother, small, last, *daughters))
    assert not lineage.provenance.masks_cut
    assert len(lineage.divisions) == 1
