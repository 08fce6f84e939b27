"""The learned appearance: crops show the cells, and training brings those of one cell together."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from support import worlds

from gnntrack.errors import FormatError, FrameError, MissingDependencyError
from gnntrack.gnn.appearance import Embedder, crop_cells, embed
from gnntrack.io.frames import open_frames, open_masks
from gnntrack.measure.cells import measure_cells
from gnntrack.settings import CellSettings, SimulateSettings
from gnntrack.simulate import simulate_movie
from gnntrack.training.appearance import EmbedderPlan, TrackedCrops, train_embedder


def crop_movie(masks, images, **options):
    """Return the cells of arrays, and their crops."""
    images = open_frames(images)
    cells, runs, _ = measure_cells(open_masks(masks), images=images, settings=CellSettings())
    return cells, crop_cells(cells, runs, images, **options)


def simulate_crops(seed, shape=(144, 144), **options):
    """Return the crops of a simulated movie, the track of each cell, and its frame."""
    movie = simulate_movie(settings=SimulateSettings(frames=6, shape=shape, cells=9, **options), seed=seed)
    cells, runs, _ = measure_cells(movie.masks, images=movie.images, settings=CellSettings())
    track = movie.lineage.track[movie.lineage.cells.row_of(cells.frame, cells.label)]
    return TrackedCrops(crop_cells(cells, runs, movie.images), track, cells.frame)


@pytest.fixture(scope="module")
def movie():
    return simulate_crops(1)


@pytest.fixture(scope="module")
def embedder(movie):
    return train_embedder([movie], plan=EmbedderPlan(steps=80, width=8, rate=1e-3, head_rate=1e-3))


def count_right(points, track, frame):
    """Return the fraction of cells whose nearest embedding of the next frame is that of the same cell."""
    right = []
    for row in range(len(track)):
        after = np.flatnonzero(frame == frame[row] + 1)
        if (track[after] == track[row]).any():
            right.append(track[after[np.argmax(points[after] @ points[row])]] == track[row])
    return np.mean(right)


# --------------------------------------------------------------------------- crops


def make_squares():
    """Return a movie of one frame: a bright and a dark cell, touching, of 8 x 8 and 8 x 4 pixels."""
    masks, images = np.zeros((1, 30, 30), np.int32), np.full((1, 30, 30), 500, np.uint16)
    masks[0, 4:12, 4:12], images[0, 4:12, 4:12] = 7, 200
    masks[0, 4:12, 12:16], images[0, 4:12, 12:16] = 3, 100
    return masks, images


def test_crops_show_the_cell_alone():
    cells, found = crop_movie(*make_squares(), side=16)
    assert cells.label.tolist() == [3, 7]
    assert found.shape == (2, 16, 16)
    assert found.dtype == np.uint8
    wide, narrow = found[1], found[0]
    assert (wide == 255).all()  # its background is brighter than itself, and not to be seen
    assert (narrow[:, 4:12] == 1).all()
    assert (narrow[:, :4] == 0).all()
    assert (narrow[:, 12:] == 0).all()


@pytest.mark.parametrize("side", [8, 32])
def test_crops_do_not_depend_on_the_size_of_a_pixel_or_the_camera(side):
    masks, images = make_squares()
    _, fine = crop_movie(masks, images, side=side)
    large = [np.kron(each, np.ones((1, 3, 3), each.dtype)) for each in (masks, images)]
    _, coarse = crop_movie(large[0], large[1].astype(np.float32) * 0.3 - 20, side=side)
    np.testing.assert_allclose(fine.astype(int), coarse.astype(int), atol=1)


def test_a_cell_larger_than_nearly_all_others_loses_its_ends():
    world = worlds.draw_lattice()[0]
    masks = worlds.draw_world(world, shape=(256, 128)).masks
    masks[0, 140:250, 60:70] = 5
    cells, found = crop_movie(masks, masks.astype(np.float32), side=24)
    long = found[cells.row_of(0, 5)]
    assert (long > 0).any(axis=1).all()
    assert 0 < (long > 0).any(axis=0).sum() < 24


def test_a_stack_is_seen_from_above():
    masks = np.zeros((1, 5, 20, 20), np.int32)
    images = np.zeros((1, 5, 20, 20), np.uint16)
    masks[0, 1, 4:12, 4:8], images[0, 1, 4:12, 4:8] = 1, 100
    masks[0, 2, 4:12, 4:12], images[0, 2, 4:12, 4:12] = 1, 50
    masks[0, 3, 4:12, 8:12], images[0, 3, 4:12, 8:12] = 1, 150
    _, found = crop_movie(masks, images, side=8)
    assert found.shape == (1, 8, 8)
    assert found[0, 0].tolist() == [128] * 4 + [255] * 4


def test_pixels_that_are_not_finite_are_dark():
    masks, images = make_squares()
    images = images.astype(np.float32)
    images[0, 4, 4], images[0, 5, 5] = np.nan, np.inf
    _, found = crop_movie(masks, images, side=8)
    assert found[1, 0, 0] == found[1, 1, 1] == 1
    assert found[1, 2, 2] == 255


def test_each_image_is_read_once():
    masks, images = worlds.parent_divides().masks, worlds.parent_divides().masks.astype(np.float32)
    cells, runs, _ = measure_cells(open_masks(masks), settings=CellSettings())
    stack, read, seen = open_frames(images), [], []

    class Counting:
        shape, spacing, unit, names = stack.shape, stack.spacing, stack.unit, stack.names

        def __len__(self):
            return len(stack)

        def __getitem__(self, frame):
            read.append(frame)
            return stack[frame]

    crop_cells(cells, runs, Counting(), progress=lambda *each: seen.append(each))
    assert read == list(range(6))
    assert seen[-1] == ("crops", 6, 6)


def test_images_of_another_movie_are_refused():
    masks, images = make_squares()
    cells, runs, _ = measure_cells(open_masks(masks), settings=CellSettings())
    with pytest.raises(FrameError, match=r"images have 1 frame of \(30, 29\)"):
        crop_cells(cells, runs, open_frames(images[:, :, 1:]))
    nobody = worlds.empty_masks().masks
    assert crop_movie(nobody, nobody.astype(np.float32))[1].shape == (0, 32, 32)


# --------------------------------------------------------------------------- embedding


def test_training_brings_crops_of_a_cell_together(movie, embedder):
    looks, track, frame = movie
    points = embed(embedder, looks)
    assert count_right(points, track, frame) > 0.95  # without training .86
    similarity = points @ points.T
    same = track[:, None] == track
    together = np.abs(frame[:, None] - frame) == 1
    at_once = frame[:, None] == frame
    assert np.median(similarity[same & together]) > 0.8
    assert np.median(similarity[~same & at_once]) < 0.5


def test_embeddings_have_length_one_whatever_the_batch(movie, embedder):
    looks = movie[0]
    points = embed(embedder, looks)
    assert points.shape == (len(looks), 128)
    assert points.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)
    order = np.random.default_rng(0).permutation(len(looks))
    np.testing.assert_allclose(embed(embedder, looks[order], batch=7), points[order], atol=1e-5)
    assert embed(embedder, looks[:0]).shape == (0, 128)
    dark = embed(embedder, np.zeros((1, 32, 32), np.uint8))
    assert np.linalg.norm(dark) == pytest.approx(1, abs=1e-5)


def test_embedding_leaves_the_network_as_it_was(movie):
    embedder = Embedder(width=4, embedding=8).train()
    before = {name: value.clone() for name, value in embedder.state_dict().items()}
    embed(embedder, movie[0])
    assert embedder.training
    assert all(torch.equal(value, before[name]) for name, value in embedder.state_dict().items())


def test_published_size():
    """The layout of ResNet18: 11.18 million numbers less the colours and the classes, and the last layer."""
    embedder = Embedder(width=64)
    trunk = sum(each.numel() for each in embedder.trunk.parameters())
    assert trunk == 11_689_512 - 64 * 2 * 7 * 7 - (512 * 1000 + 1000)
    assert (embedder.head.in_features, embedder.head.out_features) == (512, 128)


def test_same_seed_same_network(movie):
    state = torch.random.get_rng_state()
    first, second, other = (
        train_embedder([movie], plan=EmbedderPlan(steps=2, width=4, embedding=8, rate=1e-3), seed=seed)
        for seed in (3, 3, 4)
    )
    assert torch.equal(torch.random.get_rng_state(), state)  # the random numbers of others are left alone
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_learns_from_several_movies_and_in_3d():
    movies = [simulate_crops(2), simulate_crops(3, shape=(12, 64, 64), diameter=10.0)]
    seen = []
    embedder = train_embedder(
        movies,
        plan=EmbedderPlan(steps=4, width=4, embedding=16),
        progress=lambda *each: seen.append(each),
    )
    assert not embedder.training
    assert seen == [("appearance", step, 4) for step in (1, 2, 3, 4)]
    assert embed(embedder, movies[1][0]).shape == (len(movies[1][1]), 16)


def test_movies_with_nothing_to_compare_are_refused(movie):
    looks, track, frame = movie
    with pytest.raises(FormatError, match="none of 1 movie has two tracks"):
        train_embedder([TrackedCrops(looks, np.zeros_like(track), frame)])
    one_after_the_other = np.where(frame == 0, 0, 1 + (frame > 2))
    _, alone = np.unique(frame, return_index=True)
    with pytest.raises(FormatError, match="none of 1 movie has two tracks at one time"):
        train_embedder([TrackedCrops(looks[alone], one_after_the_other[alone], frame[alone])])
    each_its_own = TrackedCrops(looks, np.arange(1, len(track) + 1), frame)
    empty = TrackedCrops(looks[:0], track[:0], frame[:0])
    with pytest.raises(FormatError, match="none of 2 movies"):
        train_embedder([each_its_own, empty])


def test_tells_how_to_install_what_is_missing(movie, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'gnntrack\[appearance\]'"):
        train_embedder([movie], plan=EmbedderPlan(steps=1))
