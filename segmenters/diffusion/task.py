"""Training task of DiffusionNet: blocks of clouds whose cells are known, and their loss."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import cKDTree

from gnntrack.errors import TrainingError
from gnntrack.plurals import count_noun
from segmenters.diffusion.blocks import cut_blocks, extract_part
from segmenters.diffusion.network import Shape, describe_shape
from segmenters.diffusion.operators import build_operators
from segmenters.diffusion.points import build_volume_cloud, measure_levels
from segmenters.diffusion.surface import build_surface_cloud

if TYPE_CHECKING:
    import numpy.typing as npt
    from torch import Tensor

    from gnntrack.training.segmenter import LabelledImage
    from segmenters.common.arrays import AnyFloats, Spacing
    from segmenters.diffusion.network import DiffusionNet
    from segmenters.diffusion.points import Cloud

    Labels = npt.NDArray[np.integer[Any]]

__all__ = ["BlockOptions", "BlockTask", "Targets", "TrainingBlock", "make_targets"]

_OFFSET = 2.0  # weight of the offsets; the foreground has weight 1
_TRIES = 100  # largest number of images without a point in a step
_SIZES = (0.7, 1.35)  # range of the factor that falsifies the measured diameter in training
_LEVELS = (0.8, 1.25)  # range of the factor that falsifies the brightness in training


class Targets(NamedTuple):
    """Targets of each point.

    Parameters
    ----------
    foreground : (N,) float array
        Fraction of its voxels that lie in cells.
    offset : (N, 3) float array
        Vector (z, y, x) to the centre of its cell, in diameters; 0 without a cell.
    cell : (N,) int array
        Its cell, 0 = none.
    """

    foreground: AnyFloats
    offset: AnyFloats
    cell: Labels


def make_targets(cloud: Cloud, labels: Labels, *, scale: AnyFloats) -> Targets:
    """Return the targets of each point of a cloud.

    Parameters
    ----------
    cloud : Cloud
        N points.
    labels : (Z, Y, X) int array
        The true cells, 0 = background.
    scale : (3,) float array
        Size of a voxel along z, y, x in diameters.
    """
    n, scale = len(cloud), np.asarray(scale, np.float64)
    numbers, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + (1 if numbers[0] > 0 else 0)
    here = dense[tuple(cloud.voxels.T)]
    count = np.maximum(np.bincount(cloud.owner, minlength=n), 1)
    foreground = np.bincount(cloud.owner, here > 0, n) / count
    cell = _find_most_frequent(cloud.owner, here, n)
    if cloud.faces is not None:  # a vertex owns few voxels or none: it belongs to the cell that it lies on
        inside = np.argwhere(dense > 0)
        if len(inside):
            distance, row = cKDTree(inside * scale).query(cloud.points)
            cell = np.where(distance < 1.5 / 6, dense[tuple(inside[row].T)], 0)
        foreground = (cell > 0).astype(np.float64)
    centre = np.zeros((int(dense.max()) + 1, 3))
    if dense.max():
        middle = ndimage.center_of_mass(dense > 0, dense, np.arange(1, dense.max() + 1))
        centre[1:] = np.asarray(middle) * scale
    offset = np.where(cell[:, None] > 0, centre[cell] - cloud.points, 0.0)
    return Targets(foreground, offset, cell)


def _find_most_frequent(owner: Labels, values: Labels, n: int) -> Labels:
    """Return the most frequent value above 0 of each owner, 0 where there is none."""
    found = np.zeros(n, np.int64)
    known = values > 0
    if known.any():
        width = int(values.max()) + 1
        key, count = np.unique(owner[known] * width + values[known], return_counts=True)
        order = np.argsort(count, kind="stable")  # the most frequent is written last
        found[key[order] // width] = key[order] % width
    return found


class TrainingBlock(NamedTuple):
    """A block with the targets of its points.

    Parameters
    ----------
    shape : Shape
        N points.
    foreground, offset : tensors (N,), (N, 3)
        As in `Targets`.
    counts : (N,) bool tensor
        Points of its core, which count in the loss.
    """

    shape: Shape
    foreground: Tensor
    offset: Tensor
    counts: Tensor


@dataclass(frozen=True)
class BlockOptions:
    """How blocks are made of the examples.

    Parameters
    ----------
    variants : int
        Clouds that are made of each example, with other grids, sizes and levels.
    surfaces : float
        Fraction of the variants that are surfaces.
    count : int
        Blocks in a step.
    modes : int
        Eigenvectors of a block.
    kept : int
        Blocks that are kept in memory.
    """

    variants: int = 2
    surfaces: float = 0.25
    count: int = 2
    modes: int = 96
    kept: int = 400


class BlockTask:
    """Training task of a DiffusionNet: draws blocks of clouds, and validates on whole images.

    A block is made when it is drawn for the first time, and kept while there is room. It depends only on the random
    numbers, so that an interrupted training continues as if it had not been.

    Parameters
    ----------
    examples : sequence of LabelledImage
        Stacks to train on.
    validate : callable
        Network -> metrics of the validation.
    spacing : callable
        Example -> size of a voxel along z, y, x.
    blocks : BlockOptions
        How blocks are made.
    device : device
        Device of the network.
    """

    metrics: Sequence[str] = ("validation_f1", "validation_seg", "validation_score")
    unit = "blocks"
    advice = "Look for images of one value there, or lower the learning rate"

    def __init__(
        self,
        examples: Sequence[LabelledImage],
        validate: Callable[[DiffusionNet], Mapping[str, float | None]],
        *,
        spacing: Callable[[Any], Spacing],
        blocks: BlockOptions | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.examples, self._validate, self.spacing = list(examples), validate, spacing
        self.blocks, self.device = blocks or BlockOptions(), device
        self._clouds: OrderedDict[tuple[int, int], tuple[Cloud, Targets, list[Any]]] = OrderedDict()
        self._training_blocks: OrderedDict[tuple[int, int, int], TrainingBlock] = OrderedDict()

    def compute_loss(self, network: DiffusionNet, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Return the mean loss of a few blocks, and the names of their examples.

        Raises
        ------
        TrainingError
            If there is nothing to learn from.
        """
        losses: list[Tensor] = []
        names: list[str] = []
        for _ in range(self.blocks.count + _TRIES):
            number, variant = int(random.integers(len(self.examples))), int(random.integers(self.blocks.variants))
            block = self._find_block(number, variant, random.random())
            if block is not None:
                names.append(self.examples[number].name)
                losses.append(_compute_loss(network, block, self.device))
            if len(losses) == self.blocks.count:
                return torch.stack(losses).mean(), names
        msg = (
            f"hardly any of {count_noun(len(self.examples), 'image')} has anything bright in it; give images with cells"
        )
        raise TrainingError(msg)

    def validate(self, network: DiffusionNet) -> Mapping[str, float | None]:
        """Return F1, SEG and the score."""
        return self._validate(network)

    def _find_block(self, number: int, variant: int, where: float) -> TrainingBlock | None:
        cloud, targets, blocks = _get_or_make(self._clouds, (number, variant), self._make_cloud, self.blocks.kept)
        if not blocks:
            return None
        at = min(int(where * len(blocks)), len(blocks) - 1)

        def make(*_: int) -> TrainingBlock:
            part, block = extract_part(cloud, blocks[at])
            values = (targets.foreground[block.rows], targets.offset[block.rows])
            foreground, offset = (torch.from_numpy(np.asarray(value, np.float32)) for value in values)
            shape = describe_shape(part, build_operators(part, modes=self.blocks.modes))
            return TrainingBlock(shape, foreground, offset, torch.from_numpy(block.core))

        block: TrainingBlock = _get_or_make(self._training_blocks, (number, variant, at), make, self.blocks.kept)
        return block

    def _make_cloud(self, number: int, variant: int) -> tuple[Cloud, Targets, list[Any]]:
        """Return a cloud of an example, with other errors of the measured levels in each variant."""
        random = np.random.default_rng([number, variant])
        example = self.examples[number]
        image, labels = example.read()
        stack, spacing = np.asarray(image, np.float32), self.spacing(example)
        levels = measure_levels(stack, spacing=spacing)
        if variant:
            span = levels.bright - levels.background
            levels = levels._replace(
                diameter=levels.diameter * float(np.exp(random.uniform(*np.log(_SIZES)))),
                bright=levels.background + span * float(np.exp(random.uniform(*np.log(_LEVELS)))),
            )
        if random.random() < self.blocks.surfaces:
            cloud = build_surface_cloud(stack, levels, spacing=spacing)
        else:
            origin = random.random(3)
            cloud = build_volume_cloud(stack, levels, spacing=spacing, origin=(origin[0], origin[1], origin[2]))
        targets = make_targets(cloud, np.maximum(labels, 0), scale=np.asarray(spacing) / levels.diameter)
        return cloud, targets, cut_blocks(cloud.points)


def _compute_loss(network: DiffusionNet, block: TrainingBlock, device: torch.device | str) -> Tensor:
    outputs = network(block.shape.to(device))
    counts, foreground = block.counts.to(device), block.foreground.to(device)
    cross = torch.nn.functional.binary_cross_entropy_with_logits(outputs.foreground, foreground, reduction="none")
    # the small number keeps the gradient at 0 finite
    far = torch.linalg.vector_norm(outputs.offset - block.offset.to(device) + 1e-6, dim=1)
    cells = counts & (foreground > 0.5)
    loss: Tensor = cross[counts].mean() + _OFFSET * (far * cells).sum() / cells.sum().clamp(min=1)
    return loss


def _get_or_make(kept: OrderedDict[Any, Any], key: tuple[int, ...], make: Callable[..., Any], room: int) -> Any:
    """Return the value of a key, made if it is missing; beyond `room` values the least recently used is removed."""
    if key not in kept:
        kept[key] = make(*key)
        if len(kept) > room:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]
