"""Lineage tree: time runs down, a line per track, a fork per division, families side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gnntrack.lineage.families import count_divisions, find_gaps, find_roots
from gnntrack.report.palette import choose_family_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gnntrack.types import Lineage, Tracks

__all__ = ["draw_lineage_tree"]

_COLUMNS = 90  # tracks side by side that can be distinguished over the width of a page
_SINGLES = 8  # if there are more tracks without a division, they share a strip
_THIN = 0.22  # width of a line's column in the strip
_DASH: Any = (0, (2, 1.5))
_INK, _FAINT = "#333333", "#bbbbbb"
_KEY = [
    Line2D([], [], color=_INK, marker="o", markersize=4, linewidth=0, label="appears"),
    Line2D([], [], color=_INK, marker="o", markersize=4, linewidth=0, markerfacecolor="white", label="disappears"),
    Line2D([], [], color=_INK, linewidth=1, linestyle=_DASH, label="not seen"),
]


@dataclass
class _Family:
    """Places of the tracks of one family: rows of the table, and a column for each."""

    rows: list[int]
    column: dict[int, float] = field(default_factory=dict)
    width: float = 1.0


def draw_lineage_tree(lineage: Lineage, *, most: int = 500, title: str | None = None) -> Figure:
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
    tracks = lineage.tracks
    families = _build_families(tracks)
    strip, forest = _separate_singles(families)
    shown, hidden = _select_largest(forest, most)
    lines = _break_into_lines(shown)
    figure = Figure(figsize=_choose_size(lines, strip), layout="constrained")
    ratios = [3.0] * len(lines) + ([1.6] if strip or not lines else [])
    axes = figure.subplots(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
    colours = choose_family_colours(find_roots(tracks))
    span = max((sum(f.width for f in line) + len(line) - 1 for line in lines), default=1.0)
    dashes = _list_gaps(lineage)
    for ax, line in zip(axes, lines, strict=False):
        _draw_line(ax, line, lineage, colours, dashes, span=span)
    notes = [hidden] if hidden else []
    if strip or not lines:
        notes += _draw_strip(axes[-1], strip, lineage, colours, dashes, most=most)
    _finish(figure, lineage, title, notes)
    return figure


def _build_families(tracks: Tracks) -> list[_Family]:
    """Return the families, largest first, each with its tracks laid out."""
    members: dict[int, list[int]] = {}
    for row, root in enumerate(find_roots(tracks).tolist()):
        members.setdefault(root, []).append(row)
    length = tracks.end - tracks.start + 1
    families = [_Family(rows) for rows in members.values()]
    families.sort(key=lambda f: (-len(f.rows), -int(length[f.rows].sum()), int(tracks.id[f.rows[0]])))
    for family in families:
        _lay_out(family, tracks)
    return families


def _separate_singles(families: list[_Family]) -> tuple[list[_Family], list[_Family]]:
    """Return the families for the strip and the others: families of one track go there if they are many."""
    single = [family for family in families if len(family.rows) == 1]
    if len(single) <= _SINGLES:
        return [], families
    return single, [family for family in families if len(family.rows) > 1]


def _lay_out(family: _Family, tracks: Tracks) -> None:
    """Give each track without daughters its own column, and each other track the middle of its daughters' columns."""
    daughters: dict[int, list[int]] = {row: [] for row in family.rows}
    for row, parent in zip(family.rows, np.searchsorted(tracks.id, tracks.parent[family.rows]).tolist(), strict=True):
        if tracks.parent[row]:
            daughters[parent].append(row)
    order = _order_rows(next(row for row in family.rows if not tracks.parent[row]), daughters)
    leaves = [row for row in order if not daughters[row]]
    family.column = {row: float(k) for k, row in enumerate(leaves)}
    for row in reversed(order):
        if daughters[row]:
            family.column[row] = float(np.mean([family.column[d] for d in (daughters[row][0], daughters[row][-1])]))
    family.width = float(len(leaves))


def _order_rows(root: int, daughters: dict[int, list[int]]) -> list[int]:
    """Return the rows of a family, each before its daughters, and these from left to right."""
    order, stack = [], [root]
    while stack:  # a chain of tracks may be too long for recursion
        row = stack.pop()
        order.append(row)
        stack += reversed(daughters[row])
    return order


def _select_largest(forest: list[_Family], most: int) -> tuple[list[_Family], str]:
    """Return the largest families with at most so many tracks, and a note about the others."""
    total = np.cumsum([len(family.rows) for family in forest])
    n = max(1, int(np.searchsorted(total, most, side="right")))
    hidden = sum(len(family.rows) for family in forest[n:])
    return forest[:n], f"{hidden} tracks of the {len(forest) - n} smallest families are not shown" if hidden else ""


def _break_into_lines(families: list[_Family]) -> list[list[_Family]]:
    """Break the families into lines of about equal width, like the words of a paragraph."""
    total = sum(family.width + 1 for family in families)
    limit = max([total / np.ceil(total / _COLUMNS) + 3, *(family.width for family in families)]) if families else 0
    lines: list[list[_Family]] = []
    used = np.inf
    for family in families:
        if used + family.width > limit:
            lines.append([])
            used = 0
        lines[-1].append(family)
        used += family.width + 1
    return lines


def _choose_size(lines: list[list[_Family]], strip: list[_Family]) -> tuple[float, float]:
    """Return width and height of the figure in inches."""
    widest = max((sum(f.width + 1 for f in line) for line in lines), default=0.0)
    width = float(np.clip(max(widest * 0.14, 10.0 if strip else 0.0) + 1, 5, 13.5))
    return width, (4.5 if len(lines) <= 1 else 3.0 * len(lines)) + (1.8 if strip else 0) + 0.5


def _list_gaps(lineage: Lineage) -> dict[int, list[tuple[int, int]]]:
    """Return, for each row of the table, the last and the first frame with a cell before and after each gap."""
    ends = find_gaps(lineage)
    rows = np.searchsorted(lineage.tracks.id, lineage.track[ends[0]]).tolist()
    first, last = (lineage.cells.frame[end].tolist() for end in ends)
    found: dict[int, list[tuple[int, int]]] = {}
    for row, before, after in sorted(zip(rows, first, last, strict=True)):
        found.setdefault(row, []).append((before, after))
    return found


def _list_sections(start: int, end: int, gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return first and last frame of each section of a track between gaps."""
    edges = [start, *(frame for gap in gaps for frame in gap), end]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _draw_line(
    ax: Axes,
    line: list[_Family],
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
    _format_axes(ax, lineage)


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
        sections = _list_sections(int(tracks.start[row]), int(tracks.end[row]), gaps)
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
    strip: list[_Family],
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
        for a, b in _list_sections(int(tracks.start[row]), int(tracks.end[row]), dashes.get(row, []))
    ]
    owner = [row for row in rows for _ in range(len(dashes.get(row, [])) + 1)]
    width = float(np.clip(600 / max(len(rows), 1), 0.7, 2.0))
    ax.add_collection(LineCollection(segments, colors=colours[owner], linewidths=width, capstyle="butt"))
    ax.set_xlim(-1, max(len(rows), 1 / _THIN))
    ax.set_title(
        f"{len(strip)} tracks without a division" if strip else "no tracks", fontsize=7, loc="left", color=_INK
    )
    _format_axes(ax, lineage)
    hidden = len(strip) - len(rows)
    return [f"the {hidden} shortest tracks without a division are not shown"] if hidden else []


def _format_axes(ax: Axes, lineage: Lineage) -> None:
    last = max(lineage.cells.n_frames - 1, 1)
    ax.set_ylim(last + 0.02 * last + 0.5, -0.06 * last - 0.5)
    ax.set_ylabel("frame", fontsize=7, color=_INK)
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.tick_params(axis="y", labelsize=6, colors=_INK, length=2)
    ax.set_xticks([])
    ax.grid(axis="y", color=_FAINT, linewidth=0.3, alpha=0.6)
    ax.set_axisbelow(True)
    ax.spines[:].set_visible(False)


def _finish(figure: Figure, lineage: Lineage, title: str | None, notes: list[str]) -> None:
    tracks = lineage.tracks
    numbers = [
        _count(len(tracks), "track"), _count(count_divisions(tracks), "division"),
        _count(int((tracks.parent == 0).sum()), "family", "families"),
        _count(lineage.cells.n_frames, "frame"),
    ]  # fmt: skip
    figure.suptitle(title or ", ".join(numbers), fontsize=9, color=_INK)
    if len(tracks):
        figure.legend(handles=_KEY, loc="outside lower right", ncols=3, fontsize=6, frameon=False, labelcolor=_INK)
    if notes:
        figure.supxlabel("; ".join(notes), fontsize=7, color="#aa3300")


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"
