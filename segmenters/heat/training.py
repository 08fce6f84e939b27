"""Training of ``heatmap``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gnntrack.errors import ModelError, TrainingError
from gnntrack.models.files import model_folder, read_model
from gnntrack.training.loop import Plan, run_training
from segmenters.common.models import WEIGHTS
from segmenters.heat.files import FAMILY
from segmenters.heat.network import HeatNetwork
from segmenters.heat.task import HeatTask, ReadyImages
from segmenters.points.scale import estimate_diameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gnntrack.training.detector import PointImage
    from gnntrack.training.detector_settings import DetectorTraining
    from gnntrack.training.run import TrainingRun
    from gnntrack.types import Image, Points

__all__ = ["Diameters", "find_shipped", "train_heatmap"]

_WIDTH, _LEVELS = 16, 3
_JITTER = 0.15  # deviation of the logarithm of the diameter of a simulated image, as estimates of it are not exact
_AVERAGE, _DECAY = 0.99, 0.01


def train_heatmap(
    examples: Sequence[PointImage],
    checks: Sequence[PointImage],
    run: TrainingRun,
    *,
    training: DetectorTraining,
    start: str | Path | None,
    across: float,
) -> dict[str, Any]:
    """Train the network; see `gnntrack.training.detector.TrainableDetector.train`.

    Parameters
    ----------
    examples, checks, run, training, start
        As of `TrainableDetector.train`.
    across : float
        Blocks of the grid in a diameter.
    """
    axes = {len(each.read()[2]) for each in {each.movie: each for each in [*examples, *checks]}.values()}
    if len(axes) != 1:
        msg = "some images have 2 axes and some 3; train a network for each (simulated_axes sets those of simulations)"
        raise TrainingError(msg)
    dimensions = axes.pop()
    torch.manual_seed(run.seed)
    network = _make_network(dimensions, start)
    measure = Diameters(training.diameter, run.seed)
    task = HeatTask(
        ReadyImages(examples, across, measure),
        ReadyImages(checks, across, measure),
        dimensions,
        training.batch,
        run.find_device(),
    )
    plan = Plan(
        steps=training.steps,
        learning_rate=training.learning_rate,
        weight_decay=_DECAY,
        average=_AVERAGE,
        validate_every=min(training.validate_every, training.steps),
        patience=training.patience,
        fine_tuning=start is not None,
    )
    trained = run_training(network, task, run, plan, family=FAMILY, fields={"inputs": {"across": across}})
    return trained.best


class Diameters:
    """Typical diameters of the cells of images, one for each movie.

    Parameters
    ----------
    given : float or None
        Diameter in pixels along x.
    seed : int
        Draws by how much the diameter of a simulated image is wrong.
    """

    def __init__(self, given: float | None, seed: int) -> None:
        self._given, self._random = given, np.random.default_rng([seed, 71])
        self._found: dict[str, float] = {}

    def __call__(self, example: PointImage, image: Image, points: Points, spacing: Sequence[float]) -> float:
        """Return the diameter in the unit of `spacing`: given, known from the radii, or estimated from the image."""
        if getattr(example, "simulated", False):
            size = 2 * float(np.median(points.radius)) if len(points) else 5 * spacing[-1]
            return size * float(np.exp(self._random.normal(0, _JITTER)))
        if self._given is not None:
            return self._given * spacing[-1]
        if example.movie not in self._found:
            size = estimate_diameter([image], spacing) or 0.0
            if not size:
                msg = f"{example.name}: no cell stands out, so that their size is not known; give the diameter"
                raise TrainingError(msg)
            self._found[example.movie] = size
        return self._found[example.movie]


def find_shipped(dimensions: int) -> Path:
    """Return the folder of the model that comes with gnntrack, for images of 2 or 3 axes."""
    return WEIGHTS / f"heatmap_{dimensions}d"


def _make_network(dimensions: int, start: str | Path | None) -> Any:
    if start is None:
        options: dict[str, Any] = {"width": _WIDTH, "levels": _LEVELS, "outputs": 2, "channels": dimensions}
        return HeatNetwork(dimensions=dimensions, **options)
    folder = find_shipped(dimensions) if start == "shipped" else model_folder(start, FAMILY)
    network, _ = read_model(folder, FAMILY)
    if getattr(network, "dimensions", None) != dimensions:
        msg = f"{folder}: its network is for images of {network.dimensions} axes, and these have {dimensions}"
        raise ModelError(msg)
    return network
