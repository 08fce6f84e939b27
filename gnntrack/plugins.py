"""Registries of plug-ins: solvers, scorers, writers, networks and segmenters, found by name.

A built-in plug-in is one line in the registry of its kind. Another package adds one by an entry point, without any
change here:

.. code-block:: toml

    [project.entry-points."gnntrack.solvers"]
    mine = "my_package.my_solver:solve"

A plug-in is imported when it is first used, so that a broken one, or a missing library, affects no other.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Generic, TypeVar

from gnntrack.errors import GnntrackError, InputError, make_missing_error

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["Registry", "describe_unknown_name", "format_pip_command", "get_distribution"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Plug-ins of one kind by name: the built-in ones, and those of other packages.

    Parameters
    ----------
    kind : str
        Name of the kind, for messages: ``"solver"``.
    built_in : mapping
        Name -> ``"module:attribute"``. A plug-in of another package cannot replace a built-in one.
    group : str, optional
        Group of the entry points; by default ``gnntrack.`` and the kind in the plural.
    error : exception class
        Raised for an unknown name.
    required : strings
        Attributes that a plug-in of another package must have; a missing one is reported when the plug-in is loaded.

    Examples
    --------
    >>> numbers = Registry("constant", {"pi": "math:pi"})
    >>> numbers["pi"]
    3.141592653589793
    >>> sorted(numbers)
    ['pi']
    >>> numbers["pie"]
    Traceback (most recent call last):
    gnntrack.errors.InputError: unknown constant 'pie'; did you mean 'pi'? There are: pi
    """

    def __init__(
        self,
        kind: str,
        built_in: Mapping[str, str],
        *,
        group: str | None = None,
        error: type[GnntrackError] = InputError,
        required: tuple[str, ...] = (),
    ) -> None:
        self.kind, self.built_in, self.error, self.required = kind, dict(built_in), error, required
        self.group = group or f"gnntrack.{kind}s"

    def __getitem__(self, name: str) -> T:
        """Return a plug-in, imported now.

        Raises
        ------
        InputError
            Or the registry's own error, if no plug-in has this name or several have, if it cannot be imported or
            called, or if it lacks a required attribute.
        MissingDependencyError
            If a library that the plug-in needs is not installed.
        """
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            found: T = getattr(import_module(module), attribute)
            return found
        entries = self.find_entries().get(name, [])
        if not entries:
            raise self.error(describe_unknown_name(self.kind, name, self))
        if len(entries) > 1:
            owners = " and ".join(f"{get_distribution(entry)} ({entry.value})" for entry in entries)
            msg = f"{self.kind} '{name}' is registered more than once, by {owners}; uninstall all but one"
            raise self.error(msg)
        return self._load(entries[0])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names: built-in ones first, then those of other packages in alphabetical order."""
        yield from self.built_in
        yield from sorted(self.find_entries().keys() - self.built_in.keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self.find_entries()

    def check(self, name: str) -> str:
        """Return the name if there is such a plug-in, without importing it.

        Raises
        ------
        InputError
            Or the registry's own error, if there is none; it proposes the nearest name.
        """
        if name not in self:
            raise self.error(describe_unknown_name(self.kind, name, self))
        return name

    def find_entries(self) -> dict[str, list[EntryPoint]]:
        """Return the entry points of other packages by name; more than one if packages use the same name."""
        from importlib.metadata import entry_points  # slow to import

        found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self.group):
            found.setdefault(entry.name, []).append(entry)
        return found

    def _load(self, entry: EntryPoint) -> T:
        who = f"{self.kind} '{entry.name}' of {get_distribution(entry)}"
        try:
            loaded: T = entry.load()
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] == entry.module.partition(".")[0]:
                msg = f"{who}: {entry.value} cannot be imported: {error}; reinstall it, or write to its author"
                raise self.error(msg) from error
            need, command = f"{who} needs", format_pip_command(entry, error.name)
            raise make_missing_error(need, error.name, command) from error
        except (Exception, SystemExit) as error:  # a plug-in may raise anything while it is imported
            msg = f"{who}: {entry.value} cannot be imported: {type(error).__name__}: {error}; write to its author"
            raise self.error(msg) from error
        if not callable(loaded):
            kind = type(loaded).__name__
            msg = (
                f"{who}: {entry.value} is of type {kind} and cannot be called; "
                "its author must register a class or a function"
            )
            raise self.error(msg)
        missing = [name for name in self.required if not hasattr(loaded, name)]
        if missing:
            msg = f"{who}: {entry.value} lacks the attribute {', '.join(missing)}; write to its author"
            raise self.error(msg)
        return loaded


def describe_unknown_name(kind: str, name: str, names: Iterable[str]) -> str:
    """Return the message for an unknown name; it proposes the nearest of the known names.

    >>> describe_unknown_name("constant", "tau", ["pi", "e"])
    "unknown constant 'tau'; there are: pi, e"
    """
    known = list(names)
    near = difflib.get_close_matches(str(name), known, 1)
    hint = f"did you mean '{near[0]}'? There" if near else "there"
    return f"unknown {kind} '{name}'; {hint} are: {', '.join(known)}"


def get_distribution(entry: EntryPoint) -> str:
    """Return the name of the package that has an entry point."""
    return entry.dist.name if entry.dist is not None else "an unnamed package"


def format_pip_command(entry: EntryPoint, module: str) -> str:
    """Return the pip command that installs the extras of an entry point, or else a missing module."""
    if entry.extras:
        return f"pip install '{get_distribution(entry)}[{','.join(entry.extras)}]'"
    return f"pip install {module.partition('.')[0]}"
