"""The training loss: the likelihood of each cell's true past and future among all links and divisions of the cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

    from gnntrack.gnn.batch import Batch, Outputs, Targets

__all__ = ["lineage_loss"]

_SPURIOUS = 0.1  # weight of the spurious head: it may not outweigh the links


def lineage_loss(outputs: Outputs, batch: Batch, targets: Targets, *, division_weight: float) -> Tensor:
    r"""Return the mean negative log likelihood of the cells' true pasts and futures.

    .. math:: P(\text{past of } j = o) = \frac{\exp w_o}{1 + \sum_{o' \to j} \exp w_{o'}}

    where the options :math:`o` are the links into the cell and the divisions that it may be a daughter of, and 1
    stands for a cell without a past (the parental softmax with an orphan term). The future of a cell is defined in
    the same way, over the links and divisions out of it. Together they are the pseudo-likelihood (Besag 1975) of the
    lineage under :math:`P \propto \exp \sum w`, whose mode the solvers compute.

    Parameters
    ----------
    outputs : Outputs
        Log odds of links (E,), division candidates (M,) and spurious cells (N,).
    batch : Batch
        The links and division candidates.
    targets : Targets
        The ground truth.
    division_weight : float
        Weight of a cell that divides or was born by a division, relative to other cells.

    Returns
    -------
    Tensor
        Shape ().
    """
    first, second = batch.pairs.T
    log_odds = torch.cat([outputs.link, outputs.pair, outputs.pair])
    right = torch.cat([targets.link, targets.pair, targets.pair])
    into = torch.cat([batch.target, batch.target[first], batch.target[second]])
    n_links, n_pairs = len(outputs.link), len(outputs.pair)
    past, of_division = _compute_log_loss(log_odds, right, into, len(batch.cell), n_links)
    out = torch.cat([batch.source, batch.source[first]])
    future, divides = _compute_log_loss(
        log_odds[: n_links + n_pairs], right[: n_links + n_pairs], out, len(batch.cell), n_links
    )
    weight = torch.cat([(1 + (division_weight - 1) * each) for each in (of_division, divides)])
    weight = weight * torch.cat([targets.past * targets.past_weight, targets.future * targets.future_weight])
    known = targets.past | targets.future
    importance = torch.maximum(targets.past_weight, targets.future_weight)[known]
    spurious = functional.binary_cross_entropy_with_logits(
        outputs.spurious[known], targets.spurious[known].to(outputs.spurious), weight=importance, reduction="sum"
    ) / importance.sum().clamp(min=1)
    links = (torch.cat([past, future]) * weight).sum() / weight.sum().clamp(min=1)
    return links + _SPURIOUS * (spurious if known.any() else 0.0)


def _compute_log_loss(log_odds: Tensor, right: Tensor, cell: Tensor, n: int, n_links: int) -> tuple[Tensor, Tensor]:
    """Return -log P of the true options of each cell, and whether the true option is a division, shapes (N,).

    If none of a cell's options is true, the true option is to have none.

    Parameters
    ----------
    log_odds, right : (O,) float32, (O,) bool
        The options of all cells, links first, and whether they are true.
    cell : (O,) int64
        The cell of each option.
    n, n_links : int
        Number of cells, and of links among the options.
    """
    highest = log_odds.new_zeros(n).scatter_reduce(0, cell, log_odds.detach(), "amax")  # at least 0, the option none
    scaled = torch.exp(log_odds - highest[cell])
    none = torch.exp(-highest)
    every = none.index_add(0, cell, scaled)
    good = log_odds.new_zeros(n).index_add(0, cell, scaled * right)
    has = log_odds.new_zeros(n).index_add(0, cell, right.to(log_odds)) > 0
    good = torch.where(has, good, none)
    division = log_odds.new_zeros(n).index_add(0, cell[n_links:], right[n_links:].to(log_odds)) > 0
    return torch.log(every) - torch.log(good.clamp(min=1e-30)), division.to(log_odds)
