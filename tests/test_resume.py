"""``--resume``: what is finished and unchanged is kept, and every change is noticed."""

import json
import shlex
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest
import tifffile
from click.testing import CliRunner
from support.movies import dividing_masks, images_of, write_folder

import gnntrack.io.manifests
import gnntrack.io.output
import gnntrack.segmentation.movie
from gnntrack.cli import COMMANDS as COMMANDS_OF_GNNTRACK
from gnntrack.cli import cli

KEPT = "this command has made it from the same inputs"


def run(line: str, code: int = 0) -> str:
    """Run the command line in this process and expect an exit code."""
    options = {"mix_stderr": False} if version("click").startswith("8.1.") else {}
    result = CliRunner(**options).invoke(cli, shlex.split(line))
    assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
    return result.stdout + result.stderr


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Return a folder with the inputs of the commands."""
    place = tmp_path_factory.mktemp("world")
    write_folder(place / "masks", dividing_masks(), prefix="mask")
    write_folder(place / "images", images_of(dividing_masks()))
    run(f"build-graph {place / 'images'} {place / 'masks'} -o {place / 'graph.geff'}")
    run(f"solve {place / 'graph.geff'} -o {place / 'lineage.geff'}")
    return place


@pytest.fixture
def inputs(world, tmp_path, monkeypatch):
    """Return a folder of its own with the inputs; paths are relative to it."""
    shutil.copytree(world, tmp_path / "in")
    monkeypatch.chdir(tmp_path / "in")
    return tmp_path / "in"


def read_files(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return {each.name: each.read_bytes() for each in files}


def damage(path: Path) -> None:
    """Change a pixel or a value, and neither the size nor the name."""
    files = [path] if path.is_file() else [each for each in path.rglob("[!.]*") if each.is_file()]
    largest = max(files, key=lambda each: (each.stat().st_size, each.name))
    content = bytearray(largest.read_bytes())
    content[-1] ^= 1
    largest.write_bytes(content)


# command, an input of it, another setting
COMMANDS = {
    "solve": ("solve graph.geff -o {out}.geff", "graph.geff", "--no-divisions"),
    "convert": ("convert lineage.geff {out}.xml", "lineage.geff", "--interval 5min"),
    "segment": ("segment images -o {out} --no-pictures", "images", "--diameter 20"),
    "init-config": ("init-config -o {out}.toml", None, ""),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_finished_output_is_kept_and_changes_are_noticed(inputs, name):
    line, source, other = COMMANDS[name]
    line = line.format(out="out")
    run(f"{line} --resume")  # nothing is there: it is made
    out = next(path for path in inputs.iterdir() if path.name.startswith("out"))
    first = read_files(out)
    assert KEPT in run(f"{line} --resume")
    assert KEPT in run(f"{line} --resume --overwrite")
    assert read_files(out) == first
    if other:
        told = run(f"{line} --resume {other}", code=2)
        assert "was" in told
        assert "--overwrite" in told
        assert read_files(out) == first
    if source is not None:
        shutil.copytree(inputs / source, inputs / "before")
        damage(inputs / source)
        told = run(f"{line} --resume", code=2)
        assert f"the content of {source} has changed" in told
        shutil.rmtree(inputs / source)
        (inputs / "before").rename(inputs / source)  # the same content again
        assert KEPT in run(f"{line} --resume")
    damage(out)
    told = run(f"{line} --resume", code=2)
    assert f"{out.name}: this command would make it differently now: it has been changed since it was made" in told
    run(f"{line} --resume --overwrite")
    again = read_files(out)
    assert {file for file in again if again[file] != first[file]} <= {"summary.json"}  # it holds seconds
    assert [path.name for path in (inputs / ".gnntrack").glob("out*")] == [f"{out.name}.json"]


def test_a_file_that_is_not_recorded_is_not_kept(inputs):
    (inputs / "out.toml").write_text("mine")
    assert "how it was made is not recorded" in run("init-config -o out.toml --resume", code=2)
    assert (inputs / "out.toml").read_text() == "mine"


def test_without_resume_nothing_is_left_beside_an_output(inputs):
    run("init-config -o out.toml")
    assert not (inputs / ".gnntrack").exists()


def test_another_version_is_a_change(inputs, monkeypatch):
    run("init-config -o out.toml --resume")
    monkeypatch.setattr(gnntrack.io.manifests, "__version__", "99")
    assert "and is now 99" in run("init-config -o out.toml --resume", code=2)


def test_an_output_whose_run_was_killed_before_it_appeared_is_made(inputs, monkeypatch):
    line = "solve graph.geff -o out.geff"

    def kill(place, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gnntrack.io.output, "move_output", kill)
        run(line, code=130)
    run(f"{line} --resume")
    first = read_files(inputs / "out.geff")
    with monkeypatch.context() as patch:
        patch.setattr(gnntrack.io.output, "move_output", kill)
        run(f"{line} --overwrite --no-divisions", code=130)
    assert read_files(inputs / "out.geff") == first
    assert KEPT in run(f"{line} --resume")  # its record is kept beside that of the run that was killed


def test_of_several_outputs_those_are_made_that_are_missing(inputs):
    line = "track images masks -o 01_RES --output-edge-table links.csv"
    run(f"{line} --resume")
    (inputs / "links.csv").unlink()
    run(f"{line} --resume")
    assert (inputs / "links.csv").is_file()
    assert run(f"{line} --resume").count(KEPT) == 2


def test_the_images_behind_a_result_count_for_its_page(inputs):
    run("track images masks -o 01_RES")
    run("report 01_RES -o 01_RES/report.html --resume")  # in the folder of its source
    assert KEPT in run("report 01_RES -o 01_RES/report.html --resume")
    damage(inputs / "images")
    told = run("report 01_RES -o 01_RES/report.html --resume", code=2)
    assert "images of result: the content of images has changed" in told


def test_records_of_outputs_that_are_gone_are_removed(inputs):
    for name in ("a", "b"):
        run(f"init-config -o {name}.toml --resume")
    (inputs / "a.toml").unlink()
    run("init-config -o c.toml --resume")
    records = sorted(path.name for path in (inputs / ".gnntrack").iterdir())
    assert records == ["b.toml.json", "c.toml.json"]
    assert json.loads((inputs / ".gnntrack" / "c.toml.json").read_text())["runs"][0]["command"] == "init-config"


def test_records_in_the_folder_of_an_output_do_not_keep_it_from_being_overwritten(inputs):
    line = "simulate --frames 2 --shape 48,48 --cells 2 -o movie"
    run(f"{line} --resume")
    run("init-config -o movie/settings.toml --resume")
    assert KEPT in run(f"{line} --resume")
    (inputs / "movie" / "settings.toml").unlink()
    run(f"{line} --overwrite")
    assert not (inputs / "movie" / ".gnntrack").exists()


def test_resume_without_an_output_is_refused():
    assert "--resume keeps a finished output" in run("init-config --resume", code=2)


def test_every_command_that_writes_an_output_can_be_resumed():
    without = []
    for name in COMMANDS_OF_GNNTRACK:
        flags = {flag for each in cli.get_command(None, name).params for flag in each.opts}
        if "--overwrite" in flags and "--resume" not in flags:
            without.append(name)
    assert without == ["serve", "man"]  # a page for an hour, whose edits are kept; pages that are the same every time


# ---------------------------------------------------------------- segment


@pytest.fixture
def halted(inputs, monkeypatch):
    """Return the folder of a segmentation that was interrupted after 3 of 6 frames."""
    real, seen = gnntrack.segmentation.movie.segment_frame, []

    def segment(*args, **more):
        seen.append(more["frame"])
        if len(seen) > 3:
            raise KeyboardInterrupt
        return real(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(gnntrack.segmentation.movie, "segment_frame", segment)
        run(SEGMENT, code=130)
    assert len(list((inputs / ".out.unfinished").glob("mask*.tif"))) == 3
    return inputs / ".out.unfinished"


SEGMENT = "segment images -o out --no-pictures --resume"


def read_masks(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in read_files(folder).items() if name.endswith("tif")}


def test_a_segmentation_is_not_continued_after_an_image_has_changed(inputs, halted):
    kept = read_files(halted)
    file = inputs / "images" / "t000.tif"
    tifffile.imwrite(file, tifffile.imread(file)[::-1])
    told = run(SEGMENT, code=2)
    assert "images: the content of images has changed" in told
    assert read_files(halted) == kept
    run(f"{SEGMENT} --overwrite")
    assert not halted.exists()
    run("segment images -o whole --no-pictures")
    assert read_masks(inputs / "out") == read_masks(inputs / "whole")


def test_a_damaged_mask_of_an_interrupted_segmentation_is_made_again(inputs, halted):
    (halted / "mask001.tif").write_bytes(b"")  # after a power failure
    run(SEGMENT)
    run("segment images -o whole --no-pictures")
    assert read_masks(inputs / "out") == read_masks(inputs / "whole")
    assert len(read_masks(inputs / "out")) == 6
    found = [json.loads((inputs / name / "gnntrack" / "summary.json").read_text()) for name in ("out", "whole")]
    assert found[0]["estimates"]["diameter"] == found[1]["estimates"]["diameter"] is not None
    assert {path.name for path in (inputs / "out").iterdir()} == {*read_masks(inputs / "whole"), "gnntrack"}


def test_a_segmentation_without_resume_removes_an_interrupted_one(inputs, halted):
    run("segment images -o out --no-pictures")
    assert not halted.exists()
