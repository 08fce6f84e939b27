"""Doubtful places of a lineage, for a person to check: the rows of ``review.csv``.

Each place has a *doubt* in [0, 1], by which the list is ranked. For links and divisions it is 1 - confidence. The other
kinds have fixed values: frames without cells .9, very short tracks .5, tracks that begin or end inside the frame .4 (.6
if another track could continue them), cells much larger or smaller than before and after .35, masks that gnntrack drew
or divided .3, merged fragments .2, labels in several pieces .15.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.geometry import compute_radius, find_within
from gnntrack.lineage.confidence import list_divisions, rate_divisions
from gnntrack.lineage.families import find_missing_frames, find_neighbours
from gnntrack.plurals import count_noun
from gnntrack.types.origins import MASK_KINDS

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray, Lineage

__all__ = ["Doubt", "list_doubts"]

_CONFIDENT = 0.9  # links and divisions with at least this confidence are not listed
_SHORT = 2  # frames
_JUMP = np.log(1.8)  # ratio of sizes
_AHEAD = 3  # frames in which a track that ended may be found again


class Doubt(NamedTuple):
    """A place to check."""

    kind: str
    """``link``, ``division``, ``start``, ``end``, ``short track``, ``size``, ``filled mask``, ``split mask``,
    ``merged fragments``, ``pieces`` or ``empty frame``."""
    row: int
    """Row of the cell to look at; -1 for a frame without cells."""
    frame: int
    """Frame to look at."""
    doubt: float
    """In [0, 1], higher is more doubtful."""
    why: str
    """Reason in words."""
    confidence: float = float("nan")
    """Confidence of a link or division."""


def list_doubts(lineage: Lineage, *, below: float = _CONFIDENT) -> list[Doubt]:
    """Return the doubtful places of a lineage, the most doubtful first.

    Parameters
    ----------
    lineage : Lineage
        A solved movie, or a result: then masks that were drawn, divided or merged are listed as well
        (`gnntrack.Lineage.origins`).
    below : float
        Confidence below which links and divisions are listed, default 0.9.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((5, 60, 60), np.uint8)
    >>> masks[2, 25:35, 25:35] = 1
    >>> [(doubt.kind, doubt.frame, doubt.why) for doubt in list_doubts(gnntrack.track(masks=masks))][-1]
    ('short track', 2, 'the track has 1 frame, 29.5 pixels from the border, without parent or daughters')
    """
    found = [
        *_list_links(lineage, below),
        *_list_divisions(lineage, below),
        *_list_ends(lineage),
        *_list_jumps(lineage),
        *_list_changed(lineage),
        *_list_fragments(lineage),
        *_list_empty_frames(lineage),
    ]
    return sorted(found, key=lambda doubt: (-doubt.doubt, doubt.frame, doubt.row))


def _list_links(lineage: Lineage, below: float) -> Iterator[Doubt]:
    cells, tracks = lineage.cells, lineage.tracks
    within = lineage.track[lineage.source] == lineage.track[lineage.target]
    only_child = np.bincount(np.searchsorted(tracks.id, tracks.parent[tracks.parent > 0]), minlength=len(tracks)) == 1
    single = only_child[np.searchsorted(tracks.id, lineage.track[lineage.source])]
    after_drawn = np.isin(lineage.source, _find_changed(lineage, "filled"))  # has the confidence of the link before it
    listed = (within | single) & (lineage.confidence < below) & ~after_drawn
    for link in np.flatnonzero(listed).tolist():
        source, target = int(lineage.source[link]), int(lineage.target[link])
        confidence = float(lineage.confidence[link])
        why = f"the link from frame {cells.frame[source]} has confidence {confidence:.2f}"
        if not within[link]:
            why = f"it continues track {lineage.track[source]}, with confidence {confidence:.2f}"
        yield Doubt("link", target, int(cells.frame[target]), 1 - confidence, why, confidence)


def _list_divisions(lineage: Lineage, below: float) -> Iterator[Doubt]:
    parents, links = list_divisions(lineage)
    rated = rate_divisions(lineage)[np.searchsorted(lineage.tracks.id, parents)]
    for rows, confidence in zip(links, rated.tolist(), strict=True):
        if confidence >= below:
            continue
        daughters = " and ".join(map(str, lineage.track[lineage.target[rows]].tolist()))
        why = f"its division into tracks {daughters} has confidence {confidence:.2f}"
        parent = int(lineage.source[rows[0]])
        yield Doubt("division", parent, int(lineage.cells.frame[parent]), 1 - confidence, why, confidence)


def _list_ends(lineage: Lineage) -> Iterator[Doubt]:
    """Yield tracks that begin or end inside the frame, though cells neither appear from nothing nor vanish."""
    cells, tracks = lineage.cells, lineage.tracks
    if not len(cells):
        return
    order = np.lexsort((cells.frame, lineage.track))
    edge = np.searchsorted(lineage.track[order], tracks.id, side="left")
    first, last = order[edge], order[np.append(edge[1:], len(order)) - 1]
    distance, reach = _measure_border_distance(lineage), _measure_reach(lineage)
    begins = (tracks.start > 0) & (tracks.parent == 0) & (distance[first] > reach)
    ends = (tracks.end < cells.n_frames - 1) & ~np.isin(tracks.id, tracks.parent) & (distance[last] > reach)
    short = begins & ends & (tracks.end - tracks.start < _SHORT)
    unit = "um" if cells.unit == "um" else "pixels"
    for k in np.flatnonzero(short).tolist():
        n = int(tracks.end[k] - tracks.start[k]) + 1
        where = f"{distance[first[k]]:.3g} {unit} from the border"
        why = f"the track has {count_noun(n, 'frame')}, {where}, without parent or daughters"
        yield Doubt("short track", int(first[k]), int(tracks.start[k]), 0.5, why)
    open_start, open_end = np.flatnonzero(begins & ~short), np.flatnonzero(ends & ~short)
    partner = _find_partners(lineage, last[open_end], first[open_start])
    for side, rows, opened in (("start", first, open_start), ("end", last, open_end)):
        for k in opened.tolist():
            row = int(rows[k])
            what = "starts without a parent" if side == "start" else "ends without daughters"
            why = f"the track {what}, {distance[row]:.3g} {unit} from the border"
            other = partner.get(row)
            if other is not None:
                verb = "ends" if side == "start" else "starts"
                why += f"; track {lineage.track[other]} {verb} nearby in frame {cells.frame[other]}"
            yield Doubt(side, row, int(cells.frame[row]), 0.4 if other is None else 0.6, why)


def _measure_border_distance(lineage: Lineage) -> FloatArray:
    """Return the distance of each centroid from the nearest border of the frame, shape (N,)."""
    cells = lineage.cells
    size = np.array(cells.shape) * np.array(cells.spacing)
    return np.asarray(np.minimum(cells.position, size - np.array(cells.spacing) - cells.position).min(axis=1))


def _measure_reach(lineage: Lineage) -> float:
    """Return the distance from the border within which a cell may enter or leave between two frames.

    It is the radius of the median cell, if the sizes are known, and the step that 95 of 100 links do not exceed.
    """
    cells = lineage.cells
    if not len(cells):
        return 0.0
    step = np.linalg.norm(cells.position[lineage.target] - cells.position[lineage.source], axis=1)
    radius = float(compute_radius(float(np.median(cells.feature("size"))), cells.ndim)) if cells.has("size") else 0.0
    return radius + (float(np.quantile(step, 0.95)) if len(step) else 0.0)


def _find_partners(lineage: Lineage, ends: IntArray, starts: IntArray) -> dict[int, int]:
    """Return, for cells where a track ends or starts, the nearest start or end that could be the same cell."""
    cells = lineage.cells
    if not len(ends) or not len(starts):
        return {}
    limit = 2 * _measure_reach(lineage)
    near = find_within(cells.position[starts], cells.position[ends], limit)
    found: dict[int, tuple[float, int]] = {}
    for start, candidates in zip(starts.tolist(), near, strict=True):
        for end in ends[candidates].tolist():
            if 0 < cells.frame[start] - cells.frame[end] <= _AHEAD:
                distance = float(np.linalg.norm(cells.position[start] - cells.position[end]))
                for one, other in ((start, end), (end, start)):
                    found[one] = min(found.get(one, (np.inf, -1)), (distance, other))
    return {row: other for row, (_, other) in found.items()}


def _list_jumps(lineage: Lineage) -> Iterator[Doubt]:
    cells = lineage.cells
    if not cells.has("size"):
        return
    previous, following = find_neighbours(lineage)
    rows = np.flatnonzero((previous >= 0) & (following >= 0))
    size = np.log(np.maximum(cells.feature("size").astype(np.float64), 1e-9))
    up, down = size[rows] - size[previous[rows]], size[rows] - size[following[rows]]
    jumps: BoolArray = (np.minimum(np.abs(up), np.abs(down)) > _JUMP) & (up * down > 0)
    for row, ratio in zip(rows[jumps].tolist(), np.exp((up + down) / 2)[jumps].tolist(), strict=True):
        why = f"its size is {ratio:.2g} times that in the frames before and after"
        yield Doubt("size", row, int(cells.frame[row]), 0.35, why)


def _list_changed(lineage: Lineage) -> Iterator[Doubt]:
    frame = lineage.cells.frame
    texts = {
        "filled": ("filled mask", 0.3, "the cell had no mask in this frame; it was drawn between those around"),
        "split": ("split mask", 0.3, "its mask covered two cells and was divided"),
        "merged": ("merged fragments", 0.2, "a fragment beside it was merged with its mask"),
    }
    for name, (kind, doubt, why) in texts.items():
        for row in _find_changed(lineage, name).tolist():
            yield Doubt(kind, row, int(frame[row]), doubt, why)


def _find_changed(lineage: Lineage, name: str) -> IntArray:
    """Return the cells whose masks are of this kind of `MASK_KINDS`; none before the masks of a lineage are written."""
    if lineage.origins is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(lineage.origins.kind == MASK_KINDS.index(name))


def _list_fragments(lineage: Lineage) -> Iterator[Doubt]:
    """Yield the labels in several pieces, as found in the masks that were tracked."""
    listed = [item[:3] for item in lineage.provenance.masks.get("disconnected", {}).get("listed", [])]
    if not listed:
        return
    input_label = lineage.cells.label if lineage.origins is None else lineage.origins.input_label
    cells = zip(lineage.cells.frame.tolist(), input_label.tolist(), strict=True)
    row_of = {cell: row for row, cell in enumerate(cells)}
    for frame, label, pieces in listed:
        if (frame, label) in row_of:
            why = f"its mask is in {pieces} pieces (label {label} of the input); see --fragments"
            yield Doubt("pieces", row_of[frame, label], frame, 0.15, why)


def _list_empty_frames(lineage: Lineage) -> Iterator[Doubt]:
    frame = lineage.cells.frame
    if lineage.provenance.repaired:  # masks are drawn in the gaps when the lineage is written
        frame = np.append(frame, find_missing_frames(lineage)[0])
    for empty in np.flatnonzero(np.bincount(frame, minlength=lineage.cells.n_frames) == 0).tolist():
        yield Doubt("empty frame", -1, empty, 0.9, "the frame has no cells; the official evaluator refuses such frames")
