"""Warnings about the input: Python warnings for callers, a line after "Warning:" for the command line, each once."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.movies import dividing_masks

import gnntrack
from gnntrack.cli import cli
from gnntrack.settings import Settings

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
    "no images: the network scores by the masks alone": lambda _: gnntrack.track(
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
