"""Shared by track, solve and export: rows of their summaries, and the check of options."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli.display import describe_units
from gnntrack.cli.options import GNN_SETTINGS
from gnntrack.json_files import read_json
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import Cells, Lineage

__all__ = [
    "describe_estimates",
    "describe_lineage",
    "describe_point_gaps",
    "describe_points",
    "describe_repairs",
    "describe_result",
    "list_checks",
    "list_lineage_checks",
    "read_summary",
    "refuse_mask_options",
    "refuse_unused",
]


def refuse_unused(method: str) -> None:
    """Refuse options of the network on the command line of a method without one; a settings file may hold them."""
    from gnntrack.methods import METHODS

    if method not in METHODS or METHODS[method].reads("gnn"):  # an unknown method is reported by the pipeline
        return
    given = click.get_current_context().params  # None if an option is not given
    for section, name in (key.split(".") for key in GNN_SETTINGS):
        if given[f"{section}_{name}"] is not None:
            msg = f"--{name} belongs to --method gnn or auto; --method {method} does not use it"
            if given.get("segmenter") is not None:
                msg += f"; for the segmenter give --option {name}={given[f'{section}_{name}']}"
            raise click.UsageError(msg)


def refuse_mask_options() -> None:
    """Refuse options of masks on the command line of points, whatever their value; a settings file may hold defaults.

    Raises
    ------
    UsageError
        With what to do instead.
    """
    from gnntrack.lineage.point_tracks import MASK_SETTINGS

    given = click.get_current_context().params
    for key, remedy in MASK_SETTINGS.items():
        name = key.split(".")[1]
        if given.get(key.replace(".", "_")) is not None:
            use = remedy.replace("use ", "use --").replace("_", "-") if remedy.startswith("use ") else remedy
            msg = f"--{name.replace('_', '-')} works on masks, and points are tracked without them; {use}"
            raise click.UsageError(msg)


def describe_result(summary: dict[str, Any]) -> list[tuple[str, object]]:
    """Return the rows of a summary for a result that was written, from its ``summary.json``."""
    counts, movie = summary["counts"], summary["movie"]
    merged = counts["fragments_merged"]
    changes = [
        (counts["masks_filled"], "drawn in gaps"),
        (counts.get("cells_cut_off", 0), "cut off merged masks"),
        (-merged, choose_form(merged, "fragment merged with its cell", "fragments merged with their cells")),
        (-counts["cells_too_small"], "smaller than cells.min_size"),
        (-counts["cells_in_margin"], "in the margin"),
        (-counts.get("cells_in_short_tracks", 0), "in short tracks"),
        (-counts.get("cells_in_debris", 0), "much smaller than a cell"),
        (-counts.get("cells_spurious", 0), "spurious"),
        (-counts.get("cells_removed", 0), "marked as spurious"),
    ]
    parts = [f"{'+' if n > 0 else '-'} {abs(n)} {why}" for n, why in changes if n]
    source = f" = {counts['cells_in_input']} in the masks {' '.join(parts)}" if parts else ""
    segmenter = summary["segmenter"]
    masks = [("masks", f"none were given; the segmenter {segmenter} made them from the images")] if segmenter else []
    return [
        ("frames", movie["frames"]),
        *describe_units(movie["spacing"], movie["unit"], movie["interval_s"]),
        *masks,
        *describe_estimates(summary["estimates"]),
        *_describe_scores(summary["scored_by"], summary["scoring_reason"]),
        *_describe_optimality(summary.get("optimality_gap"), stopped=summary.get("time_limit_reached", False)),
        ("cells", f"{counts['cells']}{source}"),
        ("tracks", counts["tracks"]),
        ("divisions", counts["divisions"]),
        *_describe_fusions(counts.get("fusions", 0), ": column fused_into of tracks.csv"),
        ("gaps", _describe_gaps(counts["gaps_bridged"], counts["masks_filled"])),
    ]


def _describe_fusions(n: int, place: str = "") -> list[tuple[str, object]]:
    """Return a row for the tracks that end by fusion, if there are any, and the place that lists them.

    >>> _describe_fusions(2)
    [('fusions', '2 tracks end by fusion into another cell')]
    """
    verb = choose_form(n, "ends", "end")
    return [("fusions", f"{count_noun(n, 'track')} {verb} by fusion into another cell{place}")] if n else []


def describe_repairs(summary: dict[str, Any], extras: Path) -> list[tuple[str, object]]:
    """Return a row for the masks that are not as in the input, from the ``summary.json`` of a result.

    >>> describe_repairs({"counts": {"repairs": 1}}, Path("01_RES/gnntrack"))
    [('repairs', '1 mask is not as in the input: 01_RES/gnntrack/repairs.csv')]
    """
    n = summary["counts"]["repairs"]
    verb = choose_form(n, "is", "are")
    return [("repairs", f"{count_noun(n, 'mask')} {verb} not as in the input: {extras / 'repairs.csv'}")] if n else []


def describe_estimates(estimates: Mapping[str, Any]) -> list[tuple[str, object]]:
    """Return rows for the model and the diameter of a cell that a segmenter chose; none if it did not.

    >>> describe_estimates({"diameter": 14.23, "model": "cells"})
    [('model', 'cells, a guess; --kind sets it'), ('size', 'cells of 14.2 pixels, estimated; --diameter sets it')]
    """
    model, pixels = estimates.get("model"), estimates.get("diameter")
    rows: list[tuple[str, object]] = [] if model is None else [("model", f"{model}, a guess; --kind sets it")]
    return [
        *rows,
        *([] if pixels is None else [("size", f"cells of {pixels:.1f} pixels, estimated; --diameter sets it")]),
    ]


def _describe_scores(scored_by: str | None, reason: str | None) -> list[tuple[str, object]]:
    """Return a row for the scores that a method chose; none if it has no choice.

    >>> _describe_scores("classical", "the cells are points")
    [('scores', 'classical: the cells are points')]
    """
    return [] if scored_by is None else [("scores", f"{scored_by}: {reason}")]


def _describe_optimality(gap: float | None, *, stopped: bool) -> list[tuple[str, object]]:
    """Return a row for how good the links are by their scores; none if it is not known.

    >>> _describe_optimality(0.0, stopped=False)
    [('solution', 'the best links by their scores, proven')]
    >>> _describe_optimality(0.0085, stopped=True)
    [('solution', 'time limit reached; within 0.85 % of the best total value, proven')]
    """
    if gap is None:
        return [("solution", "time limit reached; the best links so far")] if stopped else []
    quality = f"within {100 * gap:.2g} % of the best total value" if gap else "the best links by their scores"
    return [("solution", f"{'time limit reached; ' * stopped}{quality}, proven")]


def list_checks(extras: Path) -> list[tuple[str, object]]:
    """Return rows for the most doubtful places of a result, from its ``review.csv``."""
    with (extras / "review.csv").open(encoding="utf-8", newline="") as file:
        return _select_checks(list(csv.DictReader(file)), f"in {extras / 'review.csv'}")


def list_lineage_checks(lineage: Lineage) -> list[tuple[str, object]]:
    """Return rows for the most doubtful places of a lineage without a result."""
    from gnntrack.lineage.doubts import list_doubts
    from gnntrack.result_files import collect_review

    columns = collect_review(lineage, list_doubts(lineage))
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return _select_checks(rows, "in the review.csv of 'gnntrack track'")


def _select_checks(rows: list[dict[str, Any]], place: str, most: int = 3) -> list[tuple[str, object]]:
    """Return the first rows of a review list, and how many more there are at a place."""
    shown: list[tuple[str, object]] = []
    for row in rows[:most]:
        where = ", ".join(f"{axis} {float(row[f'{axis}_pixel']):.0f}" for axis in "zyx" if row.get(f"{axis}_pixel"))
        track = f", track {row['track']} ({where})" if row["track"] else ""
        shown.append(("check", f"frame {row['frame']}{track}: {row['why']}"))
    pieces = [row for row in rows[most:] if row["kind"] == "pieces"]
    if pieces:
        first = f"such as in frame {pieces[0]['frame']}"
        shown.append(
            (
                "check",
                f"{count_noun(len(pieces), 'label')} in several pieces, {first}; choose their treatment with "
                "--fragments",
            )
        )
    more = len(rows) - len(shown)
    return [*shown, ("", f"{more} more {place}")] if more > 0 else shown


def read_summary(extras: Path) -> dict[str, Any]:
    """Return the content of ``summary.json``."""
    content: dict[str, Any] = read_json(extras / "summary.json")
    return content


def describe_lineage(lineage: Lineage) -> list[tuple[str, object]]:
    """Return the rows of a summary for the size of a lineage."""
    from gnntrack.lineage.summary import summarise

    summary = summarise(lineage)
    cells = lineage.cells
    rows: list[tuple[str, object]] = [
        ("frames", summary.frames),
        *describe_units(cells.spacing, cells.unit, lineage.provenance.interval),
        *_describe_scores(lineage.provenance.scored_by, lineage.provenance.scoring_reason),
        *_describe_optimality(lineage.provenance.optimality_gap, stopped=bool(lineage.provenance.time_limit_reached)),
        ("cells", summary.cells),
        ("tracks", summary.tracks),
        ("divisions", summary.divisions),
        *_describe_fusions(len(lineage.fusions)),
        ("gaps", _describe_lineage_gaps(summary.gaps_bridged, summary.gaps_filled, _count_interpolated(cells))),
    ]
    dropped = {
        "smaller than cells.min_size": summary.dropped_cells,
        "much smaller than others": len(lineage.provenance.debris_dropped or ()),
        "probably spurious": len(lineage.provenance.spurious_dropped or ()),
    }
    return rows + [("dropped", f"{count_noun(n, 'cell')} {why}") for why, n in dropped.items() if n]


def describe_points(lineage: Lineage) -> list[tuple[str, object]]:
    """Return the rows of a summary for tracked points."""
    from gnntrack.lineage.summary import summarise

    summary, cells = summarise(lineage), lineage.cells
    added = _count_interpolated(cells)
    short = lineage.provenance.short_dropped
    dropped = [("dropped", f"{count_noun(short, 'short track')} (--min-length)")] if short else []
    return [
        ("frames", summary.frames),
        *describe_units(cells.spacing, cells.unit, lineage.provenance.interval),
        *_describe_scores(lineage.provenance.scored_by, lineage.provenance.scoring_reason),
        *_describe_optimality(lineage.provenance.optimality_gap, stopped=bool(lineage.provenance.time_limit_reached)),
        ("points", summary.cells - added),
        ("tracks", summary.tracks),
        ("divisions", summary.divisions),
        ("gaps", describe_point_gaps(summary.gaps_bridged, added)),
        *dropped,
    ]


def _count_interpolated(cells: Cells) -> int:
    return int(cells.feature("interpolated").sum()) if cells.has("interpolated") else 0


def describe_point_gaps(bridged: int, added: int) -> str:
    """Return in words how many gaps were bridged, and how many points were added in them.

    >>> describe_point_gaps(3, 1), describe_point_gaps(0, 0)
    ('3 bridged, 1 point interpolated in them', '0 bridged')
    """
    return f"{bridged} bridged" + (f", {count_noun(added, 'point')} interpolated in them" if added else "")


def _describe_lineage_gaps(bridged: int, filled: int | None, added: int) -> str:
    """Return in words how many gaps were bridged and filled; interpolated points are drawn as masks, too.

    >>> _describe_lineage_gaps(3, None, 4), _describe_lineage_gaps(3, 1, 4)
    ('3 bridged, 4 points interpolated in them', '3 bridged, 5 masks drawn in them')
    """
    return describe_point_gaps(bridged, added) if filled is None else _describe_gaps(bridged, filled + added)


def _describe_gaps(bridged: int, filled: int | None) -> str:
    if filled is None or not bridged + filled:
        return f"{bridged} bridged"
    return f"{bridged} bridged, {count_noun(filled, 'mask')} drawn in them"
