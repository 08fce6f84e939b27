"""From an image to cells with a network that predicts every pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage

from segmenters.common.colours import check_pixels, get_channels, is_flat, normalise_channels
from segmenters.common.contrast import remove_faint
from segmenters.common.inputs import expect_fractions, expect_least, expect_positive
from segmenters.common.pixels import resize
from segmenters.common.scale import CellsAtScale, Scale, clip_factor, search_scale
from segmenters.common.tiles import predict_in_tiles
from segmenters.common.training import remove_unknown, set_precision
from segmenters.dense.targets import measure_mean_diameter
from segmenters.postprocess import split_foreground

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gnntrack.training.segmenter import LabelledImage
    from segmenters.common.arrays import Heights, Labels
    from segmenters.common.training import Metrics


__all__ = [
    "InferenceOptions",
    "Preprocessing",
    "choose_depth",
    "find_scale",
    "predict_pixels",
    "segment_pixels",
]

_TILES = {2: (1024, 1024), 3: (48, 192, 192)}
_SEARCHED = 384  # side, in pixels of the network, of the region in which the scale is searched
_DEPTHS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)  # depths at which cells are split, tried after training
_AS_GOOD = 0.002  # difference of SEG + F1 that is ignored


@dataclass(frozen=True)
class Preprocessing:
    """How images are prepared for a network; a part of its ``model.json``.

    Parameters
    ----------
    normalise : {"percentile", "root", "standard", "none"}
        See `segmenters.common.pixels.normalise`.
    diameter : float
        Typical diameter of the cells in pixels of the network.
    factor : float or None
        Factor that scales an image for the network; None if it is estimated for each movie.
    depth : float or None
        Depth at which cells are split, chosen on images with known cells; see
        `segmenters.postprocess.split_foreground`.
    sizes : (smallest, largest) or None
        Diameters in pixels of the images on which a model was trained for one kind of cells: where the scale is
        estimated, such sizes are more likely than others. None for models of many kinds.
    """

    normalise: Any
    diameter: float
    factor: float | None
    depth: float | None = None
    sizes: Sequence[float] | None = None


@dataclass(frozen=True)
class InferenceOptions:
    """Options of inference with a dense segmenter."""

    diameter: float | None = None
    threshold: float = 0.5
    depth: float | None = None
    min_size: float = 0.1
    max_hole: float = 0.03
    min_contrast: float = 0.02
    flips: bool = False
    tile: int | None = None
    overlap: int = 64
    batch: int = 1
    bfloat16: bool = False

    def check(self, segmenter: str) -> None:
        """Raise an error about the first option that is out of range.

        Parameters
        ----------
        segmenter : str
            Name of the segmenter, for the message.

        Raises
        ------
        SegmenterError
            If an option is out of range.
        """
        expect_fractions(segmenter, threshold=self.threshold, depth=self.depth, min_size=self.min_size)
        expect_fractions(segmenter, min_contrast=self.min_contrast)
        expect_least(segmenter, 32, tile=self.tile)
        expect_least(segmenter, 0, overlap=self.overlap)
        expect_least(segmenter, 1, batch=self.batch)
        expect_positive(segmenter, diameter=self.diameter, max_hole=self.max_hole)


def segment_pixels(
    network: Any,
    pixels: Heights,
    inputs: Preprocessing,
    options: InferenceOptions,
    *,
    dtype: np.dtype[Any],
    factor: float | None = None,
) -> Labels:
    """Return the cells of an image.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    pixels : (Y, X), (Z, Y, X) or (3, Y, X) float32 array
        Grey values, or colours for a network with three channels.
    inputs : Preprocessing
        How images are prepared.
    options : InferenceOptions
        Options of inference.
    dtype : dtype
        Dtype of the image before conversion to float32.
    factor : float, optional
        Factor that scales the image; by default from the diameter in `options`, else from the model, else estimated.

    Returns
    -------
    labels : int32 array, (Y, X) or (Z, Y, X)
    """
    if is_flat(pixels, get_channels(network)):
        return np.zeros(pixels.shape[-network.dimensions :], np.int32)
    probability, height = _predict_scaled(network, pixels, inputs, options, dtype=dtype, factor=factor)
    labels = _find_cells(probability, height, inputs, options)
    grey = pixels if pixels.ndim == labels.ndim else pixels.mean(0)
    return remove_faint(labels, grey, options.min_contrast)


def _predict_scaled(
    network: Any,
    pixels: Heights,
    inputs: Preprocessing,
    options: InferenceOptions,
    *,
    dtype: np.dtype[Any],
    factor: float | None = None,
) -> tuple[Heights, Heights | None]:
    """Return the predictions for an image, computed at the scale of the network."""
    ready = normalise_channels(pixels, inputs.normalise, dtype=dtype, channels=get_channels(network))
    if options.diameter is not None:
        factor = inputs.diameter / options.diameter
        factor = clip_factor(factor, ready.shape) if factor > 1 else factor  # enlarged images need time and memory
    factor = factor or inputs.factor or find_scale(network, ready, inputs, options).factor
    return predict_pixels(network, ready, options, factor=factor)


def choose_depth(
    network: Any,
    examples: Iterable[LabelledImage],
    inputs: Preprocessing,
    options: InferenceOptions,
    metrics: Metrics,
) -> float | None:
    """Return the depth at which cells are split that gives the highest SEG + F1.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    examples : iterable of LabelledImage
        Images with known cells; labels below 0 are unknown.
    inputs : Preprocessing
        How images are prepared.
    options : InferenceOptions
        Options of inference.
    metrics : callable
        From pairs of result and ground truth to ``seg`` and ``f1``.

    Returns
    -------
    depth : float or None
        None if no image has a cell, or all depths are equally good.
    """
    answers = []
    for example in examples:
        image, labels = example.read()
        pixels = check_pixels(image, channels=get_channels(network))
        if not is_flat(pixels, get_channels(network)) and labels.max() > 0:
            answers.append((*_predict_scaled(network, pixels, inputs, options, dtype=image.dtype), labels))
    if not answers:
        return None
    score = []
    for depth in _DEPTHS:
        rules = replace(options, depth=depth)
        found = metrics(
            [remove_unknown(_find_cells(p, height, inputs, rules), labels) for p, height, labels in answers]
        )
        score.append(found["seg"] + found["f1"])
    good = [depth for depth, each in zip(_DEPTHS, score, strict=True) if each >= max(score) - _AS_GOOD]
    return None if len(good) == len(_DEPTHS) else good[len(good) // 2]  # the middle of the good range


def _find_cells(
    probability: Heights, height: Heights | None, inputs: Preprocessing, options: InferenceOptions
) -> Labels:
    depth = inputs.depth if options.depth is None else options.depth
    rules: dict[str, Any] = {"threshold": options.threshold, "depth": depth}
    rules |= {"min_size": options.min_size, "max_hole": options.max_hole}
    return split_foreground(probability, height=height, **rules)


def predict_pixels(
    network: Any, ready: Heights, options: InferenceOptions, *, factor: float = 1.0
) -> tuple[Heights, Heights | None]:
    """Return the probability of the foreground and, if the network predicts it, the depth in the cell.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    ready : (Y, X), (Z, Y, X) or (3, Y, X) float32 array
        A normalised image.
    options : InferenceOptions
        Options of inference: tiles, flips and so on.
    factor : float
        Factor that scales the image along y and x; the predictions are scaled back.
    """
    size = (ready.shape[-2], ready.shape[-1])
    found = _predict_seen(network, _scale(ready, factor), options)[:2]
    back = [resize(channel, size) for channel in found]
    return back[0], back[1] if len(back) > 1 else None


def _scale(ready: Heights, factor: float) -> Heights:
    return resize(ready, (max(1, round(ready.shape[-2] * factor)), max(1, round(ready.shape[-1] * factor))))


def _predict_seen(network: Any, seen: Heights, options: InferenceOptions) -> Heights:
    """Return the predictions at the scale of the network, (C, [Z], Y, X): probability and depth."""
    usual = _TILES[network.dimensions]
    tile = usual if options.tile is None else (*usual[:-2], options.tile, options.tile)
    overlap = [min(options.overlap, n // 2) for n in tile]

    def predict_batch(batch: Heights) -> Heights:
        return _predict_batch(network, batch, options)

    return predict_in_tiles(
        predict_batch, seen, channels=network.outputs - 1, tile=tile, overlap=overlap, batch=options.batch
    )


def _predict_batch(network: Any, batch: Heights, options: InferenceOptions) -> Heights:
    """Return the probability and the depth for a batch of tiles, (B, 1 or 2, ...), averaged over flips if requested."""
    device = next(network.parameters()).device
    images = torch.from_numpy(batch if get_channels(network) > 1 else batch[:, None]).to(device)
    flips = product((False, True), repeat=2) if options.flips else [(False, False)]
    total: Any = 0
    count = 0
    with torch.inference_mode(), set_precision(device, bfloat16=options.bfloat16):
        for turned in flips:
            axes = [axis for axis, flip in zip((-2, -1), turned, strict=True) if flip]
            answers = network(torch.flip(images, axes)).float()
            parts = [torch.softmax(answers[:, :2], dim=1)[:, 1:], answers[:, 2:]]
            total = total + torch.flip(torch.cat(parts, dim=1), axes)
            count += 1
    return np.asarray((total / count).cpu().numpy(), np.float32)


def find_scale(network: Any, ready: Heights, inputs: Preprocessing, options: InferenceOptions) -> Scale:
    """Return the scale at which cells have the size of those of the training data; see `search_scale`.

    Parameters
    ----------
    network : nn.Module
        In eval mode.
    ready : (Y, X), (Z, Y, X) or (3, Y, X) float32 array
        A normalised image.
    inputs : Preprocessing
        How images are prepared.
    options : InferenceOptions
        Options of inference.
    """

    def measure(factor: float) -> CellsAtScale | None:
        seen = _scale(_crop(ready, factor), factor)
        found = _predict_seen(network, seen, options)
        probability, height = found[0], found[1] if len(found) > 1 else None
        labels = _find_cells(probability, height, inputs, options)
        diameter = measure_mean_diameter(labels)
        if diameter is None:
            return None
        inside = labels > 0
        certainty = float(2 * probability[inside].mean() - 1)
        if height is not None:
            peak = ndimage.maximum(height, labels, np.arange(1, labels.max() + 1))
            certainty *= min(1.0, float(np.median(peak)))
        return CellsAtScale(diameter, max(certainty, 0.0), int(labels.max()))

    return search_scale(ready.shape, inputs.diameter, measure, likely=inputs.sizes)


def _crop(ready: Heights, factor: float) -> Heights:
    """Return the middle of an image, at most `_SEARCHED` pixels wide at the scale of the network."""
    half = max(16, round(_SEARCHED / factor / 2))
    middle = [n // 2 for n in ready.shape[-2:]]
    rows, columns = (slice(max(0, m - half), m + half) for m in middle)
    return ready[..., rows, columns]
