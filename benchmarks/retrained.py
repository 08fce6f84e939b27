"""Training on corrections: errors on movies that were not corrected, with and without the weights of edits.

The ground truth is the reviewer (``reviewer.py``) of one sequence of iPSC-02, of which only the masks are used.
Networks start from random weights and are trained on the corrected result; the other sequences are tracked with them.
``python benchmarks/retrained.py`` writes ``results/retrained.json``; ``readme.py`` makes the table of it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path
from typing import Any

from perturbed import PerturbedMovie, write_perturbed
from record import RESULTS, describe_run, get_default_data
from reviewer import Reviewer, list_edits

from gnntrack.corrections import apply_edits
from gnntrack.evaluate.tracking import evaluate_sequence
from gnntrack.lineage.edits import EditList
from gnntrack.pipeline import track
from gnntrack.settings import Settings
from gnntrack.training import links
from gnntrack.training.run import TrainingRun
from gnntrack.training.sequences import find_sequences
from gnntrack.user_warnings import GnntrackWarning

DATASET, STEPS = "iPSC-02", 100
TRIALS = (("01", 20), ("01", 100), ("03", 50))  # the corrected sequence, and at most this many edits
WEIGHTS = {"weighted": {}, "unweighted": {"train__edited_weight": 1.0, "train__unconfirmed_weight": 1.0}}

Row = dict[str, Any]


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--out", type=Path, default=RESULTS / "retrained.json")
    args = parser.parse_args()
    warnings.simplefilter("ignore", GnntrackWarning)  # of links that are worse without images
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sequences = [each for each in find_sequences(args.data) if each.name.startswith(DATASET)]
        movies = {each.number: write_perturbed(each, folder / each.number, "plain") for each in sequences}
        plain = {number: measure_error(movie, folder / "plain" / number) for number, movie in movies.items()}
        rows: list[Row] = []
        for trial, (corrected, most) in enumerate(TRIALS):
            others = {number: movie for number, movie in movies.items() if number != corrected}
            found = measure_trial(movies[corrected], others, folder / f"trial{trial}", most)
            rows += [{"corrected": corrected, "hungarian": plain[row["tracked"]], **row} for row in found]
    for row in rows:
        print(row)
    record = {**describe_run(), "dataset": DATASET, "steps": STEPS, "rows": rows}
    args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure_trial(movie: PerturbedMovie, others: dict[str, PerturbedMovie], folder: Path, most: int) -> list[Row]:
    """Correct a movie, train on it, and return the errors on the other movies."""
    first, corrected = folder / "first" / "01_RES", folder / "corrected" / "01_RES"
    track(movie.images, movie.masks, out=first, pictures=False)
    edits, _ = list_edits(Reviewer.read(first, movie.truth), most=most)
    apply_edits(first, EditList(tuple(edits)), out=corrected)
    rows: dict[str, Row] = {number: {"edits": len(edits), "tracked": number} for number in others}
    for name, weights in WEIGHTS.items():
        model = folder / name
        links.train([corrected], TrainingRun(model), settings=Settings().replace(train__steps=STEPS, **weights))
        for number, other in others.items():
            rows[number][name] = measure_error(other, folder / f"{name}-{number}", method="gnn", model=model)
    return list(rows.values())


def measure_error(movie: PerturbedMovie, folder: Path, **options: Any) -> float:
    """Track a movie, and return 1 - LNK."""
    out = folder / "01_RES"
    track(movie.images, movie.masks, out=out, pictures=False, **options)
    lnk = evaluate_sequence(out, movie.truth, seg=False)["LNK"]
    assert lnk is not None  # the ground truth has links
    return 1 - lnk


if __name__ == "__main__":
    main()
