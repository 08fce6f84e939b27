"""evaluate, evaluate-segmentation and validate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from gnntrack.cli.display import show_progress, show_rows, show_table
from gnntrack.cli.examples import describe_example
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.options import json_option, overwrite_option, path_argument, verbose_option
from gnntrack.cli.output_paths import OutputPath
from gnntrack.cli.resume import resume_option
from gnntrack.cli.scores import check_limits, end_below_limits, format_score, score_points, show_errors
from gnntrack.evaluate.defaults import GATE
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.evaluate.error_report import ErrorReport

__all__ = ["evaluate", "evaluate_segmentation", "validate"]

_LISTED = 20  # problems of one rule that are listed one by one


@click.command(cls=GroupedCommand)
@click.argument("folders", metavar="RES GT [RES GT]...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    help="Ground truth of a single RES: a GEFF or a folder NAME.geff of several movies, dense or sparse, or 01_GT.",
)
@click.option(
    "--gate",
    type=click.FloatRange(min=0, min_open=True),
    help=f"For points: largest distance of two that match, in um.  [default: {GATE:g}]",
)
@click.option(
    "--total",
    type=click.FloatRange(min=0, min_open=True),
    help="For points: estimated number of cells in all frames, if the ground truth does not hold it.",
)
@click.option("--spacing", metavar="Z,Y,X", help="For points: voxel size in um of positions in voxels.")
@click.option(
    "--require",
    metavar="METRIC=VALUE",
    multiple=True,
    help="Exit with code 1 if a metric is lower than this; repeatable.",
)
@click.option(
    "--errors",
    "out",
    metavar="OUT",
    type=OutputPath(),
    help="For masks: list every error with kind, frame, place and tracks in OUT/errors.csv, or in a file OUT.csv, and "
    "show what each kind costs.",
)
@overwrite_option
@resume_option()
@json_option
@verbose_option
def evaluate(
    folders: tuple[Path, ...],
    truth: Path | None,
    require: tuple[str, ...],
    *,
    out: Path | None,
    overwrite: bool,
    gate: float | None,
    total: float | None,
    spacing: str | None,
    as_json: bool,
) -> None:
    """Score tracking results RES against ground truth GT, in pairs.

    For masks, the metrics are those of the Cell Tracking Challenge, and more. The table shows the main ones, --json all
    of them. Points and links (a GEFF, a folder of them, a submission to the embryo competition of 2026) are scored by
    the metrics of this competition against a ground truth that may be sparse.
    """
    pairs = _pair_folders(folders, truth)
    limits = dict(map(_parse_limit, require))
    if _are_points(pairs, points=(gate, total) != (None, None)):
        if out is not None:
            raise click.UsageError("--errors is for masks with tracks; points are scored without it")  # noqa: EM101
        score_points(*pairs[0], gate=gate, total=total, spacing=spacing, limits=limits, as_json=as_json)
        return
    if spacing is not None:
        raise click.UsageError("--spacing is for points; masks are compared in pixels")  # noqa: EM101
    from gnntrack.evaluate.tracking import (
        SUMMARY,
        average_scores,
        evaluate_sequences,
        explain_undefined,
        name_sequences,
    )

    report = None if out is None else _find_errors(pairs, out, overwrite=overwrite)
    scores = evaluate_sequences(pairs) if report is None else {name_sequences([folders[0]])[0]: report.scores}
    check_limits(limits, next(iter(scores.values())))
    if report is not None and out is not None:
        report.write(out, overwrite=overwrite)
    if as_json:
        kinds = {} if report is None else {"errors": report.summarise()}
        click.echo(json.dumps({name: {**each, **kinds} for name, each in scores.items()}, indent=2))
    else:
        _show_scores({**scores, "mean": average_scores(scores)} if len(scores) > 1 else scores, SUMMARY)
        for note in explain_undefined(scores):
            click.echo(note)
        if report is not None and out is not None:
            show_errors(report, out)
    end_below_limits(limits, scores)


def _pair_folders(folders: tuple[Path, ...], truth: Path | None) -> list[tuple[Path, Path]]:
    """Return results with their ground truths."""
    example = describe_example(click.get_current_context())
    if truth is not None:
        if len(folders) > 1:
            message = f"--truth is the ground truth of one RES; received {count_noun(len(folders), 'path')}{example}"
            raise click.UsageError(message)
        return [(folders[0], truth)]
    if len(folders) % 2:
        n = count_noun(len(folders), "folder")
        message = f"results and truths come in pairs; received {n}{example}"
        raise click.UsageError(message)
    return list(zip(folders[::2], folders[1::2], strict=True))


def _find_errors(pairs: list[tuple[Path, Path]], out: Path, *, overwrite: bool) -> ErrorReport:
    """Return the errors of the only result, after a check that they can be written."""
    from gnntrack.evaluate.error_report import check_error_place, find_errors
    from gnntrack.io.output import try_output

    if len(pairs) > 1:
        message = f"--errors lists the errors of one RES; received {count_noun(len(pairs), 'pair')} of folders"
        raise click.UsageError(message)
    check_error_place(out)
    try_output(out, overwrite=overwrite)
    return find_errors(*pairs[0])


def _are_points(pairs: list[tuple[Path, Path]], *, points: bool) -> bool:
    """Return whether results are scored as points; these are one pair."""
    from gnntrack.evaluate.graphs import compares_graphs

    found = points or any(compares_graphs(*pair) for pair in pairs)
    if found and len(pairs) > 1:
        message = "points of several movies are scored at once as a folder or a submission: RESULTS --truth TRUTHS"
        raise click.UsageError(message)
    return found


@click.command(cls=GroupedCommand)
@path_argument("result")
@path_argument("truth")
@click.option(
    "--partial",
    is_flag=True,
    help="Not all cells are annotated: ignore cells of RESULT that touch no cell of TRUTH.",
)
@click.option(
    "--margin",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Pixels along the border outside the field of interest: cells that lie there entirely are ignored.",
)
@click.option(
    "--fragments",
    type=click.Choice(["keep", "split"]),
    default="keep",
    show_default=True,
    help="split: in an image with one value, a binary mask, each piece is a cell.",
)
@json_option
@verbose_option
def evaluate_segmentation(
    result: Path, truth: Path, *, partial: bool, margin: int, fragments: Literal["keep", "split"], as_json: bool
) -> None:
    """Score the masks RESULT against TRUTH, each a folder of label images (TIFF, PNG) or one file.

    TRUTH may be 01_GT or 01_ST, of which SEG is used; other images are paired by name. Labels need not agree. --json
    has the scores of each image, too.
    """
    from gnntrack.evaluate import segmentation

    with show_progress() as progress:
        report = segmentation.evaluate_segmentation(
            result, truth, partial=partial, margin=margin, fragments=fragments, progress=progress
        )
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
        return
    total, mean = report.total, report.mean
    effect = "ignored" if partial else "counted as false; --partial ignores them"
    cells = f"{total.truth_cells} in the truth, {total.result_cells} in the result"
    lone = f"{total.lone_cells} of the result touch none of the truth, {effect}"
    show_rows([("images", len(report.images)), ("cells", cells), *[("", lone)] * (total.lone_cells > 0)])
    scores = [[name, format_score(value), format_score(mean[name])] for name, value in total.scores().items()]
    show_table(["", "in all", "mean of images"], scores)
    if total.seg is None:
        click.echo("- SEG is not defined: the truth has no cell")


@click.command(cls=GroupedCommand)
@path_argument("result")
@click.option("--images", type=click.Path(path_type=Path), help="The images, to compare number and size of the frames.")
@json_option
@verbose_option
def validate(result: Path, images: Path | None, *, as_json: bool) -> None:
    """Report every rule of the CTC format that the folder RESULT breaks; exit code 1 if there is one."""
    from gnntrack.io.ctc_validate import validate_ctc

    problems = validate_ctc(result, images=images)
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json:
        listed = [asdict(problem) for problem in problems]
        click.echo(json.dumps({"result": str(result), "valid": not errors, "problems": listed}, indent=2))
    else:
        counts = Counter[str]()
        for problem in problems:
            counts[problem.rule] += 1
            if counts[problem.rule] <= _LISTED:
                click.echo(str(problem))
        for rule, count in counts.items():
            if count > _LISTED:
                click.echo(f"[{rule}]: and {count - _LISTED} more; --json lists all")
        warnings = len(problems) - errors
        verdict = f"not valid, {count_noun(errors, 'error')}" if errors else "valid"
        more = f", {count_noun(warnings, 'warning')}" if warnings else ""
        click.echo(f"{result}: {verdict}{more}")
    if errors:
        raise click.exceptions.Exit(1)


def _parse_limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        message = f"--require takes METRIC=VALUE, such as TRA=0.95; received '{text}'"
        raise click.UsageError(message) from None


def _show_scores(scores: dict[str, dict[str, float | None]], names: Sequence[str]) -> None:
    show_table(["", *scores], [[name, *(format_score(score[name]) for score in scores.values())] for name in names])
