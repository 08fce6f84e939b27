"""Options that contradict each other, or that have no effect on the input, are refused before the work."""

import numpy as np
import pytest
from click.testing import CliRunner
from support.movies import dividing_masks, images_of, write_folder

import gnntrack
from gnntrack.cli import cli
from gnntrack.errors import FormatError, SettingsError
from gnntrack.gnn import training_range
from gnntrack.segmentation import detection
from gnntrack.settings import Settings
from tests.test_auto import write_model
from tests.test_merged_masks import make_truth, merge

MASKS = dividing_masks()
POINTS = np.array([[0, 5, 5], [0, 5, 25], [1, 6, 5], [1, 6, 25]], float)


def run(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("movie")
    write_folder(folder / "masks", MASKS)
    write_folder(folder / "images", images_of(MASKS))
    np.save(folder / "points.npy", POINTS)
    (folder / "all.toml").write_text(Settings().to_toml(), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("words", "name"), [(("--max-merge", "3"), "cells.max_merge"), (("--fill-gaps",), "repair.fill_gaps")]
)
def test_kept_masks_are_neither_cut_nor_drawn(folder, tmp_path, words, name):
    done = run("track", "--masks", folder / "masks", "-o", tmp_path / "out", "--keep-masks", *words)
    assert (done.exit_code, name in done.stderr, "omit one of the two" in done.stderr) == (2, True, True)


def test_kept_masks_agree_with_less_and_with_a_file_of_all_defaults(folder, tmp_path):
    file = ("--config", folder / "all.toml")
    for n, words in enumerate([("--max-merge", "0", "--no-fill-gaps", "--drop-spurious", "1"), file]):
        done = run("track", "--masks", folder / "masks", "-o", tmp_path / str(n), "--keep-masks", *words)
        assert done.exit_code == 0, done.output
    with pytest.raises(SettingsError, match=r"cells\.max_merge cuts merged ones"):
        gnntrack.track(masks=MASKS, keep_masks=True, max_merge=2)


@pytest.mark.parametrize(
    ("command", "words", "remedy"),
    [
        ("track", ["--max-merge", "6"], "omit it"),
        ("track", ["--keep-masks"], "omit it"),
        ("track", ["--fill-gaps"], "use --interpolate"),
        ("track", ["--min-track-length", "2"], "use --min-length"),
        ("build-graph", ["--fragments", "split"], "omit it"),
    ],
)
def test_options_of_masks_are_refused_for_points(folder, tmp_path, command, words, remedy):
    done = run(command, "--points", folder / "points.npy", "-o", tmp_path / "out.geff", *words)
    assert (done.exit_code, f"{words[0]} works on masks" in done.stderr, remedy in done.stderr) == (2, True, True)


@pytest.mark.parametrize("keyword", [{"max_merge": 3}, {"keep_masks": True}, {"margin": 2}, {"fill_gaps": False}])
def test_keywords_of_masks_are_refused_for_points(keyword):
    with pytest.raises(SettingsError, match=f"{next(iter(keyword))}=.* works on masks, and these cells are points"):
        gnntrack.track(points=POINTS, **keyword)
    if "max_merge" in keyword:
        with pytest.raises(SettingsError, match="works on masks"):
            gnntrack.build_graph(points=POINTS, **keyword)


def test_a_goal_of_masks_is_refused_before_points_are_looked_for(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(detection, "detect_movie", pytest.fail)
    monkeypatch.setattr("gnntrack.point_movie.detect_movie", pytest.fail)
    done = run("track", folder / "images", "--detector", "dog", "--goal", "identity", "-o", tmp_path / "out")
    assert (done.exit_code, "--goal works on masks" in done.stderr) == (2, True), done.output
    with pytest.raises(SettingsError, match="goal=identity works on masks"):
        gnntrack.track(images_of(MASKS), detector="dog", goal="identity")


@pytest.mark.parametrize("name", ["errors.json", "errors.TXT"])
def test_errors_are_written_to_a_folder_or_a_table(folder, tmp_path, name):
    done = run("evaluate", folder / "masks", folder / "masks", "--errors", tmp_path / name)
    assert (done.exit_code, "or to a file NAME.csv" in done.stderr) == (2, True), done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("words", [("evaluate", "a", "b", "--errors", ""), ("track", "--masks", "a", "-o", "")])
def test_an_output_without_a_name(words):
    done = run(*words)
    assert (done.exit_code, "the path is empty" in done.stderr) == (2, True)


def test_the_lineage_of_a_result_names_the_masks_that_fit_it(tmp_path):
    masks = merge(make_truth(2), [1, 2], [3, 4])
    gnntrack.track(masks=masks, out=tmp_path / "01_RES", pictures=False)
    lineage = gnntrack.load(tmp_path / "01_RES" / "gnntrack" / "lineage.geff")
    with pytest.raises(FormatError, match=r"it is of a result, .* give those in the folder of this result"):
        gnntrack.export(lineage, tmp_path / "again", masks=masks)
    gnntrack.export(lineage, tmp_path / "again", masks=tmp_path / "01_RES")


def test_a_movie_is_compared_with_the_training_data_once(tmp_path, monkeypatch):
    compared = []
    real = training_range.find_unlike
    monkeypatch.setattr(training_range, "find_unlike", lambda *args: compared.append(args) or real(*args))
    model = write_model(tmp_path / "model", correction=None, movies=None)
    gnntrack.solve(gnntrack.build_graph(masks=MASKS), method="gnn", model=model, divisions=False)
    assert len(compared) == 1
