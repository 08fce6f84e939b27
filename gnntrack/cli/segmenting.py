"""segment and segmenters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.display import Stopwatch, format_bytes, measure_peak_memory, show_progress, show_rows
from gnntrack.cli.options import (
    FRAME_SETTINGS,
    input_path,
    out_option,
    overwrite_option,
    segmenter_option,
    settings_options,
    verbose_option,
)

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["segment", "segmenters"]


@click.command()
@input_path("images")
@out_option("Folder of the masks.")
@click.option("--segmenter", metavar="NAME", default="threshold", show_default=True, help="See 'gnntrack segmenters'.")
@click.option("--model", metavar="PATH", help="Model of the segmenter: the folder that 'train-segmenter' wrote.")
@click.option("--device", metavar="NAME", help="Where its network computes: auto, cpu, cuda or mps.  [default: auto]")
@segmenter_option
@click.option(
    "--resume", is_flag=True, help="Keep the masks if interrupted, and go on with those of an interrupted run."
)
@settings_options(*FRAME_SETTINGS)
@overwrite_option
@verbose_option
def segment(
    images: Path,
    out: Path,
    segmenter: str,
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

    given = {key: value for key, value in (("model", model), ("device", device)) if value is not None}
    watch = Stopwatch()
    with show_progress() as progress:
        cells = pipeline.segment(
            images,
            out,
            segmenter=segmenter,
            options={**segmenter_options, **given},
            settings=settings,
            overwrite=overwrite,
            resume=resume,
            progress=progress,
        )
    rows: list[tuple[str, object]] = [("cells", cells), ("time", f"{watch.seconds:.1f} s")]
    show_rows([*rows, ("memory", f"{format_bytes(measure_peak_memory())} at most"), ("written", out)])


@click.command()
@verbose_option
def segmenters() -> None:
    """List the segmenters that are installed."""
    from gnntrack.segmentation.registry import available_segmenters

    rows = []
    for name, known in available_segmenters().items():
        pip = f": {known.install}" if known.install else ""
        missing = f"; needs {', '.join(known.missing)}, not installed{pip}" if known.missing else ""
        rows.append((name, f"{known.description or 'no description'} ({known.distribution}{missing})"))
    show_rows(rows)
