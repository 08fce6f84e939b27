"""Connected components of a graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import IntArray

__all__ = ["label_components"]


def label_components(n: int, one: IntArray, other: IntArray) -> tuple[IntArray, int]:
    """Return the connected component of each node, and the number of components.

    Each node points to a node of its component that is not above it, at first to itself. In every round, the node that
    one end of an edge points to points to that of the other end, if this is lower, and pointers are followed to their
    end. So the number of rounds is about the logarithm of the longest path.

    Parameters
    ----------
    n : int
        Number of nodes.
    one, other : (E,) int64
        The nodes that each edge joins.

    Returns
    -------
    component : (n,) int64
        Numbered from 0, by the first node of each component.
    count : int
        Number of components.

    Notes
    -----
    `scipy.sparse.csgraph.connected_components` takes as long, without its import, which takes longer than all
    components of a small movie.

    Examples
    --------
    >>> component, count = label_components(5, np.array([4, 2]), np.array([1, 4]))
    >>> component.tolist(), count
    ([0, 1, 1, 2, 1], 3)
    """
    lowest = np.arange(n)
    while len(one):
        a, b = lowest[one], lowest[other]
        apart = a != b
        one, other, a, b = one[apart], other[apart], a[apart], b[apart]
        np.minimum.at(lowest, np.maximum(a, b), np.minimum(a, b))
        after = lowest[lowest]
        while not np.array_equal(after, lowest):
            lowest, after = after, after[after]
    first = lowest == np.arange(n)
    return (np.cumsum(first) - 1)[lowest], int(first.sum())
