"""What every segmenter asks of its image and of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import FrameError, SegmenterError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

__all__ = ["checked_frame", "checked_image", "expect_option", "stretched"]

_AXES = {2: "(Y, X)", 3: "(Z, Y, X)"}


def checked_image(
    image: npt.NDArray[Any], dimensions: Collection[int] = (2, 3), *, hint: str = ""
) -> npt.NDArray[np.float32]:
    """Return an image as float32, if it is one.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array of numbers
        Grey values; it is left as it is.
    dimensions : collection of int
        Numbers of axes that are welcome.
    hint : str
        What to do about another number of axes; it ends the message.

    Raises
    ------
    FrameError
        If it has another number of axes, is no array of real numbers, or holds NaN or infinite values.

    Examples
    --------
    >>> checked_image(np.zeros(4), [2], hint="; use 2D")
    Traceback (most recent call last):
    gnntrack.errors.FrameError: the image is float64 of shape (4,); expected (Y, X), one number a pixel; use 2D
    """
    image = np.asarray(image)
    if image.ndim not in dimensions or image.dtype.kind not in "biuf":
        want = " or ".join(_AXES[n] for n in sorted(dimensions))
        msg = f"the image is {image.dtype} of shape {image.shape}; expected {want}, one number a pixel{hint}"
        raise FrameError(msg)
    pixels = np.ascontiguousarray(image, np.float32)
    broken = pixels.size - np.count_nonzero(np.isfinite(pixels))
    if broken:
        msg = f"{broken} pixels are NaN or infinite; replace them, by 0 say"
        raise FrameError(msg)
    return pixels


def checked_frame(
    image: npt.NDArray[Any], spacing: Sequence[float] | None
) -> tuple[npt.NDArray[np.float32], tuple[float, ...]]:
    """Return an image as float32, and the sides of its voxels in units of the side along x.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array of numbers
        One frame; it is left as it is.
    spacing : sequence of float or None
        Size of a voxel along ``[z], y, x``; cubes where None.

    Raises
    ------
    FrameError
        If it has another number of axes than `spacing`, is no array of numbers, or holds NaN.
    """
    if spacing is None:
        pixels = checked_image(image)
        return pixels, (1.0,) * pixels.ndim
    axes = len(spacing)
    pixels = checked_image(image, {axes}, hint=f"; the option spacing is for an image with {axes} axes, change either")
    return pixels, tuple(float(side / spacing[-1]) for side in spacing)


def stretched(pixels: npt.NDArray[np.float32], percentiles: tuple[float, float]) -> npt.NDArray[np.float32]:
    """Return a copy from 0 to 1 between two percentiles; between the extremes where those are one value.

    Examples
    --------
    >>> stretched(np.array([2, 3, 4], np.float32), (0, 100)).tolist()
    [0.0, 0.5, 1.0]
    """
    low, high = (float(value) for value in np.percentile(pixels, percentiles))
    if low == high:
        low, high = float(pixels.min()), float(pixels.max())
    return np.asarray((pixels - low) / (high - low), np.float32)


def expect_option(segmenter: str, option: str, value: object, want: str, *, holds: bool) -> None:
    """Refuse an option of a segmenter unless a condition holds.

    Raises
    ------
    SegmenterError
        If it does not.

    Examples
    --------
    >>> expect_option("mine", "neck", 3, "between 0 and 1", holds=False)
    Traceback (most recent call last):
    gnntrack.errors.SegmenterError: segmenter 'mine': option neck is 3, but must be between 0 and 1
    """
    if not holds:
        msg = f"segmenter '{segmenter}': option {option} is {value!r}, but must be {want}"
        raise SegmenterError(msg)
