"""The typical diameter of the cells of a movie, from blobs over many scales."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

from gnntrack.frame_slabs import SAMPLE_VOXELS, cut_middle
from segmenters.points.grid import Grid
from segmenters.points.noise import measure_noise
from segmenters.points.peaks import find_peaks

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Floats, Heights

__all__ = ["difference_of_gaussians", "estimate_diameter", "measure_gain"]

_RATIO = 2**0.5  # of the sigmas of neighbouring scales, and of the two Gaussians of a difference
_FIRST = 1.2  # smallest sigma in voxels of a level; each level has two scales and half the resolution of the one before
_LEVELS = 7
_NOISE = 6.0  # blobs are higher than this multiple of the noise of their scale
_CLIPPED = 2.0  # a blob counts no more for being higher than this multiple of the usual height
_DIAMETER = {2: 3.5, 3: 4.2}  # diameter of a cell in sigmas of the smaller Gaussian of its highest response


class _Scale(NamedTuple):
    """Responses at one scale."""

    sigma: float
    response: Heights
    grid: Grid
    lowest: float
    """Height that blobs have at least."""


def difference_of_gaussians(values: Heights, sigma: Sequence[float]) -> Heights:
    """Return the response to bright blobs: about the amplitude of the blob at its own scale, whatever that is.

    The difference of Gaussians approximates the Laplacian of a Gaussian, normalised by its scale (Lowe, Distinctive
    image features from scale-invariant keypoints, 2004, section 3).

    Parameters
    ----------
    values : ([Z], Y, X) float32 array
        Grey values.
    sigma : D floats
        Of the smaller Gaussian, in voxels along each axis; the larger one has a sigma 1.41 times as large.
    """
    small = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3)
    more = [s * (_RATIO**2 - 1) ** 0.5 for s in sigma]  # a Gaussian of a Gaussian is a wider one
    return np.asarray(2 * (small - ndimage.gaussian_filter(small, more, mode="nearest", truncate=3)), np.float32)


def measure_gain(shape: Sequence[int], sigma: Sequence[float]) -> Heights:
    """Return the standard deviation of the response to noise of deviation 1 that is independent in each voxel.

    It is higher at the border, where the same voxels are used more than once.

    Parameters
    ----------
    shape : D ints
        Shape of the image.
    sigma : D floats
        As in `difference_of_gaussians`.

    Examples
    --------
    >>> measure_gain((5, 40), (1.0, 1.0)).shape
    (5, 40)
    """
    squares = []
    for n, s in zip(shape, sigma, strict=True):
        reach = min(n, int(np.ceil(12 * s)) + 2)  # of a longer axis only the ends differ from the middle
        small = ndimage.gaussian_filter1d(np.eye(reach), s, axis=0, mode="nearest", truncate=3)
        more = s * (_RATIO**2 - 1) ** 0.5
        large = ndimage.gaussian_filter1d(small, more, axis=0, mode="nearest", truncate=3)
        ends = np.stack([(small**2).sum(1), (small * large).sum(1), (large**2).sum(1)])
        half = reach // 2
        middle = np.repeat(ends[:, half : half + 1], n - reach, axis=1)
        squares.append(np.concatenate([ends[:, :half], middle, ends[:, half:]], axis=1))
    gain = np.empty(tuple(shape), np.float32)
    for first in range(shape[0]):  # one plane after the other needs less memory
        terms = []
        for k in range(3):
            product: Any = squares[0][k, first : first + 1]
            for each in squares[1:]:
                product = np.multiply.outer(product, each[k])
            terms.append(product)
        gain[first : first + 1] = 2 * np.sqrt(np.maximum(terms[0] - 2 * terms[1] + terms[2], 0))
    return gain


def estimate_diameter(images: Iterable[npt.NDArray[Any]], spacing: Sequence[float]) -> float | None:
    """Return the diameter of a typical cell in the unit of `spacing`; None if no image has a blob.

    Parameters
    ----------
    images : iterable of ([Z], Y, X) arrays
        Some frames of a movie.
    spacing : D floats
        Size of a voxel.
    """
    found = [_find_blobs(image[cut_middle(image.shape, SAMPLE_VOXELS)], spacing) for image in images]
    blobs = np.concatenate([np.empty((0, 2)), *found])
    if not (blobs[:, 1] > 0).any():
        return None
    cap = _CLIPPED * _find_usual_height(blobs[blobs[:, 1] > 0], len(spacing))
    # dark blobs count against bright ones: noise and texture have as many of them
    weight = np.sign(blobs[:, 1]) * np.minimum(np.abs(blobs[:, 1]), cap) ** 2 * blobs[:, 0] ** (0.5 * len(spacing))
    sizes = np.unique(blobs[:, 0])
    votes = np.array([max(weight[blobs[:, 0] == size].sum(), 1e-9 * cap**2) for size in sizes])
    best = int(np.argmax(votes))
    near = np.abs(np.log(sizes / sizes[best])) < 1.5 * np.log(_RATIO)
    sigma = float(np.exp(np.average(np.log(sizes[near]), weights=votes[near])))
    return sigma * _DIAMETER[len(spacing)]


def _find_usual_height(blobs: Floats, ndim: int) -> float:
    """Return the median height of blobs by the light in them, to which noise and specks add little."""
    order = np.argsort(blobs[:, 1])
    light = np.cumsum(blobs[order, 1] * blobs[order, 0] ** ndim)
    return float(blobs[order[np.searchsorted(light, 0.5 * light[-1])], 1])


def _find_blobs(image: npt.NDArray[Any], spacing: Sequence[float]) -> Floats:
    """Return sigma and height of the blobs of an image, (N, 2): extremes in space and scale; dark ones are below 0."""
    scales = list(_list_scales(image, spacing))
    blobs = [np.empty((0, 2))]
    for sign in (1, -1):
        signed = [scale._replace(response=sign * scale.response) for scale in scales]
        for number, (sigma, response, grid, lowest) in enumerate(signed):
            peaks = find_peaks(response, lowest)
            height = response[tuple(peaks.T)]
            place = grid.restore(peaks.astype(float))
            kept = np.ones(len(peaks), bool)
            for other in signed[max(0, number - 1) : number] + signed[number + 1 : number + 2]:
                kept &= height >= _look_up(other, place)
            blobs.append(np.column_stack([np.full(kept.sum(), sigma), sign * height[kept]]))
    return np.concatenate(blobs)


def _list_scales(image: npt.NDArray[Any], spacing: Sequence[float]) -> Iterable[_Scale]:
    side = (max(spacing) * spacing[-1]) ** 0.5
    for _ in range(_LEVELS):
        grid = Grid(tuple(max(1, round(side / s)) for s in spacing), tuple(spacing))
        values = grid.shrink(image)
        if min(values.shape[-2:]) < 8:
            return
        for factor in (1, _RATIO):
            sigma = _FIRST * factor * side
            widths = [sigma / each for each in grid.step]
            response = difference_of_gaussians(values, widths)
            noise = measure_noise(values) * float(np.median(measure_gain(values.shape, widths)))
            yield _Scale(sigma, response, grid, _NOISE * noise)
        side *= 2


def _look_up(scale: _Scale, place: Floats) -> Heights:
    """Return the highest response of a scale around positions in voxels of the image."""
    high = ndimage.maximum_filter(scale.response, size=3, mode="nearest")
    voxel = np.clip(np.rint(scale.grid.convert(place)).astype(int), 0, np.array(high.shape) - 1)
    return np.asarray(high[tuple(voxel.T)])
