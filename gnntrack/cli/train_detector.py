"""Command train-detector: a detector, from movies whose cells, or some of them, are annotated as points."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from gnntrack.cli.deterministic import deterministic_option
from gnntrack.cli.display import Stopwatch
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.options import out_option, overwrite_option, verbose_option
from gnntrack.cli.train import add_run_options, show_run, show_summary

__all__ = ["train_detector"]


@click.command("train-detector", cls=GroupedCommand)
@click.argument("data", metavar="[DATA]...", nargs=-1)
@out_option("Folder of the model: weights, log.csv, and a checkpoint for --resume.")
@click.option("--detector", metavar="NAME", default="heatmap", show_default=True, help="The detector to train.")
@click.option("--from", "start", metavar="MODEL", help="Start from a trained model: its folder, or 'shipped'.")
@click.option("--complete", is_flag=True, help="All cells of the annotated frames are annotated, not only some.")
@click.option("--steps", type=int, help="Steps of the optimiser.  [default: 400]")
@click.option("--batch", type=int, help="Patches in a step.  [default: 6]")
@click.option("--learning-rate", type=float, help="Highest learning rate.  [default: 0.002]")
@click.option("--diameter", type=float, metavar="PIXELS", help="Typical diameter of a cell; by default estimated.")
@click.option("--simulated", type=int, metavar="N", help="Number of simulated images to train on as well.")
@click.option("--simulated-axes", type=int, help="Axes of simulated images.  [default: 3]")
@click.option("--device", metavar="NAME", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@deterministic_option
@overwrite_option
@add_run_options
@verbose_option
def train_detector(
    data: tuple[str, ...], out: Path, detector: str, start: str | None, *, complete: bool, **options: Any
) -> None:
    """Train a detector on DATA: NAME.zarr with the points NAME.geff, or folders of such movies.

    Only some cells need to be annotated. Voxels in an annotated cell and around it are learned from, and dark ones; all
    others are unknown and do not count. The weights that find the points of the last annotated frames best are kept.
    Ctrl-C stops and leaves a usable model, and --resume continues.
    """
    from gnntrack.training import detector as recipe
    from gnntrack.training.detector_settings import DetectorTraining

    given = {name: options.pop(name) for name in DetectorTraining.fields if name in options}
    training = DetectorTraining(**{name: value for name, value in given.items() if value is not None})
    watch = Stopwatch()
    with show_run(out, **options) as run:
        choice: dict[str, Any] = {"detector": detector, "start": start, "complete": complete}
        summary = recipe.train_detector(data, run, training=training, **choice)
    rows = {**summary, "images": f"{summary['images']} to train on, {summary['checks']} to validate on"}
    next_line = f"gnntrack detect IMAGES -o points.csv --detector {detector} --model {shlex.quote(str(out))}"
    show_summary(rows, ["images", "points"], watch, out, next_line)
