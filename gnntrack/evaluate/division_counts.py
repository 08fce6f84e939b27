"""Divisions of points that are found, false and missed, as in the embryo competition of 2026."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.components import label_components
from gnntrack.evaluate.point_matching import choose_pairs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gnntrack.evaluate.point_matching import Neighbours
    from gnntrack.types import IntArray, PointGraph

__all__ = ["count_divisions"]


def count_divisions(
    result: PointGraph, truth: PointGraph, neighbours: Neighbours, match: IntArray
) -> tuple[int, int, int]:
    """Return the divisions that are found, false and missed; the rule is in `gnntrack.evaluate.graph_counts`.

    Parameters
    ----------
    result, truth : PointGraph
        Points and links of both.
    neighbours : Neighbours
        Pairs of points that may match.
    match : (N,) int64
        True point of each point of the result, -1 = none.
    """
    part = label_components(len(result), *result.links.T)[0]
    forks = np.bincount(part[result.children == 2], minlength=int(part.max(initial=-1)) + 1)
    divides = np.flatnonzero(truth.children == 2).tolist()
    lookup = _Truth(truth, neighbours, set(divides))
    options = []
    for cell in divides:
        parts = _find_parts(cell, lookup, part)
        options.append([number for number in parts if forks[number]])
    found = _assign_forks(options, forks)
    claimed = np.flatnonzero((result.children >= 2) & (match >= 0))
    claims = int((truth.children[match[claimed]] > 0).sum()) if len(claimed) else 0
    return found, max(0, claims - found), len(divides) - found


class _Truth:
    """Children and parents of the cells around divisions, and the points of the result near them."""

    def __init__(self, truth: PointGraph, neighbours: Neighbours, divides: set[int]) -> None:
        self.frame = truth.frame
        self.neighbours = neighbours
        self.bounds = np.searchsorted(np.sort(neighbours.truth), np.arange(len(truth) + 1)).tolist()
        self.order = np.argsort(neighbours.truth, kind="stable")
        self.children: dict[int, list[int]] = defaultdict(list)
        self.parents: dict[int, list[int]] = defaultdict(list)
        if divides:
            for source, target in truth.links.tolist():
                self.children[source].append(target)
                self.parents[target].append(source)

    def match(self, cells: Iterable[int]) -> list[tuple[int, int]]:
        """Return the pairs (point of the result, true point) of a few cells, matched without all others."""
        by_frame: dict[int, list[int]] = defaultdict(list)
        for cell in sorted(cells):
            by_frame[int(self.frame[cell])].append(cell)
        pairs: list[tuple[int, int]] = []
        for here in by_frame.values():
            near = [self.order[self.bounds[cell] : self.bounds[cell + 1]] for cell in here]
            row = np.repeat(np.arange(len(here)), [len(each) for each in near])
            pair = np.concatenate(near)
            if len(pair):
                chosen = choose_pairs(row, self.neighbours.result_place[pair], self.neighbours.gain[pair])
                points = self.neighbours.result[pair[chosen]].tolist()
                pairs.extend(zip(points, (here[k] for k in row[chosen].tolist()), strict=True))
        return pairs


def _find_parts(cell: int, truth: _Truth, part: IntArray) -> list[int]:
    """Return the connected parts of the result that hold the cell before a division, and both lines after it."""
    daughters = truth.children[cell]
    around = {cell, *truth.parents[cell], *daughters}
    around.update(grandchild for daughter in daughters for grandchild in truth.children[daughter])
    lines = [_follow(daughter, around, truth.children) for daughter in daughters]
    frames = Counter(int(truth.frame[each]) for each in around)
    single = {each for each in around if frames[int(truth.frame[each])] == 1}
    members: dict[int, set[int]] = defaultdict(set)
    for point, true_cell in truth.match(around):
        members[int(part[point])].add(true_cell)
    needed = [single, *lines]
    return [number for number, cells in members.items() if all(group & cells for group in needed)]


def _follow(start: int, around: set[int], children: dict[int, list[int]]) -> set[int]:
    """Return a cell and its descendants among the cells around a division."""
    line, left = {start}, [start]
    while left:
        for cell in children[left.pop()]:
            if cell in around and cell not in line:
                line.add(cell)
                left.append(cell)
    return line


def _assign_forks(options: list[list[int]], forks: IntArray) -> int:
    """Return the largest number of divisions that can each have a fork of their own in one of their parts.

    Parameters
    ----------
    options : list of list of int
        Parts of the result for each division.
    forks : (P,) int64
        Number of forks of each part.
    """
    free = forks.copy()
    movable: dict[int, list[int]] = defaultdict(list)  # divisions that could have a fork elsewhere, by part

    def place(division: int, seen: set[int]) -> bool:
        for number in options[division]:
            if number in seen:
                continue
            seen.add(number)
            if free[number]:
                free[number] -= 1
            else:
                other = next((each for each in movable[number] if place(each, seen)), None)
                if other is None:
                    continue
                movable[number].remove(other)
            if len(options[division]) > 1:
                movable[number].append(division)
            return True
        return False

    return sum(place(division, set()) for division in range(len(options)))
