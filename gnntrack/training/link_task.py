"""What a network of links learns: the loss of a batch of windows, and movies solved with its scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gnntrack.gnn.weights import save_model
from gnntrack.training.loop import LOG, Plan, run_training
from gnntrack.training.windows import Windows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Tensor, nn

    from gnntrack.gnn.batch import Batch
    from gnntrack.gnn.network import Network
    from gnntrack.settings import TrainSettings
    from gnntrack.training.samples import Sample
    from gnntrack.types import Progress

    Validate = Callable[[Network], "Validation"]
    Report = Callable[[dict[str, Any]], None]

__all__ = ["LOG", "Validation", "train_network"]


@dataclass(frozen=True)
class Validation:
    """How well a network does once its movies are solved.

    Parameters
    ----------
    link_error : float or None
        Wrong links + 1.5 x missed ones, as a share of 1.5 x the true ones: 1 - LNK, had all cells masks; None where
        there is no movie to validate on.
    division_f1 : float or None
        F1 of the divisions; None where there are none.
    """

    link_error: float | None
    division_f1: float | None

    @property
    def score(self) -> float | None:
        """What training seeks the best of: one less link error, and a tenth of the division F1."""
        return None if self.link_error is None else 1 - self.link_error + 0.1 * (self.division_f1 or 0.0)


def train_network(
    network: Network,
    samples: Sequence[Sample],
    validate: Validate,
    folder: Path,
    *,
    settings: TrainSettings,
    seed: int,
    notes: dict[str, Any],
    resume: bool = False,
    fine_tuning: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a network; the folder then holds the best weights, a checkpoint and the log.

    Parameters
    ----------
    network : Module
        A network of `gnntrack.gnn.weights.NETWORKS`; its statistics of columns are set already.
    samples : Samples
        What it learns from.
    validate : callable
        Network -> `Validation`; asked of the running average of the weights, which is what is kept.
    folder : path
        Where the model, its checkpoint and ``log.csv`` go.
    settings : TrainSettings
        Everything else.
    seed : int
        The same seed on the same machine gives the same weights.
    notes : dict
        What the model shall tell of its training.
    resume : bool
        Go on from the checkpoint in the folder, as if there had been no interruption.
    fine_tuning : bool
        The network is good already: it is validated before the first step, and kept if no step makes it better.
    device : device
        Where to compute.
    progress, report : callable, optional
        Told after each step; told each row of the log.

    Returns
    -------
    dict
        The row of the best validation.

    Raises
    ------
    TrainingError
        If the loss is not finite; the folder keeps the last good weights.
    ModelError
        If the checkpoint to go on from is of another training.
    KeyboardInterrupt
        Handed on after a checkpoint is written.
    """
    course = _Course(samples, validate, settings, device)
    plan = Plan(
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        average=settings.average,
        validate_every=settings.validate_every,
        patience=settings.patience,
    )

    def save(average: nn.Module, row: dict[str, Any]) -> None:
        save_model(folder, average, training={**notes, "best": row})

    return run_training(
        network,
        course,
        folder,
        plan=plan,
        seed=seed,
        notes=notes,
        save=save,
        resume=resume,
        fine_tuning=fine_tuning,
        device=device,
        progress=progress,
        report=report,
    )


class _Course:
    """Batches of windows; a validation is of movies that are solved."""

    figures: Sequence[str] = ("validation_link_error", "validation_division_f1", "validation_score")
    unit = "windows"
    advice = "Look for cells without size or brightness there, or lower train.learning_rate"

    def __init__(
        self, samples: Sequence[Sample], validate: Validate, settings: TrainSettings, device: torch.device | str
    ) -> None:
        self._windows = Windows(
            samples, length=settings.window, links=settings.links, division_share=settings.division_share
        )
        self._validate, self._settings, self._device = validate, settings, device

    def loss(self, network: Network, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        batch, answers, names = self._windows.draw(random)
        batch = _without_columns(batch, self._settings.feature_dropout, random)
        batch, answers = batch.to(self._device), answers.to(self._device)
        return network.loss(network(batch), batch, answers, self._settings), names

    def validate(self, network: Network) -> dict[str, float | None]:
        found = self._validate(network)
        return dict(zip(self.figures, (found.link_error, found.division_f1, found.score), strict=True))


def _without_columns(batch: Batch, rate: float, random: np.random.Generator) -> Batch:
    """Leave out a part of the columns of each window, as if the movie did not have them; the prior stays."""
    if not rate:
        return batch
    count = int(batch.window.max()) + 1
    of_link = batch.window[batch.source]
    changed = {}
    for block, window in (("cell", batch.window), ("link", of_link), ("pair", of_link[batch.pairs[:, 0]])):
        values = getattr(batch, block)
        out = torch.from_numpy(random.random((count, values.shape[1])) < rate)
        if block != "cell":
            out[:, :1] = False
        changed[block] = values.masked_fill(out[window], torch.nan)
    return replace(batch, **changed)
