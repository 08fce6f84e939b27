"""Figure of a movie in the course of time: speed, size, growth, divisions, neighbours, density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from gnntrack.report.panels import BLUE, FAINT, draw_band, make_panels, note_absence, style_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gnntrack.analysis.courses import Course, DivisionCourse
    from gnntrack.types import Units

__all__ = ["draw_courses"]


def draw_courses(courses: Sequence[Course], divisions: DivisionCourse, units: Units) -> Figure:
    """Draw quantities of the cells against time.

    Parameters
    ----------
    courses : sequence of Course
        As of `gnntrack.analysis.measure_courses`.
    divisions : DivisionCourse
        As of `gnntrack.analysis.count_divisions`.
    units : Units
        Units of the lineage.

    Returns
    -------
    Figure
        Speed, size, growth rate, number of neighbours (contacts if masks are known) and density in each frame: the
        median of the cells (of numbers of cells the mean), with their middle half as a band. Divisions and their rate
        per cell in windows of time.
    """
    figure, axes = make_panels(3, 2)
    known = {course.quantity: course for course in courses}
    touching = "contacts" if "contacts" in known else "neighbours"
    square = f"{units.shown}$^{units.ndim}$"
    panels = (
        ("speed", f"speed ({units.shown}/{units.time})", "no cell is linked"),
        ("size", f"{'area' if units.ndim == 2 else 'volume'} ({square})", "points have no size"),
        ("growth_rate", f"growth rate (1/{units.long_time})", "no size is known in two frames"),
        (touching, "cells that touch" if touching == "contacts" else "neighbours", "no cell"),
        ("density", f"density (1/{square})", "no frame has two cells"),
    )
    for ax, (name, label, absence) in zip([*axes[:3], *axes[4:]], panels, strict=True):
        _draw_course(ax, known.get(name), label, absence, units)
    _draw_divisions(axes[3], divisions, units)
    return figure


def _draw_course(ax: Axes, course: Course | None, label: str, absence: str, units: Units) -> None:
    style_axes(ax, f"time ({units.times})", label)
    if course is None:
        note_absence(ax, absence)
        return
    counted = course.quantity in {"neighbours", "contacts"}  # small whole numbers, whose median jumps
    draw_band(ax, course.time, course.low, course.mean if counted else course.median, course.high)
    if course.quantity == "growth_rate":
        ax.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    else:
        ax.set_ylim(bottom=0)


def _draw_divisions(ax: Axes, divisions: DivisionCourse, units: Units) -> None:
    """Draw the number of divisions in windows, and their rate per cell with a scale of its own."""
    style_axes(ax, f"time ({units.times})", f"divisions in {divisions.end[0] - divisions.start[0]:.3g} {units.times}")
    if not divisions.divisions.any():
        note_absence(ax, "no division")
        return
    ax.bar(divisions.start, divisions.divisions, 0.9 * (divisions.end - divisions.start), align="edge", color=FAINT)
    right = ax.twinx()
    edges = np.append(divisions.start, divisions.end[-1])
    right.stairs(divisions.rate, edges, baseline=None, color=BLUE, linewidth=1.4)
    right.set_ylim(0, 1.1 * float(np.nanmax(divisions.rate)))
    right.set_ylabel(f"divisions per cell (1/{units.long_time})", fontsize=8, color=BLUE)
    right.tick_params(labelsize=7, length=2.5, colors=BLUE)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.spines[:].set_visible(False)
