"""Motion of the whole stack between frames of points: drift, jumps, and frames that are copies of the frame before.

The shift between two frames is the most frequent difference between a point of the one and a point of the other, within
some distances of neighbours. Points that are missing, false or move by themselves have no common difference, so that
the shift may be longer than the distance between two cells. It is then corrected by the points that are nearest to
each other after it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.geometry import find_mutual_nearest, find_nearest, measure_lengths
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.plurals import count_noun
from gnntrack.types import StackMotion

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, Cells, FloatArray, IntArray

__all__ = ["StackSteps", "describe_stack", "estimate_stack", "find_stack", "measure_steps"]

_log = logging.getLogger(__name__)

_FEWEST = 4  # points of a frame from which a shift is estimated
_SAMPLE = 120  # points whose differences from those of the next frame are counted
_DIFFERENCES = 4000  # differences that are counted at most, if a third of the sample suffices
_REACH = 4.0  # longest shift, in typical distances of neighbours
_CLOSE = 0.3  # differences that agree, in the same distances
_AGREE = 0.25  # least fraction of the points whose difference is the shift
_SAME = 0.9  # least fraction of points at the same place in a copy of a frame
_RARE = 0.5  # largest fraction of them in an ordinary frame of a movie in which copies are recognised
_ROUNDS = 3  # corrections of a shift by mutually nearest points
_RETURNING = 2.5  # steps longer than this many median ones are a jump if the next step leads back
_LASTING = 6.0  # the same without a step back
_SURE = 6.0  # a jump is longer than this many standard errors of its step
_NOTICED = 0.1  # and than this many typical distances of neighbours
_SHOWN = 12  # frames that a message lists


def estimate_stack(cells: Cells, *, drift: bool = True) -> StackMotion:
    """Estimate the motion of the whole stack from points.

    Parameters
    ----------
    cells : Cells
        Points of a movie.
    drift : bool
        Estimate shifts; else only copies are found.

    Examples
    --------
    Five points move by (0, 30), farther than their distance; the last frame is a copy of the one before:

    >>> from gnntrack.measure.points import make_point_cells
    >>> from gnntrack.types import PointSet
    >>> place = np.array([[5, 5], [5, 20], [25, 5], [30, 25], [48, 12]], float)
    >>> points = np.concatenate([place, place + [0, 30], place + [0, 30]])
    >>> cells, _ = make_point_cells(PointSet(np.repeat([0, 1, 2], 5), points, (1.0, 1.0), "pixel"))
    >>> stack = estimate_stack(cells)
    >>> stack.place.round(6).tolist(), stack.frozen
    ([[0.0, 0.0], [0.0, 30.0], [0.0, 30.0]], (2,))
    """
    return find_stack(measure_steps(cells, drift=drift), cells.spacing)


class StackSteps(NamedTuple):
    """What is measured in each frame to estimate the motion of the stack; it depends on the frame before only."""

    same: FloatArray
    """Fraction of the points at the places of the frame before, (T,); NaN if one of both has few points."""
    shift: FloatArray
    """Of the stack since the last frame with enough points, (T, D)."""
    error: FloatArray
    """Standard error of the shift, (T,)."""
    apart: float
    """Typical distance of a point of the movie from its nearest neighbour; 0 if no shifts are estimated."""


def measure_steps(cells: Cells, *, drift: bool = True) -> StackSteps:
    """Compare each frame with the one before; arguments as of `estimate_stack`."""
    apart = estimate_of_movie("points.spacing", lambda: _measure_spacing(cells)) if drift else 0.0
    shift, error = np.zeros((cells.n_frames, cells.ndim)), np.zeros(cells.n_frames)
    last = -1  # the last frame with enough points
    for frame in range(cells.n_frames if drift else 0):
        position = cells.position[cells.rows(frame)]
        if len(position) < _FEWEST:
            continue
        if last >= 0:
            shift[frame], error[frame] = _estimate_shift(cells.position[cells.rows(last)], position, apart)
        last = frame
    return StackSteps(_compare_frames(cells), shift, error, apart)


def find_stack(steps: StackSteps, spacing: tuple[float, ...]) -> StackMotion:
    """Return the motion of the stack.

    Parameters
    ----------
    steps : StackSteps
        Of all frames of a movie.
    spacing : D floats
        Size of a pixel.
    """
    frames = np.arange(len(steps.same))
    known = np.isfinite(steps.same)
    rare = known.any() and np.median(steps.same[known]) <= _RARE
    copies = known & rare & (steps.same >= _SAME)
    shift, error = np.where(copies[:, None], 0, steps.shift), np.where(copies, 0, steps.error)
    scale = np.asarray(spacing) / 1000  # stored with few digits
    place = np.round(np.cumsum(shift, axis=0) / scale) * scale
    jumps = _find_jumps(shift, copies, np.maximum(_SURE * error, _NOTICED * steps.apart))
    return StackMotion(place, np.maximum.accumulate(np.where(copies, 0, frames)), jumps)


def describe_stack(stack: StackMotion) -> str | None:
    """Return a line about copies of frames and jumps of the stack; None if there are none.

    Examples
    --------
    >>> describe_stack(StackMotion(np.zeros((4, 2)), np.array([0, 0, 2, 2]), jumps=(2,)))
    'found: 2 frames are copies of the frame before: 1, 3; the stack jumps in frame 2'
    """
    parts = []
    if frozen := stack.frozen:
        are = "is a copy" if len(frozen) == 1 else "are copies"
        parts.append(f"{count_noun(len(frozen), 'frame')} {are} of the frame before: {_list_frames(frozen)}")
    if jumps := stack.jumps:
        parts.append(f"the stack jumps in frame{'s' if len(jumps) > 1 else ''} {_list_frames(jumps)}")
    return f"found: {'; '.join(parts)}" if parts else None


def _list_frames(frames: tuple[int, ...]) -> str:
    more = len(frames) - _SHOWN
    return ", ".join(map(str, frames[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _compare_frames(cells: Cells) -> FloatArray:
    """Return the fraction of the points of each frame at the places of the frame before, (T,); NaN if it is unknown."""
    weight = np.random.default_rng(0).uniform(1, 2, cells.ndim)
    key = sum((cells.position[:, axis] * weight[axis] for axis in range(cells.ndim)), np.zeros(len(cells)))
    same = np.full(cells.n_frames, np.nan)
    for frame in range(1, cells.n_frames):
        before, now = key[cells.rows(frame - 1)], key[cells.rows(frame)]
        if min(len(before), len(now)) >= _FEWEST:
            same[frame] = np.isin(now, before).sum() / max(len(now), len(before))
    return same


def _measure_spacing(cells: Cells) -> float:
    """Return the typical distance of a point from its nearest neighbour."""
    found = [np.zeros(0)]
    for frame in range(0, cells.n_frames, max(1, cells.n_frames // 20)):
        position = cells.position[cells.rows(frame)]
        if len(position) >= _FEWEST:
            found.append(find_nearest(position, position, 2)[0][:, 1])
    known = np.concatenate(found)
    return float(np.median(known)) if len(known) else 0.0


def _estimate_shift(before: FloatArray, now: FloatArray, apart: float) -> tuple[FloatArray, float]:
    """Return the shift of the points of one frame to those of another, and its standard error; 0 if there is none."""
    shift, error = _find_common_difference(before, now, apart), 0.0
    for _ in range(_ROUNDS):
        distance, nearest, mutual = find_mutual_nearest(before + shift, now)
        rest = (now[nearest] - before - shift)[mutual]
        close = distance[mutual] <= max(2 * float(np.median(distance[mutual])), 1e-12)
        if close.sum() < _FEWEST:
            break
        shift = shift + rest[close].mean(axis=0)
        error = float(np.linalg.norm(rest[close].std(axis=0)) / np.sqrt(close.sum()))
    return shift, error


def _find_common_difference(before: FloatArray, now: FloatArray, apart: float) -> FloatArray:
    """Return the most frequent difference between points of two frames; zero if it is not common."""
    from scipy.spatial import cKDTree  # slow to import

    zero = np.zeros(before.shape[1])
    if not apart:  # most points are at the places of others: all their differences are 0
        return zero
    some = before
    if len(before) > _SAMPLE:
        some = before[np.random.default_rng(0).choice(len(before), _SAMPLE, replace=False)]
    near = cKDTree(now).query_ball_point(some, _REACH * apart, return_sorted=True)
    enough = max(int(np.searchsorted(np.cumsum([len(each) for each in near]), _DIFFERENCES)), _SAMPLE // 3)
    near, some = near[:enough], some[:enough]
    count = [len(each) for each in near]
    if not sum(count):
        return zero
    difference = now[np.concatenate(near).astype(np.int64)] - np.repeat(some, count, axis=0)
    agree = cKDTree(difference).query_ball_point(difference, _CLOSE * apart, return_length=True)
    shift: FloatArray = difference[int(np.argmax(agree))]
    for _ in range(_ROUNDS):
        shift = difference[measure_lengths(difference - shift) <= _CLOSE * apart].mean(axis=0)
    common, still = ((measure_lengths(difference - each) <= _CLOSE * apart).sum() for each in (shift, zero))
    clear = common >= max(_AGREE * len(some), _FEWEST) and common > still + 2 * np.sqrt(still)
    return shift if clear else zero


def _find_jumps(steps: FloatArray, copies: BoolArray, least: FloatArray) -> tuple[int, ...]:
    """Return the frames in which the stack is displaced: by a step that the next one takes back, or a very long one.

    Steps that are not longer than `least`, (T,), may be chance, or are too short to matter.
    """
    frames: IntArray = np.flatnonzero(~copies)[1:]
    length = measure_lengths(steps[frames])
    typical = float(np.median(length)) if len(length) else 0.0
    if not typical:
        return ()
    found, back = [], -1
    for k, frame in enumerate(frames.tolist()):
        following = steps[frames[k + 1]] if k + 1 < len(frames) else np.zeros(steps.shape[1])
        returns = np.linalg.norm(steps[frame] + following) < length[k] / 2
        bound = max(least[frame], (_RETURNING if returns else _LASTING) * typical)
        if k != back and length[k] > bound:
            found.append(frame)
            back = k + 1 if returns else -1  # the way back is not another jump
    return tuple(found)
