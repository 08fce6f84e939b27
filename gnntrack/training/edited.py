"""Corrected results as movies for training: links and divisions that a person has edited count more than the others.

The result of ``gnntrack apply-edits`` holds its edits (``gnntrack/edits.json``). Its tracks are the ground truth; cells
that an edit names have the weight ``train.edited_weight``, all others ``train.unconfirmed_weight``.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gnntrack.correction_session import RecordedRun
from gnntrack.errors import InputError
from gnntrack.io.frames import open_masks
from gnntrack.io.result_folders import EXTRAS
from gnntrack.io.stack import Stack
from gnntrack.lineage.edits import list_input_cells
from gnntrack.movie import open_movie
from gnntrack.plurals import count_noun
from gnntrack.result_files import restore_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.lineage.edits import Edit
    from gnntrack.movie import Movie
    from gnntrack.settings import TrainSettings
    from gnntrack.types import FeatureArray, FrameStack, Image, IntArray, Lineage, Tracks

__all__ = ["CorrectedResult", "EditedCells", "find_corrected", "read_corrected"]

_log = logging.getLogger(__name__)


class EditedCells(NamedTuple):
    """Cells about whose past or future a person has decided."""

    past: frozenset[tuple[int, int]]
    """Frame and track of cells whose past is known; track 0: all masks of the frame that are in no track."""
    future: frozenset[tuple[int, int]]
    """The same for the future."""

    def select(self, start: int, stop: int) -> EditedCells:
        """Return those of frames `start` to ``stop - 1``, counted from `start`.

        >>> EditedCells(frozenset({(4, 1), (9, 2)}), frozenset({(3, 1)})).select(4, 8)
        EditedCells(past=frozenset({(0, 1)}), future=frozenset())
        """
        parts = [frozenset((t - start, name) for t, name in each if start <= t < stop) for each in self]
        return EditedCells(*parts)

    def weigh(
        self, frame: IntArray, track: IntArray, frames: Sequence[int], settings: TrainSettings
    ) -> tuple[FeatureArray, FeatureArray]:
        """Return the weights of the past and of the future of cells, (N,) each.

        Parameters
        ----------
        frame, track : (N,) int64
            Frame, among those that were kept, and track of each cell.
        frames : ints
            The frames of the movie that were kept. A step over frames that were not kept has the weight of the cell.
        settings : TrainSettings
            The two weights.
        """
        cells = list(zip(np.asarray(frames, np.int64)[frame].tolist(), track.tolist(), strict=True))
        both = (np.array([cell in each for cell in cells], bool) for each in self)
        past, future = (
            np.where(named, settings.edited_weight, settings.unconfirmed_weight).astype(np.float32) for named in both
        )
        return past, future


class CorrectedResult(NamedTuple):
    """A result that was solved around edits, opened for training."""

    movie: Movie
    """Images and the masks that were tracked."""
    markers: FrameStack
    """Its masks, whose labels are its tracks, without those that were drawn: they are not in the input."""
    tracks: Tracks
    """Its table of tracks."""
    edited: EditedCells
    """The cells that its edits name."""


def find_corrected(folder: str | Path) -> list[Path]:
    """Return the corrected results that a path stands for: itself, or the results in a folder; none if there are none.

    A folder with ground truth (``NN_GT``) counts as ground truth, also if corrected results are in it.
    """
    folder = Path(folder).expanduser()
    edits = f"{EXTRAS}/edits.json"
    if (folder / edits).is_file():
        return [folder]
    found = [file.parents[1] for depth in ("*", "*/*") for file in folder.glob(f"{depth}/{edits}")]
    truth = any(next(folder.glob(f"{depth}*_GT"), None) is not None for depth in ("", "*/"))
    return [] if truth else sorted(found)


def read_corrected(folder: Path) -> CorrectedResult:
    """Read a corrected result.

    Parameters
    ----------
    folder : Path
        From `find_corrected`.

    Raises
    ------
    InputError
        If it was changed after it was written, or holds no edit that is still in it.
    """
    before = RecordedRun.read(folder)
    edited = list_edited(before.lineage, before.read_edits())
    if not edited.past and not edited.future:
        msg = f"{folder}: no edit to learn from in its {EXTRAS}/edits.json; give results of 'gnntrack apply-edits'"
        raise InputError(msg)
    masks = before.find("masks")
    if masks is None:
        _log.warning("%s: the masks that were tracked are not there; its own masks are used", folder)
    movie = open_movie(before.find("images"), masks or before.folder, settings=restore_settings(before.summary))
    if len(movie.masks) != before.lineage.cells.n_frames:
        frames = count_noun(before.lineage.cells.n_frames, "frame")
        msg = f"{folder}: the result has {frames}, its masks in {masks} {len(movie.masks)}"
        raise InputError(msg)
    return CorrectedResult(movie, _open_markers(before), before.lineage.tracks, edited)


def _open_markers(before: RecordedRun) -> FrameStack:
    lineage, masks = before.lineage, open_masks(before.folder)
    if lineage.origins is None:
        return masks
    drawn = lineage.origins.input_label == 0
    labels = [lineage.cells.label[rows][drawn[rows]] for rows in map(lineage.cells.rows, range(len(masks)))]

    def read(frame: int) -> Image:
        mask = np.asarray(masks[frame])
        return np.where(np.isin(mask, labels[frame]), 0, mask) if len(labels[frame]) else mask

    return Stack(read, masks.names, masks.shape, masks.spacing, masks.unit)


def list_edited(lineage: Lineage, edits: Sequence[Edit]) -> EditedCells:
    """Return the cells of a result whose past or future its edits decide.

    Parameters
    ----------
    lineage : Lineage
        The result, with its origins.
    edits : sequence of Edit
        In the labels of the input.
    """
    track = dict(zip(list_input_cells(lineage), lineage.track.tolist(), strict=True))
    past, future = set(), set()
    for edit in edits:
        first = edit.cells[0]
        known = (first[0], 0 if edit.kind == "spurious" else track.get(first, -1))
        future.add(known)
        if edit.kind == "spurious":
            past.add(known)
        past |= {(cell[0], track.get(cell, -1)) for cell in edit.cells[1:]}
    return EditedCells(*(frozenset(cell for cell in each if cell[1] >= 0) for each in (past, future)))
