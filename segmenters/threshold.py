"""Cells brighter (or darker) than their surroundings: no training, and no parameter that must be tuned.

Six steps, a function each: smooth, take the background away, find one low threshold, split what touches
where it has a neck or a dark seam, draw each cell's outline at its own height, and leave out what is
small beside the typical cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_li, threshold_otsu
from skimage.segmentation import watershed

from gnntrack.errors import FrameError, SegmenterError

if TYPE_CHECKING:
    import numpy.typing as npt

    Heights = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.int32]
    Mask = npt.NDArray[np.bool_]
    Step = tuple[float, ...]

__all__ = ["ThresholdSegmenter"]

_SAMPLE = 200_000  # pixels that are enough to tell a threshold or the noise
_FAINTEST = 0.2  # no cell is fainter than this share of the threshold between bright and dark
_BRIGHTNESS = 0.75  # the quantile of its pixels that counts as a cell's brightness: dark nucleoli do not


class ThresholdSegmenter:
    """Threshold, watershed, and an outline at each cell's own height.

    Parameters
    ----------
    foreground : {"bright", "dark"}
        Whether cells are brighter or darker than what surrounds them.
    diameter : float, optional
        Typical diameter of a cell in pixels along x; estimated in each image where left out.
    smoothing : float, optional
        Standard deviation of the Gaussian in pixels along x; a twentieth of the diameter (0.7 to 3)
        where left out.
    background : float, optional
        Structures wider than this, in pixels along x, are background; four diameters where left out.
        0 takes only a constant away.
    threshold : float, optional
        Lowest brightness of a cell above the background, in grey values; estimated where left out.
    noise : float
        Without `threshold`: cells stand out by this many standard deviations of the smoothed noise.
    outline : float
        Height of a cell's outline between the background (0) and the cell's brightness (1).
    neck : float
        Parts that touch are one cell if their neck is at least this share of the thinner part; higher
        splits more.
    min_size : float
        Cells smaller than this share of the typical cell are left out.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x``, in any unit: only the ratios count. Voxels are cubes where
        left out.

    Raises
    ------
    SegmenterError
        If an option is out of range.

    Notes
    -----
    Otsu's threshold loses dim cells beside bright ones, and so does any single threshold drawn from the
    grey values alone. The threshold here lies just above the noise, which the background tells; what
    blur makes too large at that height is cut back to a share of each cell's own brightness. Necks and
    seams are judged on the distance to the outline times the smoothed brightness: the saddle between
    two peaks against the lower peak, so that the rule is the same for cells of any size.
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
        _expect(foreground in {"bright", "dark"}, "foreground", foreground, "'bright' or 'dark'")
        _expect(diameter is None or diameter > 0, "diameter", diameter, "above 0")
        for name, value in (("smoothing", smoothing), ("background", background), ("noise", noise)):
            _expect(value is None or value >= 0, name, value, "0 or above")
        for name, value in (("outline", outline), ("neck", neck), ("min_size", min_size)):
            _expect(0 <= value <= 1, name, value, "between 0 and 1")
        positive = spacing is None or (len(spacing) in (2, 3) and min(spacing) > 0)
        _expect(positive, "spacing", spacing, "two or three numbers above 0")
        self.foreground, self.diameter, self.smoothing = foreground, diameter, smoothing
        self.background, self.threshold, self.noise = background, threshold, noise
        self.outline, self.neck, self.min_size, self.spacing = outline, neck, min_size, spacing

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of the cells of one frame.

        Parameters
        ----------
        image : (Y, X) or (Z, Y, X) array of numbers
            Grey values.

        Returns
        -------
        labels : int32 array of the same shape
            1, 2, ... without gaps, 0 = background. An image of one grey value has no cells.

        Raises
        ------
        FrameError
            If the image has other dimensions, does not fit `spacing`, or is not a number everywhere.
        """
        pixels, step = self._checked(image)
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        bright = _bright(_smooth(pixels, 1.0, step))
        diameter = self.diameter or _thickness(bright, step)
        sigma = float(np.clip(diameter / 20, 0.7, 3.0)) if self.smoothing is None else self.smoothing
        window = 4 * diameter if self.background is None else self.background
        height, noise = _flatten(_smooth(pixels, sigma, step), bright, window)
        mask = _fill_holes(height > self._threshold(height, noise))
        labels = _split(mask, height, sigma, step, self.neck)
        labels = _fit_outlines(labels, height, self.outline)
        return _leave_out_small(_whole(labels), self.min_size)

    def _checked(self, image: npt.NDArray[Any]) -> tuple[Heights, Step]:
        image = np.asarray(image)
        dimensions = {len(self.spacing)} if self.spacing else {2, 3}
        if image.ndim not in dimensions or image.dtype.kind not in "biuf":
            want = (
                "(Y, X) or (Z, Y, X)" if self.spacing is None else f"an image with {len(self.spacing)} axes as spacing"
            )
            msg = f"the image is {image.dtype} of shape {image.shape}; expected {want}, one number a pixel"
            raise FrameError(msg)
        pixels = np.ascontiguousarray(image, np.float32)
        if not np.isfinite(pixels).all():
            msg = f"{np.count_nonzero(~np.isfinite(pixels))} pixels are NaN or infinite; replace them, by 0 say"
            raise FrameError(msg)
        spacing = self.spacing or (1.0,) * image.ndim
        return -pixels if self.foreground == "dark" else pixels, tuple(s / spacing[-1] for s in spacing)

    def _threshold(self, height: Heights, noise: float) -> float:
        if self.threshold is not None:
            return self.threshold
        sample = _sample(height)
        low = sample.min()
        between = min(_otsu(sample), _li(sample - low) + low) if sample.max() > low else 0.0
        return max(_FAINTEST * between, self.noise * noise)


def _expect(condition: bool, name: str, value: object, want: str) -> None:  # noqa: FBT001
    if not condition:
        msg = f"segmenter 'threshold': option {name} is {value!r}, but must be {want}"
        raise SegmenterError(msg)


def _smooth(pixels: Heights, sigma: float, step: Step) -> Heights:
    """Blur by `sigma` pixels along x, and by as much of the specimen along the other axes."""
    if sigma <= 0:
        return pixels
    if pixels.ndim == 2:
        return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma / step[1], sigmaY=sigma / step[0]), np.float32)
    return np.asarray(ndimage.gaussian_filter(pixels, [sigma / s for s in step], truncate=3), np.float32)


def _sample(values: npt.NDArray[Any]) -> Heights:
    flat = values.ravel()
    return np.asarray(flat[:: max(1, flat.size // _SAMPLE)], np.float32)


def _otsu(sample: Heights) -> float:
    return float(threshold_otsu(sample))  # type: ignore[no-untyped-call]


def _li(sample: Heights) -> float:
    return float(threshold_li(sample))  # type: ignore[no-untyped-call]


def _bright(pixels: Heights) -> Mask:
    """Return roughly where cells are: what is bright beside its surroundings, an eighth of the image wide.

    It sets the scale of all else. Too narrow does no harm, while a shaded background taken for a cell would.
    """
    surroundings = _background(pixels, np.zeros(pixels.shape, bool), max(pixels.shape[-2:]) / 2)
    rest = pixels - surroundings
    sample = _sample(rest)
    return _fill_holes(rest > (_otsu(sample) if sample.min() < sample.max() else sample[0]))


def _depth(mask: Mask, step: Step) -> Heights:
    """Return the distance of each pixel of the mask to the mask's outside, in pixels along x."""
    if mask.ndim == 2 and step[0] == step[1]:
        # What lies beyond the border is no outside: a cell cut by the border is not thin there.
        whole = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        return np.asarray(np.minimum(whole, max(mask.shape)), np.float32)
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=step), np.float32)


def _thickness(mask: Mask, step: Step) -> float:
    """Return the typical diameter of the parts of a mask: half of all its pixels lie in thinner ones."""
    depth = _depth(mask, step)
    parts, n = ndimage.label(mask)
    radius = np.zeros(n + 1, np.float32)
    np.maximum.at(radius, parts[mask], depth[mask])
    size = np.bincount(parts[mask], minlength=n + 1) * (radius > 1.5)
    if not size.any():
        return 4.0  # nothing but single pixels
    order = np.argsort(radius)
    below = np.cumsum(size[order])
    return float(2 * radius[order][np.searchsorted(below, below[-1] / 2)])


def _flatten(height: Heights, bright: Mask, window: float) -> tuple[Heights, float]:
    """Take the background away; return the rest, and the standard deviation of the noise in it."""
    foreground = ndimage.binary_dilation(bright, iterations=2)
    for _ in range(3):
        rest = height - _background(height, foreground, window)
        noise = _spread(rest[~foreground])
        foreground = rest > 4 * noise
    return rest, noise


def _spread(values: Heights) -> float:
    if not values.size:
        return 0.0
    sample = _sample(values)
    return float(1.4826 * np.median(np.abs(sample - np.median(sample))))


def _background(height: Heights, foreground: Mask, window: float) -> Heights:
    """Average the pixels outside the foreground over windows, on a grid of an eighth of the window."""
    size = height.shape[-2:]
    if window <= 0 or window >= 4 * max(size):
        outside = height[~foreground]
        return np.full((1,) * height.ndim, np.median(_sample(outside)) if outside.size else height.min(), np.float32)
    block = max(1, round(window / 8))
    weight, total = _blocks((~foreground).astype(np.float32), block), _blocks(np.where(foreground, 0, height), block)
    sigma = 2.0  # blocks: two windows' halves reach each other at an eighth of a window each
    while True:
        near, sums = (cv2.GaussianBlur(a, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) for a in (weight, total))
        if near.min() > 0.05 or sigma >= max(near.shape):
            break
        sigma *= 2  # no background near some place: look farther
    grid = sums / np.maximum(near, 1e-6)
    fine = cv2.resize(grid, (grid.shape[1] * block, grid.shape[0] * block), interpolation=cv2.INTER_LINEAR)
    return np.asarray(fine[: size[0], : size[1]], np.float32)


def _blocks(pixels: npt.NDArray[Any], block: int) -> Heights:
    """Return means of square blocks, over all planes; pixels beyond the border count as 0."""
    plane = pixels.mean(0) if pixels.ndim == 3 else pixels
    plane = np.pad(plane, [(0, -n % block) for n in plane.shape])
    rows, columns = (n // block for n in plane.shape)
    return np.asarray(plane.reshape(rows, block, columns, block).mean((1, 3)), np.float32)


def _fill_holes(mask: Mask) -> Mask:
    """Fill holes plane by plane: in 3D a hole is often open above or below."""
    if mask.ndim == 2:
        return np.asarray(ndimage.binary_fill_holes(mask))
    return np.stack([ndimage.binary_fill_holes(plane) for plane in mask])


def _split(mask: Mask, height: Heights, sigma: float, step: Step, neck: float) -> Labels:
    """Cut the mask along its necks and seams.

    Every peak of (depth x smoothed brightness) gets a basin; then basins are joined again, those with
    the highest saddle first, where the saddle reaches `neck` of the lower peak.
    """
    typical = _thickness(mask, step)
    depth = _smooth(_depth(mask, step), sigma / 2, step) * mask
    relief = depth * np.maximum(_smooth(height, typical / 8, step), 0)
    peaks = (relief == ndimage.maximum_filter(relief, 3)) & (depth > 0.1 * typical)
    markers, n = ndimage.label(peaks, np.ones((3,) * mask.ndim))
    basins = np.asarray(watershed(-relief, markers, mask=mask), np.int32)  # type: ignore[no-untyped-call]
    pair, saddle = _saddles(basins, relief)
    peak = np.zeros(n + 1, np.float32)
    inside = basins > 0
    np.maximum.at(peak, basins[inside], relief[inside])
    return _join(pair[np.argsort(-saddle, kind="stable")], np.sort(saddle)[::-1], peak, neck)[basins]


def _saddles(basins: Labels, relief: Heights) -> tuple[npt.NDArray[np.int64], Heights]:
    """Return the pairs of basins that touch, (P, 2), and the height of the pass between them, (P,)."""
    n = int(basins.max()) + 1
    keys, passes = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for axis in range(basins.ndim):
        label, level = np.moveaxis(basins, axis, 0), np.moveaxis(relief, axis, 0)
        here, there = label[:-1], label[1:]
        touch = (here != there) & (here > 0) & (there > 0)
        a, b = here[touch].astype(np.int64), there[touch].astype(np.int64)
        keys.append(np.minimum(a, b) * n + np.maximum(a, b))
        passes.append(np.minimum(level[:-1][touch], level[1:][touch]))
    pairs, which = np.unique(np.concatenate(keys), return_inverse=True)
    saddle = np.zeros(len(pairs), np.float32)
    np.maximum.at(saddle, which, np.concatenate(passes))
    return np.stack([pairs // n, pairs % n], axis=1), saddle


def _join(pair: npt.NDArray[np.int64], saddle: Heights, peak: Heights, neck: float) -> Labels:
    """Return the label of each basin after joining; a joined basin keeps its highest peak."""
    root = list(range(len(peak)))

    def find(basin: int) -> int:
        while root[basin] != basin:
            root[basin] = root[root[basin]]
            basin = root[basin]
        return basin

    for (a, b), level in zip(pair.tolist(), saddle.tolist(), strict=True):
        low, high = sorted((find(a), find(b)), key=lambda basin: peak[basin])
        if level >= neck * peak[low]:
            root[low] = high
    return np.array([find(basin) for basin in range(len(peak))], np.int32)


def _fit_outlines(labels: Labels, height: Heights, outline: float) -> Labels:
    """Keep of each cell what reaches `outline` of its brightness."""
    inside = np.flatnonzero(labels)
    if not inside.size:
        return labels
    label, level = labels.ravel()[inside], height.ravel()[inside]
    order = np.lexsort((level, label))
    cells, first, count = np.unique(label[order], return_index=True, return_counts=True)
    brightness = np.zeros(cells[-1] + 1, np.float32)
    brightness[cells] = level[order][first + np.minimum((count * _BRIGHTNESS).astype(int), count - 1)]
    return np.where(height > outline * brightness[labels], labels, 0).astype(np.int32)


def _whole(labels: Labels) -> Labels:
    """Reduce each cell to its largest part, without holes."""
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


def _leave_out_small(labels: Labels, share: float) -> Labels:
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
