"""Estimates of the processor time, the memory and the disk space of ``gnntrack track``, from counts of a movie.

Each figure is a sum of counts (frames, planes, pixels, runs of the masks, cells, candidate links) times rates. The
rates were fitted on simulated movies by ``benchmarks/estimates.py --fit``, which checks them on other movies.
"""

from __future__ import annotations

import functools
import math
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.frame_slabs import cut_slabs
from gnntrack.graph.candidates import build_candidates
from gnntrack.graph.motion import estimate_motion
from gnntrack.graph.point_links import build_point_links
from gnntrack.masks.runs import encode_frame
from gnntrack.settings import MotionSettings

if TYPE_CHECKING:
    from gnntrack.settings import Settings
    from gnntrack.types import CellGraph, Cells, FloatArray, FrameStack

__all__ = [
    "RATES",
    "TERMS",
    "Estimate",
    "Workload",
    "count_fitting_cells",
    "count_links",
    "estimate_memory",
    "estimate_tracking",
    "measure_speed",
    "survey_images",
]

TERMS = ("start", "frames", "planes", "pixels", "pixels at once", "runs", "cells", "links")
"""Counts that the rates belong to, in their order; planes, pixels and runs are those of all frames, and pixels at
once those of a frame, or of a slab of a large volume."""

RATES: dict[str, dict[str, tuple[float, ...]]] = {
    "hungarian": {
        "time": (0.67, 0, 0, 4.7e-09, 0, 0, 4.9e-05, 1.1e-05),
        "memory": (1.3e08, 0, 0, 0, 33, 0, 2.3e03, 6.3e02),
        "disk": (5.2e04, 3.5e02, 1.9e02, 0.003, 0, 3.2, 3.7e02, 0),
    },
    "hungarian with images": {
        "time": (0.58, 0.001, 0, 1.9e-08, 0, 0, 0.00014, 2.5e-06),
        "memory": (1.6e08, 0, 0, 0, 39, 0, 0, 8.6e02),
        "disk": (8.2e04, 5.2e03, 55, 0, 0, 3.1, 4.7e02, 0),
    },
    "gnn with images": {
        "time": (0.59, 0.0053, 0, 2e-08, 0, 0, 0.00012, 0),
        "memory": (1.5e08, 0, 0, 0, 11, 0, 9.6e03, 0),
        "disk": (7.9e04, 5.4e03, 48, 0, 0, 3.2, 4.7e02, 0),
    },
    "threshold": {
        "time": (0.64, 0, 0, 3e-08, 0, 4.4e-06, 0.00028, 0),
        "memory": (2.8e08, 0, 0, 0, 45, 38, 7.3e03, 0),
        "disk": (1.8e05, 1.3e03, 0, 0, 0, 1.1, 6e02, 0),
    },
    "points": {
        "time": (0.35, 0.016, 0, 0, 0, 0, 0.00013, 0),
        "memory": (2.7e08, 0, 0, 0, 0, 0, 3e03, 1.7e02),
        "disk": (0, 0, 0, 0, 0, 0, 2.3e02, 0),
    },
}
"""Processor seconds, bytes of memory and bytes of disk for each of `TERMS`, by way of tracking."""

_START, _JOINED = 1.2e8, 210.0  # bytes of a process, and of each cell where windows are joined and tables are written
_SAMPLE = 20_000  # cells whose candidate links are counted
_USUAL_LINKS = 8.0  # candidate links of a cell, if the movie is not segmented yet
_REFERENCE = 0.045  # processor seconds of the work of `measure_speed` on the machine of the rates


class Workload(NamedTuple):
    """Counts that the cost of tracking a movie depends on."""

    frames: int
    shape: tuple[int, ...]
    """Pixels of a frame along ``[z], y, x``."""
    cells: int
    links: float
    """Candidate links."""
    runs: int
    """Runs of the masks, of all frames; 0 of points."""

    @classmethod
    def of(cls, cells: Cells, links: float, runs: int = 0) -> Workload:
        """Return the workload of cells, with the numbers of candidate links and of runs."""
        return cls(cells.n_frames, tuple(map(int, cells.shape)), len(cells), links, runs)

    @property
    def pixels(self) -> int:
        """Pixels of a frame."""
        return math.prod(self.shape)

    def count_terms(self) -> FloatArray:
        """Return the counts of `TERMS`, (8,)."""
        planes = self.shape[0] if len(self.shape) == 3 else 1
        at_once = self.pixels // self.shape[0] * cut_slabs(self.shape)[0].stop if self.shape else 0  # () of points
        counts = (self.frames, self.frames * planes, self.frames * self.pixels, at_once)
        return np.array([1.0, *counts, self.runs, self.cells, self.links])


class Estimate(NamedTuple):
    """What a run takes."""

    time: float
    """Seconds of one processor; with several, a run takes less time."""
    memory: float
    """Bytes at most."""
    disk: float
    """Bytes of the result."""


def estimate_tracking(
    load: Workload, way: str, *, speed: float = 1.0, segmenting: float = 0.0, window: int | None = None
) -> Estimate:
    """Estimate what tracking takes.

    Parameters
    ----------
    load : Workload
        Counts of the movie.
    way : str
        A key of `RATES`: the method, and whether there are images.
    speed : float
        Of the processor, see `measure_speed`.
    segmenting : float
        Seconds of segmenting a frame on the processor of the rates.
    window : int, optional
        Cells that are tracked at once, if the movie is tracked in windows of frames.

    Examples
    --------
    >>> small, large = (Workload(20, (500, 500), cells, 8 * cells, 25 * cells) for cells in (1_000, 100_000))
    >>> estimate_tracking(large, "hungarian").time > 5 * estimate_tracking(small, "hungarian").time
    True
    """
    terms = load.count_terms()
    seconds, memory, disk = (float(terms @ np.array(RATES[way][name])) for name in Estimate._fields)
    if window is not None and load.cells > window:
        part = window / load.cells
        at_once = load._replace(cells=window, links=part * load.links, runs=int(part * load.runs))
        memory = max(estimate_tracking(at_once, way).memory, _START + _JOINED * load.cells)
    return Estimate((seconds + segmenting * load.frames) / speed, memory, disk)


def estimate_memory(load: Workload, way: str = "hungarian with images", *, window: int | None = None) -> float:
    """Estimate the bytes of memory that tracking takes at most; arguments as of `estimate_tracking`."""
    return estimate_tracking(load, way, window=window).memory


def count_fitting_cells(memory: float, shape: tuple[int, ...], way: str) -> int:
    """Return the number of cells that are tracked at once in a memory; below 0, not even the images fit.

    Parameters
    ----------
    memory : float
        Bytes.
    shape : D ints
        Pixels of a frame; empty for points without images.
    way : str
        As of `estimate_tracking`.

    Examples
    --------
    >>> count_fitting_cells(2e9, (1024, 1024), "hungarian") > count_fitting_cells(1e9, (1024, 1024), "hungarian")
    True
    >>> count_fitting_cells(2e9, (), "points") > count_fitting_cells(1e9, (), "points")
    True
    """
    empty, some = (estimate_memory(Workload(1, shape, n, _USUAL_LINKS * n, 0), way) for n in (0, 1000))
    return int((memory - empty) / (some - empty) * 1000)


def count_links(cells: Cells, settings: Settings) -> float:
    """Return about how many candidate links tracking finds; of a large movie, from some of its frames.

    Parameters
    ----------
    cells : Cells
        All cells or points.
    settings : Settings
        ``motion`` and ``graph`` are used.
    """
    if len(cells) < 2 or cells.n_frames < 2:
        return 0.0
    longest = settings.graph.max_gap
    span = longest + 8
    parts = max(1, _SAMPLE * cells.n_frames // (len(cells) * span))
    if parts * span >= cells.n_frames:
        return float(len(_find_links(cells, settings)))
    kept, counted = np.zeros((2, cells.n_frames), bool)
    for first in np.linspace(0, cells.n_frames - span, parts).astype(int).tolist():
        kept[first : first + span] = True
        counted[first + 1 : first + span - longest] = True
    some = cells.select(kept[cells.frame])
    sources = counted[some.frame]
    links = int(sources[_find_links(some, settings).source].sum())
    return len(cells) * links / max(1, int(sources.sum()))


def _find_links(cells: Cells, settings: Settings) -> CellGraph:
    if cells.points:
        return build_point_links(cells, motion=settings.motion, settings=settings.graph)
    motion = estimate_motion(cells, settings=MotionSettings())
    return build_candidates(cells, None, motion, settings=settings.graph)


def survey_images(images: FrameStack, segmenter: str = "threshold", *, samples: int = 3) -> tuple[Workload, float]:
    """Segment some frames of a movie; return the workload of the whole movie, and the processor seconds of a frame.

    Parameters
    ----------
    images : FrameStack
        Images of a movie.
    segmenter : str
        Name of a segmenter.
    samples : int
        Number of frames that are segmented.

    Raises
    ------
    FrameError, SegmenterError
        If a frame cannot be read or segmented.
    """
    from gnntrack.segmentation.movie import load_for_movie, segment_frame

    ready = load_for_movie(segmenter, None, images)
    frames = sorted({*np.linspace(0, len(images) - 1, samples).astype(int).tolist()})
    segment_frame(ready, images[frames[0]], frame=frames[0], file=images.names[frames[0]])  # compiles functions
    counts, start = [], time.process_time()
    for frame in frames:
        label = encode_frame(segment_frame(ready, images[frame], frame=frame, file=images.names[frame]))[2]
        counts.append((len(np.unique(label)), len(label)))
    seconds = (time.process_time() - start) / len(frames)
    cells, runs = (round(value * len(images)) for value in np.mean(counts, axis=0).tolist())
    return Workload(len(images), tuple(images.shape), cells, _USUAL_LINKS * cells, runs), seconds


@functools.cache
def measure_speed() -> float:
    """Return how fast this processor is, 1 for that on which the rates were measured; takes a fifth of a second.

    It is measured at the first call in a process. Other programs on the same processor make it slower.
    """
    values = np.random.default_rng(0).random(1 << 20)
    text = (values * 50).astype(np.uint8).tobytes()
    took = []
    for _ in range(3):
        start = time.process_time()
        ordered = values[np.argsort(values)]
        zlib.compress(text, 1)
        total = 0.0
        for value in np.add.reduceat(ordered, np.arange(0, len(values), 16)).tolist():
            total += value * value
        took.append(time.process_time() - start)
    return _REFERENCE / min(took)
