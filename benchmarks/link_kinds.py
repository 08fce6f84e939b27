"""Kinds of link errors on dense movies with clean masks: plain links and those of divisions, near divisions and far.

``python benchmarks/link_kinds.py --peer-python PYTHON`` writes ``results/link_kinds.json``, and its table as Markdown.
The labels are shuffled (`perturbed.py`, version ``plain``), and the results are matched with the ground truth as the
Cell Tracking Challenge does it. A missed link counts only if both masks are there.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import run_ours
from baselines import WRITERS, run_baseline
from perturbed import write_perturbed
from record import (
    RESULTS,
    describe_run,
    format_circumstances,
    format_table,
    get_default_data,
    sort_methods,
    write_record,
)

from gnntrack.evaluate.differences import compare_graphs
from gnntrack.evaluate.matching import TrackGraph, match_graphs
from gnntrack.evaluate.places import locate_cells
from gnntrack.evaluate.tracking import MatchedSequence, match_sequence
from gnntrack.settings import Settings
from gnntrack.training.sequences import find_sequences

SEQUENCES = ("Fluo-N2DL-HeLa 01", "PhC-C2DL-PSC 01")
NEAR, FRAMES = 3.0, 1  # median distances between neighbours, and frames, from a true division
COLUMNS = {
    "missed": "plain links missed",
    "missed_near": "near a division",
    "false daughter": "a false daughter takes part",
    "other link": "a cell has another link",
    "no link": "a cell has none",
    "wrong": "wrong plain links",
    "found_divisions": "division links found",
    "missed_divisions": "missed",
    "false_divisions": "false",
}
"""Heads of the columns of the table, by the names of the counts."""

Row = dict[str, Any]


def count_kinds(matched: MatchedSequence) -> Row:
    """Count the links of a result by kind.

    Division links lead to one of several daughters, plain links do not. A missed plain link has a reason: one of its
    cells is the parent of a false division, or a daughter of one; or has another link; or none.
    """
    known = compare_graphs(match_graphs(matched.rows, matched.truth_rows, matched.matches))
    truth, result, forks, true_forks = known.graphs.truth, known.graphs.result, known.fork, known.true_fork
    there, found, right = known.comparable, ~known.missing, np.zeros(len(known.wrong), bool)
    right[known.edge] = True
    missed = np.flatnonzero(there & ~found & ~true_forks)
    near = is_near_division(truth, true_forks, matched)
    wrong = known.wrong
    reasons = Counter(
        explain(result, forks & ~right, int(known.alone[truth.source[edge]]), int(known.alone[truth.target[edge]]))
        for edge in missed.tolist()
    )
    return {
        "plain": int((there & ~true_forks).sum()),
        "missed": len(missed),
        "missed_near": int(near[truth.target[missed]].sum()),
        **{reason: reasons[reason] for reason in ("false daughter", "other link", "no link")},
        "wrong": int((wrong & ~forks).sum()),
        "divisions": int((there & true_forks).sum()),
        "found_divisions": int((found & true_forks).sum()),
        "missed_divisions": int((there & true_forks & ~found).sum()),
        "false_divisions": int((wrong & forks).sum()),
    }


def explain(result: TrackGraph, false_forks: np.ndarray, source: int, target: int) -> str:
    """Return the reason why the link between two cells of the result is missed."""
    after, before = np.flatnonzero(result.source == source), np.flatnonzero(result.target == target)
    if false_forks[after].any() or false_forks[before].any():
        return "false daughter"
    return "other link" if len(after) and len(before) else "no link"


def is_near_division(truth: TrackGraph, forks: np.ndarray, matched: MatchedSequence) -> np.ndarray:
    """Return whether each cell of the ground truth is near a daughter of a division, in place and time, shape (V,)."""
    place = locate_cells(matched.reference, truth.frame, truth.label)
    parts = []
    for frame in np.unique(truth.frame):
        here = place[truth.frame == frame]
        if len(here) > 1:
            apart = np.linalg.norm(here[:, None] - here[None], axis=2)
            np.fill_diagonal(apart, np.inf)
            parts.append(apart.min(axis=1))
    reach = NEAR * float(np.median(np.concatenate(parts)))
    near = np.zeros(len(truth.label), bool)
    for cell in truth.target[forks]:
        some = np.flatnonzero(np.abs(truth.frame - truth.frame[cell]) <= FRAMES)
        near[some] |= np.linalg.norm(place[some] - place[cell], axis=1) < reach
    return near


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    parts = ["# Kinds of link errors", format_circumstances(record)]
    for name in dict.fromkeys(row["sequence"] for row in record["rows"]):
        rows = {row["method"]: row for row in record["rows"] if row["sequence"] == name}
        one = next(iter(rows.values()))
        lines = [[method, *(str(rows[method][key]) for key in COLUMNS)] for method in sort_methods(rows)]
        told = f"{name}: {one['plain']} plain links and {one['divisions']} division links between masks that are there."
        parts += [told, format_table(["method", *COLUMNS.values()], lines)]
    return "\n\n".join(parts)


def main() -> None:
    args = _parse_arguments()
    settings = Settings()
    record: dict[str, Any] = {**describe_run(), "settings": settings.to_dict(plain=True), "rows": []}
    wanted = args.sequences.split(",")
    sequences = [each for each in find_sequences(args.data) if each.name in wanted]
    if len(sequences) < len(wanted):
        sys.exit(f"{args.data} lacks one of {', '.join(wanted)}")
    for sequence in sequences:
        with tempfile.TemporaryDirectory() as folder:
            twin = write_perturbed(sequence, Path(folder), "plain")
            for method in args.methods.split(","):
                out = Path(folder) / method / f"{sequence.number}_RES"
                if method in WRITERS:
                    run_baseline(twin, out, method, args.peer_python, dataset=sequence.dataset)
                else:
                    run_ours(twin, out, method, settings)
                row = {"sequence": sequence.name, "method": method}
                row |= count_kinds(match_sequence(out, twin.truth, seg=False))
                record["rows"].append(row)
                print(row, flush=True)
                write_record(args.out, record, format_markdown(record))


def _parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--sequences", default=",".join(SEQUENCES))
    parser.add_argument("--methods", default="hungarian,gnn,koft")
    parser.add_argument("--peer-python", default=sys.executable, help="Python interpreter with ByoTrack")
    parser.add_argument("--out", type=Path, default=RESULTS / "link_kinds.json")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
