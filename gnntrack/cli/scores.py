"""Scores on the terminal: limits that they must reach, and the table of points and links."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gnntrack.cli.display import show_table

if TYPE_CHECKING:
    from gnntrack.evaluate.error_report import ErrorReport
    from gnntrack.evaluate.graph_counts import GraphCounts
    from gnntrack.evaluate.graphs import GraphReport

__all__ = ["check_limits", "end_below_limits", "format_score", "score_points", "show_errors"]

Scores = Mapping[str, float | None]

_HEADER = (
    "", "points", "annotated", "found", "edge J", "adj. J", "TP/FP/FN", "F1", "div. J", "TP/FP/FN", "purity",
    "complete",
)  # fmt: skip


def check_limits(limits: Mapping[str, float], known: Scores) -> None:
    """Raise if a limit is of a metric that does not exist.

    Raises
    ------
    UsageError
        It lists all metrics.
    """
    unknown = [name for name in limits if name not in known]
    if unknown:
        raise click.UsageError(f"unknown metric '{unknown[0]}'; the metrics are: {', '.join(known)}")  # noqa: EM102


def end_below_limits(limits: Mapping[str, float], scores: Mapping[str, Scores]) -> None:
    """End the command with code 1 if a metric of a movie is below its limit; a metric that is not defined is."""
    low = [
        f"{name}: {metric} is {format_score(score[metric])}, {least} is required"
        for name, score in scores.items()
        for metric, least in limits.items()
        if not _is_at_least(score[metric], least)
    ]
    for line in low:
        click.echo(line, err=True)
    if low:
        raise click.exceptions.Exit(1)


def _is_at_least(value: float | None, least: float) -> bool:
    return value is not None and value >= least  # a metric that is not defined reaches no value


def format_score(value: float | None, digits: int = 6) -> str:
    """Return a metric with its digits.

    >>> format_score(0.25), format_score(0.25, 4), format_score(None)
    ('0.250000', '0.2500', '-')
    """
    return "-" if value is None else f"{value:.{digits}f}"


def score_points(
    result: Path,
    truth: Path,
    *,
    gate: float | None,
    total: float | None,
    spacing: str | None,
    limits: Mapping[str, float],
    as_json: bool,
) -> None:
    """Score points and links of one movie or several; parameters as of `gnntrack.evaluate.graphs.evaluate_graphs`."""
    from gnntrack.evaluate.graphs import evaluate_graphs

    report = evaluate_graphs(result, truth, gate=gate, total=total, spacing=_parse_spacing(spacing))
    scores = report.total.scores()
    check_limits(limits, scores)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
    else:
        _show_report(report)
    end_below_limits(limits, {"all": scores} if len(report.movies) > 1 else {next(iter(report.movies)): scores})


def show_errors(report: ErrorReport, out: Path) -> None:
    """Print a row per kind of error: number, and what it takes from each metric, also as a percentage of all."""
    from gnntrack.evaluate.error_shares import SHARED

    known = [metric for metric in SHARED if report.scores[metric] is not None]
    rows = [[name, share.number, *_format_losses(share.lost, report, known)] for name, share in report.kinds.items()]
    lost = {metric: 1 - float(report.scores[metric] or 0) for metric in known}
    rows.append(["all errors", len(report), *_format_losses(lost, report, known)])
    show_table(["", "number", *(cell for metric in known for cell in (metric, "%"))], rows)
    click.echo("- the columns of a metric: by how much it is below 1, and the percentage of this that a kind explains")
    click.echo(f"- {out} has frame, place and tracks of each error")


def _format_losses(lost: Mapping[str, float], report: ErrorReport, metrics: Sequence[str]) -> list[str]:
    cells = []
    for metric in metrics:
        total = 1 - float(report.scores[metric] or 0)
        cells += [f"-{lost[metric]:.4f}", f"{100 * lost[metric] / total:.0f}" if total else "-"]
    return cells


def _parse_spacing(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        message = f"--spacing '{text}' is not a list of numbers; write for example 1.625,0.40625,0.40625"
        raise click.UsageError(message) from None


def _show_report(report: GraphReport) -> None:
    """Print a row per movie, their total, the score and the notes."""
    rows = [_list_cells(name, counts) for name, counts in report.movies.items()]
    if len(rows) > 1:
        rows.append(_list_cells("all", report.total))
    show_table(_HEADER, rows)
    total = report.total
    if total.score is not None:
        adjusted, divisions = f"{total.adjusted_edge_jaccard:.4f} (adjusted edge Jaccard)", ""
        if total.division_jaccard is not None:
            divisions = f" + 0.1 x {total.division_jaccard:.4f} (division Jaccard)"
        click.echo(f"score {total.score:.4f} = {adjusted}{divisions}")
    unit = "um" if report.unit == "um" else "pixels; give --spacing for um"
    for note in (f"points match within {report.gate:g} {unit}", *report.notes):
        click.echo(f"- {note}")


def _list_cells(name: str, counts: GraphCounts) -> Sequence[str]:
    """Return the cells of a row of the table."""
    scores = counts.scores()
    estimated = f" of {counts.estimated:.0f}" if counts.estimated else ""
    complete = f"{counts.complete}/{counts.tracks}"
    edges = f"{counts.edge_tp}/{counts.edge_fp}/{counts.edge_fn}"
    divisions = f"{counts.division_tp}/{counts.division_fp}/{counts.division_fn}"

    def show(metric: str) -> str:
        return format_score(scores[metric], 4)

    return (
        name, f"{counts.nodes}", f"{counts.annotated}{estimated}", show("node_recall"), show("edge_jaccard"),
        show("adjusted_edge_jaccard"), edges, show("edge_f1"), show("division_jaccard"), divisions,
        show("track_purity"), complete,
    )  # fmt: skip
