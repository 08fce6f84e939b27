"""Movies whose lineage is known: read from folders or simulated, and split into training and validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

import numpy as np

from gnntrack.errors import InputError
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.frames import open_masks
from gnntrack.io.stack import Stack, select_frames
from gnntrack.movie import open_movie
from gnntrack.plurals import count_noun
from gnntrack.settings import Settings
from gnntrack.training.corruption.movie import thin_tracks
from gnntrack.training.edited import EditedCells, find_corrected, read_corrected
from gnntrack.training.sequences import TrainingSequence, find_sequences
from gnntrack.training.simulated import simulate_link_movie
from gnntrack.training.track_tables import draw_ball_masks, open_track_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import FrameStack, Image, Tracks

__all__ = [
    "TrainingMovie",
    "open_corrected",
    "open_sequence",
    "open_training_movie",
    "open_training_movies",
    "simulate_training_movie",
    "split_movie",
]

_LEAST_FRAMES = 6  # shortest part of a movie
_BETWEEN = 3  # unused frames between training and validation


@dataclass(frozen=True)
class TrainingMovie:
    """A movie whose lineage is known.

    Parameters
    ----------
    name : str
        Used in messages and in the log.
    images : FrameStack or None
        Images, if there are any.
    masks : FrameStack
        Label images.
    markers : FrameStack
        Label images of the ground truth; labels are tracks.
    tracks : Tracks
        Table of the tracks of the ground truth.
    edited : EditedCells, optional
        The cells about which a person has decided, if the ground truth is a corrected result.
    """

    name: str
    images: FrameStack | None
    masks: FrameStack
    markers: FrameStack
    tracks: Tracks
    edited: EditedCells | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.masks)

    def select(self, start: int, stop: int) -> TrainingMovie:
        """Return frames ``start`` to ``stop - 1`` as a movie."""
        frames = range(max(start, 0), min(stop, len(self.masks)))
        images = None if self.images is None else select_frames(self.images, frames)
        masks, markers = select_frames(self.masks, frames), select_frames(self.markers, frames)
        name = f"{self.name} [{frames.start}:{frames.stop}]"
        edited = None if self.edited is None else self.edited.select(frames.start, frames.stop)
        return TrainingMovie(name, images, masks, markers, thin_tracks(self.tracks, list(frames)), edited)


def open_training_movie(
    name: str, images: object, masks: object, truth: str | Path, *, settings: Settings | None = None
) -> TrainingMovie:
    """Open a movie and its ground truth.

    Parameters
    ----------
    name : str
        Used in messages and in the log.
    images, masks : path, array or FrameStack; images may be None
        As in `gnntrack.pipeline.open_movie`.
    truth : path
        Folder with ``man_track.txt`` and label images (markers) of the ground truth.
    settings : Settings, optional
        How masks and images are read.

    Raises
    ------
    InputError
        If any of them cannot be read, or masks and ground truth differ in shape or number of frames.
    """
    movie = open_movie(images, masks, settings=settings)
    markers = open_masks(truth)
    if (len(markers), tuple(markers.shape)) != (len(movie.masks), tuple(movie.masks.shape)):
        msg = (
            f"{name}: the truth in {truth} has {count_noun(len(markers), 'frame')} of {tuple(markers.shape)}, "
            "the masks have "
            f"{len(movie.masks)} of {tuple(movie.masks.shape)}; give the masks that belong to this truth"
        )
        raise InputError(msg)
    return TrainingMovie(name, movie.images, movie.masks, markers, read_track_table(Path(truth) / "man_track.txt"))


def open_sequence(sequence: TrainingSequence, *, settings: Settings | None = None) -> TrainingMovie:
    """Open a sequence in the layout of the Cell Tracking Challenge; points without masks are drawn as balls."""
    if sequence.draws_balls:
        points = open_track_table(sequence, settings=settings or Settings())
        balls = draw_ball_masks(points)
        return TrainingMovie(sequence.name, None, balls.masks, balls.markers, points.tracks)
    return open_training_movie(sequence.name, sequence.images, sequence.masks, sequence.truth, settings=settings)


def open_training_movies(
    data: Sequence[str | Path],
    validation: Sequence[str | Path] | None,
    *,
    simulated: int,
    seed: int,
    settings: Settings,
) -> tuple[list[TrainingMovie], list[TrainingMovie]]:
    """Return movies for training and movies for validation.

    Parameters
    ----------
    data : paths
        Folders for training, see `gnntrack.training.sequences.find_sequences`, or corrected results, see
        `gnntrack.training.edited`; those are not split.
    validation : paths, optional
        Folders for validation. If None or empty, each movie of `data` is split by `split_movie` with
        ``train.held_out``; simulated movies are split only if `data` is empty.
    simulated : int
        Number of simulated movies for training.
    seed : int
        Seed of the simulated movies.
    settings : Settings
        How masks and images are read, and ``train.held_out``.
    """
    opened = _open_folders(data, settings)
    kinds = settings.train.simulated_kinds
    made = [simulate_training_movie(seed * 1000 + i, kinds[i % len(kinds)]) for i in range(simulated)]
    if validation:
        return opened + made, _open_folders(validation, settings)
    parts = [
        split_movie(movie, settings.train.held_out) if movie.edited is None else (movie, None)
        for movie in opened or made
    ]
    training, checks = [first for first, _ in parts], [last for _, last in parts if last is not None]
    return training + (made if opened else []), checks


def _open_folders(folders: Sequence[str | Path], settings: Settings) -> list[TrainingMovie]:
    opened = []
    for folder in folders:
        corrected = find_corrected(folder)
        opened += [open_corrected(each) for each in corrected]
        if not corrected:
            opened += [open_sequence(each, settings=settings) for each in find_sequences(folder)]
    return opened


def open_corrected(folder: Path) -> TrainingMovie:
    """Open a corrected result, of which the cells that its edits name count most.

    Raises
    ------
    InputError
        As of `gnntrack.training.edited.read_corrected`.
    """
    result = read_corrected(folder)
    images, masks = result.movie.images, result.movie.masks
    name = f"{folder.absolute().parent.name}/{folder.name}"
    return TrainingMovie(name, images, masks, result.markers, result.tracks, result.edited)


class _Selectable(Protocol):
    @property
    def n_frames(self) -> int: ...

    def select(self, start: int, stop: int) -> Self: ...


_M = TypeVar("_M", bound=_Selectable)


def split_movie(movie: _M, held_out: float) -> tuple[_M, _M | None]:
    """Return the first frames of a movie for training and the last ones for validation.

    A few frames between them are in neither. A movie that is too short for both is returned whole, with None.

    Parameters
    ----------
    movie : TrainingMovie or TrackedPoints
        The movie.
    held_out : float
        Fraction of the frames for validation, at least 6 frames; 0 = none.
    """
    n = movie.n_frames
    last = max(round(n * held_out), _LEAST_FRAMES) if held_out else 0
    if not last or n - last - _BETWEEN < _LEAST_FRAMES:
        return movie, None
    return movie.select(0, n - last - _BETWEEN), movie.select(n - last, n)


def simulate_training_movie(seed: int, kind: str = "cells") -> TrainingMovie:
    """Simulate a movie with random settings, see `gnntrack.training.simulated.simulate_link_movie`."""
    movie = simulate_link_movie(seed, kind)
    lineage = movie.lineage

    def make_marker(frame: int) -> Image:
        rows = lineage.cells.rows(frame)
        track = np.zeros(int(lineage.cells.label[rows].max(initial=0)) + 1, np.int64)
        track[lineage.cells.label[rows]] = lineage.track[rows]
        return np.asarray(track[movie.masks[frame]])

    masks = movie.masks
    markers = Stack(make_marker, masks.names, masks.shape, masks.spacing, masks.unit)
    name = f"simulated {seed}" if kind == "cells" else f"simulated {kind} {seed}"
    return TrainingMovie(name, movie.images, masks, markers, lineage.tracks)
