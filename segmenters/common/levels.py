"""Grey values that separate bright from dark pixels: the thresholds of Otsu and of Li, in bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from segmenters.common.arrays import AnyFloats, Floats

__all__ = ["compute_li", "compute_otsu", "draw_sample"]

_SAMPLE = 50_000  # pixels from which a threshold and the noise are estimated
_BINS = 256
_ROUNDS = 100  # of Li's iteration, which needs about ten
_CLOSE = 1e-4  # it ends where the threshold moves by less than this fraction of the range


def draw_sample(values: npt.NDArray[Any]) -> Floats:
    """Return evenly spaced pixels, some ten thousand at most, in double precision and in one dimension."""
    flat = values.ravel()
    stride = max(1, flat.size // _SAMPLE)
    return np.asarray(flat[:: stride + (stride > 1 and stride % 2 == 0)], np.float64)


def compute_otsu(sample: AnyFloats) -> float:
    """Return the threshold that separates two classes of grey values with the smallest variances.

    N. Otsu, A threshold selection method from gray-level histograms, IEEE Trans. Systems, Man, Cybernetics 9, 1979;
    from a histogram of 256 bins.

    Parameters
    ----------
    sample : array of finite numbers
        Grey values, at least one.

    Examples
    --------
    >>> bool(0 <= compute_otsu(np.array([0.0, 0, 0, 10, 10])) < 10)
    True
    """
    values = np.asarray(sample, np.float64).ravel()
    low, high = float(values.min()), float(values.max())
    width = (high - low) / _BINS
    if not width > 0:
        return low
    count = np.bincount(np.minimum(((values - low) / width).astype(np.int64), _BINS - 1), minlength=_BINS)
    centre = np.arange(_BINS) + 0.5
    below, total = np.cumsum(count)[:-1], np.cumsum(count * centre)
    above = len(values) - below
    difference = total[:-1] / np.maximum(below, 1) - (total[-1] - total[:-1]) / np.maximum(above, 1)
    return low + width * float(centre[np.argmax(below * above * difference**2)])


def compute_li(sample: AnyFloats) -> float:
    """Return the threshold of smallest cross entropy between an image and its two mean values.

    C. H. Li and P. K. S. Tam, An iterative algorithm for minimum cross entropy thresholding, Pattern Recognition
    Letters 19, 1998. The iteration may alternate between two values for ever; after 100 rounds the threshold of Otsu
    is returned instead.

    Parameters
    ----------
    sample : array of finite numbers
        Grey values, at least one. The lowest is taken as 0.

    Examples
    --------
    >>> bool(0 < compute_li(np.array([0.0, 0, 1, 10, 10])) < 10)
    True
    """
    values = np.sort(np.asarray(sample, np.float64).ravel())
    low, reach = float(values[0]), float(values[-1] - values[0])
    if not reach > 0:
        return low
    values = (values - low) / reach
    sums = np.concatenate([[0.0], np.cumsum(values)])
    threshold = float(sums[-1] / len(values))
    for _ in range(_ROUNDS):
        better = _improve_li(values, sums, threshold)
        if abs(better - threshold) < _CLOSE:
            return low + reach * better
        threshold = better
    return compute_otsu(sample)


def _improve_li(values: Floats, sums: Floats, threshold: float) -> float:
    """Return the next threshold from sorted values between 0 and 1 and their cumulative sums."""
    below = int(np.searchsorted(values, threshold, side="right"))
    if below in {0, len(values)}:
        return threshold
    dark, bright = float(sums[below]) / below, float(sums[-1] - sums[below]) / (len(values) - below)
    return (bright - dark) / (np.log(bright) - np.log(dark)) if dark > 0 and bright > dark else threshold
