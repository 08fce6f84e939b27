"""Checks of the images and options of a segmenter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FrameError, SegmenterError
from gnntrack.plurals import choose_form, count_noun

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

__all__ = [
    "check_frame",
    "check_image",
    "expect_choice",
    "expect_fractions",
    "expect_least",
    "expect_option",
    "expect_percentiles",
    "expect_positive",
    "expect_spacing",
    "rescale",
]

_AXES = {2: "(Y, X)", 3: "(Z, Y, X)"}
_HIGHEST = 1e18
_COUNTS = {2: "two", 3: "three"}


def check_image(
    image: npt.NDArray[Any], dimensions: Collection[int] = (2, 3), *, hint: str = ""
) -> npt.NDArray[np.float32]:
    """Return an image as float32; grey values above 1e18 are divided by the highest, so that sums of them are finite.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array of numbers
        Grey values; they are not modified.
    dimensions : collection of int
        Allowed numbers of axes.
    hint : str
        End of the error message for another number of axes: the advice to the user.

    Raises
    ------
    FrameError
        If the image has another number of axes, is not an array of real numbers, or has NaN or infinite values.

    Examples
    --------
    >>> check_image(np.zeros(4), [2], hint="; use 2D")
    Traceback (most recent call last):
    gnntrack.errors.FrameError: the image is float64 of shape (4,); expected (Y, X), one number per pixel; use 2D
    """
    image = np.asarray(image)
    if image.ndim not in dimensions or image.dtype.kind not in "biuf":
        want = " or ".join(_AXES[n] for n in sorted(dimensions))
        msg = f"the image is {image.dtype} of shape {image.shape}; expected {want}, one number per pixel{hint}"
        raise FrameError(msg)
    largest = float(np.abs(image).max(initial=0)) if image.dtype.kind == "f" else 0.0
    if np.isfinite(largest) and largest > _HIGHEST:
        image = image / np.float64(largest)
    pixels = np.ascontiguousarray(image, np.float32)
    broken = pixels.size - np.count_nonzero(np.isfinite(pixels))
    if broken:
        msg = (
            f"{count_noun(broken, 'pixel')} {choose_form(broken, 'is', 'are')} NaN or infinite; replace them, "
            "for example by 0"
        )
        raise FrameError(msg)
    return pixels


def check_frame(
    image: npt.NDArray[Any], spacing: Sequence[float] | None
) -> tuple[npt.NDArray[np.float32], tuple[float, ...]]:
    """Return an image as float32, and the sides of its voxels in units of the side along x.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array of numbers
        One frame; it is not modified.
    spacing : sequence of float or None
        Size of a voxel along ``[z], y, x``; None for cubes.

    Raises
    ------
    FrameError
        If the number of axes differs from that of `spacing`, the image is not an array of numbers, or has NaN values.
    """
    if spacing is None:
        pixels = check_image(image)
        return pixels, (1.0,) * pixels.ndim
    axes = len(spacing)
    pixels = check_image(image, {axes}, hint=f"; option spacing has {axes} values; give one value per axis")
    return pixels, tuple(float(side / spacing[-1]) for side in spacing)


def rescale(pixels: npt.NDArray[np.float32], percentiles: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Return a copy, rescaled to 0 and 1 at two percentiles, or at the extremes if the percentiles are equal.

    Examples
    --------
    >>> rescale(np.array([2, 3, 4], np.float32), (0, 100)).tolist()
    [0.0, 0.5, 1.0]
    """
    low, high = (float(value) for value in np.percentile(pixels, percentiles))
    if low == high:
        low, high = float(pixels.min()), float(pixels.max())
    return np.asarray((pixels - low) / (high - low), np.float32)


def expect_option(segmenter: str, option: str, value: object, want: str, *, holds: bool) -> None:
    """Raise an error about an option of a segmenter unless a condition holds.

    Raises
    ------
    SegmenterError
        If `holds` is False.

    Examples
    --------
    >>> expect_option("mine", "neck", 3, "between 0 and 1", holds=False)
    Traceback (most recent call last):
    gnntrack.errors.SegmenterError: segmenter 'mine': option neck is 3, but must be between 0 and 1
    """
    if not holds:
        msg = f"segmenter '{segmenter}': option {option} is {value!r}, but must be {want}"
        raise SegmenterError(msg)


def expect_fractions(segmenter: str, **options: float | None) -> None:
    """Raise an error about the first option outside 0 to 1; None is allowed.

    Raises
    ------
    SegmenterError
        If an option is below 0, above 1 or NaN.
    """
    for option, value in options.items():
        expect_option(segmenter, option, value, "between 0 and 1", holds=value is None or 0 <= value <= 1)


def expect_positive(segmenter: str, **options: float | None) -> None:
    """Raise an error about the first option that is not above 0; None is allowed.

    Raises
    ------
    SegmenterError
        If an option is 0, below 0 or NaN.
    """
    for option, value in options.items():
        expect_option(segmenter, option, value, "above 0", holds=value is None or value > 0)


def expect_least(segmenter: str, least: float, **options: float | None) -> None:
    """Raise an error about the first option below a lowest value; None is allowed.

    Raises
    ------
    SegmenterError
        If an option is below `least` or NaN.
    """
    for option, value in options.items():
        expect_option(segmenter, option, value, f"{least} or above", holds=value is None or value >= least)


def expect_choice(segmenter: str, option: str, value: object, choices: Collection[str]) -> None:
    """Raise an error about an option that is not one of some words.

    Raises
    ------
    SegmenterError
        If the value is not one of `choices`.
    """
    expect_option(segmenter, option, value, " or ".join(choices), holds=value in choices)


def expect_spacing(segmenter: str, spacing: Sequence[float] | None, axes: Collection[int]) -> None:
    """Raise an error about an option ``spacing`` that is not one number above 0 per axis; None is allowed.

    Parameters
    ----------
    segmenter : str
        Name of the segmenter.
    spacing : sequence of float or None
        Size of a voxel along ``[z], y, x``.
    axes : collection of int
        Allowed numbers of axes.

    Raises
    ------
    SegmenterError
        If a number is not above 0, or `spacing` has another number of axes.
    """
    holds = spacing is None or (len(spacing) in axes and min(spacing) > 0)
    count = " or ".join(_COUNTS[n] for n in sorted(axes))
    expect_option(segmenter, "spacing", spacing, f"{count} numbers above 0", holds=holds)


def expect_percentiles(segmenter: str, percentiles: Sequence[float]) -> None:
    """Raise an error about an option ``percentiles`` that is not two ascending numbers from 0 to 100.

    Raises
    ------
    SegmenterError
        If there are not two numbers, they do not ascend, or one is outside 0 to 100.
    """
    holds = len(percentiles) == 2 and 0 <= percentiles[0] < percentiles[1] <= 100
    expect_option(segmenter, "percentiles", percentiles, "two ascending numbers from 0 to 100", holds=holds)
