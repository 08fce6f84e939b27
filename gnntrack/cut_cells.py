"""The cells of a movie after its merged masks are cut: see `gnntrack.measure.merged_masks` for how they are found."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.io.drawn_masks import draw_frames, select_frames_in_parts
from gnntrack.masks.runs import join_frames
from gnntrack.measure.cells import measure_cells
from gnntrack.measure.merged_masks import find_merged_masks
from gnntrack.plurals import count_noun
from gnntrack.settings import CellSettings
from gnntrack.types import Cells

if TYPE_CHECKING:
    from gnntrack.graph.motion import Motion
    from gnntrack.measure.merged_masks import CutMask
    from gnntrack.types import FrameStack, IntArray, Runs

__all__ = ["CutMovie", "cut_cells"]

_log = logging.getLogger(__name__)


class CutMovie(NamedTuple):
    """The cells of a movie whose merged masks are cut."""

    cells: Cells
    runs: Runs
    row: IntArray
    """(N,) row of the mask that each cell comes from, in the cells before."""
    cut: list[tuple[int, int, int]]
    """Frame, label of the mask, new label, for each cell but the largest of each mask."""


def cut_cells(
    cells: Cells,
    runs: Runs,
    motion: Motion,
    *,
    settings: CellSettings,
    images: FrameStack | None = None,
    channels: Mapping[str, FrameStack] | None = None,
) -> CutMovie | None:
    """Cut merged masks into their cells, and measure these.

    Only the masks decide what is cut, so that the same masks give the same cells with and without images.

    Parameters
    ----------
    cells, runs
        From `gnntrack.measure.measure_cells`.
    motion : Motion
        Of these cells, without images.
    settings : CellSettings
        ``max_merge``: frames that a mask may be merged; 0 = nothing is cut. ``neighbours`` as of `measure_cells`.
    images, channels
        As of `measure_cells`.

    Returns
    -------
    CutMovie or None
        None if no mask is cut. The largest cell of a mask keeps its label, the others get labels above those of their
        frame.

    Examples
    --------
    Two cells of 6 x 6 pixels that share a mask in the second of three frames:

    >>> from gnntrack.graph.motion import estimate_motion
    >>> from gnntrack.io.frames import open_masks
    >>> from gnntrack.settings import MotionSettings
    >>> masks = np.zeros((3, 12, 20), np.uint8)
    >>> masks[:, 3:9, 3:9], masks[:, 3:9, 9:15] = 1, 2
    >>> masks[1][masks[1] == 2] = 1
    >>> cells, runs, _ = measure_cells(open_masks(masks), settings=CellSettings())
    >>> motion = estimate_motion(cells, settings=MotionSettings())
    >>> movie = cut_cells(cells, runs, motion, settings=CellSettings())
    >>> movie.cells.label.tolist(), movie.row.tolist(), movie.cut
    ([1, 2, 1, 2, 1, 2], [0, 1, 2, 2, 3, 4], [(1, 1, 2)])
    """
    if not settings.max_merge:
        return None
    cuts = find_merged_masks(cells, runs, motion.shift, longest=settings.max_merge)
    if not cuts:
        return None
    labels, listed = _label_pieces(cells, cuts)
    frames = sorted(labels)

    seen = None if images is None else select_frames_in_parts(images, frames, cells)
    others = {name: select_frames_in_parts(stack, frames, cells) for name, stack in (channels or {}).items()}
    plain = CellSettings(neighbours=settings.neighbours)
    drawn = draw_frames(cells, runs, frames, changes=labels)
    again = measure_cells(drawn, images=seen, settings=plain, channels=others)[:2]
    _log.info("%s that hold several cells are cut: %s more", count_noun(len(cuts), "mask"), len(listed))
    cut, cut_runs = _replace_frames((cells, runs), again, frames)
    row = cells.row_of(cut.frame, cut.label)
    frame, label, new = np.array(listed).T
    row[cut.row_of(frame, new)] = cells.row_of(frame, label)
    return CutMovie(cut, cut_runs, row, listed)


def _label_pieces(
    cells: Cells, cuts: list[CutMask]
) -> tuple[dict[int, list[tuple[IntArray, int]]], list[tuple[int, int, int]]]:
    """Return the pixels and labels of the new cells of each frame, and frame, label of the mask, new label of each."""
    labels: dict[int, list[tuple[IntArray, int]]] = {}
    listed = []
    for cut in cuts:
        frame = int(cells.frame[cut.row])
        new = labels.setdefault(frame, [])
        highest = int(cells.label[cells.rows(frame)].max())
        for piece in cut.pieces[1:]:
            new.append((piece, highest + 1 + len(new)))
            listed.append((frame, int(cells.label[cut.row]), new[-1][1]))
    return labels, listed


def _replace_frames(before: tuple[Cells, Runs], again: tuple[Cells, Runs], frames: list[int]) -> tuple[Cells, Runs]:
    """Return a movie in which some frames are replaced."""
    (cells, runs), (new, new_runs) = before, again
    parts, places, first = [], [], 0
    for frame in range(cells.n_frames):
        source, part, offset = (new, new_runs, len(cells)) if frame in frames else (cells, runs, 0)
        at = frames.index(frame) if offset else frame
        rows, here = source.rows(at), part.frame(at)
        places.append(np.arange(rows.start, rows.stop) + offset)
        parts.append((part.start[here], part.length[here], part.cell[here] - rows.start + first))
        first += rows.stop - rows.start
    order = np.concatenate(places)
    numbers = np.append(cells.frame, np.array(frames)[new.frame])
    joined = Cells(
        frame=numbers[order],
        label=np.append(cells.label, new.label)[order],
        position=np.concatenate([cells.position, new.position])[order],
        features=np.concatenate([cells.features, new.features])[order],
        feature_names=cells.feature_names,
        feature_units=cells.feature_units,
        spacing=cells.spacing,
        n_frames=cells.n_frames,
        shape=cells.shape,
        unit=cells.unit,
    )
    return joined, join_frames(parts, cells.shape)
