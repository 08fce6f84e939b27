"""Settings of earlier versions, which files may still hold."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

__all__ = ["REMOVED", "drop_removed", "filter_removed"]

_log = logging.getLogger(__name__)

_RATES = ("start_rate", "border_rate", "end_rate", "miss_rate", "division_rate", "artefact_rate")
REMOVED: dict[str, str] = {
    "scores.divisions": "set solver.divisions instead",
    **dict.fromkeys((f"scores.{rate}" for rate in _RATES), "the movie corrects the rates"),
    "solver.costs": "the sum of log odds is always maximised",
    "repair.min_visible": "its value is always 0.3",
    "repair.glued_share": "its value is always 0.5",
}
"""Settings of earlier versions, with the reason why they were removed; files that hold them can still be read."""


def drop_removed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored tables of settings without those that this version has removed (`REMOVED`)."""
    return filter_removed(values, warn=False)


def filter_removed(values: Mapping[str, Any], *, warn: bool) -> dict[str, Any]:
    """Return tables of settings without those that were removed; with `warn`, each of them gives a warning."""
    kept = {name: dict(table) if isinstance(table, dict) else table for name, table in values.items()}
    for key, reason in REMOVED.items():
        section, name = key.split(".")
        if isinstance(kept.get(section), dict) and name in kept[section]:
            del kept[section][name]
            if warn:
                _log.warning("the setting '%s' has been removed and is ignored: %s", key, reason)
    return kept
