"""Doubtful places of a lineage, for a person to check: the rows of ``review.csv``.

Each place has a *doubt* in [0, 1], by which the list is ranked: the probability that something is wrong there. For
links and divisions it is 1 - confidence. For the other kinds it is the fraction of such places that were wrong in
movies with ground truth (``benchmarks/corrections.py --places``, for points ``benchmarks/point_confidence.py
--places``). A false detection in a track of its own is not wrong for points: detectors find many.

One event is one place. Where a track ends and another one begins nearby, soon after, the end is listed. Where a track
ends beside a daughter of a division, or begins beside its parent, this is listed in place of the division.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.lineage.confidence import list_divisions, rate_divisions, read_weights
from gnntrack.lineage.edits import list_input_cells
from gnntrack.lineage.families import find_missing_frames, find_neighbours
from gnntrack.lineage.gains import GAIN_EVIDENCE, Surroundings, expect_gain, measure_surroundings
from gnntrack.lineage.open_tracks import OpenTracks, find_open_tracks
from gnntrack.plurals import count_noun
from gnntrack.types.origins import MASK_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.types import BoolArray, FloatArray, IntArray, Lineage

__all__ = ["Doubt", "list_doubts"]

_LEAST = 0.1  # an error is expected in one of ten places
_CONFIDENT = 0.9  # links and divisions with less confidence are listed in any case
_JUMP = np.log(1.8)  # ratio of sizes
_DOUBTS = {
    "empty frame": 0.95,
    "alone": 0.9,
    "partner": 0.85,
    "family": 0.7,
    "short": 0.7,
    "start": 0.35,
    "end": 0.15,
    "edge": 0.06,
    "border start": 0.25,
    "border end": 0.15,
    "size": 0.1,
    "filled mask": 0.1,
    "split mask": 0.1,
    "pieces": 0.1,
    "merged fragments": 0.01,
}
"""Doubts of places that have no confidence.

Those of open tracks: ``alone``: of at most two frames, open at both ends; ``partner``: one ends where another begins;
``family``: it ends beside a daughter of another one, or begins beside its parent; ``short``: of at most two frames;
``border start`` and ``border end``: so near to the border of the frame that the cell may have come in, or left;
``edge``: near the border; ``start`` and ``end``: others.
"""
_POINT_DOUBTS = {
    "alone": 0.04,
    "partner": 0.14,
    "family": 0.4,
    "short": 0.1,
    "start": 0.11,
    "end": 0.05,
    "edge": 0.07,
    "size": 0.08,
}
"""Those of points, where they differ."""
_MOST_PIECES = 50  # masks in several pieces that are listed
_EDGE = 3  # distance from the border in steps of a cell


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
    other: int = -1
    """Row of another cell of the same event: where another track begins or ends, or of a division; -1 = none."""
    gain: float = float("nan")
    """Expected number of errors that are found there; see `gnntrack.lineage.gains`."""


def list_doubts(lineage: Lineage, *, below: float = _CONFIDENT, least: float = _LEAST) -> list[Doubt]:
    """Return the doubtful places of a lineage, those with the highest expected gain first.

    Parameters
    ----------
    lineage : Lineage
        A solved movie, or a result: then masks that were drawn, divided or merged are listed as well
        (`gnntrack.Lineage.origins`).
    below : float
        Confidence below which links and divisions are listed, default 0.9.
    least : float
        Expected gain from which on links, divisions, and starts and ends at the border are listed, default 0.1.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((5, 60, 60), np.uint8)
    >>> masks[2, 25:35, 25:35] = 1
    >>> [(doubt.kind, doubt.frame, doubt.why) for doubt in list_doubts(gnntrack.track(masks=masks))][0]
    ('short track', 2, 'the track has 1 frame, 29.5 pixels from the border, without parent or daughters')
    """
    return list_with_evidence(lineage, below=below, least=least)[0]


def list_with_evidence(
    lineage: Lineage, *, below: float, least: float, weights: Mapping[str, Any] | None = None
) -> tuple[list[Doubt], FloatArray]:
    """Return the places of `list_doubts` and the evidence for the gain of each, (P, E); see `gnntrack.lineage.gains`.

    The weights of divisions and of gains are those of the package unless others are given.
    """
    weights = read_weights("gnntrack.lineage") if weights is None else weights
    places = _Places.find(lineage, weights, below=below, least=least)
    opened = list(_list_open(lineage, places.opened))
    named = {doubt.other for doubt in opened}
    found = [
        *_list_links(places),
        *_list_divisions(places, named),
        *opened,
        *_list_jumps(lineage),
        *_list_changed(lineage),
        *_list_fragments(lineage),
    ]
    evidence = places.describe(found)
    gains = places.rate(found, evidence)
    kept = [k for k, (doubt, gain) in enumerate(zip(found, gains, strict=True)) if places.keeps(doubt, gain)]
    empty = [(each, np.full(evidence.shape[1], np.nan)) for each in _list_empty_frames(lineage)]
    listed = [(found[k]._replace(gain=gains[k]), evidence[k]) for k in kept] + empty
    listed.sort(key=lambda each: (-each[0].gain, each[0].frame, each[0].row))
    return [doubt for doubt, _ in listed], np.array([row for _, row in listed]).reshape(-1, evidence.shape[1])


@dataclass(frozen=True)
class _Places:
    """Which places are listed, and their gains.

    Of points, the gain is the doubt.
    """

    lineage: Lineage
    opened: OpenTracks
    around: Surroundings
    weights: Mapping[str, Any]
    below: float
    least: float

    @classmethod
    def find(cls, lineage: Lineage, weights: Mapping[str, Any], *, below: float, least: float) -> _Places:
        opened = find_open_tracks(lineage)
        return cls(lineage, opened, measure_surroundings(lineage, opened), weights, below, least)

    def select(self, links: IntArray, doubt: FloatArray) -> BoolArray:
        """Return which links may be listed; a first choice before the reasons are put in words."""
        source, target = self.lineage.source[links], self.lineage.target[links]
        gain = doubt
        if not self.lineage.cells.points:
            evidence = self.around.describe(source, target, doubt)
            gain = expect_gain("link", doubt, evidence, self.weights["gains"])
        return np.asarray((doubt > 1 - self.below) | (gain >= self.least))

    def describe(self, doubts: Sequence[Doubt]) -> FloatArray:
        """Return the evidence for the gain of each place, (P, E); of divisions the worst of their links."""
        past = dict(self._list_links_at(self.lineage.target, doubts, "link"))
        children: dict[int, list[int]] = {}
        for child, parent in self._list_links_at(self.lineage.source, doubts, "division"):
            children.setdefault(parent, []).append(child)
        pairs = []  # place, source, target
        for k, doubt in enumerate(doubts):
            if doubt.kind == "division":
                pairs += [(k, doubt.row, child) for child in children[doubt.row]]
            else:
                pairs.append((k, past[doubt.row] if doubt.kind == "link" else doubt.row, doubt.row))
        place, source, target = np.array(pairs, np.int64).reshape(-1, 3).T
        found = self.around.describe(source, target, np.array([doubt.doubt for doubt in doubts])[place])
        first = np.flatnonzero(np.diff(place, prepend=-1))
        worst = np.array([1 - 2 * (name in ("space", "border")) for name in GAIN_EVIDENCE])
        return np.asarray(np.maximum.reduceat(found * worst, first, axis=0) * worst if len(first) else found)

    def _list_links_at(self, ends: IntArray, doubts: Sequence[Doubt], kind: str) -> Iterator[tuple[int, int]]:
        """Return target and source of the links of which one end, (L,), is the cell of a place of a kind."""
        links = np.flatnonzero(np.isin(ends, [each.row for each in doubts if each.kind == kind]))
        return zip(self.lineage.target[links].tolist(), self.lineage.source[links].tolist(), strict=True)

    def rate(self, doubts: Sequence[Doubt], evidence: FloatArray) -> list[float]:
        """Return the gain of each place."""
        if self.lineage.cells.points:
            return [each.doubt for each in doubts]
        return [float(each) for each in rate_places(doubts, evidence, self.weights["gains"])]

    def keeps(self, doubt: Doubt, gain: float) -> bool:
        """Return whether a place is listed."""
        optional = doubt.kind in ("link", "division") or self.opened.distance[doubt.row] <= self.opened.reach
        return gain >= self.least or not optional or (doubt.confidence < self.below)


def rate_places(doubts: Sequence[Doubt], evidence: FloatArray, weights: Mapping[str, Any]) -> FloatArray:
    """Return the gain of each place, (P,) float64; arguments as of `gnntrack.lineage.gains.expect_gain`."""
    gain, doubt = np.zeros(len(doubts)), np.array([each.doubt for each in doubts])
    kinds = np.array([each.kind for each in doubts])
    for kind in dict.fromkeys(kinds.tolist()):
        own = kinds == kind
        gain[own] = expect_gain(kind, doubt[own], evidence[own], weights)
    return gain


def _get_doubt(lineage: Lineage, kind: str) -> float:
    return _POINT_DOUBTS.get(kind, _DOUBTS[kind]) if lineage.cells.points else _DOUBTS[kind]


def _list_links(places: _Places) -> Iterator[Doubt]:
    lineage = places.lineage
    cells, tracks = lineage.cells, lineage.tracks
    within = lineage.track[lineage.source] == lineage.track[lineage.target]
    only_child = np.bincount(np.searchsorted(tracks.id, tracks.parent[tracks.parent > 0]), minlength=len(tracks)) == 1
    single = only_child[np.searchsorted(tracks.id, lineage.track[lineage.source])]
    after_drawn = np.isin(lineage.source, _find_changed(lineage, "filled"))  # has the confidence of the link before it
    links = np.flatnonzero((within | single) & ~after_drawn)
    listed = places.select(links, 1 - lineage.confidence[links].astype(np.float64))
    for link in links[listed].tolist():
        source, target = int(lineage.source[link]), int(lineage.target[link])
        confidence = float(lineage.confidence[link])
        why = f"the link from frame {cells.frame[source]} has confidence {_format(confidence)}"
        if not within[link]:
            why = f"it continues track {lineage.track[source]}, with confidence {_format(confidence)}"
        why += _describe_surroundings(places.around, source, target)
        yield Doubt("link", target, int(cells.frame[target]), 1 - confidence, why, confidence)


def _list_divisions(places: _Places, named: set[int]) -> Iterator[Doubt]:
    """Yield the divisions, but for those of which another place names a cell."""
    lineage = places.lineage
    parents, links = list_divisions(lineage)
    rated = rate_divisions(lineage, places.weights)[np.searchsorted(lineage.tracks.id, parents)]
    for rows, confidence in zip(links, rated.tolist(), strict=True):
        parent, targets = int(lineage.source[rows[0]]), lineage.target[rows]
        if not named.isdisjoint([parent, *targets.tolist()]):
            continue
        daughters = " and ".join(map(str, lineage.track[targets].tolist()))
        why = f"its division into tracks {daughters} has confidence {_format(confidence)}"
        yield Doubt("division", parent, int(lineage.cells.frame[parent]), 1 - confidence, why, confidence)


def _format(confidence: float) -> str:
    """Return a confidence with two digits, or as many as it needs to differ from 1."""
    return f"{confidence:.2f}" if confidence < 0.995 else f"{confidence:.4f}"


def _describe_surroundings(around: Surroundings, source: int, target: int) -> str:
    """Return what makes an error of a link more likely, in words."""
    reasons = [
        (around.ends[source] > 0, "another track ends nearby"),
        (around.starts[target] > 0, "another track starts nearby"),
        (around.jump[target] > _JUMP, "the size changes"),
        (around.step[target] > 1, "the neighbours move otherwise"),
    ]
    return "".join(f"; {reason}" for true, reason in reasons if true)


def _list_open(lineage: Lineage, opened: OpenTracks) -> Iterator[Doubt]:
    """Yield tracks that begin or end inside the frame, but for those that another place names."""
    listed: set[int] = set()
    lengths = np.bincount(lineage.track)
    for row in opened.starts[opened.alone[opened.starts]].tolist():
        listed |= {row, opened.partner_of_start.get(row, row)}
        yield _describe_alone(lineage, opened, row, int(lengths[lineage.track[row]]))
    listed |= set(opened.ends[opened.alone[opened.ends]].tolist())
    ends, starts = opened.ends, opened.starts
    if not lineage.cells.points:
        ends, starts = np.append(ends, opened.border_ends), np.append(starts, opened.border_starts)
    sides = [("end", ends, opened.partner_of_end, opened.daughter)]
    sides += [("start", starts, opened.partner_of_start, opened.parent)]
    for side, rows, partners, families in sides:
        for row in rows.tolist():
            partner, family = partners.get(row, -1), families.get(row, -1)
            if row in listed or partner in listed:
                continue
            listed.add(row)
            other = partner if partner >= 0 else family
            kind = _name_open(opened, row, partner, family, side=side)
            why = _describe_open(lineage, opened, row, other, side=side)
            yield Doubt(side, row, int(lineage.cells.frame[row]), _get_doubt(lineage, kind), why, other=other)


def _name_open(opened: OpenTracks, row: int, partner: int, family: int, *, side: str) -> str:
    """Return the kind of a start or an end in `_DOUBTS`."""
    if partner >= 0 or family >= 0:
        return "partner" if partner >= 0 else "family"
    if opened.distance[row] <= opened.reach:
        return f"border {side}"
    if opened.short[row]:
        return "short"
    return "edge" if opened.distance[row] < _EDGE * opened.reach else side


def _describe_alone(lineage: Lineage, opened: OpenTracks, row: int, n: int) -> Doubt:
    where = _describe_distance(lineage, opened, row)
    why = f"the track has {count_noun(n, 'frame')}, {where}, without parent or daughters"
    other = opened.partner_of_start.get(row, -1)
    return Doubt("short track", row, int(lineage.cells.frame[row]), _get_doubt(lineage, "alone"), why, other=other)


def _describe_open(lineage: Lineage, opened: OpenTracks, row: int, other: int, *, side: str) -> str:
    what = "starts without a parent" if side == "start" else "ends without daughters"
    fused = dict(lineage.fusions).get(row, -1)
    if fused >= 0 and side == "end":
        what = f"ends by fusion into track {lineage.track[fused]}"
    why = f"the track {what}, {_describe_distance(lineage, opened, row)}"
    if other < 0:
        return why
    verb = "ends" if side == "start" else "starts"
    if other in (opened.parent.get(row), opened.daughter.get(row)):
        verb = "divides" if side == "start" else "starts by a division"
    return f"{why}; track {lineage.track[other]} {verb} nearby in frame {lineage.cells.frame[other]}"


def _describe_distance(lineage: Lineage, opened: OpenTracks, row: int) -> str:
    return f"{opened.distance[row]:.3g} {'um' if lineage.cells.unit == 'um' else 'pixels'} from the border"


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
        yield Doubt("size", row, int(cells.frame[row]), _get_doubt(lineage, "size"), why)


def _list_changed(lineage: Lineage) -> Iterator[Doubt]:
    frame = lineage.cells.frame
    texts = {
        "filled": ("filled mask", "the cell had no mask in this frame; it was drawn between those around"),
        "split": ("split mask", "its mask covered two cells and was divided"),
        "merged": ("merged fragments", "a fragment beside it was merged with its mask"),
    }
    for name, (kind, why) in texts.items():
        for row in _find_changed(lineage, name).tolist():
            yield Doubt(kind, row, int(frame[row]), _get_doubt(lineage, kind), why)


def _find_changed(lineage: Lineage, name: str) -> IntArray:
    """Return the cells whose masks are of this kind of `MASK_KINDS`; none before the masks of a lineage are written."""
    if lineage.origins is None:
        return np.zeros(0, np.int64)
    return np.flatnonzero(lineage.origins.kind == MASK_KINDS.index(name))


def _list_fragments(lineage: Lineage) -> Iterator[Doubt]:
    """Yield the labels in several pieces, as found in the masks that were tracked."""
    listed = [item[:3] for item in lineage.provenance.masks.get("disconnected", {}).get("listed", [])[:_MOST_PIECES]]
    if not listed:
        return
    row_of = {cell: row for row, cell in enumerate(list_input_cells(lineage))}
    for frame, label, pieces in listed:
        if (frame, label) in row_of:
            why = f"its mask is in {pieces} pieces (label {label} of the input); see --fragments"
            yield Doubt("pieces", row_of[frame, label], frame, _get_doubt(lineage, "pieces"), why)


def _list_empty_frames(lineage: Lineage) -> Iterator[Doubt]:
    frame = lineage.cells.frame
    if lineage.provenance.repaired:  # masks are drawn in the gaps when the lineage is written
        frame = np.append(frame, find_missing_frames(lineage)[0])
    for empty in np.flatnonzero(np.bincount(frame, minlength=lineage.cells.n_frames) == 0).tolist():
        why = "the frame has no points"
        if not lineage.cells.points:
            why = "the frame has no cells; the official evaluator refuses such frames"
        gain = _DOUBTS["empty frame"] * max(
            len(lineage.cells) / lineage.cells.n_frames, 1
        )  # the cells that are missing
        yield Doubt("empty frame", -1, empty, _get_doubt(lineage, "empty frame"), why, gain=gain)
