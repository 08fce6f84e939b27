"""Cells to candidate links: pairs of cells in different frames that may be the same cell, with their features.

Candidates are the nearest cells around the predicted position within a gate that is estimated from
the movie, in both directions of time, and all pairs whose masks overlap. All features except ``distance`` are
scale-free; displacements are in radii of the two cells.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.geometry import find_mutual_nearest, find_nearest, find_nearest_both_ways, measure_lengths
from gnntrack.graph.gaps import SHORT, LongGaps
from gnntrack.masks.overlaps import count_shared_pixels
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.types import CellGraph, Provenance

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from gnntrack.graph.motion import Motion
    from gnntrack.settings import GraphSettings
    from gnntrack.types import Cells, FeatureArray, FloatArray, IntArray, Progress, Runs

__all__ = [
    "COMPETITION",
    "OVERLAP_FEATURES",
    "RATIOS",
    "add_motion",
    "bound_radii",
    "build_candidates",
    "compute_log_feature",
    "compute_log_ratio",
    "fill_competition",
    "replace_zeros",
]

logger = logging.getLogger(__name__)

OVERLAP_FEATURES = (
    "iou",
    "containment_source",
    "containment_target",
    "iou_moved",
    "containment_source_moved",
    "containment_target_moved",
)
"""Link features that need masks: intersection over union, and intersection over each cell's size; with the masks in
place, and with the source moved by the predicted motion."""

_GATE_RADII = (5.0, 12.0)  # the gate is estimated within these bounds
_MIN_OVERLAP = 0.1  # if moved masks share more than this fraction of the smaller cell, the gate is ignored
_ENDS = ("source", "target")
RATIOS = {"size": "size_ratio", "intensity_mean": "intensity_ratio"}  # features whose ratio a link has
COMPETITION = (*(f"{kind}_{end}" for end in _ENDS for kind in ("rank", "margin")), "mutual_nearest")
_CHUNK = 1 << 16  # links whose features are computed at once, so that intermediate arrays stay in the cache


def build_candidates(
    cells: Cells, runs: Runs | None, motion: Motion, *, settings: GraphSettings, progress: Progress | None = None
) -> CellGraph:
    """Return the candidate links of a movie with their features.

    Parameters
    ----------
    cells : Cells
        All cells.
    runs : Runs or None
        Their pixels; if None, the graph has no overlap features.
    motion : Motion
        Their predicted displacements.
    settings : GraphSettings
        Number of neighbours, gap, gate.
    progress : Progress, optional
        Called for each number of frames that a link may span.

    Returns
    -------
    CellGraph
        Its cells have the additional features ``shift_[z], shift_y, shift_x``: the motion of the cells around them.

    Examples
    --------
    Two cells that move by one pixel:

    >>> from gnntrack.graph.motion import estimate_motion
    >>> from gnntrack.settings import GraphSettings, MotionSettings
    >>> from gnntrack.types import Cells
    >>> names = ("size", "diameter", "eccentricity", "ellipsoid_fill")
    >>> place = [[4.0, 4.0], [4.0, 20.0], [4.0, 5.0], [4.0, 21.0]]
    >>> cells = Cells([0, 0, 1, 1], [1, 2, 1, 2], place, [[12, 4, 0, 1]] * 4, names, ("",) * 4, (1, 1), 2, (9, 30))
    >>> motion = estimate_motion(cells, settings=MotionSettings())
    >>> graph = build_candidates(cells, None, motion, settings=GraphSettings(max_neighbours=1))
    >>> list(zip(graph.source.tolist(), graph.target.tolist())), graph.feature("distance_radii").tolist()
    ([(0, 2), (1, 3)], [0.5, 0.5])
    """
    radius = cells.feature("diameter").astype(np.float64) / 2
    gate = settings.max_distance or estimate_of_movie("graph.gate", lambda: _estimate_gate(cells, radius, motion))
    typical = estimate_of_movie("graph.radius", lambda: float(np.median(radius)) if len(cells) else 0.0)
    logger.info(
        "gate %.1f %s (%.1f cell radii), motion from %s%s",
        gate,
        cells.unit,
        gate / typical if typical else 0,
        motion.flow,
        "" if motion.by_images is None else f" ({100 * motion.by_images:.0f} % of the cells from images)",
    )
    shifts, gaps = _extrapolate(cells, motion, radius, settings)
    blocks = _list_blocks(cells, runs, shifts, gaps, gate, settings, progress)
    source, target, overlap = _join_blocks(blocks)
    names, features = _compute_features(cells, motion, source, target, overlap, np.stack(shifts), gaps)
    provenance = Provenance(
        gate=gate, gate_radii=gate / typical if typical else None, flow=motion.flow, flow_by_images=motion.by_images
    )
    return CellGraph(add_motion(cells, motion.neighbours), source, target, features, names, provenance)


def _extrapolate(
    cells: Cells, motion: Motion, radius: FloatArray, settings: GraphSettings
) -> tuple[list[FloatArray], LongGaps | None]:
    """Return the displacements (N, D) of cells over each number of frames that links may span, and the long gaps."""
    longest = min(settings.max_gap, max(cells.n_frames - 1, 1))  # the movie has no two frames further apart
    shifts = [motion.extrapolate(cells, gap) for gap in range(1, min(longest, SHORT) + 1)]
    if longest < SHORT:
        return shifts, None
    gaps = LongGaps.find(cells, motion, radius)
    if "max_gap" not in settings.given:
        chosen = estimate_of_movie("graph.longest_gap", lambda: gaps.choose_longest(cells, shifts[-1], radius))
        longest = min(chosen, cells.n_frames - 1)
    for gap in range(SHORT + 1, longest + 1):
        shifts.append(gaps.extrapolate(cells, shifts[-1], gap))
    return shifts, gaps


def _list_blocks(
    cells: Cells,
    runs: Runs | None,
    shifts: list[FloatArray],
    gaps: LongGaps | None,
    gate: float,
    settings: GraphSettings,
    progress: Progress | None,
) -> list[tuple[IntArray, IntArray, FloatArray]]:
    """Return the candidates over each gap: source, target, and pixels shared (P, 2) in place and moved."""
    # the columns of a graph do not depend on its cells: an empty movie has overlap columns too
    none = np.zeros(0, np.int64)
    blocks = [(none, none, np.zeros((0, 0 if runs is None else 2)))]
    for gap, shift in enumerate(shifts, start=1):
        shared = [] if runs is None else _count_overlaps(cells, runs, shift, gap)
        if gaps is not None and gap > SHORT:
            k = max(1, settings.max_neighbours // 2)
            frames = range(cells.n_frames - gap)
            pairs = [gaps.find_candidates(cells, shift, frame, gap, gate=gate, k=k) for frame in frames]
            key = np.concatenate([none, *(source * len(cells) + target for source, target in pairs)])
        else:
            key = _find_candidates(cells, shared, shift, gap, gate, settings)
        overlap = np.zeros((len(key), len(shared)))
        for column, (known, pixels) in enumerate(shared):
            overlap[:, column] = _find_values(key, known, pixels)
        n = max(len(cells), 1)
        blocks.append((key // n, key % n, overlap))
        if progress is not None:
            progress("linking", gap, len(shifts))
    return blocks


def add_motion(cells: Cells, motion: FloatArray) -> Cells:
    """Add the local displacement of the field as features ``shift_[z], shift_y, shift_x``, for scorers."""
    names = tuple(f"shift_{axis}" for axis in "zyx"[-cells.ndim :])
    return replace(
        cells,
        features=np.hstack([cells.features, motion.astype(np.float32)]),
        feature_names=cells.feature_names + names,
        feature_units=cells.feature_units + (cells.unit,) * len(names),
    )


def _estimate_gate(cells: Cells, radius: FloatArray, motion: Motion) -> float:
    """Return a gate of three times the 99 % quantile of displacements of mutual nearest cells, within `_GATE_RADII`."""
    if not len(cells):
        return 0.0
    residuals = [np.zeros(0)]
    for here, there in _list_frame_pairs(cells, 1):
        distance, _, mutual = find_mutual_nearest(cells.position[here] + motion.shift[here], cells.position[there])
        residuals.append(distance[mutual])
    typical, residual = float(np.median(radius)), np.concatenate(residuals)
    far = float(np.quantile(residual, 0.99)) if len(residual) else 0.0
    low, high = _GATE_RADII
    return float(np.clip(3 * far, low * typical, high * typical))


def _list_frame_pairs(cells: Cells, gap: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows of each frame with cells and of the frame `gap` later, if it has cells too."""
    for frame in range(cells.n_frames - gap):
        here, there = cells.rows(frame), cells.rows(frame + gap)
        if here.start < here.stop and there.start < there.stop:
            yield here, there


def _find_candidates(
    cells: Cells,
    shared: list[tuple[IntArray, IntArray]],
    shift: FloatArray,
    gap: int,
    gate: float,
    settings: GraphSettings,
) -> IntArray:
    """Return the candidates over a gap, as ascending ``source * N + target``; `shared` as of `_count_overlaps`."""
    n = len(cells)
    if not n:
        return np.zeros(0, np.int64)
    k = settings.max_neighbours if gap == 1 else max(1, settings.max_neighbours // 2)
    few = max(1, k // 3)
    overlapping: list[IntArray] = []
    if shared and gap == 1:
        (unmoved, _), (moved, pixels) = shared
        size = cells.feature("size")
        smaller = np.minimum(size[moved // n], size[moved % n])
        overlapping = [unmoved, moved[pixels * float(np.prod(cells.spacing)) > _MIN_OVERLAP * smaller]]
    found = [np.zeros(0, np.int64)]
    for here, there in _list_frame_pairs(cells, gap):
        position, target_position = cells.position[here], cells.position[there]
        expected = position + shift[here]
        counts = min(k, len(target_position)), min(few, len(expected))
        forward, backward = find_nearest_both_ways(expected, target_position, counts, limit=gate)
        still = find_nearest(position, target_position, min(few, len(target_position)), limit=gate)
        pairs = _list_pairs(*forward), _list_pairs(*backward)[::-1], _list_pairs(*still)
        keys = [(source + here.start) * n + target + there.start for source, target in pairs]
        keys += [key[slice(*np.searchsorted(key, (here.start * n, here.stop * n)))] for key in overlapping]
        key = np.sort(np.concatenate(keys))  # ten times as fast as np.unique
        found.append(key[np.diff(key, prepend=-1) > 0])
    return np.concatenate(found)


def _list_pairs(distance: FloatArray, nearest: IntArray) -> tuple[IntArray, IntArray]:
    """Return (point, other) of what `find_nearest` found."""
    inside = np.isfinite(distance)
    return np.nonzero(inside)[0], nearest[inside]


def _count_overlaps(cells: Cells, runs: Runs, shift: FloatArray, gap: int) -> list[tuple[IntArray, IntArray]]:
    """Return the pairs of cells that share pixels, as ``source * N + target``, and the pixels: in place, and moved."""
    pixel_shift = np.rint(shift / np.asarray(cells.spacing)).astype(np.int64)
    counted = [count_shared_pixels(runs, gap, by) for by in (None, pixel_shift)]
    return [(source * len(cells) + target, pixels) for source, target, pixels in counted]


def _find_values(key: IntArray, known: IntArray, value: IntArray) -> FloatArray:
    """Return the value of each key (P,), 0 if it is not among the `known` ones, which ascend."""
    if not len(known):
        return np.zeros(len(key))
    at = np.minimum(np.searchsorted(known, key), len(known) - 1)
    return np.where(known[at] == key, value[at], 0).astype(np.float64)


def _join_blocks(blocks: list[tuple[IntArray, IntArray, FloatArray]]) -> tuple[IntArray, IntArray, FloatArray]:
    """Return all blocks as one table, sorted by (source, target)."""
    source, target, overlap = (np.concatenate([block[i] for block in blocks]) for i in range(3))
    order = np.argsort(source, kind="stable")  # blocks of one gap ascend by source, longer gaps come later
    return source[order], target[order], overlap[order]


def _compute_features(
    cells: Cells,
    motion: Motion,
    source: IntArray,
    target: IntArray,
    overlap: FloatArray,
    shifts: FloatArray,
    gaps: LongGaps | None,
) -> tuple[tuple[str, ...], FeatureArray]:
    """Return names and columns (E, K) of the link features, computed in chunks of links."""
    radius = bound_radii(cells)
    positive = {name: replace_zeros(cells.feature(name), name=name) for name in RATIOS if cells.has(name)}
    table: dict[str, FeatureArray] = {}  # columns of `features`
    for start in range(0, max(len(source), 1), _CHUNK):
        part = slice(start, start + _CHUNK)
        chunk = _compute_pair_features(cells, motion, radius, positive, shifts, source[part], target[part])
        if gaps is not None:
            _correct_long_gaps(cells, gaps, radius, chunk, source[part], target[part])
        if overlap.shape[1]:
            chunk |= _compute_overlap_features(cells, source[part], target[part], overlap[part])
        if not table:
            names = (*chunk, *COMPETITION)
            features = np.empty((len(source), len(names)), np.float32, order="F")
            table = dict(zip(names, features.T, strict=True))
        for name, column in chunk.items():
            table[name][part] = column
    fill_competition(cells, source, target, table)
    return names, features


def _compute_pair_features(
    cells: Cells,
    motion: Motion,
    radius: FloatArray,
    positive: dict[str, FeatureArray],
    shifts: FloatArray,
    source: IntArray,
    target: IntArray,
) -> dict[str, FloatArray]:
    """Return the features of links that depend on their two cells only; `shifts` (gaps, N, D) are displacements."""
    gap = cells.frame[target] - cells.frame[source]
    r = 0.5 * (radius[source] + radius[target])
    step = cells.position[target] - cells.position[source]
    predicted = shifts[gap - 1, source]
    distance = measure_lengths(step)
    columns = {
        "gap": gap.astype(np.float64),
        "distance": distance,
        "distance_radii": distance / r,
        "residual": measure_lengths(step - predicted) / r,
        "neighbour_residual": measure_lengths(step - motion.neighbours[source] * gap[:, None]) / r,
    }
    for name, ratio in RATIOS.items():
        if name in positive:
            columns[ratio] = compute_log_ratio(positive[name], source, target)
    for name in ("eccentricity", "ellipsoid_fill", "intensity_mean_zscore"):
        if cells.has(name):
            value = cells.feature(name)
            columns[f"{name}_difference"] = (value[target] - value[source]).astype(np.float64)
    return columns


def _correct_long_gaps(
    cells: Cells,
    gaps: LongGaps,
    radius: FloatArray,
    columns: dict[str, FloatArray],
    source: IntArray,
    target: IntArray,
) -> None:
    """Lower the residuals of links over long gaps to those by the cells' own velocities, where these are smaller."""
    far = np.flatnonzero(columns["gap"] > SHORT)
    a, b = source[far], target[far]
    step = cells.position[b] - cells.position[a]
    own = gaps.measure_residual(step, a, b, columns["gap"][far]) / (0.5 * (radius[a] + radius[b]))
    for name in ("residual", "neighbour_residual"):
        columns[name][far] = np.minimum(columns[name][far], own)


def bound_radii(cells: Cells) -> FloatArray:
    """Return the radii of cells, within a factor of 2 of their median, shape (N,)."""
    radius = cells.feature("diameter").astype(np.float64) / 2
    typical = estimate_of_movie("graph.radius", lambda: float(np.median(radius)) if len(cells) else 0.0)
    return np.asarray(np.clip(radius, typical / 2, typical * 2))


def replace_zeros(
    value: FeatureArray | FloatArray, *, name: str, least: float = 1e-12, dtype: npt.DTypeLike = np.float32
) -> Any:
    """Raise values below a thousandth of the median to it, so that their logarithm exists.

    Parameters
    ----------
    value : (N,) float32
        Sizes or intensities, not negative.
    name : str
        Of the feature.
    least : float, optional
        Lower bound of the result, default 1e-12.
    dtype : dtype, optional
        Type of the result, default float32.

    Examples
    --------
    >>> replace_zeros(np.array([0, 1000, 3000], np.float32), name="size").tolist()
    [1.0, 1000.0, 3000.0]
    """
    median = estimate_of_movie(f"graph.median.{name}", lambda: float(np.median(value)) if len(value) else 1.0)
    floor = max(median * 1e-3, least)
    return np.maximum(value.astype(dtype), floor)


def compute_log_feature(cells: Cells, name: str) -> FloatArray:
    """Return the logarithm of a positive feature, (N,); a value of zero counts as a thousandth of the median."""
    return np.asarray(np.log(replace_zeros(cells.feature(name), name=name, least=1e-9, dtype=np.float64)))


def compute_log_ratio(value: FeatureArray, source: IntArray, target: IntArray) -> FloatArray:
    """Return log(target / source) of a positive quantity."""
    return np.asarray(np.log(value[target].astype(np.float64) / value[source]), np.float64)


def _compute_overlap_features(
    cells: Cells, source: IntArray, target: IntArray, overlap: FloatArray
) -> dict[str, FloatArray]:
    """Return `OVERLAP_FEATURES` of links that share `overlap` (E, 2) pixels, in place and moved."""
    size = cells.feature("size").astype(np.float64) / float(np.prod(cells.spacing))
    a, b = size[source], size[target]
    columns = [column for pixels in overlap.T for column in (pixels / (a + b - pixels), pixels / a, pixels / b)]
    return dict(zip(OVERLAP_FEATURES, columns, strict=True))


def fill_competition(cells: Cells, source: IntArray, target: IntArray, columns: dict[str, FeatureArray]) -> None:
    """Fill in ranks and margins of a link among those that share its source or its target over the same gap."""
    residual = columns["residual"]
    gap = cells.frame[target] - cells.frame[source]
    for end, node in zip(_ENDS, (source, target), strict=True):
        for links in _group_links(node):
            group = node[links] * (int(gap.max(initial=0)) + 1) + gap[links]
            order = np.lexsort((residual[links], group))
            rank, margin = _rank_links(group[order], residual[links[order]])
            columns[f"rank_{end}"][links[order]] = rank
            columns[f"margin_{end}"][links[order]] = np.clip(margin, -10, 10)
    columns["mutual_nearest"][:] = (columns["rank_source"] == 0) & (columns["rank_target"] == 0)


def _group_links(node: IntArray) -> Iterator[IntArray]:
    """Yield links by cell in chunks, all links of a cell in one chunk, which is faster than sorting all at once."""
    links = np.argsort(node, kind="stable")
    ordered = node[links]
    start = 0
    while start < len(links):
        last = ordered[min(start + _CHUNK, len(links)) - 1]
        stop = int(np.searchsorted(ordered, last, "right"))
        yield links[start:stop]
        start = stop


def _rank_links(group: IntArray, residual: FeatureArray) -> tuple[IntArray, FeatureArray]:
    """Return the rank in the group and the margin to its best other link, of links sorted by group and residual.

    Equal residuals share the lowest of their ranks, so that the result does not depend on the order of the cells.
    """
    begin = np.flatnonzero(np.diff(group, prepend=-1))
    count = np.diff(np.append(begin, len(group)))
    fresh = np.ones(len(group), bool)
    fresh[1:] = (np.diff(group) != 0) | (np.diff(residual) != 0)
    rank = np.maximum.accumulate(np.where(fresh, np.arange(len(group)), 0)) - np.repeat(begin, count)
    best = np.repeat(residual[begin], count)
    second = np.repeat(np.where(count > 1, residual[np.minimum(begin + 1, len(group) - 1)], np.inf), count)
    return rank, np.where(rank == 0, second, best) - residual
