"""How many errors stand at the top of the review list, as a table of ``docs/accuracy.md``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from record import RESULTS, format_table


def describe_review() -> str:
    """Return the table of each method, from ``results/review.json``, and a sentence about the single movies."""
    record = json.loads((RESULTS / "review.json").read_text(encoding="utf-8"))
    parts = []
    for method, about in record["methods"].items():
        every = about["pooled"]["all"]
        told = (
            f"In {every['half']} of {every['counted']} movies with at least five errors, the first 5 % of decisions "
            f"hold at least half of them; by a list that knew the errors, it would be {every['half_by_best']}."
        )
        parts += [f"`{method}`:", format_pooled(about), told]
    return "\n\n".join(parts)


def format_pooled(about: Mapping[str, Any]) -> str:
    """Return the table of the pooled figures of a method."""
    lines, at = [], [about["parts"].index(part) for part in (0.01, 0.05, 0.1)]
    for name, each in about["pooled"].items():
        figures = [*(each["gain"][k] for k in at), each["doubt"][at[1]], each["best"], each["listed"], each["in_list"]]
        half = f"{each['half']} of {each['counted']} ({each['half_by_best']})"
        lines.append([name, str(each["movies"]), str(each["errors"]), *(f"{value:.1%}" for value in figures), half])
    head = ["movies", "number", "errors", "in 1 %", "in 5 %", "in 10 %", "5 %, by doubt", "5 %, best", "listed"]
    return format_table([*head, "in the list", "half"], lines)
