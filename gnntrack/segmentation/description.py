"""Descriptions of segmenters, read from their source files and package metadata without importing them."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gnntrack.plugins import format_pip_command, get_distribution

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.metadata import EntryPoint

__all__ = ["SegmenterInfo", "describe_segmenter"]


@dataclass(frozen=True)
class SegmenterInfo:
    """Description of a segmenter that has not been imported.

    Parameters
    ----------
    name : str
        The name by which it is loaded.
    distribution : str
        The package that contains it; several packages if they use the same name.
    description : str
        First line of the docstring of its class, ``""`` if the source cannot be found.
    needs : tuple of str
        Packages that its file imports at the top level, without the standard library, and those of its extras.
    missing : tuple of str
        Those of `needs` that are not installed.
    install : str
        The pip command that installs its extras, ``""`` if it has none.
    """

    name: str
    distribution: str
    description: str
    needs: tuple[str, ...]
    missing: tuple[str, ...]
    install: str = ""


def describe_segmenter(name: str, entries: Sequence[EntryPoint]) -> SegmenterInfo:
    """Describe a segmenter by its entry point; of several with the same name, the first."""
    first = entries[0]
    source = _read_source(first)
    missing = [module for module in source.imports if importlib.util.find_spec(module) is None]
    packages = _list_extra_packages(first)
    missing += [package for package in packages if package not in missing and not _is_installed(package)]
    needs = (*source.imports, *(package for package in packages if package not in source.imports))
    install = format_pip_command(first, "") if first.extras else ""
    owners = " and ".join(map(get_distribution, entries))
    return SegmenterInfo(name, owners, source.description, needs, tuple(missing), install)


def _list_extra_packages(entry: EntryPoint) -> list[str]:
    """Return the packages that the extras of an entry point install."""
    requirements = (entry.dist.requires if entry.dist is not None else None) or []
    found = []
    for requirement in requirements:
        package, _, marker = requirement.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        if extra and extra[1] in entry.extras:
            found.append(re.split(r"[^A-Za-z0-9._-]", package.strip())[0])
    return found


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


class _Source(NamedTuple):
    description: str = ""
    imports: tuple[str, ...] = ()


def _read_source(entry: EntryPoint) -> _Source:
    """Read docstring and imports from the file: importing it could take seconds, or fail."""
    file = _find_source(entry.module)
    try:
        tree = ast.parse(file.read_bytes()) if file is not None else ast.Module([], [])
    except (OSError, SyntaxError, ValueError):
        return _Source()
    own = {entry.module.partition(".")[0], "gnntrack", *sys.stdlib_module_names}
    modules: set[str] = set()
    description = ""
    for node in tree.body:
        if isinstance(node, ast.Import):
            modules.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == entry.attr:
            description = (ast.get_docstring(node) or "").partition("\n")[0]
    return _Source(description, tuple(sorted(modules - own)))


def _find_source(module: str) -> Path | None:
    """Return the file of a module; unlike the search of importlib this imports none of its packages."""
    places: list[str] | None = None
    spec = None
    parts = module.split(".")
    for k in range(len(parts)):
        name = ".".join(parts[: k + 1])
        spec = importlib.util.find_spec(name) if k == 0 else PathFinder.find_spec(name, places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or [])
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None
