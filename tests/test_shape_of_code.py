"""The shape of the code: names that start with a verb, short functions, small files, few arguments."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from support import code_shape, limits, prose


@pytest.fixture(scope="module")
def figures() -> dict[str, float]:
    """Names and sizes of both packages."""
    return prose.measure_shape()


SHAPE = [name for name in limits.GOALS if name.split(":")[0] not in prose.GROUPS]


@pytest.mark.parametrize("name", SHAPE)
def test_a_figure_of_the_code_keeps_its_limit(name, figures):
    limit = limits.GOALS[name]
    kept = figures[name] >= limit if name.endswith(limits.AT_LEAST) else figures[name] <= limit
    assert kept, f"{name}: {figures[name]:g}, limit {limit:g}; see `python -m tests.support.prose gnntrack segmenters`"


def measure_function(text: str) -> code_shape.Function:
    """Return the first function of a piece of code, measured."""
    node = next(node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef))
    return code_shape.measure_function(Path("a.py"), node)


@pytest.mark.parametrize("name", ["read_movie", "_link_cells", "link", "is_empty", "from_runs", "as_table"])
def test_names_that_start_with_a_verb(name):
    assert measure_function(f"def {name}(): pass").starts_with_verb


@pytest.mark.parametrize("name", ["families", "link_gain", "told", "shape_of", "_of", "cells_of"])
def test_names_that_do_not_start_with_a_verb(name):
    assert not measure_function(f"def {name}(): pass").starts_with_verb


@pytest.mark.parametrize(("name", "bare"), [("told", True), ("_joined", True), ("feed", False), ("joined_rows", False)])
def test_bare_participles(name, bare):
    assert measure_function(f"def {name}(): pass").is_bare_participle is bare


@pytest.mark.parametrize(("name", "adjective"), [("_Remembered", True), ("Settled", True), ("FrameStack", False)])
def test_adjectives_as_class_names(name, adjective, tmp_path):
    file = tmp_path / "a.py"
    file.write_text(f"class {name}:\n    pass\n")
    assert bool(code_shape.read_source(file).adjective_classes) is adjective


def test_a_function_is_measured_without_its_docstring():
    text = (
        "def read(\n    path, *, a, b\n):\n    '''Read.\n\n    Slowly.\n    '''\n"
        "    if a and b:\n        return [x for x in path if x]\n"
    )
    function = measure_function(text)
    assert (function.length, function.arguments, function.branches) == (5, 3, 5)


@pytest.mark.parametrize("decorator", ["property", "functools.cached_property", "main.command('x')", "pytest.fixture"])
def test_names_that_a_framework_prescribes_do_not_count(decorator):
    assert not measure_function(f"@{decorator}\ndef cells(): pass").named_by_us
