"""Maximum-weight matching of a large sparse bipartite graph, solved as a whole by shortest augmenting paths."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.compiled import compile_function

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["match_sparse"]


def match_sparse(
    row: npt.NDArray[np.int64], column: npt.NDArray[np.int64], weight: npt.NDArray[np.float64]
) -> npt.NDArray[np.bool_]:
    """Choose the edges of highest total weight such that no row and no column is used twice.

    Rows are added one by one, each by a shortest augmenting path (Jonker and Volgenant 1987) that may also end at a row
    that thereby stays unmatched. A path is as long as the conflict that it resolves, so that the time for links
    between cells is about linear in their number, also if all of them are one connected component.

    `gnntrack.solvers.assignment.find_matching` solves the same problem, each connected component by itself. It stays
    for cells with masks, whose components are small: of several best choices it may return another one than this
    function, and results for the same masks shall not change.

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

    >>> match_sparse(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([3.0, 2.0, 2.0])).tolist()
    [False, True, True]
    """
    chosen = np.zeros(len(row), bool)
    useful = np.flatnonzero(weight > 0)
    useful = useful[np.argsort(row[useful], kind="stable")]
    if not len(useful):
        return chosen
    rows = int(row.max()) + 1
    bounds = np.searchsorted(row[useful], np.arange(rows + 1))
    edge = _match(bounds, row[useful], column[useful], -weight[useful], int(column.max()) + 1)
    chosen[useful[edge[edge >= 0]]] = True
    return chosen


def _match(bounds: Any, row: Any, column: Any, cost: Any, n_columns: int) -> Any:
    """Return the edge of each row, -1 = none; the edges of row i are ``bounds[i]`` to ``bounds[i + 1] - 1``."""
    n_rows = len(bounds) - 1
    links = bounds, row, column, cost
    owner, edge_of, price = np.full(n_columns, -1), np.full(n_rows, -1), np.zeros(n_columns)
    distance, came_by = np.full(n_columns, np.inf), np.full(n_columns, -1)
    search = distance, came_by, np.zeros(n_columns, np.bool_), np.empty(n_columns, np.int64)
    _add_rows(links, (owner, edge_of, price), search)
    return edge_of


@compile_function
def _add_rows(links: Any, matching: Any, search: Any) -> None:  # pragma: no cover
    """Add all rows to a matching.

    `links` are bounds, row, column and cost of the edges; `matching` are the row of each column, the edge of each row,
    and the price of each column; `search` are for each column the length of the shortest path to it, the last edge of
    that path, and whether the path is final; and the columns that were reached.
    """
    for root in range(len(links[0]) - 1):
        last_row, last_column, best, count = _find_path(root, links, matching, search)
        _change_prices(matching[2], search, best, count)
        _take_path(root, last_row, last_column, links, matching, search[1])
        _forget_path(search, count)


@compile_function
def _find_path(root: int, links: Any, matching: Any, search: Any) -> Any:  # pragma: no cover
    """Return the row that stays unmatched or else the free column at the end of the shortest path, and its length."""
    cost = links[3]
    owner, edge_of, price = matching
    distance, _, done, _ = search
    heap = [(0.0, 0)]
    heap.pop()
    best, last_row = 0.0, root
    i, base, count = root, 0.0, 0
    while True:
        count = _reach(i, base, best, count, links, price, search, heap)
        nearest = _take_nearest(heap, distance, done)
        if nearest < 0 or distance[nearest] >= best:
            return last_row, -1, best, count
        done[nearest] = True
        i = owner[nearest]
        if i < 0:
            return -1, nearest, distance[nearest], count
        base = distance[nearest] - (cost[edge_of[i]] - price[nearest])  # length of the path minus the dual value of i
        if base < best:
            best, last_row = base, i


@compile_function
def _reach(
    i: int, base: float, best: float, count: int, links: Any, price: Any, search: Any, heap: Any
) -> int:  # pragma: no cover
    """Extend the path to row i by its edges; return the number of columns that were reached so far."""
    bounds, _, column, cost = links
    distance, came_by, done, reached = search
    for edge in range(bounds[i], bounds[i + 1]):
        j = column[edge]
        length = base + cost[edge] - price[j]
        if done[j] or length >= distance[j]:
            continue
        if distance[j] == np.inf:
            reached[count] = j
            count += 1
        distance[j], came_by[j] = length, edge
        if length < best:
            heapq.heappush(heap, (length, j))
    return count


@compile_function
def _take_nearest(heap: Any, distance: Any, done: Any) -> Any:  # pragma: no cover
    """Return the nearest column whose path is not final, -1 if there is none."""
    while len(heap) > 0:
        length, j = heapq.heappop(heap)
        if not done[j] and length <= distance[j]:
            return j
    return -1


@compile_function
def _change_prices(price: Any, search: Any, best: float, count: int) -> None:  # pragma: no cover
    distance, _, done, reached = search
    for k in range(count):
        j = reached[k]
        if done[j]:
            price[j] += distance[j] - best


@compile_function
def _take_path(  # pragma: no cover
    root: int, last_row: int, last_column: int, links: Any, matching: Any, came_by: Any
) -> None:
    """Match the rows of a path to its columns."""
    _, row, column, _ = links
    owner, edge_of, _ = matching
    j = last_column
    if j < 0 and last_row != root:
        j = column[edge_of[last_row]]
        edge_of[last_row] = -1
    while j >= 0:
        edge = came_by[j]
        i = row[edge]
        before = edge_of[i]
        owner[j], edge_of[i] = i, edge
        j = -1 if i == root else column[before]


@compile_function
def _forget_path(search: Any, count: int) -> None:  # pragma: no cover
    distance, came_by, done, reached = search
    for k in range(count):
        j = reached[k]
        distance[j], came_by[j], done[j] = np.inf, -1, False
