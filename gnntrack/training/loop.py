"""The training loop of all networks, read from top to bottom: steps, validation, checkpoints, log, early stop."""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from gnntrack.errors import FormatError, ModelError, TrainingError
from gnntrack.models.files import read_model, write_model
from gnntrack.settings import TrainSegmenterSettings, TrainSettings, drop_removed
from gnntrack.training.checkpoint import load_checkpoint, save_checkpoint
from gnntrack.training.detector_settings import DetectorTraining

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gnntrack.models.files import Family
    from gnntrack.training.run import TrainingRun

__all__ = ["LOG", "Plan", "TrainingResult", "TrainingTask", "run_training"]

LOG = "log.csv"
_CHECKPOINT_SECONDS = 60  # between two checkpoints without a validation
_WARM_UP = 0.1  # fraction of the steps in which the learning rate rises


@dataclass(frozen=True)
class Plan:
    """Optimiser, learning rate and length of a training.

    Parameters
    ----------
    steps : int
        Largest number of optimiser steps.
    learning_rate, weight_decay : float
        Of the optimiser; `learning_rate` is the highest one.
    average : float
        Decay of the exponential moving average of the weights, 0 to below 1. The average is the model; 0 is the
        weights themselves.
    validate_every : int
        Steps between validations, checkpoints and rows of the log.
    patience : int
        Validations without a better score after which training stops.
    optimizer : {"adamw", "sgd"}
        AdamW, or gradient descent with `momentum`.
    momentum : float
        Of gradient descent.
    schedule : {"cosine", "constant"}
        Linear warm-up and cosine decay (Loshchilov and Hutter 2017), or a constant learning rate.
    clip : float
        Largest norm of the gradient; infinite for none.
    fine_tuning : bool
        The network is trained already: it is validated before the first step, and kept if no step improves it.
    """

    steps: int
    learning_rate: float
    weight_decay: float
    average: float
    validate_every: int
    patience: int
    optimizer: Literal["adamw", "sgd"] = "adamw"
    momentum: float = 0.0
    schedule: Literal["cosine", "constant"] = "cosine"
    clip: float = 1.0
    fine_tuning: bool = False

    def get_learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0.

        A function of the step alone, so that a resumed training needs no state of a scheduler, and old checkpoints
        stay valid. torch's schedulers give other last bits: ``LinearLR`` multiplies from step to step, and
        ``LambdaLR`` rounds the factor first.

        >>> plan = Plan(100, 0.01, 0, 0, 10, 3)
        >>> [round(plan.get_learning_rate(step), 4) for step in (0, 9, 55, 100)]
        [0.001, 0.01, 0.005, 0.0]
        """
        if self.schedule == "constant":
            return self.learning_rate
        warm_up = max(1, round(_WARM_UP * self.steps))
        if step < warm_up:
            return self.learning_rate * (step + 1) / warm_up
        done = (step - warm_up) / max(self.steps - warm_up, 1)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


class TrainingTask(Protocol):
    """A training task: supplies the loss of a step and the metrics of a validation."""

    @property
    def metrics(self) -> Sequence[str]:
        """Names of the validation metrics, which are columns of the log; the highest ``validation_score`` is best."""
        ...

    @property
    def unit(self) -> str:
        """Name of the parts of a batch, for messages: ``windows``."""
        ...

    @property
    def advice(self) -> str:
        """Sentence that ends the message about a loss that is NaN or infinite."""
        ...

    def compute_loss(self, network: Any, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Return the loss of a step, shape (), and the names of its data.

        Random numbers come from `random`, or from torch, which the loop seeds for each step.
        """
        ...

    def validate(self, network: Any) -> Mapping[str, float | None]:
        """Return the `metrics` by name; each is None if no data are held out for validation."""
        ...


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training.

    Parameters
    ----------
    network : nn.Module
        The averaged weights with the best validation, in eval mode.
    best : dict
        Row of the log of that validation.
    """

    network: nn.Module
    best: dict[str, Any]


_STORED: dict[str, Any] = {"step": int, "best": (int, float), "best_step": int, "waited": int, "losses": list}


@dataclass
class _State:
    """Progress of a training; stored in its checkpoints."""

    step: int = 0
    best: float = -math.inf
    best_step: int = 0
    waited: int = 0  # validations since the best
    losses: list[float] = field(default_factory=list)  # since the last validation

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], folder: Path) -> _State:
        """Return the state in a checkpoint, which may be damaged."""
        values = _drop_seconds(saved["state"]) if isinstance(saved.get("state"), dict) else {}
        fits = values.keys() == _STORED.keys() and all(isinstance(values[key], kind) for key, kind in _STORED.items())
        if not fits or not isinstance(saved.get("best"), dict) or set(map(type, values["losses"])) - {int, float}:
            msg = f"{folder}: the state of the training in its checkpoint is not valid; start without resuming"
            raise ModelError(msg)
        return cls(**values)

    def needs_validation(self, plan: Plan) -> bool:
        """Return whether a validation is due; also after an interruption just before one."""
        return bool(self.losses) and (self.step % plan.validate_every == 0 or self.step >= plan.steps)

    def needs_more(self, plan: Plan) -> bool:
        """Return whether a validation or a step remains to be done."""
        return self.needs_validation(plan) or (self.step < plan.steps and self.waited < plan.patience)

    def add_validation(self, row: dict[str, Any]) -> None:
        """Update the best score and the patience from a row of the log."""
        self.losses = []
        self.waited = 0 if row["best"] else self.waited + 1
        if row["best"]:
            self.best_step = row["step"]
            self.best = self.best if row["validation_score"] is None else row["validation_score"]


def run_training(
    network: nn.Module,
    task: TrainingTask,
    run: TrainingRun,
    plan: Plan,
    *,
    family: Family,
    fields: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a network.

    The folder of the run then holds the best weights as a model, a checkpoint and the log. They are written during the
    training, so that a crash or an interruption leaves the best weights so far.

    Parameters
    ----------
    network : nn.Module
        With ``kind`` and ``options``.
    task : TrainingTask
        Supplies losses and metrics.
    run : TrainingRun
        Folder, seed, device, progress; its provenance is complete, and is stored with the model.
    plan : Plan
        Optimiser, learning rate and length.
    family : Family
        Format of the model.
    fields : dict, optional
        The family's further keys of ``model.json``.

    Returns
    -------
    TrainingResult
        The best network, on the device of the run, and its row of the log.

    Raises
    ------
    TrainingError
        If the loss is NaN or infinite; the folder keeps the last good weights.
    ModelError
        If the checkpoint to resume from is of another training.
    KeyboardInterrupt
        Passed on after a checkpoint is written, and a model if none was: with the weights at that step.
    """
    device = run.find_device()
    network.to(device).train()
    average = _start_average(network, plan)
    optimizer = _make_optimizer(network, plan)
    files = _Files(network, average.module, optimizer, run, family, fields or {})
    state = _State()
    if run.resume:
        saved = load_checkpoint(run.folder, network=network, average=average.module, optimizer=optimizer)
        _refuse_other_run(saved.get("notes"), run)
        state, files.best = _State.from_dict(saved, run.folder), _drop_seconds(saved["best"])
        average.n_averaged.fill_(state.step + 1)
    else:
        files.write_checkpoint(state)  # a killed process leaves something to resume
    with _Log(run.folder / LOG, task.metrics, after=state.step) as log:
        try:
            while state.needs_more(plan):
                if state.needs_validation(plan) or files.needs_start(state, plan):
                    row = _make_row(state, task.validate(average.module), plan, task.metrics)
                    files.keep_better(row)
                    state.add_validation(row)
                    log.add(row)
                    files.write_checkpoint(state)
                    run.report_row(row)
                    continue
                loss = _take_step(network, optimizer, task, plan, run, state)
                average.update_parameters(network)
                state.losses.append(loss)
                state.step += 1
                run.show("training", state.step, plan.steps)
                files.write_checkpoint_sometimes(state)
        except KeyboardInterrupt:
            files.write_interrupted(state, plan)
            raise
    return files.get_result()


@dataclass
class _Files:
    """Writes the checkpoint and the model of a training."""

    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    run: TrainingRun
    family: Family
    fields: Mapping[str, Any]
    best: dict[str, Any] = field(default_factory=dict)  # row of the log; empty before the first validation
    _kept: nn.Module | None = None
    _saved_at: float = 0.0

    def write_checkpoint(self, state: _State) -> None:
        plain = {"state": vars(state), "best": self.best, "notes": dict(self.run.provenance)}
        networks = {"network": self.network, "average": self.average}
        save_checkpoint(self.run.folder, **networks, optimizer=self.optimizer, state=plain)
        self._saved_at = time.monotonic()

    def write_checkpoint_sometimes(self, state: _State) -> None:
        """Write a checkpoint if the last one is a minute old."""
        if time.monotonic() - self._saved_at > _CHECKPOINT_SECONDS:
            self.write_checkpoint(state)

    def write_interrupted(self, state: _State, plan: Plan) -> None:
        """Write a checkpoint and, if no weights were kept yet, the present ones unless they are random."""
        self.write_checkpoint(state)
        if not self.best and (state.step or plan.fine_tuning):
            self._write_weights({"step": state.step})

    def needs_start(self, state: _State, plan: Plan) -> bool:
        """Return whether the weights of the start are still to be validated."""
        return plan.fine_tuning and not state.step and not self.best

    def keep_better(self, row: dict[str, Any]) -> None:
        """Write the weights as a model if the validation in a row of the log is the best so far."""
        if row["best"]:
            self._write_weights(row)
            self.best, self._kept = row, deepcopy(self.average)

    def get_result(self) -> TrainingResult:
        """Return the best weights; they are read if the best validation was before the interruption."""
        kept = self._kept
        if kept is None:
            kept, _ = read_model(self.run.folder, self.family, device=self.run.find_device())
        return TrainingResult(kept, self.best)

    def _write_weights(self, row: dict[str, Any]) -> None:
        training = {**self.run.provenance, "best": row}
        write_model(self.run.folder, self.average, self.family, training=training, **self.fields)


def _take_step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    task: TrainingTask,
    plan: Plan,
    run: TrainingRun,
    state: _State,
) -> float:
    """Update the weights once, and return the loss before the update.

    Each step has its own random numbers, so that it can be repeated after an interruption.
    """
    random = np.random.default_rng([run.seed, state.step])
    torch.manual_seed(int(random.integers(2**63)))
    for group in optimizer.param_groups:
        group["lr"] = plan.get_learning_rate(state.step)
    loss, names = task.compute_loss(network, random)
    optimizer.zero_grad()
    torch.autograd.backward(loss)
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), plan.clip)
    if not torch.isfinite(loss + norm):
        _stop(state, task, names, run.folder)
    optimizer.step()
    return float(loss.detach())


def _start_average(network: nn.Module, plan: Plan) -> AveragedModel:
    """Return the moving average of the weights, which starts from the network's own; in eval mode."""

    def update(averaged: Sequence[Tensor], current: Sequence[Tensor], count: Tensor | int) -> None:
        keep = min(plan.average, int(count) / (9 + int(count)))  # shorter at first, to forget the random weights
        with torch.no_grad():
            for old, new in zip(averaged, current, strict=True):
                if old.is_floating_point():
                    old.lerp_(new, 1 - keep)
                else:  # a counter among the buffers
                    old.copy_(new)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    average.n_averaged.fill_(1)  # else the first update copies the weights
    average.eval()
    return average


def _make_optimizer(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    if plan.optimizer == "sgd":
        rates: dict[str, Any] = {"lr": plan.learning_rate, "momentum": plan.momentum}
        return torch.optim.SGD(network.parameters(), **rates, weight_decay=plan.weight_decay)
    return torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)


def _update_settings(saved: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance of a checkpoint, which may be of an earlier version, with the settings of this one."""
    if "stages" in saved:  # they may hold settings that have been removed
        saved = {**saved, "stages": drop_removed(saved["stages"])}
    if "settings" in saved:  # they may lack settings that were added since
        kinds = {"segmenter": TrainSegmenterSettings, "detector": DetectorTraining}
        kind = next((kinds[name] for name in kinds if name in saved), TrainSettings)
        saved = {**saved, "settings": {**kind().to_dict(plain=True), **saved["settings"]}}
    return saved


def _drop_seconds(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a log or a state without the time that earlier versions stored; equal runs are equal files."""
    return {name: value for name, value in row.items() if name != "seconds"}


def _refuse_other_run(saved: dict[str, Any] | None, run: TrainingRun) -> None:
    """Raise if the checkpoint was made with other data, settings or seed."""
    now: dict[str, Any] = json.loads(json.dumps(dict(run.provenance)))
    saved = _update_settings(saved or {})
    differing = [name for name in sorted(now.keys() | saved.keys()) if now.get(name) != saved.get(name)]
    for table in ("settings", "stages"):
        if table in differing and table in saved:
            names = sorted(key for key, value in now[table].items() if saved[table].get(key) != value)
            differing[differing.index(table)] = f"{table} ({', '.join(names)})"
    if differing:
        msg = (
            f"{run.folder}: the interrupted training differs from this one in {', '.join(differing)}; "
            "use the same as then, or start again with --overwrite"
        )
        raise ModelError(msg)


def _make_row(state: _State, found: Mapping[str, float | None], plan: Plan, metrics: Sequence[str]) -> dict[str, Any]:
    """Return a row of the log."""
    rate = plan.get_learning_rate(max(state.step - 1, 0))
    loss = float(np.mean(state.losses)) if state.losses else None
    row = {"step": state.step, "loss": loss, "learning_rate": rate}
    score = found["validation_score"]
    better = score is None or score > state.best  # without validation data the last weights are kept
    return {**row, **{name: found[name] for name in metrics}, "best": int(better)}


def _stop(state: _State, task: TrainingTask, names: Sequence[str], folder: Path) -> None:
    kept = f"the weights of step {state.best_step} are kept in {folder}" if state.best_step else "no weights are kept"
    msg = (
        f"the loss of step {state.step + 1} is not finite, in {task.unit} of {', '.join(sorted(set(names)))}; "
        f"{kept}. {task.advice}"
    )
    raise TrainingError(msg)


class _Log:
    """Table of a training with a row per validation; rows after the checkpoint of a resumed run are dropped."""

    def __init__(self, path: Path, metrics: Sequence[str], *, after: int) -> None:
        columns = ("step", "loss", "learning_rate", *metrics, "best")
        rows = _read_log(path, columns, after=after) if after and path.exists() else []
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.DictWriter(self.file, columns, lineterminator="\n")
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


def _read_log(path: Path, columns: Sequence[str], *, after: int) -> list[dict[str, str]]:
    """Return the rows of a log up to a step."""
    rows = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if not row.keys() <= {*columns, "seconds"}:
                    msg = f"columns are {', '.join(map(str, row))}; expected {', '.join(columns)}"
                    raise ValueError(msg)
                if int(row.get("step") or "") <= after:
                    rows.append(_drop_seconds(row))
    except (csv.Error, ValueError) as error:
        msg = f"{path}: the log of the training is damaged ({error}); move it, and resume with a new one"
        raise FormatError(msg) from error
    return rows
