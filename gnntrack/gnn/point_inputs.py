"""Input arrays of the network for points: whether tracks go on smoothly, in units of the scatter of the movie.

Points have no shape and no overlap, so that the columns describe motion: how far a link ends from the predicted place,
how it competes with others, and how it goes on from the best links before and after it. Lengths are divided by the
scatter of the movie, the median distance of clear links from their predicted places. Most links of a movie are clear.
Their rivals are not scored, which saves nine tenths of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.geometry import measure_lengths
from gnntrack.gnn.best_links import BestLinks, find_best_links
from gnntrack.gnn.inputs import (
    Inputs,
    clip_log_odds,
    get_candidates,
    make_pair_columns,
    rank_by_odds,
    stack_columns,
)
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.types import StackMotion

if TYPE_CHECKING:
    from gnntrack.graph.divisions import DivisionCandidates
    from gnntrack.types import BoolArray, CellGraph, Cells, FeatureArray, FloatArray, IntArray, LinkScores

__all__ = ["GROUPS", "POINT_CELL_INPUTS", "POINT_LINK_INPUTS", "POINT_PAIR_INPUTS", "make_point_inputs"]

POINT_CELL_INPUTS = (
    *("size", "intensity", "border", "density", "first_frame", "last_frame"),
    *("odds_before", "odds_after", "age", "remaining"),
)
"""Columns per point: radius, brightness and density as logarithms against the movie's median; the log odds of its best
links; and the number of frames, up to 5, over which clear links lead back and forward."""

POINT_LINK_INPUTS = (
    *("prior", "gap", "share_source", "share_target", "residual", "neighbour_residual"),
    *("rank_source", "rank_target", "margin_source", "margin_target", "mutual_nearest"),
    *("turn_before", "turn_after", "long_turn_before", "long_turn_after", "stay_before", "stay_after"),
    *("odds_before", "odds_after", "size_ratio", "intensity_ratio"),
)
"""Columns per candidate link; ``prior`` is the log odds of the classical score.

``share``: log probability among the links of the same point. ``turn``: difference of velocity from the best link
before or after, ``long_turn`` from the mean of two. ``stay``: displacement over both links."""

POINT_PAIR_INPUTS = (
    *("prior", "middle", "spread", "together", "unequal", "opening"),
    *("intensity_unequal", "intensity_ratio"),
)
"""Columns per division candidate."""

GROUPS = {
    "cell": {"size": "size", "intensity": "intensity"},
    "link": {"size_ratio": "size", "intensity_ratio": "intensity"},
    "pair": {"together": "size", "unequal": "size", "intensity_unequal": "intensity", "intensity_ratio": "intensity"},
}
"""The group of columns that a movie has together or lacks together, of each block."""

_BEST = 3  # links out of a point and into it that are scored, and divisions of a parent
_CLEAR = 1.0  # log odds by which a clear link is better than all its rivals
_HOPELESS = -5.0  # log odds of the prior below which a division candidate is dropped
_LONGEST = 5  # frames over which clear links are followed
_WORST = -10.0  # log odds of a link that does not exist


class _Movie(NamedTuple):
    """A movie as the columns are computed from it."""

    graph: CellGraph
    odds: FloatArray  # (E,) log odds of the prior
    before: BestLinks
    after: BestLinks
    clear: BoolArray  # (E,) see `_find_clear`
    vector: FloatArray  # (E, D) residuals, see `_measure_residuals`
    steps: FloatArray  # (E,) time steps
    scatter: float  # their usual length


def make_point_inputs(graph: CellGraph, prior: LinkScores) -> Inputs:
    """Return the inputs of a graph of points and its classical scores.

    Parameters
    ----------
    graph : CellGraph
        Candidate links, of points or of cells with masks.
    prior : LinkScores
        Their classical scores, with the measurements of the division candidates.

    Raises
    ------
    FormatError
        If the prior scores division candidates without their measurements.
    """
    cells, odds = graph.cells, clip_log_odds(prior.link)
    before, after = (find_best_links(node, odds, len(cells), none=_WORST) for node in (graph.target, graph.source))
    clear = _find_clear(graph, odds, before, after)
    scatter = estimate_of_movie("points.scatter", lambda: _estimate_scatter(graph, clear))
    movie = _Movie(graph, odds, before, after, clear, *_measure_residuals(graph), scatter)
    pairs, pair = _select_pairs(graph, get_candidates(prior), clip_log_odds(prior.division), clear)
    links = _select_links(graph, odds, clear, pairs.links)
    of_pairs = make_pair_columns(graph, pairs, pair) | {"middle": np.log(pairs.middle + 0.05)}
    return Inputs(
        cells.frame,
        graph.source[links],
        graph.target[links],
        np.searchsorted(links, pairs.links),
        _make_cell_columns(movie),
        _make_link_columns(movie, links),
        stack_columns(of_pairs, POINT_PAIR_INPUTS, len(pairs)),
        cells.n_frames,
        links,
    )


# --- which links and divisions are scored ----------------------------------------------------------------------------


def _find_clear(graph: CellGraph, odds: FloatArray, before: BestLinks, after: BestLinks) -> BoolArray:
    """Return whether each link is clear: to the next frame, and far better than all links that compete with it."""
    row = np.arange(len(odds))
    mutual = (after.link[graph.source] == row) & (before.link[graph.target] == row)
    margin = odds - np.maximum(after.second[graph.source], before.second[graph.target])
    return np.asarray(mutual & (odds > 0) & (margin > _CLEAR) & (graph.gap == 1))


def _select_pairs(
    graph: CellGraph, pairs: DivisionCandidates, odds: FloatArray, clear: BoolArray
) -> tuple[DivisionCandidates, FloatArray]:
    """Return the division candidates that are scored and their log odds: the three best of each parent.

    A cell with a clear link from another cell is not a daughter.
    """
    owner = np.full(len(graph.cells), -1)
    owner[graph.target[clear]] = graph.source[clear]
    parent, daughters = graph.source[pairs.links[:, 0]], owner[graph.target[pairs.links]]
    free = ((daughters == -1) | (daughters == parent[:, None])).all(axis=1)
    found = np.flatnonzero(free & (odds > _HOPELESS))
    keep = np.zeros(len(odds), bool)
    keep[found[rank_by_odds(parent[found], odds[found]) < _BEST]] = True
    return pairs.select(keep), odds[keep]


def _select_links(graph: CellGraph, odds: FloatArray, clear: BoolArray, pairs: IntArray) -> IntArray:
    """Return the rows of the links that are scored.

    These are the three best links out of each point and into it, unless one of their points has a clear link; the links
    of division candidates; and the clear links of the points of those.
    """
    taken = np.zeros((2, len(graph.cells)), bool)
    taken[0, graph.source[clear]] = taken[1, graph.target[clear]] = True
    open_ = np.flatnonzero(~taken[0, graph.source] & ~taken[1, graph.target])
    keep = np.zeros(len(odds), bool)
    for node in (graph.source, graph.target):
        keep[open_[rank_by_odds(node[open_], odds[open_]) < _BEST]] = True
    keep[pairs] = True
    near = np.zeros(len(graph.cells), bool)
    near[graph.source[keep]] = near[graph.target[keep]] = True
    keep |= clear & (near[graph.source] | near[graph.target])
    return np.flatnonzero(keep)


# --- motion ----------------------------------------------------------------------------------------------------------


def _measure_residuals(graph: CellGraph) -> tuple[FloatArray, FloatArray]:
    """Return the displacement of each link minus that of the cells around it, and its number of time steps.

    The motion of the stack is removed. Over a gap, the cells around are taken to move as all cells of each later frame
    do. From a frame to its copy there are no time steps.

    Returns
    -------
    (E, D) float64
        Residuals in the unit of the cells.
    (E,) float64
        Time steps.
    """
    cells, source, target, stack = graph.cells, graph.source, graph.target, StackMotion.from_graph(graph)
    steady, moving = stack.remove(cells), np.zeros((cells.n_frames, cells.ndim))
    moving[:-1] = np.diff(stack.place, axis=0)
    shift = np.stack([cells.feature(f"shift_{axis}") for axis in "zyx"[-cells.ndim :]], axis=1).astype(np.float64)
    flow = shift - moving[cells.frame]
    count = np.maximum(np.bincount(cells.frame, minlength=cells.n_frames), 1)
    mean = np.stack([np.bincount(cells.frame, column, cells.n_frames) / count for column in flow.T], axis=1)
    place = np.cumsum(np.vstack([np.zeros(cells.ndim), mean]), axis=0)
    step = steady[target] - steady[source] - flow[source]
    residual = step - (place[cells.frame[target]] - place[cells.frame[source] + 1])
    return residual, stack.count_steps(cells.frame[source], cells.frame[target]).astype(np.float64)


def _estimate_scatter(graph: CellGraph, clear: BoolArray) -> float:
    """Return the median length of the residuals of clear links; of all links if there are none."""
    residual = graph.feature("residual") * graph.cell_radii[graph.source]
    chosen = residual[clear] if clear.any() else residual
    typical = float(np.median(graph.cell_radii)) if len(graph.cells) else 1.0
    return max(float(np.median(chosen)) if len(chosen) else typical, 0.01 * typical)


def _count_clear(graph: CellGraph, clear: BoolArray) -> tuple[IntArray, IntArray]:
    """Return over how many frames clear links lead back from each point, and forward, up to 5, shapes (N,)."""
    n = len(graph.cells)
    found = []
    for start, end in ((graph.target, graph.source), (graph.source, graph.target)):
        step = np.full(n + 1, n)  # the last one stands for none
        step[start[clear]] = end[clear]
        at, count = np.arange(n), np.zeros(n, np.int64)
        for _ in range(_LONGEST):
            at = step[at]
            count += at < n
        found.append(count)
    return found[0], found[1]


# --- columns ---------------------------------------------------------------------------------------------------------


def _make_cell_columns(movie: _Movie) -> FeatureArray:
    graph, cells = movie.graph, movie.graph.cells
    age, remaining = _count_clear(graph, movie.clear)
    columns = {
        "border": np.exp(-cells.feature("border_distance") / graph.cell_radii),
        "first_frame": cells.frame == 0,
        "last_frame": cells.frame == cells.n_frames - 1,
        "odds_before": movie.before.odds,
        "odds_after": movie.after.odds,
        "age": age,
        "remaining": remaining,
        "density": _compare_with_median(cells, "density") / cells.ndim,
    }
    if cells.has("size"):
        columns["size"] = _compare_with_median(cells, "diameter")
    if cells.has("intensity_mean"):
        columns["intensity"] = _compare_with_median(cells, "intensity_mean")
    return stack_columns(columns, POINT_CELL_INPUTS, len(cells))


def _compare_with_median(cells: Cells, name: str) -> FloatArray:
    """Return the logarithm of a positive feature divided by its median over the movie, -4 to 4."""
    value = cells.feature(name).astype(np.float64)
    typical = estimate_of_movie(
        f"points.median.{name}", lambda: max(float(np.median(value)), 1e-12) if len(value) else 1.0
    )
    return np.clip(np.log(np.maximum(value / typical, 1e-3)), -4, 4)


def _make_link_columns(movie: _Movie, links: IntArray) -> FeatureArray:
    """Return the columns of some links, given by their rows in the graph."""
    graph, odds, n = movie.graph, movie.odds, len(movie.graph.cells)
    source, target = graph.source[links], graph.target[links]
    gap, root = graph.gap[links].astype(np.float64), np.sqrt(np.maximum(movie.steps[links], 1))
    unit = (graph.cell_radii[source] + graph.cell_radii[target]) / 2 / movie.scatter
    columns = {
        "prior": odds[links],
        "gap": np.log(gap),
        "share_source": _compute_log_share(graph.source, odds, n)[links],
        "share_target": _compute_log_share(graph.target, odds, n)[links],
        "residual": _compress(graph.feature("residual")[links] * unit / root),
        "neighbour_residual": _compress(measure_lengths(movie.vector[links]) / movie.scatter / root),
        "odds_before": movie.before.odds[source],
        "odds_after": movie.after.odds[target],
        "mutual_nearest": graph.feature("mutual_nearest")[links],
    }
    for end in ("source", "target"):
        columns[f"rank_{end}"] = np.log1p(graph.feature(f"rank_{end}")[links].astype(np.float64))
        columns[f"margin_{end}"] = _compress(graph.feature(f"margin_{end}")[links] * unit)
    columns |= _compare_with_neighbour(movie, links, movie.before.link, "before")
    columns |= _compare_with_neighbour(movie, links, movie.after.link, "after")
    for name in ("size_ratio", "intensity_ratio"):
        if graph.has(name):
            columns[name] = np.clip(graph.feature(name)[links], -3, 3)
    return stack_columns(columns, POINT_LINK_INPUTS, len(links))


def _compare_with_neighbour(movie: _Movie, links: IntArray, best: IntArray, side: str) -> dict[str, FloatArray]:
    """Return how links go on from the best links before or after them; NaN if there are none.

    Parameters
    ----------
    movie : _Movie
        The movie.
    links : (L,) int64
        Rows of the links in the graph.
    best : (N,) int64
        Row of the best link of each point on this side, -1 = none.
    side : {"before", "after"}
        Where the best links are.
    """
    near = movie.graph.source if side == "before" else movie.graph.target
    own, lasts = movie.vector[links] / movie.scatter, np.maximum(movie.steps[links], 1)
    first = _skip_copies(movie, best, near, best[near[links]])
    second = _skip_copies(movie, best, near, np.where(first >= 0, best[near[first]], -1))
    moved, lasted = movie.vector[first] / movie.scatter, np.maximum(movie.steps[first], 1)
    turn = measure_lengths(own / lasts[:, None] - moved / lasted[:, None])
    stay = measure_lengths(own + moved) / np.sqrt(lasts + lasted)
    moved, lasted = moved + movie.vector[second] / movie.scatter, lasted + np.maximum(movie.steps[second], 1)
    long_turn = measure_lengths(own / lasts[:, None] - moved / lasted[:, None])
    found = {"turn": (turn, first), "stay": (stay, first), "long_turn": (long_turn, second)}
    return {f"{name}_{side}": np.where(row >= 0, _compress(value), np.nan) for name, (value, row) in found.items()}


def _skip_copies(movie: _Movie, best: IntArray, near: IntArray, found: IntArray) -> IntArray:
    """Return links, -1 = none, in which those from a point to its copy are replaced by the next ones on their side."""
    copy = (found >= 0) & (movie.steps[found] == 0)
    return np.where(copy, best[near[found]], found)


def _compute_log_share(node: IntArray, odds: FloatArray, n: int) -> FloatArray:
    """Return the log probability of each link among the links of its point and none, at least -10, shape (E,)."""
    odd = np.exp(odds)
    return np.maximum(odds - np.log1p(np.bincount(node, odd, n))[node], _WORST)


def _compress(value: FloatArray | FeatureArray) -> FloatArray:
    """Return the logarithm of 1 plus a length, with the sign of the value."""
    value = np.asarray(value, np.float64)
    return np.asarray(np.sign(value) * np.log1p(np.abs(value)))
