"""Events that the metrics of the Cell Tracking Challenge are made of, counted in linear time.

The numbers are those of py-ctcmetrics, the software that the organisers maintain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from gnntrack.evaluate.matching import MatchedGraphs
    from gnntrack.types import BoolArray, IntArray

__all__ = [
    "MatchedLinks",
    "compute_complete_tracks",
    "compute_track_fractions",
    "count_corrections",
    "count_divisions",
    "list_divisions",
    "match_divisions",
    "match_links",
]


def count_corrections(graphs: MatchedGraphs) -> dict[str, int]:
    """Count the corrections that turn the result's graph into that of the ground truth (Matula et al., 2015, "AOGM").

    Returns
    -------
    dict
        Vertices to split (``NS``), add (``FN``) and delete (``FP``); then, between vertices that match one to one,
        edges to delete (``ED``), to add (``EA``), and to change from a link within a track to one between parent and
        child or back (``EC``). ``num_vertices`` and ``num_edges`` are those of the ground truth.
    """
    truth, result, covered_by, covers = graphs[:4]
    matched = int(np.count_nonzero(covered_by >= 0))
    links = match_links(graphs)
    return {
        "num_vertices": len(truth.label),
        "num_edges": len(truth.source),
        "NS": matched - int(np.count_nonzero(covers)),
        "FN": len(truth.label) - matched,
        "FP": int(np.count_nonzero(covers == 0)),
        "ED": int(np.count_nonzero(links.comparable)) - len(links.edge),
        "EA": len(truth.source) - len(links.truth_edge),
        "EC": int(np.count_nonzero(result.parental[links.edge] != truth.parental[links.truth_edge])),
    }


class MatchedLinks(NamedTuple):
    """Links of the result that are links of the ground truth."""

    edge: IntArray
    """(k,) links of the result."""
    truth_edge: IntArray
    """(k,) the same links in the ground truth."""
    comparable: BoolArray
    """(E of the result,) whether both cells of a link match one cell of the ground truth each."""
    row_in_truth: IntArray
    """(V of the result,) row of the cell of the ground truth that each cell matches alone, -1 = none or several."""


def match_links(graphs: MatchedGraphs) -> MatchedLinks:
    """Return which links of the result are links of the ground truth."""
    truth, result, covered_by, covers = graphs[:4]
    row_in_truth = np.full(len(result.label), -1)
    once = np.flatnonzero((covered_by >= 0) & (covers[covered_by] == 1)) if len(covers) else covered_by[:0]
    row_in_truth[covered_by[once]] = once
    source, target = row_in_truth[result.source], row_in_truth[result.target]
    both = (source >= 0) & (target >= 0)
    key = source[both] * len(truth.label) + target[both]
    truth_key = truth.source * len(truth.label) + truth.target
    _, edge, truth_edge = np.intersect1d(key, truth_key, return_indices=True)
    return MatchedLinks(np.flatnonzero(both)[edge], truth_edge, both, row_in_truth)


def compute_complete_tracks(graphs: MatchedGraphs, rows: IntArray, truth_rows: IntArray) -> float:
    """Return CT: F1 of the tracks that one label follows throughout, and that begin and end with it.

    Parameters
    ----------
    graphs : MatchedGraphs
        Result and ground truth.
    rows, truth_rows : (K, 4) int64
        Their tables of tracks.
    """
    follower = graphs.list_followers()
    label, first = np.unique(graphs.truth.label, return_index=True)
    lowest, highest = np.minimum.reduceat(follower, first), np.maximum.reduceat(follower, first)
    followed = (lowest == highest) & (lowest > 0)
    span = {row[0]: (row[1], row[2]) for row in rows.tolist()}
    truth_span = {row[0]: (row[1], row[2]) for row in truth_rows.tolist()}
    pairs = zip(label[followed].tolist(), lowest[followed].tolist(), strict=True)
    complete = sum(truth_span[truth] == span[result] for truth, result in pairs)
    return 2 * complete / (len(rows) + len(truth_rows))


def compute_track_fractions(graphs: MatchedGraphs) -> float:
    """Return TF: the mean, over detected tracks, of the longest stretch that one label follows, as a fraction."""
    label, result = graphs.truth.label, graphs.list_followers()
    opens = np.ones(len(label), bool)
    opens[1:] = (np.diff(label) != 0) | (np.diff(result) != 0)
    at = np.flatnonzero(opens)
    stretch = np.diff(np.append(at, len(label)))
    length = dict(zip(*(column.tolist() for column in np.unique(label, return_counts=True)), strict=True))
    fractions: dict[int, dict[int, float]] = {}
    for truth, follower, n in zip(label[at].tolist(), result[at].tolist(), stretch.tolist(), strict=True):
        if follower:
            own = fractions.setdefault(follower, {})
            own[truth] = max(own.get(truth, 0.0), n / length[truth])
    best: dict[int, float] = {}
    for _, followed in sorted(fractions.items()):
        for truth, fraction in sorted(followed.items()):
            if best.get(truth, 0.0) == 1:
                continue
            best[truth] = max(best.get(truth, 0.0), fraction)
            if fraction == 1:  # as in the challenge's software, a label that follows one track wholly counts no more
                break
    return sum(best.values()) / len(best) if best else 0.0


def count_divisions(
    graphs: MatchedGraphs, rows: IntArray, truth_rows: IntArray, tolerance: int
) -> tuple[int, int, int]:
    """Count the divisions that are found, false and missed, as `match_divisions` finds them.

    Parameters
    ----------
    graphs, rows, truth_rows, tolerance
        As of `match_divisions`.
    """
    found = len(match_divisions(graphs, rows, truth_rows, tolerance))
    return found, len(list_divisions(rows)) - found, len(list_divisions(truth_rows)) - found


def match_divisions(
    graphs: MatchedGraphs, rows: IntArray, truth_rows: IntArray, tolerance: int
) -> list[tuple[int, int]]:
    """Return the divisions that are found, as labels of the parent in the ground truth and in the result.

    A division is found if a parent of the result follows that of the ground truth, both have as many daughters, each
    daughter follows one of the other's, and no track ends or begins more than `tolerance` frames off.

    Parameters
    ----------
    graphs, rows, truth_rows
        As of `compute_complete_tracks`.
    tolerance : int
        Frames.
    """
    truth = graphs.truth
    seen = zip(truth.label.tolist(), truth.frame.tolist(), strict=True)
    follower = dict(zip(seen, graphs.list_followers().tolist(), strict=True))
    divisions, truth_divisions = list_divisions(rows), list_divisions(truth_rows)
    found = []
    for parent, (end, daughters) in truth_divisions.items():
        candidates = {follower.get((parent, t), 0) for t in range(end - tolerance, end + 1)} & divisions.keys()
        for candidate in candidates:
            its_end, its_daughters = divisions[candidate]
            same = len(daughters) == len(its_daughters) and abs(end - its_end) <= tolerance
            followed = same and follower.get((parent, min(end, its_end))) == candidate
            if followed and _are_same_daughters(follower, daughters, its_daughters, tolerance):
                found.append((parent, candidate))
    return found


def list_divisions(rows: IntArray) -> dict[int, tuple[int, list[tuple[int, int]]]]:
    """Return the last frame and the daughters (label, first frame) of each track that has several."""
    end = {label: last for label, _, last, _ in rows.tolist()}
    daughters: dict[int, list[tuple[int, int]]] = {}
    for label, begin, _, parent in rows.tolist():
        if parent:
            daughters.setdefault(parent, []).append((label, begin))
    return {parent: (end[parent], own) for parent, own in daughters.items() if len(own) > 1}


def _are_same_daughters(
    follower: dict[tuple[int, int], int],
    daughters: list[tuple[int, int]],
    its_daughters: list[tuple[int, int]],
    tolerance: int,
) -> bool:
    """Return whether each daughter of the ground truth is followed by another daughter of the result."""
    matched = set()
    for label, begin in daughters:
        close = [(its, max(begin, other)) for its, other in its_daughters if abs(begin - other) <= tolerance]
        # one each: with a tolerance, a daughter may be followed by both labels, one after the other
        matched.add(next((its for its, t in close if follower.get((label, t)) == its), 0))
    matched.discard(0)
    return len(matched) == len(daughters)
