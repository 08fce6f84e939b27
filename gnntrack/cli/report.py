"""The command report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, describe_cost, format_bytes, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["report"]


@click.command(cls=GroupedCommand)
@options.path_argument("result")
@options.out_option("The page, such as report.html.")
@click.option("--images", type=click.Path(path_type=Path), help="The images; default: those of RESULT.")
@click.option("--masks", type=click.Path(path_type=Path), help="The masks that a .geff was made from.")
@click.option("--truth", type=click.Path(path_type=Path), help="Ground truth (01_GT): the page shows the metrics.")
@options.settings_options(*options.IMAGE_SETTINGS)
@options.overwrite_option
@options.verbose_option
def report(
    result: Path,
    out: Path,
    images: Path | None,
    masks: Path | None,
    truth: Path | None,
    settings: Settings,
    *,
    overwrite: bool,
) -> None:
    """Write RESULT as one HTML page: movie, lineage tree, plots, review list, and corrections.

    The page is a file of its own that needs no network. RESULT is the folder of a result or of a ground truth, or a
    .geff. Corrections made in the page are downloaded as edits.json, which 'gnntrack apply-edits' applies.
    """
    from gnntrack import reporting

    watch = Stopwatch()
    with show_progress() as progress:
        page = reporting.write_report(
            result,
            out,
            images=images,
            masks=masks,
            truth=truth,
            settings=settings,
            overwrite=overwrite,
            progress=progress,
        )
    size = format_bytes(page.stat().st_size)
    show_rows([*describe_cost(watch), ("written", f"{page} ({size}); open it in a browser")])
