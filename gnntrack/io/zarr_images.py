"""Images of Zarr in a folder: the chunks of a part are checked before zarr decodes them."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gnntrack.io.limits import FREE_BYTES, MAX_CHUNKS, MAX_EXPANSION
from gnntrack.io.zarr_checks import find_chunk_problem, read_description
from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import Image

__all__ = ["CheckedImage", "guard_image"]


def guard_image(array: Any) -> Any:
    """Return an array of zarr that checks its chunks, if they are files; other arrays are returned as they are.

    Raises
    ------
    FormatError, KeyError, TypeError, ValueError
        If the description of the array is not valid.
    """
    from zarr.storage import LocalStore

    return CheckedImage(array) if isinstance(array.store, LocalStore) else array


class CheckedImage:
    """An array of zarr in a folder, of which parts are read after a look at their chunks."""

    def __init__(self, array: Any) -> None:
        from zarr.core.buffer import default_buffer_prototype

        self._array = array
        self._folder = Path(array.store.root) / array.path
        self.shape, self.chunks, self.ndim, self.dtype = array.shape, array.chunks, array.ndim, array.dtype
        # zarr's own, since it may be a copy in the description of the group
        stored = array.metadata.to_buffer_dict(default_buffer_prototype())
        self._about = read_description(json.loads((stored.get(".zarray") or stored["zarr.json"]).to_bytes()))

    def __getitem__(self, index: tuple[int | slice, ...]) -> Image:
        self._check(index)
        part: Image = self._array[index]
        return part

    def _check(self, index: tuple[int | slice, ...]) -> None:
        """Raise a ValueError if a part cannot be read, or needs far more memory than its chunks can hold."""
        parts = _select_parts(self.shape, index)
        places = [_list_chunks(part, step) for part, step in zip(parts, self._about.chunk, strict=True)]
        count = math.prod(map(len, places))
        if count > MAX_CHUNKS:
            msg = f"a frame has {count_noun(count, 'chunk')}; expected at most {MAX_CHUNKS}, see docs/limits.md"
            raise ValueError(msg)
        files = [self._folder / self._array.metadata.encode_chunk_key(place) for place in product(*places)]
        sizes = {file: file.stat().st_size for file in files if file.exists()}
        stored, plane = sum(sizes.values()), math.prod(sorted(map(len, parts))[-2:]) * self.dtype.itemsize
        if plane > FREE_BYTES + MAX_EXPANSION * stored:
            msg = f"a plane needs {plane} bytes, and its chunks have {stored}, see docs/limits.md"
            raise ValueError(msg)
        for file, size in sizes.items():
            problem = find_chunk_problem(file, size, self._about)
            if problem is not None:
                msg = f"the chunk {file.relative_to(self._folder).as_posix()} {problem}"
                raise ValueError(msg)


def _select_parts(shape: Sequence[int], index: tuple[int | slice, ...]) -> list[range]:
    """Return the positions along each axis that an index selects."""
    whole = (*index, *[slice(None)] * (len(shape) - len(index)))
    chosen = (each if isinstance(each, slice) else slice(each, each + 1 or None) for each in whole)
    return [range(size)[each] for size, each in zip(shape, chosen, strict=True)]


def _list_chunks(part: range, step: int) -> Sequence[int]:
    """Return the numbers of the chunks of `step` values that a part of an axis touches.

    >>> list(_list_chunks(range(3, 9), 4)), list(_list_chunks(range(0, 9, 8), 4))
    ([0, 1, 2], [0, 2])
    """
    if not part:
        return ()
    if part.step == 1:
        return range(part[0] // step, part[-1] // step + 1)
    return sorted({at // step for at in part})
