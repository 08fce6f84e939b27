"""Frames of a video: the image with outlines, recent paths, time stamp, scale bar and key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw
from scipy import ndimage

from gnntrack.masks.runs import decode_frame
from gnntrack.report.annotations import choose_round_length, format_time, open_font
from gnntrack.report.contrast import Contrast, find_contrast, project_image
from gnntrack.report.outlines import flatten_rows

if TYPE_CHECKING:
    from gnntrack.report.cell_colours import CellColours
    from gnntrack.types import BoolArray, FloatArray, FrameStack, Image, IntArray, Lineage, Runs

__all__ = ["MovieFrames", "Window", "choose_scale", "find_window"]

_SAMPLED = 5  # frames that the contrast is chosen by
_SHIFT = 4  # bits behind the point in the coordinates of OpenCV
_NARROW = 240  # pixels: a narrower frame gets a black margin, so that time and scale fit
_OLD = 0.5  # brightness of the oldest part of a path


class Window(NamedTuple):
    """Part of the frames that is shown, in pixels of the movie, end excluded."""

    top: int
    left: int
    bottom: int
    right: int


def find_window(lineage: Lineage, shown: BoolArray) -> Window:
    """Return the part of the frames with some cells, with a margin of two diameters.

    Parameters
    ----------
    lineage : Lineage
        A solved movie.
    shown : (N,) bool
        Which cells; none: the whole frame.
    """
    cells = lineage.cells
    size = np.array(cells.shape[-2:])
    if not shown.any():
        return Window(0, 0, int(size[0]), int(size[1]))
    place = _find_pixels(lineage)[shown]
    diameter = cells.feature("diameter")[shown] / cells.spacing[-1] if cells.has("diameter") else np.array([0.0])
    margin = max(2 * float(np.nan_to_num(np.median(diameter))), 0.03 * size.max(), 8.0)
    low = np.clip(np.floor(place.min(0) - margin), 0, size - 1).astype(int)
    high = np.clip(np.ceil(place.max(0) + margin) + 1, low + 1, size).astype(int)
    return Window(int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def _find_pixels(lineage: Lineage) -> FloatArray:
    """Return row and column of each cell, (N, 2)."""
    cells = lineage.cells
    return np.asarray(cells.position[:, -2:] / np.array(cells.spacing[-2:]))


def choose_scale(longest: float, size: int | None, *, usual: int) -> float:
    """Return the pixels of a video per pixel of a movie.

    Parameters
    ----------
    longest : float
        Longest side of the movie in pixels.
    size : int, optional
        Longest side of the video; if None, the movie is enlarged by a whole number to about the usual size, or
        reduced if it is larger than 1.5 times that.
    usual : int
        Usual size.

    Examples
    --------
    >>> [choose_scale(side, None, usual=1080) for side in (256, 720, 1100, 3240)], choose_scale(512, 256, usual=1080)
    ([4.0, 2.0, 1.0, 0.5], 0.5)
    """
    if size is not None:
        return size / longest
    return min(float(max(1, int(usual / longest + 0.5))), 1.5 * usual / longest)


@dataclass(frozen=True, kw_only=True)
class MovieFrames:
    """Painted frames of a movie; each is made when it is asked for.

    Parameters
    ----------
    lineage : Lineage
        The solved movie.
    runs : Runs, optional
        Pixels of its cells; without them the cells are dots.
    images : FrameStack, optional
        Images; without them the background is black. Stacks are projected along z.
    colours : CellColours
        Colours of the cells.
    shown : (N,) bool
        Which cells are drawn.
    window : Window
        Part of the frames that is shown.
    scale : float
        Pixels of a painted frame per pixel of the movie.
    pixel : float, optional
        Size of a pixel of the movie in um, for the scale bar.
    interval : float, optional
        Seconds from a frame to the next, for the time stamp; without it the number of the frame is written.
    tails : int
        Length of the recent paths in frames.
    ids : bool
        Whether the id of its track is written beside each cell.
    """

    lineage: Lineage
    runs: Runs | None
    images: FrameStack | None
    colours: CellColours
    shown: BoolArray
    window: Window
    scale: float
    pixel: float | None = None
    interval: float | None = None
    tails: int = 10
    ids: bool = False

    @cached_property
    def _steps(self) -> FloatArray:
        """Pixels of a painted frame per pixel along y and x: pixels are square on the screen."""
        spacing = self.lineage.cells.spacing
        return np.array([self.scale * spacing[-2] / spacing[-1], self.scale])

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the painted window, without margins."""
        window = self.window
        height, width = np.maximum(
            np.round(np.array([window.bottom - window.top, window.right - window.left]) * self._steps), 1
        )
        return int(height), int(width)

    @cached_property
    def _places(self) -> FloatArray:
        """Column and row of each cell in a painted frame, (N, 2)."""
        corner = np.array([self.window.top, self.window.left])
        return np.asarray(((_find_pixels(self.lineage) - corner + 0.5) * self._steps - 0.5)[:, ::-1])

    @cached_property
    def _before(self) -> IntArray:
        before = np.full(len(self.lineage.cells), -1)
        before[self.lineage.target] = self.lineage.source
        return before

    @cached_property
    def _tints(self) -> IntArray:
        return np.asarray((self.colours.cells * 255).round().astype(np.int64))

    @cached_property
    def _line(self) -> int:
        """Width of outlines in pixels: by the size of the frame, at most a tenth of the median cell."""
        cells = self.lineage.cells
        sizes = cells.feature("diameter") if cells.has("diameter") else np.zeros(0)
        sizes = sizes[np.isfinite(sizes)]
        most = np.median(sizes) / cells.spacing[-1] * self.scale / 10 if len(sizes) else 2.0
        return int(np.clip(min(np.ceil(max(self.size) / 360), round(most)), 1, 4))

    @cached_property
    def _contrast(self) -> Contrast:
        assert self.images is not None
        n = len(self.images)
        sampled = np.unique(np.linspace(0, n - 1, min(n, _SAMPLED)).astype(int)).tolist()
        return find_contrast([self._crop(project_image(self.images[t])) for t in sampled])

    def _crop(self, flat: Image) -> Image:
        return flat[self.window.top : self.window.bottom, self.window.left : self.window.right]

    def paint(self, frame: int) -> Image:
        """Return one frame, (Y, X, 3) uint8."""
        pixels = self._paint_background(frame)
        rows = np.arange(len(self.shown))[self.lineage.cells.rows(frame)]
        rows = rows[self.shown[rows]]
        if self.runs is None:
            self._paint_paths(pixels, rows, frame)
            self._paint_dots(pixels, rows)
        else:
            self._paint_outlines(pixels, frame)
            self._paint_paths(pixels, rows, frame)
        height, width = (max(0, _NARROW - side) for side in self.size)
        if height or width:
            pixels = np.pad(pixels, ((0, height), (0, width), (0, 0)))
        picture = Picture.fromarray(pixels)
        draw = ImageDraw.Draw(picture)
        if self.ids:
            self._write_ids(draw, rows)
        self._annotate(draw, frame)
        return np.asarray(picture)

    def _paint_background(self, frame: int) -> Image:
        import cv2

        height, width = self.size
        if self.images is None:
            return np.zeros((height, width, 3), np.uint8)
        grey = self._contrast.apply(self._crop(project_image(self.images[frame])))
        if grey.shape != self.size:
            way = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_NEAREST if self.scale % 1 == 0 else cv2.INTER_LINEAR
            grey = cv2.resize(grey, (width, height), interpolation=way)
        return np.repeat(grey[:, :, None], 3, axis=2)

    def _paint_outlines(self, pixels: Image, frame: int) -> None:
        import cv2

        runs, cells = self.runs, self.lineage.cells
        assert runs is not None
        here, first = runs.frame(frame), cells.rows(frame).start
        value = np.where(self.shown[runs.cell[here]], runs.cell[here] - first + 1, 0)
        labels = self._crop(
            flatten_rows(decode_frame(runs.shape, runs.start[here], runs.length[here], value, np.int32))
        )
        for number, box in enumerate(ndimage.find_objects(labels)):
            if box is None:
                continue
            mask = (labels[box] == number + 1).astype(np.uint8)
            contours, _ = cv2.findContours(
                mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=(box[1].start, box[0].start)
            )
            lines: Any = [
                np.round(((each[:, 0] + 0.5) * self._steps[::-1] - 0.5) * (1 << _SHIFT)).astype(np.int32)
                for each in contours
            ]
            tint = self._tints[first + number].tolist()
            cv2.polylines(pixels, lines, True, tint, self._line, cv2.LINE_AA, _SHIFT)  # noqa: FBT003

    def _paint_dots(self, pixels: Image, rows: IntArray) -> None:
        import cv2

        radius = float(np.clip(max(self.size) / 200, 3, 9))
        for row in rows.tolist():
            centre = np.round(self._places[row] * (1 << _SHIFT)).astype(int).tolist()
            for size, tint in ((radius + 1, [0, 0, 0]), (radius, self._tints[row].tolist())):
                cv2.circle(pixels, centre, round(size * (1 << _SHIFT)), tint, -1, cv2.LINE_AA, _SHIFT)

    def _paint_paths(self, pixels: Image, rows: IntArray, frame: int) -> None:
        """Draw the recent paths of the cells, the darker the older; a path continues into the parent."""
        import cv2

        points = np.round(self._places * (1 << _SHIFT)).astype(int)
        now, here = rows, rows
        for _ in range(self.tails):
            past = self._before[here]
            there = past >= 0
            now, here, past = now[there], here[there], past[there]
            age = frame - self.lineage.cells.frame[past]
            recent = age <= self.tails
            now, here, past, age = now[recent], here[recent], past[recent], age[recent]
            light = 1 - (1 - _OLD) * (age - 1) / max(self.tails, 1)
            tints = (self._tints[now] * light[:, None]).astype(int).tolist()
            for start, end, tint in zip(points[past].tolist(), points[here].tolist(), tints, strict=True):
                cv2.line(pixels, start, end, tint, self._line, cv2.LINE_AA, _SHIFT)
            here = past

    def _write_ids(self, draw: ImageDraw.ImageDraw, rows: IntArray) -> None:
        size = int(np.clip(max(self.size) / 80, 9, 18))
        font, above = open_font(size), 1.2 * size if self.runs is None else 0.0  # a dot stays visible
        for row in rows.tolist():
            x, y = (self._places[row] - (0.0, above)).tolist()
            if 0 <= x < self.size[1] and 0 <= y < self.size[0]:
                text = str(self.lineage.track[row])
                draw.text((x, y), text, "white", font, "mm", stroke_width=1, stroke_fill="black")

    def _annotate(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        """Write the time at the upper left, the scale bar at the lower right and the key at the lower left."""
        width, height = draw.im.size
        size = int(np.clip(min(width / 40, height / 16), 12, 40))
        style: dict[str, Any] = {"fill": "white", "stroke_width": max(1, size // 10), "stroke_fill": "black"}
        font, edge = open_font(size), size * 0.7
        time = format_time(frame, self.interval, self.lineage.cells.n_frames - 1)
        draw.text((edge, edge), time, font=font, anchor="lt", **style)
        if self.pixel is not None:
            step = self.pixel / self.scale
            length = choose_round_length(width * step / 4)
            right, bottom, thickness = width - edge, height - edge, max(3, size // 5)
            left = right - length / step
            text = (
                f"{length * 1000:g} nm" if length < 1 else f"{length:g} µm" if length < 1000 else f"{length / 1e3:g} mm"
            )
            draw.rectangle((left, bottom - thickness, right, bottom), fill="white", outline="black")
            draw.text(((left + right) / 2, bottom - thickness - size / 4), text, font=font, anchor="md", **style)
        self._write_key(draw, int(size * 0.75), edge)

    def _write_key(self, draw: ImageDraw.ImageDraw, size: int, edge: float) -> None:
        key, font = self.colours.key, open_font(size)
        style: dict[str, Any] = {"stroke_width": 1, "stroke_fill": "black", "anchor": "ls", "font": font}
        top = draw.im.size[1] - edge - 1.4 * size * len(key)
        for k, (text, colour) in enumerate(key, start=1):
            y = top + 1.4 * size * k
            tint = tuple((np.array(colour) * 255).astype(int).tolist())
            draw.rectangle((edge, y - 0.8 * size, edge + 0.8 * size, y), fill=tint, outline="black")
            draw.text((edge + 1.2 * size, y), text, fill="white", **style)
        if key:
            draw.text((edge, top), self.colours.title, fill="white", **style)
