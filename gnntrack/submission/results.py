"""The result of a script: the rules of both evaluations, and its scores."""

from __future__ import annotations

import re
import warnings
from contextlib import redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path

from gnntrack.errors import GnntrackError
from gnntrack.io.ctc_validate import Problem, validate_ctc
from gnntrack.submission.datasets import Benchmark
from gnntrack.submission.rules import make_problem

__all__ = ["METRICS", "check_result", "compute_scores"]

METRICS: dict[str, tuple[str, ...]] = {
    "linking": ("LNK", "BIO(1)", "OP_CLB(1)"),
    "tracking": ("SEG", "TRA", "OP_CTB"),
}
"""Metrics of each benchmark, of `gnntrack.evaluate`; the last one is that of the ranking."""

_REFUSED = ("empty-frame", "empty-table")  # warnings of the validation that the evaluation of the challenge refuses
_FILE = re.compile(r"mask\d+\.tif|res_track\.txt")


def check_result(result: Path, images: Path) -> list[Problem]:
    """Return the rules of the challenge and of py-ctcmetrics that a result breaks.

    Parameters
    ----------
    result : Path
        ``NN_RES``.
    images : Path
        ``NN``: the masks have their number, their size, and the digits of their names.
    """
    extra = sorted(path.name for path in result.iterdir() if not (_FILE.fullmatch(path.name) and path.is_file()))
    problems = [
        make_problem("extra-file", "it is neither a mask nor res_track.txt", f"{result}/{name}") for name in extra
    ]
    if any(_FILE.fullmatch(name) for name in extra):  # a pipe, whose reader would wait, or a link to nothing
        return problems
    found = validate_ctc(result, images=images)
    problems += [replace(each, severity="error") if each.rule in _REFUSED else each for each in found]
    if all(each.rule not in {"no-track-table", "no-masks"} for each in found):
        refusal = _ask_ctcmetrics(result)
        problems += [make_problem("py-ctcmetrics", refusal, str(result))] * bool(refusal)
    return problems


def _ask_ctcmetrics(result: Path) -> str:
    """Return why py-ctcmetrics refuses a result, nothing if it accepts it."""
    from ctc_metrics.scripts.validate import validate_sequence

    printed = StringIO()
    try:
        with redirect_stdout(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            valid = validate_sequence(str(result), threads=1)["Valid"]
    except (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        return f"its validation fails with {type(error).__name__}: {error}"
    lines = [line.strip() for line in printed.getvalue().replace("\r", "\n").splitlines()]
    return (
        "" if valid else f"its validation refuses the result: {'; '.join(filter(None, lines[1:])) or 'no reason given'}"
    )


def compute_scores(
    result: Path, truth: Path, benchmark: Benchmark
) -> tuple[dict[str, float | None] | None, list[Problem]]:
    """Return the metrics of a result, None without ground truth, and a warning if it cannot be scored."""
    from gnntrack.evaluate.tracking import evaluate_sequence

    if not truth.is_dir():
        return None, []
    try:
        scores = evaluate_sequence(result, truth)
    except GnntrackError as error:
        return None, [make_problem("no-scores", str(error), str(truth))]
    return {name: scores[name] for name in METRICS[benchmark]}, []
