"""Cells brighter (or darker) than their surroundings: no training, and no parameter that must be tuned.

Six steps, one function each: smooth, subtract the background, find one low threshold, split touching cells at necks
and dark seams, put the outline of each cell at a fixed fraction of its own brightness, and remove cells that are much
smaller than the typical cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_li, threshold_otsu

from segmenters.common.inputs import (
    check_frame,
    expect_choice,
    expect_fractions,
    expect_least,
    expect_positive,
    expect_spacing,
)
from segmenters.postprocess import (
    measure_depth,
    measure_diameter,
    remove_small,
    smooth,
    split_relief,
)

if TYPE_CHECKING:
    import numpy.typing as npt

    from segmenters.common.arrays import Heights, Labels, Mask, Step


__all__ = ["ThresholdSegmenter"]

_SAMPLE = 200_000  # pixels from which a threshold and the noise are estimated
_FAINTEST = 0.2  # lowest brightness of a cell, as a fraction of the threshold between bright and dark
_BRIGHTNESS = 0.75  # the brightness of a cell is this quantile of its pixels, so dark nucleoli have no influence


class ThresholdSegmenter:
    """Threshold, watershed, and outlines at a fraction of the brightness of each cell.

    Parameters
    ----------
    foreground : {"bright", "dark"}
        Whether cells are brighter or darker than their surroundings.
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
    outline : float
        Brightness at the outline of a cell, between the background (0) and the brightness of the cell (1).
    neck : float
        Touching parts are one cell if their neck is at least this fraction of the thinner part; a higher value
        splits more.
    min_size : float
        Cells smaller than this fraction of the typical cell are removed.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x``, in any unit: only the ratios matter. By default voxels are cubes.

    Raises
    ------
    SegmenterError
        If an option is out of range.

    Notes
    -----
    Otsu's threshold misses dim cells beside bright ones, and so does any single threshold computed from the grey
    values alone. The threshold here is just above the noise, which is estimated from the background. At this
    threshold blurred cells are too large, so each cell is reduced to the pixels above a fraction of its own brightness.
    Necks and seams are found on the product of the distance to the outline and the smoothed brightness: the saddle
    between two peaks is compared with the lower peak, so the rule does not depend on the size of cells.
    """

    name = "threshold"

    def __init__(
        self,
        *,
        foreground: Literal["bright", "dark"] = "bright",
        diameter: float | None = None,
        smoothing: float | None = None,
        background: float | None = None,
        threshold: float | None = None,
        noise: float = 6.0,
        outline: float = 0.3,
        neck: float = 0.85,
        min_size: float = 0.1,
        spacing: tuple[float, ...] | None = None,
    ) -> None:
        expect_choice(self.name, "foreground", foreground, ("bright", "dark"))
        expect_positive(self.name, diameter=diameter)
        expect_least(self.name, 0, smoothing=smoothing, background=background, noise=noise)
        expect_fractions(self.name, outline=outline, neck=neck, min_size=min_size)
        expect_spacing(self.name, spacing, {2, 3})
        self.foreground, self.diameter, self.smoothing = foreground, diameter, smoothing
        self.background, self.threshold, self.noise = background, threshold, noise
        self.outline, self.neck, self.min_size, self.spacing = outline, neck, min_size, spacing
        self.estimated_diameter: float | None = None

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of an image or a stack; see `gnntrack.segmentation.protocol.Segmenter.segment`.

        Raises
        ------
        FrameError
            If the number of axes does not fit `spacing`, or pixels are NaN or infinite.
        """
        pixels, step = self._check(image)
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        bright = _find_bright(smooth(pixels, 1.0, step))
        diameter = self.diameter or measure_diameter(bright, step)
        self.estimated_diameter = None if self.diameter else diameter
        sigma = float(np.clip(diameter / 20, 0.7, 3.0)) if self.smoothing is None else self.smoothing
        window = 4 * diameter if self.background is None else self.background
        height, noise = _flatten(smooth(pixels, sigma, step), bright, window)
        mask = _fill_holes(height > self._threshold(height, noise))
        labels = _split(mask, height, sigma, step, self.neck)
        labels = _fit_outlines(labels, height, self.outline)
        return remove_small(_keep_largest_parts(labels), self.min_size)

    def _check(self, image: npt.NDArray[Any]) -> tuple[Heights, Step]:
        pixels, step = check_frame(image, self.spacing)
        return -pixels if self.foreground == "dark" else pixels, step

    def _threshold(self, height: Heights, noise: float) -> float:
        if self.threshold is not None:
            return self.threshold
        sample = _draw_sample(height)
        low = sample.min()
        between = min(_compute_otsu(sample), _compute_li(sample - low) + low) if sample.max() > low else 0.0
        return max(_FAINTEST * between, self.noise * noise)


def _draw_sample(values: npt.NDArray[Any]) -> Heights:
    flat = values.ravel()
    return np.asarray(flat[:: max(1, flat.size // _SAMPLE)], np.float32)


def _compute_otsu(sample: Heights) -> float:
    return float(threshold_otsu(sample))  # type: ignore[no-untyped-call]


def _compute_li(sample: Heights) -> float:
    return float(threshold_li(sample))  # type: ignore[no-untyped-call]


def _find_bright(pixels: Heights) -> Mask:
    """Return a rough mask of the cells: pixels brighter than their surroundings, averaged over an eighth of the image.

    It sets the scale of the other steps. A mask that is too small is harmless, but it must not contain background that
    is bright because of uneven illumination.
    """
    surroundings = _estimate_background(pixels, np.zeros(pixels.shape, bool), max(pixels.shape[-2:]) / 2)
    rest = pixels - surroundings
    sample = _draw_sample(rest)
    return _fill_holes(rest > (_compute_otsu(sample) if sample.min() < sample.max() else sample[0]))


def _flatten(height: Heights, bright: Mask, window: float) -> tuple[Heights, float]:
    """Subtract the background; return the difference and the standard deviation of its noise."""
    foreground = ndimage.binary_dilation(bright, iterations=2)
    for _ in range(3):
        rest = height - _estimate_background(height, foreground, window)
        noise = _estimate_noise(rest[~foreground])
        foreground = rest > 4 * noise
    return rest, noise


def _estimate_noise(values: Heights) -> float:
    if not values.size:
        return 0.0
    sample = _draw_sample(values)
    return float(1.4826 * np.median(np.abs(sample - np.median(sample))))


def _estimate_background(height: Heights, foreground: Mask, window: float) -> Heights:
    """Average the pixels outside the foreground over windows, on a grid of an eighth of the window."""
    size = height.shape[-2:]
    if window <= 0 or window >= 4 * max(size):
        outside = height[~foreground]
        return np.full(
            (1,) * height.ndim, np.median(_draw_sample(outside)) if outside.size else height.min(), np.float32
        )
    block = max(1, round(window / 8))
    weight, total = (
        _average_blocks((~foreground).astype(np.float32), block),
        _average_blocks(np.where(foreground, 0, height), block),
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


def _average_blocks(pixels: npt.NDArray[Any], block: int) -> Heights:
    """Return means of square blocks, over all planes; pixels beyond the border count as 0."""
    plane = pixels.mean(0) if pixels.ndim == 3 else pixels
    plane = np.pad(plane, [(0, -n % block) for n in plane.shape])
    rows, columns = (n // block for n in plane.shape)
    return np.asarray(plane.reshape(rows, block, columns, block).mean((1, 3)), np.float32)


def _fill_holes(mask: Mask) -> Mask:
    """Fill holes plane by plane, because in 3D a hole is often open above or below."""
    if mask.ndim == 2:
        return np.asarray(ndimage.binary_fill_holes(mask))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def _split(mask: Mask, height: Heights, sigma: float, step: Step, neck: float) -> Labels:
    """Cut the mask along its necks and seams: between the peaks of (depth x smoothed brightness)."""
    typical = measure_diameter(mask, step)
    depth = smooth(measure_depth(mask, step), sigma / 2, step) * mask
    relief = depth * np.maximum(smooth(height, typical / 8, step), 0)
    peaks = (relief == ndimage.maximum_filter(relief, 3)) & (depth > 0.1 * typical)
    return split_relief(relief, mask, peaks=peaks, neck=neck)


def _fit_outlines(labels: Labels, height: Heights, outline: float) -> Labels:
    """Reduce each cell to the pixels above the fraction `outline` of its brightness."""
    inside = np.flatnonzero(labels)
    if not inside.size:
        return labels
    label, level = labels.ravel()[inside], height.ravel()[inside]
    order = np.lexsort((level, label))
    cells, first, count = np.unique(label[order], return_index=True, return_counts=True)
    brightness = np.zeros(cells[-1] + 1, np.float32)
    brightness[cells] = level[order][first + np.minimum((count * _BRIGHTNESS).astype(int), count - 1)]
    return np.where(height > outline * brightness[labels], labels, 0).astype(np.int32)


def _keep_largest_parts(labels: Labels) -> Labels:
    """Reduce each cell to its largest connected part and fill its holes."""
    out = np.zeros_like(labels)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        here = labels[box]
        parts, n = ndimage.label(here == label)
        largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if n > 1 else parts > 0
        own = _fill_holes(largest) & ((here == label) | (here == 0))
        out[box][own] = label
    return out
