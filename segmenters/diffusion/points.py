"""From a stack to a point cloud: what is bright becomes points, thinned to a few hundred a cell."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu

from segmenters.diffusion.features import COLUMNS, DENSITY, Levels, brightness, features_of, reach, voxel_stacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Stack = npt.NDArray[np.float32]
    Floats = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]
    Spacing = tuple[float, float, float]

__all__ = ["Cloud", "measure_levels", "stack_to_points", "volume_cloud"]

_SAMPLE = 400_000  # voxels that are enough to tell levels
_WHOLE = 2**25  # voxels of a stack whose levels are measured on all of them
_BINS = 64  # of the histogram of the dark grey values
_BLUR = 1 / 15  # of the typical diameter: the blur with which levels are measured
_GENEROUS = 0.35  # height of the threshold between the background (0) and Otsu's threshold (1): dim cells are in
_HOLE = 0.25  # holes up to this share of a typical cell's section are filled when its size is measured
_NOISE = 1.5  # and so many standard deviations above the background at least


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points with features, in units of the cells' diameter.

    Parameters
    ----------
    points : (N, 3) float array
        Positions z, y, x; 1 = the typical diameter of a cell.
    mass : (N,) float array
        Volume that each point stands for (of a volume), or 0 (of a surface, whose triangles tell areas).
    features : (N, F) float32 array
        What the network is told: numbers that turning the cloud leaves as they are.
    vectors : (N, V, 3) float32 array
        What it is told besides: vectors z, y, x that turn with the cloud.
    voxels : (V, 3) int array
        Voxels that the cloud stands for.
    owner : (V,) int array
        The point that stands for each voxel.
    brightness : (V,) float32 array
        Of each voxel, a little blurred: 0 = background, 1 = a typical cell.
    box : (N, 3) int array or None
        Place of each point in a grid of boxes, of a volume.
    edges : (3,) float array or None
        Edges of a box of this grid.
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
    """Return the voxels of a stack above a threshold as points (Algorithm 3 of the project's report).

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
        Their places in the stack.

    Examples
    --------
    >>> points, values, voxels = stack_to_points(np.eye(2)[None], threshold=0.5, spacing=(2.0, 0.5, 0.5))
    >>> points.tolist(), values.tolist(), voxels.tolist()
    ([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5]], [1.0, 1.0], [[0, 0, 0], [0, 1, 1]])
    """
    inside = stack > threshold
    voxels = np.argwhere(inside).astype(np.int64)
    return np.asarray(voxels * np.asarray(spacing), np.float64), np.asarray(stack[inside], np.float32), voxels


def volume_cloud(
    stack: Stack,
    levels: Levels,
    *,
    spacing: Spacing,
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0),
    tile: int = 2**23,
) -> Cloud:
    """Return the point cloud of all that may be a cell, thinned by averaging over a grid of boxes.

    Boxes are cubes with a sixth of a cell's diameter as edge, but higher where the planes of the stack lie
    farther apart than that: so there is no gap between the boxes of one plane and those of the next.

    Parameters
    ----------
    stack : (Z, Y, X) array
        Grey values.
    levels : Levels
        As of `measure_levels`.
    spacing : three floats
        Size of a voxel along z, y, x.
    origin : three floats
        Where the grid begins, in edges of its boxes: another origin gives another thinning.
    tile : int
        Voxels that are looked at at once, those around them not counted; it bounds the memory, and changes
        nothing else.

    Returns
    -------
    cloud : Cloud
        Without points where nothing is brighter than the threshold.
    """
    edges = np.maximum(1 / DENSITY, np.asarray(spacing) / levels.diameter)
    scale = np.asarray(spacing) / levels.diameter
    voxels, bright, boxes, sums, owners, count = [], [], [], [], [], 0
    for core, around in _tiles(stack.shape, reach(levels, spacing), tile):
        inside, values = _tile_values(stack[around], core, levels, spacing)
        place = inside + [outer.start + inner.start for outer, inner in zip(around, core, strict=True)]
        box, owner = _distinct(np.floor(place * scale / edges + origin).astype(np.int64))
        voxels.append(place)
        bright.append(values[:, 0].copy())
        boxes.append(box)
        owners.append(owner + count)
        each = (_sums(part, owner, len(box)) for part in (np.ones((len(place), 1)), place, values))
        sums.append(np.concatenate(list(each), axis=1))
        count += len(box)
    box, row = _distinct(np.concatenate(boxes))  # a box may lie in several tiles
    total = _sums(np.concatenate(sums), row, len(box))
    means = total[:, 1:] / total[:, :1]
    features, vectors = features_of(means[:, 3:])
    mass = total[:, 0] * float(np.prod(scale))
    place, owner = np.concatenate(voxels), row[np.concatenate(owners)]
    points, grey = means[:, :3] * scale, np.concatenate(bright)
    return Cloud(points, mass, features, vectors, place, owner, grey, box=box, edges=edges)


def _tile_values(
    stack: Stack, core: tuple[slice, ...], levels: Levels, spacing: Spacing
) -> tuple[Integers, npt.NDArray[np.float32]]:
    """Return the voxels of the core that become points, (V, 3) from its corner, and their `voxel_stacks`, (V, C)."""
    stacks = voxel_stacks(stack, levels, spacing=spacing)
    blurred = next(stacks)[core]
    _, first, voxels = stack_to_points(blurred, threshold=brightness(levels.threshold, levels), spacing=spacing)
    place, values = tuple(voxels.T), np.empty((len(voxels), COLUMNS), np.float32)
    if len(voxels):
        values[:, 0] = first
        for column, each in enumerate(stacks, start=1):
            values[:, column] = each[core][place]
    return voxels, values


def _tiles(
    shape: tuple[int, ...], margin: list[int], most: int
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Yield tiles of a stack as (core within the tile, tile within the stack); the cores are all of the stack."""
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


def _distinct(box: Integers) -> tuple[Integers, Integers]:
    """Return each box once, (B, 3), in the order of the stack, and which of them each one is, (N,)."""
    if not len(box):
        return box, np.zeros(0, np.int64)
    low = box.min(0)
    size = tuple(box.max(0) - low + 1)
    key, row = np.unique(np.ravel_multi_index(tuple((box - low).T), size), return_inverse=True)
    return np.stack(np.unravel_index(key, size), axis=1) + low, row.ravel().astype(np.int64)


def _sums(columns: npt.NDArray[Any], row: Integers, count: int) -> Floats:
    """Return the sums of columns, (N, C), over the rows of the same number, (count, C)."""
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
        Grey value above which a voxel becomes a point, where it is known.
    diameter : float, optional
        Typical diameter of a cell in the unit of `spacing`, where it is known.

    Notes
    -----
    The threshold is generous: a share of the way from the background to Otsu's threshold, above the
    noise. What is no cell among the points is told by the network.
    """
    stack, spacing = _coarser(stack, spacing)
    rough = diameter or _smoothed_levels(stack, min(spacing), spacing).diameter
    found = _smoothed_levels(stack, max(min(spacing), _BLUR * rough), spacing)
    return found._replace(
        threshold=found.threshold if threshold is None else threshold, diameter=diameter or found.diameter
    )


def _smoothed_levels(stack: Stack, sigma: float, spacing: Spacing) -> Levels:
    """Return the levels of a stack that is blurred by `sigma`, in the unit of the spacing."""
    smooth = ndimage.gaussian_filter(stack, [sigma / s for s in spacing], truncate=3)
    sample = smooth.ravel()[:: max(1, smooth.size // _SAMPLE)]
    otsu = _otsu(sample)
    dark, light = sample[sample <= otsu], sample[sample > otsu]
    background, noise = _ground(dark) if dark.size else (float(sample.min()), 0.0)
    bright = float(np.median(light)) if light.size else float(sample.max())
    threshold = max(background + _GENEROUS * (otsu - background), min(background + _NOISE * noise, otsu))
    mask = smooth > otsu
    largest = _HOLE * np.pi / 4 * _thickness(mask, spacing) ** 2 / (spacing[1] * spacing[2])
    whole = np.stack([_without_holes(plane, largest) for plane in mask])  # nuclei are dark in places
    return Levels(background, bright, threshold, _thickness(whole, spacing))


def _ground(dark: Stack) -> tuple[float, float]:
    """Return the most frequent of the dark grey values, and how far they scatter below it.

    Above it lie dim cells as well, so many in a crowd that neither median nor scatter would be the background's.
    """
    count, edges = np.histogram(dark, _BINS)
    most = int(np.argmax(ndimage.gaussian_filter1d(count.astype(np.float64), 2)))
    background = float(edges[most] + edges[most + 1]) / 2
    below = dark[dark <= background]
    return background, float(np.sqrt(np.mean((below - background) ** 2))) if below.size else 0.0


def _coarser(stack: Stack, spacing: Spacing) -> tuple[Stack, Spacing]:
    """Leave out pixels along y and x of a stack too large to be looked at whole."""
    every = math.ceil(math.sqrt(max(1.0, stack.size / _WHOLE)))
    return stack[:, ::every, ::every], (spacing[0], spacing[1] * every, spacing[2] * every)


def _otsu(sample: Stack) -> float:
    if sample.min() == sample.max():
        return float(sample[0])
    return float(threshold_otsu(sample))  # type: ignore[no-untyped-call]


def _without_holes(plane: npt.NDArray[np.bool_], largest: float) -> npt.NDArray[np.bool_]:
    """Fill the holes of a plane up to `largest` pixels: those that cells in a ring enclose are larger."""
    parts, _ = ndimage.label(ndimage.binary_fill_holes(plane) & ~plane)
    small = np.bincount(parts.ravel()) <= largest
    small[0] = False
    return np.asarray(plane | small[parts], np.bool_)


def _thickness(mask: npt.NDArray[np.bool_], spacing: Spacing) -> float:
    """Return the typical diameter of the round parts of a mask's planes.

    Along z cells are cut by the stack's ends, and blurred; so each plane is measured on its own: by the circles
    that fit into it where it is widest.
    """
    apart = 1e3 * max(n * s for n, s in zip(mask.shape, spacing, strict=True))
    depth = ndimage.distance_transform_edt(mask, sampling=(apart, *spacing[1:]))
    # Where all of a plane is bright there is no outside to be far from.
    depth = np.minimum(depth, max(mask.shape[1] * spacing[1], mask.shape[2] * spacing[2]))
    window = [1, *(2 * round(max(1.0, 0.5 * float(depth.max()) / s)) + 1 for s in spacing[1:])]
    peaks = depth[(depth == ndimage.maximum_filter(depth, window)) & (depth > 0)]
    least = 4 * min(spacing)
    if not peaks.size:
        return least  # nothing but background
    peaks = np.sort(peaks)
    below = np.cumsum(peaks**2)
    return float(max(2 * peaks[np.searchsorted(below, below[-1] / 2)], least))
