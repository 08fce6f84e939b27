"""Calibration of the confidence of links, divisions and tracks of points: fits the weights, and tests them.

``python benchmarks/point_confidence.py`` tracks points whose lineage is known as `gnntrack.track` does: simulated
embryos and crowds with seeds from 1000 on (benchmarks that report results use others), and centroids of the ground
truth of the Cell Tracking Challenge, complete, and with misses, clutter and noise; each with radii and intensities, if
there are any, and without. It fits weights of `gnntrack.scores.confidence` for each method, and of
`gnntrack.lineage.confidence`. Each kind of movie is tested with weights fitted on the other kinds, beside the weights
for cells with masks. It writes ``results/point_confidence.json`` and ``.md``, and with ``--ship`` the weights into the
package. ``--places`` also prints the fraction of places in the review list that were wrong, for each kind of place.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from confidence import (
    DOUBTFUL,
    GROUP_WEIGHTS,
    LINK_WEIGHTS,
    collect_groups,
    fit_group,
    fit_links,
    measure_reliability,
    predict_others,
    rate_others,
    ship,
)
from point_divisions import Movie, list_movies
from record import RESULTS, describe_run, format_circumstances, format_table, get_default_data, write_record
from scipy.special import expit
from solved_movies import METHODS, SolvedMovie

from gnntrack.lineage.confidence import read_weights
from gnntrack.lineage.doubts import list_doubts
from gnntrack.methods import resolve_method, score_graph
from gnntrack.movie_candidates import choose_links
from gnntrack.point_recipes import build_point_graph, choose_point_settings
from gnntrack.scores.confidence import POINT_EVIDENCE, compute_log_odds, measure_evidence
from gnntrack.settings import Settings
from gnntrack.types import CellGraph, Lineage, PointGraph

Numbers = npt.NDArray[Any]

SIMULATED = ("embryos", "complete embryos", "crowds")  # their ground truth is complete
CENTROIDS = "centroids"
COLUMNS: tuple[tuple[str, ...], ...] = ((), ("radius", "intensity"))  # beside the positions
LARGEST = 30_000  # points of a movie of centroids
HEADS = {
    "method": "method",
    "of": "confidence of",
    "kind": "kind",
    "number": "number",
    "mean_said": "mean confidence",
    "mean_right": "right",
    "ece": "ECE",
    "doubtful": "doubtful",
    "doubtful_ece": "ECE of doubtful",
    "wrong_on_top": "wrong on top",
}
TOP = 50  # places of which the precision is measured


@dataclass(frozen=True)
class TrackedMovie(SolvedMovie):
    """The result for points whose truth is known.

    Parameters
    ----------
    past : (N,) int64
        The point that is the true past of each point, the latest that was detected; -1 = none.
    """

    past: Numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN_GT")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--samples", type=Path, help="a file that keeps the tracked movies for another run")
    parser.add_argument("--places", action="store_true", help="print the fractions of wrong places")
    parser.add_argument("--ship", action="store_true", help="write the weights into the package")
    parser.add_argument("--out", type=Path, default=RESULTS / "point_confidence.json")
    args = parser.parse_args()
    movies = read_movies(args)
    tested = {method: predict_others(solved, POINT_EVIDENCE) for method, solved in movies.items()}
    weights = {f"point_{METHODS[method]}": fit_links(solved, POINT_EVIDENCE) for method, solved in movies.items()}
    rows = [row for method, solved in movies.items() for row in test_links(method, solved, tested[method])]
    groups: dict[str, Any] = {}
    for kind in ("divisions", "tracks"):
        parts = {method: collect_groups(movies[method], tested[method], kind) for method in movies}
        pooled = [each for found in parts.values() for each in found]
        groups[f"point_{kind}"] = fit_group(kind, pooled)
        for method, found in parts.items():
            said = rate_others(kind, found, pooled)
            pairs = [(p[g.judged], g.right[g.judged]) for g, p in zip(found, said, strict=True)]
            about = measure_reliability(*map(np.concatenate, zip(*pairs, strict=True)))
            rows.append({"method": method, "of": kind, "kind": "all", **describe(about)})
    if args.ship:
        ship(weights, LINK_WEIGHTS)
        ship(groups, GROUP_WEIGHTS)
    record = {**describe_run(), "rows": rows}
    write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))
    if args.places:
        print(format_places(movies, tested))


def read_movies(args: argparse.Namespace) -> dict[str, list[TrackedMovie]]:
    """Return the tracked movies by method, as an earlier run stored them or tracked now."""
    if args.samples is not None and args.samples.exists():
        with args.samples.open("rb") as file:
            stored: dict[str, list[TrackedMovie]] = pickle.load(file)
        return stored
    found: dict[str, list[TrackedMovie]] = {method: [] for method in args.methods.split(",")}
    for movie in list_movies(args.data):
        if movie.family in SIMULATED or len(movie.points) <= LARGEST:
            for method, solved in track_movie(movie, list(found)):
                found[method].append(solved)
                print(method, movie.family, len(solved.right), f"{solved.right[solved.judged].mean():.4f}", flush=True)
    if args.samples is not None:
        with args.samples.open("wb") as file:
            pickle.dump(found, file)
    return found


def track_movie(movie: Movie, methods: Sequence[str]) -> Iterator[tuple[str, TrackedMovie]]:
    """Yield the results of a movie, from its positions alone and with its other columns."""
    spacing = movie.truth.spacing if movie.truth.unit == "um" else None
    settings = choose_point_settings(Settings().replace(frames__spacing=spacing))
    for columns in COLUMNS:
        given = [name for name in columns if name in movie.points]
        if given or not columns:
            points = movie.points[[name for name in movie.points if name in ("t", *"zyx", *given)]]
            graph = build_point_graph(points, settings=settings)
            for method in methods:
                yield method, _track(movie, graph, method, settings)


def _track(movie: Movie, graph: CellGraph, method: str, settings: Settings) -> TrackedMovie:
    plan = resolve_method(method)
    scores = score_graph(plan.make_scorer(settings, images=False), graph)
    solved = choose_links(graph, scores, plan.solver, settings=settings)
    simulated = movie.family in SIMULATED
    past, right, annotated, judged = judge_links(solved.lineage, movie.point_truth, movie.truth)
    return TrackedMovie(
        dataset=movie.family if simulated else CENTROIDS,
        name=movie.family,
        images=False,
        lineage=solved.lineage,
        evidence=measure_evidence(*solved),
        right=right,
        annotated=annotated,
        judged=annotated if simulated else judged,
        past=past,
    )


def judge_links(lineage: Lineage, point_truth: Numbers, truth: PointGraph) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Return the true past of each point, (N,), and whether each link is right, annotated and judged, (L,) each.

    The columns are those of `TrackedMovie` and `confidence.SolvedMovie`; the points are in the order of the cells.
    """
    row = np.where(point_truth > 0, np.searchsorted(truth.id, point_truth), -1)
    before, cell = np.full(len(truth.id), -1), np.full(len(truth.id), -1)
    before[truth.target] = truth.source
    cell[row[row >= 0]] = np.flatnonzero(row >= 0)
    detected = np.full(len(truth.id), -1)  # latest detected point before each true one
    for each in np.argsort(truth.frame, kind="stable").tolist():
        if before[each] >= 0:
            detected[each] = cell[before[each]] if cell[before[each]] >= 0 else detected[before[each]]
    past = np.where(row >= 0, detected[row], -1)
    source, target = lineage.source, lineage.target
    right = past[target] == source
    annotated = (row[source] >= 0) | (row[target] >= 0)
    return past, right, annotated, annotated & (np.isin(source, past[past >= 0]) | (past[target] >= 0))


def test_links(method: str, movies: Sequence[TrackedMovie], tested: Sequence[Numbers]) -> list[dict[str, Any]]:
    """Return rows with the calibration of links by weights of points and by those of masks, for each kind of movie."""
    masks = read_weights("gnntrack.scores")[METHODS[method]]
    known = masks["weights"]  # of links over gaps, too; no division of points is decided again
    same = {name: known.get(name.removeprefix("gap_"), 0.0) for name in POINT_EVIDENCE}
    kept = {"weights": same, "intercept": masks["intercept"]}
    rows = []
    for kind in dict.fromkeys(movie.dataset for movie in movies):
        part = [(movie, p) for movie, p in zip(movies, tested, strict=True) if movie.dataset == kind]
        right = np.concatenate([movie.right[movie.judged] for movie, _ in part])
        said = {
            "points": np.concatenate([p[movie.judged] for movie, p in part]),
            "masks": np.concatenate([expit(compute_log_odds(movie.evidence[movie.judged], kept)) for movie, _ in part]),
        }
        for weights, p in said.items():
            about = measure_reliability(p, right)
            doubtful = (p > DOUBTFUL[0]) & (p < DOUBTFUL[1])
            rows.append(
                {
                    "method": method,
                    "of": f"links, weights of {weights}",
                    "kind": kind,
                    **describe(about),
                    "doubtful": int(doubtful.sum()),
                    "doubtful_ece": measure_reliability(p[doubtful], right[doubtful])["ece"],
                    "wrong_on_top": _measure_top(p, right),
                }
            )
    return rows


def _measure_top(said: Numbers, right: Numbers) -> float:
    """Return the fraction of wrong links among as many of the least confident links as there are wrong ones."""
    wrong = int((~right).sum())
    return round(float((~right[np.argsort(said, kind="stable")[:wrong]]).mean()), 3) if wrong else 1.0


def describe(about: dict[str, Any]) -> dict[str, Any]:
    """Return the figures of `confidence.measure_reliability` that are shown."""
    return {"number": sum(about["count"]), **{name: about[name] for name in ("mean_said", "mean_right", "ece")}}


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of a record."""
    table = format_table(list(HEADS.values()), ([str(row.get(name, "-")) for name in HEADS] for row in record["rows"]))
    about = (
        "Confidence of links, divisions and tracks of points, by weights fitted on other kinds of movies than those of "
        f"the test. ECE: expected calibration error; doubtful: confidence between {DOUBTFUL[0]} and {DOUBTFUL[1]}; "
        "wrong on top: fraction of wrong links among as many of the least confident links as there are wrong ones."
    )
    return f"# Confidence of points\n\n{format_circumstances(record)}\n\n{about}\n\n{table}"


def format_places(movies: dict[str, list[TrackedMovie]], tested: dict[str, list[Numbers]]) -> str:
    """Return a table of the places of review lists: number, mean doubt, and the fraction that was wrong."""
    counts: dict[tuple[str, str], list[tuple[float, bool]]] = {}
    tops: dict[str, list[float]] = {}
    for method, solved in movies.items():
        for movie, said in zip(solved, tested[method], strict=True):
            doubts = list_doubts(replace(movie.lineage, confidence=said.astype(np.float32)))
            wrong = [_is_wrong(movie, doubt) for doubt in doubts]
            for doubt, each in zip(doubts, wrong, strict=True):
                place = f"{doubt.kind}{' beside another' * (doubt.other >= 0)} {int(doubt.doubt * 10 + 1e-9) / 10:.1f}"
                for name in (movie.dataset, "all"):
                    counts.setdefault((place, name), []).append((doubt.doubt, each))
            tops.setdefault(movie.dataset, []).append(float(np.mean(wrong[:TOP] or [1.0])))
    kinds = ["all", *SIMULATED, CENTROIDS]
    lines = []
    for place in sorted({place for place, _ in counts}):
        found = [counts.get((place, kind), []) for kind in kinds]
        lines.append(
            [place, *(f"{np.mean([w for _, w in each]):.2f} of {len(each)}" if each else "-" for each in found)]
        )
    lines.append([f"first {TOP}", "-", *(f"{np.mean(tops[kind]):.2f}" if kind in tops else "-" for kind in kinds[1:])])
    return format_table(["place, doubt", *kinds], lines)


def _is_wrong(movie: TrackedMovie, doubt: Any) -> bool:
    """Return whether a place has a wrong link, or lacks a true one."""
    lineage, row = movie.lineage, doubt.row
    into, out = lineage.target == row, lineage.source == row
    missed_past = movie.past[row] >= 0 and not (movie.right & into).any()
    missed_future = bool((movie.past == row).sum() > (movie.right & out).sum())
    if doubt.kind in ("link", "start"):
        return bool((~movie.right & into).any() or missed_past)
    if doubt.kind in ("division", "end"):
        return bool((~movie.right & out).any() or missed_future)
    if doubt.kind == "short track":
        rows = np.flatnonzero(lineage.track == lineage.track[row])
        last = rows[np.argmax(lineage.cells.frame[rows])]
        return bool(movie.past[row] >= 0 or (movie.past == last).any())
    return bool((~movie.right & (into | out)).any() or missed_past or missed_future)


if __name__ == "__main__":
    main()
