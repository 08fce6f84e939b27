"""Tables of the pages about trainings: parts of the method, sources of data, kinds that were left out."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from accuracy import format_number
from kinds_table import format_summary, group_rows
from record import RESULTS, format_table

NOT_YET = "(not measured yet)"
OTHERS = {"gnn": "`gnn`", "hungarian": "`hungarian`", "koft": "KOFT"}
SHOWN = ("LNK", "BIO(1)", "division_f1(1)", "CHOTA", "TRA")


def format_ablation() -> str:
    """Return the table of the ablation and its effects in words."""
    record = _read("ablation")
    if record is None:
        return NOT_YET
    from ablation import compute_means, format_means, format_sentences  # it loads torch

    means = compute_means(record["rows"])
    return f"{format_means(means)}\n\n{format_sentences(means)}"


def format_sources() -> str:
    """Return the table of the trainings without one source of data each."""
    record = _read("sources")
    if record is None:
        return NOT_YET
    from sources import describe_trainings, format_rows  # it loads torch

    return f"{describe_trainings(record)}\n\n{format_rows(record['rows'])}"


def format_unseen() -> str:
    """Return the tables of methods on kinds of movies that the networks have not seen."""
    record = _read("unseen")
    return NOT_YET if record is None else "\n\n".join(format_summary(group_rows(record["rows"])))


def format_published() -> str:
    """Return the table of the published network beside other methods, on clean masks of the sequences of *own*."""
    record, other = _read("published"), _read("learned")
    if record is None or other is None:
        return NOT_YET
    some = (row for row in record["rows"] if row["twin"] == "plain" and row["protocol"] != "seen")
    rows = {(row["sequence"], row["method"], row["protocol"]): row for row in some}
    others = (row for row in other["rows"] if row["twin"] == "plain" and row["protocol"] == "same")
    beside = {(row["sequence"], row["method"]): row for row in others}
    lines = []
    for sequence in dict.fromkeys(name for name, _, protocol in rows if protocol == "own"):
        some = {_name_row(method, kind): row for (name, method, kind), row in rows.items() if name == sequence}
        some = dict(sorted(some.items()))
        some |= {title: beside[sequence, name] for name, title in OTHERS.items() if (sequence, name) in beside}
        lines += [[f"{sequence}, {title}", *_format_figures(row["figures"])] for title, row in some.items()]
    return format_table(["", "LNK", "BIO", "division F1", "CHOTA", "TRA"], lines)


def format_seen() -> str:
    """Return the table of the published network on whole movies that it was trained with."""
    record = _read("published")
    rows = [row for row in record["rows"] if row["protocol"] == "seen"] if record else []
    if not rows:
        return NOT_YET
    titles = {"plain": "masks as given", "complete": "masks of all cells"}
    rows.sort(key=lambda row: (row["sequence"], list(titles).index(row["twin"]), row["method"]))
    lines = [
        [f"{row['sequence']}, {titles[row['twin']]}, {_name_row(row['method'])}", *_format_figures(row["figures"])]
        for row in rows
    ]
    return format_table(["", "LNK", "BIO", "division F1", "CHOTA", "TRA"], lines)


def _name_row(method: str, protocol: str = "") -> str:
    if method == "true links":
        return "published rules on true links"
    return f"`{method}`, *{protocol}*" if protocol else f"`{method}`"


def _format_figures(figures: dict[str, float | None]) -> list[str]:
    values = (figures[name] for name in SHOWN)
    return [format_number(value) for value in values]


def _read(name: str) -> Any:
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


TRAINING_TABLES: dict[str, Callable[[], str]] = {
    "ablation": format_ablation,
    "sources": format_sources,
    "unseen": format_unseen,
    "published": format_published,
    "published seen": format_seen,
}
