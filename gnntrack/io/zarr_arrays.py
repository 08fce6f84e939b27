"""Groups and arrays of Zarr, format 2, as folders.

A group is a folder with ``.zgroup`` and, if it has attributes, ``.zattrs``; an array is a folder with its description
in ``.zarray`` and its values, compressed, in one file. Writing them here instead of by the zarr library saves a second
of imports, a third of the time in which a small movie is tracked. Files are read by the libraries `geff` and `zarr`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gnntrack.compression import compress

__all__ = ["write_array", "write_group"]


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
    _write_json(folder / ".zgroup", {"zarr_format": 2})
    if attributes:
        _write_json(folder / ".zattrs", attributes)
    return folder


def write_array(folder: Path, values: np.ndarray) -> None:
    """Write an array of integers, floats or booleans as one chunk.

    Parameters
    ----------
    folder : path
        A folder that does not exist yet.
    values : array
        Any shape; it is stored little-endian and in C order.

    Examples
    --------
    >>> import tempfile
    >>> import zarr
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_array(folder / "x", np.array([[1.5, 2.5]]))
    >>> zarr.open_array(folder / "x", mode="r")[:].tolist()
    [[1.5, 2.5]]
    """
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    folder.mkdir()
    description = {
        "zarr_format": 2,
        "shape": values.shape,
        "chunks": [max(size, 1) for size in values.shape],
        "dtype": values.dtype.str,
        "fill_value": False if values.dtype.kind == "b" else 0,
        "order": "C",
        "filters": None,
        "dimension_separator": ".",
        "compressor": {"id": "zlib", "level": 1},
    }
    _write_json(folder / ".zarray", description)
    if values.size:
        chunk = ".".join("0" * values.ndim) or "0"
        (folder / chunk).write_bytes(compress(values))


def _write_json(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content), encoding="utf-8")
