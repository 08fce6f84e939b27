"""The command demo: the whole path from images to a scored lineage, on a simulated movie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli.display import Stopwatch, format_bytes, show_progress, show_rows
from gnntrack.cli.options import verbose_option
from gnntrack.plurals import count_noun
from gnntrack.stage_times import measure_peak_memory

if TYPE_CHECKING:
    from gnntrack.types import Lineage, Progress

__all__ = ["demo"]

# small enough for half a minute
_MOVIE = {"simulate__frames": 40, "simulate__cells": 14, "simulate__clustering": 0.2}
_METRICS = ("TRA", "LNK", "SEG", "division_f1(1)", "CHOTA")


@click.command()
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default="gnntrack-demo",
    show_default=True,
    help="Folder of the demo; that of an earlier demo is replaced.",
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed gives the same movie."
)
@verbose_option
def demo(out: Path, seed: int) -> None:
    """Simulate a movie of dividing cells, segment it, track it, score the result and draw it."""
    from gnntrack.io.output import fresh_output
    from gnntrack.lineage.families import find_divisions

    watch = Stopwatch()
    with show_progress() as progress, fresh_output(out, overwrite=True) as folder:
        folder.mkdir()
        lineage, scores = _run_demo(folder, seed=seed, progress=progress)
        (folder / "scores.json").write_text(json.dumps(scores, indent=2), encoding="utf-8")
    shown = ", ".join(f"{name} {scores[name]:.3f}" for name in _METRICS if scores.get(name) is not None)
    show_rows(
        [
            ("simulated", f"{count_noun(lineage.cells.n_frames, 'frame')} with a known lineage, seed {seed}"),
            ("segmented", f"{count_noun(len(lineage.cells), 'cell')} by the segmenter 'unet'"),
            (
                "tracked",
                f"{count_noun(len(lineage.tracks), 'track')}, "
                f"{count_noun(len(find_divisions(lineage)), 'division')} by the method 'hungarian'",
            ),
            ("scores", shown),
            ("cost", f"{watch.seconds:.1f} s, {format_bytes(measure_peak_memory())} at most"),
            ("look at", f"{out / 'lineage.png'} (parents and daughters)"),
            ("", f"{out / 'overlay.png'} (a frame: outlines in the colours of the families, and past positions)"),
            ("", f"{out / '01_RES'} (what 'gnntrack track' writes: masks, res_track.txt, and tables in gnntrack/)"),
            ("next", "gnntrack track IMAGES MASKS -o OUT"),
        ]
    )


def _run_demo(folder: Path, *, seed: int, progress: Progress | None) -> tuple[Lineage, dict[str, float | None]]:
    from gnntrack import pipeline
    from gnntrack.io.frames import open_frames, open_masks
    from gnntrack.report import draw_lineage_tree, draw_overlay, save_figure
    from gnntrack.results import read_result
    from gnntrack.settings import Settings

    settings = Settings().replace(**_MOVIE)
    images, masks, result = folder / "movie" / "01", folder / "masks", folder / "01_RES"
    pipeline.simulate(folder / "movie", settings=settings, seed=seed, progress=progress)
    pipeline.segment(images, masks, segmenter="unet", progress=progress)
    pipeline.track(images, masks, out=result, progress=progress)
    scores = pipeline.evaluate(result, folder / "movie" / "01_GT")
    lineage, _ = read_result(result)
    frame = lineage.cells.n_frames * 2 // 3
    overlay = draw_overlay(open_frames(images)[frame], open_masks(result)[frame], lineage=lineage, frame=frame)
    save_figure(overlay, folder / "overlay.png")
    save_figure(draw_lineage_tree(lineage), folder / "lineage.png")
    return lineage, scores
