"""Movies and images whose labels are known: opened, simulated, and split into training and validation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gnntrack.errors import InputError
from gnntrack.io.ctc_table import read_track_table
from gnntrack.io.frames import open_masks
from gnntrack.io.stack import Stack
from gnntrack.pipeline import open_movie
from gnntrack.settings import Settings, SimulateSettings
from gnntrack.simulate import simulate_movie
from gnntrack.training.corruption.movie import thin_tracks
from gnntrack.training.sequences import TrainingSequence, find_sequences

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gnntrack.types import FrameStack, Image, Tracks

__all__ = [
    "SimulatedExample",
    "TrainingMovie",
    "movies_of",
    "open_sequence",
    "open_training_movie",
    "parted",
    "simulated_examples",
    "simulated_training_movie",
]

_LEAST_FRAMES = 6  # of a part of a movie
_BETWEEN = 3  # frames between what is learnt from and what is validated on
_SIMULATED = 41  # so that the kind of a movie and the movie are drawn apart
_FLAT = 0.7  # part of the simulated movies that is 2D
_FRAMES = 13  # of a simulated movie; every fourth is an example
_EVERY = 4
_KINDS = 53  # so that the kind of a movie and the movie are drawn apart
_KEPT = 8  # simulated movies in memory


@dataclass(frozen=True)
class TrainingMovie:
    """A movie whose lineage is known."""

    name: str
    masks: FrameStack
    images: FrameStack | None
    markers: FrameStack
    tracks: Tracks

    def part(self, start: int, stop: int) -> TrainingMovie:
        """Return frames ``start`` to ``stop - 1`` as a movie of their own."""
        frames = range(max(start, 0), min(stop, len(self.masks)))
        images = None if self.images is None else _some(self.images, frames)
        tracks = thin_tracks(self.tracks, list(frames))
        name = f"{self.name} [{frames.start}:{frames.stop}]"
        return TrainingMovie(name, _some(self.masks, frames), images, _some(self.markers, frames), tracks)


def open_training_movie(
    name: str, masks: object, images: object, truth: str | Path, *, settings: Settings | None = None
) -> TrainingMovie:
    """Open a movie and its truth, a folder with ``man_track.txt`` and markers.

    Raises
    ------
    InputError
        If any of them cannot be read, or they do not fit each other.
    """
    mask_stack, image_stack = open_movie(masks, images, settings=settings)
    markers = open_masks(truth)
    if (len(markers), tuple(markers.shape)) != (len(mask_stack), tuple(mask_stack.shape)):
        msg = (
            f"{name}: the truth in {truth} has {len(markers)} frames of {tuple(markers.shape)}, the masks have "
            f"{len(mask_stack)} of {tuple(mask_stack.shape)}; give the masks of this truth"
        )
        raise InputError(msg)
    return TrainingMovie(name, mask_stack, image_stack, markers, read_track_table(Path(truth) / "man_track.txt"))


def open_sequence(sequence: TrainingSequence, *, settings: Settings | None = None) -> TrainingMovie:
    """Open a sequence of the challenge's layout."""
    return open_training_movie(sequence.name, sequence.masks, sequence.images, sequence.truth, settings=settings)


def movies_of(
    data: Sequence[str | Path],
    validation: Sequence[str | Path] | None,
    *,
    simulated: int,
    seed: int,
    settings: Settings,
) -> tuple[list[TrainingMovie], list[TrainingMovie]]:
    """Return the movies to learn from, and those to validate on.

    Without movies for validation, the last frames of each movie are kept for it, and a few before them for neither.
    """
    opened = [open_sequence(each, settings=settings) for folder in data for each in find_sequences(folder)]
    made = [simulated_training_movie(seed * 1000 + i) for i in range(simulated)]
    if validation:
        checks = [open_sequence(each, settings=settings) for folder in validation for each in find_sequences(folder)]
        return opened + made, checks
    parts = [parted(movie, settings.train.held_out) for movie in opened or made]
    learnt, checks = [first for first, _ in parts], [last for _, last in parts if last is not None]
    return learnt + (made if opened else []), checks


def parted(movie: TrainingMovie, held_out: float) -> tuple[TrainingMovie, TrainingMovie | None]:
    """Return the first and the last frames of a movie; the whole and none where it is too short for both."""
    n = len(movie.masks)
    last = max(round(n * held_out), _LEAST_FRAMES) if held_out else 0
    if not last or n - last - _BETWEEN < _LEAST_FRAMES:
        return movie, None
    return movie.part(0, n - last - _BETWEEN), movie.part(n - last, n)


def _some(stack: FrameStack, frames: Sequence[int]) -> Stack:
    return Stack(
        lambda number: stack[frames[number]],
        names=[stack.names[frame] for frame in frames],
        shape=stack.shape,
        spacing=stack.spacing,
        unit=stack.unit,
    )


def simulated_training_movie(seed: int) -> TrainingMovie:
    """Return a simulated movie of a random kind: size, crowd, speed, cycle, light, two or three dimensions."""
    rng = np.random.default_rng([seed, _SIMULATED])
    flat = rng.random() < _FLAT
    life = SimulateSettings(
        frames=int(rng.integers(30, 70)),
        shape=(384, 384) if flat else (24, 128, 128),
        cells=int(rng.integers(15, 70) if flat else rng.integers(15, 40)),
        diameter=float(rng.uniform(9, 18)),
        clustering=float(rng.uniform(0, 0.9)),
        speed=float(np.exp(rng.uniform(np.log(0.3), np.log(3)))),
        persistence=float(rng.uniform(0.2, 0.9)),
        drift=float(rng.exponential(0.3)),
        cycle=float(np.exp(rng.uniform(np.log(12), np.log(50)))),
        death_rate=float(rng.exponential(0.002)),
        photons=float(np.exp(rng.uniform(np.log(40), np.log(300)))),
        texture=float(rng.uniform(0, 0.6)),
        bleaching=float(rng.uniform(0, 0.6)),
    )
    movie = simulate_movie(settings=life, seed=seed)
    lineage = movie.lineage

    def marker(frame: int) -> Image:
        rows = lineage.cells.rows(frame)
        track = np.zeros(int(lineage.cells.label[rows].max(initial=0)) + 1, np.int64)
        track[lineage.cells.label[rows]] = lineage.track[rows]
        return np.asarray(track[movie.masks[frame]])

    masks = movie.masks
    markers = Stack(marker, masks.names, masks.shape, masks.spacing, masks.unit)
    return TrainingMovie(f"simulated {seed}", masks, movie.images, markers, lineage.tracks)


class SimulatedExample:
    """A frame of a simulated movie.

    Parameters
    ----------
    seed : int
        Of the movie and of what kind it is.
    frame : int
        Its frame.
    dimensions : {2, 3}
        Axes of the image.
    """

    gold = True
    simulated = True

    def __init__(self, seed: int, frame: int, dimensions: int) -> None:
        self.seed, self.frame, self.dimensions = seed, frame, dimensions
        self.spacing = (1.0, 0.5, 0.5)[-dimensions:]

    @cached_property
    def movie(self) -> str:
        """The name of its movie."""
        return f"simulated {self.dimensions}D {self.seed}"

    @cached_property
    def name(self) -> str:
        """Movie and frame."""
        return f"{self.movie} frame {self.frame}"

    def read(self) -> tuple[Image, Image]:
        """Return the image and its labels."""
        movie = _simulated(self.seed, self.dimensions)
        images = movie.images
        if images is None:
            msg = f"{self.name}: the simulation made no images"
            raise InputError(msg)
        return np.asarray(images[self.frame]), np.asarray(movie.masks[self.frame]).astype(np.int32)


def simulated_examples(count: int, *, seed: int = 0, dimensions: int = 2) -> list[SimulatedExample]:
    """Return frames of so many simulated movies, each of a kind of its own.

    Parameters
    ----------
    count : int
        Number of movies.
    seed : int
        The same seed, the same movies.
    dimensions : {2, 3}
        Axes of the images.
    """
    frames = range(0, _FRAMES, _EVERY)
    return [SimulatedExample(1000 * seed + i, frame, dimensions) for i in range(count) for frame in frames]


@lru_cache(_KEPT)
def _simulated(seed: int, dimensions: int) -> Any:
    """Return a movie of a random kind: size and crowd of the cells, light, noise, blur."""
    rng = np.random.default_rng([seed, _KINDS])
    kind: Mapping[str, Any] = {
        "frames": _FRAMES,
        "shape": (320, 320) if dimensions == 2 else (20, 112, 112),
        "cells": int(rng.integers(4, 90) if dimensions == 2 else rng.integers(6, 40)),
        "diameter": float(rng.uniform(8, 20)),
        "clustering": float(rng.uniform(0, 1)),
        "cycle": 12.0,
        "photons": float(np.exp(rng.uniform(np.log(20), np.log(400)))),
        "background": float(np.exp(rng.uniform(np.log(3), np.log(60)))),
        "blur": float(rng.uniform(0.3, 1.4)),
        "texture": float(rng.uniform(0, 0.8)),
        "shading": float(rng.uniform(0, 0.6)),
    }
    return simulate_movie(settings=SimulateSettings(**kind), seed=seed)
