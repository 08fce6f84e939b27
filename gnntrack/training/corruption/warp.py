"""A change of geometry that applies to all frames of a movie: turn, mirror, rotate, zoom; shifts differ by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import FloatArray, Image, IntArray

__all__ = ["Warp"]

_ISOTROPIC = 1.5  # z is zoomed only if its pixels are shorter than this many times those along y and x


@dataclass(eq=False)
class Warp:
    """A change of geometry: first quarter turns and flip, then rotation and zoom about the middle of the field.

    Parameters
    ----------
    shape : D ints
        Shape of an original frame.
    spacing : D floats
        Size of an original pixel.
    quarter_turns : int
        Number of turns by 90 degrees in the plane of y and x; exact.
    flip : bool
        Mirror along x; exact.
    rotation : float
        Angle in degrees in the plane of y and x.
    scale : float
        Zoom; above 1 cells become larger. It includes z if pixels along z are about as long as along y and x.

    Attributes
    ----------
    shape_after, spacing_after : D ints, D floats
        Shape and pixel size of the result.
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
    _between: _Interpolation | None = field(init=False, default=None)
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
        self._near = _find_nearest(where, self.shape_after[-2:])
        self._between = _Interpolation(where, self.shape_after[-2:])
        if len(self.shape) == 3 and self.scale != 1 and self.spacing[0] < _ISOTROPIC * min(self.spacing[1:]):
            middle_z = (self.shape[0] - 1) / 2
            self._depth = ((np.arange(self.shape[0]) - middle_z) / self.scale + middle_z).astype(np.float32)

    def warp_labels(self, frame: Image, shift: tuple[int, ...]) -> Image:
        """Return the changed label image, by nearest-neighbour interpolation, shifted by whole pixels."""
        frame = self._turn(frame)
        if self._near is not None:
            # one more pixel, for places outside
            flat = np.zeros((*frame.shape[:-2], math.prod(frame.shape[-2:]) + 1), frame.dtype)
            flat[..., :-1] = frame.reshape(*frame.shape[:-2], -1)
            frame = np.take(flat, self._near, axis=-1).reshape(frame.shape)
            if self._depth is not None:
                level = np.rint(self._depth).astype(np.int64)
                frame = frame[np.clip(level, 0, len(frame) - 1)]
                frame[(level < 0) | (level >= len(frame))] = 0
        return _translate(frame, shift, 0)

    def warp_image(self, frame: Image, shift: tuple[int, ...], background: float) -> Image:
        """Return the changed image, by linear interpolation if needed, shifted; `background` outside the frame."""
        frame = self._turn(frame)
        if self._between is not None:
            frame = self._between.apply(frame, background)
            if self._depth is not None:
                low = np.clip(np.floor(self._depth).astype(np.int64), 0, max(len(frame) - 2, 0))
                fraction = np.clip(self._depth - low, 0, 1)[:, None, None]
                frame = frame[low] * (1 - fraction) + frame[np.minimum(low + 1, len(frame) - 1)] * fraction
                frame[(self._depth < -0.5) | (self._depth > len(frame) - 0.5)] = background
        return _translate(frame, shift, background)

    def _turn(self, frame: Image) -> Image:
        frame = np.rot90(frame, self.quarter_turns % 4, axes=(-2, -1))
        return np.ascontiguousarray(frame[..., ::-1] if self.flip else frame)


def _find_nearest(where: FloatArray, shape: tuple[int, ...]) -> IntArray:
    """Return the index in a flattened plane of each place (2, Y * X); one past the end for places outside."""
    y, x = np.rint(where).astype(np.int64)
    inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
    return np.where(inside, y * shape[1] + x, math.prod(shape)).astype(np.int64)


class _Interpolation:
    """Linear interpolation of planes of one shape at places (2, Y * X); indices and weights are computed once."""

    def __init__(self, where: FloatArray, shape: tuple[int, ...]) -> None:
        height, width = shape
        self.outside = ((where < -0.5) | (where > np.array([[height - 0.5], [width - 0.5]]))).any(axis=0)
        y, x = np.clip(where[0], 0, height - 1), np.clip(where[1], 0, width - 1)
        top = np.minimum(y.astype(np.int64), max(height - 2, 0))
        left = np.minimum(x.astype(np.int64), max(width - 2, 0))
        self.down, self.right = (y - top).astype(np.float32), (x - left).astype(np.float32)
        self.corner = top * width + left
        self.row, self.column = width * (height > 1), int(width > 1)

    def apply(self, frame: Image, background: float) -> Image:
        """Return the interpolated planes of a frame, float32, with `background` at places outside."""
        flat = frame.reshape(*frame.shape[:-2], -1).astype(np.float32)

        def interpolate_row(first: int) -> Image:
            # pixels to the right are read through a shifted view, so that one table of indices is used for all corners
            left, right = flat[..., first:], flat[..., first + self.column :]
            value: Image = np.take(left, self.corner, axis=-1)
            value += (np.take(right, self.corner, axis=-1) - value) * self.right
            return value

        above = interpolate_row(0)
        image: Image = above + (interpolate_row(self.row) - above) * self.down
        image[..., self.outside] = background
        return image.reshape(frame.shape)


def _translate(frame: Image, shift: tuple[int, ...], fill: float) -> Image:
    """Return the frame shifted by whole pixels, with `fill` where it was empty; the frame itself if not shifted."""
    if not any(shift):
        return frame
    out = np.full_like(frame, fill)
    to = tuple(slice(max(s, 0), max(n + min(s, 0), 0)) for s, n in zip(shift, frame.shape, strict=True))
    of = tuple(slice(max(-s, 0), max(n - max(s, 0), 0)) for s, n in zip(shift, frame.shape, strict=True))
    out[to] = frame[of]
    return out
