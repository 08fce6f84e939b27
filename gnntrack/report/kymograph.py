"""Kymograph: the intensity along a line or an axis over time, with the tracks on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gnntrack.errors import InputError
from gnntrack.plurals import count_noun
from gnntrack.report.annotations import choose_time_axis
from gnntrack.report.contrast import find_contrast, project_image
from gnntrack.report.panels import INK, style_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from gnntrack.report.cell_colours import CellColours
    from gnntrack.report.styles import KymographStyle
    from gnntrack.types import BoolArray, Cells, FloatArray, FrameStack, Image, Lineage, Progress

__all__ = ["KymographPath", "draw_kymograph", "resolve_path", "sample_kymograph"]

_DPI = 300
_SIZE = (4.72, 4.72)  # inches: 12 cm
_HALO = (0.0, 0.0, 0.0, 0.6)  # black under the tracks, so that they differ from bright cells
_FEW = 60  # tracks that are drawn with thick lines
_MOST = 300  # tracks that leave the intensity visible


class KymographPath(NamedTuple):
    """The positions of a kymograph: an axis, or a line with a width."""

    axis: str
    """``"x"``, ``"y"`` or ``"z"``, or empty for a line."""
    start: FloatArray
    """(2,) column and row of the first end of a line, in pixels."""
    direction: FloatArray
    """(2,) unit vector along the line."""
    length: float
    """Pixels along the line or axis."""
    width: float
    """Pixels across a line."""
    projection: str
    """``"max"`` or ``"mean"``."""

    def measure(self, cells: Cells) -> tuple[FloatArray, BoolArray]:
        """Return the position of each cell along the path in pixels, and whether it is within its width; (N,) each."""
        place = cells.position / np.array(cells.spacing)
        if self.axis:
            along = place[:, -1 - "xyz".index(self.axis)]
            return along, np.ones(len(along), bool)
        offset = place[:, :-3:-1] - self.start
        along = offset @ self.direction
        across = offset @ np.array([-self.direction[1], self.direction[0]])
        return along, (along >= -0.5) & (along <= self.length + 0.5) & (np.abs(across) <= self.width / 2)


def resolve_path(style: KymographStyle, cells: Cells) -> KymographPath:
    """Return the path of a kymograph.

    Raises
    ------
    InputError
        If it is neither an axis of the movie nor a line inside its frames.
    """
    height, width = cells.shape[-2:]
    axes = "xyz"[: cells.ndim]
    if isinstance(style.along, str):
        if style.along not in list(axes):
            msg = f"along={style.along!r}: expected one of {', '.join(axes)}, or a line x0,y0,x1,y1 in pixels"
            raise InputError(msg)
        length = float(cells.shape[-1 - axes.index(style.along)])
        return KymographPath(style.along, np.zeros(2), np.zeros(2), length, 0.0, style.projection)
    ends = np.array(style.along, float).ravel()
    if len(ends) != 4 or not np.isfinite(ends).all():
        msg = f"along={style.along!r}: expected an axis ({', '.join(axes)}), or a line: four numbers x0,y0,x1,y1"
        raise InputError(msg)
    start, end = ends.reshape(2, 2)
    length = float(np.linalg.norm(end - start))
    inside = (ends >= -0.5).all() and (ends.reshape(2, 2) <= np.array([width, height]) - 0.5).all()
    if not inside or length < 1:
        what = "is shorter than a pixel" if inside else f"leaves the frame of {width} x {height} pixels"
        msg = f"along: the line from ({start[0]:g}, {start[1]:g}) to ({end[0]:g}, {end[1]:g}) {what}; choose other ends"
        raise InputError(msg)
    return KymographPath("", start, (end - start) / length, length, style.width, style.projection)


def sample_kymograph(
    images: FrameStack, path: KymographPath, frames: Sequence[int], *, progress: Progress | None = None
) -> FloatArray:
    """Return the intensity at each pixel of a path in each frame.

    Parameters
    ----------
    images : FrameStack
        The movie.
    path : KymographPath
        From `resolve_path`.
    frames : T ints
        The frames.
    progress : Progress, optional
        Called after each frame.

    Returns
    -------
    (T, L) float64
        The largest or mean intensity across the width of a line, or in the whole frame across an axis. Along a line,
        samples are a pixel apart and linearly interpolated.
    """
    rows = []
    for done, frame in enumerate(frames, start=1):
        rows.append(_sample_frame(np.asarray(images[frame]), path))
        if progress is not None:
            progress("reading images", done, len(frames))
    return np.asarray(np.stack(rows), np.float64)


def _sample_frame(image: Image, path: KymographPath) -> FloatArray:
    reduce: Any = np.max if path.projection == "max" else np.mean
    if path.axis:
        kept = image.ndim - 1 - "xyz".index(path.axis)
        return np.asarray(reduce(image, axis=tuple(axis for axis in range(image.ndim) if axis != kept)))
    from scipy.ndimage import map_coordinates

    flat = image
    if image.ndim == 3:
        flat = project_image(image) if path.projection == "max" else image.mean(0)
    along = np.arange(int(np.floor(path.length + 1e-9)) + 1)
    half = (path.width - 1) / 2
    across = np.linspace(-half, half, max(1, round(path.width)))
    normal = np.array([-path.direction[1], path.direction[0]])
    x, y = (path.start[k] + along[:, None] * path.direction[k] + across[None] * normal[k] for k in (0, 1))
    return np.asarray(reduce(map_coordinates(flat.astype(np.float32), [y, x], order=1, mode="nearest"), axis=1))


def draw_kymograph(
    values: FloatArray,
    path: KymographPath,
    *,
    lineage: Lineage,
    frames: range,
    shown: BoolArray,
    colours: CellColours,
    pixel: float | None = None,
    interval: float | None = None,
) -> Figure:
    """Draw a kymograph with the tracks on it: position to the right, time down.

    Parameters
    ----------
    values : (T, L) array
        From `sample_kymograph`.
    path : KymographPath
        From `resolve_path`.
    lineage : Lineage
        The tracks; cells beside a line are not drawn.
    frames : range of T
        The frames of the rows.
    shown : (N,) bool
        Which cells are drawn.
    colours : CellColours
        Their colours.
    pixel : float, optional
        Size of a pixel in um; without it positions are in pixels.
    interval : float, optional
        Seconds from a frame to the next; without it times are in frames.

    Returns
    -------
    Figure
        As of `gnntrack.report.draw_lineage_tree`.
    """
    figure = Figure(figsize=_SIZE, dpi=_DPI, layout="constrained")
    ax = figure.subplots()
    step = 1.0 if pixel is None else pixel
    if path.axis:  # an axis of the movie may have another size of a voxel
        spacing = lineage.cells.spacing
        step *= spacing[-1 - "xyz".index(path.axis)] / spacing[-1]
    grey = find_contrast([values.repeat(2, 0).repeat(2, 1)]).apply(values)
    extent = (-0.5 * step, (values.shape[1] - 0.5) * step, frames[-1] + 0.5, frames[0] - 0.5)
    ax.imshow(grey, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="nearest", extent=extent)
    hidden = _draw_tracks(ax, path, lineage, shown, colours, step=step)
    if hidden:
        note = f"the {_MOST} longest of {count_noun(_MOST + hidden, 'track')} are drawn"
        ax.set_title(note, fontsize=7, loc="left", color=INK)
    ax.set_xlim(*extent[:2])
    ax.set_ylim(*extent[2:])
    axis = choose_time_axis(frames[0], frames[-1], interval)
    ax.set_yticks(axis.places, axis.texts)
    where = f"{path.axis} position" if path.axis else "position along the line"
    unit = "µm" if pixel is not None else "plane" if path.axis == "z" else "pixel"
    style_axes(ax, f"{where} ({unit})", axis.name)
    if colours.key:
        handles = [Line2D([], [], color=colour, linewidth=2, label=text) for text, colour in colours.key]
        figure.legend(handles=handles, loc="outside right upper", fontsize=7, frameon=False, title=colours.title,
                      title_fontsize=7)  # fmt: skip
    return figure


def _draw_tracks(
    ax: Axes, path: KymographPath, lineage: Lineage, shown: BoolArray, colours: CellColours, *, step: float
) -> int:
    """Draw each link between two cells on the path, and a dot for a cell without such a link.

    If the tracks are too many, the longest are drawn, and the number of the others is returned.
    """
    cells = lineage.cells
    along, inside = path.measure(cells)
    inside &= shown
    ids, count = np.unique(lineage.track[inside], return_counts=True)
    drawn = ids[np.argsort(-count, kind="stable")[:_MOST]]
    inside &= np.isin(lineage.track, drawn)
    points = np.column_stack([along * step, cells.frame])
    both = inside[lineage.source] & inside[lineage.target]
    source, target = lineage.source[both], lineage.target[both]
    lines: Any = np.stack([points[source], points[target]], axis=1)
    width = 1.2 if len(drawn) <= _FEW else 0.7
    ax.add_collection(LineCollection(lines, colors=_HALO, linewidths=width + 1, capstyle="round"))
    ax.add_collection(LineCollection(lines, colors=colours.cells[target], linewidths=width, capstyle="round"))
    alone = inside.copy()
    alone[source] = alone[target] = False
    ax.scatter(points[alone, 0], points[alone, 1], s=4, c=colours.cells[alone], linewidths=0, zorder=3)
    return len(ids) - len(drawn)
