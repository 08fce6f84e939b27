"""A short form of ``make kills-resume``: a command is killed at random moments, and run again with ``--resume``."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).resolve().parents[1] / "benchmarks" / "kills.py"


@pytest.mark.skipif(sys.platform != "linux", reason="the benchmark forks")
def test_a_killed_command_that_is_run_again_gives_the_same_result(tmp_path):
    words = [
        "--resume",
        "--only",
        "track",
        "--kills",
        "4",
        "--work",
        str(tmp_path / "work"),
        "--out",
        str(tmp_path / "kills.json"),
    ]
    place = {"PYTHONPATH": os.pathsep.join([str(BENCHMARK.parents[1]), *sys.path])}
    command, environment = [sys.executable, str(BENCHMARK), *words], {**os.environ, **place}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = json.loads((tmp_path / "kills.json").read_text())["rows"]
    assert (row["runs"], row["equal"], row["problems"]) == (4, 4, [])
    assert row["killed"]
