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

from gnntrack.errors import FrameError
from segmenters.common.basins import split_relief
from segmenters.common.inputs import check_frame, check_image, expect_fractions, expect_least, expect_spacing
from segmenters.common.labels import keep_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Heights, Integers, Labels, Mask, Step


__all__ = [
    "PostprocessSegmenter",
    "fill_enclosed",
    "fill_holes",
    "measure_depth",
    "measure_diameter",
    "remove_small",
    "smooth",
    "split_foreground",
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
    The basins are those of the h-maxima (Soille, Morphological Image Analysis, 2003, section 6.3.4): every peak gets a
    basin, and basins are joined, highest saddle first, if the dip at the saddle is too small. This is several times
    faster than computing the h-maxima by reconstruction first.

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
    typical = measure_diameter(mask, step, depth=measure_depth(mask, step, rough=height is not None))
    mask = fill_holes(mask, max_hole * np.pi / 4 * typical**2 / step[-2])
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


def measure_depth(mask: Mask, step: Step, *, rough: bool = False) -> Heights:
    """Return the distance of each pixel of a mask to the background, in pixels along x.

    The outside of the image does not count as background, so a cell cut by the border is not thin there. `rough`
    distances in a plane are up to 2 % wrong, and computed in a fifth of the time.
    """
    if mask.all():
        return np.full(mask.shape, max(mask.shape), np.float32)
    if step[-2] != 1:
        return np.asarray(ndimage.distance_transform_edt(mask, sampling=step), np.float32)
    if mask.ndim == 2 and rough:
        return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5), np.float32)
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
    parts, n = _label_parts(mask)
    inside = parts[mask]
    radius = np.zeros(n + 1, np.float32)
    np.maximum.at(radius, inside, depth[mask])
    size = np.bincount(inside, minlength=n + 1) * (radius > 1.5)
    if not size.any():
        return 4.0  # all parts are about one pixel wide
    order = np.argsort(radius)
    below = np.cumsum(size[order])
    return float(2 * radius[order][np.searchsorted(below, below[-1] / 2)])


def _label_parts(mask: Mask) -> tuple[Labels, int]:
    """Return the parts of a mask that are connected across faces, and their number."""
    if mask.ndim == 2:
        n, parts = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)
        return np.asarray(parts, np.int32), n - 1
    parts, n = ndimage.label(mask)
    return np.asarray(parts, np.int32), int(n)


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
    return keep_labels(labels, (size > 0) & (size >= fraction * typical))


# ------------------------------------------------------------------------------------------- holes


def _find_holes(outside: Mask) -> tuple[Labels, Integers]:
    """Return the connected parts of the background of a plane, (Y, X), and the numbers of those without the border."""
    parts, n = _label_parts(outside)
    closed = np.arange(n + 1) > 0
    for side in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        closed[side] = False
    return parts, np.flatnonzero(closed)


def fill_holes(mask: Mask, area: float = np.inf) -> Mask:
    """Fill the holes of a mask with at most this many pixels in their plane; in 3D many are open above or below."""
    if mask.ndim == 3:
        return np.stack([fill_holes(plane, area) for plane in mask]) if len(mask) else mask
    parts, closed = _find_holes(~mask)
    if not closed.size:
        return mask
    fill = np.zeros(int(parts.max()) + 1, bool)
    fill[closed] = np.bincount(parts.ravel())[closed] <= area
    return np.asarray(mask | fill[parts])


def fill_enclosed(labels: Labels) -> Labels:
    """Add to each cell the holes that it encloses alone, plane by plane; holes between several cells stay."""
    if labels.ndim == 3:
        return np.stack([fill_enclosed(plane) for plane in labels]) if len(labels) else labels
    parts, closed = _find_holes(labels == 0)
    if not closed.size:
        return labels
    count = int(parts.max()) + 1
    lowest, highest = np.full(count, np.iinfo(np.int32).max, np.int32), np.zeros(count, np.int32)
    hole = np.zeros(count, bool)
    hole[closed] = True
    inside = np.flatnonzero(hole[parts])
    owner = parts.ravel()[inside]
    for step in (1, -1, labels.shape[1], -labels.shape[1]):  # a hole does not reach the border
        cell = labels.ravel()[inside + step]
        touch = cell > 0
        np.minimum.at(lowest, owner[touch], cell[touch])
        np.maximum.at(highest, owner[touch], cell[touch])
    filled = labels.copy()
    filled.ravel()[inside] = np.where(lowest == highest, highest, 0)[owner]
    return filled
