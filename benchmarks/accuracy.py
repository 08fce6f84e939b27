"""Accuracy on real movies: every sequence with truth x twin x method -> the challenge's metrics.

``python benchmarks/accuracy.py`` writes ``results/accuracy.json`` and, next to it, the tables as Markdown. The twins
(``twins.py``) are made in a temporary folder. Every result is checked against the format before it is scored.
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

from recall import candidate_recall
from record import RESULTS, about, circumstances, default_data, table, write
from rivals import rival
from twins import Twin, write_twin

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
    """What is to be run."""

    methods: tuple[str, ...]
    kinds: tuple[str, ...]
    peers: tuple[str, ...]
    peer_python: str
    settings: Settings


def main() -> None:
    args = _arguments()
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
    record = {**about(), "settings": plan.settings.model_dump(mode="json"), "rows": [], "recall": []}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(args.work or temporary)
        _warm_up(sequences[0], work, plan)
        for sequence in sequences:
            for kind in plan.kinds:
                run_twin(sequence, kind, work, plan, record)
                write(args.out, record, markdown(record))
    print(markdown(record))


def run_twin(sequence: TrainingSequence, kind: str, work: Path, plan: Plan, record: dict[str, Any]) -> None:
    """Run all methods on one twin, and add what was measured to the record."""
    name = {"sequence": sequence.name, "twin": kind}
    with tempfile.TemporaryDirectory(dir=work) as folder:
        twin = write_twin(sequence, Path(folder), kind)
        recall = candidate_recall(twin.masks, twin.images, twin.truth, settings=plan.settings)
        record["recall"].append({**name, **recall})
        for method in (*plan.methods, *plan.peers):
            out = Path(folder) / method / f"{sequence.number}_RES"
            try:
                measured = (
                    rival(twin, out, method, plan.peer_python)
                    if method in plan.peers
                    else ours(twin, out, method, plan.settings)
                )
                row = {**name, "method": method, **measured, **scored(out, twin)}
            except Exception as error:  # noqa: BLE001
                # one method that fails is a row of the table too, and the hours of the others are kept
                row = {**name, "method": method, "failed": f"{type(error).__name__}: {error}"}
            record["rows"].append(row)
            print(line(row), flush=True)


def ours(twin: Twin, out: Path, method: str, settings: Settings) -> Row:
    """Run a method of ours, ``method+solver`` with another solver than its own."""
    method, _, solver = method.partition("+")
    start = time.perf_counter()
    lineage = track(twin.masks, twin.images, out=out, method=method, solver=solver or None, settings=settings)
    seconds = time.perf_counter() - start
    known = lineage.provenance.as_dict()
    notes = {key: known[key] for key in ("gaps_bridged", "gaps_filled", "masks_parted") if key in known}
    return {"seconds": round(seconds, 2), "frames": twin.frames, "cells": len(lineage.cells), "notes": notes}


def scored(result: Path, twin: Twin) -> Row:
    """Check a result, and score it against the truth."""
    problems = validate_ctc(result, images=twin.images)
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    checked: Row = {"errors": len(errors), "first_errors": [error.rpartition(": ")[2] for error in errors[:3]]}
    scores = evaluate_sequence(result, twin.truth, seg=False)
    table_file = find_ctc(result).table
    tracks = len(parse_track_table(table_file).rows) if table_file else 0
    return {**checked, "tracks": tracks, "figures": {name: scores.get(name) for name in FIGURES}}


def markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    rows = {(row["sequence"], row["twin"], row["method"]): row for row in record["rows"]}
    known = dict.fromkeys(method for *_, method in rows)
    methods = sorted(known, key=lambda method: ORDER.index(method) if method in ORDER else len(ORDER))
    lines = []
    for sequence, kind in dict.fromkeys((sequence, kind) for sequence, kind, _ in rows):
        koft = KOFT["rows"].get(sequence, {}).get(kind)
        mine = [cell(rows.get((sequence, kind, method)), koft) for method in methods]
        theirs = " / ".join(text(value) for value in koft[: len(SHOWN)]) if koft else ""
        lines.append([f"{sequence}, {kind}", mine[0], theirs, *mine[1:]])
    parts = [
        "# Accuracy",
        circumstances(record),
        "Each cell: LNK / BIO(1) / division F1 within 1 frame / CHOTA / TRA. **Bold**: at least as good as KOFT. "
        "The column *KOFT* holds figures that were measured before, see `koft.json`; every other column was measured "
        "in this run.",
        table(["sequence, twin", methods[0], "KOFT", *methods[1:]], lines),
        *[_tally(rows, method) for method in methods],
        _faults(record["rows"]),
        "## Candidates",
        "Recall: links of the truth to the next frame that are candidates, all and those to daughters only; over gaps: "
        "links over a frame without a mask. Candidates a cell: in all, and to the next frame.",
        _recall_table(record["recall"]),
        _recall_tally(record["recall"]),
    ]
    return "\n\n".join(part for part in parts if part)


def cell(row: Row | None, koft: list[float | None] | None) -> str:
    if row is None:
        return ""
    if "failed" in row:
        return "failed"
    bounds = koft[: len(SHOWN)] if koft else [None] * len(SHOWN)
    values = [row["figures"][name] for name in SHOWN]
    return " / ".join(
        f"**{text(value)}**" if at_least(value, bound) else text(value)
        for value, bound in zip(values, bounds, strict=True)
    )


def at_least(value: float | None, bound: float | None) -> bool:
    return value is not None and bound is not None and round(value, 4) >= bound


def _tally(rows: dict[tuple[str, str, str], Row], method: str) -> str:
    """Return how many figures of a method are at least as good as KOFT's, and by how much the others are not."""
    good, short = 0, []
    for (sequence, kind, other), row in rows.items():
        koft = KOFT["rows"].get(sequence, {}).get(kind)
        if other != method or koft is None or "figures" not in row:
            continue
        for name, bound in zip(SHOWN, koft, strict=False):
            if bound is None:
                continue
            if at_least(row["figures"][name], bound):
                good += 1
            else:
                short.append(f"{sequence} {kind} {name} {text(row['figures'][name])} ({text(bound)})")
    if not good and not short:
        return ""
    told = f" Not: {'; '.join(short)}." if short and method == ORDER[0] else ""
    return f"`{method}`: {good} of {good + len(short)} figures are at least as good as KOFT's.{told}"


def _faults(rows: list[Row]) -> str:
    failed = [f"{row['sequence']}, {row['twin']}, {row['method']}: {row['failed']}" for row in rows if "failed" in row]
    errors = sum(row.get("errors", 0) for row in rows)
    told = f"{len(rows) - len(failed)} results, {errors} errors of the format."
    return told + (f" Failed: {'; '.join(failed)}." if failed else "")


def _recall_table(rows: list[Row]) -> str:
    head = ["sequence, twin", "cells", "recall", "of divisions", "over gaps", "candidates a cell", "to the next frame"]
    return table(head, list(_recall_lines(rows)))


def _recall_lines(rows: list[Row]) -> Iterator[list[str]]:
    for row in rows:
        shares = [row["recall"], row["recall_of_divisions"], row["recall_over_gaps"]]
        counts = [row["candidates_per_cell"], row["candidates_per_cell_to_the_next_frame"]]
        numbers = ["-" if each is None else f"{each:.2f}" for each in counts]
        yield [f"{row['sequence']}, {row['twin']}", str(row["cells"]), *(text(share, 5) for share in shares), *numbers]


def _recall_tally(rows: list[Row]) -> str:
    short = [
        f"{row['sequence']} {row['twin']}"
        for row in rows
        if (row["recall"] or 0) < LEAST_RECALL or (row["candidates_per_cell"] or 0) > MOST_CANDIDATES
    ]
    told = f" Not: {', '.join(short)}." if short else ""
    limit = f"{text(LEAST_RECALL, 3)} at no more than {MOST_CANDIDATES} candidates a cell"
    return f"A recall of {limit}: {len(rows) - len(short)} of {len(rows)}.{told}"


def text(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}".removeprefix("0")


def line(row: Row) -> str:
    name = f"{row['sequence']:28s} {row['twin']:6s} {row['method']:10s}"
    if "failed" in row:
        return f"{name} failed: {row['failed']}"
    return f"{name} {row['seconds']:7.2f} s  {' / '.join(text(row['figures'][each]) for each in SHOWN)}"


def _warm_up(sequence: TrainingSequence, work: Path, plan: Plan) -> None:
    """Track something once, so that no row pays for loading compiled code."""
    with tempfile.TemporaryDirectory(dir=work) as folder:
        twin = write_twin(sequence, Path(folder), "skip16")
        for method in plan.methods:
            ours(twin, Path(folder) / method, method, plan.settings)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--methods", default=",".join(ORDER))
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="sequences whose name holds this, such as 'HeLa 01'")
    parser.add_argument("--peers", default="", help="of koft, laptrack, btrack: run anew, next to us")
    parser.add_argument("--peer-python", default=sys.executable, help="the interpreter that has the peers")
    parser.add_argument("--config", type=Path, help="settings as TOML; the defaults where it is left out")
    parser.add_argument("--work", type=Path, help="folder for the twins and results of a run; a temporary one if not")
    parser.add_argument("--out", type=Path, default=RESULTS / "accuracy.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
