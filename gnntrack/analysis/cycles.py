"""Cell cycles: from the division that makes a cell to the one that ends it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.analysis.quantities import Quantity, average_values
from gnntrack.analysis.survival import Survival, estimate_survival
from gnntrack.io.time_columns import measure_cycles
from gnntrack.types import Units

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import BoolArray, IntArray, Lineage, Tracks

    Columns = dict[str, npt.NDArray[Any]]

__all__ = [
    "Cycles",
    "describe_cycles",
    "find_cycles",
    "list_divisions",
    "list_survival",
    "list_track_cycles",
    "measure_survival",
]


@dataclass(frozen=True)
class Cycles:
    """The cells of a lineage. A cell is a track, with the tracks that continue it as the only daughter of another.

    Parameters
    ----------
    head : (K,) int64
        For each track, the row of the first track of its cell.
    born, divides : (K,) bool
        Whether the cell begins, and ends, with a division; of rows that are the head of a cell.
    frames : (K,) int64
        Frames from the first one of the cell to the first one of its daughters, or to its own last one.
    """

    head: IntArray
    born: BoolArray
    divides: BoolArray
    frames: IntArray

    @property
    def is_cell(self) -> BoolArray:
        """Whether a track is the first one of its cell."""
        return np.asarray(self.head == np.arange(len(self.head)))

    @property
    def complete(self) -> BoolArray:
        """Whether the whole cycle is seen."""
        return self.is_cell & self.born & self.divides

    @property
    def right_censored(self) -> BoolArray:
        """Whether the beginning of the cycle is seen, and the end is not."""
        return self.is_cell & self.born & ~self.divides

    @property
    def left_censored(self) -> BoolArray:
        """Whether the beginning of the cycle is not seen, whether the end is or not."""
        return self.is_cell & ~self.born


def find_cycles(tracks: Tracks) -> Cycles:
    """Return the cells of a table of tracks, and their cycles.

    Examples
    --------
    Track 1 divides into 2 and 3; 4 continues 3, and divides:

    >>> from gnntrack.types import Tracks
    >>> tracks = Tracks([1, 2, 3, 4, 5, 6], [0, 2, 2, 6, 9, 9], [1, 9, 4, 8, 9, 9], [0, 1, 1, 3, 4, 4])
    >>> cycles = find_cycles(tracks)
    >>> cycles.head.tolist(), cycles.frames[cycles.complete].tolist(), cycles.frames[cycles.right_censored].tolist()
    ([0, 1, 2, 2, 4, 5], [7], [7, 0, 0])
    """
    n = len(tracks)
    parent = np.where(tracks.parent > 0, np.searchsorted(tracks.id, tracks.parent), -1)
    child = np.flatnonzero(parent >= 0)
    daughters = np.bincount(parent[child], minlength=n)
    next_start = np.full(n, np.iinfo(np.int64).max)
    np.minimum.at(next_start, parent[child], tracks.start[child])
    head, tail = np.arange(n), np.arange(n)
    for row in np.argsort(tracks.start, kind="stable").tolist():
        if parent[row] >= 0 and daughters[parent[row]] == 1:
            head[row] = head[parent[row]]
            tail[head[row]] = row  # the latest one stays
    born = np.zeros(n, bool)
    born[child] = daughters[parent[child]] >= 2
    divides = daughters[tail] >= 2
    end = np.where(divides, next_start[tail], tracks.end[tail])
    return Cycles(head, born, divides, end - tracks.start)


def list_track_cycles(lineage: Lineage, cycles: Cycles) -> Columns:
    """Return the columns of the cell cycle of the table of tracks.

    Returns
    -------
    dict of (K,) arrays
        ``begins`` and ``ends``: with a division, at the border of the movie, as the continuation of a track, or else;
        ``cycle``, NaN unless it is complete; ``seen``: of cells that begin with a division, the time to the next one or
        to the last frame of the cell.
    """
    tracks, units = lineage.tracks, Units.read(lineage)
    last = lineage.cells.n_frames - 1
    continues = ~cycles.is_cell
    continued = np.isin(np.arange(len(tracks)), np.searchsorted(tracks.id, tracks.parent[continues]))
    dividing = np.isin(tracks.id, tracks.parent[cycles.born])
    begins = np.select([cycles.born, continues, tracks.start == 0], ["division", "continues", "first frame"], "appears")
    ends = np.select([dividing, continued, tracks.end == last], ["division", "continues", "last frame"], "disappears")
    frames = cycles.frames * units.hours
    born = cycles.complete | cycles.right_censored
    return {
        "begins": begins,
        "ends": ends,
        f"cycle_{units.long_time}": np.where(cycles.complete, frames, np.nan),
        f"seen_{units.long_time}": np.where(born, frames, np.nan),
    }


def measure_survival(cycles: Cycles, units: Units) -> Survival:
    """Return the fraction of cells that have not divided, against the time since the division that made them."""
    used = cycles.complete | cycles.right_censored
    return estimate_survival(np.asarray(cycles.frames[used] * units.hours, float), cycles.divides[used])


def list_survival(survival: Survival, units: Units) -> Columns:
    """Return the columns of the table of survival, a row per age."""
    return {
        f"age_{units.long_time}": survival.time,
        "at_risk": survival.at_risk,
        "divisions": survival.events,
        "censored": survival.censored,
        "undivided": survival.fraction,
        "undivided_error": survival.error,
        "undivided_low": survival.low,
        "undivided_high": survival.high,
    }


def describe_cycles(lineage: Lineage, cycles: Cycles, survival: Survival, columns: Columns) -> list[Quantity]:
    """Return the quantities of the cell cycle of a movie.

    Parameters
    ----------
    lineage : Lineage
        The lineage.
    cycles, survival
        From `find_cycles` and `measure_survival`.
    columns : dict
        Columns of `list_track_cycles`.
    """
    units = Units.read(lineage)
    divisions = list_divisions(lineage.tracks)
    exposure = _count_exposure(lineage)
    cells = int(cycles.is_cell.sum())
    counts = [
        Quantity(name, float(number.sum()), "", n=cells, of="cells")
        for name, number in (
            ("cycles_complete", cycles.complete),
            ("cycles_right_censored", cycles.right_censored),
            ("cycles_left_censored", cycles.left_censored),
        )
    ]
    median = (survival.median, units.long_time, survival.median_low, survival.median_high)
    rate = _estimate_rate(len(divisions), exposure.sum() * units.hours, units.rate)
    return [
        Quantity("divisions", float(len(divisions)), "", n=lineage.cells.n_frames, of="frames"),
        *counts,
        Quantity("cycle_median", *median, n=int(survival.events.sum() + survival.censored.sum()), of="cells"),
        average_values("cycle_mean_complete", columns[f"cycle_{units.long_time}"], units.long_time, of="cells"),
        rate,
        _invert_rate(rate, units.long_time),
        *_test_dispersion(divisions, exposure),
    ]


def list_divisions(tracks: Tracks) -> IntArray:
    """Return the first frame with a daughter, of each division.

    >>> from gnntrack.types import Tracks
    >>> list_divisions(Tracks([1, 2, 3, 4], [0, 3, 2, 0], [1, 3, 3, 3], [0, 1, 1, 0])).tolist()
    [2]
    """
    division, _ = measure_cycles(tracks)
    return np.asarray(division[np.isfinite(division)].astype(np.int64))


def _count_exposure(lineage: Lineage) -> IntArray:
    """Return the cells, those in gaps included, that can divide before the next frame, for each but the last frame."""
    tracks, n = lineage.tracks, lineage.cells.n_frames
    change = np.bincount(tracks.start, minlength=n + 1) - np.bincount(tracks.end + 1, minlength=n + 1)
    return change.cumsum()[: n - 1]


def _estimate_rate(count: int, exposure: float, unit: str) -> Quantity:
    """Return events per cell and time, with the exact interval of a Poisson process (Garwood 1936)."""
    from scipy.stats import chi2

    if not exposure:
        return Quantity("division_rate", math.nan, unit, n=0, of="divisions")
    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    high = chi2.ppf(0.975, 2 * count + 2) / 2
    return Quantity("division_rate", count / exposure, unit, low / exposure, high / exposure, count, "divisions")


def _invert_rate(rate: Quantity, unit: str) -> Quantity:
    """Return the doubling time of a population whose cells divide at a rate and do not die."""
    value, low, high = (math.log(2) / each if each > 0 else math.nan for each in (rate.value, rate.high, rate.low))
    return Quantity("doubling_time", value, unit, low, high, rate.n, rate.of)


def _test_dispersion(divisions: IntArray, exposure: IntArray, fewest: int = 10) -> list[Quantity]:
    """Return the dispersion of divisions in time, and the probability of one as large at a constant rate per cell.

    The movie is cut into spans with about five expected divisions. The dispersion is chi-squared over its degrees of
    freedom: about 1 if each cell divides at the same rate at all times, more if divisions come in waves.
    """
    from scipy.stats import chi2

    n = len(divisions)
    spans = min(n // 5, len(exposure) // 2, 40)
    value, chance = math.nan, math.nan
    if n >= fewest and spans >= 2:
        done = exposure.cumsum()
        edges = np.unique(np.searchsorted(done, done[-1] * np.arange(1, spans) / spans) + 1)
        edges = edges[edges < len(done)]
        place = np.searchsorted(edges, divisions, side="left")  # a division in frame t follows frame t - 1
        observed = np.bincount(place, minlength=len(edges) + 1)
        expected = np.diff([0, *done[edges - 1], done[-1]]) * n / done[-1]
        squares = float(((observed - expected) ** 2 / expected).sum())
        freedom = len(edges)
        value, chance = (squares / freedom, float(chi2.sf(squares, freedom))) if freedom else (value, chance)
    return [
        Quantity("division_dispersion", value, "", n=n, of="divisions"),
        Quantity("division_dispersion_p", chance, "", n=n, of="divisions"),
    ]
