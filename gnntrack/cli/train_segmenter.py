"""Command train-segmenter: a segmenter, from images whose masks are known."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.deterministic import deterministic_option
from gnntrack.cli.display import Stopwatch
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.options import out_option, overwrite_option, parse_named_values, settings_options, verbose_option
from gnntrack.cli.train import add_run_options, show_run, show_summary

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["train_segmenter"]

_SETTINGS = (
    "steps", "epochs", "batch", "patch", "learning_rate", "loss", "head", "normalise", "colours", "kind", "augment",
    "simulated", "sparse", "background_label",
)  # fmt: skip


@click.command("train-segmenter", cls=GroupedCommand)
@click.argument("name")
@click.argument("data", metavar="[DATA]...", nargs=-1)
@out_option("Folder of the model: weights, log.csv, the learning curve, and a checkpoint for --resume.")
@click.option(
    "--option",
    "network_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=parse_named_values,
    help="An option of the new network, such as width=64; repeatable.",
)
@click.option(
    "--from",
    "start",
    metavar="MODEL",
    help="Start from a trained model: its folder, or 'shipped'. Eight images and ten minutes are then enough.",
)
@click.option(
    "--validation",
    metavar="DATA",
    multiple=True,
    help="Images to validate on, repeatable; by default a fraction of DATA, of movies the last frames.",
)
@click.option("--device", metavar="NAME", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@deterministic_option
@settings_options(*(f"train_segmenter.{name}" for name in _SETTINGS))
@overwrite_option
@add_run_options
@verbose_option
def train_segmenter(
    name: str,
    data: tuple[str, ...],
    out: Path,
    settings: Settings,
    validation: tuple[str, ...],
    start: str | None,
    **options: Any,
) -> None:
    """Train the segmenter NAME on DATA: images with masks.

    DATA are folders: data sets of the Cell Tracking Challenge (01 with 01_GT/SEG or 01_ST/SEG; gold truth over
    silver), pairs of files (a.png, a_mask.png; masks of napari or cellpose as they are saved), two folders images/ and
    masks/, or a folder per image as in the Data Science Bowl. The weights that segment the validation images best are
    kept. Ctrl-C stops and leaves a usable model, and --resume continues.
    """
    merged = {**settings.train_segmenter.options, **options.pop("network_options")}
    settings = settings.replace(train_segmenter__options=merged)
    watch = Stopwatch()
    with show_run(out, **options) as run:
        from gnntrack.training import segmenter

        more: dict[str, Any] = {"start": start, "validation": list(validation) or None, "settings": settings}
        summary = segmenter.train_segmenter(name, data, run, **more)
    next_line = f"gnntrack segment IMAGES -o MASKS --segmenter {name} --model {shlex.quote(str(out))}"
    images = f"{summary['images']} to train on, {summary['checks']} to validate on"
    folders = f", of {summary['movies']} folders or movies" if summary["movies"] > 1 else ""
    rows, names = {**summary, "images": images + folders}, ["images"]
    if "start" in summary:
        guessed = start == "shipped" and settings.train_segmenter.kind == "auto"
        rows["start"] = summary["start"] + (" (a guess from the images; --kind sets it)" if guessed else "")
        names.append("start")
        if not summary["steps"]:
            rows["note"] = (
                "no step was better than the start: try more --steps, a smaller --learning-rate or more images"
            )
            names.append("note")
    show_summary(rows, names, watch, out, next_line)
