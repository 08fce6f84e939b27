"""The time budget of a batch: shares of the time, fall-backs, and a submission that is always valid."""

from __future__ import annotations

import csv
import os
import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner

import gnntrack
from gnntrack.batch import Position, TimeBudget, find_positions, track_positions
from gnntrack.batch.faults import find_fault
from gnntrack.batch.scheduling import run_side_by_side
from gnntrack.batch.tracking import BatchWork
from gnntrack.batch.ways import Way, list_ways, select_choices
from gnntrack.cli import cli
from gnntrack.cluster.workers import Worker
from gnntrack.embryos import simulate_embryos
from gnntrack.errors import InputError
from gnntrack.io import read_point_graph
from gnntrack.settings import Settings

QUIET = Settings().replace(output__pictures=False)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def write_points(path: Path, *, frames: int = 4) -> Path:
    """Two cells that move slowly."""
    rows = [f"{t},{3 + k},{10 + 20 * k},{10 + t}" for t in range(frames) for k in range(2)]
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(["t,z,y,x", *rows]) + "\n")
    return path


def write_mask(path: Path) -> None:
    """A frame with one cell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros((40, 40), np.uint16)
    mask[8:16, 8:16] = 1
    tifffile.imwrite(path, mask)


def read_movies(path: Path) -> dict[str, int]:
    """Return the number of nodes of each movie of a submission, whose ids must count all rows."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == list(range(len(rows)))
    nodes = [row for row in rows if row["row_type"] == "node"]
    known = {(row["dataset"], row["node_id"]) for row in nodes}
    for row in rows:
        if row["row_type"] == "edge":
            assert {(row["dataset"], row["source_id"]), (row["dataset"], row["target_id"])} <= known
    return {name: sum(row["dataset"] == name for row in nodes) for name in {row["dataset"] for row in nodes}}


def simulate_batch(costs: list[float], movies: int, seconds: float) -> tuple[list[int | None], float]:
    """Track movies that cost the same in each way; return the ways and the time at the end."""
    clock = Clock()
    budget = TimeBudget(seconds, clock=clock)
    ways = []
    for left in range(movies, 0, -1):
        way = budget.choose_way(len(costs), movies=left)
        ways.append(way)
        if way is not None:
            taken = min(costs[way], budget.find_limit(movies=left))
            clock.now += taken
            budget.record(way, taken, frames=10)
    return ways, clock.now


@pytest.mark.parametrize(
    ("costs", "best"),
    [((10, 1), 20), ((60, 5), 14), ((200, 5), 1), ((10, 60), 20)],
)
def test_as_many_movies_as_fit_are_tracked_as_asked(costs, best):
    ways, end = simulate_batch(list(costs), 20, 1000)
    assert None not in ways
    assert ways.count(0) >= best
    assert end <= 1000


def test_no_way_fits_when_the_time_is_over():
    clock = Clock()
    budget = TimeBudget(10, clock=clock)
    clock.now = 9.9  # the rest is kept for the last files
    assert (budget.left, budget.choose_way(2, movies=1), budget.find_limit(movies=1)) == (0, None, 0)


def test_side_by_side_the_shares_are_larger():
    one, two = (TimeBudget(1000, jobs=jobs, clock=Clock()) for jobs in (1, 2))
    assert two.find_share(movies=10) == 2 * one.find_share(movies=10)
    assert two.find_limit(movies=1) == one.find_limit(movies=1) < 1000


def test_frames_that_fit():
    budget = TimeBudget(1000, clock=Clock())
    assert budget.count_frames(0, movies=10) is None
    budget.record(0, 200, frames=100)
    assert budget.count_frames(0, movies=10) == 39  # of 98 s, at 2 s a frame, with a margin
    budget.record(0, 50)  # one that was ended
    assert budget.count_frames(0, movies=10) == 39
    assert budget.expect(0) == 125


def test_ways_of_a_position():
    images, table = Position("a", images=Path("a.zarr")), Position("a", points=Path("a_points.csv"))
    asked = {"method": "gnn", "solver": "hungarian", "detector": "heatmap", "detector_options": {"threshold": 0.2}}
    ways = list_ways(asked, images)
    assert [way.describe() for way in ways[:2]] == ["", "hungarian in place of gnn, dog in place of heatmap"]
    assert ways[1].choices == {"method": "hungarian", "detector": "dog"}
    assert ways[2].describe(1) == "hungarian in place of gnn, dog in place of heatmap, first 1 frame only"
    assert [way.choices for way in list_ways({"method": "greedy"}, table)] == [{"method": "greedy"}] * 2
    assert [dict(way.choices) for way in list_ways({"detector": "dog", "method": "iou"}, table)] == [
        {"method": "iou"}
    ] * 2
    assert list_ways({"method": "hungarian"}, Position("m", masks=Path("m_masks.tif"))) == [
        Way({"method": "hungarian"})
    ]


def test_a_batch_without_time_gives_a_valid_submission(tmp_path):
    for name in "ab":
        write_points(tmp_path / f"{name}_points.csv")
    out, file = tmp_path / "out", tmp_path / "submission.csv"
    words = [str(tmp_path), "-o", str(out), "--no-pictures", "--time-budget", "1ms"]
    run = CliRunner().invoke(cli, ["batch", *words])
    assert run.exit_code == 0, run.output
    assert "2, 0 failed, 2 empty" in run.output
    assert "2 positions: 2 empty (a, b)" in run.output
    table = pd.read_csv(out / "summary.csv")
    assert table[["status", "fallback", "error"]].values.tolist() == [["empty", "empty", "no time was left for it"]] * 2
    run = CliRunner().invoke(cli, ["export", str(out), "--to", "biohub", "-o", str(file)])
    assert run.exit_code == 0, run.output
    assert read_movies(file) == {"a": 1, "b": 1}
    again = track_positions(find_positions(tmp_path), out, settings=QUIET, resume=True)
    assert [(row.status, row.cells, row.fallback) for row in again] == [("done", 8, "")] * 2
    assert [row.status for row in track_positions(find_positions(tmp_path), out, settings=QUIET, resume=True)] == [
        "kept"
    ] * 2


def test_a_movie_that_fails_gets_a_fall_back(tmp_path):
    for name in "ac":
        write_points(tmp_path / f"{name}_points.csv")
    (tmp_path / "b_points.csv").write_text("nothing\n")
    out, file = tmp_path / "out", tmp_path / "submission.csv"
    rows = track_positions(find_positions(tmp_path), out, settings=QUIET, time_budget="1h")
    assert [(row.status, row.cells, row.fallback) for row in rows] == [
        ("done", 8, ""),
        ("empty", 0, "empty"),
        ("done", 8, ""),
    ]
    assert "no column for frame" in rows[1].error
    run = CliRunner().invoke(cli, ["export", str(out), "--to", "biohub", "-o", str(file)])
    assert run.exit_code == 0, run.output
    assert "3, 1 without cells" in run.output
    assert read_movies(file) == {"a": 8, "b": 1, "c": 8}
    truth = read_point_graph(out / "a_RES" / "gnntrack" / "lineage.geff")
    scores = gnntrack.evaluate(file, dict.fromkeys("abc", truth))
    assert (scores["edge_tp"], scores["edge_fp"], scores["edge_fn"]) == (12, 0, 6)  # all links of b are missed


def test_without_a_budget_a_movie_that_fails_has_no_result(tmp_path):
    write_points(tmp_path / "a_points.csv")
    (tmp_path / "b_points.csv").write_text("nothing\n")
    out, file = tmp_path / "out", tmp_path / "submission.csv"
    rows = track_positions(find_positions(tmp_path), out, settings=QUIET)
    assert [row.status for row in rows] == ["done", "failed"]
    run = CliRunner().invoke(cli, ["export", str(out), "--to", "biohub", "-o", str(file)])
    assert run.exit_code == 0, run.output
    assert "1 position has no result, such as b: it failed" in run.output
    assert read_movies(file) == {"a": 8, "b": 1}


class FixedLimits(TimeBudget):
    """A budget whose limits are given."""

    def __init__(self, *limits: float) -> None:
        super().__init__(3600)
        self.limits = iter(limits)

    def find_limit(self, *, movies: int) -> float:
        assert movies > 0
        return next(self.limits)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_movie_that_takes_too_long_is_ended(tmp_path):
    os.mkfifo(tmp_path / "a_points.csv")  # reading it takes for ever
    write_points(tmp_path / "b_points.csv")
    work = BatchWork(tmp_path / "out", QUIET, choices={"method": "hungarian"})
    positions = find_positions(tmp_path)
    rows = list(run_side_by_side(work, positions, jobs=1, budget=FixedLimits(0.1, 0.1, 60)))
    assert [(row.position, row.status) for row in rows] == [("a", "empty"), ("b", "done")]
    # a slow machine may notice the time after the pipe was refused
    assert rows[0].error == "it was ended after 0.1 s" or "no such file" in rows[0].error


def test_the_first_frames_of_a_movie(tmp_path):
    position = Position("a", points=write_points(tmp_path / "a_points.csv", frames=9))
    work = BatchWork(tmp_path / "out", QUIET, resume=True)
    row = work.track(position, Way(few=True), 3, "reason").outcome
    assert (row.status, row.frames, row.cells, row.fallback) == ("done", 3, 6, "first 3 frames only")
    assert work.keep(position) is None  # it is tracked again
    assert [way.few for way in work.list_ways(position)] == [False]
    kept = work.give_up(position, "no time")  # if that fails, it is kept
    assert (kept.status, kept.cells, kept.error) == ("kept", 6, "no time")


def test_a_wrong_budget_is_refused(tmp_path):
    write_points(tmp_path / "a_points.csv")
    with pytest.raises(InputError, match="time_budget='soon'"):
        track_positions(find_positions(tmp_path), tmp_path / "out", time_budget="soon")
    run = CliRunner().invoke(cli, ["batch", str(tmp_path), "-o", str(tmp_path / "out"), "--time-budget", "0"])
    assert run.exit_code == 2
    assert "expected a time > 0" in run.output


FAULTS = {
    "unknown keyword": ({"max_gab": 3}, "did you mean 'max_gap'"),
    "value of a keyword": ({"max_gap": 0}, "max_gap=0"),
    "model": ({"method": "gnn", "model": "typo"}, "typo: no such model"),
    "radius": ({"radius": -1}, "radius=-1"),
    "unit": ({"points_unit": "mm"}, "points_unit='mm'"),
    "model of a detector": ({"detector": "heatmap", "detector_options": {"model": "typo"}}, "typo: no such model"),
    "diameter": ({"detector": "dog", "detector_options": {"diameter": "large"}}, "the diameter is 'large'"),
}


@pytest.mark.parametrize(("choices", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_choices_is_found_before_the_work(choices, message):
    position = Position("a", images=Path("a.zarr"))
    fault = find_fault(BatchWork(Path("out"), QUIET, choices=choices), [position])
    assert message in str(pickle.loads(pickle.dumps(fault)))
    assert find_fault(BatchWork(Path("out"), QUIET, choices={"detector": "dog", "min_length": 3}), [position]) is None


CHOICES_FOR_POINTS = {
    "spacing": (Settings().replace(frames__spacing=(1.0, 1.0)), {}, "a_points.csv has 3 axes"),
    "method": (QUIET, {"method": "iou"}, "'iou' compares masks, and all positions are points"),
}


@pytest.mark.parametrize(("settings", "choices", "message"), CHOICES_FOR_POINTS.values(), ids=CHOICES_FOR_POINTS)
def test_a_fault_that_only_points_show_is_found_before_the_work(tmp_path, settings, choices, message):
    write_points(tmp_path / "a_points.csv")
    (tmp_path / "b_points.csv").write_text("t,y\n0,1\n")
    positions = find_positions(tmp_path)
    with pytest.raises(InputError, match=message):
        track_positions(positions, tmp_path / "out", settings=settings, time_budget="1h", **choices)
    assert not (tmp_path / "out").exists()
    (tmp_path / "c_points.csv").write_text("t,y,x\n0,1,2\n1,1,2\n")
    assert find_fault(BatchWork(tmp_path / "out", settings), find_positions(tmp_path)) is None


def test_a_mistyped_option_of_a_detector_is_refused_without_a_budget(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    words = [str(tmp_path), "-o", str(tmp_path / "out"), "--detector", "heatmap", "--option", "modell=x"]
    run = CliRunner().invoke(cli, ["batch", *words])
    assert run.exit_code == 2
    assert "Error: detector 'heatmap' has no option 'modell'; did you mean 'model'" in run.output
    assert not (tmp_path / "out").exists()


def test_an_unknown_size_of_a_voxel_is_told_once(tmp_path):
    for name in "ab":
        write_points(tmp_path / "in" / f"{name}_points.csv")
    words = ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--no-pictures"]
    run = CliRunner().invoke(cli, words)
    told = "pixel      size unknown; voxels are taken as cubes; give --spacing Z,Y,X for results in um"
    assert (run.exit_code, run.output.count(told)) == (0, 1)
    run = CliRunner().invoke(cli, [*words, "--overwrite", "--spacing", "2,1,1"])
    assert (run.exit_code, "size unknown" in run.output) == (0, False)


def test_a_fault_of_the_user_gives_no_fall_back(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    words = [str(tmp_path), "-o", str(tmp_path / "out"), "--time-budget", "1h", "--detector", "dog"]
    run = CliRunner().invoke(cli, ["batch", *words, "--option", "modle=3"])
    assert run.exit_code == 2
    assert "Error: detector 'dog' has no option 'modle'" in run.output
    write_points(tmp_path / "b_points.csv")
    with pytest.raises(InputError, match="'max_gab'"):
        track_positions(find_positions(tmp_path), tmp_path / "out", time_budget="1h", max_gab=3)
    assert not (tmp_path / "out").exists()


def test_the_unit_of_points_is_an_option(tmp_path):
    write_points(tmp_path / "in" / "a_points.csv")
    write_mask(tmp_path / "masks" / "b" / "masks" / "t0.tif")
    words = ["--spacing", "0.5", "--points-unit", "um", "--no-pictures"]
    run = CliRunner().invoke(cli, ["batch", str(tmp_path / "in"), "-o", str(tmp_path / "out"), *words])
    assert run.exit_code == 0, run.output
    assert gnntrack.load(tmp_path / "out" / "a_RES").cells.position[0].tolist() == [3, 10, 10]
    run = CliRunner().invoke(cli, ["batch", str(tmp_path / "masks"), "-o", str(tmp_path / "other"), *words])
    assert (run.exit_code, "belongs to tables of points" in run.output) == (2, True)
    for position in (Position("b", masks=Path("b_masks.tif")), Position("c", images=Path("c.zarr"))):  # among tables
        assert select_choices({"points_unit": "um", "detector": "dog"}, position).get("points_unit") is None


def test_time_for_results_without_cells_is_kept(tmp_path):
    for k in range(3):
        write_points(tmp_path / f"{k}_points.csv")
    budget = TimeBudget(3600)
    kept = []
    budget.keep = kept.append
    work = BatchWork(tmp_path / "out", QUIET, choices={"method": "hungarian"})
    assert len(list(run_side_by_side(work, find_positions(tmp_path), jobs=1, budget=budget))) == 3
    assert kept[0] == 0  # not measured yet
    assert kept[1] == pytest.approx(2 * kept[2])
    assert kept[2] > 0


def make_folder(root: Path, *names: str) -> Path:
    """Empty files, and folders for names that end in a slash."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.touch()
    return root


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (
            ["b.zarr/", "b.geff/", "b_points.csv", "a.zarr/labels/", "a.geff/", "c_points.parquet"],
            [("a", "a.zarr", None), ("b", "b.zarr", "b_points.csv"), ("c", None, "c_points.parquet")],
        ),
        (["b.zarr/0/", "b.geff/nodes/", "a.zarr/labels/", "a.geff/"], [("a", "a.zarr", None), ("b", "b.zarr", None)]),
        (
            ["p1/points.csv", "p1/images/", "p2/points.csv"],
            [("p1", "images", "points.csv"), ("p2", None, "points.csv")],
        ),
    ],
)
def test_layouts_with_points(tmp_path, names, expected):
    found = find_positions(make_folder(tmp_path, *names))
    assert [(p.name, p.images and p.images.name, p.points and p.points.name) for p in found] == expected
    assert all(position.masks is None for position in found)


def test_patterns_of_points(tmp_path):
    make_folder(tmp_path, "a/spots.csv", "a/raw.zarr/", "b/spots.csv", "b/raw.zarr/")
    found = find_positions(tmp_path, images="{}/raw.zarr", points="{}/spots.csv")
    assert [(p.name, p.images is not None, p.points is not None) for p in found] == [
        ("a", True, True),
        ("b", True, True),
    ]


def test_a_detector_finds_the_points_of_images(tmp_path):
    simulate_embryos(tmp_path / "in", frames=4, cells=80, shape=(8, 40, 40), seed=1)
    positions, out = find_positions(tmp_path / "in"), tmp_path / "out"
    choices = {"settings": QUIET, "detector": "dog", "detector_options": {"diameter": "8um"}}
    rows = track_positions(positions, out, **choices)
    assert [(row.status, row.frames, row.points) for row in rows] == [("done", 4, "")]
    assert rows[0].cells > 0
    assert [row.status for row in track_positions(positions, out, resume=True, **choices)] == ["kept"]
    rows = track_positions(positions, out, resume=True, **choices | {"detector_options": {"diameter": "7um"}})
    assert "points was found by detector dog with {'diameter': '8um'}" in rows[0].error

    next((tmp_path / "in").glob("*.zarr/0/c/2/0/0/0")).write_bytes(b"damaged")
    work = BatchWork(tmp_path / "again", QUIET, choices={"detector": "dog", "method": "gnn"})
    ways = work.list_ways(positions[0])
    attempt = work.track(positions[0], ways[0])
    assert (attempt.outcome.status, attempt.may_repeat, attempt.frame) == ("failed", True, 2)
    row = work.track(positions[0], ways[2], attempt.frame).outcome
    assert (row.frames, row.fallback) == (2, "hungarian in place of gnn, first 2 frames only")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--detector", "dog"], "no position has such images"),
        (["--detector", "dog", "--segmenter", "threshold"], "omit one of the two"),
        (["--detector", "dug"], "dog"),
    ],
)
def test_a_detector_that_is_not_used_is_refused(tmp_path, words, message):
    write_points(tmp_path / "a_points.csv")
    run = CliRunner().invoke(cli, ["batch", str(tmp_path), "-o", str(tmp_path / "out"), *words])
    assert run.exit_code != 0
    assert message in run.output
    assert not (tmp_path / "out").exists()


def test_a_script_without_a_guard_is_not_run_again(tmp_path, monkeypatch):
    script = ModuleType("__main__")
    script.__file__ = str(tmp_path / "script.py")
    (tmp_path / "script.py").write_text("raise SystemExit('the script ran again')")
    monkeypatch.setitem(sys.modules, "__main__", script)
    worker = Worker()
    assert sys.modules["__main__"] is script
    worker.send(divmod, 7, 2)
    assert worker.receive() == (3, 1)
    worker.end()


def test_a_result_that_an_ended_process_had_written_is_kept(tmp_path):
    write_points(tmp_path / "a_points.csv")
    (position,) = find_positions(tmp_path)
    work = BatchWork(tmp_path / "out", QUIET, choices={"method": "hungarian"})
    way = Way({"method": "hungarian"}, ("hungarian in place of gnn",))
    assert work.find_written(position, way, None, "", work.find_stamp(position)) is None
    work.track(position, Way({"method": "hungarian"}))  # as far as the result folder, and not to its mark
    found = work.find_written(position, way, None, "it was ended after 1 s", None)
    assert found is not None
    assert (found.status, found.cells, found.fallback) == ("done", 8, "hungarian in place of gnn")
    assert found.error == "it was ended after 1 s"
    assert work.find_written(position, way, None, "", work.find_stamp(position)) is None
