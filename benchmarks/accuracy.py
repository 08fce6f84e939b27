"""Accuracy on real movies: the challenge's metrics of every method on every version of each sequence with ground truth.

``python benchmarks/accuracy.py`` writes ``results/accuracy.json`` and, beside it, the tables as Markdown. The versions
(``perturbed.py``) are written to a temporary folder. Every result is validated before it is scored.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baselines import run_baseline
from perturbed import PerturbedMovie, write_perturbed
from recall import measure_recall
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record

from gnntrack.evaluate.tracking import evaluate_sequence
from gnntrack.io.ctc_names import find_ctc
from gnntrack.io.ctc_table import parse_track_table
from gnntrack.io.ctc_validate import validate_ctc
from gnntrack.pipeline import track
from gnntrack.settings import Settings
from gnntrack.training.sequences import TrainingSequence, find_sequences

SHOWN = ("LNK", "BIO(1)", "division_f1(1)", "CHOTA", "TRA")
FIGURES = (
    *("DET", "TRA", "LNK", "CT", "TF", "BC(1)", "CCA", "BIO(1)", "OP_CLB(1)", "CHOTA"),
    *("division_precision(1)", "division_recall(1)", "division_f1(1)"),
    *("divisions", "AOGM", "AOGM_NS", "AOGM_FN", "AOGM_FP", "AOGM_ED", "AOGM_EA", "AOGM_EC"),
)
LEAST_RECALL, MOST_CANDIDATES = 0.999, 10
ORDER = ("hungarian", "greedy", "iou")  # of the columns
KOFT = json.loads((RESULTS / "koft.json").read_text(encoding="utf-8"))

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The methods, versions of movies and settings of a run."""

    methods: tuple[str, ...]
    kinds: tuple[str, ...]
    peers: tuple[str, ...]
    peer_python: str
    settings: Settings


def main() -> None:
    args = _parse_arguments()
    plan = Plan(
        tuple(args.methods.split(",")),
        tuple(args.twins.split(",")),
        tuple(filter(None, args.peers.split(","))),
        args.peer_python,
        Settings.from_toml(args.config) if args.config else Settings(),
    )
    sequences = [each for each in find_sequences(args.data) if args.only.lower() in each.name.lower()]
    if not sequences:
        sys.exit(f"{args.data}: no sequence with truth (DATASET/NN_GT/TRA/man_track.txt) named like '{args.only}'")
    record = {**describe_run(), "settings": plan.settings.to_dict(plain=True), "rows": [], "recall": []}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(args.work or temporary)
        _compile_once(sequences[0], work, plan)
        for sequence in sequences:
            for kind in plan.kinds:
                run_version(sequence, kind, work, plan, record)
                write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))


def run_version(sequence: TrainingSequence, kind: str, work: Path, plan: Plan, record: dict[str, Any]) -> None:
    """Run all methods on one version of a movie, and add their rows to the record."""
    name = {"sequence": sequence.name, "twin": kind}
    with tempfile.TemporaryDirectory(dir=work) as folder:
        twin = write_perturbed(sequence, Path(folder), kind)
        recall = measure_recall(twin.images, twin.masks, twin.truth, settings=plan.settings)
        record["recall"].append({**name, **recall})
        for method in (*plan.methods, *plan.peers):
            out = Path(folder) / method / f"{sequence.number}_RES"
            try:
                measured = (
                    run_baseline(twin, out, method, plan.peer_python, dataset=sequence.dataset)
                    if method in plan.peers
                    else run_ours(twin, out, method, plan.settings)
                )
                row = {**name, "method": method, **measured, **score_result(out, twin)}
            except Exception as error:  # noqa: BLE001
                # a method that fails has a row too, so that the results of the others are not lost
                row = {**name, "method": method, "failed": f"{type(error).__name__}: {error}"}
            record["rows"].append(row)
            print(format_line(row), flush=True)


def run_ours(twin: PerturbedMovie, out: Path, method: str, settings: Settings) -> Row:
    """Run a method of ours; ``method+solver`` replaces its solver."""
    method, _, solver = method.partition("+")
    start = time.perf_counter()
    lineage = track(twin.images, twin.masks, out=out, method=method, solver=solver or None, settings=settings)
    seconds = time.perf_counter() - start
    known = lineage.provenance.as_dict()
    notes = {key: known[key] for key in ("gaps_bridged", "gaps_filled", "masks_parted") if key in known}
    return {"seconds": round(seconds, 2), "frames": twin.frames, "cells": len(lineage.cells), "notes": notes}


def score_result(result: Path, twin: PerturbedMovie) -> Row:
    """Validate a result, and score it against the ground truth."""
    problems = validate_ctc(result, images=twin.images)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    checked: Row = {"errors": len(errors), "first_errors": [error.rpartition(": ")[2] for error in errors[:3]]}
    scores = evaluate_sequence(result, twin.truth, seg=False)
    table_file = find_ctc(result).table
    tracks = len(parse_track_table(table_file).rows) if table_file else 0
    return {**checked, "tracks": tracks, "figures": {name: scores.get(name) for name in FIGURES}}


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    rows = {(row["sequence"], row["twin"], row["method"]): row for row in record["rows"]}
    known = dict.fromkeys(method for *_, method in rows)
    methods = sorted(known, key=lambda method: ORDER.index(method) if method in ORDER else len(ORDER))
    lines = []
    for sequence, kind in dict.fromkeys((sequence, kind) for sequence, kind, _ in rows):
        koft = KOFT["rows"].get(sequence, {}).get(kind)
        mine = [format_cell(rows.get((sequence, kind, method)), koft) for method in methods]
        theirs = " / ".join(format_number(value) for value in koft[: len(SHOWN)]) if koft else ""
        lines.append([f"{sequence}, {kind}", mine[0], theirs, *mine[1:]])
    parts = [
        "# Accuracy",
        format_circumstances(record),
        "Each cell: LNK / BIO(1) / division F1 within 1 frame / CHOTA / TRA. **Bold**: at least as good as KOFT. "
        "The column *KOFT* holds figures that were measured before, see `koft.json`; every other column was measured "
        "in this run.",
        format_table(["sequence, twin", methods[0], "KOFT", *methods[1:]], lines),
        *[_count_reached(rows, method) for method in methods],
        _describe_faults(record["rows"]),
        "## Candidates",
        "Recall: links of the truth to the next frame that are candidates, all and those to daughters only; over gaps: "
        "links over a frame without a mask. Candidates a cell: in all, and to the next frame.",
        _format_recall(record["recall"]),
        _count_recalled(record["recall"]),
    ]
    return "\n\n".join(part for part in parts if part)


def format_cell(row: Row | None, koft: list[float | None] | None) -> str:
    if row is None:
        return ""
    if "failed" in row:
        return "failed"
    bounds = koft[: len(SHOWN)] if koft else [None] * len(SHOWN)
    values = [row["figures"][name] for name in SHOWN]
    return " / ".join(
        f"**{format_number(value)}**" if is_at_least(value, bound) else format_number(value)
        for value, bound in zip(values, bounds, strict=True)
    )


def is_at_least(value: float | None, bound: float | None) -> bool:
    return value is not None and bound is not None and round(value, 4) >= bound


def _count_reached(rows: dict[tuple[str, str, str], Row], method: str) -> str:
    """Return the number of figures of a method that are at least as good as KOFT's, and the others, as text."""
    good, short = 0, []
    for (sequence, kind, other), row in rows.items():
        koft = KOFT["rows"].get(sequence, {}).get(kind)
        if other != method or koft is None or "figures" not in row:
            continue
        for name, bound in zip(SHOWN, koft, strict=False):
            if bound is None:
                continue
            if is_at_least(row["figures"][name], bound):
                good += 1
            else:
                short.append(f"{sequence} {kind} {name} {format_number(row['figures'][name])} ({format_number(bound)})")
    if not good and not short:
        return ""
    told = f" Not: {'; '.join(short)}." if short and method == ORDER[0] else ""
    return f"`{method}`: {good} of {good + len(short)} figures are at least as good as KOFT's.{told}"


def _describe_faults(rows: list[Row]) -> str:
    failed = [f"{row['sequence']}, {row['twin']}, {row['method']}: {row['failed']}" for row in rows if "failed" in row]
    errors = sum(row.get("errors", 0) for row in rows)
    told = f"{len(rows) - len(failed)} results, {errors} errors of the format."
    return told + (f" Failed: {'; '.join(failed)}." if failed else "")


def _format_recall(rows: list[Row]) -> str:
    head = ["sequence, twin", "cells", "recall", "of divisions", "over gaps", "candidates a cell", "to the next frame"]
    return format_table(head, list(_format_recall_lines(rows)))


def _format_recall_lines(rows: list[Row]) -> Iterator[list[str]]:
    for row in rows:
        shares = [row["recall"], row["recall_of_divisions"], row["recall_over_gaps"]]
        counts = [row["candidates_per_cell"], row["candidates_per_cell_to_the_next_frame"]]
        numbers = ["-" if each is None else f"{each:.2f}" for each in counts]
        yield [
            f"{row['sequence']}, {row['twin']}",
            str(row["cells"]),
            *(format_number(share, 5) for share in shares),
            *numbers,
        ]


def _count_recalled(rows: list[Row]) -> str:
    short = [
        f"{row['sequence']} {row['twin']}"
        for row in rows
        if (row["recall"] or 0) < LEAST_RECALL or (row["candidates_per_cell"] or 0) > MOST_CANDIDATES
    ]
    told = f" Not: {', '.join(short)}." if short else ""
    limit = f"{format_number(LEAST_RECALL, 3)} at no more than {MOST_CANDIDATES} candidates a cell"
    return f"A recall of {limit}: {len(rows) - len(short)} of {len(rows)}.{told}"


def format_number(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}".removeprefix("0")


def format_line(row: Row) -> str:
    name = f"{row['sequence']:28s} {row['twin']:6s} {row['method']:10s}"
    if "failed" in row:
        return f"{name} failed: {row['failed']}"
    return f"{name} {row['seconds']:7.2f} s  {' / '.join(format_number(row['figures'][each]) for each in SHOWN)}"


def _compile_once(sequence: TrainingSequence, work: Path, plan: Plan) -> None:
    """Track a short movie once, so that compiled code is loaded before any row is timed."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        twin = write_perturbed(sequence, Path(folder), "skip16")
        for method in plan.methods:
            run_ours(twin, Path(folder) / method, method, plan.settings)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--methods", default=",".join(ORDER))
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="sequences whose name contains this, such as 'HeLa 01'")
    parser.add_argument("--peers", default="", help="of koft, laptrack, btrack: run in the same run")
    parser.add_argument(
        "--peer-python", default=sys.executable, help="Python interpreters with the peers, separated by commas"
    )
    parser.add_argument("--config", type=Path, help="settings as TOML; default: the default settings")
    parser.add_argument("--work", type=Path, help="folder for versions and results of a run; default: a temporary one")
    parser.add_argument("--out", type=Path, default=RESULTS / "accuracy.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
