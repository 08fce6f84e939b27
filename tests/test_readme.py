"""The README and the pages: the example runs, tables are those of the committed results, links lead somewhere."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from gnntrack.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


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


def test_the_tables_are_those_of_the_results(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    program = importlib.import_module("readme")
    for page in program.PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        assert program.fill_page(text) == text, f"{page}: run python benchmarks/readme.py"


def test_every_command_is_told():
    assert len(COMMANDS) > 10
    listed = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert re.search(rf"`{command}[ `]", listed), command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
