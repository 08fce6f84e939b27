"""Graphs and lineages on disk: GEFF, the graph exchange file format of the tracking field (spec 1.3).

A file written here keeps everything: reading it back gives the same arrays, names and units. What
the specification has no place for (frames of the movie, shape of a frame, notes, order of the
features) lies under ``extra["gnntrack"]`` and nowhere else. Files of other tools are read where they
tell frame, position and label of each cell.

Nodes are cells, edges go from the earlier cell to the later one. The axes ``t, [z], y, x`` are frames
and pixels, ``scale`` is the voxel size, so that graph and masks lie upon each other in any viewer;
``seg_id`` is a cell's label in the mask of its frame.
"""

from __future__ import annotations

import math
import os
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.io.output import fresh_output
from gnntrack.lineage.families import label_components
from gnntrack.types import CellGraph, Cells, Lineage, Provenance, Tracks

with warnings.catch_warnings():  # zarr and its codecs announce their own future at import
    warnings.simplefilter("ignore")
    from geff import GeffReader
    from geff.core_io import write_arrays
    from geff_spec import Axis, DisplayHint, GeffMetadata, PropMetadata, RelatedObject

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.types import FeatureArray, FloatArray, IntArray

__all__ = ["read_graph", "read_lineage", "write_graph", "write_lineage"]

_EXTRA = "gnntrack"
_SEG_ID = "seg_id"
_TRACK = ("track_id", "track_start", "track_end", "track_parent")
_TRACKLET, _LINEAGE = "tracklet_id", "lineage_id"
_UNIT = {"um": "micrometer", "pixel": "pixel"}
_MICROMETRES = {"micrometer": 1.0, "micron": 1.0, "um": 1.0, "µm": 1.0, "nanometer": 1e-3, "millimeter": 1e3}
_SPACE = ("z", "y", "x")
_EXACT = "_exact"
_LABEL_NAMES = (_SEG_ID, "label", "segmentation_id", "mask_id")
_TIME_NAMES = ("t", "frame", "time")


class _Column(NamedTuple):
    values: np.ndarray
    unit: str | None = None
    about: str | None = None


# ---------------------------------------------------------------------------------------- writing


def write_graph(
    graph: CellGraph, path: str | Path, *, masks_path: str | Path | None = None, overwrite: bool = False
) -> None:
    """Write candidate links to a GEFF folder.

    Parameters
    ----------
    graph : CellGraph
        Cells become nodes, candidate links edges, features properties.
    path : str or Path
        The folder to make; the custom is that its name ends in ``.geff``.
    masks_path : str or Path, optional
        Where the masks lie that ``seg_id`` names; kept as a path relative to the folder.
    overwrite : bool
        Replace what exists at `path`.

    Raises
    ------
    OutputError
        If `path` exists and `overwrite` is not set, or cannot be written.
    FormatError
        If a name or a note cannot be stored.
    """
    columns = {name: _Column(graph.features[:, k]) for k, name in enumerate(graph.feature_names)}
    extra = {
        "kind": "graph",
        "link_features": list(graph.feature_names),
        "notes": _plain(graph.provenance.as_dict(), "notes"),
    }
    edges = np.column_stack([graph.source, graph.target])
    _write(path, graph.cells, {}, edges, columns, extra, masks_path=masks_path, overwrite=overwrite)


def write_lineage(
    lineage: Lineage, path: str | Path, *, masks_path: str | Path | None = None, overwrite: bool = False
) -> None:
    """Write a lineage to a GEFF folder.

    Each node has its track's id, first and last frame and parent (``track_*``), and the two that the
    specification defines: ``tracklet_id`` (unbranched path) and ``lineage_id`` (connected component,
    named by its first track). A tracklet has the id of its first track; it differs from ours only
    where a track goes on under a new id without a division.

    Parameters
    ----------
    lineage : Lineage
        Cells become nodes, chosen links edges with ``confidence``.
    path, masks_path, overwrite
        As for `write_graph`.

    Raises
    ------
    OutputError
        If `path` exists and `overwrite` is not set, or cannot be written.
    FormatError
        If a name or a note cannot be stored.
    """
    n, tracks = len(lineage.cells), lineage.tracks
    row = np.searchsorted(tracks.id, lineage.track)
    path_of, family_of = _paths(n, lineage.source, lineage.target), label_components(n, lineage.source, lineage.target)
    nodes = {
        _TRACK[0]: _Column(lineage.track, about="track of the cell"),
        _TRACK[1]: _Column(tracks.start[row], "frame", "first frame of the track"),
        _TRACK[2]: _Column(tracks.end[row], "frame", "last frame of the track, inclusive"),
        _TRACK[3]: _Column(tracks.parent[row], about="id of the parent track, 0 = none"),
        _TRACKLET: _Column(_named(path_of, lineage.track), about="unbranched path"),
        _LINEAGE: _Column(_named(family_of, lineage.track), about="connected component"),
    }
    extra = {"kind": "lineage", "link_features": ["confidence"], "notes": _plain(lineage.provenance.as_dict(), "notes")}
    edges = np.column_stack([lineage.source, lineage.target])
    confidence = {"confidence": _Column(lineage.confidence, about="confidence of the link, in [0, 1]")}
    _write(path, lineage.cells, nodes, edges, confidence, extra, masks_path=masks_path, overwrite=overwrite)


def _write(
    path: str | Path,
    cells: Cells,
    nodes: dict[str, _Column],
    edges: IntArray,
    edge_columns: dict[str, _Column],
    extra: dict[str, Any],
    *,
    masks_path: str | Path | None,
    overwrite: bool,
) -> None:
    columns = _cell_columns(cells) | nodes
    features = dict(zip(cells.feature_names, zip(cells.features.T, cells.feature_units, strict=True), strict=True))
    _check_names(path, cells.feature_names, taken=(*columns, *_TRACK, _TRACKLET, _LINEAGE))
    _check_names(path, tuple(edge_columns), taken=())
    columns |= {name: _Column(values, unit or None) for name, (values, unit) in features.items()}
    extra |= {
        "n_frames": int(cells.n_frames),
        "shape": [int(size) for size in cells.shape],
        "cell_features": list(cells.feature_names),
    }
    with fresh_output(path, overwrite=overwrite) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_arrays(
            str(temporary),
            node_ids=np.arange(len(cells), dtype=np.uint64),
            node_props=_values(columns),
            edge_ids=edges.astype(np.uint64),
            edge_props=_values(edge_columns),
            metadata=_metadata(path, cells, columns, edge_columns, extra, masks_path),
        )


def _metadata(
    path: str | Path,
    cells: Cells,
    nodes: dict[str, _Column],
    edges: dict[str, _Column],
    extra: dict[str, Any],
    masks_path: str | Path | None,
) -> GeffMetadata:
    space = [
        Axis(name=name, type="space", unit="pixel", scale=float(scale), scaled_unit=_UNIT[cells.unit])
        for name, scale in zip(_axes(cells.ndim), cells.spacing, strict=True)
    ]
    related = None
    if masks_path is not None:
        related = [RelatedObject(type="labels", path=_relative(masks_path, path), node_prop=_SEG_ID)]
    return GeffMetadata(
        directed=True,
        axes=[Axis(name="t", type="time", unit="frame"), *space],
        node_props_metadata={name: _about(name, column) for name, column in nodes.items()},
        edge_props_metadata={name: _about(name, column) for name, column in edges.items()},
        track_node_props={"tracklet": _TRACKLET, "lineage": _LINEAGE} if _TRACKLET in nodes else None,
        related_objects=related,
        display_hints=DisplayHint(
            display_horizontal="x",
            display_vertical="y",
            display_depth="z" if cells.ndim == 3 else None,
            display_time="t",
        ),
        extra={_EXTRA: extra},
    )


def _cell_columns(cells: Cells) -> dict[str, _Column]:
    columns = {"t": _Column(cells.frame, "frame")}
    for name, position, step in zip(_axes(cells.ndim), cells.position.T, cells.spacing, strict=True):
        columns[name] = _Column(position / step, "pixel", "centroid")
        if not np.array_equal(position / step * step, position):
            columns[name + _EXACT] = _Column(position, cells.unit, "centroid that pixels cannot tell to the last bit")
    columns[_SEG_ID] = _Column(cells.label, about="label of the cell's pixels in the mask of its frame")
    return columns


def _about(name: str, column: _Column) -> PropMetadata:
    return PropMetadata(identifier=name, dtype=str(column.values.dtype), unit=column.unit, description=column.about)


def _values(columns: dict[str, _Column]) -> dict[str, Any]:
    return {name: {"values": np.ascontiguousarray(column.values), "missing": None} for name, column in columns.items()}


def _check_names(path: str | Path, names: tuple[str, ...], *, taken: tuple[str, ...]) -> None:
    """Refuse names that are no folder names (each property is a folder) or that mean something else here."""
    for k, name in enumerate(names):
        if not name or name.startswith((".", "__")) or "/" in name or "\\" in name:
            msg = f"{path}: '{name}' cannot be the name of a feature in a GEFF; use letters, digits and '_'"
            raise FormatError(msg)
        if name in taken or name in names[:k]:
            msg = f"{path}: the feature '{name}' has the name of another property of the file; rename it"
            raise FormatError(msg)


def _relative(target: str | Path, start: str | Path) -> str:
    try:
        return Path(os.path.relpath(target, start)).as_posix()
    except ValueError:  # another drive of Windows
        return Path(target).resolve().as_posix()


def _plain(value: Any, where: str) -> Any:
    """Return notes as plain JSON values; a number that is not finite has no place in JSON and becomes None."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{k}]") for k, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"{where} is a {type(value).__name__}: notes are plain JSON values"
    raise FormatError(msg)


# ---------------------------------------------------------------------------------------- reading


def read_graph(path: str | Path) -> CellGraph:
    """Read candidate links from a GEFF folder, written by gnntrack or by another tool.

    Parameters
    ----------
    path : str or Path
        The folder that holds ``nodes`` and ``edges``.

    Returns
    -------
    CellGraph
        What was written, bit for bit. From a file of another tool: its cells, its edges turned
        forward in time, and its numeric properties as features.

    Raises
    ------
    FormatError
        If there is no GEFF at `path`, or it does not tell frame, position and label of each cell.
    """
    stored = _Stored(path)
    cells, row = stored.cells()
    source, target = stored.links(cells, row)
    features, names = stored.link_features()
    order = np.lexsort((target, source))
    with _naming(path):
        return CellGraph(cells, source[order], target[order], features[order], names, stored.provenance)


def read_lineage(path: str | Path) -> Lineage:
    """Read a lineage from a GEFF folder, written by gnntrack or by another tool.

    Parameters
    ----------
    path : str or Path
        The folder that holds ``nodes`` and ``edges``.

    Returns
    -------
    Lineage
        What was written, bit for bit. In a file of another tool tracks are the unbranched paths;
        they keep their ids where it has a tracklet property, and links without a property
        ``confidence`` have confidence 1.

    Raises
    ------
    FormatError
        If there is no GEFF at `path`, it does not tell frame, position and label of each cell, or a
        cell has two links into it: then it holds candidates, or a merge.
    """
    stored = _Stored(path)
    cells, row = stored.cells()
    source, target = stored.links(cells, row)
    features, names = stored.link_features()
    confidence = features[:, names.index("confidence")] if "confidence" in names else np.ones(len(source), np.float32)
    if not stored.own or stored.extra.get("kind") != "lineage":
        _refuse_merges(path, cells, target)
    with _naming(path):
        track, tracks = stored.tracks(cells, row, source, target)
        return Lineage(cells, track, tracks, source, target, np.clip(confidence, 0, 1), stored.provenance)


class _Stored:
    """An open GEFF: its metadata, and its columns as they are asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        if not Path(path).is_dir():
            msg = f"{path}: there is no such folder; a GEFF is a folder with 'nodes' and 'edges'"
            raise FormatError(msg)
        with _reading(path):
            self.reader = GeffReader(str(path))
            self.ids: np.ndarray = np.asarray(self.reader.nodes[:])
            self.edges: np.ndarray = np.asarray(self.reader.edges[:]).reshape(-1, 2)
        self.metadata: GeffMetadata = self.reader.metadata
        extra = (self.metadata.extra or {}).get(_EXTRA)
        self.own = isinstance(extra, dict) and {"n_frames", "shape", "cell_features", "link_features"} <= extra.keys()
        self.extra: dict[str, Any] = extra if self.own and isinstance(extra, dict) else {}

    @property
    def provenance(self) -> Provenance:
        return Provenance.from_dict(self.extra.get("notes") or {})

    def cells(self) -> tuple[Cells, IntArray]:
        """Return the cells, and the row of each stored node among them."""
        frame, label = self._frame(), self._label()
        order = np.lexsort((label, frame))
        position, spacing, unit = self._position()
        features, names, units = self._features("node", self.extra.get("cell_features"))
        shape = self.extra.get("shape") or _box(position, spacing)
        n_frames = self.extra.get("n_frames", int(frame.max()) + 1 if len(frame) else 0)
        row = np.empty(len(order), np.int64)
        row[order] = np.arange(len(order))
        with _naming(self.path):
            cells = Cells(
                frame[order], label[order], position[order], features[order], names, units,
                spacing, int(n_frames), tuple(int(size) for size in shape), unit,
            )  # fmt: skip
        return cells, row

    def links(self, cells: Cells, row: IntArray) -> tuple[IntArray, IntArray]:
        """Return source and target rows of each edge, in the stored order, forward in time."""
        order = np.argsort(self.ids, kind="stable")
        sorted_ids = self.ids[order]
        if len(sorted_ids) and (sorted_ids[1:] == sorted_ids[:-1]).any():
            self._fail("node ids occur twice")
        place = np.searchsorted(sorted_ids, self.edges)
        known = place < len(sorted_ids)
        known[known] = sorted_ids[place[known]] == self.edges[known]
        lost = self.edges[~known.all(axis=1)]
        if len(lost):
            self._fail(f"edges name nodes that are not there: {lost[:3].tolist()}")
        ends = row[order[place]].reshape(-1, 2)
        frames = cells.frame[ends]
        level = frames[:, 0] == frames[:, 1]
        if level.any():
            self._fail(f"edge {self.edges[level][0].tolist()} links two cells of frame {frames[level][0, 0]}")
        back = frames[:, 0] > frames[:, 1]
        ends[back] = ends[back][:, ::-1]
        return ends[:, 0], ends[:, 1]

    def link_features(self) -> tuple[FeatureArray, tuple[str, ...]]:
        features, names, _ = self._features("edge", self.extra.get("link_features"))
        return features, names

    def tracks(self, cells: Cells, row: IntArray, source: IntArray, target: IntArray) -> tuple[IntArray, Tracks]:
        """Return the track of each cell and the table: as stored, else the unbranched paths."""
        if set(_TRACK) <= self._about("node").keys():
            track, start, end, parent = (_at_rows(self._integers(name), row) for name in _TRACK)
            ids, first = np.unique(track, return_index=True)
            return track, Tracks(ids, start[first], end[first], parent[first])
        path_of = _paths(len(cells), source, target)
        tracklet = (self.metadata.track_node_props or {}).get("tracklet")
        name = _at_rows(self._integers(tracklet), row) if tracklet in self._about("node") else path_of + 1
        track = _named(path_of, name)
        ids, first = np.unique(track, return_index=True)
        last = len(track) - 1 - np.unique(track[::-1], return_index=True)[1]
        parent = np.zeros(len(ids), np.int64)
        across = track[source] != track[target]
        parent[np.searchsorted(ids, track[target][across])] = track[source][across]
        return track, Tracks(ids, cells.frame[first], cells.frame[last], parent)

    def _frame(self) -> IntArray:
        axis = next((a for a in self.metadata.axes or [] if a.type == "time"), None)
        name = axis.name if axis else next((n for n in _TIME_NAMES if n in self._about("node")), None)
        if name is None:
            self._fail("no time axis and no property 't': the frame of each cell is missing")
        time = self._column("node", name).astype(np.float64)
        if axis is not None and axis.unit not in (None, "frame") and len(time):
            steps = np.diff(np.unique(time))
            time = time / (steps.min() if len(steps) else 1)
        frame = np.rint(time)
        if not np.allclose(time, frame, rtol=0, atol=1e-3) or (len(frame) and frame.min() < 0):
            self._fail(
                f"the time axis '{name}' does not count frames from 0: {self._column('node', name)[:5].tolist()}"
            )
        return frame.astype(np.int64)

    def _label(self) -> IntArray:
        name = self._label_name()
        if name is None:
            self._fail("no property 'seg_id' ties the cells to the labels of their masks")
        return self._integers(name)

    def _label_name(self) -> str | None:
        related = [o.node_prop for o in self.metadata.related_objects or [] if o.type == "labels"]
        return next((n for n in (*related, *_LABEL_NAMES) if n in self._about("node")), None)

    def _position(self) -> tuple[FloatArray, tuple[float, ...], str]:
        axes = [a for a in self.metadata.axes or [] if a.type == "space" or (a.type is None and a.name in _SPACE)]
        if not axes:
            axes = [Axis(name=name, type="space") for name in _SPACE if name in self._about("node")]
        if {axis.name for axis in axes} <= set(_SPACE):
            axes.sort(key=lambda axis: _SPACE.index(axis.name))
        if len(axes) not in (2, 3):
            self._fail(f"{len(axes)} axes of space; the positions of cells need [z], y and x")
        units = [str(axis.scaled_unit or axis.unit or "pixel") for axis in axes]
        physical = all(unit in _MICROMETRES for unit in units)
        factor = [_MICROMETRES[unit] if physical else 1.0 for unit in units]
        scale = [float(axis.scale or 1) * f for axis, f in zip(axes, factor, strict=True)]
        # Positions that come in micrometres already say nothing of the voxel size.
        spacing = tuple(s if axis.scale else 1.0 for s, axis in zip(scale, axes, strict=True))
        exact = [axis.name + _EXACT if self.own else "" for axis in axes]
        columns = [
            self._column("node", name) if name in self._about("node") else self._column("node", axis.name) * s
            for name, axis, s in zip(exact, axes, scale, strict=True)
        ]
        position = np.column_stack(columns).astype(np.float64)
        if not np.isfinite(position).all():
            self._fail("positions that are missing or not finite")
        return position, spacing, "um" if physical else "pixel"

    def _features(self, kind: str, names: list[str] | None) -> tuple[FeatureArray, tuple[str, ...], tuple[str, ...]]:
        """Return the named, else all numeric properties as float32 columns with names and units."""
        about = self._about(kind)
        if names is None:
            leave = self._meant_otherwise() if kind == "node" else frozenset()
            names = [name for name in about if name not in leave and self._is_number(kind, name)]
        missing = [name for name in names if name not in about]
        if missing:
            self._fail(f"the {kind} properties {missing} are missing")
        n = len(self.ids) if kind == "node" else len(self.edges)
        features = np.empty((n, len(names)), np.float32)
        for k, name in enumerate(names):
            features[:, k] = self._column(kind, name)
        return features, tuple(names), tuple(about[name].unit or "" for name in names)

    def _meant_otherwise(self) -> frozenset[str | None]:
        axes = [axis.name for axis in self.metadata.axes or []]
        tracks = (self.metadata.track_node_props or {}).values()
        label = [self._label_name()]
        return frozenset([*axes, *tracks, *label, *_TRACK, *_LABEL_NAMES, *_TIME_NAMES, *_SPACE])

    def _is_number(self, kind: str, name: str) -> bool:
        meta = self._about(kind)[name]
        return not meta.varlength and np.dtype(meta.dtype).kind in "biuf" and self._load(kind, name)["values"].ndim == 1

    def _about(self, kind: str) -> dict[str, PropMetadata]:
        metadata = self.metadata
        about: dict[str, PropMetadata] = (
            metadata.node_props_metadata if kind == "node" else metadata.edge_props_metadata
        )
        return about

    def _integers(self, name: str) -> IntArray:
        values = self._column("node", name)
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            self._fail(f"property '{name}' must hold an integer for every node")
        return values.astype(np.int64)

    def _column(self, kind: str, name: str) -> np.ndarray:
        """Return a property; where another tool left values out it is float with NaN there."""
        if name not in self._about(kind):
            self._fail(f"the {kind} property '{name}' is missing")
        if not self._is_number(kind, name):
            self._fail(f"the {kind} property '{name}' is {self._about(kind)[name].dtype}; it must hold one number each")
        stored = self._load(kind, name)
        with _reading(self.path):
            values = np.asarray(stored["values"][:])
            missing = np.asarray(stored["missing"][:], bool) if "missing" in stored else np.zeros(0, bool)
        return np.where(missing, np.nan, values.astype(np.float64)) if missing.any() else values

    def _load(self, kind: str, name: str) -> Any:
        with _reading(self.path):
            if kind == "node":
                self.reader.read_node_props([name])
                return self.reader.node_props[name]
            self.reader.read_edge_props([name])
            return self.reader.edge_props[name]

    def _fail(self, problem: str) -> NoReturn:
        msg = f"{self.path}: {problem}"
        raise FormatError(msg)


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """Turn what zarr, its codecs and the GEFF reader raise on a broken file into one kind of error."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        if not any((Path(path) / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs")):
            msg = f"{path}: no GEFF could be read: the folder is none; give what 'build-graph' or 'solve' wrote"
            raise FormatError(msg) from error
        msg = f"{path}: no GEFF could be read: {type(error).__name__}: {error}"
        raise FormatError(msg) from error


@contextmanager
def _naming(path: str | Path) -> Iterator[None]:
    """Put the file's name in front of what the tables find wrong with it."""
    try:
        yield
    except FormatError as error:
        msg = f"{path}: {error}"
        raise FormatError(msg) from None


# ------------------------------------------------------------------------------------------- both


def _paths(n: int, source: IntArray, target: IntArray) -> IntArray:
    """Return for each of n cells the number of its unbranched path: GEFF's tracklet."""
    alone = (np.bincount(source, minlength=n)[source] == 1) & (np.bincount(target, minlength=n)[target] == 1)
    return label_components(n, source[alone], target[alone])


def _named(group: IntArray, name: IntArray) -> IntArray:
    """Name each group of cells by its first cell's name if that tells the groups apart, else by numbers from 1."""
    groups, first = np.unique(group, return_index=True)
    names = name[first]
    if len(np.unique(names)) < len(groups) or (names <= 0).any():
        return group + 1
    return names[np.searchsorted(groups, group)]


def _refuse_merges(path: str | Path, cells: Cells, target: IntArray) -> None:
    into = np.bincount(target, minlength=len(cells))
    if (into > 1).any():
        worst = int(np.argmax(into > 1))
        msg = (
            f"{path}: cell {cells.label[worst]} of frame {cells.frame[worst]} has {into[worst]} links into it, a cell "
            f"of a lineage at most one; if these are candidates, solve the graph first"
        )
        raise FormatError(msg)


def _at_rows(values: IntArray, row: IntArray) -> IntArray:
    out = np.empty_like(values)
    out[row] = values
    return out


def _axes(ndim: int) -> tuple[str, ...]:
    return _SPACE[-ndim:]


def _box(position: FloatArray, spacing: tuple[float, ...]) -> list[int]:
    """Return the smallest frame, in pixels, that holds all positions."""
    if not len(position):
        return [1] * len(spacing)
    return [max(1, math.ceil(top / step) + 1) for top, step in zip(position.max(0), spacing, strict=True)]
