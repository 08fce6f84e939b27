"""What a network learns from: movies as arrays with their truth, and the windows drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gnntrack.gnn.appearance import crops
from gnntrack.gnn.batch import Batch, Targets
from gnntrack.gnn.weights import scorer_class
from gnntrack.pipeline import build_with_runs
from gnntrack.scores import score_links
from gnntrack.settings import Settings
from gnntrack.training.corruption.movie import corrupt_movie, thin_tracks
from gnntrack.training.corruption.settings import Corruption
from gnntrack.training.truth import Truth, match_cells

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from gnntrack.gnn.appearance import Crops
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.training.movies import TrainingMovie
    from gnntrack.types import CellGraph, FloatArray, IntArray, LinkScores, Progress

__all__ = ["Sample", "Windows", "fit_standards", "make_sample", "make_samples", "validation_samples"]

_LONG_ENOUGH = 12  # frames of a movie of which every second one is enough
_WITHOUT_IMAGES = 3  # of four versions
_MARGIN = 2  # frames at a window's cut ends whose cells do not count, at least
_SAMPLED = 20_000  # rows of each movie that the statistics of columns are taken from


@dataclass(frozen=True)
class Sample:
    """A movie with its truth.

    Parameters
    ----------
    name : str
        For messages.
    inputs, truth
        What a network reads, and what is right.
    graph, prior
        What the inputs were made of; they are needed to solve the movie in validation.
    track : (N,) int64
        The truth's track of each cell, 0 = none.
    crops : (N, S, S) uint8 or None
        The cells' images, where appearance is to be learnt.
    """

    name: str
    inputs: Inputs
    truth: Truth
    graph: CellGraph
    prior: LinkScores
    track: IntArray
    crops: Crops | None = None


def make_sample(
    movie: TrainingMovie,
    *,
    corruption: Corruption | None = None,
    seed: int = 0,
    images: bool = True,
    network: str = "linknet",
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
    network : str
        The kind of network, which says how it reads a graph.
    settings : Settings, optional
        As in tracking; ``train.appearance`` cuts out the cells' images too.
    """
    settings = settings or Settings()
    grey = movie.images if images else None
    masks, grey, markers, frames = corrupt_movie(
        movie.masks, grey, movie.markers, corruption or Corruption(), seed=seed
    )
    graph, runs = build_with_runs(masks, grey, settings)
    prior = score_links(graph, settings=settings.scores)
    inputs = scorer_class(network).inputs_of(graph, prior)
    track = match_cells(graph.cells, runs, markers)
    truth = Truth.of(inputs, track, thin_tracks(movie.tracks, frames), longest=settings.graph.max_gap)
    cut = crops(graph.cells, runs, grey) if settings.train.appearance and grey is not None else None
    return Sample(movie.name, inputs, truth, graph, prior, track, cut)


def make_samples(
    movies: Sequence[TrainingMovie],
    *,
    seed: int = 0,
    network: str = "linknet",
    settings: Settings,
    progress: Progress | None = None,
) -> list[Sample]:
    """Return versions of movies to learn from: as they are, at half the rate, and made worse at random.

    Every fourth version does without images, so that the network works without them. Versions without any candidate
    link are left out.
    """
    plan = settings.train
    samples = []
    for number, movie in enumerate(movies):
        for variant in range(plan.variants):
            rng = np.random.default_rng([seed, number, variant])
            corruption = Corruption()
            if variant == 1 and len(movie.masks) >= _LONG_ENOUGH:
                corruption = Corruption(step=2, quarter_turns=1)
            elif variant:
                corruption = Corruption.random(rng, plan.corruption)
            images = variant % 4 != _WITHOUT_IMAGES
            sample = make_sample(
                movie,
                corruption=corruption,
                seed=1000 * seed + variant,
                images=images,
                network=network,
                settings=settings,
            )
            if len(sample.inputs.source):
                samples.append(sample)
        if progress is not None:
            progress("preparing", number + 1, len(movies))
    return samples


def validation_samples(
    movies: Sequence[TrainingMovie], *, network: str = "linknet", settings: Settings
) -> list[Sample]:
    """Return movies to validate on, as they are and with a segmenter's faults."""
    faults = Corruption(drop=0.03, merge=0.03, split=0.02, insert=0.01)
    made = [
        make_sample(movie, corruption=corruption, seed=seed, network=network, settings=settings)
        for movie in movies
        for seed, corruption in enumerate((Corruption(), faults))
    ]
    return [sample for sample in made if len(sample.inputs.source)]


class Windows:
    """Draws batches of windows; movies by the square root of their size, windows by their divisions.

    Parameters
    ----------
    samples : Samples
        Movies to draw from; those without links are left out.
    length : int
        Frames of a window.
    links : int
        A batch is closed once it has this many links.
    division_share : float
        Part of the windows that is drawn around a division, where the movie has any.
    """

    def __init__(self, samples: Sequence[Sample], *, length: int, links: int, division_share: float) -> None:
        self.samples = [sample for sample in samples if len(sample.inputs.source)]
        self.length, self.links, self.division_share = length, links, division_share
        weight = np.sqrt([len(sample.inputs.source) for sample in self.samples])
        self.share: FloatArray = weight / weight.sum()
        self.divisions = [_division_frames(sample) for sample in self.samples]

    def draw(self, rng: np.random.Generator) -> tuple[Batch, Targets, list[str]]:
        """Return a batch, its truth, and the names of the movies it is from."""
        windows, truths, inner, names, links = [], [], [], [], 0
        while links < self.links:
            number = int(rng.choice(len(self.samples), p=self.share))
            sample = self.samples[number]
            start, stop = self._frames(sample.inputs, self.divisions[number], rng)
            window, cells, rows, pairs = sample.inputs.cut_window(start, stop)
            if not len(rows):
                continue
            windows.append(window)
            truths.append(sample.truth.rows(cells, rows, pairs))
            margin = _margin(sample.inputs)
            cut = start + margin if start else 0, stop - margin if stop < sample.inputs.n_frames else stop
            inner.append(cut)
            names.append(f"{sample.name} frames {start} to {stop - 1}")
            links += len(rows)
        return Batch.from_windows(windows), Targets.from_windows(windows, truths, inner), names

    def _frames(self, inputs: Inputs, divisions: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
        margin = _margin(inputs)
        length = max(self.length, 2 * margin + 2)  # so that there is something left that counts
        last = max(inputs.n_frames - length, 0)
        if len(divisions) and rng.random() < self.division_share:
            frame = divisions[int(rng.integers(len(divisions)))]
            start = frame - int(rng.integers(margin, max(length - margin - 1, margin + 1)))
        else:
            start = int(rng.integers(-margin, last + margin + 1))
        start = min(max(start, 0), last)
        return start, min(start + length, inputs.n_frames)


def fit_standards(network: nn.Module, samples: Sequence[Sample]) -> None:
    """Set the means and deviations by which a network standardises its columns."""
    for block in ("cell", "link", "pair"):
        standard = getattr(network, f"{block}_standard")
        columns = [getattr(sample.inputs, block) for sample in samples]
        values = np.concatenate([column[:: max(1, len(column) // _SAMPLED)] for column in columns])
        for i in range(len(standard.mean)):  # a learned appearance, behind those columns, is of length 1 already
            known = values[np.isfinite(values[:, i]), i]
            if len(known) > 1:
                standard.mean[i] = float(known.mean())
                standard.deviation[i] = torch.tensor(max(float(known.std()), 1e-3))


def _margin(inputs: Inputs) -> int:
    """Return the frames at a window's cut ends whose cells do not count: part of their links lies outside."""
    return max(_MARGIN, int((inputs.frame[inputs.target] - inputs.frame[inputs.source]).max(initial=0)))


def _division_frames(sample: Sample) -> Sequence[int]:
    mothers = sample.inputs.source[sample.inputs.pairs[sample.truth.pair, 0]]
    frames: list[int] = sample.inputs.frame[mothers].tolist()
    return frames
