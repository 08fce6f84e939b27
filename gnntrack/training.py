"""From movies with a known lineage to what a network learns from: the recipe of training.

The graph is built by the same ``build_graph`` as in tracking, so that the two cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.gnn.corrupt import Corruption, corrupt_movie, thin_tracks
from gnntrack.gnn.data import Sample
from gnntrack.gnn.inputs import Inputs
from gnntrack.gnn.truth import Truth, match_cells
from gnntrack.io.ctc import read_track_table
from gnntrack.io.frames import open_masks
from gnntrack.io.stack import Stack
from gnntrack.pipeline import _build, open_movie
from gnntrack.scores import score_links
from gnntrack.settings import Settings, SimulateSettings
from gnntrack.simulate import simulate_movie

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.types import FrameStack, Image, Tracks

__all__ = ["TrainingMovie", "make_sample", "open_training_movie", "simulated_training_movie"]

_SIMULATED = 41  # so that the kind of a movie and the movie are drawn apart
_FLAT = 0.7  # part of the simulated movies that is 2D


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
    return TrainingMovie(name, mask_stack, image_stack, markers, read_track_table(Path(truth) / "man_track.txt"))


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


def make_sample(
    movie: TrainingMovie,
    *,
    corruption: Corruption | None = None,
    seed: int = 0,
    images: bool = True,
    settings: Settings | None = None,
) -> Sample:
    """Return what a network learns from a movie, after it was made worse.

    Parameters
    ----------
    movie : TrainingMovie
        The movie.
    corruption : Corruption, optional
        What is done to it; by default nothing but new labels.
    seed : int
        Of the corruption.
    images : bool
        Use its images.
    settings : Settings, optional
        As in tracking.
    """
    settings = settings or Settings()
    grey = movie.images if images else None
    masks, grey, markers, frames = corrupt_movie(
        movie.masks, grey, movie.markers, corruption or Corruption(), seed=seed
    )
    graph, runs = _build(masks, grey, settings, None)
    prior = score_links(graph, settings=settings.scores)
    inputs = Inputs.of(graph, prior)
    track = match_cells(graph.cells, runs, markers)
    truth = Truth.of(inputs, track, thin_tracks(movie.tracks, frames), longest=settings.graph.max_gap)
    return Sample(movie.name, inputs, truth, graph, prior)


def _some(stack: FrameStack, frames: Sequence[int]) -> Stack:
    return Stack(
        lambda number: stack[frames[number]],
        names=[stack.names[frame] for frame in frames],
        shape=stack.shape,
        spacing=stack.spacing,
        unit=stack.unit,
    )
