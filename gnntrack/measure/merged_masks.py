"""Masks that hold several cells for some frames, found by the cells before and after them, and cut into these cells.

A mask holds cells if their expected centres, from the frame before or from the frame after, lie in it, and it is as
large as they are together. It is cut if cells of the same sizes are on its other side, too, or at least one of them,
beside the middle of the mask; the others may be missing there, not born yet, or merged with another cell. It may be
merged for some frames: then the cells before the first and after the last of its masks count. Two pieces of one cell
are not two cells: one mask holds both of them in the frame before them, or in the frame after them. Two daughters are
not cut off their parent: before them, there is one cell as large as both.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.geometry import find_nearest
from gnntrack.masks.runs import expand_runs
from gnntrack.movie_scales import estimate_of_movie

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gnntrack.types import Cells, FloatArray, IntArray, Runs

__all__ = ["CutMask", "find_merged_masks"]

# In 12 simulated movies with 2 % merged, 2 % split and 3 % dropped cells, 509 of 672 merged masks are cut, and 7 more;
# in the same movies without faults, 4 masks of 43,573 are. If cells stay merged for 1 to 6 frames, 376 of 508 masks are
# cut, and 7 others.
_FITS = 0.2  # largest log ratio of the size of a mask and of its cells together
_STEADY = 0.2  # the same of a merged mask in two frames
_SAME = 0.5  # the same of a cell before and after
_GROWS = 0.4  # smallest log ratio of a mask and of the cell of which it is surely more
_UNUSUAL = 0.5  # a merged mask is at most this much nearer to the usual size than its cells, in standard deviations
_SHARE = 0.2  # else, smallest share of a cell in a mask
_NEAR = 1.0  # radii from its expected place within which a cell is on the other side, if its centre is outside the mask
_ASIDE = 0.75  # if the others are not seen there, the same as a part of its distance from the middle of the mask
_BRIEF = 2  # largest number of frames of masks without a second side, or nearer to the usual size than their cells
_MOST = 4  # cells in a mask
_CENTRAL = 0.2  # pixels by which a pixel counts as nearer to a cell, for each radius that it is nearer to its centre


class CutMask(NamedTuple):
    """A mask, and the pixels of each of its cells: flat indices in the frame, the largest cell first."""

    row: int
    pieces: list[IntArray]


class _Episode(NamedTuple):
    """Masks that hold cells, by frame, and the cells before and after them in the same order; one side may lack."""

    masks: list[int]
    before: list[int]
    after: list[int]


def find_merged_masks(cells: Cells, runs: Runs, shift: FloatArray, *, longest: int) -> list[CutMask]:
    """Find masks that hold several cells, and cut them.

    Parameters
    ----------
    cells : Cells
        All cells of a movie.
    runs : Runs
        Their pixels.
    shift : (N, D) float64
        Displacement of each cell to the next frame.
    longest : int
        Largest number of frames that a mask may be merged.

    Returns
    -------
    list of CutMask
        Ascending by row.

    Examples
    --------
    Two cells of 6 x 6 pixels that share a mask in the second of three frames:

    >>> from gnntrack.io.frames import open_masks
    >>> from gnntrack.measure.cells import measure_cells
    >>> from gnntrack.settings import CellSettings
    >>> masks = np.zeros((3, 12, 20), np.uint8)
    >>> masks[:, 3:9, 3:9], masks[:, 3:9, 9:15] = 1, 2
    >>> masks[1][masks[1] == 2] = 1
    >>> cells, runs, _ = measure_cells(open_masks(masks), settings=CellSettings())
    >>> [(cut.row, [len(piece) for piece in cut.pieces]) for cut in
    ...     find_merged_masks(cells, runs, np.zeros((5, 2)), longest=1)]
    [(2, [36, 36])]
    """
    if not len(cells) or not longest:
        return []
    search = _Search.prepare(cells, runs, shift)
    cuts: dict[int, CutMask] = {}
    for episode in search.list_episodes(longest):
        if cuts.keys().isdisjoint(episode.masks):
            found = [search.cut_mask(episode, row) for row in episode.masks]
            if all(len(cut.pieces) == len(episode.before or episode.after) for cut in found):
                cuts |= {cut.row: cut for cut in found}
    return [cuts[row] for row in sorted(cuts)]


class _Direction(NamedTuple):
    """From each frame to the next, or to the one before."""

    step: int
    """1 or -1."""
    shift: FloatArray
    """(N, D) displacement of each cell."""
    mask: IntArray
    """(N,) mask that the expected centre of each cell lies in, -1 = none."""


@dataclass(frozen=True)
class _Search:
    """Cells of a movie, the logarithms of their sizes, and where their centres are expected."""

    cells: Cells
    runs: Runs
    size: FloatArray
    forward: _Direction
    backward: _Direction

    @classmethod
    def prepare(cls, cells: Cells, runs: Runs, shift: FloatArray) -> _Search:
        """Locate the expected centres of all cells."""
        size = np.log(np.maximum(cells.feature("size").astype(np.float64), 1e-12))
        back = _turn_shift(cells, shift)
        every = np.arange(len(cells))
        forward = _Direction(1, shift, _locate(cells, runs, shift, every, 1))
        return cls(cells, runs, size, forward, _Direction(-1, back, _locate(cells, runs, back, every, -1)))

    @cached_property
    def usual(self) -> tuple[float, float]:
        """Median of the sizes of all cells, and their robust standard deviation."""
        middle = estimate_of_movie("merged.size", lambda: float(np.median(self.size)))
        away = estimate_of_movie("merged.size_spread", lambda: float(np.median(np.abs(self.size - middle))))
        return middle, max(1.4826 * away, 0.12)

    def list_episodes(self, longest: int) -> Iterator[_Episode]:
        """Yield merged masks with the cells around them; first those that hold the centres of cells of both sides."""
        before, after = self._group(self.forward, self.backward), self._group(self.backward, self.forward)
        less_sure: list[_Episode] = []
        for first, cells in sorted(before.items()):
            masks = self._follow(first, self.forward, self.backward, after, longest)
            usual = self._are_usual(first, cells)
            brief = len(masks) <= _BRIEF
            episode = self._match(masks, cells, after.get(masks[-1], [])) if usual or brief else None
            if episode is not None:
                yield episode
            elif usual:
                less_sure += self._find_beyond(masks, cells, self.forward, self.backward)
        for last, cells in sorted(after.items()):
            if self._are_usual(last, cells):
                masks = self._follow(last, self.backward, self.forward, before, longest)
                less_sure += self._find_beyond(masks, cells, self.backward, self.forward)
        yield from sorted(less_sure, key=_count_unseen)

    def _find_beyond(self, masks: list[int], side: list[int], way: _Direction, back: _Direction) -> list[_Episode]:
        """Return an episode of masks and the cells on one side of them, if what is beyond them confirms it."""
        found = self._find_other_side(masks, side, way, back)
        if not found and not self._is_sure(masks, side, way) and not self._find_part(masks, side, way, back):
            return []
        return [_Episode(masks, side, found) if way.step > 0 else _Episode(masks[::-1], found, side)]

    def _group(self, way: _Direction, back: _Direction) -> dict[int, list[int]]:
        """Return the masks that hold cells, and these; a cell that is missing in the frame between counts, too."""
        cells = self.cells
        beyond = cells.frame + 2 * way.step
        lost = np.flatnonzero((way.mask < 0) & (beyond >= 0) & (beyond < cells.n_frames))
        lost = lost[~np.isin(lost, back.mask)]  # else another cell's centre lies in it
        mask = way.mask.copy()
        mask[lost] = _locate(cells, self.runs, 2 * way.shift, lost, 2 * way.step)[lost]
        rows = np.flatnonzero(mask >= 0)
        count = np.bincount(mask[rows], minlength=len(cells))
        groups: dict[int, list[int]] = {}
        for row in rows[count[mask[rows]] > 1].tolist():
            groups.setdefault(int(mask[row]), []).append(row)
        return {row: group for row, group in groups.items() if self._holds(row, group, back)}

    def _holds(self, mask: int, group: list[int], back: _Direction) -> bool:
        """Return whether a mask may hold cells: by their sizes, and by the masks on the other side of them."""
        beyond = back.mask[group]
        if len(group) > _MOST or not self._fit(mask, group) or _is_one_cell(beyond):
            return False
        share = np.exp(self.size[group].min() - np.logaddexp.reduce(self.size[group]))
        apart = beyond.min() >= 0 and len(np.unique(beyond)) == len(group)
        return self._are_usual(mask, group) or bool(apart and share > _SHARE)

    def _are_usual(self, mask: int, group: list[int]) -> bool:
        """Return whether the cells of a mask have rather usual sizes than the mask."""
        usual, spread = self.usual
        farther = np.abs(self.size[group] - usual).mean() - abs(self.size[mask] - usual)
        return bool(farther < _UNUSUAL * spread)

    def _fit(self, mask: int, group: list[int]) -> bool:
        """Return whether a mask is as large as cells together."""
        return bool(abs(self.size[mask] - np.logaddexp.reduce(self.size[group])) < _FITS)

    def _is_sure(self, masks: list[int], side: list[int], way: _Direction) -> bool:
        """Return whether masks up to the last frame hold cells, which are not seen after them."""
        if way.step < 0 or self.cells.frame[masks[-1]] < self.cells.n_frames - 1:
            return False  # in the first frame, it is a cell before its division
        grows = self.size[masks[0]] - self.size[side].max()
        fits = abs(self.size[masks[0]] - np.logaddexp.reduce(self.size[side]))
        return bool(len(masks) <= _BRIEF and grows > _GROWS and fits < _GROWS / 4)

    def _follow(
        self, mask: int, way: _Direction, back: _Direction, ends: dict[int, list[int]], longest: int
    ) -> list[int]:
        """Return a merged mask and those of the next frames, up to one that falls into cells."""
        masks = [mask]
        while masks[-1] not in ends and len(masks) < longest:
            following = self._find_next(masks[-1], way, back)
            if following < 0 or abs(self.size[following] - self.size[mask]) > _STEADY:
                break
            masks.append(following)
        return masks

    def _find_next(self, row: int, way: _Direction, back: _Direction) -> int:
        """Return the mask that a mask goes on as, -1 = none: each lies where the other one is expected.

        The centres count or, as those of curved masks and of cells that barely touch may lie outside, most of the
        pixels.
        """
        by_centre = int(way.mask[row])
        if by_centre >= 0 and back.mask[by_centre] == row:
            return by_centre
        by_pixels = self._find_below(row, way)
        return by_pixels if by_pixels >= 0 and self._find_below(by_pixels, back) == row else -1

    def _find_below(self, row: int, way: _Direction) -> int:
        """Return the mask that more than half of the moved pixels of a mask lie in, -1 = none."""
        cells, frame = self.cells, int(self.cells.frame[row]) + way.step
        if not 0 <= frame < cells.n_frames:
            return -1
        moved = np.rint(way.shift[row] / np.asarray(cells.spacing)).astype(np.int64)
        place = np.stack(np.unravel_index(self._list_pixels(row), cells.shape), axis=1) + moved
        inside = ((place >= 0) & (place < np.array(cells.shape))).all(axis=1)
        part = self.runs.frame(frame)
        runs = self.runs.start[part], self.runs.length[part], self.runs.cell[part]
        found = _find_runs(runs, np.ravel_multi_index(tuple(place[inside].T), cells.shape))
        values, counts = np.unique(found[found >= 0], return_counts=True)
        return int(values[counts.argmax()]) if len(values) and 2 * counts.max() > len(place) else -1

    def _find_other_side(self, masks: list[int], side: list[int], way: _Direction, back: _Direction) -> list[int]:
        """Return the cells beyond masks that are those on one side of them; none if one of them is not found."""
        cells = self.cells
        frame = int(cells.frame[masks[-1]]) + way.step
        if not 0 <= frame < cells.n_frames:
            return []
        here = np.arange(cells.rows(frame).start, cells.rows(frame).stop)
        source = back.mask[here]
        free = here[(source < 0) | (source == masks[-1]) | (way.mask[source] != here)]
        moved = way.shift[masks].sum(axis=0)
        found: list[int] = []
        for cell in side:
            own = abs(int(cells.frame[masks[0]] - cells.frame[cell])) * way.shift[cell]
            distance = np.linalg.norm(cells.position[free] - cells.position[cell] - own - moved, axis=1)
            fits = (np.abs(self.size[free] - self.size[cell]) < _SAME) & ~np.isin(free, found)
            fits &= distance < _NEAR * float(cells.feature("diameter")[cell]) / 2
            if not fits.any():
                return []
            found.append(int(free[np.where(fits, distance, np.inf).argmin()]))
        return found if self._fit(masks[-1], found) and not _is_one_cell(way.mask[found]) else []

    def _find_part(self, masks: list[int], side: list[int], way: _Direction, back: _Direction) -> bool:
        """Return whether one of the cells on one side of masks is seen beyond them, where the others are not."""
        cells, last = self.cells, masks[-1]
        beyond = np.flatnonzero((back.mask == last) & (self.size[last] - self.size > _GROWS))
        beyond = beyond[cells.frame[beyond] == cells.frame[last] + way.step]
        further = way.mask[beyond]
        # the pieces of a cell that divides are as large as its daughters
        pieces = len(beyond) > 1 and (further.min() < 0 or _is_one_cell(further))
        if len(masks) > _BRIEF or pieces:
            return False
        moved = way.shift[masks].sum(axis=0)
        own = np.abs(cells.frame[masks[0]] - cells.frame[side])[:, None] * way.shift[side]
        place = cells.position[beyond][:, None]
        distance = np.linalg.norm(place - (cells.position[side] + own + moved), axis=2)
        from_middle = np.linalg.norm(place - (cells.position[masks[0]] + moved), axis=2)
        near = (distance < _NEAR * cells.feature("diameter")[side] / 2) & (distance < _ASIDE * from_middle)
        return bool((near & (np.abs(self.size[beyond][:, None] - self.size[side]) < _SAME)).any())

    def _match(self, masks: list[int], before: list[int], after: list[int]) -> _Episode | None:
        """Return the cells on both sides of masks in the same order; None if they are not the same.

        If there are more on one side, some of them are others that lie in the mask as well.
        """
        if not after:
            return None
        if len(after) < len(before):
            turned = self._match(masks, after, before)
            return None if turned is None else turned._replace(before=turned.after, after=turned.before)
        place, radius = self.cells.position, float(np.mean(self.cells.feature("diameter")[before])) / 2
        best, chosen = np.inf, None
        for order in map(list, permutations(after, len(before))):
            differ = np.abs(self.size[before] - self.size[order])
            step = place[order] - place[before]
            # the motion of the mask itself is the same for all of its cells
            error = np.linalg.norm(step - step.mean(axis=0), axis=1).sum() / radius + 2 * differ.sum()
            if differ.max() < _SAME and error < best:
                best, chosen = error, order
        return None if chosen is None else _Episode(masks, before, chosen)

    def cut_mask(self, episode: _Episode, row: int) -> CutMask:
        """Return the cells of a merged mask: each pixel belongs to the cell whose moved mask is nearest."""
        cells, flat = self.cells, self._list_pixels(row)
        pixels = np.stack(np.unravel_index(flat, cells.shape), axis=1) * np.asarray(cells.spacing)
        sides = np.array([side for side in (episode.before, episode.after) if side])
        frames = np.abs(cells.frame[row] - cells.frame[sides].mean(axis=1))
        weights = 1 - frames / frames.sum() if len(sides) == 2 else np.ones(1)  # by nearness in time
        place = np.tensordot(weights, cells.position[sides], 1)
        sizes = np.exp(self.size[sides]).mean(axis=0)
        place += pixels.mean(axis=0) - np.average(place, axis=0, weights=sizes)
        distance = np.zeros((len(place), len(pixels)))
        for weight, side in zip(weights, sides, strict=True):
            for i, cell in enumerate(side.tolist()):
                distance[i] += weight * self._measure_distance(cell, place[i], pixels)
        owner = distance.argmin(axis=0)
        pieces = [flat[owner == i] for i in range(len(place))]
        return CutMask(row, sorted((each for each in pieces if len(each)), key=len, reverse=True))

    def _measure_distance(self, cell: int, place: FloatArray, pixels: FloatArray) -> FloatArray:
        """Return the distances of pixels (n, D) from a cell that is moved to a place; inside it, its centre counts."""
        from scipy.spatial import cKDTree  # slow to import, and few movies need it

        cells = self.cells
        own = np.stack(np.unravel_index(self._list_pixels(cell), cells.shape), axis=1) * np.asarray(cells.spacing)
        outside = cKDTree(own - cells.position[cell] + place).query(pixels)[0]
        radius = float(cells.feature("diameter")[cell]) / 2
        central = _CENTRAL * min(cells.spacing)
        return np.asarray(outside + central * np.linalg.norm(pixels - place, axis=1) / radius)

    def _list_pixels(self, row: int) -> IntArray:
        """Return the pixels of a cell, as flat indices in its frame."""
        part = self.runs.frame(int(self.cells.frame[row]))
        own = np.flatnonzero(self.runs.cell[part] == row) + part.start
        return expand_runs(self.runs.start[own], self.runs.length[own])


def _turn_shift(cells: Cells, shift: FloatArray) -> FloatArray:
    """Return the displacement of each cell to the frame before: that of the cell there whose expected place is nearest.

    Shapes (N, D).
    """
    back = np.zeros_like(shift)
    for frame in range(cells.n_frames - 1):
        here, there = cells.rows(frame), cells.rows(frame + 1)
        if here.stop > here.start and there.stop > there.start:
            nearest = find_nearest(cells.position[there], cells.position[here] + shift[here])[1]
            back[there] = -shift[here][nearest]
    return back


def _locate(cells: Cells, runs: Runs, shift: FloatArray, rows: IntArray, step: int) -> IntArray:
    """Return the mask, some frames later, that the expected centre of some cells lies in, -1 = none, shape (N,)."""
    found = np.full(len(cells), -1)
    place = np.rint((cells.position[rows] + shift[rows]) / np.asarray(cells.spacing)).astype(np.int64)
    frame = cells.frame[rows] + step
    inside = ((place >= 0) & (place < np.array(cells.shape))).all(axis=1) & (frame >= 0) & (frame < cells.n_frames)
    rows, place, frame = rows[inside], place[inside], frame[inside]
    if not len(runs) or not len(rows):
        return found
    volume = int(np.prod(cells.shape))
    key = frame * volume + np.ravel_multi_index(tuple(place.T), cells.shape)
    start = runs.frames() * volume + runs.start
    found[rows] = _find_runs((start, runs.length, runs.cell), key)
    return found


def _find_runs(runs: tuple[IntArray, IntArray, IntArray], key: IntArray) -> IntArray:
    """Return the cells of the runs (first pixel, ascending, length, cell) that some pixels lie in, -1 = none."""
    start, length, cell = runs
    if not len(start):
        return np.full(len(key), -1)
    at = np.maximum(np.searchsorted(start, key, side="right") - 1, 0)
    return np.where((start[at] <= key) & (key < start[at] + length[at]), cell[at], -1)


def _count_unseen(episode: _Episode) -> tuple[int, int]:
    """Return the number of sides of an episode that lack, and that of its cells."""
    return int(not episode.before) + int(not episode.after), max(len(episode.before), len(episode.after))


def _is_one_cell(mask: IntArray) -> bool:
    """Return whether all cells of a group lie in the same mask: then they are pieces of one cell."""
    return bool((mask >= 0).all() and (mask == mask[0]).all())
