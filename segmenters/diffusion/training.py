"""Training of a DiffusionNet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gnntrack.errors import SegmenterError, TrainingError
from segmenters.common.inputs import check_image
from segmenters.common.training import describe_run, find_dimensions, train_network
from segmenters.diffusion.cells import find_cells
from segmenters.diffusion.features import FEATURES, VECTORS
from segmenters.diffusion.network import DiffusionNet
from segmenters.diffusion.task import BlockOptions, BlockTask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.run import TrainingRun
    from gnntrack.training.segmenter import Images
    from segmenters.common.arrays import Spacing
    from segmenters.common.training import Metrics

    Rule = tuple[str, Callable[[Any], bool]]  # the expected value in words, and whether a value is one

__all__ = ["train_diffusionnet"]

_NETWORK = {"width": 64, "blocks": 4}
_OTHER = {"modes": 96, "surfaces": 0.25, "depth": 1.0}
_WHOLE: Rule = ("a whole number above 0", lambda value: isinstance(value, int) and value > 0)
_RULES: dict[str, Rule] = {
    "surfaces": ("from 0 to 1", lambda value: isinstance(value, int | float) and 0 <= value <= 1),
    "depth": ("a number above 0", lambda value: isinstance(value, int | float) and value > 0),
}
_CHECKED = 12  # largest number of images of a validation
_PATCHES = 4  # patches of an image that have about as many cells as a block


def train_diffusionnet(
    examples: Images, checks: Images, run: TrainingRun, *, settings: TrainSegmenterSettings, metrics: Metrics
) -> dict[str, Any]:
    """Train a network; see `segmenters.diffusionnet.DiffusionNetSegmenter.train`."""
    network_options, other = _read_options(settings.options)
    _refuse_images(examples)
    torch.manual_seed(run.seed)
    network = DiffusionNet(features=FEATURES, vectors=VECTORS, **network_options)
    modes = int(other["modes"])
    spacing_of = partial(_read_spacing, depth=float(other["depth"]))
    blocks = BlockOptions(
        variants=3 if settings.augment else 1,
        surfaces=float(other["surfaces"]),
        count=max(1, settings.batch // _PATCHES),
        modes=modes,
    )
    validate = partial(_validate, checks=checks, spacing_of=spacing_of, modes=modes, metrics=metrics)
    task = BlockTask(examples, validate, spacing=spacing_of, blocks=blocks, device=run.find_device())
    run = describe_run(run, settings, images=len(examples))
    return train_network(network, task, run, settings, images=len(examples), inputs={"modes": modes}).best


def _read_spacing(example: Any, *, depth: float) -> Spacing:
    """Return the size of a voxel along z, y, x, as multiples of that along x; `depth` along z if it is unknown."""
    z, y, x = getattr(example, "spacing", None) or (depth, 1.0, 1.0)
    return (z / x, y / x, 1.0)


def _validate(
    network: DiffusionNet,
    checks: Images,
    spacing_of: Callable[[Any], Spacing],
    modes: int,
    metrics: Metrics,
) -> Mapping[str, float | None]:
    """Return the metrics of a validation; the score is the mean of SEG and F1."""
    found = []
    for each in checks[:: max(1, -(-len(checks) // _CHECKED))]:
        image, labels = each.read()
        cells = find_cells(network, check_image(image, {3}), spacing=spacing_of(each), modes=modes)
        found.append((cells, np.maximum(labels, 0)))  # unknown pixels count as background, as in training
    if not found:
        return dict.fromkeys(BlockTask.metrics)
    values = metrics(found)
    seg, f1 = float(values["seg"]), float(values["f1"])
    return dict(zip(BlockTask.metrics, (f1, seg, float(np.mean([seg, f1]))), strict=True))


def _read_options(given: Mapping[str, Any]) -> tuple[dict[str, int], dict[str, float]]:
    """Return the options of the network, and those of its input.

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
        expected, holds = _RULES.get(name, _WHOLE)
        if isinstance(value, bool) or not holds(value):
            msg = f"a new network of 'diffusionnet': option {name} is {value!r}, but must be {expected}"
            raise SegmenterError(msg)
    chosen = {**known, **given}
    return {name: int(chosen[name]) for name in _NETWORK}, {name: float(chosen[name]) for name in _OTHER}


def _refuse_images(examples: Images) -> None:
    if find_dimensions(examples) != 3:
        msg = (
            f"'diffusionnet' learns on stacks (Z, Y, X), but {examples[0].name} is an image (Y, X); train 'unet' on it"
        )
        raise TrainingError(msg)
