"""Tables of the pages about trainings: the parts of the method, and the sources of training data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from record import RESULTS

NOT_YET = "(not measured yet)"


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


def _read(name: str) -> Any:
    file = RESULTS / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


TRAINING_TABLES: dict[str, Callable[[], str]] = {"ablation": format_ablation, "sources": format_sources}
