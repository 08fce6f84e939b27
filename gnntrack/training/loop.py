"""The loop of every training, read from top to bottom: steps, validation, checkpoints, log, early stop."""

from __future__ import annotations

import csv
import json
import math
import time
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import torch

from gnntrack.errors import ModelError, TrainingError
from gnntrack.settings import drop_removed
from gnntrack.training.checkpoint import load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor, nn

    from gnntrack.types import Progress

    Report = Callable[[dict[str, Any]], None]
    Save = Callable[[nn.Module, dict[str, Any]], None]

__all__ = ["LOG", "Course", "Plan", "run_training"]

LOG = "log.csv"
_WARM = 0.1  # part of the steps in which the learning rate rises


@dataclass(frozen=True)
class Plan:
    """How a training goes, whatever is learnt.

    Parameters
    ----------
    steps : int
        Steps of the optimiser at most.
    learning_rate, weight_decay : float
        Of the optimiser; the learning rate is the highest there is.
    average : float
        How slowly the running average of the weights, which is what is kept, follows them; 0 keeps the weights.
    validate_every : int
        Steps between validations, checkpoints and rows of the log.
    patience : int
        Validations without a better score after which training stops.
    optimizer : {"adamw", "sgd"}
        AdamW, or gradient descent with `momentum`.
    schedule : {"cosine", "constant"}
        A line up and a cosine down (Loshchilov and Hutter 2017), or always the same.
    clip : float or None
        Norm of the gradient at most.
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
    clip: float | None = 1.0


class Course(Protocol):
    """What is learnt: where the loss of a step and the figures of a validation come from."""

    @property
    def figures(self) -> Sequence[str]:
        """Names of the figures of a validation: columns of the log. The best is sought of ``validation_score``."""
        ...

    @property
    def unit(self) -> str:
        """What a step is made of, for messages: ``windows``."""
        ...

    @property
    def advice(self) -> str:
        """What to look for where the loss is no number."""
        ...

    def loss(self, network: Any, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Return the loss of a step, and the names of what it was made of; all chance comes from `random`, or torch."""
        ...

    def validate(self, network: Any) -> Mapping[str, float | None]:
        """Return the `figures`; each is None where there is nothing to validate on."""
        ...


@dataclass
class _State:
    """Where a training stands; goes into its checkpoints."""

    step: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    best_step: int = 0
    waited: int = 0  # validations since the best
    losses: list[float] = field(default_factory=list)  # since the last validation

    def due(self, plan: Plan) -> bool:
        """Tell whether it is time for a validation; also after an interruption that came just before one."""
        return bool(self.losses) and (self.step % plan.validate_every == 0 or self.step >= plan.steps)

    def goes_on(self, plan: Plan) -> bool:
        """Tell whether there is anything left to do."""
        return self.due(plan) or (self.step < plan.steps and self.waited < plan.patience)

    def note(self, row: dict[str, Any]) -> None:
        """Note a validation."""
        self.losses = []
        self.waited = 0 if row["best"] else self.waited + 1
        if row["best"]:
            self.best_step = row["step"]
            self.best = self.best if row["validation_score"] is None else row["validation_score"]


def run_training(  # noqa: C901 - one loop, read from top to bottom
    network: nn.Module,
    course: Course,
    folder: Path,
    *,
    plan: Plan,
    seed: int,
    notes: dict[str, Any],
    save: Save,
    resume: bool = False,
    fine_tuning: bool = False,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
    report: Report | None = None,
) -> dict[str, Any]:
    """Train a network; the folder then holds the best weights, a checkpoint and the log.

    Parameters
    ----------
    network : nn.Module
        With ``kind`` and ``options``.
    course : Course
        What it learns.
    folder : path
        Where the checkpoint and ``log.csv`` go.
    plan : Plan
        How it learns.
    seed : int
        The same seed on the same machine gives the same weights.
    notes : dict
        What the model shall tell of its training; an interrupted training goes on only with the same.
    save : callable
        Writes the network it is given as the model, with the row of the log that is told besides.
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
    optimizer = _optimizer(network, plan)
    state, best = _State(), {}
    if resume:
        saved = load_checkpoint(folder, network=network, average=average, optimizer=optimizer)
        _refuse_another(saved.get("notes"), notes, folder)
        state, best = _State(**saved["state"]), saved["best"]
    started = time.monotonic() - state.seconds

    def checkpoint() -> None:
        plain = {"state": vars(state), "best": best, "notes": notes}
        save_checkpoint(folder, network=network, average=average, optimizer=optimizer, state=plain)

    with _Log(folder / LOG, course.figures, after=state.step) as log:
        try:
            while state.goes_on(plan):
                if state.due(plan) or (fine_tuning and not state.step and not best):
                    row = _row(state, course.validate(average), plan, course.figures)
                    if row["best"]:
                        save(average, row)
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
                    group["lr"] = _learning_rate(state.step, plan)
                loss, names = course.loss(network, random)
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                limit = math.inf if plan.clip is None else plan.clip
                steepness = torch.nn.utils.clip_grad_norm_(network.parameters(), limit)
                if not torch.isfinite(loss + steepness):
                    _stop(state, course, names, folder)
                optimizer.step()
                _follow(average, network, min(plan.average, (1 + state.step) / (10 + state.step)))
                state.losses.append(float(loss.detach()))
                state.step += 1
                state.seconds = time.monotonic() - started
                if progress is not None:
                    progress("training", state.step, plan.steps)
        except KeyboardInterrupt:
            checkpoint()
            raise
    return best


def _optimizer(network: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    if plan.optimizer == "sgd":
        rates: dict[str, Any] = {"lr": plan.learning_rate, "momentum": plan.momentum}
        return torch.optim.SGD(network.parameters(), **rates, weight_decay=plan.weight_decay)
    return torch.optim.AdamW(network.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)


def _refuse_another(saved: dict[str, Any] | None, notes: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with a training of other data, settings or another seed: it would be neither of the two."""
    now: dict[str, Any] = json.loads(json.dumps(notes))
    saved = saved or {}
    if "stages" in saved:  # a checkpoint of an earlier version may hold settings that have been removed
        saved = {**saved, "stages": drop_removed(saved["stages"])}
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


def _row(state: _State, found: Mapping[str, float | None], plan: Plan, figures: Sequence[str]) -> dict[str, Any]:
    """Return a row of the log."""
    rate = _learning_rate(max(state.step - 1, 0), plan)
    loss = float(np.mean(state.losses)) if state.losses else None
    row = {"step": state.step, "seconds": round(state.seconds, 1), "loss": loss, "learning_rate": rate}
    score = found["validation_score"]
    better = score is None or score > state.best  # where nothing is validated, the last weights stay
    return {**row, **{name: found[name] for name in figures}, "best": int(better)}


def _learning_rate(step: int, plan: Plan) -> float:
    """Return the learning rate of a step."""
    if plan.schedule == "constant":
        return plan.learning_rate
    warm = max(1, round(_WARM * plan.steps))
    if step < warm:
        return plan.learning_rate * (step + 1) / warm
    done = (step - warm) / max(plan.steps - warm, 1)
    return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Move the running average of the weights towards the weights; what is no weight is taken over."""
    with torch.no_grad():
        for old, new in zip(average.parameters(), network.parameters(), strict=True):
            old.lerp_(new, 1 - keep)
        for kept, now in zip(average.buffers(), network.buffers(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(now, 1 - keep)
            else:
                kept.copy_(now)


def _stop(state: _State, course: Course, names: Sequence[str], folder: Path) -> None:
    kept = f"the weights of step {state.best_step} are kept in {folder}" if state.best_step else "no weights are kept"
    msg = (
        f"the loss of step {state.step + 1} is not finite, in {course.unit} of {', '.join(sorted(set(names)))}; "
        f"{kept}. {course.advice}"
    )
    raise TrainingError(msg)


class _Log:
    """The table of a training, a row per validation; rows after a checkpoint that is resumed are dropped."""

    def __init__(self, path: Path, figures: Sequence[str], *, after: int) -> None:
        rows: list[dict[str, str]] = []
        if after and path.exists():
            with path.open(newline="", encoding="utf-8") as old:
                rows = [row for row in csv.DictReader(old) if int(row["step"]) <= after]
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w", newline="", encoding="utf-8")
        columns = ("step", "seconds", "loss", "learning_rate", *figures, "best")
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
