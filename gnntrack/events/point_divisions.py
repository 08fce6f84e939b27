"""Divisions among points: their probability, calibrated on the movie, as scores for a solver.

A small network, trained by ``benchmarks/point_divisions.py``, turns the evidence for a possible birth into the log odds
that it is a division, in a movie in which every cell divides in every frame. Their sum with the logarithm of the true
rate is the log odds in a real movie. Rates differ by orders of magnitude; that of a movie is estimated from the movie
itself by expectation maximisation (Saerens et al., Adjusting the outputs of a classifier to new a priori probabilities,
Neural Computation 2002), so that a movie without divisions gets few, and an embryo in a wave of divisions many. Where
tracks are often wrong, many births look right. As many do backwards in time, where nothing divides: these are
subtracted, as decoys are in proteomics (Elias and Gygi, Target-decoy search strategy, Nature Methods 2007).
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.events.birth_evidence import BRIGHTNESS, SHAPE, SIZE, add_end_rate, measure_births
from gnntrack.events.births import Births, FirstSolution, reverse_time
from gnntrack.movie_scales import estimate_of_movie, name_scales
from gnntrack.plurals import count_noun
from gnntrack.types import LinkScores, invert_log_odds
from gnntrack.types import log_odds as compute_log_odds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray

    Networks = Mapping[str, Mapping[str, Any]]

__all__ = ["BirthOdds", "PointDivisions", "compute_log_ratios", "estimate_rate"]

_log = logging.getLogger(__name__)

_LIMIT = 4.0  # spreads from the mean: evidence beyond it counts as this
_ROUNDS = 60  # of expectation maximisation; it converges in fewer
_USUAL = 1 / 500  # divisions per cell and frame, as prior
_PRIOR_CELLS = 500.0  # number of cells that the prior counts for
_LIKELY = 0.5  # probability by the scorer from which its pairs of links are divisions, too
_INSIDE = -0.7  # evidence `border` of cells that did not just enter: 0.4 distances of neighbours from it
_COMPLETE = 0.1  # most ends of tracks, per start, in a movie whose points are complete
_TEMPERATURE = 3.0  # by which scores of pairs are divided, see `gnntrack.scores.classical`
_BY_SCORES = 10.0  # bound of the log odds by which they choose among the parents of a daughter
_HIGHEST = 15.0  # bound of the log odds of a birth
_SHAPE_LIMIT = 4.0  # bound of the log odds by shapes: blobs of real microscopes are not those of the simulation


@dataclass(frozen=True)
class PointDivisions:
    """Possible divisions of points.

    Parameters
    ----------
    links : (M, 2) int64
        Rows of the candidate links to both daughters.
    log_odds : (M,) float64
        That they are a division, against the first solution.
    worth : (M,) float64
        Values of the links into the daughters in the first solution, minus the one that a solver adds to a division.
    """

    links: IntArray
    log_odds: FloatArray
    worth: FloatArray

    @classmethod
    def find(
        cls,
        graph: CellGraph,
        scores: LinkScores,
        source: IntArray,
        target: IntArray,
        *,
        threshold: float,
        moments: FloatArray | None = None,
    ) -> PointDivisions:
        """Find possible divisions in a solution.

        Parameters
        ----------
        graph, scores
            Candidate links.
        source, target : (L,) int64
            Cells of the links of a solution without divisions.
        threshold : float
            Probability above which the solver chooses a link.
        moments : (N, D, D) float64, optional
            Shapes of the cells in the images.
        """
        first = FirstSolution.from_links(graph, scores, source, target, moments=moments)
        births = Births.find(first)
        odds, decoys = _score_births(first, births)
        rate = estimate_of_movie("births.rate", lambda: estimate_rate(odds, decoys, len(graph.cells)))
        _log.info("%s, %.2g divisions per cell and frame", count_noun(len(births), "possible birth"), rate)
        if graph.has("size_ratio"):
            odds = odds._replace(log_ratio=odds.log_ratio + compare_parents(births.links, births.late, scores))
        probability = np.maximum(odds.compute_probabilities(rate), odds.explain_lone_starts(decoys))
        links, probability, scored = _join_pairs(births.links, probability, scores)
        zero = float(compute_log_odds(np.array(threshold)))  # log odds of links that a solver gives the value 0
        lost = np.maximum(first.value_of_past[graph.target[links]] - zero, 0).sum(axis=1)
        worth = lost - np.maximum(first.value[links].max(axis=1, initial=-np.inf) - zero, 0)
        return cls(links, compute_log_odds(probability), np.where(scored, 0, worth))

    def add_to(self, scores: LinkScores, *, threshold: float) -> LinkScores:
        """Return scores with those of these divisions that are more likely than a threshold, instead of others.

        A solver adds the log odds of a division to those of its better link, and compares the sum with other links of
        the same cells. The scores are such that a division then beats the first solution if it is more likely than its
        threshold. A less likely one is no choice at all: it could only win by what the cells that it sets free gain.
        """
        likely = self.log_odds > float(compute_log_odds(np.array(threshold)))
        division = invert_log_odds((self.log_odds + self.worth)[likely]).astype(np.float32)
        return replace(scores, pairs=self.links[likely], division=division, candidates=None)

    def rate(self, scores: LinkScores) -> LinkScores:
        """Return scores with the probabilities of these divisions instead of others."""
        division = invert_log_odds(self.log_odds).astype(np.float32)
        return replace(scores, pairs=self.links, division=division, candidates=None)


def compare_parents(links: IntArray, late: IntArray, scores: LinkScores) -> FloatArray:
    """Return the log odds of births against the best birth of the same daughter, by the scores of pairs of links.

    These compare the sizes of parent and daughters. They tell which of several cells is the parent, and not whether the
    daughter has one.

    Parameters
    ----------
    links : (M, 2) int64
        Links of the births.
    late : (M,) int64
        Their late daughters.
    scores : LinkScores
        Scores of the scorer; a birth that is no pair of it counts as unlikely.

    Returns
    -------
    (M,) float64
        From -10 to 0.

    Examples
    --------
    >>> scores = LinkScores(np.full(4, 0.5), [[0, 1], [2, 3]], [0.9, 0.2])
    >>> compare_parents(np.array([[0, 1], [3, 2]]), np.array([5, 5]), scores).round(1).tolist()
    [0.0, -10.0]
    >>> compare_parents(np.array([[0, 1], [3, 2]]), np.array([5, 6]), scores).tolist()
    [0.0, 0.0]
    """
    row = scores.find_pairs(links)
    value = np.full(len(links), -np.inf)
    value[row >= 0] = _TEMPERATURE * compute_log_odds(scores.division[row[row >= 0]])
    best = np.full(int(late.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(best, late, value)
    known_best = np.isfinite(best[late])
    against = np.where(known_best, value, 0) - np.where(known_best, best[late], 0)
    return np.asarray(np.maximum(against, -_BY_SCORES))


def _join_pairs(links: IntArray, probability: FloatArray, scores: LinkScores) -> tuple[IntArray, FloatArray, BoolArray]:
    """Return births (M, 2) and the pairs that the scorer finds likely, each once.

    With their probabilities, the higher of the two, and whether this is that of the scorer.
    """
    likely = scores.division > _LIKELY
    pairs = np.concatenate([links, scores.pairs[likely]])
    pairs, row = np.unique(np.sort(pairs, axis=1), axis=0, return_inverse=True)
    born, scored = np.zeros(len(pairs)), np.zeros(len(pairs))
    np.maximum.at(born, row.ravel()[: len(links)], probability)
    np.maximum.at(scored, row.ravel()[len(links) :], scores.division[likely])
    return pairs, np.maximum(born, scored), scored > born


def _score_births(first: FirstSolution, births: Births) -> tuple[BirthOdds, BirthOdds]:
    """Return the odds of births, and of those in the reversed movie."""
    backwards = reverse_time(first)
    wrong = Births.find(backwards)
    evidence = measure_births(first, births)
    with name_scales("backwards"):
        decoys = measure_births(backwards, wrong)
    add_end_rate(evidence, decoys, late=wrong.late, n_cells=len(first.past))
    return BirthOdds.from_evidence(evidence, births.late), BirthOdds.from_evidence(decoys, wrong.late)


def compute_log_ratios(evidence: dict[str, FloatArray], *, networks: Networks | None = None) -> FloatArray:
    """Return the log odds of divisions at a rate of 1 per cell and frame, shape (M,), from the evidence for them.

    Parameters
    ----------
    evidence : dict
        See `gnntrack.events.birth_evidence.measure_births`.
    networks : mapping, optional
        Weights by kind of evidence; default: those that come with gnntrack. The network ``shape`` adds to another one.
    """
    networks = _read_networks() if networks is None else networks
    ratio = _apply_network(networks[_name_network(evidence)], evidence)
    if SHAPE[0] in evidence and "shape" in networks:
        by_shape = np.clip(_apply_network(networks["shape"], evidence), -_SHAPE_LIMIT, _SHAPE_LIMIT)
        ratio = ratio + np.where(np.isfinite(evidence[SHAPE[0]]), by_shape, 0)
    return ratio


def _apply_network(network: Mapping[str, Any], evidence: dict[str, FloatArray]) -> FloatArray:
    known = np.stack([evidence[name] for name in network["evidence"]], axis=1)
    place = np.clip((known - network["mean"]) / network["spread"], -_LIMIT, _LIMIT)
    place = np.where(np.isfinite(place), place, 0)
    hidden = np.tanh(place @ network["hidden"] + network["hidden_bias"])
    return np.asarray(hidden @ network["output"] + place @ network["linear"] + network["bias"])


def _name_network(evidence: dict[str, FloatArray]) -> str:
    given = [name for name, columns in (("size", SIZE), ("brightness", BRIGHTNESS)) if columns[0] in evidence]
    return "+".join(["place", *given])


@cache
def _read_networks() -> Networks:
    """Return the networks by the kinds of evidence that they read."""
    text = (files("gnntrack.events") / "point_divisions.json").read_text(encoding="utf-8")
    return {
        name: {key: value if key == "evidence" else np.asarray(value, np.float64) for key, value in network.items()}
        for name, network in json.loads(text).items()
    }


class BirthOdds(NamedTuple):
    """Log odds of possible births at a rate of 1 per cell and frame, and the daughters that they are births of.

    Parameters
    ----------
    log_ratio : (M,) float64
        See `compute_log_ratios`.
    late : (M,) int64
        The late daughter. Births of one daughter exclude each other.
    lone : (M,) bool
        Whether she starts inside the frame.
    """

    log_ratio: FloatArray
    late: IntArray
    lone: BoolArray

    @classmethod
    def from_evidence(
        cls, evidence: dict[str, FloatArray], late: IntArray, *, networks: Networks | None = None
    ) -> BirthOdds:
        """Return the odds of births; `networks` as of `compute_log_ratios`."""
        lone = (evidence["has_past"] == 0) & (evidence["border"] > _INSIDE)
        return cls(compute_log_ratios(evidence, networks=networks), late, lone)

    def compute_probabilities(self, rate: float) -> FloatArray:
        """Return the probability of each birth at a rate of divisions per cell and frame, shape (M,)."""
        odds = np.exp(np.clip(self.log_ratio + np.log(rate), -_HIGHEST, _HIGHEST))
        return np.asarray(odds / (1 + self._add_up(odds)))

    def explain_lone_starts(self, decoys: BirthOdds) -> FloatArray:
        """Return the least probability of each birth, shape (M,): where tracks never end, they do not just start.

        In a complete movie each start inside the frame is a birth, whatever it looks like.
        """
        born = estimate_of_movie("births.lone", lambda: self._count_born(decoys))
        if not born:
            return np.zeros(len(self.late))
        odds = np.exp(np.clip(self.log_ratio, -_HIGHEST, _HIGHEST))
        return np.where(self.lone, born * odds / self._add_up(odds), 0)

    def _count_born(self, decoys: BirthOdds) -> float:
        """Return the fraction of the starts inside the frame that are births; 0 if the movie is not complete."""
        starts, ends = (len(np.unique(each.late[each.lone])) for each in (self, decoys))
        if ends > _COMPLETE * starts:
            return 0.0
        return float(max(starts - ends - 2 * np.sqrt(ends + 1), 0) / max(starts, 1))

    def _add_up(self, odds: FloatArray) -> FloatArray:
        """Return the sum over the births of the same daughter, shape (M,)."""
        return np.asarray(np.bincount(self.late, odds)[self.late], np.float64) if len(odds) else odds


def estimate_rate(births: BirthOdds, decoys: BirthOdds, n_cells: int) -> float:
    """Return the number of divisions per cell and frame of a movie.

    Parameters
    ----------
    births : BirthOdds
        The possible births.
    decoys : BirthOdds
        Those of the movie backwards in time, which are all wrong. Among the births, as many are wrong.
    n_cells : int
        Number of cells of the movie.

    Examples
    --------
    >>> births = BirthOdds(np.array([12.0] * 30 + [-8.0] * 970), np.arange(1000), np.zeros(1000, bool))
    >>> none = BirthOdds(np.zeros(0), np.zeros(0, int), np.zeros(0, bool))
    >>> round(estimate_rate(births, none, 3000), 4), round(estimate_rate(births, births, 3000), 4)
    (0.0089, 0.0003)
    """
    rate = _USUAL
    for _ in range(_ROUNDS):
        right, wrong = (float(each.compute_probabilities(rate).sum()) for each in (births, decoys))
        rate = (max(right - wrong, 0) + _USUAL * _PRIOR_CELLS) / (n_cells + _PRIOR_CELLS)
    return rate
