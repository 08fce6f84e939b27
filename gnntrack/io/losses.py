"""What a format does not hold of a lineage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.types import Lineage

__all__ = ["HELD", "list_losses"]

HELD: dict[str, frozenset[str]] = {
    "ctc": frozenset({"masks", "positions", "lonely"}),
    "csv": frozenset({"positions", "lonely", "confidence", "measurements", "unit", "interval"}),
    "edges": frozenset({"confidence"}),
    "geff": frozenset({"positions", "lonely", "confidence", "measurements", "unit", "interval", "spacing"}),
    "trackmate": frozenset(
        {"outlines", "positions", "lonely", "confidence", "measurements", "unit", "interval", "spacing"}
    ),
    "napari": frozenset({"positions", "lonely", "confidence"}),
    "btrack": frozenset({"positions", "lonely"}),
    "laptrack": frozenset({"positions", "lonely"}),
    "mastodon": frozenset({"positions", "lonely", "unit"}),
    "points": frozenset({"positions", "lonely", "confidence"}),
    "biohub": frozenset({"positions", "lonely"}),
}
"""Format -> what it holds of a lineage, beside cells, links, gaps and divisions, which all of them hold."""


def list_losses(lineage: Lineage, to: str) -> list[str]:
    """Return what a lineage has and a format does not hold, in words; nothing for a format of another package.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((2, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> lineage = gnntrack.track(masks=masks, spacing=0.5)
    >>> list_losses(lineage, "btrack")
    ['masks', 'confidences of the links', '19 measurements of each cell', 'the unit um', 'the size of a pixel']
    """
    return list(_find_losses(lineage, HELD[to])) if to in HELD else []


def _find_losses(lineage: Lineage, held: frozenset[str]) -> Iterator[str]:
    cells = lineage.cells
    alone = len(cells) - len(np.union1d(lineage.source, lineage.target))
    physical = cells.unit == "um"
    found = (
        ("masks", lineage.has_masks and "outlines" not in held, "masks"),
        ("masks", lineage.has_masks and "outlines" in held and cells.ndim == 3, "masks: a cell is a ball of its size"),
        ("positions", True, "positions: cells are named by their labels in the masks"),
        ("lonely", alone > 0, f"{count_noun(alone, 'cell')} without a link"),
        ("confidence", bool((lineage.confidence < 1).any()), "confidences of the links"),
        (
            "measurements",
            bool(cells.feature_names),
            f"{count_noun(len(cells.feature_names), 'measurement')} of each cell",
        ),
        ("unit", physical, "the unit um"),
        ("spacing", physical, "the size of a pixel"),
        ("interval", lineage.provenance.interval is not None, "the frame interval"),
    )
    return (text for key, there, text in found if there and key not in held)
