"""The options that divide the work of 'gnntrack track', 'gnntrack join', and the scripts for SLURM."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gnntrack
from gnntrack.cli import cli
from gnntrack.cluster.execution import Execution
from gnntrack.dividing import track_divided
from gnntrack.errors import InputError, OutputError
from gnntrack.json_files import read_json

SBATCH = """#!/bin/bash
# stands for SLURM: notes what is submitted{run}
echo "$@" >> log
count=$(wc -l < log)
echo "$count;cluster"
"""
RUN = """, and runs it
script="${@: -1}"
range=$(sed -n 's/^#SBATCH --array=//p' "$script")
if [ -n "$range" ]; then
    for task in $(seq "${range%-*}" "${range#*-}"); do SLURM_ARRAY_TASK_ID=$task bash "$script" >&2; done
else
    bash "$script" >&2
fi"""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a movie and its result in one piece."""
    folder = tmp_path_factory.mktemp("world")
    gnntrack.simulate(folder / "movie", frames=8, cells=6, shape=(80, 80), seed=1005)
    gnntrack.track(folder / "movie" / "01", folder / "movie" / "01_ERR_SEG", out=folder / "whole", pictures=False)
    return folder


@pytest.fixture
def place(world, tmp_path, monkeypatch):
    """An empty folder to work in, from which the movie is MOVIE."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MOVIE").symlink_to(world / "movie")
    return tmp_path


TRACK = "track MOVIE/01 MOVIE/01_ERR_SEG --no-pictures -o 01_RES"


def run(line, *, code=0):
    result = CliRunner().invoke(cli, shlex.split(line))
    assert result.exit_code == code, result.output
    return result.output


def read_masks(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def test_shards_and_join_give_the_result_of_the_whole(world, place):
    shown = run(f"{TRACK} --work W --shard 0/2")
    assert f"gnntrack join {place / 'W'}" in shown
    assert not (place / "01_RES").exists()
    (place / "elsewhere").mkdir()
    os.chdir(place / "elsewhere")
    run("join ../W")
    assert read_masks(place / "01_RES") == read_masks(world / "whole")
    assert (place / "W").is_dir()


def test_shards_without_a_work_folder_leave_it_beside_the_result_until_they_are_joined(world, place):
    run(f"{TRACK} --shard 0/1")
    assert (place / ".work-01_RES").is_dir()
    run(f"{TRACK} --resume")
    assert not (place / ".work-01_RES").exists()
    assert read_masks("01_RES") == read_masks(world / "whole")
    (place / ".work-01_RES" / "windows").mkdir(parents=True)  # as of a run that is killed while it removes it
    assert "kept" in run(f"{TRACK} --resume --workers 1")
    assert not (place / ".work-01_RES").exists()


def test_windows_fit_into_the_memory_of_a_process(place, monkeypatch):
    monkeypatch.setattr("gnntrack.dividing.count_fitting_cells", lambda memory, *_: int(memory / 2e5))
    simulated = "--frames 40 --cells 50 --shape 160,160 --seed 1006"
    run(f"simulate -o many {simulated}")
    masks = "--masks many/01_ERR_SEG --no-pictures"
    run(f"track {masks} -o whole")
    run(f"track {masks} -o 01_RES --work W --max-memory 200MB")
    assert len(list((place / "W" / "windows").glob("[0-9]*"))) > 1
    assert read_masks("01_RES") == read_masks("whole")


def test_a_large_movie_that_is_tracked_by_itself_is_continued(world, place, monkeypatch):
    def stop(*_args, **_more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("gnntrack.pipeline.is_large", lambda *_: True)
        patch.setattr("gnntrack.windows.tracking.collect_result", stop)
        run(TRACK, code=130)
    monkeypatch.setattr("gnntrack.cluster.runners.execute_task", stop)  # all tasks are finished
    monkeypatch.delitem(sys.modules, "lap", raising=False)  # no task has used it in this process
    run(f"{TRACK} --resume")
    assert read_masks("01_RES") == read_masks(world / "whole")
    whole, divided = (read_json(place / name / "gnntrack" / "summary.json") for name in (world / "whole", "01_RES"))
    assert divided["versions"] == whole["versions"]
    assert divided["stages"]["windows"]["seconds"] > 0


def test_the_scripts_for_slurm_do_all_the_work(world, place, monkeypatch):
    shown = run(f"{TRACK} --workers 2 --work W --sbatch JOBS")
    assert "bash JOBS/submit.sh" in shown
    submit_scripts(place, monkeypatch)
    shards, first, *more, last = read_log(place)
    assert (shards, first) == ("--parsable shards.sh", "--parsable --dependency=afterany:1 shards.sh")
    assert (len(more), last) == (3, "--dependency=afterany:5 join.sh")
    for task in (0, 1, 0, 1):
        run(read_command("JOBS/shards.sh").replace("$SLURM_ARRAY_TASK_ID", str(task)))
    assert not (place / "01_RES").exists()
    run(read_command("JOBS/join.sh"))
    assert read_masks("01_RES") == read_masks(world / "whole")


@pytest.mark.slow
def test_the_scripts_for_slurm_run(world, place, monkeypatch):
    run(f"{TRACK} --workers 2 --sbatch JOBS")
    submit_scripts(place, monkeypatch, run=RUN)
    assert read_masks("01_RES") == read_masks(world / "whole")


def submit_scripts(place, monkeypatch, run=""):
    """Run the script that submits the others, with a program in the place of sbatch."""
    (place / "sbatch").write_text(SBATCH.replace("{run}", run))
    (place / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(gnntrack.__file__).parents[1]))
    subprocess.run(["bash", "JOBS/submit.sh"], check=True, capture_output=True)


def read_log(place):
    return (place / "JOBS" / "log").read_text().splitlines()


def read_command(script):
    """Return the arguments of gnntrack in the last line of a script."""
    return Path(script).read_text().splitlines()[-1].partition(" -m gnntrack ")[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--shard 2/2", "expected I/N with I from 0 to N - 1"),
        ("--shard 0/2 --scheduler local", "omit one of the two"),
        ("--shard 0/2 --sbatch JOBS", "omit one of the two"),
        ("--max-memory 2", "expected a number with a unit, such as 800MB or 2GB"),
        ("--max-memory 12MB", "12 MB are not enough to track 1000 cells at once"),
    ],
)
def test_wrong_options_are_named(place, options, message):
    assert message in run(f"{TRACK} {options}", code=2)


def test_a_folder_that_holds_no_work_cannot_be_joined(place):
    assert "it is not a work folder" in run("join MOVIE", code=2)
    (place / "W").mkdir()
    (place / "W" / ".command.json").write_text('{"folder": "/", "arguments": ["segment", "a"]}')
    assert "it holds the work of 'segment', expected track" in run("join W", code=2)


def test_resume_names_a_setting_that_has_changed(place):
    run(f"{TRACK} --work W --shard 0/1")
    message = run(f"{TRACK} --work W --resume --max-gap 3", code=2)
    assert "graph.max_gap was 2, and is now 3" in message


def test_what_other_processes_cannot_read_is_refused(place):
    masks = np.zeros((2, 9, 9), np.uint8)
    with pytest.raises(InputError, match="ndarray in place of a path"):
        track_divided(masks=masks, out="01_RES", execution=Execution(workers=2))
    with pytest.raises(OutputError, match="it is the source"):
        track_divided(masks="MOVIE/01_ERR_SEG", out="MOVIE/01_ERR_SEG", execution=Execution(), overwrite=True)


def test_points_are_tracked_by_shards(place):
    cells = gnntrack.track("MOVIE/01", "MOVIE/01_ERR_SEG").to_pandas("cells")
    columns = {"frame": "t", "y_um": "y", "x_um": "x"}
    cells[[*columns]].rename(columns=columns).to_csv("points.csv", index=False)
    track = "track --points points.csv --no-pictures"
    summary = run(f"{track} -o whole").splitlines()
    run(f"{track} -o parts --shard 0/2")
    lines = [line for line in summary if line.startswith(("points", "tracks", "divisions", "gaps", "check"))]
    assert lines
    assert not set(lines) - set(run(f"{track} -o parts --resume").splitlines())
    for name in ("points.csv", "tracks.csv"):
        assert (place / "parts" / "gnntrack" / name).read_bytes() == (place / "whole" / "gnntrack" / name).read_bytes()


def test_what_needs_the_whole_movie_is_refused(place):
    assert "repair.margin needs all masks at once" in run(f"{TRACK} --margin 2 --workers 2", code=2)
    assert "write masks with 'gnntrack segment'" in run("track MOVIE/01 -o 01_RES --workers 2", code=2)


def test_too_many_tracks_are_refused_before_masks_are_repaired(place, monkeypatch):
    monkeypatch.setattr("gnntrack.io.ctc_labels.MAX_LABEL", 5)
    message = run(f"{TRACK} --work W --keep-masks", code=2)
    assert "frame 4: 10 cells, each with its own track, do not fit" in message
    assert "--output-edge-table" in message
    monkeypatch.setattr("gnntrack.windows.measure_stage.refuse_many_cells", lambda *_, **__: None)
    message = run(f"{TRACK} --work W --keep-masks --resume", code=2)
    assert "tracks do not fit into the 16-bit labels" in message
    assert not (place / "W" / "tracks").exists() or not list((place / "W" / "tracks").iterdir())
    assert not (place / "W" / "repair").exists()


def test_the_printed_line_that_submits_scripts_has_quotes(place):
    assert "bash 'MY JOBS/submit.sh'" in run(f"{TRACK} --sbatch 'MY JOBS'")


def test_a_work_folder_that_cannot_be_written_is_named(place, monkeypatch):
    def refuse(*_args):
        raise OSError(30, "Read-only file system", "W/.partial-command")

    monkeypatch.setattr("gnntrack.io.output_places.write_text", refuse)
    (place / "W").mkdir()
    monkeypatch.setattr("gnntrack.cluster.work_folder.check_writable", _refuse_work)
    assert "W: its folder cannot be written" in run(f"{TRACK} --work W", code=2)


def _refuse_work(_target, path):
    msg = f"{path}: its folder cannot be written"
    raise OutputError(msg)
