"""From a foreground (probabilities of a network, or a binary mask) to single cells.

Six steps, one function each: threshold, fill small holes, make a relief (given by the network, or the distance to the
outline), split it between its peaks, remove small cells, fill holes enclosed by one cell. The steps that the segmenter
`threshold` uses too are public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from gnntrack.errors import FrameError
from segmenters.common.inputs import check_frame, check_image, expect_fractions, expect_least, expect_spacing

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Heights, Labels, Mask, Step


__all__ = [
    "PostprocessSegmenter",
    "fill_enclosed",
    "find_peaks",
    "measure_depth",
    "measure_diameter",
    "remove_small",
    "smooth",
    "split_foreground",
    "split_relief",
]

# Chosen on simulated movies, 2D and 3D, with clean and with ragged outlines.
_NECK = 0.1  # default of `depth` for distances
_DIP = 0.25  # default of `depth` for the height of a network, which is noisier
_STAIR = 0.75  # smallest dip of a neck, in mean voxel sides, because outlines of voxels are stepped
_FULL_SCALES = (1.0, 255.0, 65535.0)
_OVERSHOOT = 0.1  # interpolated probabilities may exceed their range by this fraction


def split_foreground(
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
        Mask of the cells, or the probability of a cell.
    height : array of float of the same shape, optional
        Depth in the cell as predicted by a network: about 0 at the outline, about 1 in the middle. By default the
        distance to the outline of the foreground.
    threshold : float
        Lowest probability of the foreground.
    depth : float, optional
        Two peaks are two cells if the saddle between them is lower than the lower peak by more than this: in units of
        `height` if it is given (default 0.25), else as a fraction of the lower peak (default 0.1), so that the rule
        does not depend on the size of cells. A lower value splits more.
    smoothing : float, optional
        Standard deviation of the Gaussian applied to the relief, in pixels along x; by default 1/40 of the typical
        diameter (0.35 to 1.5).
    min_size, max_hole, spacing
        As of `PostprocessSegmenter`.

    Returns
    -------
    labels : int32 array of the same shape
        1, 2, ... without gaps, in the order of the peaks of the cells, plane by plane and row by row;
        0 = background. Each cell is connected. A frame full of foreground is one cell.

    Raises
    ------
    FrameError
        If the foreground has other dimensions, does not fit `height` or `spacing`, or is not a number
        everywhere.

    Notes
    -----
    The result equals a watershed from the h-maxima (Soille, Morphological Image Analysis, 2003, section 6.3.4): every
    peak gets a basin, and basins are joined, highest saddle first, if the dip at the saddle is too small. This is
    several times faster than computing the h-maxima by reconstruction first.

    Examples
    --------
    Two squares that touch at a corner are two cells; a bar is one cell:

    >>> mask = np.zeros((5, 9), bool)
    >>> mask[0:2, 0:2] = mask[2:4, 2:4] = mask[1, 5:] = True
    >>> split_foreground(mask)
    array([[1, 1, 0, 0, 0, 0, 0, 0, 0],
           [1, 1, 0, 0, 0, 2, 2, 2, 2],
           [0, 0, 3, 3, 0, 0, 0, 0, 0],
           [0, 0, 3, 3, 0, 0, 0, 0, 0],
           [0, 0, 0, 0, 0, 0, 0, 0, 0]], dtype=int32)
    """
    pixels, step = check_frame(foreground, spacing)
    if not pixels.size:
        return np.zeros(pixels.shape, np.int32)
    mask = pixels >= threshold
    typical = measure_diameter(mask, step)
    mask = _fill_small_holes(mask, max_hole * np.pi / 4 * typical**2 / step[-2])
    sigma = float(np.clip(typical / 40, 0.35, 1.5)) if smoothing is None else smoothing
    if height is None:
        relief = smooth(measure_depth(mask, step), sigma, step)
        labels = split_relief(
            relief, mask, neck=1 - (_NECK if depth is None else depth), dip=_STAIR * float(np.mean(step))
        )
    else:
        relief = smooth(_check_height(height, pixels.shape), sigma, step)
        labels = split_relief(relief, mask, dip=_DIP if depth is None else depth)
    return fill_enclosed(remove_small(labels, min_size))


class PostprocessSegmenter:
    """Cells of a binary mask or of probabilities: holes are filled, touching cells are split, small cells are removed.

    The image is a foreground: a binary mask (bool, or exactly two values, of which the higher is the foreground) or
    probabilities. The full scale of probabilities is 255 in uint8 and 65535 in uint16; in other dtypes it is the first
    of 1, 255 and 65535 that no pixel exceeds. Any other image, for example with clearly negative values, is rescaled to
    the range from 0 to 1.

    Parameters
    ----------
    threshold : float
        Lowest probability of the foreground.
    depth : float
        Touching parts are two cells if the neck between them is thinner than the thinner part by more than this
        fraction; a lower value splits more.
    smoothing : float, optional
        Standard deviation of the Gaussian applied to the distances to the outline, in pixels along x; by default 1/40
        of the typical diameter (0.35 to 1.5).
    min_size : float
        Cells smaller than this fraction of the typical cell are removed.
    max_hole : float
        Holes up to this fraction of the typical cell are filled before cells are split. Holes inside a single cell
        are always filled.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x``, in any unit: only the ratios matter. By default voxels are cubes.

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
        expect_fractions(self.name, threshold=threshold, depth=depth, min_size=min_size)
        expect_least(self.name, 0, smoothing=smoothing, max_hole=max_hole)
        expect_spacing(self.name, spacing, {2, 3})
        self.threshold, self.depth, self.smoothing = threshold, depth, smoothing
        self.min_size, self.max_hole, self.spacing = min_size, max_hole, spacing

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of a binary mask or of probabilities.

        See `gnntrack.segmentation.protocol.Segmenter.segment`.

        Raises
        ------
        FrameError
            If the number of axes does not fit `spacing`, or pixels are NaN or infinite.
        """
        pixels, _ = check_frame(image, self.spacing)
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        return split_foreground(
            _to_probabilities(pixels, np.asarray(image).dtype),
            threshold=self.threshold,
            depth=self.depth,
            smoothing=self.smoothing,
            min_size=self.min_size,
            max_hole=self.max_hole,
            spacing=self.spacing,
        )


def _to_probabilities(pixels: Heights, dtype: np.dtype[Any]) -> Heights | Mask:
    low, high = float(pixels.min()), float(pixels.max())
    if bool(((pixels == low) | (pixels == high)).all()):
        return np.asarray(pixels == high)
    if dtype.kind == "u" and dtype.itemsize <= 2:
        return pixels / np.float32(np.iinfo(dtype).max)
    for full in _FULL_SCALES:
        if low >= -_OVERSHOOT and high <= (1 + _OVERSHOOT) * full:
            return pixels / np.float32(full)
    return (pixels - np.float32(low)) / np.float32(high - low)


def _check_height(height: npt.NDArray[Any], shape: tuple[int, ...]) -> Heights:
    relief = check_image(height)
    if relief.shape != shape:
        msg = f"the height has shape {relief.shape}; expected {shape} like the foreground; give arrays of one shape"
        raise FrameError(msg)
    return relief


# ------------------------------------------------------------------------------------------ the steps


def smooth(pixels: Heights, sigma: float, step: Step) -> Heights:
    """Blur by `sigma` pixels along x and by the same physical length along the other axes."""
    if sigma <= 0 or not pixels.size:
        return pixels
    if pixels.ndim == 2:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma / step[1], sigmaY=sigma / step[0]), np.float32)
    z, y, x = (sigma / side for side in step)
    size = (_cut_kernel(x), _cut_kernel(y))
    planes = [cv2.GaussianBlur(plane, size, x, sigmaY=y, borderType=cv2.BORDER_REFLECT) for plane in pixels]
    columns = np.stack(planes).reshape(len(planes), -1)
    blurred = cv2.GaussianBlur(columns, (1, _cut_kernel(z)), z, sigmaY=z, borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred, np.float32).reshape(pixels.shape)


def _cut_kernel(sigma: float) -> int:
    """Return the size of a Gaussian kernel that is cut at three standard deviations."""
    return 2 * int(3 * sigma + 0.5) + 1


def measure_depth(mask: Mask, step: Step) -> Heights:
    """Return the distance of each pixel of a mask to the background, in pixels along x.

    The outside of the image does not count as background, so a cell cut by the border is not thin there.
    """
    if mask.all():
        return np.full(mask.shape, max(mask.shape), np.float32)
    if step[-2] != 1:
        return np.asarray(ndimage.distance_transform_edt(mask, sampling=step), np.float32)
    if mask.ndim == 2:
        return np.sqrt(_measure_squares(mask))
    squares = np.stack([_measure_squares(plane) for plane in mask])
    nearest = squares.copy()
    for planes in range(1, len(mask)):
        away = np.float32((planes * step[0]) ** 2)
        if away >= nearest.max():
            break
        np.minimum(nearest[planes:], squares[:-planes] + away, out=nearest[planes:])
        np.minimum(nearest[:-planes], squares[planes:] + away, out=nearest[:-planes])
    return np.sqrt(nearest)


def _measure_squares(mask: Mask) -> Heights:
    """Return the square of the distance of each pixel of a plane to the background, infinite if there is none."""
    if mask.all():
        return np.full(mask.shape, np.inf, np.float32)
    whole = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.rint(np.square(whole))


def measure_diameter(mask: Mask, step: Step, *, depth: Heights | None = None) -> float:
    """Return the typical thickness of the parts of a mask, in pixels along x: the pixel-weighted median.

    The result of `measure_depth` can be given to save time.
    """
    depth = measure_depth(mask, step) if depth is None else depth
    parts, n = ndimage.label(mask)
    inside = parts[mask]
    radius = np.zeros(n + 1, np.float32)
    np.maximum.at(radius, inside, depth[mask])
    size = np.bincount(inside, minlength=n + 1) * (radius > 1.5)
    if not size.any():
        return 4.0  # all parts are about one pixel wide
    order = np.argsort(radius)
    below = np.cumsum(size[order])
    return float(2 * radius[order][np.searchsorted(below, below[-1] / 2)])


def split_relief(
    relief: Heights, mask: Mask, *, peaks: Mask | None = None, neck: float = 1.0, dip: float = 0.0
) -> Labels:
    """Split a mask between the peaks of a relief.

    Every peak gets a basin; then basins are joined, highest saddle first, if the saddle reaches `neck` times the lower
    peak, or is at most `dip` below it.

    Parameters
    ----------
    relief : (Y, X) or (Z, Y, X) float32 array
        Higher is deeper inside a cell.
    mask : bool array of the same shape
        The mask to split.
    peaks : bool array of the same shape, optional
        Allowed peaks; by default the local maxima of the relief within the mask.
    neck, dip : float
        Thresholds of the rule; a saddle as high as the lower peak always joins.

    Returns
    -------
    labels : int32 array of the same shape
        One label per cell, with gaps; 0 also in parts of the mask without any of the given `peaks`.
    """
    around = np.ones((3,) * mask.ndim)
    if peaks is None:
        # Neighbours across faces only, like the watershed, so that each part of the mask has a peak.
        around = ndimage.generate_binary_structure(mask.ndim, 1)
        relief = np.where(mask, relief, -np.inf).astype(np.float32)
        peaks = mask & find_peaks(relief, faces=True)
    markers, n = ndimage.label(peaks, around)
    basins = np.asarray(watershed(-relief, markers, mask=mask), np.int32)  # type: ignore[no-untyped-call]
    pair, level = _find_saddles(basins, relief)
    height = np.full(n + 1, -np.inf, np.float32)
    inside = basins > 0
    np.maximum.at(height, basins[inside], relief[inside])
    order = np.argsort(-level, kind="stable")
    return _join_basins(pair[order], level[order], height, neck=neck, dip=dip)[basins]


def find_peaks(relief: Heights, *, faces: bool = False) -> Mask:
    """Return the pixels that are not lower than any neighbour, or than any neighbour across a face."""
    shape = cv2.MORPH_CROSS if faces else cv2.MORPH_RECT
    around = cv2.getStructuringElement(shape, (3, 3))
    if relief.ndim == 2:
        return np.asarray(relief == cv2.dilate(relief, around))
    highest = np.stack([cv2.dilate(plane, around) for plane in relief])
    beside = relief if faces else highest.copy()
    np.maximum(highest[1:], beside[:-1], out=highest[1:])
    np.maximum(highest[:-1], beside[1:], out=highest[:-1])
    return np.asarray(relief == highest)


def _find_saddles(basins: Labels, relief: Heights) -> tuple[npt.NDArray[np.int64], Heights]:
    """Return the pairs of touching basins, (P, 2), and the height of the saddle between them, (P,)."""
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


def _join_basins(pair: npt.NDArray[np.int64], level: Heights, height: Heights, *, neck: float, dip: float) -> Labels:
    """Return the label of each basin after joining; a joined basin keeps its highest peak."""
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


def remove_small(labels: Labels, fraction: float) -> Labels:
    """Remove cells smaller than `fraction` of the typical size and number the others from 1.

    The typical size is the pixel-weighted median: half of all labelled pixels are in smaller cells. So a large number
    of specks does not change it.
    """
    size = np.bincount(labels.ravel())
    size[0] = 0
    order = np.sort(size)
    below = np.cumsum(order)
    typical = order[np.searchsorted(below, below[-1] / 2)]
    keep = (size > 0) & (size >= fraction * typical)
    return np.asarray((np.cumsum(keep) * keep)[labels], np.int32)


# ------------------------------------------------------------------------------------------- holes


def _find_holes(outside: Mask) -> tuple[Labels, Mask]:
    """Return the connected parts of the background, plane by plane, because in 3D a hole is often open above or below.

    Returns
    -------
    parts : int32 array
        0 = not background.
    closed : (P,) bool array
        True for parts that do not reach the border of the image.
    """
    cross = ndimage.generate_binary_structure(2, 1)
    parts, n = ndimage.label(outside, cross if outside.ndim == 2 else np.pad(cross[None], [(1, 1), (0, 0), (0, 0)]))
    closed = np.arange(n + 1) > 0
    for axis in (-1, -2):
        sides = np.moveaxis(parts, axis, 0)
        closed[sides[[0, -1]]] = False
    return np.asarray(parts, np.int32), closed


def _fill_small_holes(mask: Mask, area: float) -> Mask:
    """Fill the holes of a mask with at most this many pixels in their plane."""
    parts, closed = _find_holes(~mask)
    return mask | (closed & (np.bincount(parts.ravel()) <= area))[parts]


def fill_enclosed(labels: Labels) -> Labels:
    """Add to each cell the holes that it encloses alone; holes between several cells stay."""
    parts, closed = _find_holes(labels == 0)
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
