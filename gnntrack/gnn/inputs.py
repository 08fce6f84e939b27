"""Input arrays of a network: scale-free columns for the cells, candidate links and division candidates of a graph.

Columns that a movie lacks (brightness without images, overlap without masks) are NaN; the networks replace them by the
mean. Nothing depends on the size of a pixel, the number of dimensions or the grey levels of the camera.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.gnn.best_links import sort_by_odds
from gnntrack.gnn.histories import (
    LINK_RIVALS,
    PAIR_HISTORIES,
    compare_with_rivals,
    find_likely_links,
    measure_histories,
)
from gnntrack.gnn.movie_inputs import MOVIE_INPUTS, make_movie_columns
from gnntrack.graph.candidates import compute_log_feature
from gnntrack.graph.divisions import DivisionCandidates, predict_positions
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.types import log_odds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.types import CellGraph, Cells, FeatureArray, FloatArray, IntArray, LinkScores

__all__ = [
    "CELL_INPUTS",
    "COLUMN_GROUPS",
    "LINK_INPUTS",
    "PAIR_INPUTS",
    "Inputs",
    "clip_log_odds",
    "get_candidates",
    "make_pair_columns",
    "pick_columns",
    "rank_by_odds",
    "retain_links",
    "stack_columns",
]

CELL_INPUTS = (
    *("size", "size_z", "elongation", "elongation_z", "eccentricity", "ellipsoid_fill", "ellipsoid_fill_z"),
    *("border", "touching", "first_frame", "last_frame"),
    *("intensity", "intensity_std", "intensity_max", "intensity_min"),
    *("intensity_mean_z", "intensity_std_z", "intensity_max_z", "intensity_min_z"),
    *MOVIE_INPUTS,
)
"""Columns per cell: sizes and brightness as logarithms against the movie's median, and the columns of the movie."""

LINK_INPUTS = (
    *("prior", "gap", "size_ratio", "intensity_ratio"),
    *("eccentricity_difference", "ellipsoid_fill_difference", "intensity_mean_z_difference"),
    *("iou", "containment_source", "containment_target"),
    *("iou_moved", "containment_source_moved", "containment_target_moved"),
    *("rank_source", "rank_target", "margin_source", "margin_target", "mutual_nearest"),
    *LINK_RIVALS,
)
"""Columns per candidate link; ``prior`` is the log odds of the classical score.

Distances and other columns with a scale of their own in every movie are not among them: the prior already compares them
with the typical values of the movie. With them, networks were worse on kinds of microscopy not seen in training."""

PAIR_INPUTS = (
    *("prior", "spread", "together", "unequal", "opening"),
    *("intensity_unequal", "intensity_ratio", "overlap", "overlap_unequal"),
    *PAIR_HISTORIES,
)
"""Columns per division candidate: the daughters' sizes and brightness against each other and against the parent's, how
they share its place, and the frames before and after."""

COLUMN_GROUPS = {"movie": MOVIE_INPUTS, "histories": PAIR_HISTORIES, "rivals": LINK_RIVALS}
"""Columns that a network may be trained without, by the name of their group."""

_OF_MASKS_OR_IMAGES = ("size_ratio", "intensity", "iou", "containment", "eccentricity", "ellipsoid")
_MAY_LACK = frozenset(name for name in LINK_INPUTS if name.startswith(_OF_MASKS_OR_IMAGES))
"""Columns per link that need images, or masks."""

_BEST = 3  # links out of a cell, and into it, that are retained
_HOPELESS = -6.0  # log odds of the prior below which a division candidate is dropped
_LIMIT = 10.0  # bound of the log odds of a prior, and of robust z-scores
_ZSCORES = (  # saved models have the suffix _z in the names of their columns; features of cells end in _zscore
    *("size_z", "elongation_z", "ellipsoid_fill_z"),
    *("intensity_mean_z", "intensity_std_z", "intensity_max_z", "intensity_min_z"),
)
_FEATURE_OF = {name: f"{name}score" for name in _ZSCORES}
_FEATURE_OF |= {"intensity_mean_z_difference": "intensity_mean_zscore_difference"}
_UNSCALED = (*_ZSCORES, "eccentricity", "ellipsoid_fill")  # features that are used as they are, but clipped


@dataclass(frozen=True)
class Inputs:
    """The arrays of a movie, or of a window of its frames.

    Links are those of `retain_links`; pairs are the division candidates that the prior does not rule out.

    Parameters
    ----------
    frame : (N,) int64
        Frame of each cell, ascending.
    source, target : (E,) int64
        Cells of each candidate link, sorted by source.
    pairs : (M, 2) int64
        Candidate links of each division candidate, sorted.
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
    def from_graph(cls, graph: CellGraph, prior: LinkScores, *, embedding: FeatureArray | None = None) -> Inputs:
        """Return the inputs of a graph and its classical scores, which are the prior of the learned scores.

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        prior : LinkScores
            Their classical scores, with the measurements of the division candidates.
        embedding : (N, D) float32, optional
            Learned appearance of the cells; its columns follow those of `CELL_INPUTS`.

        Raises
        ------
        FormatError
            If the prior scores division candidates without their measurements.
        """
        pairs = get_candidates(prior)
        link, pair = clip_log_odds(prior.link), clip_log_odds(prior.division)
        keep = pair > _HOPELESS
        pairs, pair = pairs.select(keep), pair[keep]
        links = retain_links(graph, link, pairs.links)
        likely = find_likely_links(graph, link)
        of_cells = _make_cell_columns(graph, prior)
        of_links = _make_link_columns(graph, links, link) | compare_with_rivals(likely, links, link[links])
        of_pairs = make_pair_columns(graph, pairs, pair) | measure_histories(likely, pairs)
        return cls(
            graph.cells.frame,
            graph.source[links],
            graph.target[links],
            np.searchsorted(links, pairs.links),
            of_cells if embedding is None else np.hstack([of_cells, embedding]),
            stack_columns(of_links, LINK_INPUTS, len(links)),
            stack_columns(of_pairs, PAIR_INPUTS, len(pairs)),
            graph.cells.n_frames,
            links,
        )

    def select_columns(self, known: Mapping[str, Sequence[str]], wanted: Mapping[str, Sequence[str]]) -> Inputs:
        """Return some of the columns.

        Parameters
        ----------
        known : dict of sequences
            Names of the columns here, for ``cell``, ``link`` and ``pair``; there may be more columns after them.
        wanted : dict of sequences
            Names of the columns to return, of those of `known` and in the same order; further ones are kept.
        """
        changed: dict[str, Any] = {}
        for block, names in known.items():
            rows = [i for i, name in enumerate(names) if name in wanted[block]]
            if len(rows) < len(names):
                values = getattr(self, block)
                changed[block] = np.ascontiguousarray(values[:, [*rows, *range(len(names), values.shape[1])]])
        return replace(self, **changed) if changed else self

    def cut_window(self, start: int, stop: int) -> tuple[Inputs, IntArray, IntArray, IntArray]:
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


def pick_columns(known: Mapping[str, tuple[str, ...]], wanted: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the columns of each block that a model reads, of those that are known, in their order.

    Every network reads the prior.

    Parameters
    ----------
    known : dict of tuples
        Names of the columns of ``cell``, ``link`` and ``pair``.
    wanted : dict of lists
        Names as a model stores them; if they are something else, all columns are returned.

    Examples
    --------
    >>> pick_columns({"link": ("prior", "gap", "iou")}, {"link": ["iou", "prior", "charm"]})
    {'link': ('prior', 'iou')}
    """
    lists = {block: wanted.get(block) for block in known}
    named = {block: {"prior", *names} if isinstance(names, list) else known[block] for block, names in lists.items()}
    return {block: tuple(name for name in names if name in named[block]) for block, names in known.items()}


def retain_links(graph: CellGraph, prior: FloatArray, pairs: IntArray) -> IntArray:
    """Return the rows of the links worth scoring: about half of the candidates.

    These are the three best links out of each cell and into it, all with positive log odds, and those of pairs. The
    others keep their classical score. About one true link in several thousand is among the others.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    prior : (E,) float64
        Log odds of the classical scores.
    pairs : (M, 2) int64
        Links of the division candidates.
    """
    keep = prior > 0
    for node in (graph.source, graph.target):
        keep[rank_by_odds(node, prior) < _BEST] = True
    keep[pairs] = True
    return np.flatnonzero(keep)


def rank_by_odds(group: IntArray, odds: FloatArray) -> IntArray:
    """Return the rank of each link or division in its group, 0 for the highest log odds, shape (E,).

    >>> rank_by_odds(np.array([7, 7, 3, 7]), np.array([0.5, 2.0, -1.0, 1.0])).tolist()
    [2, 0, 0, 1]
    """
    order = sort_by_odds(group, odds)
    first = np.flatnonzero(np.diff(group[order], prepend=-1))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(first, np.diff(np.append(first, len(order))))
    return rank


def clip_log_odds(score: FeatureArray) -> FloatArray:
    """Return the log odds of scores, clipped to -10 to 10: a float32 score near 1 cannot express more."""
    return np.clip(log_odds(score), -_LIMIT, _LIMIT)


def get_candidates(prior: LinkScores) -> DivisionCandidates:
    """Return the division candidates of the classical scores."""
    if prior.candidates is not None:
        return prior.candidates
    if len(prior.pairs):
        msg = f"the scores of {len(prior.pairs)} division candidates lack their measurements; use `score_links`"
        raise FormatError(msg)
    return DivisionCandidates.empty()


def _make_cell_columns(graph: CellGraph, prior: LinkScores) -> FeatureArray:
    cells = graph.cells
    radius = graph.cell_radii
    columns: dict[str, Any] = {
        **make_movie_columns(prior),
        "border": np.exp(-cells.feature("border_distance") / radius),
        "first_frame": cells.frame == 0,
        "last_frame": cells.frame == cells.n_frames - 1,
    }
    if cells.has("size"):
        columns["size"] = _divide_by_median(cells, "size")
    if cells.has("touching"):  # cells with masks
        columns |= {"elongation": compute_log_feature(cells, "elongation"), "touching": cells.feature("touching")}
    if cells.has("intensity_mean"):
        light = compute_log_feature(cells, "intensity_mean")
        columns["intensity"] = light - estimate_of_movie(
            "inputs.light", lambda: float(np.median(light)) if len(light) else 1.0
        )
    if cells.has("intensity_std"):
        columns |= {
            "intensity_std": compute_log_feature(cells, "intensity_std") - light,
            "intensity_max": compute_log_feature(cells, "intensity_max") - light,
            "intensity_min": np.maximum(compute_log_feature(cells, "intensity_min") - light, -3),
        }
    for name in _UNSCALED:
        feature = _FEATURE_OF.get(name, name)
        if cells.has(feature):
            columns[name] = np.clip(cells.feature(feature), -_LIMIT, _LIMIT)
    return stack_columns(columns, CELL_INPUTS, len(cells))


def _make_link_columns(graph: CellGraph, links: IntArray, prior: FloatArray) -> dict[str, FloatArray]:
    """Return the columns of some links by name; `prior` (E,) are the log odds of all."""
    own = [name for name in LINK_INPUTS if name not in {"prior", *LINK_RIVALS}]
    found = {name: _FEATURE_OF.get(name, name) for name in own}
    found = {name: feature for name, feature in found.items() if name not in _MAY_LACK or graph.has(feature)}
    columns = {name: graph.feature(feature)[links].astype(np.float64) for name, feature in found.items()}
    for end in ("source", "target"):
        columns[f"rank_{end}"] = np.log1p(columns[f"rank_{end}"])
        columns[f"margin_{end}"] = np.clip(columns[f"margin_{end}"], -4, 4)
    return columns | {"prior": prior[links]}


def make_pair_columns(graph: CellGraph, pairs: DivisionCandidates, prior: FloatArray) -> dict[str, FloatArray]:
    """Return the columns of division candidates by name, shapes (M,); `prior` (M,) are their log odds."""
    cells, links = graph.cells, pairs.links
    parent, daughters = graph.source[links[:, 0]], graph.target[links]
    expected = predict_positions(cells, parent)
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
        light = compute_log_feature(cells, "intensity_mean")
        columns["intensity_unequal"] = np.abs(light[daughters[:, 0]] - light[daughters[:, 1]])
        columns["intensity_ratio"] = light[daughters].mean(axis=1) - light[parent]
    if graph.has("containment_target_moved"):
        inside = graph.feature("containment_target_moved")[links]
        columns["overlap"] = inside.mean(axis=1)
        columns["overlap_unequal"] = np.abs(inside[:, 0] - inside[:, 1])
    return columns


def _divide_by_median(cells: Cells, name: str) -> FloatArray:
    value = cells.feature(name)
    median = estimate_of_movie(f"graph.median.{name}", lambda: float(np.median(value)) if len(value) else 1.0)
    return np.asarray(compute_log_feature(cells, name) - np.log(max(median, 1e-9)))


def stack_columns(columns: Mapping[str, Any], names: tuple[str, ...], n: int) -> FeatureArray:
    """Return columns (n,) in the order of their names, shape (n, C); those that are missing are NaN."""
    out = np.full((n, len(names)), np.nan, np.float32)
    for i, name in enumerate(names):
        if name in columns:
            out[:, i] = columns[name]
    return out
