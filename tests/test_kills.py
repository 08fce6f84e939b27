"""A short form of ``make kills-resume``: a command is killed at random moments, and run again with ``--resume``."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from gnntrack import cli
from gnntrack.io.writers import WRITERS

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.mark.skipif(sys.platform != "linux", reason="the benchmark forks")
def test_a_killed_command_that_is_run_again_gives_the_same_result(tmp_path):
    words = [
        "--resume",
        "--only",
        "track",
        "--kills",
        "4",
        "--out",
        str(tmp_path / "kills.json"),
    ]
    place = {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join([str(BENCHMARKS.parent), *sys.path])}
    command, environment = [sys.executable, str(BENCHMARKS / "kills.py"), *words], {**os.environ, **place}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads((tmp_path / "kills.json").read_text())["rows"]
    assert (row["runs"], row["equal"], row["problems"]) == (4, 4, [])
    assert row["killed"]


def test_every_command_that_writes_an_output_is_killed(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    kill_cases = import_module("kill_cases")
    commands = kill_cases.COMMANDS
    killed = {each.name.split()[0] for each in commands}
    assert killed | {*kill_cases.WITHOUT_OUTPUT} == {*cli.COMMANDS}
    assert not killed & {*kill_cases.WITHOUT_OUTPUT}
    formats = {each.kind.removeprefix("--to ") for each in commands if each.words[0] == "export"}
    assert formats == {*WRITERS.built_in}
