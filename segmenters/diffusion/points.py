"""From a stack to a point cloud: bright voxels become points, thinned to a few hundred per cell."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from segmenters.diffusion.features import (
    COLUMNS,
    DENSITY,
    Levels,
    compute_brightness,
    compute_features,
    compute_reach,
    make_voxel_stacks,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from segmenters.common.arrays import Floats, Integers, Spacing, Stack


__all__ = ["Cloud", "build_volume_cloud", "measure_levels", "stack_to_points"]

_SAMPLE = 400_000  # voxels from which levels are estimated
_WHOLE = 2**25  # largest stack, in voxels, whose levels are measured without subsampling
_BINS = 64  # of the histogram of the dark grey values
_BLUR = 1 / 15  # blur before levels are measured, as a fraction of the typical diameter
_GENEROUS = 0.35  # threshold between the background (0) and Otsu's threshold (1), low enough for dim cells
_HOLE = 0.25  # holes up to this fraction of the section of a typical cell are filled before its size is measured
_NOISE = 1.5  # lowest threshold in standard deviations above the background


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points with features, in units of the cells' diameter.

    Parameters
    ----------
    points : (N, 3) float array
        Positions z, y, x; 1 = the typical diameter of a cell.
    mass : (N,) float array
        Volume represented by each point; 0 for surfaces, whose areas come from their triangles.
    features : (N, F) float32 array
        Rotation-invariant input features.
    vectors : (N, V, 3) float32 array
        Rotation-equivariant input vectors (z, y, x).
    voxels : (V, 3) int array
        Voxels represented by the cloud.
    owner : (V,) int array
        Index of the point that represents each voxel.
    brightness : (V,) float32 array
        Slightly blurred brightness of each voxel: 0 = background, 1 = a typical cell.
    box : (N, 3) int array or None
        Grid position of each point of a volume.
    edges : (3,) float array or None
        Side lengths of a box of this grid.
    faces : (T, 3) int array or None
        Triangles of a surface.
    """

    points: Floats
    mass: Floats
    features: Stack
    vectors: Stack
    voxels: Integers
    owner: Integers
    brightness: Stack
    box: Integers | None = None
    edges: Floats | None = None
    faces: Integers | None = None

    def __len__(self) -> int:
        return len(self.points)


def stack_to_points(stack: Stack, *, threshold: float, spacing: Spacing) -> tuple[Floats, Stack, Integers]:
    """Return the voxels of a stack above a threshold as points (Algorithm 3 of the internship report).

    Parameters
    ----------
    stack : (Z, Y, X) array
        Grey values.
    threshold : float
        Voxels above it become points.
    spacing : three floats
        Size of a voxel along z, y, x.

    Returns
    -------
    points : (N, 3) float array
        Positions z, y, x in the unit of `spacing`, in the order of the stack.
    values : (N,) float32 array
        Their grey values.
    voxels : (N, 3) int array
        Their indices in the stack.

    Examples
    --------
    >>> points, values, voxels = stack_to_points(np.eye(2)[None], threshold=0.5, spacing=(2.0, 0.5, 0.5))
    >>> points.tolist(), values.tolist(), voxels.tolist()
    ([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5]], [1.0, 1.0], [[0, 0, 0], [0, 1, 1]])
    """
    inside = stack > threshold
    voxels = np.argwhere(inside).astype(np.int64)
    return np.asarray(voxels * np.asarray(spacing), np.float64), np.asarray(stack[inside], np.float32), voxels


def build_volume_cloud(
    stack: Stack,
    levels: Levels,
    *,
    spacing: Spacing,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    tile: int = 2**23,
) -> Cloud:
    """Return the point cloud of all voxels that may belong to a cell, averaged over a grid of boxes.

    Boxes are cubes with a side of a sixth of the cell diameter. If the planes of the stack are farther apart, boxes
    are as high as the distance of planes, so that the boxes of neighbouring planes touch.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Grey values.
    levels : Levels
        Levels from `measure_levels`.
    spacing : three floats
        Size of a voxel along z, y, x.
    origin : three floats
        Origin of the grid in units of its boxes; another origin gives another sampling.
    tile : int
        Number of voxels processed at once, without those around them. It limits the memory and does not change the
        result.

    Returns
    -------
    cloud : Cloud
        Without points if all voxels are below the threshold.
    """
    edges = np.maximum(1 / DENSITY, np.asarray(spacing) / levels.diameter)
    scale = np.asarray(spacing) / levels.diameter
    voxels, bright, boxes, sums, owners, count = [], [], [], [], [], 0
    for core, around in _split_into_tiles(stack.shape, compute_reach(levels, spacing), tile):
        inside, values = _measure_tile(stack[around], core, levels, spacing)
        place = inside + [outer.start + inner.start for outer, inner in zip(around, core, strict=True)]
        box, owner = _find_unique(np.floor(place * scale / edges + origin).astype(np.int64))
        voxels.append(place)
        bright.append(values[:, 0].copy())
        boxes.append(box)
        owners.append(owner + count)
        each = (_sum_rows(part, owner, len(box)) for part in (np.ones((len(place), 1)), place, values))
        sums.append(np.concatenate(list(each), axis=1))
        count += len(box)
    box, row = _find_unique(np.concatenate(boxes))  # a box can be in several tiles
    total = _sum_rows(np.concatenate(sums), row, len(box))
    means = total[:, 1:] / total[:, :1]
    features, vectors = compute_features(means[:, 3:])
    mass = total[:, 0] * float(np.prod(scale))
    place, owner = np.concatenate(voxels), row[np.concatenate(owners)]
    points, grey = means[:, :3] * scale, np.concatenate(bright)
    return Cloud(points, mass, features, vectors, place, owner, grey, box=box, edges=edges)


def _measure_tile(
    stack: Stack, core: tuple[slice, ...], levels: Levels, spacing: Spacing
) -> tuple[Integers, npt.NDArray[np.float32]]:
    """Return the voxels of the core that become points, (V, 3) relative to its corner, and their values, (V, C)."""
    stacks = make_voxel_stacks(stack, levels, spacing=spacing)
    blurred = next(stacks)[core]
    _, first, voxels = stack_to_points(blurred, threshold=compute_brightness(levels.threshold, levels), spacing=spacing)
    place, values = tuple(voxels.T), np.empty((len(voxels), COLUMNS), np.float32)
    if len(voxels):
        values[:, 0] = first
        for column, each in enumerate(stacks, start=1):
            values[:, column] = each[core][place]
    return voxels, values


def _split_into_tiles(
    shape: tuple[int, ...], margin: list[int], most: int
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield tiles of a stack as (core within the tile, tile within the stack); the cores cover the stack."""
    size = list(shape)
    while math.prod(size) > most and max(size) > 1:
        axis = int(np.argmax(size))
        size[axis] = -(-size[axis] // 2)
    for first in itertools.product(*(range(0, n, k) for n, k in zip(shape, size, strict=True))):
        last = [min(f + k, n) for f, k, n in zip(first, size, shape, strict=True)]
        low = [max(f - m, 0) for f, m in zip(first, margin, strict=True)]
        high = [min(end + m, n) for end, m, n in zip(last, margin, shape, strict=True)]
        core = tuple(slice(f - a, end - a) for f, end, a in zip(first, last, low, strict=True))
        yield core, tuple(slice(a, b) for a, b in zip(low, high, strict=True))


def _find_unique(box: Integers) -> tuple[Integers, Integers]:
    """Return the unique boxes, (B, 3), in the order of the stack, and the index of each input box, (N,)."""
    if not len(box):
        return box, np.zeros(0, np.int64)
    low = box.min(0)
    size = tuple(box.max(0) - low + 1)
    key, row = np.unique(np.ravel_multi_index(tuple((box - low).T), size), return_inverse=True)
    return np.stack(np.unravel_index(key, size), axis=1) + low, row.ravel().astype(np.int64)


def _sum_rows(columns: npt.NDArray[Any], row: Integers, count: int) -> Floats:
    """Return the sums of columns, (N, C), over rows with the same index, (count, C)."""
    return np.stack([np.bincount(row, column, count) for column in columns.T], axis=1)


# ------------------------------------------------------------------------------------------ levels


def measure_levels(
    stack: Stack, *, spacing: Spacing, threshold: float | None = None, diameter: float | None = None
) -> Levels:
    """Measure brightness and size of the cells in a stack.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Grey values, not all the same.
    spacing : three floats
        Size of a voxel along z, y, x.
    threshold : float, optional
        Grey value above which a voxel becomes a point; by default estimated.
    diameter : float, optional
        Typical diameter of a cell in the unit of `spacing`; by default estimated.

    Notes
    -----
    The threshold is low: a fraction of the way from the background to Otsu's threshold, but above the noise. The
    network classifies the points that are not in a cell.
    """
    stack, spacing = _subsample(stack, spacing)
    rough = diameter or _measure_blurred(stack, min(spacing), spacing).diameter
    found = _measure_blurred(stack, max(min(spacing), _BLUR * rough), spacing)
    return found._replace(
        threshold=found.threshold if threshold is None else threshold, diameter=diameter or found.diameter
    )


def _measure_blurred(stack: Stack, sigma: float, spacing: Spacing) -> Levels:
    """Return the levels of a stack that is blurred by `sigma`, in the unit of the spacing."""
    smooth = ndimage.gaussian_filter(stack, [sigma / s for s in spacing], truncate=3)
    sample = smooth.ravel()[:: max(1, smooth.size // _SAMPLE)]
    otsu = _compute_otsu(sample)
    dark, light = sample[sample <= otsu], sample[sample > otsu]
    background, noise = _measure_background(dark) if dark.size else (float(sample.min()), 0.0)
    bright = float(np.median(light)) if light.size else float(sample.max())
    threshold = max(background + _GENEROUS * (otsu - background), min(background + _NOISE * noise, otsu))
    mask = smooth > otsu
    largest = _HOLE * np.pi / 4 * _measure_thickness(mask, spacing) ** 2 / (spacing[1] * spacing[2])
    whole = np.stack([_fill_holes(plane, largest) for plane in mask])  # nuclei have dark regions
    return Levels(background, bright, threshold, _measure_thickness(whole, spacing))


def _measure_background(dark: Stack) -> tuple[float, float]:
    """Return the most frequent dark grey value, and the spread of the values below it.

    Values above it include dim cells. In a dense stack these are so many that the median and the standard deviation of
    all dark values would not describe the background.
    """
    count, edges = np.histogram(dark, _BINS)
    most = int(np.argmax(ndimage.gaussian_filter1d(count.astype(np.float64), 2)))
    background = float(edges[most] + edges[most + 1]) / 2
    below = dark[dark <= background]
    return background, float(np.sqrt(np.mean((below - background) ** 2))) if below.size else 0.0


def _subsample(stack: Stack, spacing: Spacing) -> tuple[Stack, Spacing]:
    """Subsample a very large stack along y and x."""
    every = math.ceil(math.sqrt(max(1.0, stack.size / _WHOLE)))
    return stack[:, ::every, ::every], (spacing[0], spacing[1] * every, spacing[2] * every)


def _compute_otsu(sample: Stack) -> float:
    if sample.min() == sample.max():
        return float(sample[0])
    return float(threshold_otsu(sample))  # type: ignore[no-untyped-call]


def _fill_holes(plane: npt.NDArray[np.bool_], largest: float) -> npt.NDArray[np.bool_]:
    """Fill the holes of a plane up to `largest` pixels; holes enclosed by a ring of cells are larger."""
    parts, _ = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
    small = np.bincount(parts.ravel()) <= largest
    small[0] = False
    return np.asarray(plane | small[parts], np.bool_)


def _measure_thickness(mask: npt.NDArray[np.bool_], spacing: Spacing) -> float:
    """Return the typical diameter of the round parts of the planes of a mask.

    Along z, cells are blurred and cut by the ends of the stack. So each plane is measured separately, by its largest
    inscribed circles.
    """
    apart = 1e3 * max(n * s for n, s in zip(mask.shape, spacing, strict=True))
    depth = ndimage.distance_transform_edt(mask, sampling=(apart, *spacing[1:]))
    # In a plane without background the distance is not defined.
    depth = np.minimum(depth, max(mask.shape[1] * spacing[1], mask.shape[2] * spacing[2]))
    window = [1, *(2 * round(max(1.0, 0.5 * float(depth.max()) / s)) + 1 for s in spacing[1:])]
    peaks = depth[(depth == ndimage.maximum_filter(depth, window)) & (depth > 0)]
    least = 4 * min(spacing)
    if not peaks.size:
        return least  # all voxels are background
    peaks = np.sort(peaks)
    below = np.cumsum(peaks**2)
    return float(max(2 * peaks[np.searchsorted(below, below[-1] / 2)], least))
