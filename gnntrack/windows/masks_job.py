"""The job that tracks a movie of masks in windows: stages of tasks, which `gnntrack.cluster` runs.

========== ==================== ================================================================
stage      tasks                result of a task
========== ==================== ================================================================
measure    blocks of frames     cells as the masks are, their pixels, and the flow of the images
sample     blocks of a sample   scales of the block
scales     one                  scales of the movie, from those of the sample, and the plan of windows
windows    windows of frames    links out of the cells of the core, and these cells
tracks     one                  seams where windows disagree, and tracks of debris
repair     the same windows     cells of the masks that are written, and what was changed
result     one                  all files of the result but the masks, and the labels of cells
masks      the same windows     the masks that are written
========== ==================== ================================================================

Windows overlap by some frames (`HALO`) on either side of their cores, so that the result is that of the whole movie.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.cluster.tasks import task_path
from gnntrack.io.manifests import describe_run
from gnntrack.io.stack import select_frames
from gnntrack.methods import resolve_method
from gnntrack.movie import Movie, open_movie
from gnntrack.settings import Settings
from gnntrack.windows.blocks import CellBlock, join_blocks, load_block, load_notes
from gnntrack.windows.plan import MOST_SAMPLED, Window, choose_sample, plan_windows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from gnntrack.types import Cells, IntArray

__all__ = [
    "HALO",
    "MOST_CELLS",
    "MaskTracking",
    "count_cells",
    "cut_movie",
    "list_blocks",
    "load_frames",
    "plan_mask_windows",
    "read_scales",
    "read_windows",
    "stack_keys",
]

HALO, NETWORK_HALO = 8, 12
"""Frames before and after the core of a window that are tracked with it; a network sees further."""
MOST_CELLS = 250_000
"""Cells of a window, with its halo; more only if its core would be shorter than a halo."""
_BLOCK_PIXELS = 1 << 26  # of the frames that are measured together
_BLOCK_FRAMES = 64  # of them at most


@dataclass(frozen=True)
class MaskTracking:
    """Tracking of a movie of masks; a `gnntrack.cluster.Job`.

    Parameters
    ----------
    images, masks
        As of `gnntrack.track`: paths, or arrays if all tasks run in this process.
    method : str
        Name of the method.
    solver : str, optional
        Name of the solver.
    settings : Settings
        Of the run.
    options : mapping
        Other options of `gnntrack.movie.open_movie`, such as a segmenter.
    n_frames : int
        Number of frames of the movie.
    shape : D ints
        Shape of a frame.
    most_cells : int, optional
        Cells of a window, with its halo; default as of `MOST_CELLS`.
    halo : int, optional
        Frames of the halo; default `HALO`, or `NETWORK_HALO` for methods with a network.
    most_sampled : int
        Cells from which the scales of the movie are estimated.
    """

    images: object
    masks: object
    method: str
    solver: str | None
    settings: Settings
    n_frames: int
    shape: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    most_cells: int | None = None
    halo: int | None = None
    most_sampled: int = MOST_SAMPLED

    stages = ("measure", "sample", "scales", "windows", "tracks", "repair", "result", "masks")

    def describe(self) -> dict[str, Any]:
        """Return what the result depends on; see `gnntrack.cluster.Job.describe`."""
        inputs = {"images": self.images, "masks": self.masks}
        paths = {name: each for name, each in inputs.items() if isinstance(each, str | Path)}
        plan = {"method": self.method, "solver": self.solver, "options": {k: str(v) for k, v in self.options.items()}}
        size = {"most_cells": self.most_cells, "halo": self.halo, "most_sampled": self.most_sampled}
        return describe_run("track", paths, {**json.loads(self.settings.to_json()), "plan": plan, "windows": size})

    def count_tasks(self, stage: str, work: Path) -> int:
        """Return the number of tasks of a stage."""
        if stage == "measure":
            return math.ceil(self.n_frames / self.block_length)
        if stage == "sample":
            return len(self.choose_sample(count_cells(self, work)))
        return len(read_windows(work)) if stage in ("windows", "repair", "masks") else 1

    def run_task(self, stage: str, index: int, work: Path, out: Path) -> None:
        """Write the result of a task."""
        from gnntrack.windows import measure_stage, repair_stage, result_stage, window_stage

        run: dict[str, Callable[[], None]] = {
            "measure": lambda: measure_stage.measure_block(self, index, out),
            "sample": lambda: window_stage.estimate_scales(self, index, work, out),
            "scales": lambda: window_stage.combine_sample(self, work, out),
            "windows": lambda: window_stage.track_window(self, index, work, out),
            "tracks": lambda: result_stage.join_windows(self, work, out),
            "repair": lambda: repair_stage.repair_window(self, index, work, out),
            "result": lambda: result_stage.write_files(self, work, out),
            "masks": lambda: repair_stage.write_masks(self, index, work, out),
        }
        run[stage]()

    @property
    def block_length(self) -> int:
        """Number of frames that are measured together."""
        return max(1, min(_BLOCK_FRAMES, _BLOCK_PIXELS // math.prod(self.shape)))

    @cached_property
    def movie(self) -> Movie:
        """The open movie."""
        return open_movie(self.images, self.masks, settings=self.settings, **self.options)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "movie"}

    def choose_sample(self, cells_per_frame: IntArray) -> list[slice]:
        """Return the blocks of frames from which the scales are estimated."""
        return choose_sample(self.n_frames, cells_per_frame, most_cells=self.most_sampled)

    def plan(self, cells_per_frame: Sequence[int] | NDArray[np.integer]) -> list[Window]:
        """Return the windows of the movie, from the number of cells in each frame."""
        halo = self.halo
        if halo is None:
            halo = NETWORK_HALO if resolve_method(self.method, self.solver).reads("gnn") else HALO
        return plan_mask_windows(cells_per_frame, halo, self.most_cells)

    @property
    def without_debris(self) -> Settings:
        """The settings of windows, in which families are not known."""
        return self.settings.replace(repair__debris_size=0)


def plan_mask_windows(
    cells_per_frame: Sequence[int] | NDArray[np.integer], halo: int, most_cells: int | None = None
) -> list[Window]:
    """Return the windows of a movie of masks, from the number of cells in each frame; see `MaskTracking`.

    >>> len(plan_mask_windows([2000] * 500, HALO))
    8
    """
    usual = int(3 * halo * np.mean(cells_per_frame))
    return plan_windows(len(cells_per_frame), cells_per_frame, halo, most_cells or max(MOST_CELLS, usual))


def count_cells(job: MaskTracking, work: Path) -> IntArray:
    """Return the number of cells in each frame, (T,) int64."""
    counts = [load_notes(task_path(work, "measure", k))["cells_per_frame"] for k in range(len(list_blocks(job)))]
    return np.concatenate(counts).astype(np.int64)


def cut_movie(movie: Movie, frames: slice) -> Movie:
    """Return some frames of a movie."""
    chosen = range(frames.start, frames.stop)
    images = None if movie.images is None else select_frames(movie.images, chosen)
    channels = {
        name: images if stack is movie.images and images is not None else select_frames(stack, chosen)
        for name, stack in movie.channels.items()
    }
    masks = select_frames(movie.masks, chosen)
    return replace(movie, images=images, masks=masks, channels=channels, statistics=None)


def read_scales(work: Path) -> dict[str, Any]:
    """Return the scales of the movie."""
    scales: dict[str, Any] = json.loads(task_path(work, "scales", 0).read_bytes())["scales"]
    return scales


def read_windows(work: Path) -> list[Window]:
    """Return the windows of the movie."""
    plan = json.loads(task_path(work, "scales", 0).read_bytes())["windows"]
    return [Window(slice(*core), slice(*span)) for core, span in plan]


def load_frames(work: Path, stage: str, blocks: Sequence[slice], frames: slice) -> CellBlock:
    """Return some frames of a movie from the results of a stage.

    Parameters
    ----------
    work : path
        The work folder.
    stage : str
        ``"measure"`` or ``"windows"``.
    blocks : sequence of slice
        Frames of the results of its tasks.
    frames : slice
        Which frames.
    """
    found = [k for k, block in enumerate(blocks) if block.start < frames.stop and frames.start < block.stop]
    return join_blocks([load_block(task_path(work, stage, k)).select(frames) for k in found])


def list_blocks(job: MaskTracking) -> list[slice]:
    """Return the frames of each task of the stage ``measure``."""
    starts = range(0, job.n_frames, job.block_length)
    return [slice(start, min(start + job.block_length, job.n_frames)) for start in starts]


def stack_keys(cells: Cells, rows: IntArray) -> IntArray:
    """Return frame and label of some rows of cells, (M, 2) int64."""
    return np.column_stack([cells.frame[rows], cells.label[rows]]).astype(np.int64)
