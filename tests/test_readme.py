"""The README and the pages: the example runs, tables are those of the committed results, links lead somewhere."""

from __future__ import annotations

import importlib
import json
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
        ("docs/choose.md", "learned"),
        *(("docs/peers.md", name) for name in ("learned", "peers", "speed")),
        *(("docs/accuracy.md", name) for name in ("accuracy", "behind", "learned all", "speed all")),
    ],
)
def test_there_is_a_place_for_every_table(page, name):
    text = (ROOT / page).read_text(encoding="utf-8")
    places = re.findall(rf"<!-- {name} -->\n(.+?)\n<!-- end {name} -->", text, re.DOTALL)
    assert len(places) == 1


def test_it_is_short_and_starts_with_a_picture():
    assert len(README.splitlines()) <= 150
    pictures = re.findall(r"!\[[^]]+\]\((.+?)\)", README)
    assert 1 <= len(pictures) <= 3
    assert README.index("![") < README.index("## ")
    for picture in pictures:
        limit = 2_000_000 if picture.endswith(".gif") else 500_000
        assert (ROOT / picture).stat().st_size < limit, picture


def test_every_picture_of_the_pages_is_shown_and_described():
    shown = set()
    for page in PAGES:
        for text, target in re.findall(r"!\[([^]]*)\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            assert len(text.split()) >= 2, f"{page.name}: {target} has no description"
            shown.add((page.parent / target).resolve())
    unused = set((ROOT / "docs" / "pictures").iterdir()) - shown
    assert not unused


def test_notebooks_have_no_outputs():
    notebooks = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
    assert len(notebooks) == 2
    for path in notebooks:
        cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
        assert cells
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells), path.name


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    notebooks = [f"notebooks/{path.name}" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")]
    for page in [*(path.name for path in PAGES[1:] if path.name != "README.md"), *notebooks]:
        assert f"]({page})" in index, page


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


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.name)
def test_every_program_has_a_help(path):
    text = path.read_text(encoding="utf-8")
    assert '__name__ == "__main__"' not in text or "argparse.ArgumentParser(" in text or "click.command" in text
