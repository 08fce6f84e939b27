"""The command convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, describe_cost, show_progress, show_rows
from gnntrack.cli.graph import FormatOption, NearestChoice
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.lineages import describe_lineage
from gnntrack.cli.resume import resume_option
from gnntrack.io.source_formats import SOURCES

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["convert"]


@click.command(cls=GroupedCommand)
@options.path_argument("source")
@options.path_argument("out")
@click.option("--to", cls=FormatOption)
@click.option(
    "--from",
    "source_format",
    type=NearestChoice(SOURCES),
    help="Format of SOURCE, if its content does not show it; cells is a table of frame, label and track, masks are "
    "masks whose labels are tracks.",
)
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="Masks of the cells, if SOURCE does not hold them and OUT needs them.",
)
@options.settings_options(*options.FRAME_SETTINGS, "frames.masks_channel", "frames.masks_pattern")
@options.overwrite_option
@resume_option()
@options.verbose_option
def convert(
    source: Path,
    out: Path,
    to: str | None,
    source_format: str | None,
    masks: Path | None,
    settings: Settings,
    *,
    overwrite: bool,
) -> None:
    """Write the tracks of SOURCE in another format, without tracking again.

    SOURCE is a result or ground truth of the Cell Tracking Challenge, a GEFF, a TrackMate file (.xml), a table of
    points of napari, btrack, LapTrack, trackpy or Mastodon, a folder of 'export --to csv', or with --masks a table of
    links.

    OUT ends in .geff (GEFF), .xml (TrackMate), .csv (table for napari), .edges.csv, .laptrack.csv, .btrack.csv,
    .mastodon.csv, or RES (Cell Tracking Challenge); other names need --to. What OUT cannot hold is listed.
    """
    from gnntrack import converting

    watch = Stopwatch()
    with show_progress() as progress:
        done = converting.convert(
            source,
            out,
            to=to,
            source_format=source_format,
            masks=masks,
            settings=settings,
            overwrite=overwrite,
            progress=progress,
        )
    lost = [("not kept" if k == 0 else "", what) for k, what in enumerate(done.lost)]
    show_rows([*describe_lineage(done.lineage), *lost, *describe_cost(watch), ("written", f"{out} ({done.to})")])
