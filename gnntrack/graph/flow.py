"""Dense optical flow of the images, read at the cells.

The images are reduced until a cell has a radius of about three pixels. The flow is found by inverse search of patches
(DIS: Kroeger et al., ECCV 2016, by OpenCV) at the finest scale, without its variational refinement. Each patch is
compared without its mean, so that a change of brightness does not matter.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from gnntrack.frame_slabs import LargeFrame
from gnntrack.graph.translation import compare_spectra, compute_spectrum, find_fast_length
from gnntrack.movie_scales import estimate_of_movie

if TYPE_CHECKING:
    from gnntrack.graph.translation import Spectrum
    from gnntrack.types import Cells, FeatureArray, FloatArray, Image, IntArray

__all__ = ["FlowRecorder"]

_RADIUS = 3.2  # least cell radius in pixels of the reduced image: below it the flow blurs, above it only time grows
_LONGEST = 1024  # longest side of the reduced image in pixels
_SMALLEST = 16  # shortest side of the reduced image that OpenCV gets; smaller ones are padded
_FAR = 3.2  # a drift of more reduced pixels than this is given to the flow as its start
_STRIDE = 6  # reduced pixels between patches of 8 x 8
_STEPS = 12  # of gradient descent per patch
_WINDOW = 5  # side in reduced pixels of the square in which the flow is averaged: about a cell
_WAITING = 64  # frames in the queue of the optical flow at most, to limit the memory: a frame has at most 1 MB
_HUGE = 1e30


class _OneThread:
    """While it is entered, by one thread or several, OpenCV uses no threads of its own.

    Images are read, reduced and compared at the same time: more threads would only wait for each other.
    """

    def __init__(self) -> None:
        self._lock, self._users, self._before = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        with self._lock:
            if not self._users:
                self._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            self._users += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                cv2.setNumThreads(self._before)


_ONE_THREAD = _OneThread()


@dataclass
class _ReducedImage:
    """A reduced image (Y, X) of 8 bits, and the size (2,) of its pixels in pixels of the image."""

    image: Image
    pixel: FloatArray

    @cached_property
    def half(self) -> FeatureArray:
        """Every second pixel, which is enough to find a drift that is too large for the flow."""
        half = self.image[::2, ::2]
        height, width = (find_fast_length(side, longer=False) for side in half.shape)
        return half[:height, :width].astype(np.float32)

    @cached_property
    def spectrum(self) -> Spectrum:
        """Fourier transform of `half`."""
        return compute_spectrum(self.half)


@dataclass
class FlowRecorder:
    """Optical flow at the cells, computed while the images are read, so that each is read once.

    Parameters
    ----------
    ndim : int
        2 or 3; a 3D image is reduced to its maximum along z, and the flow along z is 0.
    factor : float
        Pixels of the images per pixel of the reduced images along each axis, chosen from the first frame with cells; 0
        before.

    Examples
    --------
    >>> spot = np.zeros((32, 32), np.uint8); spot[10:15, 10:15] = 200
    >>> recorder = FlowRecorder(2)
    >>> for frame, image in enumerate([spot, np.roll(spot, 2, axis=1)]):
    ...     recorder.add_frame(frame, image, np.array([[12.0, 12.0]]), np.array([2.8]))
    >>> recorder.factor  # the cell is small: the image is not reduced
    1.0
    """

    ndim: int
    factor: float = 0.0
    _small: _ReducedImage | None = None
    _position: FloatArray | None = None
    _whole: Cells | None = None
    _row: IntArray | None = None
    _jobs: list[Future[FloatArray]] = field(default_factory=list)
    _frames: list[int] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def add_frame(self, frame: int, image: Image | LargeFrame, position: FloatArray, radius: FloatArray) -> None:
        """Add the next frame; its flow from the frame before is computed in another thread.

        Parameters
        ----------
        frame : int
            Frame number; frames come in ascending order.
        image : (Y, X) or (Z, Y, X), or a large frame
            Intensities.
        position : (n, D) float64
            Centroids of the frame's cells in pixels.
        radius : (n,) float64
            Their equivalent radii in pixels.
        """
        plane = image.max(axis=0) if isinstance(image, LargeFrame) or image.ndim == 3 else image
        if not self.factor and len(radius):
            first = estimate_of_movie("flow.radius", lambda: float(np.median(radius)))
            self.factor = max(1.0, first / _RADIUS, max(plane.shape) / _LONGEST)
        if not self.factor:
            return
        with _ONE_THREAD:
            small = _ReducedImage(*_reduce_image(plane, self.factor))
        if self._small is not None and self._position is not None and len(self._position):
            at = np.floor((self._position[:, -2:] + 0.5) / small.pixel)  # whole numbers are centres of pixels
            self._jobs.append(self._pool.submit(_compute_flow, self._small, small, at))
            self._frames.append(frame - 1)
            if len(self._jobs) > _WAITING:
                self._jobs[-1 - _WAITING].result()
        self._small, self._position = small, position

    def close(self) -> None:
        """End the other thread; frames that still wait, after an error or Ctrl-C, are left."""
        self._pool.shutdown(cancel_futures=True)

    def cut_cells(self, whole: Cells, row: IntArray) -> None:
        """Note that cells were cut after their frames were added: each has the displacement of a row of `whole`."""
        self._whole, self._row = whole, row

    def get_shifts(self, cells: Cells) -> FloatArray:
        """Return the displacements of all cells in their unit, shape (N, D)."""
        whole = cells if self._whole is None else self._whole
        total = np.zeros_like(whole.position)
        for frame, job in zip(self._frames, self._jobs, strict=True):
            total[whole.rows(frame), -2:] = job.result() * np.asarray(whole.spacing)[-2:]
        return total if self._row is None else total[self._row]


def _reduce_image(plane: Image, factor: float) -> tuple[Image, FloatArray]:
    """Return the plane as an 8-bit image with stretched contrast, and the size (2,) of its pixels, about `factor`.

    Blocks of whole pixels are averaged first, since that is ten times faster than to average parts of pixels.
    """
    usable = plane if plane.dtype in (np.uint8, np.uint16) else _replace_nonfinite(plane)
    whole = int(factor)
    height, width = (max(1, side // whole) for side in plane.shape)
    small = usable[: height * whole, : width * whole]
    small = cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA).astype(np.float64)
    low, high = _find_levels(small[::2, ::2])
    # a contrast of rounding errors is not stretched, whatever the unit of the image
    contrast = max(high - low, 1e-6 * max(abs(low), abs(high)), float(np.finfo(np.float32).tiny))
    small -= low
    small /= contrast
    np.clip(small, 0, 1, out=small)
    small *= 255
    stretched = small.astype(np.uint8)
    sides = [max(1, round(side * whole / factor)) for side in (height, width)]
    reduced = np.asarray(cv2.resize(stretched, sides[::-1], interpolation=cv2.INTER_AREA))
    pixel = np.array([height, width]) * whole / np.array(sides)
    below, right = (max(0, _SMALLEST - side) for side in sides)
    return (np.pad(reduced, ((0, below), (0, right)), "edge") if below or right else reduced), pixel


def _find_levels(values: FloatArray) -> tuple[float, float]:
    """Return the percentiles 1 and 99.5, of 32-bit numbers, which NumPy sorts faster than it finds percentiles."""
    ordered = np.sort(values.astype(np.float32), axis=None)
    at = np.array([0.01, 0.995]) * (len(ordered) - 1)
    below = at.astype(np.int64)
    lower, upper = (ordered[np.minimum(rank, len(ordered) - 1)].astype(np.float64) for rank in (below, below + 1))
    low, high = lower + (at - below) * (upper - lower)
    return float(low), float(high)


def _replace_nonfinite(plane: Image) -> Image:
    """Return the plane as float32; pixels that are not finite in float32 get the median of the others.

    Huge values are made smaller, so that sums of them are finite.
    """
    if plane.dtype.kind != "f":
        return plane.astype(np.float32)
    invalid = ~(np.abs(plane) <= np.finfo(np.float32).max)
    if invalid.any():
        plane = np.where(invalid, 0 if invalid.all() else np.median(plane[~invalid]), plane)
    peak = float(np.abs(plane).max())
    return (plane / peak if peak > _HUGE else plane).astype(np.float32, copy=False)


def _compute_flow(one: _ReducedImage, other: _ReducedImage, at: FloatArray) -> FloatArray:
    """Return the optical flow along y, x, in pixels of the image, at pixels (n, 2) of the reduced one, shape (n, 2)."""
    guess = 2 * compare_spectra(one.spectrum, other.spectrum, one.half.shape)
    before, after = one.image, other.image
    large = float(np.abs(guess).max()) > _FAR and _compute_error(before, after, guess) < _compute_error(
        before, after, np.zeros(2)
    )
    start = np.broadcast_to(guess[::-1].astype(np.float32), (*before.shape, 2)).copy() if large else None
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(0)
    search.setVariationalRefinementIterations(0)
    search.setPatchStride(_STRIDE)
    search.setGradientDescentIterations(_STEPS)
    with _ONE_THREAD:
        flow = cv2.blur(search.calc(before, after, start), (_WINDOW, _WINDOW))  # type: ignore[arg-type]
    y, x = (np.clip(at[:, axis].astype(np.int64), 0, before.shape[axis] - 1) for axis in (0, 1))
    return np.asarray(flow[y, x][:, ::-1], np.float64) * one.pixel


def _compute_error(before: Image, after: Image, shift: FloatArray) -> float:
    """Return the mean absolute difference of two images after a shift."""
    moved = np.roll(before, tuple(np.rint(shift).astype(int)), (0, 1))
    return float(np.abs(moved.astype(np.int16) - after).mean())
