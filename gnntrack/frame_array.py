"""Frames of a movie as one array that is read frame by frame."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from gnntrack.plurals import count_noun

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.protocols import FrameStack

__all__ = ["FrameArray"]


class FrameArray(NDArrayOperatorsMixin):
    """A movie as an array ``(T, [Z], Y, X)``; each frame is read when it is needed and not kept.

    ``movie[t]``, slices, ``np.asarray(movie)``, arithmetic, and functions of numpy work as for an array, and
    ``dask.array.from_array(movie, chunks=(1, -1, -1))`` as for a file. ``len(movie)`` is the number of frames.

    Parameters
    ----------
    frames : FrameStack
        The frames; `gnntrack.open_frames` uses them directly.
    dtype : dtype
        Type of every frame.

    Examples
    --------
    >>> from gnntrack import open_frames
    >>> movie = FrameArray(open_frames(np.arange(24).reshape(4, 2, 3)), np.int64)
    >>> movie.shape, movie[-1].tolist(), movie[1:3, 0, ::2].tolist(), int(np.max(movie))
    ((4, 2, 3), [[18, 19, 20], [21, 22, 23]], [[6, 8], [12, 14]], 23)
    """

    def __init__(self, frames: FrameStack, dtype: npt.DTypeLike) -> None:
        self.frames = frames
        self.dtype = np.dtype(dtype)
        self.shape = (len(frames), *frames.shape)
        self.spacing, self.unit = frames.spacing, frames.unit

    @property
    def ndim(self) -> int:
        """Number of axes, 3 or 4."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of pixels in all frames."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all frames, if they were in memory at once."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return map(self._read, range(len(self)))

    def __getitem__(self, key: Any, /) -> Any:
        first, *rest = _expand(key, self.ndim)
        if first is None or any(part is None or isinstance(part, np.ndarray) for part in rest):
            return np.asarray(self)[key]
        if isinstance(first, np.ndarray):
            frames = np.arange(len(self))[first].tolist() if first.ndim == 1 else None
            return np.asarray(self)[key] if frames is None else self._stack(frames, tuple(rest))
        if isinstance(first, slice):
            return self._stack(range(len(self))[first], tuple(rest))
        frame = operator.index(first)
        if not -len(self) <= frame < len(self):
            msg = f"no frame {frame}; the movie has {count_noun(len(self), 'frame')}, 0 to {len(self) - 1}"
            raise IndexError(msg)
        return self._read(frame % len(self))[tuple(rest)]

    def _read(self, frame: int) -> npt.NDArray[Any]:
        return np.asarray(self.frames[frame], self.dtype)

    def _stack(self, frames: range | list[int], rest: tuple[Any, ...]) -> npt.NDArray[Any]:
        """Return parts of several frames; the array is made once, and filled frame by frame."""
        part = np.empty(self.shape[1:], bool)[rest].shape
        stack = np.empty((len(frames), *part), self.dtype)
        for k, frame in enumerate(frames):
            stack[k] = self._read(frame)[rest]
        return stack

    def __array__(self, dtype: npt.DTypeLike | None = None, *, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            msg = "the frames are not in memory, so that an array of them is always a copy; omit copy=False"
            raise ValueError(msg)
        whole = self._stack(range(len(self)), ())
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        arrays = [np.asarray(each) if isinstance(each, FrameArray) else each for each in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(np.ndarray, name):
            msg = (
                f"a movie that is read frame by frame has no '{name}'; read all frames into memory first: "
                f"np.asarray(movie).{name}, or use the function of numpy, such as np.max(movie)"
            )
            raise AttributeError(msg)
        msg = f"'{type(self).__name__}' object has no attribute '{name}'"
        raise AttributeError(msg)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape[1:]))
        return f"<{count_noun(len(self), 'frame')} of {size} pixels, {self.dtype}, read when they are needed>"


def _expand(key: Any, ndim: int) -> list[Any]:
    """Return an index for each axis, and None for a new one; lists become arrays."""
    parts = [np.asarray(part) if isinstance(part, list | range) else part for part in _list_parts(key)]
    missing = ndim - sum(map(_count_axes, parts))
    if missing < 0:
        msg = f"too many indices: the array has {count_noun(ndim, 'axis', 'axes')}"
        raise IndexError(msg)
    gap = next((k for k, part in enumerate(parts) if part is Ellipsis), len(parts))
    return [*parts[:gap], *[slice(None)] * missing, *parts[gap + 1 :]]


def _list_parts(key: Any) -> list[Any]:
    return list(key) if isinstance(key, tuple) else [key]


def _count_axes(part: Any) -> int:
    """Return the number of axes that a part of an index stands for."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1
