"""Completion in the shell, and manual pages: for every command, as a user of bash and man gets them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.shell_completion import get_completion_class
from click.testing import CliRunner

from gnntrack.cli import COMMANDS, cli
from gnntrack.cli.completion import SHELLS
from gnntrack.cli.manual import iterate_pages

ROOT = Path(__file__).resolve().parents[1]


def complete(*words: str) -> list[str]:
    """Return the completions of the last word, with the type of those that the shell completes."""
    kind = get_completion_class("bash")
    items = kind(cli, {}, "gnntrack", "_GNNTRACK_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [each.value if each.type == "plain" else each.type for each in items]


def test_every_command_is_completed():
    assert complete("") == list(COMMANDS)
    assert complete("tra") == ["track", "train", "train-segmenter", "train-detector"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_options_of_every_command_are_completed(command):
    context = click.Context(cli)
    options = {
        name
        for option in cli.get_command(context, command).params
        if isinstance(option, click.Option)
        for name in option.opts
        if name.startswith("--")
    }
    assert options <= set(complete(command, "--"))


def test_files_and_names_of_methods_are_completed():
    assert complete("track", "IM") == ["file"]
    assert complete("track", "--method", "") == ["iou", "greedy", "hungarian", "gnn", "auto"]
    assert "triplets" in complete("solve", "--solver", "tri")
    assert "unet" in complete("segment", "--segmenter", "u")
    assert complete("completion", "") == list(SHELLS)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_after_the_documented_line(tmp_path):
    program = tmp_path / "gnntrack"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m gnntrack "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(gnntrack completion bash)"\n'
        "complete -p gnntrack\n"
        "COMP_WORDS=(gnntrack train- ) COMP_CWORD=1\n"
        'COMPREPLY=(); _gnntrack_completion gnntrack; echo "${COMPREPLY[*]}"\n'
        "COMP_WORDS=(gnntrack track --max-g) COMP_CWORD=2\n"
        'COMPREPLY=(); _gnntrack_completion gnntrack; echo "${COMPREPLY[*]}"\n'
    )
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    registered, commands, options = done.stdout.splitlines()
    assert registered.endswith("gnntrack")
    assert (commands, options) == ("train-segmenter train-detector", "--max-gap")


@pytest.mark.parametrize(("shell", "line"), [("zsh", "#compdef gnntrack"), ("fish", "complete --no-files --command")])
def test_the_script_of_another_shell(shell, line):
    shown = CliRunner().invoke(cli, ["completion", shell], prog_name="gnntrack").output
    assert line in shown
    assert f"_GNNTRACK_COMPLETE={shell}_complete" in shown


def test_a_page_for_every_command_with_all_its_options(tmp_path):
    out = tmp_path / "man1"
    first = CliRunner().invoke(cli, ["man", "-o", str(out)])
    assert first.exit_code == 0, first.output
    assert {each.name for each in out.iterdir()} == {"gnntrack.1", *(f"gnntrack-{name}.1" for name in COMMANDS)}
    assert "--overwrite" in CliRunner().invoke(cli, ["man", "-o", str(out)]).output
    assert CliRunner().invoke(cli, ["man", "-o", str(out), "--overwrite"]).exit_code == 0
    page = (out / "gnntrack-track.1").read_text()
    for option in cli.get_command(click.Context(cli), "track").params:
        if isinstance(option, click.Option):
            assert option.opts[-1].replace("-", "\\-") in page


def test_the_pages_in_the_wheel_need_only_what_its_build_has():
    """A wheel is built in an environment that has the packages of build-system.requires, and nothing else."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    allowed = {re.split("[<>=]", name)[0] for name in project["build-system"]["requires"]}
    hook = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["path"]
    assert (ROOT / hook).exists()
    assert f"/{hook}" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    code = (
        "import sys\nfrom gnntrack.cli import cli\nfrom gnntrack.cli.manual import iterate_pages\n"
        "dict(iterate_pages(cli))\n"
        "files = {name: getattr(each, '__file__', None) or '' for name, each in sys.modules.items()}\n"
        "print(*{name.split('.')[0] for name, file in files.items() if 'site-packages' in file})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) - {"_distutils_hack", "gnntrack", "segmenters"} <= allowed


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_man_reads_the_pages_without_a_warning():
    for name, text in iterate_pages(cli):
        words = ["groff", "-man", "-ww", "-Tutf8", "-P-c"]
        done = subprocess.run(words, input=text, capture_output=True, text=True, check=True)
        assert done.stderr == "", name
        if name == "gnntrack-track.1":
            shown = " ".join(done.stdout.split())
            assert "\x08" in shown or "gnntrack track [OPTIONS] [IMAGES] [MASKS]" in shown
