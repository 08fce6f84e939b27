"""Graphs and lineages on disk: GEFF, the graph exchange file format of the tracking field (version 1.3).

A file written here holds everything: reading it returns the same arrays, names and units. Data for which the
specification has no place (number of frames, shape of a frame, provenance, order of the features) are stored under
``extra["gnntrack"]`` and nowhere else. Files of other tools can be read if they hold the frame, position and label of
each cell.

Nodes are cells, edges go from the earlier cell to the later one. The axes ``t, [z], y, x`` are frames and pixels, and
``scale`` is the voxel size, so that graph and masks coincide in any viewer; ``seg_id`` is a cell's label in the mask of
its frame.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.components import label_components, name_groups
from gnntrack.errors import FormatError
from gnntrack.io.geff_columns import (
    FUSION,
    LINEAGE,
    ORIGINS,
    TRACK,
    TRACKLET,
    Column,
    LaterValues,
    to_json,
    write_columns,
)
from gnntrack.io.geff_store import GeffStore, add_file_name, reorder
from gnntrack.types import MASK_KINDS, CellGraph, Cells, Lineage, MaskOrigins, Tracks

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from gnntrack.types import FeatureArray, IntArray

__all__ = ["read_graph", "read_lineage", "write_graph", "write_lineage"]


def write_graph(
    graph: CellGraph, path: str | Path, *, masks_path: str | Path | None = None, overwrite: bool = False
) -> None:
    """Write candidate links to a GEFF folder.

    Parameters
    ----------
    graph : CellGraph
        Cells become nodes, candidate links edges, features properties.
    path : path
        The folder to make; its name usually ends in ``.geff``.
    masks_path : path, optional
        The masks that ``seg_id`` refers to; stored as a path relative to the folder.
    overwrite : bool
        Replace an older output.

    Raises
    ------
    OutputError
        If `path` exists and `overwrite` is False, or it cannot be written.
    FormatError
        If a name or a note cannot be stored.
    """
    columns = {name: Column(graph.features[:, k]) for k, name in enumerate(graph.feature_names)}
    notes = to_json(graph.provenance.as_dict(), "notes")
    extra = {"kind": "graph", "link_features": list(graph.feature_names), "notes": notes}
    edges = graph.source, graph.target
    write_columns(path, graph.cells, {}, edges, columns, extra, masks_path=masks_path, overwrite=overwrite)


def write_lineage(
    lineage: Lineage,
    path: str | Path,
    *,
    masks_path: str | Path | None = None,
    columns: Mapping[str, Column] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a lineage to a GEFF folder.

    Each node has its track's id, first and last frame and parent (``track_*``), and the two ids that the
    specification defines: ``tracklet_id`` (unbranched path) and ``lineage_id`` (connected component, named after its
    first track). A tracklet has the id of its first track; tracklets and tracks differ only where a track continues
    under a new id without a division, or another track ends in it by fusion.

    A fusion is an edge too, into a cell that has an edge from its own track as well. A file with fusions has the
    property ``fusion`` of edges, true for these; their ``confidence`` is NaN.

    Parameters
    ----------
    lineage : Lineage
        Cells become nodes, chosen links edges with ``confidence``, fusions edges with ``fusion``.
    path, masks_path, overwrite
        As for `write_graph`.
    columns : mapping of Column, optional
        Further properties of the nodes, by name.

    Raises
    ------
    OutputError, FormatError
        As for `write_graph`.
    """
    n, tracks = len(lineage.cells), lineage.tracks
    row = np.searchsorted(tracks.id, lineage.track).astype(np.int32)  # of large movies half the memory
    source, target, confidence = lineage.list_edges()
    path_of = _label_paths(n, source, target).astype(np.int32)
    family_of = label_components(n, source, target)[0].astype(np.int32)
    nodes = {
        TRACK[0]: Column(lineage.track, about="track of the cell"),
        TRACK[1]: Column(_take(tracks.start, row), "frame", "first frame of the track"),
        TRACK[2]: Column(_take(tracks.end, row), "frame", "last frame of the track, inclusive"),
        TRACK[3]: Column(_take(tracks.parent, row), about="id of the parent track, 0 = none"),
        TRACKLET: Column(_take(name_groups(path_of, lineage.track), path_of), about="unbranched path"),
        LINEAGE: Column(_take(name_groups(family_of, lineage.track), family_of), about="connected component"),
        **_list_origins(lineage.origins),
        **(columns or {}),
    }
    notes = to_json(lineage.provenance.as_dict(), "notes")
    extra = {"kind": "lineage", "link_features": ["confidence"], "notes": notes}
    about = {"confidence": Column(confidence, about="confidence of the link, in [0, 1]")}
    if len(lineage.fusions):
        fused = np.arange(len(source)) >= len(lineage.source)
        about[FUSION] = Column(fused, about="whether a track ends here by fusion into another cell")
    edges = source, target
    write_columns(path, lineage.cells, nodes, edges, about, extra, masks_path=masks_path, overwrite=overwrite)


def read_graph(path: str | Path) -> CellGraph:
    """Read candidate links from a GEFF folder, written by gnntrack or by another tool.

    Parameters
    ----------
    path : path
        The folder that holds ``nodes`` and ``edges``.

    Returns
    -------
    CellGraph
        The graph as it was written, bit for bit. From a file of another tool: its cells, its edges turned
        forward in time, and its numeric properties as features.

    Raises
    ------
    FormatError
        If `path` is not a GEFF, or frame, position or label of a cell is missing.
    """
    stored = _read(path)
    order = np.lexsort((stored.target, stored.source))
    with add_file_name(path):
        return CellGraph(
            stored.cells,
            stored.source[order],
            stored.target[order],
            stored.features[order],
            stored.feature_names,
            stored.store.provenance,
        )


def read_lineage(path: str | Path, *, points: bool = False) -> Lineage:
    """Read a lineage from a GEFF folder, written by gnntrack or by another tool.

    Parameters
    ----------
    path : path
        As for `read_graph`.
    points : bool
        Read a file whose labels are not those of masks as well: its cells are numbered in each frame. One of another
        program in which nothing stands for masks holds points, and is always read like this.

    Returns
    -------
    Lineage
        The lineage as it was written, bit for bit. In a file of another tool, tracks are the unbranched paths, with
        the ids of its tracklet property if it has one; links without a property ``confidence`` have confidence 1.

    Raises
    ------
    FormatError
        As for `read_graph`, or if a cell has two links into it: then the file holds candidate links, or a merge. Edges
        with the property ``fusion`` are not links.
    """
    stored = _read(path, points=points, lineage=True)
    confidence = np.ones(len(stored.source), np.float32)
    if "confidence" in stored.feature_names:
        confidence = np.clip(stored.features[:, stored.feature_names.index("confidence")], 0, 1)
    if not stored.store.holds_lineage:
        _refuse_merges(path, stored.cells, stored.target)
    with add_file_name(path):
        track, tracks = _read_tracks(stored)
        lineage = Lineage(
            stored.cells, track, tracks, stored.source, stored.target, confidence, stored.store.provenance
        )
        lineage = lineage.with_fusions(stored.store.read_fusions(stored.cells, stored.row))
        origins = stored.store.read_origins()
    return lineage if origins is None else lineage.with_origins(MaskOrigins(*(reorder(x, stored.row) for x in origins)))


def _take(values: IntArray, row: npt.NDArray[np.integer]) -> LaterValues:
    """Return the value of the row of each cell, such as that of its track."""
    return LaterValues(partial(np.take, values, row))


def _list_origins(origins: MaskOrigins | None) -> dict[str, Column]:
    """Return the properties of the nodes that hold the origins of masks."""
    if origins is None:
        return {}
    kinds = ", ".join(f"{k}: {name}" for k, name in enumerate(MASK_KINDS))
    about = ("label in the masks that were tracked, 0 = none", kinds)
    return {name: Column(values, about=text) for name, values, text in zip(ORIGINS, origins, about, strict=True)}


class _FileContent(NamedTuple):
    """Cells and links of a file."""

    store: GeffStore
    cells: Cells
    row: IntArray  # (N,) row of each stored node among the cells
    source: IntArray  # (E,) rows of cells, in the stored order
    target: IntArray
    features: FeatureArray  # (E, F)
    feature_names: tuple[str, ...]


def _read(path: str | Path, *, points: bool = False, lineage: bool = False) -> _FileContent:
    store = GeffStore(path)
    cells, row = store.read_cells(points=points or (lineage and store.lacks_labels))
    return _FileContent(store, cells, row, *store.read_links(cells, row), *store.read_link_features())


def _read_tracks(stored: _FileContent) -> tuple[IntArray, Tracks]:
    """Return the track of each cell and the table: as stored, else the unbranched paths."""
    cells, row, source, target = stored.cells, stored.row, stored.source, stored.target
    columns = stored.store.read_track_columns()
    if columns is not None:
        track, start, end, parent = (reorder(values, row) for values in columns)
        ids, first = np.unique(track, return_index=True)
        return track, Tracks(ids, start[first], end[first], parent[first])
    path_of = _label_paths(len(cells), source, target)
    tracklet = stored.store.read_tracklets()
    track = name_groups(path_of, path_of + 1 if tracklet is None else reorder(tracklet, row))[path_of]
    ids, first = np.unique(track, return_index=True)
    last = len(track) - 1 - np.unique(track[::-1], return_index=True)[1]
    parent = np.zeros(len(ids), np.int64)
    across = track[source] != track[target]
    parent[np.searchsorted(ids, track[target][across])] = track[source][across]
    return track, Tracks(ids, cells.frame[first], cells.frame[last], parent)


def _refuse_merges(path: str | Path, cells: Cells, target: IntArray) -> None:
    into = np.bincount(target, minlength=len(cells))
    if (into > 1).any():
        worst = int(np.argmax(into > 1))
        msg = (
            f"{path}: cell {cells.label[worst]} of frame {cells.frame[worst]} has {into[worst]} links into it, a cell "
            f"of a lineage at most one; if these are candidates, solve the graph first"
        )
        raise FormatError(msg)


def _label_paths(n: int, source: IntArray, target: IntArray) -> IntArray:
    """Return for each of n cells the number of its unbranched path: GEFF's tracklet."""
    one_out, one_in = (np.bincount(ends, minlength=n) == 1 for ends in (source, target))
    alone = one_out[source] & one_in[target]
    return label_components(n, source[alone], target[alone])[0]
