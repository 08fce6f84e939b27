"""Montage: frames of a movie side by side with outlines, time stamps and a scale bar, for print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gnntrack.report.annotations import choose_round_length, format_length, format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from gnntrack.report.movie_scene import MovieScene

__all__ = ["choose_columns", "draw_montage"]

_WIDTH = 6.7  # inches: 17 cm, two columns of a journal
_GAP = 0.03  # inches between panels
_DPI = 300
_LINE, _TEXT = 0.8, 7  # points
# under texts; a halo would turn them into lines, which cannot be edited as text
_SHADE: Any = {"boxstyle": "square,pad=0.15", "facecolor": "black", "alpha": 0.45, "linewidth": 0}


def choose_columns(count: int, aspect: float) -> int:
    """Return the panels in a row, for a figure that is wider than high, with few empty places.

    Parameters
    ----------
    count : int
        Number of panels.
    aspect : float
        Height of a panel, in widths.

    Examples
    --------
    >>> [choose_columns(n, 1.0) for n in (1, 3, 4, 6, 8, 9)], choose_columns(6, 0.4), choose_columns(6, 3.0)
    ([1, 3, 4, 3, 4, 3], 2, 6)
    """
    best = max(1, np.sqrt(2 * count * aspect))  # the figure is twice as wide as high
    return min(range(1, count + 1), key=lambda n: (abs(np.log(n / best)) + 0.25 * (-count % n), n))


def draw_montage(scene: MovieScene, frames: Sequence[int], *, width: float = _WIDTH, ids: bool = False) -> Figure:
    """Draw frames of a movie side by side.

    Outlines, paths and texts are vectors, which other programs can edit. The first panel has the scale bar.

    Parameters
    ----------
    scene : MovieScene
        The movie and its cells.
    frames : sequence of int
        Frames of the panels.
    width : float
        Width of the figure in inches, default 17 cm.
    ids : bool
        Whether the id of its track is written on each cell.

    Returns
    -------
    Figure
        As of `gnntrack.report.draw_lineage_tree`.
    """
    aspect = scene.shape[0] * scene.aspect / scene.shape[1]
    columns = choose_columns(len(frames), aspect)
    rows = -(-len(frames) // columns)
    panel = (width - (columns - 1) * _GAP) / columns
    key = 0.3 if scene.colours.key else 0.0
    height = rows * panel * aspect + (rows - 1) * _GAP + key
    figure = Figure(figsize=(width, height), dpi=_DPI)
    for k, frame in enumerate(frames):
        left, top = (k % columns) * (panel + _GAP), height - (k // columns) * (panel * aspect + _GAP)
        place = (left / width, (top - panel * aspect) / height, panel / width, panel * aspect / height)
        ax = figure.add_axes(place)
        _draw_panel(ax, scene, frame, width=panel, ids=ids)
        if not k and scene.pixel is not None:
            _draw_scale(ax, scene.shape, scene.pixel, width=panel)
    if key:
        handles = [Line2D([], [], color=colour, linewidth=2, label=text) for text, colour in scene.colours.key]
        title = Line2D([], [], linewidth=0, label=scene.colours.title)
        figure.legend(
            handles=[title, *handles], loc="lower center", ncols=len(handles) + 1, fontsize=_TEXT, frameon=False
        )
    return figure


def _draw_panel(ax: Axes, scene: MovieScene, frame: int, *, width: float, ids: bool) -> None:
    """Draw a frame in a panel of a width in inches."""
    height, columns = scene.shape
    point = 72 * width / columns  # points in a pixel
    line = _LINE if scene.diameter is None else float(np.clip(scene.diameter * point / 12, 0.3, _LINE))
    grey = scene.read_grey(frame)
    ax.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation="nearest", aspect="auto")
    colours = scene.colours.cells
    steps, places = scene.list_steps(frame), scene.places
    outlines = scene.list_outlines(frame)
    closed: Any = [np.concatenate([points, points[:1]]) for _, points in outlines]
    owners = [row for row, _ in outlines]
    ax.add_collection(LineCollection(closed, colors=colours[owners], linewidths=line, joinstyle="round"))
    lines: Any = np.stack([places[steps.source], places[steps.target]], axis=1)
    ax.add_collection(LineCollection(lines, colors=steps.colour, linewidths=line, capstyle="round"))
    rows = scene.list_rows(frame)
    if scene.runs is None:
        ax.scatter(places[rows, 0], places[rows, 1], s=9, c=colours[rows], edgecolors="black", linewidths=0.4)
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(height - 0.5, -0.5)
    ax.set_axis_off()
    if ids:
        for row in rows.tolist():
            x, y = places[row].tolist()
            _write(ax, x, y, str(scene.lineage.track[row]), ha="center", va="center", fontsize=5, clip_on=True)
    time = format_time(frame, scene.interval, scene.lineage.cells.n_frames - 1)
    _write(ax, 0.03, 0.97, time, transform=ax.transAxes, ha="left", va="top", fontsize=_TEXT)


def _draw_scale(ax: Axes, shape: tuple[int, int], pixel: float, *, width: float) -> None:
    """Draw a bar of a round length at the lower right of a panel of a width in inches."""
    height, columns = shape
    length = choose_round_length(columns * pixel / 3)
    right, y = columns * 0.96, height * 0.94
    left = right - length / pixel
    (bar,) = ax.plot([left, right], [y, y], color="white", linewidth=2, solid_capstyle="butt")
    bar.set_path_effects([patheffects.withStroke(linewidth=3, foreground="black", alpha=0.75)])
    text = format_length(length)
    half = 0.32 * _TEXT * len(text) / 72 * columns / width  # of the text, in pixels
    centre = min((left + right) / 2, columns * 0.98 - half)
    _write(ax, centre, y - 0.025 * height, text, ha="center", va="bottom", fontsize=_TEXT)


def _write(ax: Axes, x: float, y: float, text: str, **more: Any) -> None:
    ax.text(x, y, text, color="white", bbox=_SHADE, **more)
