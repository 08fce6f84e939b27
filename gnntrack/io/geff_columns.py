"""Columns of a GEFF: the properties of nodes and edges, with their metadata, and how they are written.

A property is a folder of the file with one value per node or edge. This module writes; `gnntrack.io.geff_store` reads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.io.output import fresh_output
from gnntrack.io.zarr_arrays import write_array, write_group

if TYPE_CHECKING:
    from gnntrack.types import Cells, IntArray

__all__ = [
    "EXACT",
    "EXTRA",
    "FUSION",
    "INPUT_ID",
    "LINEAGE",
    "ORIGINS",
    "POINT_ID",
    "SEG_ID",
    "SPACE",
    "TRACK",
    "TRACKLET",
    "Column",
    "LaterValues",
    "to_json",
    "write_columns",
]

EXTRA = "gnntrack"
"""Key of our own metadata, under ``extra`` of the file."""
SEG_ID = "seg_id"
"""Property of a cell's label in the mask of its frame."""
POINT_ID = "point_id"
"""Property of the number of a point in its frame, in files of points without masks."""
INPUT_ID = "input_id"
"""Property of the id of a point in the table that it was read from, if that is another than its number."""
TRACK = ("track_id", "track_start", "track_end", "track_parent")
"""Properties of a cell's track: id, first and last frame, parent."""
ORIGINS = ("input_label", "mask_kind")
"""Properties of the mask of a cell: its label in the input, and the kind of mask."""
FUSION = "fusion"
"""Property of an edge, in files of lineages with fusions: whether it is one, rather than a link."""
TRACKLET, LINEAGE = "tracklet_id", "lineage_id"
SPACE = ("z", "y", "x")
EXACT = "_exact"
"""Ending of a property with positions that pixels times voxel size do not reproduce to the last bit."""

_VERSION = "1.3"
_UNIT = {"um": "micrometer", "pixel": "pixel"}


class LaterValues(NamedTuple):
    """Values that are computed when they are written: all properties of a large movie take more memory than it."""

    compute: Callable[[], np.ndarray]
    dtype: np.dtype[Any] = np.dtype(np.int64)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:  # noqa: FBT001  (of NumPy)
        return np.asarray(self.compute(), dtype)


class Column(NamedTuple):
    """Values of one property."""

    values: np.ndarray | LaterValues
    unit: str | None = None
    about: str | None = None


def write_columns(
    path: str | Path,
    cells: Cells,
    nodes: dict[str, Column],
    edges: tuple[IntArray, IntArray],
    edge_columns: dict[str, Column],
    extra: dict[str, Any],
    *,
    masks_path: str | Path | None,
    overwrite: bool,
) -> None:
    """Write cells as nodes, and links as edges.

    Parameters
    ----------
    path : path
        The folder to make.
    cells : Cells
        The nodes, with their frame, position, label and features.
    nodes : dict of Column
        Further properties of the nodes.
    edges : two (E,) int64
        Rows of source and target of each edge.
    edge_columns : dict of Column
        Properties of the edges.
    extra : dict
        Our own metadata, as JSON values.
    masks_path, overwrite
        As of `gnntrack.io.geff.write_graph`.

    Raises
    ------
    OutputError, FormatError
        As of `write_graph`.
    """
    columns = _collect_cell_columns(cells) | nodes
    features = dict(zip(cells.feature_names, zip(cells.features.T, cells.feature_units, strict=True), strict=True))
    _check_names(path, cells.feature_names, taken=(*columns, *TRACK, TRACKLET, LINEAGE))
    _check_names(path, tuple(edge_columns), taken=())
    columns |= {name: Column(values, unit or None) for name, (values, unit) in features.items()}
    shape = [int(size) for size in cells.shape]
    extra |= {"n_frames": int(cells.n_frames), "shape": shape, "cell_features": list(cells.feature_names)}
    if cells.points:
        extra["points"] = True
    metadata = _build_metadata(path, cells, columns, edge_columns, extra, masks_path)
    with fresh_output(path, overwrite=overwrite) as temporary:
        write_group(temporary, {"geff": metadata})
        _write_properties(temporary / "nodes", lambda: np.arange(len(cells)), columns)
        _write_properties(temporary / "edges", lambda: np.column_stack(edges), edge_columns)


def _write_properties(folder: Path, number: Callable[[], IntArray], columns: dict[str, Column]) -> None:
    write_group(folder)
    write_array(folder / "ids", number().view(np.uint64))
    write_group(folder / "props")
    for name, column in columns.items():
        write_array(write_group(folder / "props" / name) / "values", np.asarray(column.values))


def to_json(value: Any, where: str) -> Any:
    """Return a value as plain JSON values; a number that is not finite, which JSON does not have, becomes None.

    Parameters
    ----------
    value : any
        Nested dicts, lists and tuples of numbers, text, booleans, None, or numpy arrays.
    where : str
        Name of the value, for messages: ``"notes"``.

    Raises
    ------
    FormatError
        If it holds anything else.
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): to_json(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, f"{where}[{k}]") for k, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    msg = f"{where} is a {type(value).__name__}; expected plain JSON values: text, numbers, lists and dicts of them"
    raise FormatError(msg)


def _build_metadata(
    path: str | Path,
    cells: Cells,
    nodes: dict[str, Column],
    edges: dict[str, Column],
    extra: dict[str, Any],
    masks_path: str | Path | None,
) -> dict[str, Any]:
    """Return the metadata of the specification (``geff_spec.GeffMetadata``) as JSON values."""
    interval = (extra.get("notes") or {}).get("interval")
    time: dict[str, Any] = {"name": "t", "type": "time", "unit": "frame"}
    time |= {"scale": interval, "scaled_unit": None if interval is None else "second"}
    axes = [time | _find_range(nodes["t"])]
    for name, scale in zip(SPACE[-cells.ndim :], cells.spacing, strict=True):
        axis: dict[str, Any] = {
            "name": name,
            "type": "space",
            "unit": "pixel",
            "scale": float(scale),
            "scaled_unit": _UNIT[cells.unit],
        }
        axes.append(axis | _find_range(nodes[name]))
    related = None
    if masks_path is not None:
        related = [{"type": "labels", "path": _make_relative(masks_path, path), "node_prop": SEG_ID}]
    return {
        "geff_version": _VERSION,
        "directed": True,
        "axes": axes,
        "node_props_metadata": {name: _describe(name, column) for name, column in nodes.items()},
        "edge_props_metadata": {name: _describe(name, column) for name, column in edges.items()},
        "track_node_props": {"tracklet": TRACKLET, "lineage": LINEAGE} if TRACKLET in nodes else None,
        "related_objects": related,
        "display_hints": {
            "display_horizontal": "x",
            "display_vertical": "y",
            "display_depth": "z" if cells.ndim == 3 else None,
            "display_time": "t",
        },
        "extra": {EXTRA: extra},
    }


def _find_range(column: Column) -> dict[str, float | None]:
    values = np.asarray(column.values)
    return {"min": float(values.min()), "max": float(values.max())} if len(values) else {"min": None, "max": None}


def _collect_cell_columns(cells: Cells) -> dict[str, Column]:
    columns = {"t": Column(cells.frame, "frame")}
    for name, position, step in zip(SPACE[-cells.ndim :], cells.position.T, cells.spacing, strict=True):
        pixels = LaterValues(partial(np.divide, position, step), position.dtype)
        columns[name] = Column(pixels, "pixel", "centroid")
        if not np.array_equal(position / step * step, position):
            columns[name + EXACT] = Column(position, cells.unit, "centroid that pixels cannot tell to the last bit")
    if cells.points:
        columns[POINT_ID] = Column(cells.label, about="number of the point within its frame")
        if cells.ids is not None:
            columns[INPUT_ID] = Column(cells.ids, about="id of the point in the input, -1 = none")
    else:
        columns[SEG_ID] = Column(cells.label, about="label of the cell's pixels in the mask of its frame")
    return columns


def _describe(name: str, column: Column) -> dict[str, Any]:
    about = {"identifier": name, "dtype": str(column.values.dtype), "varlength": False}
    return about | {"unit": column.unit, "description": column.about}


def _check_names(path: str | Path, names: tuple[str, ...], *, taken: tuple[str, ...]) -> None:
    """Raise if a name cannot be that of a folder (each property is a folder), or is that of another property."""
    for k, name in enumerate(names):
        if not name or name.startswith((".", "__")) or "/" in name or "\\" in name:
            msg = f"{path}: '{name}' cannot be the name of a feature in a GEFF; use letters, digits and '_'"
            raise FormatError(msg)
        if name in taken or name in names[:k]:
            msg = f"{path}: the feature '{name}' has the name of another property of the file; rename it"
            raise FormatError(msg)


def _make_relative(target: str | Path, start: str | Path) -> str:
    try:
        return Path(os.path.relpath(target, start)).as_posix()
    except ValueError:  # another drive of Windows
        return Path(target).resolve().as_posix()
