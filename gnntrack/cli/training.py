"""train: a network for ``--method gnn``, from movies whose lineage is known."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.display import Stopwatch, format_bytes, format_figures, measure_peak_memory, show_rows, show_training
from gnntrack.cli.options import out_option, overwrite_option, settings_options, verbose_option

if TYPE_CHECKING:
    from gnntrack.cli.display import TrainingDisplay
    from gnntrack.settings import Settings

__all__ = ["Stop", "model_files", "train"]


@click.command()
@click.argument("data", metavar="[DATA]...", nargs=-1)
@out_option("Folder of the model: weights, log.csv, the learning curve, and a checkpoint to go on from.")
@click.option(
    "--model",
    "network",
    type=click.Choice(["linknet", "pdn"]),
    default="linknet",
    show_default=True,
    help="The network: gnntrack's own, or the published one of Ben-Haim and Riklin-Raviv.",
)
@click.option("--from", "start", metavar="MODEL", help="Go on from these weights: a model's folder, or 'shipped'.")
@click.option(
    "--validation",
    metavar="DATA",
    multiple=True,
    help="Movies to validate on, repeatable; else the last frames of each movie of DATA are kept for it.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same training.")
@click.option("--resume", is_flag=True, help="Go on with the training in --out that was interrupted.")
@settings_options("train.simulated", "train.steps", "gnn.device")
@overwrite_option
@verbose_option
def train(
    data: tuple[str, ...],
    out: Path,
    settings: Settings,
    validation: tuple[str, ...],
    **options: Any,
) -> None:
    """Train a network on DATA: folders in the layout of the Cell Tracking Challenge, with tracking truth.

    Each of DATA is a data set (images in 01, truth in 01_GT/TRA, masks in 01_ERR_SEG or 01_ST/SEG, and so on), a folder
    of data sets, or the truth of one sequence (01_GT). The weights with the best validation after solving are kept.
    Ctrl-C stops, and --resume goes on.
    """
    if options["resume"] and options["overwrite"]:
        raise click.UsageError("--resume goes on with what is there, --overwrite removes it; give one of them")  # noqa: EM101
    if options["resume"] and options["start"]:
        raise click.UsageError("--resume goes on from a checkpoint, --from begins with other weights; give one of them")  # noqa: EM101
    if not data and not settings.train.simulated:
        raise click.UsageError("there is nothing to learn from; give DATA, or --simulated N")  # noqa: EM101
    options |= {"device": settings.gnn.device, "validation": list(validation) or None}
    watch = Stopwatch()
    with show_training() as shown:
        stop = Stop(shown)
        try:
            with stop.listening():
                summary = _train(data, out, settings=settings, progress=stop.progress, report=stop.report, **options)
        except KeyboardInterrupt:
            if not shown.step and not options["resume"]:
                raise
            where = f"at step {shown.step}" if shown.step else "before the first step"
            click.echo(f"stopped {where}; go on with --resume", err=True)
            raise click.exceptions.Exit(130) from None
    cost = [("time", f"{watch.seconds:.1f} s"), ("memory", f"{format_bytes(measure_peak_memory())} at most")]
    next_line = f"gnntrack track IMAGES MASKS --method gnn --model {out} -o OUT"
    show_rows([*_summary_rows(summary), *cost, *model_files(out), ("next", next_line)])


class Stop:
    """Stops a training between two steps, when it is asked by Ctrl-C or by a scheduler's TERM.

    In the middle of a step the weights are neither those before nor after it, and a training that goes on from them
    is another one. A second Ctrl-C stops at once.
    """

    def __init__(self, shown: TrainingDisplay) -> None:
        self._shown = shown
        self._asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C and TERM for a wish to stop, as long as the context lasts."""
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
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
        """Show progress; between two steps, stop if that was asked."""
        self._shown.progress(stage, done, total)
        if self._asked and stage == "training":
            raise KeyboardInterrupt

    def report(self, row: Mapping[str, Any]) -> None:
        """Show a validation; stop if that was asked."""
        self._shown.report(row)
        if self._asked:
            raise KeyboardInterrupt


def _train(data: tuple[str, ...], out: Path, **options: Any) -> dict[str, Any]:
    from gnntrack.training.links import train as train_network

    return train_network(data, out, **options)


def _summary_rows(summary: Mapping[str, Any]) -> list[tuple[str, object]]:
    rows = [(name, summary[name]) for name in ("movies", "cells", "links", "divisions", "steps") if name in summary]
    best = summary.get("best")
    return [*rows, ("best", f"step {best['step']}: {format_figures({**best, 'best': 0})}")] if best else rows


def model_files(out: Path) -> list[tuple[str, object]]:
    """Return the files of a model with what they are, as far as they are there."""
    about = {
        "weights.safetensors": "the weights",
        "model.json": "what they are of: network, data, scores",
        "log.csv": "loss and validation figures by step",
        "learning_curve.png": "the same, drawn",
        "reliability.png": "how often links of a score are right",
        "checkpoint.safetensors": "to go on from, with --resume",
    }
    files = [f"{out / name} ({words})" for name, words in about.items() if (out / name).is_file()]
    return [("written" if i == 0 else "", text) for i, text in enumerate(files or [out])]
