"""Shared by the figures of an analysis: panels with letters, their axes, and histograms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from gnntrack.types import FloatArray

    Columns = Mapping[str, npt.NDArray[Any]]

__all__ = ["BLUE", "FAINT", "INK", "RED", "draw_band", "draw_histogram", "make_panels", "note_absence", "style_axes"]

INK, FAINT, BLUE, RED = "#333333", "#bbbbbb", "#1f6f8b", "#b3441c"


def make_panels(rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of the width of two columns of a journal, and its panels with letters."""
    figure = Figure(figsize=(7.0, 2.7 * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for letter, ax in zip("abcdefgh", axes, strict=False):
        ax.set_title(letter, loc="left", fontsize=10, fontweight="bold", color=INK)
    return figure, axes


def style_axes(ax: Axes, x: str, y: str) -> None:
    """Label the axes of a panel, and draw only the lines that carry a scale."""
    ax.set_xlabel(x, fontsize=8, color=INK)
    ax.set_ylabel(y, fontsize=8, color=INK)
    ax.tick_params(labelsize=7, colors=INK, length=2.5)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(INK)


def note_absence(ax: Axes, text: str) -> None:
    """Write into an empty panel why it is empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=8, color="#888888", wrap=True)
    ax.set_xticks([])
    ax.set_yticks([])


def draw_band(ax: Axes, x: FloatArray, low: FloatArray, middle: FloatArray, high: FloatArray) -> None:
    """Draw a curve, with a band from `low` to `high`."""
    ax.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0)
    ax.plot(x, middle, color=BLUE, linewidth=1.4)


def draw_histogram(ax: Axes, values: FloatArray, *, x: str, y: str) -> None:
    """Draw the known values between their 0.5 and 99.5 percentiles as a histogram, with their median as a line."""
    known = values[np.isfinite(values)]
    style_axes(ax, x, y)
    if not len(known):
        note_absence(ax, "not measured")
        return
    low, high = np.percentile(known, [0.5, 99.5])
    width = (high - low) or 1.0
    ax.hist(known, bins=int(np.clip(np.sqrt(len(known)), 8, 40)), range=(low, low + width), color=BLUE, alpha=0.8)
    median = float(np.median(known))
    ax.axvline(median, color=RED, linewidth=1.2, label=f"median {median:.3g}")
    ax.legend(fontsize=7, frameon=False, labelcolor=INK)
