"""What trainable segmenters have in common, whatever their network is."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from gnntrack.errors import TrainingError
from gnntrack.training.loop import Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings

    Judge = Callable[[Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]]], Mapping[str, float]]
    """From results and truths to ``dice``, ``seg`` and ``f1``."""

__all__ = ["Pair", "chosen_precision", "dimensions_of", "known_part", "multiplying", "plan_of"]


class Pair(Protocol):
    """An image with its labels, still on disk."""

    @property
    def name(self) -> str:
        """Where it is from, for messages."""
        ...

    @property
    def movie(self) -> str:
        """The movie, or the folder, that it is of."""
        ...

    def read(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
        """Return the image and its labels, of one shape: 0 is background, below 0 nobody knows what is there.

        Networks that answer every pixel learn nothing where it is unknown; the others take it for background.
        """
        ...


def plan_of(settings: TrainSegmenterSettings, images: int) -> Plan:
    """Return how a training goes; ``epochs`` are turned into steps.

    Parameters
    ----------
    settings : TrainSegmenterSettings
        What was asked for.
    images : int
        Number of images to learn from: an epoch sees as many.
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


def chosen_precision(wanted: str, device: str) -> bool:
    """Tell whether to multiply in bfloat16: where it is asked for, or ``auto`` and the processor is made for it."""
    if wanted != "auto":
        return wanted == "bfloat16"
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    made_for = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return device == "cpu" and any(tells is not None and tells() for tells in made_for)


def multiplying(device: torch.device | str, *, bfloat16: bool) -> AbstractContextManager[Any]:
    """Return a context in which torch multiplies in bfloat16, or as usual; weights and sums stay float32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16) if bfloat16 else nullcontext()


def known_part(
    found: npt.NDArray[np.int32], labels: npt.NDArray[np.int32]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Return a result and its truth as far as the truth is known.

    Parameters
    ----------
    found : int array
        Labels of cells; those that lie mostly where nobody knows what is there are no error, and left out.
    labels : int array of the same shape
        The truth; below 0 it is unknown.

    Examples
    --------
    >>> known_part(np.array([1, 1, 1, 0, 2, 2]), np.array([-1, -1, 0, 0, 7, -1]))
    (array([0, 0, 0, 0, 2, 0]), array([0, 0, 0, 0, 7, 0]))
    """
    unknown = labels < 0
    if not unknown.any():
        return found, labels
    size = np.bincount(found.ravel())
    hidden = 2 * np.bincount(found[unknown], minlength=len(size)) > size
    return np.where(unknown | hidden[found], 0, found), np.maximum(labels, 0)


def dimensions_of(pairs: Sequence[Pair]) -> int:
    """Return the number of axes of the images.

    Raises
    ------
    TrainingError
        If some have another number than others, or it is neither 2 nor 3.
    """
    found: dict[int, str] = {}
    seen: set[str] = set()
    for pair in pairs:
        if pair.movie not in seen:  # the frames of a movie are alike
            seen.add(pair.movie)
            found.setdefault(pair.read()[1].ndim, pair.name)
    if len(found) != 1 or not found.keys() <= {2, 3}:
        which = ", ".join(f"{name} has {axes} axes" for axes, name in sorted(found.items()))
        msg = f"a network learns on images of 2 axes or on stacks of 3, not on both: {which}; give one kind"
        raise TrainingError(msg)
    return next(iter(found))
