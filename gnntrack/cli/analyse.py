"""The command analyse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, describe_cost, describe_units, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.resume import resume_option
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from gnntrack.settings import Settings

__all__ = ["analyse"]


@click.command(cls=GroupedCommand)
@options.path_argument("lineage")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder for tables and figures; by default none.")
@click.option("--without-drift", is_flag=True, help="Subtract the motion that all cells have in common.")
@click.option(
    "--grow-masks",
    type=click.IntRange(0, 50),
    default=1,
    show_default=True,
    help="Pixels by which masks grow before cells that touch are counted: with 1, at most 2 pixels of background are "
    "between them.",
)
@options.settings_options("frames.spacing", "frames.interval")
@options.overwrite_option
@resume_option()
@options.verbose_option
def analyse(
    lineage: Path, out: Path | None, grow_masks: int, settings: Settings, *, without_drift: bool, overwrite: bool
) -> None:
    """Measure the cells of LINEAGE: speed, diffusion, persistence, cell cycles, growth, neighbours.

    LINEAGE is a result folder, of 'gnntrack track' or of another program (masks and res_track.txt), a ground truth
    (01_GT), or a .geff of 'gnntrack solve'. docs/analysis.md defines every column.
    """
    from gnntrack import analysing

    watch = Stopwatch()
    analysis = analysing.analyse(
        lineage,
        out=out,
        spacing=settings.frames.spacing,
        interval=settings.frames.interval,
        without_drift=without_drift,
        grow_masks=grow_masks,
        overwrite=overwrite,
    )
    found = analysis.lineage
    show_rows(
        [
            ("frames", found.cells.n_frames),
            *describe_units(found.cells.spacing, found.cells.unit, found.provenance.interval),
            ("cells", len(found.cells)),
            ("tracks", len(found.tracks)),
            ("families", len(analysis.families)),
            *[(row["quantity"], _describe_quantity(row)) for row in analysis.movie.to_dict("records")],
            *(("note", note) for note in analysis.notes),
            *describe_cost(watch),
            *([] if out is None else [("written", out)]),
        ]
    )


def _describe_quantity(row: Mapping[Hashable, Any]) -> str:
    """Return a value with its unit, interval and number.

    >>> row = {"value": 1.25, "unit": "um_per_min", "low": 1.0, "high": 1.5, "n": 12, "of": "tracks"}
    >>> _describe_quantity(row), _describe_quantity(row | {"value": math.nan})
    ('1.25 um/min (95 %: 1 to 1.5), 12 tracks', 'not determined, 12 tracks')
    """
    number = f", {count_noun(row['n'], row['of'].removesuffix('s'), row['of'])}" if row["of"] else ""
    if math.isnan(row["value"]):
        return f"not determined{number}"
    unit = (
        " frames" if row["unit"] == "frame" else f" {row['unit'].replace('_per_', '/').replace('per_', '1/')}".rstrip()
    )
    low, high = (math.nan if math.isnan(row[end]) else float(f"{row[end]:.3g}") for end in ("low", "high"))
    upper = "or more" if math.isnan(high) else f"to {high:g}"
    interval = "" if math.isnan(low) else f" (95 %: {low:g} {upper})"
    return f"{row['value']:.3g}{unit}{interval}{number}"
