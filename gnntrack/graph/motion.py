"""Motion of the field from each frame to the next: the predicted displacement of every cell.

There are two predictors:

* cells: the global drift of the frame (phase correlation of maps of the cells, Kuglin and Hines 1975) plus the
  median displacement of mutual nearest pairs among the neighbouring cells; where cells push each other apart, an
  expansion in place of the drift (`gnntrack.graph.growth`);
* images: dense optical flow of the images (`gnntrack.graph.flow`), read at each cell.

``flow = "auto"`` predicts a cell from the images if the masks confirm it: predictions from images are nearer to cells
of the next frame than those from cells. This is decided for the movie, then for each frame, then around each cell; each
decision differs from the one before only if the cells that it is based on agree by more than a standard error. An image
that is spoilt in one frame or in one place is thus not used there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from gnntrack.geometry import find_nearest, measure_lengths
from gnntrack.graph.growth import add_local_motion, find_growth
from gnntrack.graph.jumps import find_jumps
from gnntrack.graph.translation import compare_spectra, compute_spectrum, find_fast_length
from gnntrack.movie_scales import estimate_of_movie

if TYPE_CHECKING:
    from gnntrack.settings import MotionSettings
    from gnntrack.types import BoolArray, Cells, FloatArray, IntArray

__all__ = ["FlowSource", "Motion", "estimate_motion"]

_AROUND = 9  # a cell and its 8 nearest, whose predictions are compared
_NOISE = 0.8  # a drift brings cells nearer to cells than this fraction of their distance without it
_BY_CHANCE = 0.5  # the same for a drift that leads cells to the places of others
_CLEARLY = 1.0  # standard errors by which one predictor has to be better than the other
_LOST = (
    0.5  # loss of closeness at a cell whose optical flow leads away from all cells, while the other predictor does not
)


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
        Drift, or expansion, plus the median displacement of the neighbouring cells, for both predictors.
    flow : str
        The predictor of most cells: ``"images"``, ``"cells"``, ``"growth"`` (cells that push each other) or ``"none"``.
    by_images : float, optional
        Fraction of the cells, without those of the last frame, that are predicted from images; None without images.
    by_cells : (N, D) float64, optional
        `shift` as it would be without images; None without images.
    """

    shift: FloatArray
    drift: FloatArray
    neighbours: FloatArray
    flow: str
    by_images: float | None = None
    by_cells: FloatArray | None = None

    def extrapolate(self, cells: Cells, gap: int) -> FloatArray:
        """Return the predicted displacement of every cell over ``gap`` frames, shape (N, D).

        Beyond the next frame a cell moves with the cell that is nearest to its predicted position. The optical flow of
        that cell counts only if it may be the same cell, within its radius: it is the flow of one cell, not of a place.
        """
        total = self.shift.copy()
        radius = cells.feature("diameter") / 2
        for step in range(1, gap):
            for frame in range(cells.n_frames - gap):
                here, there = cells.rows(frame), cells.rows(frame + step)
                if here.start == here.stop:
                    continue
                if there.start == there.stop:
                    total[here] += self.drift[frame + step]
                    continue
                distance, near = find_nearest(cells.position[here] + total[here], cells.position[there])
                step_on = self.shift[there][near]
                if self.by_cells is not None:
                    same = distance <= radius[here]
                    step_on = np.where(same[:, None], step_on, self.by_cells[there][near])
                total[here] += step_on
        return total


class FlowSource(Protocol):
    """The optical flow of the images of a movie, such as `gnntrack.graph.flow.FlowRecorder`."""

    def get_shifts(self, cells: Cells) -> FloatArray:
        """Return the displacements of all cells to the next frame, in their unit, shape (N, D)."""

    def cut_cells(self, whole: Cells, row: IntArray) -> None:
        """Note that cells were cut: each has the displacement of a row of `whole`."""


def estimate_motion(
    cells: Cells, recorder: FlowSource | None = None, *, settings: MotionSettings, known: Motion | None = None
) -> Motion:
    """Predict where each cell will be in the next frame.

    Parameters
    ----------
    cells : Cells
        All cells of the movie.
    recorder : FlowSource or None
        The recorder of the images, if there are images.
    settings : MotionSettings
        Which predictors to use.
    known : Motion, optional
        The result for the same cells and settings without images, which is computed if None.

    Returns
    -------
    Motion
        From images where the masks confirm it. Elsewhere the same as without images: from cells or from the drift
        alone, whichever has the smaller median distance from prediction to a cell of the next frame.

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
    still = known or _estimate_from_cells(cells, settings)
    if recorder is not None and still.flow == "growth":
        # without images: in rows of cells that look alike, their flow is often that to the next cell
        return replace(still, by_images=0.0, by_cells=still.shift)
    if settings.flow not in ("auto", "images") or recorder is None:
        return still
    images = recorder.get_shifts(cells)
    images[:, :-2] = still.shift[:, :-2]  # the flow is that of a plane
    differ = measure_lengths(images - still.shift)
    confirmed = _confirm_images(cells, differ, _Targets.find(cells, images), _Targets.find(cells, still.shift))
    n_moving = max(int((cells.frame < cells.n_frames - 1).sum()), 1)
    fraction = estimate_of_movie("motion.by_images", lambda: float(confirmed.sum() / n_moving))
    shift = np.where(confirmed[:, None], images, still.shift)
    flow = "images" if fraction > 0.5 else still.flow
    return Motion(shift, still.drift, still.neighbours, flow, fraction, still.shift)


def _estimate_from_cells(cells: Cells, settings: MotionSettings) -> Motion:
    """Return the motion as it is without images."""
    drift, neighbours = _estimate_field_motion(cells, settings)
    choices = {"none": drift[cells.frame]}
    if settings.flow in ("auto", "cells"):
        choices["cells"] = neighbours
    error = {name: _Targets.find(cells, shift).error for name, shift in choices.items()}
    best = estimate_of_movie("motion.predictor", lambda: min(error, key=lambda name: (error[name], name)))
    grown = None
    if settings.flow in ("auto", "cells"):
        grown = find_growth(cells, drift, choices[best], neighbours=settings.neighbours)
    if grown is not None:
        return Motion(grown, drift, grown, "growth")
    return Motion(choices[best], drift, neighbours, best)


def _estimate_field_motion(cells: Cells, settings: MotionSettings) -> tuple[FloatArray, FloatArray]:
    """Return the drift of each frame, (n_frames, D), with its jumps, and the motion of neighbours, (N, D)."""
    drift = _estimate_drift(cells) if settings.drift else np.zeros((cells.n_frames, cells.ndim))
    neighbours = _estimate_local_motion(cells, drift, settings.neighbours)
    jumps = find_jumps(cells, neighbours, neighbours=settings.neighbours) if settings.drift else {}
    for frame, jump in jumps.items():
        drift[frame] = jump
    return drift, _estimate_local_motion(cells, drift, settings.neighbours) if jumps else neighbours


class _Targets(NamedTuple):
    """The cells of the next frame that are nearest to the predicted positions."""

    distance: FloatArray
    """(N,) From each prediction to its nearest cell; infinite if there is none, as in the last frame."""
    row: IntArray
    """(N,) Row of that cell, -1 if there is none."""

    @classmethod
    def find(cls, cells: Cells, shift: FloatArray) -> _Targets:
        """Find the nearest cell of the next frame after a shift (N, D) of each cell."""
        distance, row = np.full(len(cells), np.inf), np.full(len(cells), -1)
        for frame in range(cells.n_frames - 1):
            here, there = cells.rows(frame), cells.rows(frame + 1)
            if here.stop > here.start and there.stop > there.start:
                distance[here], row[here] = find_nearest(cells.position[here] + shift[here], cells.position[there])
                row[here] += there.start
        return cls(distance, row)

    @property
    def error(self) -> float:
        """Median distance, 0 if there is none."""
        known = self.distance[self.row >= 0]
        return float(np.median(known)) if len(known) else 0.0

    def measure_closeness(self, radius: float) -> FloatArray:
        """Return 1 / (1 + (distance / radius)^2), (N,); the radius is that of a cell, 0 without a target.

        It is bounded: a prediction far from all cells is no worse than one between two cells.
        """
        return np.asarray(1 / (1 + (self.distance / radius) ** 2))


def _confirm_images(cells: Cells, differ: FloatArray, images: _Targets, others: _Targets) -> BoolArray:
    """Return which cells (N,) are predicted from images rather than by another predictor.

    `differ` (N,) is the distance between the two predictions. The gain of a cell is the difference of its closeness.
    Gains of n cells are compared with their standard error if the mean were 0: sum / sqrt(sum of squares), which is at
    most sqrt(n), so that a single cell proves nothing. Where the predictors lead to different cells, closeness does not
    tell which of them is right, and the gain is 0: regular rows of cells fit each other after a shift by one cell.
    There the images are used only if the predictors differ by no more than they do at a cell of the movie where they
    agree and the images are nearer.
    """
    radius = estimate_of_movie(
        "motion.radius", lambda: max(float(np.median(cells.feature("diameter"))) / 2, 1e-12) if len(cells) else 1.0
    )
    close, other_close = (targets.measure_closeness(radius) for targets in (images, others))
    agree = images.row == others.row
    gain = np.where(agree, close - other_close, 0)
    confirmed = np.zeros(len(cells), bool)
    in_movie = estimate_of_movie("motion.images_are_nearer", lambda: bool(_compare_with_error(gain) > _CLEARLY))
    alike = estimate_of_movie("motion.alike", lambda: float(differ[agree & (gain > 0)].max(initial=0)))
    near = agree | (differ <= alike)
    for frame in range(cells.n_frames - 1):
        here = cells.rows(frame)
        if here.stop == here.start:
            continue
        k = min(_AROUND, here.stop - here.start)
        around = find_nearest(cells.position[here], cells.position[here], k)[1].reshape(-1, k)
        in_frame = _decide(gain[here], default=in_movie)
        confirmed[here] = _decide(gain[here][around], default=in_frame)
    return np.asarray(confirmed & near & (close - other_close > -_LOST))


def _decide(gain: FloatArray, *, default: BoolArray | bool) -> BoolArray:
    """Return whether gains (..., n) are clearly positive; if they are not clear, the default."""
    errors = _compare_with_error(gain)
    return np.where(np.abs(errors) > _CLEARLY, errors > 0, default)


def _compare_with_error(gain: FloatArray) -> FloatArray:
    """Return the mean of gains (..., n) in standard errors."""
    return np.asarray(gain.sum(axis=-1) / np.maximum(np.sqrt((gain**2).sum(axis=-1)), 1e-12))


def _estimate_drift(cells: Cells) -> FloatArray:
    """Return the global shift of each frame (n_frames, D), 0 if it does not bring cells nearer to cells."""
    drift = np.zeros((cells.n_frames, cells.ndim))
    if not len(cells):
        return drift
    size = np.asarray(cells.shape) * np.asarray(cells.spacing)
    diameter = estimate_of_movie("motion.diameter", lambda: float(np.median(cells.feature("diameter"))))
    bin_size = np.maximum(diameter / 2, size / 96)
    bins = np.maximum(np.ceil(size / bin_size).astype(int), 1)
    position = cells.position[cells.rows(0)]
    density = _count_cells(position, size, bins)
    spectrum = compute_spectrum(density)
    for frame in range(1, cells.n_frames):
        previous, before = position, spectrum
        position = cells.position[cells.rows(frame)]
        spectrum = compute_spectrum(_count_cells(position, size, bins))
        if min(len(position), len(previous)) < 3:
            continue
        shift = compare_spectra(before, spectrum, density.shape) * (size / bins)
        moved, still = (np.median(find_nearest(previous + s, position)[0]) for s in (shift, 0.0))
        if moved < _NOISE * still and (moved < _BY_CHANCE * still or _is_short(shift, previous)):
            drift[frame - 1] = shift
    return drift


def _is_short(shift: FloatArray, position: FloatArray) -> bool:
    """Return whether a shift is shorter than half of the typical distance between neighbouring cells.

    A longer one leads cells to the places of others. Among regular cells that divide, or are lost, many do by chance.
    """
    between = float(np.median(find_nearest(position, position, 2)[0][:, 1]))
    return float(np.linalg.norm(shift)) < between / 2


def _count_cells(position: FloatArray, size: FloatArray, bins: Any) -> FloatArray:
    """Return a blurred map of the number of cells per bin, padded so that a shift does not wrap around."""
    sides = [find_fast_length(int(b) + max(int(b) // 2, 1), longer=True) for b in bins]
    at = np.minimum((position * (bins / size)).astype(np.int64), bins - 1)
    count = np.bincount(np.ravel_multi_index(tuple(at.T), sides), minlength=math.prod(sides))
    padded = count.reshape(sides).astype(np.float64)
    for axis in range(padded.ndim):
        padded = padded + 0.5 * (np.roll(padded, 1, axis) + np.roll(padded, -1, axis))
    return np.asarray(padded)


def _estimate_local_motion(cells: Cells, drift: FloatArray, neighbours: int) -> FloatArray:
    """Return drift plus the median residual displacement of the nearest mutual pairs, shape (N, D)."""
    shift = drift[cells.frame].copy()
    for frame in range(cells.n_frames - 1):
        here = cells.rows(frame)
        source, target = cells.position[here], cells.position[cells.rows(frame + 1)]
        shift[here] = add_local_motion(source, target, shift[here], neighbours)
    return shift
