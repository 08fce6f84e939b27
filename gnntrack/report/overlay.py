"""Overlay: a frame with outlines in the colours of the families, track ids, and the past positions of the cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import patheffects
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy import ndimage
from skimage.measure import find_contours

from gnntrack.report.annotations import choose_round_length
from gnntrack.report.projection import choose_track_colours, project_frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gnntrack.types import Image, IntArray, Lineage

__all__ = ["draw_overlay"]

_WIDTH = 7.0  # inches: two columns of a journal
_DPI = 250
_SMALLEST = 3.5  # points: smaller numbers cannot be read
_HALO: Any = [patheffects.withStroke(linewidth=1.2, foreground="black", alpha=0.75)]


def draw_overlay(
    image: Image | None,
    labels: Image,
    *,
    lineage: Lineage | None = None,
    frame: int | None = None,
    tails: int = 10,
    ids: bool = True,
) -> Figure:
    """Draw the tracks of one frame over its image.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array, or None
        Grey values, stretched between their 0.5 and 99.8 percentiles; a stack is projected (brightest plane).
        If None, the cells are drawn on black.
    labels : integer array of the same shape
        Track ids of the pixels, 0 = background, as in a CTC result; in a stack the upper cell hides the lower.
    lineage : Lineage, optional
        Gives the families, whose colours are those of the tree, and past positions. Without it each track has a
        colour of its own.
    frame : int, optional
        Number of the frame in `lineage`; needed for the tails.
    tails : int
        Length of the lines through past positions, in frames; they continue into the parents.
    ids : bool
        Write track ids in cells that are large enough.

    Returns
    -------
    Figure
        As of `gnntrack.report.draw_lineage_tree`.

    Raises
    ------
    FrameError
        If image and labels differ in shape, or are neither 2D nor 3D.

    Examples
    --------
    >>> labels = np.zeros((40, 60), np.uint16)
    >>> labels[10:20, 10:20] = 7
    >>> figure = draw_overlay(None, labels)
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['7']
    """
    background, tracks = project_frame(image, labels, frame)
    height, width = tracks.shape
    figure = Figure(figsize=(_WIDTH, _WIDTH * height / width), dpi=_DPI, facecolor="black")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.imshow(background, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    present = np.unique(tracks[tracks > 0])
    colour = choose_track_colours(present, lineage)
    point = 72 * _WIDTH / width  # points per pixel
    _draw_outlines(ax, tracks, colour, filled=image is None)
    if lineage is not None and frame is not None and tails > 0:
        _draw_tails(ax, lineage, frame, colour, tails=tails)
    if ids:
        _write_ids(ax, tracks, point)
    if lineage is not None and lineage.cells.unit == "um":
        _draw_scale(ax, lineage.cells.spacing[-1], width, height)
    ax.set_xlim(-0.5, width - 0.5)
    ax.set_ylim(height - 0.5, -0.5)
    ax.set_axis_off()
    return figure


def _draw_outlines(ax: Axes, tracks: IntArray, colour: dict[int, Any], *, filled: bool) -> None:
    lines, colours = [], []
    for track, box in _find_boxes(tracks):
        mask = np.pad(tracks[box] == track, 1)
        corner = np.array([box[0].start - 1, box[1].start - 1])
        for contour in find_contours(mask.astype(np.float32), 0.5):  # type: ignore[no-untyped-call]
            lines.append((contour + corner)[:, ::-1])
            colours.append(colour[track])
    if filled:
        ax.add_collection(LineCollection(lines, facecolors=[(*c, 0.45) for c in colours], linewidths=0))
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=1.1, joinstyle="round"))


def _find_boxes(tracks: IntArray) -> list[tuple[int, tuple[slice, slice]]]:
    present, rank = np.unique(tracks, return_inverse=True)
    if present[0] != 0:
        rank, present = rank + 1, np.concatenate([[0], present])
    boxes = ndimage.find_objects(rank.reshape(tracks.shape))
    return [(track, box) for track, box in zip(present[1:].tolist(), boxes, strict=True) if box is not None]


def _draw_tails(ax: Axes, lineage: Lineage, frame: int, colour: dict[int, Any], *, tails: int) -> None:
    """Draw a line through the past positions of each cell, fainter for earlier frames."""
    cells = lineage.cells
    place = cells.position[:, -2:] / np.array(cells.spacing[-2:])
    before = {int(t): int(s) for s, t in zip(lineage.source.tolist(), lineage.target.tolist(), strict=True)}
    lines, colours = [], []
    rows = cells.rows(frame)
    for row in range(rows.start, rows.stop):
        tint = colour.get(int(lineage.track[row]))
        here = row
        while tint is not None and here in before and cells.frame[before[here]] >= frame - tails:
            past = before[here]
            lines.append(place[[here, past]][:, ::-1])
            colours.append((*tint, 1 - 0.85 * (frame - cells.frame[past]) / tails))
            here = past
    ax.add_collection(LineCollection(lines, colors=colours, linewidths=1.3, capstyle="round"))


def _write_ids(ax: Axes, tracks: IntArray, point: float) -> None:
    """Write each track's id into its cell; the font size fits the median cell."""
    present, rank, size = np.unique(tracks, return_inverse=True, return_counts=True)
    inside = present > 0
    if not inside.any():
        return
    digits = np.array([max(len(str(track)), 2) for track in present.tolist()])
    room = 2 * np.sqrt(size / np.pi) * point / (0.65 * digits)
    fontsize = float(np.clip(np.median(room[inside]), _SMALLEST, 8))
    centres = ndimage.center_of_mass(np.ones(tracks.shape, np.int8), rank.reshape(tracks.shape), range(len(present)))
    for k in np.flatnonzero(inside & (room >= 0.7 * fontsize)).tolist():
        half = np.array([0.6, 0.35 * len(str(present[k]))]) * fontsize / point  # of the text, in pixels
        y, x = np.clip(centres[k], half - 0.5, np.maximum(np.array(tracks.shape) - 0.5 - half, half))  # not cut
        text = ax.text(x, y, str(present[k]), fontsize=fontsize, color="white", ha="center", va="center", clip_on=True)
        text.set_path_effects(_HALO)


def _draw_scale(ax: Axes, pixel: float, width: int, height: int) -> None:
    """Draw a bar of 1, 2 or 5 times a power of ten micrometres, about a sixth of the image wide."""
    length = choose_round_length(width * pixel / 6)
    right, y = width * 0.97, height * 0.965
    ax.plot([right - length / pixel, right], [y, y], color="white", linewidth=2.5, solid_capstyle="butt")
    text = ax.text(
        right - length / pixel / 2,
        y - height * 0.012,
        f"{length:g} µm",
        color="white",
        fontsize=8,
        ha="center",
        va="bottom",
    )
    text.set_path_effects(_HALO)
