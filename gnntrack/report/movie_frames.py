"""Frames of a video: the image with outlines, recent paths, time stamp, scale bar and key."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from gnntrack.report.annotations import choose_round_length, format_length, format_time, open_font

if TYPE_CHECKING:
    from gnntrack.report.movie_scene import MovieScene
    from gnntrack.types import FloatArray, Image, IntArray

__all__ = ["MovieFrames", "choose_scale"]

_SHIFT = 4  # bits behind the point in the coordinates of OpenCV
_NARROW = 240  # pixels: a narrower frame gets a black margin, so that time and scale fit


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
    scene : MovieScene
        The movie and its cells.
    scale : float
        Pixels of a painted frame per pixel of the movie.
    ids : bool
        Whether the id of its track is written on each cell.
    """

    scene: MovieScene
    scale: float
    ids: bool = False

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the painted window, without margins."""
        height, width = self.scene.shape
        return max(round(height * self.scale * self.scene.aspect), 1), max(round(width * self.scale), 1)

    def _place(self, points: FloatArray) -> FloatArray:
        """Return columns and rows in a painted frame, of points in the window; (P, 2)."""
        return np.asarray((points + 0.5) * (self.scale, self.scale * self.scene.aspect) - 0.5)

    @cached_property
    def _tints(self) -> IntArray:
        return np.asarray((self.scene.colours.cells * 255).round().astype(np.int64))

    @cached_property
    def _line(self) -> int:
        """Width of outlines in pixels: by the size of the frame, at most a tenth of the median cell."""
        diameter = self.scene.diameter
        most = 2 if diameter is None else round(diameter * self.scale / 10)
        return int(np.clip(min(np.ceil(max(self.size) / 360), most), 1, 4))

    def paint(self, frame: int) -> Image:
        """Return one frame, (Y, X, 3) uint8."""
        pixels, rows = self._paint_background(frame), self.scene.list_rows(frame)
        self._paint_outlines(pixels, frame)
        self._paint_paths(pixels, frame)
        if self.scene.runs is None:
            self._paint_dots(pixels, rows)
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
        grey = self.scene.read_grey(frame)
        if grey.shape != self.size:
            way = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_NEAREST if self.scale % 1 == 0 else cv2.INTER_LINEAR
            grey = cv2.resize(grey, (width, height), interpolation=way)
        return np.repeat(grey[:, :, None], 3, axis=2)

    def _paint_outlines(self, pixels: Image, frame: int) -> None:
        import cv2

        for row, points in self.scene.list_outlines(frame):
            line: Any = _shift(self._place(points))
            cv2.polylines(pixels, [line], True, self._tints[row].tolist(), self._line, cv2.LINE_AA, _SHIFT)  # noqa: FBT003

    def _paint_dots(self, pixels: Image, rows: IntArray) -> None:
        import cv2

        radius = float(np.clip(max(self.size) / 200, 3, 9))
        for row, centre in zip(rows.tolist(), _shift(self._place(self.scene.places[rows])).tolist(), strict=True):
            for size, tint in ((radius + 1, [0, 0, 0]), (radius, self._tints[row].tolist())):
                cv2.circle(pixels, centre, round(size * (1 << _SHIFT)), tint, -1, cv2.LINE_AA, _SHIFT)

    def _paint_paths(self, pixels: Image, frame: int) -> None:
        import cv2

        steps = self.scene.list_steps(frame)
        starts, ends = (_shift(self._place(self.scene.places[rows])).tolist() for rows in (steps.source, steps.target))
        for start, end, tint in zip(starts, ends, (steps.colour * 255).round().tolist(), strict=True):
            cv2.line(pixels, start, end, tint, self._line, cv2.LINE_AA, _SHIFT)

    def _write_ids(self, draw: ImageDraw.ImageDraw, rows: IntArray) -> None:
        size = int(np.clip(max(self.size) / 80, 9, 18))
        font, above = open_font(size), 1.2 * size if self.scene.runs is None else 0.0  # a dot stays visible
        for row, (x, y) in zip(rows.tolist(), self._place(self.scene.places[rows]).tolist(), strict=True):
            if 0 <= x < self.size[1] and 0 <= y < self.size[0]:
                text = str(self.scene.lineage.track[row])
                draw.text((x, y - above), text, "white", font, "mm", stroke_width=1, stroke_fill="black")

    def _annotate(self, draw: ImageDraw.ImageDraw, frame: int) -> None:
        """Write the time at the upper left, the scale bar at the lower right and the key at the lower left."""
        width, height = draw.im.size
        size = int(np.clip(min(width / 40, height / 16), 12, 40))
        style: dict[str, Any] = {"fill": "white", "stroke_width": max(1, size // 10), "stroke_fill": "black"}
        font, edge = open_font(size), size * 0.7
        time = format_time(frame, self.scene.interval, self.scene.lineage.cells.n_frames - 1)
        draw.text((edge, edge), time, font=font, anchor="lt", **style)
        if self.scene.pixel is not None:
            step = self.scene.pixel / self.scale
            length = choose_round_length(width * step / 4)
            right, bottom, thickness = width - edge, height - edge, max(3, size // 5)
            left, text = right - length / step, format_length(length)
            draw.rectangle((left, bottom - thickness, right, bottom), fill="white", outline="black")
            draw.text(((left + right) / 2, bottom - thickness - size / 4), text, font=font, anchor="md", **style)
        self._write_key(draw, int(size * 0.75), edge)

    def _write_key(self, draw: ImageDraw.ImageDraw, size: int, edge: float) -> None:
        key, font = self.scene.colours.key, open_font(size)
        style: dict[str, Any] = {"stroke_width": 1, "stroke_fill": "black", "anchor": "ls", "font": font}
        top = draw.im.size[1] - edge - 1.4 * size * len(key)
        for k, (text, colour) in enumerate(key, start=1):
            y = top + 1.4 * size * k
            tint = tuple((np.array(colour) * 255).astype(int).tolist())
            draw.rectangle((edge, y - 0.8 * size, edge + 0.8 * size, y), fill=tint, outline="black")
            draw.text((edge + 1.2 * size, y), text, fill="white", **style)
        if key:
            draw.text((edge, top), self.scene.colours.title, fill="white", **style)


def _shift(points: FloatArray) -> IntArray:
    """Return coordinates as OpenCV takes them: whole numbers, with some bits behind the point."""
    return np.asarray(np.round(points * (1 << _SHIFT)).astype(np.int32))
