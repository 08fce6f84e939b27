"""The training of a DiffusionNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gnntrack.errors import SegmenterError, TrainingError
from gnntrack.models.devices import find_device
from gnntrack.models.files import write_model
from gnntrack.training.loop import run_training
from segmenters.common.inputs import check_image
from segmenters.common.models import FAMILY
from segmenters.common.training import dimensions_of, plan_of
from segmenters.diffusion.cells import find_cells
from segmenters.diffusion.features import FEATURES, VECTORS
from segmenters.diffusion.network import DiffusionNet
from segmenters.diffusion.task import DiffusionCourse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.types import Progress
    from segmenters.common.training import Judge, Pair

    Spacing = tuple[float, float, float]

__all__ = ["train_diffusionnet"]

_NETWORK = {"width": 64, "blocks": 4}
_OTHER = {"modes": 96, "surfaces": 0.25, "depth": 1.0}
_CHECKED = 12  # images of a validation at most
_PATCHES = 4  # a block has about as many cells as so many patches of an image


def train_diffusionnet(
    examples: Sequence[Pair],
    out: Path,
    *,
    checks: Sequence[Pair],
    judge: Judge,
    settings: TrainSegmenterSettings,
    notes: dict[str, Any],
    seed: int,
    resume: bool,
    device: str,
    progress: Progress | None,
    report: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any]:
    """Train a network; see `segmenters.diffusionnet.DiffusionNetSegmenter.train`."""
    place = find_device(device)
    network_options, other = _options(settings.options)
    _refuse_images(examples)
    torch.manual_seed(seed)
    network = DiffusionNet(features=FEATURES, vectors=VECTORS, **network_options)
    inputs = {"modes": int(other["modes"])}
    every = max(1, -(-len(checks) // _CHECKED))

    def spacing_of(example: Any) -> Spacing:
        z, y, x = getattr(example, "spacing", None) or (float(other["depth"]), 1.0, 1.0)
        return (z / x, y / x, 1.0)

    def score(net: DiffusionNet) -> Mapping[str, float | None]:
        found = []
        for each in checks[::every]:
            image, labels = each.read()
            stack = check_image(image, {3})
            cells = find_cells(net, stack, spacing=spacing_of(each), modes=inputs["modes"])
            found.append((cells, np.maximum(labels, 0)))  # what is unknown counts as background, as it is learnt
        return _figures(found, judge)

    course = DiffusionCourse(
        examples,
        score,
        spacing=spacing_of,
        variants=3 if settings.augment else 1,
        surfaces=float(other["surfaces"]),
        blocks=max(1, settings.batch // _PATCHES),
        modes=inputs["modes"],
        device=place,
    )
    told = {**notes, "images": len(examples), "settings": settings.model_dump(), "seed": seed}

    def save(average: Any, row: dict[str, Any]) -> None:
        write_model(out, average, FAMILY, training={**told, "best": row}, inputs=inputs)

    return run_training(
        network,
        course,
        out,
        plan=plan_of(settings, len(examples)),
        seed=seed,
        notes=told,
        save=save,
        resume=resume,
        device=place,
        progress=progress,
        report=report,
    )


def _options(given: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, float]]:
    """Return the options of the network, and those of what it is told.

    Raises
    ------
    SegmenterError
        If one is unknown or out of range.
    """
    known = {**_NETWORK, **_OTHER}
    for name, value in given.items():
        if name not in known:
            msg = f"a new network of 'diffusionnet' has no option '{name}'; there are: {', '.join(known)}"
            raise SegmenterError(msg)
        whole = name in _NETWORK or name == "modes"
        right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool) and value >= 0
        if not right or (name != "surfaces" and value == 0) or (name == "surfaces" and value > 1):
            want = "a whole number above 0" if whole else "from 0 to 1" if name == "surfaces" else "a number above 0"
            msg = f"a new network of 'diffusionnet': option {name} is {value!r}, but must be {want}"
            raise SegmenterError(msg)
    chosen = {**known, **given}
    return {name: int(chosen[name]) for name in _NETWORK}, {name: float(chosen[name]) for name in _OTHER}


def _refuse_images(examples: Sequence[Pair]) -> None:
    if dimensions_of(examples) != 3:
        msg = (
            f"'diffusionnet' learns on stacks (Z, Y, X), but {examples[0].name} is an image (Y, X); train 'unet' on it"
        )
        raise TrainingError(msg)


def _figures(found: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], judge: Judge) -> Mapping[str, float | None]:
    """Return the figures of a validation; the score is the mean of SEG and F1."""
    if not found:
        return dict.fromkeys(DiffusionCourse.figures)
    judged = judge(found)
    seg, f1 = float(judged["seg"]), float(judged["f1"])
    return dict(zip(DiffusionCourse.figures, (f1, seg, float(np.mean([seg, f1]))), strict=True))
