"""Fusions: tracks that end because their cell becomes one with another cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.types.columns import expect, freeze_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.types.columns import BoolArray, IntArray
    from gnntrack.types.lineage import Lineage

__all__ = ["Fusions"]


def _make_empty() -> IntArray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class Fusions:
    """The fusions of a lineage: the last cell of each track that ends in one, and the cell that it becomes part of.

    A fusion is not a link: the lineage stays a forest, in which a cell has at most one link from the past, from the
    better parent. The track that ends has no daughters.

    Parameters
    ----------
    source : (F,) int64
        Rows of ``cells``: the last cell of each track that ends.
    target : (F,) int64
        Rows of ``cells``: the cell of another track, in a later frame, that holds it as well.

    Examples
    --------
    >>> fusions = Fusions([4, 1], [6, 3])
    >>> len(fusions), list(fusions)
    (2, [(1, 3), (4, 6)])
    """

    source: IntArray = field(default_factory=_make_empty)
    target: IntArray = field(default_factory=_make_empty)

    def __post_init__(self) -> None:
        freeze_columns(self, source=np.int64, target=np.int64)
        expect(self.source.shape == self.target.shape, "columns of fusions differ in length")
        order = np.argsort(self.source, kind="stable")
        freeze = {name: getattr(self, name)[order] for name in ("source", "target")}
        for name, column in freeze.items():
            object.__setattr__(self, name, column)
        freeze_columns(self, source=np.int64, target=np.int64)
        expect(bool((np.diff(self.source) > 0).all()), "a track ends in two fusions")

    def __len__(self) -> int:
        return len(self.source)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self.source.tolist(), self.target.tolist(), strict=True)

    def find_valid(self, lineage: Lineage) -> BoolArray:
        """Return whether each is a fusion of a lineage, shape (F,): see the class."""
        n, tracks, frame = len(lineage.cells), lineage.tracks, lineage.cells.frame
        valid: BoolArray = (self.source >= 0) & (self.source < n) & (self.target >= 0) & (self.target < n)
        source, target = self.source[valid], self.target[valid]
        ends = lineage.track[source]
        end = tracks.end[np.searchsorted(tracks.id, ends)]
        valid[valid] = (
            (frame[source] == end)
            & ~np.isin(ends, tracks.parent)
            & (frame[target] > end)
            & (lineage.track[target] != ends)
        )
        return valid

    def move(self, row: IntArray, lineage: Lineage) -> Fusions:
        """Return those that are still fusions of a changed lineage.

        Parameters
        ----------
        row : (N,) int64
            New row of each cell, -1 = removed.
        lineage : Lineage
            The changed lineage.

        Examples
        --------
        >>> import gnntrack
        >>> lineage = gnntrack.track(points=[[0, 9, 9], [1, 9, 9], [2, 9, 9], [0, 50, 50]])
        >>> list(Fusions([1], [2]).move(np.array([0, 1, 2, 3]), lineage))
        [(1, 2)]
        >>> list(Fusions([1], [2]).move(np.array([0, -1, 2, 3]), lineage))
        []
        """
        moved = Fusions(row[self.source], row[self.target]) if len(self) else self
        known = moved.find_valid(lineage)
        return Fusions(moved.source[known], moved.target[known])
