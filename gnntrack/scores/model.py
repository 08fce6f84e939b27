"""The generative model of one movie: its scales, its rates, and the log odds of links and divisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.geometry import measure_lengths
from gnntrack.graph.divisions import DivisionCandidates, predict_positions
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.scores.densities import (
    ODD,
    compute_in_chunks,
    estimate_location,
    estimate_rate,
    estimate_scale,
    log_normal,
    log_t,
    mix_densities,
    place_pieces,
)
from gnntrack.scores.division_appearance import LIMIT, compare_appearance, fit_appearance, measure_appearance
from gnntrack.scores.missing_masks import GAPS, compute_gap_lengths, find_misses, find_seen_next, get_usual_stay
from gnntrack.scores.quick_solution import LinkContext, guess_solution

if TYPE_CHECKING:
    from gnntrack.scores.own_motion import OwnMotion
    from gnntrack.types import BoolArray, CellGraph, Cells, FloatArray, IntArray

__all__ = ["PRIOR", "MovieModel", "PriorRates", "find_certain_links", "get_median_of_norm"]

_TAIL = 2.0  # degrees of freedom of the t-densities of links; the certain links of a sample underestimate the tail
_JUMP = 0.5  # scale of jumps in radii
_CUT = 0.1  # prior log ratio of the brightness of a cell that the field's edge cuts, per log ratio of its sizes
_ODD_SIZE = 0.2  # log ratio of sizes from which it is measured
_MANY = 0.5  # highest rate of divisions by which the first solution is made
_WIDER = (
    2.0  # scale of the steps of cells that keep their own motion, per that of certain links, most of which are slow
)
_STEADY = 2.0  # log of how much more often cells keep their own motion than they jump
_SEEN = 8.0  # log odds subtracted from a link over a gap in which the cell is seen
_SPECK = 1.0  # scale of the log sizes of masks of another kind than the cells: debris, fragments, merged masks


@dataclass(frozen=True)
class PriorRates:
    """Fractions of the cells to which something happens in a frame, before a movie has corrected them.

    They are orders of magnitude for movies whose masks are good, and constants because they hardly matter: those that
    vary most between movies (start, end, division) are estimated again from the movie itself, ``scores.rounds`` times,
    and all enter the scores by their logarithm.
    """

    start_rate: float = 0.004
    """Cells that appear, away from the border; estimated again."""
    end_rate: float = 0.01
    """Cells that vanish, away from the border; estimated again."""
    division_rate: float = 0.005
    """Cells that divide, one cycle of 200 frames; estimated again."""
    border_rate: float = 0.1
    """Cells at the border that enter, or that leave; the former estimated again."""
    miss_rate: float = 0.02
    """Cells without a mask though they are there; estimated again."""
    artefact_rate: float = 0.002
    """Cells whose mask is over-segmented into two, or merged with a neighbour's, for one frame."""


PRIOR = PriorRates()


@dataclass(frozen=True)
class MovieModel:
    """Scales and rates of one movie; distances in cell radii, sizes and brightness as log ratios."""

    residual: float  # distance of a cell from its predicted position
    neighbour_residual: float  # the same, predicted by the neighbours' motion only
    size: float  # log ratio of the sizes of a cell in two frames, less its growth
    growth: float  # log ratio by which cells grow from frame to frame
    size_population: float  # log ratio of the sizes of two cells
    intensity: float
    intensity_population: float
    intensity_of_cut: float  # log ratio of the brightness of a cell that the field's edge cuts, per log ratio of sizes
    middle: float  # distance of the daughters' middle from the parent's predicted position
    spread: tuple[float, float]  # distance between daughters: mean and std of its logarithm
    together: tuple[float, float]  # log ratio of both daughters' size and the parent's: mean and std
    unequal: float  # log ratio of the daughters' sizes
    start_rate: float
    end_rate: float
    division_rate: float
    miss_rate: float
    stay_rate: float
    enter_rate: float
    radius: FloatArray  # (N,) of each cell, see `CellGraph.cell_radii`
    unrelated: FloatArray  # (N,) log density of each cell's place and size if it is unrelated to the other cell
    border: FloatArray  # (N,) 1 at the border, 0 well inside
    parent_appearance: FloatArray  # (N,) log odds that the cell looks like a parent just before a division
    daughter_appearance: FloatArray  # (N,) log odds that the cell looks like a daughter just after a division

    @classmethod
    def from_graph(cls, graph: CellGraph) -> MovieModel:
        """Estimate the scales from pairs of cells that are each other's nearest by a margin."""
        cells, radius = graph.cells, graph.cell_radii
        scales = estimate_of_movie("model.scales", lambda: _estimate_scales(graph))
        growth, field = scales["growth"], scales["neighbour_residual"]
        return cls(
            **scales,
            middle=2.2 * field,
            spread=(np.log(2.0), 0.3),
            together=(0.1 + max(growth, 0.0), 0.3),
            unequal=0.25,
            start_rate=PRIOR.start_rate,
            end_rate=PRIOR.end_rate,
            miss_rate=PRIOR.miss_rate,
            stay_rate=get_usual_stay(graph),
            enter_rate=PRIOR.border_rate,
            radius=radius,
            unrelated=_compute_unrelated_density(graph, radius, scales["size_population"]),
            border=np.exp(-cells.feature("border_distance") / radius),
            parent_appearance=np.zeros(len(cells)),
            daughter_appearance=np.zeros(len(cells)),
        )

    @cached_property
    def starts(self) -> FloatArray:
        """Log probability that each cell appears without a parent, shape (N,)."""
        return np.asarray(np.log(self.start_rate + self.enter_rate * self.border))

    @cached_property
    def ends(self) -> FloatArray:
        """Log probability that each cell vanishes, shape (N,)."""
        return np.asarray(np.log(self.end_rate + PRIOR.border_rate * self.border))

    def compute_link_log_odds(self, graph: CellGraph, same: FloatArray) -> FloatArray:
        """Return the log odds of each link against an end and a new start, shape (E,).

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        same : (E,) float64
            Their densities of `compute_same_cell_density`.
        """
        log_odds = same - (self.unrelated + self.starts)[graph.target]
        log_odds -= self.ends[graph.source]
        far = np.flatnonzero(graph.feature("gap") > 1)
        log_odds[far] += np.log(self.miss_rate) + compute_gap_lengths(graph, self.stay_rate)[graph.gap[far] - 2]
        log_odds[far] -= _SEEN * find_seen_next(graph)[graph.source[far]]
        return log_odds

    def compute_same_cell_density(
        self, graph: CellGraph, *, by: str = "residual", fragments: bool = False, own: OwnMotion | None = None
    ) -> FloatArray:
        """Return the log density of each target's place and size, given that it is the source, shape (E,).

        `refit` does not change it.

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        by : {"residual", "neighbour_residual"}
            Predicted motion: optical flow and neighbours, or neighbours only. Where a cell divides, the optical flow
            follows one of the daughters, which makes this daughter resemble the parent.
        fragments : bool
            If one mask lies within the other, ignore the distance of their centres, since masks flicker. Not used
            for divisions, where a daughter lies within its parent, too.
        own : OwnMotion, optional
            Places that the cells' own motion predicts, from the frames before and after.
        """
        return compute_in_chunks(
            len(graph), lambda rows: self._compute_same_cell(graph, rows, by=by, fragments=fragments, own=own)
        )

    def _compute_same_cell(
        self, graph: CellGraph, rows: slice, *, by: str, fragments: bool, own: OwnMotion | None
    ) -> FloatArray:
        widen = np.sqrt(graph.feature("gap")[rows].astype(np.float64))
        place = self._place_same_cell(graph, rows, widen, by=by, fragments=fragments, own=own)
        cut = None
        if graph.has("size_ratio"):
            ratio = graph.feature("size_ratio")[rows].astype(np.float64)
            usual = log_t(ratio - self.growth * graph.gap[rows], self.size * widen, 3)
            place += mix_densities(usual, log_normal(ratio, 0, self.size_population * np.sqrt(2)))
            cut = np.where(_find_cut(graph, rows), np.abs(ratio), 0)
        if not graph.has("intensity_ratio"):
            return place
        light = graph.feature("intensity_ratio")[rows].astype(np.float64)
        return place + self._compare_intensity(light, widen, cut)

    def _place_same_cell(
        self, graph: CellGraph, rows: slice, widen: FloatArray, *, by: str, fragments: bool, own: OwnMotion | None
    ) -> FloatArray:
        """Return the log density of each target's place.

        A cell that has left the optical flow moves as its neighbours do, or keeps its own motion, or jumps: then the
        flow tells nothing, so that images do not make a link less likely than masks alone do.
        """
        distances = [graph.feature(name)[rows].astype(np.float64) for name in (by, "neighbour_residual")]
        distances += [] if own is None else [own.distance[rows]]
        if fragments and graph.has("iou_moved"):
            covered = (graph.feature(f"containment_{name}_moved")[rows] for name in ("source", "target"))
            inside = np.maximum(*covered)
            distances = [np.where(inside > 0.5, np.minimum(each, 1 - inside), each) for each in distances]
        distance, in_field, *steady = distances
        ndim, by_flow = graph.cells.ndim, by == "residual" and graph.has("intensity_ratio")
        scale = self.residual if by == "residual" else self.neighbour_residual
        odd = log_t(np.minimum(distance, in_field), max(_JUMP, 4 * self.neighbour_residual), _TAIL, ndim)
        if by_flow:
            odd = np.maximum(odd, log_t(in_field, self.neighbour_residual * widen, _TAIL, ndim))
        if own is not None:
            odd = np.fmax(odd, _STEADY + log_t(steady[0], _WIDER * own.scale * widen, _TAIL, ndim))
        return mix_densities(log_t(distance, scale * widen, _TAIL, ndim), odd)

    def _compare_intensity(
        self, ratio: FloatArray, widen: FloatArray | float = 1.0, cut: FloatArray | None = None
    ) -> FloatArray:
        """Return the log odds of a log ratio of brightness, bounded, since focus and neighbours change it, too.

        Parameters
        ----------
        ratio : (M,) float64
            Log ratios of brightness.
        widen : (M,) float64, optional
            Factors of the usual scale.
        cut : (M,) float64, optional
            Absolute log ratios of the sizes of cells that the field's edge cuts, 0 for others. A part of a cell may be
            as bright as the cell, or not.
        """
        usual = self.intensity * widen
        log_odds = log_t(ratio, usual, 3)
        if cut is not None:
            at = np.flatnonzero(cut)
            scale = np.hypot(np.broadcast_to(usual, ratio.shape)[at], self.intensity_of_cut * cut[at])
            log_odds[at] = np.logaddexp(log_odds[at], log_t(ratio[at], scale, 3)) - np.log(2)
        log_odds -= log_normal(ratio, 0, self.intensity_population * np.sqrt(2))
        return np.clip(log_odds, np.log(ODD), 2)

    def compute_division_log_odds(
        self, graph: CellGraph, pairs: DivisionCandidates, link: FloatArray, same: FloatArray
    ) -> FloatArray:
        """Return the log odds of each pair being daughters, against one link and one new start.

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        pairs : M `DivisionCandidates`
            Division candidates.
        link : (E,) float64
            Log odds of the links.
        same : (E,) float64
            Their densities of `compute_same_cell_density` by ``"neighbour_residual"``.

        Returns
        -------
        (M,) float64
        """
        context = LinkContext.find(graph, link)
        return compute_in_chunks(
            len(pairs), lambda rows: self._compute_division(graph, pairs.select(rows), same, context)
        )

    def _compute_division(
        self, graph: CellGraph, pairs: DivisionCandidates, same: FloatArray, context: LinkContext
    ) -> FloatArray:
        cells, links = graph.cells, pairs.links
        parent, daughters = graph.source[links[:, 0]], graph.target[links]
        log_odds = log_t(pairs.middle.astype(np.float64), self.middle, 4, cells.ndim)
        spread = np.log(pairs.spread.astype(np.float64))
        log_odds += log_t(spread - self.spread[0], self.spread[1], 4) - spread
        # density per volume, not per distance
        log_odds -= np.log(2 * np.pi * pairs.spread if cells.ndim == 2 else 4 * np.pi * pairs.spread**2)
        if cells.has("size"):
            log_odds += log_t(pairs.together - self.together[0], self.together[1], 4)
            log_odds += log_t(pairs.unequal, self.unequal, 4) + np.log(2)
        if cells.has("intensity_mean"):
            light = np.log(np.maximum(cells.feature("intensity_mean")[daughters].astype(np.float64), 1e-12))
            log_odds += self._compare_intensity(light[:, 0] - light[:, 1])
        first, second = daughters.T
        daughter_appearance = (self.daughter_appearance[first] + self.daughter_appearance[second]) / 2
        log_odds += np.log(self.division_rate) + self.parent_appearance[parent] + daughter_appearance
        appeared = self.unrelated + self.starts
        single = np.maximum(same[links[:, 0]] + appeared[second], same[links[:, 1]] + appeared[first])
        split, merged = self._compute_artefacts(graph, pairs, context)
        return np.asarray(log_odds - np.maximum(single, split) - merged)

    def _compute_artefacts(
        self, graph: CellGraph, pairs: DivisionCandidates, context: LinkContext
    ) -> tuple[FloatArray, FloatArray]:
        """Return the log odds of segmentation errors that resemble a division for one frame, shapes (M,).

        Split: the parent's mask fell into two, and is whole again in the next frame. Merged: two cells shared one
        mask in the parent's frame, and had two masks in the frame before; the log odds of a daughter that is not
        seen again are added to these.
        """
        cells, links = graph.cells, pairs.links
        parent, daughters = graph.source[links[:, 0]], graph.target[links]
        seen = cells.frame[parent] < cells.n_frames - 2
        split = np.log(PRIOR.artefact_rate) + np.where(
            seen,
            -np.log(4.0),  # the cut may lie anywhere in the cell, about 4 radii^D; the next frame tells the rest
            place_pieces(pairs.spread.astype(np.float64), cells.ndim),
        )
        split = split + log_t(pairs.centre, self.neighbour_residual, _TAIL, cells.ndim)
        if cells.has("size"):
            split += log_t(pairs.together, self.size, 3)
        two = context.ahead.add_disjoint(daughters)
        next_cells = context.ahead.cell[daughters]
        whole = np.maximum(*(self._compute_rejoined(graph, daughters, next_cells[:, side]) for side in (0, 1)))
        split += np.where(seen, np.clip(whole - two, -3 * LIMIT, 3 * LIMIT), 0)
        merged = context.two_before.add_disjoint(daughters) + np.log(PRIOR.artefact_rate)
        merged = merged - context.before.log_odds[parent]
        known = cells.frame[parent] > 0
        lost = np.where(seen & ~context.ahead.allow_both(daughters), -np.maximum(*self.ends[daughters.T]), 0)
        return split, np.where(known, np.clip(merged, 0, 3 * LIMIT), 0) + lost

    def _compute_rejoined(self, graph: CellGraph, fragments: IntArray, cell: IntArray) -> FloatArray:
        """Return the log odds of a cell being two fragments of the frame before, rejoined, shape (M,).

        Parameters
        ----------
        graph : CellGraph
            Candidate links.
        fragments : (M, 2) int64
            Rows of the fragments.
        cell : (M,) int64
            Row of the cell in the next frame; -1 = none, with log odds of 0.
        """
        cells = graph.cells
        sizes = cells.feature("size").astype(np.float64) if cells.has("size") else np.ones(len(cells))
        first, second = (sizes[rows] for rows in fragments.T)
        both = np.maximum(first + second, 1e-12)
        parts = zip(fragments.T, (first, second), strict=True)
        centre = sum(predict_positions(cells, rows) * (size / both)[:, None] for rows, size in parts)
        distance = measure_lengths(cells.position[cell] - centre) / self.radius[cell]
        log_odds = log_t(distance, self.neighbour_residual, _TAIL, cells.ndim)
        if cells.has("size"):
            log_odds += log_t(np.log(np.maximum(sizes[cell], 1e-12) / both), self.size, 3)
        new = self.unrelated[cell] + self.starts[cell] + np.maximum(*self.ends[fragments.T])
        return np.where(cell >= 0, log_odds - new, 0.0)

    def refit(
        self, graph: CellGraph, pairs: DivisionCandidates, *, same: FloatArray, same_in_field: FloatArray, step: int = 0
    ) -> MovieModel:
        """Return the model with its rates, and its scales of divisions, estimated from the quick solution under it.

        Parameters
        ----------
        graph, pairs
            Candidate links and division candidates.
        same, same_in_field : (E,) float64
            `compute_same_cell_density` of the links by ``"residual"`` and by ``"neighbour_residual"``.
        step : int
            How often the model was fitted before.
        """
        link = self.compute_link_log_odds(graph, same)
        appearance = measure_appearance(graph, link, step=step)

        def fit() -> dict[str, Any]:
            division = self.compute_division_log_odds(graph, pairs, link, same_in_field)
            best, divides = guess_solution(graph, link, pairs.links, division)
            parents, daughters = graph.source[pairs.links[divides, 0]], graph.target[pairs.links[divides]]
            return {
                **self._refit_rates(graph, pairs, best, divides),
                "middle": estimate_scale(pairs.middle[divides], self.middle, get_median_of_norm(graph.cells.ndim)),
                "spread": estimate_location(np.log(pairs.spread[divides]), *self.spread),
                "together": estimate_location(pairs.together[divides], *self.together),
                "unequal": estimate_scale(pairs.unequal[divides], self.unequal),
                "parents": fit_appearance(appearance, parents),
                "daughters": fit_appearance(appearance, daughters.ravel()),
            }

        fitted = dict(estimate_of_movie(f"model.rates.{step}", fit))
        return replace(
            self,
            parent_appearance=compare_appearance(appearance, fitted.pop("parents")),
            daughter_appearance=compare_appearance(appearance, fitted.pop("daughters")),
            **fitted,
        )

    def _refit_rates(
        self, graph: CellGraph, pairs: DivisionCandidates, best: BoolArray, divides: BoolArray
    ) -> dict[str, float]:
        """Return the rates of starts, ends and divisions in the quick solution."""
        n = len(graph.cells)
        parents, daughters = graph.source[pairs.links[divides, 0]], graph.target[pairs.links[divides]]
        started, ended = np.ones(n, bool), np.ones(n, bool)
        started[graph.target[best]] = ended[graph.source[best]] = False
        started[daughters] = ended[parents] = False
        started[graph.target[pairs.links[pairs.middle < 3 * self.middle]]] = False  # these may have a parent
        first, last = graph.cells.frame == 0, graph.cells.frame == graph.cells.n_frames - 1
        inside = self.border < 0.05
        entered = estimate_rate(started[(self.border > 0.5) & ~first], PRIOR.border_rate)
        missed, again = find_misses(graph, best)
        return {
            "start_rate": estimate_rate(started[inside & ~first], PRIOR.start_rate),
            "enter_rate": min(entered, PRIOR.border_rate),
            "end_rate": estimate_rate(ended[inside & ~last], PRIOR.end_rate),
            "division_rate": estimate_rate(np.isin(np.arange(n), parents)[~last], PRIOR.division_rate),
            "miss_rate": estimate_rate(missed, PRIOR.miss_rate),
            "stay_rate": estimate_rate(again, get_usual_stay(graph), weight=GAPS),
        }


def _estimate_scales(graph: CellGraph) -> dict[str, float]:
    """Return the scales of `MovieModel` that do not depend on a solution, and a first rate of divisions."""
    certain = find_certain_links(graph)
    median_of_norm = get_median_of_norm(graph.cells.ndim)
    sized, bright = graph.has("size_ratio"), graph.has("intensity_ratio")
    ratio = graph.feature("size_ratio")[certain].astype(np.float64) if sized else np.zeros(0)
    growth = estimate_location(ratio, 0.0, 1.0)[0]
    return {
        "residual": estimate_scale(graph.feature("residual")[certain], 0.15, median_of_norm),
        "neighbour_residual": estimate_scale(graph.feature("neighbour_residual")[certain], 0.15, median_of_norm),
        "size": estimate_scale(np.abs(ratio - growth), 0.1) if sized else 1.0,
        "growth": growth,
        "size_population": _estimate_population(graph, "size") if sized else 1.0,
        "intensity": estimate_scale(np.abs(graph.feature("intensity_ratio")[certain]), 0.1) if bright else 1.0,
        "intensity_population": _estimate_population(graph, "intensity_mean") if bright else 1.0,
        "intensity_of_cut": _estimate_intensity_of_cut(graph, certain) if bright and sized else 0.0,
        "division_rate": min(max(PRIOR.division_rate, _estimate_increase(graph.cells)), _MANY),
    }


def _estimate_increase(cells: Cells) -> float:
    """Return the fraction by which the number of cells increases from frame to frame; 0 if it does not.

    It is also 0 for points, whose number is that of a detector.
    """
    count = np.bincount(cells.frame, minlength=cells.n_frames).astype(np.float64)
    known = np.flatnonzero(np.minimum(count[:-1], count[1:]))
    before = float(count[known].sum())
    return max(float(count[known + 1].sum()) / before - 1, 0.0) if before and not cells.points else 0.0


def find_certain_links(graph: CellGraph) -> BoolArray:
    """Return whether the cells of each link are each other's nearest by a margin, in consecutive frames, shape (E,)."""
    margin = np.minimum(graph.feature("margin_source"), graph.feature("margin_target"))
    return np.asarray((graph.gap == 1) & (graph.feature("mutual_nearest") > 0) & (margin > 0.5))


def get_median_of_norm(ndim: int) -> float:
    """Return the median length of a vector of 2 or 3 standard normal variables."""
    return 1.18 if ndim == 2 else 1.54


def _find_cut(graph: CellGraph, rows: slice) -> BoolArray:
    """Return whether the field's edge cuts a cell of each link, for some rows of links."""
    touches = graph.cells.feature("border_distance") <= 0
    return np.asarray(touches[graph.source[rows]] | touches[graph.target[rows]])


def _estimate_intensity_of_cut(graph: CellGraph, certain: BoolArray) -> float:
    """Return the scale of the log ratio of brightness per log ratio of sizes, from certain links of cut cells."""
    size, light = graph.feature("size_ratio"), graph.feature("intensity_ratio")
    odd = certain & _find_cut(graph, slice(None)) & (np.abs(size) > _ODD_SIZE)
    return estimate_scale(np.abs(light[odd] / size[odd]), _CUT)


def _estimate_population(graph: CellGraph, name: str) -> float:
    """Return the standard deviation of the logarithm of a feature over the movie's cells."""
    value = np.log(np.maximum(graph.cells.feature(name).astype(np.float64), 1e-12))
    return max(float(np.std(value)), 0.1)


def _compute_unrelated_density(graph: CellGraph, radius: FloatArray, size_population: float) -> FloatArray:
    """Return the log density per radius^D and log size of finding each cell where it is by chance, shape (N,)."""
    cells = graph.cells
    around = cells.feature("density").astype(np.float64) * radius**cells.ndim
    field = np.asarray(cells.shape) * np.asarray(cells.spacing)
    everywhere = estimate_of_movie(
        "model.cells_everywhere",
        lambda: float(len(cells) / max(cells.n_frames, 1) / float(np.prod(field)) * np.median(radius) ** cells.ndim),
    )
    place = np.log(np.maximum(around, everywhere))
    if not cells.has("size"):
        return np.asarray(place)
    size = np.log(np.maximum(cells.feature("size").astype(np.float64), 1e-12))
    away = size - estimate_of_movie("model.log_size", lambda: float(np.median(size)))
    return np.asarray(place + mix_densities(log_normal(away, 0.0, size_population), log_t(away, _SPECK, 3)))
