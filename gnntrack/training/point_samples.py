"""Samples of points: movies of points as the arrays that a network is trained on, with their ground truth."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.gnn.networks import NETWORKS
from gnntrack.graph.point_links import build_point_links
from gnntrack.measure.points import make_point_cells
from gnntrack.scores import score_links
from gnntrack.training.samples import Sample
from gnntrack.training.tracked_points import vary_points
from gnntrack.training.truth import GroundTruth
from gnntrack.types import CellGraph, LinkScores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.gnn.inputs import Inputs
    from gnntrack.settings import Settings
    from gnntrack.training.tracked_points import TrackedPoints
    from gnntrack.types import IntArray, Progress

__all__ = ["make_point_sample", "make_point_samples", "make_point_validation_samples"]

_CLUTTER = 0.1  # weight of a false detection in the loss


def make_point_sample(movie: TrackedPoints, *, network: str = "points", settings: Settings) -> Sample:
    """Return the arrays of a movie of points, as tracking makes them, and its ground truth.

    Parameters
    ----------
    movie : TrackedPoints
        The points and their tracks.
    network : str
        Kind of network, one of `gnntrack.gnn.networks.NETWORKS`.
    settings : Settings
        Of the stages before the network.
    """
    cells, row = make_point_cells(movie.points, neighbours=settings.cells.neighbours)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of jumps and copied frames, in every variant
        graph = build_point_links(cells, motion=settings.motion, settings=settings.graph)
    prior = score_links(graph, settings=settings.scores)
    inputs = NETWORKS[network].inputs_of(graph, prior)
    track = np.zeros(len(cells), np.int64)
    track[row] = movie.track
    truth = GroundTruth.from_tracks(inputs, track, movie.tracks, longest=settings.graph.max_gap)
    truth = _weigh_cells(truth, inputs, track)
    if movie.sparse:
        truth = truth.leave_unannotated(inputs, track, movie.tracks)
    return Sample(movie.name, inputs, truth, graph, prior, track)


def _weigh_cells(truth: GroundTruth, inputs: Inputs, track: IntArray) -> GroundTruth:
    """Return the ground truth with weights: cells at the ends of a gap count by its length, clutter counts less.

    A link over a gap stands for as many steps of the cell, which are all missing in the result if it is missed. A false
    detection that is linked to others makes a short false track, but no track of a cell wrong.
    """
    gap = (inputs.frame[inputs.target] - inputs.frame[inputs.source]).astype(np.float32)
    past, future = np.where(track > 0, 1, [[_CLUTTER]] * 2).astype(np.float32)
    past[inputs.target[truth.link]] = future[inputs.source[truth.link]] = gap[truth.link]
    return replace(truth, past_weight=past, future_weight=future)


def make_point_samples(
    movies: Sequence[TrackedPoints],
    *,
    seed: int = 0,
    network: str = "points",
    settings: Settings,
    progress: Progress | None = None,
) -> list[Sample]:
    """Return variants of movies for training: unchanged if a detector has found the points, and random ones.

    Parameters
    ----------
    movies : TrackedPoints
        The movies.
    seed : int
        Seed of the variants.
    network : str
        Kind of network.
    settings : Settings
        ``train.variants`` is the number of variants of each movie, ``train.corruption`` the strength of the faults.
    progress : Progress, optional
        Called after each movie.
    """
    samples = []
    for number, movie in enumerate(movies):
        for variant in range(settings.train.variants):
            rng = np.random.default_rng([seed, number, variant])
            if variant or not movie.detected:
                movie_variant = vary_points(movie, rng, strength=settings.train.corruption)
            else:
                movie_variant = movie
            sample = make_point_sample(movie_variant, network=network, settings=settings)
            if len(sample.inputs.source):
                samples.append(_forget_graph(sample))
        if progress is not None:
            progress("preparing", number + 1, len(movies))
    return samples


def _forget_graph(sample: Sample) -> Sample:
    """Return a sample without the candidate links that the network does not read: only a validation needs them."""
    none = np.zeros(0, np.int64)
    graph = sample.graph
    empty = CellGraph(graph.cells, none, none, graph.features[:0], graph.feature_names)
    return replace(sample, graph=empty, prior=LinkScores(np.zeros(0, np.float32)))


def make_point_validation_samples(
    movies: Sequence[TrackedPoints], *, network: str = "points", settings: Settings
) -> list[Sample]:
    """Return two variants of each movie for validation: as it is, and with faults of a detector."""
    made = []
    for number, movie in enumerate(movies):
        rng = np.random.default_rng([number, 2**20])
        variants = movie, vary_points(movie, rng, strength=settings.train.corruption)
        made += [make_point_sample(variant, network=network, settings=settings) for variant in variants]
    return [sample for sample in made if len(sample.inputs.source)]
