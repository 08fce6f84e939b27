"""track, build-graph, solve and export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.display import Stopwatch, format_bytes, measure_peak_memory, show_progress, show_rows
from gnntrack.cli.options import (
    FRAME_SETTINGS,
    GNN_SETTINGS,
    GRAPH_SETTINGS,
    MASK_SETTINGS,
    input_path,
    method_options,
    out_option,
    overwrite_option,
    segmenter_option,
    settings_options,
    verbose_option,
)

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.types import Lineage

__all__ = ["build_graph", "export", "solve", "track"]


@click.command()
@input_path("images", required=False)
@input_path("masks", required=False)
@out_option("Folder of the result: a mask per frame, and res_track.txt.")
@click.option("--masks", "only_masks", type=click.Path(path_type=Path), help="Masks, where there are no images.")
@click.option("--segmenter", metavar="NAME", help="How images without masks are segmented.  [default: threshold]")
@segmenter_option
@method_options
@settings_options(
    *MASK_SETTINGS, *GRAPH_SETTINGS, "solver.divisions", "repair.fill_gaps", "repair.margin", *GNN_SETTINGS
)
@overwrite_option
@verbose_option
def track(
    images: Path | None,
    masks: Path | None,
    only_masks: Path | None,
    out: Path,
    segmenter: str | None,
    segmenter_options: dict[str, Any],
    settings: Settings,
    **options: Any,
) -> None:
    """Track a movie: IMAGES and MASKS, IMAGES alone (they are segmented), or --masks MASKS alone.

    Each of the two is a folder of TIFFs in natural order, a multi-page or OME-TIFF, a .npy file or an OME-Zarr.
    """
    from gnntrack import pipeline

    if masks is not None and only_masks is not None:
        raise click.UsageError("masks are given twice; give IMAGES MASKS, or --masks MASKS")  # noqa: EM101
    masks = masks or only_masks
    if images is None and masks is None:
        raise click.UsageError("give IMAGES MASKS, or IMAGES, or --masks MASKS")  # noqa: EM101
    if masks is not None and (segmenter is not None or segmenter_options):
        raise click.UsageError("--segmenter makes masks; with masks given it has no use")  # noqa: EM101
    _refuse_unused(options["method"])
    watch = Stopwatch()
    with show_progress() as progress:
        lineage = pipeline.track(
            masks,
            images,
            out=out,
            segmenter=segmenter or "threshold",
            segmenter_options=segmenter_options,
            settings=settings,
            progress=progress,
            **options,
        )
    show_rows([*_lineage_rows(lineage), *_cost_rows(watch.seconds), ("written", f"{out} (masks and res_track.txt)")])
    show_rows(_review_rows(lineage))


@click.command("build-graph")
@input_path("masks")
@click.option("--images", type=click.Path(path_type=Path), help="The images: they add intensities and optical flow.")
@out_option("The graph, a .geff.")
@settings_options(*MASK_SETTINGS, *GRAPH_SETTINGS)
@overwrite_option
@verbose_option
def build_graph(masks: Path, images: Path | None, out: Path, settings: Settings, *, overwrite: bool) -> None:
    """Find the candidate links between the cells of MASKS."""
    from gnntrack import pipeline
    from gnntrack.io.geff import write_graph
    from gnntrack.io.output import check_output

    check_output(out, overwrite=overwrite)
    watch = Stopwatch()
    with show_progress() as progress:
        graph = pipeline.build_graph(masks, images, settings=settings, progress=progress)
        write_graph(graph, out, overwrite=overwrite)
    per_cell = len(graph) / max(len(graph.cells), 1)
    rows: list[tuple[str, object]] = [("frames", graph.cells.n_frames), ("cells", len(graph.cells))]
    rows += [("candidates", f"{len(graph)} ({per_cell:.1f} a cell)"), *_cost_rows(watch.seconds), ("written", out)]
    show_rows(rows)


@click.command()
@input_path("graph")
@out_option("The lineage, a .geff.")
@method_options
@settings_options("solver.divisions", *GNN_SETTINGS)
@overwrite_option
@verbose_option
def solve(graph: Path, out: Path, method: str, solver: str | None, settings: Settings, *, overwrite: bool) -> None:
    """Choose the links of GRAPH, a .geff of 'gnntrack build-graph'."""
    from gnntrack import pipeline
    from gnntrack.errors import FormatError
    from gnntrack.io.geff import read_graph, write_lineage
    from gnntrack.io.output import check_output

    _refuse_unused(method)
    check_output(out, overwrite=overwrite)
    watch = Stopwatch()
    with show_progress() as progress:
        candidates = read_graph(graph)
        if not {"gap", "iou"} & set(candidates.feature_names):
            msg = f"{graph}: it holds no candidate links to choose from; give a graph of 'gnntrack build-graph'"
            raise FormatError(msg)
        lineage = pipeline.solve(candidates, method=method, solver=solver, settings=settings, progress=progress)
        write_lineage(lineage, out, overwrite=overwrite)
    show_rows([*_lineage_rows(lineage), *_cost_rows(watch.seconds), ("written", out)])
    show_rows(_review_rows(lineage))


class FormatOption(click.Option):
    """Option whose choices are the registered writers; the writers are loaded when the help is shown."""

    def __init__(self, *args: Any, **options: Any) -> None:
        from gnntrack.io.writers import WRITERS

        options["type"] = click.Choice(list(WRITERS))
        super().__init__(*args, **options)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option with a description of each format."""
        from gnntrack.io.writers import describe_formats

        self.help = f"{describe_formats()}."
        return super().get_help_record(ctx)


@click.command()
@input_path("lineage")
@click.option("--masks", type=click.Path(path_type=Path), help="The masks that the lineage was made from, for ctc.")
@click.option("--to", cls=FormatOption, default="ctc", show_default=True)
@out_option("The file or folder to write.")
@settings_options(*FRAME_SETTINGS, "repair.fill_gaps", "repair.margin")
@overwrite_option
@verbose_option
def export(lineage: Path, out: Path, masks: Path | None, to: str, settings: Settings, **options: Any) -> None:
    """Write LINEAGE, a .geff of 'gnntrack solve', as a CTC result, as tables, or in another format."""
    from gnntrack import pipeline
    from gnntrack.io.geff import read_lineage
    from gnntrack.io.output import check_output
    from gnntrack.io.writers import WRITERS

    if masks is None and WRITERS[to].needs_masks:
        message = f"--to {to} draws the masks that the lineage was made from: give --masks MASKS"
        raise click.UsageError(message)
    check_output(out, overwrite=options["overwrite"])
    watch = Stopwatch()
    with show_progress() as progress:
        written = pipeline.export(
            read_lineage(lineage), out, masks=masks, to=to, settings=settings, progress=progress, **options
        )
    show_rows([*_lineage_rows(written), *_cost_rows(watch.seconds), ("written", out)])


def _refuse_unused(method: str) -> None:
    """Refuse the network's options on the command line of another method; a settings file may hold them for any."""
    from gnntrack.methods import METHODS

    if method not in METHODS or METHODS[method].reads("gnn"):  # an unknown method is reported by the pipeline
        return
    given = click.get_current_context().params  # None where an option is left out
    for section, name in (key.split(".") for key in GNN_SETTINGS):
        if given[f"{section}_{name}"] is not None:
            msg = f"--{name} is of --method gnn; with {method} it has no use"
            raise click.UsageError(msg)


def _lineage_rows(lineage: Lineage) -> list[tuple[str, object]]:
    from gnntrack.lineage.summary import summarise

    summary = summarise(lineage)
    gaps = f"{summary.gaps_bridged} bridged"
    if summary.gaps_filled is not None:
        gaps += f", {summary.gaps_filled} masks drawn in them"
    rows: list[tuple[str, object]] = [
        ("frames", summary.frames),
        ("cells", summary.cells),
        ("tracks", summary.tracks),
        ("divisions", summary.divisions),
        ("gaps", gaps),
    ]
    dropped = summary.dropped_cells
    return [*rows, ("left out", f"{dropped} cells below cells.min_size")] if dropped else rows


def _cost_rows(seconds: float) -> list[tuple[str, object]]:
    return [("time", f"{seconds:.1f} s"), ("memory", f"{format_bytes(measure_peak_memory())} at most")]


def _review_rows(lineage: Lineage) -> list[tuple[str, object]]:
    """Return the places to check first."""
    from gnntrack.lineage.summary import review

    hints = {"fragments": "; see --fragments"}
    return [("look at", item.text + hints.get(item.kind, "")) for item in review(lineage)]
