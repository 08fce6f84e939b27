"""Connected components of a graph, and their names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import IntArray

__all__ = ["count_within_frames", "label_components", "name_groups"]

_FEW = 1 << 18  # nodes up to which the components are found in less time than SciPy is imported


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
    In large graphs `scipy.sparse.csgraph.connected_components` does the same; its import takes longer than all
    components of a small movie.

    Examples
    --------
    >>> component, count = label_components(5, np.array([4, 2]), np.array([1, 4]))
    >>> component.tolist(), count
    ([0, 1, 1, 2, 1], 3)
    """
    if n > _FEW:
        return _label_forest(n, one, other) if _is_forest(n, one, other) else _label_many(n, one, other)
    lowest = np.arange(n)
    while len(one):
        a, b = lowest[one], lowest[other]
        apart = a != b
        one, other, a, b = one[apart], other[apart], a[apart], b[apart]
        np.minimum.at(lowest, np.maximum(a, b), np.minimum(a, b))
        after = lowest[lowest]
        while (after != lowest).any():
            lowest, after = after, after[after]
    first = lowest == np.arange(n)
    return (np.cumsum(first) - 1)[lowest], int(first.sum())


def _is_forest(n: int, one: IntArray, other: IntArray) -> bool:
    """Return whether all edges go up, and each node has at most one edge from below, as the links of a lineage."""
    return bool((one < other).all()) and int(np.bincount(other, minlength=n).max(initial=0)) <= 1


def _label_forest(n: int, one: IntArray, other: IntArray) -> tuple[IntArray, int]:
    root = np.arange(n, dtype=np.int32)
    root[other] = one
    above = root[root]
    while not np.array_equal(above, root):
        root, above = above, above[above]
    number = np.cumsum(root == np.arange(n)) - 1
    return number[root], int(number[-1]) + 1


def _label_many(n: int, one: IntArray, other: IntArray) -> tuple[IntArray, int]:
    from scipy.sparse import coo_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(one), bool), (one, other)), (n, n))
    count, component = connected_components(graph, directed=False)
    number = np.empty(count, np.int64)
    number[np.argsort(_find_first(component, count))] = np.arange(count)
    return number[component], int(count)


def _find_first(group: npt.NDArray[np.integer], count: int) -> IntArray:
    """Return the first member of each of some groups, of which each has one."""
    first = np.full(count, len(group))
    np.minimum.at(first, group, np.arange(len(group)))
    return first


def name_groups(group: npt.NDArray[np.integer], name: IntArray) -> IntArray:
    """Return the name of the first member of each group, or numbers from 1 if these names do not fit.

    Parameters
    ----------
    group : (n,) int64
        Group of each member; they are numbered from 0, and each has a member.
    name : (n,) int64
        Name of each member, such as the track of a cell.

    Returns
    -------
    (G,) int64
        By the number of the group: positive, and different for different groups.

    Examples
    --------
    >>> name_groups(np.array([0, 1, 0]), np.array([5, 7, 9])).tolist()
    [5, 7]
    >>> name_groups(np.array([0, 1, 0]), np.array([5, 5, 9])).tolist()  # two groups have the same first name
    [1, 2]
    """
    names = name[_find_first(group, int(group.max(initial=-1)) + 1)]
    if len(np.unique(names)) < len(names) or (names <= 0).any():
        return np.arange(1, len(names) + 1)
    return names


def count_within_frames(frame: IntArray) -> IntArray:
    """Return numbers from 1 within each frame, shape (N,).

    >>> count_within_frames(np.array([0, 2, 0, 0])).tolist()
    [1, 1, 2, 3]
    """
    order = np.argsort(frame, kind="stable")
    ordered = frame[order]
    number = np.empty(len(frame), np.int64)
    number[order] = np.arange(len(frame)) - np.searchsorted(ordered, ordered) + 1
    return number
