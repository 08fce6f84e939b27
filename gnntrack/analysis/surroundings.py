"""Surroundings of cells: neighbours, density, and how often neighbours change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.analysis.quantities import Quantity, average_groups, average_values
from gnntrack.geometry import UNIT_BALL, find_nearest, measure_lengths
from gnntrack.settings import CellSettings
from gnntrack.types import Units

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import FloatArray, IntArray, Lineage

    Columns = dict[str, npt.NDArray[Any]]

__all__ = [
    "compare_neighbours",
    "describe_surroundings",
    "find_frame_neighbours",
    "list_cell_surroundings",
    "list_track_surroundings",
]

_REACH = 2.5  # median lengths of edges; longer ones lead across gaps or along the border


def find_frame_neighbours(position: FloatArray) -> IntArray:
    """Return the pairs of neighbours among points: those joined by an edge of the Delaunay triangulation.

    Edges that are longer than 2.5 times their median are omitted: they lead across empty regions, or along the border.

    Parameters
    ----------
    position : (n, D) float64
        Points; with equal units along all axes.

    Returns
    -------
    (E, 2) int64
        Rows of the points, the lower one first; ascending.

    Examples
    --------
    >>> find_frame_neighbours(np.array([[0.0, 0.0], [0.0, 1.0], [1.1, 0.0], [9.0, 9.0], [1.0, 1.2]])).tolist()
    [[0, 1], [0, 2], [1, 2], [1, 4], [2, 4]]
    """
    n, ndim = position.shape
    if n < 2:
        return np.zeros((0, 2), np.int64)
    corners = _triangulate(position) if n > ndim + 1 else np.arange(n)[None]
    one, other = np.triu_indices(corners.shape[1], 1)
    pairs = np.concatenate([corners[:, [a, b]] for a, b in zip(one, other, strict=True)]).astype(np.int64)
    pairs = np.column_stack(np.divmod(np.unique(pairs.min(1) * n + pairs.max(1)), n))
    length = measure_lengths(position[pairs[:, 0]] - position[pairs[:, 1]])
    return np.asarray(pairs[length <= _REACH * np.median(length)])


def _triangulate(position: FloatArray) -> IntArray:
    """Return the corners of the simplices of a Delaunay triangulation, (S, C).

    Points in a plane or on a line, such as a 3D movie with cells in one slice, are triangulated there.
    """
    from scipy.spatial import Delaunay, QhullError

    centred = position - position.mean(0)
    _, extent, axes = np.linalg.svd(centred, full_matrices=False)
    rank = int((extent > 1e-9 * extent[0]).sum())
    if rank < 2:
        order = np.argsort(centred @ axes[0], kind="stable")
        return np.column_stack([order[:-1], order[1:]])
    points = centred if rank == position.shape[1] else centred @ axes[:rank].T
    try:
        return np.asarray(Delaunay(points).simplices)
    except QhullError:  # nearly in a plane: joggled points
        return np.asarray(Delaunay(points, qhull_options="QJ").simplices)


def list_cell_surroundings(lineage: Lineage) -> Columns:
    """Return the columns of the surroundings of the table of cells.

    Returns
    -------
    dict of (N,) float64
        ``neighbours`` (number, see `find_frame_neighbours`), ``neighbours_gained`` and ``neighbours_lost`` since the
        frame before, among the tracks that have a cell in both frames; ``neighbour_distance`` to the nearest centroid;
        ``density``: cells per area (volume) in the circle (ball) to the sixth nearest cell. NaN where there is none.
    """
    cells, units = lineage.cells, Units.read(lineage)
    number, distance, density = (np.full(len(cells), np.nan) for _ in range(3))
    gained, lost = np.full(len(cells), np.nan), np.full(len(cells), np.nan)
    tracks = np.searchsorted(lineage.tracks.id, lineage.track)
    earlier, earlier_pairs = np.zeros(0, np.int64), np.zeros((0, 2), np.int64)
    for frame in range(cells.n_frames):
        rows = cells.rows(frame)
        position, present = cells.position[rows], tracks[rows]
        pairs = find_frame_neighbours(position)
        number[rows] = np.bincount(pairs.ravel(), minlength=len(position))
        distance[rows], density[rows] = _measure_distances(position, min(cells.spacing) / 2)
        gained[rows], lost[rows] = compare_neighbours(earlier, earlier_pairs, present, present[pairs])
        earlier, earlier_pairs = present, present[pairs]
    return {
        "neighbours": number,
        "neighbours_gained": gained,
        "neighbours_lost": lost,
        f"neighbour_distance_{units.length}": distance,
        f"density_{units.density}": density,
    }


def _measure_distances(position: FloatArray, least: float) -> tuple[FloatArray, FloatArray]:
    """Return the distance to the nearest point, and the density by the distance to the sixth nearest, (n,)."""
    n, ndim = position.shape
    k = min(CellSettings().neighbours, n - 1)
    if k < 1:
        return np.full(n, np.nan), np.full(n, np.nan)
    distance, _ = find_nearest(position, position, k + 1)
    return distance[:, 1], k / (UNIT_BALL[ndim] * np.maximum(distance[:, k], least) ** ndim)


def compare_neighbours(
    earlier: IntArray, earlier_pairs: IntArray, present: IntArray, pairs: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Return the neighbours that the present tracks have gained and lost since the frame before; NaN for new tracks.

    Parameters
    ----------
    earlier, present : (n,) int64
        Tracks with a cell in the frame before, and in this one.
    earlier_pairs, pairs : (P, 2) int64
        Tracks that are neighbours in these frames.

    Examples
    --------
    Track 2 moves from the side of 1 to that of 3:

    >>> one, other = np.array([[1, 2]]), np.array([[2, 3]])
    >>> gained, lost = compare_neighbours(np.array([1, 2, 3]), one, np.array([1, 2, 3, 4]), other)
    >>> gained.tolist(), lost.tolist()
    ([0.0, 1.0, 1.0, nan], [1.0, 1.0, 0.0, nan])
    """
    both = np.intersect1d(earlier, present)
    known = np.isin(present, both)
    before, now = (_number_pairs(table, both) for table in (earlier_pairs, pairs))
    found = []
    for changed in (np.setdiff1d(now, before), np.setdiff1d(before, now)):
        ends = np.concatenate(np.divmod(changed, max(len(both), 1)))
        values = np.full(len(present), np.nan)
        values[known] = np.bincount(ends, minlength=len(both))[np.searchsorted(both, present[known])]
        found.append(values)
    return found[0], found[1]


def _number_pairs(pairs: IntArray, tracks: IntArray) -> IntArray:
    """Return a number for each pair of which both are among some tracks, whatever the order of the two."""
    common = pairs[np.isin(pairs, tracks).all(1)]
    place = np.searchsorted(tracks, common)
    return np.asarray(place.min(1) * len(tracks) + place.max(1) if len(place) else np.zeros(0, np.int64))


def list_track_surroundings(lineage: Lineage, cells: Columns) -> Columns:
    """Return the columns of the surroundings of the table of tracks: means over the cells of each track.

    Parameters
    ----------
    lineage : Lineage
        The lineage.
    cells : dict
        Columns of `list_cell_surroundings`.

    Returns
    -------
    dict of (K,) float64
        Means, and ``neighbour_exchange``: half the sum of gained and lost neighbours, per time.
    """
    units, n = Units.read(lineage), len(lineage.tracks)
    row = np.searchsorted(lineage.tracks.id, lineage.track)
    exchange = (cells["neighbours_gained"] + cells["neighbours_lost"]) / 2
    names = ("neighbours", f"neighbour_distance_{units.length}", f"density_{units.density}")
    return {
        **{f"mean_{name}": average_groups(cells[name], row, n) for name in names},
        f"neighbour_exchange_{units.rate}": average_groups(exchange, row, n) / units.hours,
    }


def describe_surroundings(tracks: Columns, units: Units) -> list[Quantity]:
    """Return the quantities of the surroundings of a movie: means over tracks.

    Parameters
    ----------
    tracks : dict
        Columns of `list_track_surroundings`.
    units : Units
        Units of the tables.
    """
    named = [("mean_neighbours", ""), ("mean_neighbour_distance", units.length), ("mean_density", units.density)]
    named += [("neighbour_exchange", units.rate)]
    return [average_values(name, tracks[f"{name}_{unit}" if unit else name], unit, of="tracks") for name, unit in named]
