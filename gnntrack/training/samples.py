"""Samples: movies as the arrays that a link network is trained on, with their ground truth."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.gnn.appearance import crop_cells
from gnntrack.gnn.networks import NETWORKS
from gnntrack.movie import Movie, build_with_runs
from gnntrack.scores import score_links
from gnntrack.settings import Settings
from gnntrack.training.corruption.movie import corrupt_movie, thin_tracks
from gnntrack.training.corruption.settings import Corruption
from gnntrack.training.truth import GroundTruth, is_sparse, match_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.gnn.appearance import Crops
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.training.movies import TrainingMovie
    from gnntrack.types import CellGraph, IntArray, LinkScores, Progress

__all__ = ["Sample", "make_sample", "make_samples", "make_validation_samples"]

_STEPS = {1: 2, 2: 4}  # numbers of the variants with every second and every fourth frame only
_LEAST_FRAMES = 6  # of such a variant; shorter ones are made as the others
_WITHOUT_IMAGES = 3  # number of the variant, of every four, that is made without images


@dataclass(frozen=True)
class Sample:
    """A movie with its ground truth.

    Parameters
    ----------
    name : str
        Name of the movie, used in messages.
    inputs : Inputs
        The arrays that a network reads.
    truth : GroundTruth
        The true links and divisions among the candidates.
    graph, prior : CellGraph, LinkScores
        Graph and classical scores that the inputs were computed from; validation needs them to solve the movie.
    track : (N,) int64
        Track of each cell in the ground truth, 0 = none.
    crops : (N, S, S) uint8 or None
        Images of the cells, if appearance is used.
    edited : bool
        It is a corrected result; the cells of largest weight in its truth are those that edits name.
    """

    name: str
    inputs: Inputs
    truth: GroundTruth
    graph: CellGraph
    prior: LinkScores
    track: IntArray
    crops: Crops | None = None
    edited: bool = False


def make_sample(
    movie: TrainingMovie,
    *,
    corruption: Corruption | None = None,
    seed: int = 0,
    images: bool = True,
    network: str = "linknet",
    settings: Settings | None = None,
) -> Sample:
    """Corrupt a movie and convert it to the arrays that a network is trained on.

    Parameters
    ----------
    movie : TrainingMovie
        The movie.
    corruption : Corruption, optional
        Changes of the movie; by default only the labels are shuffled.
    seed : int
        Seed of the corruption.
    images : bool
        Use the images of the movie.
    network : str
        Kind of network; it determines how a graph is converted to arrays.
    settings : Settings, optional
        As in tracking. With ``train.appearance`` the images of the cells are cut out too.
    """
    settings = settings or Settings()
    grey = movie.images if images else None
    masks, grey, markers, frames = corrupt_movie(
        movie.masks, grey, movie.markers, corruption or Corruption(), seed=seed
    )
    graph, runs = build_with_runs(Movie(masks=masks, images=grey), settings)
    prior = score_links(graph, settings=settings.scores)
    inputs = NETWORKS[network].inputs_of(graph, prior)
    track = match_cells(graph.cells, runs, markers)
    tracks = thin_tracks(movie.tracks, frames)
    longest = max(settings.graph.max_gap, int(graph.gap.max(initial=1)))  # longer ones are links of some movies
    truth = GroundTruth.from_tracks(inputs, track, tracks, longest=longest)
    if settings.train.truth == "sparse" or (settings.train.truth == "auto" and is_sparse(track, tracks)):
        truth = truth.leave_unannotated(inputs, track, tracks)
    if movie.edited is not None:
        past, future = movie.edited.weigh(graph.cells.frame, track, frames, settings.train)
        truth = replace(truth, past_weight=past, future_weight=future)
    cut = crop_cells(graph.cells, runs, grey) if settings.train.appearance and grey is not None else None
    return Sample(movie.name, inputs, truth, graph, prior, track, cut, edited=movie.edited is not None)


def make_samples(
    movies: Sequence[TrainingMovie],
    *,
    seed: int = 0,
    network: str = "linknet",
    settings: Settings,
    progress: Progress | None = None,
) -> list[Sample]:
    """Return variants of movies for training: unchanged, with every 2nd and every 4th frame, and randomly corrupted.

    Every fourth variant is without images, so that the network works without them too. Variants without any candidate
    link are not returned.

    Parameters
    ----------
    movies : TrainingMovies
        The movies.
    seed : int
        Seed of the corruptions.
    network : str
        Kind of network, see `make_sample`.
    settings : Settings
        ``train.variants`` is the number of variants of each movie, ``train.corruption`` the strength of the
        corruptions.
    progress : Progress, optional
        Called after each movie.
    """
    plan = settings.train
    samples = []
    for number, movie in enumerate(movies):
        for variant in range(plan.variants):
            rng = np.random.default_rng([seed, number, variant])
            sample = make_sample(
                movie,
                corruption=_choose_corruption(movie, variant, rng, plan.corruption),
                seed=1000 * seed + variant,
                images=variant % 4 != _WITHOUT_IMAGES,
                network=network,
                settings=settings,
            )
            if len(sample.inputs.source):
                samples.append(sample)
        if progress is not None:
            progress("preparing", number + 1, len(movies))
    return samples


def _choose_corruption(movie: TrainingMovie, variant: int, rng: np.random.Generator, strength: float) -> Corruption:
    """Return the corruption of a variant: none for variant 0, fewer frames for 1 and 2, else a random one."""
    if variant == 0:
        return Corruption()
    step = _STEPS.get(variant, 0)
    if step and len(movie.masks) >= step * _LEAST_FRAMES:
        return Corruption(step=step, quarter_turns=variant)
    return Corruption.random(rng, strength)


def make_validation_samples(
    movies: Sequence[TrainingMovie], *, network: str = "linknet", settings: Settings
) -> list[Sample]:
    """Return two variants of each movie for validation: unchanged, and with faults of a segmenter."""
    faults = Corruption(drop=0.03, merge=0.03, split=0.02, insert=0.01)
    made = [
        make_sample(movie, corruption=corruption, seed=seed, network=network, settings=settings)
        for movie in movies
        for seed, corruption in enumerate((Corruption(), faults))
    ]
    return [sample for sample in made if len(sample.inputs.source)]
