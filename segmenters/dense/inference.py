"""From an image to cells with a network that answers every pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from skimage.filters import threshold_otsu

from segmenters.common.inputs import check_image
from segmenters.common.pixels import normalised, resized
from segmenters.common.tiles import in_tiles
from segmenters.common.training import remove_unknown, set_precision
from segmenters.dense.targets import mean_diameter
from segmenters.postprocess import measure_diameter, smooth, split_foreground

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from gnntrack.training.segmenter import LabelledImage
    from segmenters.common.training import Metrics

    Heights = npt.NDArray[np.float32]
    Labels = npt.NDArray[np.int32]

__all__ = ["Inputs", "Use", "answers_of", "best_depth", "estimated_factor", "segment_pixels"]

_TILES = {2: (1024, 1024), 3: (48, 192, 192)}
_SEEN = 1024  # pixels of the network's that the size of cells is estimated on, along y and x
_GUESSES = (1.0, 2.0, 0.5)  # factors to look for cells at, of a first guess
_CLOSE = 1.2  # an estimate this near is not made better
_ROUNDS = 3
_LARGEST_FACTOR = 8.0
_DEPTHS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # of a pass between two cells, tried after training
_AS_GOOD = 0.002  # of SEG and F1 together


@dataclass(frozen=True)
class Inputs:
    """What a network was trained to see; a part of its ``model.json``.

    Parameters
    ----------
    normalise : {"percentile", "standard", "none"}
        See `segmenters.common.pixels.normalised`.
    diameter : float
        Typical diameter of the cells in the pixels that the network sees.
    factor : float or None
        By which pixels of the image are scaled for the network; None where each movie needs its own.
    depth : float or None
        How deep a pass between two cells has to be, as was best on images with known cells; see
        `segmenters.postprocess.split_foreground`.
    """

    normalise: Any
    diameter: float
    factor: float | None
    depth: float | None = None


@dataclass(frozen=True)
class Use:
    """How a network is used; the options of a dense segmenter."""

    diameter: float | None = None
    threshold: float = 0.5
    depth: float | None = None
    min_size: float = 0.1
    max_hole: float = 0.03
    flips: bool = False
    tile: int | None = None
    overlap: int = 64
    batch: int = 1
    bfloat16: bool = False


def segment_pixels(
    network: Any, pixels: Heights, inputs: Inputs, use: Use, *, dtype: np.dtype[Any], factor: float | None = None
) -> Labels:
    """Return the cells of an image.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    pixels : (Y, X) or (Z, Y, X) float32 array
        Grey values.
    inputs : Inputs
        What the network wants.
    use : Use
        How it is used.
    dtype : dtype
        Type of the image before it became float32.
    factor : float, optional
        By which pixels are scaled; found from the image where neither this, nor a diameter, nor the model tells.

    Returns
    -------
    labels : int32 array of the same shape
    """
    if not pixels.size or pixels.min() == pixels.max():
        return np.zeros(pixels.shape, np.int32)
    probability, height = _seen(network, pixels, inputs, use, dtype=dtype, factor=factor)
    return _cells(probability, height, inputs, use)


def _seen(
    network: Any, pixels: Heights, inputs: Inputs, use: Use, *, dtype: np.dtype[Any], factor: float | None = None
) -> tuple[Heights, Heights | None]:
    """Return the answers for an image, at the scale that the network wants."""
    ready = normalised(pixels, inputs.normalise, dtype=dtype)
    if use.diameter is not None:
        factor = inputs.diameter / use.diameter
    factor = factor or inputs.factor or estimated_factor(network, ready, inputs, use)
    return answers_of(network, ready, use, factor=factor)


def best_depth(
    network: Any,
    examples: Iterable[LabelledImage],
    inputs: Inputs,
    use: Use,
    metrics: Metrics,
) -> float | None:
    """Return the depth of a pass between two cells with which most cells are found as they are.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    examples : iterable of LabelledImage
        Images with known cells; labels below 0 are unknown.
    inputs : Inputs
        What the network wants.
    use : Use
        How it is used.
    metrics : callable
        From results and ground truth to ``seg`` and ``f1``.

    Returns
    -------
    depth : float or None
        None where no image has a cell, or all depths do as well.
    """
    answers = []
    for example in examples:
        image, labels = example.read()
        pixels = check_image(image)
        if pixels.min() < pixels.max() and labels.max() > 0:
            answers.append((*_seen(network, pixels, inputs, use, dtype=image.dtype), labels))
    if not answers:
        return None
    score = []
    for depth in _DEPTHS:
        rules = replace(use, depth=depth)
        found = metrics([remove_unknown(_cells(p, height, inputs, rules), labels) for p, height, labels in answers])
        score.append(found["seg"] + found["f1"])
    good = [depth for depth, each in zip(_DEPTHS, score, strict=True) if each >= max(score) - _AS_GOOD]
    return None if len(good) == len(_DEPTHS) else good[len(good) // 2]  # not at the edge of what does well


def _cells(probability: Heights, height: Heights | None, inputs: Inputs, use: Use) -> Labels:
    depth = inputs.depth if use.depth is None else use.depth
    rules: dict[str, Any] = {"threshold": use.threshold, "depth": depth}
    rules |= {"min_size": use.min_size, "max_hole": use.max_hole}
    return split_foreground(probability, height=height, **rules)


def answers_of(network: Any, ready: Heights, use: Use, *, factor: float = 1.0) -> tuple[Heights, Heights | None]:
    """Return the probability of the foreground, and the depth in its cell where the network tells it.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    ready : (Y, X) or (Z, Y, X) float32 array
        A normalised image.
    use : Use
        Tiles, flips and so on.
    factor : float
        By which pixels along y and x are scaled first; the answers are scaled back.
    """
    size = (ready.shape[-2], ready.shape[-1])
    seen = resized(ready, (max(1, round(size[0] * factor)), max(1, round(size[1] * factor))))
    tile = _TILES[seen.ndim] if use.tile is None else (*_TILES[seen.ndim][:-2], use.tile, use.tile)
    overlap = [min(use.overlap, n // 2) for n in tile]

    def answer(batch: Heights) -> Heights:
        return _answered(network, batch, use)

    found = in_tiles(answer, seen, channels=network.outputs - 1, tile=tile, overlap=overlap, batch=use.batch)
    back = [resized(channel, size) for channel in found]
    return back[0], back[1] if len(back) > 1 else None


def _answered(network: Any, batch: Heights, use: Use) -> Heights:
    """Return the probability and the depth for a batch of tiles, (B, 1 or 2, ...), over all flips if asked."""
    device = next(network.parameters()).device
    images = torch.from_numpy(batch[:, None]).to(device)
    flips = product((False, True), repeat=2) if use.flips else [(False, False)]
    total: Any = 0
    count = 0
    with torch.inference_mode(), set_precision(device, bfloat16=use.bfloat16):
        for turned in flips:
            axes = [axis for axis, flip in zip((-2, -1), turned, strict=True) if flip]
            answers = network(torch.flip(images, axes)).float()
            parts = [torch.softmax(answers[:, :2], dim=1)[:, 1:], answers[:, 2:]]
            total = total + torch.flip(torch.cat(parts, dim=1), axes)
            count += 1
    return np.asarray((total / count).cpu().numpy(), np.float32)


def estimated_factor(network: Any, ready: Heights, inputs: Inputs, use: Use) -> float:
    """Return the factor at which cells are as large as those that the network learnt on.

    The first guess is of the thickness of what is bright; then the network's own cells tell better ones. Where none
    are found, other guesses are tried.
    """
    plane = ready if ready.ndim == 2 else ready.max(axis=0)
    first = inputs.diameter / _bright_diameter(plane)
    for guess in _GUESSES:
        factor = found = _bounded(guess * first, ready.shape)
        for _ in range(_ROUNDS):
            diameter = _seen_diameter(network, ready, inputs, use, factor)
            if diameter is None:
                break
            found = _bounded(factor * inputs.diameter / diameter, ready.shape)
            if max(found / factor, factor / found) < _CLOSE:
                return found
            factor = found
        else:
            return found
    return _bounded(first, ready.shape)


def _bounded(factor: float, shape: tuple[int, ...]) -> float:
    """Keep a factor in bounds: no image becomes smaller than a few pixels, or huge."""
    return float(np.clip(factor, min(1.0, 32 / max(shape[-2:])), _LARGEST_FACTOR))


def _bright_diameter(plane: Heights) -> float:
    blurred = smooth(np.ascontiguousarray(plane), 1.0, (1.0, 1.0))
    if blurred.min() == blurred.max():
        return 10.0
    return measure_diameter(blurred > threshold_otsu(blurred), (1.0, 1.0))  # type: ignore[no-untyped-call]


def _seen_diameter(network: Any, ready: Heights, inputs: Inputs, use: Use, factor: float) -> float | None:
    """Return the diameter of the cells that the network finds at a factor, in its own pixels."""
    half = max(16, round(_SEEN / factor / 2))
    middle = [n // 2 for n in ready.shape[-2:]]
    rows, columns = (slice(max(0, m - half), m + half) for m in middle)
    part = ready[..., rows, columns]
    size = (max(1, round(part.shape[-2] * factor)), max(1, round(part.shape[-1] * factor)))
    probability, height = answers_of(network, resized(part, size), use)
    return mean_diameter(_cells(probability, height, inputs, use))
