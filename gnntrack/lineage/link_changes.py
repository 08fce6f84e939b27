"""Links that differ between two lineages of one movie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.lineage.edits import Edit, list_own_links

if TYPE_CHECKING:
    from gnntrack.types import Lineage

__all__ = ["LinkChange", "compare_links", "list_old_links"]

_Cell = tuple[int, int]
_Link = tuple[_Cell, _Cell]


class LinkChange(NamedTuple):
    """A link that differs from that of the result before the edits."""

    added: bool
    """Whether the link is new; else it is no longer there."""
    source: _Cell
    """Frame and label of the first cell in the masks that were tracked."""
    target: _Cell
    """Those of the second cell."""
    labels: tuple[int, int]
    """Labels of both in the result before the edits; 0 if a cell was not in it."""

    def __str__(self) -> str:
        state = "added" if self.added else "removed"
        first, second = self.labels
        return f"{state}: frame {self.source[0]}, label {first} -> frame {self.target[0]}, label {second}"


def compare_links(before: Lineage, after: Lineage, applied: Iterable[Edit]) -> Iterator[LinkChange]:
    """Yield the links that differ and that no edit names, by time."""
    named: set[_Link] = set()
    gone: set[_Cell] = set()
    for edit in applied:
        named |= {(edit.cells[0], target) for target in edit.cells[1:]}
        gone |= set(edit.cells) if edit.kind == "spurious" else set()
    old, shown = list_old_links(before)
    new = list_old_links(after)[0]
    for source, target in sorted(old ^ new, key=lambda link: (link[0][0], link)):
        if (source, target) not in named and gone.isdisjoint((source, target)):
            yield LinkChange((source, target) in new, source, target, (shown.get(source, 0), shown.get(target, 0)))


def list_old_links(before: Lineage) -> tuple[set[_Link], dict[_Cell, int]]:
    """Return the links of a result in the labels of the input, and its own label of each cell.

    A lineage that was not written yet has the labels of the input.
    """
    past = list_own_links(before).past
    label = before.origins.input_label if before.origins is not None else before.cells.label
    cells = list(zip(before.cells.frame.tolist(), label.tolist(), strict=True))
    links = {(cells[past[row]], cells[row]) for row in np.flatnonzero(past >= 0).tolist()}
    return links, dict(zip(cells, before.cells.label.tolist(), strict=True))
