"""A candidate graph as the arrays that a network reads: scale-free columns for cells, links and pairs of links.

Columns that a movie cannot have (brightness without images, overlap without masks) are NaN; the networks read them as
"as usual". Nothing depends on the size of a pixel, the number of dimensions or the grey levels of the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.graph.divisions import Pairs, cell_radii

if TYPE_CHECKING:
    from gnntrack.types import CellGraph, Cells, FeatureArray, FloatArray, IntArray, LinkScores

__all__ = ["CELL_INPUTS", "LINK_INPUTS", "PAIR_INPUTS", "Inputs", "contenders", "log_odds"]

CELL_INPUTS = (
    *("size", "size_z", "elongation", "elongation_z", "eccentricity", "ellipsoid_fill", "ellipsoid_fill_z"),
    *("border", "touching", "first_frame", "last_frame"),
    *("intensity", "intensity_std", "intensity_max", "intensity_min"),
    *("intensity_mean_z", "intensity_std_z", "intensity_max_z", "intensity_min_z"),
)
"""Columns per cell: sizes and brightness as logarithms against the movie's median."""

LINK_INPUTS = (
    *("prior", "gap", "size_ratio", "intensity_ratio"),
    *("eccentricity_difference", "ellipsoid_fill_difference", "intensity_mean_z_difference"),
    *("iou", "containment_source", "containment_target"),
    *("iou_moved", "containment_source_moved", "containment_target_moved"),
    *("rank_source", "rank_target", "margin_source", "margin_target", "mutual_nearest"),
)
"""Columns per candidate link; ``prior`` is the log odds of the classical score.

Distances are not among them, nor anything else that has a scale of its own in every movie: the prior has judged them by
what is usual in this one. With them, networks were worse on kinds of microscopy that they had not seen."""

PAIR_INPUTS = (
    *("prior", "spread", "together", "unequal", "opening"),
    *("intensity_unequal", "intensity_ratio", "overlap", "overlap_unequal"),
)
"""Columns per possible division: the daughters' sizes and brightness against each other and against the mother's, and
how they share her place."""

_MAY_LACK = frozenset(name for name in LINK_INPUTS if name.startswith(("intensity", "iou", "containment")))
"""Columns per link that need images, or masks."""

_BEST = 3  # links out of a cell, and into it, that may win
_HOPELESS = -6.0  # log odds of the prior below which a pair is no division
_LIMIT = 10.0  # log odds of a prior, and robust z-scores, count for at most this much
_AS_THEY_ARE = (  # columns of cells, clipped
    *("size_z", "elongation_z", "eccentricity", "ellipsoid_fill", "ellipsoid_fill_z"),
    *("intensity_mean_z", "intensity_std_z", "intensity_max_z", "intensity_min_z"),
)


@dataclass(frozen=True)
class Inputs:
    """The arrays of a movie, or of a window of its frames.

    Links and pairs are those that could win: see `contenders`.

    Parameters
    ----------
    frame : (N,) int64
        Frame of each cell, ascending.
    source, target : (E,) int64
        Cells of each candidate link, sorted by source.
    pairs : (M, 2) int64
        Candidate links of each possible division, sorted.
    cell : (N, F) float32
    link : (E, K) float32
    pair : (M, P) float32
    n_frames : int
        Frames of the movie.
    rows : (E,) int64
        Row of each link in the graph.
    """

    frame: IntArray
    source: IntArray
    target: IntArray
    pairs: IntArray
    cell: FeatureArray
    link: FeatureArray
    pair: FeatureArray
    n_frames: int
    rows: IntArray

    @classmethod
    def of(cls, graph: CellGraph, prior: LinkScores, *, embedding: FeatureArray | None = None) -> Inputs:
        """Return the inputs of a graph and its classical scores, which are the prior of the learned ones.

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        prior : LinkScores
            Their classical scores.
        embedding : (N, D) float32, optional
            Learned appearance of the cells; its columns follow those of `CELL_INPUTS`.
        """
        pairs = Pairs.of(graph)
        link, pair = log_odds(prior.link), _matched(pairs.links, prior)
        keep = pair > _HOPELESS
        pairs, pair = pairs.rows(keep), pair[keep]
        links = contenders(graph, link, pairs.links)
        return cls(
            graph.cells.frame,
            graph.source[links],
            graph.target[links],
            np.searchsorted(links, pairs.links),
            _cell_columns(graph) if embedding is None else np.hstack([_cell_columns(graph), embedding]),
            _link_columns(graph, link)[links],
            _pair_columns(graph, pairs, pair),
            graph.cells.n_frames,
            links,
        )

    def window(self, start: int, stop: int) -> tuple[Inputs, IntArray, IntArray, IntArray]:
        """Return the inputs of frames ``start`` to ``stop - 1``, and the rows of their cells, links and pairs."""
        first, last = np.searchsorted(self.frame, [start, stop])
        low, high = np.searchsorted(self.source, [first, last])
        links = low + np.flatnonzero(self.target[low:high] < last)
        low, high = np.searchsorted(self.pairs[:, 0], [low, high])
        near = low + np.flatnonzero(self.target[self.pairs[low:high]].max(axis=1, initial=-1) < last)
        inside = replace(
            self,
            frame=self.frame[first:last],
            source=self.source[links] - first,
            target=self.target[links] - first,
            pairs=np.searchsorted(links, self.pairs[near]),
            cell=self.cell[first:last],
            link=self.link[links],
            pair=self.pair[near],
            rows=self.rows[links],
        )
        return inside, np.arange(first, last), links, near


def contenders(graph: CellGraph, prior: FloatArray, pairs: IntArray) -> IntArray:
    """Return the rows of links that could win: half of them, and all but one in some thousands of the true ones.

    Those are the three best out of each cell and into it, all that are likelier than not, and those of pairs. The
    others are not worth the network's time: they keep the score they have.
    """
    keep = prior > 0
    for node in (graph.source, graph.target):
        order = np.lexsort((-prior, node))
        begin = np.flatnonzero(np.diff(node[order], prepend=-1))
        rank = np.arange(len(order)) - np.repeat(begin, np.diff(np.append(begin, len(order))))
        keep[order[rank < _BEST]] = True
    keep[pairs] = True
    return np.flatnonzero(keep)


def log_odds(score: FeatureArray) -> FloatArray:
    """Return log(p / (1 - p)), within a range that a float32 score can tell."""
    score = np.clip(score.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.clip(np.log(score) - np.log1p(-score), -_LIMIT, _LIMIT))


def _matched(links: IntArray, prior: LinkScores) -> FloatArray:
    """Return the log odds of the prior for each pair, as low as can be where it has none, shape (M,)."""
    if not len(prior.pairs) or not len(links):
        return np.full(len(links), -_LIMIT)
    width = int(max(links.max(), prior.pairs.max())) + 1
    known = prior.pairs[:, 0] * width + prior.pairs[:, 1]
    order = np.argsort(known)
    wanted = links[:, 0] * width + links[:, 1]
    at = order[np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)]
    return np.where(known[at] == wanted, log_odds(prior.division)[at], -_LIMIT)


def _cell_columns(graph: CellGraph) -> FeatureArray:
    cells = graph.cells
    radius = cell_radii(graph)
    median = float(np.median(_light(cells))) if cells.has("intensity_mean") and len(cells) else 1.0
    columns = {
        "size": _against_median(cells.feature("size")),
        "elongation": _log(cells.feature("elongation")),
        "border": np.exp(-cells.feature("border_distance") / radius),
        "touching": cells.feature("touching"),
        "first_frame": cells.frame == 0,
        "last_frame": cells.frame == cells.n_frames - 1,
    }
    if cells.has("intensity_mean"):
        light = _light(cells)
        columns |= {
            "intensity": light - median,
            "intensity_std": _log(cells.feature("intensity_std")) - light,
            "intensity_max": _log(cells.feature("intensity_max")) - light,
            "intensity_min": np.maximum(_log(cells.feature("intensity_min")) - light, -3),
        }
    for name in _AS_THEY_ARE:
        if cells.has(name):
            columns[name] = np.clip(cells.feature(name), -_LIMIT, _LIMIT)
    return _table(columns, CELL_INPUTS, len(cells))


def _link_columns(graph: CellGraph, prior: FloatArray) -> FeatureArray:
    own = [name for name in LINK_INPUTS if name not in {"prior", "distance"}]
    found = [name for name in own if name not in _MAY_LACK or graph.has(name)]
    columns = {name: graph.feature(name).astype(np.float64) for name in found}
    for end in ("source", "target"):
        columns[f"rank_{end}"] = np.log1p(columns[f"rank_{end}"])
        columns[f"margin_{end}"] = np.clip(columns[f"margin_{end}"], -4, 4)
    return _table({**columns, "prior": prior}, LINK_INPUTS, len(graph))


def _pair_columns(graph: CellGraph, pairs: Pairs, prior: FloatArray) -> FeatureArray:
    cells, links = graph.cells, pairs.links
    mother, daughters = graph.source[links[:, 0]], graph.target[links]
    shift = np.stack([cells.feature(f"shift_{axis}")[mother] for axis in "zyx"[-cells.ndim :]], axis=1)
    expected = cells.position[mother] + shift
    a, b = cells.position[daughters[:, 0]] - expected, cells.position[daughters[:, 1]] - expected
    length = np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-9)
    columns = {
        "prior": prior,
        "spread": np.log(pairs.spread + 0.05),
        "together": np.clip(pairs.together, -3, 3),
        "unequal": np.minimum(pairs.unequal, 3),
        "opening": (a * b).sum(axis=1) / length,
    }
    if cells.has("intensity_mean"):
        light = _light(cells)
        columns["intensity_unequal"] = np.abs(light[daughters[:, 0]] - light[daughters[:, 1]])
        columns["intensity_ratio"] = light[daughters].mean(axis=1) - light[mother]
    if graph.has("containment_target_moved"):
        inside = graph.feature("containment_target_moved")[links]
        columns["overlap"] = inside.mean(axis=1)
        columns["overlap_unequal"] = np.abs(inside[:, 0] - inside[:, 1])
    return _table(columns, PAIR_INPUTS, len(links))


def _light(cells: Cells) -> FloatArray:
    return _log(cells.feature("intensity_mean"))


def _against_median(value: FeatureArray) -> FloatArray:
    return _log(value) - np.log(max(float(np.median(value)), 1e-9)) if len(value) else np.zeros(0)


def _log(value: FeatureArray | FloatArray) -> FloatArray:
    """Return the logarithm; a value of zero counts as a thousandth of the median."""
    floor = max(float(np.median(value)) * 1e-3, 1e-9) if len(value) else 1.0
    return np.log(np.maximum(value.astype(np.float64), floor))


def _table(columns: dict[str, FloatArray], names: tuple[str, ...], n: int) -> FeatureArray:
    """Return columns in the order of their names; those that are missing are NaN."""
    out = np.full((n, len(names)), np.nan, np.float32)
    for i, name in enumerate(names):
        if name in columns:
            out[:, i] = columns[name]
    return out
