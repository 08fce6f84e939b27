"""Overlay and lineage tree as plain pictures, in a tenth of the time of the figures.

`draw_overlay` and `draw_lineage_tree` make figures for print, in two to five seconds; these two functions draw the same
content with Pillow in a fraction of a second, for the result of each run.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from gnntrack.compression import compress
from gnntrack.lineage.families import count_divisions, find_roots
from gnntrack.plurals import count_noun
from gnntrack.report.annotations import choose_round_length
from gnntrack.report.palette import choose_family_colours
from gnntrack.report.projection import choose_track_colours, project_frame
from gnntrack.report.tree_layout import (
    break_into_lines,
    build_families,
    choose_ticks,
    list_gaps,
    list_sections,
    select_largest,
    separate_singles,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from gnntrack.report.tree_layout import Family
    from gnntrack.types import Cells, Image, Lineage

__all__ = ["find_full_frame", "paint_lineage_tree", "paint_overlay", "save_picture"]

_WIDTH = 1600  # pixels of a picture, about
_COLUMN = 14  # pixels per track in a family
_SINGLE, _SINGLE_NAMED = 4, 24  # pixels per track in the strip, at least and at most
_SMALL, _TITLE = 12, 15  # sizes of the font
_PANEL, _TOP, _LEFT, _HEADING = 420, 34, 60, 18
_INK = (51, 51, 51)
_UP = 2  # filter of PNG: the difference from the row above


def find_full_frame(cells: Cells) -> int:
    """Return the last frame with nearly as many cells as the fullest one: the frame of the overlay of a result.

    >>> from gnntrack.types import Cells
    >>> find_full_frame(Cells([0, 0, 1, 1, 2], [1, 2, 1, 2, 1], [[0, 0]] * 5, [[]] * 5, (), (), (1, 1), 3, (9, 9)))
    1
    """
    count = np.bincount(cells.frame, minlength=cells.n_frames)
    return int(np.flatnonzero(count >= 0.9 * count.max())[-1])


def paint_overlay(
    image: Image | None,
    labels: Image,
    lineage: Lineage | None,
    frame: int,
    *,
    tails: int = 10,
    spacing: Sequence[float] | None = None,
) -> Pillow.Image:
    """Draw the cells of a frame over its image, with its number and a scale bar.

    Parameters
    ----------
    image : (Y, X) or (Z, Y, X) array, or None
        Grey values; without them the cells are drawn on black.
    labels : integer array of the same shape
        Track ids of the pixels.
    lineage : Lineage or None
        Gives the families, whose colours are those of the tree, and past positions. If None, only outlines are drawn,
        each label in a colour of its own.
    frame : int
        Number of the frame.
    tails : int
        Length of the lines through past positions, in frames.
    spacing : sequence of float, optional
        Size of a voxel along ``[z], y, x`` in um, for the scale bar; by default that of the lineage.

    Returns
    -------
    PIL.Image.Image
        RGB.
    """
    background, tracks = project_frame(image, labels, frame)
    zoom = int(np.clip(round(_WIDTH / tracks.shape[1]), 1, 8))
    present, area = np.unique(tracks[tracks > 0], return_counts=True)
    colour = choose_track_colours(present, lineage)
    ids = np.array([0, *colour], np.int64)
    grey, large = (background * 255).astype(np.uint8), tracks.astype(np.int32)
    if zoom > 1:
        grey, large = (np.repeat(np.repeat(plane, zoom, 0), zoom, 1) for plane in (grey, large))
    pixels = np.repeat(grey[:, :, None], 3, axis=2)
    tints = np.array([(0, 0, 0), *((np.array(c) * 255).astype(int) for c in colour.values())], np.uint8)
    diameter = 2 * float(np.sqrt(np.median(area) / np.pi)) * zoom if len(area) else 0.0
    edge = _find_edges(large, width=int(np.clip(min(large.shape[1] / 600, diameter / 12), 1, 3)))
    pixels[edge] = tints[np.searchsorted(ids, large[edge])]
    picture = Pillow.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    if lineage is not None:
        _draw_tails(draw, lineage, frame, colour, zoom, tails)
        _write_ids(draw, lineage, frame, diameter, zoom)
        if spacing is None and lineage.cells.unit == "um":
            spacing = lineage.cells.spacing
    _write_margin(draw, frame, None if spacing is None else float(spacing[-1]) / zoom)
    return picture


def _write_margin(draw: ImageDraw.ImageDraw, frame: int, micrometres: float | None) -> None:
    """Write the number of the frame at the lower left, and draw a scale bar at the lower right.

    The bar needs the size of a pixel of the picture; a picture that is too small for them has none.
    """
    width, height = draw.im.size
    size = int(np.clip(width / 60, 12, 28))
    if min(width, height) < 8 * size:
        return
    font: Any = ImageFont.load_default(size)
    style: dict[str, Any] = {"fill": "white", "font": font, "stroke_width": 2, "stroke_fill": "black"}
    draw.text((size, height - size), f"frame {frame}", anchor="lb", **style)
    if micrometres is None:
        return
    length = choose_round_length(width * micrometres / 4)
    right, bottom = width - size, height - size
    left, thickness = right - length / micrometres, max(3, size // 4)
    draw.rectangle((left, bottom - thickness, right, bottom), fill="white", outline="black")
    draw.text(((left + right) / 2, bottom - thickness - size / 3), f"{length:g} um", anchor="mb", **style)


def _find_edges(labels: npt.NDArray[Any], width: int) -> Any:
    """Return the pixels of cells with another value within `width` pixels along an axis."""
    edge = np.zeros(labels.shape, bool)
    for shift in range(1, width + 1):
        for axis in (0, 1):
            first, second = ([slice(None)] * 2 for _ in range(2))
            first[axis], second[axis] = slice(None, -shift), slice(shift, None)
            differ = labels[tuple(first)] != labels[tuple(second)]
            edge[tuple(first)] |= differ
            edge[tuple(second)] |= differ
    return edge & (labels > 0)


def _draw_tails(
    draw: ImageDraw.ImageDraw, lineage: Lineage, frame: int, colour: dict[int, Any], zoom: int, tails: int
) -> None:
    cells = lineage.cells
    place = ((cells.position / np.array(cells.spacing))[:, -2:] + 0.5) * zoom
    before = np.full(len(cells), -1)
    before[lineage.target] = lineage.source
    rows = cells.rows(frame)
    for row in range(rows.start, rows.stop):
        line, here = [row], row
        while before[here] >= 0 and cells.frame[before[here]] >= frame - tails:
            here = int(before[here])
            line.append(here)
        tint = colour.get(int(lineage.track[row]))
        if tint is not None and len(line) > 1:
            points = [(float(place[k, 1]), float(place[k, 0])) for k in line]
            draw.line(points, fill=_to_rgb(tint), width=2)


def _write_ids(draw: ImageDraw.ImageDraw, lineage: Lineage, frame: int, diameter: float, zoom: int) -> None:
    """Write each track's id into its cell, if there is room in cells of this diameter."""
    cells = lineage.cells
    rows = cells.rows(frame)
    size = int(np.clip(diameter / 2, 9, 24))
    if diameter < size:
        return
    font: Any = ImageFont.load_default(size)
    place = ((cells.position / np.array(cells.spacing))[:, -2:] + 0.5) * zoom
    for row in range(rows.start, rows.stop):
        text = str(lineage.track[row])
        half = draw.textlength(text, font) / 2 + 1  # a text at the border is moved inside
        x = min(max(float(place[row, 1]), half), max(draw.im.size[0] - half, half))
        y = min(max(float(place[row, 0]), size / 2), max(draw.im.size[1] - size / 2, size / 2))
        draw.text((x, y), text, fill="white", font=font, anchor="mm", stroke_width=1, stroke_fill="black")


def _to_rgb(colour: Any) -> tuple[int, int, int]:
    red, green, blue = (int(255 * part) for part in colour)
    return red, green, blue


def paint_lineage_tree(lineage: Lineage, *, most: int = 500) -> Pillow.Image:
    """Draw the tracks of a lineage and their divisions: time runs down, a fork is a division, a colour a family.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    most : int
        Largest number of tracks in families, and of tracks without a division in the strip below.

    Returns
    -------
    PIL.Image.Image
        RGB.

    Examples
    --------
    >>> import gnntrack
    >>> masks = np.zeros((3, 20, 20), np.uint8)
    >>> masks[:, 5:11, 5:11] = 1
    >>> paint_lineage_tree(gnntrack.track(masks=masks)).mode
    'RGB'
    """
    strip, forest = separate_singles(build_families(lineage.tracks))
    shown, note = select_largest(forest, most)
    lines = break_into_lines(shown)
    columns = max([sum(f.width + 1 for f in line) for line in lines], default=1.0)
    width = int(max(columns * _COLUMN, len(strip[:most]) * _SINGLE, 500)) + 2 * _LEFT
    panels = len(lines) + bool(strip)
    picture = Pillow.new("RGB", (width, max(panels, 1) * (_PANEL + _TOP) + _TOP + _HEADING * bool(strip)), "white")
    draw = ImageDraw.Draw(picture)
    font: Any = ImageFont.load_default(_TITLE)
    counts = {
        "track": len(lineage.tracks),
        "division": count_divisions(lineage.tracks),
        "frame": lineage.cells.n_frames,
    }
    title = ", ".join(count_noun(n, noun) for noun, n in counts.items())
    draw.text((_LEFT, 8), f"{title}; {note}" if note else title, fill=_INK, font=font)
    painter = _Painter(draw, lineage, width)
    for k, line in enumerate(lines):
        painter.paint_families(line, top=_TOP + k * (_PANEL + _TOP))
    if strip:
        painter.paint_strip(strip[:most], len(strip), top=_TOP + len(lines) * (_PANEL + _TOP) + _HEADING)
    return picture


def save_picture(picture: Pillow.Image, path: Path) -> None:
    """Write a picture as PNG, in a third of the time of Pillow.

    Parameters
    ----------
    picture : PIL.Image.Image
        RGB.
    path : path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp(), "a.png")
    >>> save_picture(Pillow.new("RGB", (3, 2), "red"), file)
    >>> Pillow.open(file).getpixel((2, 1))
    (255, 0, 0)
    """
    pixels = np.asarray(picture)
    height, width = pixels.shape[:2]
    rows = np.full((height, 1 + 3 * width), _UP, np.uint8)  # a row begins with the number of its filter
    rows[:, 1:] = np.diff(pixels.reshape(height, -1), axis=0, prepend=np.uint8(0))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB, defaults
    parts = [(b"IHDR", header), (b"IDAT", compress(rows)), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


class _Painter:
    """Draws panels of a tree."""

    def __init__(self, draw: ImageDraw.ImageDraw, lineage: Lineage, width: int) -> None:
        self.draw, self.tracks, self.width = draw, lineage.tracks, width
        self.frames = lineage.cells.n_frames
        self.last = max(self.frames - 1, 1)
        self.reach = min(
            0.3, 6 * self.last / (_PANEL - 30)
        )  # frames that a line is longer than its track, 6 pixels at most
        self.colours = [_to_rgb(c) for c in choose_family_colours(find_roots(lineage.tracks))]
        self.gaps = list_gaps(lineage)
        self.font: Any = ImageFont.load_default(_SMALL)

    def _place(self, frame: float, top: int) -> float:
        return top + 20 + frame / self.last * (_PANEL - 30)

    def _paint_axis(self, top: int) -> None:
        self.draw.text((_LEFT - 14, self._place(0, top) - 16), "frame", fill=_INK, font=self.font, anchor="rm")
        for frame in choose_ticks(max(self.frames - 1, 0)):
            y = self._place(frame, top)
            self.draw.text((_LEFT - 14, y), str(frame), fill=_INK, font=self.font, anchor="rm")
            self.draw.line([(_LEFT - 10, y), (_LEFT - 5, y)], fill=_INK)

    def _paint_track(self, row: int, x: float, top: int, width: int) -> None:
        start, end = int(self.tracks.start[row]), int(self.tracks.end[row])
        for first, last in list_sections(start, end, self.gaps.get(row, [])):
            ends = [(x, self._place(first - self.reach, top)), (x, self._place(last + self.reach, top))]
            self.draw.line(ends, fill=self.colours[row], width=width)

    def paint_families(self, families: list[Family], *, top: int) -> None:
        """Draw one line of families side by side."""
        self._paint_axis(top)
        offset = 0.0
        row_of = {int(track): row for row, track in enumerate(self.tracks.id.tolist())}
        for family in families:
            place = {row: _LEFT + (offset + column) * _COLUMN for row, column in family.column.items()}
            for row, x in place.items():
                self._paint_track(row, x, top, 3)
                parent = int(self.tracks.parent[row])
                begin = self._place(int(self.tracks.start[row]) - self.reach, top)
                if parent:
                    above = place[row_of[parent]]
                    leave = self._place(int(self.tracks.end[row_of[parent]]) + self.reach, top)
                    fork = [(above, leave), (above, begin), (x, begin)]
                    self.draw.line(fork, fill=self.colours[row], width=3)
                else:
                    self._name_track(row, x, begin)
            offset += family.width + 1

    def paint_strip(self, families: list[Family], total: int, *, top: int) -> None:
        """Draw tracks without a division as thin lines, by first frame."""
        self._paint_axis(top)
        rows = sorted((family.rows[0] for family in families), key=lambda row: int(self.tracks.start[row]))
        text = f"{count_noun(total, 'track')} without a division" + (
            f", {len(rows)} shown" if len(rows) < total else ""
        )
        self.draw.text((_LEFT, top - 8), text, fill=_INK, font=self.font, anchor="lm")
        step = int(np.clip((self.width - 2 * _LEFT) // max(len(rows), 1), _SINGLE, _SINGLE_NAMED))
        names = max((self.draw.textlength(str(self.tracks.id[row]), self.font) for row in rows), default=0.0)
        for k, row in enumerate(rows):
            x = _LEFT + k * step
            self._paint_track(row, x, top, 2 if step < _COLUMN else 3)
            if names + 3 <= step:
                self._name_track(row, x, self._place(int(self.tracks.start[row]) - self.reach, top))

    def _name_track(self, row: int, x: float, top: float) -> None:
        """Write the id of a track above its first frame."""
        self.draw.text((x, top - 2), str(self.tracks.id[row]), fill=_INK, font=self.font, anchor="mb")
