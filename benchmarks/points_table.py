"""Tables and the plot of ``results/points.json``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from record import RESULTS, format_circumstances, format_table

Row = dict[str, Any]

OURS = ("hungarian", "gnn")
NOT_YET = "(not measured yet)"
QUIET = 3.0  # load of the machine up to which the time of a run is shown
TITLES = {
    "plain": "Hungarian, best gate",
    "drift+gaps": "Hungarian, drift, gaps",
    "laptrack": "laptrack",
    "trackpy": "trackpy",
    "btrack": "btrack",
    "tracksdata": "tracksdata",
    "hungarian": "`hungarian`",
    "gnn": "`gnn`",
}
COLOURS = {
    "plain": "#bbbbbb",
    "drift+gaps": "#666666",
    "laptrack": "#88ccee",
    "trackpy": "#44aa99",
    "btrack": "#ddcc77",
    "tracksdata": "#aa4499",
    "hungarian": "#ee7733",
    "gnn": "#cc3311",
}


def format_markdown(record: Mapping[str, Any]) -> str:
    """Return the tables of a record."""
    rows = record["rows"]
    failed = [f"{row['case']}, {row['method']}: {row['failed']}" for row in rows if "failed" in row]
    parts = [
        "# Linking of points",
        format_circumstances(record),
        format_groups(rows),
        compare_with_baselines(rows),
        "## Divisions",
        "Right / wrong / missed, within one frame, summed over the cases of a group.",
        format_divisions(rows),
        "## Error of links",
        "Missed links (weight 1.5) and wrong ones, as a fraction of the true ones.",
        format_errors(rows),
        "## Time and memory",
        format_costs(rows),
        "## Many points",
        format_speed(rows),
        "## All cases",
        format_cases(rows),
        *([f"Failed: {'; '.join(failed)}."] if failed else []),
    ]
    return "\n\n".join(part for part in parts if part)


def format_groups(rows: Iterable[Row]) -> str:
    """Return the mean Jaccard index of links of each method in each group of cases; the best in bold."""
    return _tabulate(rows, lambda some: fmean(row["J"] for row in some), best=max)


def format_errors(rows: Iterable[Row]) -> str:
    """Return the mean error of links of each method in each group."""
    return _tabulate(rows, lambda some: fmean(row["error"] for row in some), best=min)


def format_divisions(rows: Iterable[Row]) -> str:
    """Return the counts of divisions of each method in each group."""
    groups, methods = _group(rows)
    lines = []
    for group, by_method in groups.items():
        some = {method: _sum_counts(by_method.get(method, []), "divisions") for method in methods}
        if any(each and each[0] + each[2] for each in some.values()):
            cells = ("/".join(map(str, each)) + _mark(by_method, method) for method, each in some.items())
            lines.append([group, *cells])
    return format_table(["cases", *(TITLES[method] for method in methods)], lines)


def format_costs(rows: Iterable[Row]) -> str:
    """Return seconds, on a quiet machine, and peak memory of whole processes, means over the cases of a group."""
    groups, methods = _group(rows)
    lines = []
    for group, by_method in groups.items():
        cells = [_format_costs(by_method.get(method, [])) for method in methods]
        points = fmean(row["points"] for each in by_method.values() for row in each)
        lines.append([group, f"{points:.0f}", *cells])
    return format_table(["cases", "points", *(TITLES[method] for method in methods)], lines)


def _format_costs(rows: Sequence[Row]) -> str:
    quiet = [row["seconds"] for row in rows if row["load"] <= QUIET]
    seconds = [f"{fmean(quiet):.1f} s"] if quiet else []
    memory = [f"{fmean(row['peak_mb'] for row in rows):.0f} MB"] if rows else []
    return ", ".join(seconds + memory)


def format_cases(rows: Iterable[Row]) -> str:
    """Return the Jaccard index of links of each method in each case."""
    rows = [{**row, "group": row["case"]} for row in rows]
    return format_groups(rows)


def compare_with_baselines(rows: Iterable[Row]) -> str:
    """Return how the error 1 - J of our methods compares with that of the best other method in each case, as text."""
    cases, _ = _group({**row, "group": row["case"]} for row in rows)
    sentences = []
    for method in OURS:
        ratios, behind, compared = [], [], 0
        for case, by_method in cases.items():
            others = [some[0]["J"] for name, some in by_method.items() if name not in OURS]
            if method not in by_method or not others:
                continue
            compared += 1
            own = by_method[method][0]["J"]
            if max(others) < 1:
                ratios.append((1 - own) / (1 - max(others)))
            if round(own, 4) < round(max(others), 4):
                behind.append(case)
        if not ratios:
            continue
        told = f" Behind: {', '.join(behind)}." if behind else ""
        sentences.append(
            f"`{method}`: the error 1 - J is {fmean(ratios):.2f} of that of the best other method in the mean over "
            f"{len(ratios)} cases; at least as good in {compared - len(behind)} of {compared} cases.{told}"
        )
    return "\n\n".join(sentences)


def draw_errors(rows: Iterable[Row], path: Path) -> None:
    """Draw the mean error 1 - J of each method in each group of cases, on a logarithmic axis."""
    from matplotlib.figure import Figure

    groups, methods = _group(rows)
    names = list(groups)
    if not names:
        return
    figure = Figure(figsize=(9, 0.34 * len(names) + 1.3), layout="constrained")
    axes = figure.add_subplot()
    for method in methods:
        places, errors = [], []
        for place, name in enumerate(names):
            if some := groups[name].get(method):
                places.append(place)
                errors.append(max(1 - fmean(row["J"] for row in some), 3e-4))
        ours = method in OURS
        marker = {"marker": "D" if ours else "o", "s": 55 if ours else 34, "zorder": 3 if ours else 2}
        title = TITLES[method].strip("`")
        axes.scatter(errors, places, color=COLOURS[method], label=title, edgecolor="white", linewidth=0.5, **marker)
    axes.set(xscale="log", yticks=range(len(names)), yticklabels=names, xlabel="error of links, 1 - J")
    axes.invert_yaxis()
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


def _tabulate(rows: Iterable[Row], measure: Any, *, best: Any) -> str:
    groups, methods = _group(rows)
    lines = []
    for group, by_method in groups.items():
        values = {method: round(measure(some), 4) for method, some in by_method.items()}
        whole = [method for method in values if not _mark(by_method, method)]
        top = best(values[method] for method in whole)
        cells = [
            _format(values.get(method), top if method in whole else math.nan) + _mark(by_method, method)
            for method in methods
        ]
        lines.append([group, *cells])
    return format_table(["cases", *(TITLES[method] for method in methods)], lines)


def _mark(by_method: Mapping[str, Sequence[Row]], method: str) -> str:
    """Return a star for a method that was run on some of the cases of a group."""
    count = len(by_method.get(method, []))
    return "*" if 0 < count < max(map(len, by_method.values())) else ""


def _format(value: float | None, top: float) -> str:
    if value is None:
        return ""
    text = f"{value:.4f}".removeprefix("0")
    return f"**{text}**" if value == top else text


def _group(rows: Iterable[Row]) -> tuple[dict[str, dict[str, list[Row]]], list[str]]:
    """Return the rows by group and method, and the methods, both in their order."""
    groups: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        if "failed" not in row and "J" in row:
            groups.setdefault(row["group"], {}).setdefault(row["method"], []).append(row)
    known = {method for by_method in groups.values() for method in by_method}
    return groups, [method for method in TITLES if method in known]


def _sum_counts(rows: Sequence[Row], name: str) -> list[int]:
    return [sum(each) for each in zip(*(row[name] for row in rows), strict=True)] if rows else []


def _read(name: str) -> list[Row]:
    """Return the committed rows of a benchmark."""
    path = RESULTS / f"{name}.json"
    rows: list[Row] = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    return rows


def describe_run() -> str:
    """Return a line about the machine and the versions of the committed run."""
    path = RESULTS / "points.json"
    return format_circumstances(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else NOT_YET


def compare_with_balls() -> str:
    """Return the errors of links and the divisions of complete ascidian embryos, beside those of masks of balls."""
    rows = [row for row in _read("points") if row["group"].startswith("ascidian complete") and row["method"] in OURS]
    lines = []
    for balls in _read("ball_masks"):
        name = f"ascidian {balls['embryo']} complete" + (f" every {balls['step']}" if balls["step"] > 1 else "")
        mine = {row["method"]: row for row in rows if row["case"] == name and "failed" not in row}
        if mine:
            some = [balls, *(mine.get(method) for method in OURS)]
            lines.append([name, *(f"{row['error']:.5f}" if row else "" for row in some), *map(_format_f1, some)])
    head = ["embryo", "balls", *OURS, "divisions: balls", *OURS]
    return format_table(head, lines) if lines else NOT_YET


def _format_f1(row: Row | None) -> str:
    if row is None:
        return ""
    right, wrong, missed = row["divisions"]
    return f"{2 * right / max(2 * right + wrong + missed, 1):.3f}"


def format_speed(rows: Iterable[Row]) -> str:
    """Return seconds and peak memory of whole processes on many points."""
    rows = [row for row in rows if row["case"].startswith("speed") and "failed" not in row]
    lines = [
        [
            f"{row['points']:,}".replace(",", " "),
            TITLES[row["method"]],
            f"{row['seconds']:.1f}",
            f"{row['peak_mb']:.0f}",
        ]
        for row in rows
    ]
    return format_table(["points", "method", "seconds", "peak memory, MB"], lines) if lines else NOT_YET


def _fill(make: Callable[[list[Row]], str]) -> Callable[[], str]:
    """Return a function that makes a text of the committed rows."""
    return lambda: make(_read("points")) if _read("points") else NOT_YET


TABLES = {
    "points": _fill(format_groups),
    "points behind": _fill(compare_with_baselines),
    "points divisions": _fill(format_divisions),
    "points costs": _fill(format_costs),
    "points run": describe_run,
    "points balls": compare_with_balls,
    "points speed": _fill(format_speed),
}
