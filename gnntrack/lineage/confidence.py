"""Confidence of divisions and tracks: the probability that all their links are right, from the confidence of these.

The product of the confidences would be too low, because errors come together: one wrong decision breaks several links.
A track is right with the probability ``exp(-a S - b M)``, where S is the sum of ``-log(confidence)`` of its links and M
the largest of these terms, but with at most the probability of its least certain link. A division is right with a
probability from a logistic regression on the log odds of its least certain link, and on the number of frames in which
its daughters are seen. The weights, in ``confidence.json``, are fitted by ``benchmarks/confidence.py`` on movies with
ground truth, for calibrated confidences of links (`gnntrack.scores.confidence`). Links with confidence 1 are given, not
estimated: their tracks and divisions have confidence 1. Points have weights of their own, fitted by
``benchmarks/point_confidence.py``.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.types import invert_log_odds, log_odds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gnntrack.types import FloatArray, IntArray, Lineage

__all__ = [
    "list_divisions",
    "measure_division_evidence",
    "measure_track_evidence",
    "rate_divisions",
    "rate_tracks",
    "read_weights",
]

_SMALLEST = 1e-6  # confidences below it count as this
_CERTAIN = 1e-3  # -log(confidence) below which equal confidences are common
_SEEN = 4  # frames that a daughter is followed at most


def rate_tracks(lineage: Lineage) -> FloatArray:
    """Return the probability that all links of each track are right, also the link from its parent.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.

    Returns
    -------
    (K,) float64 in [0, 1]
        In the order of the tracks; NaN for tracks without links.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((3, 40, 40), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> lineage = gnntrack.track(masks=masks)
    >>> bool((rate_tracks(lineage) > 0.9).all())
    True
    """
    weights = _get_weights(lineage, "tracks")
    evidence = measure_track_evidence(lineage)
    loss = evidence @ [weights["sum"], weights["largest"]]
    return np.asarray(np.exp(-np.maximum(loss, evidence[:, 1])))


def measure_track_evidence(lineage: Lineage) -> FloatArray:
    """Return the sum and the largest of ``-log(confidence)`` of the links of each track, (K, 2); NaN without links."""
    row = np.searchsorted(lineage.tracks.id, lineage.track[lineage.target])
    loss, n = _compute_loss(lineage, row), len(lineage.tracks)
    largest = np.full(n, -np.inf)
    np.maximum.at(largest, row, loss)
    known = np.isfinite(largest)
    return np.where(known[:, None], np.stack([np.bincount(row, loss, n), largest], axis=1), np.nan)


def rate_divisions(lineage: Lineage, weights: Mapping[str, Any] | None = None) -> FloatArray:
    """Return the probability that each division is right: that all its daughters are daughters of its parent.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    weights : mapping, optional
        Sets of weights by kind; None = those that come with gnntrack.

    Returns
    -------
    (K,) float64 in [0, 1]
        In the order of the tracks: of the division at the end of each track, NaN for tracks that do not divide.

    Examples
    --------
    A cell that divides after frame 2:

    >>> import gnntrack
    >>> masks = np.zeros((6, 40, 40), np.uint8)
    >>> masks[:3, 14:24, 14:24] = 1
    >>> masks[3:, 12:18, 14:22], masks[3:, 21:27, 14:22] = 1, 2
    >>> np.isnan(rate_divisions(gnntrack.track(masks=masks))).tolist()
    [False, True, True]
    """
    weights = _get_weights(lineage, "divisions", weights)
    found = np.full(len(lineage.tracks), np.nan)
    parent, evidence = measure_division_evidence(lineage)
    value = evidence @ [weights["log_odds"], weights["seen"]] + weights["intercept"]
    given = [(lineage.confidence[rows] == 1).all() for rows in list_divisions(lineage)[1]]
    found[np.searchsorted(lineage.tracks.id, parent)] = np.where(given, 1, invert_log_odds(value))
    return found


def measure_division_evidence(lineage: Lineage) -> tuple[IntArray, FloatArray]:
    """Return the tracks that divide, (D,), and the evidence for their divisions, (D, 2).

    The columns are the log odds of the least certain link, and the number of frames, at most 4, in which all daughters
    are seen. Daughters that divide, or are seen in the last frame, count as seen in 4.
    """
    parent, links = list_divisions(lineage)
    division = np.repeat(np.arange(len(parent)), [len(each) for each in links])
    link = np.concatenate([np.zeros(0, np.int64), *links])
    tracks, source, target = lineage.tracks, lineage.source[link], lineage.target[link]
    daughter = np.searchsorted(tracks.id, lineage.track[target])
    end = tracks.end[daughter]
    goes_on = np.isin(tracks.id[daughter], tracks.parent) | (end == lineage.cells.n_frames - 1)
    seen = np.where(goes_on, _SEEN, np.minimum(end - lineage.cells.frame[source], _SEEN))
    least, shortest = np.full(len(parent), np.inf), np.full(len(parent), float(_SEEN))
    odds = log_odds(np.clip(lineage.confidence[link].astype(float), _SMALLEST, 1 - _SMALLEST))
    np.minimum.at(least, division, odds)
    np.minimum.at(shortest, division, seen)
    return parent, np.stack([least, shortest], axis=1)


def list_divisions(lineage: Lineage) -> tuple[IntArray, list[IntArray]]:
    """Return the tracks that divide, (D,), ascending, and the rows of the links to the daughters of each."""
    across = np.flatnonzero(lineage.track[lineage.source] != lineage.track[lineage.target])
    parent = lineage.track[lineage.source[across]]
    order = np.argsort(parent, kind="stable")
    names, first, count = np.unique(parent[order], return_index=True, return_counts=True)
    divides = count > 1
    links = [across[order[start : start + n]] for start, n in zip(first[divides], count[divides], strict=True)]
    return names[divides], links


def _compute_loss(lineage: Lineage, row: IntArray) -> FloatArray:
    """Return -log(confidence) of each link, shape (L,); `row` is the track of its target.

    The links to masks that were drawn in a gap all have the confidence of the link across the gap: the first counts.
    """
    loss = -np.log(np.clip(lineage.confidence.astype(float), _SMALLEST, 1))
    order = np.lexsort((lineage.cells.frame[lineage.target], row))
    repeated = (np.diff(row[order]) == 0) & (np.diff(loss[order]) == 0) & (loss[order[1:]] > _CERTAIN)
    loss[order[1:][repeated]] = 0
    return np.asarray(loss)


def _get_weights(lineage: Lineage, kind: str, weights: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    known = read_weights("gnntrack.lineage") if weights is None else weights
    return known[f"point_{kind}" if lineage.cells.points else kind]


@cache
def read_weights(package: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the fitted weights in the ``confidence.json`` of a package."""
    text = files(package).joinpath("confidence.json").read_text(encoding="utf-8")
    weights: Mapping[str, Mapping[str, Any]] = json.loads(text)
    return weights
