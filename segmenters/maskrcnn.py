"""Mask R-CNN of torchvision: a box and a mask for each cell; 2D."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from gnntrack.models.devices import find_device
from segmenters.common.colours import (
    check_pixels,
    choose_channels,
    get_channels,
    is_flat,
    normalise_channels,
    show_channels,
)
from segmenters.common.inputs import (
    expect_choice,
    expect_fractions,
    expect_least,
    expect_option,
    expect_positive,
)
from segmenters.common.models import load_network
from segmenters.common.pixels import resize
from segmenters.common.training import PRECISIONS, choose_bfloat16, describe_run, find_dimensions, train_network
from segmenters.dense.inference import Preprocessing
from segmenters.dense.task import MaskValidation, PatchTask, ScaledPixels, TrainingImages
from segmenters.dense.training import choose_inputs, choose_scale
from segmenters.mask_rcnn.inference import draw_cells, estimate_factor, find_in_tiles
from segmenters.mask_rcnn.network import MaskRcnn, build_mask_rcnn
from segmenters.mask_rcnn.task import RegionLoss, prepare_labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.run import TrainingRun
    from gnntrack.training.segmenter import Images
    from segmenters.common.arrays import Heights, Labels
    from segmenters.common.training import Metrics


__all__ = ["MaskRcnn", "MaskRcnnSegmenter"]

_TILE, _OVERLAP = 512, 128


class MaskRcnnSegmenter:
    """Mask R-CNN of torchvision, 2D: a box and a mask for each cell; must be trained first.

    In training, ``--option`` sets the network: ``backbone`` (``resnet50``; ``resnet101``, ``resnet18``,
    ``mobilenet_v3_large``), ``width`` (256; 128, 64 or 32 are lighter) and ``weights`` (``pretrained`` on
    photographs, or ``none``).

    Parameters
    ----------
    model : path, optional
        Folder written by ``gnntrack train-segmenter``; by default the shipped model, if there is one.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    diameter : float, optional
        Typical diameter of a cell in pixels; by default as in training, or estimated from the images.
    score : float
        Lowest score of a cell, 0 to 1.
    threshold : float
        Lowest probability that a pixel in the box of a cell belongs to it.
    covered : float
        If two cells overlap, the shared pixels go to the cell with the higher score. The other cell is removed if it
        loses more than this fraction.
    tile, overlap : int
        Side of a tile and overlap of neighbouring tiles, in pixels at the scale of the network; the overlap must
        be larger than a cell.
    precision : {"float32", "bfloat16", "auto"}
        Precision of multiplications; ``auto`` is bfloat16 if the processor supports it, which is faster.

    Raises
    ------
    SegmenterError
        If an option is out of range.
    ModelError
        If the model is missing, damaged, or of another segmenter.
    InputError
        If the device is not available.
    """

    name: ClassVar[str] = "maskrcnn"
    dimensions: tuple[int, ...] = (2,)
    learns_colours: ClassVar[bool] = True
    """In training, it takes RGB images."""

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        device: str = "auto",
        diameter: float | None = None,
        score: float = 0.5,
        threshold: float = 0.5,
        covered: float = 0.5,
        tile: int = _TILE,
        overlap: int = _OVERLAP,
        precision: str = "float32",
    ) -> None:
        expect_fractions(self.name, score=score, threshold=threshold, covered=covered)
        expect_least(self.name, 64, tile=tile)
        expect_option(self.name, "overlap", overlap, "0 or above, and less than tile", holds=0 <= overlap < tile)
        expect_positive(self.name, diameter=diameter)
        expect_choice(self.name, "precision", precision, PRECISIONS)
        place = find_device(device)
        self.network, about = load_network(self.name, model, device=place)
        self.inputs = Preprocessing(**about["inputs"])
        self.diameter, self.tile, self.overlap = diameter, tile, overlap
        self.rules = {"score": score, "threshold": threshold, "covered": covered}
        self.bfloat16 = choose_bfloat16(precision, place)
        self._factor: float | None = None

    @property
    def channels(self) -> int:
        """Channels of the images that the model reads: 1, or 3 for RGB images."""
        return get_channels(self.network)

    @property
    def estimated_diameter(self) -> float | None:
        """Typical diameter of a cell in pixels along x, as `prepare` estimated it; None if it did not."""
        return None if self._factor is None else self.inputs.diameter / self._factor

    def prepare(self, images: Sequence[npt.NDArray[Any]]) -> None:
        """Estimate the size of cells from some frames of a movie, so that all its frames have the same scale.

        Parameters
        ----------
        images : sequence of (Y, X) arrays
            Some of its frames; those with a single grey value are ignored.

        Raises
        ------
        FrameError
            If one of them cannot be segmented.
        """
        if self.inputs.factor is not None or self.diameter is not None:
            return
        ready = [each for image in images if (each := self._normalise(image)) is not None]
        found = [estimate_factor(each, self.inputs.diameter, segment=self._segment_at) for each in ready]
        self._factor = float(np.median(found)) if found else None

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of an image; see `gnntrack.segmentation.protocol.Segmenter.segment`."""
        ready = self._normalise(image)
        if ready is None:
            return np.zeros(np.shape(image)[:2], np.int32)
        factor = self._factor or self.inputs.factor
        if self.diameter is not None:
            factor = self.inputs.diameter / self.diameter
        return self._segment_at(ready, factor or estimate_factor(ready, self.inputs.diameter, segment=self._segment_at))

    def _normalise(self, image: npt.NDArray[Any]) -> Heights | None:
        """Return the normalised image, or None if it has a single grey value."""
        hint = f"; for stacks, give --segmenter slices --option segmenter={self.name}"
        pixels = check_pixels(image, self.dimensions, channels=self.channels, hint=hint)
        if is_flat(pixels, self.channels):
            return None
        dtype = np.asarray(image).dtype
        return normalise_channels(pixels, self.inputs.normalise, dtype=dtype, channels=self.channels)

    def _segment_at(self, ready: Heights, factor: float) -> Labels:
        return _segment_scaled(
            self.network,
            ready,
            factor,
            tile=self.tile,
            overlap=self.overlap,
            bfloat16=self.bfloat16,
            rules=self.rules,
        )

    @classmethod
    def train(
        cls, examples: Images, checks: Images, run: TrainingRun, *, settings: TrainSegmenterSettings, metrics: Metrics
    ) -> dict[str, Any]:
        """Train a network, see `gnntrack.training.segmenter.TrainableSegmenter.train`.

        The settings ``loss``, ``head``, ``planes`` and ``flat`` are of other networks and ignored.
        """
        device = run.find_device()
        torch.manual_seed(run.seed)
        channels = choose_channels(examples, settings)
        examples, checks = show_channels(examples, channels), show_channels(checks, channels)
        dimensions = find_dimensions(examples)
        network = build_mask_rcnn(dimensions=dimensions, options=settings.options, channels=channels)
        inputs = choose_inputs(examples, settings)
        bfloat16 = choose_bfloat16(settings.precision, device)
        pixels = ScaledPixels(settings.normalise, choose_scale(inputs), 2, channels)
        task = PatchTask(
            TrainingImages(examples, partial(prepare_labels, pixels=pixels)),
            MaskValidation(checks, partial(_segment_in_training, inputs=inputs, bfloat16=bfloat16), metrics),
            settings,
            loss=RegionLoss(device, bfloat16),
            patch=(settings.patch, settings.patch),
        )
        run = describe_run(run, settings, images=len(examples))
        return train_network(network, task, run, settings, images=len(examples), inputs=asdict(inputs)).best


def _segment_in_training(network: Any, image: npt.NDArray[Any], *, inputs: Preprocessing, bfloat16: bool) -> Labels:
    """Return the cells of an image with the default options."""
    rules = {"score": 0.5, "threshold": 0.5, "covered": 0.5}
    at = partial(_segment_scaled, network, tile=_TILE, overlap=_OVERLAP, bfloat16=bfloat16, rules=rules)
    channels = get_channels(network)
    pixels = check_pixels(image, {2}, channels=channels)
    ready = normalise_channels(pixels, inputs.normalise, dtype=image.dtype, channels=channels)
    return at(ready, inputs.factor or estimate_factor(ready, inputs.diameter, segment=at))


def _segment_scaled(
    network: Any, ready: Heights, factor: float, *, tile: int, overlap: int, bfloat16: bool, rules: dict[str, float]
) -> Labels:
    """Return the cells of a normalised image that is scaled by a factor for the network."""
    shape = (ready.shape[-2], ready.shape[-1])
    seen = (max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor)))
    found = find_in_tiles(network, resize(ready, seen), tile=tile, overlap=overlap, bfloat16=bfloat16)
    return draw_cells(found, shape, seen=seen, **rules)
