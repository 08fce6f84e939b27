"""Calibration of a network's scores: temperature, reliability, and the mistakes of a solution computed from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar

from gnntrack.gnn.predict import LogOdds, make_link_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.training.samples import Sample
    from gnntrack.types import BoolArray, FloatArray, IntArray, LinkScores


__all__ = ["Mistakes", "count_mistakes", "find_true_links", "fit_temperature", "measure_reliability"]

_COLDEST, _HOTTEST = 0.2, 5.0  # bounds of the temperature
_BINS = 10  # bins of the probability in a reliability diagram


@dataclass(frozen=True)
class Mistakes:
    """Numbers of wrong, missed and true links and divisions of a solved movie; sums over movies by ``+``."""

    wrong: int = 0
    missed: int = 0
    true: int = 0
    divisions_right: int = 0
    divisions_found: int = 0
    divisions_true: int = 0

    def __add__(self, other: Mistakes) -> Mistakes:
        return Mistakes(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def link_error(self) -> float:
        """(wrong links + 1.5 x missed links) / (1.5 x true links), with the costs of the CTC's LNK measure."""
        return (self.wrong + 1.5 * self.missed) / (1.5 * max(self.true, 1))

    @property
    def division_f1(self) -> float | None:
        """F1 score of the divisions; None if neither the ground truth nor the solution has any."""
        both = self.divisions_found + self.divisions_true
        return 2 * self.divisions_right / both if both else None


def find_true_links(sample: Sample) -> BoolArray:
    """Return which candidate links of the graph are true, including those to daughters, shape (E,) of the graph."""
    inputs, truth = sample.inputs, sample.truth
    right = truth.link.copy()
    right[inputs.pairs[truth.pair].ravel()] = True
    whole = np.zeros(len(sample.graph), bool)
    whole[inputs.rows[right]] = True
    return whole


def count_mistakes(sample: Sample, chosen: BoolArray) -> Mistakes:
    """Compare the chosen links of a movie, (E,) bool of its graph, with its ground truth."""
    graph = sample.graph
    counts = sample.truth.parent_known[graph.target]
    true, chosen = find_true_links(sample) & counts, chosen & counts
    real, found = (_find_divisions(graph.source, graph.target, each) for each in (true, chosen))
    return Mistakes(
        int((chosen & ~true).sum()),
        int((true & ~chosen).sum()),
        int(true.sum()),
        len(real & found),
        len(found),
        len(real),
    )


def _find_divisions(source: IntArray, target: IntArray, chosen: BoolArray) -> set[tuple[int, ...]]:
    """Return (parent, daughter, daughter) of every cell with two chosen links to later cells."""
    rows = np.flatnonzero(chosen)
    many = np.bincount(source[rows], minlength=1)[source[rows]] > 1
    daughters: dict[int, list[int]] = {}
    for row in rows[many].tolist():
        daughters.setdefault(int(source[row]), []).append(int(target[row]))
    return {(parent, *sorted(cells)) for parent, cells in daughters.items()}


def fit_temperature(samples: Sequence[Sample], log_odds: Sequence[LogOdds]) -> float:
    """Return the temperature that maximises the likelihood of the ground truth.

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 4.2.

    Parameters
    ----------
    samples : Samples
        Movies that the network was not trained on.
    log_odds : sequence of `gnntrack.gnn.predict.LogOdds`
        Output of the network for each movie.

    Returns
    -------
    float
        Between 0.2 and 5; 1 if the movies have no candidate link.
    """
    if not any(len(sample.inputs.source) for sample in samples):
        return 1.0

    def compute_loss(log_temperature: float) -> float:
        parts = [
            _compute_log_loss(
                make_link_scores(sample.inputs, sample.prior, each, temperature=float(np.exp(log_temperature))), sample
            )
            for sample, each in zip(samples, log_odds, strict=True)
        ]
        return float(np.concatenate(parts).mean())

    found = minimize_scalar(
        compute_loss, bounds=np.log([_COLDEST, _HOTTEST]), method="bounded", options={"xatol": 0.02}
    )
    return round(float(np.exp(found.x)), 3)


def measure_reliability(samples: Sequence[Sample], scores: Sequence[LinkScores]) -> dict[str, Any]:
    """Return the fraction of true links by their probability, and the expected calibration error (ECE).

    Guo et al., On Calibration of Modern Neural Networks, ICML 2017, eq. 3. Only the links that the network scores are
    counted: the others are many and easy. Most of the scored ones are easy, too, so the bins around 0.5 matter most.

    Returns
    -------
    dict
        Lists over 10 bins of the probability: ``said`` (mean probability), ``right`` (fraction of true links),
        ``count`` (number of links); and ``ece``, None without any link.
    """
    empty = (np.zeros(0), np.zeros(0, bool))
    pairs = [_find_marginals(each, sample) for sample, each in zip(samples, scores, strict=True)]
    probability, right = (np.concatenate(column) for column in zip(empty, *pairs, strict=True))
    number = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    count = np.bincount(number, minlength=_BINS)
    safe = np.maximum(count, 1)
    mean_probability = np.bincount(number, probability, _BINS) / safe
    mean_right = np.bincount(number, right, _BINS) / safe
    ece = float((count * np.abs(mean_probability - mean_right)).sum() / max(count.sum(), 1))
    return {
        "said": mean_probability.round(4).tolist(),
        "right": mean_right.round(4).tolist(),
        "count": count.tolist(),
        "ece": round(ece, 5) if count.sum() else None,
    }


def _find_marginals(scores: LinkScores, sample: Sample) -> tuple[FloatArray, BoolArray]:
    """Return the probability of each scored link whose truth is known, and whether the link is true."""
    rows = sample.inputs.rows
    known = sample.truth.parent_known[sample.inputs.target]
    marginal = scores.link if scores.marginal is None else scores.marginal
    return marginal[rows][known].astype(np.float64), find_true_links(sample)[rows][known]


def _compute_log_loss(scores: LinkScores, sample: Sample) -> FloatArray:
    probability, right = _find_marginals(scores, sample)
    return np.asarray(-np.log(np.clip(np.where(right, probability, 1 - probability), 1e-6, 1)))
