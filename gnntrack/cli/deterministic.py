"""The option ``--deterministic`` of commands that use a network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from gnntrack.models.determinism import use_deterministic

__all__ = ["deterministic_option"]


def deterministic_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--deterministic``, which a command does not have to know of."""

    @functools.wraps(command)
    def run(*args: Any, deterministic: bool, **values: Any) -> Any:
        if not deterministic:
            return command(*args, **values)
        with use_deterministic():
            return command(*args, **values)

    about = "The same bytes in every run, also on a GPU and with any number of threads; slower."
    return click.option("--deterministic", is_flag=True, help=about)(run)
