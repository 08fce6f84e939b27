"""Lineage tree: time runs down, a line per track, a fork per division, families side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from gnntrack.lineage.families import count_divisions
from gnntrack.plurals import count_noun
from gnntrack.report.annotations import choose_time_axis
from gnntrack.report.cell_colours import choose_cell_colours, select_lineage
from gnntrack.report.tree_layout import (
    Family,
    break_into_lines,
    build_families,
    list_gaps,
    list_sections,
    select_largest,
    separate_singles,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gnntrack.report.cell_colours import CellColours
    from gnntrack.types import BoolArray, Lineage, Tracks

__all__ = ["draw_lineage_tree"]

_THIN = 0.22  # width of a line's column in the strip
_DASH: Any = (0, (2, 1.5))
_INK, _FAINT = "#333333", "#bbbbbb"
_KEY = [
    Line2D([], [], color=_INK, marker="o", markersize=4, linewidth=0, label="appears"),
    Line2D([], [], color=_INK, marker="o", markersize=4, linewidth=0, markerfacecolor="white", label="disappears"),
    Line2D([], [], color=_INK, linewidth=1, linestyle=_DASH, label="not seen"),
]


def draw_lineage_tree(
    lineage: Lineage,
    *,
    most: int = 500,
    title: str | None = None,
    shown: BoolArray | None = None,
    colour_by: str = "family",
    interval: float | None = None,
) -> Figure:
    """Draw the tracks of a lineage and their divisions.

    Time runs down. A track is a line in the colour of its family, a division is a fork; the number above a family is
    its first track. Lines are dashed in gaps. A dot marks a track that appears after the first frame, a circle one
    that ends before the last frame. Families are side by side, largest first, in several rows if one is too narrow.
    If there are many tracks without a division, they share a strip below.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    most : int
        Largest number of tracks in the rows of families, and of lines in the strip, default 500. The largest families
        and the longest lines are drawn; a note under the figure gives the number of the others.
    title : str, optional
        Default: the numbers of tracks, divisions, families and frames.
    shown : (K,) bool, optional
        Which rows of the table of tracks are drawn; default all. See `gnntrack.report.select_tracks`.
    colour_by : {"family", "track", "generation", "confidence"}
        Colours of the tracks, as in `gnntrack.report.choose_cell_colours`.
    interval : float, optional
        Seconds from a frame to the next; the axis is then in hours, minutes or seconds, and not in frames.

    Returns
    -------
    Figure
        To be shown, embedded, or written by `gnntrack.report.save_figure`.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> draw_lineage_tree(gnntrack.track(masks=masks)).get_suptitle()
    '1 track, 0 divisions, 1 family, 3 frames'
    """
    chosen = choose_cell_colours(lineage, colour_by)
    colours = chosen.tracks
    if shown is not None and not shown.all():
        lineage, colours = select_lineage(lineage, shown), colours[shown]
    strip, forest = separate_singles(build_families(lineage.tracks))
    largest, hidden = select_largest(forest, most)
    lines = break_into_lines(largest)
    figure = Figure(figsize=_choose_size(lines, strip), layout="constrained")
    ratios = [3.0] * len(lines) + ([1.6] if strip or not lines else [])
    axes = figure.subplots(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
    span = max((sum(f.width for f in line) + len(line) - 1 for line in lines), default=1.0)
    dashes = list_gaps(lineage)
    for ax, line in zip(axes, lines, strict=False):
        _draw_line(ax, line, lineage, colours, dashes, span=span)
    notes = [hidden] if hidden else []
    if strip or not lines:
        notes += _draw_strip(axes[-1], strip, lineage, colours, dashes, most=most)
    for ax in axes:
        _format_axes(ax, lineage, interval)
    _finish(figure, lineage, title, notes, chosen)
    return figure


def _choose_size(lines: list[list[Family]], strip: list[Family]) -> tuple[float, float]:
    """Return width and height of the figure in inches."""
    widest = max((sum(f.width + 1 for f in line) for line in lines), default=0.0)
    width = float(np.clip(max(widest * 0.14, 10.0 if strip else 0.0) + 1, 5, 13.5))
    return width, (4.5 if len(lines) <= 1 else 3.0 * len(lines)) + (1.8 if strip else 0) + 0.5


def _draw_line(
    ax: Axes,
    line: list[Family],
    lineage: Lineage,
    colours: np.ndarray,
    dashes: dict[int, list[tuple[int, int]]],
    *,
    span: float,
) -> None:
    """Draw one line of families."""
    tracks = lineage.tracks
    place: dict[int, float] = {}
    offset = 0.0
    for family in line:
        place |= {row: offset + column for row, column in family.column.items()}
        root = next(row for row in family.rows if not tracks.parent[row])
        ax.annotate(
            str(tracks.id[root]), (place[root], tracks.start[root]), xytext=(0, 4), textcoords="offset points",
            ha="center", va="bottom", rotation=90 if span > 45 else 0, fontsize=6, color=_INK,
        )  # fmt: skip
        offset += family.width + 1
    width = float(np.clip(130 / span, 1.0, 2.2))
    _draw_tracks(ax, place, lineage, colours, dashes, width=width)
    _draw_forks(ax, place, tracks, colours, width=width)
    if span <= 45:
        _name_tracks(ax, place, tracks)
    ax.set_xlim(-1, span)


def _draw_tracks(
    ax: Axes,
    place: dict[int, float],
    lineage: Lineage,
    colours: np.ndarray,
    dashes: dict[int, list[tuple[int, int]]],
    *,
    width: float,
) -> None:
    tracks = lineage.tracks
    solid, dashed, solid_rows, dashed_rows = [], [], [], []
    for row, x in place.items():
        gaps = dashes.get(row, [])
        sections = list_sections(int(tracks.start[row]), int(tracks.end[row]), gaps)
        solid += [((x, a), (x, b)) for a, b in sections]
        solid_rows += [row] * len(sections)
        dashed += [((x, a), (x, b)) for a, b in gaps]
        dashed_rows += [row] * len(gaps)
    ax.add_collection(LineCollection(solid, colors=colours[solid_rows], linewidths=width, capstyle="round"))
    ax.add_collection(LineCollection(dashed, colors=colours[dashed_rows], linewidths=0.7 * width, linestyles=_DASH))
    _mark_ends(ax, place, lineage, colours, size=2.2 * width + 1)


def _mark_ends(ax: Axes, place: dict[int, float], lineage: Lineage, colours: np.ndarray, *, size: float) -> None:
    """Draw a dot where a track appears and a circle where it disappears, inside the movie."""
    tracks, last = lineage.tracks, lineage.cells.n_frames - 1
    parents = set(tracks.parent.tolist())
    appears = [row for row in place if tracks.start[row] > 0 and not tracks.parent[row]]
    disappears = [row for row in place if tracks.end[row] < last and int(tracks.id[row]) not in parents]
    for rows, frame, fill in ((appears, tracks.start, True), (disappears, tracks.end, False)):
        edges: Any = colours[rows]
        ax.scatter(
            [place[row] for row in rows], frame[rows], s=size**2, zorder=3, linewidths=0.8,
            facecolors=edges if fill else "white", edgecolors=edges,
        )  # fmt: skip


def _draw_forks(ax: Axes, place: dict[int, float], tracks: Tracks, colours: np.ndarray, *, width: float) -> None:
    """Draw from each parent's end to the first frames of its daughters; dashed where frames lie between."""
    paths: dict[bool, list[Any]] = {True: [], False: []}
    rows: dict[bool, list[int]] = {True: [], False: []}
    row_of = {int(tracks.id[row]): row for row in place}
    for row, x in place.items():
        if not tracks.parent[row]:
            continue
        parent = row_of[int(tracks.parent[row])]
        end, start = int(tracks.end[parent]), int(tracks.start[row])
        at_once = start - end == 1
        paths[at_once].append([(place[parent], end), (place[parent], end + 0.5), (x, end + 0.5), (x, start)])
        rows[at_once].append(row)
    ax.add_collection(LineCollection(paths[True], colors=colours[rows[True]], linewidths=width, capstyle="round"))
    ax.add_collection(
        LineCollection(paths[False], colors=colours[rows[False]], linewidths=0.7 * width, linestyles=_DASH)
    )


def _name_tracks(ax: Axes, place: dict[int, float], tracks: Tracks) -> None:
    for row, x in place.items():
        if tracks.parent[row]:
            ax.annotate(
                str(tracks.id[row]), (x, tracks.start[row]), xytext=(2.5, -1), textcoords="offset points",
                va="top", fontsize=5, color=_INK, rotation=90,
            )  # fmt: skip


def _draw_strip(
    ax: Axes,
    strip: list[Family],
    lineage: Lineage,
    colours: np.ndarray,
    dashes: dict[int, list[tuple[int, int]]],
    *,
    most: int,
) -> list[str]:
    """Draw tracks without a division as thin lines, by first frame; return a note about those that are not shown."""
    tracks = lineage.tracks
    rows = [family.rows[0] for family in strip][:most]  # families come longest first
    rows.sort(key=lambda row: (int(tracks.start[row]), -int(tracks.end[row]), int(tracks.id[row])))
    segments = [
        ((k, a - 0.3), (k, b + 0.3))
        for k, row in enumerate(rows)
        for a, b in list_sections(int(tracks.start[row]), int(tracks.end[row]), dashes.get(row, []))
    ]
    owner = [row for row in rows for _ in range(len(dashes.get(row, [])) + 1)]
    width = float(np.clip(600 / max(len(rows), 1), 0.7, 2.0))
    ax.add_collection(LineCollection(segments, colors=colours[owner], linewidths=width, capstyle="butt"))
    ax.set_xlim(-1, max(len(rows), 1 / _THIN))
    ax.set_title(
        f"{count_noun(len(strip), 'track')} without a division" if strip else "no tracks",
        fontsize=7,
        loc="left",
        color=_INK,
    )
    hidden = len(strip) - len(rows)
    return [f"the {hidden} shortest tracks without a division are not shown"] if hidden else []


def _format_axes(ax: Axes, lineage: Lineage, interval: float | None) -> None:
    last = max(lineage.cells.n_frames - 1, 1)
    ax.set_ylim(last + 0.02 * last + 0.5, -0.06 * last - 0.5)
    axis = choose_time_axis(0, max(lineage.cells.n_frames - 1, 0), interval)
    ax.set_ylabel(axis.name, fontsize=7, color=_INK)
    ax.set_yticks(axis.places, axis.texts)
    ax.tick_params(axis="y", labelsize=6, colors=_INK, length=2)
    ax.set_xticks([])
    ax.grid(axis="y", color=_FAINT, linewidth=0.3, alpha=0.6)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)


def _finish(figure: Figure, lineage: Lineage, title: str | None, notes: list[str], colours: CellColours) -> None:
    tracks = lineage.tracks
    numbers = [
        count_noun(len(tracks), "track"), count_noun(count_divisions(tracks), "division"),
        count_noun(int((tracks.parent == 0).sum()), "family", "families"),
        count_noun(lineage.cells.n_frames, "frame"),
    ]  # fmt: skip
    figure.suptitle(title or ", ".join(numbers), fontsize=9, color=_INK)
    if len(tracks):
        figure.legend(handles=_KEY, loc="outside lower right", ncols=3, fontsize=6, frameon=False, labelcolor=_INK)
    if colours.key:
        key: list[Any] = [Line2D([], [], color=colour, linewidth=2, label=text) for text, colour in colours.key]
        figure.legend(
            handles=key, loc="outside right center", fontsize=6, frameon=False, labelcolor=_INK, title=colours.title,
            title_fontsize=6,
        )  # fmt: skip
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=7, color="#aa3300")
