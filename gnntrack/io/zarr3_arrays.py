"""Groups and arrays of Zarr, format 3, as folders.

A group is a folder with ``zarr.json``; an array is one with its description in ``zarr.json`` and its values, compressed
by zstd, in one chunk. Format 2, in which gnntrack stores its own graphs, is written by `gnntrack.io.zarr_arrays`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

__all__ = ["write_array", "write_group"]

_ZERO = {"b": False, "f": 0.0}


def write_group(folder: Path, attributes: dict[str, Any] | None = None) -> Path:
    """Make a group, and return its folder.

    Parameters
    ----------
    folder : path
        A folder that does not exist yet; folders above it must be groups.
    attributes : dict, optional
        Plain JSON values.
    """
    folder.mkdir()
    _write_json(folder, {"attributes": attributes or {}, "zarr_format": 3, "node_type": "group"})
    return folder


def write_array(folder: Path, values: np.ndarray) -> None:
    """Write an array of integers, floats or booleans as one chunk.

    Parameters
    ----------
    folder : path
        A folder that does not exist yet.
    values : array
        One or more axes; it is stored little-endian and in C order.

    Examples
    --------
    >>> import tempfile
    >>> import zarr
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_array(folder / "x", np.array([[2**60, 5]], np.uint64))
    >>> zarr.open_array(folder / "x", mode="r")[:].tolist()
    [[1152921504606846976, 5]]
    """
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    folder.mkdir()
    codecs: list[dict[str, Any]] = [
        {"name": "bytes", "configuration": {"endian": "little"}},
        {"name": "zstd", "configuration": {"level": 0, "checksum": False}},
    ]
    description = {
        "shape": values.shape,
        "data_type": values.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [max(size, 1) for size in values.shape]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _ZERO.get(values.dtype.kind, 0),
        "codecs": codecs,
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    _write_json(folder, description)
    if values.size:
        chunk = folder.joinpath("c", *"0" * values.ndim)
        chunk.parent.mkdir(parents=True)
        chunk.write_bytes(imagecodecs.zstd_encode(values.tobytes(), level=0))


def _write_json(folder: Path, content: dict[str, Any]) -> None:
    (folder / "zarr.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
