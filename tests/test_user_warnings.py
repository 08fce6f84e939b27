"""Warnings about the input: Python warnings for callers, a line after "Warning:" for the command line, each once."""

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from click.testing import CliRunner
from support.movies import dividing_masks

import gnntrack
from gnntrack.cli import cli
from gnntrack.settings import Settings
from gnntrack.user_warnings import record_warnings, warn_user

MASKS = dividing_masks()


def make_volumes():
    masks = np.zeros((3, 6, 30, 30), np.uint8)
    masks[:, 1:4, 5:11, 5:11], masks[:, 1:4, 15:21, 15:21] = 1, 2
    return masks


def export_with_margin(folder):
    lineage = gnntrack.track(masks=MASKS)
    gnntrack.export(lineage, folder / "tables", to="csv", margin=5)


def read_old_settings(folder):
    file = folder / "s.toml"
    file.write_text("[solver]\ncosts = 1\n")
    gnntrack.track(masks=MASKS, settings=Settings.from_toml(file))


KINDS = {
    "the size of a voxel is not known": lambda _: gnntrack.track(masks=make_volumes()),
    "this movie would hardly be improved by the model": lambda _: gnntrack.track(
        masks=MASKS, method="gnn", device="cpu"
    ),
    "the margin of 5 pixels is not applied": export_with_margin,
    "the setting 'solver.costs' has been removed": read_old_settings,
    "the background is": lambda _: gnntrack.track(masks=MASKS.astype(np.int32) + 1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_warning_is_one_of_python_at_the_line_of_the_caller(kind, tmp_path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        KINDS[kind](tmp_path)
    told = [each for each in caught if kind in str(each.message)]
    assert len(told) == 1
    assert issubclass(told[0].category, gnntrack.GnntrackWarning)
    assert Path(told[0].filename) == Path(__file__)


def test_a_warning_can_be_made_an_error_or_hidden():
    with warnings.catch_warnings():
        warnings.simplefilter("error", gnntrack.GnntrackWarning)
        with pytest.raises(gnntrack.GnntrackWarning, match="size of a voxel"):
            gnntrack.track(masks=make_volumes())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", gnntrack.GnntrackWarning)
        gnntrack.track(masks=make_volumes())
    assert not caught


def test_a_usual_movie_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gnntrack.track(masks=MASKS)


@pytest.mark.parametrize("verbose", [[], ["-v"]])
def test_the_command_line_prints_each_warning_once(tmp_path, verbose):
    np.save(tmp_path / "m.npy", make_volumes())
    words = ["track", "--masks", str(tmp_path / "m.npy"), "-o", str(tmp_path / "out"), *verbose]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0
    assert done.stderr.count("Warning: ") == 1
    assert done.stderr.count("the size of a voxel is not known") == 1
    assert "GnntrackWarning" not in done.stderr
    assert ("links:" in done.stderr) == bool(verbose)


def read_warnings(out):
    return json.loads((out / "gnntrack" / "summary.json").read_text())["warnings"]


def make_flicker():
    masks = np.zeros((12, 90, 90), np.uint8)
    for label in range(1, 10):
        y, x = 30 * ((label - 1) // 3) + 5, 30 * ((label - 1) % 3) + 5
        masks[label % 2 :: 2, y : y + 8, x : x + 8] = label
    return masks


def import_with_a_merge(out):
    masks = MASKS.astype(np.uint8)
    (out.parent / "t.csv").write_text("frame,label,track\n0,10,1\n1,10,1\n0,99,2\n1,99,2\n")
    gnntrack.import_tracks(out.parent / "t.csv", masks=masks, out=out)


RUNS = {
    "the size of a voxel is not known": lambda out: gnntrack.track(masks=make_volumes(), out=out),
    "this movie would hardly be improved": lambda out: gnntrack.track(masks=MASKS, method="gnn", device="cpu", out=out),
    "the background is": lambda out: gnntrack.track(masks=MASKS.astype(np.int32) + 1, out=out),
    "the masks look poor": lambda out: gnntrack.track(masks=make_flicker(), out=out),
    "a cell is named that is in no mask": import_with_a_merge,
}


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_the_summary_lists_the_warnings_of_its_run_and_of_no_other(kind, tmp_path):
    RUNS[kind](tmp_path / "out")
    assert len([text for text in read_warnings(tmp_path / "out") if kind in text]) == 1
    gnntrack.track(masks=MASKS, out=tmp_path / "next")
    assert read_warnings(tmp_path / "next") == []


def test_the_summary_and_the_table_of_a_batch_list_warnings_of_the_settings(tmp_path):
    np.save(tmp_path / "a_masks.npy", MASKS)
    np.save(tmp_path / "b_masks.npy", make_volumes())
    (tmp_path / "s.toml").write_text("[solver]\ncosts = 1\n")
    words = ["batch", str(tmp_path), "-o", str(tmp_path / "out"), "--config", str(tmp_path / "s.toml")]
    assert CliRunner().invoke(cli, words).exit_code == 0
    first, second = (read_warnings(tmp_path / "out" / name) for name in ("a_RES", "b_RES"))
    assert ["'solver.costs' has been removed" in text for text in first] == [True]
    assert ["size of a voxel" in text for text in second] == [False, True]


@pytest.mark.filterwarnings("ignore::gnntrack.GnntrackWarning")
def test_runs_in_two_threads_do_not_share_warnings():
    def run(name):
        with record_warnings() as messages:
            barrier.wait()
            with ThreadPoolExecutor(1) as other:
                warn_user(name)
                barrier.wait()
                other.submit(warn_user, "of a worker").result()
            barrier.wait()
        return messages

    barrier = Barrier(2, timeout=30)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, ("a", "b")))
    assert found == [["a", "of a worker"], ["b", "of a worker"]]
