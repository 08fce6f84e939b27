"""evaluate, evaluate-segmentation and validate."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from gnntrack.cli.display import show_rows, show_table, shown_progress
from gnntrack.cli.options import input_path, json_option, verbose_option

__all__ = ["evaluate", "evaluate_segmentation", "validate"]

_LISTED = 20  # problems of one rule shown one by one


@click.command()
@click.argument("folders", metavar="RES GT [RES GT]...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--require",
    metavar="METRIC=VALUE",
    multiple=True,
    help="Exit with code 1 where a metric is below this; repeatable.",
)
@json_option
@verbose_option
def evaluate(folders: tuple[Path, ...], require: tuple[str, ...], *, as_json: bool) -> None:
    """Score results against their truths, in pairs: the metrics of the Cell Tracking Challenge and more.

    The table shows the main metrics, --json all of them.
    """
    from gnntrack.evaluate.tracking import SUMMARY, average_scores, evaluate_sequences

    if len(folders) % 2:
        raise click.UsageError(f"results and truths come in pairs; received {len(folders)} folders")  # noqa: EM102
    limits = dict(map(_limit, require))
    scores = evaluate_sequences(zip(folders[::2], folders[1::2], strict=True))
    known = next(iter(scores.values()))
    unknown = [name for name in limits if name not in known]
    if unknown:
        raise click.UsageError(f"there is no metric {unknown[0]}; there are: {', '.join(known)}")  # noqa: EM102
    if as_json:
        click.echo(json.dumps(scores, indent=2))
    else:
        _show_scores({**scores, "mean": average_scores(scores)} if len(scores) > 1 else scores, SUMMARY)
    low = [
        f"{sequence}: {name} is {_shown(score[name])}, {least} is required"
        for sequence, score in scores.items()
        for name, least in limits.items()
        if not _reaches(score[name], least)
    ]
    for line in low:
        click.echo(line, err=True)
    if low:
        raise click.exceptions.Exit(1)


@click.command()
@input_path("result")
@input_path("truth")
@click.option(
    "--partial",
    is_flag=True,
    help="The truth has not all cells: leave out cells of RESULT that touch none of TRUTH.",
)
@click.option(
    "--margin",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Pixels along the border outside the field of interest: cells that lie there altogether are left out.",
)
@json_option
@verbose_option
def evaluate_segmentation(result: Path, truth: Path, *, partial: bool, margin: int, as_json: bool) -> None:
    """Score the masks RESULT against TRUTH, each a folder of label images (TIFF, PNG) or one file.

    TRUTH may be 01_GT or 01_ST, whose SEG is taken; other images go together by name. Labels need not agree. --json
    has the scores of each image, too.
    """
    from gnntrack.evaluate import segmentation as evaluate_masks

    with shown_progress() as progress:
        report = evaluate_masks.evaluate_segmentation(result, truth, partial=partial, margin=margin, progress=progress)
    if as_json:
        click.echo(json.dumps(report.as_dict(), indent=2))
        return
    total, mean = report.total, report.mean
    fate = "left out" if partial else "counted as false; --partial leaves them out"
    cells = f"{total.truth_cells} in the truth, {total.result_cells} in the result"
    lone = f"{total.lone_cells} of the result touch none of the truth, {fate}"
    show_rows([("images", len(report.images)), ("cells", cells), *[("", lone)] * (total.lone_cells > 0)])
    scores = [[name, _shown(value), _shown(mean[name])] for name, value in total.scores().items()]
    show_table(["", "in all", "mean of images"], scores)


@click.command()
@input_path("result")
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
        told = Counter[str]()
        for problem in problems:
            told[problem.rule] += 1
            if told[problem.rule] <= _LISTED:
                click.echo(str(problem))
        for rule, count in told.items():
            if count > _LISTED:
                click.echo(f"[{rule}]: and {count - _LISTED} more; --json lists all")
        notes = len(problems) - errors
        verdict = f"not valid, {errors} errors" if errors else "valid"
        click.echo(f"{result}: {verdict}{f', {notes} warnings' if notes else ''}")
    if errors:
        raise click.exceptions.Exit(1)


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        message = f"--require takes METRIC=VALUE, such as TRA=0.95; received '{text}'"
        raise click.UsageError(message) from None


def _reaches(value: float | None, least: float) -> bool:
    return value is not None and value >= least  # what is not defined reaches nothing


def _show_scores(scores: dict[str, dict[str, float | None]], names: Sequence[str]) -> None:
    show_table(["", *scores], [[name, *(_shown(score[name]) for score in scores.values())] for name in names])


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.6f}"
