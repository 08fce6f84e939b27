"""Calibration of the confidence of chosen links, divisions and tracks: fits the weights, and tests them on other data.

``python benchmarks/confidence.py --work FOLDER`` tracks every version of each sequence, compares the chosen links with
the ground truth, and fits the weights of `gnntrack.scores.confidence` for the classical scores and for those of a
network. Each data set is tested with weights fitted on all others. The networks are those that `learned.py` trained in
``FOLDER`` without the tested data set. It writes ``results/confidence.json``, ``.md`` and ``.png``, and with ``--ship``
the weights into the package.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from folds import NEVER, WORK, make_left_out_fold
from perturbed import write_first_frames, write_perturbed
from recall import find_true_links
from record import REPOSITORY, RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record
from scipy.optimize import minimize
from scipy.special import expit

from gnntrack.io.frames import open_frames, open_masks
from gnntrack.lineage.build import number_tracks
from gnntrack.methods import resolve_method, score_graph
from gnntrack.pipeline import build_graph
from gnntrack.report.reliability import draw_reliability
from gnntrack.scores.confidence import EVIDENCE, measure_evidence
from gnntrack.settings import Settings
from gnntrack.solvers import solve
from gnntrack.training.sequences import TrainingSequence, find_sequences

Numbers = npt.NDArray[Any]

METHODS = {"hungarian": "links", "gnn": "network"}
WEIGHTS = REPOSITORY / "gnntrack" / "scores" / "confidence.json"
FRAMES = 100  # the first of each movie
DOUBTFUL = 0.1, 0.9
BINS = 10
PENALTY = 2e-5  # of the squares of the standardised weights
LIMITS = {"all links": 0.01, "doubtful links": 0.08}  # of the expected calibration error


@dataclass(frozen=True)
class SolvedMovie:
    """The chosen links of a movie whose truth is known.

    Parameters
    ----------
    dataset, name : str
        Data set, and version of the movie.
    evidence : (L, E) float64
        See `measure_evidence`.
    right : (L,) bool
        Whether the link is true.
    division : (L,) int64
        Number of the division to which the link belongs, -1 = none.
    track : (L,) int64
        Number of the track, or of the track of the daughter.
    """

    dataset: str
    name: str
    evidence: Numbers
    right: Numbers
    division: Numbers
    track: Numbers


def main() -> None:
    args = _parse_arguments()
    record: dict[str, Any] = {**describe_run(), "frames": FRAMES, "methods": {}}
    weights = json.loads(WEIGHTS.read_text(encoding="utf-8")) if WEIGHTS.exists() else {}
    for method in args.methods.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            movies = list(_choose_all(method, args, Path(temporary)))
        tested = _predict_others(movies)
        record["methods"][method] = {
            "data": sorted({movie.dataset for movie in movies}),
            "versions": len(movies),
            "reliability": {what: measure_reliability(*pair) for what, pair in _collect(movies, tested).items()},
        }
        weights[METHODS[method]] = fit_weights(movies)
        figure = draw_reliability(record["methods"][method]["reliability"]["all links"])
        figure.savefig(args.out.with_name(f"{args.out.stem}_{method}.png"), dpi=110)
        write_record(args.out, record, format_markdown(record))
    if args.ship:
        WEIGHTS.write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")
    print(format_markdown(record))


def fit_weights(movies: Sequence[SolvedMovie]) -> dict[str, Any]:
    """Return the weights of a logistic regression in which each data set, and each version in it, counts the same."""
    datasets = [movie.dataset for movie in movies]
    share = [1 / len(set(datasets)) / datasets.count(movie.dataset) / len(movie.right) for movie in movies]
    weight = np.concatenate([np.full(len(movie.right), each) for movie, each in zip(movies, share, strict=True)])
    x, y = (np.concatenate([getattr(movie, name) for movie in movies]) for name in ("evidence", "right"))
    middle, scale = x.mean(axis=0), x.std(axis=0) + 1e-9
    x = np.column_stack([np.ones(len(x)), (x - middle) / scale])

    def compute_loss(b: Numbers) -> tuple[float, Numbers]:
        value, inner = x @ b, np.r_[0, b[1:]]
        loss = (weight * (np.logaddexp(0, value) - y * value)).sum() + PENALTY / 2 * (inner**2).sum()
        return loss, x.T @ (weight * (expit(value) - y)) + PENALTY * inner

    found = minimize(compute_loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x
    slopes = found[1:] / scale
    return {
        "weights": dict(zip(EVIDENCE, slopes.round(5).tolist(), strict=True)),
        "intercept": round(float(found[0] - (slopes * middle).sum()), 5),
    }


def predict(movie: SolvedMovie, fitted: dict[str, Any]) -> Numbers:
    """Return the confidence of the links of a movie."""
    value = movie.evidence @ np.array([fitted["weights"][name] for name in EVIDENCE]) + fitted["intercept"]
    return np.asarray(expit(value))


def measure_reliability(said: Numbers, right: Numbers) -> dict[str, Any]:
    """Return predicted and true fractions in ten bins, and the expected calibration error, the mean difference."""
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    count = np.bincount(place, minlength=BINS)
    means = [np.bincount(place, values, BINS) / np.maximum(count, 1) for values in (said, right)]
    error = float((count * np.abs(means[0] - means[1])).sum() / max(count.sum(), 1))
    return {
        "said": means[0].round(4).tolist(),
        "right": means[1].round(4).tolist(),
        "count": count.tolist(),
        "ece": round(error, 5),
    }


def _predict_others(movies: Sequence[SolvedMovie]) -> list[Numbers]:
    """Return the confidence of all links, by weights fitted on the other data sets."""
    fitted = {
        dataset: fit_weights([each for each in movies if each.dataset != dataset])
        for dataset in {movie.dataset for movie in movies}
    }
    return [predict(movie, fitted[movie.dataset]) for movie in movies]


def _collect(movies: Sequence[SolvedMovie], tested: Sequence[Numbers]) -> dict[str, tuple[Numbers, Numbers]]:
    """Return confidence and truth of all links, of the doubtful ones, of divisions and of tracks."""
    said = np.concatenate(tested)
    right = np.concatenate([movie.right for movie in movies])
    doubtful = (said > DOUBTFUL[0]) & (said < DOUBTFUL[1])
    groups: dict[str, tuple[Numbers, Numbers]] = {}
    for what in ("division", "track"):
        parts = [_multiply(getattr(movie, what), p, movie.right) for movie, p in zip(movies, tested, strict=True)]
        products, whole = zip(*parts, strict=True)
        groups[f"{what}s"] = np.concatenate(products), np.concatenate(whole)
    return {"all links": (said, right), "doubtful links": (said[doubtful], right[doubtful]), **groups}


def _multiply(group: Numbers, said: Numbers, right: Numbers) -> tuple[Numbers, Numbers]:
    """Return the product of the confidences of each group of links, and whether all of them are right."""
    known = group >= 0
    names, row = np.unique(group[known], return_inverse=True)
    product, whole = np.ones(len(names)), np.ones(len(names), bool)
    np.multiply.at(product, row, said[known])
    np.logical_and.at(whole, row, right[known])
    return product, whole


def _choose_all(method: str, args: argparse.Namespace, work: Path) -> Iterator[SolvedMovie]:
    sequences = [each for each in find_sequences(args.data) if each.dataset != NEVER]
    for sequence in sequences:
        settings = Settings()
        if method == "gnn":
            fold = make_left_out_fold(sequences, sequence.dataset)
            model = args.work / "models" / fold.name / "linknet"
            if not (model / "model.json").exists():
                print(f"no network that was trained without {sequence.dataset}; it is not used", flush=True)
                continue
            settings = settings.replace(gnn__model=str(model))
        short = write_first_frames(sequence, work / sequence.name / "start", FRAMES)
        for kind in args.twins.split(","):
            yield _choose(short, kind, work / sequence.name / kind, method, settings)


def _choose(sequence: TrainingSequence, kind: str, folder: Path, method: str, settings: Settings) -> SolvedMovie:
    twin = write_perturbed(sequence, folder, kind)
    images = None if twin.images is None else open_frames(twin.images)
    graph = build_graph(images, open_masks(twin.masks), settings=settings)
    plan = resolve_method(method)
    scores = score_graph(plan.make_scorer(settings, images=False), graph)
    chosen = solve(plan.solver, graph, scores, settings=settings.solver)
    source, target = graph.source[chosen], graph.target[chosen]
    true = find_true_links(graph.cells, twin.masks, twin.truth)[0]
    n = len(graph.cells)
    # of links between cells that are in no true link, nothing is known: they may lie outside the annotated field
    known = np.isin(source, true) | np.isin(target, true)
    divides = np.bincount(source, minlength=n)[source] > 1
    right = np.isin(source * n + target, true[:, 0] * n + true[:, 1])
    track = number_tracks(graph.cells.frame, source, target)[0]
    print(f"{method} {sequence.name} {kind}: {known.sum()} links, {right[known].mean():.4f} right", flush=True)
    return SolvedMovie(
        sequence.dataset,
        f"{sequence.name}, {kind}",
        measure_evidence(graph, chosen, scores)[known],
        right[known],
        np.where(divides, source, -1)[known],
        track[target][known],
    )


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    parts = [
        "# Confidence",
        format_circumstances(record),
        "Confidence of chosen links, fitted on other data sets than those of the test. ECE: expected calibration error "
        f"in {BINS} bins; doubtful links: confidence between {DOUBTFUL[0]} and {DOUBTFUL[1]}.",
    ]
    for method, about in record["methods"].items():
        found = about["reliability"]
        lines = [
            [what, str(sum(each["count"])), f"{each['ece']:.4f}", f"{LIMITS[what]}" if what in LIMITS else "-"]
            for what, each in found.items()
        ]
        bins = [
            [f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}", str(n), f"{said:.3f}", f"{right:.3f}"]
            for k, (n, said, right) in enumerate(
                zip(*(found["all links"][name] for name in ("count", "said", "right")), strict=True)
            )
            if n
        ]
        parts += [
            f"## {method}: {about['versions']} versions of movies of {', '.join(about['data'])}",
            format_table(["", "number", "ECE", "limit"], lines),
            format_table(["confidence", "links", "mean confidence", "right"], bins),
        ]
    return "\n\n".join(parts)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--work", type=Path, default=WORK, help="the work folder of learned.py, with its networks")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--twins", default="plain,hard,skip2")
    parser.add_argument("--ship", action="store_true", help="write the weights into the package")
    parser.add_argument("--out", type=Path, default=RESULTS / "confidence.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
