"""No code of the package runs what a file says: no pickle, no evaluation of text, no shell, no unpacked archive."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted([*(ROOT / "gnntrack").rglob("*.py"), *(ROOT / "segmenters").rglob("*.py")])

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "yaml", "pty", "xmlrpc", "code"}
ALLOWED = {
    "gnntrack/io/pickled_arrays.py: import pickle",  # an unpickler that makes arrays and calls nothing
    "gnntrack/submission/packaging.py: archive.extractall",  # of the wheel of gnntrack itself
    "segmenters/cellpose.py: self._network.eval of text",  # cellpose's name for segmenting an image
}
BUILTINS = {"eval", "exec", "compile", "__import__", "input"}
CALLS = {
    *("os.system", "os.popen", "os.execv", "os.execvp", "os.spawnv", "os.spawnvp"),
    *("torch.load", "pd.read_pickle", "pandas.read_pickle", "shutil.unpack_archive", "tempfile.mktemp"),
}
SUSPECT = re.compile(
    rf"(import|from) ({'|'.join(sorted(MODULES))})|shell|np\.load|numpy\.load|extractall|_pickle"
    rf"|\b(eval|exec|__import__|input)\(|\bcompile\((?<!re\.compile\()|{'|'.join(map(re.escape, sorted(CALLS)))}"
)
METHODS = {"extractall", "to_pickle", "read_pickle"}


def find_dangers(tree: ast.AST) -> Iterator[str]:
    """Yield the dangerous imports and calls of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            yield from (f"import {name}" for name in names if name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.Call):
            yield from _find_dangerous_call(node)


def _find_dangerous_call(node: ast.Call) -> Iterator[str]:
    name = _name_function(node.func)
    known = {each.arg: each.value for each in node.keywords}
    last = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in BUILTINS | CALLS or last in METHODS:
        yield name
    if name in {"np.load", "numpy.load"} and not _is_false(known.get("allow_pickle")):
        yield f"{name} without allow_pickle=False"
    if "shell" in known and not _is_false(known["shell"]):
        yield f"{name} with shell"
    if last == "eval" and (node.args or node.keywords):
        yield f"{name} of text"  # of pandas; network.eval() has no argument


def _name_function(node: ast.expr) -> str:
    """Return the name of a function, with those of its modules."""
    if isinstance(node, ast.Attribute):
        return f"{_name_function(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def _is_false(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


@pytest.mark.parametrize(
    "line",
    [
        *(
            "import pickle",
            "from yaml import load",
            "import marshal as m",
            "eval(text)",
            "exec('a')",
            "compile(a, b, c)",
        ),
        *(
            "np.load(path)",
            "np.load(path, allow_pickle=True)",
            "torch.load(path)",
            "os.system('ls')",
            "frame.eval(text)",
        ),
        *("subprocess.run(text, shell=True)", "archive.extractall(folder)", "pd.read_pickle(path)", "__import__(name)"),
    ],
)
def test_each_danger_is_found(line: str) -> None:
    assert SUSPECT.search(line)
    assert list(find_dangers(ast.parse(line)))


def test_usual_code_is_not_a_danger() -> None:
    lines = "network.eval()\nre.compile(rule)\nnp.load(path, allow_pickle=False)\nsubprocess.run([a], check=True)"
    assert not list(find_dangers(ast.parse(lines)))


def test_no_module_runs_what_a_file_says() -> None:
    found = set()
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        if SUSPECT.search(text):  # most files need not be parsed
            found |= {f"{file.relative_to(ROOT).as_posix()}: {danger}" for danger in find_dangers(ast.parse(text))}
    assert found == ALLOWED
