"""Files of numpy: ``.npy``, ``.npz`` and cellpose's ``_seg.npy``; arrays are read when they are needed.

Of an ``.npz`` with several arrays, the one with a usual name is read, such as ``masks`` for masks and ``images`` for
images. A ``.npy`` of pickled objects is read by `gnntrack.io.pickled_arrays`, which executes nothing.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.lib import format as npy_format

from gnntrack.errors import FrameError
from gnntrack.io.limits import FREE_BYTES, MAX_CHUNKS, MAX_EXPANSION
from gnntrack.io.pickled_arrays import is_pickled, read_pickled
from gnntrack.io.special_files import describe_special_file
from gnntrack.io.stack import UNREADABLE

if TYPE_CHECKING:
    from gnntrack.types import Image

__all__ = ["SUFFIXES", "NumpyFile", "is_seg_file", "names_masks"]

SUFFIXES = (".npy", ".npz")

_START = 12  # bytes of an array in which its version and the length of its head are
_LONGEST_HEADER = 1 << 16

_MASK_KEYS = ("masks", "mask", "labels", "label", "segm", "segmentation", "seg", "y", "arr_0")
_IMAGE_KEYS = ("images", "image", "imgs", "img", "movie", "raw", "x", "data", "arr_0")


def names_masks(path: Path) -> str | None:
    """Return the name of the masks in an archive (``.npz``) that holds images and masks of one shape, else None.

    Raises
    ------
    FrameError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "movie.npz")
    >>> np.savez(file, images=np.zeros((3, 4, 4)), labels=np.zeros((3, 4, 4), int))
    >>> names_masks(file)
    'labels'
    """
    headers = {key.lower(): (key, shape) for key, (shape, _) in _read_headers(path).items() if key != "arr_0"}
    images, masks = ([headers[key] for key in keys if key in headers] for keys in (_IMAGE_KEYS, _MASK_KEYS))
    return masks[0][0] if images and masks and images[0][1] == masks[0][1] else None


def is_seg_file(path: Path) -> bool:
    """Return whether a file has the name of cellpose's masks, ``NAME_seg.npy``."""
    return path.name.lower().endswith("_seg.npy")


class NumpyFile:
    """The array in a file of numpy, whose parts are read when they are indexed.

    A ``.npy`` of numbers is mapped into memory for each part; the array of an ``.npz`` or of a pickle, which cannot be
    read in parts, is kept after the first.

    Parameters
    ----------
    path : Path
        The file.
    masks : bool
        Whether masks are wanted, or images.
    """

    def __init__(self, path: Path, *, masks: bool) -> None:
        self._path, self._masks = path, masks
        self._array: Image | None = None
        self._key = ""
        self._frames: list[str] = []
        self.shape, self.dtype = self._describe()

    def __reduce__(self) -> tuple[Any, ...]:
        return _open_again, (self._path, self._masks)

    def __getitem__(self, index: Any) -> Image:
        if self._path.suffix.lower() == ".npz":
            if self._array is None:
                frames = [_read_npz(self._path, key) for key in self._frames]
                self._array = np.stack(frames) if frames else _read_npz(self._path, self._key)
            return np.asarray(self._array[index])
        if self._array is not None:
            return np.asarray(self._array[index])
        return np.array(_map_npy(self._path)[index])

    def _describe(self) -> tuple[tuple[int, ...], Any]:
        """Return shape and type; of an archive, without reading its pixels."""
        special = describe_special_file(self._path)
        if special is not None:
            raise FrameError(special, file=self._path)
        if self._path.suffix.lower() == ".npz":
            headers = _read_headers(self._path)
            if _are_frames(headers):
                self._frames = [f"arr_{k}" for k in range(len(headers))]
                shape, dtype = headers["arr_0"]
                return (len(headers), *shape), dtype
            self._key = _choose_key({key: shape for key, (shape, _) in headers.items()}, self._path, masks=self._masks)
            return headers[self._key]
        if not is_pickled(self._path):
            mapped = _map_npy(self._path)
            return tuple(mapped.shape), mapped.dtype
        self._array = _find_masks(read_pickled(self._path), self._path, masks=self._masks)
        return self._array.shape, self._array.dtype


def _open_again(path: Path, masks: bool) -> NumpyFile:  # noqa: FBT001
    return NumpyFile(path, masks=masks)


def _map_npy(path: Path) -> Image:
    try:
        mapped: Image = np.load(path, mmap_mode="r", allow_pickle=False)
    except PermissionError:
        raise
    except UNREADABLE as error:
        msg = f"it cannot be read as .npy ({error}); expected one array of numbers saved by numpy.save, complete"
        raise FrameError(msg, file=path) from error
    return mapped


# ---------------------------------------------------------------- archives of arrays


def _read_headers(path: Path) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Return shape and type of each array in an ``.npz``."""
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            if len(archive.infolist()) > MAX_CHUNKS:
                msg = f"{len(archive.infolist())} arrays; expected at most {MAX_CHUNKS}"
                raise FrameError(msg)
            for member in archive.infolist():
                with archive.open(member) as file:
                    shape, dtype = _read_header(file, member)
                found[member.filename.removesuffix(".npy")] = (shape, dtype)
    except PermissionError:
        raise
    except UNREADABLE as error:
        msg = f"it cannot be read as .npz ({error}); expected arrays saved by numpy.savez, complete"
        raise FrameError(msg, file=path) from error
    return found


def _read_header(file: IO[bytes], member: zipfile.ZipInfo) -> tuple[tuple[int, ...], Any]:
    """Return shape and type of an array in an archive.

    Raises
    ------
    FrameError
        If the array does not fill its place in the archive, or is larger than `gnntrack.io.limits` allows.
    """
    room = FREE_BYTES + MAX_EXPANSION * member.compress_size
    if member.file_size > room:
        msg = f"{member.filename}: {member.compress_size} bytes hold {member.file_size}, see docs/limits.md"
        raise FrameError(msg)
    start = file.read(_START)
    version = npy_format.read_magic(BytesIO(start))
    length = int.from_bytes(start[8:12], "little") if version[0] > 1 else 0
    if length > _LONGEST_HEADER:
        msg = f"{member.filename}: a head of {length} bytes; expected at most {_LONGEST_HEADER}"
        raise FrameError(msg)
    head = BytesIO(start + file.read(_LONGEST_HEADER))
    head.seek(8)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, _, dtype = read(head)
    size = head.tell() + math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and size != member.file_size:
        msg = f"{member.filename}: an array of shape {shape} needs {size} bytes, and there are {member.file_size}"
        raise FrameError(msg)
    return tuple(shape), dtype


def _are_frames(headers: Mapping[str, tuple[tuple[int, ...], Any]]) -> bool:
    """Return whether arrays without names are the frames of a movie, as ``numpy.savez(file, *frames)`` writes them."""
    unnamed = {f"arr_{k}" for k in range(len(headers))}
    alike = {(shape, dtype) for shape, dtype in headers.values()}
    return len(headers) > 2 and set(headers) == unnamed and len(alike) == 1 and len(next(iter(alike))[0]) in (2, 3)


def _choose_key(shapes: Mapping[str, Sequence[int]], path: Path, *, masks: bool) -> str:
    """Return the name of the array to read."""
    if len(shapes) == 1:
        return next(iter(shapes))
    wanted = _MASK_KEYS if masks else _IMAGE_KEYS
    lower = {key.lower(): key for key in shapes}
    usual = next((lower[key] for key in wanted if key in lower), None)
    if usual is not None and usual != "arr_0":
        return usual
    what = "masks" if masks else "images"
    listed = ", ".join(f"'{key}' {tuple(shape)}" for key, shape in shapes.items()) or "none"
    example = next(iter(shapes), "KEY")
    msg = (
        f"its arrays are {listed}; none is named like {what} ({', '.join(wanted[:4])}): save the right one by itself, "
        f"import numpy as np; np.save('{what}.npy', np.load('{path.name}')['{example}'])"
    )
    raise FrameError(msg, file=path)


def _read_npz(path: Path, key: str) -> Image:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return np.asarray(archive[key])
    except PermissionError:
        raise
    except UNREADABLE as error:
        msg = f"its array '{key}' cannot be read ({error}); check that the file is complete"
        raise FrameError(msg, file=path) from error


# ---------------------------------------------------------------- pickled objects


def _find_masks(found: Any, path: Path, *, masks: bool) -> Image:
    """Return the array of masks, or of images, in an object that was pickled."""
    if isinstance(found, dict):
        key = _choose_key({k: np.shape(v) for k, v in found.items() if isinstance(v, np.ndarray)}, path, masks=masks)
        return np.asarray(found[key])
    arrays = [np.asarray(each) for each in found] if isinstance(found, list | np.ndarray) else []
    shapes = {array.shape for array in arrays}
    if len(shapes) == 1 and all(array.dtype.kind in "biuf" for array in arrays):
        return np.stack(arrays)
    listed = f"arrays of {len(shapes)} shapes" if len(shapes) > 1 else f"a {type(found).__name__}"
    msg = f"it cannot be read as .npy: it holds {listed}; expected an array, or a dict with the array 'masks'"
    raise FrameError(msg, file=path)
