"""Classical link and division scores: a generative model whose scales are estimated from the movie itself.

A link is scored by the log-likelihood ratio of its features under "the same cell" and under "any other
cell of this movie" (Poore and Gadaleta 2006, eq. 3), with heavy-tailed densities: the displacement after
motion compensation in cell radii, and the ratios of size and of brightness. The scales come from the
movie's mutual nearest pairs, so that nothing has to be set for a new microscope.

A division is scored against its best explanation without one: one daughter is the mother going on, the
other appears from nowhere. Daughters lie on both sides of the mother at a distance of about two radii,
resemble each other, and add up to the mother.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit, gammaln

from gnntrack.types import LinkScores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gnntrack.settings import ScoreSettings
    from gnntrack.types import BoolArray, CellGraph, FeatureArray, FloatArray, IntArray

__all__ = ["score_links", "score_overlap"]

_TAIL = 2.0  # degrees of freedom of the t-densities of links: heavy, since a sure sample has no tail of its own
_PRIOR_WEIGHT = 20.0  # cells that the prior scales count for
_RATE_WEIGHT = 200.0  # cells that the prior rates count for
_LOOK_WEIGHT = 20.0  # cells that the look of any cell counts for, against that of mothers and daughters
_LOOKS = ("size_z", "elongation_z", "ellipsoid_fill_z", "intensity_mean_z", "intensity_std_z", "intensity_max_z")
_ODD = 0.05  # part of the true links with a feature out of its usual range: a jump, or a mask that flickers
_JUMP = 0.5  # scale of such jumps in radii
_SEEN = 8.0  # log odds held against a gap in which the cell is seen
_HEAT = 3.0  # temperature: the features of a link are not independent, so that their odds are too sure
_SURE = 5.0  # log odds from which a division teaches the movie's rates and scales
_FARTHEST = 2.5  # radii from where the mother is expected to the middle of her daughters at most
_WIDEST = 5.0  # radii between daughters at most
_CHUNK = 1 << 19  # links of which pairs are made at once, to bound the memory
_LIMIT = 6.0  # log odds that a hint (brightness, past and future of a division) may count for at most


def score_overlap(graph: CellGraph) -> LinkScores:
    """Score links by the intersection over union of their masks.

    Raises
    ------
    FormatError
        If the graph was built without masks.
    """
    return LinkScores(np.clip(graph.feature("iou"), 0, 1))


def score_links(graph: CellGraph, *, settings: ScoreSettings) -> LinkScores:
    """Score candidate links and possible divisions.

    Parameters
    ----------
    graph : CellGraph
        Candidates with the features of ``graph.py``; brightness is used where it is there.
    settings : ScoreSettings
        Prior rates.

    Returns
    -------
    LinkScores
        ``link``: probability that the two cells are one, against both being unrelated. ``division``:
        probability that a pair are the daughters of their source, against the best explanation without.
    """
    if not len(graph):
        return LinkScores(np.zeros(0, np.float32))
    pairs = _Pairs.of(graph) if settings.divisions else _Pairs.none()
    model = _Model.of(graph, settings)
    for _ in range(settings.rounds):
        model = model.refitted(graph, pairs, settings)
    gain = model.link_gain(graph, settings)
    link = model.link_gain(graph, settings, pieces=True)
    return LinkScores(expit(link / _HEAT), pairs.links, expit(model.division_gain(graph, pairs, gain) / _HEAT))


@dataclass(frozen=True)
class _Pairs:
    """Possible divisions; lengths in radii of the mother, sizes as log ratios."""

    links: IntArray  # (M, 2)
    middle: FeatureArray  # from where the mother is expected to the middle of the daughters
    centre: FeatureArray  # the same to the daughters' common centroid
    spread: FeatureArray  # between the daughters
    together: FeatureArray  # both daughters' size against the mother's
    unequal: FeatureArray  # one daughter's size against the other's

    @classmethod
    def none(cls) -> _Pairs:
        zero = np.zeros(0, np.float32)
        return cls(np.zeros((0, 2), np.int64), zero, zero, zero, zero, zero)

    @classmethod
    def of(cls, graph: CellGraph) -> _Pairs:
        """Return the pairs of links to the next frame that share their source and may be daughters at all."""
        parts = [cls._measured(graph, links) for links in _link_pairs(graph)]
        if not parts:
            return cls.none()
        joined = [np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)]
        order = np.lexsort((joined[0][:, 1], joined[0][:, 0]))
        return cls(*(column[order] for column in joined))

    @classmethod
    def _measured(cls, graph: CellGraph, links: IntArray) -> _Pairs:
        """Measure pairs; those whose middle is far from the mother are left out."""
        cells = graph.cells
        mother, first, second = graph.source[links[:, 0]], graph.target[links[:, 0]], graph.target[links[:, 1]]
        radius = _radius(graph, mother)
        shift = np.stack([cells.feature(f"shift_{axis}")[mother] for axis in "zyx"[-cells.ndim :]], axis=1)
        expected = cells.position[mother] + shift
        a, b = cells.position[first], cells.position[second]
        middle = np.linalg.norm((a + b) / 2 - expected, axis=1) / radius
        spread = np.maximum(np.linalg.norm(a - b, axis=1) / radius, 1e-3)
        near = (middle < _FARTHEST) & (spread < _WIDEST)
        if not near.all():
            return cls._measured(graph, links[near])
        size = cells.feature("size")
        volume = [np.log(np.maximum(size[row].astype(np.float64), 1e-12)) for row in (mother, first, second)]
        share = (1 / (1 + np.exp(volume[2] - volume[1])))[:, None]
        centre = np.linalg.norm(a * share + b * (1 - share) - expected, axis=1) / radius
        together, unequal = np.logaddexp(volume[1], volume[2]) - volume[0], np.abs(volume[1] - volume[2])
        return cls(links, *(column.astype(np.float32) for column in (middle, centre, spread, together, unequal)))

    def part(self, part: slice) -> _Pairs:
        """Return some of the pairs."""
        return _Pairs(*(getattr(self, f.name)[part] for f in fields(self)))

    def __len__(self) -> int:
        return len(self.links)


@dataclass(frozen=True)
class _Model:
    """Scales and rates of one movie; distances in cell radii, sizes and brightness as log ratios."""

    residual: float
    neighbour_residual: float
    size: float
    size_population: float
    intensity: float
    intensity_population: float
    middle: float
    spread: tuple[float, float]  # mean and std of its logarithm
    together: tuple[float, float]
    unequal: float
    start_rate: float
    end_rate: float
    division_rate: float
    artefact_rate: float
    unrelated: FloatArray  # (N,) log density of each cell's place and size if it is unrelated
    border: FloatArray  # (N,) 1 at the border, 0 well inside
    border_rate: float
    mother_look: FloatArray  # (N,) log odds of looking like a mother just before a division
    daughter_look: FloatArray  # (N,) the same of a daughter just after

    @classmethod
    def of(cls, graph: CellGraph, settings: ScoreSettings) -> _Model:
        """Estimate the scales from pairs that are each other's nearest by a margin."""
        sure = (graph.gap == 1) & (graph.feature("mutual_nearest") > 0)
        sure &= np.minimum(graph.feature("margin_source"), graph.feature("margin_target")) > 0.5
        cells = graph.cells
        of_norm = 1.18 if cells.ndim == 2 else 1.54  # median length of a vector of unit normals
        size_population = _population(graph, "size")
        bright = cells.has("intensity_mean")
        field = _scale(graph.feature("neighbour_residual")[sure], 0.15, of_norm)
        return cls(
            residual=_scale(graph.feature("residual")[sure], 0.15, of_norm),
            neighbour_residual=field,
            size=_scale(np.abs(graph.feature("size_ratio")[sure]), 0.1),
            size_population=size_population,
            intensity=_scale(np.abs(graph.feature("intensity_ratio")[sure]), 0.1) if bright else 1.0,
            intensity_population=_population(graph, "intensity_mean") if bright else 1.0,
            middle=2.2 * field,
            spread=(np.log(2.0), 0.3),
            together=(0.1, 0.3),
            unequal=0.25,
            start_rate=settings.start_rate,
            end_rate=settings.end_rate,
            division_rate=settings.division_rate,
            artefact_rate=settings.artefact_rate,
            unrelated=_unrelated(graph, size_population),
            border=np.exp(-cells.feature("border_distance") / _radius(graph)),
            border_rate=settings.border_rate,
            mother_look=np.zeros(len(cells)),
            daughter_look=np.zeros(len(cells)),
        )

    def starts(self) -> FloatArray:
        """Return the log probability that each cell appears from nowhere, shape (N,)."""
        return np.asarray(np.log(self.start_rate + self.border_rate * self.border))

    def ends(self) -> FloatArray:
        """Return the log probability that each cell vanishes, shape (N,)."""
        return np.asarray(np.log(self.end_rate + self.border_rate * self.border))

    def same_cell(self, graph: CellGraph, *, by: str = "residual", pieces: bool = False) -> FloatArray:
        """Return the log density of each target's place and size, given that it is the source, shape (E,).

        ``by="neighbour_residual"`` asks the neighbours' motion only: where a cell divides, the optical flow
        follows one of its daughters, which makes it look like the mother. ``pieces=True`` forgives a mask that
        lies within the other for its centre: masks flicker, but a daughter lies within her mother, too.
        """
        return _in_chunks(len(graph), lambda part: self._same_cell(graph, part, by=by, pieces=pieces))

    def _same_cell(self, graph: CellGraph, part: slice, *, by: str, pieces: bool) -> FloatArray:
        widen = np.sqrt(graph.feature("gap")[part].astype(np.float64))
        scale = self.residual if by == "residual" else self.neighbour_residual
        way = graph.feature(by)[part].astype(np.float64)
        if pieces and graph.has("iou_moved"):
            covered = (graph.feature(f"containment_{name}_moved")[part] for name in ("source", "target"))
            inside = np.maximum(*covered)
            way = np.where(inside > 0.5, np.minimum(way, 1 - inside), way)  # a piece of a cell is not off its centre
        place = _either(
            _log_t(way, scale * widen, _TAIL, graph.cells.ndim),
            _log_t(way, max(_JUMP, 4 * scale), _TAIL, graph.cells.ndim),
        )
        ratio = graph.feature("size_ratio")[part].astype(np.float64)
        size = _either(_log_t(ratio, self.size * widen, 3), _log_normal(ratio, 0, self.size_population * np.sqrt(2)))
        if not graph.has("intensity_ratio"):
            return place + size
        return place + size + self._light(graph.feature("intensity_ratio")[part].astype(np.float64), widen)

    def _light(self, ratio: FloatArray, widen: FloatArray | float = 1.0) -> FloatArray:
        """Return the log odds of a ratio of brightness: a hint, since focus and neighbours change it too."""
        gain = _log_t(ratio, self.intensity * widen, 3) - _log_normal(ratio, 0, self.intensity_population * np.sqrt(2))
        return np.clip(gain, np.log(_ODD), 2)

    def link_gain(self, graph: CellGraph, settings: ScoreSettings, *, pieces: bool = False) -> FloatArray:
        """Return the log odds of each link against an end and a new start, shape (E,)."""
        gain = self.same_cell(graph, pieces=pieces)
        gain -= (self.unrelated + self.starts())[graph.target]
        gain -= self.ends()[graph.source]
        far = np.flatnonzero(graph.feature("gap") > 1)
        gain[far] += np.log(settings.miss_rate) * (graph.feature("gap")[far] - 1)
        gain[far] -= _SEEN * _seen_between(graph)[graph.source[far]]
        return gain

    def division_gain(self, graph: CellGraph, pairs: _Pairs, gain: FloatArray) -> FloatArray:
        """Return the log odds of each pair being daughters, against one link and one new start, shape (M,)."""
        around = _Around.of(graph, gain)
        same = self.same_cell(graph, by="neighbour_residual")
        return _in_chunks(len(pairs), lambda part: self._division_gain(graph, pairs.part(part), same, around))

    def _division_gain(self, graph: CellGraph, pairs: _Pairs, same: FloatArray, around: _Around) -> FloatArray:
        cells, links = graph.cells, pairs.links
        mother, daughters = graph.source[links[:, 0]], graph.target[links]
        odds = _log_t(pairs.middle.astype(np.float64), self.middle, 4, cells.ndim)
        odds += _log_normal(np.log(pairs.spread), *self.spread) - np.log(pairs.spread)
        odds -= np.log(2 * np.pi * pairs.spread if cells.ndim == 2 else 4 * np.pi * pairs.spread**2)  # per volume
        odds += _log_t(pairs.together - self.together[0], self.together[1], 4)
        odds += _log_t(pairs.unequal, self.unequal, 4) + np.log(2)
        if cells.has("intensity_mean"):
            light = np.log(np.maximum(cells.feature("intensity_mean")[daughters].astype(np.float64), 1e-12))
            odds += self._light(light[:, 0] - light[:, 1])
        odds += np.log(self.division_rate) + self.mother_look[mother] + self.daughter_look[daughters].mean(axis=1)
        appeared = (self.unrelated + self.starts())[daughters[:, ::-1]]
        single = (same[links] + appeared).max(axis=1)
        torn, glued = self._artefacts(graph, pairs, around)
        return np.asarray(odds - np.maximum(single, torn) - glued)

    def _artefacts(self, graph: CellGraph, pairs: _Pairs, around: _Around) -> tuple[FloatArray, FloatArray]:
        """Return what speaks for a segmenter's fault that looks like a division for one frame, shapes (M,).

        Torn: the mother's mask fell into two, and is whole again in the next frame. Glued: two cells shared
        one mask in the mother's frame, and were two in the frame before. A daughter that is not seen again
        counts with the glued.
        """
        cells, links = graph.cells, pairs.links
        mother, daughters = graph.source[links[:, 0]], graph.target[links]
        torn = np.log(self.artefact_rate) - np.log(4.0)  # the cut may lie anywhere in the cell, about 4 radii^D
        torn = torn + _log_t(pairs.centre, self.neighbour_residual, _TAIL, cells.ndim)
        torn += _log_t(pairs.together, self.size, 3)
        two = around.ahead.apart(daughters)
        next_cells = around.ahead.cell[daughters]
        whole = np.maximum(*(self._whole(graph, daughters, next_cells[:, side]) for side in (0, 1)))
        seen = cells.frame[mother] < cells.n_frames - 2
        torn += np.where(seen, np.clip(whole - two, -3 * _LIMIT, 3 * _LIMIT), 0)
        glued = around.longer.apart(daughters) + np.log(self.artefact_rate) - around.before.gain[mother]
        known = cells.frame[mother] > 0
        lost = np.where(seen & ~around.ahead.distinct(daughters), -self.ends()[daughters].max(axis=1), 0)
        return torn, np.where(known, np.clip(glued, 0, 3 * _LIMIT), 0) + lost

    def _whole(self, graph: CellGraph, parts: IntArray, cell: IntArray) -> FloatArray:
        """Return the log odds of a cell being two parts of the frame before put together, shape (M,)."""
        cells = graph.cells
        content = cells.feature("size")[parts].astype(np.float64)
        both = np.maximum(content.sum(axis=1), 1e-12)
        centre = (cells.position[parts] * (content / both[:, None])[:, :, None]).sum(axis=1)
        shift = np.stack([cells.feature(f"shift_{axis}")[parts[:, 0]] for axis in "zyx"[-cells.ndim :]], axis=1)
        distance = np.linalg.norm(cells.position[cell] - centre - shift, axis=1) / _radius(graph, cell)
        ratio = np.log(np.maximum(cells.feature("size")[cell].astype(np.float64), 1e-12) / both)
        odds = _log_t(distance, self.neighbour_residual, _TAIL, cells.ndim) + _log_t(ratio, self.size, 3)
        new = self.unrelated[cell] + self.starts()[cell] + self.ends()[parts[:, 0]]
        return np.where(cell >= 0, odds - new, 0.0)

    def refitted(self, graph: CellGraph, pairs: _Pairs, settings: ScoreSettings) -> _Model:
        """Return the model with rates and scales of the best explanation under this one."""
        gain = self.link_gain(graph, settings)
        odds = self.division_gain(graph, pairs, gain)
        best, divided = _explanation(graph, gain, pairs.links, odds)
        inside = self.border < 0.05
        started = np.ones(len(graph.cells), bool)
        ended = np.ones(len(graph.cells), bool)
        started[graph.target[best]] = ended[graph.source[best]] = False
        started[graph.target[pairs.links[divided]]] = False
        ended[graph.source[pairs.links[divided, 0]]] = False
        looks = _looks(graph, gain)
        mothers, daughters = graph.source[pairs.links[divided, 0]], graph.target[pairs.links[divided]].ravel()
        started[graph.target[pairs.links[pairs.middle < 3 * self.middle]]] = False  # may have a mother
        first, last = graph.cells.frame == 0, graph.cells.frame == graph.cells.n_frames - 1
        return replace(
            self,
            start_rate=_rate(started[inside & ~first], settings.start_rate),
            end_rate=_rate(ended[inside & ~last], settings.end_rate),
            division_rate=_rate(
                np.isin(np.arange(len(graph.cells)), graph.source[pairs.links[divided, 0]])[~last],
                settings.division_rate,
            ),
            middle=_scale(pairs.middle[divided], self.middle, 1.18 if graph.cells.ndim == 2 else 1.54),
            spread=_location(np.log(pairs.spread[divided]), *self.spread),
            together=_location(pairs.together[divided], *self.together),
            unequal=_scale(pairs.unequal[divided], self.unequal),
            mother_look=_look_odds(looks, mothers),
            daughter_look=_look_odds(looks, daughters),
        )


def _explanation(graph: CellGraph, gain: FloatArray, links: IntArray, odds: FloatArray) -> tuple[BoolArray, BoolArray]:
    """Return links and pairs that are the best for all their cells: a quick guess at the solution."""
    n = len(graph.cells)
    value = odds + np.maximum(gain[links].max(axis=1, initial=-np.inf), 0) if len(links) else odds
    out, into = np.zeros(n), np.zeros(n)
    np.maximum.at(out, graph.source, gain)
    np.maximum.at(into, graph.target, gain)
    mother, daughters = graph.source[links[:, 0]], graph.target[links]
    pair_out, pair_into = np.zeros(n), np.zeros(n)
    good = odds > _SURE
    np.maximum.at(pair_out, mother[good], value[good])
    for side in (0, 1):
        np.maximum.at(pair_into, daughters[good, side], value[good])
    divided = good & (value >= pair_out[mother]) & (value > out[mother])
    for side in (0, 1):
        other = into[daughters[:, side]]
        own = gain[links[:, side]]
        divided &= (value >= pair_into[daughters[:, side]]) & ((other <= np.maximum(own, 0)) | (value > other))
    taken = np.zeros(n, bool)
    taken[daughters[divided]] = True
    used = np.zeros(n, bool)
    used[mother[divided]] = True
    best = (gain > 0) & (gain >= out[graph.source]) & (gain >= into[graph.target])
    best &= ~taken[graph.target] & ~used[graph.source]
    return best, divided


def _in_chunks(n: int, compute: Callable[[slice], FloatArray]) -> FloatArray:
    """Return a long column computed piece by piece, to bound the memory of what is computed on the way."""
    column = np.empty(n)
    for start in range(0, n, _CHUNK):
        part = slice(start, min(start + _CHUNK, n))
        column[part] = compute(part)
    return column


@dataclass(frozen=True)
class _Around:
    """The best links of every cell to the frame after, to the frame before, and to the one before that."""

    ahead: _Best
    before: _Best
    longer: _Best

    @classmethod
    def of(cls, graph: CellGraph, gain: FloatArray) -> _Around:
        back = graph.target
        return cls(*(_Best.of(graph, gain, node, gap) for node, gap in ((graph.source, 1), (back, 1), (back, 2))))


@dataclass(frozen=True)
class _Best:
    """The two best links of each cell in one direction of time; 0 and -1 where there is none with a gain."""

    gain: FloatArray  # (N,)
    cell: IntArray  # (N,) at the other end
    second: FloatArray  # (N,)

    @classmethod
    def of(cls, graph: CellGraph, gain: FloatArray, node: IntArray, gap: int = 1) -> _Best:
        """Return the best links of each ``node``: ``graph.source`` looks ahead, ``graph.target`` back."""
        other = graph.target if node is graph.source else graph.source
        use = np.flatnonzero((graph.feature("gap") == gap) & (gain > 0))
        ends, worth, n = node[use], gain[use], len(graph.cells)
        best, second, first = np.zeros(n), np.zeros(n), np.full(n, -1)
        np.maximum.at(best, ends, worth)
        top = np.flatnonzero(worth >= best[ends])[::-1]
        first[ends[top]] = use[top]  # backwards, so that of equals the first one stays
        rest = use != first[ends]
        np.maximum.at(second, ends[rest], worth[rest])
        return cls(best, np.where(first >= 0, other[first], -1), second)

    def distinct(self, two: IntArray) -> BoolArray:
        """Tell whether two cells can both have a link with a gain, shape (M,)."""
        a, b = two.T
        same = self.cell[a] == self.cell[b]
        return np.asarray((self.cell[two] >= 0).all(axis=1) & (~same | (self.second[a] > 0) | (self.second[b] > 0)))

    def apart(self, two: IntArray) -> FloatArray:
        """Return the best total gain of two cells that may not share a link's other end, shape (M,)."""
        a, b = two.T
        same = (self.cell[a] == self.cell[b]) & (self.cell[a] >= 0)
        shared = np.maximum(self.gain[a] + self.second[b], self.second[a] + self.gain[b])
        return np.asarray(np.where(same, shared, self.gain[a] + self.gain[b]))


def _looks(graph: CellGraph, gain: FloatArray) -> FloatArray:
    """Return what a cell looks like and how that changed since the frame before, in robust z-scores, shape (N, F)."""
    cells = graph.cells
    columns = [cells.feature(name) for name in _LOOKS if cells.has(name)]
    value = np.stack(columns, axis=1).astype(np.float64) if columns else np.zeros((len(cells), 0))
    past = _Best.of(graph, gain, graph.target).cell
    change = np.where((past >= 0)[:, None], value - value[past], 0)
    table = np.hstack([value, change])
    middle = np.median(table, axis=0)
    spread = 1.4826 * np.median(np.abs(table - middle), axis=0)
    return np.asarray(np.clip((table - middle) / np.maximum(spread, 1e-6), -5, 5))


def _look_odds(looks: FloatArray, cells: IntArray) -> FloatArray:
    """Return the log odds of looking like the given cells rather than like any cell, shape (N,).

    One normal distribution per column, pulled to that of all cells where there are few given ones. The columns
    depend on each other, so that the sum is overconfident: it may speak against a division, not for one.
    """
    n = len(cells)
    everyone = np.maximum(looks.std(axis=0), 0.5)
    mean = looks[cells].sum(axis=0) / (_LOOK_WEIGHT + n)
    variance = (_LOOK_WEIGHT * everyone**2 + ((looks[cells] - mean) ** 2).sum(axis=0)) / (_LOOK_WEIGHT + n)
    odds = _log_normal(looks, mean, np.sqrt(variance)) - _log_normal(looks, looks.mean(axis=0), everyone)
    return np.asarray(np.clip(odds.sum(axis=1), -_LIMIT, 0))


def _either(usual: FloatArray, odd: FloatArray) -> FloatArray:
    """Return the log density of a mixture, in which the odd case is rare."""
    return np.asarray(np.logaddexp(np.log1p(-_ODD) + usual, np.log(_ODD) + odd))


def _seen_between(graph: CellGraph) -> BoolArray:
    """Tell of each cell whether a cell of the next frame lies within its mask, shape (N,).

    Such a cell is the same, or a piece of it: what a link over a gap would skip is no gap. A cell that is
    larger and covers it may have swallowed it, and says nothing.
    """
    seen = np.zeros(len(graph.cells), bool)
    if graph.has("containment_target_moved"):
        inside = (graph.gap == 1) & (graph.feature("containment_target_moved") > 0.6)
        seen[graph.source[inside]] = True
    return seen


def _log_t(x: FeatureArray | FloatArray, scale: FloatArray | float, nu: float, ndim: int = 1) -> FloatArray:
    """Return the log density of a centred t-distribution at distance ``x`` in ``ndim`` dimensions."""
    constant = gammaln((nu + ndim) / 2) - gammaln(nu / 2) - ndim / 2 * np.log(nu * np.pi)
    return np.asarray(constant - ndim * np.log(scale) - (nu + ndim) / 2 * np.log1p((x / scale) ** 2 / nu))


def _log_normal(x: FloatArray, mean: FloatArray | float, std: FloatArray | float) -> FloatArray:
    """Return the log density of a normal distribution."""
    return np.asarray(-0.5 * ((x - mean) / std) ** 2 - np.log(std) - 0.5 * np.log(2 * np.pi))


def _scale(values: FeatureArray | FloatArray, prior: float, median_of_unit: float = 0.6745) -> float:
    """Return a scale from the median of absolute values, pulled to a prior where there are few."""
    n = len(values)
    estimate = float(np.median(values)) / median_of_unit if n else prior
    return float(np.sqrt((_PRIOR_WEIGHT * prior**2 + n * max(estimate, 0.02) ** 2) / (_PRIOR_WEIGHT + n)))


def _location(values: FeatureArray | FloatArray, mean: float, std: float) -> tuple[float, float]:
    """Return median and scale, pulled to their priors where there are few values."""
    n = len(values)
    if not n:
        return mean, std
    middle = (_PRIOR_WEIGHT * mean + n * float(np.median(values))) / (_PRIOR_WEIGHT + n)
    return middle, _scale(np.abs(values - middle), std)


def _rate(happened: BoolArray, prior: float) -> float:
    """Return a rate, pulled to its prior where there are few cells."""
    return float((_RATE_WEIGHT * prior + happened.sum()) / (_RATE_WEIGHT + len(happened)))


def _population(graph: CellGraph, name: str) -> float:
    """Return the spread of the logarithm of a feature over the movie's cells."""
    value = np.log(np.maximum(graph.cells.feature(name).astype(np.float64), 1e-12))
    return max(float(np.std(value)), 0.1)


def _radius(graph: CellGraph, rows: IntArray | None = None) -> FloatArray:
    """Return cell radii, of all cells or of some, kept within a factor of two of the typical one, shape (N,)."""
    diameter = graph.cells.feature("diameter")
    typical = float(np.median(diameter)) / 2
    chosen = diameter if rows is None else diameter[rows]
    return np.clip(chosen.astype(np.float64) / 2, typical / 2, typical * 2)


def _unrelated(graph: CellGraph, size_population: float) -> FloatArray:
    """Return the log density per radius^D and log size of finding each cell where it is by chance, shape (N,)."""
    cells = graph.cells
    radius = _radius(graph)
    around = cells.feature("density").astype(np.float64) * radius**cells.ndim
    field = np.asarray(cells.shape) * np.asarray(cells.spacing)
    everywhere = len(cells) / max(cells.n_frames, 1) / float(np.prod(field)) * np.median(radius) ** cells.ndim
    size = np.log(np.maximum(cells.feature("size").astype(np.float64), 1e-12))
    return np.asarray(
        np.log(np.maximum(around, everywhere)) + _log_normal(size, float(np.median(size)), size_population)
    )


def _link_pairs(graph: CellGraph) -> Iterator[IntArray]:
    """Yield all pairs of links to the next frame that share their source, at most 5 radii long, shapes (m, 2)."""
    near = np.flatnonzero((graph.feature("gap") == 1) & (graph.feature("distance_radii") < 5))
    for start in range(0, len(near), _CHUNK):
        stop = start + _CHUNK
        while stop < len(near) and graph.source[near[stop]] == graph.source[near[stop - 1]]:
            stop += 1  # a source's links stay together; the next chunk skips them
        part = near[start:stop]
        if start and graph.source[near[start]] == graph.source[near[start - 1]]:
            part = part[graph.source[part] != graph.source[near[start - 1]]]
        step = 1
        while step < len(part):
            same = np.flatnonzero(graph.source[part[:-step]] == graph.source[part[step:]])
            if not len(same):
                break
            yield np.stack([part[same], part[same + step]], axis=1)
            step += 1
