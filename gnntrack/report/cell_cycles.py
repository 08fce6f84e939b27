"""Figure of cell cycles: fraction undivided by age, numbers of cells, sisters, growth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.report.panels import (
    BLUE,
    FAINT,
    INK,
    RED,
    draw_histogram,
    make_panels,
    note_absence,
    style_axes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gnntrack.report.panels import Columns
    from gnntrack.types import Units

__all__ = ["draw_cycles"]


def draw_cycles(tables: Mapping[str, Columns], units: Units) -> Figure:
    """Draw the cell cycles and the growth of a lineage.

    Parameters
    ----------
    tables : mapping of str to columns
        The tables ``survival``, ``frames``, ``tracks`` and ``movie`` of `gnntrack.analyse`.
    units : Units
        Units in the names of their columns.

    Returns
    -------
    Figure
        Fraction of cells that have not divided, by age; numbers of cells and of divisions in time; cycles of sisters;
        growth rates.
    """
    figure, axes = make_panels(2, 2)
    _draw_survival(axes[0], tables["survival"], tables["movie"], units)
    _draw_numbers(axes[1], tables["frames"], units)
    _draw_sisters(axes[2], tables["tracks"], units)
    rate = f"growth_rate_per_{units.long_time}"
    if rate in tables["tracks"]:
        label = f"growth rate of the {'area' if units.ndim == 2 else 'volume'} (1/{units.long_time})"
        draw_histogram(axes[3], tables["tracks"][rate], x=label, y="tracks")
    else:
        note_absence(axes[3], "points have no size that grows")
    return figure


def _draw_survival(ax: Axes, survival: Columns, movie: Columns, units: Units) -> None:
    """Draw the Kaplan-Meier curve with its confidence band, and a tick where a cell is last seen."""
    style_axes(ax, f"age ({units.times})", "fraction of cells undivided")
    age = np.asarray(survival[f"age_{units.long_time}"], float)
    if not len(age):
        note_absence(ax, "no cell begins with a division")
        return
    age, fraction = np.append(0.0, age), np.append(1.0, survival["undivided"])
    low, high = (np.append(1.0, survival[f"undivided_{end}"]).astype(float) for end in ("low", "high"))
    flat = np.isnan(low)
    low, high = np.where(flat, fraction, low), np.where(flat, fraction, high)
    ax.fill_between(age, low, high, step="post", color=BLUE, alpha=0.2, linewidth=0, label="95 % interval")
    ax.step(age, fraction, where="post", color=BLUE, linewidth=1.4)
    censored = np.append(0, survival["censored"]) > 0
    ax.plot(age[censored], fraction[censored], "|", color=INK, markersize=4, markeredgewidth=0.6, label="last seen")
    median = float(movie["value"][movie["quantity"] == "cycle_median"][0])
    if np.isfinite(median):
        ax.plot([0, median, median], [0.5, 0.5, 0], color=RED, linewidth=1, linestyle="--")
        ax.plot([], [], color=RED, linestyle="--", label=f"median {median:.3g} {units.times}")
    ax.set_ylim(0, 1.02)
    ax.set_xlim(left=0)
    ax.legend(fontsize=7, frameon=False, labelcolor=INK, loc="upper right")


def _draw_numbers(ax: Axes, frames: Columns, units: Units) -> None:
    """Draw the number of cells, and the divisions below it with a scale of their own."""
    time = frames["frame"] * units.hours
    style_axes(ax, f"time ({units.times})", "cells")
    ax.plot(time, frames["cells"], color=BLUE, linewidth=1.4)
    ax.set_ylim(bottom=0)
    right = ax.twinx()
    groups = max(len(time) // 30, 1)
    edges = np.arange(0, len(time) + groups, groups)
    count = np.add.reduceat(frames["divisions"], edges[:-1])
    step = time[1] - time[0] if len(time) > 1 else 1.0
    right.bar(edges[:-1] * step, count, groups * step * 0.9, align="edge", color=FAINT)
    most = max(int(count.max(initial=0)), 1)
    right.set_ylim(0, 3 * most)
    right.set_yticks([0, most])
    right.set_ylabel(f"divisions in {groups * step:.3g} {units.times}", fontsize=8, color="#888888")
    right.tick_params(labelsize=7, colors="#888888", length=2.5)
    right.spines[:].set_visible(False)
    ax.set_zorder(right.get_zorder() + 1)
    ax.patch.set_visible(False)


def _draw_sisters(ax: Axes, tracks: Columns, units: Units) -> None:
    """Draw the complete cycles of the two daughters of each division against each other."""
    name = f"cycle_{units.long_time}"
    style_axes(ax, f"cycle of a cell ({units.times})", f"cycle of its sister ({units.times})")
    known = np.isfinite(tracks[name]) & (tracks["parent"] > 0)
    parent, cycle = tracks["parent"][known], tracks[name][known]
    order = np.argsort(parent, kind="stable")
    parent, cycle = parent[order], cycle[order]
    first = np.flatnonzero(parent[1:] == parent[:-1])
    if not len(first):
        note_absence(ax, "no two sisters have complete cycles")
        return
    top = float(cycle.max()) * 1.05
    ax.plot([0, top], [0, top], color=FAINT, linewidth=1, zorder=0)
    ax.plot(cycle[first], cycle[first + 1], "o", color=BLUE, markersize=3.5, alpha=0.6, markeredgewidth=0)
    ax.set_xlim(0, top)
    ax.set_ylim(0, top)
    ax.set_aspect("equal")
