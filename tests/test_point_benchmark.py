"""The benchmark of points: its simulation, its scores, and the choice of settings."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from gnntrack.types import PointGraph

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """Import a program of the benchmarks by its name."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def test_a_simulated_embryo_has_links_between_consecutive_frames_and_misses(load):
    case = load("points_data").simulate_points(80, 7, frames=20)
    truth = case.truth
    assert (truth.frame[truth.target] == truth.frame[truth.source] + 1).all()
    assert truth.parents.max() == 1
    assert truth.children.max() == 2
    assert 0.9 < len(case.points) / len(truth) < 1.15
    distance = np.linalg.norm(truth.position[truth.target] - truth.position[truth.source], axis=1)
    assert 0.5 < np.median(distance) < 4


def test_gaps_are_filled_where_the_stack_was(load):
    graph = PointGraph([0, 1, 2], [0, 3, 4], [[0.0, 0.0], [9.0, 0.0], [9.0, 1.0]], [0, 1], [1, 2], (1.0, 1.0))
    drift = np.array([[0.0, 0.0], [0.0, 0.0], [6.0, 0.0], [6.0, 0.0], [6.0, 0.0]])
    filled = graph.fill_gaps(drift)
    assert filled.position[3:].tolist() == [[1.0, 0.0], [8.0, 0.0]]
    assert sorted(filled.links.tolist()) == [[0, 3], [1, 2], [3, 4], [4, 1]]


def make_division(time: int) -> PointGraph:
    """Return a cell that divides after a frame, and its daughters until frame 5.

    ::

        0 - ... - time =< upper ... 5
                        < lower ... 5
    """
    frames = [*range(time + 1), *range(time + 1, 6), *range(time + 1, 6)]
    y = [0.0] * (time + 1) + [3.0] * (5 - time) + [-3.0] * (5 - time)
    upper, lower = time + 1, 6
    source = [*range(time), time, *range(upper, 5), time, *range(lower, len(frames) - 1)]
    target = [*range(1, time + 1), upper, *range(upper + 1, 6), lower, *range(lower + 1, len(frames))]
    position = np.column_stack([y, np.zeros(len(frames))])
    return PointGraph(np.arange(len(frames)), frames, position, source, target, (1.0, 1.0))


@pytest.mark.parametrize(("time", "counts"), [(2, (1, 0, 0)), (3, (1, 0, 0)), (1, (1, 0, 0)), (4, (0, 1, 1))])
def test_a_division_counts_within_one_frame(load, time, counts):
    assert load("point_scores").count_divisions(make_division(time), make_division(2), 3.5) == counts


def test_the_best_settings_of_a_grid_are_chosen(load):
    settings, data = load("point_settings"), load("points_data")
    case = data.simulate_points(5, 1, frames=4)

    def score(_, some):
        return [-abs(each["gate"] - 6) - abs(each["gap"] - 5) - each["drift"] for each in some]

    chosen, tried = settings.choose_settings("drift+gaps", case, score)
    assert (chosen["gate"], chosen["gap"], chosen["drift"]) == (6.0, 5.0, 0.0)
    assert tried < 30


def test_the_baseline_with_gaps_finds_a_blinking_cell_in_a_moving_stack(load):
    linkers = load("point_linkers")
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 100, (30, 3))
    frame, position = np.repeat(np.arange(6), 30), (place + np.arange(6)[:, None, None] * [0, 9.0, 0]).reshape(-1, 3)
    seen = np.ones(len(frame), bool)
    seen[[2 * 30, 3 * 30, 3 * 30 + 1]] = False
    settings = {"gate": 4.0, "gap": 3.0, "missing": 3, "drift": 15.0}
    links = linkers.run("drift+gaps", frame[seen], position[seen], settings)
    cell = np.tile(np.arange(30), 6)[seen]
    assert (cell[links[:, 0]] == cell[links[:, 1]]).all()
    assert len(links) == seen.sum() - 30


def test_a_mean_over_some_of_the_cases_is_marked_and_not_the_best(load):
    cases = [("a", "hungarian", 0.9), ("b", "hungarian", 0.8), ("a", "laptrack", 0.99)]
    rows = [{"case": case, "group": "sim", "method": method, "J": index} for case, method, index in cases]
    assert load("points_table").format_groups(rows).splitlines()[-1] == "| sim | .9900* | **.8500** |"
