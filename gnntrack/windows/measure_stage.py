"""The stage ``measure``: the cells of a block of frames as its masks are, and the optical flow of its images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.frame_slabs import open_frame
from gnntrack.geometry import compute_radius
from gnntrack.io.ctc_labels import refuse_many_cells
from gnntrack.measure.cells import measure_cells
from gnntrack.movie import choose_cell_settings, record_flow
from gnntrack.movie_scales import MovieScales, use_scales
from gnntrack.windows.blocks import CellBlock, save_block
from gnntrack.windows.masks_job import cut_movie, list_blocks

if TYPE_CHECKING:
    from gnntrack.types import Cells, FloatArray, IntArray
    from gnntrack.windows.masks_job import MaskTracking

__all__ = ["FLOW", "KnownFlow", "measure_block"]

FLOW = "flow"
"""Column of the displacement of each cell to the next frame by the optical flow."""


class KnownFlow:
    """Optical flow that was measured before.

    Parameters
    ----------
    shift : (N, D) float64
        Displacement of each cell.
    """

    def __init__(self, shift: FloatArray) -> None:
        self._shift = shift

    def cut_cells(self, whole: Cells, row: IntArray) -> None:  # noqa: ARG002  (as of `FlowSource`)
        """Note that cells were cut: each has the displacement of a row of `whole`."""
        self._shift = self._shift[row]

    def get_shifts(self, cells: Cells) -> FloatArray:  # noqa: ARG002
        """Return the displacements of all cells, (N, D)."""
        return self._shift.copy()


def measure_block(job: MaskTracking, index: int, out: Path) -> None:
    """Write the cells of a block of frames."""
    frames = list_blocks(job)[index]
    movie = cut_movie(job.movie, frames)
    columns = {}
    scales = {} if movie.images is None else {"flow.radius": _find_first_radius(job)}
    with use_scales(MovieScales(scales)), record_flow(movie, job.settings.motion) as recorder:
        cells, runs, notes = measure_cells(
            movie.masks,
            images=movie.images,
            settings=choose_cell_settings(job.settings),
            each_image=recorder.add_frame if recorder else None,
            channels=movie.channels,
        )
        refuse_many_cells(cells.frame, job.settings.repair, first=frames.start)
        if recorder is not None:
            if frames.stop < job.n_frames and job.movie.images is not None:  # the flow to the next block
                none = np.zeros((0, cells.ndim)), np.zeros(0)
                recorder.add_frame(cells.n_frames, open_frame(job.movie.images, frames.stop), *none)
            columns[FLOW] = recorder.get_shifts(cells)
    for kind in ("disconnected", "split", "dropped"):
        notes[kind]["listed"] = [[frame + frames.start, *more] for frame, *more in notes[kind]["listed"]]
    save_block(out, CellBlock(frames.start, cells, runs, columns, notes=notes))


def _find_first_radius(job: MaskTracking) -> float:
    """Return the median radius in pixels of the first frame of the movie with cells, 0 if there is none."""
    for frame in range(job.n_frames):
        first = cut_movie(job.movie, slice(frame, frame + 1))
        cells, runs, _ = measure_cells(first.masks, settings=choose_cell_settings(job.settings))
        if len(cells):
            pixels = np.bincount(runs.cell, runs.length, len(cells)).astype(np.int64)
            return float(np.median(compute_radius(pixels, cells.ndim)))
    return 0.0
