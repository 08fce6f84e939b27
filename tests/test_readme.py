"""The README and the pages: the example runs, tables are those of the committed results, links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_example_runs(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    done = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d+ tracks of \d+ cells\n", done.stdout)
    assert (tmp_path / "01_RES" / "res_track.txt").exists()


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("README.md", "learned"),
        ("README.md", "speed"),
        *(("docs/accuracy.md", name) for name in ("accuracy", "behind", "learned all", "speed all")),
    ],
)
def test_there_is_a_place_for_every_table(page, name):
    text = (ROOT / page).read_text(encoding="utf-8")
    places = re.findall(rf"<!-- {name} -->\n(.+?)\n<!-- end {name} -->", text, re.DOTALL)
    assert len(places) == 1


def test_it_is_short_and_starts_with_a_picture():
    assert len(README.splitlines()) <= 150
    (picture,) = re.findall(r"!\[[^]]+\]\((.+?)\)", README)
    assert README.index("![") < README.index("## ")
    assert (ROOT / picture).stat().st_size < 300_000


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


def test_the_tables_are_those_of_the_results():
    program = ROOT / "benchmarks" / "readme.py"
    done = subprocess.run([sys.executable, str(program), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_is_told():
    helped = subprocess.run([sys.executable, "-m", "gnntrack", "--help"], capture_output=True, text=True, check=True)
    commands = re.findall(r"^  ([a-z][a-z-]+)  ", helped.stdout.partition("Commands:")[2], re.MULTILINE)
    assert len(commands) > 10
    listed = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command in commands:
        assert re.search(rf"`{command}[ `]", listed), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
