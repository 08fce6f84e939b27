"""How far a network's scores can be believed: its temperature, its reliability, and its mistakes once solved."""

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

__all__ = ["Mistakes", "fit_temperature", "mistakes", "reliability", "true_links"]

_COLDEST, _HOTTEST = 0.2, 5.0
_BINS = 10


@dataclass(frozen=True)
class Mistakes:
    """Counts of links and divisions of a solved movie; they add up over movies."""

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
        """Wrong links + 1.5 x missed ones, as a share of 1.5 x the true ones."""
        return (self.wrong + 1.5 * self.missed) / (1.5 * max(self.true, 1))

    @property
    def division_f1(self) -> float | None:
        """F1 of the divisions; None where there are none, in truth or solution."""
        both = self.divisions_found + self.divisions_true
        return 2 * self.divisions_right / both if both else None


def true_links(sample: Sample) -> BoolArray:
    """Return which candidate links of the graph are true, those to daughters too, shape (E,) of the graph."""
    inputs, truth = sample.inputs, sample.truth
    right = truth.link.copy()
    right[inputs.pairs[truth.pair].ravel()] = True
    whole = np.zeros(len(sample.graph), bool)
    whole[inputs.rows[right]] = True
    return whole


def mistakes(sample: Sample, chosen: BoolArray) -> Mistakes:
    """Compare the chosen links of a movie, (E,) bool of its graph, with its truth."""
    graph = sample.graph
    counts = sample.truth.parent_known[graph.target]
    true, chosen = true_links(sample) & counts, chosen & counts
    real, found = (_divisions(graph.source, graph.target, each) for each in (true, chosen))
    return Mistakes(
        int((chosen & ~true).sum()),
        int((true & ~chosen).sum()),
        int(true.sum()),
        len(real & found),
        len(found),
        len(real),
    )


def _divisions(source: IntArray, target: IntArray, chosen: BoolArray) -> set[tuple[int, ...]]:
    """Return (mother, daughter, daughter) of every cell with two chosen links out of it."""
    rows = np.flatnonzero(chosen)
    many = np.bincount(source[rows], minlength=1)[source[rows]] > 1
    daughters: dict[int, list[int]] = {}
    for row in rows[many].tolist():
        daughters.setdefault(int(source[row]), []).append(int(target[row]))
    return {(mother, *sorted(cells)) for mother, cells in daughters.items()}


def fit_temperature(samples: Sequence[Sample], log_odds: Sequence[LogOdds]) -> float:
    """Return the temperature at which the truth of movies that were not learnt from is likeliest.

    Parameters
    ----------
    samples : Samples
        The movies.
    log_odds : list of `LogOdds`
        The network's log odds of each.
    """
    if not any(len(sample.inputs.source) for sample in samples):
        return 1.0

    def surprise(log_temperature: float) -> float:
        parts = [
            _log_loss(
                make_link_scores(sample.inputs, sample.prior, each, temperature=float(np.exp(log_temperature))), sample
            )
            for sample, each in zip(samples, log_odds, strict=True)
        ]
        return float(np.concatenate(parts).mean())

    found = minimize_scalar(surprise, bounds=np.log([_COLDEST, _HOTTEST]), method="bounded", options={"xatol": 0.02})
    return round(float(np.exp(found.x)), 3)


def reliability(samples: Sequence[Sample], scores: Sequence[LinkScores]) -> dict[str, Any]:
    """Return how often links are right, by how likely they are said to be, and the expected calibration error.

    Links that are no contenders are left out, since there are many of them and they are easy (Guo et al., On
    Calibration of Modern Neural Networks, ICML 2017, eq. 3). Most contenders are easy, too: look at the bins between.

    Returns
    -------
    dict
        ``said``, ``right``, ``count`` per bin, and ``ece``.
    """
    nothing = (np.zeros(0), np.zeros(0, bool))
    pairs = [_marginals(each, sample) for sample, each in zip(samples, scores, strict=True)]
    said, right = (np.concatenate(column) for column in zip(nothing, *pairs, strict=True))
    number = np.minimum((said * _BINS).astype(int), _BINS - 1)
    count = np.bincount(number, minlength=_BINS)
    safe = np.maximum(count, 1)
    mean_said = np.bincount(number, said, _BINS) / safe
    mean_right = np.bincount(number, right, _BINS) / safe
    ece = float((count * np.abs(mean_said - mean_right)).sum() / max(count.sum(), 1))
    return {
        "said": mean_said.round(4).tolist(),
        "right": mean_right.round(4).tolist(),
        "count": count.tolist(),
        "ece": round(ece, 5) if count.sum() else None,
    }


def _marginals(scores: LinkScores, sample: Sample) -> tuple[FloatArray, BoolArray]:
    """Return what is said of the links that could win, and whether they are right."""
    rows = sample.inputs.rows
    known = sample.truth.parent_known[sample.inputs.target]
    marginal = scores.link if scores.marginal is None else scores.marginal
    return marginal[rows][known].astype(np.float64), true_links(sample)[rows][known]


def _log_loss(scores: LinkScores, sample: Sample) -> FloatArray:
    said, right = _marginals(scores, sample)
    return np.asarray(-np.log(np.clip(np.where(right, said, 1 - said), 1e-6, 1)))
