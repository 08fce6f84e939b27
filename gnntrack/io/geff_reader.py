"""The arrays of a GEFF: a file of gnntrack is read here, others by the library `geff`.

The library opens each array through tasks of zarr, 400 for the lineage of a movie. For ordinary movies that takes ten
times as long as to read the file, and most of the time in which a result is loaded.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.io.zarr_arrays import PlainArray, find_array, is_plain_group
from gnntrack.json_files import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geff import GeffReader
    from geff_spec import GeffMetadata, PropMetadata

__all__ = ["PlainReader", "open_reader"]

_KINDS = ("nodes", "edges")
_Arrays = dict[str, PlainArray]
"""The array of values of a property, and perhaps that of missing ones."""


class PlainReader:
    """A GEFF in the form in which gnntrack writes it, with those attributes of ``geff.GeffReader`` that are used.

    Parameters
    ----------
    metadata : GeffMetadata
        Of the file.
    ids : PlainArray, one of the nodes and one of the edges
        Shapes (N,) and (E, 2).
    properties : dict, one of the nodes and one of the edges
        The arrays of each property.
    """

    def __init__(
        self,
        metadata: GeffMetadata,
        ids: tuple[PlainArray, PlainArray],
        properties: tuple[dict[str, _Arrays], dict[str, _Arrays]],
    ) -> None:
        self.metadata = metadata
        self.nodes, self.edges = (each.read() for each in ids)
        self.node_props: dict[str, dict[str, np.ndarray]] = {}
        self.edge_props: dict[str, dict[str, np.ndarray]] = {}
        self._properties = properties

    def read_node_props(self, names: list[str]) -> None:
        """Put properties of the nodes into `node_props`."""
        self.node_props |= _read_properties(self._properties[0], names)

    def read_edge_props(self, names: list[str]) -> None:
        """Put properties of the edges into `edge_props`."""
        self.edge_props |= _read_properties(self._properties[1], names)


def open_reader(path: str | Path) -> GeffReader | PlainReader:
    """Return the reader of a GEFF.

    Parameters
    ----------
    path : path
        The folder that holds ``nodes`` and ``edges``; `gnntrack.io.zarr_checks.check_store` has found no fault in it.

    Raises
    ------
    Exception
        Errors of geff, zarr and pydantic, if the file is not valid.
    """
    with warnings.catch_warnings():  # zarr and its codecs warn of future changes at import
        warnings.simplefilter("ignore")
        plain = _open_plain(Path(path))
        if plain is not None:
            return plain
        from geff import GeffReader
    return GeffReader(str(path))


def _open_plain(folder: Path) -> PlainReader | None:
    """Return the reader of a file that is in every respect as gnntrack writes it, else None: geff names the fault."""
    groups = [folder, *(folder / kind / part for kind in _KINDS for part in ("", "props"))]
    if not all(map(is_plain_group, groups)):
        return None
    stored, ids = _read_attributes(folder), _find_ids(folder)
    if not stored or ids is None:
        return None
    from geff_spec import GeffMetadata

    metadata = GeffMetadata.model_validate(stored)
    of_nodes = _find_properties(folder / "nodes" / "props", metadata.node_props_metadata, ids[0])
    of_edges = _find_properties(folder / "edges" / "props", metadata.edge_props_metadata, ids[1])
    if of_nodes is None or of_edges is None:
        return None
    axes = all(_is_axis(of_nodes.get(each.name)) for each in metadata.axes or [])
    return PlainReader(metadata, ids, (of_nodes, of_edges)) if axes else None


def _read_attributes(folder: Path) -> dict[str, Any]:
    """Return the metadata of GEFF as they are stored; nothing if there are none."""
    stored = read_json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
    about = stored.get("geff") if isinstance(stored, dict) else None
    return about if isinstance(about, dict) else {}


def _find_ids(folder: Path) -> tuple[PlainArray, PlainArray] | None:
    """Return the ids of the nodes and of the edges, None if they are not whole numbers or have another shape."""
    nodes, edges = (find_array(folder / kind / "ids") for kind in _KINDS)
    if nodes is None or edges is None or len(nodes.shape) != 1 or edges.shape[1:] != (2,):
        return None
    return (nodes, edges) if {nodes.dtype.kind, edges.dtype.kind} <= {"i", "u"} else None


def _find_properties(folder: Path, about: Mapping[str, PropMetadata], ids: PlainArray) -> dict[str, _Arrays] | None:
    """Return the arrays of all properties, None if one of them is not as it should be."""
    names = {each.name for each in folder.iterdir()} - {".zgroup", ".zattrs"}
    if names != set(about):
        return None
    found: dict[str, _Arrays] = {}
    for name in names:
        arrays = _find_arrays(folder / name)
        if arrays is None or about[name].varlength or not _fit(arrays, np.dtype(about[name].dtype), ids.shape[0]):
            return None
        found[name] = arrays
    return found


def _find_arrays(folder: Path) -> _Arrays | None:
    names = {each.name for each in folder.iterdir()} - {".zgroup", ".zattrs"} if is_plain_group(folder) else set()
    if not {"values"} <= names <= {"values", "missing"}:
        return None
    found = {name: find_array(folder / name) for name in names}
    return {name: each for name, each in found.items() if each is not None} if all(found.values()) else None


def _fit(arrays: _Arrays, dtype: np.dtype, count: int) -> bool:
    """Return whether the arrays of a property have a value of a type for each node or edge."""
    values, missing = arrays["values"], arrays.get("missing")
    if not np.issubdtype(values.dtype, dtype) or values.shape[:1] != (count,):
        return False
    return missing is None or (missing.shape[:1] == (count,) and missing.dtype.kind == "b")


def _is_axis(arrays: _Arrays | None) -> bool:
    return arrays is not None and "missing" not in arrays and len(arrays["values"].shape) == 1


def _read_properties(found: dict[str, _Arrays], names: list[str]) -> dict[str, dict[str, np.ndarray]]:
    return {name: {part: array.read() for part, array in found[name].items()} for name in names}
