"""Large images in tiles: the memory that a network takes depends on the tile, not on the image."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    Heights = npt.NDArray[np.float32]

__all__ = ["TileWindow", "in_tiles", "tile_windows"]


class TileWindow(NamedTuple):
    """A tile: what is read of the image, what is written, and where that lies in what was read."""

    read: tuple[slice, ...]  # of the image
    write: tuple[slice, ...]  # of the image, without the margins that overlap
    inner: tuple[slice, ...]  # the same within what was read


def in_tiles(
    answer: Callable[[Heights], Heights],
    image: Heights,
    *,
    channels: int,
    tile: Sequence[int],
    overlap: Sequence[int],
    batch: int = 1,
) -> Heights:
    """Return the answers for an image, tile by tile; tiles overlap, and only their inner parts are kept.

    Parameters
    ----------
    answer : callable
        From images, (B, *tile), to answers, (B, C, *tile).
    image : (Y, X) or (Z, Y, X) array
        The whole image; one that fits into a tile is answered in one piece.
    channels : int
        The number C of answers per pixel.
    tile, overlap : sequences of int
        Pixels along ``[z], y, x``; neighbouring tiles share at least `overlap` pixels.
    batch : int
        Tiles that are answered at once.

    Returns
    -------
    answers : (C, *image.shape) float32 array
    """
    out = np.empty((channels, *image.shape), np.float32)
    windows = list(tile_windows(image.shape, tile, overlap))
    for first in range(0, len(windows), batch):
        some = windows[first : first + batch]
        found = answer(np.stack([image[window.read] for window in some]))
        for window, values in zip(some, found, strict=True):
            out[(slice(None), *window.write)] = values[(slice(None), *window.inner)]
    return out


def tile_windows(shape: Sequence[int], tile: Sequence[int], overlap: Sequence[int]) -> Iterator[TileWindow]:
    """Yield the tiles of an image; what they write makes up the whole image."""
    axes = [_along(n, min(t, n), min(o, t - 1)) for n, t, o in zip(shape, tile, overlap, strict=True)]
    for parts in product(*axes):
        read, write = zip(*parts, strict=True)
        inner = tuple(slice(w.start - r.start, w.stop - r.start) for r, w in parts)
        yield TileWindow(read, write, inner)


def _along(length: int, tile: int, overlap: int) -> list[tuple[slice, slice]]:
    """Return what tiles read and write along one axis; all are of one length, so that they go in one batch."""
    count = 1 if length <= tile else int(np.ceil((length - overlap) / (tile - overlap)))
    starts = np.linspace(0, length - tile, count).round().astype(int).tolist()
    # neighbours meet in the middle of what they share
    cuts = [0, *((a + tile + b) // 2 for a, b in pairwise(starts)), length]
    return [(slice(s, s + tile), slice(cuts[i], cuts[i + 1])) for i, s in enumerate(starts)]
