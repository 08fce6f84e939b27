"""The command submit."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gnntrack.cli import options
from gnntrack.cli.display import format_bytes, show_rows, show_table
from gnntrack.cli.examples import EXAMPLES
from gnntrack.cli.help_groups import GroupedCommand
from gnntrack.cli.resume import resume_option
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from gnntrack.io.ctc_validate import Problem
    from gnntrack.submission.checking import SequenceReport, SubmissionReport
    from gnntrack.submission.datasets import Benchmark

__all__ = ["submit"]

_LISTED = 10  # problems of one rule and one script


@click.command(cls=GroupedCommand)
@click.argument("datasets", metavar="[DATASET]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The folder to make, SW.")
@click.option(
    "--benchmark",
    type=click.Choice(["linking", "tracking"]),
    help="linking: masks are given in 01_ERR_SEG; tracking: from images.  [default: linking, or that of --check]",
)
@click.option("--check", type=click.Path(path_type=Path), metavar="SW", help="Check the submission SW.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="With --check: folder of the data sets.  [default: the folder that holds SW]",
)
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="With --check: folder to make for the valid results, DATASET/NN_RES, which are sent as well.",
)
@click.option("--time-limit", metavar="TIME", help="With --check: time that a script may take, such as 2h.")
@options.method_options
@click.option("--model", type=click.Path(path_type=Path), metavar="PATH", help="Model of --method gnn or auto.")
@options.segmenter_options
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings file for all data sets, or a folder with DATASET.toml for each.",
)
@options.overwrite_option
@resume_option()
@options.json_option
@options.verbose_option
def submit(
    datasets: tuple[Path, ...],
    out: Path | None,
    benchmark: Benchmark | None,
    check: Path | None,
    data: Path | None,
    results: Path | None,
    time_limit: str | None,
    **choices: Any,
) -> None:
    """Write a submission to the Cell Tracking Challenge, or check one.

    'gnntrack submit DATASET... -o SW' writes the folder SW. DATASET is a folder with 01 and 02, or the name of a data
    set of the challenge.

    'gnntrack submit --check SW' runs the scripts of SW as the organisers do, on copies of the data, and validates the
    results; exit code 1 if a rule is broken. docs/submit.md has more.
    """
    if check is None:
        _refuse_options(data=data, results=results, time_limit=time_limit, json=choices.pop("as_json") or None)
        _write(datasets, out, benchmark, choices)
    else:
        _refuse_with_check(datasets, out)
        _check(check, time_limit, as_json=choices["as_json"], data=data, benchmark=benchmark, results=results)


def _refuse_options(**given: object) -> None:
    for name, value in given.items():
        if value is not None:
            message = f"--{name.replace('_', '-')} belongs to --check SW; omit it, or give --check SW"
            raise click.UsageError(message)


def _refuse_with_check(datasets: Sequence[Path], out: Path | None) -> None:
    """Refuse the options of a new submission."""
    context = click.get_current_context()
    names = ("method", "solver", "model", "segmenter", "segmenter_options", "diameter", "kind", "config", "overwrite")
    given = [name for name in names if context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE]
    if datasets or out is not None or given:
        first = str(datasets[0]) if datasets else "-o" if out is not None else f"--{given[0]}"
        message = f"--check SW checks a folder that is there, and {first} is for a new one; omit one of the two"
        raise click.UsageError(message)


def _write(datasets: Sequence[Path], out: Path | None, benchmark: Benchmark | None, choices: dict[str, Any]) -> None:
    from gnntrack.submitting import Tracker, write_submission

    if not datasets or out is None:
        message = f"give data sets and the folder to make, or --check SW; type, for example: {EXAMPLES['submit']}"
        raise click.UsageError(message)
    config, overwrite = choices.pop("config"), choices.pop("overwrite")
    scripts = write_submission(
        datasets, out, benchmark=benchmark or "linking", tracker=Tracker(**choices), config=config, overwrite=overwrite
    )
    show_rows(
        [
            ("scripts", ", ".join(scripts)),
            ("written", f"{out}: scripts, settings, install.sh, the wheel of gnntrack, README.md"),
            ("next", f"write your names into {out / 'README.md'}"),
            ("", f"gnntrack submit --check {shlex.quote(str(out))} --data FOLDER"),
        ]
    )


def _check(folder: Path, time_limit: str | None, *, as_json: bool, **choices: Any) -> None:
    from gnntrack.durations import parse_duration
    from gnntrack.submitting import check_submission

    try:
        limit = None if time_limit is None else parse_duration(time_limit)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--time-limit") from error
    result = check_submission(folder, time_limit=limit, report=None if as_json else _announce, **choices)
    if as_json:
        click.echo(json.dumps(result.as_dict(), indent=2))
    else:
        _show(folder, result)
    if not result.is_valid:
        raise click.exceptions.Exit(1)


def _announce(sequence: SequenceReport) -> None:
    click.echo(f"{sequence.script}: {'valid' if sequence.is_valid else 'not valid'}", err=True)


def _show(folder: Path, result: SubmissionReport) -> None:
    metrics = list(dict.fromkeys(name for each in result.sequences for name in each.scores or ()))
    rows = [[each.script, *_describe_run(each), *_format_scores(each, metrics)] for each in result.sequences]
    show_table(["", "exit code", "time", "memory", "valid", *metrics], rows)
    click.echo()
    network = "blocked" if result.network_blocked else "not blocked: this system does not allow it"
    show_rows([("benchmark", result.benchmark), ("Python", result.environment), ("network", network)])
    problems = [*result.problems, *(problem for each in result.sequences for problem in each.problems)]
    _show_problems(problems)
    errors = sum(problem.severity == "error" for problem in problems)
    verdict = f"not valid, {count_noun(errors, 'error')}" if errors else "valid"
    warnings = len(problems) - errors
    click.echo(f"{folder}: {verdict}" + (f", {count_noun(warnings, 'warning')}" if warnings else ""))


def _show_problems(problems: Sequence[Problem]) -> None:
    counts = Counter[tuple[str, str]]()
    for problem in problems:
        key = (problem.rule, str(problem.file).rpartition("/")[0])
        counts[key] += 1
        if counts[key] <= _LISTED:
            click.echo(str(problem))
    for (rule, place), count in counts.items():
        if count > _LISTED:
            click.echo(f"[{rule}] {place}: and {count - _LISTED} more; --json lists all")


def _describe_run(sequence: SequenceReport) -> list[str]:
    if sequence.exit_code is None or sequence.seconds is None:
        return ["not run", "-", "-", "no"]
    valid = "yes" if sequence.is_valid else "no"
    return [str(sequence.exit_code), f"{sequence.seconds:.1f} s", format_bytes(sequence.peak_memory), valid]


def _format_scores(sequence: SequenceReport, metrics: Sequence[str]) -> list[str]:
    values = [(sequence.scores or {}).get(name) for name in metrics]
    return ["-" if value is None else f"{value:.4f}" for value in values]
