"""Checks of points against each other, the size of a voxel and the images: outside, doubled, in another unit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from gnntrack.errors import FormatError, InputError
from gnntrack.io.limits import MAX_EMPTY_FRAMES
from gnntrack.io.point_values import find_repeated
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from gnntrack.io.point_values import RawPoints
    from gnntrack.types import BoolArray, FloatArray, FrameStack, IntArray, PointSet

__all__ = ["check_points", "flatten_positions", "warn_of_units"]

_log = logging.getLogger(__name__)

_LISTED = 5
_EDGE = 0.5  # of a voxel: the centre of the first one is 0
_CORNER, _FILLED = 0.6, 0.8  # of the images: a part that points in the wrong unit do not exceed, and right ones do
_FEWEST = 20  # points from which on their spread shows the unit
_DEEP, _EVEN = (
    2.0,
    1.5,
)  # spread along z in spreads along y and x: no movie is deeper than this, and a cube is below that


def flatten_positions(raw: RawPoints, spacing: tuple[float, ...] | None, images: FrameStack | None) -> RawPoints:
    """Return points of a plane without z, as they are if they belong to 3D images.

    Raises
    ------
    InputError
        If points and images differ in the number of axes.
    """
    in_plane = _lie_in_plane(raw)
    wanted = None if images is None else len(images.shape)
    if wanted is None and spacing is not None and len(spacing) == 3:
        wanted = 3
    if images is not None:
        _expect_axes(raw, len(images.shape), in_plane=in_plane)
    if wanted == 3 or not in_plane:
        return raw
    if raw.position[0, 0]:
        _log.warning(
            "%s: all points have the %s %g: they are tracked in 2D; give three numbers with --spacing for 3D",
            raw.source,
            raw.axes[0],
            raw.position[0, 0],
        )
    shape, sizes = raw.shape and raw.shape[-2:], raw.spacing and raw.spacing[-2:]
    return raw._replace(position=raw.position[:, -2:], axes=raw.axes[-2:], shape=shape, spacing=sizes)


def _lie_in_plane(raw: RawPoints) -> bool:
    """Return whether 3D points have one z; a single point has none of its own if z is 0."""
    depth = raw.position[:, 0]
    return raw.position.shape[1] == 3 and bool((depth == depth[0]).all()) and (len(depth) > 1 or depth[0] == 0)


def _expect_axes(raw: RawPoints, ndim: int, *, in_plane: bool) -> None:
    """Raise if points and images differ in the number of axes."""
    own = raw.position.shape[1]
    if own < ndim:
        msg = f"{raw.source}: no column for z, and the images are 3D; add a column z"
        raise InputError(msg)
    if own > ndim and not in_plane:
        msg = (
            f"{raw.source}: the points differ in {raw.axes[0]}, and the images are 2D; give the 3D images of the points"
        )
        raise InputError(msg)


def warn_of_units(raw: RawPoints, spacing: tuple[float, ...] | None) -> None:
    """Warn if the values of the positions look like those of the other unit.

    Positions in voxels along an axis are whole numbers, or any; those in um of the same detector are multiples of the
    size of a voxel. Positions between voxels that would spread much farther along z than along y and x in voxels, but
    not in um, are probably in um.
    """
    if spacing is None or len(raw.position) < _FEWEST or np.allclose(spacing, 1):
        return
    whole = _are_multiples(raw.position, np.ones(len(spacing)))
    steps = _are_multiples(raw.position, np.asarray(spacing))
    text = ", ".join(f"{size:g}" for size in spacing)
    if raw.unit == "pixel" and steps and not whole:
        _log.warning(
            "%s: all positions are multiples of the size of a voxel (%s um), and are read as voxels; if they are in "
            "um, give --points-unit um (in Python points_unit='um')",
            raw.source,
            text,
        )
    elif raw.unit == "um" and whole and not steps:
        _log.warning(
            "%s: all positions are whole numbers, and are read as um; if they are in voxels of %s um, give "
            "--points-unit pixel (in Python points_unit='pixel')",
            raw.source,
            text,
        )
    elif not whole:
        _warn_of_depth(raw, np.asarray(spacing))


def _warn_of_depth(raw: RawPoints, spacing: FloatArray) -> None:
    """Warn if a stack of points in voxels is much deeper than wide, and would not be with the same positions in um."""
    if raw.unit != "pixel" or len(spacing) < 3:
        return
    depth, *plane = np.ptp(raw.position, axis=0)
    deep, wide = depth * spacing[0], np.max(plane * spacing[1:])
    if deep > _DEEP * wide and depth < _EVEN * max(plane):
        _log.warning(
            "%s: read as voxels, the points spread over %.0f um along z and %.0f um along y and x; if they are in um "
            "(%.0f and %.0f), give --points-unit um (in Python points_unit='um')",
            raw.source,
            deep,
            wide,
            depth,
            max(plane),
        )


def _are_multiples(position: FloatArray, step: FloatArray) -> bool:
    """Return whether positions are multiples of a step that is not 1 along at least one axis."""
    scaled = position / step
    return bool((np.abs(scaled - np.rint(scaled)) < 1e-3).all())


def check_points(points: PointSet, raw: RawPoints, *, fixed: bool) -> None:
    """Check that points lie in the movie, and warn of empty frames and of points at one place.

    Parameters
    ----------
    points : PointSet
        The points.
    raw : RawPoints
        The same points as they were read, for messages.
    fixed : bool
        Whether shape and number of frames are those of images.

    Raises
    ------
    FormatError
        If a point is outside of the movie, or nearly all frames are empty.
    """
    pixel = points.position / np.asarray(points.spacing)
    low = pixel < -_EDGE
    if fixed and low.any():
        _refuse(raw, low, "the images begin with the voxel 0; give the images of these points")
    if low.any():
        row, axis = divmod(int(np.argmin(pixel)), pixel.shape[1])
        _log.warning(
            "%s: positions are below 0, such as the %s %g of %s: they are tracked as they are, and pictures and masks, "
            "which begin with the voxel 0, do not show these points; add a constant to see them",
            raw.source,
            raw.axes[axis],
            raw.position[row, axis],
            raw.locate(row),
        )
    if fixed and points.shape is not None and points.n_frames is not None:
        _check_inside(points, raw, pixel)
    double = find_repeated(points.frame, *points.position.T)
    if double is not None:
        first, second = (raw.locate(row) for row in double)
        _log.warning(
            "%s: %s has the same place and frame as %s; delete points that are there twice", raw.source, second, first
        )
    _warn_of_frames(points, raw)


def _check_inside(points: PointSet, raw: RawPoints, pixel: FloatArray) -> None:
    """Raise if a point is outside of the images."""
    n_frames, shape = points.n_frames or 0, np.asarray(points.shape)
    if points.frame.max() >= n_frames:
        _refuse_late(raw, points.frame, n_frames)
    high = pixel > shape - _EDGE
    other, swapped = _swap_units(points, raw, pixel)
    if high.any():
        remedy = "check --spacing, or give the images of these points"
        if swapped and bool((other <= shape - _EDGE).all()):
            remedy = f"all would be inside if they were in {swapped}: give --points-unit {swapped}"
        _refuse(raw, high, f"the images have {tuple(points.shape or ())} voxels; {remedy}")
    reach, far = ((place.max(axis=0) / shape)[-2:] for place in (pixel, other))
    if swapped and len(pixel) >= _FEWEST and (reach < _CORNER).all() and ((far > _FILLED) & (far <= 1)).all():
        _log.warning(
            "%s: the points are in a corner of the images, read in %s; in %s they would fill them: check --points-unit",
            raw.source,
            raw.unit,
            swapped,
        )


def _refuse_late(raw: RawPoints, frame: IntArray, n_frames: int) -> NoReturn:
    row, first = int(np.argmax(frame >= n_frames)), int(frame.min())
    remedy = "give the images of these points"
    if int(frame.max()) - first < n_frames:
        remedy = f"the points begin in frame {first}: subtract {first} from all frames, or {remedy}"
    msg = (
        f"{raw.source}: {raw.locate(row)} is in frame {frame[row]}, and the images have "
        f"{count_noun(n_frames, 'frame')}, from 0; {remedy}"
    )
    raise FormatError(msg)


def _swap_units(points: PointSet, raw: RawPoints, pixel: FloatArray) -> tuple[FloatArray, str]:
    """Return where points would be in voxels if they were in the other unit, and this unit; none if both are one."""
    if points.unit == "pixel" or np.allclose(points.spacing, 1):
        return pixel, ""
    return (pixel / points.spacing, "um") if raw.unit == "pixel" else (pixel * points.spacing, "pixel")


def _refuse(raw: RawPoints, outside: BoolArray, remedy: str) -> NoReturn:
    row, axis = divmod(int(np.argmax(outside)), outside.shape[1])
    msg = f"{raw.source}: {raw.locate(row)} has the {raw.axes[axis]} {raw.position[row, axis]:g}, outside; {remedy}"
    raise FormatError(msg)


def _warn_of_frames(points: PointSet, raw: RawPoints) -> None:
    """Warn of frames without points."""
    n_frames = int(points.frame.max()) + 1 if points.n_frames is None else points.n_frames
    empty = np.flatnonzero(np.bincount(points.frame, minlength=n_frames) == 0)
    if not len(empty):
        return
    if len(empty) > MAX_EMPTY_FRAMES:
        msg = (
            f"{raw.source}: {len(empty)} of {count_noun(n_frames, 'frame')} have no points, and the points begin in "
            f"frame {points.frame.min()}; number the frames 0, 1, 2"
        )
        raise FormatError(msg)
    distinct = np.unique(points.frame)
    step = int(np.gcd.reduce(np.diff(distinct))) if len(distinct) > 2 else 1
    if step > 1:
        _log.warning(
            "%s: its frames are in steps of %d (%s, ...), and the frames between are empty; if these are times, number "
            "the frames 0, 1, 2",
            raw.source,
            step,
            ", ".join(map(str, distinct[:3])),
        )
        return
    listed = ", ".join(map(str, empty[:_LISTED])) + (", ..." if len(empty) > _LISTED else "")
    verb = choose_form(len(empty), "has", "have")
    hint = "; if its frames are counted from 1, subtract 1" if distinct[0] == 1 else ""
    frames = count_noun(len(empty), "frame")
    _log.warning("%s: %s of %d %s no points: %s%s", raw.source, frames, n_frames, verb, listed, hint)
