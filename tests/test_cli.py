"""The command line: arguments, output and exit codes."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import click
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from support.movies import N_CELLS, SHAPE, dividing_masks, images_of, write_folder, write_truth

from gnntrack.cli import COMMANDS, cli
from gnntrack.settings import Settings

CONFIGS = Path(__file__).parents[1] / "configs"


def runner() -> CliRunner:
    """Return a runner that keeps stderr apart; click 8.1 needs an option for it."""
    return CliRunner(**({"mix_stderr": False} if version("click").startswith("8.1.") else {}))


def run(*arguments: object, code: int = 0):
    """Run the command line in this process and expect an exit code."""
    result = runner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result


def shell(*arguments: object, **options) -> subprocess.CompletedProcess[str]:
    """Run the command line as a program."""
    command = [sys.executable, "-m", "gnntrack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def table_of(folder: Path) -> list[tuple[int, ...]]:
    rows = [tuple(map(int, line.split())) for line in (folder / "res_track.txt").read_text().splitlines()]
    return sorted((start, end, bool(parent)) for _, start, end, parent in rows)


SMALL = ["--frames", "6", "--shape", "96,96", "--cells", "4"]
EXPECTED = [(0, 2, False), (0, 5, False), (3, 5, True), (3, 5, True)]


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    masks = dividing_masks()
    write_folder(tmp_path / "masks", masks, prefix="mask")
    write_folder(tmp_path / "images", images_of(masks))
    return tmp_path


# ---------------------------------------------------------------- the main job


def test_track_from_images_and_masks(movie):
    out = movie / "01_RES"
    result = run("track", movie / "images", movie / "masks", "-o", out)
    assert table_of(out) == EXPECTED
    shown = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert shown["cells"] == str(N_CELLS)
    assert shown["tracks"] == "4"
    assert shown["divisions"] == "1"
    assert shown["gaps"] == "0 bridged"
    assert str(out) in shown["written"]
    assert result.stderr == ""
    run("validate", out)
    scores = json.loads(run("evaluate", out, write_truth(movie / "01_GT"), "--json").stdout)
    (score,) = scores.values()
    assert score["TRA"] == score["LNK"] == score["division_f1(1)"] == 1


@pytest.mark.parametrize("method", ["iou", "greedy", "hungarian"])
def test_track_from_masks_alone(movie, method):
    run("track", "--masks", movie / "masks", "-o", movie / "out", "--method", method)
    starts = [row[0] for row in table_of(movie / "out")]
    assert starts.count(0) == 2
    run("validate", movie / "out")


def test_track_from_images_alone(movie):
    result = run("track", movie / "images", "-o", movie / "out")
    assert table_of(movie / "out") == EXPECTED, result.output


def test_the_steps_one_by_one_give_the_result_of_track(movie):
    run("track", movie / "images", movie / "masks", "-o", movie / "at_once")
    run("build-graph", movie / "images", movie / "masks", "-o", movie / "g.geff")
    run("solve", movie / "g.geff", "-o", movie / "l.geff")
    run("export", movie / "l.geff", "--masks", movie / "masks", "-o", movie / "in_steps")
    for file in sorted(file for file in (movie / "at_once").iterdir() if file.is_file()):
        other = movie / "in_steps" / file.name
        if file.suffix == ".tif":
            np.testing.assert_array_equal(tifffile.imread(file), tifffile.imread(other))
        else:
            assert file.read_text() == other.read_text()


def test_export_as_tables(movie):
    run("build-graph", "--masks", movie / "masks", "-o", movie / "g.geff")
    run("solve", movie / "g.geff", "-o", movie / "l.geff")
    run("export", movie / "l.geff", "--to", "csv", "-o", movie / "tables")
    run("export", movie / "l.geff", "--to", "edges", "-o", movie / "edges.csv")
    assert len((movie / "tables" / "cells.csv").read_text().splitlines()) == N_CELLS + 1
    assert len((movie / "tables" / "tracks.csv").read_text().splitlines()) == 4 + 1
    assert len((movie / "edges.csv").read_text().splitlines()) == 9 + 4 + 1


def test_export_remembers_how_the_masks_were_read(movie):
    file = movie / "masks" / "mask000.tif"
    mask = tifffile.imread(file)
    mask[90:94, 90:94] = mask.max()  # a second piece of a label
    tifffile.imwrite(file, mask)
    run("build-graph", "--masks", movie / "masks", "-o", movie / "g.geff", "--fragments", "split")
    run("solve", movie / "g.geff", "-o", movie / "l.geff")
    run("export", movie / "l.geff", "--masks", movie / "masks", "-o", movie / "out")
    written = tifffile.imread(movie / "out" / "mask000.tif")
    assert len(np.unique(written)) == 1 + 3


def test_export_refuses_other_masks(movie):
    run("build-graph", "--masks", movie / "masks", "-o", movie / "g.geff")
    run("solve", movie / "g.geff", "-o", movie / "l.geff")
    other = write_folder(movie / "other", dividing_masks()[:5])
    result = run("export", movie / "l.geff", "--masks", other, "-o", movie / "out", code=2)
    assert "not those that the lineage was made from" in result.stderr
    assert not (movie / "out").exists()


def test_segment_then_track(movie):
    result = run("segment", movie / "images", "-o", movie / "made")
    assert f"cells    {N_CELLS}" in result.stdout
    run("track", movie / "images", movie / "made", "-o", movie / "out")
    assert table_of(movie / "out") == EXPECTED


def test_options_reach_the_settings(movie):
    run("track", "--masks", movie / "masks", "-o", movie / "out", "--no-divisions")
    rows = table_of(movie / "out")
    assert not any(child for *_, child in rows)


def test_an_option_overrules_the_file(tmp_path):
    (tmp_path / "s.toml").write_text("[graph]\nmax_gap = 3\nmax_neighbours = 5\n", encoding="utf-8")
    made = tmp_path / "all.toml"
    run("init-config", "--config", tmp_path / "s.toml", "-o", made)
    assert tomllib.loads(made.read_text())["graph"]["max_gap"] == 3


def test_verbose_prints_estimates(movie):
    quiet = run("track", "--masks", movie / "masks", "-o", movie / "a")
    reported = run("track", "--masks", movie / "masks", "-o", movie / "b", "-v")
    assert quiet.stderr == ""
    assert "gate" in reported.stderr


@pytest.mark.parametrize("source", ["npy", "multipage"])
def test_other_sources(movie, source):
    masks = dividing_masks()
    path = movie / {"npy": "m.npy", "multipage": "m.tif"}[source]
    if source == "npy":
        np.save(path, masks)
    else:
        tifffile.imwrite(path, masks, photometric="minisblack")
    run("track", "--masks", path, "-o", movie / "out")
    assert table_of(movie / "out") == EXPECTED


def test_three_dimensions_and_spacing(tmp_path):
    masks = dividing_masks()
    volume = np.repeat(masks[:, None], 4, axis=1)
    volume[:, 0] = volume[:, -1] = 0
    np.save(tmp_path / "v.npy", volume)
    run("track", "--masks", tmp_path / "v.npy", "-o", tmp_path / "out", "--spacing", "2,0.5,0.5")
    assert table_of(tmp_path / "out") == EXPECTED
    run("validate", tmp_path / "out")
    assert tifffile.imread(tmp_path / "out" / "mask000.tif").shape == volume.shape[1:]


# ---------------------------------------------------------------- the other commands


def test_simulate_is_a_movie_with_a_valid_truth(tmp_path):
    out = tmp_path / "movie"
    run("simulate", "-o", out, "--seed", 3, *SMALL)
    run("validate", out / "01_GT")
    again = tmp_path / "again"
    run("simulate", "-o", again, "--seed", 3, *SMALL)
    files = sorted(file.relative_to(out) for file in out.rglob("*.tif"))
    assert files
    for file in files:
        np.testing.assert_array_equal(tifffile.imread(out / file), tifffile.imread(again / file))


@pytest.mark.figures
def test_demo(tmp_path, monkeypatch):
    monkeypatch.setitem(importlib.import_module("gnntrack.cli.demo")._MOVIE, "simulate__frames", 12)
    done = run("demo", "-o", tmp_path / "demo")
    for name in ("lineage.png", "overlay.png", "01_RES/res_track.txt"):
        assert (tmp_path / "demo" / name).stat().st_size > 0
        assert name.split("/")[0] in done.stdout
    scores = json.loads((tmp_path / "demo" / "scores.json").read_text(encoding="utf-8"))
    assert scores["TRA"] > 0.9


@pytest.mark.slow
def test_a_demo_replaces_the_last_one(tmp_path):
    for _ in range(2):
        start = os.times().children_user
        done = shell("demo", "-o", tmp_path / "demo")
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
    assert os.times().children_user - start < 60


def test_demo_spares_a_folder_that_is_not_its_own(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work", encoding="utf-8")
    run("demo", "-o", tmp_path / "mine", code=2)
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_info_of_masks_names_every_problem(movie):
    file = movie / "masks" / "mask001.tif"
    mask = tifffile.imread(file)
    mask[80:84, 80:84] = mask.max()
    tifffile.imwrite(file, mask)
    (movie / "masks" / "mask003.tif").unlink()
    result = run("info", movie / "masks")
    assert "masks" in result.stdout.splitlines()[0]
    assert "in several pieces, such as" in result.stdout
    assert "in frame 1" in result.stdout
    assert "mask003" in result.stdout or "frame 3" in result.stdout
    assert "1 frame without cells: 3" in result.stdout
    found = json.loads(run("info", movie / "masks", "--json").stdout)
    assert found["frames"] == 6
    assert found["empty_frames"] == [3]
    assert len(found["problems"]) == 3


def test_info_of_images(movie):
    result = run("info", movie / "images", "--spacing", "0.5")
    assert "kind      images" in result.stdout
    assert "0.5 x 0.5 um" in result.stdout
    assert "no problems found" in result.stdout


def test_info_lists_every_frame_that_cannot_be_read(movie):
    for frame in (2, 4):
        (movie / "images" / f"t00{frame}.tif").write_bytes(b"no TIFF at all")
    result = run("info", movie / "images")
    assert "t002.tif" in result.stdout
    assert "t004.tif" in result.stdout


def test_info_of_one_frame_without_cells(tmp_path):
    np.save(tmp_path / "m.npy", np.zeros((1, 8, 8), np.uint8))
    result = run("info", tmp_path / "m.npy", "--masks")
    assert "1 frame without cells: 0" in result.stdout


def test_segmenters_lists_the_first_one():
    assert "threshold" in run("segmenters").stdout.split()


def test_init_config_prints_the_defaults(tmp_path):
    assert run("init-config").stdout == Settings().to_toml()
    run("init-config", "-o", tmp_path / "s.toml")
    assert Settings.from_toml(tmp_path / "s.toml") == Settings()
    run("init-config", "-o", tmp_path / "s.toml", code=2)
    run("init-config", "-o", tmp_path / "s.toml", "--overwrite")


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.toml")), ids=lambda file: file.stem)
def test_settings_files_can_be_read(file):
    settings = Settings.from_toml(file)
    if file.stem not in {"default", "internship-report", "shipped-network"}:
        assert len(settings.frames.spacing) == (3 if "3D" in file.stem else 2)
        assert settings.repair.margin in {0, 25, 50}
        assert settings.train_segmenter.margin == settings.repair.margin


def test_default_toml_is_the_default():
    written = (CONFIGS / "default.toml").read_text(encoding="utf-8")
    assert written == Settings().to_toml(), "run: gnntrack init-config -o configs/default.toml --overwrite"


# ---------------------------------------------------------------- exit codes


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    shown = run(command, "--help").stdout
    assert "Usage:" in shown
    assert shown.count("--verbose") == 1


def test_version_and_no_command():
    assert "0.1.0" in run("--version").stdout
    usage = runner().invoke(cli, [])
    assert "Commands:" in usage.stdout + usage.stderr


def test_an_unknown_command_names_the_nearest():
    assert "Did you mean 'track'?" in run("trak", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "reported"),
    [
        (["track", "-o", "out"], "IMAGES MASKS"),
        (["track", "{images}", "{masks}"], "--out"),
        (["track", "{images}", "{masks}", "--masks", "{masks}", "-o", "out"], "twice"),
        (["track", "{images}", "{masks}", "--images", "{images}", "-o", "out"], "twice"),
        (["build-graph", "-o", "out"], "IMAGES MASKS"),
        (["track", "{images}", "{masks}", "--segmenter", "threshold", "-o", "{out}"], "omit them, or the masks"),
        (
            ["track", "{images}", "{masks}", "--model", "shipped", "-o", "{out}"],
            "--model belongs to --method gnn or auto",
        ),
        (["track", "{images}", "{masks}", "--device", "cpu", "--method", "iou", "-o", "{out}"], "--device belongs to"),
        (["solve", "{masks}", "--model", "shipped", "-o", "{out}"], "--method hungarian does not use it"),
        (["track", "{images}", "{masks}", "-o", "{out}", "--method", "magic"], "iou, greedy, hungarian"),
        (["track", "{images}", "{masks}", "-o", "{out}", "--solver", "magic"], "hungarian"),
        (["track", "{images}", "{masks}", "-o", "{out}", "--max-gap", "0"], "max_gap"),
        (["track", "{images}", "{masks}", "-o", "{out}", "--max-gap", "many"], "max-gap"),
        (["track", "{images}", "{masks}", "-o", "{out}", "--fragments", "eat"], "keep"),
        (["track", "{images}", "{masks}", "-o", "{out}", "--spacing", "1,x"], "1,x"),
        (["track", "{images}", "{masks}", "-o", "{out}", "--spacing", "1,1,1"], "y, x"),
        (["track", "{images}", "{masks}", "-o", "{out}", "--config", "{out}.toml"], ".toml"),
        (["track", "{images}", "-o", "{out}", "--segmenter", "magic"], "threshold"),
        (["track", "{masks}", "-o", "{out}"], "--masks"),
        (["track", "{images}", "{images}x", "-o", "{out}"], "imagesx"),
        (["solve", "{masks}", "-o", "{out}"], "masks"),
        (["export", "{masks}", "-o", "{out}"], "neither a result of"),
        (["export", "{masks}", "--to", "svg", "-o", "{out}"], "edges"),
        (["evaluate", "{masks}"], "pairs"),
        (["evaluate", "{masks}", "{masks}"], "masks"),
        (["evaluate", "{masks}", "{masks}", "--require", "TRA"], "METRIC=VALUE"),
    ],
)
def test_wrong_usage_is_reported_with_exit_code_2(movie, arguments, reported):
    places = {"images": movie / "images", "masks": movie / "masks", "out": movie / "out"}
    before = sorted(movie.rglob("*"))
    result = run(*[argument.format(**places) for argument in arguments], code=2)
    assert reported in result.stderr
    assert "Traceback" not in result.stderr
    assert sorted(movie.rglob("*")) == before


def test_a_settings_file_of_the_network_serves_every_method(movie):
    (movie / "s.toml").write_text('[gnn]\nmodel = "shipped"\ndevice = "cpu"\n')
    run("track", movie / "images", movie / "masks", "-o", movie / "out", "--config", movie / "s.toml")
    assert table_of(movie / "out") == EXPECTED


def test_a_misspelt_setting_names_the_nearest(movie):
    (movie / "s.toml").write_text("[graph]\nmax_gaps = 3\n", encoding="utf-8")
    result = run("track", "--masks", movie / "masks", "-o", movie / "out", "--config", movie / "s.toml", code=2)
    assert "did you mean 'graph.max_gap'?" in result.stderr


def test_a_bad_result_is_exit_code_1(movie):
    run("track", "--masks", movie / "masks", "-o", movie / "out")
    (movie / "out" / "mask002.tif").unlink()
    result = run("validate", movie / "out", code=1)
    assert "frame 2" in result.stdout
    found = json.loads(run("validate", movie / "out", "--json", code=1).stdout)
    assert not found["valid"]
    assert {"rule", "severity", "message", "file", "frame"} <= set(found["problems"][0])


def test_a_score_below_the_required_one_is_exit_code_1(movie):
    run("track", "--masks", movie / "masks", "-o", movie / "01_RES", "--no-divisions")
    truth = write_truth(movie / "01_GT")
    run("evaluate", movie / "01_RES", truth, "--require", "DET=1")
    result = run("evaluate", movie / "01_RES", truth, "--require", "LNK=1", code=1)
    assert "LNK is" in result.stderr
    run("evaluate", movie / "01_RES", truth, "--require", "FUN=1", code=2)


def test_several_sequences_are_scored_at_once(movie):
    run("track", "--masks", movie / "masks", "-o", movie / "01_RES")
    run("track", "--masks", movie / "masks", "-o", movie / "02_RES", "--method", "iou")
    truth = write_truth(movie / "01_GT")
    result = run("evaluate", movie / "01_RES", truth, movie / "02_RES", truth)
    header, *rows = result.stdout.splitlines()
    assert header.split()[-1] == "mean"
    assert any(row.startswith("TRA") and len(row.split()) == 4 for row in rows)


# ---------------------------------------------------------------- bad input


def not_a_tiff(folder: Path) -> None:
    (folder / "mask002.tif").write_bytes(b"this is text")


def truncate_file(folder: Path) -> None:
    file = folder / "mask002.tif"
    file.write_bytes(file.read_bytes()[:-60])


def cut_in_the_header(folder: Path) -> None:
    (folder / "mask002.tif").write_bytes((folder / "mask002.tif").read_bytes()[:6])


def damage_file(folder: Path) -> None:
    content = bytearray((folder / "mask002.tif").read_bytes())
    start = content.find(b"\x78")  # where a zlib stream begins
    content[start + 2 : start + 40] = b"\xff" * 38
    (folder / "mask002.tif").write_bytes(content)


def empty_file(folder: Path) -> None:
    (folder / "mask002.tif").write_bytes(b"")


def other_shape(folder: Path) -> None:
    tifffile.imwrite(folder / "mask002.tif", np.zeros((40, 30), np.uint16))


def hole(folder: Path) -> None:
    (folder / "mask002.tif").unlink()


def not_integral(folder: Path) -> None:
    tifffile.imwrite(folder / "mask002.tif", np.full(SHAPE, 0.5, np.float32))


def not_a_number(folder: Path) -> None:
    tifffile.imwrite(folder / "mask002.tif", np.full(SHAPE, np.nan, np.float32))


def negative(folder: Path) -> None:
    tifffile.imwrite(folder / "mask002.tif", np.full(SHAPE, -3, np.int16))


def rgb(folder: Path) -> None:
    tifffile.imwrite(folder / "mask002.tif", np.zeros((*SHAPE, 3), np.uint8), photometric="rgb")


BAD_FRAMES = [
    not_a_tiff,
    truncate_file,
    cut_in_the_header,
    damage_file,
    empty_file,
    other_shape,
    hole,
    not_integral,
    not_a_number,
    negative,
    rgb,
]


@pytest.mark.parametrize(
    "words",
    [
        ("{images}", "{masks}"),
        ("--images", "{images}", "--masks", "{masks}"),
        ("{images}", "--masks", "{masks}"),
        ("--masks", "{masks}"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("command", ["track", "build-graph"])
def test_images_come_before_masks_as_arguments_or_options(movie, command, words):
    given = [word.format(images=movie / "images", masks=movie / "masks") for word in words]
    result = run(command, *given, "-o", movie / "out.geff")
    assert "cells" in result.stdout
    assert "deprecated" not in result.stderr


@pytest.mark.parametrize("more", [("--images", "{images}"), ()])
def test_masks_first_is_deprecated_in_build_graph(movie, more):
    more = [word.format(images=movie / "images") for word in more]
    result = run("build-graph", movie / "masks", *more, "-o", movie / "g.geff")
    now = f"{movie / 'images'} {movie / 'masks'}" if more else f"--masks {movie / 'masks'}"
    assert f"deprecated, write: gnntrack build-graph {now}" in result.stderr
    assert "cells" in result.stdout


def test_a_graph_needs_masks(movie):
    refused = run("build-graph", movie / "images", "-o", movie / "g.geff", code=2)
    assert f"masks are missing: give {movie / 'images'} MASKS" in refused.stderr


@pytest.mark.parametrize("spoil", BAD_FRAMES, ids=lambda spoil: spoil.__name__)
@pytest.mark.parametrize("command", ["track", "build-graph"])
def test_a_bad_frame_is_named_and_nothing_is_written(movie, spoil, command):
    spoil(movie / "masks")
    out = movie / "results" / "out.geff"
    out.parent.mkdir()
    arguments = [command, movie / "images", movie / "masks"]
    result = run(*arguments, "-o", out, code=2)
    assert result.stderr.startswith("Error: ")
    assert "mask002.tif" in result.stderr or (spoil is hole and "masks" in result.stderr and "2" in result.stderr)
    assert "frame 2" in result.stderr or spoil is hole
    assert "Traceback" not in result.stderr
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    "spoil", [not_a_tiff, truncate_file, damage_file, other_shape, hole, rgb], ids=lambda s: s.__name__
)
def test_a_bad_image_is_named_and_nothing_is_written(movie, spoil):
    for file in (movie / "images").iterdir():
        file.rename(file.with_name(file.name.replace("t", "mask", 1)))
    spoil(movie / "images")
    (movie / "results").mkdir()
    for more in ([movie / "masks"], []):
        result = run("track", movie / "images", *more, "-o", movie / "results" / "out", code=2)
        assert "mask002.tif" in result.stderr or (spoil is hole and "images" in result.stderr)
        assert list((movie / "results").iterdir()) == []
    run("segment", movie / "images", "-o", movie / "results" / "masks", code=2)
    assert list((movie / "results").iterdir()) == []


def test_a_hole_is_an_empty_frame_with_allow_missing(movie):
    hole(movie / "masks")
    run("track", "--masks", movie / "masks", "-o", movie / "out", "--allow-missing")
    assert len(list((movie / "out").glob("*.tif"))) == 6


def test_images_and_masks_of_different_length(movie):
    (movie / "masks" / "mask005.tif").unlink()
    result = run("track", movie / "images", movie / "masks", "-o", movie / "out", code=2)
    assert "6 images and 5 masks" in result.stderr
    assert not (movie / "out").exists()


def test_images_and_masks_of_different_shape(movie):
    other = write_folder(movie / "other", images_of(dividing_masks())[:, :40])
    result = run("track", other, movie / "masks", "-o", movie / "out", code=2)
    assert "(40, 96)" in result.stderr
    assert not (movie / "out").exists()


def test_a_folder_without_frames(movie):
    (movie / "empty").mkdir()
    result = run("track", "--masks", movie / "empty", "-o", movie / "out", code=2)
    assert "empty" in result.stderr
    assert not (movie / "out").exists()


def test_an_existing_output_is_refused_before_the_work(movie):
    out = movie / "out"
    run("track", "--masks", movie / "masks", "-o", out)
    before = (out / "res_track.txt").stat().st_mtime_ns
    not_a_tiff(movie / "masks")  # the output is checked first
    result = run("track", "--masks", movie / "masks", "-o", out, code=2)
    assert "--overwrite" in result.stderr
    assert (out / "res_track.txt").stat().st_mtime_ns == before
    run("track", "--masks", movie / "masks", "-o", out, "--overwrite", code=2)
    assert (out / "res_track.txt").stat().st_mtime_ns == before, "a failed run leaves the old result"


def test_overwrite_replaces_a_result_but_no_other_folder(movie):
    run("track", "--masks", movie / "masks", "-o", movie / "out")
    run("track", "--masks", movie / "masks", "-o", movie / "out", "--overwrite", "--method", "iou")
    run("track", "--masks", movie / "masks", "-o", movie / "images", "--overwrite", code=2)
    assert len(list((movie / "images").iterdir())) == 6


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_to_write(movie):
    (movie / "locked").mkdir()
    (movie / "locked").chmod(stat.S_IREAD | stat.S_IEXEC)
    result = run("track", "--masks", movie / "masks", "-o", movie / "locked" / "out", code=2)
    assert "written" in result.stderr


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="a place where not even root may write")
def test_a_place_where_nobody_may_write(movie):
    result = run("track", "--masks", movie / "masks", "-o", "/proc/out", code=2)
    assert "/proc/out" in result.stderr


def test_no_place_to_write(movie):
    (movie / "file").write_text("", encoding="utf-8")
    result = run("track", "--masks", movie / "masks", "-o", movie / "file" / "out", code=2)
    assert "file" in result.stderr


def test_more_tracks_than_the_format_has_labels(tmp_path):
    grid = np.zeros((1, 520, 520), np.int32)
    grid[0, ::2, ::2] = np.arange(1, 260 * 260 + 1).reshape(260, 260)
    np.save(tmp_path / "m.npy", grid)
    result = run("track", "--masks", tmp_path / "m.npy", "-o", tmp_path / "out", code=2)
    assert "65535" in result.stderr
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------- odd input that works


def empty_between(masks):
    masks[2] = 0


def first_empty(masks):
    masks[0] = 0


def no_cell(masks):
    masks[:] = 0


def one_cell(masks):
    masks[masks != masks[0].max()] = 0


@pytest.mark.parametrize("change", [empty_between, first_empty, no_cell, one_cell], ids=lambda c: c.__name__)
@pytest.mark.parametrize("method", ["iou", "greedy", "hungarian"])
def test_odd_movies_are_tracked(tmp_path, change, method):
    masks = dividing_masks()
    change(masks)
    np.save(tmp_path / "m.npy", masks)
    np.save(tmp_path / "i.npy", images_of(masks))
    run("track", tmp_path / "i.npy", tmp_path / "m.npy", "-o", tmp_path / "out", "--method", method)
    assert len(list((tmp_path / "out").glob("*.tif"))) == 6


def test_one_frame(tmp_path):
    np.save(tmp_path / "m.npy", dividing_masks()[:1])
    run("track", "--masks", tmp_path / "m.npy", "-o", tmp_path / "out")
    assert table_of(tmp_path / "out") == [(0, 0, False), (0, 0, False)]


def test_huge_labels_in_any_order(tmp_path):
    masks = dividing_masks().astype(np.int64)
    masks[masks > 0] = 2_000_000_000 - masks[masks > 0]
    np.save(tmp_path / "m.npy", masks)
    run("track", "--masks", tmp_path / "m.npy", "-o", tmp_path / "out")
    assert table_of(tmp_path / "out") == EXPECTED


def test_float_masks_of_whole_numbers(tmp_path):
    np.save(tmp_path / "m.npy", dividing_masks().astype(np.float32))
    run("track", "--masks", tmp_path / "m.npy", "-o", tmp_path / "out")
    assert table_of(tmp_path / "out") == EXPECTED


def test_disconnected_labels_are_reported(movie):
    file = movie / "masks" / "mask001.tif"
    mask = tifffile.imread(file)
    mask[80:84, 80:84] = mask.max()
    tifffile.imwrite(file, mask)
    result = run("track", "--masks", movie / "masks", "-o", movie / "out")
    assert "its mask is in 2 pieces" in result.stdout
    assert "--fragments" in result.stdout
    assert "frame 1" in result.stdout


@pytest.mark.slow  # test_ctc.py has the same without the command
def test_more_than_999_frames(tmp_path):
    masks = np.zeros((1003, 12, 12), np.uint8)
    masks[:, 4:8, 4:8] = 1
    np.save(tmp_path / "m.npy", masks)
    run("track", "--masks", tmp_path / "m.npy", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "mask1002.tif").exists()
    assert (tmp_path / "out" / "mask0000.tif").exists()
    run("validate", tmp_path / "out")


# ---------------------------------------------------------------- as a program


def test_as_a_program(movie):
    done = shell("track", movie / "images", movie / "masks", "-o", movie / "out")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "quiet where stderr is no terminal"
    not_a_tiff(movie / "masks")
    done = shell("track", movie / "images", movie / "masks", "-o", movie / "out2")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("stream", ["open(os.devnull, 'w')", "None"])
@pytest.mark.parametrize(("word", "code"), [("segmenters", 0), ("nonsense", 2)])
def test_the_process_ends_with_its_code_wherever_the_text_goes(stream, word, code):
    start = f"import os, sys; sys.stdout = {stream}; from gnntrack.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", start, word], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_interrupt_leaves_nothing(tmp_path):
    masks = np.zeros((1500, 64, 64), np.uint8)
    masks[:, 10:20, 10:20] = 1
    np.save(tmp_path / "m.npy", masks)
    out = tmp_path / "results" / "out"
    # a process that is started in the background may ignore the signal, and its children then do so too
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from gnntrack.cli import main; main()"
    )
    command = [sys.executable, "-c", start, "track", "--masks", str(tmp_path / "m.npy"), "-o", str(out), "-v"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        first = process.stderr.readline()  # the gate has been printed, so the work is well under way
        process.send_signal(signal.SIGINT)
        _, reported = process.communicate(timeout=30)
    assert process.returncode == 130, first + reported
    assert "Traceback" not in reported
    assert not out.parent.exists()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", -signal.SIGINT)])
def test_a_signal_is_not_lost_in_a_package_that_catches_everything(tmp_path, name, code):
    send = f"os.kill(os.getpid(), signal.{name}); time.sleep(0.2)"
    swallow = f"import os, signal, time\ntry:\n    {send}\nexcept BaseException:\n    pass\n"
    (tmp_path / "swallows.py").write_text(swallow)
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from gnntrack.cli.interrupts import "
        "handle_signals; handle_signals(); import swallows, time; time.sleep(5)"
    )
    places = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", start], env={**os.environ, "PYTHONPATH": places}, stderr=subprocess.PIPE, check=False
    )
    assert done.returncode == code, done.stderr


def test_a_lineage_is_not_a_graph_to_solve(movie):
    run("build-graph", "--masks", movie / "masks", "-o", movie / "g.geff")
    run("solve", movie / "g.geff", "-o", movie / "l.geff")
    refused = run("solve", movie / "l.geff", "-o", movie / "again.geff", code=2)
    assert "l.geff: it holds no candidate links" in refused.stderr
    assert not (movie / "again.geff").exists()


def test_a_folder_of_masks_is_not_a_graph(movie):
    refused = run("solve", movie / "masks", "-o", movie / "l.geff", code=2)
    assert "give an output of 'build-graph' or 'solve'" in refused.stderr


def test_a_frame_whose_gaps_are_painted_is_not_said_to_be_empty(movie):
    (movie / "masks" / "mask001.tif").unlink()
    result = run("track", "--masks", movie / "masks", "-o", movie / "out", "--allow-missing")
    assert "frames without cells" not in result.stdout
    assert "valid\n" in run("validate", movie / "out").stdout


def test_a_frame_that_stays_empty_is_reported(movie):
    (movie / "masks" / "mask001.tif").unlink()
    options = ["--allow-missing", "--no-fill-gaps"]
    result = run("track", "--masks", movie / "masks", "-o", movie / "out", *options)
    assert "frame 1: the frame has no cells; the official evaluator refuses such frames" in result.stdout


def test_swapped_images_and_masks_are_refused(movie):
    refused = run("track", movie / "masks", movie / "images", "-o", movie / "out", code=2)
    assert "are the two swapped? give the images first and the masks second: IMAGES MASKS" in refused.stderr
    assert not (movie / "out").exists()


def test_validate_shortens_a_long_list(tmp_path):
    empty = np.zeros((30, 8, 8), np.uint16)
    np.save(tmp_path / "m.npy", empty)
    run("track", "--masks", tmp_path / "m.npy", "-o", tmp_path / "out")
    shown = run("validate", tmp_path / "out").stdout
    assert shown.count("[empty-frame]") == 21
    assert "[empty-frame]: and 10 more; --json lists all" in shown
    assert len(json.loads(run("validate", tmp_path / "out", "--json").stdout)["problems"]) == 31


def test_a_settings_file_that_is_not_there(movie):
    refused = run("track", movie / "images", "-o", movie / "out", "--config", movie / "no.toml", code=2)
    assert "this settings file does not exist" in refused.stderr


@pytest.mark.parametrize("command", [["simulate"], ["demo"], ["train", "data"], ["train-segmenter", "unet", "data"]])
def test_a_negative_seed_is_refused(command, tmp_path):
    assert "-1 is not in the range x>=0" in run(*command, "-o", tmp_path / "out", "--seed", -1, code=2).stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["track", "batch", "build-graph", "export", "train", "simulate"])
def test_options_are_shown_in_groups(command):
    shown = run(command, "--help").stdout
    groups = re.findall(r"^([A-Z][a-z]+):$", shown, re.MULTILINE)
    known = ("Input", "Movie", "Embryo", "Method", "Output", "Work", "Settings", "Other")
    assert groups == [group for group in known if group in groups]
    assert {"Output", "Settings", "Other"} <= set(groups)
    assert "Options" not in groups
    of_group = dict(zip(groups, re.split(r"^[A-Z][a-z]+:$", shown, flags=re.MULTILINE)[1:], strict=True))
    assert "-o, --out" in of_group["Output"]
    assert "Settings file (TOML); options override it." in " ".join(of_group["Settings"].split())
    assert "--help" in of_group["Other"]


def test_the_groups_of_track_and_batch_are_the_same():
    inputs, methods = ("--spacing", "--interval", "--masks-pattern", "--channel"), ("--method", "--max-gap", "--device")
    for command in ("track", "batch"):
        parts = re.split(r"^(?:Input|Method|Output):$", run(command, "--help").stdout, flags=re.MULTILINE)
        assert all(name in parts[1] for name in inputs)
        assert all(name in parts[2] for name in methods)


@pytest.mark.parametrize("name", ["Fluo-N2DL-HeLa", "Fluo-N2DH-SIM+", "default", "PhC-C2DL-PSC", "Fluo-N3DH-CE"])
def test_settings_files_are_found_by_name(name, tmp_path):
    run("init-config", "--config", name, "-o", tmp_path / "found.toml")
    expected = Settings.from_toml(Path(__file__).resolve().parents[1] / "configs" / f"{name}.toml")
    assert Settings.from_toml(tmp_path / "found.toml") == expected


def test_a_name_of_settings_is_found_beside_a_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Fluo-N2DL-HeLa").mkdir()  # its data
    assert "margin = 25" in run("init-config", "--config", "Fluo-N2DL-HeLa").stdout


def test_an_unknown_name_of_a_settings_file_lists_the_names():
    problem = run("init-config", "--config", "Fluo-N2DL-Hela", code=2).stderr
    assert "does not exist" in problem
    assert "Fluo-N2DL-HeLa" in problem


def test_info_of_a_folder_that_also_has_masks_names_the_option_that_reads_them(movie, tmp_path):
    for kind, ending in (("images", ""), ("masks", "_cp_masks")):
        for path in sorted((movie / kind).iterdir()):
            (tmp_path / f"{path.stem}{ending}.tif").write_bytes(path.read_bytes())
    assert "--masks reads the masks in this folder" in run("info", tmp_path).stdout
    assert "cells " in run("info", tmp_path, "--masks").stdout


INCOMPLETE = {
    "track": "track IMAGES MASKS -o 01_RES",
    "track a": "track a -o 01_RES",
    "track --masks 'my masks'": "track --masks 'my masks' -o 01_RES",
    "track --method iou": "track IMAGES MASKS -o 01_RES",
    "track a b -o": "track a b -o 01_RES",
    "track a b c": "track a b -o c",
    "track a b 'my result' --method iou": "track a b --method iou -o 'my result'",
    "solve a.geff b.geff": "solve a.geff -o b.geff",
    "track -o": "track IMAGES MASKS -o 01_RES",
    "track -o out": "track IMAGES MASKS -o 01_RES",
    "build-graph": "build-graph IMAGES MASKS -o graph.geff",
    "build-graph a b": "build-graph a b -o graph.geff",
    "solve": "solve graph.geff -o lineage.geff",
    "solve a.geff": "solve a.geff -o lineage.geff",
    "segment a --segmenter unet": "segment a --segmenter unet -o MASKS",
    "batch": "batch EXPERIMENT -o RESULTS",
    "export a": "export a -o tables",
    "import a.xml": "import a.xml -o 01_RES",
    "simulate --frames 3": "simulate --frames 3 -o MOVIE",
    "train": "train DATA -o MODEL",
    "train-segmenter unet": "train-segmenter unet DATA -o MODEL",
    "shape a --spacing 1,1": "shape a --spacing 1,1 -o shapes",
    "evaluate": "evaluate 01_RES 01_GT",
    "evaluate a": "evaluate 01_RES 01_GT",
    "evaluate-segmentation a": "evaluate-segmentation MASKS 01_GT",
    "validate": "validate 01_RES",
    "info": "info MOVIE.tif",
    "init-config -o": "init-config -o settings.toml",
}


@pytest.mark.parametrize("line", INCOMPLETE)
def test_an_incomplete_line_is_answered_with_one_that_works(line):
    message = run(*shlex.split(line), code=2).stderr
    assert f"; type, for example: gnntrack {INCOMPLETE[line]}\n" in message
    name, *arguments = shlex.split(INCOMPLETE[line])
    command = cli.get_command(click.Context(cli), name)
    assert command.make_context(name, arguments).params


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_has_a_line_that_works(command):
    (example,) = [line for line in run(command, "--help").output.splitlines() if "Example: " in line]
    name, *arguments = example.split("gnntrack ", 1)[1].split()
    assert name == command
    assert cli.get_command(click.Context(cli), name).make_context(name, arguments).params is not None


def test_an_option_without_its_value_is_answered_as_before():
    assert "Option '--axes' requires an argument.\n" in run("track", "a", "--axes", code=2).stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("line", [["--help"], ["track", "--help"], ["init-config"], ["segmenters"], ["--version"]])
def test_a_full_disk_under_the_printed_lines_is_told_in_words(line):
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "gnntrack", *line]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Error: what is printed cannot be written (No space left on device); ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix closes the streams")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_movie_is_tracked_without_streams(closed, movie, tmp_path):
    line = f"'{sys.executable}' -m gnntrack track --masks '{movie}/masks' -o '{tmp_path}/res' --no-pictures {closed}"
    assert subprocess.run(["sh", "-c", line], capture_output=True, check=False).returncode == 0
    assert table_of(tmp_path / "res") == EXPECTED
