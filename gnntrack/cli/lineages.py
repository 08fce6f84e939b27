"""Shared by track, solve and export: rows of their summaries, and the check of options."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gnntrack.cli.display import describe_units
from gnntrack.cli.options import GNN_SETTINGS

if TYPE_CHECKING:
    from gnntrack.types import Lineage

__all__ = ["describe_lineage", "describe_review", "refuse_unused"]


def refuse_unused(method: str) -> None:
    """Refuse options of the network on the command line of a method without one; a settings file may hold them."""
    from gnntrack.methods import METHODS

    if method not in METHODS or METHODS[method].reads("gnn"):  # an unknown method is reported by the pipeline
        return
    given = click.get_current_context().params  # None if an option is not given
    for section, name in (key.split(".") for key in GNN_SETTINGS):
        if given[f"{section}_{name}"] is not None:
            msg = f"--{name} belongs to --method gnn; --method {method} does not use it"
            raise click.UsageError(msg)


def describe_lineage(lineage: Lineage) -> list[tuple[str, object]]:
    """Return the rows of a summary for the size of a lineage."""
    from gnntrack.lineage.summary import summarise

    summary = summarise(lineage)
    gaps = f"{summary.gaps_bridged} bridged"
    if summary.gaps_filled is not None:
        gaps += f", {summary.gaps_filled} masks drawn in them"
    cells = lineage.cells
    rows: list[tuple[str, object]] = [
        ("frames", summary.frames),
        *describe_units(cells.spacing, cells.unit, lineage.provenance.interval),
        ("cells", summary.cells),
        ("tracks", summary.tracks),
        ("divisions", summary.divisions),
        ("gaps", gaps),
    ]
    dropped = summary.dropped_cells
    return [*rows, ("dropped", f"{dropped} cells smaller than cells.min_size")] if dropped else rows


def describe_review(lineage: Lineage) -> list[tuple[str, object]]:
    """Return the rows of a summary for the places to check first."""
    from gnntrack.lineage.summary import review

    hints = {"fragments": "; see --fragments"}
    return [("look at", item.text + hints.get(item.kind, "")) for item in review(lineage)]
