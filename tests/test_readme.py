"""The README: its example runs, and its tables are those of the committed results."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_runs(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ tracks of \d+ cells\n", done.stdout)
    assert (tmp_path / "01_RES" / "res_track.txt").exists()


@pytest.mark.parametrize("name", ["accuracy", "learned", "speed"])
def test_there_is_a_place_for_every_table(name):
    places = re.findall(rf"<!-- {name} -->\n(.+?)\n<!-- end {name} -->", README, re.DOTALL)
    assert len(places) == 1


def test_the_tables_are_those_of_the_results():
    program = ROOT / "benchmarks" / "readme.py"
    done = subprocess.run([sys.executable, str(program), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_is_told():
    helped = subprocess.run([sys.executable, "-m", "gnntrack", "--help"], capture_output=True, text=True, check=True)
    commands = re.findall(r"^  ([a-z][a-z-]+)  ", helped.stdout.partition("Commands:")[2], re.MULTILINE)
    assert len(commands) > 10
    for command in commands:
        assert re.search(rf"`{command}[ `]", README), command


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
