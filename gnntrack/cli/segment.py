"""The commands segment and segmenters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.deterministic import deterministic_option
from gnntrack.cli.display import Stopwatch, describe_cost, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.lineages import describe_estimates, read_summary
from gnntrack.cli.resume import resume_option
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["segment", "segmenters"]


@click.command(cls=GroupedCommand)
@options.path_argument("images")
@options.out_option("Folder of the masks.")
@options.segmenter_options
@click.option("--model", metavar="PATH", help="Model of the segmenter: the folder that 'train-segmenter' wrote.")
@click.option("--device", metavar="NAME", help="Device of the network: auto, cpu, cuda or mps.  [default: auto]")
@deterministic_option
@options.settings_options(*options.IMAGE_SETTINGS, "output.pictures")
@options.overwrite_option
@resume_option("Keep the masks if interrupted, continue an interrupted run, and keep a finished one.", continues=True)
@options.verbose_option
def segment(
    images: Path,
    out: Path,
    segmenter: str | None,
    model: str | None,
    device: str | None,
    segmenter_options: dict[str, Any],
    settings: Settings,
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    """Segment IMAGES into a folder of masks, one TIFF per frame."""
    from gnntrack import pipeline
    from gnntrack.io.result_folders import EXTRAS

    given = {key: value for key, value in (("model", model), ("device", device)) if value is not None}
    chosen = options.select_segmenter(segmenter, segmenter_options | given)
    watch = Stopwatch()
    with show_progress() as progress:
        cells = pipeline.segment(
            images,
            out,
            options=chosen.pop("segmenter_options"),
            settings=settings,
            overwrite=overwrite,
            resume=resume,
            progress=progress,
            **chosen,
        )
    summary = read_summary(out / EXTRAS)
    count = f"{cells} in {count_noun(summary['movie']['frames'], 'frame')}"
    rows = [("cells", count), *describe_estimates(summary["estimates"]), *describe_cost(watch), ("written", out)]
    picture = out / EXTRAS / "overlay.png"
    show_rows([*rows, ("view", f"open {picture}")] if picture.is_file() else rows)


@click.command(cls=GroupedCommand)
@options.verbose_option
def segmenters() -> None:
    """List the segmenters that are installed."""
    from gnntrack.segmentation import available_segmenters

    rows = []
    for name, known in available_segmenters().items():
        pip = f": {known.install}" if known.install else ""
        missing = f"; needs {', '.join(known.missing)}, not installed{pip}" if known.missing else ""
        rows.append((name, f"{known.description or 'no description'} ({known.distribution}{missing})"))
    show_rows(rows)
