"""The generative model of one movie: its scales, its rates, and the log odds of links and divisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.graph.divisions import DivisionCandidates, predict_positions
from gnntrack.scores.densities import ODD, either, in_chunks, location_of, log_normal, log_t, rate_of, scale_of
from gnntrack.scores.division_appearance import LIMIT, look_odds, looks_of
from gnntrack.scores.quick_solution import Around, explanation

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, CellGraph, FloatArray, IntArray

__all__ = ["PRIOR", "Model", "PriorRates"]

_TAIL = 2.0  # degrees of freedom of the t-densities of links: heavy, since a sure sample has no tail of its own
_JUMP = 0.5  # scale of such jumps in radii
_SEEN = 8.0  # log odds held against a gap in which the cell is seen


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
    """Cells at the border that enter, or that leave."""
    miss_rate: float = 0.02
    """Cells without a mask though they are there."""
    artefact_rate: float = 0.002
    """Cells whose mask is over-segmented into two, or merged with a neighbour's, for one frame."""


PRIOR = PriorRates()


@dataclass(frozen=True)
class Model:
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
    radius: FloatArray  # (N,) of each cell, see `CellGraph.cell_radii`
    unrelated: FloatArray  # (N,) log density of each cell's place and size if it is unrelated
    border: FloatArray  # (N,) 1 at the border, 0 well inside
    border_rate: float
    mother_look: FloatArray  # (N,) log odds of looking like a mother just before a division
    daughter_look: FloatArray  # (N,) the same of a daughter just after

    @classmethod
    def of(cls, graph: CellGraph) -> Model:
        """Estimate the scales from pairs that are each other's nearest by a margin."""
        sure = (graph.gap == 1) & (graph.feature("mutual_nearest") > 0)
        sure &= np.minimum(graph.feature("margin_source"), graph.feature("margin_target")) > 0.5
        cells = graph.cells
        of_norm = 1.18 if cells.ndim == 2 else 1.54  # median length of a vector of unit normals
        size_population = _population(graph, "size")
        bright = cells.has("intensity_mean")
        radius = graph.cell_radii
        field = scale_of(graph.feature("neighbour_residual")[sure], 0.15, of_norm)
        return cls(
            residual=scale_of(graph.feature("residual")[sure], 0.15, of_norm),
            neighbour_residual=field,
            size=scale_of(np.abs(graph.feature("size_ratio")[sure]), 0.1),
            size_population=size_population,
            intensity=scale_of(np.abs(graph.feature("intensity_ratio")[sure]), 0.1) if bright else 1.0,
            intensity_population=_population(graph, "intensity_mean") if bright else 1.0,
            middle=2.2 * field,
            spread=(np.log(2.0), 0.3),
            together=(0.1, 0.3),
            unequal=0.25,
            start_rate=PRIOR.start_rate,
            end_rate=PRIOR.end_rate,
            division_rate=PRIOR.division_rate,
            artefact_rate=PRIOR.artefact_rate,
            radius=radius,
            unrelated=_unrelated(graph, radius, size_population),
            border=np.exp(-cells.feature("border_distance") / radius),
            border_rate=PRIOR.border_rate,
            mother_look=np.zeros(len(cells)),
            daughter_look=np.zeros(len(cells)),
        )

    @cached_property
    def starts(self) -> FloatArray:
        """Return the log probability that each cell appears from nowhere, shape (N,)."""
        return np.asarray(np.log(self.start_rate + self.border_rate * self.border))

    @cached_property
    def ends(self) -> FloatArray:
        """Return the log probability that each cell vanishes, shape (N,)."""
        return np.asarray(np.log(self.end_rate + self.border_rate * self.border))

    def same_cell(self, graph: CellGraph, *, by: str = "residual", pieces: bool = False) -> FloatArray:
        """Return the log density of each target's place and size, given that it is the source, shape (E,).

        ``by="neighbour_residual"`` asks the neighbours' motion only: where a cell divides, the optical flow
        follows one of its daughters, which makes it look like the mother. ``pieces=True`` forgives a mask that
        lies within the other for its centre: masks flicker, but a daughter lies within her mother, too.
        """
        return in_chunks(len(graph), lambda part: self._same_cell(graph, part, by=by, pieces=pieces))

    def _same_cell(self, graph: CellGraph, part: slice, *, by: str, pieces: bool) -> FloatArray:
        widen = np.sqrt(graph.feature("gap")[part].astype(np.float64))
        scale = self.residual if by == "residual" else self.neighbour_residual
        way = graph.feature(by)[part].astype(np.float64)
        if pieces and graph.has("iou_moved"):
            covered = (graph.feature(f"containment_{name}_moved")[part] for name in ("source", "target"))
            inside = np.maximum(*covered)
            way = np.where(inside > 0.5, np.minimum(way, 1 - inside), way)  # a piece of a cell is not off its centre
        place = either(
            log_t(way, scale * widen, _TAIL, graph.cells.ndim),
            log_t(way, max(_JUMP, 4 * scale), _TAIL, graph.cells.ndim),
        )
        ratio = graph.feature("size_ratio")[part].astype(np.float64)
        size = either(log_t(ratio, self.size * widen, 3), log_normal(ratio, 0, self.size_population * np.sqrt(2)))
        if not graph.has("intensity_ratio"):
            return place + size
        return place + size + self._light(graph.feature("intensity_ratio")[part].astype(np.float64), widen)

    def _light(self, ratio: FloatArray, widen: FloatArray | float = 1.0) -> FloatArray:
        """Return the log odds of a ratio of brightness: a hint, since focus and neighbours change it too."""
        gain = log_t(ratio, self.intensity * widen, 3) - log_normal(ratio, 0, self.intensity_population * np.sqrt(2))
        return np.clip(gain, np.log(ODD), 2)

    def link_gain(self, graph: CellGraph, *, pieces: bool = False) -> FloatArray:
        """Return the log odds of each link against an end and a new start, shape (E,)."""
        gain = self.same_cell(graph, pieces=pieces)
        gain -= (self.unrelated + self.starts)[graph.target]
        gain -= self.ends[graph.source]
        far = np.flatnonzero(graph.feature("gap") > 1)
        gain[far] += np.log(PRIOR.miss_rate) * (graph.feature("gap")[far] - 1)
        gain[far] -= _SEEN * _seen_between(graph)[graph.source[far]]
        return gain

    def division_gain(self, graph: CellGraph, pairs: DivisionCandidates, gain: FloatArray) -> FloatArray:
        """Return the log odds of each pair being daughters, against one link and one new start, shape (M,)."""
        around = Around.of(graph, gain)
        same = self.same_cell(graph, by="neighbour_residual")
        return in_chunks(len(pairs), lambda part: self._division_gain(graph, pairs.select(part), same, around))

    def _division_gain(
        self, graph: CellGraph, pairs: DivisionCandidates, same: FloatArray, around: Around
    ) -> FloatArray:
        cells, links = graph.cells, pairs.links
        mother, daughters = graph.source[links[:, 0]], graph.target[links]
        odds = log_t(pairs.middle.astype(np.float64), self.middle, 4, cells.ndim)
        odds += log_normal(np.log(pairs.spread), *self.spread) - np.log(pairs.spread)
        odds -= np.log(2 * np.pi * pairs.spread if cells.ndim == 2 else 4 * np.pi * pairs.spread**2)  # per volume
        odds += log_t(pairs.together - self.together[0], self.together[1], 4)
        odds += log_t(pairs.unequal, self.unequal, 4) + np.log(2)
        if cells.has("intensity_mean"):
            light = np.log(np.maximum(cells.feature("intensity_mean")[daughters].astype(np.float64), 1e-12))
            odds += self._light(light[:, 0] - light[:, 1])
        odds += np.log(self.division_rate) + self.mother_look[mother] + self.daughter_look[daughters].mean(axis=1)
        appeared = (self.unrelated[daughters] + self.starts[daughters])[:, ::-1]
        single = (same[links] + appeared).max(axis=1)
        torn, glued = self._artefacts(graph, pairs, around)
        return np.asarray(odds - np.maximum(single, torn) - glued)

    def _artefacts(self, graph: CellGraph, pairs: DivisionCandidates, around: Around) -> tuple[FloatArray, FloatArray]:
        """Return what speaks for a segmenter's fault that looks like a division for one frame, shapes (M,).

        Torn: the mother's mask fell into two, and is whole again in the next frame. Glued: two cells shared
        one mask in the mother's frame, and were two in the frame before. A daughter that is not seen again
        counts with the glued.
        """
        cells, links = graph.cells, pairs.links
        mother, daughters = graph.source[links[:, 0]], graph.target[links]
        torn = np.log(self.artefact_rate) - np.log(4.0)  # the cut may lie anywhere in the cell, about 4 radii^D
        torn = torn + log_t(pairs.centre, self.neighbour_residual, _TAIL, cells.ndim)
        torn += log_t(pairs.together, self.size, 3)
        two = around.ahead.apart(daughters)
        next_cells = around.ahead.cell[daughters]
        whole = np.maximum(*(self._whole(graph, daughters, next_cells[:, side]) for side in (0, 1)))
        seen = cells.frame[mother] < cells.n_frames - 2
        torn += np.where(seen, np.clip(whole - two, -3 * LIMIT, 3 * LIMIT), 0)
        glued = around.longer.apart(daughters) + np.log(self.artefact_rate) - around.before.gain[mother]
        known = cells.frame[mother] > 0
        lost = np.where(seen & ~around.ahead.distinct(daughters), -self.ends[daughters].max(axis=1), 0)
        return torn, np.where(known, np.clip(glued, 0, 3 * LIMIT), 0) + lost

    def _whole(self, graph: CellGraph, parts: IntArray, cell: IntArray) -> FloatArray:
        """Return the log odds of a cell being two parts of the frame before put together, shape (M,)."""
        cells = graph.cells
        content = cells.feature("size")[parts].astype(np.float64)
        both = np.maximum(content.sum(axis=1), 1e-12)
        centre = (predict_positions(cells, parts) * (content / both[:, None])[:, :, None]).sum(axis=1)
        distance = np.linalg.norm(cells.position[cell] - centre, axis=1) / self.radius[cell]
        ratio = np.log(np.maximum(cells.feature("size")[cell].astype(np.float64), 1e-12) / both)
        odds = log_t(distance, self.neighbour_residual, _TAIL, cells.ndim) + log_t(ratio, self.size, 3)
        new = self.unrelated[cell] + self.starts[cell] + self.ends[parts].max(axis=1)
        return np.where(cell >= 0, odds - new, 0.0)

    def refitted(self, graph: CellGraph, pairs: DivisionCandidates) -> Model:
        """Return the model with rates and scales of the best explanation under this one."""
        gain = self.link_gain(graph)
        odds = self.division_gain(graph, pairs, gain)
        best, divided = explanation(graph, gain, pairs.links, odds)
        inside = self.border < 0.05
        started = np.ones(len(graph.cells), bool)
        ended = np.ones(len(graph.cells), bool)
        started[graph.target[best]] = ended[graph.source[best]] = False
        started[graph.target[pairs.links[divided]]] = False
        ended[graph.source[pairs.links[divided, 0]]] = False
        looks = looks_of(graph, gain)
        mothers, daughters = graph.source[pairs.links[divided, 0]], graph.target[pairs.links[divided]].ravel()
        started[graph.target[pairs.links[pairs.middle < 3 * self.middle]]] = False  # may have a mother
        first, last = graph.cells.frame == 0, graph.cells.frame == graph.cells.n_frames - 1
        return replace(
            self,
            start_rate=rate_of(started[inside & ~first], PRIOR.start_rate),
            end_rate=rate_of(ended[inside & ~last], PRIOR.end_rate),
            division_rate=rate_of(
                np.isin(np.arange(len(graph.cells)), graph.source[pairs.links[divided, 0]])[~last],
                PRIOR.division_rate,
            ),
            middle=scale_of(pairs.middle[divided], self.middle, 1.18 if graph.cells.ndim == 2 else 1.54),
            spread=location_of(np.log(pairs.spread[divided]), *self.spread),
            together=location_of(pairs.together[divided], *self.together),
            unequal=scale_of(pairs.unequal[divided], self.unequal),
            mother_look=look_odds(looks, mothers),
            daughter_look=look_odds(looks, daughters),
        )


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


def _population(graph: CellGraph, name: str) -> float:
    """Return the spread of the logarithm of a feature over the movie's cells."""
    value = np.log(np.maximum(graph.cells.feature(name).astype(np.float64), 1e-12))
    return max(float(np.std(value)), 0.1)


def _unrelated(graph: CellGraph, radius: FloatArray, size_population: float) -> FloatArray:
    """Return the log density per radius^D and log size of finding each cell where it is by chance, shape (N,)."""
    cells = graph.cells
    around = cells.feature("density").astype(np.float64) * radius**cells.ndim
    field = np.asarray(cells.shape) * np.asarray(cells.spacing)
    everywhere = len(cells) / max(cells.n_frames, 1) / float(np.prod(field)) * np.median(radius) ** cells.ndim
    size = np.log(np.maximum(cells.feature("size").astype(np.float64), 1e-12))
    return np.asarray(
        np.log(np.maximum(around, everywhere)) + log_normal(size, float(np.median(size)), size_population)
    )
