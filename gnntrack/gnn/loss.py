"""What a network is trained for: every cell's past and every cell's future, each among all that compete for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from gnntrack.gnn.batch import Answers, Batch, Outputs

__all__ = ["lineage_loss"]

_SPURIOUS = 0.1  # weight of the spurious head: it may not outweigh the links


def lineage_loss(outputs: Outputs, batch: Batch, answers: Answers, *, division_weight: float) -> Tensor:
    r"""Return the mean negative log likelihood of the cells' true pasts and futures.

    .. math:: P(\text{past of } j = o) = \frac{\exp w_o}{1 + \sum_{o' \to j} \exp w_{o'}}

    where the options are the links into the cell and the divisions it may be a daughter of, and 1 stands for a
    cell without a past (the parental softmax with an orphan term); the future of a cell alike, over links and
    divisions out of it. Together they are the pseudo-likelihood (Besag 1975) of the lineage under
    :math:`P \propto \exp \sum w`, whose mode the solvers look for.

    Parameters
    ----------
    outputs : Outputs
        Gains of links (E,) and pairs (M,), log odds of spurious cells (N,).
    batch : Batch
        What they are of.
    answers : Answers
        What is right.
    division_weight : float
        A cell that divides, or was born by a division, counts for this many.
    """
    first, second = batch.pairs.T
    gain = torch.cat([outputs.link, outputs.pair, outputs.pair])
    right = torch.cat([answers.link, answers.pair, answers.pair])
    into = torch.cat([batch.target, batch.target[first], batch.target[second]])
    n_links, n_pairs = len(outputs.link), len(outputs.pair)
    past, of_division = _surprise(gain, right, into, len(batch.cell), n_links)
    out = torch.cat([batch.source, batch.source[first]])
    future, divides = _surprise(gain[: n_links + n_pairs], right[: n_links + n_pairs], out, len(batch.cell), n_links)
    weight = torch.cat([(1 + (division_weight - 1) * each) for each in (of_division, divides)])
    weight = weight * torch.cat([answers.past, answers.future])
    known = answers.past | answers.future
    spurious = functional.binary_cross_entropy_with_logits(
        outputs.spurious[known], answers.spurious[known].to(outputs.spurious)
    )
    links = (torch.cat([past, future]) * weight).sum() / weight.sum().clamp(min=1)
    return links + _SPURIOUS * (spurious if known.any() else 0.0)


def _surprise(gain: Tensor, right: Tensor, cell: Tensor, n: int, n_links: int) -> tuple[Tensor, Tensor]:
    """Return -log P of the right options of each cell, or of none if none is right; and whether it is a division."""
    highest = gain.new_zeros(n).scatter_reduce(0, cell, gain.detach(), "amax")  # at least 0, the option of none
    scaled = torch.exp(gain - highest[cell])
    none = torch.exp(-highest)
    every = none.index_add(0, cell, scaled)
    good = gain.new_zeros(n).index_add(0, cell, scaled * right)
    has = gain.new_zeros(n).index_add(0, cell, right.to(gain)) > 0
    good = torch.where(has, good, none)
    division = gain.new_zeros(n).index_add(0, cell[n_links:], right[n_links:].to(gain)) > 0
    return torch.log(every) - torch.log(good.clamp(min=1e-30)), division.to(gain)
