"""Tracks of points after they are solved: short families, smoother positions, and points in the gaps.

All three are done without the motion of the whole stack, in the number of time steps: in a frame that is a copy of the
frame before, a point that is added is where it was in that frame.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.components import count_within_frames
from gnntrack.errors import SettingsError
from gnntrack.lineage.families import find_gaps, find_neighbours, measure_families, select_families
from gnntrack.plurals import count_noun
from gnntrack.types import Lineage, StackMotion, Tracks

if TYPE_CHECKING:
    from gnntrack.settings import PointSettings, Settings
    from gnntrack.types import Cells, FeatureArray, FloatArray, IntArray

__all__ = [
    "MARK",
    "MASK_SETTINGS",
    "drop_short_families",
    "finish_points",
    "interpolate_gaps",
    "refuse_for_masks",
    "refuse_for_points",
    "smooth_positions",
]

_log = logging.getLogger(__name__)

MASK_SETTINGS = {
    "solver.goal": "set solver.link_threshold in a settings file",
    "cells.max_merge": "omit it",
    "cells.fragments": "omit it",
    "repair.fill_gaps": "use interpolate",
    "repair.keep_masks": "omit it",
    "repair.margin": "omit it",
    "repair.min_track_length": "use min_length",
    "repair.debris_size": "omit it",
    "repair.drop_spurious": "omit it",
    "repair.fill_empty_frames": "omit it",
}
"""Settings that work on masks only, and what to do instead for points."""

MARK = "interpolated"
"""Feature of points: 1 for those that were added in gaps."""
_MOST = 2**31 - 1  # largest label of a cell


class _Rows(NamedTuple):
    """Points that are not yet cells."""

    frame: IntArray
    label: IntArray
    position: FloatArray
    features: FeatureArray


def finish_points(lineage: Lineage, *, settings: PointSettings) -> Lineage:
    """Return a solved movie of points as the settings ask for.

    Parameters
    ----------
    lineage : Lineage
        Tracks of points.
    settings : PointSettings
        The steps to do.

    Returns
    -------
    Lineage
        Its provenance holds the number of gaps in the tracks that are left.
    """
    lineage = drop_short_families(lineage, settings.min_length)
    lineage = lineage.with_provenance(gaps_bridged=len(find_gaps(lineage)[0]))
    if settings.smooth > 1:
        lineage = smooth_positions(lineage, settings.smooth)
    held = [lineage]
    del lineage  # its memory is free as soon as its cells are in the new table
    return interpolate_gaps(held.pop()) if settings.interpolate else held.pop()


def refuse_for_masks(settings: PointSettings) -> None:
    """Refuse settings of points for cells with masks.

    Raises
    ------
    SettingsError
        If one differs from its default.
    """
    for name, remedy in (("smooth", "omit it"), ("min_length", "use min_track_length")):
        if (value := getattr(settings, name)) != settings.fields[name].default:
            msg = f"{name}={value} works on points, and these cells have masks; {remedy}"
            raise SettingsError(msg)


def refuse_for_points(settings: Settings) -> None:
    """Refuse the settings of masks, `MASK_SETTINGS`, for points.

    Raises
    ------
    SettingsError
        If one differs from its default.
    """
    for key, remedy in MASK_SETTINGS.items():
        section, name = key.split(".")
        table = getattr(settings, section)
        if (value := getattr(table, name)) != table.fields[name].default:
            msg = f"{name}={value} works on masks, and these cells are points; {remedy}"
            raise SettingsError(msg)


def drop_short_families(lineage: Lineage, frames: int) -> Lineage:
    """Remove the families, tracks with their descendants, that last for fewer frames.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    frames : int
        Fewest frames from the first cell of a family to the last one.

    Returns
    -------
    Lineage
        The other tracks, with the same numbers. Its provenance holds the number of families that were removed.

    Examples
    --------
    >>> import gnntrack
    >>> points = np.array([[0, 5, 5], [0, 5, 90], [1, 6, 5], [1, 6, 90], [2, 6, 5]])
    >>> lineage = drop_short_families(gnntrack.track(points=points, max_gap=1), 3)
    >>> lineage.cells.frame.tolist(), lineage.tracks.id.tolist(), lineage.provenance.short_dropped
    ([0, 1, 2], [1], 1)
    """
    if frames <= 1:
        return lineage
    family, first, last = measure_families(lineage)
    long = last - first + 1 >= frames
    dropped = int((~long).sum())
    keep = long[family]
    number = count_noun(int((~keep).sum()), "point")
    families = count_noun(dropped, "family", "families")
    _log.info("%s shorter than %s dropped, %s", families, count_noun(frames, "frame"), number)
    return select_families(lineage, keep).with_provenance(short_dropped=dropped)


def smooth_positions(lineage: Lineage, frames: int) -> Lineage:
    """Replace each position by that of a straight line through the positions of its track around it.

    Parameters
    ----------
    lineage : Lineage
        Tracks of points.
    frames : int
        Frames through which a line is fitted, half of them before the point and half after it.

    Returns
    -------
    Lineage
        A daughter is not smoothed with her parent. Tracks shorter than 3 points stay as they are.

    Examples
    --------
    >>> import gnntrack
    >>> points = np.array([[t, 50, 50 + 2 * t + (-1) ** t] for t in range(5)] + [[t, 5, 5] for t in range(5)])
    >>> lineage = smooth_positions(gnntrack.track(points=points, drift=False), 3)
    >>> lineage.cells.position[lineage.track == lineage.track[0], 1].round(2).tolist()
    [51.0, 52.33, 53.67, 56.33, 59.0]
    """
    cells = lineage.cells
    stack = StackMotion.from_dict(lineage.provenance.stack, cells)
    position, time = stack.remove(cells), stack.shown[cells.frame].astype(np.float64)
    count, near = np.ones(len(cells)), position.copy()  # sums of 1, t, t^2, x and t x over the points of the line
    once, twice, moment = np.zeros(len(cells)), np.zeros(len(cells)), np.zeros_like(position)
    for other in find_neighbours(lineage):
        at = np.arange(len(cells))
        for _ in range(frames // 2):
            at = np.where(at >= 0, other[at], -1)
            inside = (at >= 0) & (np.abs(cells.frame[at] - cells.frame) <= frames // 2)
            later = np.where(inside, time[at] - time, 0)
            count += inside
            once += later
            twice += later**2
            near += np.where(inside[:, None], position[at], 0)
            moment += later[:, None] * np.where(inside[:, None], position[at], 0)
    spread = count * twice - once**2
    line = (twice[:, None] * near - once[:, None] * moment) / np.where(spread > 0, spread, 1)[:, None]
    enough = (count >= 3) & (spread > 0)
    smooth = np.where(enough[:, None], line, position) + stack.place[cells.frame]
    _log.info("positions smoothed over %s", count_noun(frames, "frame"))
    moved = replace(cells, position=smooth)
    return replace(lineage, cells=moved, provenance=lineage.provenance.replace(smoothed=frames))


def interpolate_gaps(lineage: Lineage) -> Lineage:
    """Add a point in each missing frame of each link over a gap.

    Parameters
    ----------
    lineage : Lineage
        Tracks of points.

    Returns
    -------
    Lineage
        Its cells have the feature ``interpolated``: 1 for those that were added, 0 for all others. Positions and
        features of added points lie on a line between the points before and after the gap, without the motion of the
        stack. Both parts of a divided link have its confidence. A point between a parent and a daughter belongs to the
        daughter.

    Examples
    --------
    >>> import gnntrack
    >>> points = np.array([[0, 5, 5], [0, 5, 90], [1, 5, 90], [2, 6, 9], [2, 5, 90]])
    >>> lineage = interpolate_gaps(gnntrack.track(points=points, interpolate=False))
    >>> lineage.cells.frame.tolist(), lineage.cells.feature("interpolated").tolist()
    ([0, 0, 1, 1, 2, 2], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    >>> lineage.cells.position[3].tolist(), lineage.track.tolist()
    ([5.5, 7.0], [1, 2, 2, 1, 1, 2])
    """
    cells, track, tracks = _add_mark(lineage.cells), lineage.track, lineage.tracks
    source, target, confidence = lineage.source, lineage.target, lineage.confidence
    missing = cells.frame[target] - cells.frame[source] - 1
    link = np.repeat(np.arange(len(missing)), missing)
    step = np.arange(len(link)) - np.repeat(np.cumsum(missing) - missing, missing)
    frame = cells.frame[source[link]] + 1 + step
    marked, n = int(cells.feature(MARK).sum()), len(cells)
    provenance = lineage.provenance.replace(points_interpolated=marked + len(link))
    added = _make_points(lineage, cells, link, frame)
    del lineage
    both, row = _join_cells(cells, added)
    del cells  # the memory of a large movie
    piece = np.repeat(np.arange(len(missing)), missing + 1)
    first, inner = np.cumsum(missing + 1) - (missing + 1), row[n:]
    ends = np.append(track, track[target[link]])
    track = np.empty(len(row), np.int64)
    track[row] = ends
    source, target, confidence = row[source][piece], row[target][piece], confidence[piece]
    target[first[link] + step] = inner
    source[first[link] + step + 1] = inner
    del row, piece, missing, first, ends
    found = Tracks.from_cells(track, both.frame, lambda ids: tracks.parent[np.searchsorted(tracks.id, ids)])
    return Lineage(both, track, found, source, target, confidence, provenance)


def _add_mark(cells: Cells) -> Cells:
    if cells.has(MARK):
        return cells
    features = np.zeros((len(cells), len(cells.feature_names) + 1), np.float32, order="F")
    features[:, :-1] = cells.features
    return replace(
        cells,
        features=features,
        feature_names=(*cells.feature_names, MARK),
        feature_units=(*cells.feature_units, ""),
    )


def _make_points(lineage: Lineage, cells: Cells, link: IntArray, frame: IntArray) -> _Rows:
    """Return a point for each of some links and frames, as rows that are not sorted."""
    stack = StackMotion.from_dict(lineage.provenance.stack, cells)
    before, after = lineage.source[link], lineage.target[link]
    whole = stack.count_steps(cells.frame[before], cells.frame[after])
    part = stack.count_steps(cells.frame[before], frame)
    fraction = (part / np.maximum(whole, 1))[:, None]
    steady = stack.remove(cells)
    position = steady[before] * (1 - fraction) + steady[after] * fraction + stack.place[frame]
    features = cells.features[before] * (1 - fraction) + cells.features[after] * fraction
    features[:, cells.feature_names.index(MARK)] = 1
    top = np.asarray(cells.shape) * cells.spacing - cells.spacing  # of the last voxel
    return _Rows(frame, _number_points(cells, frame), np.clip(position, 0, top), features.astype(np.float32))


def _number_points(cells: Cells, frame: IntArray) -> IntArray:
    """Return labels for more points, which no cell of their frames has."""
    highest = np.zeros(cells.n_frames, np.int64)
    np.maximum.at(highest, cells.frame, cells.label)
    number = count_within_frames(frame)
    label = highest[frame] + number
    for full in np.unique(frame[label > _MOST]).tolist():  # ids of other programs may be as high as they can be
        here = frame == full
        used = cells.label[cells.rows(full)]
        free = np.setdiff1d(np.arange(1, len(used) + int(here.sum()) + 1), used)
        label[here] = free[number[here] - 1]
    return np.asarray(label)


def _join_cells(cells: Cells, added: _Rows) -> tuple[Cells, IntArray]:
    """Return both as one table, and the row of each cell and of each added point in it."""
    frame, label = (np.concatenate([getattr(cells, name), getattr(added, name)]) for name in ("frame", "label"))
    order = np.lexsort((label, frame))
    columns: dict[str, Any] = {"frame": frame[order], "label": label[order]}
    del frame, label  # the memory of a large movie; tables are sorted column by column for the same reason
    for name in ("position", "features"):
        old, new = getattr(cells, name), getattr(added, name)
        columns[name] = np.empty_like(old, shape=(len(order), old.shape[1]))
        for k in range(old.shape[1]):
            columns[name][:, k] = np.concatenate([old[:, k], new[:, k]])[order]
    if cells.ids is not None:
        columns["ids"] = np.append(cells.ids, np.full(len(added.frame), -1))[order]
    row = np.empty(len(order), np.int64)
    row[order] = np.arange(len(order))
    return replace(cells, **columns), row
