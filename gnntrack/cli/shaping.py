"""shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli.display import Stopwatch, format_bytes, measure_peak_memory, show_progress, show_rows
from gnntrack.cli.options import (
    MASK_SETTINGS,
    input_path,
    out_option,
    overwrite_option,
    settings_options,
    verbose_option,
)

if TYPE_CHECKING:
    import pandas as pd

    from gnntrack.settings import Settings

__all__ = ["shape"]


@click.command()
@input_path("masks")
@out_option("Folder of the result: cells.csv, and meshes/FRAME_LABEL.ply.")
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
@settings_options(*MASK_SETTINGS)
@overwrite_option
@verbose_option
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

    MASKS are a folder of TIFFs (such as a result of 'gnntrack track'), a multi-page or OME-TIFF, a .npy file or an
    OME-Zarr, 2D or 3D. docs/shape.md tells what each column means.
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
    rows: list[tuple[str, object]] = [("frames", table["frame"].nunique()), *_shape_rows(table)]
    rows += [("time", f"{watch.seconds:.1f} s"), ("memory", f"{format_bytes(measure_peak_memory())} at most")]
    count = len(list((out / "meshes").iterdir())) if (out / "meshes").is_dir() else 0
    show_rows([*rows, ("written", f"{out} (cells.csv{f', {count} meshes' if count else ''})")])


def _shape_rows(table: pd.DataFrame) -> list[tuple[str, object]]:
    """Return how many cells there are, and what half of them are at most."""
    measured = table[table["solidity"].notna()]
    rows: list[tuple[str, object]] = [("cells", len(measured))]
    if len(measured) < len(table):
        rows.append(("without mask", f"{len(table) - len(measured)} cells of the table; their shapes are empty"))
    for name in measured.columns:
        plain, _, unit = name.rpartition("_")
        if plain in {"volume", "area", "surface", "perimeter"}:
            rows.append((plain, f"{measured[name].median():.3g} {unit} (median)"))
        elif name in {"sphericity", "circularity", "ramification"}:
            rows.append((name, f"{measured[name].median():.3g} (median)"))
    branched = int((measured["junctions"] > 0).sum())
    return [*rows, ("branched", f"{branched} cells, with {measured['branches'].max()} branches at most")]
