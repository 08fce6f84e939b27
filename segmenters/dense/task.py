"""What a dense network learns: the loss of a batch of patches, and images segmented as in use."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from segmenters.common.inputs import check_image
from segmenters.common.pixels import normalised, resized
from segmenters.common.training import known_part, multiplying
from segmenters.dense.augment import Augment
from segmenters.dense.targets import depth_in_cells, nearness_of_two

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from segmenters.common.training import Judge, Pair

    Heights = npt.NDArray[np.float32]

__all__ = ["DenseCourse", "Examples", "Ready", "loss_of"]

_KEPT = 1_500_000_000  # bytes of prepared images that are kept in memory
_CHECKED = 24  # images of a validation at most
_DEPTH_WEIGHT = 4.0
_AROUND_A_CELL = 0.8  # part of the patches that is drawn around a cell


class Ready(NamedTuple):
    """An image as the network sees it, with what is learnt of it."""

    image: Heights  # normalised
    foreground: npt.NDArray[np.int8]  # 1 in cells, 0 outside, -1 where nobody knows
    depth: npt.NDArray[np.float16]  # -1 where nobody knows
    nearness: npt.NDArray[np.float16]  # where two cells touch
    cells: npt.NDArray[np.int32]  # (N, axes) a pixel of each

    @property
    def size(self) -> int:
        """Bytes."""
        return self.image.nbytes + self.foreground.nbytes + self.depth.nbytes + self.nearness.nbytes


class Examples:
    """Images with their labels, at the network's scale; the last ones read are kept in memory.

    Parameters
    ----------
    pairs : Pairs
        What there is.
    normalise : str
        See `segmenters.common.pixels.normalised`.
    factor : callable
        From the labels of an image to the factor by which its pixels along y and x are scaled.
    dimensions : int
        Axes that images have to have.
    """

    def __init__(
        self, pairs: Sequence[Pair], *, normalise: Any, factor: Callable[[npt.NDArray[Any]], float], dimensions: int
    ) -> None:
        self.pairs = pairs
        self._normalise, self._factor, self._dimensions = normalise, factor, dimensions
        self._kept: OrderedDict[int, Ready] = OrderedDict()
        movies: dict[tuple[bool, str], list[int]] = {}
        for number, pair in enumerate(pairs):
            movies.setdefault((getattr(pair, "simulated", False), pair.movie), []).append(number)
        self._real = [numbers for (simulated, _), numbers in movies.items() if not simulated]
        self._simulated = [numbers for (simulated, _), numbers in movies.items() if simulated]

    def drawn(self, random: np.random.Generator) -> int:
        """Return the number of an example; each movie is as likely as another, however long it is.

        Simulated movies together are as likely as real ones at most, however many they are.
        """
        movies = self._real or self._simulated
        if self._real and self._simulated:
            rare = min(len(self._simulated), len(self._real))
            movies = self._simulated if random.random() * (rare + len(self._real)) < rare else self._real
        return int(random.choice(movies[random.integers(len(movies))]))

    def __getitem__(self, number: int) -> Ready:
        if number not in self._kept:
            self._kept[number] = self._prepared(self.pairs[number])
            while len(self._kept) > 1 and sum(each.size for each in self._kept.values()) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(number)
        return self._kept[number]

    def _prepared(self, pair: Pair) -> Ready:
        image, labels = pair.read()
        pixels = normalised(check_image(image, {self._dimensions}), self._normalise, dtype=image.dtype)
        factor = self._factor(labels)
        size = (max(1, round(labels.shape[-2] * factor)), max(1, round(labels.shape[-1] * factor)))
        labels = _nearest(labels, size)
        depth = depth_in_cells(labels)
        _, first = np.unique(labels, return_index=True)
        places = np.stack(np.unravel_index(first, labels.shape), axis=1)
        cells = places[labels.ravel()[first] > 0].astype(np.int32)
        foreground = np.where(labels < 0, -1, labels > 0).astype(np.int8)
        nearness = nearness_of_two(labels).astype(np.float16)
        return Ready(resized(pixels, size), foreground, depth.astype(np.float16), nearness, cells)


def _nearest(labels: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    rows = np.minimum((np.arange(size[0]) + 0.5) * labels.shape[-2] / size[0], labels.shape[-2] - 1).astype(int)
    columns = np.minimum((np.arange(size[1]) + 0.5) * labels.shape[-1] / size[1], labels.shape[-1] - 1).astype(int)
    return labels[..., rows[:, None], columns]


class DenseCourse:
    """Patches for a network that answers every pixel.

    Parameters
    ----------
    examples : Examples
        What it learns from.
    checks : Pairs
        What it is validated on.
    segment : callable
        From a network and an image to labels, as in use.
    judge : callable
        From results and truths to figures.
    settings : TrainSegmenterSettings
        Losses, patches, augmentation.
    dimensions : int
        Axes of the patches.
    patch : sequence of int
        Pixels of a patch along ``[z], y, x``.
    device : device
        Where to compute.
    bfloat16 : bool
        Multiply in bfloat16.
    """

    unit = "patches"
    advice = "Look for broken images there, or lower train_segmenter.learning_rate"
    figures: Sequence[str] = ("validation_dice", "validation_seg", "validation_f1", "validation_score")

    def __init__(
        self,
        examples: Examples,
        checks: Sequence[Pair],
        *,
        segment: Callable[[Any, npt.NDArray[Any]], npt.NDArray[Any]],
        judge: Judge,
        settings: TrainSegmenterSettings,
        dimensions: int,
        patch: Sequence[int],
        device: Any = "cpu",
        bfloat16: bool = False,
    ) -> None:
        self._examples, self._segment, self._judge = examples, segment, judge
        self._settings, self._patch, self._device = settings, tuple(patch), device
        self._bfloat16 = bfloat16
        grey = settings.normalise != "none"
        self._augment = Augment(dimensions, grey=grey) if settings.augment else None
        every = max(1, -(-len(checks) // _CHECKED))
        self._checks = checks[::every]

    def loss(self, network: Any, random: np.random.Generator) -> tuple[Tensor, Sequence[str]]:
        """Return the loss of a batch, and the names of its images."""
        numbers = [self._examples.drawn(random) for _ in range(self._settings.batch)]
        patches = np.stack([self._cut(self._examples[number], random) for number in numbers])
        batch = torch.from_numpy(patches).to(self._device)
        with multiplying(self._device, bfloat16=self._bfloat16):
            answers = network(batch[:, :1])
        truth, depth, nearness = batch[:, 1], batch[:, 2], batch[:, 3]
        extra = self._settings.border_weight * nearness
        loss = loss_of(answers, truth, depth, extra, kind=self._settings.loss)
        return loss, [self._examples.pairs[number].name for number in numbers]

    def _cut(self, ready: Ready, random: np.random.Generator) -> Heights:
        """Return a patch of what an example holds, (4, *patch); what lies beyond the border is mirrored."""
        shape = np.array(ready.image.shape)
        middle = random.integers(0, shape)
        if len(ready.cells) and random.random() < _AROUND_A_CELL:
            middle = random.choice(ready.cells) + random.integers(-16, 17, len(shape))
        start = np.clip(middle - np.array(self._patch) // 2, 0, np.maximum(shape - self._patch, 0))
        box = tuple(slice(a, a + n) for a, n in zip(start, self._patch, strict=True))
        beyond = [(0, max(0, n - m)) for n, m in zip(self._patch, shape, strict=True)]
        parts = [
            np.pad(np.asarray(each[box], np.float32), beyond, mode="symmetric")
            for each in (ready.image, ready.foreground, ready.depth, ready.nearness)
        ]
        patch = np.stack(parts)
        return patch if self._augment is None else self._augment(patch, random)

    def validate(self, network: Any) -> dict[str, float | None]:
        """Return Dice of the foreground, SEG and F1 at IoU .5 over the images to validate on."""
        if not self._checks:
            return dict.fromkeys(self.figures)
        results = []
        for pair in self._checks:
            image, labels = pair.read()
            results.append(known_part(self._segment(network, image), labels))
        figures = self._judge(results)
        dice, seg, f1 = (figures[name] for name in ("dice", "seg", "f1"))
        score = dice if self._settings.head == "foreground" else (dice + seg + f1) / 3
        return dict(zip(self.figures, (dice, seg, f1, score), strict=True))


def loss_of(answers: Tensor, foreground: Tensor, depth: Tensor, extra: Tensor | float = 0.0, *, kind: str) -> Tensor:
    """Return the loss of answers: of the two classes, and of the depth where the network tells it.

    Parameters
    ----------
    answers : (B, 2 or 3, ...) tensor
        Log odds of background and foreground, and the depth.
    foreground, depth : (B, ...) tensors
        The truth: 0 or 1; 0 to 1. What is below 0 is unknown, and nothing is learnt there.
    extra : (B, ...) tensor
        How much more than others a pixel counts.
    kind : {"cross_entropy", "dice", "both", "focal"}
        Of the classes. ``dice`` is the soft Dice loss over the batch (Milletari et al., 2016), ``focal`` weighs pixels
        less that are right already (Lin et al., 2017; gamma 2), ``both`` is cross-entropy and Dice, one each.
    """
    answers = answers.float()
    truth, known = foreground > 0.5, foreground >= 0
    classes = torch.zeros((), device=answers.device)
    if kind in {"cross_entropy", "both", "focal"}:
        each = functional.cross_entropy(answers[:, :2], truth.long(), reduction="none")
        each = (1 - torch.exp(-each)) ** 2 * each if kind == "focal" else each
        classes = classes + (each * known * (1 + extra)).sum() / known.sum().clamp(min=1)
    if kind in {"dice", "both"}:
        inside = torch.softmax(answers[:, :2], dim=1)[:, 1] * known
        shared, total = (inside * truth).sum(), inside.sum() + truth.sum()
        classes = classes + 1 - (2 * shared + 1) / (total + 1)
    if answers.shape[1] == 2:
        return classes
    measured = depth >= 0
    off = functional.smooth_l1_loss(answers[:, 2], depth, beta=0.1, reduction="none")
    weight = (0.2 + 0.8 * truth.float() + extra) * measured  # the background is easy, and mostly all there is
    return classes + _DEPTH_WEIGHT * (weight * off).sum() / measured.sum().clamp(min=1)
