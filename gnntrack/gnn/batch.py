"""Windows of movies put side by side as tensors: what a network reads in one step."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from gnntrack.gnn.inputs import Inputs
    from gnntrack.training.truth import Truth

__all__ = ["Answers", "Batch", "Outputs"]


@dataclass(frozen=True)
class _Tensors:
    def to(self, device: torch.device | str) -> Self:
        """Return a copy on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{k: v.to(device) if isinstance(v, torch.Tensor) else v for k, v in moved.items()})


@dataclass(frozen=True)
class Batch(_Tensors):
    """Windows as one graph whose parts know nothing of each other.

    Parameters
    ----------
    cell : (N, F) float32
    link : (E, K) float32
    pair : (M, P) float32
        Columns of `Inputs`, NaN where a movie has none.
    source, target : (E,) int64
        Cells of each candidate link.
    pairs : (M, 2) int64
        Candidate links of each possible division.
    gap : (E,) int64
        Frames from source to target.
    window : (N,) int64
        Which of the windows each cell belongs to.
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
    def of(cls, windows: Sequence[Inputs]) -> Batch:
        """Put windows side by side."""
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
class Answers(_Tensors):
    """The truth of a batch, see `gnntrack.training.truth.Truth`; ``past`` and ``future`` tell what counts.

    Parameters
    ----------
    link : (E,) bool
    pair : (M,) bool
    spurious : (N,) bool
    past, future : (N,) bool
        Cells whose past, or future, is known and wholly inside the window.
    """

    link: Tensor
    pair: Tensor
    spurious: Tensor
    past: Tensor
    future: Tensor

    @classmethod
    def of(cls, windows: Sequence[Inputs], truths: Sequence[Truth], inner: Sequence[tuple[int, int]]) -> Answers:
        """Put the truth of windows side by side; of each, frames ``inner[0]`` to ``inner[1] - 1`` count."""
        past, future = [], []
        for each, truth, (start, stop) in zip(windows, truths, inner, strict=True):
            counts = (each.frame >= start) & (each.frame < stop)
            past.append(counts & truth.parent_known & (each.frame > 0))
            future.append(counts & truth.child_known & (each.frame < each.n_frames - 1))
        columns = [[getattr(truth, name) for truth in truths] for name in ("link", "pair", "spurious")]
        return cls(*(torch.from_numpy(np.concatenate(column)) for column in (*columns, past, future)))


@dataclass(frozen=True)
class Outputs(_Tensors):
    """What a network says of a batch, as log odds.

    Parameters
    ----------
    link : (E,) float32
        What a link gains: its log odds against an end and a new start.
    pair : (M,) float32
        What a division gains: its log odds against an end and two new starts.
    spurious : (N,) float32
        Log odds that the cell is none.
    """

    link: Tensor
    pair: Tensor
    spurious: Tensor
