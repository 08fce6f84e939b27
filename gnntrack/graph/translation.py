"""Translation from one map or image to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import FeatureArray, FloatArray

    Spectrum = npt.NDArray[np.complexfloating[Any, Any]]

__all__ = ["compare_spectra", "compute_spectrum", "estimate_shift", "find_fast_length"]


def estimate_shift(before: FloatArray, after: FloatArray) -> FloatArray:
    """Estimate the translation from one map to the next by phase correlation.

    Parameters
    ----------
    before, after : arrays of one shape
        Maps of any dimension, periodic at their borders.

    Returns
    -------
    (D,) float64
        Translation in pixels along each axis, with subpixel precision from a parabola through the peak; 0 for maps
        without structure.

    References
    ----------
    Kuglin and Hines, The phase correlation image alignment method, 1975.

    Examples
    --------
    >>> import numpy as np
    >>> spot = np.zeros((16, 16)); spot[4, 5] = 1
    >>> (estimate_shift(spot, np.roll(spot, (3, -2), (0, 1))) + 0.0).tolist()
    [3.0, -2.0]
    """
    return compare_spectra(compute_spectrum(before), compute_spectrum(after), before.shape)


def find_fast_length(length: int, *, longer: bool) -> int:
    """Return the nearest length whose Fourier transform is fast: one without prime factors above 7.

    A length with a large prime factor takes up to ten times as long.

    Parameters
    ----------
    length : int
        At least 1.
    longer : bool
        Look among longer lengths rather than shorter ones.

    Examples
    --------
    >>> find_fast_length(197, longer=False), find_fast_length(197, longer=True), find_fast_length(96, longer=True)
    (196, 200, 96)
    """
    rest = length
    for factor in (2, 3, 5, 7):
        while rest % factor == 0:
            rest //= factor
    return length if rest == 1 else find_fast_length(length + (1 if longer else -1), longer=longer)


def compute_spectrum(values: FloatArray | FeatureArray) -> Spectrum:
    """Return the Fourier transform of a map, which serves the shifts from the map before and to the map after it."""
    return np.fft.rfftn(values)


def compare_spectra(before: Spectrum, after: Spectrum, shape: tuple[int, ...]) -> FloatArray:
    """Return `estimate_shift` of two maps of a shape, from their transforms."""
    # skimage's phase_cross_correlation has other subpixel shifts, and takes up to 300 times longer for small maps
    product = np.conj(before) * after
    magnitude = np.abs(product)
    axes = tuple(range(len(shape)))
    surface = np.fft.irfftn(product / np.maximum(magnitude, magnitude.max() * 1e-6 + 1e-30), shape, axes)
    peak = np.unravel_index(int(np.argmax(surface)), surface.shape)
    shift = np.zeros(len(shape))
    for axis, (at, n) in enumerate(zip(peak, shape, strict=True)):
        line = surface[tuple(slice(None) if a == axis else p for a, p in enumerate(peak))]
        left, middle, right = line[(at - 1) % n], line[at], line[(at + 1) % n]
        bend = left - 2 * middle + right
        offset = 0.0 if n < 3 or abs(bend) < 1e-12 else 0.5 * float(left - right) / float(bend)
        shift[axis] = (at + n // 2) % n - n // 2 + (offset if abs(offset) < 0.5 and abs(left - right) > 1e-9 else 0.0)
    return shift
