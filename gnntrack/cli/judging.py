"""evaluate and validate."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from gnntrack.cli.display import show_table
from gnntrack.cli.options import input_path, json_option, verbose_option

__all__ = ["evaluate", "validate"]


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
    """Score results against their truths, in pairs: the metrics of the Cell Tracking Challenge and more."""
    from gnntrack import pipeline

    if len(folders) % 2:
        raise click.UsageError(f"results and truths come in pairs; received {len(folders)} folders")  # noqa: EM102
    limits = dict(map(_limit, require))
    pairs = list(zip(folders[::2], folders[1::2], strict=True))
    scores = [pipeline.evaluate(result, truth) for result, truth in pairs]
    unknown = [name for name in limits if not any(name in score for score in scores)]
    if unknown:
        raise click.UsageError(f"there is no metric {unknown[0]}; there are: {', '.join(scores[0])}")  # noqa: EM102
    if as_json:
        sequences = [{"result": str(r), "truth": str(t), **s} for (r, t), s in zip(pairs, scores, strict=True)]
        click.echo(json.dumps(_without_nan(sequences), indent=2))
    else:
        _show_scores(pairs, scores)
    low = [
        f"{result}: {name} is {_shown(score.get(name))}, {least} is required"
        for (result, _), score in zip(pairs, scores, strict=True)
        for name, least in limits.items()
        if not _reaches(score.get(name), least)
    ]
    for line in low:
        click.echo(line, err=True)
    if low:
        raise click.exceptions.Exit(1)


@click.command()
@input_path("result")
@click.option("--images", type=click.Path(path_type=Path), help="The images, to compare number and size of the frames.")
@json_option
@verbose_option
def validate(result: Path, images: Path | None, *, as_json: bool) -> None:
    """Report every rule of the CTC format that the folder RESULT breaks; exit code 1 if there is one."""
    from gnntrack.io.ctc_validate import validate_ctc

    problems = validate_ctc(result, images=images)
    if as_json:
        listed = [{key: _plain(value) for key, value in asdict(problem).items()} for problem in problems]
        click.echo(json.dumps({"result": str(result), "valid": not problems, "problems": listed}, indent=2))
    else:
        for problem in problems:
            where = [str(problem.file)] if problem.file else []
            where += [f"frame {problem.frame}"] if problem.frame is not None else []
            click.echo(": ".join([*([", ".join(where)] if where else []), f"{problem.message} [{problem.rule}]"]))
        click.echo(f"{result}: {f'{len(problems)} problems' if problems else 'valid'}")
    if problems:
        raise click.exceptions.Exit(1)


def _limit(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        message = f"--require takes METRIC=VALUE, such as TRA=0.95; received '{text}'"
        raise click.UsageError(message) from None


def _reaches(value: Any, least: float) -> bool:
    return isinstance(value, int | float) and value >= least  # not a number reaches nothing


def _show_scores(pairs: list[tuple[Path, Path]], scores: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for score in scores for name in score))
    header = ["", *(f"{result.parent.name}/{result.name}".lstrip("/") for result, _ in pairs)]
    show_table(header, [[name, *(_shown(score.get(name)) for score in scores)] for name in names])


def _shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | bool | str | type(None)) else str(value)


def _without_nan(value: Any) -> Any:
    """Replace not-a-number by null: JSON has none."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
