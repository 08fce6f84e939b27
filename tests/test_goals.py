"""The goals of linking: what they change, and what is given all the same."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from support.movies import dividing_masks, images_of, write_folder
from support.worlds import make_world

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import SettingsError
from gnntrack.methods import resolve_method
from gnntrack.settings import Settings, SolverSettings
from gnntrack.solvers import solve


@pytest.mark.parametrize("solver", ["greedy", "hungarian", "exact"])
def test_whole_tracks_take_doubtful_links(solver):
    world = make_world("a0 a1 b0 b1", {"a0-a1": 0.3, "b0-b1": 0.15})
    for options, links in (
        ({}, set()),
        ({"goal": "identity"}, {"a0-a1"}),
        ({"goal": "identity", "link_threshold": 0.4}, set()),
    ):
        chosen = solve(solver, world.graph, world.scores, settings=SolverSettings(**options))
        assert world.links(chosen) == links


def test_the_solver_of_a_goal_gives_way_to_a_given_one():
    assert resolve_method("auto", goal="identity").solver == "exact"
    assert resolve_method("greedy", goal="identity").solver == "greedy"
    assert resolve_method("auto", "hungarian", goal="identity").solver == "hungarian"
    lineage = gnntrack.track(masks=dividing_masks(), goal="identity")
    assert lineage.provenance.solver == "exact"


def test_a_settings_file_with_all_defaults_leaves_the_threshold_to_the_goal(tmp_path):
    (tmp_path / "all.toml").write_text(Settings().to_toml(), encoding="utf-8")
    settings = Settings.from_toml(tmp_path / "all.toml").replace(solver__goal="identity")
    assert settings.solver.choose_link_threshold() == 0.2


def test_track_and_solve_have_the_option(tmp_path):
    masks = dividing_masks()
    folders = [str(write_folder(tmp_path / "images", images_of(masks))), str(write_folder(tmp_path / "masks", masks))]
    graph = tmp_path / "graph.geff"
    for words in (
        ["track", *folders, "-o", str(tmp_path / "out"), "--goal", "identity"],
        ["build-graph", *folders, "-o", str(graph)],
        ["solve", str(graph), "-o", str(tmp_path / "lineage.geff"), "--goal", "identity"],
    ):
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "out" / "gnntrack" / "summary.json").read_text())
    assert (summary["solver"], summary["settings"]["solver"]["goal"]) == ("exact", "identity")


def test_points_have_no_goal():
    points = np.array([[0, 5, 5], [0, 5, 25], [1, 6, 5], [1, 6, 25]], float)
    message = "goal=identity works on masks, and these cells are points"
    with pytest.raises(SettingsError, match=message):
        gnntrack.track(points=points, goal="identity")
    with pytest.raises(SettingsError, match=message):
        gnntrack.solve(gnntrack.build_graph(points=points), goal="identity")


def test_the_shortest_track_of_points_has_another_name():
    points = np.array([[0, 5, 5], [0, 5, 25], [1, 6, 5]], float)
    message = "min_track_length=2 works on masks, and these cells are points; use min_length"
    with pytest.raises(SettingsError, match=message):
        gnntrack.track(points=points, min_track_length=2)


def test_another_goal_is_named_with_those_that_there_are():
    with pytest.raises(SettingsError, match="goal='tracks': expected one of 'ctc', 'identity'"):
        gnntrack.track(masks=dividing_masks(), goal="tracks")
