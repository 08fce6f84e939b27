"""Links that differ between two lineages of one movie."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.lineage.edits import Edit, list_input_cells, list_own_links

if TYPE_CHECKING:
    from gnntrack.types import Lineage

__all__ = ["LinkChange", "compare_links", "list_labels"]

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
    old, new, shown = _list_links(before), _list_links(after), list_labels(before)
    for source, target in sorted(old ^ new, key=lambda link: (link[0][0], link)):
        if (source, target) not in named and gone.isdisjoint((source, target)):
            yield LinkChange((source, target) in new, source, target, (shown.get(source, 0), shown.get(target, 0)))


def list_labels(lineage: Lineage) -> dict[_Cell, int]:
    """Return the label of each cell in a lineage by its frame and label in the input."""
    return dict(zip(list_input_cells(lineage), lineage.cells.label.tolist(), strict=True))


def _list_links(lineage: Lineage) -> set[_Link]:
    """Return the links of a lineage in the labels of the input."""
    past, cells = list_own_links(lineage).past, list_input_cells(lineage)
    return {(cells[past[row]], cells[row]) for row in np.flatnonzero(past >= 0).tolist()}
