"""Spurious cells: the calibration of their probability, and what dropping them changes in the result.

``python benchmarks/spurious.py --work FOLDER`` reads the movies of `solved_movies` without spurious cells (versions
``plain``, and ``skip4``, which has every fourth frame) and with some (``debris``: 4 % of the cells are inserted, half
of them visible in the images, and 1 % are dropped). It fits the weights of `gnntrack.scores.spurious`, for classical
scores and for those of the network that comes with gnntrack, which has seen most of the real movies with other faults,
and none of the simulated ones. Each data set is tested with weights fitted on all others. It writes
``results/spurious.json`` and ``.md``, and with ``--ship`` the weights into the package. ``--effects`` also tracks each
version with and without the cells that are dropped at the default of ``repair.drop_spurious``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from confidence import FEWEST, LINK_WEIGHTS, fit_logistic, measure_reliability, ship
from perturbed import PerturbedMovie, write_frames, write_perturbed
from record import RESULTS, describe_run, format_circumstances, format_table, write_record
from scipy.special import expit
from scipy.stats import rankdata
from solved_movies import add_movie_arguments, list_movies, name_movie

from gnntrack import evaluate
from gnntrack.io.ctc import prepare_ctc
from gnntrack.io.frames import open_frames, open_masks
from gnntrack.lineage.constraints import Constraints
from gnntrack.masks.runs import draw_labels
from gnntrack.movie_candidates import MovieCandidates, read_candidates, solve_movie
from gnntrack.result_files import RunRecord
from gnntrack.scores.classical import ClassicalScorer
from gnntrack.scores.confidence import compute_log_odds
from gnntrack.scores.spurious import CELL_EVIDENCE, HIGHEST_SPURIOUS, measure_cell_evidence
from gnntrack.settings import Settings
from gnntrack.training.corruption.movie import corrupt_movie
from gnntrack.training.corruption.settings import Corruption
from gnntrack.training.sequences import TrainingSequence
from gnntrack.types import LinkScores

Numbers = npt.NDArray[Any]

FRAMES = 30  # the first of each movie
VERSIONS = "plain", "debris", "skip4"
METHODS = {"hungarian": "links", "gnn": "network"}
DEBRIS = Corruption(insert=0.04, shown=0.5, drop=0.01)
SEED = 100
HIGHEST = HIGHEST_SPURIOUS["network"]
METRICS = {"LNK": "LNK", "TRA": "TRA", "DET": "DET", "CHOTA": "CHOTA", "BIO": "BIO(1)"}


@dataclass(frozen=True)
class RatedMovie:
    """The cells of a version of a movie: evidence, and whether they are spurious."""

    scorer: str
    dataset: str
    name: str
    version: str
    evidence: Numbers
    spurious: Numbers


def main() -> None:
    args = _parse_arguments()
    movies = [movie for each in read_versions(args) for movie in rate_movie(*each)]
    fitted = {
        (scorer, name): fit([m for m in movies if m.scorer == scorer and m.dataset != name])
        for scorer, name in {(m.scorer, m.dataset) for m in movies}
    }
    said = [rate(movie.evidence, fitted[movie.scorer, movie.dataset]) for movie in movies]
    record: dict[str, Any] = {**describe_run(), "frames": FRAMES, "threshold": HIGHEST, "methods": {}}
    for method, scorer in METHODS.items():
        mine = [pair for pair in zip(movies, said, strict=True) if pair[0].scorer == scorer]
        record["methods"][method] = {
            "weights": fit([movie for movie, _ in mine]),
            "movies": [describe(*pair) for pair in mine],
            "reliability": measure_reliability(
                np.concatenate([p for _, p in mine]), np.concatenate([movie.spurious for movie, _ in mine])
            ),
        }
    write_record(args.out, record, format_markdown(record))
    if args.effects:
        mine = [(m, p) for m, p in zip(movies, said, strict=True) if m.scorer == "network"]
        changed = {(m.name, m.version) for m, p in mine if (p > HIGHEST).any()}
        found = [measure_effect(*each, fitted["network", each[0].dataset]) for each in read_versions(args, changed)]
        record["effects"] = {
            version: {
                "versions": sum(m.version == version for m, _ in mine),
                "changed": [e for e in found if e["version"] == version],
            }
            for version in VERSIONS
        }
    if args.ship and len({movie.dataset for movie in movies}) >= FEWEST:
        ship(
            {f"cell_{scorer}": record["methods"][method]["weights"] for method, scorer in METHODS.items()}, LINK_WEIGHTS
        )
    write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))


def read_versions(
    args: argparse.Namespace, only: Collection[tuple[str, str]] | None = None
) -> Iterator[tuple[TrainingSequence, str, PerturbedMovie, MovieCandidates]]:
    """Yield each version of each movie with its candidate links; `only` has names and versions."""
    for sequence in list_movies(args):
        name = name_movie(sequence)
        versions = [version for version in VERSIONS if only is None or (name, version) in only]
        if args.only not in f"{sequence.dataset} {sequence.name}" or not versions:
            continue
        with tempfile.TemporaryDirectory(dir=args.work) as folder:
            short = write_frames(sequence, Path(folder) / "start", range(FRAMES))
            for version in versions:
                written = write_debris(short, Path(folder) / version) if version == "debris" else None
                twin = written or write_perturbed(short, Path(folder) / version, version)
                run = RunRecord(twin.images, twin.masks, Settings())
                candidates = read_candidates(run, method="gnn", solver=None)
                yield sequence, version, twin, candidates


def write_debris(sequence: TrainingSequence, folder: Path) -> PerturbedMovie:
    """Write the version of a sequence with spurious cells into a new folder."""
    stacks = {"masks": open_masks(sequence.masks), "markers": open_masks(sequence.truth)}
    images = open_frames(sequence.images) if sequence.images else None
    masks, seen, markers, _ = corrupt_movie(stacks["masks"], images, stacks["markers"], corruption=DEBRIS, seed=SEED)
    number = sequence.number
    truth = folder / f"{number}_GT" / "TRA"
    for stack, place, name in (
        (masks, folder / f"{number}_ERR_SEG", "mask"),
        (seen, folder / number, "t"),
        (markers, truth, "man_track"),
    ):
        place.mkdir(parents=True)
        for t in range(0 if stack is None else len(stack)):
            frame = np.asarray(stack[t])
            tifffile.imwrite(place / f"{name}{t:03d}.tif", frame if name == "t" else frame.astype(np.uint16))
    (truth / "man_track.txt").write_bytes((sequence.truth / "man_track.txt").read_bytes())
    found = folder / number if sequence.images else None
    return PerturbedMovie(folder / f"{number}_ERR_SEG", found, truth.parent, len(masks))


def list_scores(candidates: MovieCandidates) -> dict[str, LinkScores]:
    """Return the scores of each scorer; only the classical ones of a movie that the network does not suit."""
    found = {"links": ClassicalScorer(candidates.settings).score(candidates.graph), "network": candidates.score()}
    used = getattr(candidates.scorer, "cell_weights", None)
    return {scorer: scores for scorer, scores in found.items() if scorer in ("links", used)}


def rate_movie(
    sequence: TrainingSequence, version: str, twin: PerturbedMovie, candidates: MovieCandidates
) -> list[RatedMovie]:
    """Return the evidence and the truth of the cells of a movie: those are spurious that lie on no marker."""
    n = len(candidates.graph.cells)
    spurious = np.ones(n, bool)
    for t, file in enumerate(sorted((twin.truth / "TRA").glob("*.tif"))[: twin.frames]):
        drawn = draw_labels(candidates.runs, t, np.arange(1, n + 1), np.int64)[tifffile.imread(file) > 0]
        spurious[np.unique(drawn[drawn > 0]) - 1] = False
    name = name_movie(sequence)
    print(f"{name}, {version}: {spurious.sum()} of {n} are spurious", flush=True)
    return [
        RatedMovie(
            scorer,
            sequence.dataset,
            name,
            version,
            measure_cell_evidence(candidates.graph, scores, scorer=scorer),
            spurious,
        )
        for scorer, scores in list_scores(candidates).items()
    ]


def fit(movies: list[RatedMovie]) -> dict[str, Any]:
    """Return the weights of a logistic regression in which each data set, and each movie in it, counts the same."""
    names = [movie.dataset for movie in movies]
    share = [1 / len(set(names)) / names.count(m.dataset) / len(m.spurious) for m in movies]
    weight = np.repeat(share, [len(movie.spurious) for movie in movies])
    x, y = (np.concatenate([getattr(movie, name) for movie in movies]) for name in ("evidence", "spurious"))
    return fit_logistic(x, y, weight, CELL_EVIDENCE[movies[0].scorer])


def rate(evidence: Numbers, weights: dict[str, Any]) -> Numbers:
    """Return the probability that cells are spurious."""
    return np.asarray(expit(compute_log_odds(evidence, weights)))


def describe(movie: RatedMovie, said: Numbers) -> dict[str, Any]:
    """Return how well the spurious cells of a movie are told."""
    wrong, dropped = movie.spurious, said > HIGHEST
    both = 0 < wrong.sum() < len(wrong)
    rank = rankdata(said)
    n = int(wrong.sum())
    auc = (rank[wrong].sum() - n * (n + 1) / 2) / (n * (len(wrong) - n)) if both else None
    return {
        "dataset": movie.dataset,
        "name": movie.name,
        "version": movie.version,
        "cells": len(wrong),
        "spurious": n,
        "auc": None if auc is None else round(float(auc), 4),
        "dropped": int(dropped.sum()),
        "dropped_right": int((dropped & wrong).sum()),
    }


def measure_effect(
    sequence: TrainingSequence,
    version: str,
    twin: PerturbedMovie,
    candidates: MovieCandidates,
    weights: dict[str, Any],
) -> dict[str, Any]:
    """Return the metrics of `gnn` on a version, all cells kept, and with those dropped that the weights tell."""
    evidence = measure_cell_evidence(candidates.graph, candidates.score(), scorer="network")
    said = rate(evidence, weights)
    rows = np.flatnonzero(said > HIGHEST)
    fixed = Constraints(spurious=np.column_stack([rows, np.floor(100 * said[rows]).astype(np.int64)]))
    candidates = replace(candidates, settings=candidates.settings.replace(repair__drop_spurious=1.0))
    found: dict[str, Any] = {"dataset": sequence.dataset, "name": name_movie(sequence), "version": version}
    for name, decisions in (("kept", Constraints()), ("dropped", fixed)):
        repaired = solve_movie(candidates, fixed=decisions)
        with tempfile.TemporaryDirectory() as folder:
            prepare_ctc(repaired.lineage, repaired.runs, fills=repaired.fills)(Path(folder))
            values = evaluate(folder, twin.truth)
        found[name] = {short: round(float(values[long] or 0), 5) for short, long in METRICS.items()}
    print(found, flush=True)
    return found


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    parts = [
        "# Spurious cells",
        format_circumstances(record),
        f"Cells with a probability above {record['threshold']} of being spurious, by weights fitted on other data "
        f"sets, in the first {record['frames']} frames of each movie.",
    ]
    for method, about in record["methods"].items():
        parts += [f"## {method}", _format_movies(about["movies"])]
        parts += [f"Expected calibration error: {about['reliability']['ece']:.5f}."]
    if "effects" in record:
        parts += ["## Change of the metrics of gnn by dropping these cells", _format_effects(record["effects"])]
    return "\n\n".join(parts)


def _format_movies(movies: list[dict[str, Any]]) -> str:
    lines = []
    for name in sorted({each["dataset"] for each in movies}):
        for version in VERSIONS:
            some = [each for each in movies if (each["dataset"], each["version"]) == (name, version)]
            auc = [each["auc"] for each in some if each["auc"] is not None]
            counts = [sum(each[key] for each in some) for key in ("cells", "spurious", "dropped", "dropped_right")]
            lines.append([name, version, *map(str, counts), f"{np.mean(auc):.3f}" if auc else "-"])
    return format_table(["data set", "version", "cells", "spurious", "dropped", "of these right", "AUC"], lines)


def _format_effects(effects: dict[str, Any]) -> str:
    lines = []
    for version, about in effects.items():
        changes = [[each["dropped"][k] - each["kept"][k] for k in METRICS] for each in about["changed"]]
        every = np.array(changes + [[0.0] * len(METRICS)] * (about["versions"] - len(changes)))
        for what, values in (("mean", every.mean(axis=0)), ("lowest", every.min(axis=0))):
            counts = [str(about["versions"]), str(len(changes))]
            lines.append([version, *counts, what, *(f"{value:+.4f}" for value in values)])
    return format_table(["version", "movies", "with dropped cells", "", *METRICS], lines)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_movie_arguments(parser)
    parser.add_argument("--effects", action="store_true", help="track each version with and without dropping")
    parser.add_argument("--ship", action="store_true", help="write the weights into the package")
    parser.add_argument("--out", type=Path, default=RESULTS / "spurious.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
