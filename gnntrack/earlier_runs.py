"""Comparison of an earlier run with the one that would replace or continue it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gnntrack.errors import SegmenterError
from gnntrack.io.manifests import compare_values, flatten
from gnntrack.methods import resolve_method
from gnntrack.result_files import convert_to_plain
from gnntrack.segmentation.diameter import parse_diameter
from gnntrack.segmentation.protocol import get_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gnntrack.settings import Settings

__all__ = ["list_changes"]

_DEFAULTS = {"method": "hungarian", "segmenter": "threshold"}


def list_changes(
    summary: Mapping[str, Any],
    source: Mapping[str, Any],
    settings: Settings,
    choices: Mapping[str, Any],
    *,
    segmented: bool,
) -> Iterator[str]:
    """Yield a text for each choice in which an earlier run differs from a new one.

    Parameters
    ----------
    summary : mapping
        Content of its ``summary.json``.
    source : mapping
        ``images``, ``masks`` and ``points`` of the new run: paths, or anything that is recorded by its text.
    settings : Settings
        Settings of the new run.
    choices : mapping
        Further keywords of `gnntrack.track`, such as ``method`` and ``segmenter_options``.
    segmented : bool
        Whether the images have no masks, so that the segmenter counts.
    """
    before, now = flatten(summary["settings"]), flatten(json.loads(settings.to_json()))
    for name, path in source.items():
        before[name], now[name] = summary["input"].get(name), None if path is None else str(path)
    before |= {"method": summary["method"], "solver": summary["solver"]}
    method = choices.get("method") or _DEFAULTS["method"]
    now |= {"method": method, "solver": resolve_method(method, choices.get("solver"), goal=settings.solver.goal).solver}
    if segmented:
        before |= {"segmenter": summary.get("segmenter")} | _name_options(summary.get("segmenter_options"))
        chosen = choices.get("segmenter") or _DEFAULTS["segmenter"]
        now |= {"segmenter": chosen if isinstance(chosen, str) else get_name(chosen)}
        now |= _name_options(choices.get("segmenter_options"))
    yield from compare_values(before, now)


def _name_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options of a segmenter; a diameter is the same in any spelling, such as ``18``, ``"18px"``."""
    named = flatten(convert_to_plain(options or {}), "segmenter_options.")
    return {name: _unify_diameter(value) if name.endswith(".diameter") else value for name, value in named.items()}


def _unify_diameter(value: object) -> object:
    try:
        size, micrometres = parse_diameter(value)
    except SegmenterError:
        return value
    return size if micrometres is None else f"{size * micrometres:g}um"
