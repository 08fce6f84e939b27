"""Large images in tiles: the memory of a network depends on the size of a tile, not of the image."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from segmenters.common.arrays import Heights


__all__ = ["TileWindow", "predict_in_tiles", "split_into_tiles"]


_MULTIPLE = 16


class TileWindow(NamedTuple):
    """A tile: the region that is read, the region that is written, and the latter relative to the former."""

    read: tuple[slice, ...]  # of the image
    write: tuple[slice, ...]  # of the image, without the margins that overlap
    inner: tuple[slice, ...]  # the same, relative to the region that is read


def predict_in_tiles(
    predict: Callable[[Heights], Heights],
    image: Heights,
    *,
    channels: int,
    tile: Sequence[int],
    overlap: Sequence[int],
    batch: int = 1,
) -> Heights:
    """Return the predictions for an image, tile by tile; tiles overlap, and only their inner parts are kept.

    Parameters
    ----------
    predict : callable
        From images, (B, *tile), to predictions, (B, C, *tile).
    image : (Y, X) or (Z, Y, X) array
        The whole image. Axes in front of those of `tile`, such as one of colours, are not divided.
    channels : int
        The number C of predictions per pixel.
    tile, overlap : sequences of int
        Pixels along ``[z], y, x``; neighbouring tiles share at least `overlap` pixels.
    batch : int
        Number of tiles per call of `predict`.

    Returns
    -------
    predictions : (C, [Z], Y, X) float32 array
    """
    shape = image.shape[-len(tile) :]
    out = np.empty((channels, *shape), np.float32)
    whole = (slice(None),) * (image.ndim - len(tile))
    windows = list(split_into_tiles(shape, tile, overlap))
    for first in range(0, len(windows), batch):
        some = windows[first : first + batch]
        found = predict(np.stack([image[whole + window.read] for window in some]))
        for window, values in zip(some, found, strict=True):
            out[(slice(None), *window.write)] = values[(slice(None), *window.inner)]
    return out


def split_into_tiles(shape: Sequence[int], tile: Sequence[int], overlap: Sequence[int]) -> Iterator[TileWindow]:
    """Yield the tiles of an image; the regions that they write cover the image once."""
    axes = [_split_axis(n, min(t, n), min(o, t - 1)) for n, t, o in zip(shape, tile, overlap, strict=True)]
    for parts in product(*axes):
        read, write = zip(*parts, strict=True)
        inner = tuple(slice(w.start - r.start, w.stop - r.start) for r, w in parts)
        yield TileWindow(read, write, inner)


def _split_axis(length: int, tile: int, overlap: int) -> list[tuple[slice, slice]]:
    """Return the ranges that tiles read and write along one axis; all tiles have one length, so they fit in a batch.

    They are no longer than as many tiles need to be, up to a multiple of 16, which networks are fast at.
    """
    count = 1 if length <= tile else int(np.ceil((length - overlap) / (tile - overlap)))
    needed = -(-(length + (count - 1) * overlap) // count)
    tile = min(tile, -(-needed // _MULTIPLE) * _MULTIPLE) if count > 1 else tile
    starts = np.linspace(0, length - tile, count).round().astype(int).tolist()
    # neighbours meet in the middle of their overlap
    cuts = [0, *((a + tile + b) // 2 for a, b in pairwise(starts)), length]
    return [(slice(s, s + tile), slice(cuts[i], cuts[i + 1])) for i, s in enumerate(starts)]
