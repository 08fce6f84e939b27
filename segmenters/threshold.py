"""Cells brighter (or darker) than their surroundings: no training, and no parameter that must be tuned.

Seven steps, one function each: guess whether cells are bright or dark, smooth, subtract the background, find one low
threshold, split touching cells at necks and dark seams, put the outline of each cell at a fixed fraction of its own
brightness, and remove cells that are much smaller or much fainter than the typical cell.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from skimage.measure import label

from gnntrack.errors import FrameError
from segmenters.common.basins import find_peaks, split_relief
from segmenters.common.contrast import remove_faint
from segmenters.common.inputs import (
    check_frame,
    expect_choice,
    expect_fractions,
    expect_least,
    expect_positive,
    expect_spacing,
)
from segmenters.common.levels import compute_li, compute_otsu, draw_sample
from segmenters.common.polarity import guess_foreground
from segmenters.postprocess import (
    fill_enclosed,
    fill_holes,
    measure_depth,
    measure_diameter,
    remove_small,
    smooth,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Heights, Labels, Mask, Step
    from segmenters.common.polarity import Foreground


__all__ = ["ThresholdSegmenter"]

_CROSS = np.array([[0, 0, 1, 0, 0], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]], np.uint8)
_HIGHEST = 1e6  # higher grey values are divided, so that products of them are finite
_CLEAR = 3.0  # the threshold between bright and dark is used from this height on, in standard deviations of the noise
_FAINTEST = 0.2  # lowest brightness of a cell, as a fraction of the threshold between bright and dark
_OUTLINE = (12.0, 18.0), (0.4, 0.3)  # diameters in pixels, and the brightness at the outlines of such cells
_BRIGHTNESS = 0.75  # the brightness of a cell is this quantile of its pixels, so dark nucleoli have no influence


class ThresholdSegmenter:
    """Threshold, watershed, and outlines at a fraction of the brightness of each cell.

    Parameters
    ----------
    foreground : {"auto", "bright", "dark"}
        Whether cells are brighter or darker than their surroundings. ``auto`` guesses it once for a movie, or else
        for each image, and logs the reason at level INFO.
    diameter : float, optional
        Typical diameter of a cell in pixels along x; by default estimated from each image.
    smoothing : float, optional
        Standard deviation of the Gaussian in pixels along x; by default 1/20 of the diameter (0.7 to 3).
    background : float, optional
        Structures wider than this, in pixels along x, are background; by default four diameters.
        0 subtracts only a constant.
    threshold : float, optional
        Lowest brightness of a cell above the background, in grey values; by default estimated.
    noise : float
        Used without `threshold`: lowest brightness of a cell in standard deviations of the smoothed noise.
    outline : float, optional
        Brightness at the outline of a cell, between the background (0) and the brightness of the cell (1). By default
        0.3 for cells of 18 pixels and more, up to 0.4 for those of 12 and less, which are hardly larger than their
        blur.
    neck : float
        Touching parts are one cell if their neck is at least this fraction of the thinner part; a higher value
        splits more.
    min_size : float
        Cells smaller than this fraction of the typical cell are removed.
    min_contrast : float
        Cells whose contrast with their surroundings is less than this fraction of the typical contrast are removed,
        because haze, debris and cytoplasm are much fainter than cells. 0 keeps all cells.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x``, in any unit: only the ratios matter. By default voxels are cubes.

    Raises
    ------
    SegmenterError
        If an option is out of range.

    Notes
    -----
    Otsu's threshold misses dim cells beside bright ones, and so does any single threshold computed from the grey
    values alone. The threshold here is just above the noise, which is estimated from the background, but not above
    Otsu's threshold if that is clearly above the noise: the background of stained tissue is uneven. At this
    threshold blurred cells are too large, so each cell is reduced to the pixels above a fraction of its own brightness.
    Necks and seams are found on the product of the distance to the outline and the smoothed brightness: the saddle
    between two peaks is compared with the lower peak, so the rule does not depend on the size of cells.
    """

    name = "threshold"

    def __init__(
        self,
        *,
        foreground: Literal["auto", "bright", "dark"] = "auto",
        diameter: float | None = None,
        smoothing: float | None = None,
        background: float | None = None,
        threshold: float | None = None,
        noise: float = 6.0,
        outline: float | None = None,
        neck: float = 0.85,
        min_size: float = 0.1,
        min_contrast: float = 0.05,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        expect_choice(self.name, "foreground", foreground, ("auto", "bright", "dark"))
        expect_positive(self.name, diameter=diameter)
        expect_least(self.name, 0, smoothing=smoothing, background=background, noise=noise)
        expect_fractions(self.name, outline=outline, neck=neck, min_size=min_size, min_contrast=min_contrast)
        expect_spacing(self.name, spacing, {2, 3})
        self.foreground, self.diameter, self.smoothing = foreground, diameter, smoothing
        self.background, self.threshold, self.noise = background, threshold, noise
        self.outline, self.neck, self.min_size = outline, neck, min_size
        self.min_contrast, self.spacing = min_contrast, spacing
        self.estimated_diameter: float | None = None
        self._guess: Foreground | None = None

    def prepare(self, images: Sequence[npt.NDArray[Any]]) -> None:
        """Guess once for a movie whether its cells are bright or dark, unless `foreground` is given.

        Parameters
        ----------
        images : sequence of (Y, X) or (Z, Y, X) arrays
            Some of its frames; those with NaN or infinite pixels are ignored.
        """
        frames = []
        for image in images:
            with suppress(FrameError):
                frames.append(check_frame(image, self.spacing)[0])
        self._guess = guess_foreground(*frames) if frames and self.foreground == "auto" else None

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of an image or a stack; see `gnntrack.segmentation.protocol.Segmenter.segment`.

        Raises
        ------
        FrameError
            If the number of axes does not fit `spacing`, or pixels are NaN or infinite.
        """
        pixels, step = check_frame(image, self.spacing)
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        unit = max(1.0, float(np.abs(pixels).max()) / _HIGHEST)
        pixels = self._turn(pixels) / np.float32(unit)
        bright = _find_bright(smooth(pixels, 1.0, step))
        diameter = self.diameter or measure_diameter(bright, step, depth=measure_depth(bright, step, rough=True))
        self.estimated_diameter = None if self.diameter else diameter
        sigma = float(np.clip(diameter / 20, 0.7, 3.0)) if self.smoothing is None else self.smoothing
        window = 4 * diameter if self.background is None else self.background
        height, noise = _flatten(smooth(pixels, sigma, step), bright, window)
        mask = fill_holes(height > self._threshold(height, noise, unit))
        labels = _split(mask, height, sigma, step, self.neck)
        outline = float(np.interp(diameter, *_OUTLINE)) if self.outline is None else self.outline
        labels = _fit_outlines(labels, height, outline)
        labels = remove_faint(_keep_largest_parts(labels), height, self.min_contrast)
        return remove_small(labels, self.min_size)

    def _turn(self, pixels: Heights) -> Heights:
        """Return the image, negative if its cells are dark."""
        foreground = (self._guess or guess_foreground(pixels)) if self.foreground == "auto" else self.foreground
        return -pixels if foreground == "dark" else pixels

    def _threshold(self, height: Heights, noise: float, unit: float) -> float:
        if self.threshold is not None:
            return self.threshold / unit
        sample = draw_sample(height)
        otsu = compute_otsu(sample)
        floor = self.noise * noise
        if otsu > _CLEAR * noise:
            floor = min(floor, otsu)  # stained tissue has texture, which looks like noise
        return max(_FAINTEST * min(otsu, compute_li(sample)), floor)


def _find_bright(pixels: Heights) -> Mask:
    """Return a rough mask of the cells: pixels brighter than their surroundings, averaged over an eighth of the image.

    It sets the scale of the other steps. A mask that is too small is harmless, but it must not contain background that
    is bright because of uneven illumination.
    """
    surroundings = _estimate_background(pixels, np.zeros(pixels.shape, bool), max(pixels.shape[-2:]) / 2)
    rest = pixels - surroundings
    sample = draw_sample(rest)
    return fill_holes(rest > compute_otsu(sample))


def _flatten(height: Heights, bright: Mask, window: float) -> tuple[Heights, float]:
    """Subtract the background; return the difference and the standard deviation of its noise."""
    foreground = _widen(bright)
    for _ in range(3):
        rest = height - _estimate_background(height, foreground, window)
        noise = _estimate_noise(rest, foreground)
        foreground = rest > 4 * noise
    return rest, noise


def _widen(mask: Mask) -> Mask:
    """Return a mask with all pixels that are at most two steps across faces away."""
    wide = [cv2.dilate(plane, _CROSS) for plane in (mask if mask.ndim == 3 else mask[None]).astype(np.uint8)]
    return np.asarray(np.stack(wide) if mask.ndim == 3 else wide[0], bool)


def _estimate_noise(rest: Heights, foreground: Mask) -> float:
    sample = draw_sample(rest)[~np.asarray(draw_sample(foreground), bool)]
    return float(1.4826 * np.median(np.abs(sample - np.median(sample)))) if sample.size else 0.0


def _estimate_background(height: Heights, foreground: Mask, window: float) -> Heights:
    """Average the pixels outside the foreground over windows, on a grid of an eighth of the window."""
    size = height.shape[-2:]
    if window <= 0 or window >= 4 * max(size):
        outside = draw_sample(height)[~np.asarray(draw_sample(foreground), bool)]
        return np.full((1,) * height.ndim, np.median(outside) if outside.size else height.min(), np.float32)
    block = max(1, round(window / 8))
    weight, total = (
        _average_blocks((~foreground).astype(np.float32), block),
        _average_blocks(np.where(foreground, np.float32(0), height), block),
    )
    sigma = 2.0  # in blocks of an eighth of a window
    while True:
        near, sums = (cv2.GaussianBlur(a, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for a in (weight, total))
        if near.min() > 0.05 or sigma >= max(near.shape):
            break
        sigma *= 2  # some places have no background nearby: average over a larger area
    grid = sums / np.maximum(near, 1e-6)
    fine = cv2.resize(grid, (grid.shape[1] * block, grid.shape[0] * block), interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine[: size[0], : size[1]], np.float32)


def _average_blocks(pixels: Heights, block: int) -> Heights:
    """Return means of square blocks, over all planes; pixels beyond the border count as 0."""
    plane = pixels.mean(0) if pixels.ndim == 3 else pixels
    rows, columns = (-(-n // block) for n in plane.shape)
    plane = np.pad(plane, [(0, n * block - side) for n, side in zip((rows, columns), plane.shape, strict=True)])
    return np.asarray(cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _split(mask: Mask, height: Heights, sigma: float, step: Step, neck: float) -> Labels:
    """Cut the mask along its necks and seams: between the peaks of (depth x smoothed brightness)."""
    distance = measure_depth(mask, step)
    typical = measure_diameter(mask, step, depth=distance)
    depth = smooth(distance, sigma / 2, step) * mask
    relief = depth * np.maximum(smooth(height, typical / 8, step), 0)
    peaks = find_peaks(relief) & (depth > 0.1 * typical)
    return split_relief(relief, mask, peaks=peaks, neck=neck)


def _fit_outlines(labels: Labels, height: Heights, outline: float) -> Labels:
    """Reduce each cell to the pixels above the fraction `outline` of its brightness."""
    inside = labels > 0
    if not inside.any():
        return labels
    bits = height[inside].view(np.int32)
    ranked = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # whole numbers in the order of the heights, negative ones as well
    keys = np.sort((labels[inside].astype(np.int64) << 32) + ranked)  # by label, then by height
    owner = (keys + (1 << 31)) >> 32
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    count = np.diff(first, append=len(keys))
    chosen = keys[first + np.minimum((count * _BRIGHTNESS).astype(int), count - 1)]
    ranked = (chosen - (owner[first] << 32)).astype(np.int32)
    brightness = np.zeros(int(owner[-1]) + 1, np.float32)
    brightness[owner[first]] = (ranked ^ ((ranked >> 31) & 0x7FFFFFFF)).view(np.float32)
    return np.where(height > outline * brightness[labels], labels, 0).astype(np.int32)


def _keep_largest_parts(labels: Labels) -> Labels:
    """Reduce each cell to its largest connected part and fill its holes."""
    parts, n = label(labels, background=0, return_num=True, connectivity=1)  # type: ignore[no-untyped-call]
    size = np.bincount(parts.ravel(), minlength=n + 1)
    owner = np.zeros(n + 1, np.int32)
    owner[parts.ravel()] = labels.ravel()
    order = np.lexsort((np.arange(n, -1, -1), size, owner))
    largest = order[np.append(owner[order][1:] != owner[order][:-1], True)]
    keep = np.zeros(n + 1, np.int32)
    keep[largest] = owner[largest]
    return fill_enclosed(keep[parts])
