"""Maximum-weight matching of a sparse bipartite graph, in which rows and columns may stay unmatched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lap
import numpy as np

from gnntrack.components import label_components

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["find_matching", "label_edges"]

_BATCH = 512  # edges of one assignment problem; smaller components are joined up to this number
_LARGEST = 20_000  # edges of a component that `lap.lapmod` solves


def find_matching(row: IntArray, column: IntArray, weight: FloatArray) -> BoolArray:
    """Choose the edges of highest total weight such that no row and no column is used twice.

    The edges of positive weight form connected components. Components of one edge are chosen directly. The others are
    solved exactly, as square assignment problems (Jonker and Volgenant 1987, `lap.lapmod`) with an additional partner
    of weight 0 for each row and each column (Jaqaman et al. 2008). The time is linear in the number of components, and
    grows faster with their size. Components of more than 20,000 edges, such as those of points that links over gaps
    join, are solved by `gnntrack.sparse_assignment.match_sparse`, whose time does not. Of several best choices, the
    two may return different ones.

    Parameters
    ----------
    row, column : (E,) int64
        Ends of the edges, >= 0; each pair of ends occurs once.
    weight : (E,) float64
        Edges with a weight <= 0 are never chosen.

    Returns
    -------
    (E,) bool

    Examples
    --------
    The edge of highest weight is not chosen, since the other two have a higher sum:

    >>> import numpy as np
    >>> find_matching(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([3.0, 2.0, 2.0])).tolist()
    [False, True, True]
    """
    chosen = np.zeros(len(row), bool)
    useful = np.flatnonzero(weight > 0)
    if not len(useful):
        return chosen
    r, c = row[useful], column[useful]
    component = label_edges(r, c, np.ones(len(r), bool))
    size = np.bincount(component)
    edges = size[component]
    single, large = edges == 1, edges > _LARGEST
    chosen[useful[single]] = True
    if large.any():
        from gnntrack.sparse_assignment import match_sparse  # slow to import

        chosen[useful[large]] = match_sparse(r[large], c[large], weight[useful[large]])
    rest = np.flatnonzero(~single & ~large)
    if not len(rest):
        return chosen
    order = rest[np.argsort(component[rest], kind="stable")]
    starts = np.flatnonzero(np.diff(component[order], prepend=-1))
    bounds = [0]
    for start in starts[1:]:
        if start - bounds[-1] > _BATCH:
            bounds.append(int(start))
    for start, stop in zip(bounds, [*bounds[1:], len(order)], strict=True):
        batch = order[start:stop]
        chosen[useful[batch[_solve(r[batch], c[batch], weight[useful[batch]])]]] = True
    return chosen


def label_edges(row: IntArray, column: IntArray, use: BoolArray) -> IntArray:
    """Return the connected component of each edge among the edges in use, and -1 for the others, shape (E,)."""
    n_rows, n_columns = int(row.max(initial=-1)) + 1, int(column.max(initial=-1)) + 1
    n = n_rows + n_columns
    label, _ = label_components(n, row[use], column[use] + n_rows)
    return np.where(use, label[row], -1)


def _solve(row: IntArray, column: IntArray, weight: FloatArray) -> BoolArray:
    """Solve one batch of components exactly."""
    rows, r = np.unique(row, return_inverse=True)
    columns, c = np.unique(column, return_inverse=True)
    n_rows, n_columns, n_edges = len(rows), len(columns), len(row)
    n = n_rows + n_columns
    # square problem: rows, then an additional row per column; columns, then an additional column per row
    i = np.concatenate([r, np.arange(n_rows), n_rows + np.arange(n_columns), n_rows + c])
    j = np.concatenate([c, n_columns + np.arange(n_rows), np.arange(n_columns), n_columns + r])
    cost = np.full(len(i), float(weight.max()))
    cost[:n_edges] -= weight
    order = np.lexsort((j, i))
    pointers = np.concatenate([[0], np.cumsum(np.bincount(i, minlength=n))]).astype(np.int32)
    partner = lap.lapmod(n, cost[order], pointers, j[order].astype(np.int32), return_cost=False)[0]
    return np.asarray(partner[r] == c)
