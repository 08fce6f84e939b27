"""train-segmenter: a segmenter, from images whose masks are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.display import Stopwatch, format_bytes, format_figures, measure_peak_memory, show_rows, show_training
from gnntrack.cli.options import named_values, out_option, overwrite_option, settings_options, verbose_option
from gnntrack.cli.training import Stop, model_files

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["train_segmenter"]

_SETTINGS = ("steps", "epochs", "batch", "patch", "learning_rate", "loss", "head", "normalise", "augment", "simulated")


@click.command("train-segmenter")
@click.argument("name")
@click.argument("data", metavar="[DATA]...", nargs=-1)
@out_option("Folder of the model: weights, log.csv, the learning curve, and a checkpoint to go on from.")
@click.option(
    "--option",
    "options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=named_values,
    help="An option of the new network, such as width=64; repeatable.",
)
@click.option(
    "--validation",
    metavar="DATA",
    multiple=True,
    help="Images to validate on, repeatable; else a part of DATA is kept for it, of movies the last frames.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same training.")
@click.option("--device", metavar="NAME", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--resume", is_flag=True, help="Go on with the training in --out that was interrupted.")
@settings_options(*(f"train_segmenter.{name}" for name in _SETTINGS))
@overwrite_option
@verbose_option
def train_segmenter(
    name: str,
    data: tuple[str, ...],
    out: Path,
    settings: Settings,
    options: dict[str, Any],
    validation: tuple[str, ...],
    **rest: Any,
) -> None:
    """Train the segmenter NAME on DATA: images with masks.

    DATA are folders: data sets of the Cell Tracking Challenge (01 with 01_GT/SEG or 01_ST/SEG; gold truth over
    silver), pairs of files (a.png, a_mask.png), two folders images/ and masks/, or a folder per image as in the Data
    Science Bowl. The weights that segment the validation images best are kept. Ctrl-C stops, and --resume goes on.
    """
    if rest["resume"] and rest["overwrite"]:
        raise click.UsageError("--resume goes on with what is there, --overwrite removes it; give one of them")  # noqa: EM101
    merged = {**settings.train_segmenter.options, **options}
    settings = settings.replace(train_segmenter__options=merged)
    watch = Stopwatch()
    with show_training() as shown:
        stop = Stop(shown)
        try:
            with stop.listening():
                summary = _train(
                    name,
                    data,
                    out,
                    settings=settings,
                    validation=list(validation) or None,
                    progress=stop.progress,
                    report=stop.report,
                    **rest,
                )
        except KeyboardInterrupt:
            if not shown.step and not rest["resume"]:
                raise
            where = f"at step {shown.step}" if shown.step else "before the first step"
            click.echo(f"stopped {where}; go on with --resume", err=True)
            raise click.exceptions.Exit(130) from None
    rows = [(key, summary[key]) for key in ("movies", "images", "steps")]
    best = summary["best"]
    rows.append(("best", f"step {best['step']}: {format_figures({**best, 'best': 0})}"))
    rows += [("time", f"{watch.seconds:.1f} s"), ("memory", f"{format_bytes(measure_peak_memory())} at most")]
    next_line = f"gnntrack segment IMAGES -o MASKS --segmenter {name} --model {out}"
    show_rows([*rows, *model_files(out), ("next", next_line)])


def _train(name: str, data: tuple[str, ...], out: Path, **options: Any) -> dict[str, Any]:
    from gnntrack.training.segmenter import train_segmenter as train

    return train(name, data, out, **options)
