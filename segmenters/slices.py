"""Cells of a stack from cells of its planes: any 2D segmenter, and the tracker's assignment along z.

A recipe of a function each: segment the planes, leave out what is too faint for this stack, link the labels
of neighbouring planes one to one, bridge planes that miss a cell, give pieces that one plane cut off back,
cut cells that lie on top of each other at their neck, cut the blur above and below a cell, and paint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from scipy import ndimage

from gnntrack.segmentation.movie import segment_frame
from gnntrack.segmentation.registry import load_segmenter
from gnntrack.solvers.assignment import best_matching
from segmenters.common.inputs import checked_image, expect_option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Heights = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.int32]
    Numbers = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["SlicesSegmenter"]

_SAME_SIGN = 0.8  # share of the labels' light from which brightness is what tells cells from background
_BRIDGE = 0.5  # a missed cell is at least this bright in the plane that misses it, beside its neighbours
_INSIDE = 0.7  # share of a piece that lies in the cell that it is given back to
_LAG = 1  # planes to both sides of a plane at which sections are compared
_PEAK = 0.25  # the lower of two peaks is at least this share of the higher: the rest is no cell of its own
_PIECE = 2  # planes: what goes through more is a cell of its own


class SlicesSegmenter:
    """Any 2D segmenter on stacks: labels of the planes are linked through z; 3D only.

    Parameters
    ----------
    segmenter : str
        Name of the segmenter of the planes. The U-Net that comes with gnntrack looks at each plane as it is;
        `threshold` is lost where cells fill a plane, for then it takes them for background.
    options : dict, optional
        Options of that segmenter.
    min_overlap : float
        Labels of neighbouring planes may be one cell if they share this part of the smaller one.
    max_gap : int
        Planes in a row that may miss a cell.
    min_planes : int
        Cells in fewer planes are left out, unless the stack itself has fewer.
    min_contrast : float
        Labels that stand out from their surroundings by less than this share of what is typical of the stack
        are left out: a segmenter that sees one plane alone finds cells in the noise of an empty one. 0 keeps
        all. Where cells are neither brighter nor darker than their surroundings nothing is left out.
    neck : float
        Cells on top of each other are cut where the light of the planes (area times contrast) falls below
        the lower of the two peaks by more than this share; lower cuts more, 1 never cuts.
    outline : float
        A cell ends above and below where its contrast falls below this share of its highest: beyond, there
        is only its blur. 0 keeps all.

    Raises
    ------
    SegmenterError
        If an option is out of range, there is no segmenter of that name, or it refuses its options.

    Notes
    -----
    Labels are assigned plane by plane as cells are from frame to frame, so that the total intersection over
    union is greatest and no label is linked twice in a direction (`gnntrack.solvers.assignment`).
    """

    name = "slices"
    dimensions: tuple[int, ...] = (3,)

    def __init__(
        self,
        *,
        segmenter: str = "unet",
        options: Mapping[str, Any] | None = None,
        min_overlap: float = 0.4,
        max_gap: int = 1,
        min_planes: int = 2,
        min_contrast: float = 0.2,
        neck: float = 0.35,
        outline: float = 0.4,
    ) -> None:
        shares = {"min_overlap": min_overlap, "min_contrast": min_contrast, "neck": neck, "outline": outline}
        for option, share in shares.items():
            expect_option(self.name, option, share, "between 0 and 1", holds=0 <= share <= 1)
        expect_option(self.name, "max_gap", max_gap, "0 or above", holds=max_gap >= 0)
        expect_option(self.name, "min_planes", min_planes, "1 or above", holds=min_planes >= 1)
        other = segmenter != self.name
        expect_option(self.name, "segmenter", segmenter, "the name of a segmenter of single planes", holds=other)
        self.segmenter, self.options = segmenter, dict(options or {})
        self.min_overlap, self.max_gap, self.min_planes = min_overlap, max_gap, min_planes
        self.min_contrast, self.neck, self.outline = min_contrast, neck, outline
        self._inner = load_segmenter(segmenter, **self.options)
        flat = 2 in getattr(self._inner, "dimensions", (2, 3))
        expect_option(self.name, "segmenter", segmenter, "one that takes single planes", holds=flat)
        self._prepared = False

    def prepare(self, images: Sequence[npt.NDArray[Any]]) -> None:
        """Show some planes of a movie to the segmenter of the planes, if it wants to see them.

        Parameters
        ----------
        images : sequence of (Z, Y, X) arrays
            Some of its frames; one that is no stack does not count.
        """
        stacks = [stack for stack in map(np.asarray, images) if stack.ndim == 3 and stack.size]
        if stacks:
            self._show(stacks)
            self._prepared = True

    def _show(self, stacks: Sequence[npt.NDArray[Any]]) -> None:
        prepare = getattr(self._inner, "prepare", None)
        if prepare is not None:
            prepare([plane for stack in stacks for plane in _telling_planes(stack)])

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of the cells of one stack.

        Parameters
        ----------
        image : (Z, Y, X) array of numbers
            Grey values.

        Returns
        -------
        labels : int32 array of the same shape
            1, 2, ... without gaps, in the order of the lowest plane and of the label in it; 0 = background. A
            stack of one grey value has no cells.

        Raises
        ------
        FrameError
            If the image is no stack, or is not a number everywhere.
        SegmenterError
            If the segmenter of the planes fails.
        """
        pixels = checked_image(image, self.dimensions, hint=f"; use '{self.segmenter}' itself for single planes")
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        if not self._prepared:
            self._show([np.asarray(image)])
        planes = [segment_frame(self._inner, plane) for plane in np.asarray(image)]
        return self._lift(planes, pixels)

    def _lift(self, planes: Sequence[npt.NDArray[Any]], pixels: Heights) -> Labels:
        """Return the cells that the labels of the planes are sections of."""
        least = min(self.min_planes, len(planes))
        parts = _without_faint(_measured(planes, pixels), self.min_contrast)
        covered = parts.labels > 0
        if self.max_gap:
            parts = parts.without(_glued(parts, self.min_overlap))
        after = _linked(parts, self.min_overlap)
        for gap in range(1, self.max_gap + 1):
            after = _bridged(parts, after, gap, self.min_overlap, pixels)
        cell = _given_back(parts, _chains(after))
        cell = _cut_necks(parts, cell, self.neck, least)
        cell = _cut_blur(parts, cell, self.outline)
        labels = cell.astype(np.int32)[parts.labels]
        for gap in range(1, self.max_gap + 1):
            labels = _filled(labels, gap, covered)
        return _numbered(labels, least)


def _telling_planes(stack: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return the three planes of a stack with the greatest contrast."""
    spread = [float(plane.std()) for plane in stack]
    return [stack[z] for z in sorted(np.argsort(spread, kind="stable")[-3:])]


# ------------------------------------------------------------------------------- labels of planes


class _Parts(NamedTuple):
    """The labels of all planes, numbered through the stack from 1; row 0 of the columns is the background."""

    labels: Labels  # (Z, Y, X)
    plane: Numbers  # (n + 1,)
    area: Numbers  # (n + 1,) pixels; 0 = left out
    level: Floats  # (n + 1,) mean grey value
    around: Floats  # (n + 1,) mean grey value of its surroundings
    sign: int  # 1 = cells are bright, -1 = dark, 0 = neither

    @property
    def contrast(self) -> Floats:
        """(n + 1,) how far each stands out; 1 where brightness tells nothing."""
        return self.sign * (self.level - self.around) if self.sign else np.ones(len(self.area))

    def without(self, labels: Mask) -> _Parts:
        """Return the table with some labels, (n + 1,) bool, left out."""
        return self._replace(labels=np.where(labels[self.labels], 0, self.labels), area=self.area * ~labels)


def _measured(planes: Sequence[npt.NDArray[Any]], pixels: Heights) -> _Parts:
    """Measure the labels of all planes, numbered through the stack."""
    labels, numbers = np.zeros(pixels.shape, np.int32), [np.zeros(1, np.int64)]
    for z, plane in enumerate(planes):
        values = np.unique(plane)
        values = values[values > 0]
        first = sum(map(len, numbers))
        labels[z] = np.where(plane > 0, first + np.searchsorted(values, plane), 0)
        numbers.append(np.full(len(values), z))
    place = np.concatenate(numbers)
    area = np.bincount(labels.ravel(), minlength=len(place))
    level = np.bincount(labels.ravel(), pixels.ravel(), len(place)) / np.maximum(area, 1)
    area[0] = 0
    around = _surroundings(labels, pixels, area)
    return _Parts(labels, place, area, level, around, _sign(area, level - around))


def _surroundings(labels: Labels, pixels: Heights, area: Numbers) -> Floats:
    """Return the mean of the unlabelled pixels within a quarter of a radius; for one without any, the stack's."""
    n, outside = len(area), pixels[labels == 0]
    radius = np.sqrt(np.median(area[1:]) / np.pi) if n > 1 else 0.0
    ring = np.ones((2 * max(2, round(radius / 4)) + 1,) * 2, np.uint8)
    count, total = np.zeros(n), np.zeros(n)
    for part, plane in zip(labels, pixels, strict=True):
        first = int(part[part > 0].min(initial=n)) - 1  # float32 tells the numbers of one plane apart, not all
        near = cv2.dilate(np.where(part > 0, part - first, 0).astype(np.float32), ring)
        here = (part == 0) & (near > 0)
        owner = near[here].astype(np.int64) + first
        count += np.bincount(owner, minlength=n)
        total += np.bincount(owner, plane[here], n)
    background = float(np.median(outside)) if outside.size else float(pixels.min())
    return np.where(count > 0, total / np.maximum(count, 1), background)


def _sign(area: Numbers, contrast: Floats) -> int:
    """Return 1 where nearly all labels are brighter than their surroundings, -1 where darker, else 0."""
    light = area * contrast
    up, down = float(light[light > 0].sum()), -float(light[light < 0].sum())
    if max(up, down) <= _SAME_SIGN * (up + down):
        return 0
    return 1 if up > down else -1


def _without_faint(parts: _Parts, share: float) -> _Parts:
    """Leave out labels of less than a share of the typical contrast: half of all light lies in fainter ones."""
    contrast = parts.contrast
    order = np.argsort(contrast, kind="stable")
    below = np.cumsum((parts.area * np.maximum(contrast, 0))[order])
    typical = contrast[order][np.searchsorted(below, below[-1] / 2)]
    keep = contrast >= share * typical
    keep[0] = True
    return parts.without(~keep)


# ------------------------------------------------------------------------------------------- links


class _Pairs(NamedTuple):
    """Labels of two planes that share pixels."""

    low: Numbers  # (P,)
    high: Numbers  # (P,)
    shared: Numbers  # (P,) pixels


def _pairs(low: Labels, high: Labels, n: int) -> _Pairs:
    """Return the pairs of labels in the same place of two arrays; background makes no pairs."""
    key = np.where((low > 0) & (high > 0), low.astype(np.int64) * n + high, 0).ravel()
    start = np.flatnonzero(np.diff(key, prepend=-1))  # runs are few: sorting them is cheap
    length = np.diff(start, append=len(key))
    pair, which = np.unique(key[start], return_inverse=True)
    shared = np.bincount(which, length).astype(np.int64)
    cells = pair > 0
    return _Pairs(pair[cells] // n, pair[cells] % n, shared[cells])


def _weights(parts: _Parts, pairs: _Pairs, least: float) -> Floats:
    """Return the intersection over union of each pair, 0 for those that share too little."""
    low, high = parts.area[pairs.low], parts.area[pairs.high]
    enough = pairs.shared >= least * np.minimum(low, high)
    return np.asarray(enough * pairs.shared / (low + high - pairs.shared), np.float64)


def _linked(parts: _Parts, least: float) -> Numbers:
    """Return the label of the next plane that each label goes on in, (n + 1,), 0 = none."""
    pairs = _pairs(parts.labels[:-1], parts.labels[1:], len(parts.area))
    return _assigned(pairs, _weights(parts, pairs, least), np.zeros(len(parts.area), np.int64))


def _assigned(pairs: _Pairs, weight: Floats, after: Numbers) -> Numbers:
    """Return the links with those of greatest total weight added."""
    chosen = best_matching(pairs.low, pairs.high, weight)
    after = after.copy()
    after[pairs.low[chosen]] = pairs.high[chosen]
    return after


def _glued(parts: _Parts, least: float) -> Mask:
    """Tell which labels are several cells: two or more of the plane below lie in them and go on in the plane above."""
    n = len(parts.area)
    glued = np.zeros(n, bool)
    if len(parts.labels) < 3:
        return glued
    near = _pairs(parts.labels[:-1], parts.labels[1:], n)
    above, below = np.zeros(n, np.int64), np.zeros(n, np.int64)
    inside = near.shared >= _INSIDE * parts.area[near.low]
    above[near.low[inside]] = near.high[inside]
    inside = near.shared >= _INSIDE * parts.area[near.high]
    below[near.high[inside]] = near.low[inside]
    far = _pairs(parts.labels[:-2], parts.labels[2:], n)
    between = above[far.low] * (above[far.low] == below[far.high])
    chosen = best_matching(far.low, far.high, _weights(parts, far, least) * (between > 0))
    glued[np.bincount(between[chosen], minlength=n) > 1] = True
    glued[0] = False
    return glued


def _bridged(parts: _Parts, after: Numbers, gap: int, least: float, pixels: Heights) -> Numbers:
    """Link labels over planes that miss a cell, where the image shows one."""
    if len(pixels) < gap + 2:
        return after
    ends, starts = after == 0, np.ones(len(after), bool)
    starts[after] = False
    low, high = parts.labels[: -gap - 1], parts.labels[gap + 1 :]
    pairs = _pairs(np.where(ends[low], low, 0), np.where(starts[high], high, 0), len(after))
    weight = _weights(parts, pairs, least) * _seen_between(parts, pairs, gap, pixels)
    return _assigned(pairs, weight, after)


def _seen_between(parts: _Parts, pairs: _Pairs, gap: int, pixels: Heights) -> Mask:
    """Tell of each pair whether the planes between are as bright as a cell where both lie."""
    seen = np.ones(len(pairs.low), bool)
    if not parts.sign:
        return seen
    for row, (low, high) in enumerate(zip(pairs.low, pairs.high, strict=True)):
        z = parts.plane[low]
        both = (parts.labels[z] == low) & (parts.labels[z + gap + 1] == high)
        height = (pixels[z + 1 : z + gap + 1, both].mean(axis=1) - parts.around[[low, high]].mean()) * parts.sign
        seen[row] = height.min() >= _BRIDGE * parts.contrast[[low, high]].mean()
    return seen


def _chains(after: Numbers) -> Numbers:
    """Return the cell of each label, (n + 1,): the lowest label of its chain."""
    cell = np.arange(len(after))
    for label in np.flatnonzero(after):  # links go upwards, so a label comes after the one below it
        cell[after[label]] = cell[label]
    return cell


# ------------------------------------------------------------------------------------------- cells


def _given_back(parts: _Parts, cell: Numbers) -> Numbers:
    """Give short chains to the cell that lies around them in the next plane, if it has a label in theirs, too."""
    n = len(cell)
    pairs = _pairs(parts.labels[:-1], parts.labels[1:], n)
    piece = np.concatenate([pairs.low, pairs.high])
    host = cell[np.concatenate([pairs.high, pairs.low])]
    shared = np.concatenate([pairs.shared, pairs.shared])
    planes = np.bincount(cell[parts.area > 0], minlength=n)
    there = cell * np.int64(len(parts.labels)) + parts.plane
    inside = (shared >= _INSIDE * parts.area[piece]) & np.isin(host * len(parts.labels) + parts.plane[piece], there)
    short = (planes[cell[piece]] <= _PIECE) & (planes[host] > planes[cell[piece]]) & (host != cell[piece])
    result = cell.copy()
    for row in np.flatnonzero(inside & short):
        result[piece[row]] = host[row]
    return result


def _profile(parts: _Parts, rows: Numbers) -> tuple[Numbers, Floats, Floats]:
    """Return the planes of a cell, and its light and its contrast in each."""
    planes, which = np.unique(parts.plane[rows], return_inverse=True)
    area = np.bincount(which, parts.area[rows].astype(float))
    light = np.bincount(which, parts.area[rows] * np.maximum(parts.contrast[rows], 0.0)).astype(float)
    return planes, light, light / area


def _rows_of_cells(parts: _Parts, cell: Numbers) -> list[Numbers]:
    """Return the labels of each cell."""
    rows = np.flatnonzero(parts.area > 0)
    rows = rows[np.argsort(cell[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(cell[rows])) + 1) if len(rows) else []


def _cut_necks(parts: _Parts, cell: Numbers, neck: float, least: int) -> Numbers:
    """Cut cells at the planes where they let through little light beside both peaks."""
    result = cell.copy()
    solid = cell.astype(np.int32)[parts.labels]
    boxes = ndimage.find_objects(solid)
    for rows in _rows_of_cells(parts, cell):
        planes, light, _ = _profile(parts, rows)
        if len(planes) < 2 * least:
            continue
        own = cell[rows[0]]
        inside = solid[(planes, *boxes[own - 1][1:])] == own
        for cut in _necks(light, _straight(inside), neck, least):
            above = rows[parts.plane[rows] >= planes[cut]]
            result[above] = above[0]
    return result


def _straight(inside: Mask) -> Floats:
    """Return for each plane which part of the smaller of the two sections beside it lies straight above the other.

    Sections of one cell lie within one another; where two cells meet they shift at once.
    """
    share = np.ones(len(inside))
    area = inside.sum((1, 2))
    for k in range(_LAG, len(inside) - _LAG):
        low, high = k - _LAG, k + _LAG
        share[k] = np.count_nonzero(inside[low] & inside[high]) / min(area[low], area[high])
    return share


def _necks(light: Floats, straight: Floats, neck: float, least: int) -> list[int]:
    """Return the first rows of the cells above the lowest one, ascending; the neck goes to the brighter side.

    >>> _necks(np.array([1.0, 4, 5, 1, 6, 4, 2]), np.ones(7), 0.5, 2)
    [3]
    """
    if len(light) < 2 * least + 1:
        return []
    before, behind = np.maximum.accumulate(light), np.maximum.accumulate(light[::-1])[::-1]
    lower = np.minimum(before, behind)
    depth = 1 - straight * light / np.maximum(lower, 1e-12)
    depth[:least] = depth[len(light) - least :] = 0
    depth[lower < _PEAK * light.max()] = 0
    at = int(np.argmax(depth))
    if depth[at] <= neck:
        return []
    cut = at if light[at - 1] < light[at + 1] else at + 1
    below = _necks(light[:cut], straight[:cut], neck, least)
    return [*below, cut, *(cut + row for row in _necks(light[cut:], straight[cut:], neck, least))]


def _cut_blur(parts: _Parts, cell: Numbers, outline: float) -> Numbers:
    """Leave out the planes above and below a cell that show its blur only; the background is cell 0."""
    result = np.where(parts.area > 0, cell, 0)
    for rows in _rows_of_cells(parts, cell):
        planes, _, contrast = _profile(parts, rows)
        clear = planes[contrast >= outline * contrast.max()]
        plane = parts.plane[rows]
        result[rows[(plane < clear[0]) | (plane > clear[-1])]] = 0
    return result


def _filled(labels: Labels, gap: int, covered: Mask) -> Labels:
    """Give cells that miss `gap` planes what both of their neighbours cover, and of what is covered what one does."""
    filled = labels.copy()
    there = _planes_of(labels)
    for z in range(len(labels) - gap - 1):
        low, high = labels[z], labels[z + gap + 1]
        missed = there[z] & there[z + gap + 1] & ~there[z + 1 : z + gap + 1].any(0)
        missed[0] = False
        either = np.where(low > 0, low, high)
        agreed = ((low == high) | (low == 0) | (high == 0)) & missed[either]
        for plane, taken in zip(filled[z + 1 : z + gap + 1], covered[z + 1 : z + gap + 1], strict=True):
            take = agreed & ((low == high) | taken)
            plane[take] = either[take]
    return filled


def _planes_of(labels: Labels) -> Mask:
    """Return for each plane and cell whether it is there, (Z, n + 1)."""
    n = int(labels.max(initial=0)) + 1
    return np.stack([np.bincount(plane.ravel(), minlength=n) > 0 for plane in labels])


def _numbered(labels: Labels, least: int) -> Labels:
    """Leave out cells in less than so many planes and number the others from 1."""
    keep = _planes_of(labels).sum(0) >= least
    keep[0] = False
    return np.asarray((np.cumsum(keep) * keep)[labels], np.int32)
