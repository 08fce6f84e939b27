"""The geometry of a movie changed for all its frames alike: turned, mirrored, rotated, zoomed, shifted."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import FloatArray, Image, IntArray

__all__ = ["Warp"]

_ISOTROPIC = 1.5  # a zoom spares z where its pixels are longer than this many of the others


@dataclass(eq=False)
class Warp:
    """A change of geometry: quarter turns and flip first, then rotation and zoom about the middle of the field.

    Parameters
    ----------
    shape : D ints
        Shape of a frame before.
    spacing : D floats
        Size of a pixel before.
    quarter_turns : int
        Turns by 90 degrees in the plane of y and x; exact.
    flip : bool
        Mirrored along x; exact.
    rotation : float
        Degrees in the plane of y and x.
    scale : float
        Zoom, above 1 cells become larger; along z too where pixels are about as long as wide.

    Attributes
    ----------
    shape_after, spacing_after : D ints, D floats
        Shape and pixel size of what comes out.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    quarter_turns: int = 0
    flip: bool = False
    rotation: float = 0.0
    scale: float = 1.0
    shape_after: tuple[int, ...] = field(init=False)
    spacing_after: tuple[float, ...] = field(init=False)
    _near: IntArray | None = field(init=False, default=None)
    _between: _Between | None = field(init=False, default=None)
    _depth: npt.NDArray[np.float32] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        swap = self.quarter_turns % 2 == 1
        self.shape_after = (*self.shape[:-2], *(self.shape[:-3:-1] if swap else self.shape[-2:]))
        self.spacing_after = (*self.spacing[:-2], *(self.spacing[:-3:-1] if swap else self.spacing[-2:]))
        if self.rotation % 360 == 0 and self.scale == 1:
            return
        size = np.array(self.spacing_after[-2:])
        middle = (np.array(self.shape_after[-2:]) - 1) / 2
        angle = np.deg2rad(self.rotation)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / self.scale
        turn = turn * size / size[:, None]  # in pixels that may be longer than wide
        grid = np.indices(self.shape_after[-2:]).reshape(2, -1) - middle[:, None]
        where = turn @ grid + middle[:, None]
        self._near = _nearest(where, self.shape_after[-2:])
        self._between = _Between(where, self.shape_after[-2:])
        if len(self.shape) == 3 and self.scale != 1 and self.spacing[0] < _ISOTROPIC * min(self.spacing[1:]):
            middle_z = (self.shape[0] - 1) / 2
            self._depth = ((np.arange(self.shape[0]) - middle_z) / self.scale + middle_z).astype(np.float32)

    def labels(self, frame: Image, shift: tuple[int, ...]) -> Image:
        """Return the label image changed, pixels taken from the nearest, and shifted by whole pixels."""
        frame = self._turned(frame)
        if self._near is not None:
            # a pixel more, for what lies outside
            flat = np.zeros((*frame.shape[:-2], math.prod(frame.shape[-2:]) + 1), frame.dtype)
            flat[..., :-1] = frame.reshape(*frame.shape[:-2], -1)
            frame = np.take(flat, self._near, axis=-1).reshape(frame.shape)
            if self._depth is not None:
                level = np.rint(self._depth).astype(np.int64)
                frame = frame[np.clip(level, 0, len(frame) - 1)]
                frame[(level < 0) | (level >= len(frame))] = 0
        return _shifted(frame, shift, 0)

    def image(self, frame: Image, shift: tuple[int, ...], background: float) -> Image:
        """Return the image changed, interpolated linearly where pixels do not fall on pixels; `background` outside."""
        frame = self._turned(frame)
        if self._between is not None:
            frame = self._between.taken(frame, background)
            if self._depth is not None:
                low = np.clip(np.floor(self._depth).astype(np.int64), 0, max(len(frame) - 2, 0))
                part = np.clip(self._depth - low, 0, 1)[:, None, None]
                frame = frame[low] * (1 - part) + frame[np.minimum(low + 1, len(frame) - 1)] * part
                frame[(self._depth < -0.5) | (self._depth > len(frame) - 0.5)] = background
        return _shifted(frame, shift, background)

    def _turned(self, frame: Image) -> Image:
        frame = np.rot90(frame, self.quarter_turns % 4, axes=(-2, -1))
        return np.ascontiguousarray(frame[..., ::-1] if self.flip else frame)


def _nearest(where: FloatArray, shape: tuple[int, ...]) -> IntArray:
    """Return the index in a flattened plane of each place (2, Y * X); one past the end for those outside."""
    y, x = np.rint(where).astype(np.int64)
    inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    return np.where(inside, y * shape[1] + x, math.prod(shape)).astype(np.int64)


class _Between:
    """Linear interpolation of planes of one shape at places (2, Y * X), prepared once."""

    def __init__(self, where: FloatArray, shape: tuple[int, ...]) -> None:
        height, width = shape
        self.outside = ((where < -0.5) | (where > np.array([[height - 0.5], [width - 0.5]]))).any(axis=0)
        y, x = np.clip(where[0], 0, height - 1), np.clip(where[1], 0, width - 1)
        top = np.minimum(y.astype(np.int64), max(height - 2, 0))
        left = np.minimum(x.astype(np.int64), max(width - 2, 0))
        self.down, self.right = (y - top).astype(np.float32), (x - left).astype(np.float32)
        self.corner = top * width + left
        self.row, self.column = width * (height > 1), int(width > 1)

    def taken(self, frame: Image, background: float) -> Image:
        """Return a frame of planes interpolated, float32, `background` where places lie outside."""
        flat = frame.reshape(*frame.shape[:-2], -1).astype(np.float32)

        def along(first: int) -> Image:
            # what is to the right is read through a shifted view, so that one table of indices serves for all corners
            left, right = flat[..., first:], flat[..., first + self.column :]
            value: Image = np.take(left, self.corner, axis=-1)
            value += (np.take(right, self.corner, axis=-1) - value) * self.right
            return value

        above = along(0)
        image: Image = above + (along(self.row) - above) * self.down
        image[..., self.outside] = background
        return image.reshape(frame.shape)


def _shifted(frame: Image, shift: tuple[int, ...], fill: float) -> Image:
    if not any(shift):
        return frame
    out = np.full_like(frame, fill)
    to = tuple(slice(max(s, 0), max(n + min(s, 0), 0)) for s, n in zip(shift, frame.shape, strict=True))
    of = tuple(slice(max(-s, 0), max(n - max(s, 0), 0)) for s, n in zip(shift, frame.shape, strict=True))
    out[to] = frame[of]
    return out
