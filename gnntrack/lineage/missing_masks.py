"""Masks that the segmenter missed: where a cell must have been in the frames of a gap.

The shape of a missing mask is a vote of the masks before and after the gap. Both are moved to the expected centre,
which is interpolated between the two; a pixel belongs to the mask if at least half of the vote, weighted by nearness
in time, is for it. With images, the cell is looked for there first (`gnntrack.lineage.image_masks`). The mask takes
background pixels only. There is one exception: if more than half of it lies on one
neighbour, and that neighbour is much larger than in the frames around, then the segmenter merged the two cells, and the
neighbour's mask is split between them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.lineage.families import find_missing_frames, find_neighbours
from gnntrack.masks.lookup import CellLookup
from gnntrack.masks.runs import expand_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.lineage.image_masks import ImageSearch
    from gnntrack.types import FloatArray, FrameStack, IntArray, Lineage, Runs

__all__ = ["MissingMask", "locate_missing_masks"]

_MIN_VISIBLE = 0.3
"""Fraction of a missing mask on background below which it is not drawn: the rest would not have the cell's shape."""
_MERGED_EXCESS = 0.5
"""A mask is split if it is larger than usual by this fraction of the missing cell: one that was merged with it has its
whole size more, and masks vary by much less from frame to frame."""


@dataclass(frozen=True)
class MissingMask:
    """A mask for one frame of a gap.

    Parameters
    ----------
    frame : int
        Its frame.
    before, after : int
        Rows of the cells before and after the gap.
    pixels : D arrays (n,) int64
        Coordinates of its pixels along ``[z], y, x``.
    split_cell : int
        Row of the cell whose mask was split to make this one; -1 = none.
    in_image : bool
        Whether it was found in the image, and is not a vote of shapes.
    """

    frame: int
    before: int
    after: int
    pixels: tuple[IntArray, ...]
    split_cell: int
    in_image: bool = False


class _Gap(NamedTuple):
    """One frame of a gap: rows of the cells around it."""

    before: int
    after: int


def locate_missing_masks(lineage: Lineage, runs: Runs, images: FrameStack | None = None) -> list[MissingMask]:
    """Find a mask for each frame of each gap.

    Parameters
    ----------
    lineage : Lineage
        Tracks; some may skip frames.
    runs : Runs
        The pixels of the lineage's cells.
    images : FrameStack, optional
        The images, in which the cells are looked for.

    Returns
    -------
    list of MissingMask
        Ascending by frame; no two share a pixel. Either all frames of a gap have a mask, or none has: a track needs a
        mask in each of its frames.
    """
    by_frame: dict[int, list[_Gap]] = {}
    for frame, *rows in zip(*(column.tolist() for column in find_missing_frames(lineage)), strict=True):
        by_frame.setdefault(frame, []).append(_Gap(*rows))
    if not by_frame:
        return []
    around = _CellsAround(lineage, runs, by_frame, images)
    placed = [mask for frame in sorted(by_frame) for mask in _locate_in_frame(around, runs, frame, by_frame[frame])]
    wanted = Counter(gap.before for gaps in by_frame.values() for gap in gaps)
    found = Counter(mask.before for mask in placed)
    return [mask for mask in placed if found[mask.before] == wanted[mask.before]]


def _open_search(images: FrameStack, runs: Runs, spacing: FloatArray) -> ImageSearch:
    from gnntrack.lineage.image_masks import ImageSearch  # loads SciPy, and many movies have no gaps

    return ImageSearch(images, runs, spacing)


class _CellsAround:
    """Pixels of the cells next to gaps; size and place of cells as their tracks predict them."""

    def __init__(
        self, lineage: Lineage, runs: Runs, by_frame: dict[int, list[_Gap]], images: FrameStack | None = None
    ) -> None:
        self.cells = lineage.cells
        self.shape = runs.shape
        self.spacing = np.asarray(lineage.cells.spacing)
        self.search = None if images is None else _open_search(images, runs, self.spacing)
        self._neighbours = np.stack(find_neighbours(lineage), axis=1)  # (N, 2)
        wanted = np.zeros(len(lineage.cells), bool)
        for gaps in by_frame.values():
            wanted[np.array(gaps)] = True
        use = np.flatnonzero(wanted[runs.cell])
        use = use[np.argsort(runs.cell[use], kind="stable")]
        self._start, self._length, self._cell = runs.start[use], runs.length[use], runs.cell[use]

    def list_pixels(self, row: int) -> IntArray:
        """Return the pixel coordinates of a cell next to a gap, shape (n, D)."""
        own = slice(*np.searchsorted(self._cell, [row, row + 1]))
        flat = expand_runs(self._start[own], self._length[own])
        return np.stack(np.unravel_index(flat, self.shape), axis=1)

    def find_neighbours(self, row: int) -> IntArray:
        """Return the rows of the cells before and after a cell in its track; at most 2."""
        near: IntArray = self._neighbours[row]
        return near[near >= 0]

    def estimate_size(self, row: int) -> float:
        """Return the mean size of the cells before and after a cell in its track; 0 if it has neither."""
        near = self.find_neighbours(row)
        return float(self.cells.feature("size")[near].mean()) if len(near) else 0.0

    def estimate_centre(self, row: int) -> FloatArray:
        """Return the mean centre of the cells before and after a cell in its track, in pixels, shape (D,)."""
        near = self.find_neighbours(row)
        rows = near if len(near) else [row]
        return np.asarray(self.cells.position[rows].mean(axis=0) / self.spacing)


def _locate_in_frame(around: _CellsAround, runs: Runs, frame: int, gaps: list[_Gap]) -> Iterator[MissingMask]:
    """Yield the masks of one frame; none takes the pixels of an earlier one.

    Where two masks meet, the order of the cells' places decides, so that the result does not depend on their labels.
    """
    rows = CellLookup(runs, frame)
    position = around.cells.position
    for gap in sorted(gaps, key=lambda each: (*position[each.before].tolist(), *position[each.after].tolist())):
        mask = _locate(around, rows, frame, gap)
        if mask is not None:
            rows.take(mask.pixels)
            yield mask


def _locate(around: _CellsAround, rows: CellLookup, frame: int, gap: _Gap) -> MissingMask | None:
    """Return the mask of a gap in one frame, or None if too little of it would be visible."""
    cells = around.cells
    fraction = (frame - cells.frame[gap.before]) / (cells.frame[gap.after] - cells.frame[gap.before])
    centre = ((1 - fraction) * cells.position[gap.before] + fraction * cells.position[gap.after]) / around.spacing
    shape = _vote_shape(around, gap, (1 - fraction, fraction), centre)
    if not len(shape):
        return None
    at = tuple(shape.T)
    below = rows.find(at)
    visible = shape[(below == 0) & ~rows.is_taken(at)]
    cell = int(np.bincount(below[below > 0]).argmax()) - 1 if (below > 0).any() else -1
    if cell >= 0 and (below == cell + 1).mean() > 0.5 and _is_merged(around, cell, len(shape)):
        share = _split_mask(around, rows.list_pixels(cell), cell, centre)
        if share is not None:
            return MissingMask(frame, *gap, tuple(np.concatenate([share, visible]).T), cell)
    if not len(visible) or len(visible) < _MIN_VISIBLE * len(shape):
        return None
    if around.search is not None:
        known = [(int(cells.frame[row]), around.list_pixels(row)) for row in gap]
        found = around.search.find(known, frame, visible, rows)
        if found is not None:
            return MissingMask(frame, *gap, tuple(found.T), -1, in_image=True)
    return MissingMask(frame, *gap, tuple(visible.T), -1)


def _vote_shape(around: _CellsAround, gap: _Gap, weights: tuple[float, float], centre: FloatArray) -> IntArray:
    """Return the pixels that at least half of the weighted vote is for, shape (n, D)."""
    moved = []
    for row in gap:
        own = around.cells.position[row] / around.spacing
        moved.append(around.list_pixels(row) + np.rint(centre - own).astype(np.int64))
    pixels = np.concatenate(moved)
    vote = np.concatenate([np.full(len(each), weight) for each, weight in zip(moved, weights, strict=True)])
    inside = ((pixels >= 0) & (pixels < around.shape)).all(axis=1)
    if not inside.any():
        return pixels[:0]
    flat, inverse = np.unique(np.ravel_multi_index(tuple(pixels[inside].T), around.shape), return_inverse=True)
    accepted = np.bincount(inverse, vote[inside]) >= 0.5 - 1e-9
    return np.stack(np.unravel_index(flat[accepted], around.shape), axis=1)


def _is_merged(around: _CellsAround, row: int, pixels: int) -> bool:
    """Return whether a mask is so large that it holds its own cell and a missing one of so many pixels."""
    expected = around.estimate_size(row)
    missing = pixels * float(np.prod(around.spacing))
    return bool(expected) and float(around.cells.feature("size")[row]) > expected + _MERGED_EXCESS * missing


def _split_mask(around: _CellsAround, pixels: IntArray, row: int, centre: FloatArray) -> IntArray | None:
    """Return the pixels of a merged mask that are nearer to a missing cell; None if these are all of them or none.

    Parameters
    ----------
    around : _CellsAround
        For the expected centre of the cell.
    pixels : (n, D) int64
        Pixels of the mask.
    row : int
        The cell that the mask belongs to.
    centre : (D,) float64
        Expected centre of the missing cell, in pixels.
    """
    offsets = [(pixels - each) * around.spacing for each in (centre, around.estimate_centre(row))]
    nearer = np.linalg.norm(offsets[0], axis=1) < np.linalg.norm(offsets[1], axis=1)
    return pixels[nearer] if 0 < nearer.sum() < len(pixels) else None
