"""Figure of motion: paths, mean squared displacement, speeds, turning angles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.ticker import LogFormatter

from gnntrack.plurals import count_noun
from gnntrack.report.palette import choose_family_colours
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

__all__ = ["draw_motion"]

_MOST_PATHS = 150


def draw_motion(tables: Mapping[str, Columns], units: Units) -> Figure:
    """Draw the motion of the cells of a lineage.

    Parameters
    ----------
    tables : mapping of str to columns
        The tables ``cells``, ``tracks``, ``msd`` and ``movie`` of `gnntrack.analyse`.
    units : Units
        Units in the names of their columns.

    Returns
    -------
    Figure
        Paths of the longest tracks from a common origin; mean squared displacement with the fits; distributions of
        speeds and of turning angles.
    """
    figure, axes = make_panels(2, 2)
    _draw_paths(axes[0], tables["cells"], units)
    _draw_msd(axes[1], tables["msd"], _list_values(tables["movie"]), units)
    speed = f"{units.length}_per_{units.time}"
    label = f"mean speed ({units.shown}/{units.time})"
    draw_histogram(axes[2], tables["tracks"][f"mean_speed_{speed}"], x=label, y="tracks")
    _draw_turning(axes[3], tables["cells"], units.ndim)
    return figure


def _list_values(movie: Columns) -> dict[str, float]:
    return dict(zip(movie["quantity"].tolist(), movie["value"].tolist(), strict=True))


def _draw_paths(ax: Axes, cells: Columns, units: Units) -> None:
    """Draw the paths of the longest tracks, each from its first cell, in the colours of the families."""
    order = np.lexsort((cells["frame"], cells["track"]))
    track = cells["track"][order]
    position = np.column_stack([cells[f"{axis}_{units.length}"][order] for axis in "xy"])
    _, first, count = np.unique(track, return_index=True, return_counts=True)
    longest = np.argsort(-count, kind="stable")[:_MOST_PATHS]
    longest = longest[count[longest] > 1]
    lines: list[Any] = [position[first[k] : first[k] + count[k]] - position[first[k]] for k in longest]
    colours = choose_family_colours(cells["root"][order][first[longest]])
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=0.6, alpha=0.8, rasterized=True))
    reach = max([float(np.abs(line).max()) for line in lines], default=0.0) * 1.05 or 1.0
    ax.set_xlim(-reach, reach)
    ax.set_ylim(reach, -reach)  # y runs down, as in the image
    ax.set_aspect("equal")
    ax.axhline(0, color=FAINT, linewidth=0.5, zorder=0)
    ax.axvline(0, color=FAINT, linewidth=0.5, zorder=0)
    number = f"{len(lines)} of {count_noun(len(first), 'track')}"
    ax.text(0.02, 0.02, number, transform=ax.transAxes, fontsize=6.5, color=INK)
    style_axes(ax, f"x from the start ({units.shown})", f"y from the start ({units.shown})")


def _draw_msd(ax: Axes, msd: Columns, values: dict[str, float], units: Units) -> None:
    """Draw the mean squared displacement with its errors, and the fitted models."""
    square, unit = f"{units.length}2", f"{units.shown}$^2$"
    lag = np.asarray(msd[f"lag_{units.time}"], float)
    mean, error = msd[f"msd_{square}"], np.nan_to_num(msd[f"msd_error_{square}"].astype(float))
    times = "frames" if units.time == "frame" else units.time
    style_axes(ax, f"time lag ({times})", f"mean squared displacement ({unit})")
    if not (mean > 0).any():
        note_absence(ax, "nothing moves, or no track has two cells")
        return
    ax.loglog(lag, msd[f"msd_from_start_{square}"], ".", color=FAINT, markersize=4, label="from the start of tracks")
    ax.fill_between(lag, np.maximum(mean - error, 0.5 * mean), mean + error, color=BLUE, alpha=0.25, linewidth=0)
    ax.loglog(lag, mean, "o", color=BLUE, markersize=3, label="time average")
    fitted = lag[msd["fitted"] == 1]
    for name, curve in _list_models(fitted, values, units).items():
        ax.loglog(fitted, curve, color=RED, linewidth=1.2, label=name)
    for axis in (ax.xaxis, ax.yaxis):  # 20, 100: shorter than powers
        axis.set_major_formatter(LogFormatter())
        axis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.4)))
    ax.tick_params(which="minor", labelsize=7, colors=INK, length=1.5)
    ax.legend(fontsize=6.5, frameon=False, labelcolor=INK)


def _list_models(lag: Any, values: dict[str, float], units: Units) -> dict[str, Any]:
    """Return the fitted models by the text of the legend; the persistent random walk, or else free diffusion."""
    found: dict[str, Any] = {}
    diffusion, noise = values["diffusion"], values["localisation_error"]
    persistence, speed = values["persistence"], values["persistent_speed"]
    if np.isfinite(persistence):
        ratio = lag / persistence
        unit = "frames" if units.time == "frame" else units.time
        text = f"persistent: {persistence:.3g} {unit}, exponent {values['msd_exponent']:.3g}"
        offset = 2 * units.ndim * values["persistent_localisation_error"] ** 2
        found[text] = 2 * (speed * persistence) ** 2 * (ratio + np.expm1(-ratio)) + offset
    elif np.isfinite(diffusion):
        text = f"D = {diffusion:.3g} {units.shown}$^2$/{units.time}, exponent {values['msd_exponent']:.3g}"
        found[text] = 2 * units.ndim * (diffusion * lag + noise**2)
    return found


def _draw_turning(ax: Axes, cells: Columns, ndim: int) -> None:
    """Draw the distribution of turning angles, with that of random directions."""
    angle = np.degrees(cells["turning_rad"][np.isfinite(cells["turning_rad"])])
    style_axes(ax, "turning angle (degrees)", "probability density (1/degree)")
    if not len(angle):
        note_absence(ax, "no track has three cells in a row")
        return
    ax.hist(angle, bins=18, range=(0, 180), density=True, color=BLUE, alpha=0.8)
    grid = np.linspace(0, 180, 91)
    random = np.full(len(grid), 1 / 180) if ndim == 2 else np.radians(1) * np.sin(np.radians(grid)) / 2
    ax.plot(grid, random, color=RED, linewidth=1.2, label="random directions")
    ax.set_xticks([0, 45, 90, 135, 180])
    ax.legend(fontsize=7, frameon=False, labelcolor=INK)
