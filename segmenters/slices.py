"""Cells of a stack from the cells of its planes: any 2D segmenter, and the assignment of the tracker along z.

The steps, one function each: segment the planes, remove labels that are too faint for this stack, link the labels of
neighbouring planes one to one, bridge planes where a cell is missing, return fragments split off in one plane, cut
cells that lie on top of each other at their neck, cut the blur above and below a cell, and draw the labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

from gnntrack.segmentation.movie import segment_frame
from gnntrack.segmentation.registry import load_segmenter
from gnntrack.solvers.assignment import find_matching
from segmenters.common.contrast import average_labels, find_sign, measure_surroundings
from segmenters.common.inputs import check_image, expect_fractions, expect_least, expect_option
from segmenters.common.labels import keep_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from segmenters.common.arrays import Floats, Heights, Integers, Labels, Mask


__all__ = ["SlicesSegmenter"]

_BRIDGE = 0.5  # lowest brightness in the bridged plane, as a fraction of the brightness in the planes beside it
_INSIDE = 0.7  # fraction of a fragment that lies inside the cell that it is returned to
_LAG = 1  # distance in planes, up and down, at which sections are compared
_PEAK = 0.25  # the lower of two peaks is at least this fraction of the higher one, or it is not a separate cell
_PIECE = 2  # planes of a fragment at most


class SlicesSegmenter:
    """Applies any 2D segmenter to stacks: the labels of the planes are linked through z; 3D only.

    Parameters
    ----------
    segmenter : str
        Name of the segmenter for the planes. `threshold` does not work for planes that are filled by cells, because
        it then treats them as background.
    options : dict, optional
        Options of that segmenter.
    diameter : float, optional
        Its option ``diameter``: typical diameter of a cell in pixels along x.
    min_overlap : float
        Labels of neighbouring planes can be one cell if they share this fraction of the smaller one.
    max_gap : int
        Largest number of consecutive planes in which a cell may be missing.
    min_planes : int
        Cells in fewer planes are removed, unless the stack itself has fewer.
    min_contrast : float
        Labels whose contrast with their surroundings is less than this fraction of the typical contrast of the stack
        are removed, because a 2D segmenter finds cells in the noise of an empty plane. 0 keeps all labels. If cells are
        neither brighter nor darker than their surroundings, all labels are kept.
    neck : float
        Cells on top of each other are cut where the light of the planes (area times contrast) falls below the lower
        of two peaks by more than this fraction; a lower value cuts more, 1 never cuts.
    outline : float
        A cell ends above and below where its contrast falls below this fraction of its highest contrast; further
        planes contain only its blur. 0 keeps all planes.

    Raises
    ------
    SegmenterError
        If an option is out of range, or the segmenter of the planes is unknown or refuses its options.

    Notes
    -----
    Labels of neighbouring planes are assigned like cells of neighbouring frames: the total intersection over union is
    maximal, and each label has at most one link in each direction (`gnntrack.solvers.assignment`).
    """

    name = "slices"
    dimensions: tuple[int, ...] = (3,)

    def __init__(
        self,
        *,
        segmenter: str = "unet",
        options: Mapping[str, Any] | None = None,
        diameter: float | None = None,
        min_overlap: float = 0.4,
        max_gap: int = 1,
        min_planes: int = 2,
        min_contrast: float = 0.2,
        neck: float = 0.35,
        outline: float = 0.4,
    ) -> None:
        expect_fractions(self.name, min_overlap=min_overlap, min_contrast=min_contrast, neck=neck, outline=outline)
        expect_least(self.name, 0, max_gap=max_gap)
        expect_least(self.name, 1, min_planes=min_planes)
        other = segmenter != self.name
        expect_option(self.name, "segmenter", segmenter, "the name of a segmenter of single planes", holds=other)
        given = {} if diameter is None else {"diameter": diameter}
        self.segmenter, self.options = segmenter, dict(options or {}) | given
        self.min_overlap, self.max_gap, self.min_planes = min_overlap, max_gap, min_planes
        self.min_contrast, self.neck, self.outline = min_contrast, neck, outline
        self._inner = load_segmenter(segmenter, **self.options)
        flat = 2 in getattr(self._inner, "dimensions", (2, 3))
        expect_option(self.name, "segmenter", segmenter, "one that takes single planes", holds=flat)
        self._prepared = False

    @property
    def estimated_diameter(self) -> float | None:
        """Typical diameter of a cell in pixels along x, as the segmenter of the planes estimated it."""
        return getattr(self._inner, "estimated_diameter", None)

    @property
    def guessed_model(self) -> str | None:
        """Name of the model that the segmenter of the planes chose by a guess of the kind of microscopy."""
        return getattr(self._inner, "guessed_model", None)

    def prepare(self, images: Sequence[npt.NDArray[Any]]) -> None:
        """Pass some planes of a movie to the `prepare` method of the segmenter of the planes, if it has one.

        Parameters
        ----------
        images : sequence of (Z, Y, X) arrays
            Some of its frames; those that are not stacks are ignored.
        """
        stacks = [stack for stack in map(np.asarray, images) if stack.ndim == 3 and stack.size]
        if stacks:
            self._prepare_planes(stacks)
            self._prepared = True

    def _prepare_planes(self, stacks: Sequence[npt.NDArray[Any]]) -> None:
        prepare = getattr(self._inner, "prepare", None)
        if prepare is not None:
            prepare([plane for stack in stacks for plane in _choose_planes(stack)])

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of a stack; see `gnntrack.segmentation.protocol.Segmenter.segment`.

        Labels are sorted by the lowest plane of the cell, then by the label in that plane.

        Raises
        ------
        FrameError
            If the image is not a stack, or has NaN or infinite pixels.
        SegmenterError
            If the segmenter of the planes fails.
        """
        pixels = check_image(image, self.dimensions, hint=f"; use '{self.segmenter}' itself for single planes")
        if not pixels.size or pixels.min() == pixels.max():
            return np.zeros(pixels.shape, np.int32)
        if not self._prepared:
            self._prepare_planes([np.asarray(image)])
        planes = [segment_frame(self._inner, plane) for plane in np.asarray(image)]
        return self._lift(planes, pixels)

    def _lift(self, planes: Sequence[npt.NDArray[Any]], pixels: Heights) -> Labels:
        """Return the cells whose sections are the labels of the planes."""
        least = min(self.min_planes, len(planes))
        parts = _remove_faint(_measure_parts(planes, pixels), self.min_contrast)
        covered = parts.labels > 0
        if self.max_gap:
            parts = parts.remove(_find_merged(parts, self.min_overlap))
        after = _link_planes(parts, self.min_overlap)
        for gap in range(1, self.max_gap + 1):
            after = _bridge_gaps(parts, after, gap, self.min_overlap, pixels)
        cell = _return_fragments(parts, _follow_chains(after))
        cell = _cut_necks(parts, cell, self.neck, least)
        cell = _cut_blur(parts, cell, self.outline)
        labels = cell.astype(np.int32)[parts.labels]
        for gap in range(1, self.max_gap + 1):
            labels = _fill_planes(labels, gap, covered)
        return _renumber(labels, least)


def _choose_planes(stack: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Return the three planes of a stack with the greatest contrast."""
    spread = [float(plane.std()) for plane in stack]
    return [stack[z] for z in sorted(np.argsort(spread, kind="stable")[-3:])]


# ------------------------------------------------------------------------------- labels of planes


class _Parts(NamedTuple):
    """The labels of all planes, numbered through the stack from 1; row 0 of the columns is the background."""

    labels: Labels  # (Z, Y, X)
    plane: Integers  # (n + 1,)
    area: Integers  # (n + 1,) pixels; 0 = removed
    level: Floats  # (n + 1,) mean grey value
    around: Floats  # (n + 1,) mean grey value of its surroundings
    sign: int  # 1 = cells are bright, -1 = dark, 0 = neither

    @property
    def contrast(self) -> Floats:
        """Contrast of each label with its surroundings, shape (n + 1,); 1 if brightness is not used."""
        return self.sign * (self.level - self.around) if self.sign else np.ones(len(self.area))

    def remove(self, labels: Mask) -> _Parts:
        """Return the table without some labels, given as a mask (n + 1,) bool."""
        return self._replace(labels=np.where(labels[self.labels], 0, self.labels), area=self.area * ~labels)


def _measure_parts(planes: Sequence[npt.NDArray[Any]], pixels: Heights) -> _Parts:
    """Measure the labels of all planes, numbered through the stack."""
    labels, numbers = np.zeros(pixels.shape, np.int32), [np.zeros(1, np.int64)]
    for z, plane in enumerate(planes):
        inside = plane > 0
        values, which = np.unique(plane[inside], return_inverse=True)
        labels[z][inside] = sum(map(len, numbers)) + which
        numbers.append(np.full(len(values), z))
    place = np.concatenate(numbers)
    inside = labels > 0
    level, area = average_labels(labels[inside], pixels[inside], len(place))
    around = measure_surroundings(labels, pixels, len(area))
    return _Parts(labels, place, area, level, around, find_sign(area, level - around))


def _remove_faint(parts: _Parts, fraction: float) -> _Parts:
    """Remove labels below a fraction of the typical contrast, which is the light-weighted median."""
    contrast = parts.contrast
    order = np.argsort(contrast, kind="stable")
    below = np.cumsum((parts.area * np.maximum(contrast, 0))[order])
    typical = contrast[order][np.searchsorted(below, below[-1] / 2)]
    keep = contrast >= fraction * typical
    keep[0] = True
    return parts.remove(~keep)


# ------------------------------------------------------------------------------------------- links


class _Overlaps(NamedTuple):
    """Pairs of labels of two planes that share pixels."""

    low: Integers  # (P,)
    high: Integers  # (P,)
    shared: Integers  # (P,) pixels


def _find_overlaps(low: Labels, high: Labels, n: int) -> _Overlaps:
    """Return the pairs of labels at the same pixels of two arrays, without background."""
    both = (low > 0) & (high > 0)
    key = low[both].astype(np.int64) * n + high[both]
    start = np.flatnonzero(np.diff(key, prepend=-1))  # there are few runs, so sorting them is cheap
    length = np.diff(start, append=len(key))
    pair, which = np.unique(key[start], return_inverse=True)
    return _Overlaps(pair // n, pair % n, np.bincount(which, length).astype(np.int64))


def _compute_weights(parts: _Parts, pairs: _Overlaps, least: float) -> Floats:
    """Return the intersection over union of each pair, 0 if the overlap is too small."""
    low, high = parts.area[pairs.low], parts.area[pairs.high]
    enough = pairs.shared >= least * np.minimum(low, high)
    return np.asarray(enough * pairs.shared / (low + high - pairs.shared), np.float64)


def _link_planes(parts: _Parts, least: float) -> Integers:
    """Return the label of the next plane that continues each label, (n + 1,), 0 = none."""
    pairs = _find_overlaps(parts.labels[:-1], parts.labels[1:], len(parts.area))
    return _add_links(pairs, _compute_weights(parts, pairs, least), np.zeros(len(parts.area), np.int64))


def _add_links(pairs: _Overlaps, weight: Floats, after: Integers) -> Integers:
    """Return the links with the assignment of greatest total weight added."""
    chosen = find_matching(pairs.low, pairs.high, weight)
    after = after.copy()
    after[pairs.low[chosen]] = pairs.high[chosen]
    return after


def _find_merged(parts: _Parts, least: float) -> Mask:
    """Return which labels cover several cells: two or more labels of the plane below continue in the plane above."""
    n = len(parts.area)
    merged = np.zeros(n, bool)
    if len(parts.labels) < 3:
        return merged
    near = _find_overlaps(parts.labels[:-1], parts.labels[1:], n)
    above, below = np.zeros(n, np.int64), np.zeros(n, np.int64)
    inside = near.shared >= _INSIDE * parts.area[near.low]
    above[near.low[inside]] = near.high[inside]
    inside = near.shared >= _INSIDE * parts.area[near.high]
    below[near.high[inside]] = near.low[inside]
    far = _find_overlaps(parts.labels[:-2], parts.labels[2:], n)
    between = above[far.low] * (above[far.low] == below[far.high])
    chosen = find_matching(far.low, far.high, _compute_weights(parts, far, least) * (between > 0))
    merged[np.bincount(between[chosen], minlength=n) > 1] = True
    merged[0] = False
    return merged


def _bridge_gaps(parts: _Parts, after: Integers, gap: int, least: float, pixels: Heights) -> Integers:
    """Link labels across planes where a cell is missing in the labels but visible in the image."""
    if len(pixels) < gap + 2:
        return after
    ends, starts = after == 0, np.ones(len(after), bool)
    starts[after] = False
    low, high = parts.labels[: -gap - 1], parts.labels[gap + 1 :]
    pairs = _find_overlaps(np.where(ends[low], low, 0), np.where(starts[high], high, 0), len(after))
    weight = _compute_weights(parts, pairs, least) * _check_planes_between(parts, pairs, gap, pixels)
    return _add_links(pairs, weight, after)


def _check_planes_between(parts: _Parts, pairs: _Overlaps, gap: int, pixels: Heights) -> Mask:
    """Return for each pair whether the planes between are as bright as a cell at the common pixels."""
    seen = np.ones(len(pairs.low), bool)
    if not parts.sign:
        return seen
    for row, (low, high) in enumerate(zip(pairs.low, pairs.high, strict=True)):
        z = parts.plane[low]
        both = (parts.labels[z] == low) & (parts.labels[z + gap + 1] == high)
        height = (pixels[z + 1 : z + gap + 1, both].mean(axis=1) - parts.around[[low, high]].mean()) * parts.sign
        seen[row] = height.min() >= _BRIDGE * parts.contrast[[low, high]].mean()
    return seen


def _follow_chains(after: Integers) -> Integers:
    """Return the cell of each label, (n + 1,), which is the lowest label of its chain."""
    cell = np.arange(len(after))
    for label in np.flatnonzero(after):  # links lead upwards, so a label has a higher number than the label below it
        cell[after[label]] = cell[label]
    return cell


# ------------------------------------------------------------------------------------------- cells


def _return_fragments(parts: _Parts, cell: Integers) -> Integers:
    """Return short chains to the cell around them in the next plane, if that cell also has a label in their plane."""
    n = len(cell)
    pairs = _find_overlaps(parts.labels[:-1], parts.labels[1:], n)
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


def _measure_profile(parts: _Parts, rows: Integers) -> tuple[Integers, Floats, Floats]:
    """Return the planes of a cell, with its light and its contrast in each plane."""
    planes, which = np.unique(parts.plane[rows], return_inverse=True)
    area = np.bincount(which, parts.area[rows].astype(float))
    light = np.bincount(which, parts.area[rows] * np.maximum(parts.contrast[rows], 0.0)).astype(float)
    return planes, light, light / area


def _group_by_cell(parts: _Parts, cell: Integers) -> list[Integers]:
    """Return the labels of each cell."""
    rows = np.flatnonzero(parts.area > 0)
    rows = rows[np.argsort(cell[rows], kind="stable")]
    return np.split(rows, np.flatnonzero(np.diff(cell[rows])) + 1) if len(rows) else []


def _cut_necks(parts: _Parts, cell: Integers, neck: float, least: int) -> Integers:
    """Cut cells at planes whose light is much lower than both peaks beside them."""
    result = cell.copy()
    solid = cell.astype(np.int32)[parts.labels]
    boxes = ndimage.find_objects(solid)
    for rows in _group_by_cell(parts, cell):
        planes, light, _ = _measure_profile(parts, rows)
        if len(planes) < 2 * least:
            continue
        own = cell[rows[0]]
        inside = solid[(planes, *boxes[own - 1][1:])] == own
        for cut in _find_necks(light, _measure_straightness(inside), neck, least):
            above = rows[parts.plane[rows] >= planes[cut]]
            result[above] = above[0]
    return result


def _measure_straightness(inside: Mask) -> Floats:
    """Return for each plane the overlap of the sections below and above, as a fraction of the smaller one.

    Sections of one cell overlap almost completely; where two cells meet, the sections are shifted.
    """
    fraction = np.ones(len(inside))
    area = inside.sum((1, 2))
    for k in range(_LAG, len(inside) - _LAG):
        low, high = k - _LAG, k + _LAG
        fraction[k] = np.count_nonzero(inside[low] & inside[high]) / min(area[low], area[high])
    return fraction


def _find_necks(light: Floats, straight: Floats, neck: float, least: int) -> list[int]:
    """Return the first row of each cell above the lowest cell, ascending; a neck goes to its brighter side.

    >>> _find_necks(np.array([1.0, 4, 5, 1, 6, 4, 2]), np.ones(7), 0.5, 2)
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
    below = _find_necks(light[:cut], straight[:cut], neck, least)
    return [*below, cut, *(cut + row for row in _find_necks(light[cut:], straight[cut:], neck, least))]


def _cut_blur(parts: _Parts, cell: Integers, outline: float) -> Integers:
    """Remove the planes above and below a cell that contain only its blur; the background is cell 0."""
    result = np.where(parts.area > 0, cell, 0)
    for rows in _group_by_cell(parts, cell):
        planes, _, contrast = _measure_profile(parts, rows)
        clear = planes[contrast >= outline * contrast.max()]
        plane = parts.plane[rows]
        result[rows[(plane < clear[0]) | (plane > clear[-1])]] = 0
    return result


def _fill_planes(labels: Labels, gap: int, covered: Mask) -> Labels:
    """Fill `gap` missing planes of a cell.

    Filled are the pixels that the cell covers in both planes beside the gap, and the foreground pixels that it covers
    in one of them.
    """
    filled = labels.copy()
    there = _find_planes(labels)
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


def _find_planes(labels: Labels) -> Mask:
    """Return whether each cell is present in each plane, (Z, n + 1)."""
    n = int(labels.max(initial=0)) + 1
    return np.stack([np.bincount(plane.ravel(), minlength=n) > 0 for plane in labels])


def _renumber(labels: Labels, least: int) -> Labels:
    """Remove cells in fewer than `least` planes and number the others from 1."""
    return keep_labels(labels, _find_planes(labels).sum(0) >= least)
