"""Over-segmented fragments, merged with the cells that they are a part of.

A cell whose mask falls into two pieces leaves one of these traces in a lineage:

* a fragment, a cell in one frame only, without any link, next to a cell that is smaller in this frame than in the
  frames before and after;
* the same for two or three frames: a track without a parent and daughters;
* a division of which one daughter lasts for this frame only;
* a broken track: the link from the frame before goes to one piece, and the link to the next frame leaves the other one.

In these cases the two pieces together have the size and the place that the frames before and after predict. The pieces
of a broken track or of some frames also touch each other, and so do a fragment and its cell if only one of these frames
is known: in the first and the last frame, beside a division, and where the cell is of another size in the other frame.
A fragment that touches its cell may be elsewhere if both frames predict its size, as the cell moves; and the sizes
before and after a broken track may differ if its pieces together are just in the middle between these frames.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.geometry import find_nearest
from gnntrack.lineage.build import number_tracks
from gnntrack.masks.runs import expand_runs
from gnntrack.types import Lineage, Runs

if TYPE_CHECKING:
    from gnntrack.lineage.constraints import Constraints
    from gnntrack.settings import RepairSettings
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["join_fragments", "merge_fragments"]

_NEAREST = 3  # cells that a fragment may be a part of
_STEADY = 0.4  # log ratio of the sizes before and after, above which the size in between cannot be predicted
_FITS = 0.3  # log ratio of the size of both pieces and the predicted size
_APART = 1.13  # radii of both pieces together between their centres: 1 in a cut disk or ball, 1.26 of two that touch
_LASTS = 3  # frames of a fragment
_CENTRED = 0.2  # error of the place, as a part of the distance of two pieces, below which the sizes around may differ
_CUT = 0.2  # width of a cut through a cell, in radii of the cell; neighbouring pixels touch in any case


def merge_fragments(
    lineage: Lineage, runs: Runs, *, settings: RepairSettings, fixed: Constraints | None = None
) -> tuple[Lineage, Runs, IntArray]:
    """Merge over-segmented fragments with their cells.

    Parameters
    ----------
    lineage : Lineage
        Tracks.
    runs : Runs
        The pixels of the lineage's cells.
    settings : RepairSettings
        ``join_pieces``: whether to merge at all.
    fixed : Constraints, optional
        Decisions about the cells: those that are named in it are no fragments of others, and no pieces of a broken
        track.

    Returns
    -------
    lineage : Lineage
        Without the fragments. The features of their cells do not change.
    runs : Runs
        The pixels of the fragments belong to their cells.
    merged : (J, 3) int64
        Frame, label of the fragment, label of its cell.
    """
    none = np.zeros(0, np.int64)
    fragment, owner = _find_fragments(lineage, runs, fixed) if settings.join_pieces else (none, none)
    if not len(fragment):
        return lineage, runs, np.zeros((0, 3), np.int64)
    cells = lineage.cells
    merged = np.column_stack([cells.frame[fragment], cells.label[fragment], cells.label[owner]])
    smaller, row = join_fragments(lineage, fragment, owner)
    return smaller, replace(runs, cell=row[runs.cell]), merged


def join_fragments(lineage: Lineage, fragment: IntArray, owner: IntArray) -> tuple[Lineage, IntArray]:
    """Return a lineage without some fragments, and the new row of each cell, (N,); that of a fragment is its cell's.

    `fragment` and `owner`, (J,) int64, are rows of the fragments and of the cells that they are a part of.
    """
    cells = lineage.cells
    keep = np.ones(len(cells), bool)
    keep[fragment] = False
    row = np.cumsum(keep) - 1
    row[fragment] = row[owner]
    links = np.column_stack([row[lineage.source], row[lineage.target]])
    only = np.sort(np.unique(links, axis=0, return_index=True)[1])  # a lasting fragment has the links of its cell
    kept, (source, target), confidence = cells.select(keep), links[only].T, lineage.confidence[only]
    track, tracks = number_tracks(kept.frame, source, target)
    changes = {"cells": kept, "track": track, "tracks": tracks, "source": source, "target": target}
    return lineage.change_cells(row, **changes, confidence=confidence), row


class _Links(NamedTuple):
    """The links of each cell: rows of the cells before and after it, and the number of links out of it; -1 = none."""

    before: IntArray
    after: IntArray
    children: IntArray

    @classmethod
    def list_links(cls, lineage: Lineage) -> _Links:
        n = len(lineage.cells)
        before, after = np.full((2, n), -1)
        before[lineage.target] = lineage.source
        after[lineage.source] = lineage.target
        return cls(before, after, np.bincount(lineage.source, minlength=n))

    def follow(self, cell: int) -> list[int]:
        """Return a cell and those after it, up to a division and for one frame more than a fragment may last."""
        cells = [cell]
        while len(cells) <= _LASTS and self.children[cells[-1]] == 1:
            cells.append(int(self.after[cells[-1]]))
        return cells


def _find_fragments(lineage: Lineage, runs: Runs, fixed: Constraints | None) -> tuple[IntArray, IntArray]:
    """Return the fragments and their cells, as rows, shapes (J,); of several possible cells the nearest."""
    links = _Links.list_links(lineage)
    starts, ends = links.before < 0, links.after < 0
    free = np.ones(len(starts), bool) if fixed is None else ~fixed.find_named(len(starts))
    cell, fragment = _pair_nearest(lineage, ~starts | ~ends, starts & ends & free)
    before, after = _find_sides(lineage, links, cell, fragment)
    completed, in_place = _is_completed_by(lineage, (cell, fragment), before, after)
    fits = np.flatnonzero(completed)
    unsure = fits[(before[fits] == after[fits]) | ~in_place[fits]]
    apart = unsure[~_are_touching(lineage, runs, cell[unsure], fragment[unsure])]
    fits = np.setdiff1d(fits, apart)
    lasting = _find_lasting(lineage, runs, links, free)
    first, second = _pair_nearest(lineage, ends & ~starts & free, starts & ~ends & free)
    broken = np.flatnonzero(_are_pieces(lineage, links, first, second))
    broken = broken[_are_touching(lineage, runs, first[broken], second[broken])]
    first, second = first[broken], second[broken]
    size = lineage.cells.feature("size")
    swap = size[second] > size[first]  # the larger piece keeps its label
    brief = _find_brief_daughters(lineage, runs, links, free)
    cell = np.concatenate([lasting[1], brief[1], cell[fits], np.where(swap, second, first)])
    fragment = np.concatenate([lasting[0], brief[0], fragment[fits], np.where(swap, first, second)])
    return _choose_once(fragment, cell)


def _find_lasting(lineage: Lineage, runs: Runs, links: _Links, free: BoolArray) -> tuple[IntArray, IntArray]:
    """Return the fragments that last for some frames, and their cells, as rows.

    They are tracks without a parent and daughters, that touch the same cell in all of their frames. This cell is as
    large before and after as both together.
    """
    starts = (links.before < 0) & (links.after >= 0) & free
    size = np.log(np.maximum(lineage.cells.feature("size").astype(np.float64), 1e-12))
    frame = lineage.cells.frame
    pieces: list[tuple[int, int]] = []
    used: set[int] = set()
    for cell, fragment in np.column_stack(_pair_nearest(lineage, (links.before >= 0) & free, starts)).tolist():
        parts, wholes = links.follow(fragment), links.follow(cell)
        n = len(parts)
        unused = used.isdisjoint(parts) and used.isdisjoint(wholes[:n])
        if n > _LASTS or len(wholes) <= n or not unused or (frame[parts] != frame[wholes[:n]]).any():
            continue
        before, after = size[links.before[cell]], size[wholes[n]]
        together = np.abs(np.logaddexp(size[parts], size[wholes[:n]]) - (before + after) / 2)
        alone = np.abs(size[wholes[:n]] - (before + after) / 2)
        fits = abs(before - after) < _STEADY and bool(((together < _FITS) & (together < 0.5 * alone)).all())
        divides = links.children[links.before[cell]] > 1 or links.children[parts[-1]] > 0
        if fits and not divides and _are_touching(lineage, runs, np.array(wholes[:n]), np.array(parts)).all():
            used.update(parts, wholes[:n])
            pieces += zip(parts, wholes, strict=False)
    fragments, cells = np.array(pieces, np.int64).reshape(-1, 2).T
    return fragments, cells


def _find_brief_daughters(lineage: Lineage, runs: Runs, links: _Links, free: BoolArray) -> tuple[IntArray, IntArray]:
    """Return daughters of one frame, and their sisters, which are as large as the parent thereafter."""
    born = np.flatnonzero((links.before >= 0) & (links.children[links.before] == 2))
    pairs = born[np.argsort(links.before[born], kind="stable")].reshape(-1, 2)
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    fragment, cell = pairs[(links.children[pairs[:, 0]] == 0) & (links.children[pairs[:, 1]] == 1)].T
    before, after = links.before[cell], links.after[cell]
    size = lineage.cells.feature("size").astype(np.float64)
    together, steady, _ = _predict(lineage, cell, fragment, before, after)
    alone = np.abs(np.log(2 * size[cell] / (size[before] + size[after])))
    fits = np.flatnonzero(free[fragment] & free[cell] & steady & (together < _FITS) & (together < 0.5 * alone))
    fits = fits[_are_touching(lineage, runs, cell[fits], fragment[fits])]
    return fragment[fits], cell[fits]


def _choose_once(fragment: IntArray, cell: IntArray) -> tuple[IntArray, IntArray]:
    """Return the first pair of each fragment, without the fragments of another fragment."""
    keep = np.zeros(len(fragment), bool)
    used: set[int] = set()
    for i, pair in enumerate(zip(fragment.tolist(), cell.tolist(), strict=True)):
        if used.isdisjoint(pair):
            used.update(pair)
            keep[i] = True
    order = np.argsort(fragment[keep], kind="stable")
    return fragment[keep][order], cell[keep][order]


def _pair_nearest(lineage: Lineage, one: BoolArray, other: BoolArray) -> tuple[IntArray, IntArray]:
    """Return each cell of `other` with the nearest cells of `one` in its frame, as rows; the nearest come first."""
    cells = lineage.cells
    found: list[tuple[IntArray, IntArray]] = [(np.zeros(0, np.int64),) * 2]
    for frame in np.unique(cells.frame[other]).tolist():
        here = cells.rows(frame)
        rows = np.arange(here.start, here.stop)
        left, right = rows[one[rows]], rows[other[rows]]
        if len(left):
            k = min(_NEAREST, len(left))
            near = find_nearest(cells.position[right], cells.position[left], k)[1].reshape(len(right), k)
            found.extend((left[near[:, column]], right) for column in range(k))
    left, right = (np.concatenate(side) for side in zip(*found, strict=True))
    distance = np.linalg.norm(cells.position[left] - cells.position[right], axis=1)
    order = np.argsort(distance, kind="stable")
    return left[order], right[order]


def _find_sides(lineage: Lineage, links: _Links, cell: IntArray, fragment: IntArray) -> tuple[IntArray, IntArray]:
    """Return the cells before and after n cells that are not alone, or twice the one that tells how large a cell is.

    Beside a division, the size of the dividing cell predicts nothing. If the sizes before and after differ, the mask is
    whole on the side where it is as large as both pieces.
    """
    size = np.log(np.maximum(lineage.cells.feature("size").astype(np.float64), 1e-12))
    before = np.where(links.children[links.before[cell]] == 1, links.before[cell], -1)
    after = np.where(links.children[cell] == 1, links.after[cell], -1)
    both = np.logaddexp(size[cell], size[fragment])
    differ = (before >= 0) & (after >= 0) & (np.abs(size[before] - size[after]) >= _STEADY)
    nearer = np.abs(size[before] - both) < np.abs(size[after] - both)
    before, after = np.where(differ & ~nearer, -1, before), np.where(differ & nearer, -1, after)
    return np.where(before < 0, after, before), np.where(after < 0, before, after)


def _is_completed_by(
    lineage: Lineage, pieces: tuple[IntArray, IntArray], before: IntArray, after: IntArray
) -> tuple[BoolArray, BoolArray]:
    """Return, for n cells and fragments, whether the size is as expected with the fragment only, and so the place.

    If one other frame is known, `before` is `after`. It tells less about the size and the place, so that both have to
    be as expected, and the pieces as near to each other as those of a cut disk or ball are.
    """
    cell, fragment = pieces
    size, diameter = (lineage.cells.feature(name).astype(np.float64) for name in ("size", "diameter"))
    together, steady, middle_error = _predict(lineage, cell, fragment, before, after)
    own_error = _compute_distance(lineage, lineage.cells.position[cell], before, after)
    apart = np.linalg.norm(lineage.cells.position[cell] - lineage.cells.position[fragment], axis=1)
    ndim = lineage.cells.ndim
    radius = (diameter[cell] ** ndim + diameter[fragment] ** ndim) ** (1 / ndim) / 2
    one_side = before == after
    in_place = np.where(one_side, (apart < _APART * radius) & (middle_error < apart), middle_error < own_error)
    alone = np.abs(np.log(2 * size[cell] / (size[before] + size[after])))
    fits = (before >= 0) & (in_place | ~one_side) & steady & (together < 0.5 * alone) & (together < _FITS)
    return np.asarray(fits), np.asarray(in_place)


def _are_pieces(lineage: Lineage, links: _Links, first: IntArray, second: IntArray) -> BoolArray:
    """Return, for n pairs, whether a track that ends and one that starts are the pieces of one cell in this frame."""
    before, after = links.before[first], links.after[second]
    # beside a division, the size of the dividing cell predicts nothing
    born, divides = links.children[before] > 1, links.children[second] > 1
    together, steady, error = _predict(
        lineage, first, second, np.where(born & ~divides, after, before), np.where(divides & ~born, before, after)
    )
    cells = lineage.cells
    apart = np.linalg.norm(cells.position[first] - cells.position[second], axis=1)
    near = apart < 2 * np.maximum(cells.feature("diameter")[before], cells.feature("diameter")[after])
    steady |= error < _CENTRED * apart
    return np.asarray(~(born & divides) & steady & (together < _FITS) & (error < apart) & near)


def _are_touching(lineage: Lineage, runs: Runs, first: IntArray, second: IntArray) -> BoolArray:
    """Return, for n pairs of cells of a frame, whether a thin cut at most separates them."""
    if not len(first):
        return np.zeros(0, bool)
    from scipy.spatial import cKDTree  # slow to import, and few movies need it

    wanted = np.zeros(len(lineage.cells), bool)
    wanted[first] = wanted[second] = True
    use = np.flatnonzero(wanted[runs.cell])
    use = use[np.argsort(runs.cell[use], kind="stable")]
    cell, spacing = runs.cell[use], np.asarray(lineage.cells.spacing)

    def list_pixels(row: int) -> IntArray:
        own = use[slice(*np.searchsorted(cell, [row, row + 1]))]
        return np.stack(np.unravel_index(expand_runs(runs.start[own], runs.length[own]), runs.shape), axis=1)

    touching = np.zeros(len(first), bool)
    for i, (one, other) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        a, b = list_pixels(one), list_pixels(other)
        radius = ((len(a) + len(b)) * np.prod(spacing)) ** (1 / len(spacing)) / 2
        widths = (cKDTree(a).query(b, p=np.inf)[0].min() - 1, cKDTree(a * spacing).query(b * spacing)[0].min() / radius)
        touching[i] = widths[0] <= 0 or widths[1] <= _CUT
    return touching


def _predict(
    lineage: Lineage, cell: IntArray, fragment: IntArray, before: IntArray, after: IntArray
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Compare two pieces together with the cells before and after.

    Returns
    -------
    together : (n,) float64
        Absolute log ratio of their size and the predicted one.
    steady : (n,) bool
        Whether the sizes before and after agree.
    error : (n,) float64
        Distance of their common centroid from the predicted place.
    """
    cells = lineage.cells
    own, part, previous, following = (
        cells.feature("size")[rows].astype(np.float64) for rows in (cell, fragment, before, after)
    )
    both = own + part
    middle = (cells.position[cell] * own[:, None] + cells.position[fragment] * part[:, None]) / both[:, None]
    together = np.abs(np.log(2 * both / (previous + following)))
    steady = np.abs(np.log(previous / following)) < _STEADY
    return together, steady, _compute_distance(lineage, middle, before, after)


def _compute_distance(lineage: Lineage, position: FloatArray, before: IntArray, after: IntArray) -> FloatArray:
    """Return the distance of positions from the middle between the cells before and after, shape (n,)."""
    place = lineage.cells.position
    return np.asarray(np.linalg.norm(position - (place[before] + place[after]) / 2, axis=1))
