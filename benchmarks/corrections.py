"""What corrections of a person are worth: errors before and after the first edits from the top of the review list.

The ground truth is the reviewer (``reviewer.py``): from the first place of the review list on it makes the edits that
the truth implies, until the number of edits is reached; a confirmation of what is right is an edit too. Then the movie
is solved around these edits, and scored. ``python benchmarks/corrections.py`` writes ``results/corrections.json`` and
its table; the versions of the movies are those of ``accuracy.py``.

``--places`` prints, for each kind of place, the fraction of places that were wrong. Those of all movies but N2DL-HeLa
are the source of the fixed doubts in `gnntrack.lineage.doubts`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perturbed import PerturbedMovie, write_perturbed
from record import (
    RESULTS,
    describe_run,
    format_circumstances,
    format_table,
    get_default_data,
    replace_row,
    write_record,
)
from reviewer import Reviewer, list_edits

from gnntrack.corrections import apply_edits
from gnntrack.evaluate.tracking import evaluate_sequence
from gnntrack.lineage.doubts import Doubt, list_doubts
from gnntrack.lineage.edits import Edit, EditList
from gnntrack.pipeline import track
from gnntrack.training.sequences import TrainingSequence, find_sequences
from gnntrack.user_warnings import GnntrackWarning

TOP = (20, 50)  # places of which the precision is measured
KEY = ("sequence", "twin", "method")
FIGURES = ("LNK", "TRA", "division_f1(1)", "AOGM_ED", "AOGM_EA", "AOGM_EC")

Row = dict[str, Any]


def main() -> None:
    args = _parse_arguments()
    if args.places:
        print(format_places(json.loads(args.out.read_text(encoding="utf-8"))["rows"]))
        return
    warnings.simplefilter("ignore", GnntrackWarning)  # of poor masks, in versions that are poor on purpose
    rows: list[Row] = json.loads(args.out.read_text(encoding="utf-8"))["rows"] if args.out.exists() else []
    sequences = [each for each in find_sequences(args.data) if args.only.lower() in each.name.lower()]
    for sequence in sequences:
        for kind in args.twins.split(","):
            for row in measure_version(sequence, kind, args.methods.split(","), args.edits):
                rows = replace_row(rows, KEY, row)
                record = {
                    **describe_run(),
                    "edits": args.edits,
                    "rows": sorted(rows, key=lambda r: [r[k] for k in KEY]),
                }
                write_record(args.out, record, format_markdown(record))
                print({name: row[name] for name in (*KEY, "fall", "edits", "looked", "precision")}, flush=True)


def measure_version(sequence: TrainingSequence, kind: str, methods: Sequence[str], most: int) -> list[Row]:
    """Return a row for each method on one version of a movie."""
    with tempfile.TemporaryDirectory() as folder:
        movie = write_perturbed(sequence, Path(folder), kind)
        names = {"sequence": sequence.name, "twin": kind}
        return [
            {**names, "method": method, **measure_method(movie, Path(folder, method), sequence.number, method, most)}
            for method in methods
        ]


def measure_method(movie: PerturbedMovie, folder: Path, number: str, method: str, most: int) -> Row:
    """Track a movie, correct the result, and return the errors before and after."""
    first = folder / f"{number}_RES"
    track(movie.images, movie.masks, out=first, method=method, pictures=False)
    reviewer = Reviewer.read(first, movie.truth)
    doubts = list_doubts(reviewer.lineage)
    edits, looked = list_edits(reviewer, most=most, doubts=doubts)
    before = _score(first, movie)
    after = _correct(first, edits, folder / "edited", movie)
    told = [edit for edit in list_edits(reviewer, most=len(doubts) * 2, doubts=doubts)[0] if edit.kind != "confirm"]
    unconfirmed = after if Counter(edit.kind for edit in edits)["confirm"] == 0 else None
    unconfirmed = unconfirmed or _correct(first, told[:most], folder / "unconfirmed", movie)
    wrong = [_is_wrong(reviewer.review(doubt)) for doubt in doubts]
    return {
        "cells": len(reviewer.lineage.cells),
        "before": before,
        "after": after,
        "fall": _compute_fall(before, after),
        "fall_without_confirmations": _compute_fall(before, unconfirmed),
        "edits": dict(Counter(edit.kind for edit in edits)),
        "looked": looked,
        "listed": len(doubts),
        "precision": {str(top): sum(wrong[:top]) / len(wrong[:top]) if wrong else None for top in TOP},
        "places": _count_places(doubts, wrong),
    }


def _correct(first: Path, edits: Sequence[Edit], folder: Path, movie: PerturbedMovie) -> dict[str, float | None]:
    if not edits:
        return _score(first, movie)
    out = folder / first.name
    corrected = apply_edits(first, EditList(tuple(edits)), out=out)
    for edit, reason in corrected.refused:
        print(f"refused: {edit}: {reason}")
    return _score(out, movie)


def _score(result: Path, movie: PerturbedMovie) -> dict[str, float | None]:
    scores = evaluate_sequence(result, movie.truth, seg=False)
    return {name: scores[name] for name in FIGURES}


def _compute_fall(before: dict[str, Any], after: dict[str, Any]) -> float | None:
    """Return the fraction by which 1 - LNK falls; None if there is no error before."""
    error = 1 - before["LNK"]
    return (after["LNK"] - before["LNK"]) / error if error > 0 else None


def _is_wrong(edits: Sequence[Edit]) -> bool:
    return any(edit.kind != "confirm" for edit in edits)


def _count_places(doubts: Sequence[Doubt], wrong: Sequence[bool]) -> dict[str, list[float]]:
    """Return, for each kind and tenth of doubt, the number of places, of wrong ones, and the sum of the doubts."""
    found: dict[str, list[float]] = {}
    for doubt, is_wrong in zip(doubts, wrong, strict=True):
        place = found.setdefault(f"{doubt.kind} {int(doubt.doubt * 10 + 1e-9) / 10:.1f}", [0, 0, 0.0])
        place[0] += 1
        place[1] += is_wrong
        place[2] = round(place[2] + doubt.doubt, 4)
    return dict(sorted(found.items()))


def format_places(rows: Sequence[Row]) -> str:
    """Return a table of the kinds of places, of all movies but N2DL-HeLa and of N2DL-HeLa."""
    lines = []
    tested = [[row for row in rows if ("HeLa" in row["sequence"]) == hela] for hela in (False, True)]
    for name in sorted({name for row in rows for name in row["places"]}):
        line = [name]
        for group in tested:
            counts = [row["places"][name] for row in group if name in row["places"]]
            n, wrong, doubt = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
            line += [str(n), f"{doubt / n:.2f}", f"{wrong / n:.2f}"] if n else ["0", "", ""]
        lines.append(line)
    head = ["kind, doubt", "others: places", "mean doubt", "wrong", "HeLa: places", "mean doubt", "wrong"]
    return format_table(head, lines)


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of a record."""
    lines = []
    for row in record["rows"]:
        number = sum(row["edits"].values())
        errors = [f"{1 - row[when]['LNK']:.4f}" for when in ("before", "after")]
        falls = ["-" if row[name] is None else f"{row[name]:.0%}" for name in ("fall", "fall_without_confirmations")]
        precision = ["-" if row["precision"][str(top)] is None else f"{row['precision'][str(top)]:.0%}" for top in TOP]
        name = f"{row['sequence']}, {row['twin']}, {row['method']}"
        lines.append(
            [name, *errors, *falls, f"{number} ({row['edits'].get('confirm', 0)})", str(row["looked"]), *precision]
        )
    head = ["movie", "1 - LNK", "corrected", "fall", "fall, all corrections", "edits (confirmations)", "places"]
    parts = [
        "# Corrections",
        format_circumstances(record),
        f"At most {record['edits']} edits from the top of the review list. *Fall, all corrections*: with as many edits "
        "of which none is a confirmation. *Top 20, 50*: fraction of the first places that are wrong.",
        format_table([*head, "top 20", "top 50"], lines),
    ]
    return "\n\n".join(parts)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--methods", default="hungarian,gnn")
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="sequences whose name contains this, such as 'HeLa 01'")
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS / "corrections.json", help="rows in it are kept")
    parser.add_argument("--places", action="store_true", help="print the fractions of wrong places of --out, and stop")
    return parser.parse_args()


if __name__ == "__main__":
    main()
