"""Shared by all trainable segmenters: the run of the training loop, precision, unknown pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gnntrack.errors import TrainingError
from gnntrack.training.loop import Plan, run_training
from segmenters.common.models import FAMILY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from torch import nn

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.loop import TrainingResult, TrainingTask
    from gnntrack.training.run import TrainingRun
    from gnntrack.training.segmenter import LabelledImage

    Metrics = Callable[[Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]], Mapping[str, float]]
    """From results and ground truth to ``dice``, ``seg`` and ``f1``."""

__all__ = [
    "PRECISIONS",
    "choose_bfloat16",
    "describe_run",
    "find_dimensions",
    "make_plan",
    "remove_unknown",
    "set_precision",
    "train_network",
]

PRECISIONS = ("float32", "bfloat16", "auto")
"""Values of the option ``precision``; see `choose_bfloat16`."""


def train_network(
    network: nn.Module,
    task: TrainingTask,
    run: TrainingRun,
    settings: TrainSegmenterSettings,
    *,
    images: int,
    inputs: Mapping[str, Any],
) -> TrainingResult:
    """Train a network of a segmenter, and write its model, see `gnntrack.training.loop.run_training`.

    Parameters
    ----------
    network, task
        As of `run_training`.
    run : TrainingRun
        As `describe_run` returned it; its provenance has ``start`` if the network has the weights of a trained model.
    settings : TrainSegmenterSettings
        Steps, learning rate and so on.
    images : int
        Number of images to train on.
    inputs : dict
        The key ``inputs`` of ``model.json``: how images are prepared for the network.
    """
    plan = replace(make_plan(settings, images), fine_tuning="start" in run.provenance)
    return run_training(network, task, run, plan, family=FAMILY, fields={"inputs": inputs})


def describe_run(run: TrainingRun, settings: TrainSegmenterSettings, *, images: int) -> TrainingRun:
    """Return the run with the number of images, the settings and the seed in its provenance."""
    return run.with_provenance(images=images, settings=settings.to_dict(), seed=run.seed)


def make_plan(settings: TrainSegmenterSettings, images: int) -> Plan:
    """Return the plan of a training; ``epochs`` are turned into steps.

    Parameters
    ----------
    settings : TrainSegmenterSettings
        Steps or epochs, learning rate and so on.
    images : int
        Number of images to train on, which is the number of patches in an epoch.
    """
    steps = settings.steps
    if settings.epochs is not None:
        steps = settings.epochs * max(1, math.ceil(images / settings.batch))
    return Plan(
        steps=steps,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        average=settings.average,
        validate_every=min(settings.validate_every, steps),
        patience=settings.patience,
        optimizer=settings.optimizer,
        momentum=settings.momentum,
        schedule=settings.schedule,
    )


def choose_bfloat16(wanted: str, device: str) -> bool:
    """Return whether to multiply in bfloat16: if `wanted`, or if ``auto`` and the processor has instructions for it."""
    if wanted != "auto":
        return wanted == "bfloat16"
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    made_for = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device == "cpu" and any(supports is not None and supports() for supports in made_for)


def set_precision(device: torch.device | str, *, bfloat16: bool) -> AbstractContextManager[Any]:
    """Return a context in which torch multiplies in bfloat16, or in float32; weights and sums stay float32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16) if bfloat16 else nullcontext()


def remove_unknown(
    found: npt.NDArray[np.int32], labels: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return a result and its ground truth without the pixels where the ground truth is unknown.

    Parameters
    ----------
    found : int array
        Labels of cells; those of which more than half is unknown are removed, so that they do not count as errors.
    labels : int array of the same shape
        The ground truth; labels below 0 are unknown.

    Examples
    --------
    >>> remove_unknown(np.array([1, 1, 1, 0, 2, 2]), np.array([-1, -1, 0, 0, 7, -1]))
    (array([0, 0, 0, 0, 2, 0]), array([0, 0, 0, 0, 7, 0]))
    """
    unknown = labels < 0
    if not unknown.any():
        return found, labels
    size = np.bincount(found.ravel())
    hidden = 2 * np.bincount(found[unknown], minlength=len(size)) > size
    return np.where(unknown | hidden[found], 0, found), np.maximum(labels, 0)


def find_dimensions(examples: Sequence[LabelledImage]) -> int:
    """Return the number of axes of the images; of each movie, the first one is read.

    Raises
    ------
    TrainingError
        If the images differ in it, or it is neither 2 nor 3.
    """
    found: dict[int, str] = {}
    seen: set[str] = set()
    for example in examples:
        if example.movie not in seen:
            seen.add(example.movie)
            found.setdefault(example.read()[1].ndim, example.name)
    if len(found) != 1 or not found.keys() <= {2, 3}:
        which = ", ".join(f"{name} has {axes} axes" for axes, name in sorted(found.items()))
        msg = f"a network is trained on images of 2 axes or on stacks of 3, not on both: {which}; give one kind"
        raise TrainingError(msg)
    return next(iter(found))
