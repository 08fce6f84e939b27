"""Every example of the README and of the pages: commands and Python code run, files are parsed, options exist.

A page is read from top to bottom in a folder that has the inputs which the examples name (`support.doc_world`). Only
what takes minutes is not run: its line is parsed by the command, with every option and value.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import click
import pytest
import tifffile
from support.doc_world import build_movie, build_world, clear_output, expect_success, visit_world, write_experiment

from gnntrack.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "segmenters/README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]

# commands that are parsed, not run: trainings take minutes, the demo and a submission (a wheel) a minute, a server does
# not end; tests of their own run them
PARSED = {"train", "train-segmenter", "train-detector", "demo", "submit", "serve"}
# lines that are parsed, since those of another page do the same
REPEATED = {"gnntrack batch EMBRYOS -o RESULTS --detector dog --time-budget 12h": "docs/embryo-competition.md"}
# outputs of trainings: commands that use them are parsed too
MODELS = {"MODEL", "DETECTOR", "LINKS"}
# values of a longer movie than that of the tests
SHORTER = {"--frames 10:80": "--frames 1:4"}
# pages whose Python code and commands other tests run
ELSEWHERE = {
    "docs/architecture.md": "tests/test_plugins.py",
    "docs/python.md": "tests/test_python_page.py",
    "segmenters/README.md": "tests/test_segmenters.py",
}
# Python code that is compiled, and its imports are made: trainings, and the viewer of napari (tests/test_napari.py)
COMPILED = re.compile(r"train_segmenter\(|submit|viewer\.(?:open|layers)|napari\.")


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: str
    language: str
    code: str

    def list_commands(self) -> list[str]:
        """Return its lines of gnntrack, each in one piece."""
        joined = re.sub(r"\\\n\s*", " ", self.code)
        return [line.strip() for line in joined.splitlines() if line.strip().startswith("gnntrack ")]


def find_blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    found = re.findall(r"^( *)```([^\n`]*)\n(.*?)^\1```$", text, re.DOTALL | re.MULTILINE)
    return [Block(page, language, dedent(code)) for _indent, language, code in found]


BLOCKS = [block for page in PAGES for block in find_blocks(page)]
TOLD = [page for page in PAGES if any(block.page == page for block in BLOCKS)]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return build_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def deep_world(tmp_path_factory) -> Path:
    """Return a movie of stacks."""
    return build_movie(tmp_path_factory.mktemp("deep"), shape="10,40,40", frames=2)


def parse_line(line: str) -> None:
    """Let the command parse its line, with all values, without running it."""
    _, name, *words = shlex.split(line, comments=True)
    context = click.Context(cli, info_name="gnntrack")
    command = cli.get_command(context, name)
    assert command is not None, line
    command.make_context(name, words, parent=context)


def run_command(line: str, world: Path) -> None:
    for long, short in SHORTER.items():
        line = line.replace(long, short)
    words = shlex.split(line, comments=True)
    if words[1] in PARSED or line in REPEATED or MODELS & {word.removeprefix("model=") for word in words}:
        parse_line(line)
        return
    visit_world(world, Path())
    clear_output(words)
    if words[1] == "batch":
        given = {word: words[at + 1] for at, word in enumerate(words[:-1])}
        write_experiment(given.get("--images"), given.get("--masks"), world)
    expect_success(line)


def run_python(code: str, page: str) -> None:
    if page == "docs/evaluate-segmentation.md":
        code = f"labels = truth = read('truth.tif')\n{code}"
    if page == "docs/convert.md":
        expect_success("gnntrack convert 01_RES tracks.csv --to napari --overwrite")
    if COMPILED.search(code):
        code = "\n".join(re.findall(r"^(?:import|from) .+$", code, re.MULTILINE))
    for written in re.findall(r'(?:out=|(?:write_\w+|export_movies)\(\w+, )"([^"]+)"', code):
        clear_output(["-o", written])
    viewer = SimpleNamespace(add_tracks=lambda rows, graph, **_more: (rows, graph), add_labels=lambda labels: labels)
    names = {"gnntrack": __import__("gnntrack"), "viewer": viewer, "read": tifffile.imread}
    exec(compile(code, page, "exec"), names)


@pytest.mark.parametrize("page", [page for page in TOLD if page not in ELSEWHERE])
def test_the_examples_of_a_page_work(page, request, tmp_path, monkeypatch):
    world = request.getfixturevalue("deep_world" if page == "docs/shape.md" else "world")
    monkeypatch.chdir(tmp_path)
    for block in find_blocks(page):
        visit_world(world, tmp_path)
        if block.language == "python" and page != "README.md":  # tests/test_python_page.py runs that of the README
            run_python(block.code, page)
        for line in block.list_commands() if block.language in {"", "console"} else ():
            run_command(line, world)


@pytest.mark.parametrize("page", TOLD)
def test_every_block_of_a_page_is_of_a_known_kind(page):
    for block in find_blocks(page):
        if block.language == "json":
            json.loads(block.code)
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "bash":
            subprocess.run(["bash", "-n"], input=block.code, text=True, check=True)
        elif block.language == "python":
            compile(block.code, page, "exec")
        elif block.language == "text":  # output and drawings, without a command that would have to run
            assert not block.list_commands()
        else:
            known = {"", "console", "xml", "mermaid", "yaml"}
            assert block.language in known or block.language.startswith("{"), block.language


@pytest.mark.parametrize("page", PAGES)
def test_every_command_in_the_text_exists_with_its_options(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [line for block in find_blocks(page) for line in block.list_commands()]
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines += [found for found in re.findall(r"`([^`\n]+)`", text) if found.startswith("gnntrack ")]
    for line in lines:
        name = line.split()[1].strip("\"')")
        if name in {"COMMAND", "--help", "--version"}:
            continue
        assert name in COMMANDS, f"{page}: {line}"
        command = cli.get_command(click.Context(cli), name)
        known = {each for option in command.params for each in (*option.opts, *option.secondary_opts)}
        for word in re.findall(r"(?<=\s)--[a-z][a-z-]*", line.partition("#")[0].partition(" && ")[0]):
            assert word in known | {"--help"}, f"{page}: {line}: {word}"


@pytest.mark.parametrize("page", sorted(ELSEWHERE))
def test_another_test_runs_the_page(page):
    assert (ROOT / ELSEWHERE[page]).exists()


SBATCH = """#!/bin/bash
# stands for SLURM: runs the tasks of an array one after the other, or the command of --wrap
for word in "$@"; do case "$word" in --array=*) range="${word#--array=}"; range="${range%%%*}";; esac; done
if [ -n "$range" ]; then
    for task in $(seq "${range%-*}" "${range#*-}"); do SLURM_ARRAY_TASK_ID=$task bash "${@: -1}" >&2 || true; done
    echo 4711
else
    [ "$1" = "--dependency=afterany:4711" ] && [ "$2" = "--wrap" ] && bash -c "$3"
fi
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_the_scripts_of_the_cluster_page_track_every_position(world, tmp_path, monkeypatch):
    """A finished position is skipped, and the last job keeps all and writes the table."""
    monkeypatch.chdir(tmp_path)
    write_experiment(None, None, world)
    programs = {"gnntrack": f'#!/bin/sh\nexec "{sys.executable}" -m gnntrack "$@"\n', "sbatch": SBATCH}
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    task, submission, *_ = (block.code for block in find_blocks("docs/cluster.md") if block.language == "bash")
    (tmp_path / "track.sh").write_text(task)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    first = os.environ | {"SLURM_ARRAY_TASK_ID": "0", "PATH": environment["PATH"], "PYTHONPATH": str(ROOT)}
    subprocess.run(["bash", "track.sh"], env=first, check=True, capture_output=True)
    again = subprocess.run(["bash", "track.sh"], env=first, check=True, capture_output=True, text=True)
    assert again.stdout == "RESULTS/a_RES is finished\n"
    done = subprocess.run(
        ["bash", "-e", "-c", submission], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "RESULTS" / "summary.csv").read_text().splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["a", "kept"], ["b", "kept"]]
