"""Windows: random stretches of movies, drawn in batches for the steps of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gnntrack.gnn.batch import Batch, Targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.gnn.inputs import Inputs
    from gnntrack.training.samples import Sample
    from gnntrack.types import FloatArray

__all__ = ["Windows"]

_MARGIN = 2  # smallest number of frames at a window's cut ends whose cells do not count


class Windows:
    """Draws batches of windows.

    The probability of a movie is proportional to the square root of its number of links.

    Parameters
    ----------
    samples : Samples
        Movies to draw from; those without links are not used.
    length : int
        Frames of a window.
    links : int
        A batch is complete once it has this many links.
    division_share : float
        Fraction of the windows that are placed around a random division, if the movie has any; in a corrected result,
        around a random edit.
    """

    def __init__(self, samples: Sequence[Sample], *, length: int, links: int, division_share: float) -> None:
        self.samples = [sample for sample in samples if len(sample.inputs.source)]
        self.length, self.links, self.division_share = length, links, division_share
        weight = np.sqrt([len(sample.inputs.source) for sample in self.samples])
        self.share: FloatArray = weight / weight.sum()
        self.divisions = [_find_division_frames(sample) for sample in self.samples]

    def draw(self, rng: np.random.Generator) -> tuple[Batch, Targets, list[str]]:
        """Return a batch, its ground truth, and the names of its windows."""
        windows, truths, inner, names, links = [], [], [], [], 0
        while links < self.links:
            number = int(rng.choice(len(self.samples), p=self.share))
            sample = self.samples[number]
            start, stop = self._draw_frames(sample.inputs, self.divisions[number], rng)
            window, cells, rows, pairs = sample.inputs.cut_window(start, stop)
            if not len(rows):
                continue
            windows.append(window)
            truths.append(sample.truth.select(cells, rows, pairs))
            margin = _compute_margin(sample.inputs)
            cut = start + margin if start else 0, stop - margin if stop < sample.inputs.n_frames else stop
            inner.append(cut)
            names.append(f"{sample.name} frames {start} to {stop - 1}")
            links += len(rows)
        return Batch.from_windows(windows), Targets.from_windows(windows, truths, inner), names

    def _draw_frames(self, inputs: Inputs, divisions: Sequence[int], rng: np.random.Generator) -> tuple[int, int]:
        """Return the first frame of a window and the frame after its last."""
        margin = _compute_margin(inputs)
        length = max(self.length, 2 * margin + 2)  # so that some frames lie between the margins
        last = max(inputs.n_frames - length, 0)
        if len(divisions) and rng.random() < self.division_share:
            frame = divisions[int(rng.integers(len(divisions)))]
            start = frame - int(rng.integers(margin, max(length - margin - 1, margin + 1)))
        else:
            start = int(rng.integers(-margin, last + margin + 1))
        start = min(max(start, 0), last)
        return start, min(start + length, inputs.n_frames)


def _compute_margin(inputs: Inputs) -> int:
    """Return the number of frames at a window's cut ends whose cells do not count: some of their links are outside."""
    return max(_MARGIN, int((inputs.frame[inputs.target] - inputs.frame[inputs.source]).max(initial=0)))


def _find_division_frames(sample: Sample) -> Sequence[int]:
    """Return the frame of the parent of each true division; in a corrected result those of cells that edits name."""
    truth, inputs = sample.truth, sample.inputs
    if sample.edited and truth.past_weight is not None and truth.future_weight is not None:
        weight = np.maximum(truth.past_weight, truth.future_weight)
        if weight.min() < weight.max():
            edited: list[int] = inputs.frame[weight == weight.max()].tolist()
            return edited
    parents = inputs.source[inputs.pairs[truth.pair, 0]]
    frames: list[int] = inputs.frame[parents].tolist()
    return frames
