"""Features of a point: brightness and its local shape at several scales, without the position of the point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from segmenters.common.arrays import Floats, Spacing, Stack


__all__ = [
    "COLUMNS",
    "DENSITY",
    "FEATURES",
    "VECTORS",
    "Levels",
    "blur_in_voxels",
    "compute_brightness",
    "compute_features",
    "compute_reach",
    "make_voxel_stacks",
]

DENSITY = 6.0
"""Points along the diameter of a cell."""

_BLURS = (0.5, 1.0, 2.0, 4.0)  # scales of the features, in distances between points
_SHAPED = (1.0, 2.0)  # scales at which steepness and curvatures are features
_DEEPEST = 2.0  # depths beyond this are all the same, in diameters
_FIRST, _SECOND = [0, 4, 7], [1, 2, 3, 2, 5, 6, 3, 6, 8]  # slopes, and the Hessian, among the nine columns of a scale
COLUMNS = len(_BLURS) + 9 * len(_SHAPED) + 4
"""Number of stacks that features are made of."""
VECTORS = len(_SHAPED) + 1
"""Number of vectors of a point."""
FEATURES = 2 * len(_BLURS) - 1 + 4 * len(_SHAPED) + 1
"""Number of features of a point."""


class Levels(NamedTuple):
    """Levels of brightness and size of the cells in one stack.

    Parameters
    ----------
    background, bright : float
        Grey values of the background and of a typical cell.
    threshold : float
        Grey value above which a voxel becomes a point.
    diameter : float
        Typical diameter of a cell, in the unit of the spacing.
    """

    background: float
    bright: float
    threshold: float
    diameter: float


def make_voxel_stacks(stack: Stack, levels: Levels, *, spacing: Spacing) -> Iterator[Stack]:
    """Yield the stacks from which features are computed, one after the other, so that few are in memory.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Grey values.
    levels : Levels
        Levels of the stack.
    spacing : three floats
        Size of a voxel along z, y, x.

    Yields
    ------
    values : (Z, Y, X) float32 array
        In this order: for each scale the blurred brightness (0 = background, 1 = a typical cell), at two of them
        followed by its three slopes and six second slopes; then the depth below the surface of the region above
        the threshold, and its three slopes. The values of a voxel depend only on voxels within `compute_reach`.
    """
    height = (stack - levels.background) / np.float32(max(levels.bright - levels.background, 1e-6))
    step = [s * DENSITY / levels.diameter for s in spacing]
    for scale in _BLURS:
        blurred = ndimage.gaussian_filter(height, blur_in_voxels(scale, levels, spacing), truncate=3)
        if scale == _BLURS[0]:
            inside = blurred > compute_brightness(levels.threshold, levels)
        yield blurred
        if scale in _SHAPED:
            for axis, slope in enumerate(_compute_slopes(blurred, step)):
                yield slope
                yield from (_compute_slope(slope, step, second) for second in range(axis, 3))
    if inside.all():
        depth = np.full(stack.shape, _DEEPEST, np.float32)
    else:
        depth = ndimage.distance_transform_edt(inside, sampling=[s / levels.diameter for s in spacing])
        depth = np.minimum(depth, _DEEPEST).astype(np.float32)
    yield depth
    yield from _compute_slopes(depth, step)


def compute_features(columns: Floats) -> tuple[Stack, Stack]:
    """Return the features of points.

    Brightness, compressed by asinh, at four scales; brightness relative to the surroundings, at three; steepness
    and the three curvatures (eigenvalues of the Hessian) at two, which separate a cell from a seam between
    two cells; depth.

    Parameters
    ----------
    columns : (N, C) float array
        The values of `make_voxel_stacks` at each point.

    Returns
    -------
    features : (N, FEATURES) float32 array
        They do not change if the stack is rotated, except for the effect of the voxel grid.
    vectors : (N, VECTORS, 3) float32 array
        Slopes of the brightness and of the depth; they rotate with the stack.
    """
    bright, shapes, column = [], [], 0
    for scale in _BLURS:
        bright.append(columns[:, column])
        column += 1
        if scale in _SHAPED:
            shapes.append(columns[:, column : column + 9])
            column += 9
    depth, falls = columns[:, column], columns[:, column + 1 : column + 4]
    around = (np.maximum(bright[-1], 0) + 0.05)[:, None]
    level = np.stack(bright, axis=1)
    parts, vectors = [np.arcsinh(3 * level) / 2, np.clip(level[:, :-1] / around - 1, -2, 4)], []
    for shape in shapes:
        slope, hessian = shape[:, _FIRST] / around, shape[:, _SECOND].reshape(-1, 3, 3)
        curvature = np.linalg.eigvalsh(hessian) / around
        parts += [np.linalg.norm(slope, axis=1, keepdims=True), np.clip(curvature, -4, 4)]
        vectors.append(slope)
    parts.append(depth[:, None])
    vectors.append(falls * DENSITY)
    return np.concatenate(parts, axis=1).astype(np.float32), np.stack(vectors, axis=1).astype(np.float32)


def compute_reach(levels: Levels, spacing: Spacing) -> list[int]:
    """Return how far along z, y, x, in voxels, a voxel's features depend on others."""
    far = max(3 * _BLURS[-1] / DENSITY, _DEEPEST) * levels.diameter
    return [int(far / s) + 3 for s in spacing]


def _compute_slopes(values: Stack, step: list[float]) -> Iterator[Stack]:
    """Yield the slopes along z, y, x per distance between points."""
    return (_compute_slope(values, step, axis) for axis in range(3))


def _compute_slope(values: Stack, step: list[float], axis: int) -> Stack:
    if values.shape[axis] == 1:
        return np.zeros_like(values)
    return np.asarray(np.gradient(values, step[axis], axis=axis), np.float32)


def compute_brightness(grey: Any, levels: Levels) -> Any:
    """Return a grey value as brightness: 0 = background, 1 = a typical cell."""
    return (grey - levels.background) / max(levels.bright - levels.background, 1e-6)


def blur_in_voxels(points: float, levels: Levels, spacing: Spacing) -> list[float]:
    """Return the standard deviation along z, y, x, in voxels, of a blur over so many distances between points."""
    return [points * levels.diameter / DENSITY / s for s in spacing]
