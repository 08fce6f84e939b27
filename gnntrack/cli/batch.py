"""The command batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.deterministic import deterministic_option
from gnntrack.cli.display import Stopwatch, describe_units, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.lineages import read_summary, refuse_unused
from gnntrack.cli.track import TRACK_SETTINGS
from gnntrack.durations import parse_duration
from gnntrack.errors import InputError
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.batch import Outcome, Position
    from gnntrack.settings import Settings

__all__ = ["batch"]


def _read_time(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of a time with a unit."""
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        message = f"'{value}': {error}"
        raise click.BadParameter(message) from error


@click.command(cls=GroupedCommand)
@options.path_argument("folder")
@options.out_option("Folder of the results: OUT/NAME_RES for each position, and the table OUT/summary.csv.")
@click.option("--images", metavar="PATTERN", help="Images below FOLDER, {} = name of the position: '{}/phase'.")
@click.option("--masks", metavar="PATTERN", help="Masks below FOLDER, {} = name of the position: '{}_labels.tif'.")
@click.option("--points", metavar="PATTERN", help="Points below FOLDER, {} = name of the position: '{}_points.csv'.")
@options.points_unit_option
@click.option("--resume", is_flag=True, help="Keep the positions that an earlier run has finished.")
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Positions tracked at the same time."
)
@click.option(
    "--time-budget",
    metavar="TIME",
    callback=_read_time,
    help="Time for all positions, such as 12h. One that does not fit, or fails, gets a faster or a smaller result.",
)
@options.detector_option()
@options.segmenter_options
@options.method_options
@deterministic_option
@options.settings_options(*(key for key in TRACK_SETTINGS if key != "output.extras"))
@options.overwrite_option
@options.verbose_option
def batch(
    folder: Path,
    out: Path,
    images: str | None,
    masks: str | None,
    points: str | None,
    segmenter: str | None,
    segmenter_options: dict[str, Any],
    settings: Settings,
    **choices: Any,
) -> None:
    """Track all positions in FOLDER as 'gnntrack track' does, and write one table of the results.

    Recognised layouts: a folder per position with images/ and masks/; 01, 02 with 01_ERR_SEG or 01_ST/SEG; a file per
    position, such as pos1.tif with pos1_masks.tif, or pos1.zarr with pos1_points.csv; a file per frame, such as
    pos1_t000.tif. Images with --detector NAME are tracked as points.

    A position that fails does not stop the others; the exit code is then 1. With --time-budget it gets a fall-back.
    """
    from gnntrack.batch import describe_fallbacks, find_positions, track_positions

    refuse_unused(choices["method"])
    _refuse_one_position(settings)
    positions = find_positions(folder, images=images, masks=masks, points=points)
    if choices["detector"] is None:
        del choices["detector"]
    else:
        segmenter_options = _give_to_detector(choices, segmenter, segmenter_options)
    for position in positions:
        click.echo(_describe_position(position, choices.get("detector")), err=True)
    _check_unit(choices, positions)
    choices |= options.select_segmenter(segmenter, segmenter_options)
    watch = Stopwatch()
    outcomes = track_positions(positions, out, settings=settings, report=_show_outcome, **choices)
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    empty = sum(outcome.status == "empty" for outcome in outcomes)
    show_rows(
        [
            ("positions", f"{len(outcomes)}, {len(failed)} failed" + (f", {empty} empty" if empty else "")),
            *_describe_size(outcomes),
            *[("fall-back", line) for line in [describe_fallbacks(outcomes)] if line],
            ("time", f"{watch.seconds:.1f} s"),
            ("written", f"{out / 'summary.csv'} (a row per position), and a result folder per position"),
        ]
    )
    if failed:
        click.get_current_context().exit(1)


def _describe_size(outcomes: Sequence[Outcome]) -> list[tuple[str, object]]:
    """Return a row about tables of points for which no size of a voxel is known, none if there is no such table."""
    from gnntrack.io.result_folders import EXTRAS

    tables = [each for each in outcomes if each.points and each.result and each.status in ("done", "kept")]
    movies = [read_summary(Path(each.result) / EXTRAS)["movie"] for each in tables]
    unknown = [movie for movie in movies if movie["unit"] == "pixel"]
    if not unknown:
        return []
    deepest = max((movie["spacing"] for movie in unknown), key=len)
    size = str(describe_units(deepest, "pixel", None)[0][1])
    return [("pixel", size if len(unknown) == len(tables) else f"{len(unknown)} of {len(tables)} tables: {size}")]


def _check_unit(choices: dict[str, Any], positions: Sequence[Position]) -> None:
    """Refuse a unit of points if no position has a table of points; remove it if it is not given."""
    from gnntrack.batch.ways import uses_points

    if choices["points_unit"] is None:
        del choices["points_unit"]
    elif not any(uses_points(choices, position) for position in positions):
        message = "--points-unit belongs to tables of points, and no position is tracked from one; omit it"
        raise click.UsageError(message)


def _give_to_detector(choices: dict[str, Any], segmenter: str | None, given: dict[str, Any]) -> dict[str, Any]:
    """Move the options of a plug-in to the detector; return those that are left for a segmenter."""
    if segmenter is not None:
        message = "--detector finds points and --segmenter makes masks; omit one of the two"
        raise click.UsageError(message)
    if given:
        choices["detector_options"] = given
    return {}


def _describe_position(position: Position, detector: str | None) -> str:
    """Return what a position has: images and masks, or images and points."""
    others = f"masks {position.mask_place or 'none'}"
    if position.images is not None and position.mask_place is None and detector is not None:
        others = f"points found by {detector}"
    elif position.points is not None:
        others = f"points {position.points}"
    return f"{position.name}: images {position.images or 'none'}, {others}"


def _refuse_one_position(settings: Settings) -> None:
    """Raise if a single position is chosen, as for `gnntrack track`."""
    frames = settings.frames
    patterns = {"--images": frames.images_pattern or "", "--masks": frames.masks_pattern or ""}
    chosen = [f"{option} '{each.replace('{p}', '{}')}'" for option, each in patterns.items() if "{p}" in each]
    if chosen or frames.position is not None:
        words = " ".join(chosen) or "--images '{}/phase' --masks '{}/labels'"
        msg = (
            f"batch tracks all positions, and --position and {{p}} choose one: give {words}, with {{}} for each of them"
        )
        raise InputError(msg)


def _show_outcome(outcome: Outcome) -> None:
    if outcome.status == "failed":
        click.echo(f"{outcome.position}: failed: {outcome.error}")
        return
    found = {"frame": outcome.frames, "cell": outcome.cells, "track": outcome.tracks, "division": outcome.divisions}
    counts = ", ".join(count_noun(number or 0, noun) for noun, number in found.items())
    kept = " (kept)" if outcome.status == "kept" else f", {outcome.seconds:.1f} s"
    told = f"; fall-back: {outcome.fallback} ({outcome.error})" if outcome.fallback else ""
    click.echo(f"{outcome.position}: {counts}{kept}{told}")
