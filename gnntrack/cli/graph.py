"""The commands build-graph, solve and export: the steps of track, one at a time."""

from __future__ import annotations

import difflib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.deterministic import deterministic_option
from gnntrack.cli.display import Stopwatch, describe_cost, show_progress, show_rows
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.lineages import describe_lineage, list_lineage_checks, refuse_mask_options, refuse_unused
from gnntrack.cli.resume import resume_option

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.types import Lineage

__all__ = ["build_graph", "export", "solve"]

_log = logging.getLogger(__name__)


@click.command("build-graph", cls=GroupedCommand)
@options.source_options
@options.out_option("The graph, a .geff.")
@options.point_options
@options.settings_options(*options.MOVIE_SETTINGS, *options.GRAPH_SETTINGS)
@options.overwrite_option
@resume_option()
@options.verbose_option
def build_graph(out: Path, settings: Settings, *, overwrite: bool, **sources: Any) -> None:
    """Find the candidate links between the cells of a movie: IMAGES and MASKS, --masks MASKS or --points POINTS."""
    from gnntrack import pipeline
    from gnntrack.io.geff import write_graph
    from gnntrack.io.output import try_output

    points = options.take_points(sources)
    if points:
        refuse_mask_options()
    composite = settings.frames.masks_channel is not None or settings.frames.masks_pattern is not None
    images, masks = options.find_images(**sources) if points else _find_masks(sources, composite=composite)
    try_output(out, overwrite=overwrite)
    watch = Stopwatch()
    with show_progress() as progress:
        graph = pipeline.build_graph(images, masks, settings=settings, progress=progress, **points)
        write_graph(graph, out, overwrite=overwrite)
    per_cell = len(graph) / max(len(graph.cells), 1)
    rows: list[tuple[str, object]] = [("frames", graph.cells.n_frames), ("cells", len(graph.cells))]
    rows += [("candidates", f"{len(graph)} ({per_cell:.1f} a cell)"), *describe_cost(watch), ("written", out)]
    show_rows(rows)


def _find_masks(sources: dict[str, Path | None], *, composite: bool) -> tuple[Path | None, Path]:
    """Return images and masks; the order of earlier versions, MASKS [--images IMAGES], still works.

    The images of a composite hold the masks, as a channel or as other files of the same folder.
    """
    from gnntrack.io.folders import holds_masks

    first = sources["images"]
    composite = composite or (first is not None and holds_masks(first))
    if composite and sources["masks"] is None and sources["only_masks"] is None:
        found, _ = options.resolve_sources(**sources)
        if found is not None:
            return found, found
    images = sources["only_images"]
    alone = first is not None and sources["masks"] is None and sources["only_masks"] is None
    if first is not None and alone and (images is not None or _holds_labels(first)):
        now = f"{images} {first}" if images else f"--masks {first}"
        _log.warning("the images come first now; this order is deprecated, write: gnntrack build-graph %s", now)
        return images, first
    found, masks = options.resolve_sources(**sources)
    if masks is None:
        message = f"masks are missing: give {found} MASKS; 'gnntrack segment {found} -o MASKS' makes masks of images"
        raise click.UsageError(message)
    return found, masks


def _holds_labels(path: Path) -> bool:
    from gnntrack.errors import InputError
    from gnntrack.io.frames import open_frames
    from gnntrack.io.mask_checks import describe_movie

    try:
        return describe_movie(open_frames(path))[0].is_like_masks()
    except InputError:
        return False


@click.command(cls=GroupedCommand)
@options.path_argument("graph")
@options.out_option("The lineage, a .geff.")
@options.method_options
@deterministic_option
@options.settings_options(
    "solver.goal",
    "solver.divisions",
    "solver.time_limit",
    "repair.debris_size",
    "repair.drop_spurious",
    *options.GNN_SETTINGS,
    *options.POINT_SETTINGS,
)
@options.overwrite_option
@resume_option()
@options.verbose_option
def solve(graph: Path, out: Path, method: str, solver: str | None, settings: Settings, *, overwrite: bool) -> None:
    """Choose the links of GRAPH, a .geff of 'gnntrack build-graph'."""
    from gnntrack import pipeline
    from gnntrack.errors import FormatError
    from gnntrack.io.geff import read_graph, write_lineage
    from gnntrack.io.output import try_output

    refuse_unused(method)
    try_output(out, overwrite=overwrite)
    watch = Stopwatch()
    with show_progress() as progress:
        candidates = read_graph(graph)
        if not {"gap", "iou"} & set(candidates.feature_names):
            msg = f"{graph}: it holds no candidate links to choose from; give a graph of 'gnntrack build-graph'"
            raise FormatError(msg)
        lineage = pipeline.solve(candidates, method=method, solver=solver, settings=settings, progress=progress)
        write_lineage(lineage, out, overwrite=overwrite)
    show_rows([*describe_lineage(lineage), *describe_cost(watch), ("written", out)])
    show_rows(list_lineage_checks(lineage))


class NearestChoice(click.Choice[str]):
    """Choice whose error proposes the nearest value."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value if it is a choice."""
        near = difflib.get_close_matches(value, self.choices, 1)
        if near and value not in self.choices:
            self.fail(
                f"'{value}' is not a format; did you mean '{near[0]}'? There are: {', '.join(self.choices)}", param, ctx
            )
        return str(super().convert(value, param, ctx))


class FormatOption(click.Option):
    """Option whose choices are the registered writers; the writers are loaded when the help is shown."""

    def __init__(self, *args: Any, **options: Any) -> None:
        from gnntrack.io.writers import WRITERS

        options["type"] = NearestChoice(list(WRITERS))
        super().__init__(*args, **options)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option with a description of each format."""
        from gnntrack.io.writers import describe_formats

        self.help = f"{describe_formats()}."
        return super().get_help_record(ctx)


@click.command(cls=GroupedCommand)
@click.argument("lineages", metavar="LINEAGE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--masks",
    type=click.Path(path_type=Path),
    help="The masks that a .geff was made from, for ctc and other formats that draw masks.",
)
@click.option("--images", type=click.Path(path_type=Path), help="Images, to measure the cells of a result with.")
@click.option(
    "--radius",
    type=float,
    metavar="LENGTH",
    help="Radius of the balls of points in ctc, in um with a voxel size, else in pixels; default: that of the points.",
)
@click.option("--to", cls=FormatOption, default="ctc", show_default=True)
@options.out_option("The file or folder to write.")
@options.settings_options(
    *options.FRAME_SETTINGS,
    "frames.channel",
    "frames.images_pattern",
    "frames.masks_channel",
    "frames.background",
    "repair.fill_gaps",
    "repair.keep_masks",
    "repair.margin",
    "repair.min_track_length",
)
@options.overwrite_option
@resume_option()
@options.verbose_option
def export(
    lineages: tuple[Path, ...],
    out: Path,
    masks: Path | None,
    images: Path | None,
    to: str,
    radius: float | None,
    settings: Settings,
    *,
    overwrite: bool,
) -> None:
    """Write LINEAGE as a CTC result, as tables, or in another format.

    LINEAGE is a result folder, of 'gnntrack track' or of another program (masks and res_track.txt), a ground truth
    (01_GT), or a .geff of 'gnntrack solve'. A format of several movies, such as biohub, takes several of them, or the
    output of 'gnntrack batch'.
    """
    from gnntrack import pipeline
    from gnntrack.io.output import try_output
    from gnntrack.io.writers import WRITERS
    from gnntrack.results import find_result

    if hasattr(WRITERS[to], "write_movies"):
        _refuse_for_movies(to, masks=masks, images=images, radius=radius)
        _export_movies(lineages, out, to, settings, overwrite=overwrite)
        return
    if len(lineages) > 1:
        message = f"--to {to} writes one lineage, and {len(lineages)} are given; export each of them"
        raise click.UsageError(message)
    lineage = lineages[0]
    result = find_result(lineage)
    if result is None and images is not None:
        message = "--images measures the cells of a result folder; a .geff has its measurements already"
        raise click.UsageError(message)
    try_output(out, overwrite=overwrite)
    watch = Stopwatch()
    with show_progress() as progress:
        read = _read_exported(lineage, result, images, settings, points=not WRITERS[to].needs_masks)
        needed = masks is None and WRITERS[to].needs_masks and not read.has_masks
        if radius is not None and not (needed and read.cells.points):
            message = "--radius is that of the balls of points in a format of masks, such as --to ctc; omit it"
            raise click.UsageError(message)
        if needed and result is None and not read.cells.points:
            message = f"--to {to} draws the masks that the lineage was made from: give --masks MASKS"
            raise click.UsageError(message)
        chosen = masks or result if masks or WRITERS[to].needs_masks else None
        written = pipeline.export(
            read, out, masks=chosen, to=to, settings=settings, overwrite=overwrite, progress=progress, radius=radius
        )
    show_rows([*describe_lineage(written), *describe_cost(watch), ("written", out)])


def _refuse_for_movies(to: str, **given: object) -> None:
    """Raise if an option is given that a format of several movies does not use."""
    for name, value in given.items():
        if value is not None:
            message = f"--{name} is not used by --to {to}; omit it"
            raise click.UsageError(message)


def _export_movies(paths: tuple[Path, ...], out: Path, to: str, settings: Settings, *, overwrite: bool) -> None:
    """Write the lineages of several movies as one file."""
    from gnntrack.batch import list_results
    from gnntrack.exporting import export_movies
    from gnntrack.io.output import try_output
    from gnntrack.results import find_result

    results = list_results(paths)
    try_output(out, overwrite=overwrite)
    watch = Stopwatch()
    read = {
        name: None if path is None else _read_exported(path, find_result(path), None, settings, points=True)
        for name, path in results.items()
    }
    export_movies(read, out, to=to, overwrite=overwrite)
    found = [each for each in read.values() if each is not None]
    empty = len(read) - sum(len(each.cells) > 0 for each in found)
    rows: list[tuple[str, object]] = [("movies", f"{len(read)}" + (f", {empty} without cells" if empty else ""))]
    rows += [("cells", sum(len(each.cells) for each in found)), ("links", sum(len(each.source) for each in found))]
    show_rows([*rows, *describe_cost(watch), ("written", out)])


def _read_exported(
    path: Path, result: Path | None, images: Path | None, settings: Settings, *, points: bool
) -> Lineage:
    """Return the lineage of a .geff or of a result folder; `points`: also of a .geff without labels of masks."""
    from gnntrack.io.frames import open_frames
    from gnntrack.io.geff import read_lineage
    from gnntrack.io.result_folders import EXTRAS
    from gnntrack.loading import is_geff, load, set_pixel_size
    from gnntrack.results import load_result

    frames = settings.frames
    if result is None and any((path / name).is_file() for name in (".zattrs", ".zgroup", "zarr.json")):
        lineage = read_lineage(path, points=points)
        lineage = lineage if frames.spacing is None else set_pixel_size(lineage, frames.spacing, str(path))
    elif result is None or (images is None and is_geff(result / EXTRAS / "lineage.geff")):
        # with confidences, whatever the size of a pixel
        lineage = load(result or path, spacing=frames.spacing, points=points)
    else:
        stack = None if images is None else open_frames(images, **frames.select_for_images())
        lineage = load_result(result, images=stack, spacing=frames.spacing)
    return lineage.with_provenance(interval=frames.interval or lineage.provenance.interval)
