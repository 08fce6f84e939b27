"""The type of options that name an output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

__all__ = ["OutputPath"]


class OutputPath(click.Path):
    """Path of an output; an empty one, such as that of a variable of the shell that is not set, is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if value == "":
            self.fail("the path is empty; give the file or folder to write, such as 'results'", param, ctx)
        return super().convert(value, param, ctx)
