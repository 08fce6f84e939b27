"""Points of a movie as they are read: detections without masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gnntrack.types.columns import FloatArray, IntArray

__all__ = ["PointSet"]


class PointSet(NamedTuple):
    """Points of a movie, in the order of the input.

    Examples
    --------
    >>> import numpy as np
    >>> PointSet(np.array([0, 1]), np.array([[2.5, 3.0], [2.5, 3.5]]), spacing=(0.5, 0.5), unit="um").frame.tolist()
    [0, 1]
    """

    frame: IntArray
    """(N,) from 0."""
    position: FloatArray
    """(N, D) along ``[z], y, x`` in `unit`."""
    spacing: tuple[float, ...]
    """Size of a pixel along each axis in `unit`."""
    unit: str
    """``"um"`` or ``"pixel"``."""
    label: IntArray | None = None
    """(N,) numbers of the points, > 0 and different in a frame; by default they are numbered in each frame, from 1."""
    radius: FloatArray | None = None
    """(N,) in `unit`."""
    intensity: FloatArray | None = None
    """(N,) brightness, not negative."""
    score: FloatArray | None = None
    """(N,) score of the detector."""
    ids: IntArray | None = None
    """(N,) ids of the points in the input, if they cannot be their labels."""
    interval: float | None = None
    """Seconds from a frame to the next, if the input has it."""
    n_frames: int | None = None
    """Frames of the movie; by default up to the last point."""
    shape: tuple[int, ...] | None = None
    """Shape of a frame in pixels; by default the smallest that holds all points."""
