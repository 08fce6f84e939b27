"""What each source of training data is worth: networks trained without one of them, tested on movies of none of them.

``python benchmarks/sources.py --work FOLDER`` trains a network on real movies and on five families of simulated ones,
one network without each of them, and one on the real movies alone. It writes ``results/sources.json`` and the table
beside it. The test movies are real, and of data sets that no network was trained on. Errors are counted on the
candidate links, as in the validation of a training, with the costs of the CTC's LNK.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from folds import list_sequences
from kind_images import get_default_more
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record

from gnntrack.gnn.predict import make_link_scores, predict_log_odds
from gnntrack.gnn.weights import load_model
from gnntrack.settings import Settings
from gnntrack.solvers import solve
from gnntrack.training.calibration import count_mistakes
from gnntrack.training.corruption.settings import Corruption
from gnntrack.training.links import learn
from gnntrack.training.movies import TrainingMovie, open_sequence, simulate_training_movie
from gnntrack.training.run import TrainingRun
from gnntrack.training.samples import Sample, make_sample, make_samples
from gnntrack.training.sequences import find_sequences

FAMILIES = {
    "cells": ("cells",),
    "bacteria": ("colony", "channels"),
    "tissues": ("sheet", "epithelium"),
    "crawling cells": ("sparse", "amoeboid"),
    "embryos": ("cleavage",),
}
REAL, CLASSICAL, ALL, ALONE = "real movies", "classical scores", "all", "real movies alone"
TESTED = ("Fluo-N2DL-HeLa", "PhC-C2DL-PSC", "Fluo-C2DL-MSC")
FURTHER = {"Masks-EcoliAgarPad": "01", "Masks3D-Ascidian": "05"}
FRAMES = 60  # of a movie at most
VERSIONS = {
    "as it is": Corruption(),
    "every 2nd frame": Corruption(step=2),
    "with faults": Corruption(drop=0.03, merge=0.03, split=0.02, insert=0.01),
}
Row = dict[str, Any]


def main() -> int:
    """Train and test the networks."""
    args = _parse_arguments()
    torch.set_num_threads(1)
    settings = Settings().replace(train__steps=args.steps, train__variants=args.variants)
    tests = make_tests(args, settings)
    record: dict[str, Any] = {**describe_run(), "steps": args.steps, "variants": args.variants, "movies": args.movies}
    record["rows"] = [score(each, version, None, settings) | {"left_out": CLASSICAL} for each, version in tests]
    sources = make_sources(args, settings)
    trainings = {ALL: [], ALONE: list(FAMILIES)} | {name: [name] for name in sources}
    for name, left_out in trainings.items():
        folder = args.work / name.replace(" ", "-")
        shutil.rmtree(folder, ignore_errors=True)
        samples = [each for source, some in sources.items() if source not in left_out for each in some]
        learn(samples, [], TrainingRun(folder, seed=0), settings=settings)
        record["rows"] += [score(each, version, folder, settings) | {"left_out": name} for each, version in tests]
        print(name, len(samples), flush=True)
        write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))
    return 0


def make_sources(args: argparse.Namespace, settings: Settings) -> dict[str, list[Sample]]:
    """Return the samples of each source; simulated movies of a family are of its kinds in turn."""
    real = [each for each in list_sequences(args.data) if each.dataset not in TESTED]
    movies = {REAL: [open_sequence(each, settings=settings).select(0, FRAMES) for each in real]}
    for number, (name, kinds) in enumerate(FAMILIES.items()):
        seeds = range(1000 * number, 1000 * number + args.movies)
        movies[name] = [simulate_training_movie(seed, kinds[seed % len(kinds)]) for seed in seeds]
    return {name: make_samples(some, seed=1, settings=settings) for name, some in movies.items()}


def make_tests(args: argparse.Namespace, settings: Settings) -> list[tuple[Sample, str]]:
    """Return each test movie in all versions, with the name of the version."""
    sequences = [each for each in list_sequences(args.data) if each.dataset in TESTED]
    for dataset, number in FURTHER.items():
        sequences += [each for each in find_sequences(args.more / dataset) if each.number == number]
    movies: list[TrainingMovie] = [open_sequence(each, settings=settings).select(0, FRAMES) for each in sequences]
    return [
        (make_sample(movie, corruption=corruption, settings=settings), version)
        for movie in movies
        for version, corruption in VERSIONS.items()
    ]


def score(sample: Sample, version: str, model: Path | None, settings: Settings) -> Row:
    """Return the errors on a movie, of the classical scores if there is no model."""
    scores = sample.prior
    if model is not None:
        network = load_model(model).link_network
        window, part = settings.gnn.window, settings.gnn.correction
        log_odds = predict_log_odds(network, sample.inputs, links_per_window=window, correction=part)
        scores = make_link_scores(sample.inputs, sample.prior, log_odds)
    found = count_mistakes(sample, solve("triplets", sample.graph, scores, settings=settings.solver))
    return {
        "movie": sample.name,
        "version": version,
        "link_error": round(found.link_error, 5),
        "division_f1": None if not found.divisions_true else round(found.division_f1 or 0.0, 4),
    }


def format_markdown(record: Mapping[str, Any]) -> str:
    """Return the table of a record, with its circumstances."""
    parts = ["# Sources of training data", format_circumstances(record), describe_trainings(record)]
    return "\n\n".join([*parts, format_rows(record["rows"])])


def describe_trainings(record: Mapping[str, Any]) -> str:
    """Return how the networks were trained and tested, in words."""
    movies = ", ".join(dict.fromkeys(row["movie"].partition(" [")[0] for row in record["rows"]))
    return (
        f"{record['movies']} simulated movies per family, {record['variants']} versions of each movie, "
        f"{record['steps']} steps, one training each: small differences are chance. Tested on {movies}. Link error and "
        "division F1 are means over these movies; the worst loss is the largest difference of a link error from that "
        "of the classical scores."
    )


def format_rows(rows: Sequence[Row]) -> str:
    """Return the table: means over the test movies, and the largest loss against the classical scores."""
    usual = {(row["movie"], row["version"]): row["link_error"] for row in rows if row["left_out"] == CLASSICAL}
    lines = []
    for name in dict.fromkeys(row["left_out"] for row in rows):
        mine = [row for row in rows if row["left_out"] == name]
        errors = [fmean(row["link_error"] for row in mine if row["version"] == version) for version in VERSIONS]
        f1 = fmean(row["division_f1"] for row in mine if row["division_f1"] is not None)
        worst = max(row["link_error"] - usual[row["movie"], row["version"]] for row in mine)
        title = name if name in (CLASSICAL, ALL, ALONE) else f"without {name}"
        figures = [*(_shorten(each) for each in errors), _shorten(f1), "" if name == CLASSICAL else f"{worst:+.4f}"]
        lines.append([title, *figures])
    head = ["trained on", *(f"link error, {version}" for version in VERSIONS), "division F1", "worst loss"]
    return format_table(head, lines)


def _shorten(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--more", type=Path, default=get_default_more())
    parser.add_argument("--work", type=Path, required=True, help="folder for the models")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--variants", type=int, default=3)
    parser.add_argument("--movies", type=int, default=4, help="simulated movies of each family")
    parser.add_argument("--out", type=Path, default=RESULTS / "sources.json")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
