"""Training: one loop, read from top to bottom."""

from __future__ import annotations

import csv
import json
import math
import time
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gnntrack.errors import ModelError, TrainingError
from gnntrack.gnn.data import Windows
from gnntrack.gnn.weights import load_checkpoint, save_checkpoint, save_model

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import nn

    from gnntrack.gnn.batch import Batch
    from gnntrack.gnn.data import Sample
    from gnntrack.gnn.network import Network
    from gnntrack.settings import TrainSettings
    from gnntrack.types import Progress

    Validate = Callable[[Network], "Validation"]
    Report = Callable[[dict[str, Any]], None]

__all__ = ["LOG", "Validation", "train_network"]

LOG = "log.csv"
_COLUMNS = (
    *("step", "seconds", "loss", "learning_rate"),
    *("validation_link_error", "validation_division_f1", "validation_score", "best"),
)
_WARM = 0.1  # part of the steps in which the learning rate rises
_CLIP = 1.0  # norm of the gradient at most


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


@dataclass
class _State:
    """Where a training stands; goes into its checkpoints."""

    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    best_step: int = 0
    waited: int = 0  # validations since the best
    losses: list[float] = field(default_factory=list)  # since the last validation

    def due(self, settings: TrainSettings) -> bool:
        """Tell whether it is time for a validation; also after an interruption that came just before one."""
        return bool(self.losses) and (self.step % settings.validate_every == 0 or self.step >= settings.steps)

    def goes_on(self, settings: TrainSettings) -> bool:
        """Tell whether there is anything left to do."""
        return self.due(settings) or (self.step < settings.steps and self.waited < settings.patience)

    def note(self, row: dict[str, Any]) -> None:
        """Note a validation."""
        self.losses = []
        self.waited = 0 if row["best"] else self.waited + 1
        if row["best"]:
            self.best_step = row["step"]
            self.best = self.best if row["validation_score"] is None else row["validation_score"]


def train_network(  # noqa: C901 - one loop, read from top to bottom
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
    network.to(device).train()
    average = deepcopy(network).eval()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    state, best = _State(), {}
    if resume:
        saved = load_checkpoint(folder, network=network, average=average, optimizer=optimizer)
        _refuse_another(saved.get("notes"), notes, folder)
        state, best = _State(**saved["state"]), saved["best"]
    windows = Windows(samples, length=settings.window, links=settings.links, division_share=settings.division_share)
    started = time.monotonic() - state.seconds

    def checkpoint() -> None:
        plain = {"state": vars(state), "best": best, "notes": notes}
        save_checkpoint(folder, network=network, average=average, optimizer=optimizer, state=plain)

    with _Log(folder / LOG, after=state.step) as log:
        try:
            while state.goes_on(settings):
                if state.due(settings) or (fine_tuning and not state.step and not best):
                    row = _row(state, validate(average), settings)
                    if row["best"]:
                        save_model(folder, average, training={**notes, "best": row})
                        best = row
                    state.note(row)
                    log.add(row)
                    checkpoint()
                    if report is not None:
                        report(row)
                    continue
                # each step has random numbers of its own, so that it can be done again after an interruption
                random = np.random.default_rng([seed, state.step])
                torch.manual_seed(int(random.integers(2**63)))
                for group in optimizer.param_groups:
                    group["lr"] = _learning_rate(state.step, settings)
                batch, answers, names = windows.draw(random)
                batch = _without_columns(batch, settings.feature_dropout, random)
                batch, answers = batch.to(device), answers.to(device)
                loss = network.loss(network(batch), batch, answers, settings)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                steepness = torch.nn.utils.clip_grad_norm_(network.parameters(), _CLIP)
                if not torch.isfinite(loss + steepness):
                    _stop(state, names, folder)
                optimizer.step()
                _follow(average, network, min(settings.average, (1 + state.step) / (10 + state.step)))
                state.losses.append(float(loss.detach()))
                state.step += 1
                state.seconds = time.monotonic() - started
                if progress is not None:
                    progress("training", state.step, settings.steps)
        except KeyboardInterrupt:
            checkpoint()
            raise
    return best


def _refuse_another(saved: dict[str, Any] | None, notes: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a training of other data, settings or another seed: it would be neither of the two."""
    now: dict[str, Any] = json.loads(json.dumps(notes))
    saved = saved or {}
    differing = [name for name in sorted(now.keys() | saved.keys()) if now.get(name) != saved.get(name)]
    for plan in ("settings", "stages"):
        if plan in differing and plan in saved:
            names = sorted(key for key, value in now[plan].items() if saved[plan].get(key) != value)
            differing[differing.index(plan)] = f"{plan} ({', '.join(names)})"
    if differing:
        msg = (
            f"{folder}: the interrupted training differs from this one in {', '.join(differing)}; "
            "give what was given then, or start anew with --overwrite"
        )
        raise ModelError(msg)


def _row(state: _State, found: Validation, settings: TrainSettings) -> dict[str, Any]:
    """Return a row of the log."""
    rate = _learning_rate(max(state.step - 1, 0), settings)
    loss = float(np.mean(state.losses)) if state.losses else None
    head = (state.step, round(state.seconds, 1), loss, rate)
    better = found.score is None or found.score > state.best  # where nothing is validated, the last weights stay
    figures = (found.link_error, found.division_f1, found.score, int(better))
    return dict(zip(_COLUMNS, (*head, *figures), strict=True))


def _learning_rate(step: int, settings: TrainSettings) -> float:
    """Return the learning rate of a step: a line up, then a cosine down (Loshchilov and Hutter 2017)."""
    warm = max(1, round(_WARM * settings.steps))
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    done = (step - warm) / max(settings.steps - warm, 1)
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _follow(average: nn.Module, network: Network, keep: float) -> None:
    """Move the running average of the weights towards the weights."""
    with torch.no_grad():
        for old, new in zip(average.parameters(), network.parameters(), strict=True):
            old.lerp_(new, 1 - keep)


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


def _stop(state: _State, names: Sequence[str], folder: Path) -> None:
    kept = f"the weights of step {state.best_step} are kept in {folder}" if state.best_step else "no weights are kept"
    msg = (
        f"the loss of step {state.step + 1} is not finite, in windows of {', '.join(sorted(set(names)))}; {kept}. "
        "Look for cells without size or brightness there, or lower train.learning_rate"
    )
    raise TrainingError(msg)


class _Log:
    """The table of a training, a row per validation; rows after a checkpoint that is resumed are dropped."""

    def __init__(self, path: Path, *, after: int) -> None:
        rows: list[dict[str, str]] = []
        if after and path.exists():
            with path.open(newline="", encoding="utf-8") as old:
                rows = [row for row in csv.DictReader(old) if int(row["step"]) <= after]
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, _COLUMNS, lineterminator="\n")
        self.writer.writeheader()
        self.writer.writerows(rows)

    def __enter__(self) -> _Log:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def add(self, row: dict[str, Any]) -> None:
        rounded = {key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()}
        self.writer.writerow(rounded)
        self.file.flush()
