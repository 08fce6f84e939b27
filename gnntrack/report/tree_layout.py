"""Places of tracks in a lineage tree: families side by side, a column per track without daughters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.lineage.families import find_gaps, find_roots
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from gnntrack.types import Lineage, Tracks

__all__ = [
    "Family",
    "break_into_lines",
    "build_families",
    "choose_ticks",
    "list_gaps",
    "list_sections",
    "select_largest",
    "separate_singles",
]

_COLUMNS = 90  # tracks side by side that can be distinguished over the width of a page
_SINGLES = 8  # if there are more tracks without a division, they share a strip


@dataclass
class Family:
    """Places of the tracks of one family: rows of the table, and a column for each."""

    rows: list[int]
    column: dict[int, float] = field(default_factory=dict)
    width: float = 1.0


def build_families(tracks: Tracks) -> list[Family]:
    """Return the families, largest first, each with its tracks laid out."""
    members: dict[int, list[int]] = {}
    for row, root in enumerate(find_roots(tracks).tolist()):
        members.setdefault(root, []).append(row)
    length = tracks.end - tracks.start + 1
    families = [Family(rows) for rows in members.values()]
    families.sort(key=lambda f: (-len(f.rows), -int(length[f.rows].sum()), int(tracks.id[f.rows[0]])))
    for family in families:
        _lay_out(family, tracks)
    return families


def separate_singles(families: list[Family]) -> tuple[list[Family], list[Family]]:
    """Return the families for the strip and the others: families of one track go there if they are many."""
    single = [family for family in families if len(family.rows) == 1]
    if len(single) <= _SINGLES:
        return [], families
    return single, [family for family in families if len(family.rows) > 1]


def _lay_out(family: Family, tracks: Tracks) -> None:
    """Give each track without daughters its own column, and each other track the middle of its daughters' columns."""
    daughters: dict[int, list[int]] = {row: [] for row in family.rows}
    for row, parent in zip(family.rows, np.searchsorted(tracks.id, tracks.parent[family.rows]).tolist(), strict=True):
        if tracks.parent[row]:
            daughters[parent].append(row)
    order = _order_rows(next(row for row in family.rows if not tracks.parent[row]), daughters)
    leaves = [row for row in order if not daughters[row]]
    family.column = {row: float(k) for k, row in enumerate(leaves)}
    for row in reversed(order):
        if daughters[row]:
            family.column[row] = float(np.mean([family.column[d] for d in (daughters[row][0], daughters[row][-1])]))
    family.width = float(len(leaves))


def _order_rows(root: int, daughters: dict[int, list[int]]) -> list[int]:
    """Return the rows of a family, each before its daughters, and these from left to right."""
    order, stack = [], [root]
    while stack:  # a chain of tracks may be too long for recursion
        row = stack.pop()
        order.append(row)
        stack += reversed(daughters[row])
    return order


def select_largest(forest: list[Family], most: int) -> tuple[list[Family], str]:
    """Return the largest families with at most so many tracks, and a note about the others."""
    total = np.cumsum([len(family.rows) for family in forest])
    n = max(1, int(np.searchsorted(total, most, side="right")))
    hidden = sum(len(family.rows) for family in forest[n:])
    return (
        forest[:n],
        f"{count_noun(hidden, 'track')} of the "
        f"{count_noun(len(forest) - n, 'smallest family', 'smallest families')} "
        f"{choose_form(hidden, 'is', 'are')} not shown"
        if hidden
        else "",
    )


def break_into_lines(families: list[Family]) -> list[list[Family]]:
    """Break the families into lines of about equal width, like the words of a paragraph."""
    total = sum(family.width + 1 for family in families)
    limit = max([total / np.ceil(total / _COLUMNS) + 3, *(family.width for family in families)]) if families else 0
    lines: list[list[Family]] = []
    used = np.inf
    for family in families:
        if used + family.width > limit:
            lines.append([])
            used = 0
        lines[-1].append(family)
        used += family.width + 1
    return lines


def list_gaps(lineage: Lineage) -> dict[int, list[tuple[int, int]]]:
    """Return, for each row of the table, the last and the first frame with a cell before and after each gap."""
    ends = find_gaps(lineage)
    rows = np.searchsorted(lineage.tracks.id, lineage.track[ends[0]]).tolist()
    first, last = (lineage.cells.frame[end].tolist() for end in ends)
    found: dict[int, list[tuple[int, int]]] = {}
    for row, before, after in sorted(zip(rows, first, last, strict=True)):
        found.setdefault(row, []).append((before, after))
    return found


def list_sections(start: int, end: int, gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return first and last frame of each section of a track between gaps."""
    edges = [start, *(frame for gap in gaps for frame in gap), end]
    return list(zip(edges[::2], edges[1::2], strict=True))


def choose_ticks(last: int) -> list[int]:
    """Return the frames that are named on an axis from 0 to `last`: round numbers, at most seven.

    Examples
    --------
    >>> choose_ticks(23), choose_ticks(91), choose_ticks(2)
    ([0, 5, 10, 15, 20], [0, 20, 40, 60, 80], [0, 1, 2])
    """
    step = next(n * 10**k for k in range(20) for n in (1, 2, 5) if last <= 6 * n * 10**k)
    return list(range(0, last + 1, step))
