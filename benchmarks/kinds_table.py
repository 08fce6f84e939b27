"""Tables of protocol ``kinds`` of ``learned.py``: every method against the classical scores and the other trackers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from kind_groups import KINDS
from record import format_table, sort_methods

USUAL, OURS = "hungarian", "gnn"
SHOWN = {"LNK error": "LNK", "division F1": "division_f1(1)", "BIO": "BIO(1)", "CHOTA": "CHOTA"}
LINKS, DIVISIONS = 0.0005, 0.01  # LNK and division F1 by which a version counts as worse
FEWEST = 5  # true divisions of a version whose division F1 counts
SMALL = 0.001  # added to both LNK errors of a ratio, since some are 0
HARD = "hard"
LIMITS = {"ratio": 0.8, "f1": 0.05}  # wanted: at most this ratio of LNK errors, at least this gain in division F1

Row = dict[str, Any]
Movie = tuple[str, str]
"""A kind, and a version of its movie."""
Results = dict[Movie, dict[str, dict[str, float | None]]]
"""The figures of each method on each version of each movie."""


class Difference(NamedTuple):
    """A method against the classical scores on a version of a movie."""

    movie: Movie
    error: float
    usual: float
    f1: float | None
    """Gain in division F1; None if there are few divisions."""

    @property
    def ratio(self) -> float:
        """The error as a fraction of the usual one."""
        return (self.error + SMALL) / (self.usual + SMALL)

    @property
    def has_worse_links(self) -> bool:
        """Whether LNK is lower."""
        return self.error > self.usual + LINKS

    @property
    def has_worse_divisions(self) -> bool:
        """Whether division F1 is lower."""
        return self.f1 is not None and self.f1 < -DIVISIONS


def group_rows(rows: Sequence[Row]) -> Results:
    """Return the figures of the rows by movie and method, in the order of the kinds; LNK is the error."""
    place = {kind.name: number for number, kind in enumerate(KINDS)}
    found: Results = {}
    for row in sorted(rows, key=lambda row: place.get(row["sequence"], 0)):
        if "figures" in row:
            figures = dict(row["figures"])
            figures["LNK"] = 1 - figures["LNK"]
            found.setdefault((row["sequence"], row["twin"]), {})[row["method"]] = figures
    return found


def format_kinds(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the tables, and what they show."""
    results = group_rows(rows)
    yield from format_summary(results)
    methods = sort_methods({method for found in results.values() for method in found})
    order = " / ".join(methods)
    yield f"Each cell: {order}."
    yield format_table(
        ["kind, version", "divisions", *SHOWN],
        [
            [", ".join(movie), _count_divisions(found), *(_join(found, methods, name) for name in SHOWN.values())]
            for movie, found in results.items()
        ],
    )


def format_summary(results: Results) -> Iterator[str]:
    """Yield the comparison with the classical scores, that with the peers, and the goals."""
    methods = sort_methods({each for found in results.values() if USUAL in found for each in found} - {USUAL})
    versions = list(dict.fromkeys(version for _, version in results))
    kinds = dict.fromkeys(kind for kind, _ in results)
    yield (
        f"{len(kinds)} kinds: {', '.join(kinds)}. Each method against `{USUAL}`: its LNK error (1 - LNK) as a fraction "
        f"of that of `{USUAL}`, in the mean over versions, and as a fraction of the mean; {SMALL:g} is added to both "
        "errors of a version, as some are 0. Division F1: its mean difference from that of "
        f"`{USUAL}`, over versions with at least {FEWEST} divisions. *Worse*: versions whose LNK is lower by more than "
        f"{LINKS}, or whose division F1 is lower by more than {DIVISIONS}."
    )
    yield format_table(
        [
            "method",
            "versions",
            *(f"LNK error, {version}" for version in versions),
            "all",
            "of the means",
            "worse LNK",
            "largest increase",
            "division F1",
            "worse F1",
            "largest decrease",
        ],
        [_summarise(compare(results, method), method, versions) for method in methods],
    )
    others = [method for method in methods if method != OURS]
    if OURS in methods and others:
        yield f"Means over the versions that a method has, each cell: the method / `{OURS}` / `{USUAL}`."
        yield format_table(
            ["method", "versions", *SHOWN, f"CHOTA, {HARD}"],
            [_compare_means(results, method) for method in others],
        )
    if OURS in methods:
        yield format_table(["asked of `gnn`", "measured", "limit", "reached"], list(_check_goals(results, methods)))


def compare(results: Results, method: str) -> list[Difference]:
    """Return the differences of a method from the classical scores."""
    return [
        Difference(movie, _get(found[method], "LNK"), _get(found[USUAL], "LNK"), _find_gain(found, method))
        for movie, found in results.items()
        if {method, USUAL} <= found.keys()
    ]


def _get(figures: Mapping[str, float | None], name: str) -> float:
    return figures[name] or 0.0


def _find_gain(found: Mapping[str, Mapping[str, float | None]], method: str) -> float | None:
    name = SHOWN["division F1"]
    if (found[USUAL]["divisions"] or 0) < FEWEST:
        return None
    return _get(found[method], name) - _get(found[USUAL], name)


def _summarise(differences: Sequence[Difference], method: str, versions: Sequence[str]) -> list[str]:
    some = [[each for each in differences if each.movie[1] == version] for version in versions]
    gains = [(each.f1, each.movie) for each in differences if each.f1 is not None]
    usual = sum(each.usual for each in differences)
    return [
        f"`{method}`",
        str(len(differences)),
        *(_format(_average([each.ratio for each in chosen]), 2) for chosen in [*some, differences]),
        _format(sum(each.error for each in differences) / usual if usual else None, 2),
        str(sum(each.has_worse_links for each in differences)),
        _name(max((each.error - each.usual, each.movie) for each in differences), 4),
        _sign(_average([gain for gain, _ in gains]), 3),
        str(sum(each.has_worse_divisions for each in differences)),
        _name(min(gains), 3) if gains else "-",
    ]


def _name(found: tuple[float, Movie], digits: int) -> str:
    """Return a difference and its movie."""
    return f"{_sign(found[0], digits)} ({', '.join(found[1])})"


def _compare_means(results: Results, method: str) -> list[str]:
    both = {movie: found for movie, found in results.items() if {method, OURS, USUAL} <= found.keys()}
    hard = {movie: found for movie, found in both.items() if movie[1] == HARD}
    cells = [(both, name) for name in SHOWN.values()] + [(hard, SHOWN["CHOTA"])]
    compared = dict.fromkeys([method, OURS, USUAL])
    means = ([_format(_find_mean(some, each, name)) for each in compared] for some, name in cells)
    return [f"`{method}`", str(len(both)), *(" / ".join(each) for each in means)]


def _find_mean(results: Results, method: str, name: str) -> float | None:
    """Return the mean of a figure over the movies of which it is known for the classical scores."""
    return _average([_get(found[method], name) for found in results.values() if found[USUAL][name] is not None])


def _check_goals(results: Results, methods: Sequence[str]) -> Iterator[list[str]]:
    """Yield what is asked of the network, what was measured, and whether it is reached."""
    found = compare(results, OURS)
    gain, usual = _average([each.f1 for each in found if each.f1 is not None]), sum(each.usual for each in found)
    ratios = {"mean of the fractions": fmean(each.ratio for each in found)}
    if usual:
        ratios["fraction of the means"] = sum(each.error for each in found) / usual
    links, divisions = sum(each.has_worse_links for each in found), sum(each.has_worse_divisions for each in found)
    least, most = LIMITS["f1"], LIMITS["ratio"]
    for name, ratio in ratios.items():
        yield [f"LNK error, {name}", _format(ratio, 2), f"<= {most:.2f}", _answer(ratio <= most)]
    yield [f"versions with LNK lower by > {LINKS}", str(links), "0", _answer(not links)]
    yield [f"versions with division F1 lower by > {DIVISIONS}", str(divisions), "0", _answer(not divisions)]
    if gain is not None:
        yield ["division F1, mean difference", _sign(gain, 3), f">= +{least:.2f}", _answer(gain >= least)]
    for other in (USUAL, *(method for method in methods if not method.startswith(OURS))):
        hard = {key: each for key, each in results.items() if key[1] == HARD and {OURS, other, USUAL} <= each.keys()}
        mine, theirs = (_find_mean(hard, method, SHOWN["CHOTA"]) for method in (OURS, other))
        if mine is not None and theirs is not None:
            limit = f"> {_format(theirs)} (`{other}`)"
            yield [f"CHOTA on {HARD}, {len(hard)} kinds", _format(mine), limit, _answer(mine > theirs)]


def _answer(reached: bool) -> str:  # noqa: FBT001
    return "yes" if reached else "**no**"


def _count_divisions(found: Mapping[str, Mapping[str, float | None]]) -> str:
    return str(int(next(iter(found.values()))["divisions"] or 0))


def _join(found: Mapping[str, Mapping[str, float | None]], methods: Sequence[str], name: str) -> str:
    return " / ".join(_format(found[method][name]) if method in found else "-" for method in methods)


def _average(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _format(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}".removeprefix("0")


def _sign(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:+.{digits}f}"
