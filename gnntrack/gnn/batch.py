"""Tensors of a training or inference step: a batch of windows, its targets, and the outputs of a network."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gnntrack.gnn.inputs import Inputs
    from gnntrack.training.truth import GroundTruth

__all__ = ["Batch", "Outputs", "Targets"]


@dataclass(frozen=True)
class _Tensors:
    def to(self, device: torch.device | str) -> Self:
        """Return a copy on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in moved.items()})


@dataclass(frozen=True)
class Batch(_Tensors):
    """Windows of movies joined into one graph; no link connects two windows.

    Parameters
    ----------
    cell : (N, F) float32
    link : (E, K) float32
    pair : (M, P) float32
        Columns of `Inputs`; NaN if a movie lacks the column.
    source, target : (E,) int64
        Cells of each candidate link.
    pairs : (M, 2) int64
        Candidate links of each division candidate.
    gap : (E,) int64
        Frames from source to target.
    window : (N,) int64
        Number of the window that each cell belongs to.
    """

    cell: Tensor
    link: Tensor
    pair: Tensor
    source: Tensor
    target: Tensor
    pairs: Tensor
    gap: Tensor
    window: Tensor

    @classmethod
    def from_windows(cls, windows: Sequence[Inputs]) -> Batch:
        """Join windows; rows of cells and links are shifted accordingly."""
        cells = np.cumsum([0, *(len(each.frame) for each in windows)])
        links = np.cumsum([0, *(len(each.source) for each in windows)])
        shifted = list(zip(windows, cells, links, strict=False))
        gap = [each.frame[each.target] - each.frame[each.source] for each in windows]
        return cls(
            torch.from_numpy(np.concatenate([each.cell for each in windows])),
            torch.from_numpy(np.concatenate([each.link for each in windows])),
            torch.from_numpy(np.concatenate([each.pair for each in windows])),
            torch.from_numpy(np.concatenate([each.source + first for each, first, _ in shifted])),
            torch.from_numpy(np.concatenate([each.target + first for each, first, _ in shifted])),
            torch.from_numpy(np.concatenate([each.pairs + first for each, _, first in shifted])),
            torch.from_numpy(np.concatenate(gap)),
            torch.from_numpy(np.repeat(np.arange(len(windows)), np.diff(cells))),
        )


@dataclass(frozen=True)
class Targets(_Tensors):
    """The ground truth of a batch, see `gnntrack.training.truth`; ``past`` and ``future`` mark the cells that count.

    Parameters
    ----------
    link : (E,) bool
        Whether the link is true.
    pair : (M,) bool
        Whether the pair are the daughters of their source.
    spurious : (N,) bool
        Whether the mask is not a cell.
    past, future : (N,) bool
        Whether the past, or the future, of the cell is known and lies entirely inside the window.
    past_weight, future_weight : (N,) float32
        Weight of the cell's past, and of its future.
    """

    link: Tensor
    pair: Tensor
    spurious: Tensor
    past: Tensor
    future: Tensor
    past_weight: Tensor
    future_weight: Tensor

    @classmethod
    def from_windows(
        cls, windows: Sequence[Inputs], truths: Sequence[GroundTruth], inner: Sequence[tuple[int, int]]
    ) -> Targets:
        """Join the ground truth of windows.

        Parameters
        ----------
        windows : B `Inputs`
            The windows of the batch.
        truths : B `GroundTruth`
            Their ground truth.
        inner : B pairs of int
            First frame of each window that counts, and the frame after the last one.
        """
        past, future = [], []
        for each, truth, (start, stop) in zip(windows, truths, inner, strict=True):
            counts = (each.frame >= start) & (each.frame < stop)
            past.append(counts & truth.parent_known & (each.frame > 0))
            future.append(counts & truth.child_known & (each.frame < each.n_frames - 1))
        columns = [[getattr(truth, name) for truth in truths] for name in ("link", "pair", "spurious")]
        weights = [
            [np.ones(len(truth.spurious), np.float32) if each is None else each for truth, each in pairs]
            for pairs in ([(t, t.past_weight) for t in truths], [(t, t.future_weight) for t in truths])
        ]
        return cls(*(torch.from_numpy(np.concatenate(column)) for column in (*columns, past, future, *weights)))


@dataclass(frozen=True)
class Outputs(_Tensors):
    """The log odds that a network predicts for a batch.

    Parameters
    ----------
    link : (E,) float32
        Log odds of the link, against an end of its source and a new start of its target.
    pair : (M,) float32
        Log odds of the division, against an end of the parent and two new starts.
    spurious : (N,) float32
        Log odds that the mask is not a cell.
    """

    link: Tensor
    pair: Tensor
    spurious: Tensor
