"""Evidence for possible births among points, from the tracks several frames before and after.

All measurements are logarithms, ratios or numbers of frames, relative to the same movie, so that neither the unit nor
the frame interval matters. Those that a movie does not have (radii, intensities) are absent; those that one birth does
not have, such as the frames after the last one, are NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import measure_lengths
from gnntrack.graph.divisions import predict_positions
from gnntrack.movie_scales import estimate_of_movie

if TYPE_CHECKING:
    from gnntrack.events.births import Births, FirstSolution
    from gnntrack.types import Cells, FloatArray, IntArray

__all__ = ["BRIGHTNESS", "PLACE", "SHAPE", "SIZE", "add_end_rate", "measure_births"]

PLACE = (
    *("apart", "apart_in_noise", "middle", "asymmetry", "sister_moved", "late_moved", "noise"),
    *("apart_1", "apart_2", "apart_3", "growth_1", "growth_2", "growth_3"),
    *("late_lives_3", "late_lives_8", "sister_lives_3", "sister_lives_8", "parent_lives_3", "parent_lives_8"),
    *("past", "has_past", "ended", "has_ended", "own_link", "margin", "lateness", "sister_lateness"),
    *("parent_ends", "border", "ends"),
)
"""Evidence from positions."""
SIZE = ("together", "unequal", "sister_shrinks")
"""Evidence from radii."""
BRIGHTNESS = ("unequal_light", "late_light", "brightens", "fades", "parent_light", "late_and_parent_light")
"""Evidence from intensities."""
SHAPE = (
    *("parent_along", "before_along", "sister_along", "late_along"),
    *("parent_widens", "sister_widens", "late_widens", "parent_width", "parent_uneven"),
)
"""Evidence from the shapes of the blobs in the images."""

_AFTER = (1, 2, 3)  # frames after the birth in which the distance of the daughters is measured
_LIVES = (3, 8)  # frames that tracks are followed: clutter rarely lasts for the first number
_VALUE = 8.0  # bound of log odds of links
_SIZED = 3  # cells of a track whose median is its size
_BRIGHT = 2  # cells of a track whose median is its brightness, near the birth
_RESTING = (5, 9)  # cells of the parent's track, counted from the birth, which are not yet bright
_SMALL = 0.05  # least width of a blob, in typical ones
_RESTED = (6, 9)  # cells of a daughter's track which are no longer bright


def measure_births(first: FirstSolution, births: Births) -> dict[str, FloatArray]:
    """Return the evidence for possible births by name, (M,) float64 each; NaN = unknown.

    Parameters
    ----------
    first : FirstSolution
        Tracks without divisions.
    births : Births
        Found in them.

    Returns
    -------
    dict
        `PLACE` without ``ends``; `SIZE` if the cells have sizes that are not all equal; `BRIGHTNESS` if they have
        intensities; `SHAPE` if their shapes were measured.
    """
    evidence = _measure_places(first, births) | _measure_lives(first, births) | _measure_rivals(first, births)
    cells = first.graph.cells
    if _varies(cells, "size"):
        evidence |= _measure_sizes(first, births)
    if _varies(cells, "intensity_mean"):
        evidence |= _measure_brightness(first, births)
    if first.moments is not None and np.isfinite(first.moments).any():
        evidence |= _measure_shapes(first, births, first.moments)
    return evidence


def add_end_rate(
    evidence: dict[str, FloatArray], decoys: dict[str, FloatArray], *, late: IntArray, n_cells: int
) -> None:
    """Add how often tracks near others end in a movie, to the evidence for its births and for those backwards in time.

    Where tracks never end without a reason, they hardly start without one.

    Parameters
    ----------
    evidence, decoys : dict
        Of the births in the movie, and in the reversed movie.
    late : (K,) int64
        The late daughters of the latter: cells of which some have no future.
    n_cells : int
        Number of cells.
    """
    ends = estimate_of_movie("births.ends", lambda: len(np.unique(late[decoys["has_past"] == 0])) / max(n_cells, 1))
    for each in (evidence, decoys):
        each["ends"] = np.full(len(each["border"]), math.log(ends + 1e-4))


def _varies(cells: Cells, name: str) -> bool:
    """Return whether cells have a feature that is not the same for all of them."""
    if not len(cells) or not cells.has(name):
        return False
    value = cells.feature(name)
    return estimate_of_movie(f"births.varies.{name}", lambda: bool(np.ptp(value) > 1e-3 * np.abs(value).mean()))


def _measure_places(first: FirstSolution, births: Births) -> dict[str, FloatArray]:
    cells, spacing, noise = first.graph.cells, first.spacing[births.parent], first.noise
    place, frame = cells.position, cells.frame[births.late]
    expected = _predict_places(first, births)
    sister, late = place[births.twin] - expected, place[births.late] - expected
    apart = np.log(np.maximum(measure_lengths(sister - late) / spacing, 1e-3))
    middle = measure_lengths(sister + late) / 2
    evidence = {
        "apart": apart,
        "apart_in_noise": apart + np.log(spacing / noise),
        "middle": np.log1p((middle / noise) ** 2),
        "asymmetry": np.log(middle / spacing / np.exp(apart) + 0.05),
        "sister_moved": np.log(measure_lengths(sister) / noise + 0.1),
        "late_moved": np.log(measure_lengths(late) / noise + 0.1),
        "noise": np.log(noise / spacing),
        "lateness": (frame - cells.frame[births.parent] - 1).astype(np.float64),
        "sister_lateness": (cells.frame[births.sister] - cells.frame[births.parent] - 1).astype(np.float64),
        "parent_ends": (first.future[births.parent] < 0).astype(np.float64),
        "border": np.log(cells.feature("border_distance")[births.late] / spacing + 0.1),
    }
    for k in _AFTER:
        one, other = (first.find_at(rows, frame + k) for rows in (births.twin, births.late))
        distance = np.log(np.maximum(measure_lengths(place[one] - place[other]) / spacing, 1e-3))
        evidence[f"apart_{k}"] = np.where((one >= 0) & (other >= 0), distance, np.nan)
        evidence[f"growth_{k}"] = evidence[f"apart_{k}"] - apart
    return evidence


def _predict_places(first: FirstSolution, births: Births) -> FloatArray:
    """Return where the parents are expected in the frame of the late daughter, from the motion around the tracks."""
    cells = first.graph.cells
    shift = predict_positions(cells, np.arange(len(cells))) - cells.position
    frame = cells.frame[births.parent]
    lag = cells.frame[births.late] - frame
    step = shift[births.parent]
    expected = cells.position[births.parent] + step
    for k in range(1, int(lag.max(initial=1))):
        at = first.find_at(births.sister, frame + k)
        step = np.where((at >= 0)[:, None], shift[at], step)
        expected += np.where((lag > k)[:, None], step, 0)
    return expected


def _measure_lives(first: FirstSolution, births: Births) -> dict[str, FloatArray]:
    """Return how many of the frames before and after the tracks have: 1 = all."""
    cells = first.graph.cells
    frame, parent = cells.frame[births.late], births.parent
    ages = {
        "late": (first.last_frame[births.late] - frame, cells.n_frames - 1 - frame),
        "sister": (first.last_frame[births.twin] - frame, cells.n_frames - 1 - frame),
        "parent": (cells.frame[parent] - first.first_frame[parent], cells.frame[parent]),
    }
    return {
        f"{name}_lives_{long}": np.where(possible > 0, np.minimum(age, long) / np.clip(possible, 1, long), np.nan)
        for name, (age, possible) in ages.items()
        for long in _LIVES
    }


def _measure_rivals(first: FirstSolution, births: Births) -> dict[str, FloatArray]:
    """Return the log odds of other explanations of the late daughter: the track that it is in, or one that ended."""
    graph, late = first.graph, births.late
    n, value = len(graph.cells), np.clip(first.value, -_VALUE, _VALUE)
    ended = np.full(n, -np.inf)
    of_ended = first.future[graph.source] < 0
    np.maximum.at(ended, graph.target[of_ended], value[of_ended])
    near = np.flatnonzero(graph.gap == 1)
    best, second = np.full(n, -_VALUE), np.full(n, -_VALUE)
    np.maximum.at(best, graph.target[near], value[near])
    rest = near[value[near] < best[graph.target[near]]]
    np.maximum.at(second, graph.target[rest], value[rest])
    own = value[births.links[:, 1]]
    past, ended = first.value_of_past[late], ended[late]
    return {
        "past": np.where(np.isfinite(past), np.clip(past, -_VALUE, _VALUE), np.nan),
        "has_past": np.isfinite(past).astype(np.float64),
        "ended": np.where(np.isfinite(ended), ended, np.nan),
        "has_ended": np.isfinite(ended).astype(np.float64),
        "own_link": own,
        "margin": own - np.where(own >= best[late], second[late], best[late]),
    }


def _measure_sizes(first: FirstSolution, births: Births) -> dict[str, FloatArray]:
    size = np.log(np.maximum(first.graph.cells.feature("size").astype(np.float64), 1e-12))
    before = _take_median(size, first.walk(births.parent, first.past, _SIZED))
    sister, late = (_take_median(size, first.walk(rows, first.future, _SIZED)) for rows in (births.twin, births.late))
    return {
        "together": np.logaddexp(sister, late) - before,
        "unequal": np.abs(sister - late),
        "sister_shrinks": sister - before,
    }


def _measure_brightness(first: FirstSolution, births: Births) -> dict[str, FloatArray]:
    """Return brightness in spreads of the logarithm over the movie: dividing nuclei are bright, and equally so."""
    light = np.log(np.maximum(first.graph.cells.feature("intensity_mean").astype(np.float64), 1e-12))
    light -= estimate_of_movie("births.light", lambda: float(np.median(light)))
    light /= estimate_of_movie("births.spread_of_light", lambda: max(1.4826 * float(np.median(np.abs(light))), 0.05))
    earlier = first.walk(births.parent, first.past, _RESTING[1])
    later = first.walk(births.twin, first.future, _RESTED[1])
    before, resting = _take_median(light, earlier[:, :_BRIGHT]), _take_median(light, earlier[:, _RESTING[0] :])
    sister, rested = _take_median(light, later[:, :_BRIGHT]), _take_median(light, later[:, _RESTED[0] :])
    late = _take_median(light, first.walk(births.late, first.future, _BRIGHT))
    return {
        "unequal_light": np.abs(sister - late),
        "late_light": late,
        "brightens": before - resting,
        "fades": sister - rested,
        "parent_light": before,
        "late_and_parent_light": late - before,
    }


def _measure_shapes(first: FirstSolution, births: Births, moments: FloatArray) -> dict[str, FloatArray]:
    """Return widths of blobs, and how much longer they are along the axis through both daughters than on average.

    A plate of chromosomes is flat along this axis, and what separates is long. Widths are relative to those of typical
    cells of the movie along the same axis, so that the blur of the microscope does not matter.
    """
    place, ndim = first.graph.cells.position, moments.shape[1]
    typical = np.array(estimate_of_movie("births.shape", lambda: np.nanmedian(moments, axis=0).tolist()))
    whiten = np.linalg.pinv(typical)
    axis = place[births.late] - place[births.twin]
    length = np.einsum("mi,ij,mj->m", axis, typical, axis)
    width = np.log(np.maximum(np.einsum("ij,nji->n", whiten, moments) / ndim, _SMALL))
    earlier = first.walk(births.parent, first.past, _RESTING[1])
    resting = _take_median(width, earlier[:, _RESTING[0] :])

    def measure_along(rows: IntArray) -> FloatArray:
        along = np.einsum("mi,mij,mj->m", axis, moments[rows], axis) / np.maximum(length, 1e-12)
        return np.where(rows >= 0, np.log(np.maximum(along, _SMALL)) - width[rows], np.nan)

    of_parent = np.nan_to_num(moments[births.parent])
    extent = np.maximum(np.linalg.eigvals(whiten @ of_parent).real, _SMALL)
    uneven = np.log(extent.max(axis=1, initial=_SMALL) / extent.min(axis=1, initial=np.inf))
    return {
        "parent_along": measure_along(births.parent),
        "before_along": measure_along(earlier[:, 1]),
        "sister_along": measure_along(births.twin),
        "late_along": measure_along(births.late),
        "parent_widens": width[births.parent] - resting,
        "sister_widens": width[births.twin] - resting,
        "late_widens": width[births.late] - resting,
        "parent_width": width[births.parent],
        "parent_uneven": np.where(np.isfinite(width[births.parent]), uneven, np.nan),
    }


def _take_median(value: FloatArray, rows: IntArray) -> FloatArray:
    """Return the median over some cells (M, k) each, -1 = none; NaN without any whose value is known."""
    given = (rows >= 0) & np.isfinite(value[rows])
    known = np.sort(np.where(given, value[rows], np.inf), axis=1)
    count = given.sum(axis=1)
    low, high = (np.maximum((count - 1 + k) // 2, 0) for k in (0, 1))
    each = np.arange(len(rows))
    middle = (known[each, low] + known[each, high]) / 2
    return np.where(count > 0, middle, math.nan)
