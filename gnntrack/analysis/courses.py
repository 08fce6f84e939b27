"""Quantities of the cells of a movie in the course of time: speed, size, growth, neighbours, divisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.analysis.cycles import list_divisions
from gnntrack.analysis.growth import list_cell_growth
from gnntrack.analysis.motion import list_cell_motion
from gnntrack.analysis.surroundings import list_cell_surroundings
from gnntrack.analysis.timelines import arrange_timelines
from gnntrack.types import Units

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from gnntrack.types import FloatArray, IntArray, Lineage

__all__ = ["Course", "DivisionCourse", "count_divisions", "measure_courses", "summarise_frames"]


class Course(NamedTuple):
    """A quantity of the cells in each frame that has one."""

    quantity: str
    unit: str
    """Unit as in the names of columns, such as ``um_per_min``; empty for a pure number."""
    frame: IntArray
    """(F,) frames with cells of which the quantity is known; ascending."""
    time: FloatArray
    """(F,) time of the frame, in `time_unit`."""
    time_unit: str
    """``"h"``, or ``"frame"`` if the interval is not known."""
    low: FloatArray
    """(F,) lower quartile of the cells."""
    median: FloatArray
    high: FloatArray
    """(F,) upper quartile."""
    mean: FloatArray
    """(F,) mean of the cells."""
    cells: IntArray
    """(F,) number of cells."""


class DivisionCourse(NamedTuple):
    """Divisions in windows of time."""

    start: FloatArray
    """(W,) begin of each window, in `time_unit`; a window ends where the next one begins."""
    end: FloatArray
    time_unit: str
    divisions: IntArray
    """(W,) whose daughters appear in the window."""
    rate: FloatArray
    """(W,) divisions per cell and time, in 1 / `time_unit`: :math:`d / (\\sum_t n_t \\, dt)`; NaN without cells."""


def measure_courses(lineage: Lineage) -> list[Course]:
    """Return the courses of all quantities that a lineage has: speed, size, growth rate, neighbours, density.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((4, 20, 30), np.uint8)
    >>> for frame in range(4):
    ...     masks[frame, 5:11, 5 + 3 * frame : 11 + 3 * frame] = 1
    >>> courses = measure_courses(gnntrack.track(masks=masks))
    >>> courses[0].quantity, courses[0].unit, courses[0].frame.tolist(), courses[0].median.tolist()
    ('speed', 'pixel_per_frame', [1, 2, 3], [3.0, 3.0, 3.0])
    >>> [course.quantity for course in courses]
    ['speed', 'size', 'growth_rate', 'neighbours']
    """
    columns = list_cell_motion(lineage, arrange_timelines(lineage)) | list_cell_growth(lineage)
    columns |= list_cell_surroundings(lineage)
    return summarise_frames({"frame": lineage.cells.frame, **columns}, Units.read(lineage))


def summarise_frames(cells: Mapping[str, npt.NDArray[Any]], units: Units) -> list[Course]:
    """Return the courses of the quantities in a table of cells, those that are known of any cell.

    Parameters
    ----------
    cells : mapping of str to (N,) arrays
        Columns of the table ``cells`` of `gnntrack.analyse`.
    units : Units
        Units in the names of the columns.
    """
    named = [("speed", units.speed), ("size", units.size), ("growth_rate", units.rate), ("neighbours", "")]
    named += [("contacts", ""), ("density", units.density)]
    columns = [(name, unit, f"{name}_{unit}" if unit else name) for name, unit in named]
    found = (
        _summarise(name, unit, cells["frame"], np.asarray(cells[column], float), units)
        for name, unit, column in columns
        if column in cells
    )
    return [course for course in found if len(course.frame)]


def _summarise(name: str, unit: str, frame: IntArray, values: FloatArray, units: Units) -> Course:
    known = np.isfinite(values)
    order = np.argsort(frame[known], kind="stable")
    present, first, count = np.unique(frame[known][order], return_index=True, return_counts=True)
    parts = np.split(values[known][order], first[1:]) if len(present) else []
    values_of = [[*np.percentile(part, [25, 50, 75]), part.mean()] for part in parts]
    low, median, high, mean = np.array(values_of, np.float64).reshape(-1, 4).T
    time = np.asarray(present * units.hours, np.float64)
    return Course(name, unit, present, time, units.long_time, low, median, high, mean, count)


def count_divisions(lineage: Lineage, windows: int = 24) -> DivisionCourse:
    """Return the divisions of a movie in windows of equal length, at most `windows`, and their rate per cell.

    Examples
    --------
    A cell divides between the frames 1 and 2:

    >>> from gnntrack.types import Cells, Lineage, Tracks
    >>> cells = Cells([0, 1, 2, 2], [1, 1, 2, 3], np.zeros((4, 2)), np.zeros((4, 0)), (), (), (1, 1), 3, (9, 9))
    >>> tracks = Tracks([1, 2, 3], [0, 2, 2], [1, 2, 2], [0, 1, 1])
    >>> course = count_divisions(Lineage(cells, [1, 1, 2, 3], tracks, [0, 1, 1], [1, 2, 3], [1, 1, 1]))
    >>> course.divisions.tolist(), course.rate.tolist()
    ([0, 0, 1], [0.0, 0.0, 0.5])
    """
    units, n = Units.read(lineage), lineage.cells.n_frames
    width = max(-(-n // max(windows, 1)), 1)
    first = np.arange(0, max(n, 1), width)
    last = np.minimum(first + width, n)
    divisions = np.add.reduceat(np.bincount(list_divisions(lineage.tracks), minlength=n), first)
    cells = np.add.reduceat(np.bincount(lineage.cells.frame, minlength=n), first)
    rate = np.divide(divisions, cells * units.hours, out=np.full(len(first), np.nan), where=cells > 0)
    start, end = (np.asarray(each * units.hours, np.float64) for each in (first, last))
    return DivisionCourse(start, end, units.long_time, divisions, rate)
