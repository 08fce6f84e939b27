"""Cells, outlines and recent paths of a frame, and its grey values: the parts of frames of videos and montages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import ndimage

from gnntrack.masks.runs import decode_frame
from gnntrack.report.contrast import Contrast, find_contrast, project_image
from gnntrack.report.outlines import flatten_rows

if TYPE_CHECKING:
    from gnntrack.report.cell_colours import CellColours
    from gnntrack.types import BoolArray, FloatArray, FrameStack, Image, IntArray, Lineage, Runs

__all__ = ["MovieScene", "PathSteps", "Window", "find_window"]

_SAMPLED = 5  # frames that the contrast is chosen by
_OLD = 0.5  # brightness of the oldest part of a path


class Window(NamedTuple):
    """Part of the frames that is shown, in pixels of the movie, end excluded."""

    top: int
    left: int
    bottom: int
    right: int


class PathSteps(NamedTuple):
    """Steps of recent paths, from a cell to the next one of its path."""

    source: IntArray
    """(S,) rows of the earlier cells."""
    target: IntArray
    """(S,) rows of the later cells."""
    colour: FloatArray
    """(S, 3), that of the cell in the present frame, the darker the older the step is."""


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


@dataclass(frozen=True, kw_only=True)
class MovieScene:
    """A movie with its cells, of which a part is shown.

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
    pixel : float, optional
        Size of a pixel of the movie in um, for the scale bar.
    interval : float, optional
        Seconds from a frame to the next, for the time stamp; without it the number of the frame is written.
    tails : int
        Length of the recent paths in frames.
    """

    lineage: Lineage
    runs: Runs | None
    images: FrameStack | None
    colours: CellColours
    shown: BoolArray
    window: Window
    pixel: float | None = None
    interval: float | None = None
    tails: int = 10

    @property
    def aspect(self) -> float:
        """Height of a pixel, in widths."""
        spacing = self.lineage.cells.spacing
        return float(spacing[-2] / spacing[-1])

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the window in pixels of the movie."""
        return self.window.bottom - self.window.top, self.window.right - self.window.left

    @cached_property
    def places(self) -> FloatArray:
        """Column and row of each cell in the window, (N, 2)."""
        corner = np.array([self.window.top, self.window.left])
        return np.asarray((_find_pixels(self.lineage) - corner)[:, ::-1])

    @cached_property
    def diameter(self) -> float | None:
        """Median diameter of the cells in pixels, None if it was not measured."""
        cells = self.lineage.cells
        sizes = cells.feature("diameter") if cells.has("diameter") else np.zeros(0)
        sizes = sizes[np.isfinite(sizes)]
        return float(np.median(sizes) / cells.spacing[-1]) if len(sizes) else None

    @cached_property
    def _before(self) -> IntArray:
        before = np.full(len(self.lineage.cells), -1)
        before[self.lineage.target] = self.lineage.source
        return before

    @cached_property
    def _contrast(self) -> Contrast:
        assert self.images is not None
        n = len(self.images)
        sampled = np.unique(np.linspace(0, n - 1, min(n, _SAMPLED)).astype(int)).tolist()
        return find_contrast([self._crop(project_image(self.images[t])) for t in sampled])

    def _crop(self, flat: Image) -> Image:
        return flat[self.window.top : self.window.bottom, self.window.left : self.window.right]

    def read_grey(self, frame: int) -> Image:
        """Return the grey values of the window, (Y, X) uint8, with the same contrast in all frames."""
        if self.images is None:
            return np.zeros(self.shape, np.uint8)
        return self._contrast.apply(self._crop(project_image(self.images[frame])))

    def list_rows(self, frame: int) -> IntArray:
        """Return the rows of the cells of a frame that are shown."""
        rows = np.arange(len(self.shown))[self.lineage.cells.rows(frame)]
        return rows[self.shown[rows]]

    def list_outlines(self, frame: int) -> list[tuple[int, FloatArray]]:
        """Return the outlines of the cells of a frame: row of the cell, columns and rows of its points (P, 2).

        They lead through the centres of the outer pixels. In a stack the upper cell hides the lower ones.
        """
        import cv2

        runs, cells = self.runs, self.lineage.cells
        if runs is None:
            return []
        here, first = runs.frame(frame), cells.rows(frame).start
        value = np.where(self.shown[runs.cell[here]], runs.cell[here] - first + 1, 0)
        frame_of_rows = decode_frame(runs.shape, runs.start[here], runs.length[here], value, np.int32)
        labels = self._crop(flatten_rows(frame_of_rows))
        found = []
        for number, box in enumerate(ndimage.find_objects(labels)):
            if box is None:
                continue
            mask = (labels[box] == number + 1).astype(np.uint8)
            corner = (box[1].start, box[0].start)
            contours: Any = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE, offset=corner)[0]
            found += [(first + number, each[:, 0].astype(np.float64)) for each in contours]
        return found

    def list_steps(self, frame: int) -> PathSteps:
        """Return the recent paths of the cells of a frame; they continue into the parents."""
        now = here = self.list_rows(frame)
        parts = []
        for _ in range(self.tails):
            past = self._before[here]
            there = past >= 0
            there[there] = frame - self.lineage.cells.frame[past[there]] <= self.tails
            now, here, past = now[there], here[there], past[there]
            if not len(past):
                break
            light = 1 - (1 - _OLD) * (frame - self.lineage.cells.frame[past] - 1) / self.tails
            parts.append(PathSteps(past, here, self.colours.cells[now] * light[:, None]))
            here = past
        none = PathSteps(now[:0], here[:0], np.zeros((0, 3)))
        return PathSteps(*(np.concatenate(columns) for columns in zip(none, *parts, strict=True)))
