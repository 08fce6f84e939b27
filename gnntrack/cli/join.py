"""The command join."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

import click

from gnntrack.cli.cluster_options import read_command
from gnntrack.cli.options import path_argument, verbose_option

__all__ = ["join"]

_DIVIDED = ("track",)


@click.command
@path_argument("work")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes that share the rest of the work.")
@click.option("--scheduler", metavar="ADDRESS", help="Run the rest on Dask, as 'gnntrack track --scheduler'.")
@verbose_option
@click.pass_context
def join(context: click.Context, work: Path, workers: int | None, scheduler: str | None) -> None:
    """Finish the work of 'gnntrack track' with --shard or --work, and write its result.

    WORK is its work folder. It runs the command again with --resume and without --shard.
    """
    folder, (name, *arguments) = read_command(work, _DIVIDED)
    command: click.Command = getattr(import_module(f"gnntrack.cli.{name}"), name)
    arguments += [*(["--workers", str(workers)] if workers else []), *(["--scheduler", scheduler] if scheduler else [])]
    os.chdir(folder)
    with command.make_context(name, [*arguments, "--resume"], parent=context.parent) as inner:
        command.invoke(inner)
