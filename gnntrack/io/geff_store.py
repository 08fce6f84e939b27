"""Reading the columns of a GEFF: cells, links and their features, from a file of gnntrack or of another tool."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gnntrack.components import count_within_frames
from gnntrack.durations import convert_duration, is_duration_unit
from gnntrack.errors import FormatError
from gnntrack.io.geff_axes import (
    convert_times,
    find_frame_property,
    find_letters,
    find_space_names,
    find_time_name,
    read_scales,
    sort_space_axes,
)
from gnntrack.io.geff_columns import EXACT, EXTRA, FUSION, INPUT_ID, ORIGINS, POINT_ID, SEG_ID, SPACE, TRACK
from gnntrack.io.geff_extras import check_axes, check_extras
from gnntrack.io.geff_reader import open_reader
from gnntrack.io.limits import MAX_FRAMES
from gnntrack.io.stack import UNREADABLE
from gnntrack.io.zarr_checks import check_store
from gnntrack.json_files import read_json
from gnntrack.plurals import count_noun
from gnntrack.types import Cells, Fusions, Provenance

if TYPE_CHECKING:
    from geff_spec import Axis, GeffMetadata, PropMetadata

    from gnntrack.types import BoolArray, FeatureArray, FloatArray, IntArray

__all__ = ["GeffStore", "add_file_name", "is_geff", "reorder"]

_log = logging.getLogger(__name__)

_LABEL_NAMES = (SEG_ID, "label", "segmentation_id", "mask_id")
_ZSCORES = ("size", "elongation", "ellipsoid_fill", *(f"intensity_{name}" for name in ("mean", "std", "min", "max")))
_RENAMED = {f"{name}_z": f"{name}_zscore" for name in _ZSCORES}  # features by their names in files of gnntrack 0.1.0
_RENAMED |= {"intensity_mean_z_difference": "intensity_mean_zscore_difference"}


class GeffStore:
    """An open GEFF: its metadata, and its columns, each read when it is needed.

    Parameters
    ----------
    path : path
        The folder that holds ``nodes`` and ``edges``.

    Raises
    ------
    FormatError
        If `path` is not a GEFF. Each method raises it too, if the data that it reads are missing or not valid.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        if not Path(path).is_dir():
            msg = f"{path}: no such folder; expected a GEFF, which is a folder with 'nodes' and 'edges'"
            raise FormatError(msg)
        check_store(Path(path))
        with _convert_errors(path):
            self.reader = open_reader(path)
            self.ids: np.ndarray = np.asarray(self.reader.nodes[:])
            self.edges: np.ndarray = np.asarray(self.reader.edges[:]).reshape(-1, 2)
        if len(np.unique(self.ids)) < len(self.ids):
            self._fail("node ids occur twice; expected a different id for each node")
        self.metadata: GeffMetadata = self.reader.metadata
        extra = (self.metadata.extra or {}).get(EXTRA)
        self.own = isinstance(extra, dict) and {"n_frames", "shape", "cell_features", "link_features"} <= extra.keys()
        self.extra: dict[str, Any] = extra if self.own and isinstance(extra, dict) else {}
        with add_file_name(path):
            check_extras(self.extra)
            check_axes(self.metadata.axes or [])
        self._fused = self._find_fusions()
        self.edges, self._fusion_edges = self.edges[~self._fused], self.edges[self._fused]

    @property
    def has_labels(self) -> bool:
        """Whether a property holds the label of each cell in masks."""
        return self._find_label_name() is not None and not self._label_fault

    @cached_property
    def _label_fault(self) -> str:
        """Why the property of labels does not hold labels of masks; nothing if it does."""
        name = self._find_label_name() or ""
        frame, label = self._read_frames(), self._read_integers(name)
        wrong = np.flatnonzero(label < 1)
        if len(wrong):
            return f"the property '{name}' has the label {label[wrong[0]]} in frame {frame[wrong[0]]}"
        pairs, count = np.unique(np.column_stack([frame, label]), axis=0, return_counts=True)
        for at, double in pairs[count > 1].tolist():
            return f"the property '{name}' has the label {double} twice in frame {at}"
        return ""

    @property
    def holds_points(self) -> bool:
        """Whether gnntrack wrote the file from points, which have no labels in masks."""
        return bool(self.extra.get("points"))

    @property
    def lacks_labels(self) -> bool:
        """Whether another program wrote the file from points: nothing in it stands for masks."""
        related = self.metadata.related_objects or []
        return not self.own and self._find_label_name() is None and all(each.type != "labels" for each in related)

    @property
    def holds_lineage(self) -> bool:
        """Whether gnntrack wrote the file from a lineage."""
        return self.own and self.extra.get("kind") == "lineage"

    @property
    def provenance(self) -> Provenance:
        """The provenance that gnntrack stored; for a file of another tool only the frame interval, if it is known."""
        with add_file_name(self.path):
            stored = Provenance.from_dict(self.extra.get("notes") or {})
        return stored if self.own else stored.replace(interval=self._read_interval())

    def read_cells(self, *, points: bool = False) -> tuple[Cells, IntArray]:
        """Return the cells, and the row of each stored node among them; `points`: as of `gnntrack.io.read_lineage`."""
        frame = self._read_frames()
        label = self._number_cells(frame, points=points)
        order = np.lexsort((label, frame))
        ids = self._read_integers(INPUT_ID)[order] if self.own and INPUT_ID in self._get_metadata("node") else None
        position, origin, spacing, unit = self._read_positions()
        features, names, units = self._read_features("node", self.extra.get("cell_features"))
        shape = self.extra.get("shape") or _compute_shape(position - origin, spacing)
        n_frames = self.extra.get("n_frames", int(frame.max()) + 1 if len(frame) else 0)
        row = np.empty(len(order), np.int64)
        row[order] = np.arange(len(order))
        with add_file_name(self.path):
            cells = Cells(
                frame[order], label[order], position[order], features[order], names, units,
                spacing, int(n_frames), tuple(int(size) for size in shape), unit,
                self.holds_points or (points and self.lacks_labels), ids,
            )  # fmt: skip
        return cells, row

    def _number_cells(self, frame: IntArray, *, points: bool) -> IntArray:
        """Return the label of each cell, which differs from the others of its frame."""
        if points and self._find_label_name() is not None and self._label_fault:
            _log.warning("%s: %s; cells are numbered in each frame instead", self.path, self._label_fault)
        if self.holds_points:
            return self._read_integers(POINT_ID)
        return count_within_frames(frame) if points and not self.has_labels else self._read_labels()

    def read_points(self) -> tuple[IntArray, FloatArray, tuple[float, ...], str]:
        """Return frame and position of each stored node, (N,) and (N, D), the voxel size, and the unit of both."""
        position, _, spacing, unit = self._read_positions()
        return self._read_frames(), position, spacing, unit

    def read_links(self, cells: Cells, row: IntArray) -> tuple[IntArray, IntArray]:
        """Return source and target rows of each link, in the stored order, forward in time."""
        return self.find_ends(cells.frame, row)

    def read_fusions(self, cells: Cells, row: IntArray) -> Fusions:
        """Return the edges that are fusions; they are not among the links."""
        return Fusions(*self._find_rows(self._fusion_edges, cells.frame, row))

    def find_ends(self, frames: IntArray, row: IntArray) -> tuple[IntArray, IntArray]:
        """Return source and target rows of each link, in the stored order, forward in time.

        Parameters
        ----------
        frames : (N,) int64
            Frame of each row.
        row : (N,) int64
            Row of each stored node.
        """
        return self._find_rows(self.edges, frames, row)

    def _find_rows(self, edges: np.ndarray, frames: IntArray, row: IntArray) -> tuple[IntArray, IntArray]:
        order = np.argsort(self.ids, kind="stable")
        sorted_ids = self.ids[order]
        place = np.searchsorted(sorted_ids, edges)
        known = place < len(sorted_ids)
        known[known] = sorted_ids[place[known]] == edges[known]
        lost = edges[~known.all(axis=1)]
        if len(lost):
            self._fail(f"edges name nodes that are not there: {lost[:3].tolist()}; add the nodes or remove the edges")
        ends = row[order[place]].reshape(-1, 2)
        times = frames[ends]
        level = times[:, 0] == times[:, 1]
        if level.any():
            self._fail(
                f"edge {edges[level][0].tolist()} links two cells of frame {times[level][0, 0]}; "
                "expected cells of different frames"
            )
        back = times[:, 0] > times[:, 1]
        ends[back] = ends[back][:, ::-1]
        return ends[:, 0], ends[:, 1]

    def read_link_features(self) -> tuple[FeatureArray, tuple[str, ...]]:
        """Return the features of the links, (E, F) float32, and their names."""
        features, names, _ = self._read_features("edge", self.extra.get("link_features"))
        return features, names

    def read_track_columns(self) -> tuple[IntArray, ...] | None:
        """Return track, start, end and parent of each node, or None if they are not stored."""
        if not set(TRACK) <= self._get_metadata("node").keys():
            return None
        return tuple(self._read_integers(name) for name in TRACK)

    def read_origins(self) -> tuple[IntArray, IntArray] | None:
        """Return the label in the input and the kind of mask of each node, if the file is ours and has them."""
        if not self.own or not set(ORIGINS) <= set(self._get_metadata("node")):
            return None
        label, kind = map(self._read_integers, ORIGINS)
        return label, kind

    def read_tracklets(self) -> IntArray | None:
        """Return the tracklet id of each node, or None if the metadata do not name such a property."""
        name = (self.metadata.track_node_props or {}).get("tracklet")
        return self._read_integers(name) if name in self._get_metadata("node") else None

    def _find_fusions(self) -> BoolArray:
        """Return which edges are fusions, shape (E,); none of candidate links."""
        known = FUSION in self._get_metadata("edge") and (self.holds_lineage or not self.own)
        return self._read_column("edge", FUSION) == 1 if known else np.zeros(len(self.edges), bool)

    def _read_frames(self) -> IntArray:
        axis = self._find_time_axis()
        name = axis.name if axis else find_time_name(self._get_metadata("node"))
        if name is None:
            self._fail("the frame of each cell is missing; expected a time axis or a property 't'")
        stored = self._read_column("node", name)
        time = stored.astype(np.float64)
        counted = None
        if axis is not None and is_duration_unit(axis.unit):
            others = [other for other in self._get_metadata("node") if other != name]
            counted = find_frame_property(others, self._read_numbers, time)
        time = convert_times(time, axis) if counted is None else counted
        frame = np.rint(time)
        if not np.allclose(time, frame, rtol=0, atol=1e-3) or (frame < 0).any():
            self._fail(f"the time axis '{name}' does not count frames from 0, but begins with {stored[:5].tolist()}")
        if frame.max(initial=0) >= MAX_FRAMES:
            self._fail(f"the time axis '{name}' has the frame {frame.max():g}; expected 0 to {MAX_FRAMES - 1}")
        return frame.astype(np.int64)

    def _find_time_axis(self) -> Axis | None:
        axes = self.metadata.axes or []
        typed = [axis for axis in axes if axis.type == "time"]
        return next(iter(typed or (axis for axis in axes if axis.type is None and find_time_name([axis.name]))), None)

    def _read_interval(self) -> float | None:
        """Return the seconds between frames: the scale of an axis of frames, or the mean step of one of times."""
        axis = self._find_time_axis()
        if axis is None:
            return None
        if not is_duration_unit(axis.unit):
            return convert_duration(axis.scale, str(axis.scaled_unit or ""))
        frame, time = self._read_frames(), self._read_column("node", axis.name).astype(np.float64)
        if not len(frame) or frame.min() == frame.max():
            return None
        first, last = frame.argmin(), frame.argmax()
        return convert_duration((time[last] - time[first]) / (frame[last] - frame[first]), str(axis.unit))

    def _read_labels(self) -> IntArray:
        name = self._find_label_name()
        if name is None:
            listed = ", ".join(repr(name) for name in self._get_metadata("node"))
            self._fail(
                f"the cells' labels in the masks are missing: no property {' or '.join(map(repr, _LABEL_NAMES))}; the "
                f"properties are {listed or 'none'}. If one of them is the label, name it in the metadata of the file, "
                '"related_objects": [{"type": "labels", "path": MASKS, "node_prop": NAME}]; if none is, write the file '
                "again with the segmentation (labels) included, or track the masks (gnntrack track IMAGES MASKS) or "
                f"the points (gnntrack track --points {self.path})"
            )
        if self._label_fault:
            self._fail(f"{self._label_fault}; expected a label > 0, different from the others of its frame")
        return self._read_integers(name)

    def _find_label_name(self) -> str | None:
        """Return the property of labels: the one that the metadata name, else one with a usual name and numbers."""
        about = self._get_metadata("node")
        for related in self.metadata.related_objects or []:
            # 'label_prop' is deprecated; as an attribute it would warn
            name = related.node_prop or vars(related).get("label_prop")
            if related.type == "labels" and name in about:
                return str(name)
        plain = {name.casefold(): name for name in reversed(list(about))}
        found = [name if name in about else plain.get(name) for name in _LABEL_NAMES]
        return next((name for name in found if name is not None and self._is_number("node", name)), None)

    def _read_positions(self) -> tuple[FloatArray, FloatArray, tuple[float, ...], str]:
        """Return the positions, that of the corner of the frames, the voxel size, and the unit of all three."""
        axes = self._find_space_axes()
        scale, offset, unit, unknown = read_scales(axes)
        if unknown:
            _log.warning(
                "%s: unit '%s' of the axes of space is not a known length; positions are read as pixels: use a unit "
                "such as 'micrometer'",
                self.path,
                unknown[0],
            )
        # positions that are stored in micrometres do not give the voxel size
        spacing = tuple(s if axis.scale else 1.0 for s, axis in zip(scale, axes, strict=True))
        columns = [self._read_position(axis.name, s, o) for axis, s, o in zip(axes, scale, offset, strict=True)]
        position = np.column_stack(columns).astype(np.float64)
        if not np.isfinite(position).all():
            self._fail("some positions are missing or not finite; expected a position for every node")
        return position, np.array(offset), spacing, unit

    def _read_position(self, axis: str, scale: float, offset: float) -> np.ndarray:
        """Return the positions along an axis: exact ones if gnntrack has stored them, else those in the axis' unit."""
        if self.own and axis + EXACT in self._get_metadata("node"):
            return self._read_column("node", axis + EXACT)
        stored = self._read_column("node", axis) * scale
        return stored + offset if offset else stored

    def _find_space_axes(self) -> list[Axis]:
        """Return the axes of space in the order [z], y, x."""
        listed = self.metadata.axes or []
        axes = [a for a in listed if a.type == "space" or (a.type is None and find_letters([a.name])[0])]
        if not axes:
            from geff_spec import Axis

            axes = [Axis(name=name, type="space") for name in find_space_names(self._get_metadata("node"))]
        if len(axes) not in (2, 3):
            self._fail(f"{count_noun(len(axes), 'axis', 'axes')} of space; the positions of cells need [z], y and x")
        ordered, known = sort_space_axes(axes, self.metadata.display_hints)
        if not known:
            names = ", ".join(f"'{axis.name}'" for axis in axes)
            _log.warning(
                "%s: the names of the axes %s do not show which is x; they are read as %s, in the order of the file: "
                "names such as 'y' and 'x' decide it",
                self.path,
                names,
                ", ".join(SPACE[-len(axes) :]),
            )
        return ordered

    def _read_features(
        self, kind: str, names: list[str] | None
    ) -> tuple[FeatureArray, tuple[str, ...], tuple[str, ...]]:
        """Return the named, else all numeric properties as float32 columns with names and units."""
        about = self._get_metadata(kind)
        names = self._find_feature_names(kind) if names is None else names
        missing = [name for name in names if name not in about]
        if missing:
            self._fail(f"the {kind} properties {missing} are missing; write the file again")
        n = len(self.ids) if kind == "node" else len(self.edges)
        features = np.empty((n, len(names)), np.float32)
        for k, name in enumerate(names):
            values = self._read_column(kind, name)
            features[:, k] = values if kind == "node" else values[~self._fused]
        units = tuple(about[name].unit or "" for name in names)
        return features, tuple(_RENAMED.get(name, name) if self.own else name for name in names), units

    def _find_feature_names(self, kind: str) -> list[str]:
        excluded = self._list_other_names() if kind == "node" else frozenset([FUSION])
        return [name for name in self._get_metadata(kind) if name not in excluded and self._is_number(kind, name)]

    def _list_other_names(self) -> frozenset[str | None]:
        """Return the names of properties that are not features: axes, tracks, labels."""
        axes = [axis.name for axis in self.metadata.axes or []]
        tracks = (self.metadata.track_node_props or {}).values()
        label = [self._find_label_name()]
        times = [name for name in self._get_metadata("node") if find_time_name([name])]
        return frozenset([*axes, *tracks, *label, *TRACK, *_LABEL_NAMES, POINT_ID, INPUT_ID, *times, *SPACE])

    def _is_number(self, kind: str, name: str) -> bool:
        meta = self._get_metadata(kind)[name]
        return not meta.varlength and np.dtype(meta.dtype).kind in "biuf" and self._load(kind, name)["values"].ndim == 1

    def _get_metadata(self, kind: str) -> dict[str, PropMetadata]:
        metadata = self.metadata
        about: dict[str, PropMetadata] = (
            metadata.node_props_metadata if kind == "node" else metadata.edge_props_metadata
        )
        return about

    def _read_integers(self, name: str) -> IntArray:
        values = self._read_column("node", name)
        if not np.isfinite(values).all() or (values != np.rint(values)).any():
            self._fail(f"property '{name}' must hold an integer for every node")
        return values.astype(np.int64)

    def _read_numbers(self, name: str) -> FloatArray | None:
        """Return a property of the nodes as float, None if it does not hold one number each."""
        return self._read_column("node", name).astype(np.float64) if self._is_number("node", name) else None

    def _read_column(self, kind: str, name: str) -> np.ndarray:
        """Return a property; if another tool has marked values as missing, as float with NaN for them."""
        if name not in self._get_metadata(kind):
            self._fail(f"the {kind} property '{name}' is missing")
        if not self._is_number(kind, name):
            dtype = self._get_metadata(kind)[name].dtype
            self._fail(f"the {kind} property '{name}' is {dtype}; it must hold one number each")
        stored = self._load(kind, name)
        with _convert_errors(self.path):
            values = np.asarray(stored["values"][:])
            missing = np.asarray(stored["missing"][:], bool) if "missing" in stored else np.zeros(0, bool)
        return np.where(missing, np.nan, values.astype(np.float64)) if missing.any() else values

    def _load(self, kind: str, name: str) -> Any:
        opened, read = (
            (self.reader.node_props, self.reader.read_node_props)
            if kind == "node"
            else (self.reader.edge_props, self.reader.read_edge_props)
        )
        if name not in opened:
            with _convert_errors(self.path):
                read([name])
        return opened[name]

    def _fail(self, problem: str) -> NoReturn:
        msg = f"{self.path}: {problem}"
        raise FormatError(msg)


@contextmanager
def add_file_name(path: str | Path) -> Iterator[None]:
    """Put the name of the file in front of the message of a `FormatError`."""
    try:
        yield
    except FormatError as error:
        msg = f"{path}: {error}"
        raise FormatError(msg) from None


def is_geff(folder: Path) -> bool:
    """Return whether a folder is a zarr group with the metadata of GEFF (zarr 2 or 3)."""
    for name in (".zattrs", "zarr.json"):
        try:
            attributes = read_json(folder / name)
        except (OSError, ValueError):
            continue
        if isinstance(attributes, dict) and "geff" in (attributes.get("attributes") or attributes):
            return True
    return False


def reorder(values: IntArray, row: IntArray) -> IntArray:
    """Return values of the stored nodes in the order of the cells; `row` is the row of each node's cell."""
    out = np.empty_like(values)
    out[row] = values
    return out


@contextmanager
def _convert_errors(path: str | Path) -> Iterator[None]:
    """Raise a `FormatError` for any error of zarr, its codecs or the GEFF reader on a broken file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UNREADABLE as error:
        if not any((Path(path) / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs")):
            msg = f"{path}: not a GEFF: the folder holds no zarr group; give an output of 'build-graph' or 'solve'"
            raise FormatError(msg) from error
        msg = f"{path}: the GEFF is damaged or not valid ({type(error).__name__}: {error}); write it again"
        raise FormatError(msg) from error


def _compute_shape(position: FloatArray, spacing: tuple[float, ...]) -> list[int]:
    """Return the smallest shape of a frame, in pixels, that holds all positions."""
    if not len(position):
        return [1] * len(spacing)
    return [max(1, math.ceil(round(top / step, 6)) + 1) for top, step in zip(position.max(0), spacing, strict=True)]
