"""Confidence of links: the probability that a link of a solved movie is right.

A score is computed before the choice. After it more is known: the links that competed and lost, whether the cells at
both ends are linked further, and whether the divisions were decided again (`gnntrack.events`). A logistic regression on
this evidence (Platt, Probabilistic outputs for support vector machines, 1999) returns the probability that a link is
right. Its weights, in ``confidence.json``, are fitted by ``benchmarks/confidence.py`` on movies with ground truth, a
set for each scorer. Their signs are limited, so that a higher score of a link never lowers its confidence, and a higher
score of a link that competes with it never raises it.

Points have weights of their own, fitted by ``benchmarks/point_confidence.py``. Detectors miss cells and find false
ones, so that tracks of points have more gaps and ends; how many there are in the movie is further evidence.

The confidence of divisions and tracks follows from that of their links: `gnntrack.lineage.confidence`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.lineage.confidence import read_weights
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.types import invert_log_odds, log_odds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import BoolArray, CellGraph, FeatureArray, FloatArray, IntArray, Lineage, LinkScores

__all__ = ["EVIDENCE", "POINT_EVIDENCE", "compute_confidence", "compute_log_odds", "measure_evidence"]

_REVISED = ("revised", "revised_division")  # which divisions of points are not
EVIDENCE = {
    "link_below_1": 1,
    "link_above_1": 1,
    "division_below_1": 1,
    "division_above_1": 1,
    "marginal_below_1": 1,
    "marginal_above_1": 1,
    "margin_below_1": 1,
    "margin_above_1": 1,
    "best_into_target": -1,
    "best_out_of_source": -1,
    "of_division": 0,
    "over_gap": 0,
    "open_ends": -1,
    "revised": 0,
    "revised_division": 0,
    "no_candidate": 0,
}
"""Evidence for a link, in the order of `measure_evidence`, and the sign that its weight may have; 0 = both."""
_OF_LINKS = {
    **{name: sign for name, sign in EVIDENCE.items() if name not in ("over_gap", "no_candidate", *_REVISED)},
    "gap_rate": 0,
    "end_rate": -1,
}
POINT_EVIDENCE = {**_OF_LINKS, **{f"gap_{name}": sign for name, sign in _OF_LINKS.items()}, "over_gap": 0}
"""The same for links of points. Those whose names begin with ``gap_`` are of links over gaps, all others of links to
the next frame; the rates are logarithms of those of gaps and of open ends per link of the movie."""

_LOWEST = -15.0  # log odds of links that do not exist
_LIMIT = 8.0  # log odds beyond it count as this: they are all but certain
_RARE = 50  # links that are added to those of a movie, so that the rates of short ones are not extreme
_HIGHEST = 9.0  # log odds of the most certain link: no set of movies shows that fewer links are wrong


def compute_confidence(
    lineage: Lineage, graph: CellGraph, chosen: BoolArray, scores: LinkScores, *, scorer: str
) -> FeatureArray:
    """Return the probability that each link of a lineage is right.

    Parameters
    ----------
    lineage : Lineage
        The solution, also after `gnntrack.events.revise_divisions`.
    graph : CellGraph
        Candidate links that it was made from.
    chosen : (E,) bool
        The candidates that the solver chose.
    scores : LinkScores
        Scores of all candidates.
    scorer : str
        The set of weights: ``"links"`` for the classical scores, ``"network"`` for those of a network. Of points, those
        whose names begin with ``"point_"`` are used.

    Returns
    -------
    (L,) float32 in [0, 1)
        In the order of the links of the lineage.

    Raises
    ------
    KeyError
        If the scorer has no weights.

    References
    ----------
    Guo et al., On Calibration of Modern Neural Networks, ICML 2017.

    Examples
    --------
    >>> import gnntrack
    >>> from gnntrack.lineage.build import build_lineage
    >>> from gnntrack.scores import ClassicalScorer
    >>> masks = np.zeros((3, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11], masks[:, 25:31, 20:26] = 1, 2
    >>> graph = gnntrack.build_graph(masks=masks)
    >>> scores = ClassicalScorer(gnntrack.Settings()).score(graph)
    >>> chosen = graph.cells.label[graph.source] == graph.cells.label[graph.target]
    >>> chosen &= graph.gap == 1
    >>> lineage = build_lineage(graph, chosen, scores)
    >>> bool((compute_confidence(lineage, graph, chosen, scores, scorer="links") > 0.9).all())
    True
    """
    weights = read_weights("gnntrack.scores")[f"point_{scorer}" if lineage.cells.points else scorer]
    value = compute_log_odds(measure_evidence(lineage, graph, chosen, scores), weights)
    return np.asarray(invert_log_odds(value), np.float32)


def compute_log_odds(evidence: FloatArray, weights: Mapping[str, Any]) -> FloatArray:
    """Return the log odds that links are right, shape (L,), from their evidence and a set of weights.

    The weights are in the order of the columns of the evidence.
    """
    value = evidence @ np.array(list(weights["weights"].values())) + weights["intercept"]
    return np.asarray(np.minimum(value, _HIGHEST))


def measure_evidence(lineage: Lineage, graph: CellGraph, chosen: BoolArray, scores: LinkScores) -> FloatArray:
    """Return the evidence for each link of a lineage, float64.

    Parameters
    ----------
    lineage, graph, chosen, scores
        As in `compute_confidence`.

    Returns
    -------
    (L, E) float64
        Its columns are those of `EVIDENCE`, of points those of `POINT_EVIDENCE`.
    """
    candidate = _find_candidates(graph, lineage)
    known = candidate >= 0
    linked = np.zeros(len(graph), bool)
    linked[candidate[known]] = True
    own, marginal = _measure_own(linked, scores)
    own, marginal = (np.where(known, np.append(each, _LOWEST)[candidate], _LOWEST) for each in (own, marginal))
    best_link, best = _find_alternatives(lineage, graph, linked, scores)
    children = np.bincount(lineage.source, minlength=len(graph.cells))[lineage.source]
    divides = children > 1
    revised = _find_revised(lineage, graph, chosen)
    over_gap = graph.cells.frame[lineage.target] - graph.cells.frame[lineage.source] > 1
    open_ends = _count_open_ends(lineage)
    columns = {
        **_split("link", np.where(divides, 0, _bound(own))),
        **_split("division", np.where(divides, _bound(own), 0)),
        **_split("marginal", _bound(marginal)),
        **_split("margin", _bound(own - best_link.max(axis=1))),
        "best_into_target": _bound(best[:, 0]),
        "best_out_of_source": _bound(best[:, 1]),
        "of_division": divides,
        "over_gap": over_gap,
        "open_ends": open_ends,
        "revised": revised,
        "revised_division": revised & divides,
        "no_candidate": ~known,
    }
    if lineage.cells.points:
        columns |= _measure_rates(over_gap, open_ends)
        of_gaps = {f"gap_{name}": np.where(over_gap, columns[name], 0) for name in _OF_LINKS}
        columns |= {**of_gaps, **{name: np.where(over_gap, 0, columns[name]) for name in _OF_LINKS}}
    names = POINT_EVIDENCE if lineage.cells.points else EVIDENCE
    return np.stack([np.asarray(columns[name], float) for name in names], axis=1)


def _measure_rates(over_gap: BoolArray, open_ends: FloatArray) -> dict[str, FloatArray]:
    """Return how usual gaps and open ends are in the movie, the same for all links, (L,) each."""
    n = len(over_gap)
    counts = over_gap.sum() + 0.5, open_ends.sum() + 1
    gaps, ends = estimate_of_movie("confidence.rates", lambda: [float(count / (n + _RARE)) for count in counts])
    return {"gap_rate": np.full(n, np.log(gaps)), "end_rate": np.full(n, np.log(ends))}


def _find_candidates(graph: CellGraph, lineage: Lineage) -> IntArray:
    """Return the candidate that each link is, shape (L,); -1 for links that no solver could choose."""
    n = len(graph.cells)
    key, wanted = graph.source * n + graph.target, lineage.source * n + lineage.target
    place = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    return np.where(key[place] == wanted, place, -1) if len(key) else np.full(len(wanted), -1)


def _measure_own(linked: BoolArray, scores: LinkScores) -> tuple[FloatArray, FloatArray]:
    """Return log odds of each candidate, of a division's that of the division, and its marginal log odds, (E,)."""
    score = np.maximum(log_odds(scores.link), _LOWEST)
    marginal = score if scores.marginal is None else log_odds(scores.marginal)
    both, own = linked[scores.pairs].all(axis=1), score.copy()
    for side in (0, 1):
        own[scores.pairs[both, side]] = np.maximum(log_odds(scores.division[both]), _LOWEST)
    return own, marginal


def _find_alternatives(
    lineage: Lineage, graph: CellGraph, linked: BoolArray, scores: LinkScores
) -> tuple[FloatArray, FloatArray]:
    """Return the highest log odds, of links and of links and divisions, that compete with each link, (L, 2).

    The columns are the alternatives into its target, and those out of its source.
    """
    n, score = len(graph.cells), np.maximum(log_odds(scores.link), _LOWEST)
    division = np.maximum(log_odds(scores.division), _LOWEST)
    lost = ~linked[scores.pairs].all(axis=1)
    found = []
    for side, (end, place) in enumerate(((graph.target, lineage.target), (graph.source, lineage.source))):
        by_link = np.full(n, _LOWEST)
        np.maximum.at(by_link, end[~linked], score[~linked])
        with_divisions = by_link.copy()
        for daughter in (0, 1)[: 2 - side]:
            np.maximum.at(with_divisions, end[scores.pairs[lost, daughter]], division[lost])
        found.append((by_link[place], with_divisions[place]))
    return np.stack([each[0] for each in found], axis=1), np.stack([each[1] for each in found], axis=1)


def _count_open_ends(lineage: Lineage) -> FloatArray:
    """Return how many of a link's two cells have no further link, though the movie goes on, shape (L,)."""
    source, target, frame = lineage.source, lineage.target, lineage.cells.frame
    n = len(lineage.cells)
    alone_before = (np.bincount(target, minlength=n)[source] == 0) & (frame[source] > 0)
    alone_after = (np.bincount(source, minlength=n)[target] == 0) & (frame[target] < lineage.cells.n_frames - 1)
    return np.asarray(alone_before.astype(float) + alone_after)


def _find_revised(lineage: Lineage, graph: CellGraph, chosen: BoolArray) -> BoolArray:
    """Return whether the links out of a link's source are others than those that the solver chose, shape (L,)."""
    n = len(graph.cells)
    before, now = graph.source[chosen] * n + graph.target[chosen], lineage.source * n + lineage.target
    changed = np.zeros(n, bool)
    for links, others in ((before, now), (now, before)):
        changed[links[~np.isin(links, others)] // max(n, 1)] = True
    return changed[lineage.source]


def _split(name: str, value: FloatArray) -> dict[str, FloatArray]:
    """Return the parts of log odds below and above 1."""
    return {f"{name}_below_1": np.minimum(value, 1), f"{name}_above_1": np.maximum(value - 1, 0)}


def _bound(value: FloatArray) -> FloatArray:
    return np.asarray(np.clip(value, -_LIMIT, _LIMIT))
