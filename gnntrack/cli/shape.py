"""The command shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, describe_cost, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.resume import resume_option
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.settings import Settings

__all__ = ["shape"]


@click.command(cls=GroupedCommand)
@options.path_argument("masks")
@options.out_option("Folder of the result: cells.csv, and meshes/FRAME_LABEL.ply.")
@click.option(
    "--cells",
    "cell_table",
    type=click.Path(path_type=Path),
    help="A table of cells of 'gnntrack export --to csv': the shapes are appended to its columns.",
)
@click.option(
    "--meshes",
    type=click.Choice(["none", "ply", "obj"]),
    help="Write the surface of every cell of a 3D movie.  [default: ply in 3D, none in 2D]",
)
@options.settings_options(*options.MASK_SETTINGS)
@options.overwrite_option
@resume_option()
@options.verbose_option
def shape(
    masks: Path,
    out: Path,
    cell_table: Path | None,
    meshes: str | None,
    settings: Settings,
    *,
    overwrite: bool,
) -> None:
    """Measure the shapes of the cells of MASKS: surface, volume, roundness, branches.

    MASKS are a folder (such as a result of 'gnntrack track'), a file, or a pattern in quotes, 2D or 3D.
    docs/shape.md explains each column.
    """
    from gnntrack.morphometry import write_shapes

    watch = Stopwatch()
    with show_progress() as progress:
        table = write_shapes(
            masks,
            out,
            cell_table=cell_table,
            meshes=meshes,
            settings=settings,
            overwrite=overwrite,
            progress=progress,
        )
    rows: list[tuple[str, object]] = [("frames", table["frame"].nunique()), *_describe_shapes(table)]
    count = len(list((out / "meshes").iterdir())) if (out / "meshes").is_dir() else 0
    drawn = f", {count_noun(count, 'mesh', 'meshes')}" if count else ""
    show_rows(
        [
            *rows,
            *describe_cost(watch),
            ("written", f"{out} (cells.csv{drawn})"),
        ]
    )


def _describe_shapes(table: pd.DataFrame) -> list[tuple[str, object]]:
    """Return the rows of a summary for the number of cells and the medians of their shapes."""
    measured = table[table["solidity"].notna()]
    rows: list[tuple[str, object]] = [("cells", len(measured))]
    if len(measured) < len(table):
        rows.append(
            ("without mask", f"{count_noun(len(table) - len(measured), 'cell')} of the table, with empty shapes")
        )
    for name in measured.columns:
        plain, _, unit = name.rpartition("_")
        if plain in {"volume", "area", "surface", "perimeter"}:
            rows.append((plain, f"{measured[name].median():.3g} {unit} (median)"))
        elif name in {"sphericity", "circularity", "ramification"}:
            rows.append((name, f"{measured[name].median():.3g} (median)"))
    branched = int((measured["junctions"] > 0).sum())
    return [
        *rows,
        (
            "branched",
            f"{count_noun(branched, 'cell')}, with "
            f"{count_noun(measured['branches'].max(), 'branch', 'branches')} at most",
        ),
    ]
