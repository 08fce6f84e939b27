"""How many errors of a result stand at the top of its review list: fits the expected gains, and tests them.

``python benchmarks/review.py --work FOLDER`` reads the results of `solved_movies`, or makes them. The *decisions* of a
result are its links, its divisions, the starts and ends of its tracks inside the movie, and the masks that gnntrack
drew, divided or merged. A place of the list finds an error if a decision at this place must be changed to correct it.
Each data set is tested with confidences and gains whose weights were fitted on the others. It writes
``results/review.json``, ``.md`` and ``.png``, and with ``--ship`` the weights of `gnntrack.lineage.gains` into the
package.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from confidence import GROUP_WEIGHTS, collect_groups, fit_group, predict_by_scorer, ship
from matplotlib.figure import Figure
from record import RESULTS, describe_run, format_circumstances, format_table, write_record
from review_table import format_pooled
from scipy.optimize import minimize
from solved_movies import FRAMES, ReviewedMovie, Slots, add_movie_arguments, solve_all

from gnntrack.lineage.doubts import Doubt, list_with_evidence, rate_places
from gnntrack.lineage.gains import GAIN_EVIDENCE, GAIN_KINDS
from gnntrack.types import MASK_KINDS, Lineage

Numbers = npt.NDArray[Any]
Row = dict[str, Any]

PARTS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0)  # of the decisions
TOP = 0.05
FAILURE = 0.1  # errors per decision; such results are not used for the weights, and counted by themselves
FEWEST = 5  # errors of a movie that counts by itself
PENALTY = 1e-3  # of the squares of the standardised weights
RARE = 0.05  # smallest standard deviation of evidence that is scaled to 1
EVERYTHING = {"below": 2.0, "least": 0.0}
NO_GAINS = {kind: dict.fromkeys((*GAIN_EVIDENCE, "intercept"), 0.0) for kind in set(GAIN_KINDS.values())}
GAINS = (0.0, 0.03, 0.1, 0.3, 1.0, np.inf)  # bins
LIMITS = {"below": 0.9, "least": 0.1}  # of `list_doubts`
COLOURS = ("black", "#1f6f8b", "#d1495b", "#8a6d1f")
SHOWN = ("all", "given masks", "every second frame", "masks with faults")
VERSIONS = {"plain": "given masks", "skip2": "every second frame", "hard": "masks with faults"}
ORDERS = ("gain", "doubt")


@dataclass(frozen=True)
class Listed:
    """All places of a movie, in no order, and the errors that each of them finds.

    Parameters
    ----------
    movie : ReviewedMovie
        The result.
    lineage : Lineage
        Its cells and links, with confidences from weights of other data sets.
    doubts : list of Doubt
        The places.
    evidence : (P, E) float64
        Of their gains.
    errors : list of set of int
        Rows of ``movie.mistakes`` that each place finds.
    divisions : mapping
        The weights of the confidences of divisions, from other data sets.
    """

    movie: ReviewedMovie
    lineage: Lineage
    doubts: list[Doubt]
    evidence: Numbers
    errors: list[set[int]]
    divisions: Mapping[str, float]


def main() -> None:
    args = _parse_arguments()
    record: dict[str, Any] = {**describe_run(), "frames": FRAMES, "methods": {}}
    movies: dict[str, list[ReviewedMovie]] = {method: [] for method in args.methods.split(",")}
    for method, movie in solve_all(args):
        movies[method].append(movie)
    listed = {method: list_places(movies[method], said) for method, said in predict_by_scorer(movies)}
    pooled = [each for found in listed.values() for each in found]
    for method, found in listed.items():
        record["methods"][method] = describe_method(list(measure_others(found, pooled)))
    if args.ship:
        ship({"gains": fit_gains(pooled)}, GROUP_WEIGHTS)
    draw_curves(record).savefig(args.out.with_suffix(".png"), dpi=80)
    write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))


# --- places and errors -----------------------------------------------------------------------------------------------


def is_failure(lineage: Lineage, errors: int) -> bool:
    """Return whether a result has so many errors that a person would rather track the movie again."""
    return errors > FAILURE * count_decisions(lineage)


def list_places(movies: Sequence[ReviewedMovie], said: Sequence[Numbers]) -> list[Listed]:
    """Return all places of movies whose links have these confidences."""
    groups = collect_groups(movies, said, "divisions")
    weights = {
        dataset: fit_group("divisions", [each for each in groups if each.dataset != dataset])
        for dataset in {movie.dataset for movie in movies}
    }
    return [_list_places(movie, p, weights[movie.dataset]) for movie, p in zip(movies, said, strict=True)]


def _list_places(movie: ReviewedMovie, said: Numbers, divisions: Mapping[str, float]) -> Listed:
    lineage = movie.rate(said)
    doubts, evidence = list_with_evidence(lineage, weights={"divisions": divisions, "gains": NO_GAINS}, **EVERYTHING)
    finder = SlotFinder(lineage)
    at: dict[int, set[int]] = {}
    for number, (_, slots) in enumerate(movie.mistakes):
        for slot in slots:
            at.setdefault(slot, set()).add(number)
    errors = [set().union(*(at.get(slot, ()) for slot in finder.find(doubt))) for doubt in doubts]
    return Listed(movie, lineage, doubts, evidence, errors, divisions)


class SlotFinder:
    """Finds the slots of the decisions at a place; see `solved_movies.find_slots`."""

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        self.past = np.full(len(lineage.cells), -1)
        self.past[lineage.target] = lineage.source
        self.children: dict[int, list[int]] = {}
        for source, target in zip(lineage.source.tolist(), lineage.target.tolist(), strict=True):
            self.children.setdefault(source, []).append(target)
        self.filled = np.zeros(len(lineage.cells), bool)
        if lineage.origins is not None:
            self.filled = lineage.origins.kind == MASK_KINDS.index("filled")

    def find(self, doubt: Doubt) -> Slots:
        """Return the slots of a place.

        A link over a gap is one decision, though masks were drawn in the gap. A place that names another cell is also
        the decision about the start, the end or the division there.
        """
        row, other = doubt.row, doubt.other
        if row < 0:
            return frozenset()
        if doubt.kind == "link":
            return frozenset(self._follow(row))
        if doubt.kind == "division":
            return frozenset(self._divide(row))
        found = {"end": {2 * row + 1}, "start": {2 * row}}.get(doubt.kind, {2 * row, 2 * row + 1})
        if doubt.kind == "short track":
            rows = np.flatnonzero(self.lineage.track == self.lineage.track[row])
            found |= {slot for each in rows.tolist() for slot in (2 * each, 2 * each + 1)}
        if other >= 0 and doubt.kind == "start":
            found |= {2 * other + 1} | self._divide(other)
        elif other >= 0:
            found |= {2 * other} | self._divide(int(self.past[other]))
        return frozenset(found)

    def _follow(self, row: int) -> Iterator[int]:
        yield 2 * int(self.past[row]) + 1
        yield 2 * row
        while self.filled[row] and len(self.children.get(row, ())) == 1:
            yield 2 * row + 1
            row = self.children[row][0]
            yield 2 * row

    def _divide(self, parent: int) -> set[int]:
        children = self.children.get(parent, [])
        return {2 * parent + 1, *(2 * child for child in children)} if len(children) > 1 else set()


def count_decisions(lineage: Lineage) -> int:
    """Return the number of links, divisions, starts and ends inside the movie, and masks that were changed."""
    frame, n = lineage.cells.frame, len(lineage.cells)
    children, parents = np.bincount(lineage.source, minlength=n), np.bincount(lineage.target, minlength=n)
    links = int((children[lineage.source] == 1).sum())
    starts, ends = (parents == 0) & (frame > 0), (children == 0) & (frame < lineage.cells.n_frames - 1)
    changed = 0 if lineage.origins is None else int((lineage.origins.kind > 0).sum())
    return links + int((children > 1).sum() + starts.sum() + ends.sum()) + changed


# --- weights ---------------------------------------------------------------------------------------------------------


def fit_gains(listed: Sequence[Listed]) -> dict[str, dict[str, float]]:
    """Return the weights of the gains, a Poisson regression for each kind; each data set counts the same."""
    listed = [each for each in listed if not is_failure(each.lineage, len(each.movie.mistakes))]
    datasets = [each.movie.dataset for each in listed]
    shares = [1 / datasets.count(each.movie.dataset) / max(len(each.doubts), 1) for each in listed]
    found = {}
    for group in dict.fromkeys(GAIN_KINDS.values()):
        own = [np.array([GAIN_KINDS.get(doubt.kind) == group for doubt in each.doubts], bool) for each in listed]
        x = np.concatenate([each.evidence[keep] for each, keep in zip(listed, own, strict=True)])
        counts = [np.array([len(errors) for errors in each.errors]) for each in listed]
        y = np.concatenate([count[keep] for count, keep in zip(counts, own, strict=True)])
        weight = np.concatenate([np.full(keep.sum(), share) for share, keep in zip(shares, own, strict=True)])
        found[group] = _fit_poisson(x, y, weight / weight.sum())
    return found


def _fit_poisson(x: Numbers, y: Numbers, weight: Numbers) -> dict[str, float]:
    """Return the weights of a Poisson regression; a higher doubt never lowers the gain."""
    middle, scale = x.mean(axis=0), np.maximum(x.std(axis=0), RARE)
    z = np.column_stack([np.ones(len(x)), (x - middle) / scale])
    usual = max(float((weight * y).sum()), 1e-9)

    def compute_loss(b: Numbers) -> tuple[float, Numbers]:
        value, inner = np.minimum(z @ b, 5), np.r_[0, b[1:]]
        expected = np.exp(value)
        loss = (weight * (expected - y * value)).sum() / usual + PENALTY / 2 * (inner**2).sum()
        return loss, z.T @ (weight * (expected - y)) / usual + PENALTY * inner

    start = np.r_[np.log(usual), np.zeros(x.shape[1])]
    bounds = [(None, None), (0, None), *[(None, None)] * (x.shape[1] - 1)]
    b = minimize(compute_loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    slopes = b[1:] / scale
    weights = dict(zip(GAIN_EVIDENCE, (slopes.round(4) + 0.0).tolist(), strict=True))
    return {**weights, "intercept": round(float(b[0] - (slopes * middle).sum()), 4)}


# --- measurement -----------------------------------------------------------------------------------------------------


def measure_others(listed: Sequence[Listed], pooled: Sequence[Listed]) -> Iterator[Row]:
    """Yield the curve of each movie, with gains whose weights were fitted on the other data sets."""
    for dataset in dict.fromkeys(each.movie.dataset for each in listed):
        gains = fit_gains([each for each in pooled if each.movie.dataset != dataset])
        for each in listed:
            if each.movie.dataset == dataset:
                yield measure_movie(each, gains)


def measure_movie(listed: Listed, gains: Mapping[str, Mapping[str, float]]) -> Row:
    """Return which errors of a movie stand how far from the top of the list."""
    weights = {"divisions": listed.divisions, "gains": gains}
    decisions, kinds = count_decisions(listed.lineage), [kind for kind, _ in listed.movie.mistakes]
    inside = [k for k, doubt in enumerate(listed.doubts) if doubt.kind in GAIN_KINDS]  # not frames without cells
    doubts, errors = [listed.doubts[k] for k in inside], [listed.errors[k] for k in inside]
    gain = rate_places(doubts, listed.evidence[inside], gains)
    ranked = {
        "gain": np.argsort(-gain, kind="stable"),
        "doubt": np.argsort([-doubt.doubt for doubt in doubts], kind="stable"),
    }
    first = {name: _find_first([errors[k] for k in order], len(kinds)) for name, order in ranked.items()}
    limits = [int(np.ceil(part * decisions)) for part in PARTS]
    top = limits[PARTS.index(TOP)]
    shown = {_name(doubt) for doubt in list_with_evidence(listed.lineage, weights=weights, **LIMITS)[0]}
    in_list = set().union(*(found for doubt, found in zip(doubts, errors, strict=True) if _name(doubt) in shown))
    bins, count = np.digitize(gain, GAINS[1:-1]), np.array([len(each) for each in errors])
    on_top = {
        kind: int(sum(place <= top for place, own in zip(first["gain"], kinds, strict=True) if own == kind))
        for kind in set(kinds)
    }
    return {
        "dataset": listed.movie.dataset,
        "movie": listed.movie.name,
        "version": listed.movie.version,
        "decisions": decisions,
        "failure": is_failure(listed.lineage, len(kinds)),
        "listed": len(shown),
        "errors": len(kinds),
        "in_list": len(in_list),
        "found": {name: [int((places <= limit).sum()) for limit in limits] for name, places in first.items()},
        "best": _count_best(errors, top),
        "kinds": {kind: [kinds.count(kind), on_top[kind]] for kind in sorted(on_top)},
        "gains": [
            [int((bins == k).sum()), round(float(gain[bins == k].sum()), 3), int(count[bins == k].sum())]
            for k in range(len(GAINS) - 1)
        ],
    }


def _name(doubt: Doubt) -> tuple[str, int, int]:
    return doubt.kind, doubt.row, doubt.frame


def _find_first(errors: Sequence[set[int]], n: int) -> Numbers:
    """Return the rank of the first place that finds each of n errors, from 1; infinite if none does."""
    first = np.full(n, np.inf)
    for rank, found in reversed(list(enumerate(errors, 1))):
        first[list(found)] = rank
    return first


def _count_best(errors: Sequence[set[int]], places: int) -> int:
    """Return how many errors as many places find if each next one finds most of those that are left."""
    left, found = [each for each in errors if each], set[int]()
    for _ in range(places):
        most = max(left, key=lambda each: len(each - found), default=set[int]())
        if not most - found:
            break
        found |= most
    return len(found)


def describe_method(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the pooled figures of a method, by version and of real and simulated movies, and the rows."""
    kept = [row for row in rows if not row["failure"]]
    groups = {"all": kept}
    groups |= {title: [row for row in kept if row["version"] == version] for version, title in VERSIONS.items()}
    groups["real movies"] = [row for row in kept if not row["dataset"].startswith("simulated")]
    groups["simulated movies"] = [row for row in kept if row["dataset"].startswith("simulated")]
    groups["failures"] = [row for row in rows if row["failure"]]
    pooled = {name: _pool(group) for name, group in groups.items() if group}
    kinds: dict[str, list[int]] = {}
    for row in kept:
        for kind, (n, found) in row["kinds"].items():
            kinds[kind] = [kinds.get(kind, [0, 0])[0] + n, kinds.get(kind, [0, 0])[1] + found]
    gains = np.sum([row["gains"] for row in kept], axis=0).round(1).tolist()
    return {
        "parts": list(PARTS),
        "pooled": pooled,
        "kinds": dict(sorted(kinds.items())),
        "gains": gains,
        "rows": list(rows),
    }


def _pool(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the fractions of the errors of several movies that are found, and the movies without half of theirs."""
    errors, decisions = sum(row["errors"] for row in rows), sum(row["decisions"] for row in rows)
    found = {name: np.sum([row["found"][name] for row in rows], axis=0) / max(errors, 1) for name in ORDERS}
    counted = [row for row in rows if row["errors"] >= FEWEST]
    at = PARTS.index(TOP)
    return {
        "movies": len(rows),
        "decisions": decisions,
        "errors": errors,
        "listed": round(sum(row["listed"] for row in rows) / decisions, 4),
        "in_list": round(sum(row["in_list"] for row in rows) / max(errors, 1), 4),
        "best": round(sum(row["best"] for row in rows) / max(errors, 1), 4),
        "counted": len(counted),
        "half": sum(2 * row["found"]["gain"][at] >= row["errors"] for row in counted),
        "half_by_best": sum(2 * row["best"] >= row["errors"] for row in counted),
        **{name: each.round(4).tolist() for name, each in found.items()},
    }


# --- tables and figure -----------------------------------------------------------------------------------------------


def draw_curves(record: Mapping[str, Any]) -> Figure:
    """Draw the fraction of the errors that are found against the fraction of the decisions that are looked at."""
    figure = Figure(figsize=(4.2 * len(record["methods"]), 3.6), layout="constrained")
    panels = figure.subplots(1, len(record["methods"]), sharey=True, squeeze=False)[0]
    for axes, (method, about) in zip(panels, record["methods"].items(), strict=True):
        percent = np.r_[0, about["parts"]] * 100
        for row in about["rows"]:
            if row["errors"] >= FEWEST and not row["failure"]:
                axes.plot(
                    percent, np.r_[0, row["found"]["gain"]] / row["errors"], color="#cccccc", linewidth=0.6, zorder=1
                )
        for (name, pooled), colour in zip(about["pooled"].items(), COLOURS, strict=False):
            if name in SHOWN:
                axes.plot(percent, np.r_[0, pooled["gain"]], color=colour, label=name, zorder=3)
        axes.plot(
            percent, np.r_[0, about["pooled"]["all"]["doubt"]], "--", color=COLOURS[0], label="all, by doubt", zorder=2
        )
        axes.plot([0, 100], [0, 1], color="#bbbbbb", linewidth=1, label="in any order")
        axes.plot(100 * TOP, 0.5, "+", color="black", markersize=9)
        axes.set(title=method, xlabel="decisions looked at (%)", xlim=(0, 30), ylim=(0, 1))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("errors found")
    panels[0].legend(fontsize=8, frameon=False, loc="lower right")
    return figure


def format_markdown(record: Mapping[str, Any]) -> str:
    """Return the tables of a record."""
    parts = [
        "# The review list",
        format_circumstances(record),
        "Fraction of the errors that are found within the first places of the review list, counted as a fraction of "
        "the decisions of the result. *By doubt*: if the list is ranked by the doubt alone. *Best*: by a list that "
        f"knows the errors. *Half*: movies with at least {FEWEST} errors of which the first {TOP:.0%} of the decisions "
        "hold half, and, in brackets, by the best list. *Failures*: results with more errors than a tenth of their "
        "decisions, which are in no other row and not used for the weights. *Listed*: places in `review.csv`, as a "
        "fraction of the decisions. "
        "Weights were fitted without the data set of the movie.",
    ]
    for method, about in record["methods"].items():
        parts += [f"## {method}", format_pooled(about), _format_kinds(about), _format_gains(about), _format_rows(about)]
    return "\n\n".join(parts)


def _format_kinds(about: Mapping[str, Any]) -> str:
    lines = [[kind, str(n), f"{found / n:.1%}"] for kind, (n, found) in about["kinds"].items()]
    return format_table(["error", "number", f"in {TOP:.0%}"], lines)


def _format_gains(about: Mapping[str, Any]) -> str:
    lines = [
        [
            f"{low} to {high}" if np.isfinite(high) else f"{low} and more",
            str(int(n)),
            *(f"{value / n:.3f}" for value in (said, found)),
        ]
        for low, high, (n, said, found) in zip(GAINS[:-1], GAINS[1:], about["gains"], strict=True)
        if n
    ]
    return format_table(["expected gain", "places", "mean", "errors found there"], lines)


def _format_rows(about: Mapping[str, Any]) -> str:
    at = about["parts"].index(TOP)
    lines = [
        [
            row["movie"],
            *(str(row[name]) for name in ("decisions", "listed", "errors")),
            *(str(value) for value in (row["found"]["gain"][at], row["best"], row["in_list"])),
        ]
        for row in about["rows"]
    ]
    return format_table(["movie", "decisions", "listed", "errors", f"in {TOP:.0%}", "best", "in the list"], lines)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_movie_arguments(parser)
    parser.add_argument("--ship", action="store_true", help="write the weights of the gains into the package")
    parser.add_argument("--out", type=Path, default=RESULTS / "review.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
