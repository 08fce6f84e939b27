"""Tables of tracks as other programs take them: a row per cell.

=============  ===========================================================================================
format         columns
=============  ===========================================================================================
``napari``     ``track_id, t, [z], y, x`` of its layer Tracks, in pixels; ``parent`` is a track, 0 = none
``btrack``     those of its CSV export, separated by spaces, in pixels; a track without parent is its own
``laptrack``   those of its table of tracks, in pixels; ``parent_track_id`` is empty without a parent
``mastodon``   those that its CSV importer asks for; the parent is a cell, and names have the unit of lengths
``points``     those of ``cells.csv`` that tracking needs, with positions in pixels; the ids of points
=============  ===========================================================================================

`gnntrack.io.point_tables` reads them all. Points that were interpolated into a gap have 1 in the column
``interpolated``, in that of btrack ``dummy``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.io.spot_sizes import find_radius
from gnntrack.io.tables import TableInBlocks
from gnntrack.lineage.families import count_generations, find_roots

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from gnntrack.types import Lineage

    Columns = dict[str, npt.NDArray[Any]]

__all__ = [
    "EXCHANGE_TABLES",
    "PointTable",
    "collect_btrack",
    "collect_laptrack",
    "collect_mastodon",
    "collect_napari",
    "collect_points",
]


def collect_napari(lineage: Lineage) -> Columns:
    """Return the columns of a napari layer *Tracks*, and ``parent``, ``label`` and ``confidence`` of each cell.

    Rows are sorted by track and frame, as napari has them.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((2, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 7
    >>> columns = collect_napari(gnntrack.track(masks=masks))
    >>> list(columns), columns["t"].tolist(), columns["y"].tolist()
    (['track_id', 't', 'y', 'x', 'parent', 'label', 'confidence'], [0, 1], [7.5, 7.5])
    """
    order = np.lexsort((lineage.cells.frame, lineage.track))
    confidence = np.ones(len(lineage.cells))
    confidence[lineage.target] = lineage.confidence
    columns = {
        "track_id": lineage.track,
        "t": lineage.cells.frame,
        **_list_pixels(lineage),
        "parent": lineage.tracks.parent[_find_rows(lineage)],
        "label": lineage.cells.label,
        "confidence": confidence.round(6),
        **_list_interpolated(lineage),
    }
    return {name: column[order] for name, column in columns.items()}


def collect_btrack(lineage: Lineage) -> Columns:
    """Return the columns of btrack's export, sorted by track and frame."""
    order = np.lexsort((lineage.cells.frame, lineage.track))
    row = _find_rows(lineage)
    parent = np.where(lineage.tracks.parent > 0, lineage.tracks.parent, lineage.tracks.id)
    place = {"z": np.zeros(len(row)), **_list_pixels(lineage)}
    columns = {
        "ID": lineage.track,
        "t": lineage.cells.frame,
        **{axis: place[axis] for axis in "xyz"},
        "parent": parent[row],
        "root": find_roots(lineage.tracks)[row],
        "state": np.zeros(len(row), np.int64),
        "generation": count_generations(lineage.tracks)[row],
        "dummy": _list_interpolated(lineage).get("interpolated", np.zeros(len(row), np.int64)),
    }
    return {name: column[order] for name, column in columns.items()}


def collect_laptrack(lineage: Lineage) -> Columns:
    """Return the columns of LapTrack's table of tracks, with ids from 0 and the parent of each track."""
    row = _find_rows(lineage)
    roots, tracks = find_roots(lineage.tracks), lineage.tracks
    parent = np.where(tracks.parent > 0, np.searchsorted(tracks.id, tracks.parent), np.nan)
    return {
        "frame": lineage.cells.frame,
        "tree_id": np.unique(roots, return_inverse=True)[1][row],
        "track_id": row,
        "parent_track_id": parent[row],
        **_list_pixels(lineage),
        "label": lineage.cells.label,
        **_list_interpolated(lineage),
    }


def collect_mastodon(lineage: Lineage) -> Columns:
    """Return the columns that Mastodon's CSV importer asks for; a cell without parent has the parent -1.

    Ids are positive, and a parent is in a row before its daughters, as the importer needs it.
    """
    cells = lineage.cells
    parent = np.full(len(cells), -1)
    parent[lineage.target] = lineage.source + 1
    place = {"z": np.zeros(len(cells))}
    place |= {axis: cells.position[:, k] for k, axis in enumerate("zyx"[-cells.ndim :])}
    radius = find_radius(cells)
    sizes = {f"radius_{cells.unit}": radius} if np.isfinite(radius).any() else {}
    return {
        "id": np.arange(1, len(cells) + 1),
        "parent_id": parent,
        "frame": cells.frame,
        **{f"{axis}_{cells.unit}": place[axis] for axis in "xyz"},
        **sizes,
        "label": lineage.track,
        **_list_interpolated(lineage),
    }


def collect_points(lineage: Lineage) -> Columns:
    """Return a row per cell: frame, label, the id in the input, track and its parent, position in pixels, radius.

    Examples
    --------
    >>> import gnntrack
    >>> columns = collect_points(gnntrack.track(points=np.array([[0, 5.0, 5.0], [1, 5.0, 6.0]])))
    >>> list(columns)[:6], columns["track"].tolist()
    (['frame', 'label', 'track', 'parent', 'y_pixel', 'x_pixel'], [1, 1])
    """
    return PointTable(lineage).collect(slice(None))


class PointTable(TableInBlocks):
    """The columns of `collect_points`, of some cells at a time.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    """

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        self.confidence = np.full(len(lineage.cells), np.nan)
        self.confidence[lineage.target] = lineage.confidence
        self.radius = find_radius(lineage.cells) if lineage.cells.has("size") else None

    def __len__(self) -> int:
        return len(self.lineage.cells)

    def collect(self, rows: slice) -> Columns:
        """Return the columns of some cells."""
        cells, tracks, track = self.lineage.cells, self.lineage.tracks, self.lineage.track[rows]
        place = cells.position[rows] / np.array(cells.spacing)
        return {
            "frame": cells.frame[rows],
            "label": cells.label[rows],
            **({} if cells.ids is None else {"id": cells.ids[rows]}),
            "track": track,
            "parent": tracks.parent[np.searchsorted(tracks.id, track)],
            **{f"{axis}_pixel": place[:, k] for k, axis in enumerate("zyx"[-cells.ndim :])},
            **({} if self.radius is None else {f"radius_{cells.unit}": self.radius[rows]}),
            "confidence": self.confidence[rows],
            **_list_interpolated(self.lineage, rows),
        }


EXCHANGE_TABLES: dict[str, tuple[Callable[[Lineage], Columns], str]] = {
    "btrack": (collect_btrack, " "),
    "laptrack": (collect_laptrack, ","),
    "mastodon": (collect_mastodon, ","),
    "napari": (collect_napari, ","),
    "points": (collect_points, ","),
}
"""Format -> its columns, and the character between them."""


def _find_rows(lineage: Lineage) -> npt.NDArray[np.int64]:
    """Return the row of each cell's track."""
    return np.searchsorted(lineage.tracks.id, lineage.track).astype(np.int64)


def _list_interpolated(lineage: Lineage, rows: slice = slice(None)) -> Columns:
    """Return which cells were interpolated into gaps, as 1 and 0; no column if the lineage does not know it."""
    cells = lineage.cells
    return {"interpolated": cells.feature("interpolated")[rows].astype(np.int64)} if cells.has("interpolated") else {}


def _list_pixels(lineage: Lineage) -> Columns:
    """Return positions in pixels by axis."""
    cells = lineage.cells
    place = cells.position / np.array(cells.spacing)
    return {axis: place[:, k] for k, axis in enumerate("zyx"[-cells.ndim :])}
