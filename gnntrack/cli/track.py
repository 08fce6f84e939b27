"""The command track."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.cluster_options import cluster_options
from gnntrack.cli.deterministic import deterministic_option
from gnntrack.cli.display import Stopwatch, describe_cost, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.lineages import (
    describe_lineage,
    describe_points,
    describe_repairs,
    describe_result,
    list_checks,
    read_summary,
    refuse_mask_options,
    refuse_unused,
)
from gnntrack.cli.resume import resume_option

if TYPE_CHECKING:
    from gnntrack.cluster.execution import Execution
    from gnntrack.settings import Settings
    from gnntrack.types import Lineage

__all__ = ["TRACK_SETTINGS", "track"]


TRACK_SETTINGS = (
    *options.MOVIE_SETTINGS,
    *options.GRAPH_SETTINGS,
    "solver.goal",
    "solver.divisions",
    "solver.time_limit",
    "repair.fill_gaps",
    "repair.keep_masks",
    "repair.margin",
    "repair.min_track_length",
    "repair.debris_size",
    "repair.drop_spurious",
    "repair.fill_empty_frames",
    *options.POINT_SETTINGS,
    "output.pictures",
    "output.extras",
    *options.GNN_SETTINGS,
)


@click.command(cls=GroupedCommand)
@options.source_options
@options.out_option(
    "Folder of the result: a mask per frame, res_track.txt, and tables and pictures in OUT/gnntrack; needed unless "
    "there is an --output-edge-table. For points also a .geff, .csv or .xml.",
    "--output-ctc",
    other="edge_table",
)
@click.option(
    "--output-edge-table",
    "edge_table",
    type=click.Path(path_type=Path),
    help="CSV file of the links between the labels of MASKS, as Trackastra writes it.",
)
@options.point_options
@options.detector_option()
@options.segmenter_options
@options.method_options
@deterministic_option
@options.settings_options(*TRACK_SETTINGS)
@options.overwrite_option
@resume_option(
    "Keep OUT if it is finished and made by the same command from the same inputs; else continue unfinished work.",
    continues=True,
)
@cluster_options
@options.verbose_option
def track(
    images: Path | None,
    masks: Path | None,
    only_images: Path | None,
    only_masks: Path | None,
    out: Path | None,
    edge_table: Path | None,
    segmenter: str | None,
    segmenter_options: dict[str, Any],
    settings: Settings,
    **choices: Any,
) -> None:
    """Track a movie: IMAGES and MASKS, IMAGES alone (they are segmented), --masks MASKS alone, or --points POINTS.

    IMAGES with --detector NAME are tracked as points, without masks; --diameter and --option are then of the detector.

    IMAGES and MASKS are each a folder (TIFF, PNG, ...; t2 comes before t10), one file (TIFF, OME-Zarr, .npy, ...), or a
    pattern in quotes, such as "FOLDER/*_cp_masks.png". A folder that holds both is given once. docs/inputs.md has more.
    """
    from gnntrack import pipeline
    from gnntrack.cluster.execution import is_divided
    from gnntrack.io.output import try_output

    points = options.take_points(choices)
    if choices["detector"] is None:
        del choices["detector"]
    else:
        points = _take_detector(choices, points, segmenter, segmenter_options)
        segmenter_options = {}
    if points:
        refuse_mask_options()
        images, masks = options.find_images(images=images, masks=masks, only_images=only_images, only_masks=only_masks)
    else:
        images, masks = options.resolve_sources(
            images=images, masks=masks, only_images=only_images, only_masks=only_masks
        )
    given = bool(points) or masks is not None or settings.frames.masks_channel is not None
    if given and (segmenter is not None or segmenter_options):
        message = (
            f"--segmenter, --kind, --diameter and --option make masks from images, and "
            f"{'points' if points else 'masks'} are given; omit them, or the {'points' if points else 'masks'}"
        )
        raise click.UsageError(message)
    refuse_unused(choices["method"])
    if edge_table is not None:
        try_output(edge_table, overwrite=choices["overwrite"])
    watch = Stopwatch()
    choices |= options.select_segmenter(segmenter, segmenter_options) | points
    execution = choices.pop("execution")
    if is_divided(out, execution):
        _track_divided(images, masks, out, execution, settings=settings, edge_table=edge_table, **choices)
        return
    with show_progress() as progress:
        lineage = pipeline.track(images, masks, out=out, settings=settings, progress=progress, **choices)
    if edge_table is not None:
        pipeline.export(lineage, edge_table, to="edges", overwrite=choices["overwrite"])
    if out is None:
        show_rows([*describe_lineage(lineage), *describe_cost(watch), ("written", edge_table)])
    elif points:
        show_point_result(out, lineage, watch, edge_table)
    else:
        show_result(out, watch, edge_table)


def _track_divided(
    images: Path | None,
    masks: Path | None,
    out: Path | None,
    execution: Execution,
    *,
    edge_table: Path | None,
    **choices: Any,
) -> None:
    """Track a movie whose work is divided, and print the summary of its result, or what is left to do."""
    from gnntrack import loading, pipeline
    from gnntrack.cluster.execution import find_work_folder
    from gnntrack.dividing import track_divided
    from gnntrack.io.result_folders import EXTRAS

    watch = Stopwatch()
    if out is None:
        message = "work is divided for a result, and there is none; give -o OUT"
        raise click.UsageError(message)
    with show_progress() as progress:
        finished = track_divided(images, masks, out=out, execution=execution, progress=progress, **choices)
    if execution.shard is not None:
        work = find_work_folder(out, execution)
        rest = f"gnntrack join {shlex.quote(str(work))}"
        left = f"all tasks are finished; {rest} writes {out}" if finished else f"other shards, then: {rest}"
        show_rows([*describe_cost(watch), ("work", work), ("left", left)])
        return
    if edge_table is not None:
        pipeline.export(loading.load(out), edge_table, to="edges", overwrite=choices["overwrite"])
    if "points" in choices and not (out / EXTRAS).is_dir():
        show_rows([*describe_cost(watch), ("written", out)])
    elif "points" in choices:
        show_point_result(out, loading.load(out), watch, edge_table)
    else:
        show_result(out, watch, edge_table)


def _take_detector(
    choices: dict[str, Any], points: dict[str, Any], segmenter: str | None, detector_options: dict[str, Any]
) -> dict[str, Any]:
    """Return the detector and its options as keywords of the recipe."""
    other = "--points" if points else "--segmenter" if segmenter is not None else ""
    if other:
        message = f"--detector finds points in IMAGES, and {other} is given too; omit one of the two"
        raise click.UsageError(message)
    return {"detector": choices.pop("detector"), "detector_options": detector_options}


def show_point_result(out: Path, lineage: Lineage, watch: Stopwatch, edge_table: Path | None = None) -> None:
    """Print the summary of a result of points that was written, perhaps with a table of its links."""
    from gnntrack.io.result_folders import EXTRAS

    extras = out / EXTRAS
    folder = extras.is_dir()
    names = "points.csv, cells.csv, tracks.csv, review.csv, lineage.geff"
    rows: list[tuple[str, object]] = [*describe_points(lineage), *describe_cost(watch)]
    rows += [("links", edge_table)] * (edge_table is not None)
    rows.append(("written", f"{extras}: {names} and more" if folder else out))
    if folder or out.suffix.lower() == ".geff":
        rows.append(("view", f"gnntrack report {shlex.quote(str(out))} -o report.html"))
    if folder:
        export = f"gnntrack export {shlex.quote(str(out))} --to ctc --radius RADIUS -o 01_RES"
        rows.append(("masks", f"{export} draws a ball for each point"))
    show_rows([*rows, *(list_checks(extras) if folder else [])])


def show_result(out: Path, watch: Stopwatch, edge_table: Path | None = None) -> None:
    """Print the summary of a result that was written, perhaps with a table of its links."""
    from gnntrack.io.result_folders import EXTRAS

    extras = out / EXTRAS
    if not extras.is_dir():
        written = [("written", f"{out}: masks and res_track.txt, and no tables (--no-extras)")]
        show_rows([*describe_cost(watch), *written, *[("links", edge_table)] * (edge_table is not None)])
        return
    summary = read_summary(extras)
    rows = [*describe_result(summary), *describe_repairs(summary, extras), *describe_cost(watch)]
    rows += [
        ("written", f"{out}: masks and res_track.txt; {extras}: cells.csv, tracks.csv, review.csv and more"),
        ("view", f"gnntrack report {shlex.quote(str(out))} -o report.html"),
        ("", f"or drop {out} on napari (plugin gnntrack; pip install 'gnntrack[napari]')"),
    ]
    if edge_table is not None:
        rows.insert(-2, ("links", edge_table))
    if (extras / "overlay.png").exists():
        rows.append(("", f"or open {extras / 'overlay.png'} and lineage.png"))
    show_rows([*rows, *list_checks(extras)])
