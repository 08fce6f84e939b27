"""The command line: a command turns its options into settings, calls one recipe, and prints a summary.

A command is imported when it is called, so that ``gnntrack --help`` stays quick: this file imports
click and nothing heavier, and holds the one-line helps of the commands.
"""

from __future__ import annotations

import atexit
import difflib
import errno
import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

import click

from gnntrack import __version__
from gnntrack.cli.examples import EXAMPLES, complete_line
from gnntrack.cli.interrupts import handle_signals
from gnntrack.errors import GnntrackError, GnntrackWarning
from gnntrack.io.output_locks import hold_outputs
from gnntrack.user_warnings import record_warnings

__all__ = ["COMMANDS", "TYPED", "cli", "main"]

_log = logging.getLogger(__name__)

# command: (its module, one-line help), in the order of use
COMMANDS = {
    "demo": ("demo", "Simulate a movie, segment, track and evaluate it, and draw the result."),
    "info": ("info", "Describe a movie or a folder of masks, and list its problems."),
    "track": ("track", "Track a movie: from images and masks to a CTC result."),
    "join": ("join", "Finish a tracking whose work was divided, and write its result."),
    "batch": ("batch", "Track all positions of an experiment, with one table of the results."),
    "segment": ("segment", "Segment the images of a movie into masks."),
    "segmenters": ("segment", "List the segmenters that are installed."),
    "detect": ("detect", "Find the centres of the cells in images: a table of points."),
    "build-graph": ("graph", "Find the candidate links between the cells of masks."),
    "solve": ("graph", "Choose the links of a candidate graph."),
    "report": ("report", "Write a result as one HTML page to look at and to correct."),
    "serve": ("serve", "Correct a result in the browser; each edit is solved again at once."),
    "apply-edits": ("apply_edits", "Track a movie again around the corrections of a person."),
    "export": ("graph", "Write a lineage as a CTC result, as tables, or in another format."),
    "convert": ("convert", "Write tracks in another format: CTC, GEFF, TrackMate, tables of other programs."),
    "import": ("import_tracks", "Read the tracks of another program: TrackMate, tracked masks, tables, results."),
    "analyse": ("analyse", "Measure the cells of a lineage: motion, cell cycles, growth, neighbours."),
    "shape": ("shape", "Measure the shapes of the cells of masks, and write their meshes."),
    "train": ("train", "Train the network of --method gnn on movies with a known lineage."),
    "train-segmenter": ("train_segmenter", "Train a segmenter on images whose masks are known."),
    "train-detector": ("train_detector", "Train a detector on movies with annotated points, all or only some."),
    "evaluate": ("evaluate", "Score tracking results against ground truth."),
    "evaluate-segmentation": ("evaluate", "Score masks against ground truth: Dice, IoU, SEG, AP."),
    "validate": ("evaluate", "Report every rule of the CTC format that a result breaks."),
    "submit": ("submit", "Write a submission to the Cell Tracking Challenge, or check one."),
    "simulate": ("simulate", "Make a movie with a known lineage."),
    "init-config": ("init_config", "Write a settings file with every default."),
    "completion": ("completion", "Print the script that completes commands in bash, zsh or fish."),
    "man": ("man", "Write the manual pages of all commands."),
}

TYPED = "gnntrack.typed"
_ATTRIBUTES = {"import": "import_tracks"}  # a command whose name is a keyword of Python


class Refusal(click.ClickException):
    """An error of the input or the usage: message on stderr, exit code 2, no traceback."""

    exit_code = 2


class Commands(click.Group):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of use."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, imported only now."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"gnntrack.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, _ATTRIBUTES.get(cmd_name, cmd_name.replace("-", "_")))
        command.epilog = f"Example: {EXAMPLES[cmd_name]}"
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the line, and keep what was typed for messages."""
        ctx.meta[TYPED] = list(args)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the nearest one."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f" Did you mean '{near[0]}'?" if near else f" There are: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command '{name}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error of the input or of the system becomes a message and an exit code."""
        try:
            with _show_warnings(), record_warnings(), hold_outputs():
                return super().invoke(ctx)
        except (click.MissingParameter, click.BadOptionUsage) as error:
            line = complete_line(error, ctx.meta[TYPED])
            if not line:
                raise
            message = f"{error.format_message().rstrip('.')}; type, for example: {line}"
            raise click.UsageError(message, error.ctx) from error
        except click.UsageError as error:
            if "unexpected extra argument" not in error.message:
                raise
            hint = 'If these are the files of a pattern, put it in quotes, "FOLDER/*.tif", or give the folder.'
            message = f"{error.message} {hint}"
            raise click.UsageError(message, error.ctx) from error
        except GnntrackError as error:
            _refuse(error, str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            _refuse(error, _describe_error(error))
        except MemoryError as error:
            _refuse(error, "not enough memory; 'gnntrack info' estimates the memory for a movie")
        except KeyboardInterrupt:
            click.echo("Interrupted; no incomplete output is left.", err=True)
            ctx.exit(130)


@contextmanager
def _show_warnings() -> Iterator[None]:
    """Print warnings about the input on stderr, each message once."""
    seen: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
        if not issubclass(category, GnntrackWarning):
            usual(message, category, *rest, **more)
        elif str(message) not in seen:
            seen.add(str(message))
            click.echo(f"Warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("always", GnntrackWarning)
        usual, warnings.showwarning = warnings.showwarning, show
        yield


def _describe_error(error: OSError) -> str:
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):  # results name their file
        return f"what is printed cannot be written ({error.strerror}); send it to another disk, or to the screen"
    return str(error)


def _refuse(error: BaseException, message: str) -> NoReturn:
    _log.debug("traceback", exc_info=error)
    raise Refusal(message) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="gnntrack")
def cli() -> None:
    """Track cells: from the masks of a microscopy movie to tracks, divisions and family trees.

    Start with 'gnntrack demo', or with 'gnntrack track IMAGES MASKS -o OUT'.

    Exit codes: 0 done, 1 a rule of the format or a required metric is not met, 2 wrong input or usage, 130 interrupted.
    """


def main() -> None:
    """Run the command line."""
    handle_signals()
    # pydantic, which geff imports, would search the metadata of every installed package for plug-ins
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # to search for cycles after every 700 new objects is a waste while modules are imported
    gc.set_threshold(500_000, 20, 20)
    try:
        cli(prog_name="gnntrack")
    except SystemExit as end:
        _leave(end)
    except OSError as error:  # of the help, which is printed before a command runs
        click.echo(f"Error: {_describe_error(error)}", err=True)
        sys.exit(Refusal.exit_code)


def _leave(end: SystemExit) -> NoReturn:
    """End the process without freeing every object, which would take as long as to write the masks of a small movie."""
    others = [each for each in threading.enumerate() if each is not threading.main_thread() and not each.daemon]
    if others or not isinstance(end.code, int | None):
        raise end
    try:
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):  # None without a terminal
            stream.flush()
    except OSError:  # a closed pipe
        raise end from None
    os._exit(end.code or 0)
