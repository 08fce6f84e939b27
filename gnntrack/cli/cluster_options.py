"""Options of commands whose work can be divided: between processes, workers of Dask, and runs on a cluster."""

from __future__ import annotations

import functools
import json
import math
import re
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.display import show_rows
from gnntrack.cli.output_paths import OutputPath
from gnntrack.errors import InputError

if TYPE_CHECKING:
    from gnntrack.cluster.execution import Execution
    from gnntrack.cluster.shards import Shard

__all__ = ["cluster_options", "read_command"]

Function = Callable[..., Any]
_COMMAND = ".command.json"  # file of a work folder: the command whose work it is
_NOT_KEPT = ("--shard", "--sbatch", "--workers", "--scheduler")  # options with a value that another run does not repeat
_SHARDS = 8
_MEMORY = 4096  # MiB of a job of SLURM
_PASSES = 5  # stages of many tasks, each of which needs the results of the stages before it


def _read_shard(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Shard | None:
    """Return a shard such as 0/8."""
    if value is None:
        return None
    from gnntrack.cluster.shards import parse_shard

    try:
        return parse_shard(value)
    except ValueError as error:
        message = f"'{value}': {error}"
        raise click.BadParameter(message) from error


def _read_size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Return the bytes of a size such as 2GB."""
    if value is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([MG])(i?)B?", value.strip(), re.IGNORECASE)
    if found is None:
        message = f"'{value}': expected a number with a unit, such as 800MB or 2GB"
        raise click.BadParameter(message)
    base = 1024 if found[3] else 1000
    return float(found[1]) * base ** (2 if found[2].upper() == "M" else 3)


def cluster_options(command: Function) -> Function:
    """Add the options that divide the work of a command, which gets them as ``execution``.

    With ``--sbatch`` the command does not run: scripts that run it are written.
    """

    @functools.wraps(command)
    def run(
        *args: Any,
        workers: int | None,
        scheduler: str | None,
        shard: Shard | None,
        work: Path | None,
        sbatch: Path | None,
        max_memory: float | None,
        resume: bool,
        **values: Any,
    ) -> Any:
        from gnntrack.cluster.execution import Execution

        if shard is not None and (scheduler is not None or sbatch is not None):
            other = "--scheduler" if scheduler is not None else "--sbatch"
            message = f"--shard runs a part of the work, and {other} divides it; omit one of the two"
            raise click.UsageError(message)
        if sbatch is not None:
            memory = _MEMORY if max_memory is None else math.ceil(1.25 * max_memory / 2**20)  # and files in memory
            _write_scripts(sbatch, workers or _SHARDS, memory=memory, overwrite=values["overwrite"])
            return None
        chosen: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "shard": shard, "max_memory": max_memory}
        execution = Execution(work=work, resume=resume, **chosen)
        try:
            return command(*args, execution=execution, **values)
        finally:
            _keep_command(values["out"], execution)

    for option in (
        click.option(
            "--sbatch",
            type=OutputPath(),
            metavar="FOLDER",
            help=f"Write scripts for SLURM in place of a result: --workers N shards ({_SHARDS}), and a last job.",
        ),
        click.option(
            "--work",
            type=OutputPath(),
            metavar="FOLDER",
            help="Folder of unfinished work, which is kept; default: a hidden folder beside OUT, removed at the end.",
        ),
        click.option(
            "--max-memory",
            metavar="SIZE",
            callback=_read_size,
            help="Memory of each process, such as 2GB: windows of a large movie have as many cells as fit.",
        ),
        click.option("--shard", metavar="I/N", callback=_read_shard, help="Do only the I-th of N parts, from 0/N on."),
        click.option(
            "--scheduler",
            metavar="ADDRESS",
            help="Run on Dask: 'local', 'slurm', an address such as tcp://node7:8786, or the file of a scheduler.",
        ),
        click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Processes that share the work."),
    ):
        command_with_option: Function = option(run)
        run = command_with_option  # type: ignore[assignment]
    return run


def _write_scripts(folder: Path, shards: int, *, memory: int, overwrite: bool) -> None:
    """Write the scripts that run the typed command on SLURM, and print how they are started."""
    from gnntrack.cluster.slurm_scripts import write_scripts
    from gnntrack.io.output import fresh_output

    with fresh_output(folder, overwrite=overwrite) as place:
        write_scripts(place, _list_typed(), final=folder.absolute(), shards=shards, passes=_PASSES, memory=memory)
    show_rows(
        [
            ("written", f"{folder}: shards.sh, join.sh and submit.sh; change memory, time and partition there"),
            ("start", f"bash {shlex.quote(str(folder / 'submit.sh'))}"),
        ]
    )


def _list_typed() -> list[str]:
    """Return the arguments that were typed, without the options that another run does not repeat."""
    from gnntrack.cli import TYPED

    typed: list[str] = list(click.get_current_context().meta[TYPED])
    kept, words = [], iter(typed)
    for word in words:
        if word in _NOT_KEPT:
            next(words, None)
        elif word != "--resume" and not word.startswith(tuple(f"{name}=" for name in _NOT_KEPT)):
            kept.append(word)
    return kept


def _keep_command(out: Path | None, execution: Execution) -> None:
    """Write the command that was typed into a work folder that stays, so that ``gnntrack join`` can run it again."""
    from gnntrack.cluster.execution import find_work_folder
    from gnntrack.io.output_places import write_text

    work = find_work_folder(out, execution)
    if work is not None and work.is_dir():
        content = {"folder": str(Path.cwd()), "arguments": _list_typed()}
        with suppress(OSError):  # the run has its own error
            write_text(work / _COMMAND, json.dumps(content, indent=1) + "\n")


def read_command(work: Path, names: Sequence[str]) -> tuple[Path, list[str]]:
    """Return the folder and the arguments of the command whose work is in a work folder.

    Parameters
    ----------
    work : Path
        The work folder.
    names : sequence of str
        Commands that it may be.

    Raises
    ------
    InputError
        If it is not a work folder, or of another command.
    """
    from gnntrack.json_files import read_json

    try:
        content = read_json(work / _COMMAND)
        folder, arguments = Path(content["folder"]), [str(word) for word in content["arguments"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{work}: it is not a work folder of a command with --shard or --work ({error}); choose another folder"
        raise InputError(msg) from error
    if not arguments or arguments[0] not in names:
        msg = f"{work}: it holds the work of '{' '.join(arguments[:1])}', expected {' or '.join(names)}"
        raise InputError(msg)
    return folder, arguments
