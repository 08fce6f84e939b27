"""Rates and scales of a solved movie, and the log densities that hypotheses about an event are compared by.

All hypotheses about one event describe the same sizes and places, so that their densities can be compared. Distances
are in radii of the parent, sizes are logarithms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.events.history import History
from gnntrack.movie_scales import estimate_of_movie
from gnntrack.scores.densities import (
    ODD,
    estimate_location,
    estimate_rate,
    estimate_scale,
    log_normal,
    log_t,
    mix_densities,
    place_apart,
)
from gnntrack.scores.model import PRIOR

if TYPE_CHECKING:
    from gnntrack.scores.model import MovieModel
    from gnntrack.types import FloatArray

__all__ = ["EventModel"]

_JUMP = 0.5  # scale of odd displacements, in radii
_WIDER = 2.0  # largest scale of the divisions of a movie, in prior scales: a false one must not explain itself
_RANGE = 8.0  # range of odd logarithmic sizes


@dataclass(frozen=True)
class EventModel:
    """Log densities of sizes and places under the rates and scales of one movie.

    Parameters
    ----------
    movie : MovieModel
        Its scales, and its rates in the solution.
    history : History
        The solution.
    """

    movie: MovieModel
    history: History

    @classmethod
    def from_solution(cls, history: History, movie: MovieModel, *, step: str) -> EventModel:
        """Estimate rates and scales from a solution after a step of the revision; `movie` is the model of its graph."""
        fitted = estimate_of_movie(f"events.rates.{step}", lambda: _fit_solution(history, movie))
        return cls(replace(movie, **fitted), history)

    @property
    def ndim(self) -> int:
        """Number of spatial dimensions."""
        return self.history.graph.cells.ndim

    def compare_sizes(self, difference: float) -> float:
        """Return the log density of the difference of the sizes of one cell in two frames."""
        usual = log_t(difference, self.movie.size, 3)
        return mix_densities(usual, log_normal(difference, 0, self.movie.size_population * math.sqrt(2)))

    def compare_places(self, distance: float, frames: int = 1) -> float:
        """Return the log density of the distance of a cell from its expected place some frames later."""
        scale = self.movie.neighbour_residual * math.sqrt(frames)
        usual = log_t(distance, scale, 2, self.ndim)
        return mix_densities(usual, log_t(distance, max(_JUMP, 4 * scale), 2, self.ndim))

    def explain_link(self, row: int, target: int, size: float) -> float:
        """Return the log density of the size and place of a cell that is linked to an earlier one.

        Parameters
        ----------
        row, target : int
            The earlier cell, and the later one.
        size : float
            Log ratio of their sizes.
        """
        frames = int(self.history.frame[target] - self.history.frame[row])
        log_odds = self.compare_sizes(size) + self.compare_places(self.history.measure_distance(row, target), frames)
        return log_odds + (frames - 1) * float(np.log(PRIOR.miss_rate))

    def place_daughters(self, middle: float, spread: float, frames: int = 1) -> float:
        """Return the log density of the places of two daughters: their middle, and the vector between them."""
        log_odds = log_t(middle, self.movie.middle * math.sqrt(frames), 4, self.ndim)
        return log_odds + place_apart(spread, *self.movie.spread, self.ndim)

    def compare_daughters(self, parent: float, daughters: tuple[float, float]) -> float:
        """Return the log density of the sizes of two daughters of a parent of known size."""
        together, unequal = float(np.logaddexp(*daughters)) - parent, abs(daughters[0] - daughters[1])
        log_odds = log_t(together - self.movie.together[0], self.movie.together[1], 4)
        return log_odds + log_t(unequal, self.movie.unequal, 4) + math.log(2)

    def explain_division(self, parent: int, daughters: tuple[int, int]) -> float:
        """Return the log density of sizes and places of two daughters in frames after their parent, and its rate.

        The places count at the first frame of the later daughter, or both at their own first frames, whichever fits
        better: the first one may move or stay until the other is seen.
        """
        if (parent, *daughters) not in self._divisions:
            self._divisions[parent, *daughters] = self._explain_division(parent, daughters)
        return self._divisions[parent, *daughters]

    @cached_property
    def _divisions(self) -> dict[tuple[int, int, int], float]:
        return {}

    def _explain_division(self, parent: int, daughters: tuple[int, int]) -> float:
        history = self.history
        first, second = sorted(daughters, key=lambda row: int(history.frame[row]))
        frames = int(history.frame[second] - history.frame[parent])
        steps = history.walk_on(first, frames)
        moved = [row for row in steps if history.frame[row] == history.frame[second]]
        places = [self._place(parent, (row, second), frames) for row in (first, *moved)]
        sizes = history.measure_after(first), history.measure_after(second)
        rate = float(np.log(self.movie.division_rate))
        return rate + max(places) + self.compare_daughters(history.measure_before(parent), sizes)

    def _place(self, parent: int, daughters: tuple[int, int], frames: int) -> float:
        history, radius = self.history, float(self.history.radius[parent])
        a, b = (history.measure_offset(parent, row) for row in daughters)
        spread = max(math.dist(a, b) / radius, 1e-3)
        return self.place_daughters(math.hypot(*map(add, a, b)) / 2 / radius, spread, frames)

    def explain_start(self, row: int) -> float:
        """Return the log density of a cell that appears without a past."""
        return float(self._unrelated[row] + self.movie.starts[row])

    @cached_property
    def _unrelated(self) -> FloatArray:
        """Log density of each cell's place and size by chance; sizes outside the usual range are not excluded."""
        size, spread = self.history.log_size, self.movie.size_population
        usual = log_normal(size, estimate_of_movie("events.size", lambda: float(np.median(size))), spread)
        bounded = np.logaddexp(np.log1p(-ODD) + usual, np.log(ODD) - np.log(_RANGE))
        return np.asarray(self.movie.unrelated - usual + bounded)

    def explain_end(self, row: int, frames: int = 1) -> float:
        """Return the log probability that a cell vanishes within some frames."""
        return float(min(self.movie.ends[row] + np.log(frames), 0))


def _fit_solution(history: History, movie: MovieModel) -> dict[str, Any]:
    """Return rates and scales of divisions in a solution."""
    inside, frame = movie.border < 0.05, history.frame
    later, earlier = frame > 0, frame < history.n_frames - 1
    parents = np.flatnonzero(history.n_children == 2)
    middle, spread, together, unequal = (
        np.array([_measure_division(history, row) for row in parents.tolist()]).reshape(-1, 4).T
    )
    norm = 1.18 if history.graph.cells.ndim == 2 else 1.54
    return {
        "start_rate": estimate_rate(history.starts[inside & later], PRIOR.start_rate),
        "end_rate": estimate_rate(history.ends[inside & earlier], PRIOR.end_rate),
        "division_rate": estimate_rate(history.n_children[earlier] > 1, PRIOR.division_rate),
        "middle": estimate_scale(middle, movie.middle, norm, most=_WIDER),
        "spread": estimate_location(np.log(spread), *movie.spread, most=_WIDER),
        "together": estimate_location(together, *movie.together, most=_WIDER),
        "unequal": estimate_scale(unequal, movie.unequal, most=_WIDER),
    }


def _measure_division(history: History, parent: int) -> tuple[float, float, float, float]:
    """Return middle, spread, together and unequal of a division, see `DivisionCandidates`."""
    a, b = history.list_children(parent)
    expected = history.predict(parent, int(history.frame[a]))
    radius, place, size = history.radius[parent], history.position, history.log_size
    return (
        float(np.linalg.norm((place[a] + place[b]) / 2 - expected) / radius),
        max(float(np.linalg.norm(place[a] - place[b]) / radius), 1e-3),
        float(np.logaddexp(size[a], size[b]) - size[parent]),
        float(abs(size[a] - size[b])),
    )
