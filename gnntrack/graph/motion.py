"""Motion of the field from each frame to the next: the predicted displacement of every cell.

There are two predictors; ``flow = "auto"`` uses the one whose predictions are nearer to cells of the next frame:

* cells: the global drift of the frame (phase correlation of maps of the cells, Kuglin and Hines 1975) plus the
  median displacement of mutual nearest pairs among the neighbouring cells;
* images: dense optical flow of the reduced images (Farneback, SCIA 2003, by OpenCV), read at each cell.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy import fft
from scipy.spatial import cKDTree

from gnntrack.geometry import find_mutual_nearest

if TYPE_CHECKING:
    from gnntrack.settings import MotionSettings
    from gnntrack.types import Cells, FloatArray, Image

__all__ = ["FlowRecorder", "Motion", "estimate_motion", "estimate_shift"]

_RADIUS = 3.2  # cell radius in pixels of the reduced image: below it the flow blurs, above it only time grows
_LONGEST = 1024  # longest side of the reduced image in pixels
_WINDOW = 11  # Farneback's averaging window in reduced pixels: about three cell radii
_WAITING = 8  # frames in the queue of the optical flow at most, to limit the memory


@dataclass(frozen=True, eq=False)
class Motion:
    """Predicted displacement of every cell to the next frame.

    Parameters
    ----------
    shift : (N, D) float64
        Displacement in the unit of the cells; zero in the last frame.
    drift : (n_frames, D) float64
        Global displacement of each frame to the next; zero in the last frame.
    neighbours : (N, D) float64
        Drift plus the median displacement of the neighbouring cells, for both predictors.
    flow : str
        The predictor that was used: ``"images"``, ``"cells"`` or ``"none"``.
    """

    shift: FloatArray
    drift: FloatArray
    neighbours: FloatArray
    flow: str

    def extrapolate(self, cells: Cells, gap: int) -> FloatArray:
        """Return the predicted displacement of every cell over ``gap`` frames, shape (N, D).

        Beyond the next frame a cell moves with the cell that is nearest to its predicted position.
        """
        total = self.shift.copy()
        for step in range(1, gap):
            for frame in range(cells.n_frames - gap):
                here, there = cells.rows(frame), cells.rows(frame + step)
                if here.start == here.stop:
                    continue
                if there.start == there.stop:
                    total[here] += self.drift[frame + step]
                    continue
                near = cKDTree(cells.position[there]).query(cells.position[here] + total[here])[1]
                total[here] += self.shift[there][near]
        return total


@dataclass
class FlowRecorder:
    """Optical flow at the cells, computed while the images are read, so that each is read once.

    Parameters
    ----------
    ndim : int
        2 or 3; a 3D image is reduced to its maximum along z, and the flow along z is 0.
    scale : float
        Reduced over full side of the images, chosen from the first frame with cells; 0 before.
    """

    ndim: int
    scale: float = 0.0
    _small: Image | None = None
    _position: FloatArray | None = None
    _jobs: list[Future[FloatArray]] = field(default_factory=list)
    _frames: list[int] = field(default_factory=list)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    def add_frame(self, frame: int, image: Image, position: FloatArray, radius: FloatArray) -> None:
        """Add the next frame; its flow from the frame before is computed in another thread.

        Parameters
        ----------
        frame : int
            Frame number; frames come in ascending order.
        image : (Y, X) or (Z, Y, X)
            Intensities.
        position : (n, D) float64
            Centroids of the frame's cells in pixels.
        radius : (n,) float64
            Their equivalent radii in pixels.
        """
        plane = image.max(axis=0) if image.ndim == 3 else image
        if not self.scale and len(radius):
            self.scale = min(1.0, _RADIUS / max(float(np.median(radius)), 1e-6), _LONGEST / max(plane.shape))
        if not self.scale:
            return
        small = _reduce_image(plane, self.scale)
        if self._small is not None and self._position is not None and len(self._position):
            self._jobs.append(self._pool.submit(_compute_flow, self._small, small, self._position, plane.shape))
            self._frames.append(frame - 1)
            if len(self._jobs) > _WAITING:
                self._jobs[-1 - _WAITING].result()
        self._small, self._position = small, position

    def get_shifts(self, cells: Cells) -> FloatArray:
        """Return the displacements of all cells in their unit, shape (N, D)."""
        total = np.zeros_like(cells.position)
        with self._pool:
            for frame, job in zip(self._frames, self._jobs, strict=True):
                total[cells.rows(frame)] = job.result() * np.asarray(cells.spacing)
        return total


def estimate_motion(cells: Cells, recorder: FlowRecorder | None = None, *, settings: MotionSettings) -> Motion:
    """Predict where each cell will be in the next frame.

    Parameters
    ----------
    cells : Cells
        All cells of the movie.
    recorder : FlowRecorder or None
        The recorder of the images, if there are images.
    settings : MotionSettings
        Which predictors to use.

    Returns
    -------
    Motion
        Of the predictor whose predictions have the smallest median distance to a cell of the next frame.

    Examples
    --------
    >>> from gnntrack.settings import MotionSettings
    >>> from gnntrack.types import Cells
    >>> place = [[5, 5], [5, 25], [25, 5], [25, 25]]
    >>> place += [[y, x + 4] for y, x in place]
    >>> frame, label = [0] * 4 + [1] * 4, [1, 2, 3, 4] * 2
    >>> cells = Cells(frame, label, place, [[6]] * 8, ("diameter",), ("",), (1, 1), 2, (40, 40))
    >>> estimate_motion(cells, settings=MotionSettings()).shift[:4].round(6).tolist()
    [[0.0, 4.0], [0.0, 4.0], [0.0, 4.0], [0.0, 4.0]]
    """
    drift = _estimate_drift(cells) if settings.drift else np.zeros((cells.n_frames, cells.ndim))
    neighbours = _estimate_local_motion(cells, drift, settings.neighbours)
    choices = {"none": drift[cells.frame]}
    if settings.flow in ("auto", "cells"):
        choices["cells"] = neighbours
    if settings.flow in ("auto", "images") and recorder is not None:
        choices["images"] = recorder.get_shifts(cells)
    error = {name: _measure_prediction_error(cells, shift) for name, shift in choices.items()}
    best = min(error, key=lambda name: (error[name], name))
    return Motion(choices[best], drift, neighbours, best)


def estimate_shift(before: FloatArray, after: FloatArray) -> FloatArray:
    """Estimate the translation from one map to the next by phase correlation.

    Parameters
    ----------
    before, after : arrays of one shape
        Maps of any dimension, periodic at their borders.

    Returns
    -------
    (D,) float64
        Translation in pixels along each axis, with subpixel precision from a parabola through the peak; 0 for maps
        without structure.

    References
    ----------
    Kuglin and Hines, The phase correlation image alignment method, 1975.

    Examples
    --------
    >>> import numpy as np
    >>> spot = np.zeros((16, 16)); spot[4, 5] = 1
    >>> (estimate_shift(spot, np.roll(spot, (3, -2), (0, 1))) + 0.0).tolist()
    [3.0, -2.0]
    """
    # skimage's phase_cross_correlation has other subpixel shifts, and takes up to 300 times longer for small maps
    product = np.conj(fft.rfftn(before)) * fft.rfftn(after)
    magnitude = np.abs(product)
    surface = fft.irfftn(product / np.maximum(magnitude, magnitude.max() * 1e-6 + 1e-30), before.shape)
    peak = np.unravel_index(int(np.argmax(surface)), surface.shape)
    shift = np.zeros(before.ndim)
    for axis, (at, n) in enumerate(zip(peak, before.shape, strict=True)):
        line = surface[tuple(slice(None) if a == axis else p for a, p in enumerate(peak))]
        left, middle, right = line[(at - 1) % n], line[at], line[(at + 1) % n]
        bend = left - 2 * middle + right
        offset = 0.0 if n < 3 or abs(bend) < 1e-12 else 0.5 * float(left - right) / float(bend)
        shift[axis] = (at + n // 2) % n - n // 2 + (offset if abs(offset) < 0.5 and abs(left - right) > 1e-9 else 0.0)
    return shift


def _reduce_image(plane: Image, scale: float) -> Image:
    """Return the plane as an 8-bit image at ``scale`` with stretched contrast."""
    height, width = (max(8, round(side * scale)) for side in plane.shape)
    usable = plane if plane.dtype in (np.uint8, np.uint16) else _replace_nonfinite(plane)
    small = cv2.resize(usable, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    low, high = np.percentile(small[::2, ::2].astype(np.float64), [1, 99.5])
    # a contrast of rounding errors is not stretched, whatever the unit of the image
    contrast = max(high - low, 1e-6 * max(abs(low), abs(high)), float(np.finfo(np.float32).tiny))
    return np.asarray(np.clip((small - low) / contrast, 0, 1) * 255, np.uint8)


def _replace_nonfinite(plane: Image) -> Image:
    """Return the plane as float32; pixels that are not finite in float32 get the median of the others."""
    if plane.dtype.kind != "f":
        return plane.astype(np.float32)
    invalid = ~(np.abs(plane) <= np.finfo(np.float32).max)
    if not invalid.any():
        return plane.astype(np.float32, copy=False)
    return np.where(invalid, 0 if invalid.all() else np.median(plane[~invalid]), plane).astype(np.float32)


def _compute_flow(before: Image, after: Image, position: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return the optical flow at positions in pixels of the full image, shape (n, D)."""
    ratio = np.asarray(before.shape) / np.asarray(shape)
    # every second pixel is enough to find a drift that is too large for the flow
    guess = 2 * estimate_shift(before[::2, ::2].astype(np.float32), after[::2, ::2].astype(np.float32))
    large = float(np.abs(guess).max()) > _RADIUS and _compute_error(before, after, guess) < _compute_error(
        before, after, np.zeros(2)
    )
    start = np.broadcast_to((guess[::-1] if large else np.zeros(2)).astype(np.float32), (*before.shape, 2)).copy()
    flags = cv2.OPTFLOW_USE_INITIAL_FLOW if large else 0
    flow = cv2.calcOpticalFlowFarneback(before, after, start, 0.5, 3, _WINDOW, 3, 5, 1.1, flags)
    at = np.floor((position[:, -2:] + 0.5) * ratio).astype(np.int64)  # whole numbers are centres of pixels
    y, x = (np.clip(at[:, axis], 0, before.shape[axis] - 1) for axis in (0, 1))
    shift = np.zeros_like(position)
    shift[:, -2:] = flow[y, x][:, ::-1] / ratio
    return shift


def _compute_error(before: Image, after: Image, shift: FloatArray) -> float:
    """Return the mean absolute difference of two images after a shift."""
    moved = np.roll(before, tuple(np.rint(shift).astype(int)), (0, 1))
    return float(np.abs(moved.astype(np.int16) - after).mean())


def _estimate_drift(cells: Cells) -> FloatArray:
    """Return the global shift of each frame (n_frames, D), 0 if it does not bring cells nearer to cells."""
    drift = np.zeros((cells.n_frames, cells.ndim))
    if not len(cells):
        return drift
    size = np.asarray(cells.shape) * np.asarray(cells.spacing)
    bin_size = np.maximum(np.median(cells.feature("diameter")) / 2, size / 96)
    bins = np.maximum(np.ceil(size / bin_size).astype(int), 1)
    position = cells.position[cells.rows(0)]
    density = _count_cells(position, size, bins)
    for frame in range(1, cells.n_frames):
        previous, before = position, density
        position = cells.position[cells.rows(frame)]
        density = _count_cells(position, size, bins)
        if min(len(position), len(previous)) < 3:
            continue
        shift = estimate_shift(before, density) * (size / bins)
        tree = cKDTree(position)
        moved, still = (np.median(tree.query(previous + s)[0]) for s in (shift, 0.0))
        if moved < 0.8 * still:  # a smaller gain may be noise
            drift[frame - 1] = shift
    return drift


def _count_cells(position: FloatArray, size: FloatArray, bins: Any) -> FloatArray:
    """Return a blurred map of the number of cells per bin, padded so that a shift does not wrap around."""
    count = np.histogramdd(position, bins=list(bins), range=[(0, s) for s in size])[0]
    padded = np.pad(count, [(0, max(int(b) // 2, 1)) for b in bins])
    for axis in range(padded.ndim):
        padded = padded + 0.5 * (np.roll(padded, 1, axis) + np.roll(padded, -1, axis))
    return np.asarray(padded)


def _estimate_local_motion(cells: Cells, drift: FloatArray, neighbours: int) -> FloatArray:
    """Return drift plus the median residual displacement of the nearest mutual pairs, shape (N, D)."""
    shift = drift[cells.frame].copy()
    for frame in range(cells.n_frames - 1):
        here, there = cells.rows(frame), cells.rows(frame + 1)
        source, target = cells.position[here] + shift[here], cells.position[there]
        if len(source) < 3 or len(target) < 3:
            continue
        _, nearest, mutual = find_mutual_nearest(source, target)
        if mutual.sum() < 3:
            continue
        residual = (target[nearest] - source)[mutual]
        k = min(neighbours, len(residual))
        around = cKDTree(source[mutual]).query(source, k)[1].reshape(len(source), k)
        shift[here] += np.median(residual[around], axis=1)
    return shift


def _measure_prediction_error(cells: Cells, shift: FloatArray) -> float:
    """Return the median distance from predicted positions to the nearest cell of the next frame."""
    distances = []
    for frame in range(cells.n_frames - 1):
        here, there = cells.rows(frame), cells.rows(frame + 1)
        if here.stop > here.start and there.stop > there.start:
            distances.append(cKDTree(cells.position[there]).query(cells.position[here] + shift[here])[0])
    return float(np.median(np.concatenate(distances))) if distances else 0.0
