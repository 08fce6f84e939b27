"""Confidence of chosen links: the probability that a link which the solver has chosen is right.

A score is computed before the choice. After it more is known: the links that competed and lost, and whether the cells
at both ends are linked further. A logistic regression on this evidence (Platt, Probabilistic outputs for support vector
machines, 1999) returns the probability that the chosen link is right. Its weights, in ``confidence.json``, are fitted
by ``benchmarks/confidence.py`` on movies with ground truth, a set for each scorer.

The confidence of a division is the product of those of its two links, and the confidence of a track that of its links.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from gnntrack.types import log_odds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import BoolArray, CellGraph, FeatureArray, FloatArray, IntArray, LinkScores

__all__ = ["EVIDENCE", "compute_confidence", "measure_evidence"]

EVIDENCE = (
    *("own", "own_below_1", "marginal", "marginal_below_1", "margin", "margin_below_1"),
    *("best_into_target", "best_out_of_source"),
    *("division", "division_own", "division_best_into_target", "over_gap", "open_ends"),
)
"""Names of the evidence for a chosen link, in the order of `measure_evidence`."""

_LOWEST = -15.0  # log odds of links that do not exist
_LIMIT = 8.0  # log odds beyond it count as this: they are all but certain


def compute_confidence(graph: CellGraph, chosen: BoolArray, scores: LinkScores, *, scorer: str) -> FeatureArray:
    """Return the probability that each chosen link is right.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    chosen : (E,) bool
        The links of the solution.
    scores : LinkScores
        Scores of all candidates.
    scorer : str
        The set of weights: ``"links"`` for the classical scores, ``"network"`` for those of a network.

    Returns
    -------
    (L,) float32 in [0, 1]
        In the order of the chosen links.

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
    >>> from gnntrack.scores import ClassicalScorer
    >>> masks = np.zeros((3, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11], masks[:, 25:31, 20:26] = 1, 2
    >>> graph = gnntrack.build_graph(masks=masks)
    >>> scores = ClassicalScorer(gnntrack.Settings()).score(graph)
    >>> chosen = graph.cells.label[graph.source] == graph.cells.label[graph.target]
    >>> chosen &= graph.gap == 1
    >>> bool((compute_confidence(graph, chosen, scores, scorer="links") > 0.9).all())
    True
    """
    weights = _read_weights()[scorer]
    evidence = measure_evidence(graph, chosen, scores)
    value = evidence @ np.array([weights["weights"][name] for name in EVIDENCE]) + weights["intercept"]
    return np.asarray(expit(value), np.float32)


def measure_evidence(graph: CellGraph, chosen: BoolArray, scores: LinkScores) -> FloatArray:
    """Return the evidence for each chosen link, shape (L, len(EVIDENCE)), float64.

    Parameters
    ----------
    graph, chosen, scores
        As in `compute_confidence`.
    """
    links = np.flatnonzero(chosen)
    score = np.maximum(log_odds(scores.link), _LOWEST)
    marginal = score if scores.marginal is None else log_odds(scores.marginal)
    both = chosen[scores.pairs].all(axis=1)
    divides, own = np.zeros(len(score), bool), score.copy()
    for side in (0, 1):
        divides[scores.pairs[both, side]] = True
        own[scores.pairs[both, side]] = np.maximum(log_odds(scores.division[both]), _LOWEST)
    of_division, own = divides[links].astype(float), own[links]
    best_link, best = _find_alternatives(graph, chosen, scores)
    margin = _bound(own - best_link.max(axis=1))
    best, own, marginal = _bound(best), _bound(own), _bound(marginal[links])
    columns = {
        "own": own,
        "own_below_1": np.minimum(own, 1),
        "marginal": marginal,
        "marginal_below_1": np.minimum(marginal, 1),
        "margin": margin,
        "margin_below_1": np.minimum(margin, 1),
        "best_into_target": best[:, 0],
        "best_out_of_source": best[:, 1],
        "division": of_division,
        "division_own": of_division * own,
        "division_best_into_target": of_division * best[:, 0],
        "over_gap": (graph.gap[links] > 1).astype(float),
        "open_ends": _count_open_ends(graph, links),
    }
    return np.stack([columns[name] for name in EVIDENCE], axis=1)


def _find_alternatives(graph: CellGraph, chosen: BoolArray, scores: LinkScores) -> tuple[FloatArray, FloatArray]:
    """Return the highest log odds, of links and of links and divisions, that compete with each chosen link, (L, 2).

    The columns are the alternatives into its target, and those out of its source.
    """
    n, score = len(graph.cells), np.maximum(log_odds(scores.link), _LOWEST)
    division = np.maximum(log_odds(scores.division), _LOWEST)
    lost = ~chosen[scores.pairs].all(axis=1)
    found = []
    for side, end in enumerate((graph.target, graph.source)):
        by_link = np.full(n, _LOWEST)
        np.maximum.at(by_link, end[~chosen], score[~chosen])
        with_divisions = by_link.copy()
        for daughter in (0, 1)[: 2 - side]:
            np.maximum.at(with_divisions, end[scores.pairs[lost, daughter]], division[lost])
        found.append((by_link[end[chosen]], with_divisions[end[chosen]]))
    return np.stack([each[0] for each in found], axis=1), np.stack([each[1] for each in found], axis=1)


def _count_open_ends(graph: CellGraph, links: IntArray) -> FloatArray:
    """Return how many of a link's two cells have no further link, though the movie goes on, shape (L,)."""
    source, target, frame = graph.source[links], graph.target[links], graph.cells.frame
    n = len(graph.cells)
    alone_before = (np.bincount(target, minlength=n)[source] == 0) & (frame[source] > 0)
    alone_after = (np.bincount(source, minlength=n)[target] == 0) & (frame[target] < graph.cells.n_frames - 1)
    return np.asarray(alone_before.astype(float) + alone_after)


def _bound(value: FloatArray) -> FloatArray:
    return np.asarray(np.clip(value, -_LIMIT, _LIMIT))


@cache
def _read_weights() -> Mapping[str, Mapping[str, Mapping[str, float]]]:
    text = files("gnntrack.scores").joinpath("confidence.json").read_text(encoding="utf-8")
    weights: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(text)
    return weights
