"""Points of a stack that drifts, jumps and freezes, and of cells that blink."""

import time

import numpy as np
import pandas as pd
import pytest

import gnntrack
from gnntrack.graph.point_links import measure_rounding
from gnntrack.graph.stack import describe_stack, estimate_stack
from gnntrack.measure.points import make_point_cells
from gnntrack.point_movie import open_points
from gnntrack.settings import Settings
from gnntrack.sparse_assignment import match_sparse
from gnntrack.types import PointSet, StackMotion


def make_tissue(*, cells: int = 40, frames: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (T, N, 3) of cells that walk at random without drift, and their typical distance."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(120, 180, (cells, 3))
    return start + np.cumsum(rng.normal(0, 0.3, (frames, cells, 3)), axis=0), rng


def tabulate(places: list[np.ndarray]) -> pd.DataFrame:
    """Return a table of the points of each frame, with the column ``cell``."""
    rows = [(t, *place, k) for t, frame in enumerate(places) for k, place in enumerate(frame)]
    table = pd.DataFrame(rows, columns=["t", "z", "y", "x", "cell"])
    return table[np.isfinite(table.x)].reset_index(drop=True)


def check_tracks(lineage: gnntrack.Lineage, table: pd.DataFrame) -> None:
    """Check that each track is one cell, and each cell one track."""
    own = table.cell.to_numpy()
    assert (own[lineage.source] == own[lineage.target]).all()
    assert len(lineage) == table.cell.nunique()


def test_drift_longer_than_the_distance_of_cells_is_removed():
    place, _ = make_tissue()
    drift = np.cumsum(np.full((12, 3), [4.0, 9.0, -9.0]), axis=0)
    table = tabulate(list(place + drift[:, None]))
    stack = estimate_stack(open_points(table, settings=Settings()).cells)
    assert np.abs(np.diff(stack.place, axis=0) - [4.0, 9.0, -9.0]).max() < 0.3
    check_tracks(gnntrack.track(points=table[["t", "z", "y", "x"]], divisions=False), table)


def test_a_jump_of_one_frame_and_back_is_told_and_does_not_break_tracks():
    place, _ = make_tissue(frames=10)
    place = place + np.linspace(0, 3, 10)[:, None, None]
    place[6] += (8.0, 1.0, 0.0)
    table = tabulate(list(place))
    with pytest.warns(gnntrack.GnntrackWarning, match="^found: the stack jumps in frame 6$"):
        lineage = gnntrack.track(points=table[["t", "z", "y", "x"]], divisions=False)
    check_tracks(lineage, table)
    assert lineage.provenance.stack["jumps"] == [6]


def test_daughters_may_be_farther_apart_than_neighbours():
    before, after = [(0, 5, 5), (0, 5, 105), (0, 5, 205)], [(1, 5, 5), (1, 5, 105), (1, 5, 205), (1, 145, 5)]
    graph = gnntrack.build_graph(points=np.array(before + after, float))
    assert (0, 6) in list(zip(graph.source.tolist(), graph.target.tolist(), strict=True))  # 1.4 distances of neighbours


@pytest.mark.parametrize(("frames", "noise"), [(4, 0.3), (8, 0.1)])
def test_chance_steps_of_few_points_are_not_jumps(frames, noise):
    """The stack stands still, and few points are rounded to long voxels."""
    size = np.array([5.0, 0.4, 0.4])
    for seed in range(20):
        rng = np.random.default_rng(seed)
        place = rng.uniform(0, (30, 100, 100), (5, 3)) + np.cumsum(rng.normal(0, noise, (frames, 5, 3)), axis=0)
        rounded = np.rint(place / size).reshape(-1, 3) * size
        points = PointSet(np.repeat(np.arange(frames), 5), rounded, tuple(size), "um")
        assert not estimate_stack(make_point_cells(points)[0]).jumps


@pytest.mark.parametrize(("factor", "offset"), [(1e-6, 0.0), (1.0, 1e8)])
def test_positions_in_metres_and_far_from_0_are_tracked_the_same(factor, offset):
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 100, (40, 3)) + np.cumsum(rng.normal(0, 0.5, (8, 40, 3)), axis=0)
    table = tabulate(list(place * factor + offset))
    graph = gnntrack.build_graph(points=table[["t", "z", "y", "x"]])
    assert not measure_rounding(graph.cells).any()
    check_tracks(gnntrack.solve(graph, divisions=False), table)


def test_frames_that_are_copies_are_told_and_their_motion_is_not_counted_twice():
    place, _ = make_tissue()
    place = place + np.arange(12)[:, None, None] * np.array([0.0, 1.5, 0.0])
    place[[4, 8]] = place[[3, 7]]  # the frames after them show two steps
    table = tabulate(list(place))
    with pytest.warns(gnntrack.GnntrackWarning, match="found: 2 frames are copies of the frame before: 4, 8"):
        graph = gnntrack.build_graph(points=table[["t", "z", "y", "x"]])
    stack = StackMotion.from_graph(graph)
    assert stack.frozen == (4, 8)
    assert np.allclose(np.diff(stack.place[:, 1]), [1.5, 1.5, 1.5, 0, 3, 1.5, 1.5, 0, 3, 1.5, 1.5], atol=0.4)
    assert stack.count_steps(np.array([3, 3, 4]), np.array([4, 5, 5])).tolist() == [0, 2, 2]
    out_of_original = graph.source[graph.cells.frame[graph.source] == 3]
    assert len(out_of_original) == 40  # each point has one candidate, its copy
    check_tracks(gnntrack.solve(graph, divisions=False), table)


def test_a_movie_that_stands_still_has_no_copies():
    place, _ = make_tissue(frames=1)
    cells = open_points(tabulate([place[0]] * 5), settings=Settings()).cells
    assert describe_stack(estimate_stack(cells)) is None


def test_thousands_of_points_at_one_place_take_no_time():
    points = np.zeros((6000, 3))
    points[3000:, 0] = 1
    points[::50, 1:] = np.random.default_rng(0).uniform(0, 90, (120, 2))
    with pytest.warns(gnntrack.errors.GnntrackWarning, match="same place"):
        cells = open_points(points, settings=Settings()).cells
    start = time.process_time()
    assert np.abs(estimate_stack(cells).place).max() < 90
    assert time.process_time() - start < 10  # without a limit, minutes and gigabytes


def test_few_points_have_no_drift():
    cells = open_points(np.array([[0, 5, 5], [0, 9, 9], [1, 9, 5], [1, 13, 9]]), settings=Settings()).cells
    assert not estimate_stack(cells).place.any()


def test_a_cell_that_blinks_is_one_track():
    place, rng = make_tissue(frames=16)
    place[[3, 4, 5, 9, 12, 13], 0] = np.nan
    lost = rng.uniform(size=place.shape[:2]) < 0.05
    lost[[0, -1]] = lost[:, 0] = False
    place[lost] = np.nan
    table = tabulate(list(place + np.cumsum(rng.normal(0, 2, (16, 1, 3)), axis=0)))
    lineage = gnntrack.track(points=table[["t", "z", "y", "x"]], divisions=False, interpolate=False)
    check_tracks(lineage, table)
    assert gnntrack.track(points=table[["t", "z", "y", "x"]], divisions=False, max_gap=1).tracks.id[-1] > len(lineage)


@pytest.mark.filterwarnings("ignore:points")
def test_frames_without_points_do_not_end_tracks():
    place, _ = make_tissue()
    place[4:9] = np.nan
    table = tabulate(list(place))
    check_tracks(gnntrack.track(points=table[["t", "z", "y", "x"]], divisions=False, interpolate=False), table)


@pytest.mark.filterwarnings("ignore:points")
def test_the_gate_grows_with_the_square_root_of_time():
    place = np.array([[0, 0.0], [0, 50], [50, 0], [50, 50], [25, 25]])
    frames = [place, np.full_like(place, np.nan), place + np.array([0, 4.0]), np.full_like(place, np.nan)]
    rows = [(t, *p) for t, frame in enumerate(frames) for p in frame if np.isfinite(p[0])]
    for gate, expected in ((2.5, 0), (3.0, 5)):  # 3 * sqrt(2) > 4
        graph = gnntrack.build_graph(points=np.array(rows), max_distance=gate, drift=False, flow="none")
        assert len(graph) == expected


def test_the_motion_of_the_stack_is_stored(tmp_path):
    from gnntrack.io.geff import read_graph, write_graph

    place, _ = make_tissue(frames=4)
    graph = gnntrack.build_graph(points=tabulate(list(place + np.arange(4)[:, None, None]))[["t", "z", "y", "x"]])
    write_graph(graph, tmp_path / "graph.geff")
    again = read_graph(tmp_path / "graph.geff")
    assert np.array_equal(StackMotion.from_graph(again).place, StackMotion.from_graph(graph).place)
    assert np.array_equal(gnntrack.solve(again).track, gnntrack.solve(graph).track)


def test_sparse_assignment_is_optimal():
    from scipy.optimize import linear_sum_assignment

    rng = np.random.default_rng(0)
    for _ in range(200):
        n, m = rng.integers(1, 8, 2)
        key = rng.choice(n * m, rng.integers(1, n * m + 1), replace=False)
        row, column, weight = key // m, key % m, rng.normal(1, 2, len(key)).round(1)
        chosen = match_sparse(row, column, weight)
        full = np.zeros((n, m))
        full[row, column] = np.maximum(weight, 0)
        assert np.isclose(weight[chosen].sum(), full[linear_sum_assignment(-full)].sum())
        assert len(set(row[chosen])) == len(set(column[chosen])) == chosen.sum()


@pytest.mark.filterwarnings("ignore:found")
def test_gaps_are_filled_on_a_line_in_the_stack_that_does_not_move(tmp_path):
    drift = np.array([0.0, 5, 6, 6, 30, 25])  # frame 3 is a copy of frame 2
    cells = np.random.default_rng(3).uniform(120, 180, (30, 3))
    place = np.array([cells + np.array([0.0, shift, 0.0]) for shift in drift])
    place += np.random.default_rng(4).normal(0, 0.2, place.shape)
    place[3] = place[2]
    place[5, 0] += (0.0, 0.0, 1.2)  # in three time steps: the points between are those of 2 and 4
    place[[3, 4], 0] = np.nan
    table = tabulate(list(place))[["t", "z", "y", "x"]]
    lineage = gnntrack.track(points=table, divisions=False)
    added = np.flatnonzero(lineage.cells.feature("interpolated"))
    assert lineage.cells.frame[added].tolist() == [3, 4]
    along = place[[2, 5], 0] - np.array([[0, 6, 0], [0, 25, 0]])
    expected = along[0] + np.outer([0, 2 / 3], along[1] - along[0]) + np.array([[0, 6, 0], [0, 30, 0]])
    assert np.abs(lineage.cells.position[added] - expected).max() < 0.2
    track = lineage[lineage.track[added[0]]]
    assert track.frames.tolist() == list(range(6))
    assert lineage.provenance.points_interpolated == 2
    assert lineage.confidence.min() > 0.5
    written = gnntrack.export(lineage, tmp_path / "points.csv", to="points")
    read = pd.read_csv(tmp_path / "points.csv")
    assert read.interpolated.sum() == 2
    assert len(read) == len(written.cells) == len(table) + 2
    lineage.to_geff(tmp_path / "lineage.geff")
    again = gnntrack.load(tmp_path / "lineage.geff")
    assert again.cells.feature("interpolated").sum() == 2
    without = gnntrack.track(points=table, divisions=False, interpolate=False)
    assert len(without.cells) == len(table)
    assert len(without) == len(lineage)


def test_short_families_are_dropped_and_counted():
    place, _ = make_tissue(frames=8)
    flash = np.full((8, 3, 3), np.nan)
    flash[2:4, 0], flash[5, 1], flash[1:7, 2] = (20, 20, 20), (20, 20, 90), (90, 20, 90)
    table = tabulate(list(np.concatenate([place, flash], axis=1)))
    lineage = gnntrack.track(points=table[["t", "z", "y", "x"]], min_length=4, divisions=False)
    assert (len(lineage), lineage.provenance.short_dropped) == (41, 2)
    assert len(lineage.cells) == 40 * 8 + 6


def test_positions_are_smoothed_without_the_motion_of_the_stack():
    place, rng = make_tissue(frames=16)
    noisy = place + rng.normal(0, 0.8, place.shape)
    drift = rng.normal(0, 4, (16, 1, 3))
    lineage = gnntrack.track(points=tabulate(list(noisy + drift))[["t", "z", "y", "x"]], smooth=5, divisions=False)
    found = lineage.cells.position.reshape(place.shape)
    error = [np.std(each - place - drift) for each in (found, noisy + drift)]
    assert error[0] < 0.75 * error[1]
    assert lineage.provenance.smoothed == 5


def test_steps_of_points_are_refused_for_masks():
    masks = np.zeros((2, 20, 20), np.uint8)
    masks[:, 5:11, 5:11] = 1
    with pytest.raises(gnntrack.errors.SettingsError, match=r"min_length=3 works on points.*use min_track_length"):
        gnntrack.track(masks=masks, min_length=3)
    with pytest.raises(gnntrack.errors.SettingsError, match="smooth=5 works on points"):
        gnntrack.solve(gnntrack.build_graph(masks=masks), smooth=5)


def test_two_tracks_do_not_take_turns_in_one_place():
    rng = np.random.default_rng(3)
    grid = np.array([(20.0 + 30 * i, 20.0 + 30 * j) for i in range(5) for j in range(5)])
    rows = [(t, *place) for t in range(12) for place in grid + rng.normal(0, 0.3, grid.shape)]
    table = pd.DataFrame(rows, columns=["t", "y", "x"])
    shaky = (table.y > 130) & (table.x > 130) & (table.t % 2 == 1)
    table.loc[shaky, "x"] += 3.0  # every second position of one cell is odd
    lineage = gnntrack.track(points=table, interpolate=False)
    assert len(lineage) == len(grid)
    assert (lineage.cells.frame[lineage.target] - lineage.cells.frame[lineage.source]).max() == 1
