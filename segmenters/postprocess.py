"""From a foreground to single cells: what a network's probabilities, or a binary mask, still lack.

A recipe of six steps, a function each: threshold, fill small holes, make a relief (the network's own, or
the distance to the outline), split it between its summits, leave out what is small, fill what one cell
encloses. The steps that the threshold takes as well are public here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from gnntrack.errors import FrameError
from segmenters.common.inputs import checked_frame, checked_image, expect_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Heights = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]
    Step = tuple[float, ...]

__all__ = [
    "PostprocessSegmenter",
    "depth_inside",
    "expect_option",
    "instances",
    "leave_out_small",
    "smooth",
    "split_relief",
    "typical_diameter",
]

# Chosen on simulated movies, 2D and 3D, with clean and with ragged outlines.
_NECK = 0.1  # depth for distances
_DIP = 0.25  # depth for a network's height, which is noisier
_STAIR = 0.75  # no dip below this is a neck, in mean sides of a voxel: outlines are stairs
_FULL_SCALES = (1.0, 255.0, 65535.0)
_OVERSHOOT = 0.1  # interpolated probabilities leave their range a little


def instances(
    foreground: npt.NDArray[Any],
    *,
    height: npt.NDArray[Any] | None = None,
    threshold: float = 0.5,
    depth: float | None = None,
    smoothing: float | None = None,
    min_size: float = 0.1,
    max_hole: float = 0.03,
    spacing: Sequence[float] | None = None,
) -> Labels:
    """Return the single cells of a foreground.

    Parameters
    ----------
    foreground : (Y, X) or (Z, Y, X) array of bool or float
        Where cells are, or how probable that is.
    height : array of float of the same shape, optional
        Higher is nearer to a cell's middle: about 0 at its outline, about 1 at its middle, as a network
        tells it. The distance to the outline of the foreground where left out.
    threshold : float
        Lowest probability of the foreground.
    depth : float, optional
        Two summits are two cells if the pass between them lies lower than the lower summit by more than
        this: of the height's 1 where `height` is given (0.25 where left out), else of the lower summit, so
        that the rule is the same for cells of any size (0.1). Lower splits more.
    smoothing : float, optional
        Standard deviation of the Gaussian over the relief in pixels along x; a fortieth of the typical
        diameter (0.35 to 1.5) where left out.
    min_size : float
        Cells smaller than this share of the typical cell are left out.
    max_hole : float
        Holes up to this share of the typical cell are filled before cells are split. Those that end up
        inside a single cell are always filled.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x``; only the ratios count. Cubes where left out.

    Returns
    -------
    labels : int32 array of the same shape
        1, 2, ... without gaps, in the order of the cells' summits, plane by plane and row by row;
        0 = background. Each cell is one piece. A frame full of foreground is one cell.

    Raises
    ------
    FrameError
        If the foreground has other dimensions, does not fit `height` or `spacing`, or is not a number
        everywhere.

    Notes
    -----
    The cells are those of a watershed of the h-maxima (Soille, Morphological Image Analysis, 2003, section
    6.3.4): every summit gets a basin, and basins are joined, highest pass first, where the dip to the pass is
    none. It is several times faster than the reconstruction that finds h-maxima first.

    Examples
    --------
    Two squares that touch at a corner are two cells, a bar is one:

    >>> mask = np.zeros((5, 9), bool)
    >>> mask[0:2, 0:2] = mask[2:4, 2:4] = mask[1, 5:] = True
    >>> instances(mask)
    array([[1, 1, 0, 0, 0, 0, 0, 0, 0],
           [1, 1, 0, 0, 0, 2, 2, 2, 2],
           [0, 0, 3, 3, 0, 0, 0, 0, 0],
           [0, 0, 3, 3, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=int32)
    """
    pixels, step = checked_frame(foreground, spacing)
    if not pixels.size:
        return np.zeros(pixels.shape, np.int32)
    mask = pixels >= threshold
    typical = typical_diameter(mask, step)
    mask = _fill_small_holes(mask, max_hole * np.pi / 4 * typical**2 / step[-2])
    sigma = float(np.clip(typical / 40, 0.35, 1.5)) if smoothing is None else smoothing
    if height is None:
        relief = smooth(depth_inside(mask, step), sigma, step)
        labels = split_relief(
            relief, mask, neck=1 - (_NECK if depth is None else depth), dip=_STAIR * float(np.mean(step))
        )
    else:
        relief = smooth(_checked_height(height, pixels.shape), sigma, step)
        labels = split_relief(relief, mask, dip=_DIP if depth is None else depth)
    return _fill_enclosed(leave_out_small(labels, min_size))


class PostprocessSegmenter:
    """Cells of a binary mask or of probabilities: holes, splitting, small ones left out.

    The image is a foreground: a binary mask (bool, or any numbers of two values, of which the higher is the
    foreground) or probabilities. Those are whole shares of 255 in uint8 and of 65535 in uint16; in other
    types the full scale is the first of 1, 255 and 65535 that the image keeps to. Any other image, one with
    clearly negative numbers say, is stretched: its lowest value to 0 and its highest to 1.

    Parameters
    ----------
    threshold : float
        Lowest probability of the foreground.
    depth : float
        Touching parts are two cells if the neck between them is thinner than the thinner part by more than
        this share; lower splits more.
    smoothing : float, optional
        Standard deviation of the Gaussian over the distances to the outline in pixels along x; a fortieth
        of the typical diameter (0.35 to 1.5) where left out.
    min_size : float
        Cells smaller than this share of the typical cell are left out.
    max_hole : float
        Holes up to this share of the typical cell are filled before cells are split. Those that end up
        inside a single cell are always filled.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x``, in any unit: only the ratios count. Voxels are cubes where
        left out.

    Raises
    ------
    SegmenterError
        If an option is out of range.
    """

    name = "postprocess"

    def __init__(
        self,
        *,
        threshold: float = 0.5,
        depth: float = _NECK,
        smoothing: float | None = None,
        min_size: float = 0.1,
        max_hole: float = 0.03,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        shares = {"threshold": threshold, "depth": depth, "min_size": min_size}
        for option, share in shares.items():
            expect_option(self.name, option, share, "between 0 and 1", holds=0 <= share <= 1)
        for option, value in (("smoothing", smoothing), ("max_hole", max_hole)):
            expect_option(self.name, option, value, "0 or above", holds=value is None or value >= 0)
        positive = spacing is None or (len(spacing) in (2, 3) and min(spacing) > 0)
        expect_option(self.name, "spacing", spacing, "two or three numbers above 0", holds=positive)
        self.threshold, self.depth, self.smoothing = threshold, depth, smoothing
        self.min_size, self.max_hole, self.spacing = min_size, max_hole, spacing

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of the cells of one frame.

        Parameters
        ----------
        image : (Y, X) or (Z, Y, X) array of numbers
            A binary mask or probabilities.

        Returns
        -------
        labels : int32 array of the same shape
            1, 2, ... without gaps, 0 = background. An image of one value has no cells.

        Raises
        ------
        FrameError
            If the image has other dimensions, does not fit `spacing`, or is not a number everywhere.
        """
        pixels, _ = checked_frame(image, self.spacing)
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        return instances(
            _probabilities(pixels, np.asarray(image).dtype),
            threshold=self.threshold,
            depth=self.depth,
            smoothing=self.smoothing,
            min_size=self.min_size,
            max_hole=self.max_hole,
            spacing=self.spacing,
        )


def _probabilities(pixels: Heights, dtype: np.dtype[Any]) -> Heights | Mask:
    low, high = float(pixels.min()), float(pixels.max())
    if bool(((pixels == low) | (pixels == high)).all()):
        return np.asarray(pixels == high)
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return pixels / np.float32(np.iinfo(dtype).max)
    for full in _FULL_SCALES:
        if low >= -_OVERSHOOT and high <= (1 + _OVERSHOOT) * full:
            return pixels / np.float32(full)
    return (pixels - np.float32(low)) / np.float32(high - low)


def _checked_height(height: npt.NDArray[Any], shape: tuple[int, ...]) -> Heights:
    relief = checked_image(height)
    if relief.shape != shape:
        msg = f"the height has shape {relief.shape}; expected that of the foreground, {shape}"
        raise FrameError(msg)
    return relief


# ------------------------------------------------------------------------------------------ the steps


def smooth(pixels: Heights, sigma: float, step: Step) -> Heights:
    """Blur by `sigma` pixels along x, and by as much of the specimen along the other axes."""
    if sigma <= 0:
        return pixels
    if pixels.ndim == 2:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma / step[1], sigmaY=sigma / step[0]), np.float32)
    return np.asarray(ndimage.gaussian_filter(pixels, [sigma / s for s in step], truncate=3), np.float32)


def depth_inside(mask: Mask, step: Step) -> Heights:
    """Return the distance of each pixel of a mask to the mask's outside, in pixels along x.

    What lies beyond the border of the image is no outside: a cell cut by the border is not thin there.
    """
    if mask.all():
        return np.full(mask.shape, max(mask.shape), np.float32)
    if mask.ndim == 2 and step[0] == step[1]:
        whole = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(np.minimum(whole, max(mask.shape)), np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=step), np.float32)


def typical_diameter(mask: Mask, step: Step) -> float:
    """Return the typical thickness of a mask's parts in pixels along x: half its pixels lie in thinner ones."""
    depth = depth_inside(mask, step)
    parts, n = ndimage.label(mask)
    radius = np.zeros(n + 1, np.float32)
    np.maximum.at(radius, parts[mask], depth[mask])
    size = np.bincount(parts[mask], minlength=n + 1) * (radius > 1.5)
    if not size.any():
        return 4.0  # nothing but single pixels
    order = np.argsort(radius)
    below = np.cumsum(size[order])
    return float(2 * radius[order][np.searchsorted(below, below[-1] / 2)])


def split_relief(
    relief: Heights, mask: Mask, *, summits: Mask | None = None, neck: float = 1.0, dip: float = 0.0
) -> Labels:
    """Split a mask between the summits of a relief.

    Every summit gets a basin; then basins are joined again, those with the highest pass first, where the
    pass reaches `neck` times the lower summit, or lies no more than `dip` below it.

    Parameters
    ----------
    relief : (Y, X) or (Z, Y, X) float32 array
        Higher is farther inside a cell.
    mask : bool array of the same shape
        What is split.
    summits : bool array of the same shape, optional
        Where cells may have their middle; the local maxima of the relief within the mask where left out.
    neck, dip : float
        The rule; a pass at the height of the lower summit always joins.

    Returns
    -------
    labels : int32 array of the same shape
        One number a cell, with gaps; 0 also where a part of the mask has none of the given `summits`.
    """
    around = np.ones((3,) * mask.ndim)
    if summits is None:
        # Across faces only, as the watershed spreads: so each part of the mask has a summit.
        around = ndimage.generate_binary_structure(mask.ndim, 1)
        relief = np.where(mask, relief, -np.inf).astype(np.float32)
        summits = mask & (relief == _highest_near(relief, around))
    markers, n = ndimage.label(summits, around)
    basins = np.asarray(watershed(-relief, markers, mask=mask), np.int32)  # type: ignore[no-untyped-call]
    pair, level = _passes(basins, relief)
    height = np.full(n + 1, -np.inf, np.float32)
    inside = basins > 0
    np.maximum.at(height, basins[inside], relief[inside])
    order = np.argsort(-level, kind="stable")
    return _join(pair[order], level[order], height, neck=neck, dip=dip)[basins]


def _highest_near(relief: Heights, around: npt.NDArray[Any]) -> Heights:
    if relief.ndim == 2:
        return np.asarray(cv2.dilate(relief, around.astype(np.uint8)), np.float32)
    return np.asarray(ndimage.maximum_filter(relief, footprint=around), np.float32)


def _passes(basins: Labels, relief: Heights) -> tuple[npt.NDArray[np.int64], Heights]:
    """Return the pairs of basins that touch, (P, 2), and the height of the pass between them, (P,)."""
    n = int(basins.max()) + 1
    keys, levels = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for axis in range(basins.ndim):
        label, level = np.moveaxis(basins, axis, 0), np.moveaxis(relief, axis, 0)
        here, there = label[:-1], label[1:]
        touch = (here != there) & (here > 0) & (there > 0)
        a, b = here[touch].astype(np.int64), there[touch].astype(np.int64)
        keys.append(np.minimum(a, b) * n + np.maximum(a, b))
        levels.append(np.minimum(level[:-1][touch], level[1:][touch]))
    pairs, which = np.unique(np.concatenate(keys), return_inverse=True)
    highest = np.full(len(pairs), -np.inf, np.float32)
    np.maximum.at(highest, which, np.concatenate(levels))
    return np.stack([pairs // n, pairs % n], axis=1), highest


def _join(pair: npt.NDArray[np.int64], level: Heights, height: Heights, *, neck: float, dip: float) -> Labels:
    """Return the label of each basin after joining; a joined basin keeps its highest summit."""
    root = list(range(len(height)))

    def find(basin: int) -> int:
        while root[basin] != basin:
            root[basin] = root[root[basin]]
            basin = root[basin]
        return basin

    for (a, b), crossing in zip(pair.tolist(), level.tolist(), strict=True):
        low, high = sorted((find(a), find(b)), key=lambda basin: height[basin])
        if crossing >= min(neck * height[low], height[low] - dip):
            root[low] = high
    return np.array([find(basin) for basin in range(len(height))], np.int32)


def leave_out_small(labels: Labels, share: float) -> Labels:
    """Leave out cells below `share` of the typical size and number the rest from 1.

    The typical cell is the one that half of all the cells' pixels lie in smaller ones of, so that specks,
    however many, do not make themselves typical.
    """
    size = np.bincount(labels.ravel())
    size[0] = 0
    order = np.sort(size)
    below = np.cumsum(order)
    typical = order[np.searchsorted(below, below[-1] / 2)]
    keep = (size > 0) & (size >= share * typical)
    return np.asarray((np.cumsum(keep) * keep)[labels], np.int32)


# ------------------------------------------------------------------------------------------- holes


def _gaps(outside: Mask) -> tuple[Labels, Mask]:
    """Return the parts of an outside, plane by plane, for in 3D a hole is often open above or below.

    Returns
    -------
    parts : int32 array
        0 = not outside.
    closed : (P,) bool array
        Which parts do not reach the border of the image.
    """
    cross = ndimage.generate_binary_structure(2, 1)
    parts, n = ndimage.label(outside, cross if outside.ndim == 2 else np.pad(cross[None], [(1, 1), (0, 0), (0, 0)]))
    closed = np.arange(n + 1) > 0
    for axis in (-1, -2):
        sides = np.moveaxis(parts, axis, 0)
        closed[sides[[0, -1]]] = False
    return np.asarray(parts, np.int32), closed


def _fill_small_holes(mask: Mask, area: float) -> Mask:
    """Fill the holes of a mask that have at most this many pixels in their plane."""
    parts, closed = _gaps(~mask)
    return mask | (closed & (np.bincount(parts.ravel()) <= area))[parts]


def _fill_enclosed(labels: Labels) -> Labels:
    """Give each cell the holes that it alone encloses; gaps between several cells stay."""
    parts, closed = _gaps(labels == 0)
    lowest, highest = np.full(len(closed), np.iinfo(np.int32).max), np.zeros(len(closed), np.int64)
    inside = closed[parts]
    for axis in (-1, -2):
        hole, cell = np.moveaxis(np.where(inside, parts, 0), axis, 0), np.moveaxis(labels, axis, 0)
        for here, there in ((hole[:-1], cell[1:]), (hole[1:], cell[:-1])):
            touch = (here > 0) & (there > 0)
            np.minimum.at(lowest, here[touch], there[touch])
            np.maximum.at(highest, here[touch], there[touch])
    owner = np.where(closed & (lowest == highest), highest, 0).astype(np.int32)
    return labels + owner[parts]
