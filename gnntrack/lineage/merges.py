"""Links of other programs in which cells merge, as the links of a lineage and its fusions."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.plurals import count_noun
from gnntrack.types import Fusions

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, Cells, IntArray

__all__ = ["split_merges"]

_log = logging.getLogger(__name__)


def split_merges(cells: Cells, rows: IntArray, fused: BoolArray | None = None) -> tuple[IntArray, IntArray, Fusions]:
    """Return the links of a lineage, at most one into each cell, and the fusions.

    Of several links into a cell the shortest stays. Another one is a fusion if its cell has no link that stays.

    Parameters
    ----------
    cells : Cells
        The cells.
    rows : (L, 2) int64
        Rows of the cells of each link, in any order.
    fused : (L,) bool, optional
        Links that are known to be fusions: each stays only if it is the only one into its cell.

    Returns
    -------
    source, target : (K,) int64
        Rows of cells, the earlier one first, ascending.
    fusions : Fusions
        A warning counts the links that are neither.

    Examples
    --------
    >>> from gnntrack.types import Cells
    >>> cells = Cells([0, 0, 1], [1, 2, 1], [[5.0, 5], [5, 9], [5, 6]], [[]] * 3, (), (), (1, 1), 2, (9, 9))
    >>> source, target, fusions = split_merges(cells, np.array([[0, 2], [1, 2]]))
    >>> source.tolist(), target.tolist(), list(fusions)
    ([0], [2], [(1, 2)])
    """
    known = np.zeros(len(rows), bool) if fused is None else fused
    ends = np.sort(rows, axis=1)  # cells are sorted by frame
    later = cells.frame[ends[:, 0]] < cells.frame[ends[:, 1]]
    ends, first = np.unique(ends[later], axis=0, return_index=True)
    length = np.linalg.norm(cells.position[ends[:, 1]] - cells.position[ends[:, 0]], axis=1)
    order = np.lexsort((length, known[later][first], ends[:, 1]))
    best = np.diff(ends[order, 1], prepend=-1) > 0
    kept, rest = ends[np.sort(order[best])], ends[np.sort(order[~best])]
    rest = rest[~np.isin(rest[:, 0], kept[:, 0])]
    rest = rest[np.diff(rest[:, 0], prepend=-1) > 0]
    lost = len(rows) - len(kept) - len(rest)
    if lost:
        given = count_noun(len(rows), "link")
        _log.warning(
            "%d of %s not used: links within a frame, repeated ones, and merges of cells that go on", lost, given
        )
    if len(rest):
        _log.info("%s between tracks that merge kept as fusions", count_noun(len(rest), "link"))
    return kept[:, 0], kept[:, 1], Fusions(rest[:, 0], rest[:, 1])
