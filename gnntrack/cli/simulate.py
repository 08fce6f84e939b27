"""The command simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, describe_cost, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["simulate"]


@click.command(cls=GroupedCommand)
@options.out_option("Folder of the movie, in the layout of the Cell Tracking Challenge.")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed gives the same movie."
)
@options.settings_options(*options.SIMULATE_SETTINGS)
@options.overwrite_option
@options.verbose_option
def simulate(out: Path, seed: int, settings: Settings, *, overwrite: bool) -> None:
    """Make a movie with a known lineage: images, masks and ground truth."""
    from gnntrack import pipeline
    from gnntrack.lineage.families import find_divisions

    watch = Stopwatch()
    with show_progress() as progress:
        movie = pipeline.simulate(out, settings=settings, seed=seed, overwrite=overwrite, progress=progress)
    show_rows(
        [
            ("frames", movie.lineage.cells.n_frames),
            ("cells", len(movie.lineage.cells)),
            ("tracks", len(movie.lineage.tracks)),
            ("divisions", len(find_divisions(movie.lineage))),
            *describe_cost(watch),
            ("written", f"{out} (01 images, 01_ERR_SEG masks to track, 01_GT ground truth)"),
        ]
    )
