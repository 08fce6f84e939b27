"""Lineages of points on disk: GEFF as in the embryo competition of 2026 (Biohub), and its submission file.

The competition stores a ground truth as a GEFF of Zarr format 3 with ``t, z, y, x`` in whole voxels, the voxel size in
the axes, ids of any size and no labels of masks; ``estimated_number_of_nodes``, in ``extra`` of its metadata, is the
estimated number of cells of the movie, of which only some are annotated. `write_point_graph` writes exactly this
layout, `read_point_graph` reads it and every other GEFF with ``t``, ``y`` and ``x``. A submission is a CSV file with a
row per node and per edge of all movies.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.io.geff_extras import check_n_frames
from gnntrack.io.geff_store import GeffStore, add_file_name
from gnntrack.io.output import fresh_output
from gnntrack.io.zarr3_arrays import write_array, write_group
from gnntrack.types import PointGraph

if TYPE_CHECKING:
    from gnntrack.types import IntArray

__all__ = ["TOTAL", "read_point_graph", "write_point_graph"]

TOTAL = "estimated_number_of_nodes"
"""Key of the estimated number of cells, in ``extra`` of the metadata."""

_EXTRA = "gnntrack"
_FRAMES = "n_frames"
_UNIT = {"um": "micrometer", "pixel": "pixel"}


def read_point_graph(path: str | Path, *, candidates: bool = True) -> PointGraph:
    """Read the points and links of a GEFF.

    Parameters
    ----------
    path : path
        The folder that holds ``nodes`` and ``edges``: a ground truth of the competition, a lineage or candidate links
        of gnntrack, or a file of another program with ``t``, ``y`` and ``x``. Labels of masks are not needed.
    candidates : bool
        Read candidate links of gnntrack, too.

    Returns
    -------
    PointGraph
        Points and links in the order of the file, links forward in time.

    Raises
    ------
    FormatError
        If `path` is not a GEFF, or one of candidate links where these are not read, a frame or a position is missing,
        an id occurs twice, or an edge names a node that is missing or of its own frame.

    Examples
    --------
    >>> import tempfile
    >>> graph = PointGraph([10**11, 7], [0, 1], [[3.25, 1.5], [3.25, 2.0]], [0], [1], (1.625, 0.5), total=40)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_point_graph(graph, Path(folder, "truth.geff"))
    ...     again = read_point_graph(Path(folder, "truth.geff"))
    >>> again.id.tolist(), again.voxels.tolist(), again.spacing, again.unit, again.total
    ([100000000000, 7], [[2.0, 3.0], [2.0, 4.0]], (1.625, 0.5), 'um', 40.0)
    """
    store = GeffStore(path)
    if not candidates and store.own and not store.holds_lineage:
        name = shlex.quote(str(path))
        msg = f"{path}: it holds candidate links; solve the graph first: gnntrack solve {name} -o TRACKS.geff"
        raise FormatError(msg)
    frame, position, spacing, unit = store.read_points()
    source, target = store.find_ends(frame, np.arange(len(frame)))
    with add_file_name(path):
        ids = _convert_ids(store.ids)
        return PointGraph(ids, frame, position, source, target, spacing, unit, *_read_numbers(store, frame))


def _convert_ids(ids: np.ndarray) -> IntArray:
    """Return ids as int64; if some are 2**63 or more, as hashes are, numbers from 1 in the order of the file."""
    if ids.dtype.kind not in "iu":
        msg = f"ids of the nodes are {ids.dtype}; expected whole numbers"
        raise FormatError(msg)
    if ids.max(initial=0) > np.iinfo(np.int64).max:
        return np.arange(1, len(ids) + 1)
    return ids.astype(np.int64)


def _read_numbers(store: GeffStore, frame: IntArray) -> tuple[float | None, int]:
    """Return the estimated number of cells, and the number of frames."""
    extra: dict[str, Any] = store.metadata.extra or {}
    own = extra.get(_EXTRA)
    stored = own.get(_FRAMES, 0) if isinstance(own, dict) else 0
    check_n_frames(stored)
    total = extra.get(TOTAL)
    if total is not None and (not isinstance(total, int | float) or isinstance(total, bool) or not 0 < total < 1e18):
        msg = f"{TOTAL} is {total!r}; expected a number of cells above 0"
        raise FormatError(msg)
    return None if total is None else float(total), max(int(stored), int(frame.max(initial=-1)) + 1)


def write_point_graph(
    graph: PointGraph, path: str | Path, *, whole_voxels: bool = True, overwrite: bool = False
) -> None:
    """Write points and links as a GEFF in the layout of the competition.

    Parameters
    ----------
    graph : PointGraph
        Points become nodes, links edges, both in their order.
    path : path
        The folder to make; its name usually ends in ``.geff``.
    whole_voxels : bool
        Round positions to whole voxels, int64, as in the competition; else they are stored as they are, float64.
    overwrite : bool
        Replace an older output.

    Raises
    ------
    OutputError
        If `path` exists and `overwrite` is False, or it cannot be written.
    FormatError
        If an id is negative.
    """
    if graph.id.min(initial=0) < 0:
        msg = f"{path}: the id {graph.id.min()} is negative; the ids of a GEFF are whole numbers from 0"
        raise FormatError(msg)
    voxels = graph.voxels
    columns: dict[str, np.ndarray] = {"t": graph.frame}
    for name, values in zip("zyx"[-graph.ndim :], voxels.T, strict=True):
        columns[name] = np.rint(values).astype(np.int64) if whole_voxels else values
    edges = graph.id[np.column_stack([graph.source, graph.target])].astype(np.uint64)
    with fresh_output(path, overwrite=overwrite) as folder:
        write_group(folder, {"geff": _describe_graph(graph, columns)})
        for kind, ids, properties in (("nodes", graph.id.astype(np.uint64), columns), ("edges", edges, {})):
            write_group(folder / kind)
            write_array(folder / kind / "ids", ids)
            write_group(folder / kind / "props")
            for name, values in properties.items():
                write_array(write_group(folder / kind / "props" / name) / "values", values)


def _describe_graph(graph: PointGraph, columns: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the metadata of the specification."""
    scales = dict(zip("zyx"[-graph.ndim :], graph.spacing, strict=True))
    axes: list[dict[str, Any]] = []
    for name, values in columns.items():
        kind = {"type": "time", "scale": 1.0}
        if name in scales:
            kind = {"type": "space", "unit": _UNIT[graph.unit], "scale": scales[name]}
        axes.append({"name": name} | kind | _find_range(values))
    extra: dict[str, Any] = {}
    if graph.total is not None:
        extra[TOTAL] = int(graph.total) if float(graph.total).is_integer() else graph.total
    if graph.n_frames > graph.frame.max(initial=-1) + 1:  # only the frames at the end without a point need it
        extra[_EXTRA] = {_FRAMES: int(graph.n_frames)}
    about = {
        name: {"identifier": name, "dtype": str(values.dtype), "varlength": False} for name, values in columns.items()
    }
    return {
        "geff_version": "1.1",
        "directed": True,
        "axes": axes,
        "node_props_metadata": about,
        "edge_props_metadata": {},
        "extra": extra,
    }


def _find_range(values: np.ndarray) -> dict[str, Any]:
    return {"min": values.min().item(), "max": values.max().item()} if len(values) else {}
