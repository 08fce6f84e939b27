"""Shared by the tests of networks: random candidate graphs as arrays, networks with random weights, tiny movies."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from gnntrack.gnn.batch import Batch, Targets
from gnntrack.gnn.inputs import CELL_INPUTS, LINK_INPUTS, PAIR_INPUTS, Inputs
from gnntrack.gnn.linknet import LinkNet
from gnntrack.settings import Settings, SimulateSettings
from gnntrack.simulate import simulate_movie
from gnntrack.training.movies import TrainingMovie
from gnntrack.training.samples import make_sample
from gnntrack.training.truth import GroundTruth

TINY = Settings().replace(
    train__width=8, train__rounds=1, train__heads=2, train__links=1500, train__validate_every=8, train__variants=1
)


def draw_inputs(seed=0, *, frames=5, cells=6, chance=0.5, pairs=True) -> Inputs:
    """Return cells in frames, links by chance to the next two frames, and all pairs of links to the next one."""
    random = np.random.default_rng(seed)
    frame = np.repeat(np.arange(frames), cells)
    gap = frame[None] - frame[:, None]
    there = random.random(gap.shape) < chance * np.where(gap == 1, 1.0, 0.5)
    source, target = np.nonzero(there & (gap > 0) & (gap <= 2))
    near = np.flatnonzero(gap[source, target] == 1)
    found = [(a, b) for a in near for b in near if a < b and source[a] == source[b]] if pairs else []
    links = np.array(found, np.int64).reshape(-1, 2)

    def draw_columns(n, names):
        return random.normal(0, 1.5, (n, len(names))).astype(np.float32)

    return Inputs(
        frame,
        source,
        target,
        links,
        draw_columns(len(frame), CELL_INPUTS),
        draw_columns(len(source), LINK_INPUTS),
        draw_columns(len(links), PAIR_INPUTS),
        frames,
        np.arange(len(source)),
    )


def draw_truth(inputs: Inputs, seed=0) -> GroundTruth:
    """Return a truth that a lineage could have: each cell has one past at most, and one future or two daughters."""
    random = np.random.default_rng(seed)
    free_past, free_future = np.ones(len(inputs.frame), bool), np.ones(len(inputs.frame), bool)
    pair, link = np.zeros(len(inputs.pairs), bool), np.zeros(len(inputs.source), bool)
    for row in random.permutation(len(pair))[: len(pair) // 4]:
        parent, daughters = inputs.source[inputs.pairs[row, 0]], inputs.target[inputs.pairs[row]]
        if free_future[parent] and free_past[daughters].all():
            pair[row], free_future[parent], free_past[daughters] = True, False, False
    for row in random.permutation(len(link))[: len(link) // 2]:
        a, b = inputs.source[row], inputs.target[row]
        if free_future[a] and free_past[b]:
            link[row], free_future[a], free_past[b] = True, False, False
    known = random.random((2, len(inputs.frame))) < 0.8
    return GroundTruth(link, pair, known[0], known[1], random.random(len(inputs.frame)) < 0.2)


def make_batch(*windows, seed=0) -> tuple[Batch, Targets]:
    """Return windows as a batch, with a random truth."""
    truths = [draw_truth(each, seed + i) for i, each in enumerate(windows)]
    return Batch.from_windows(windows), Targets.from_windows(windows, truths, [(0, each.n_frames) for each in windows])


def make_random_network(seed=0, *, strength=0.15, **options) -> LinkNet:
    """Return a network with all weights random, also those of the heads."""
    torch.manual_seed(seed)
    net = LinkNet(**{"width": 16, "rounds": 2, "heads": 4, **options}).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(strength * torch.randn_like(parameter))
    return net


def compute_outputs(net, batch):
    with torch.no_grad():
        return net(batch)


@cache
def simulate_small(seed=1, *, name="simulated", frames=12, cells=8, **options) -> TrainingMovie:
    """Return a small movie in which cells divide."""
    life = SimulateSettings(**{"frames": frames, "shape": (128, 128), "cells": cells, "cycle": 12.0, **options})
    movie = simulate_movie(settings=life, seed=seed)
    known = movie.lineage

    class Markers:
        """The masks with track ids for labels."""

        shape, names, spacing, unit = movie.masks.shape, movie.masks.names, movie.masks.spacing, movie.masks.unit

        def __len__(self):
            return len(movie.masks)

        def __getitem__(self, frame):
            rows = known.cells.rows(frame)
            track = np.zeros(int(known.cells.label[rows].max(initial=0)) + 1, np.int64)
            track[known.cells.label[rows]] = known.track[rows]
            return track[movie.masks[frame]]

    return TrainingMovie(name, movie.images, movie.masks, Markers(), known.tracks)


def make_tiny_sample(movie=None, **options):
    return make_sample(movie or simulate_small(), settings=options.pop("settings", TINY), **options)


def with_links(inputs: Inputs, rows) -> Inputs:
    """Return the inputs with some of the links, and without pairs."""
    return replace(
        inputs,
        source=inputs.source[rows],
        target=inputs.target[rows],
        link=inputs.link[rows],
        rows=np.arange(len(rows)),
        pairs=inputs.pairs[:0],
        pair=inputs.pair[:0],
    )
