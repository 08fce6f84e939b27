"""What TrackMate stores of edges and tracks: its tracks are families, the cells that links connect."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.components import label_components, name_groups

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import Cells, FloatArray, IntArray, Lineage

    Columns = dict[str, npt.NDArray[np.generic]]

__all__ = ["TrackMateTracks", "measure_tracks"]


class TrackMateTracks(NamedTuple):
    """Edges and tracks, as TrackMate stores them."""

    edges: Columns
    """A value per edge, by the name of the feature; the edges of a track follow one another, by frame."""
    tracks: Columns
    """A value per track with an edge, by the name of the feature."""
    offsets: IntArray
    """(T + 1,) the edges of track k are ``offsets[k]:offsets[k + 1]``."""


def measure_tracks(lineage: Lineage) -> TrackMateTracks:
    """Return edges and tracks with their features.

    A track has the id of the first track of its family. A cell without links is not in a track of TrackMate. A fusion
    is an edge too, so that two families that fuse are one track.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> found = measure_tracks(gnntrack.track(masks=masks))
    >>> found.edges["EDGE_TIME"].tolist(), found.tracks["NUMBER_SPOTS"].tolist(), found.offsets.tolist()
    ([0.5, 1.5], [3], [0, 2])
    """
    cells, n = lineage.cells, len(lineage.cells)
    source, target, confidence = lineage.list_edges()
    family = label_components(n, source, target)[0]
    name = name_groups(family, lineage.track)[family]
    order = np.lexsort((target, name[source]))
    source, target = source[order], target[order]
    ids, first = np.unique(name[source], return_index=True)
    edges = _measure_edges(cells, source, target, confidence[order], lineage.provenance.interval or 1)
    if len(lineage.fusions):
        edges["GNNTRACK_FUSION"] = np.where(order >= len(lineage.source), 1, np.nan)
    tracks = _describe_branches(cells, source, target, name, ids)
    tracks |= _summarise_cells(cells, name, ids, lineage.provenance.interval or 1)
    speed = edges["SPEED"].astype(np.float64)
    if len(ids):
        tracks["TRACK_MEAN_SPEED"] = np.add.reduceat(speed, first) / np.diff(np.append(first, len(speed)))
        tracks["TRACK_MAX_SPEED"] = np.maximum.reduceat(speed, first)
        tracks["TRACK_MIN_SPEED"] = np.minimum.reduceat(speed, first)
    return TrackMateTracks(edges, tracks, np.append(first, len(source)))


def find_places(cells: Cells) -> FloatArray:
    """Return the position of each cell along z, y, x, (N, 3); z is 0 in 2D."""
    places = np.zeros((len(cells), 3))
    places[:, -cells.ndim :] = cells.position
    return places


def _measure_edges(
    cells: Cells, source: IntArray, target: IntArray, confidence: npt.NDArray[np.float32], interval: float
) -> Columns:
    place = find_places(cells)
    middle = (place[source] + place[target]) / 2
    length = np.sqrt(((place[target] - place[source]) ** 2).sum(axis=1))
    frames = cells.frame[target] - cells.frame[source]
    return {
        "SPOT_SOURCE_ID": source,
        "SPOT_TARGET_ID": target,
        "LINK_COST": np.nan_to_num(1 - confidence),  # 0 of a fusion
        "GNNTRACK_CONFIDENCE": confidence,
        "SPEED": length / (frames * interval),
        "DISPLACEMENT": length,
        "EDGE_TIME": (cells.frame[source] + cells.frame[target]) / 2 * interval,
        **{f"EDGE_{axis}_LOCATION": middle[:, k] for k, axis in ((2, "X"), (1, "Y"), (0, "Z"))},
    }


def _describe_branches(cells: Cells, source: IntArray, target: IntArray, name: IntArray, ids: IntArray) -> Columns:
    """Return ids, and numbers of spots, gaps, divisions and fusions."""
    n, k = len(cells), len(ids)
    track = np.searchsorted(ids, name[source])
    gap = cells.frame[target] - cells.frame[source] - 1
    longest = np.zeros(k, np.int64)
    np.maximum.at(longest, track, gap)
    splits = np.bincount(source, minlength=n) > 1
    linked = np.isin(name, ids)
    of_cell = np.searchsorted(ids, name[linked])
    merges = np.bincount(target, minlength=n) > 1
    return {
        "TRACK_INDEX": np.arange(k),
        "TRACK_ID": ids,
        "NUMBER_SPOTS": np.bincount(of_cell, minlength=k),
        "NUMBER_GAPS": np.bincount(track[gap > 0], minlength=k),
        "NUMBER_SPLITS": np.bincount(of_cell[splits[linked]], minlength=k),
        "NUMBER_MERGES": np.bincount(of_cell[merges[linked]], minlength=k),
        "NUMBER_COMPLEX": np.bincount(of_cell[(merges & splits)[linked]], minlength=k),
        "LONGEST_GAP": longest,
    }


def _summarise_cells(cells: Cells, name: IntArray, ids: IntArray, interval: float) -> Columns:
    """Return times and mean place; cells are in the order of frames."""
    row = np.flatnonzero(np.isin(name, ids))
    row = row[np.argsort(name[row], kind="stable")]
    first = np.searchsorted(name[row], ids)
    last = np.searchsorted(name[row], ids, side="right") - 1
    start, stop = cells.frame[row[first]] * interval, cells.frame[row[last]] * interval
    place = find_places(cells)
    count = last - first + 1
    mean = np.add.reduceat(place[row], first) / count[:, None] if len(ids) else np.zeros((0, 3))
    return {
        "TRACK_DURATION": stop - start,
        "TRACK_START": start,
        "TRACK_STOP": stop,
        "TRACK_DISPLACEMENT": np.sqrt(((place[row[last]] - place[row[first]]) ** 2).sum(axis=1)),
        **{f"TRACK_{axis}_LOCATION": mean[:, k] for k, axis in ((2, "X"), (1, "Y"), (0, "Z"))},
    }
