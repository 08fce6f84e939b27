"""Calibration of the confidence of links, divisions and tracks: fits the weights, and tests them on other data.

``python benchmarks/confidence.py --work FOLDER`` reads the results of `solved_movies`, or makes them. It compares the
links with the ground truth, and fits the weights of `gnntrack.scores.confidence`, for the classical scores and for
those of a network, and of `gnntrack.lineage.confidence`. Each data set is tested with weights fitted on all others. It
writes ``results/confidence.json``, ``.md`` and a figure per method, and with ``--ship`` the weights into the package;
then run ``review.py --ship``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from record import REPOSITORY, RESULTS, describe_run, format_circumstances, format_table, write_record
from scipy.optimize import minimize
from scipy.special import expit
from solved_movies import FRAMES, ReviewedMovie, SolvedMovie, add_movie_arguments, solve_all

from gnntrack.lineage.confidence import list_divisions, measure_division_evidence, measure_track_evidence
from gnntrack.report.reliability import draw_reliability
from gnntrack.scores.confidence import EVIDENCE, compute_log_odds

Numbers = npt.NDArray[Any]

LINK_WEIGHTS = REPOSITORY / "gnntrack" / "scores" / "confidence.json"
GROUP_WEIGHTS = REPOSITORY / "gnntrack" / "lineage" / "confidence.json"
DOUBTFUL = 0.1, 0.9
FEWEST = 10  # data sets from which the weights of a scorer are written into the package
BINS = 10
PENALTY = 2e-5  # of the squares of the standardised weights
RARE = 0.02  # standard deviation of evidence below which its weight is penalised more: few links have it
LIMITS = {"links": 0.01, "doubtful links": 0.08, "divisions": 0.05, "tracks": 0.05}  # of the calibration error
SIGNS = {1: (0, None), -1: (None, 0), 0: (None, None)}  # bounds of a weight


@dataclass(frozen=True)
class Group:
    """Divisions or tracks of a movie: evidence, truth, and whether the truth of all their links is known."""

    dataset: str
    images: bool
    evidence: Numbers
    right: Numbers
    annotated: Numbers
    judged: Numbers


def main() -> None:
    args = _parse_arguments()
    record: dict[str, Any] = {**describe_run(), "frames": FRAMES, "methods": {}}
    movies: dict[str, list[ReviewedMovie]] = {method: [] for method in args.methods.split(",")}
    for method, movie in solve_all(args):
        movies[method].append(movie)
    movies = {method: solved for method, solved in movies.items() if solved}
    tested = dict(predict_by_scorer(movies))
    groups = {
        method: {kind: collect_groups(movies[method], tested[method], kind) for kind in ("divisions", "tracks")}
        for method in movies
    }
    pooled = {kind: [each for found in groups.values() for each in found[kind]] for kind in ("divisions", "tracks")}
    for method, solved in movies.items():
        said = {kind: rate_others(kind, groups[method][kind], pooled[kind]) for kind in pooled}
        record["methods"][method] = describe_method(solved, tested[method], groups[method], said)
        figure = draw_reliability({k: record["methods"][method]["reliability"][k] for k in ("links", *said)})
        figure.savefig(args.out.with_name(f"{args.out.stem}_{method}.png"), dpi=80)
    if args.ship:
        enough = {
            scorer: solved for scorer, solved in sort_by_scorer(movies).items() if _count_data_sets(solved) >= FEWEST
        }
        ship({scorer: fit_links(solved) for scorer, solved in enough.items()}, LINK_WEIGHTS)
        ship({kind: fit_group(kind, found) for kind, found in pooled.items()}, GROUP_WEIGHTS)
    write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))


def _count_data_sets(movies: Sequence[SolvedMovie]) -> int:
    return len({movie.dataset for movie in movies})


def sort_by_scorer(movies: Mapping[str, Sequence[ReviewedMovie]]) -> dict[str, list[ReviewedMovie]]:
    """Return the movies from which each set of weights is fitted.

    They are those with the scores that the weights are for: `gnn` has the classical scores of some movies, which are
    those of `hungarian`.
    """
    every = [movie for solved in movies.values() for movie in solved]
    found = {
        "links": list(movies.get("hungarian", ())),
        "network": [each for each in every if each.scorer == "network"],
    }
    return {scorer: solved for scorer, solved in found.items() if solved}


def predict_by_scorer(movies: Mapping[str, Sequence[ReviewedMovie]]) -> Iterator[tuple[str, list[Numbers]]]:
    """Yield the confidence of the links of each method, by weights fitted on the other data sets."""
    fitting = sort_by_scorer(movies)
    for method, solved in movies.items():
        fitted = {
            (scorer, dataset): fit_links([each for each in fitting[scorer] if each.dataset != dataset])
            for scorer, dataset in {(movie.scorer, movie.dataset) for movie in solved}
        }
        yield method, [expit(compute_log_odds(m.evidence, fitted[m.scorer, m.dataset])) for m in solved]


def ship(weights: dict[str, Any], file: Path) -> None:
    """Write the weights of the methods of this run; others stay."""
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(old | weights, indent=1) + "\n", encoding="utf-8")


def fit_links(movies: Sequence[SolvedMovie], signs: Mapping[str, int] = EVIDENCE) -> dict[str, Any]:
    """Return the weights of a logistic regression in which each data set, and each version in it, counts the same.

    `signs` has the names of the evidence with the signs that their weights may have.
    """
    datasets = [movie.dataset for movie in movies]
    share = [1 / len(set(datasets)) / datasets.count(movie.dataset) / movie.judged.sum() for movie in movies]
    weight = np.concatenate([np.full(movie.judged.sum(), each) for movie, each in zip(movies, share, strict=True)])
    x, y = (np.concatenate([getattr(m, name)[m.judged] for m in movies]) for name in ("evidence", "right"))
    return fit_logistic(x, y, weight, signs)


def fit_logistic(x: Numbers, y: Numbers, weight: Numbers, signs: Mapping[str, int]) -> dict[str, Any]:
    """Return the weights of a logistic regression from evidence; `signs` as of `fit_links`."""
    slopes, intercept = _fit_logistic(x, y, weight, [SIGNS[sign] for sign in signs.values()])
    return {
        "weights": dict(zip(signs, (slopes.round(5) + 0.0).tolist(), strict=True)),
        "intercept": round(intercept, 5),
    }


def _fit_logistic(
    x: Numbers, y: Numbers, weight: Numbers, bounds: Sequence[tuple[float | None, float | None]]
) -> tuple[Numbers, float]:
    """Return slopes and intercept of a weighted logistic regression with bounds of the slopes."""
    middle, scale = x.mean(axis=0), np.maximum(x.std(axis=0), RARE)
    x = np.column_stack([np.ones(len(x)), (x - middle) / scale])

    def compute_loss(b: Numbers) -> tuple[float, Numbers]:
        value, inner = x @ b, np.r_[0, b[1:]]
        loss = (weight * (np.logaddexp(0, value) - y * value)).sum() + PENALTY / 2 * (inner**2).sum()
        return loss, x.T @ (weight * (expit(value) - y)) + PENALTY * inner

    start = np.zeros(x.shape[1])
    found = minimize(compute_loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), *bounds]).x
    slopes = found[1:] / scale
    return slopes, float(found[0] - (slopes * middle).sum())


def fit_group(kind: str, groups: Sequence[Group]) -> dict[str, float]:
    """Return the weights for divisions or tracks, each of which counts the same."""
    x, y = (np.concatenate([getattr(g, name)[g.judged] for g in groups]) for name in ("evidence", "right"))
    if kind == "divisions":
        slopes, intercept = _fit_logistic(x, y, np.full(len(y), 1 / len(y)), [SIGNS[1]] * 2)
        weights = dict(zip(("log_odds", "seen", "intercept"), (*slopes, intercept), strict=True))
    else:
        # at most 1 together: a track is not less certain than the product of its links
        def split(b: Numbers) -> dict[str, float]:
            return {"sum": b[0], "largest": b[1] * (1 - b[0])}

        def compute_loss(b: Numbers) -> float:
            p = np.clip(rate_group(kind, x, split(b)), 1e-6, 1 - 1e-6)
            return float(-np.where(y, np.log(p), np.log(1 - p)).mean())

        weights = split(minimize(compute_loss, [0.5, 0.8], method="L-BFGS-B", bounds=[(0, 1)] * 2).x)
    return {name: round(float(value), 5) for name, value in weights.items()}


def rate_group(kind: str, evidence: Numbers, weights: dict[str, float]) -> Numbers:
    """Return the confidence of divisions or tracks; see `gnntrack.lineage.confidence`."""
    if kind == "divisions":
        return np.asarray(expit(evidence @ [weights["log_odds"], weights["seen"]] + weights["intercept"]))
    return np.asarray(np.exp(-evidence @ [weights["sum"], weights["largest"]]))


def predict_others(movies: Sequence[SolvedMovie], signs: Mapping[str, int] = EVIDENCE) -> list[Numbers]:
    """Return the confidence of all links, by weights fitted on the other data sets; `signs` as of `fit_links`."""
    fitted = {
        dataset: fit_links([each for each in movies if each.dataset != dataset], signs)
        for dataset in {movie.dataset for movie in movies}
    }
    return [expit(compute_log_odds(movie.evidence, fitted[movie.dataset])) for movie in movies]


def rate_others(kind: str, groups: Sequence[Group], pooled: Sequence[Group]) -> list[Numbers]:
    """Return the confidence of all divisions or tracks, by weights fitted on the other data sets."""
    fitted = {
        dataset: fit_group(kind, [each for each in pooled if each.dataset != dataset])
        for dataset in {group.dataset for group in groups}
    }
    return [rate_group(kind, group.evidence, fitted[group.dataset]) for group in groups]


def collect_groups(movies: Sequence[SolvedMovie], tested: Sequence[Numbers], kind: str) -> list[Group]:
    """Return the divisions or the tracks of all movies, with the evidence from these confidences of links."""
    return [_collect_group(*pair, kind) for pair in zip(movies, tested, strict=True)]


def _collect_group(movie: SolvedMovie, said: Numbers, kind: str) -> Group:
    lineage = replace(movie.lineage, confidence=said)
    if kind == "divisions":
        links = list_divisions(lineage)[1]
        evidence = measure_division_evidence(lineage)[1]
    else:
        row = np.searchsorted(lineage.tracks.id, lineage.track[lineage.target])
        with_links = np.unique(row)
        links = np.split(np.argsort(row, kind="stable"), np.cumsum(np.bincount(row)[with_links])[:-1])
        evidence = measure_track_evidence(lineage)[with_links]
    columns = (np.array([values[each].all() for each in links], bool) for values in _list_truths(movie))
    return Group(movie.dataset, movie.images, evidence, *columns)


def _list_truths(movie: SolvedMovie) -> tuple[Numbers, Numbers, Numbers]:
    return movie.right, movie.annotated, movie.judged


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
        "mean_said": round(float(said.mean()), 4) if len(said) else None,
        "mean_right": round(float(right.mean()), 4) if len(said) else None,
        "ece": round(error, 5),
    }


def describe_method(
    movies: Sequence[SolvedMovie],
    tested: Sequence[Numbers],
    groups: dict[str, list[Group]],
    said: dict[str, list[Numbers]],
) -> dict[str, Any]:
    """Return the reliability of all links, of some kinds of links, of divisions and of tracks."""
    kinds = [_list_kinds(*pair) for pair in zip(movies, tested, strict=True)]

    def measure(judge: str, name: str) -> dict[str, Any]:
        keep = [getattr(movie, judge) & each[name] for movie, each in zip(movies, kinds, strict=True)]
        right = [movie.right for movie in movies]
        columns = ([v[k] for v, k in zip(values, keep, strict=True)] for values in (tested, right))
        return measure_reliability(*map(np.concatenate, columns))

    found = {name: measure("judged", name) for name in kinds[0]}
    strict = {name: measure("annotated", name) for name in ("links", "doubtful links")}
    for kind, each in groups.items():
        for judge, into in (("judged", found), ("annotated", strict)):
            pair = [(p[getattr(g, judge)], g.right[getattr(g, judge)]) for g, p in zip(each, said[kind], strict=True)]
            into[kind] = measure_reliability(*(np.concatenate(values) for values in zip(*pair, strict=True)))
    return {
        "data": sorted({movie.dataset for movie in movies}),
        "versions": len(movies),
        "reliability": found,
        "reliability_if_unexplained_links_are_wrong": strict,
        "links_by_data_set": {
            name: _measure_data_set(movies, tested, name) for name in sorted({movie.dataset for movie in movies})
        },
    }


def _list_kinds(movie: SolvedMovie, said: Numbers) -> dict[str, Numbers]:
    """Return which links of a movie belong to each kind, (L,) bool."""
    column = {name: movie.evidence[:, k] for k, name in enumerate(EVIDENCE)}
    every, doubtful = np.ones(len(said), bool), (said > DOUBTFUL[0]) & (said < DOUBTFUL[1])
    return {
        "links": every,
        "doubtful links": doubtful,
        "links with images": every & movie.images,
        "doubtful links with images": doubtful & movie.images,
        "links without images": every & (not movie.images),
        "doubtful links without images": doubtful & (not movie.images),
        "links over gaps": column["over_gap"] > 0,
        "links decided again": column["revised"] > 0,
    }


def _measure_data_set(movies: Sequence[SolvedMovie], tested: Sequence[Numbers], name: str) -> dict[str, Any]:
    pairs = [(p[m.judged], m.right[m.judged]) for m, p in zip(movies, tested, strict=True) if m.dataset == name]
    return measure_reliability(*map(np.concatenate, zip(*pairs, strict=True)))


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    parts = [
        "# Confidence",
        format_circumstances(record),
        "Confidence of the links, divisions and tracks of results, by weights fitted on other data sets than those of "
        f"the test. ECE: expected calibration error in {BINS} bins; doubtful links: confidence between {DOUBTFUL[0]} "
        f"and {DOUBTFUL[1]}. A link from a cell whose track ends in the ground truth to one whose track begins there "
        "is not judged, because nothing shows where the first went and the second came from. The column *strict* "
        "counts such links as wrong.",
    ]
    for method, about in record["methods"].items():
        parts += [
            f"## {method}: {about['versions']} versions of movies of {', '.join(about['data'])}",
            format_summary(about),
            format_table(["confidence", *_BIN_TITLES], list(_format_bins(about["reliability"]))),
            _format_data_sets(about),
        ]
    return "\n\n".join(parts)


def format_summary(about: dict[str, Any]) -> str:
    """Return the table of the errors of a method."""
    strict = about["reliability_if_unexplained_links_are_wrong"]
    lines = []
    for what, each in about["reliability"].items():
        if each["mean_said"] is not None:
            figures = [f"{each['mean_said']:.3f}", f"{each['mean_right']:.3f}", f"{each['ece']:.4f}"]
            hard = f"{strict[what]['ece']:.4f}" if what in strict else "-"
            lines.append([what, str(sum(each["count"])), *figures, f"{LIMITS.get(what, '-')}", hard])
    return format_table(["", "number", "mean confidence", "right", "ECE", "goal", "ECE, strict"], lines)


_BIN_TITLES = tuple(f"{kind}: {what}" for kind in ("links", "divisions", "tracks") for what in ("number", "right"))


def _format_bins(found: dict[str, Any]) -> Iterator[list[str]]:
    for k in range(BINS):
        cells = [
            text
            for kind in ("links", "divisions", "tracks")
            for text in (
                str(found[kind]["count"][k]),
                f"{found[kind]['right'][k]:.3f}" if found[kind]["count"][k] else "-",
            )
        ]
        yield [f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}", *cells]


def _format_data_sets(about: dict[str, Any]) -> str:
    lines = [
        [name, str(sum(each["count"])), f"{each['mean_said']:.4f}", f"{each['mean_right']:.4f}", f"{each['ece']:.4f}"]
        for name, each in about["links_by_data_set"].items()
    ]
    return format_table(["data set", "links", "mean confidence", "right", "ECE"], lines)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_movie_arguments(parser)
    parser.add_argument("--ship", action="store_true", help="write the weights into the package")
    parser.add_argument("--out", type=Path, default=RESULTS / "confidence.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
