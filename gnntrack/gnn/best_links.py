"""Sorting links by cell and log odds, and the best links of each cell in one direction of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, IntArray

__all__ = ["BestLinks", "find_best_links", "sort_by_odds", "sort_rows"]


def sort_rows(key: IntArray) -> IntArray:
    """Return ``np.argsort(key, kind="stable")`` in a fraction of its time, for fewer than 2**31 rows and keys.

    >>> sort_rows(np.array([2, 0, 2, 1])).tolist()
    [1, 3, 0, 2]
    """
    return np.asarray(np.sort(key << 32 | np.arange(len(key))) & (2**32 - 1))


def sort_by_odds(group: IntArray, odds: FloatArray) -> IntArray:
    """Return ``np.lexsort((-odds, group))`` in a fraction of its time: by group, in each the highest log odds first.

    >>> sort_by_odds(np.array([7, 7, 3, 7]), np.array([0.5, 2.0, -1.0, 2.0])).tolist()
    [2, 1, 3, 0]
    """
    best_first = sort_rows(np.unique(-odds, return_inverse=True)[1])
    return best_first[sort_rows(group[best_first])]


class BestLinks(NamedTuple):
    """The two best links of each cell, before it or after it.

    Parameters
    ----------
    link, runner_up : (N,) int64
        Rows of the best link and of the second-best one, -1 = none.
    odds, second : (N,) float64
        Their log odds.
    """

    link: IntArray
    runner_up: IntArray
    odds: FloatArray
    second: FloatArray


def find_best_links(node: IntArray, odds: FloatArray, n: int, *, none: float) -> BestLinks:
    """Return the two best links of each cell.

    Parameters
    ----------
    node : (E,) int64
        Cell of each link: its source for the links after a cell, its target for those before it.
    odds : (E,) float64
        Log odds of the links.
    n : int
        Number of cells.
    none : float
        Log odds of a link that does not exist.

    Examples
    --------
    >>> best = find_best_links(np.array([0, 0, 2]), np.array([1.0, 3.0, 2.0]), 3, none=0.0)
    >>> best.link.tolist(), best.runner_up.tolist(), best.odds.tolist()
    ([1, -1, 2], [0, -1, -1], [3.0, 0.0, 2.0])
    """
    rows = np.arange(len(node))
    found: list[tuple[IntArray, FloatArray]] = []
    for _ in range(2):
        ends, value = node[rows], odds[rows]
        highest, link = np.full(n, -np.inf), np.full(n, -1)
        np.maximum.at(highest, ends, value)
        top = np.flatnonzero(value >= highest[ends])[::-1]
        link[ends[top]] = rows[top]  # in reverse order, so that the first of equals is kept
        found.append((link, np.where(link >= 0, highest, none)))
        rows = rows[link[ends] != rows]
    (best, highest), (runner_up, second) = found
    return BestLinks(best, runner_up, highest, second)
