"""Training task of a link network: the loss of a batch of windows, and validation by solving movies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from gnntrack.training.loop import Plan
from gnntrack.training.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor

    from gnntrack.gnn.batch import Batch
    from gnntrack.gnn.network import Network
    from gnntrack.settings import TrainSettings
    from gnntrack.training.samples import Sample

__all__ = ["LinkTask", "Validation", "make_plan"]

_FINE_TUNING_RATE = 0.3  # fraction of the learning rate if the training starts from other weights


@dataclass(frozen=True)
class Validation:
    """Errors of a network on solved movies.

    Parameters
    ----------
    link_error : float or None
        (wrong links + 1.5 x missed links) / (1.5 x true links), which is 1 - LNK if no mask is missing; None without
        movies to validate on.
    division_f1 : float or None
        F1 of the divisions; None if there are none.
    """

    link_error: float | None
    division_f1: float | None

    @property
    def score(self) -> float | None:
        """Score that training maximises: 1 - link error + a tenth of the division F1."""
        return None if self.link_error is None else 1 - self.link_error + 0.1 * (self.division_f1 or 0.0)


def make_plan(settings: TrainSettings, *, fine_tuning: bool = False) -> Plan:
    """Return the plan of a training; a fine-tuning has three tenths of the learning rate."""
    return Plan(
        steps=settings.steps,
        learning_rate=settings.learning_rate * (_FINE_TUNING_RATE if fine_tuning else 1.0),
        weight_decay=settings.weight_decay,
        average=settings.average,
        validate_every=settings.validate_every,
        patience=settings.patience,
        fine_tuning=fine_tuning,
    )


class LinkTask:
    """Trains on batches of windows, and validates on solved movies.

    Parameters
    ----------
    samples : Samples
        Movies to train on.
    validate : callable
        Network -> `Validation`.
    settings : TrainSettings
        Windows, batches, loss.
    device : device
        Device of the network.
    """

    metrics: Sequence[str] = ("validation_link_error", "validation_division_f1", "validation_score")
    unit = "windows"
    advice = "Look for cells without size or brightness there, or lower train.learning_rate"

    def __init__(
        self,
        samples: Sequence[Sample],
        validate: Callable[[Network], Validation],
        settings: TrainSettings,
        device: torch.device | str = "cpu",
    ) -> None:
        self._windows = Windows(
            samples, length=settings.window, links=settings.links, division_share=settings.division_share
        )
        self._validate, self._settings, self._device = validate, settings, device

    def compute_loss(self, network: Network, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Return the loss of a batch, shape (), and the names of its windows."""
        batch, targets, names = self._windows.draw(random)
        batch = _drop_columns(batch, self._settings.feature_dropout, random)
        batch = _drop_groups(batch, network, self._settings.feature_dropout, random)
        batch, targets = batch.to(self._device), targets.to(self._device)
        return network.loss(network(batch), batch, targets, self._settings), names

    def validate(self, network: Network) -> dict[str, float | None]:
        """Return link error, division F1 and score."""
        found = self._validate(network)
        return dict(zip(self.metrics, (found.link_error, found.division_f1, found.score), strict=True))


def _drop_columns(batch: Batch, rate: float, random: np.random.Generator) -> Batch:
    """Replace a random fraction of each window's columns by NaN, as if the movie did not have them; never the prior."""
    if not rate:
        return batch
    count = int(batch.window.max()) + 1
    of_link = batch.window[batch.source]
    changed = {}
    for block, window in (("cell", batch.window), ("link", of_link), ("pair", of_link[batch.pairs[:, 0]])):
        values = getattr(batch, block)
        out = torch.from_numpy(random.random((count, values.shape[1])) < rate)  # (windows, columns)
        if block != "cell":
            out[:, :1] = False
        changed[block] = values.masked_fill(out[window], torch.nan)
    return replace(batch, **changed)


def _drop_groups(batch: Batch, network: Network, rate: float, random: np.random.Generator) -> Batch:
    """Replace the columns of random groups of each window by NaN, as if the movie had no radii, or no brightness."""
    names = sorted({group for block in network.groups.values() for group in block.values()})
    if not rate or not names:
        return batch
    lacks = torch.from_numpy(random.random((int(batch.window.max()) + 1, len(names))) < rate)  # (windows, groups)
    of_link = batch.window[batch.source]
    changed = {}
    for block, window in (("cell", batch.window), ("link", of_link), ("pair", of_link[batch.pairs[:, 0]])):
        values = getattr(batch, block).clone()
        for name, group in network.groups.get(block, {}).items():
            column = network.columns[block].index(name)
            values[lacks[window, names.index(group)], column] = torch.nan
        changed[block] = values
    return replace(batch, **changed)
