"""Figure of surroundings: neighbours, distances and density, and how often neighbours change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.report.panels import BLUE, draw_band, draw_histogram, make_panels, note_absence, style_axes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gnntrack.report.panels import Columns
    from gnntrack.types import FloatArray, Units

__all__ = ["draw_surroundings"]


def draw_surroundings(tables: Mapping[str, Columns], units: Units) -> Figure:
    """Draw the surroundings of the cells of a lineage.

    Parameters
    ----------
    tables : mapping of str to columns
        The tables ``cells``, ``tracks`` and ``frames`` of `gnntrack.analyse`.
    units : Units
        Units in the names of their columns.

    Returns
    -------
    Figure
        Number of neighbours; distance to the nearest cell and density in time, with the middle half of the cells as a
        band; change of neighbours of the tracks.
    """
    figure, axes = make_panels(2, 2)
    cells = tables["cells"]
    number = cells["neighbours"]
    style_axes(axes[0], "neighbours", "fraction of cells")
    share = np.bincount(number.astype(int)) / max(len(number), 1)
    axes[0].bar(np.arange(len(share)), share, 0.85, color=BLUE, alpha=0.8)
    time = tables["frames"]["frame"] * units.hours
    distance = f"neighbour_distance_{units.length}"
    _draw_course(axes[1], cells, distance, time, units, f"distance to the nearest cell ({units.shown})")
    density = f"density_per_{units.length}{units.ndim}"
    _draw_course(axes[2], cells, density, time, units, f"density (1/{units.shown}$^{units.ndim}$)")
    exchange = tables["tracks"][f"neighbour_exchange_per_{units.long_time}"]
    draw_histogram(axes[3], exchange, x=f"neighbours exchanged (1/{units.long_time})", y="tracks")
    return figure


def _draw_course(ax: Axes, cells: Columns, name: str, time: FloatArray, units: Units, label: str) -> None:
    """Draw the median of a column in each frame, and a band for the middle half of the cells."""
    style_axes(ax, f"time ({units.times})", label)
    known = np.isfinite(cells[name])
    if not known.any():
        note_absence(ax, "no frame has two cells")
        return
    values, frame = cells[name][known], cells["frame"][known]
    order = np.argsort(frame, kind="stable")
    present, first = np.unique(frame[order], return_index=True)
    parts = np.split(values[order], first[1:])
    low, middle, high = np.array([np.percentile(part, [25, 50, 75]) for part in parts]).T
    draw_band(ax, time[present], low, middle, high)
    ax.set_ylim(bottom=0)
