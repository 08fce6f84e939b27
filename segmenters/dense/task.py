"""Training task of dense networks: patches of images, their loss, and validation on segmented images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gnntrack.errors import FrameError
from segmenters.common.colours import check_pixels, normalise_channels
from segmenters.common.pixels import resize
from segmenters.common.training import remove_unknown, set_precision
from segmenters.dense.augment import Augment
from segmenters.dense.targets import compute_depth, compute_nearness

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.segmenter import LabelledImage
    from segmenters.common.arrays import Heights
    from segmenters.common.training import Metrics


__all__ = [
    "TARGETS",
    "DenseLoss",
    "MaskValidation",
    "PatchTask",
    "Ready",
    "ScaledPixels",
    "TrainingImages",
    "compute_loss",
    "find_cell_pixels",
    "prepare_dense",
]

TARGETS = 3
"""Channels of a patch behind those of its image: foreground, depth, nearness."""
_KEPT = 1_500_000_000  # bytes of prepared images that are kept in memory
_CHECKED = 24  # largest number of images of a validation
_DEPTH_WEIGHT = 4.0
_NEAR_ZOOM, _FAR_ZOOM = (0.7, 1.4), (0.4, 2.5)  # random factors of the size of cells
_FAR = 0.3  # fraction of the patches with a factor far from 1
_AROUND_A_CELL = 0.8  # fraction of the patches that are drawn around a cell


class Ready(NamedTuple):
    """An image at the network's scale, with the targets of its pixels.

    Parameters
    ----------
    image : ([Z], Y, X) or (3, Y, X) float32
        Normalised grey values or colours.
    targets : three ([Z], Y, X) arrays
        Interpolated in augmentation as nearest, linear and linear; see `prepare_dense`.
    cells : (N, axes) int32
        One pixel of each cell.
    """

    image: Heights
    targets: tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]
    cells: npt.NDArray[np.int32]

    @property
    def size(self) -> int:
        """Bytes."""
        return self.image.nbytes + sum(each.nbytes for each in self.targets)


class TrainingImages:
    """Images with their labels, prepared when they are first read; the last ones read are kept in memory.

    Parameters
    ----------
    examples : sequence of LabelledImage
        The images.
    prepare : callable
        From an example to a `Ready` image.
    """

    def __init__(self, examples: Sequence[LabelledImage], prepare: Callable[[LabelledImage], Ready]) -> None:
        self.examples = examples
        self._prepare = prepare
        self._kept: OrderedDict[int, Ready] = OrderedDict()
        movies: dict[tuple[bool, str], list[int]] = {}
        for number, example in enumerate(examples):
            movies.setdefault((getattr(example, "simulated", False), example.movie), []).append(number)
        self._real = [numbers for (simulated, _), numbers in movies.items() if not simulated]
        self._simulated = [numbers for (simulated, _), numbers in movies.items() if simulated]

    def draw(self, random: np.random.Generator) -> int:
        """Return the number of a random example; all movies are equally likely, whatever their length.

        Simulated movies together are at most as likely as real ones, whatever their number.
        """
        movies = self._real or self._simulated
        if self._real and self._simulated:
            rare = min(len(self._simulated), len(self._real))
            movies = self._simulated if random.random() * (rare + len(self._real)) < rare else self._real
        return int(random.choice(movies[random.integers(len(movies))]))

    def __getitem__(self, number: int) -> Ready:
        if number not in self._kept:
            self._kept[number] = self._prepare(self.examples[number])
            while len(self._kept) > 1 and sum(each.size for each in self._kept.values()) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]


@dataclass(frozen=True)
class ScaledPixels:
    """Reads the images of a training: normalised, and scaled for the network.

    Parameters
    ----------
    normalise : str
        See `segmenters.common.pixels.normalise`.
    factor : callable
        From the labels of an image to the factor by which its pixels along y and x are scaled.
    dimensions : {2, 3}
        Number of axes that images must have.
    channels : {1, 3}
        Channels of the network.
    """

    normalise: Any
    factor: Callable[[npt.NDArray[Any]], float]
    dimensions: int
    channels: int = 1

    def read(self, example: LabelledImage) -> tuple[Heights, npt.NDArray[Any], tuple[int, int]]:
        """Return the scaled image, the labels as they are, and the size along y and x to scale them to."""
        image, labels = example.read()
        hint = f"; all images to train on must have {self.dimensions} axes: remove those that do not"
        try:
            pixels = check_pixels(image, {self.dimensions}, channels=self.channels, hint=hint)
        except FrameError as error:
            raise FrameError(str(error), file=example.name) from error
        pixels = normalise_channels(pixels, self.normalise, dtype=image.dtype, channels=self.channels)
        factor = self.factor(labels)
        size = (max(1, round(labels.shape[-2] * factor)), max(1, round(labels.shape[-1] * factor)))
        return resize(pixels, size), labels, size


def prepare_dense(example: LabelledImage, pixels: ScaledPixels) -> Ready:
    """Return an image with the targets of a dense network.

    The targets are the foreground (int8; 1 in cells, 0 outside, -1 unknown), the depth in the cell (float16; -1
    unknown), and the nearness of two cells (float16; high where two cells touch).
    """
    image, labels, size = pixels.read(example)
    labels = _resize_nearest(labels, size)
    depth = compute_depth(labels).astype(np.float16)
    foreground = np.where(labels < 0, -1, labels > 0).astype(np.int8)
    nearness = compute_nearness(labels).astype(np.float16)
    return Ready(image, (foreground, depth, nearness), find_cell_pixels(labels))


def find_cell_pixels(labels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """Return the first pixel of each cell, shape (N, axes).

    >>> find_cell_pixels(np.array([[0, 2], [5, 2]]))
    array([[0, 1],
           [1, 0]], dtype=int32)
    """
    _, first = np.unique(labels, return_index=True)
    places = np.stack(np.unravel_index(first, labels.shape), axis=1)
    return places[labels.ravel()[first] > 0].astype(np.int32)


def _resize_nearest(labels: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    rows = np.minimum((np.arange(size[0]) + 0.5) * labels.shape[-2] / size[0], labels.shape[-2] - 1).astype(int)
    columns = np.minimum((np.arange(size[1]) + 0.5) * labels.shape[-1] / size[1], labels.shape[-1] - 1).astype(int)
    return labels[..., rows[:, None], columns]


def _zoom_patch(parts: Sequence[Heights], size: Sequence[int]) -> Heights:
    """Return image and targets resized along y and x."""
    *image, foreground, depth, nearness = parts
    whole = (int(size[0]), int(size[1]))
    unknown = _resize_nearest(depth < 0, whole)  # a mean of known and unknown depths would be known
    smooth = [resize(np.ascontiguousarray(each), whole) for each in (*image, depth, nearness)]
    smooth[-2][unknown] = -1
    return np.stack([*smooth[:-2], _resize_nearest(foreground, whole), *smooth[-2:]]).astype(np.float32)


@dataclass(frozen=True)
class MaskValidation:
    """Compares the masks that a network finds with the ground truth.

    Parameters
    ----------
    examples : sequence of LabelledImage
        Images to validate on; of more than 24, every second, third and so on is used.
    segment : callable
        From a network and an image to labels, as in use.
    metrics : callable
        From results and ground truth to ``dice``, ``seg`` and ``f1``.
    """

    examples: Sequence[LabelledImage]
    segment: Callable[[Any, npt.NDArray[Any]], npt.NDArray[Any]]
    metrics: Metrics

    def measure(self, network: Any) -> Mapping[str, float]:
        """Return the metrics over all images together; empty without images."""
        if not self.examples:
            return {}
        results = []
        for example in self.examples[:: -(-len(self.examples) // _CHECKED)]:
            image, labels = example.read()
            try:
                found = self.segment(network, image)
            except FrameError as error:
                msg = f"{error}; images to validate on must have the axes of those to train on: remove this one"
                raise FrameError(msg, file=example.name) from error
            results.append(remove_unknown(found, labels))
        return self.metrics(results)


class PatchTask:
    """Training task of a network that is trained on patches of images.

    Parameters
    ----------
    images : TrainingImages
        Images to train on.
    validation : MaskValidation
        Images to validate on.
    settings : TrainSegmenterSettings
        Batch and augmentation.
    loss : callable
        From a network and patches, (B, 4, [Z], Y, X) float32 of image and targets, to the loss; for RGB images 6
        channels instead of 4.
    patch : sequence of int
        Pixels of a patch along ``[z], y, x``.
    varied : bool
        Make cells smaller and larger at random, by factors of up to 2.5, so that the network finds cells at a wrong
        scale too, and their size is known from those that it finds.
    """

    unit = "patches"
    advice = "Look for broken images there, or lower train_segmenter.learning_rate"
    metrics: Sequence[str] = ("validation_dice", "validation_seg", "validation_f1", "validation_score")

    def __init__(
        self,
        images: TrainingImages,
        validation: MaskValidation,
        settings: TrainSegmenterSettings,
        *,
        loss: Callable[[Any, Heights], Tensor],
        patch: Sequence[int],
        varied: bool = False,
    ) -> None:
        self._images, self._validation, self._settings, self._varied = images, validation, settings, varied
        self._loss, self._patch = loss, tuple(patch)
        grey = settings.normalise != "none"
        rules = {"grey": grey, "scale": not varied, "invert": grey and settings.invert}
        self._augment = Augment(len(self._patch), **rules) if settings.augment else None

    def compute_loss(self, network: Any, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Return the loss of a batch, and the names of its images."""
        numbers = [self._images.draw(random) for _ in range(self._settings.batch)]
        patches = np.stack([self._draw_patch(self._images[number], random) for number in numbers])
        return self._loss(network, patches), [self._images.examples[number].name for number in numbers]

    def _draw_patch(self, ready: Ready, random: np.random.Generator) -> Heights:
        """Return a random patch of image and targets, (4 or 6, *patch), mirrored beyond the border of the image."""
        zoom = self._draw_zoom(random)
        wanted = tuple(max(1, round(n / (zoom if axis >= len(self._patch) - 2 else 1)))
                       for axis, n in enumerate(self._patch))  # fmt: skip
        shape = np.array(ready.targets[0].shape)
        middle = random.integers(0, shape)
        if len(ready.cells) and random.random() < _AROUND_A_CELL:
            middle = random.choice(ready.cells) + random.integers(-16, 17, len(shape))
        start = np.clip(middle - np.array(wanted) // 2, 0, np.maximum(shape - wanted, 0))
        box = tuple(slice(a, a + n) for a, n in zip(start, wanted, strict=True))
        beyond = [(0, max(0, n - m)) for n, m in zip(wanted, shape, strict=True)]
        parts = [
            np.pad(np.asarray(each[box], np.float32), beyond, mode="symmetric")
            for each in (*ready.image.reshape(-1, *shape), *ready.targets)
        ]
        patch = np.stack(parts) if zoom == 1 else _zoom_patch(parts, self._patch[-2:])
        return patch if self._augment is None else self._augment(patch, random)

    def _draw_zoom(self, random: np.random.Generator) -> float:
        """Return a random factor of the size of cells: mostly near 1, sometimes far from it if sizes vary."""
        if not self._varied or not self._settings.augment:
            return 1.0
        least, most = _FAR_ZOOM if random.random() < _FAR else _NEAR_ZOOM
        return float(np.exp(random.uniform(np.log(least), np.log(most))))

    def validate(self, network: Any) -> dict[str, float | None]:
        """Return Dice of the foreground, SEG and F1 at IoU 0.5, and the score: Dice, or the mean of the three."""
        found = self._validation.measure(network)
        if not found:
            return dict.fromkeys(self.metrics)
        dice, seg, f1 = (found[name] for name in ("dice", "seg", "f1"))
        score = dice if self._settings.head == "foreground" else (dice + seg + f1) / 3
        return dict(zip(self.metrics, (dice, seg, f1, score), strict=True))


@dataclass(frozen=True)
class DenseLoss:
    """Loss of a dense network on patches made by `prepare_dense`.

    Parameters
    ----------
    settings : TrainSegmenterSettings
        Kind of the loss, weight of the pixels between two cells.
    device : device
        Device of the network.
    bfloat16 : bool
        Multiply in bfloat16.
    """

    settings: TrainSegmenterSettings
    device: Any = "cpu"
    bfloat16: bool = False

    def __call__(self, network: Any, patches: Heights) -> Tensor:
        """Return the loss, shape (), of patches (B, 4 or 6, [Z], Y, X)."""
        batch = torch.from_numpy(patches).to(self.device)
        with set_precision(self.device, bfloat16=self.bfloat16):
            outputs = network(batch[:, :-TARGETS])
        foreground, depth, nearness = batch[:, -3], batch[:, -2], batch[:, -1]
        extra = self.settings.border_weight * nearness
        return compute_loss(outputs, foreground, depth, extra, kind=self.settings.loss)


def compute_loss(
    outputs: Tensor, foreground: Tensor, depth: Tensor, extra: Tensor | float = 0.0, *, kind: str
) -> Tensor:
    """Return the loss of the two classes, plus that of the depth if the network has this output; shape ().

    Parameters
    ----------
    outputs : (B, 2 or 3, ...) tensor
        Log-odds of background and foreground, and the depth.
    foreground, depth : (B, ...) tensors
        The ground truth: 0 or 1; 0 to 1. Pixels below 0 are unknown and do not count.
    extra : (B, ...) tensor
        Additional weight of each pixel.
    kind : {"cross_entropy", "dice", "both", "focal"}
        Loss of the classes. ``dice`` is the soft Dice loss over the batch (Milletari et al., 2016), ``focal`` gives
        less weight to pixels that are right already (Lin et al., 2017; gamma 2), ``both`` is the sum of cross-entropy
        and Dice.
    """
    outputs = outputs.float()
    truth, known = foreground > 0.5, foreground >= 0
    classes = torch.zeros((), device=outputs.device)
    if kind in {"cross_entropy", "both", "focal"}:
        each = functional.cross_entropy(outputs[:, :2], truth.long(), reduction="none")
        each = (1 - torch.exp(-each)) ** 2 * each if kind == "focal" else each
        classes = classes + (each * known * (1 + extra)).sum() / known.sum().clamp(min=1)
    if kind in {"dice", "both"}:
        inside = torch.softmax(outputs[:, :2], dim=1)[:, 1] * known
        shared, total = (inside * truth).sum(), inside.sum() + truth.sum()
        classes = classes + 1 - (2 * shared + 1) / (total + 1)
    if outputs.shape[1] == 2:
        return classes
    measured = depth >= 0
    off = functional.smooth_l1_loss(outputs[:, 2], depth, beta=0.1, reduction="none")
    weight = (0.2 + 0.8 * truth.float() + extra) * measured  # the background is easy, and most of the pixels
    return classes + _DEPTH_WEIGHT * (weight * off).sum() / measured.sum().clamp(min=1)
