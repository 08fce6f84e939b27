"""Tables of the results of ``learned.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from accuracy import SHOWN, format_cell, format_number, is_at_least
from kinds_table import format_kinds
from record import format_circumstances, format_table, sort_methods
from version_runs import KEY

PROTOCOLS = {
    "same": "One network, trained on all sequences less the first half of each tested one; tested on those halves.",
    "left-out": "A network for each data set, trained on all others; tested on the whole sequence.",
    "kinds": "A network for each group of kinds, trained on all other kinds. Versions: the given masks, every 2nd "
    "frame, every 4th frame, masks with faults. `koft`, `laptrack`: run here.",
}
METHODS = (
    "On held-out frames, versions as in `accuracy.md`. `gnn`: ours; `pdn` and `pdn+triplets`: the published network of "
    "Ben-Haim and Riklin-Raviv with its own rules and with our solver, from `published.py`; `koft`, `laptrack`, "
    "`btrack`: run here. KOFT fills gaps with its own discs; our gap filling is applied to the links of the others."
)
F1 = "division_f1(1)"
ABOVE = {"BIO(1) at least KOFT's": "BIO(1)", "OP_CLB(1) at least KOFT's": "OP_CLB(1)"}
WORSE = 0.001  # LNK error by which a learned method may be worse than `hungarian`
GOALS = {"same": 0.5, "left-out": 0.8}  # largest LNK error, as a fraction of KOFT's
DIVISIONS = {
    "Fluo-N2DL-HeLa 01": 0.90,
    "Fluo-N2DH-SIM+ 01": 0.90,
    "PhC-C2DL-PSC 01": 0.92,
}

Row = dict[str, Any]
Rows = Mapping[tuple[str, str, str], Row]


def format_markdown(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    only_kinds = all(row["protocol"] == "kinds" for row in record["rows"])
    parts = [
        "# Kinds of movies that the network has not seen" if only_kinds else "# Learned methods",
        format_circumstances(record),
        *([] if only_kinds else [METHODS]),
        *(f"Not installed: {peer}." for peer in record["absent"]),
    ]
    for protocol, about_it in PROTOCOLS.items():
        of_it = [row for row in record["rows"] if row["protocol"] == protocol]
        if of_it:
            tables = format_kinds(of_it) if protocol == "kinds" else _format_protocol(protocol, of_it)
            parts += [f"## {protocol}", about_it, *tables]
    parts += [_format_trainings(record["rows"]), _describe_faults(record["rows"])]
    return "\n\n".join(part for part in parts if part)


def _format_protocol(protocol: str, of_it: Sequence[Row]) -> Iterator[str]:
    rows = {(row["sequence"], row["twin"], row["method"]): row for row in of_it}
    methods = sort_methods({method for *_, method in rows})
    yield "Each cell: LNK / BIO(1) / division F1 within 1 frame / CHOTA / TRA. **Bold**: at least as good as KOFT here."
    yield format_table(["sequence, twin", *methods], list(_format_figures(rows, methods)))
    yield "Means over the twins that both have; LNK error is 1 - LNK."
    yield format_table(
        [
            "method",
            "twins",
            "LNK error",
            "/ KOFT's",
            f"LNK worse than hungarian by > {format_number(WORSE, 3)}",
            *ABOVE,
        ],
        [_summarise_method(rows, method) for method in methods],
    )
    yield "Division F1, plain / hard / skip2:"
    yield format_table(["sequence", *methods], list(_format_divisions(rows, methods)))
    if "gnn" in methods and "koft" in methods:
        yield format_table(["asked of gnn", "measured", "limit", "reached"], list(_check_goals(protocol, rows)))


def _format_figures(rows: Rows, methods: Sequence[str]) -> Iterator[list[str]]:
    for sequence, kind in dict.fromkeys((sequence, kind) for sequence, kind, _ in rows):
        koft = rows.get((sequence, kind, "koft"), {}).get("figures")
        bounds = [None if koft[name] is None else round(koft[name], 4) for name in SHOWN] if koft else None
        found = {method: rows.get((sequence, kind, method)) for method in methods}
        yield [
            f"{sequence}, {kind}",
            *(format_cell(row, None if name == "koft" else bounds) for name, row in found.items()),
        ]


def _summarise_method(rows: Rows, method: str) -> list[str]:
    """Return a method's mean error, its ratio to KOFT's, and numbers of movies on which it is better or worse."""
    mine = _collect_errors(rows, method)
    koft, classical = _collect_errors(rows, "koft"), _collect_errors(rows, "hungarian")
    both = mine.keys() & koft.keys()
    theirs = fmean(koft[twin] for twin in both) if both else 0.0
    ratio = fmean(mine[twin] for twin in both) / theirs if theirs else None  # an error of 0 has no ratio
    worse = sum(mine[twin] > classical[twin] + WORSE for twin in mine.keys() & classical.keys())
    above = [_count_above(rows, method, name) for name in ABOVE.values()]
    error = format_number(fmean(mine.values())) if mine else "-"
    return [
        method,
        str(len(mine)),
        error,
        format_number(ratio, 2),
        str(worse),
        *(f"{good} of {n}" for good, n in above),
    ]


def _format_divisions(rows: Rows, methods: Sequence[str]) -> Iterator[list[str]]:
    for sequence in dict.fromkeys(sequence for sequence, *_ in rows):
        kinds = list(dict.fromkeys(kind for other, kind, _ in rows if other == sequence))
        f1 = [
            [format_number(_get_figure(rows, (sequence, kind, method), F1), 3) for kind in kinds] for method in methods
        ]
        yield [sequence, *(" / ".join(each) for each in f1)]


def _check_goals(protocol: str, rows: Rows) -> Iterator[list[str]]:
    """Yield the goals of the learned method, the measured figures, and whether they are reached."""
    ratio, worse = _summarise_method(rows, "gnn")[3:5]
    limit = GOALS[protocol]
    yield ["LNK error / KOFT's, mean", ratio, f"<= {limit}", _format_answer(ratio != "-" and float(ratio) <= limit)]
    wanted = [*ABOVE.items()]
    if protocol == "left-out":
        yield [
            f"twins whose LNK is worse than hungarian's by > {format_number(WORSE, 3)}",
            worse,
            "0",
            _format_answer(worse == "0"),
        ]
        wanted.append(("division F1 at least KOFT's", F1))
    else:
        for sequence, least in DIVISIONS.items():
            f1 = _get_figure(rows, (sequence, "plain", "gnn"), F1)
            if f1 is not None:
                yield [
                    f"division F1, {sequence}, plain",
                    format_number(f1, 3),
                    f">= {format_number(least, 2)}",
                    _format_answer(f1 >= least),
                ]
    for title, name in wanted:
        good, n = _count_above(rows, "gnn", name)
        yield [title, f"{good} of {n}", "all", _format_answer(0 < good == n)]


def _count_above(rows: Rows, method: str, name: str) -> tuple[int, int]:
    """Return on how many movies a figure is at least KOFT's, and on how many both have it."""
    held = []
    for sequence, kind, other in rows:
        mine, koft = (_get_figure(rows, (sequence, kind, each), name) for each in (method, "koft"))
        if other == method and mine is not None and koft is not None:
            held.append(is_at_least(mine, round(koft, 4)))
    return sum(held), len(held)


def _collect_errors(rows: Rows, method: str) -> dict[tuple[str, str], float]:
    """Return the LNK error of a method on each version of a movie."""
    lnk = {key[:2]: _get_figure(rows, key, "LNK") for key in rows if key[2] == method}
    return {twin: 1 - value for twin, value in lnk.items() if value is not None}


def _get_figure(rows: Rows, key: tuple[str, str, str], name: str) -> float | None:
    value: float | None = rows.get(key, {}).get("figures", {}).get(name)
    return value


def _format_trainings(rows: list[Row]) -> str:
    lines = []
    for row in rows:
        told = row.get("model")
        if told is None:
            continue
        best = told["best"]
        f1 = format_number(best["validation_division_f1"], 3)
        fold = "all" if row["protocol"] == "same" else f"without {row.get('left_out', row['sequence'])}"
        facts = [str(told["versions"]), str(told["links"]), str(told["divisions"]), str(told["steps"])]
        found = [
            format_number(best["validation_link_error"], 5),
            f1,
            f"{told['temperature']:.2f}",
            f"{told['seconds']:.0f}",
        ]
        lines.append([f"{row['protocol']}, {fold}, {row['method']}", *facts, *found])
    if not lines:
        return ""
    head = ["training", "versions", "links", "divisions", "best step", "its link error", "division F1", "temperature"]
    lines = [list(each) for each in dict.fromkeys(map(tuple, lines))]
    return "## Trainings\n\n" + format_table([*head, "s"], lines)


def _describe_faults(rows: list[Row]) -> str:
    failed = [" ".join(row[name] for name in (*KEY, "failed")) for row in rows if "failed" in row]
    errors = sum(row.get("errors", 0) for row in rows)
    codes = len({row["code"] for row in rows})
    told = f"{len(rows) - len(failed)} results, {errors} errors of the format, made by {codes} version(s) of the code."
    return told + (f" Failed: {'; '.join(failed)}." if failed else "")


def _format_answer(reached: bool) -> str:  # noqa: FBT001
    return "yes" if reached else "**no**"
