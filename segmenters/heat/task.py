"""The training task of ``heatmap``: patches, loss and validation."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from torch.nn import functional

from segmenters.heat.inference import find_centres
from segmenters.heat.inputs import prepare_inputs
from segmenters.heat.targets import Target, draw_target
from segmenters.points.grid import choose_grid

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

    from gnntrack.training.detector import PointImage
    from segmenters.common.arrays import Floats, Heights

__all__ = ["HeatTask", "ReadyImages", "compute_heat_loss", "match_points"]

_PATCH = {2: (96, 96), 3: (24, 40, 40)}
_AROUND_A_CELL = 0.7  # fraction of the patches that have a known cell in the middle
_MEMORY = 400e6  # bytes of images that are kept ready
_PEAK_WEIGHT = 10.0  # additional weight of the loss at the centre of a cell
_RADIUS_WEIGHT = 0.2


class _Ready(NamedTuple):
    """An image on the grid with its target."""

    inputs: Any  # (C, [Z], Y, X) float16
    target: Target
    position: Floats  # known cells, in blocks
    values: Heights
    step: tuple[float, ...]
    diameter: float
    complete: bool


class ReadyImages:
    """Images with known points on the grid of the network, the latest ones in memory.

    Parameters
    ----------
    examples : sequence of PointImage
        Images with known points.
    across : float
        Blocks of the grid in a diameter.
    measure : callable
        From an example, its image, points and voxel size to the diameter of a typical cell.
    """

    def __init__(self, examples: Sequence[PointImage], across: float, measure: Callable[..., float]) -> None:
        self.examples, self._across, self._measure = examples, across, measure
        self._kept: OrderedDict[int, _Ready] = OrderedDict()
        self._bytes = 0.0

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> _Ready:
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        ready = self._prepare(self.examples[number])
        self._kept[number] = ready
        self._bytes += _measure_bytes(ready)
        while self._bytes > _MEMORY and len(self._kept) > 1:
            self._bytes -= _measure_bytes(self._kept.popitem(last=False)[1])
        return ready

    def _prepare(self, example: PointImage) -> _Ready:
        image, points, spacing = example.read()
        diameter = self._measure(example, image, points, spacing)
        grid = choose_grid(spacing, diameter, self._across)
        values = grid.shrink(image)
        position = grid.convert(points.position)
        rules: dict[str, Any] = {"diameter": diameter, "complete": example.complete}
        target = draw_target(values, grid.step, position, points.radius, **rules)
        inputs = prepare_inputs(values, grid.step).astype(np.float16)
        return _Ready(inputs, target, position, values, grid.step, diameter, example.complete)


def _measure_bytes(ready: _Ready) -> float:
    return float(ready.inputs.nbytes + 13 * ready.values.size)


@dataclass(frozen=True)
class HeatTask:
    """Training task of a network on patches of images with known points.

    Parameters
    ----------
    images, checks : ReadyImages
        Images to train on, and images to validate on.
    dimensions : {2, 3}
        Axes of the images.
    batch : int
        Patches in a step.
    device : str
        Device of the network.
    """

    images: ReadyImages
    checks: ReadyImages
    dimensions: int
    batch: int
    device: str = "cpu"

    unit = "patches"
    advice = "Look for broken images there, or lower the learning rate"
    metrics: Sequence[str] = ("validation_recall", "validation_precision", "validation_f1", "validation_score")

    def compute_loss(self, network: Any, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Return the loss of a batch, and the names of its images."""
        numbers = random.integers(0, len(self.images), self.batch)
        patches = [self._draw_patch(self.images[int(number)], random) for number in numbers]
        inputs, heat, radius, known = (torch.from_numpy(np.stack(each)) for each in zip(*patches, strict=True))
        outputs = network(inputs.to(self.device))
        loss = compute_heat_loss(outputs, heat.to(self.device), radius.to(self.device), known.to(self.device))
        return loss, [self.images.examples[int(number)].name for number in numbers]

    def _draw_patch(self, ready: _Ready, random: np.random.Generator) -> list[Any]:
        """Return a random patch of inputs, heat, radius and known voxels, turned and mirrored at random."""
        patch, shape = _PATCH[self.dimensions], np.array(ready.values.shape)
        middle = random.integers(0, shape)
        if len(ready.position) and random.random() < _AROUND_A_CELL:
            middle = random.choice(ready.position).round().astype(int) + random.integers(-6, 7, len(shape))
        start = np.clip(middle - np.array(patch) // 2, 0, np.maximum(shape - patch, 0))
        box = tuple(slice(a, a + n) for a, n in zip(start, patch, strict=True))
        beyond = [(0, max(0, n - m)) for n, m in zip(patch, shape, strict=True)]
        flips = [axis for axis in range(-len(patch), 0) if random.random() < 0.5]
        turn, bright, noisy = random.random() < 0.5, random.normal(0, 0.15), random.random() < 0.3

        def cut_patch(values: Any, filling: Any) -> Any:
            part = np.asarray(values[(..., *box)])
            pads = [(0, 0)] * (part.ndim - len(patch)) + beyond
            part = np.pad(part, pads, mode="edge") if filling is None else np.pad(part, pads, constant_values=filling)
            part = np.flip(part, tuple(flips))
            return np.ascontiguousarray(part.swapaxes(-1, -2) if turn else part)

        inputs = cut_patch(ready.inputs, None).astype(np.float32)
        inputs[0] += bright
        if noisy:
            inputs[:2] += random.normal(0, 0.12, inputs[:2].shape)
        target = ready.target
        return [inputs, *(cut_patch(*each) for each in ((target.heat, 0), (target.radius, np.nan), (target.known, 0)))]

    def validate(self, network: Any) -> Mapping[str, float | None]:
        """Return recall, precision and F1 of points nearer than a radius, and the score, which is F1."""
        found = true = known = 0
        for number in range(len(self.checks)):
            ready = self.checks[number]
            rules = {"threshold": 0.5, "closest": 0.4 * ready.diameter}
            position, _, peaks, _ = find_centres(network, ready.values, ready.step, **rules)
            matched = match_points(position, ready.position, ready.step, ready.diameter / 2)
            certain = ready.target.known[tuple(peaks.T)]
            certain[matched] = True  # of the others, those in unknown voxels do not count
            found, true, known = found + int(certain.sum()), true + len(matched), known + len(ready.position)
        if not known:
            return dict.fromkeys(self.metrics)
        recall, precision, f1 = true / known, true / max(found, 1), 2 * true / (found + known)
        return dict(zip(self.metrics, (recall, precision, f1, f1), strict=True))


def match_points(found: Floats, truth: Floats, step: Sequence[float], reach: float) -> Any:
    """Return the rows of the found points that are matched one-to-one to true ones within a distance.

    Parameters
    ----------
    found, truth : (N, D) and (M, D) float arrays
        Positions in blocks.
    step : D floats
        Size of a block.
    reach : float
        Largest distance of a match, in the unit of `step`.

    Examples
    --------
    >>> match_points(np.array([[0.0, 0], [5, 5]]), np.array([[0.0, 1]]), (1, 1), 2).tolist()
    [0]
    """
    distance = cdist(found * np.asarray(step), truth * np.asarray(step))
    gain = np.where(distance <= reach, 1 / (1 + distance), 0)
    rows, columns = linear_sum_assignment(-gain)
    return rows[distance[rows, columns] <= reach]


def compute_heat_loss(outputs: Tensor, heat: Tensor, radius: Tensor, known: Tensor) -> Tensor:
    """Return the loss of a batch, shape (): cross-entropy of the heat map and the error of the radius.

    Parameters
    ----------
    outputs : (B, 2, ...) tensor
        Log-odds of the heat map, and logarithm of the radius.
    heat, radius, known : (B, ...) tensors
        Of a `Target`: unknown voxels, and radii that are NaN, do not count.
    """
    weight = known * (1 + _PEAK_WEIGHT * heat)
    each = functional.binary_cross_entropy_with_logits(outputs[:, 0], heat, reduction="none")
    loss = (weight * each).sum() / weight.sum().clamp(min=1)
    measured = torch.isfinite(radius)
    off = (outputs[:, 1] - torch.nan_to_num(radius)).abs()
    return loss + _RADIUS_WEIGHT * (off * measured).sum() / measured.sum().clamp(min=1)
