"""Measure functions, names and files: verb-first names, lengths, numbers of arguments, branches.

A name starts with a verb if its first word is in `verbs.txt`. Dunder methods, properties, click commands, pytest
fixtures and the names that torch and click prescribe (`FRAMEWORK_NAMES`) do not count. All other functions do: methods,
private functions and nested functions included.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


def _words(*texts: str) -> frozenset[str]:
    return frozenset(word for text in texts for word in text.split())


# First words of function names: verbs, and the prefixes of predicates (is, has) and conversions (from, to).
VERBS = _words((Path(__file__).parent / "verbs.txt").read_text("utf-8"))
# Verbs that are often nouns here (`link_gain`, `track_table`): they count as verbs if they stand alone (`link`), or if
# a plural, "all" or a preposition follows (`link_cells`).
NOUN_OR_VERB = _words(
    "bin bound cluster cover flag group index label limit link name note number order place probe project quote rank",
    "record report route sample scale score shade share shift stack step stream sum survey tag test threshold time",
    "total trace track transfer weight work zoom",
)
PARTICIPLES = _words(
    "born built chosen cut drawn found given gone grown held kept known left lost made meant met seen sent shown spent",
    "spoilt taken thrown told torn worn written",
)
NOT_PARTICIPLES = _words("embed exceed feed need proceed read seed shed speed spread") | {
    "replaced"
}  # a deprecated name
ADJECTIVE_CLASSES = _words("found forgiving lazy missing seen")
FRAMEWORK_NAMES = _words(  # given by torch and click
    "forward backward extra_repr main invoke list_commands get_command format_commands state_dict load_state_dict",
    "get_metavar",
)

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BRANCHES = (ast.If, ast.For, ast.While, ast.IfExp, ast.ExceptHandler, ast.AsyncFor, ast.match_case)
LONG_FUNCTION = 30
LARGE_FILE = 500
MOST_ARGUMENTS = 8
MOST_BRANCHES = 12


@dataclass(frozen=True)
class Function:
    """The name and the sizes of a function of the code."""

    path: Path
    line: int
    name: str
    public: bool
    named_by_us: bool
    length: int
    arguments: int
    branches: int

    @property
    def starts_with_verb(self) -> bool:
        """Whether the first word of the name is a verb of the list."""
        first, *rest = self.name.strip("_").split("_")
        if first in NOUN_OR_VERB:
            return not rest or rest[0] in {"all", "to", "from", "by"} or rest[0].endswith("s")
        return first in VERBS

    @property
    def is_bare_participle(self) -> bool:
        """Whether the name is a single past participle."""
        return _is_participle(self.name.strip("_"))


@dataclass(frozen=True)
class Source:
    """A file of code: its length, its functions and the classes named by an adjective."""

    path: Path
    lines: int
    functions: tuple[Function, ...]
    adjective_classes: tuple[tuple[int, str], ...]


@cache
def parse_file(path: Path) -> tuple[str, tuple[ast.AST, ...]]:
    """Return the text of a Python file and all nodes of its syntax tree, parents before children."""
    text = path.read_text(encoding="utf-8")
    return text, tuple(ast.walk(ast.parse(text)))


def read_source(path: Path) -> Source:
    """Measure the functions and classes of a file."""
    text, nodes = parse_file(path)
    functions = [measure_function(path, node) for node in nodes if isinstance(node, FunctionNode)]
    classes = [
        (node.lineno, node.name) for node in nodes if isinstance(node, ast.ClassDef) and _is_adjective(node.name)
    ]
    return Source(path, text.count("\n"), tuple(functions), tuple(classes))


def measure_function(path: Path, node: FunctionNode) -> Function:
    """Return the name and the sizes of a function of the file `path`."""
    docstring = 0
    if ast.get_docstring(node, clean=False) is not None:
        docstring = (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
    arguments = node.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    return Function(
        path=path,
        line=node.lineno,
        name=node.name,
        public=not node.name.startswith("_"),
        named_by_us=_is_named_by_us(node),
        length=(node.end_lineno or 0) - node.lineno + 1 - docstring,
        arguments=len([name for name in names if name not in {"self", "cls"}]),
        branches=count_branches(node),
    )


def _is_named_by_us(node: FunctionNode) -> bool:
    """Return False for dunder methods, properties, commands, fixtures and the hooks of torch and click."""
    if node.name.startswith("__") or node.name in FRAMEWORK_NAMES:
        return False
    decorators = {ast.unparse(decorator).split("(")[0].split(".")[-1] for decorator in node.decorator_list}
    return not decorators & {"property", "cached_property", "setter", "command", "group", "fixture"}


def count_branches(node: ast.AST) -> int:
    """Return the cyclomatic complexity: one, and one more for each branch, boolean operator and comprehension.

    A function within the function counts on its own.
    """
    total = 1
    for child in _own_nodes(node):
        if isinstance(child, _BRANCHES):
            total += 1
        elif isinstance(child, ast.BoolOp):
            total += len(child.values) - 1
        elif isinstance(child, ast.comprehension):
            total += 1 + len(child.ifs)
    return total


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    left = [node]
    while left:
        for child in ast.iter_child_nodes(left.pop()):
            if not isinstance(child, _DEFINITIONS):
                yield child
                left.append(child)


def _is_participle(word: str) -> bool:
    if "_" in word or word in NOT_PARTICIPLES:
        return False
    return word in PARTICIPLES or (word.endswith("ed") and len(word) > 4)


def _is_adjective(name: str) -> bool:
    word = re.findall(r"[A-Z][a-z0-9]*|[A-Z]+(?![a-z])", name)[-1:] or [name]
    return _is_participle(word[0].lower()) or word[0].lower() in ADJECTIVE_CLASSES


def measure_code(sources: list[Source]) -> dict[str, float]:
    """Return the figures of some files: shares in percent, and numbers of functions and files.

    Arguments and branches are those outside the command line (`cli/`), where click prescribes one argument an option.
    """
    functions = [function for source in sources for function in source.functions]
    named = [function for function in functions if function.named_by_us]
    outside_cli = [function for function in functions if function.path.parent.name != "cli"]
    return {
        "functions": len(functions),
        "verb first, %": _percent(function.starts_with_verb for function in named),
        "bare participles": sum(function.is_bare_participle for function in named),
        "adjective classes": sum(len(source.adjective_classes) for source in sources),
        f"functions over {LONG_FUNCTION} lines, %": _percent(function.length > LONG_FUNCTION for function in functions),
        "files over 300 lines": sum(source.lines > 300 for source in sources),
        f"files over {LARGE_FILE} lines": sum(source.lines > LARGE_FILE for source in sources),
        "most arguments": max((fn.arguments for fn in outside_cli if fn.name != "__init__"), default=0),
        f"functions over {MOST_ARGUMENTS} arguments": sum(_has_many_arguments(fn) for fn in outside_cli),
        f"functions over {MOST_BRANCHES} branches": sum(fn.branches > MOST_BRANCHES for fn in outside_cli),
    }


def _has_many_arguments(function: Function) -> bool:
    """Return whether a function has more arguments than the limit; constructors and commands hold an option each."""
    is_command = function.path.parent.name == "cli"
    return function.arguments > MOST_ARGUMENTS and function.name != "__init__" and not is_command


def find_training(source: Source, path: Path) -> list[Function]:
    """Return the functions that train a network: all of the files about training, and those named so.

    `path` is relative to the root of the checkout. Constructors and the command line do not count.
    """
    if "cli" in path.parts:
        return []
    inside = re.search(r"train|learn|lesson", str(path)) is not None
    named = re.compile(r"_?(train|learn|run_training)")
    return [fn for fn in source.functions if fn.name != "__init__" and (inside or named.match(fn.name))]


def _percent(values: Iterable[bool]) -> float:
    flags = list(values)
    return round(100 * sum(flags) / max(len(flags), 1), 1)


def describe_source(source: Source) -> list[tuple[int, str]]:
    """Return the line and a description of each name and size of a file that a limit counts."""
    tests: list[tuple[str, Callable[[Function], bool]]] = [
        ("bare participle", lambda fn: fn.named_by_us and fn.is_bare_participle),
        ("no verb first", lambda fn: fn.named_by_us and not fn.is_bare_participle and not fn.starts_with_verb),
        (f"over {LONG_FUNCTION} lines", lambda fn: fn.length > LONG_FUNCTION),
        (f"over {MOST_ARGUMENTS} arguments", _has_many_arguments),
        (f"over {MOST_BRANCHES} branches", lambda fn: fn.branches > MOST_BRANCHES and fn.path.parent.name != "cli"),
    ]
    found = [
        (fn.line, f"{name}: {fn.name} ({fn.length} lines, {fn.arguments} arguments, {fn.branches} branches)")
        for name, fails in tests
        for fn in source.functions
        if fails(fn)
    ]
    found += [(line, f"adjective as class name: {name}") for line, name in source.adjective_classes]
    return found + ([(1, f"over {LARGE_FILE} lines: {source.lines}")] if source.lines > LARGE_FILE else [])
