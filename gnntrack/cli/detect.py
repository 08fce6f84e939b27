"""The command detect."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from gnntrack.cli import options
from gnntrack.cli.deterministic import deterministic_option
from gnntrack.cli.display import Stopwatch, describe_cost, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.resume import resume_option
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.settings import Settings

__all__ = ["detect"]


@click.command(cls=GroupedCommand)
@options.path_argument("images")
@options.out_option("Table of the points: a file that ends in .csv, or .parquet.")
@options.detector_option(default="dog")
@click.option(
    "--option",
    "detector_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=options.parse_named_values,
    help="An option of the detector, such as closest=0.3; repeatable.",
)
@options.diameter_option("detector")
@click.option(
    "--threshold",
    type=float,
    metavar="VALUE",
    help="Higher = fewer points; of dog a multiple of the noise (5), of heatmap a probability (0.55).",
)
@click.option("--model", metavar="PATH", help="Model of the detector: the folder that 'train-detector' wrote.")
@click.option("--device", metavar="NAME", help="Device of the network: auto, cpu, cuda or mps.  [default: auto]")
@deterministic_option
@options.settings_options(*options.IMAGE_SETTINGS)
@options.overwrite_option
@resume_option()
@options.verbose_option
def detect(
    images: Path,
    out: Path,
    detector: str,
    detector_options: dict[str, Any],
    settings: Settings,
    *,
    overwrite: bool,
    **more: Any,
) -> None:
    """Find the centres of the cells in IMAGES: a table of points with t, z, y, x in voxels, radius in um, and a score.

    'gnntrack track --points OUT' tracks them.
    """
    from gnntrack import movie_recipes
    from gnntrack.movie import open_images

    given = {name: value for name, value in more.items() if value is not None}
    for name in given.keys() & detector_options.keys():
        message = (
            f"the {name} is given twice: --{name} and --option {name}={detector_options[name]}; omit one of the two"
        )
        raise click.UsageError(message)
    watch = Stopwatch()
    choice: dict[str, Any] = {"detector": detector, "options": detector_options | given, "settings": settings}
    with show_progress() as progress:
        stack = open_images(images, settings=settings)
        points = movie_recipes.detect(stack, out, overwrite=overwrite, progress=progress, **choice)
    unit = stack.unit
    spacing = ",".join(f"{side:g}" for side in stack.spacing) if unit == "um" else ""
    rows = [*_describe_points(points, len(stack), unit), *describe_cost(watch), ("written", out)]
    known = f" --spacing {spacing}" if spacing else ""
    following = f"gnntrack track --points {shlex.quote(str(out))}{known} -o OUT"
    if not len(points):
        following = "nothing is found: check the images, or give a lower --threshold or the --diameter of the cells"
    show_rows([*rows, ("next", following)])


def _describe_points(points: pd.DataFrame, n_frames: int, unit: str) -> list[tuple[str, str]]:
    """Return how many points there are, in total and per frame, and their size."""
    count = np.bincount(points.t, minlength=n_frames)
    rows = [("points", f"{len(points)} in {count_noun(n_frames, 'frame')}")]
    if n_frames > 1:
        rows.append(("per frame", f"{count.min()} to {count.max()}, median {np.median(count):g}"))
    if empty := int((count == 0).sum()):
        rows.append(("empty", f"{count_noun(empty, 'frame')} without a point, first frame {int(np.argmin(count))}"))
    if len(points):
        length = "um" if unit == "um" else "pixels (the size of a voxel is not known)"
        rows.append(("diameter", f"{2 * points.radius.median():.3g} {length}, median"))
    return rows
