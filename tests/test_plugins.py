"""Plug-ins of other packages: the registry, and the walks of docs/architecture.md, run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gnntrack.errors import InputError, explain_missing
from gnntrack.plugins import Registry

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
WALKS = re.findall(r"^### (Add a .+)$", PAGE, re.MULTILINE)
OUTPUTS = {
    "Add a solver": "mutual/01_RES/res_track.txt",
    "Add a scorer": "distance/01_RES/res_track.txt",
    "Add a writer": "lineage.nwk",
    "Add a segmenter": "MASKS/mask000.tif",
    "Add a network": "linear/01_RES/res_track.txt",
}


def blocks(text: str, language: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [code for name, code in fences if name == language]


def section(title: str) -> str:
    return PAGE.split(f"### {title}\n")[1].split("\n### ")[0]


RUN_COMMANDS = """
import sys
from gnntrack.cli import cli
for command in sys.argv[1:]:
    cli(command.split()[1:], standalone_mode=False)
"""


def run(folder: Path, *commands: str) -> subprocess.CompletedProcess[str]:
    """Run commands one after the other, in a process that finds the plug-ins."""
    assert all(command.startswith("gnntrack ") for command in commands)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    program = [sys.executable, "-c", RUN_COMMANDS, *commands]
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def install(folder: Path, project: dict) -> None:
    """Write the metadata that pip writes for this pyproject.toml."""
    metadata = folder / f"my_tracker-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return a folder with the package of the page, installed, and the simulated movie."""
    folder = tmp_path_factory.mktemp("plugins")
    install(folder, tomllib.loads(blocks(PAGE, "toml")[0])["project"])
    for code in blocks(PAGE, "python"):
        path = folder / code.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(code)
    (command,) = re.findall(r"^gnntrack simulate .*$", PAGE, re.MULTILINE)
    done = run(folder, command)
    assert done.returncode == 0, done.stderr
    return folder


def test_there_is_a_walk_for_every_kind_of_plugin():
    assert sorted(WALKS) == sorted(OUTPUTS)


@pytest.fixture(scope="module")
def walked(package):
    """Run the commands of all walks, in one process: to start one takes longer than most of them."""
    commands = {walk: [line for block in blocks(section(walk), "") for line in block.splitlines()] for walk in WALKS}
    assert all(commands.values()), commands
    return run(package, *(command for walk in WALKS for command in commands[walk]))


@pytest.mark.parametrize("walk", WALKS)
def test_the_walk_works(package, walked, walk):
    assert walked.returncode == 0, walked.stderr
    assert (package / OUTPUTS[walk]).exists()


def test_the_plugins_are_listed_in_the_help(package):
    assert "newick" in run(package, "gnntrack export --help").stdout
    help_of_track = run(package, "gnntrack track --help").stdout
    assert "mutual" in help_of_track
    assert "distance" in help_of_track
    assert "bright" in run(package, "gnntrack segmenters").stdout


@pytest.fixture
def registry(tmp_path, monkeypatch):
    entries = {"mine": "my_module:answer", "broken": "my_missing_module:answer", "pi": "my_module:answer"}
    entries |= {"number": "my_module:number", "module": "my_module", "stops": "my_exit:answer"}
    install(tmp_path, {"name": "my-tracker", "version": "1", "entry-points": {"gnntrack.constants": entries}})
    (tmp_path / "my_module.py").write_text("number = 42\ndef answer():\n    return number\n")
    (tmp_path / "my_exit.py").write_text("import sys\nsys.exit(3)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return Registry("constant", {"pi": "math:pi"})


def test_names_are_the_built_in_ones_and_those_of_other_packages(registry):
    assert list(registry) == ["pi", "broken", "mine", "module", "number", "stops"]
    assert len(registry) == 6
    assert registry["mine"]() == 42


def test_a_built_in_plugin_cannot_be_replaced(registry):
    assert registry["pi"] < 4


def test_a_broken_plugin_is_named_and_affects_no_other(registry):
    with pytest.raises(InputError, match="'broken' of my-tracker: my_missing_module:answer cannot be imported"):
        registry["broken"]
    assert registry["mine"]() == 42


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("number", "my_module:number is of type int and cannot be called; its author must register"),
        ("module", "my_module is of type module and cannot be called"),
        ("stops", "my_exit:answer cannot be imported: SystemExit: 3"),
    ],
)
def test_a_plugin_that_is_not_callable_or_stops_the_program_is_refused(registry, name, message):
    with pytest.raises(InputError, match=f"'{name}' of my-tracker: {message}"):
        registry[name]


def test_an_unknown_name_proposes_the_nearest(registry):
    with pytest.raises(InputError, match="unknown constant 'minee'; did you mean 'mine'"):
        registry.check("minee")
    with pytest.raises(InputError, match="unknown constant 'xyz'; there are: pi, broken, mine"):
        registry["xyz"]


def test_a_fault_of_an_own_import_is_not_a_missing_package():
    fault = ModuleNotFoundError("No module named 'gnntrack.lost'", name="gnntrack.lost")
    with pytest.raises(ModuleNotFoundError, match="lost") as caught, explain_missing("it needs", "x", "pip install x"):
        raise fault
    assert caught.value is fault
