"""Faults of a segmenter, applied to one mask: cells dropped, merged, split, eroded, dilated, displaced, inserted.

The fault of a cell is a pure function of (seed, key of the cell, frame), so frames can be corrupted in any order. A
cell with the same key (the label in the ground truth) in the next frames may keep its fault there, as segmenters often
fail on the same cell in several frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import ndimage

from gnntrack.errors import FrameError
from gnntrack.masks.overlaps import is_covered
from gnntrack.masks.runs import decode_frame, encode_frame
from gnntrack.randomness import draw_uniform
from gnntrack.training.corruption.settings import FAULTS

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.training.corruption.settings import Corruption
    from gnntrack.types import BoolArray, FloatArray, Image, IntArray

    Labels = npt.NDArray[np.int32]
    Box = tuple[slice, ...]
    Place = tuple[IntArray, ...]
    Copy = tuple[Place, Place]

__all__ = ["DURATIONS", "CellKeys", "CellScale", "apply_faults", "draw_faults", "match_markers", "renumber_labels"]

DURATIONS = (0.7, 0.2, 0.1)  # fraction of the faults that last 1, 2 and 3 frames
_MEAN_DURATION = sum(frames * fraction for frames, fraction in enumerate(DURATIONS, start=1))

_REACH = 0.4  # largest distance, in cell radii, between cells that can be merged
_NEAR = 3  # pixels; cells this close can always be merged
_SMALLEST = 10  # pixels; smaller cells are neither split nor eroded
_TRIES = 8  # places tried for a spurious cell
# purposes of random numbers; numbers for different purposes are independent
_START, _LAST, _CUT, _PARTNER, _JITTER, _INSERT, _SHOWN = range(7)


class CellKeys(NamedTuple):
    """Numbers that identify the cells 1..n of a frame in the other frames."""

    keys: IntArray
    """(n,) int64: the label of the cell's marker, or a number that occurs in this frame only."""
    known: BoolArray
    """(n,) bool: whether the key is the label of a marker."""


class CellScale(NamedTuple):
    """Sizes of a movie, in one unit."""

    spacing: tuple[float, ...]
    """Size of a pixel along each axis."""
    radius: float
    """Typical radius of a cell."""


def renumber_labels(frame: Image, *, name: str = "mask") -> tuple[Labels, IntArray]:
    """Return a label image with its labels replaced by 1..n, and the labels it had.

    Parameters
    ----------
    frame : (Y, X) or (Z, Y, X) integer array
        0 is background.

    Returns
    -------
    labels : array of the same shape, int32
    before : (n,) int64
        Label that 1..n had before, ascending.

    Raises
    ------
    FrameError
        If the values are not labels.

    Examples
    --------
    >>> labels, before = renumber_labels(np.array([[0, 70000, 5]]))
    >>> labels.tolist(), before.tolist()
    ([[0, 2, 1]], [5, 70000])
    """
    if frame.dtype.kind not in "iub" or (frame.dtype.kind == "i" and frame.min(initial=0) < 0):
        msg = f"its values are {frame.dtype} from {frame.min(initial=0)}; expected whole labels >= 0: use open_masks"
        raise FrameError(msg, file=name)
    start, length, label = encode_frame(frame.view(np.uint8) if frame.dtype.kind == "b" else frame)
    before, place = np.unique(label, return_inverse=True)
    return decode_frame(frame.shape, start, length, place + 1, np.int32), before


def match_markers(labels: Labels, n: int, markers: Image | None, *, frame: int) -> CellKeys:
    """Return a key per cell that identifies it over time, if it has a marker.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) int32
        Cells 1..n.
    markers : array of the same shape, or None
        Labels of the ground truth; a cell has the marker of which it covers more than half.
    """
    keys = ((frame + 1) << 32) + np.arange(1, n + 1, dtype=np.int64)
    known = np.zeros(n, bool)
    if markers is None or not n:
        return CellKeys(keys, known)
    marked, ids = renumber_labels(markers, name="markers")
    inside = marked > 0
    marked = marked[inside].astype(np.int64)
    code = labels[inside] * np.int64(len(ids) + 1) + marked
    overlap = np.bincount(code, minlength=(n + 1) * (len(ids) + 1)).reshape(n + 1, -1)
    cell, marker = np.nonzero(is_covered(overlap, np.bincount(marked, minlength=len(ids) + 1)))
    cell, marker = cell[cell > 0], marker[cell > 0]
    keys[cell - 1], known[cell - 1] = ids[marker - 1], True
    return CellKeys(keys, known)


def draw_faults(keys: IntArray, known: BoolArray, rates: npt.ArrayLike, *, frame: int, seed: int) -> IntArray:
    """Draw the fault of each cell.

    Parameters
    ----------
    keys, known : (n,)
        As returned by `match_markers`. A fault of a cell without a known key lasts one frame.
    rates : (len(FAULTS),)
        Probability of each fault per cell and frame; their sum is at most 1.

    Returns
    -------
    (n,) int64
        0 for a cell without a fault, else 1 + the place of the fault in `FAULTS`.
    """
    edges = np.cumsum(np.asarray(rates, float))
    faults = np.zeros(len(keys), np.int64)
    if not len(keys) or edges[-1] <= 0:
        return faults
    shorter = np.append(0.0, np.cumsum(DURATIONS))  # fraction of the faults that have ended at each age
    for age in reversed(range(len(DURATIONS))):  # of two faults the later one counts
        kind = np.searchsorted(edges / _MEAN_DURATION, draw_uniform(seed, _START, frame - age, keys), side="right")
        on = (kind < len(FAULTS)) & (draw_uniform(seed, _LAST, frame - age, keys) >= shorter[age])
        faults[on] = kind[on] + 1
    single = np.searchsorted(edges, draw_uniform(seed, _START, frame, keys), side="right")
    single = np.where(single < len(FAULTS), single + 1, 0)
    return np.where(known, faults, single).astype(np.int64)


@dataclass
class _Frame:
    """A mask while faults are applied to it."""

    labels: Labels
    boxes: list[Box | None]
    """Box around cell i + 1, possibly larger than the cell; None once the cell is removed."""
    keys: IntArray
    spacing: FloatArray
    radius: float
    """Radius of a cell, in the unit of the spacing."""
    seed: int
    frame: int
    shown: list[Copy]
    """Pixels of spurious cells that are visible in the image, and the pixels that their grey values are copied from."""

    def find_cell(self, label: int) -> tuple[Box, BoolArray] | None:
        """Return the cell's box and its pixels in it, or None if the cell was removed."""
        box = self.boxes[label - 1]
        inside = None if box is None else self.labels[box] == label
        return None if box is None or inside is None or not inside.any() else (box, inside)

    def grow_box(self, box: Box, reach: float) -> Box:
        """Return the box with `reach` more on each side, within the field."""
        more = [math.ceil(reach / step) + 1 for step in self.spacing]
        return tuple(slice(max(side.start - m, 0), side.stop + m) for side, m in zip(box, more, strict=True))

    def draw(self, purpose: int, *keys: npt.ArrayLike) -> FloatArray:
        return draw_uniform(self.seed, purpose, *keys)


def apply_faults(
    labels: Labels,
    cells: CellKeys,
    corruption: Corruption,
    *,
    scale: CellScale,
    frame: int,
    seed: int,
) -> tuple[Labels, list[Copy]]:
    """Return the mask with faults, and the spurious cells that an image of it has to show.

    Parameters
    ----------
    labels : (Y, X) or (Z, Y, X) int32
        Cells 1..n.
    cells : CellKeys
        As returned by `match_markers`.
    corruption : Corruption
        Rates of the faults.
    scale : CellScale
        Size of a pixel, and radius of a cell.
    frame, seed : int
        The faults of a frame are the same for the same seed.

    Returns
    -------
    labels : array of the same shape, int32
        Labels of new cells are above n.
    shown : list of (place, source)
        Spurious cells that are visible: indices of their pixels, and of the pixels to copy grey values from.
    """
    boxes: list[Box | None] = list(ndimage.find_objects(labels))
    spacing = np.asarray(scale.spacing, float)
    work = _Frame(labels.copy(), boxes, cells.keys, spacing, scale.radius, seed, frame, [])
    faults = draw_faults(*cells, [getattr(corruption, name) for name in FAULTS], frame=frame, seed=seed)
    for number, apply in enumerate((_drop, _merge, _split, _erode, _dilate), start=1):
        for label in (np.flatnonzero(faults == number) + 1).tolist():
            apply(work, label)
    if corruption.jitter > 0:
        _jitter(work, corruption.jitter)
    if corruption.insert > 0:
        _insert(work, corruption.insert, corruption.shown)
    return work.labels, work.shown


def _drop(work: _Frame, label: int) -> None:
    found = work.find_cell(label)
    if found is not None:
        work.labels[found[0]][found[1]] = 0
        work.boxes[label - 1] = None


def _merge(work: _Frame, label: int) -> None:
    """Give the cell, a near neighbour and the pixels between them one label."""
    found = work.find_cell(label)
    if found is None:
        return
    reach = max(_REACH * work.radius, _NEAR * work.spacing[-1])
    box = work.grow_box(found[0], reach)
    part = work.labels[box]
    away = ndimage.distance_transform_edt(part != label, sampling=work.spacing)
    near = np.unique(part[(away <= reach) & (part > 0) & (part != label)])
    near = near[near <= len(work.keys)]
    if not len(near):
        return
    other = int(near[np.argmax(work.draw(_PARTNER, work.keys[label - 1], work.keys[near - 1]))])
    # pixels on about the shortest paths from one cell to the other
    way = away + ndimage.distance_transform_edt(part != other, sampling=work.spacing)
    free = part == 0
    bridge = free & (way <= way[free].min(initial=np.inf) + 0.5 * reach) & (way <= 3 * reach)
    part[bridge] = label
    second = work.find_cell(other)
    if second is not None:
        work.labels[second[0]][second[1]] = label
        work.boxes[label - 1] = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(box, second[0], strict=True)
        )
        work.boxes[other - 1] = None


def _split(work: _Frame, label: int) -> None:
    """Cut the cell across its longest axis: half of the cuts are in the middle, half to one side."""
    found = work.find_cell(label)
    if found is None:
        return
    box, inside = found
    pixels = np.argwhere(inside)
    if len(pixels) < _SMALLEST:
        return
    offset = (pixels - pixels.mean(axis=0)) * work.spacing
    along = offset @ np.linalg.eigh(offset.T @ offset)[1][:, -1]
    draw = float(work.draw(_CUT, work.keys[label - 1])[0])
    cut = np.quantile(along, 0.2 + 0.6 * (2 * draw - 1)) if draw >= 0.5 else 0.0
    if not 0 < np.count_nonzero(along > cut) < len(along):
        return
    work.boxes.append(box)
    work.labels[box][tuple(pixels[along > cut].T)] = len(work.boxes)


def _draw_depth(work: _Frame, label: int) -> float:
    """Draw the distance by which a cell's border is moved, at least one pixel."""
    draw = float(work.draw(_CUT, work.keys[label - 1])[0])
    return max((0.1 + 0.3 * draw) * work.radius, float(work.spacing[-1]))


def _erode(work: _Frame, label: int) -> None:
    found = work.find_cell(label)
    if found is None or found[1].sum() < _SMALLEST:
        return
    box, inside = found
    # the box is tight, so its border is the cell's
    depth = ndimage.distance_transform_edt(np.pad(inside, 1), sampling=work.spacing)[(slice(1, -1),) * inside.ndim]
    limit = min(_draw_depth(work, label), float(np.quantile(depth[inside], 0.6)))
    lost = inside & (depth <= limit)
    if lost.sum() < inside.sum():
        work.labels[box][lost] = 0


def _dilate(work: _Frame, label: int) -> None:
    found = work.find_cell(label)
    if found is None:
        return
    depth = _draw_depth(work, label)
    box = work.grow_box(found[0], depth)
    part = work.labels[box]
    part[(part == 0) & (ndimage.distance_transform_edt(part != label, sampling=work.spacing) <= depth)] = label
    work.boxes[label - 1] = box


def _jitter(work: _Frame, std: float) -> None:
    """Displace cells if there is room."""
    random = np.random.default_rng([work.seed & (2**63 - 1), work.frame, _JITTER])
    shifts = random.normal(0, std * work.radius, (len(work.boxes), work.labels.ndim)) / work.spacing
    shifts = np.rint(shifts).astype(np.int64)
    for label in (np.flatnonzero(shifts.any(axis=1)) + 1).tolist():
        found = work.find_cell(label)
        if found is None:
            continue
        box, inside = found
        pixels = np.argwhere(inside) + [side.start for side in box] + shifts[label - 1]
        free = _find_free(work, pixels, label)
        if free is not None:
            work.labels[box][inside] = 0
            _set_label(work, pixels[free], label)


def _insert(work: _Frame, rate: float, shown: float) -> None:
    """Insert spurious cells beside others: copies of a cell, or discs (debris); they stay beside the same cell."""
    n = len(work.keys)
    shorter = np.append(0.0, np.cumsum(DURATIONS))
    for age in range(len(DURATIONS)) if n else ():
        start = work.frame - age
        random = np.random.default_rng([work.seed & (2**63 - 1), start & (2**63 - 1), _INSERT])
        number = np.arange(random.poisson(rate * n / _MEAN_DURATION))
        for one in number[work.draw(_INSERT, start, number) >= shorter[age]].tolist():
            _insert_cell(work, start, one, shown=bool(work.draw(_SHOWN, start, one)[0] < shown))


def _insert_cell(work: _Frame, start: int, number: int, *, shown: bool) -> None:
    anchor, model = (int(np.argmax(work.draw(_INSERT, start, number, i, work.keys))) + 1 for i in range(2))
    beside, copied = work.find_cell(anchor), work.find_cell(model)
    if beside is None or copied is None:
        return
    random = np.random.default_rng([work.seed & (2**63 - 1), start & (2**63 - 1), number, _INSERT])
    pixels = np.argwhere(copied[1]) + [side.start for side in copied[0]]
    middle = np.rint(pixels.mean(axis=0)).astype(np.int64)
    shape = pixels - middle if random.random() < 0.5 else _make_disc(work, random.uniform(0.2, 0.7))
    centre = np.array([(side.start + side.stop) / 2 for side in beside[0]])
    for _ in range(_TRIES):
        way = random.normal(size=len(centre))
        way *= random.uniform(1.5, 5) * work.radius / np.linalg.norm(way) / work.spacing
        place = shape + np.rint(centre + way).astype(np.int64)
        free = _find_free(work, place, 0)
        if free is not None:
            work.boxes.append(None)
            _set_label(work, place[free], len(work.boxes))
            source = np.clip(shape[free] + middle, 0, np.array(work.labels.shape) - 1)
            work.shown.extend([(tuple(place[free].T), tuple(source.T))] if shown else [])
            return


def _make_disc(work: _Frame, size: float) -> IntArray:
    reach = np.ceil(size * work.radius / work.spacing).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1).reshape(-1, len(reach))
    disc: IntArray = grid[((grid * work.spacing) ** 2).sum(axis=1) <= (size * work.radius) ** 2]
    return disc


def _find_free(work: _Frame, pixels: IntArray, label: int) -> BoolArray | None:
    """Return which pixels are in the field and are background or the cell's own; None if more than a third are not."""
    kept: BoolArray = np.all((pixels >= 0) & (pixels < work.labels.shape), axis=1)
    there = work.labels[tuple(pixels[kept].T)]
    kept[kept] = (there == 0) | (there == label)
    return None if 3 * np.count_nonzero(kept) < 2 * len(pixels) or not kept.any() else kept


def _set_label(work: _Frame, pixels: IntArray, label: int) -> None:
    work.labels[tuple(pixels.T)] = label
    low, high = pixels.min(axis=0), pixels.max(axis=0) + 1
    work.boxes[label - 1] = tuple(slice(*ends) for ends in zip(low.tolist(), high.tolist(), strict=True))
