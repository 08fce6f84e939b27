"""What a network learns from: movies as arrays with their truth, and the windows drawn from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from gnntrack.gnn.batch import Answers, Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from gnntrack.gnn.appearance import Crops
    from gnntrack.gnn.inputs import Inputs
    from gnntrack.training.truth import Truth
    from gnntrack.types import CellGraph, FloatArray, IntArray, LinkScores

__all__ = ["Sample", "Windows", "fit_standards"]

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

    def draw(self, rng: np.random.Generator) -> tuple[Batch, Answers, list[str]]:
        """Return a batch, its truth, and the names of the movies it is from."""
        windows, truths, inner, names, links = [], [], [], [], 0
        while links < self.links:
            number = int(rng.choice(len(self.samples), p=self.share))
            sample = self.samples[number]
            start, stop = self._frames(sample.inputs, self.divisions[number], rng)
            window, cells, rows, pairs = sample.inputs.window(start, stop)
            if not len(rows):
                continue
            windows.append(window)
            truths.append(sample.truth.rows(cells, rows, pairs))
            margin = _margin(sample.inputs)
            cut = start + margin if start else 0, stop - margin if stop < sample.inputs.n_frames else stop
            inner.append(cut)
            names.append(f"{sample.name} frames {start} to {stop - 1}")
            links += len(rows)
        return Batch.of(windows), Answers.of(windows, truths, inner), names

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
