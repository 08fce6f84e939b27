"""Columns of a division candidate from the frames before and after it, and of a link from its rivals.

Cells are followed along the links that are the best ones of both their cells by the classical scores. So a candidate
division is compared with what comes before it (a parent that rounds up, or one that was itself born just now) and after
it (daughters that part and grow, or two pieces of a mask that become one again).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from gnntrack.geometry import measure_lengths
from gnntrack.gnn.best_links import BestLinks, find_best_links
from gnntrack.graph.candidates import compute_log_feature

if TYPE_CHECKING:
    from gnntrack.graph.divisions import DivisionCandidates
    from gnntrack.types import CellGraph, Cells, FloatArray, IntArray

    Array = TypeVar("Array", FloatArray, IntArray)

__all__ = [
    "LINK_RIVALS",
    "PAIR_HISTORIES",
    "LikelyLinks",
    "compare_with_rivals",
    "find_likely_links",
    "measure_histories",
]

LINK_RIVALS = ("lead_source", "lead_target", "rival_lead_source", "rival_lead_target")
"""Columns per candidate link: log odds by which it leads over the best other link of its source, or of its target; and
those by which this rival leads at its own other end: if that is negative, the rival's cell has something better."""

PAIR_HISTORIES = (
    *("age", "size_before", "intensity_before", "intensity_std_before"),
    *("eccentricity_before", "ellipsoid_fill_before", "together_before"),
    *("remaining_least", "remaining_most", "growth", "growth_unequal", "intensity_after", "together_after"),
    *("parting", "unequal_after", "intensity_unequal_after", "rejoined", "apart_before"),
    *("parent_odds", "parent_lead", "rival_least", "rival_most", "rival_lead_least", "rival_lead_most"),
)
"""Columns per division candidate.

- ``_before``: the parent, ``together``: the daughters together, against the median of the parent's last frames.
- ``growth``, ``_after``: the daughters in their next frames against the first one.
- ``age``, ``remaining``: the number of these frames, up to 3; unknown where the movie begins or ends.
- ``parting``, ``unequal_after``, ``rejoined``: the daughters in their second frame.
- ``apart_before``: log odds that they were two cells before the parent's frame.
- ``parent_odds``, ``parent_lead``: log odds of the parent's best link, and its lead over the second one.
- ``rival``: log odds of the best link into each daughter from another cell; ``rival_lead`` as in `LINK_RIVALS`."""

_LONGEST = 3  # frames over which cells are followed
_LIMIT = 10.0  # bound of log odds
_RATIO = 3.0  # bound of log ratios


class LikelyLinks(NamedTuple):
    """The cells of a graph with their likely links, which have positive log odds.

    Parameters
    ----------
    graph : CellGraph
        Candidate links.
    rows : (L,) int64
        Rows of the likely links.
    odds : (L,) float64
        Their classical log odds.
    before, after : BestLinks
        The best likely links into each cell and out of it, by their numbers in `rows`.
    """

    graph: CellGraph
    rows: IntArray
    odds: FloatArray
    before: BestLinks
    after: BestLinks


def find_likely_links(graph: CellGraph, odds: FloatArray) -> LikelyLinks:
    """Return the best links of the cells of a graph by the classical log odds of its links, shape (E,)."""
    rows = np.flatnonzero(odds > 0)
    before, after = (
        find_best_links(node[rows], odds[rows], len(graph.cells), none=0.0) for node in (graph.target, graph.source)
    )
    return LikelyLinks(graph, rows, odds[rows], before, after)


# --- rivals ----------------------------------------------------------------------------------------------------------


def compare_with_rivals(likely: LikelyLinks, links: IntArray, odds: FloatArray) -> dict[str, FloatArray]:
    """Return `LINK_RIVALS` of some links by name, shapes (K,).

    Parameters
    ----------
    likely : LikelyLinks
        The likely links of the movie.
    links : (K,) int64
        Rows of the links in the graph.
    odds : (K,) float64
        Their classical log odds.
    """
    graph = likely.graph
    columns = {}
    for end, node, best, lead in zip(
        ("source", "target"),
        (graph.source[links], graph.target[links]),
        (likely.after, likely.before),
        _measure_leads(likely)[::-1],
        strict=True,
    ):
        rival = _find_rivals(likely, best, node, links)
        columns[f"lead_{end}"] = _clip(odds - _append(likely.odds, 0)[rival])
        columns[f"rival_lead_{end}"] = _append(lead, 0)[rival]
    return columns


def _find_rivals(likely: LikelyLinks, best: BestLinks, node: IntArray, links: IntArray) -> IntArray:
    """Return the best likely link of each cell `node` that is not the given one, -1 = none."""
    own = _append(likely.rows, -1)[best.link[node]] == links
    return np.where(own, best.runner_up[node], best.link[node])


def _measure_leads(likely: LikelyLinks) -> tuple[FloatArray, FloatArray]:
    """Return the lead of each likely link over the best other one of its source, and of its target, shapes (L,)."""
    graph, rows, odds = likely.graph, likely.rows, likely.odds
    number = np.arange(len(rows))
    leads = []
    for node, best in ((graph.source[rows], likely.after), (graph.target[rows], likely.before)):
        leads.append(_clip(odds - np.where(best.link[node] == number, best.second[node], best.odds[node])))
    return leads[0], leads[1]


# --- histories -------------------------------------------------------------------------------------------------------


def measure_histories(likely: LikelyLinks, pairs: DivisionCandidates) -> dict[str, FloatArray]:
    """Return `PAIR_HISTORIES` of division candidates by name, shapes (M,); columns that the movie lacks are missing."""
    graph, cells = likely.graph, likely.graph.cells
    parent, daughters = graph.source[pairs.links[:, 0]], graph.target[pairs.links]
    past, future = _walk(likely)
    age = _count_steps(cells, past, last=0)[parent]
    remaining = _count_steps(cells, future, last=cells.n_frames - 1)[daughters]
    columns = {
        "age": age,
        "remaining_least": remaining.min(axis=1),
        "remaining_most": remaining.max(axis=1),
        **_compare_features(cells, past, future, parent, daughters),
        **_compare_second_frame(likely, future[0], daughters),
        "parent_odds": likely.after.odds[parent],
        "parent_lead": likely.after.odds[parent] - likely.after.second[parent],
    }
    if (graph.gap[likely.rows] > 1).any():
        columns["apart_before"] = _compare_with_two_before(likely, parent, daughters)
    rival = _find_rivals(likely, likely.before, daughters, pairs.links)
    for name, value in (("rival", likely.odds), ("rival_lead", _measure_leads(likely)[0])):
        of_both = _append(value, 0)[rival]
        columns[f"{name}_least"], columns[f"{name}_most"] = of_both.min(axis=1), of_both.max(axis=1)
    return columns


def _walk(likely: LikelyLinks) -> tuple[IntArray, IntArray]:
    """Return the cells before each cell, and those after it, along links that are the best of both; -1 = none.

    Returns
    -------
    (3, N) int64, (3, N) int64
    """
    graph, (rows, n) = likely.graph, (likely.rows, len(likely.graph.cells))
    number = np.arange(len(rows))
    source, target = graph.source[rows], graph.target[rows]
    mutual = (likely.after.link[source] == number) & (likely.before.link[target] == number)
    walks = []
    for start, end in ((target[mutual], source[mutual]), (source[mutual], target[mutual])):
        step = np.full(n + 1, -1)  # the last one is that of no cell
        step[start] = end
        steps = [step[:-1]]
        for _ in range(_LONGEST - 1):
            steps.append(step[steps[-1]])
        walks.append(np.stack(steps))
    return walks[0], walks[1]


def _count_steps(cells: Cells, walk: IntArray, *, last: int) -> FloatArray:
    """Return the number of cells on the walk of each cell; NaN if it ends where the movie does, shape (N,)."""
    count = (walk >= 0).sum(axis=0)
    at = np.arange(walk.shape[1])
    for step in walk:
        at = np.where(step >= 0, step, at)
    return np.where((count < _LONGEST) & (cells.frame[at] == last), np.nan, count)


def _compare_features(
    cells: Cells, past: IntArray, future: IntArray, parent: IntArray, daughters: IntArray
) -> dict[str, FloatArray]:
    """Return the columns of a cell's size, brightness and shape against those in other frames."""
    columns: dict[str, FloatArray] = {}
    if cells.has("size"):
        size = compute_log_feature(cells, "size")
        before, after = size - _take_medians(size, past), _take_medians(size, future) - size
        together = np.logaddexp(*size[daughters].T) - size[parent]
        growth = np.where(np.isnan(after), 0, after)[daughters]
        columns |= {
            "size_before": before[parent],
            "growth": after[daughters].mean(axis=1),
            "growth_unequal": np.abs(after[daughters[:, 0]] - after[daughters[:, 1]]),
            "together_before": together + before[parent],
            "together_after": np.logaddexp(*(size[daughters] + growth).T) - size[parent],
        }
    if cells.has("intensity_mean"):
        light = compute_log_feature(cells, "intensity_mean")
        columns["intensity_before"] = (light - _take_medians(light, past))[parent]
        columns["intensity_after"] = (_take_medians(light, future) - light)[daughters].mean(axis=1)
        if cells.has("intensity_std"):
            contrast = compute_log_feature(cells, "intensity_std") - light
            columns["intensity_std_before"] = (contrast - _take_medians(contrast, past))[parent]
    for name in ("eccentricity", "ellipsoid_fill"):
        if cells.has(name):
            shape = cells.feature(name).astype(np.float64)
            columns[f"{name}_before"] = (shape - _take_medians(shape, past))[parent]
    return {name: np.clip(column, -_RATIO, _RATIO) for name, column in columns.items()}


def _compare_second_frame(likely: LikelyLinks, after: IntArray, daughters: IntArray) -> dict[str, FloatArray]:
    """Return how the daughters, shape (M, 2), go on in their second frame; `after` (N,) are the cells there."""
    graph, cells = likely.graph, likely.graph.cells
    next_cell = _append(graph.target[likely.rows], -1)[likely.after.link[daughters]]
    rejoined = (next_cell[:, 0] == next_cell[:, 1]) & (next_cell[:, 0] >= 0)
    columns = {"rejoined": np.where(cells.frame[daughters[:, 0]] < cells.n_frames - 1, rejoined, np.nan)}
    second = after[daughters]
    both = (second >= 0).all(axis=1)
    now, later = (
        measure_lengths(cells.position[rows[:, 0]] - cells.position[rows[:, 1]]) for rows in (daughters, second)
    )
    radius = 0.05 * graph.cell_radii[daughters[:, 0]]  # so that ratios stay finite
    differences = {"parting": np.log((later + radius) / (now + radius))}
    for name, feature in (("unequal_after", "size"), ("intensity_unequal_after", "intensity_mean")):
        if cells.has(feature):
            value = compute_log_feature(cells, feature)[second]
            differences[name] = np.abs(value[:, 0] - value[:, 1])
    return columns | {
        name: np.where(both, np.clip(value, -_RATIO, _RATIO), np.nan) for name, value in differences.items()
    }


def _compare_with_two_before(likely: LikelyLinks, parent: IntArray, daughters: IntArray) -> FloatArray:
    """Return the log odds of the daughters' links to two cells two frames before, over the parent's link, (M,)."""
    graph = likely.graph
    far = np.flatnonzero(graph.gap[likely.rows] == 2)
    links, odds = likely.rows[far], likely.odds[far]
    best = find_best_links(graph.target[links], odds, len(graph.cells), none=0.0)
    (a, b), source = daughters.T, _append(graph.source[links], -1)
    shared = (source[best.link[a]] == source[best.link[b]]) & (best.link[a] >= 0)
    two = np.maximum(best.odds[a] + best.second[b], best.second[a] + best.odds[b])
    two = np.where(shared, two, best.odds[a] + best.odds[b])
    return np.where(graph.cells.frame[parent] > 0, _clip(two - likely.before.odds[parent]), np.nan)


def _take_medians(value: FloatArray, walk: IntArray) -> FloatArray:
    """Return the median of a feature (N,) over the cells on the walk of each cell, (N,); NaN if there are none."""
    one, two, three = _append(value, np.nan)[walk]
    low, high = np.fmin(one, two), np.fmax(one, two)
    median = np.fmax(low, np.fmin(high, three))
    return np.asarray(np.where(np.isnan(three), (low + high) / 2, median))


def _append(value: Array, none: float) -> Array:
    """Return an array with one more row at its end, which row -1 is: that of no cell, or no link."""
    longer: Array = np.append(value, np.asarray(none, value.dtype))
    return longer


def _clip(odds: FloatArray) -> FloatArray:
    return np.asarray(np.clip(odds, -_LIMIT, _LIMIT))
