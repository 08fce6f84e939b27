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
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from gnntrack.errors import GnntrackError, InputError

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Plug-ins of one kind by name: the built-in ones, and those of other packages.

    Parameters
    ----------
    kind : str
        What a plug-in is, for messages: ``"solver"``.
    built_in : mapping
        Name -> ``"module:attribute"``. A plug-in of another package cannot replace a built-in one.
    group : str, optional
        Group of the entry points; by default ``gnntrack.`` and the kind in the plural.
    error : exception class
        Raised for an unknown name.

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
    ) -> None:
        self.kind, self.built_in, self.error = kind, dict(built_in), error
        self.group = group or f"gnntrack.{kind}s"

    def __getitem__(self, name: str) -> T:
        """Return a plug-in, imported now.

        Raises
        ------
        InputError
            Or the registry's own error, if there is no plug-in of this name or it cannot be imported.
        """
        if name in self.built_in:
            module, _, attribute = self.built_in[name].partition(":")
            found: T = getattr(import_module(module), attribute)
            return found
        entry = self._entries().get(name)
        if entry is None:
            raise self.error(self._unknown(name))
        try:
            loaded: T = entry.load()
        except (ImportError, AttributeError) as error:
            msg = f"{self.kind} '{name}' ({entry.value}) cannot be imported: {error}; install what it needs"
            raise self.error(msg) from error
        return loaded

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names: built-in ones first, then those of other packages in alphabetical order."""
        yield from self.built_in
        yield from sorted(self._entries().keys() - self.built_in.keys())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self.built_in or name in self._entries()

    def check(self, name: str) -> str:
        """Return the name if there is such a plug-in, without importing it.

        Raises
        ------
        InputError
            Or the registry's own error, if there is none; it proposes the nearest name.
        """
        if name not in self:
            raise self.error(self._unknown(name))
        return name

    def items(self) -> Iterator[tuple[str, Any]]:
        """Iterate over names and plug-ins; all are imported."""
        return ((name, self[name]) for name in self)

    def _entries(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}

    def _unknown(self, name: str) -> str:
        names = list(self)
        near = difflib.get_close_matches(str(name), names, 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        return f"unknown {self.kind} '{name}'; {hint}There are: {', '.join(names)}"
