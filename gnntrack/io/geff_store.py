"""Reading the columns of a GEFF: cells, links and their features, from a file of gnntrack or of another tool."""

from __future__ import annotations

import math
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from gnntrack.durations import convert_duration
from gnntrack.errors import FormatError
from gnntrack.io.geff_columns import EXACT, EXTRA, SEG_ID, SPACE, TRACK
from gnntrack.types import Cells, Provenance

if TYPE_CHECKING:
    from geff import GeffReader
    from geff_spec import Axis, GeffMetadata, PropMetadata

    from gnntrack.types import FeatureArray, FloatArray, IntArray

__all__ = ["GeffStore", "add_file_name", "reorder"]

_MICROMETRES = {"micrometer": 1.0, "micron": 1.0, "um": 1.0, "µm": 1.0, "nanometer": 1e-3, "millimeter": 1e3}
_LABEL_NAMES = (SEG_ID, "label", "segmentation_id", "mask_id")
_TIME_NAMES = ("t", "frame", "time")
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
        with _convert_errors(path):
            self.reader = _open_reader(path)
            self.ids: np.ndarray = np.asarray(self.reader.nodes[:])
            self.edges: np.ndarray = np.asarray(self.reader.edges[:]).reshape(-1, 2)
        self.metadata: GeffMetadata = self.reader.metadata
        extra = (self.metadata.extra or {}).get(EXTRA)
        self.own = isinstance(extra, dict) and {"n_frames", "shape", "cell_features", "link_features"} <= extra.keys()
        self.extra: dict[str, Any] = extra if self.own and isinstance(extra, dict) else {}

    @property
    def holds_lineage(self) -> bool:
        """Whether gnntrack wrote the file from a lineage."""
        return self.own and self.extra.get("kind") == "lineage"

    @property
    def provenance(self) -> Provenance:
        """The provenance that gnntrack stored; for a file of another tool only the frame interval, if it is known."""
        stored = Provenance.from_dict(self.extra.get("notes") or {})
        return stored if self.own else stored.replace(interval=self._read_interval())

    def read_cells(self) -> tuple[Cells, IntArray]:
        """Return the cells, and the row of each stored node among them."""
        frame, label = self._read_frames(), self._read_labels()
        order = np.lexsort((label, frame))
        position, spacing, unit = self._read_positions()
        features, names, units = self._read_features("node", self.extra.get("cell_features"))
        shape = self.extra.get("shape") or _compute_shape(position, spacing)
        n_frames = self.extra.get("n_frames", int(frame.max()) + 1 if len(frame) else 0)
        row = np.empty(len(order), np.int64)
        row[order] = np.arange(len(order))
        with add_file_name(self.path):
            cells = Cells(
                frame[order], label[order], position[order], features[order], names, units,
                spacing, int(n_frames), tuple(int(size) for size in shape), unit,
            )  # fmt: skip
        return cells, row

    def read_links(self, cells: Cells, row: IntArray) -> tuple[IntArray, IntArray]:
        """Return source and target rows of each edge, in the stored order, forward in time."""
        order = np.argsort(self.ids, kind="stable")
        sorted_ids = self.ids[order]
        if len(sorted_ids) and (sorted_ids[1:] == sorted_ids[:-1]).any():
            self._fail("node ids occur twice; expected a different id for each node")
        place = np.searchsorted(sorted_ids, self.edges)
        known = place < len(sorted_ids)
        known[known] = sorted_ids[place[known]] == self.edges[known]
        lost = self.edges[~known.all(axis=1)]
        if len(lost):
            self._fail(f"edges name nodes that are not there: {lost[:3].tolist()}; add the nodes or remove the edges")
        ends = row[order[place]].reshape(-1, 2)
        frames = cells.frame[ends]
        level = frames[:, 0] == frames[:, 1]
        if level.any():
            self._fail(
                f"edge {self.edges[level][0].tolist()} links two cells of frame {frames[level][0, 0]}; "
                "expected cells of different frames"
            )
        back = frames[:, 0] > frames[:, 1]
        ends[back] = ends[back][:, ::-1]
        return ends[:, 0], ends[:, 1]

    def read_link_features(self) -> tuple[FeatureArray, tuple[str, ...]]:
        """Return the features of the edges, (E, F) float32, and their names."""
        features, names, _ = self._read_features("edge", self.extra.get("link_features"))
        return features, names

    def read_track_columns(self) -> tuple[IntArray, ...] | None:
        """Return track, start, end and parent of each node, or None if they are not stored."""
        if not set(TRACK) <= self._get_metadata("node").keys():
            return None
        return tuple(self._read_integers(name) for name in TRACK)

    def read_tracklets(self) -> IntArray | None:
        """Return the tracklet id of each node, or None if the metadata do not name such a property."""
        name = (self.metadata.track_node_props or {}).get("tracklet")
        return self._read_integers(name) if name in self._get_metadata("node") else None

    def _read_frames(self) -> IntArray:
        axis = next((a for a in self.metadata.axes or [] if a.type == "time"), None)
        name = axis.name if axis else next((n for n in _TIME_NAMES if n in self._get_metadata("node")), None)
        if name is None:
            self._fail("the frame of each cell is missing; expected a time axis or a property 't'")
        stored = self._read_column("node", name)
        time = stored.astype(np.float64)
        if axis is not None and axis.unit not in (None, "frame"):
            time = _convert_to_frames(time)
        frame = np.rint(time)
        if not np.allclose(time, frame, rtol=0, atol=1e-3) or (frame < 0).any():
            self._fail(f"the time axis '{name}' does not count frames from 0, but begins with {stored[:5].tolist()}")
        return frame.astype(np.int64)

    def _read_interval(self) -> float | None:
        """Return the seconds between frames: the scale of an axis of frames, or the shortest step of one of times."""
        axis = next((a for a in self.metadata.axes or [] if a.type == "time"), None)
        if axis is None:
            return None
        if convert_duration(1, str(axis.unit or "")) is None:
            return convert_duration(axis.scale, str(axis.scaled_unit or ""))
        steps = np.diff(np.unique(self._read_column("node", axis.name).astype(np.float64)))
        return convert_duration(steps.min(), str(axis.unit)) if len(steps) else None

    def _read_labels(self) -> IntArray:
        name = self._find_label_name()
        if name is None:
            names = ", ".join(map(repr, _LABEL_NAMES))
            self._fail(f"the cells' labels in the masks are missing (no property 'seg_id'); expected one of {names}")
        return self._read_integers(name)

    def _find_label_name(self) -> str | None:
        related = [o.node_prop for o in self.metadata.related_objects or [] if o.type == "labels"]
        return next((n for n in (*related, *_LABEL_NAMES) if n in self._get_metadata("node")), None)

    def _read_positions(self) -> tuple[FloatArray, tuple[float, ...], str]:
        axes = self._find_space_axes()
        scale, unit = _read_scale(axes)
        # positions that are stored in micrometres do not give the voxel size
        spacing = tuple(s if axis.scale else 1.0 for s, axis in zip(scale, axes, strict=True))
        columns = [self._read_position(axis.name, s) for axis, s in zip(axes, scale, strict=True)]
        position = np.column_stack(columns).astype(np.float64)
        if not np.isfinite(position).all():
            self._fail("some positions are missing or not finite; expected a position for every node")
        return position, spacing, unit

    def _read_position(self, axis: str, scale: float) -> np.ndarray:
        """Return the positions along an axis: exact ones if gnntrack has stored them, else those in the axis' unit."""
        if self.own and axis + EXACT in self._get_metadata("node"):
            return self._read_column("node", axis + EXACT)
        return self._read_column("node", axis) * scale

    def _find_space_axes(self) -> list[Axis]:
        axes = [a for a in self.metadata.axes or [] if a.type == "space" or (a.type is None and a.name in SPACE)]
        if not axes:
            from geff_spec import Axis

            axes = [Axis(name=name, type="space") for name in SPACE if name in self._get_metadata("node")]
        if {axis.name for axis in axes} <= set(SPACE):
            axes.sort(key=lambda axis: SPACE.index(axis.name))
        if len(axes) not in (2, 3):
            self._fail(f"{len(axes)} axes of space; the positions of cells need [z], y and x")
        return axes

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
            features[:, k] = self._read_column(kind, name)
        units = tuple(about[name].unit or "" for name in names)
        return features, tuple(_RENAMED.get(name, name) if self.own else name for name in names), units

    def _find_feature_names(self, kind: str) -> list[str]:
        excluded = self._list_other_names() if kind == "node" else frozenset()
        return [name for name in self._get_metadata(kind) if name not in excluded and self._is_number(kind, name)]

    def _list_other_names(self) -> frozenset[str | None]:
        """Return the names of properties that are not features: axes, tracks, labels."""
        axes = [axis.name for axis in self.metadata.axes or []]
        tracks = (self.metadata.track_node_props or {}).values()
        label = [self._find_label_name()]
        return frozenset([*axes, *tracks, *label, *TRACK, *_LABEL_NAMES, *_TIME_NAMES, *SPACE])

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
        with _convert_errors(self.path):
            if kind == "node":
                self.reader.read_node_props([name])
                return self.reader.node_props[name]
            self.reader.read_edge_props([name])
            return self.reader.edge_props[name]

    def _fail(self, problem: str) -> NoReturn:
        msg = f"{self.path}: {problem}"
        raise FormatError(msg)


def _convert_to_frames(time: FloatArray) -> FloatArray:
    """Return times divided by the shortest time between two frames."""
    steps = np.diff(np.unique(time))
    return time / steps.min() if len(steps) else time


def _open_reader(path: str | Path) -> GeffReader:
    with warnings.catch_warnings():  # zarr and its codecs warn of future changes at import
        warnings.simplefilter("ignore")
        from geff import GeffReader
    return GeffReader(str(path))


def _read_scale(axes: list[Axis]) -> tuple[list[float], str]:
    """Return the factors from stored positions to um, or to pixels if a unit is unknown, and the unit."""
    units = [str(axis.scaled_unit or axis.unit or "pixel") for axis in axes]
    physical = all(unit in _MICROMETRES for unit in units)
    factor = [_MICROMETRES[unit] if physical else 1.0 for unit in units]
    return [float(axis.scale or 1) * f for axis, f in zip(axes, factor, strict=True)], "um" if physical else "pixel"


@contextmanager
def add_file_name(path: str | Path) -> Iterator[None]:
    """Put the name of the file in front of the message of a `FormatError`."""
    try:
        yield
    except FormatError as error:
        msg = f"{path}: {error}"
        raise FormatError(msg) from None


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
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, zlib.error) as error:
        if not any((Path(path) / name).exists() for name in ("zarr.json", ".zgroup", ".zattrs")):
            msg = f"{path}: not a GEFF: the folder holds no zarr group; give an output of 'build-graph' or 'solve'"
            raise FormatError(msg) from error
        msg = f"{path}: the GEFF is damaged or not valid ({type(error).__name__}: {error}); write it again"
        raise FormatError(msg) from error


def _compute_shape(position: FloatArray, spacing: tuple[float, ...]) -> list[int]:
    """Return the smallest shape of a frame, in pixels, that holds all positions."""
    if not len(position):
        return [1] * len(spacing)
    return [max(1, math.ceil(top / step) + 1) for top, step in zip(position.max(0), spacing, strict=True)]
