"""Spurious cells: the probability that a mask is no cell, such as debris that a segmenter marks for a frame or two.

Debris has no good links, it is often dimmer, flatter or smaller than the cells of the movie, and there is more of it in
some movies than in others. A cell at the border of the frame, though, can be there for a frame only. A network tells
more: it is trained to know spurious cells. A logistic regression on these returns a calibrated probability. Its
weights are in ``confidence.json``, ``cell_links`` for the classical scores and ``cell_network`` for those of the
network that comes with gnntrack; they are fitted by ``benchmarks/spurious.py`` on movies whose masks have spurious
cells, and on the same movies without any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.lineage.confidence import read_weights
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.scores.confidence import compute_log_odds
from gnntrack.types import invert_log_odds, log_odds

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, Cells, FloatArray, LinkScores

__all__ = ["CELL_EVIDENCE", "HIGHEST_SPURIOUS", "measure_cell_evidence", "rate_cells"]

_HINGES = (-2, -1, -0.5, -0.25)  # log odds of the network at which the slope may change: it is hardly ever sure
_OF_LINKS = {
    "best_past": -1,
    "best_future": -1,
    "best_link": -1,
    "without_links": 1,
    "dim": 0,
    "flat": 0,
    "small": 0,
    "at_border": -1,
}
CELL_EVIDENCE = {
    "links": _OF_LINKS,
    "network": {"network": 1, **{f"network_above_{hinge}": 0 for hinge in _HINGES}, "likely": 0, **_OF_LINKS},
}
"""Evidence for a spurious cell by the scores, in the order of `measure_cell_evidence`, and the sign that its weight may
have; 0 = both."""

HIGHEST_SPURIOUS = {"links": 1.0, "network": 0.97}
"""Probability above which a cell is dropped by default. For the challenge, a missed cell costs as much as ten spurious
ones, and its two links as three more: dropping pays from 13/14 on; 0.97 leaves a margin for other kinds of movies. By
the classical scores it is wrong too often."""

_LIMIT = 8.0  # log odds beyond it count as this
_LIKELY = -0.75  # log odds of the network above which most cells are spurious
_UNLINKED = -1.0  # log odds of the best link of a cell below which it hardly has one
_RARE, _USUAL = 100, 0.003  # cells that are added to those of a movie, and the fraction of them that is so
_FARTHEST = 10.0  # usual differences beyond it count as this
_GAUSSIAN = 1.4826  # standard deviations of a normal distribution per median difference


def rate_cells(graph: CellGraph, scores: LinkScores, *, scorer: str) -> FloatArray:
    """Return the calibrated probability that each cell is spurious, shape (N,).

    Parameters
    ----------
    graph, scores
        Of a movie of masks.
    scorer : str
        The set of weights: ``"links"`` for the classical scores, ``"network"`` for those of a network.

    Examples
    --------
    >>> import gnntrack
    >>> from gnntrack.types import LinkScores
    >>> masks = np.zeros((3, 40, 40), np.uint8)
    >>> masks[:, 15:21, 15:21] = 1
    >>> graph = gnntrack.build_graph(masks=masks, max_gap=1)
    >>> bool((rate_cells(graph, LinkScores([0.99, 0.99]), scorer="links") < 0.01).all())
    True
    """
    weights = read_weights("gnntrack.scores")[f"cell_{scorer}"]
    return invert_log_odds(compute_log_odds(measure_cell_evidence(graph, scores, scorer=scorer), weights))


def measure_cell_evidence(graph: CellGraph, scores: LinkScores, *, scorer: str) -> FloatArray:
    """Return the evidence that each cell is spurious, (N, E) float64; parameters as of `rate_cells`.

    Its columns are those of `CELL_EVIDENCE`.
    """
    cells = graph.cells
    columns = {**_measure_links(graph, scores), **_measure_cells(cells)}
    if scorer == "network" and scores.spurious is not None:
        said = np.clip(log_odds(scores.spurious), -_LIMIT, _LIMIT)
        columns |= {"network": said, "likely": _describe_share("likely", said > _LIKELY)}
        columns |= {f"network_above_{hinge}": np.maximum(said - hinge, 0) for hinge in _HINGES}
    return np.stack([columns[name] for name in CELL_EVIDENCE[scorer]], axis=1)


def _measure_links(graph: CellGraph, scores: LinkScores) -> dict[str, FloatArray]:
    """Return the log odds of the best links of each cell, 0 where the movie ends, and how many have none, (N,)."""
    n, frame, link = len(graph.cells), graph.cells.frame, np.clip(log_odds(scores.link), -_LIMIT, _LIMIT)
    found = []
    for end, edge in ((graph.target, 0), (graph.source, graph.cells.n_frames - 1)):
        best = np.full(n, -_LIMIT)
        np.maximum.at(best, end, link)
        found.append(np.where(frame == edge, 0, best))
    past, future = found
    best = np.maximum(past, future)
    return {
        "best_past": past,
        "best_future": future,
        "best_link": best,
        "without_links": _describe_share("without_links", best < _UNLINKED),
    }


def _describe_share(name: str, chosen: BoolArray) -> FloatArray:
    """Return the logarithm of the fraction of the cells that are so, the same for all, shape (N,)."""
    share = estimate_of_movie(
        f"spurious.{name}", lambda: float(np.log((chosen.sum() + _USUAL * _RARE) / (len(chosen) + _RARE)))
    )
    return np.full(len(chosen), share)


def _measure_cells(cells: Cells) -> dict[str, FloatArray]:
    """Return by how much each cell is dimmer, flatter and smaller than usual, and whether it is at the border, (N,)."""
    dim = flat = np.zeros(len(cells))
    if cells.has("intensity_mean") and len(cells):
        spread = cells.feature("intensity_std").astype(float)
        median = estimate_of_movie("spurious.contrast", lambda: float(np.median(spread)))
        dim = _measure_lack("dim", cells.feature("intensity_mean").astype(float))
        flat = _measure_lack("flat", np.log(spread + 1e-3 * median + 1e-9))
    small = _measure_lack("small", np.log(cells.feature("size").astype(float)))
    return {
        "dim": dim,
        "flat": flat,
        "small": small,
        "at_border": (cells.feature("border_distance") <= 0).astype(float),
    }


def _measure_lack(name: str, value: FloatArray) -> FloatArray:
    """Return by how much values are below their median, in units of their usual difference from it."""
    if not len(value):
        return value
    median = estimate_of_movie(f"spurious.median.{name}", lambda: float(np.median(value)))
    away = value - median
    typical = estimate_of_movie(f"spurious.spread.{name}", lambda: float(np.median(np.abs(away))))
    usual = _GAUSSIAN * typical + 1e-3 * abs(median) + 1e-6
    return np.asarray(np.clip(-np.nan_to_num(away / usual), 0, _FARTHEST))
