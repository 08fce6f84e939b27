"""Scores of links between points, the same for all methods; gaps are filled in the same way for all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gnntrack.evaluate.graph_counts import count_graph
from gnntrack.evaluate.point_matching import find_neighbours, match_points
from gnntrack.types import PointGraph

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

MISSED = 1.5  # weight of a missed link, 1 for a wrong one, as in the measure of linking of the challenge
NONE = -1


def score_result(result: PointGraph, truth: PointGraph, gate: float) -> dict[str, Any]:
    """Return the scores of a result: of links, and of divisions by two rules.

    ``J``: Jaccard index of the links; ``error``: missed links, weighted, and wrong ones, as a fraction of the true
    ones; ``edges``: right, wrong and missed links; ``forks``: the same of divisions, by the rule of the embryo
    competition; ``divisions``: by the rule of `count_divisions`.
    """
    scores = count_graph(result, truth, gate=gate).scores()
    edges, forks = (
        [int(scores[f"{kind}_{part}"] or 0) for part in ("tp", "fp", "fn")] for kind in ("edge", "division")
    )
    right, wrong, missed = edges
    return {
        "J": scores["edge_jaccard"],
        "error": (MISSED * missed + wrong) / (MISSED * (right + missed)),
        "edges": edges,
        "forks": forks,
        "divisions": list(count_divisions(result, truth, gate)),
        "complete_tracks": scores["complete_tracks"],
    }


def count_divisions(result: PointGraph, truth: PointGraph, gate: float, tolerance: int = 1) -> tuple[int, int, int]:
    """Return the numbers of right, wrong and missed divisions.

    A division of the result is right if, before the earlier of the two divisions, its parent is at the true parent,
    and after the later one, its branches are at the two true daughters; they are at most ``tolerance`` frames apart. It
    is wrong if its parent is at a cell of the truth that has a link, and missed if none is right.

    Examples
    --------
    >>> points = [1, 2, 3, 4], [0, 1, 2, 2], [[0.0, 0.0], [0.0, 0.0], [0.0, 5.0], [0.0, -5.0]]
    >>> truth = PointGraph(*points, [0, 1, 1], [1, 2, 3], (1.0, 1.0))
    >>> count_divisions(truth, truth, 2.0)
    (1, 0, 0)
    """
    true_row = np.full(len(result), NONE)
    of_truth, of_result = match_points(find_neighbours(result, truth, gate))
    true_row[of_result] = of_truth
    mine, known = _Family(result), _Family(truth)
    of_frame: dict[int, list[int]] = {}
    for fork in np.flatnonzero(result.children >= 2).tolist():
        of_frame.setdefault(int(result.frame[fork]), []).append(fork)
    used: set[int] = set()
    missed = 0
    for fork in np.flatnonzero(truth.children == 2).tolist():
        time = int(truth.frame[fork])
        near = sorted(range(time - tolerance, time + tolerance + 1), key=lambda each: abs(each - time))
        options = (each for frame in near for each in of_frame.get(frame, []) if each not in used)
        found = next((each for each in options if _is_same(mine, each, known, fork, true_row)), None)
        missed += found is None
        used |= set() if found is None else {found}
    others = (each for forks in of_frame.values() for each in forks if each not in used)
    wrong = sum(true_row[each] != NONE and bool(truth.children[true_row[each]]) for each in others)
    return len(used), int(wrong), missed


class _Family:
    """Parents and children of the points of a graph, by row."""

    def __init__(self, graph: PointGraph) -> None:
        self.frame = graph.frame.tolist()
        self.parents: dict[int, int] = {}
        self.children: dict[int, list[int]] = {}
        for source, target in graph.links.tolist():
            self.parents[target] = source
            self.children.setdefault(source, []).append(target)

    def go_back(self, row: int, frame: int) -> int:
        while row != NONE and self.frame[row] > frame:
            row = self.parents.get(row, NONE)
        return row

    def go_on(self, row: int, frame: int) -> int:
        while row != NONE and self.frame[row] < frame:
            children = self.children.get(row, [])
            row = children[0] if len(children) == 1 else NONE
        return row


def _is_same(mine: _Family, fork: int, known: _Family, true_fork: int, true_row: Rows) -> bool:
    before = min(mine.frame[fork], known.frame[true_fork])
    after = max(mine.frame[fork], known.frame[true_fork]) + 1
    parent, true_parent = mine.go_back(fork, before), known.go_back(true_fork, before)
    if NONE in (parent, true_parent) or true_row[parent] != true_parent:
        return False
    daughters = {known.go_on(each, after) for each in known.children[true_fork]} - {NONE}
    rows = [mine.go_on(each, after) for each in mine.children[fork]]
    return len(daughters & {int(true_row[row]) for row in rows if row != NONE}) == 2
