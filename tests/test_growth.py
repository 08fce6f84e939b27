"""Cells that grow and push each other apart: rows of bacteria, colonies, and movies of them with few frames."""

from __future__ import annotations

import numpy as np
import pytest

from gnntrack import build_graph, simulate, track
from gnntrack.graph.growth import find_growth
from gnntrack.graph.motion import estimate_motion
from gnntrack.scores.model import MovieModel
from gnntrack.settings import MotionSettings
from gnntrack.types import Cells


def make_cells(frames, *, size=(400, 400), diameter=6.0):
    """Return round cells at the positions of each frame."""
    position = np.concatenate(frames)
    return Cells(
        [t for t, frame in enumerate(frames) for _ in frame],
        [1 + i for frame in frames for i in range(len(frame))],
        position,
        np.full((len(position), 1), 6.0) if np.isscalar(diameter) else diameter[:, None],
        ("diameter",),
        ("",),
        (1, 1),
        len(frames),
        size,
    )


def make_row(factor, *, frames=4, cells=14):
    """Return rows of cells that begin at y = 5, longer by a factor in each frame."""
    steps = 8 + np.random.default_rng(3).uniform(-1.5, 1.5, cells)
    place = 5 + np.cumsum(steps) - steps[0]
    return [np.column_stack([5 + (place - 5) * factor**t, np.full(cells, 20.0)]) for t in range(frames)]


@pytest.mark.parametrize("factor", [1.15, 1.3, 1.5])
def test_a_row_that_becomes_longer_is_followed(factor):
    """Its end moves by several cells; by the median motion of neighbours, most cells are next to another one."""
    frames = make_row(factor)
    cells = make_cells(frames)
    motion = estimate_motion(cells, settings=MotionSettings())
    assert motion.flow == "growth"
    for t in range(len(frames) - 1):
        here, there = cells.rows(t), cells.rows(t + 1)
        np.testing.assert_allclose(cells.position[here] + motion.shift[here], cells.position[there], atol=0.5)


def test_the_motion_in_the_last_frame_and_in_frames_without_cells_is_zero():
    frames = [*make_row(1.3), np.zeros((0, 2)), make_row(1.3)[0]]
    cells = make_cells(frames)
    shift = estimate_motion(cells, settings=MotionSettings()).shift
    np.testing.assert_array_equal(shift[cells.rows(3)], 0)
    np.testing.assert_array_equal(shift[cells.rows(5)], 0)


@pytest.mark.parametrize("seed", range(6))
def test_cells_that_do_not_grow_have_no_growth(seed):
    random = np.random.default_rng(seed)
    still = random.uniform(20, 380, (40, 2))
    walk = [still + random.normal(0, 2, still.shape) for _ in range(5)]
    anywhere = [random.uniform(20, 380, (40, 2)) for _ in range(5)]
    for frames in (walk, anywhere):
        assert estimate_motion(make_cells(frames), settings=MotionSettings()).flow != "growth"


@pytest.mark.parametrize("frames", [[], [0], [1, 1], [3, 3], [13, 0, 13]])
def test_few_cells_have_no_growth(frames):
    cells = make_cells([np.zeros((0, 2)), *(np.arange(2.0 * n).reshape(n, 2) for n in frames)])
    drift, known = np.zeros((cells.n_frames, 2)), np.zeros_like(cells.position)
    assert find_growth(cells, drift, known, neighbours=8) is None


def test_a_jump_of_the_stage_is_found_among_regular_cells():
    """In a lattice, phase correlation finds a shift by one cell; sizes of cells tell the right one."""
    random = np.random.default_rng(4)
    grid = 20 * np.stack(np.meshgrid(range(4, 14), range(4, 14)), axis=-1).reshape(-1, 2) + random.normal(
        0, 1.5, (100, 2)
    )
    jump = np.array([47.0, -33.0])
    frames = [grid + random.normal(0, 0.5, grid.shape) + jump * (t >= 3) for t in range(6)]
    cells = make_cells(frames, diameter=np.tile(random.uniform(8, 16, 100), 6))
    motion = estimate_motion(cells, settings=MotionSettings())
    np.testing.assert_allclose(motion.drift[2], jump, atol=2)
    np.testing.assert_allclose(motion.shift[cells.rows(2)], np.tile(jump, (100, 1)), atol=2)


def test_growth_is_not_a_change_of_size():
    """A cell that grows as all cells do is as likely as one that keeps its size in a movie without growth."""
    masks = np.zeros((4, 300, 500), np.int32)
    for t in range(4):
        for i in range(60):
            y, x = 20 + 45 * (i // 10), 20 + 45 * (i % 10)
            masks[t, y : y + round(8 * 1.25**t), x : x + 12] = i + 1
    model = MovieModel.from_graph(build_graph(masks=masks))
    assert model.growth == pytest.approx(np.log(1.25), rel=0.2)  # the sample is small
    assert model.size < 0.1


def test_a_colony_with_every_fourth_frame_keeps_its_lineage():
    """A third of the links was wrong: cells moved farther than their width, and most of them divided."""
    movie = simulate(kind="colony", seed=1005)
    cells, true = movie.lineage.cells, movie.lineage.track
    parent = dict(zip(movie.lineage.tracks.id.tolist(), movie.lineage.tracks.parent.tolist(), strict=True))
    lineage = track(masks=np.stack([np.asarray(movie.masks[t]) for t in range(0, cells.n_frames, 4)]))
    rows = cells.row_of(4 * lineage.cells.frame, lineage.cells.label)
    ids = true[rows]

    def list_line(track_id):
        while track_id:
            yield track_id
            track_id = parent[track_id]

    right = sum(
        int(ids[source] in list_line(ids[target]))
        for source, target in zip(lineage.source.tolist(), lineage.target.tolist(), strict=True)
    )
    expected = int((lineage.cells.frame > 0).sum())
    assert right > 0.85 * expected
