"""info and simulate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.display import Stopwatch, format_bytes, measure_peak_memory, show_progress, show_rows
from gnntrack.cli.options import (
    MASK_SETTINGS,
    SIMULATE_SETTINGS,
    input_path,
    json_option,
    out_option,
    overwrite_option,
    settings_options,
    verbose_option,
)

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["info", "simulate"]


@click.command()
@input_path("path")
@click.option("--masks", "as_masks", is_flag=True, default=None, help="Take it for masks, whatever it looks like.")
@settings_options(*MASK_SETTINGS)
@json_option
@verbose_option
def info(path: Path, settings: Settings, *, as_masks: bool | None, as_json: bool) -> None:
    """Tell what PATH is: frames, size, voxel, cells, what is wrong, and what tracking it will take.

    Every frame is read. Masks are told from images by their looks.
    """
    from gnntrack.inspection import inspect_movie

    with show_progress() as progress:
        found = inspect_movie(path, settings=settings, as_masks=as_masks, progress=progress)
    if as_json:
        click.echo(json.dumps({"path": str(path), **found}, indent=2))
        return
    show_rows(_info_rows(found))
    for problem in found["problems"]:
        click.echo(f"problem: {problem}")
    if not found["problems"]:
        click.echo("no problems found")


@click.command()
@out_option("Folder of the movie, in the layout of the Cell Tracking Challenge.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed, the same movie.")
@settings_options(*SIMULATE_SETTINGS)
@overwrite_option
@verbose_option
def simulate(out: Path, seed: int, settings: Settings, *, overwrite: bool) -> None:
    """Make a movie with a known lineage: images, masks and truth."""
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
            ("time", f"{watch.seconds:.1f} s"),
            ("memory", f"{format_bytes(measure_peak_memory())} at most"),
            ("written", f"{out} (01 images, 01_ERR_SEG masks to track, 01_GT truth)"),
        ]
    )


def _info_rows(found: dict[str, Any]) -> list[tuple[str, object]]:
    size = " x ".join(map(str, found["shape"]))
    voxel = " x ".join(f"{s:g}" for s in found["spacing"])
    rows: list[tuple[str, object]] = [
        ("kind", found["kind"]),
        ("frames", found["frames"]),
        ("size", f"{size} pixels ({'y, x' if len(found['shape']) == 2 else 'z, y, x'})"),
        ("voxel", f"{voxel} um" if found["unit"] == "um" else "not told; give --spacing for results in um"),
        ("type", f"{found['dtype']}, values {found['lowest']:g} to {found['highest']:g}"),
    ]
    if found["kind"] == "masks":
        low, middle, high = found["cells_per_frame"]
        rows += [
            ("cells", f"{found['cells']}; {low} to {high} a frame, half of the frames have at most {middle:g}"),
            ("diameter", f"{found['diameter']:.3g} {found['unit']} (median)"),
        ]
    if found["time"] is None:
        return [*rows, ("tracking", "time and memory depend on the cells; segment the images, then ask for the masks")]
    return [*rows, ("tracking", f"about {found['time']:.0f} s and {format_bytes(found['memory'])} on this machine")]
