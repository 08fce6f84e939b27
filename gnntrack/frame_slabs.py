"""Frames that do not fit into memory: volumes are read in slabs, some planes along z at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gnntrack.protocols import FrameStack
    from gnntrack.types import Image

__all__ = [
    "SAMPLE_VOXELS",
    "SLAB_BYTES",
    "LargeFrame",
    "can_read_planes",
    "cut_middle",
    "cut_slabs",
    "get_thickness",
    "is_large",
    "limit_slabs",
    "list_slabs",
    "open_frame",
    "project_frame",
    "read_middle",
    "read_planes",
    "read_sample",
]

SLAB_BYTES = 1 << 27
"""Bytes of the planes of a volume that are read at once, if a pixel has 8; larger volumes are read in slabs."""

SAMPLE_VOXELS = 4_000_000
"""Voxels of the middle of a frame from which the size of cells is estimated."""

_PIXEL = 8  # bytes of a pixel at most
_limits = [SLAB_BYTES]


@contextmanager
def limit_slabs(size: int) -> Iterator[None]:
    """Read larger volumes in slabs of at most so many bytes, if a pixel has 8, in all threads of the process.

    Parameters
    ----------
    size : int
        Bytes; a slab has at least one plane, and the chunks of a file are not divided.
    """
    _limits.append(size)
    try:
        yield
    finally:
        _limits.remove(size)


def cut_slabs(shape: tuple[int, ...], thickness: int = 1) -> list[slice]:
    """Return the planes of the slabs of a frame; a single one if it is small, or is not a volume.

    Parameters
    ----------
    shape : D ints
        Shape of the frame.
    thickness : int
        Planes that are not divided.

    Examples
    --------
    >>> with limit_slabs(8 * 3 * 100):
    ...     [[(each.start, each.stop) for each in cut_slabs((5, 10, 10), n)] for n in (1, 2)]
    [[(0, 3), (3, 5)], [(0, 2), (2, 4), (4, 5)]]
    """
    depth = shape[0]
    planes = _limits[-1] // (_PIXEL * math.prod(shape[1:]))
    if len(shape) < 3 or planes >= depth:
        return [slice(0, depth)]
    planes = max(planes // thickness, 1) * thickness
    return [slice(first, min(first + planes, depth)) for first in range(0, depth, planes)]


def list_slabs(stack: FrameStack) -> list[slice]:
    """Return the planes of the slabs in which frames are read; one if they are small or cannot be read in parts."""
    if not can_read_planes(stack):
        return [slice(0, stack.shape[0])]
    return cut_slabs(tuple(stack.shape), get_thickness(stack))


def is_large(stack: FrameStack) -> bool:
    """Return whether the frames of a movie are read in slabs."""
    return len(list_slabs(stack)) > 1


def open_frame(stack: FrameStack, frame: int) -> Image | LargeFrame:
    """Return a frame as an array, or a large one as a volume that is read in slabs."""
    return LargeFrame(stack, frame) if is_large(stack) else np.asarray(stack[frame])


def can_read_planes(stack: FrameStack) -> bool:
    """Return whether some planes of a volume can be read without the others."""
    return len(stack.shape) == 3 and getattr(stack, "read_part", None) is not None


def get_thickness(stack: FrameStack) -> int:
    """Return the number of planes that are stored together."""
    return int(getattr(stack, "thickness", 1))


def read_planes(stack: Any, frame: int, planes: slice) -> Image:
    """Return some planes of a frame, of which only these are read if the movie allows it."""
    image: Image = stack.read_planes(frame, planes) if can_read_planes(stack) else np.asarray(stack[frame])[planes]
    return image


def read_sample(stack: FrameStack, frame: int) -> Image:
    """Return a frame, or its middle slab if it is large."""
    slabs = list_slabs(stack)
    return np.asarray(stack[frame]) if len(slabs) == 1 else read_planes(stack, frame, slabs[len(slabs) // 2])


def project_frame(stack: FrameStack, frame: int) -> Image:
    """Return a frame as (Y, X), of a volume the maximum along z, which is read in slabs if it is large."""
    if len(stack.shape) < 3:
        return np.asarray(stack[frame])
    return LargeFrame(stack, frame).max(axis=0)


def cut_middle(shape: tuple[int, ...], most: int) -> tuple[slice, ...]:
    """Return the middle of a frame along y and x, of about so many pixels at most.

    Examples
    --------
    >>> cut_middle((5, 20, 20), 500)
    (slice(0, 5, None), slice(5, 15, None), slice(5, 15, None))
    """
    share = min(1.0, (most / max(math.prod(shape), 1)) ** 0.5)
    parts = [slice(0, n) for n in shape[:-2]]
    for n in shape[-2:]:
        kept = max(1, int(n * share))
        parts.append(slice((n - kept) // 2, (n - kept) // 2 + kept))
    return tuple(parts)


def read_middle(stack: FrameStack, frame: int, most: int = SAMPLE_VOXELS) -> Image:
    """Return a frame, or the middle along y and x of a large one, of about so many voxels at most."""
    if not is_large(stack):
        return np.asarray(stack[frame])
    _, *window = cut_middle(tuple(stack.shape), most)
    return np.concatenate([slab[:, *window].copy() for _, slab in LargeFrame(stack, frame).read_slabs()])


class LargeFrame:
    """A volume that is read in slabs, each time that its values are needed.

    Parameters
    ----------
    stack : FrameStack
        A movie of large frames.
    frame : int
        Which frame.
    """

    def __init__(self, stack: FrameStack, frame: int) -> None:
        self._stack, self._frame = stack, frame
        self.shape, self.ndim = tuple(stack.shape), len(stack.shape)

    def read_slabs(self) -> Iterator[tuple[int, Image]]:
        """Yield the index of the first pixel of each slab in the flattened frame, and the slab."""
        plane = math.prod(self.shape[1:])
        for planes in list_slabs(self._stack):
            yield planes.start * plane, read_planes(self._stack, self._frame, planes)

    def read_middle(self, most: int) -> Image:
        """Return the middle along y and x, of about so many voxels at most."""
        return read_middle(self._stack, self._frame, most)

    def max(self, axis: int) -> Image:
        """Return the maximum along the first axis, 0."""
        if axis:
            msg = f"axis {axis}: a large frame is read along axis 0"
            raise ValueError(msg)
        highest: Image | None = None
        for _, slab in self.read_slabs():
            part = slab.max(axis=0)
            highest = part if highest is None else np.maximum(highest, part, out=highest)
        return np.asarray(highest)
