"""The time limit of solvers: a valid lineage at any time, and a proven distance to the best one."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from click.testing import CliRunner
from support.movies import dividing_masks, images_of, write_folder
from test_solvers import brute_force, keeps_contract, optimum, random_world, total

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import SettingsError
from gnntrack.settings import SolverSettings
from gnntrack.solvers import packing, programs, solution
from gnntrack.solvers.objective import compute_total_value
from gnntrack.solvers.packing import find_packing, pack_choices
from gnntrack.solvers.registry import find_solution

AT_ONCE = SolverSettings(time_limit=1e-9)
several_solvers = pytest.mark.parametrize("solver", ["greedy", "hungarian", "triplets"])


def crowd(seed, n=30):
    """Return choices that compete for many places: a problem that reductions do not solve."""
    random = np.random.default_rng(seed)
    first = random.integers(0, n, 4 * n)
    second = n + (first + random.integers(0, 3, len(first))) % n
    third = n + (second - n + random.integers(1, 3, len(first))) % n
    place = np.unique(np.stack([first, second, third], axis=1), axis=0)
    return place, random.uniform(1, 2, len(place))


class Clock:
    """Each look at it takes a second."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += 1
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(solution.time, "monotonic", clock)
    return clock


@several_solvers
def test_the_bound_is_one_and_that_of_the_exact_solver_is_the_optimum(solver):
    for seed in range(25):
        world = random_world(seed, cells=4, frames=3)
        found = find_solution(solver, world.graph, world.scores, settings=SolverSettings())
        assert not found.stopped
        assert found.bound >= brute_force(world) - 1e-6
        value = compute_total_value(found.chosen, world.scores, SolverSettings())
        assert value == pytest.approx(total(world, found.chosen), abs=1e-6)
        if solver == "triplets":
            assert found.bound == pytest.approx(value)


@several_solvers
def test_a_lineage_without_any_time(solver):
    for seed in range(25):
        world = random_world(seed, cells=5, frames=4)
        found = find_solution(solver, world.graph, world.scores, settings=AT_ONCE)
        keeps_contract(world, found.chosen)
        assert found.stopped or solver == "greedy" or not found.chosen.any()
        value, best = total(world, found.chosen), optimum(world) if len(world.graph) else 0.0
        assert best / 3 <= value <= best + 1e-6 <= found.bound + 2e-6  # a choice excludes up to three others


@pytest.mark.parametrize("cases", [0, 1000])
def test_each_second_gives_a_packing_that_is_not_worse_than_its_bound(monkeypatch, clock, cases):
    """Problems are stopped in reductions, assignments, and programs."""
    monkeypatch.setattr(packing, "_CASES", cases)
    monkeypatch.setattr(packing, "_FEW", 100)
    monkeypatch.setattr(programs, "_BATCH", 20)
    several = [crowd(seed) for seed in range(2)]
    place = np.concatenate([each[0] + 1000 * k for k, each in enumerate(several)])
    value = np.concatenate([each[1] for each in several])
    best = value[find_packing(place, value)].sum()
    ends = []
    for seconds in (0, 3, 5, 10, 20, 1e6):
        clock.now = 0
        found = pack_choices(place, value, deadline=seconds)
        taken = place[found.chosen].ravel()
        assert len(np.unique(taken)) == len(taken)
        assert value[found.chosen].sum() <= best + 1e-6 <= found.bound + 2e-6
        ends.append(found)
    assert ends[0].stopped
    assert not ends[-1].stopped
    assert ends[-1].bound == pytest.approx(best)
    assert len({round(each.bound, 6) for each in ends}) > 2


def test_hungarian_solves_the_first_frames_if_it_is_stopped_later(monkeypatch, clock):
    monkeypatch.setattr("gnntrack.solvers.hungarian._BLOCK", 1)
    world = random_world(7, cells=6, frames=12, gaps=False, divisions=False)
    values = []
    for seconds in (0.5, 4, 8, 1000):
        clock.now = 0
        options = SolverSettings(time_limit=seconds)
        found = find_solution("hungarian", world.graph, world.scores, settings=options)
        keeps_contract(world, found.chosen)
        assert found.stopped == (seconds < 1000)
        values.append(compute_total_value(found.chosen, world.scores, options))
    assert values[-1] == max(values) > values[0]


def test_the_time_limit_is_told(tmp_path):
    masks = dividing_masks()
    folders = write_folder(tmp_path / "images", images_of(masks)), write_folder(tmp_path / "masks", masks)
    for limit, text in (("1ns", "time limit reached; "), ("2m", "the best links by their scores, proven")):
        out = tmp_path / limit
        done = CliRunner().invoke(cli, ["track", *map(str, folders), "-o", str(out), "--time-limit", limit])
        assert done.exit_code == 0, done.output
        assert f"solution   {text}" in done.output
        summary = json.loads((out / "gnntrack" / "summary.json").read_text())
        assert summary["time_limit_reached"] == (limit == "1ns")
        assert summary["optimality_gap"] >= 0
        assert ("the time limit of 1e-06 ms ended the search" in str(summary["warnings"])) == (limit == "1ns")
    assert summary["optimality_gap"] == 0


def test_the_provenance_has_the_proven_gap(tmp_path):
    masks = dividing_masks()
    lineage = gnntrack.track(masks=masks, out=tmp_path / "out")
    assert lineage.provenance.optimality_gap == 0
    assert lineage.provenance.time_limit_reached is None
    assert gnntrack.load(tmp_path / "out").provenance.optimality_gap == 0
    assert gnntrack.track(masks=masks, method="iou").provenance.optimality_gap is None


@pytest.mark.parametrize("value", ["soon", 0, -1, "0s", math.nan])
def test_times_that_are_none(value):
    with pytest.raises(SettingsError, match=r"time_limit=.*: expected a time > 0 with its unit, such as 30s"):
        gnntrack.solve(gnntrack.build_graph(masks=dividing_masks()), time_limit=value)
