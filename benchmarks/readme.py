"""Put the figures of ``results/*.json`` into the README, between its markers; ``--check`` tells whether they fit."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from statistics import fmean
from typing import Any

from record import REPOSITORY, RESULTS, in_order, table

README = REPOSITORY / "README.md"
SHOWN = {"LNK": 0, "BIO(1)": 1, "division_f1(1)": 2, "CHOTA": 3}
Figures = dict[tuple[str, str], dict[str, Any]]  # by sequence and twin
TITLES = ("linking (LNK)", "biology (BIO)", "divisions (F1)", "CHOTA")


def main() -> None:
    old = README.read_text(encoding="utf-8")
    new = filled(old)
    if "--check" in sys.argv:
        sys.exit(0 if new == old else "README.md: its tables are not those of benchmarks/results; run this program")
    README.write_text(new, encoding="utf-8")


def filled(text: str) -> str:
    """Return the README with the tables of the committed results."""
    for name, content in (("accuracy", accuracy()), ("learned", learned()), ("speed", speed())):
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text = marked.sub(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)  # type: ignore[misc]
    return text


def accuracy() -> str:
    """Return our figures beside KOFT's, for the sequences that both have."""
    record, koft = _read("accuracy"), _read("koft")["rows"]
    rows = [row for row in record["rows"] if row["method"] == "hungarian" and row["sequence"] in koft]
    lines = [list(_accuracy_cells(row, koft[row["sequence"]][row["twin"]])) for row in rows]
    return table(["movie", *TITLES], lines)


def _accuracy_cells(row: dict[str, Any], peer: list[float | None]) -> Iterator[str]:
    yield f"{row['sequence']}, {row['twin']}"
    for name, column in SHOWN.items():
        ours, theirs = row["figures"][name], peer[column]
        if ours is None or theirs is None:
            yield "-"
            continue
        text = f"{ours:.3f}"
        yield f"{f'**{text}**' if round(ours, 4) >= theirs else text} ({theirs:.3f})"


def learned() -> str:
    """Return the learned methods beside the others, means over the twins of each protocol."""
    if not (RESULTS / "learned.json").exists():
        return "(not measured yet)"
    rows = [row for row in _read("learned")["rows"] if "figures" in row]
    lines = []
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        found: dict[str, Figures] = {}
        for row in rows:
            if row["protocol"] == protocol:
                found.setdefault(row["method"], {})[row["sequence"], row["twin"]] = row["figures"]
        lines += [
            [f"{protocol}, {method}", *_means(found[method], found.get("koft", {}))] for method in in_order(found)
        ]
    return table(["protocol, method", "movies", "linking error (1 - LNK)", "/ KOFT's", *TITLES[1:]], lines)


def _means(mine: Figures, koft: Figures) -> Iterator[str]:
    """Yield the number of movies, the mean error in linking, its ratio to KOFT's on the same movies, other means."""
    yield str(len(mine))
    yield f"{fmean(1 - each['LNK'] for each in mine.values()):.4f}"
    both = mine.keys() & koft.keys()
    error, theirs = (sum(1 - figures[movie]["LNK"] for movie in both) for figures in (mine, koft))
    yield f"{error / theirs:.2f}" if theirs else "-"
    for name in list(SHOWN)[1:]:
        values = [each[name] for each in mine.values() if each[name] is not None]
        yield f"{fmean(values):.3f}" if values else "-"


def speed() -> str:
    """Return what was asked of speed and memory, and what was measured."""
    checks = _read("speed")["checks"]
    lines = [
        [check["what"], f"{check['measured']:.3g} {check['unit']}", check["limit"], "yes" if check["passed"] else "no"]
        for check in checks
    ]
    return table(["what", "measured", "asked", "reached"], lines)


def _read(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return record


if __name__ == "__main__":
    main()
