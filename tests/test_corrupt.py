"""Corrupted movies: the changes of masks and images, and the ground truth that stays correct."""

from __future__ import annotations

import numpy as np
import pytest
from support.movies import disk, dividing_masks, images_of

from gnntrack.errors import FrameError, InputError
from gnntrack.training.corruption.faults import DURATIONS, draw_faults, renumber_labels
from gnntrack.training.corruption.movie import corrupt_movie, thin_tracks
from gnntrack.training.corruption.settings import Corruption
from gnntrack.types import FrameStack, Tracks


class Frames(list):
    def __init__(self, frames, spacing=None):
        super().__init__(np.asarray(frame) for frame in frames)
        self.shape = self[0].shape
        self.spacing = spacing or (1.0,) * len(self.shape)
        self.unit = "pixel" if spacing is None else "um"
        self.names = [f"frame {number}" for number in range(len(self))]


def make_grid_movie(n_frames=6, *, pitch=16, side=12, radius=5):
    """Return a movie of side x side resting discs; those in a row nearly touch those beside them."""
    frame = np.zeros((side * pitch, side * pitch), np.uint16)
    for row in range(side):
        for column in range(side):
            disk(frame, pitch * row + 8, (2 * radius + 3) * column + 8, radius, row * side + column + 1)
    return Frames([frame] * n_frames)


def count_cells(movie):
    return [len(np.unique(frame)) - 1 for frame in movie]


def has_same_cells(first, second):
    """Return whether two masks have the same cells, whatever their labels."""
    pairs = np.unique(np.stack([first.ravel(), second.ravel()]).astype(np.int64), axis=1)
    return all(len(set(side)) == len(side) for side in pairs.tolist()) and pairs[:, 0].tolist() == [0, 0]


def test_nothing_done_changes_labels_only():
    masks = Frames(dividing_masks())
    images = Frames(images_of(dividing_masks()))
    corrupted, shown, marked, frames = corrupt_movie(masks, images, masks, Corruption(), seed=3)
    assert isinstance(corrupted, FrameStack)
    assert frames == list(range(6))
    for t in range(6):
        assert has_same_cells(corrupted[t], masks[t])
        assert np.array_equal(shown[t], images[t])
        assert np.array_equal(marked[t], masks[t])
    assert list(corrupted.names) == masks.names


def test_labels_do_not_identify_a_cell_over_time():
    movie = make_grid_movie(2)
    corrupted, *_ = corrupt_movie(movie, None, None, Corruption(), seed=3)
    assert (corrupted[0][corrupted[0] > 0] == corrupted[1][corrupted[1] > 0]).mean() < 0.1


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_quarter_turns_are_exact(turns, flip):
    frame = np.zeros((3, 20, 31), np.uint16)
    frame[1, 2:7, 3:9], frame[0, 10:14, 20:30] = 5, 9
    movie = Frames([frame], (1.0, 0.3, 0.2))
    corrupted, shown, marked, _ = corrupt_movie(movie, movie, movie, Corruption(quarter_turns=turns, flip=flip), seed=0)
    expected = np.rot90(frame, turns, axes=(1, 2))
    expected = expected[..., ::-1] if flip else expected
    assert np.array_equal(marked[0], expected)
    assert np.array_equal(shown[0], expected)
    assert has_same_cells(corrupted[0], expected)
    assert corrupted.shape == expected.shape
    assert corrupted.spacing == ((1.0, 0.2, 0.3) if turns % 2 else (1.0, 0.3, 0.2))


@pytest.mark.parametrize("change", [{"rotation": 30.0}, {"scale": 1.3}, {"scale": 0.8, "drift": 0.5}, {"drift": 1.0}])
def test_geometry_keeps_masks_images_and_markers_together(change):
    movie = make_grid_movie(4)
    images = Frames([1000.0 * (frame > 0) for frame in movie])
    corrupted, shown, marked, _ = corrupt_movie(movie, images, movie, Corruption(quarter_turns=1, **change), seed=1)
    moved = 0
    for t in range(4):
        assert has_same_cells(corrupted[t], marked[t])
        assert ((shown[t] > 500) == (marked[t] > 0)).mean() > 0.98
        moved += not np.array_equal(marked[t], np.rot90(movie[t]))
    assert moved >= 3


def test_rotation_turns_as_quarter_turns_do_and_scale_zooms():
    movie = Frames([dividing_masks()[0]])
    turned, *_ = corrupt_movie(movie, None, None, Corruption(rotation=90), seed=0)
    assert has_same_cells(turned[0], np.rot90(movie[0]))
    zoomed, *_ = corrupt_movie(movie, None, None, Corruption(scale=0.5), seed=0)
    assert (zoomed[0] > 0).sum() == pytest.approx((movie[0] > 0).sum() / 4, rel=0.1)


def test_cells_are_dropped_at_the_rate():
    movie = make_grid_movie(40)
    corrupted, *_ = corrupt_movie(movie, None, movie, Corruption(drop=0.1), seed=5)
    assert np.mean(count_cells(corrupted)) / 144 == pytest.approx(0.9, abs=0.012)
    alone, *_ = corrupt_movie(movie, None, None, Corruption(drop=0.1), seed=5)
    assert np.mean(count_cells(alone)) / 144 == pytest.approx(0.9, abs=0.012)


def test_faults_last_as_they_should():
    keys = np.arange(1, 20001)
    dropped = np.stack(
        [draw_faults(keys, np.ones(len(keys), bool), [0.02, 0, 0, 0, 0], frame=t, seed=9) for t in range(8)]
    )
    begins = (dropped[1:-3] > 0) & (dropped[:-4] == 0)
    after = [np.stack([dropped[k + 1 : len(dropped) - 3 + k] > 0])[0][begins] for k in range(3)]
    share = [after[1].mean(), (after[1] & after[2]).mean()]
    assert share[0] == pytest.approx(DURATIONS[1] + DURATIONS[2], abs=0.04)
    assert share[1] == pytest.approx(DURATIONS[2], abs=0.03)
    single = np.stack([draw_faults(keys, keys < 0, [0.02, 0, 0, 0, 0], frame=t, seed=9) > 0 for t in range(2)])
    assert single.mean() == pytest.approx(0.02, abs=0.002)
    assert (single[0] & single[1]).mean() < 0.002


def test_merges_lower_and_splits_raise_the_number_of_cells():
    movie = make_grid_movie(8)
    merged, *_ = corrupt_movie(movie, None, movie, Corruption(merge=0.1), seed=2)
    split, *_ = corrupt_movie(movie, None, movie, Corruption(split=0.1), seed=2)
    assert np.mean(count_cells(merged)) == pytest.approx(144 * 0.9, abs=4)
    assert np.mean(count_cells(split)) == pytest.approx(144 * 1.1, abs=4)
    assert all((frame[movie[t] > 0] > 0).all() for t, frame in enumerate(merged)), "no pixel of a cell is lost"
    assert all(np.array_equal(frame > 0, movie[t] > 0) for t, frame in enumerate(split))


def test_merged_cells_are_neighbours():
    movie = make_grid_movie(4)
    merged, *_ = corrupt_movie(movie, None, movie, Corruption(merge=0.1), seed=2)
    found = 0
    for t, frame in enumerate(merged):
        pairs = np.unique(np.stack([frame.ravel(), movie[t].ravel()]).astype(int), axis=1)
        pairs = pairs[:, (pairs > 0).all(axis=0)]
        for label in np.flatnonzero(np.bincount(pairs[0]) > 1):
            rows = (pairs[1][pairs[0] == label] - 1) // 12
            assert len(set(rows.tolist())) == 1, "rows are far from each other"
            found += 1
    assert found > 20


def test_sizes_change_and_no_cell_is_lost():
    movie = make_grid_movie(4)
    size = sum((frame > 0).sum() for frame in movie)
    for change, more in (({"erode": 0.5}, -1), ({"dilate": 0.5}, 1)):
        corrupted, *_ = corrupt_movie(movie, None, movie, Corruption(**change), seed=2)
        assert count_cells(corrupted) == [144] * 4
        if more > 0:
            assert all(has_same_cells(frame * (movie[t] > 0), movie[t]) for t, frame in enumerate(corrupted)), (
                "none overgrown"
            )
        assert more * (sum((frame > 0).sum() for frame in corrupted) - size) > 0.05 * size


def test_cells_that_fill_the_field_do_not_grow_over_each_other():
    movie = Frames([np.kron(np.arange(1, 17).reshape(4, 4), np.ones((10, 10), int))])
    corrupted, *_ = corrupt_movie(movie, None, movie, Corruption(dilate=1), seed=2)
    assert has_same_cells(np.pad(corrupted[0], 1), np.pad(movie[0], 1))


def test_spurious_cells_lie_in_the_background():
    movie = make_grid_movie(30)
    corrupted, *_ = corrupt_movie(movie, None, movie, Corruption(insert=0.1), seed=2)
    for t, frame in enumerate(corrupted):
        assert has_same_cells(frame * (movie[t] > 0), movie[t])
    assert 5 < np.mean(count_cells(corrupted)) - 144 < 14.4 + 3


def test_some_spurious_cells_are_seen_in_the_image():
    movie = make_grid_movie(10)
    images = Frames([1000 * (frame > 0) for frame in movie])
    for shown, expected in ((0.0, 0.0), (1.0, 1.0), (0.5, 0.5)):
        corrupted, seen, *_ = corrupt_movie(movie, images, movie, Corruption(insert=0.1, shown=shown), seed=2)
        grey = [seen[t][(corrupted[t] > 0) & (movie[t] == 0)] for t in range(10)]
        assert (np.concatenate(grey) > 500).mean() == pytest.approx(expected, abs=0.15)
        assert all((seen[t][corrupted[t] == 0] == 0).all() for t in range(10))
    assert images[0].max() == 1000


def test_jitter_moves_single_cells():
    movie = make_grid_movie(2)
    corrupted, *_ = corrupt_movie(movie, None, movie, Corruption(jitter=0.3), seed=2)
    assert count_cells(corrupted) == [144] * 2
    assert 0.01 < ((corrupted[0] > 0) != (movie[0] > 0)).mean() < 0.2
    assert 0.9 < (corrupted[0] > 0).sum() / (movie[0] > 0).sum() <= 1
    assert not np.array_equal(corrupted[0] > 0, corrupted[1] > 0)


HARD = Corruption(
    drop=0.05, insert=0.05, merge=0.05, split=0.05, erode=0.05, dilate=0.05, jitter=0.2, drift=0.3, rotation=12,
    scale=0.9, gain=1.5, gamma=1.2, noise=0.1, fading=0.5, skip=0.2,
)  # fmt: skip


def test_frames_can_be_read_in_any_order():
    movie, images = make_grid_movie(8), Frames(np.random.default_rng(0).normal(100, 10, (8, 192, 192)))
    first = corrupt_movie(movie, images, movie, HARD, seed=11)
    second = corrupt_movie(movie, images, movie, HARD, seed=11)
    other = corrupt_movie(movie, images, movie, HARD, seed=12)
    assert first[3] == second[3]
    for one, two in zip(first[:3], second[:3], strict=True):
        forward = [one[t] for t in range(len(one))]
        for t in (3, 1, 3, 0, -1):
            assert np.array_equal(two[t], forward[t])
    assert not np.array_equal(first[0][0], other[0][0])
    drops = [corrupt_movie(movie, None, movie, Corruption(drop=0.3), seed=seed)[0][0] > 0 for seed in (1, 2)]
    assert not np.array_equal(*drops)
    with pytest.raises(IndexError, match="of a movie of"):
        first[0][len(first[3])]


def test_volumes():
    frame = np.zeros((5, 60, 60), np.uint16)
    z, y, x = np.indices(frame.shape)
    for number, (cy, cx) in enumerate(((15, 15), (15, 28), (40, 15), (40, 45)), start=1):
        frame[(4 * (z - 2)) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 <= 36] = number
    movie = Frames([frame] * 40, (4.0, 1.0, 1.0))
    corrupted, shown, marked, frames = corrupt_movie(movie, movie, movie, HARD, seed=4)
    assert len(corrupted) == len(frames) > 20
    assert (
        {one.shape for one in corrupted}
        == {one.shape for one in shown}
        == {one.shape for one in marked}
        == {(5, 60, 60)}
    )
    assert len(set(count_cells(corrupted))) > 1
    for change, expected in (("merge", -1), ("split", 1), ("drop", -1), ("insert", 1)):
        made, *_ = corrupt_movie(movie, None, movie, Corruption(**{change: 0.2}), seed=4)
        assert expected * (np.mean(count_cells(made)) - 4) > 0.1, change
    cube = Frames([np.pad(np.ones((9, 9, 9), np.uint8), 9)], (1.0, 1.0, 1.0))
    zoomed, *_ = corrupt_movie(cube, cube, None, Corruption(scale=0.6), seed=0)
    assert (zoomed[0] > 0).any(axis=(1, 2)).sum() == pytest.approx(5.4, abs=1), "pixels as long as wide: z too"


def test_frames_without_cells():
    movie = Frames(np.zeros((3, 20, 30), np.uint8))
    corrupted, shown, marked, _ = corrupt_movie(movie, movie, movie, HARD, seed=0)
    assert not any(frame.any() for frame in corrupted)
    assert np.isfinite(shown[0]).all()
    assert not marked[0].any()


def test_images_are_changed_as_set():
    masks = Frames(dividing_masks())
    images = Frames(images_of(dividing_masks()).astype(float))

    def measure_contrast(**change):
        shown = corrupt_movie(masks, images, None, Corruption(**change), seed=0)[1]
        return [np.median(shown[t][masks[t] > 0]) - np.median(shown[t][masks[t] == 0]) for t in (0, 5)]

    assert measure_contrast() == pytest.approx([800, 800], abs=10)
    assert measure_contrast(gain=2) == pytest.approx([1600, 1600], abs=20)
    assert measure_contrast(fading=1) == pytest.approx([800, 800 / np.e], abs=10)
    shown = corrupt_movie(masks, images, None, Corruption(noise=0.5), seed=0)[1]
    assert (shown[0] - images[0]).std() == pytest.approx(0.5 * np.std(images), rel=0.1)


def test_frames_are_removed():
    movie = Frames([np.roll(frame, t, axis=0) for t, frame in enumerate(make_grid_movie(30, side=2))])
    corrupted, _, marked, frames = corrupt_movie(movie, None, movie, Corruption(step=2), seed=0)
    assert frames == list(range(0, 30, 2))
    assert len(corrupted) == len(marked) == 15
    assert all(
        has_same_cells(corrupted[t], movie[2 * t]) and np.array_equal(marked[t], movie[2 * t]) for t in range(15)
    )
    frames = corrupt_movie(movie, None, movie, Corruption(skip=0.5), seed=0)[3]
    assert 8 < len(frames) < 22
    assert frames[0] == 0
    assert len(corrupt_movie(Frames(movie[:1]), None, None, Corruption(skip=0.9), seed=0)[3]) == 1


def test_tracks_of_the_frames_that_were_kept():
    """Track 2, and the whole of 4, fall between the frames kept.

    ::

        frame   0 1 2 3 4 5 6 7
        kept    *   *   *     *
        track 1 o-o-o
        track 2       o             (parent 1)
        track 3         o-o-o-o     (parent 2)
        track 4       o             (parent 1)
    """
    tracks = Tracks([1, 2, 3, 4], [0, 3, 4, 3], [2, 3, 7, 3], [0, 1, 2, 1])
    thinned = thin_tracks(tracks, [0, 2, 4, 7])
    assert thinned.id.tolist() == [1, 3]
    assert thinned.start.tolist() == [0, 2]
    assert thinned.end.tolist() == [1, 3]
    assert thinned.parent.tolist() == [0, 1]
    whole = thin_tracks(tracks, range(8))
    assert all(np.array_equal(getattr(whole, name), getattr(tracks, name)) for name in ("id", "start", "end", "parent"))
    assert len(thin_tracks(tracks, [])) == 0


def test_random_corruptions_are_mixed_and_repeatable():
    some = [Corruption.random(np.random.default_rng(seed)) for seed in range(300)]
    assert some[7] == Corruption.random(np.random.default_rng(7))
    faulty = np.array([one.drop + one.merge + one.split + one.insert for one in some])
    assert 0.2 < (faulty < 0.01).mean() < 0.5
    assert 0.1 < (faulty > 0.08).mean() < 0.5
    assert {one.step for one in some} == {1, 2, 3}
    calm = Corruption.random(np.random.default_rng(7), strength=0)
    assert calm == Corruption(quarter_turns=calm.quarter_turns, flip=calm.flip)


def test_impossible_corruptions_are_refused():
    with pytest.raises(InputError, match=r"drop -0\.1"):
        Corruption(drop=-0.1)
    with pytest.raises(InputError, match="at most 1"):
        Corruption(drop=0.6, merge=0.6)
    with pytest.raises(InputError, match="step 0"):
        Corruption(step=0)
    movie = make_grid_movie(3, side=2)
    with pytest.raises(InputError, match=r"3 masks .* 2 markers"):
        corrupt_movie(movie, None, Frames(movie[:2]), Corruption(), seed=0)
    with pytest.raises(FrameError, match="frame 1"):
        corrupt_movie(Frames([movie[0], movie[1] - 1.0, movie[2]]), None, None, Corruption(), seed=0)

    with pytest.raises(FrameError, match="from -2"):
        corrupt_movie(Frames([movie[0].astype(int) - 2]), None, None, Corruption(), seed=0)


def test_large_labels():
    labels, before = renumber_labels(np.array([[0, 2**40, 7]]))
    assert labels.tolist() == [[0, 2, 1]]
    assert before.tolist() == [7, 2**40]
