"""Command train: a network for ``--method gnn``, from movies whose lineage is known."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.deterministic import deterministic_option
from gnntrack.cli.display import Stopwatch, describe_cost, format_figures, show_rows, show_training
from gnntrack.cli.examples import describe_example
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.interrupts import defer_in_imports
from gnntrack.cli.options import out_option, overwrite_option, settings_options, verbose_option
from gnntrack.cli.resume import resume_training
from gnntrack.gnn.networks import NETWORKS
from gnntrack.io.run_records import find_records
from gnntrack.json_files import read_json

if TYPE_CHECKING:
    from gnntrack.cli.display import TrainingDisplay
    from gnntrack.settings import Settings
    from gnntrack.training.run import TrainingRun

__all__ = ["Stop", "add_run_options", "show_run", "show_summary", "train"]

_FILES = {
    "weights.safetensors": "the weights",
    "model.json": "network, data and scores of the weights",
    "log.csv": "loss and validation metrics by step",
    "learning_curve.png": "the same, drawn",
    "reliability.png": "fraction of right links by score",
    "checkpoint.safetensors": "for --resume",
}


def add_run_options(command: Any) -> Any:
    """Add ``--seed`` and ``--resume``; they come last."""
    seed = click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="The same seed gives the same training.",
    )
    return seed(resume_training(command))


@click.command(cls=GroupedCommand)
@click.argument("data", metavar="[DATA]...", nargs=-1)
@out_option("Folder of the model: weights, log.csv, the learning curve, and a checkpoint for --resume.")
@click.option(
    "--model",
    "network",
    type=click.Choice([*NETWORKS]),
    help="Network: linknet, gnntrack's own; points, its like for points without masks; or pdn, the published one of "
    "Ben-Haim and Riklin-Raviv.  [default: points if DATA are points, else linknet]",
)
@click.option("--from", "start", metavar="MODEL", help="Start from these weights: a model's folder, or 'shipped'.")
@click.option(
    "--validation",
    metavar="DATA",
    multiple=True,
    help="Movies to validate on, repeatable; by default the last frames of each movie of DATA.",
)
@deterministic_option
@settings_options("train.simulated", "train.simulated_kinds", "train.steps", "train.truth", "gnn.device")
@overwrite_option
@add_run_options
@verbose_option
def train(data: tuple[str, ...], out: Path, settings: Settings, validation: tuple[str, ...], **options: Any) -> None:
    """Train a network on DATA: folders in the layout of the Cell Tracking Challenge, with a known lineage.

    Each of DATA is a data set (images in 01, truth in 01_GT/TRA, masks in 01_ERR_SEG or 01_ST/SEG, and so on), a folder
    of data sets, or the truth of one sequence (01_GT); or a result of 'gnntrack apply-edits', whose edits are learned
    from, or a folder of such results; or a folder of points, NAME.geff with NAME_points.csv. The weights with the best
    validation after solving are kept.
    Ctrl-C stops, and --resume continues.
    """
    network, start = options.pop("network"), options.pop("start")
    if options["resume"] and start and not find_records(out):  # not known to be the start of this training
        msg = "--resume continues from a checkpoint, --from starts from other weights; give one of them"
        raise click.UsageError(msg)
    if not data and not settings.train.simulated:
        example = describe_example(click.get_current_context())
        msg = f"there is nothing to learn from; give DATA, or --simulated N{example}"
        raise click.UsageError(msg)
    watch = Stopwatch()
    with show_run(out, device=settings.gnn.device, **options) as run:
        from gnntrack.training import links

        network = links.choose_network(data, network)
        summary = links.train(
            data, run, network=network, start=start, validation=list(validation) or None, settings=settings
        )
    names: list[str] = [name for name in ("movies", "cells", "links", "divisions", "steps") if name in summary]
    what = "--points POINTS" if NETWORKS[network].of_points else "IMAGES MASKS"
    show_summary(
        summary, names, watch, out, f"gnntrack track {what} --method gnn --model {shlex.quote(str(out))} -o OUT"
    )


@contextmanager
def show_run(out: Path, *, resume: bool, overwrite: bool, **options: Any) -> Iterator[TrainingRun]:
    """Give a run whose progress is shown, and which Ctrl-C stops between two steps with exit code 130."""
    from gnntrack.models.files import CHECKPOINT_FILE
    from gnntrack.training.run import TrainingRun

    checkpoint = out.expanduser() / CHECKPOINT_FILE
    before = _find_time(checkpoint)
    with show_training() as shown:
        stop = Stop(shown)
        try:
            with stop.listen():
                options |= {"progress": stop.progress, "report": stop.report}
                yield TrainingRun(out, resume=resume, overwrite=overwrite, **options)
        except KeyboardInterrupt:
            if not shown.step and not resume and _find_time(checkpoint) == before:
                raise
            where = f"at step {shown.step}" if shown.step else "before the first step"
            kept = _describe_kept(out.expanduser())
            click.echo(f"stopped {where}; {kept}continue with --resume", err=True)
            raise click.exceptions.Exit(130) from None


def _describe_kept(folder: Path) -> str:
    """Return which weights an interrupted training has left, as the begin of a sentence; empty without a model."""
    try:
        best = read_json(folder / "model.json")["training"]["best"]
        step, score = int(best["step"]), best.get("validation_score")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""
    if score is not None:
        which = f"the best weights so far, those of step {step} ({format_figures({**best, 'best': 0})})"
    else:
        which = f"the weights of step {step}, not validated" if step else "the weights of the model it started from"
    return f"{folder} is a usable model with {which}; "


def _find_time(file: Path) -> int | None:
    """Return the time of the last change of a file in ns; None if it does not exist."""
    return file.stat().st_mtime_ns if file.is_file() else None


class Stop:
    """Stops a training between two steps after Ctrl-C, or after TERM from a scheduler.

    Within a step the weights are neither those before nor those after it, so a training that continues from them would
    be another one. A second Ctrl-C stops at once.
    """

    def __init__(self, shown: TrainingDisplay) -> None:
        self._shown = shown
        self._asked = False

    @contextmanager
    def listen(self) -> Iterator[None]:
        """Handle Ctrl-C and TERM as requests to stop while the context lasts."""
        ask = defer_in_imports(self._ask)
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, _number: int, _frame: object) -> None:
        if self._asked or not self._shown.step:
            raise KeyboardInterrupt
        self._asked = True
        click.echo("stopping after this step; Ctrl-C again stops at once", err=True)

    def progress(self, stage: str, done: int, total: int, /) -> None:
        """Show progress; stop if requested and a step is done."""
        self._shown.progress(stage, done, total)
        if self._asked and stage == "training":
            raise KeyboardInterrupt

    def report(self, row: Mapping[str, Any]) -> None:
        """Show a validation; stop if requested."""
        self._shown.report(row)
        if self._asked:
            raise KeyboardInterrupt


def show_summary(summary: Mapping[str, Any], names: list[str], watch: Stopwatch, out: Path, next_line: str) -> None:
    """Print the named counts of a training, its best step, its cost, its files, and the command that uses the model."""
    rows: list[tuple[str, object]] = [(name, summary[name]) for name in names]
    best = summary.get("best")
    rows += [("best", f"step {best['step']}: {format_figures({**best, 'best': 0})}")] if best else []
    rows += describe_cost(watch)
    files = [f"{out / name} ({words})" for name, words in _FILES.items() if (out / name).is_file()]
    rows += [("written" if i == 0 else "", text) for i, text in enumerate(files or [str(out)])]
    show_rows([*rows, ("next", next_line)])
