"""The command report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.display import Stopwatch, describe_cost, format_bytes, show_progress, show_rows
from gnntrack.cli.figure_options import figure_options
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.resume import resume_option

if TYPE_CHECKING:
    from gnntrack.cli.figure_options import FigureChoices
    from gnntrack.settings import Settings

__all__ = ["report"]


@click.command(cls=GroupedCommand)
@options.path_argument("result")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The page, such as report.html.")
@figure_options
@click.option("--images", type=click.Path(path_type=Path), help="The images; default: those of RESULT.")
@click.option("--masks", type=click.Path(path_type=Path), help="The masks that a .geff was made from.")
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="Ground truth (01_GT): the page shows the metrics and every mistake.",
)
@options.settings_options(*options.IMAGE_SETTINGS)
@options.overwrite_option
@resume_option()
@options.verbose_option
def report(result: Path, out: Path | None, figures: FigureChoices, truth: Path | None, **choices: Any) -> None:
    """Write RESULT as one HTML page: movie, lineage tree, plots, review list, and corrections; or as figures.

    The page is a file of its own that needs no network. RESULT is the folder of a result or of a ground truth, or a
    .geff. Corrections made in the page are downloaded as edits.json, which 'gnntrack apply-edits' applies. --video,
    --montage, --tree and --kymograph write figures, with the page or without it.
    """
    from gnntrack import figures as recipes
    from gnntrack import reporting

    if out is None and not figures.paths:
        message = "nothing to write; give a page (-o report.html), --video, --montage, --tree or --kymograph"
        raise click.UsageError(message)
    recipes.check_figures(**figures.paths, overwrite=choices["overwrite"])
    watch, written = Stopwatch(), []
    with show_progress() as progress:
        if out is not None:
            written.append(reporting.write_report(result, out, truth=truth, progress=progress, **choices))
        for name, path in figures.paths.items():
            written.append(_write_figure(name, result, path, figures.styles[name], choices, progress))
    pages = [(page, f"{page} ({format_bytes(page.stat().st_size)})") for page in written]
    notes = [f"{text}; open it in a browser" if page == out else text for page, text in pages]
    show_rows([*describe_cost(watch), *(("written", note) for note in notes)])


def _write_figure(
    name: str, result: Path, out: Path, style: dict[str, Any], choices: dict[str, Any], progress: Any
) -> Path:
    """Write a figure with those choices of the command that it takes."""
    from gnntrack import figures as recipes

    settings: Settings = choices["settings"]
    overwrite: bool = choices["overwrite"]
    if name == "tree":
        return recipes.write_tree(result, out, settings=settings, overwrite=overwrite, **style)
    shared = {"images": choices["images"], "settings": settings, "overwrite": overwrite}
    if name == "kymograph":
        return recipes.write_kymograph(result, out, progress=progress, **shared, **style)
    shared["masks"] = choices["masks"]
    if name == "montage":
        return recipes.write_montage(result, out, **shared, **style)
    return recipes.write_video(result, out, progress=progress, **shared, **style)
