"""The command import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, show_progress
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.resume import resume_option
from gnntrack.cli.track import show_result

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["import_tracks"]


@click.command("import", cls=GroupedCommand)
@options.path_argument("source")
@options.out_option("Folder of the result: a mask per frame, res_track.txt, and tables.")
@click.option("--masks", type=click.Path(path_type=Path), help="Masks of the cells that SOURCE names or places.")
@click.option("--images", type=click.Path(path_type=Path), help="Images, for the intensities of the cells.")
@click.option(
    "--links",
    type=click.Path(path_type=Path),
    help="CSV of links: TrackMate's table of edges for its table of spots, or track and parent for masks.",
)
@options.settings_options(
    *options.FRAME_SETTINGS,
    "frames.channel",
    "frames.images_pattern",
    "frames.masks_channel",
    "frames.masks_pattern",
    "frames.background",
    "repair.fill_gaps",
    "repair.keep_masks",
    "repair.margin",
    "repair.min_track_length",
)
@options.overwrite_option
@resume_option()
@options.verbose_option
def import_tracks(
    source: Path,
    out: Path,
    masks: Path | None,
    images: Path | None,
    links: Path | None,
    settings: Settings,
    *,
    overwrite: bool,
) -> None:
    """Read tracks that another program made, and write them as 'gnntrack track' writes its own.

    SOURCE is one of: masks in which each cell has one label for the whole movie; a TrackMate file (.xml); TrackMate's
    table of spots (.csv); a table with the columns frame, label, track and, if cells divide, parent (.csv, with
    --masks); a result of the Cell Tracking Challenge; a GEFF.

    The result can be evaluated, exported, validated and looked at like any other.
    """
    from gnntrack import importing

    watch = Stopwatch()
    with show_progress() as progress:
        importing.import_tracks(
            source,
            masks=masks,
            images=images,
            links=links,
            out=out,
            settings=settings,
            overwrite=overwrite,
            progress=progress,
        )
    show_result(out, watch)
