"""Grey values of the cells in every channel of a movie: columns such as ``intensity_mean_DAPI``.

They are measurements for the user's tables. Scorers and networks read the columns without the name of a channel, which
are those of the channel that is tracked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.frame_slabs import LargeFrame
from gnntrack.measure.kernels import measure_intensities

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, Image, IntArray

__all__ = ["INTENSITY_FEATURES", "list_channel_columns", "measure_channels", "read_slabs"]

INTENSITY_FEATURES = ("intensity_mean", "intensity_std", "intensity_min", "intensity_max")
"""Columns from the images; they follow `SHAPE_ZSCORES`."""


def list_channel_columns(channels: Sequence[str]) -> tuple[str, ...]:
    """Return the names of the columns of each channel, 4 per channel.

    Letters, digits and ``_ . + -`` of the name of a channel are kept; all else becomes ``_``.

    Examples
    --------
    >>> list_channel_columns(["DAPI", "GFP (488 nm)"])[::4]
    ('intensity_mean_DAPI', 'intensity_mean_GFP_488_nm')
    """
    endings: list[str] = []
    for number, channel in enumerate(channels):
        ending = re.sub(r"[^\w.+-]+", "_", channel).strip("_") or f"channel{number}"
        taken = {each.casefold() for each in endings}  # some file systems ignore upper and lower case
        endings.append(f"{ending}_{number}" if ending.casefold() in taken else ending)
    return tuple(f"{name}_{ending}" for ending in endings for name in INTENSITY_FEATURES)


def measure_channels(
    images: Sequence[Image | LargeFrame], runs: tuple[IntArray, IntArray, IntArray], n: int
) -> FloatArray:
    """Return the grey values of the cells of a frame in every channel.

    Parameters
    ----------
    images : C arrays of (Y, X) or (Z, Y, X), or large frames
        The frame in each channel.
    runs : (start, length, cell), each (R,) int64
        The pixels of the cells 0 to n - 1.
    n : int
        Number of cells.

    Returns
    -------
    (n, 4 * C) float64
        Mean, standard deviation, minimum and maximum of each channel; 0 for a cell without a finite pixel.
    """
    measured = [measure_intensities(read_slabs(image), runs, n)[0] for image in images]
    return np.hstack(measured) if measured else np.zeros((n, 0))


def read_slabs(image: Image | LargeFrame) -> Iterator[tuple[int, Image]]:
    """Yield the pixels of a frame in parts, each with the index of its first pixel: one part if it is an array."""
    for first, slab in image.read_slabs() if isinstance(image, LargeFrame) else [(0, image)]:
        yield first, _flatten(slab)


def _flatten(image: Image) -> Image:
    """Return the pixels in one row, in a type that NumPy computes with."""
    dtype = image.dtype.newbyteorder("=")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype.kind == "f" and dtype.itemsize not in {4, 8}:
        dtype = np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return np.ascontiguousarray(image, dtype).reshape(-1)
