"""The command simulate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, describe_cost, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.resume import resume_option
from gnntrack.settings import EmbryoSettings
from gnntrack.simulation_settings import MOVIE_KINDS

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["simulate"]


def _choose_section(given: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of options by their keys: those of the kind of movie that is made."""
    embryo = others["kind"] == "embryo"
    own = [key for key in given if embryo or not key.startswith("embryo.")]
    own = [key for key in own if not embryo or key.partition(".")[2] in EmbryoSettings.fields]
    wrong = [key.partition(".")[2].replace("_", "-") for key in given if key not in own]
    if not embryo:
        wrong += [name for name in ("movies", "sparse") if others[name] is not None]
    if wrong:
        message = f"--{wrong[0]} is an option of --kind {'cells' if embryo else 'embryo'}; omit it, or give that kind"
        raise click.UsageError(message)
    return {(f"embryo.{key.partition('.')[2]}" if embryo else key): given[key] for key in own}


@click.command(cls=GroupedCommand)
@options.out_option("Folder of the movie, in the layout of the Cell Tracking Challenge; of embryos, of all movies.")
@click.option(
    "--kind",
    type=click.Choice([*MOVIE_KINDS, "embryo"]),
    default="cells",
    show_default=True,
    help=" ".join(f"{name}: {about}." for name, about in MOVIE_KINDS.items())
    + " embryo: nuclei in a light-sheet microscope, as points.",
)
@click.option("--movies", type=click.IntRange(min=1), help="Number of movies, each with the next seed.  [default: 1]")
@click.option(
    "--sparse", type=float, metavar="FRACTION", help="Fraction of the nuclei in the ground truth.  [default: all]"
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed gives the same movie."
)
@options.settings_options(*options.SIMULATE_SETTINGS, *options.EMBRYO_SETTINGS, sort=_choose_section)
@options.overwrite_option
@resume_option()
@options.verbose_option
def simulate(
    out: Path, kind: str, movies: int | None, sparse: float | None, seed: int, settings: Settings, *, overwrite: bool
) -> None:
    """Make a movie with a known lineage: images, masks and ground truth.

    Kinds other than cells draw all settings that are not given at random, from the seed.

    With --kind embryo, a folder with NAME.zarr (volumes), NAME.geff (ground truth) and NAME_points.csv (detections) for
    each movie, in the layout of the embryo competition of 2026.
    """
    common: dict[str, Any] = {"settings": settings, "seed": seed, "overwrite": overwrite}
    if kind == "embryo":
        _make_embryos(out, movies=movies or 1, sparse=sparse, **common)
    else:
        _make_movie(out, kind=kind, **common)


def _make_movie(out: Path, **common: Any) -> None:
    from gnntrack import pipeline
    from gnntrack.lineage.families import find_divisions

    watch = Stopwatch()
    with show_progress() as progress:
        movie = pipeline.simulate(out, progress=progress, **common)
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


def _make_embryos(out: Path, *, settings: Settings, **choices: Any) -> None:
    from gnntrack.embryos import simulate_embryos

    watch = Stopwatch()
    with show_progress() as progress:
        made = simulate_embryos(out, settings=settings, progress=progress, **choices)
    files = "NAME.zarr volumes, " if settings.embryo.images else ""
    show_rows(
        [
            ("movies", f"{len(made)}, {made[0].name}" + (f" to {made[-1].name}" if len(made) > 1 else "")),
            ("frames", settings.embryo.frames),
            ("detections", sum(each.points for each in made)),
            ("nuclei", f"{sum(each.nuclei for each in made)} in the ground truth"),
            ("divisions", sum(each.divisions for each in made)),
            *describe_cost(watch),
            ("written", f"{out} ({files}NAME.geff ground truth, NAME_points.csv detections)"),
        ]
    )
