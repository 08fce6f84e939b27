"""Links that several frames show to be wrong or missing: exchanged cells, pieces linked to other cells, lost cells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support import events
from support.events import Look

import gnntrack
from gnntrack.events import revise_divisions
from gnntrack.lineage.build import number_tracks
from gnntrack.types import Lineage

SEEDS = [seed if seed < 3 else pytest.param(seed, marks=pytest.mark.slow) for seed in range(6)]
AT = 6  # frame of the fault


def link(movie, changes):
    """Return the graph of a movie and its lineage: each cell linked to its name in the frame before, with changes.

    Parameters
    ----------
    movie : EventMovie
        Its names are the cells.
    changes : {(name, frame): (name, frame) or None}
        Cells with another past.
    """
    graph = gnntrack.build_graph(masks=movie.masks, max_merge=0)  # the masks that cells share are not cut before
    row = {cell: int(graph.cells.row_of(cell[1], label)[()]) for cell, label in movie.label.items()}
    past = {(name, t): (name, t - 1) for name, t in row if (name, t - 1) in row} | changes
    pairs = sorted({row[cell]: row[before] for cell, before in past.items() if before is not None}.items())
    target, source = np.array(pairs).T
    track, tracks = number_tracks(graph.cells.frame, source, target)
    return graph, Lineage(graph.cells, track, tracks, source, target, np.ones(len(source)))


def revise(movie, changes, *, longest_gap=2, longer_gaps=False):
    graph, lineage = link(movie, changes)
    return revise_divisions(lineage, graph, longest_gap=longest_gap, longer_gaps=longer_gaps)


def keep_identities(movie, lineage, frames):
    before, after = frames
    return all(movie.find_track(lineage, name, before) == movie.find_track(lineage, name, after) for name in "ab")


def draw_shared(seed, frames_merged, **look):
    look = Look(radius=6 + seed % 3, jitter=0.5 + 0.1 * seed, neighbours=8, **look)
    rng = np.random.default_rng(seed)
    return events.draw_merged_masks(
        rng, frames_merged=frames_merged, look=look, first=AT, approach=0, ratio=1 - 0.04 * seed
    )[0]


def drop(movie, name, frame):
    """Return the movie without one mask."""
    masks, label = movie.masks.copy(), dict(movie.label)
    masks[frame][masks[frame] == label.pop((name, frame))] = 0
    return replace(movie, masks=masks, label=label)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_exchanged_cells_are_exchanged_back(seed, ndim):
    movie = draw_shared(seed, 1, ndim=ndim)
    lineage = revise(movie, {("a", AT): ("a", AT - 1), ("b", AT): ("a", AT - 1), ("a", AT + 1): ("b", AT - 1)})
    assert events.count_divisions(lineage) == 0
    assert keep_identities(movie, lineage, (AT - 1, AT + 1))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cell_that_was_lost_in_a_shared_mask_goes_on(seed):
    movie = draw_shared(seed, 1)
    lineage = revise(movie, {("b", AT): ("a", AT - 1), ("a", AT + 1): None, ("b", AT + 1): ("a", AT)})
    assert keep_identities(movie, lineage, (AT - 1, AT + 1))


@pytest.mark.parametrize("frames_merged", [2, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_masks_that_are_shared_for_longer(seed, frames_merged):
    movie = draw_shared(seed, frames_merged)
    after = AT + frames_merged
    changes = {("b", t): ("a", t - 1) for t in range(AT, after)} | {("b", after): ("a", after - 1), ("a", after): None}
    assert keep_identities(movie, revise(movie, changes), (AT - 1, after))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cell_that_is_missing_after_a_shared_mask(seed):
    movie = drop(draw_shared(seed, 1), "b", AT + 1)
    lineage = revise(movie, {("b", AT): ("a", AT - 1), ("b", AT + 2): None})
    assert keep_identities(movie, lineage, (AT - 1, AT + 2))


@pytest.mark.parametrize("seed", SEEDS)
def test_correct_links_stay(seed):
    movie = draw_shared(seed, 1)
    correct = {("b", AT): ("a", AT - 1), ("b", AT + 1): ("b", AT - 1)}
    assert revise(movie, correct).track.tolist() == link(movie, correct)[1].track.tolist()


def draw_split(seed, ndim=2):
    """Return a movie of a cell a, in pieces a and q in one frame."""
    look = Look(ndim=ndim, radius=6 + seed % 3, jitter=0.4, neighbours=8)
    rng = np.random.default_rng(seed)
    path = {t: (rng.normal(0, 0.2, ndim), look.radius * np.exp(rng.normal(0, 0.01))) for t in range(look.frames)}
    return split(events.draw_movie(rng, look, {"a": path}), rng, "a", "q", AT)


def split(movie, rng, name, piece, frame):
    """Return the movie with a part of a cell's mask as another mask."""
    masks, label = movie.masks.copy(), dict(movie.label)
    pixels = np.argwhere(masks[frame] == label[name, frame])
    half = pixels[(pixels - pixels.mean(axis=0)) @ rng.normal(size=pixels.shape[1]) > 0]
    label[piece, frame] = int(masks[frame].max()) + 1
    masks[frame][tuple(half.T)] = label[piece, frame]
    return replace(movie, masks=masks, label=label)


def find_nearest(movie, name, frame):
    """Return the neighbour that is nearest to a cell."""

    def locate(cell):
        return np.argwhere(movie.masks[frame] == movie.label[cell, frame]).mean(axis=0)

    others = [each for each, t in movie.label if t == frame and each not in "aq"]
    return min(others, key=lambda each: np.linalg.norm(locate(each) - locate(name)))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("wrong", ["future", "past", "both", "division"])
@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_are_not_linked_to_other_cells(seed, wrong, ndim):
    movie = draw_split(seed, ndim)
    other = find_nearest(movie, "a", AT)
    changes = {("q", AT): None}
    if wrong in ("past", "both"):  # the other piece goes on as the cell, and comes from a neighbour
        changes |= {("q", AT): (other, AT - 1), (other, AT): None, ("a", AT + 1): ("q", AT)}
    if wrong == "division":
        changes[("q", AT)] = ("a", AT - 1)
    if wrong in ("future", "division"):
        changes[(other, AT + 1)] = ("q", AT)
    lineage = revise(movie, changes)
    assert events.count_divisions(lineage) == 0
    tracks = {movie.find_track(lineage, "a", t) for t in (AT - 1, AT + 1)}
    assert len(tracks) == 1
    pieces = {movie.find_track(lineage, name, AT) for name in "aq"}
    assert tracks <= pieces
    assert np.bincount(lineage.track)[list(pieces - tracks)] == [1]


@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_of_two_cells_in_consecutive_frames(seed):
    """A piece of one cell is linked to a piece of another one in the next frame, the clearer case."""
    look = Look(radius=6 + seed % 3, jitter=0.4, neighbours=6)
    rng = np.random.default_rng(seed)
    paths = {
        name: {t: (np.array([0, x * look.radius]) + rng.normal(0, 0.2, 2), look.radius) for t in range(look.frames)}
        for name, x in (("a", -1.5), ("b", 1.5))
    }
    paths["a"][AT] = paths["a"][AT][0] + 0.3 * look.radius, 0.9 * look.radius
    movie = events.draw_movie(rng, look, paths)
    movie = split(split(movie, rng, "a", "q", AT), rng, "b", "r", AT + 1)
    lineage = revise(movie, {("q", AT): None, ("b", AT + 1): ("q", AT), ("r", AT + 1): ("b", AT)})
    for name, piece, t in (("a", "q", AT), ("b", "r", AT + 1)):
        tracks = {movie.find_track(lineage, name, frame) for frame in (t - 1, t + 1)}
        assert len(tracks) == 1
        assert tracks <= {movie.find_track(lineage, each, t) for each in (name, piece)}


@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_of_a_cell_that_moves_stay_with_the_cell_at_their_place(seed):
    """A cell appears where the pieces' cell would be if it had not moved; one of the pieces is linked to it."""
    look = Look(radius=6 + seed % 3, jitter=0.4, neighbours=6)
    rng = np.random.default_rng(seed)

    def place(x, frames, scale):
        return {t: (np.array([0, x * look.radius]) + rng.normal(0, 0.2, 2), scale * look.radius) for t in frames}

    path = place(0, range(AT), 1) | place(1.15, range(AT, look.frames), 0.85)
    movie = events.draw_movie(rng, look, {"a": path, "b": place(-0.95, range(AT + 1, look.frames), 0.95)})
    movie = split(movie, rng, "a", "q", AT)
    lineage = revise(movie, {("q", AT): None, ("b", AT + 1): ("q", AT)})
    tracks = {movie.find_track(lineage, "a", frame) for frame in (AT - 1, AT + 1)}
    assert len(tracks) == 1
    assert tracks <= {movie.find_track(lineage, name, AT) for name in "aq"}


@pytest.mark.parametrize("wrong", ["past", "gap"])
@pytest.mark.parametrize("seed", SEEDS)
def test_pieces_of_a_cell_that_was_smaller_before(seed, wrong):
    """Only the cell after the pieces shows that both are one cell, as after a division."""
    look = Look(radius=6 + seed % 3, jitter=0.4, neighbours=8)
    rng = np.random.default_rng(seed)
    path = {t: (rng.normal(0, 0.2, 2), look.radius * (0.7 if t < AT else 1)) for t in range(look.frames)}
    movie = split(events.draw_movie(rng, look, {"a": path}), rng, "a", "q", AT)
    other = find_nearest(movie, "a", AT)
    changes = {("q", AT): (other, AT - 1), (other, AT): None}
    if wrong == "gap":  # the cell one frame before is linked to one piece, the cell two frames before to the other
        changes = {("q", AT): ("a", AT - 1), ("a", AT): ("a", AT - 2)}
    lineage = revise(movie, changes)
    tracks = {movie.find_track(lineage, "a", frame) for frame in (AT - 1, AT + 1)}
    assert len(tracks) == 1
    pieces = {movie.find_track(lineage, name, AT) for name in "aq"}
    assert tracks <= pieces
    assert np.bincount(lineage.track)[list(pieces - tracks)] == [1]


def draw_missing(seed, missing, *, frames=14, neighbours=8):
    """Return a movie of a cell a without masks in some frames."""
    look = Look(radius=6 + seed % 3, jitter=0.4, neighbours=neighbours, frames=frames)
    rng = np.random.default_rng(seed)
    path = {t: (rng.normal(0, 0.3, 2), look.radius) for t in range(frames) if t not in missing}
    return events.draw_movie(rng, look, {"a": path})


@pytest.mark.parametrize(("longest_gap", "joined"), [(1, False), (2, False), (3, True)])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_cell_is_followed_over_gaps_of_the_length_that_is_allowed(seed, longest_gap, joined):
    movie = draw_missing(seed, [AT, AT + 1])
    lineage = revise(movie, {}, longest_gap=longest_gap)
    assert (movie.find_track(lineage, "a", AT - 1) == movie.find_track(lineage, "a", AT + 2)) is joined


@pytest.mark.parametrize("missed", [0, 30])
@pytest.mark.parametrize("seed", SEEDS)
def test_longer_gaps_are_joined_in_movies_that_miss_many_masks(seed, missed):
    movie = draw_missing(seed, [AT, AT + 1], frames=30, neighbours=16)
    names = sorted({name for name, _ in movie.label} - {"a"})
    gaps = [(name, t) for t in range(2, 28, 4) for name in names][:missed]
    for name, t in gaps:
        movie = drop(movie, name, t)
    lineage = revise(movie, {(name, t + 1): (name, t - 1) for name, t in gaps}, longer_gaps=True)
    assert (movie.find_track(lineage, "a", AT - 1) == movie.find_track(lineage, "a", AT + 2)) is (missed > 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cell_that_is_missing_before_a_shared_mask(seed):
    movie = drop(draw_shared(seed, 1), "b", AT - 1)
    lineage = revise(movie, {("b", AT): ("a", AT - 1), ("b", AT + 1): ("a", AT)})
    assert events.count_divisions(lineage) == 0
    for name, before in (("a", AT - 1), ("b", AT - 2)):
        assert movie.find_track(lineage, name, before) == movie.find_track(lineage, name, AT + 1)
