"""Checks of a small Zarr store before the zarr library decodes it: descriptions of arrays and their stored chunks.

Decoders take memory for the size that a description or the head of a chunk states, and some read beyond the end of a
chunk whose head is wrong. Here both are compared with each other and with the size of the file.
"""

from __future__ import annotations

import bz2
import lzma
import math
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.errors import FormatError
from gnntrack.io.limits import FREE_BYTES, MAX_CHUNKS, MAX_DESCRIPTION, MAX_EXPANSION
from gnntrack.io.special_files import describe_special_file
from gnntrack.json_files import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

__all__ = ["StoredArray", "check_store", "find_chunk_problem", "read_description", "refuse_special_files"]

_DESCRIPTIONS = (".zarray", "zarr.json")
_PLAIN = (".zattrs", ".zgroup")  # of which only kind and size are checked
_CODECS = {"zlib", "gzip", "zstd", "lz4", "blosc", "bz2", "lzma"}
_MAGIC = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd", "bz2": b"BZh"}
_CODED = {"vlen-utf8", "vlen-bytes", "string", "bytes", "variable_length_utf8", "variable_length_bytes"}


class StoredArray(NamedTuple):
    """The description of an array."""

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    size: int | None
    """Bytes of a value, None if values differ in length."""
    codec: str | None
    """Compression, None without."""
    plain: bool
    """Whether a chunk holds nothing but its values, compressed."""


def check_store(folder: Path) -> None:
    """Raise if an array of a store cannot be what its description states.

    Parameters
    ----------
    folder : path
        A group of Zarr, format 2 or 3, whose arrays are read as a whole: a GEFF.

    Raises
    ------
    FormatError
        If a description is not valid, if an array needs far more memory than its files can hold, or if the head of a
        chunk disagrees with the description.
    """
    for file in _list_descriptions(folder):
        try:
            _check_description(file)
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError, OSError) as error:
            fault = str(error) if isinstance(error, FormatError) else f"{type(error).__name__}: {error}"
            place = file.relative_to(folder).as_posix()
            msg = f"{folder}: the GEFF is damaged or not valid ({place}: {fault}); write it again"
            raise FormatError(msg) from error


def refuse_special_files(folder: Path) -> None:
    """Raise if a description of a group or array, or of one within it, is a named pipe or a device.

    Parameters
    ----------
    folder : path
        Of the group or array.

    Raises
    ------
    FormatError
        If one is; the zarr library would read it for ever.
    """
    whole = not folder.is_dir() or (folder / ".zarray").exists()
    for place in [folder] if whole else [folder, *(each for each in folder.iterdir() if each.is_dir())]:
        for name in (*_DESCRIPTIONS, *_PLAIN, ".zmetadata"):
            file = place / name
            special = describe_special_file(file) if file.exists() else None
            _expect(special is None, f"{file.relative_to(folder)}: {special}")


def _check_description(file: Path) -> None:
    _check_file(file)
    if file.name in _PLAIN:
        return
    stored = _read_json(file)
    _check_consolidated(file, stored)
    if file.name == ".zarray" or stored.get("node_type") == "array":
        _check_chunks(file.parent, read_description(stored))


def _expect(fact: object, problem: str) -> None:
    if not fact:
        raise FormatError(problem)


def _list_descriptions(folder: Path) -> Iterator[Path]:
    """Yield the descriptions and attributes of all groups and arrays; folders of chunks are not entered."""
    for place, folders, files in os.walk(folder):
        found = [name for name in (*_DESCRIPTIONS, *_PLAIN, ".zmetadata") if name in files]
        yield from (Path(place, name) for name in found)
        if ".zarray" in found:
            folders.clear()
        elif "zarr.json" in found and "c" in folders and not {".zgroup", "nodes"} & {*files, *folders}:
            folders.remove("c")


def _check_file(file: Path) -> None:
    """Raise if reading a file might never end, or take too much memory."""
    special = describe_special_file(file)
    _expect(special is None, special or "")
    size = file.stat().st_size
    _expect(size <= MAX_DESCRIPTION, f"it has {size} bytes; expected at most {MAX_DESCRIPTION}")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        stored: dict[str, Any] = read_json(file)
    except ValueError as error:
        msg = f"it is not valid JSON ({type(error).__name__}: {error})"
        raise FormatError(msg) from error
    _expect(isinstance(stored, dict), f"it holds {type(stored).__name__}; expected a JSON object")
    return stored


def _check_consolidated(file: Path, stored: dict[str, Any]) -> None:
    """Raise if the copies of descriptions in that of a group, which zarr prefers, differ from those of the arrays."""
    if file.name == ".zmetadata":
        copies = {name: about for name, about in stored["metadata"].items() if name.endswith(".zarray")}
    else:
        within = (stored.get("consolidated_metadata") or {}).get("metadata") or {}
        copies = {f"{name}/zarr.json": about for name, about in within.items() if about["node_type"] == "array"}
    for name, about in copies.items():
        original = file.parent / name
        _expect(original.is_file(), f"it describes an array that does not exist, {name}")
        _check_file(original)
        own = _read_json(original)
        same = all(own.get(key) == value for key, value in about.items() if key not in ("attributes", "node_type"))
        _expect(same, f"its copy of {name} differs from the file")


def read_description(stored: dict[str, Any]) -> StoredArray:
    """Return the description of an array, format 2 or 3.

    Parameters
    ----------
    stored : dict
        Content of ``.zarray`` or ``zarr.json``.

    Raises
    ------
    FormatError, KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError
        If it is not valid.
    """
    return _read_array3(stored) if "chunk_grid" in stored else _read_array2(stored)


def _read_array2(stored: dict[str, Any]) -> StoredArray:
    compressor, filters = stored.get("compressor"), stored.get("filters") or []
    codec = None if compressor is None else str(compressor["id"])
    dtype = np.dtype(stored["dtype"]) if isinstance(stored["dtype"], str) else np.dtype(object)
    size = None if dtype.hasobject or any(each["id"] in _CODED for each in filters) else dtype.itemsize
    return _describe_array(stored["shape"], stored["chunks"], size, codec, plain=not filters and size is not None)


def _read_array3(stored: dict[str, Any]) -> StoredArray:
    kind = stored["data_type"]
    grid = stored["chunk_grid"]
    _expect(grid["name"] == "regular", f"its chunks are '{grid['name']}'; expected 'regular'")
    codecs = [each if isinstance(each, str) else each["name"] for each in stored["codecs"]]
    packed = [name for name in codecs if name not in {"bytes", "transpose", *_CODED}]
    size = None
    if isinstance(kind, str) and kind not in _CODED:
        size = np.dtype(kind).itemsize
    plain = len(packed) <= 1 and "bytes" in codecs and size is not None
    codec = packed[0].removeprefix("numcodecs.") if packed else None
    return _describe_array(stored["shape"], grid["configuration"]["chunk_shape"], size, codec, plain=plain)


def _describe_array(shape: Any, chunk: Any, size: int | None, codec: str | None, *, plain: bool) -> StoredArray:
    for name, sizes, least in (("shape", shape, 0), ("chunks", chunk, 1)):
        whole = isinstance(sizes, list) and all(isinstance(each, int) and each >= least for each in sizes)
        _expect(whole, f"its {name} are {str(sizes)[:60]}; expected whole numbers from {least}")
    _expect(len(shape) == len(chunk), f"its shape {shape} and its chunks {chunk} differ in length")
    _expect(len(shape) <= 8, f"its shape is {str(shape)[:60]}; expected at most 8 axes")
    return StoredArray(tuple(shape), tuple(chunk), size, codec, plain)


def _check_chunks(folder: Path, array: StoredArray) -> None:
    count = math.prod(-(-size // step) for size, step in zip(array.shape, array.chunk, strict=True))
    _expect(count <= MAX_CHUNKS, f"it has {count} chunks; expected at most {MAX_CHUNKS}")
    total, chunk = (math.prod(sizes) * (array.size or 8) for sizes in (array.shape, array.chunk))
    files = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    files = [file for file in files if file.name not in {*_DESCRIPTIONS, ".zattrs"}]
    stored = sum(file.stat().st_size for file in files)
    room = FREE_BYTES + MAX_EXPANSION * stored
    stated = f"an array of shape {array.shape} in chunks of {array.chunk} needs {max(total, chunk)} bytes"
    _expect(max(total, chunk) <= room, f"{stated}, and its files have {stored}")
    for file in files:
        problem = find_chunk_problem(file, file.stat().st_size, array)
        _expect(problem is None, f"the chunk {file.name} {problem}")


def find_chunk_problem(file: Path, stored: int, array: StoredArray) -> str | None:
    """Return why a chunk cannot hold the values of an array, None if it may.

    Parameters
    ----------
    file : path
        The chunk.
    stored : int
        Its size in bytes.
    array : StoredArray
        The description.
    """
    if array.codec not in _CODECS and array.codec is not None:
        return None
    if not file.is_file():
        return "is not a file"
    expected = math.prod(array.chunk) * (array.size or 8)
    if array.plain and stored > expected + expected // 8 + 4096:
        return f"has {stored} bytes for {expected} bytes of values"
    with file.open("rb") as opened:
        problem = _find_problem(opened.read(32), stored, array, expected)
        if problem is None and array.plain and _may_expand(array.codec, opened, stored):
            opened.seek(0)
            problem = _expand(array.codec, opened.read(), expected)
    return problem


def _may_expand(codec: str | None, opened: BinaryIO, stored: int) -> bool:
    """Return whether a chunk may hold far more than its head states, which it does not state for some codecs."""
    if codec in {"zlib", "gzip"}:
        return stored * MAX_EXPANSION > FREE_BYTES
    if codec == "zstd":
        opened.seek(0)
        return _read_zstd_size(opened.read(32)) is None
    return codec in {"bz2", "lzma"}


def _expand(codec: str | None, content: bytes, expected: int) -> str | None:
    """Return the problem of a chunk that holds more than it should, None if it does not; no more is decoded."""
    try:
        if codec == "zstd":
            import imagecodecs

            imagecodecs.zstd_decode(content, out=expected)
            return None
        decoders = {"bz2": bz2.BZ2Decompressor, "lzma": lzma.LZMADecompressor}
        decoder: Any = decoders[codec]() if codec in decoders else zlib.decompressobj(47)  # zlib or gzip
        values = decoder.decompress(content, expected + 1)
    except (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError) as error:
        return f"cannot be decoded to {expected} bytes ({error})"
    return f"holds more than {expected} bytes" if len(values) > expected else None


def _find_problem(head: bytes, stored: int, array: StoredArray, expected: int) -> str | None:
    """Return why the head of a chunk is wrong, None if it is right."""
    if not head.startswith(_MAGIC.get(array.codec or "", b"")) or (array.codec == "zlib" and not _is_zlib(head)):
        return f"is not compressed by {array.codec}"
    known = expected if array.plain else None
    if array.codec == "blosc":
        return _find_blosc_problem(head, stored, known)
    return None if known is None else _compare_size(head, stored, array.codec, known)


def _compare_size(head: bytes, stored: int, codec: str | None, expected: int) -> str | None:
    """Return why a chunk does not hold values of a size, None if it may."""
    size = _read_size(head, stored, codec)
    if size is not None and size != expected:
        return f"holds {size} bytes; its description states {expected}"
    if codec == "zlib" and expected > MAX_EXPANSION * stored + 1024:
        return f"of {stored} bytes cannot hold the {expected} bytes that its description states"
    return None


def _is_zlib(head: bytes) -> bool:
    return len(head) >= 2 and head[0] & 15 == 8 and int.from_bytes(head[:2], "big") % 31 == 0


def _read_size(head: bytes, stored: int, codec: str | None) -> int | None:
    """Return the size of the values in a chunk, None if its head does not state it."""
    if codec is None:
        return stored
    if codec == "lz4":
        return int.from_bytes(head[:4], "little")
    return _read_zstd_size(head) if codec == "zstd" else None


def _read_zstd_size(head: bytes) -> int | None:
    """Return the content size of a frame of zstd (RFC 8878, 3.1.1.1), None if it is not stated."""
    flags = head[4] if len(head) > 4 else 0
    single, kind = bool(flags & 32), flags >> 6
    if not kind and not single:
        return None
    start = 5 + (not single) + (0, 1, 2, 4)[flags & 3]
    wide = (1, 2, 4, 8)[kind]
    return int.from_bytes(head[start : start + wide], "little") + (256 if wide == 2 else 0)


def _find_blosc_problem(head: bytes, stored: int, expected: int | None) -> str | None:
    """Return why the head of a chunk of Blosc 1 (its README_HEADER) is wrong, None if it is right."""
    size, block, packed = (int.from_bytes(head[at : at + 4], "little") for at in (4, 8, 12))
    if len(head) < 16 or head[0] > 2 or head[3] == 0 or packed != stored or block > max(size, 1):
        return f"has {stored} bytes, and its head of Blosc is damaged"
    if expected is not None and size != expected:
        return f"holds {size} bytes; its description states {expected}"
    return f"of {stored} bytes states {size}" if size > FREE_BYTES + MAX_EXPANSION * stored else None
