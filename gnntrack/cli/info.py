"""The command info."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.display import describe_units, format_bytes, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.lineages import describe_point_gaps, list_checks
from gnntrack.plurals import choose_form

if TYPE_CHECKING:
    from gnntrack.settings import Settings

__all__ = ["info"]


@click.command(cls=GroupedCommand)
@options.path_argument("path")
@click.option("--masks", "as_masks", is_flag=True, default=None, help="Read PATH as masks, whatever its values.")
@options.settings_options(*options.MOVIE_SETTINGS)
@options.json_option
@options.verbose_option
def info(path: Path, settings: Settings, *, as_masks: bool | None, as_json: bool) -> None:
    """Describe PATH: frames, size, units, channels, cells, problems, and the time, memory and disk space to track it.

    Every frame is read. Masks are recognised by their values. PATH may also be a table of points, a .geff, or a
    TrackMate .xml; of a result and a .geff, tracks and divisions are counted.
    """
    from gnntrack.inspection import inspect_movie
    from gnntrack.point_inspection import holds_points, inspect_points

    if not as_masks and path.exists() and holds_points(path):
        found = inspect_points(path, settings=settings)
    else:
        with show_progress() as progress:
            found = inspect_movie(path, settings=settings, as_masks=as_masks, progress=progress)
    if as_json:
        click.echo(json.dumps({"path": str(path), **found}, indent=2))
        return
    show_rows(_describe_points(found, path) if found["kind"] == "points" else _describe_movie(found, path))
    for problem in found["problems"]:
        click.echo(f"problem: {problem}")
    if not found["problems"]:
        click.echo("no problems found")


def _describe_points(found: dict[str, Any], path: Path) -> list[tuple[str, object]]:
    """Return the rows of the report on points."""
    from gnntrack.io.result_folders import EXTRAS

    unit = found["unit"] if found["unit"] == "um" else "pixels"
    low, middle, high = found["points_per_frame"]
    radius = "not given" if found["radius"] is None else f"{found['radius']:.3g} {unit} (median)"
    nearest = found["neighbour_distance"]
    distance = [] if nearest is None else [("distance", f"{nearest:.3g} {unit} to the nearest point (median)")]
    size = " x ".join(map(str, found["shape"]))
    axes = "y, x" if len(found["shape"]) == 2 else "z, y, x"
    given = shlex.quote(str(path))
    extras, has_tracks = path / EXTRAS, found["tracks"] is not None
    again = "  (links the points again)" if has_tracks else ""
    return [
        ("kind", "tracked points" if has_tracks else "points"),
        ("frames", found["frames"]),
        ("size", f"{size} pixels ({axes}), or more"),
        *describe_units(found["spacing"], found["unit"], found["interval"]),
        ("points", f"{found['points']}; {low} to {high} a frame, median {middle:g}"),
        *distance,
        ("radius", radius),
        *_describe_links(found, path),
        ("tracking", f"gnntrack track --points {given} -o OUT{again}"),
        *[("", text) for _, text in _describe_costs(found["tracking"])],
        *(list_checks(extras) if (extras / "review.csv").is_file() else []),
    ]


def _describe_links(found: dict[str, Any], path: Path) -> list[tuple[str, object]]:
    """Return the rows for the tracks or candidate links of points, none if there are no links."""
    given = shlex.quote(str(path))
    if found["candidates"] is not None:
        solve = f"gnntrack solve {given} -o TRACKS.geff"
        return [("links", f"{found['candidates']} candidates; {solve} chooses among them")]
    if found["tracks"] is None:
        return []
    families = choose_form(found["families"], "family", "families")
    sure = "" if found["confidence"] is None else f", mean confidence of links {found['confidence']:.3f}"
    scored = "" if found["scored_by"] is None else f", scores of links: {found['scored_by']}"
    by = [] if found["method"] is None else [("method", f"{found['method']}{scored}{sure}")]
    return [
        ("tracks", f"{found['tracks']} in {found['families']} {families}; median {found['track_frames']:g} frames"),
        ("divisions", found["divisions"]),
        ("gaps", describe_point_gaps(found["gaps_bridged"], found["interpolated"])),
        *by,
        ("tables", f"gnntrack export {given} --to csv -o TABLES"),
        ("view", f"gnntrack report {given} -o report.html"),
    ]


def _describe_movie(found: dict[str, Any], path: Path) -> list[tuple[str, object]]:
    """Return the rows of the report."""
    from gnntrack.io.channels import list_channels
    from gnntrack.io.folders import holds_masks

    size = " x ".join(map(str, found["shape"]))
    rows: list[tuple[str, object]] = [
        ("kind", found["kind"]),
        ("frames", found["frames"]),
        ("size", f"{size} pixels ({'y, x' if len(found['shape']) == 2 else 'z, y, x'})"),
        *describe_units(found["spacing"], found["unit"], found["interval"], from_names=found["interval_from_names"]),
    ]
    if found["kind"] == "unknown":
        return rows
    rows.append(("type", f"{found['dtype']}, values {found['lowest']:g} to {found['highest']:g}"))
    if len(found["channels"]) > 1:
        named = list_channels(found["channels"])
        chosen = f" ({found['channel_chosen']})" if found["channel_chosen"] else ""
        rows.append(("channels", f"{named}; values of '{found['channel']}'{chosen}; choose one with --channel"))
    if found["kind"] == "masks":
        low, middle, high = found["cells_per_frame"]
        range_ = f"{low} to {high} a frame, median {middle:g}" if low < high else f"{low} a frame"
        rows += [
            ("cells", f"{found['cells']}; {range_}"),
            ("diameter", f"{found['diameter']:.3g} {found['unit']} (median)"),
        ]
        if found["tracks"] is not None:
            rows += [("tracks", found["tracks"]), ("divisions", found["divisions"])]
    if not found["tracking"]:
        remedy = "segment the images, then run info on the masks"
        if found["kind"] == "images" and holds_masks(path):
            remedy = "--masks reads the masks in this folder"
        return [*rows, ("tracking", f"depends on the cells; {remedy}")]
    if found["kind"] == "images" and holds_masks(path):
        rows.append(("masks", "--masks reads the masks in this folder"))
    return [*rows, *_describe_costs(found["tracking"])]


def _describe_costs(tracking: dict[str, dict[str, float]]) -> list[tuple[str, object]]:
    """Return a row for the estimated cost of each way of tracking."""
    rows: list[tuple[str, object]] = []
    for number, (way, cost) in enumerate(tracking.items()):
        memory, disk = format_bytes(cost["memory"]), format_bytes(cost["disk"])
        text = f"about {cost['time']:.0f} s of one processor, {memory} of memory, {disk} of disk"
        rows.append(("" if number else "tracking", f"{text} ({way})"))
    return rows
