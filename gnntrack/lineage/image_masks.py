"""A missed cell in the image: pixels as bright, or as dark, as the cell is in the frames before and after its gap.

In these two frames the mask is known. Of some levels between the background around the cell and the cell, the one is
taken whose pixels are most like the known masks. In the frame of the gap, the pixels beyond this level, around the
expected place, are the cell. They are used if

* the level finds the two known masks well, and better than one of these predicts the other: else their shapes, moved to
  the expected place, tell more;
* size and contrast in the frame of the gap agree with those before and after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from gnntrack.frame_slabs import is_large, read_planes
from gnntrack.geometry import compute_radius
from gnntrack.masks.lookup import CellLookup, make_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import BoolArray, FloatArray, FrameStack, Image, IntArray, Runs

__all__ = ["ImageSearch"]

KnownMask = tuple[int, "IntArray"]

_LEVELS = (0.25, 0.35, 0.5, 0.65, 0.75)  # 0 = background, 1 = cell
_REACH = 0.25  # diameters around the expected mask, and two pixels, that are searched
_FOUND = 0.85  # least overlap (intersection over union) of what a level finds and the known masks
_SIZES = (0.75, 1.33)  # size of the found mask / of the expected one
_CONTRASTS = (0.6, 1.6)  # the same of its contrast
_FEWEST = 5  # pixels of the background around a cell
_FRAMES = 8  # that are kept: those of a gap and around it


class _Window(NamedTuple):
    """The surroundings of a mask."""

    corner: IntArray  # (D,) of the window in the frame
    image: FloatArray
    mask: BoolArray
    region: BoolArray  # the mask, and pixels near it that are not those of other cells
    background: float
    contrast: float  # mean of the mask - background

    def select(self, level: float, contrast: float) -> BoolArray:
        """Return the pixels of the region beyond a level, where the cell has this contrast."""
        limit = self.background + level * contrast
        return self.region & ((self.image > limit) if contrast > 0 else (self.image < limit))

    def find_cell(self, level: float, contrast: float) -> BoolArray:
        """Return the piece of these pixels that overlaps most with the mask, without holes; empty if none does."""
        pieces, count = ndimage.label(self.select(level, contrast))
        overlap = np.bincount(pieces[self.mask], minlength=count + 1)
        overlap[0] = 0
        piece = int(overlap.argmax())
        filled: BoolArray = ndimage.binary_fill_holes(pieces == piece) & self.region
        return filled if overlap[piece] else np.zeros_like(self.mask)


class ImageSearch:
    """Search for missed cells in the images of a movie.

    Parameters
    ----------
    images : FrameStack
        The images.
    runs : Runs
        Pixels of the cells.
    spacing : (D,) float64
        Size of a pixel.
    """

    def __init__(self, images: FrameStack, runs: Runs, spacing: FloatArray) -> None:
        self._images, self._runs, self._spacing = images, runs, spacing
        self._kept: dict[int, tuple[Image | None, CellLookup]] = {}

    def find(self, known: Sequence[KnownMask], frame: int, expected: IntArray, cells: CellLookup) -> IntArray | None:
        """Return the pixels of a missed cell; None if the image does not show it well enough.

        Parameters
        ----------
        known : two of (int, (n, D) int64)
            Frame, and coordinates of the pixels, of the masks before and after the gap.
        frame : int
            A frame of the gap.
        expected : (n, D) int64
            Pixels of the expected mask, on background.
        cells : CellLookup
            The cells of this frame, without the pixels of masks that were found in it before.

        Returns
        -------
        (m, D) int64
            Background pixels, in one piece.
        """
        windows = [self._open(*mask) for mask in known]
        here = self._open(frame, expected, cells)
        contrasts = [window.contrast for window in windows]
        if not contrasts[0] * contrasts[1] > 0 or np.isnan(here.background):  # also if one is not known
            return None
        overlaps = [[_compute_overlap(w.select(level, w.contrast), w.mask) for w in windows] for level in _LEVELS]
        level = _LEVELS[int(np.mean(overlaps, axis=1).argmax())]
        found = [_compute_overlap(w.find_cell(level, w.contrast), w.mask) for w in windows]
        if np.mean(found) < max(_FOUND, _compare_shapes(known)):
            return None
        contrast = float(np.mean(contrasts))
        cell = here.find_cell(level, contrast)
        size = np.count_nonzero(cell) / np.count_nonzero(here.mask)
        if not _SIZES[0] <= size <= _SIZES[1]:
            return None
        if not _CONTRASTS[0] <= (here.image[cell].mean() - here.background) / contrast <= _CONTRASTS[1]:
            return None
        return np.argwhere(cell) + here.corner

    def _open(self, frame: int, pixels: IntArray, cells: CellLookup | None = None) -> _Window:
        """Return the surroundings of a mask of a cell, or of one that is expected among `cells`."""
        spacing, finest, shape = self._spacing, float(self._spacing.min()), self._images.shape
        radius = float(compute_radius(len(pixels) * np.prod(spacing), len(shape)))
        reach = _REACH * 2 * radius + 2 * finest
        pad = np.ceil(reach / spacing).astype(np.int64)
        corner = np.maximum(pixels.min(axis=0) - pad, 0)
        stop = np.minimum(pixels.max(axis=0) + pad + 1, shape)
        window = tuple(map(slice, corner.tolist(), stop.tolist()))
        mask = np.zeros(stop - corner, bool)
        mask[tuple((pixels - corner).T)] = True
        image, own = self._read(frame, window)
        if cells is None:
            allowed = (own.draw(window) == 0) | mask
        else:
            allowed = (cells.draw(window) == 0) & ~cells.is_taken(make_grid(window))
        smooth = ndimage.gaussian_filter(np.asarray(image, np.float32), finest / spacing)
        region = allowed & (ndimage.distance_transform_edt(~mask, sampling=spacing) <= reach)
        ring = region & ~mask
        background = float(np.median(smooth[ring])) if np.count_nonzero(ring) >= _FEWEST else np.nan
        return _Window(corner, smooth, mask, region, background, float(smooth[mask].mean()) - background)

    def _read(self, frame: int, window: tuple[slice, ...]) -> tuple[Image, CellLookup]:
        """Return a part of the image of a frame, and the cells of the frame; of a large one only that part is read."""
        if frame not in self._kept:
            if len(self._kept) == _FRAMES:
                del self._kept[min(self._kept)]
            whole = None if is_large(self._images) else self._images[frame]
            self._kept[frame] = whole, CellLookup(self._runs, frame)
        image, cells = self._kept[frame]
        if image is None:
            return read_planes(self._images, frame, window[0])[:, *window[1:]], cells
        return image[window], cells


def _compute_overlap(one: BoolArray, other: BoolArray) -> float:
    """Return the intersection over union of two masks."""
    return np.count_nonzero(one & other) / max(int(np.count_nonzero(one | other)), 1)


def _compare_shapes(known: Sequence[KnownMask]) -> float:
    """Return the overlap of the two masks with a common centre."""
    first, second = (pixels - np.rint(pixels.mean(axis=0)).astype(np.int64) for _, pixels in known)
    corner = np.minimum(first.min(axis=0), second.min(axis=0))
    size = np.maximum(first.max(axis=0), second.max(axis=0)) - corner + 1
    drawn = np.zeros((2, *size), bool)
    for mask, pixels in zip(drawn, (first, second), strict=True):
        mask[tuple((pixels - corner).T)] = True
    return _compute_overlap(*drawn)
