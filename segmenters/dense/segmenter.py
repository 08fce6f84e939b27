"""Base of the segmenters whose network predicts two values for every pixel."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from gnntrack.errors import SegmenterError
from gnntrack.models.devices import find_device
from gnntrack.plurals import count_noun
from segmenters.common.colours import check_pixels, get_channels, is_flat, normalise_channels
from segmenters.common.inputs import expect_choice
from segmenters.common.kinds import KINDS, MODELS, UNSTAINED, KindGuess, find_majority, guess_kind
from segmenters.common.models import WEIGHTS, list_shipped, load_network
from segmenters.common.scale import Scale, list_certain
from segmenters.common.training import PRECISIONS, choose_bfloat16
from segmenters.dense.inference import InferenceOptions, Preprocessing, find_scale, segment_pixels
from segmenters.dense.start import read_start
from segmenters.dense.training import NetworkBuilder, train_dense
from segmenters.dense.unet import fuse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.run import TrainingRun
    from gnntrack.training.segmenter import Images
    from segmenters.common.arrays import Heights, Labels
    from segmenters.common.training import Metrics


__all__ = ["DenseSegmenter"]

_log = logging.getLogger(__name__)

_AHEAD = 0.15  # a grey ground is that of unstained cells, unless the model of nuclei is more certain by this much
_DOUBTFUL = 0.4  # certainty of a model below which its choice is doubtful; 0.55 to 0.75 on images of its kind


def _warn_if_doubtful(model: str, certainty: float) -> None:
    """Warn if the model that is the most certain of the cells is not certain either."""
    if certainty < _DOUBTFUL:
        _log.warning(
            "the kind of microscopy is not clear from the images, and no model is certain of the cells (%.2f, usual is "
            "%.1f or more): the model for %s is a guess; give --kind fluorescence, stained, phase or brightfield (in "
            "Python the segmenter's option kind)",
            certainty,
            _DOUBTFUL,
            model,
        )


def _combine_scales(scales: Sequence[Scale]) -> Scale:
    """Return the median scale of the images in which cells are found, and the median certainty."""
    shown = [scales[i] for i in list_certain([scale.certainty for scale in scales])]
    return Scale(*(float(np.median(values)) for values in zip(*shown, strict=True)))


def _choose_certain(scales: Mapping[str, Sequence[Scale]], guesses: Sequence[KindGuess]) -> tuple[str, str, KindGuess]:
    """Return the model for the images in which cells are found, the reason, and the guess that decides."""
    found = {name: [scale.certainty for scale in each] for name, each in scales.items()}
    shown = list_certain([max(each) for each in zip(*found.values(), strict=True)])
    kind = find_majority([guesses[i] for i in shown])
    if kind is not None:
        where = f"{len(shown)} of {count_noun(len(guesses), 'image')}, the only ones with cells"
        decisive = next(guesses[i] for i in shown if guesses[i].kind == kind)
        return MODELS[kind], f"kind of microscopy '{kind}' in {where}", decisive
    certainty = {name: float(np.median([each[i] for i in shown])) for name, each in found.items()}
    model = max(certainty, key=lambda name: certainty[name] + (_AHEAD if name == UNSTAINED else 0))
    _warn_if_doubtful(model, certainty[model])
    told = ", ".join(f"{name} {value:.2f}" for name, value in certainty.items())
    return model, f"kind of microscopy unknown; certainty of the models: {told}", guesses[shown[0]]


class DenseSegmenter:
    """Cells from a network that predicts two values for every pixel: the foreground, and the depth in the cell.

    Parameters
    ----------
    model : path, optional
        Folder written by ``gnntrack train-segmenter``; by default the shipped model, if there is one.
    kind : {"auto", "fluorescence", "stained", "phase", "brightfield"}
        Kind of microscopy, which chooses the shipped model: fluorescent or stained nuclei, or whole cells without a
        stain in phase contrast, interference contrast or bright field. ``auto`` guesses it from the grey values.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    diameter : float, optional
        Typical diameter of a cell in pixels along x; by default as in training, or estimated from the images.
    threshold : float
        Lowest probability of the foreground.
    depth : float, optional
        Two peaks of the predicted depth are two cells if the depth between them is lower by more than this; a lower
        value splits more. By default the value that was chosen after training, or 0.25 if the model has none.
    min_size : float
        Cells smaller than this fraction of the typical cell are removed.
    max_hole : float
        Holes up to this fraction of the typical cell are filled.
    min_contrast : float
        Cells whose contrast with their surroundings is less than this fraction of the typical contrast are removed,
        because haze, debris and cytoplasm are much fainter than cells. 0 keeps all cells. If cells are neither
        brighter nor darker than their surroundings, all are kept.
    flips : bool
        Average the predictions over mirrored images, which is slightly more accurate and takes four times as long.
    tile : int, optional
        Side of a tile along y and x, in pixels at the scale of the network; smaller tiles need less memory. By default
        1024 in 2D and 192 in 3D.
    overlap : int
        Overlap of neighbouring tiles in pixels.
    batch : int
        Number of tiles per call of the network.
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

    name: ClassVar[str]
    ignores_unknown: ClassVar[bool] = True
    """In training, pixels with labels below 0 do not count."""
    learns_colours: ClassVar[bool] = True
    """In training, it takes RGB images."""
    build_network: ClassVar[NetworkBuilder]
    """Returns a new network to train; a subclass sets it, see `segmenters.dense.training.NetworkBuilder`."""

    weights: ClassVar[Path] = WEIGHTS
    """Folder of the shipped models."""

    def __init__(
        self,
        *,
        model: str | Path | None = None,
        kind: str = "auto",
        device: str = "auto",
        diameter: float | None = None,
        threshold: float = 0.5,
        depth: float | None = None,
        min_size: float = 0.1,
        max_hole: float = 0.03,
        min_contrast: float = 0.02,
        flips: bool = False,
        tile: int | None = None,
        overlap: int = 64,
        batch: int = 1,
        precision: str = "float32",
    ) -> None:
        expect_choice(self.name, "precision", precision, PRECISIONS)
        expect_choice(self.name, "kind", kind, KINDS)
        if model is not None and kind != "auto":
            msg = f"segmenter '{self.name}': kind {kind} chooses a shipped model, but the model {model} is given"
            raise SegmenterError(msg + "; omit one of the two")
        self._device = find_device(device)
        self.options = InferenceOptions(
            diameter=diameter, threshold=threshold, depth=depth, min_size=min_size, max_hole=max_hole,
            min_contrast=min_contrast, flips=flips, tile=tile, overlap=overlap, batch=batch,
            bfloat16=choose_bfloat16(precision, self._device),
        )  # fmt: skip
        self.options.check(self.name)
        self.kind = kind
        self._guesses = model is None and kind == "auto"
        self._guessed: str | None = None
        self._models: dict[str | None, tuple[Any, Preprocessing]] = {}
        self._use(MODELS["fluorescence" if kind == "auto" else kind] if model is None else None, model)
        self.dimensions: tuple[int, ...] = (self.network.dimensions,)
        self._factor: float | None = None

    @property
    def channels(self) -> int:
        """Channels of the images that the model reads: 1, or 3 for RGB images."""
        return get_channels(self.network)

    @property
    def estimated_diameter(self) -> float | None:
        """Typical diameter of a cell in pixels along x, as `prepare` estimated it; None if it did not."""
        return None if self._factor is None else self.inputs.diameter / self._factor

    @property
    def guessed_model(self) -> str | None:
        """Name of the shipped model if it was chosen by a guess of the kind of microscopy."""
        return self._guessed

    def _use(self, shipped: str | None, model: str | Path | None = None) -> None:
        """Use a shipped model from now on, or the one at a path."""
        if shipped not in self._models:
            place = None if shipped is None else self.weights / f"{self.name}_{shipped}"
            network, about = load_network(self.name, model, device=self._device, shipped=place)
            network = fuse(network)
            if network.dimensions == 2:
                network = network.to(memory_format=torch.channels_last)  # a quarter faster on a CPU
            self._models[shipped] = network, Preprocessing(**about["inputs"])
        self.network, self.inputs = self._models[shipped]

    def prepare(self, images: Sequence[npt.NDArray[Any]]) -> None:
        """Choose the model and estimate the scale from some images of a movie, for all of its frames.

        Parameters
        ----------
        images : sequence of (Y, X) or (Z, Y, X) arrays
            Some of its frames, (Y, X, 3) for a model of RGB images; those with a single grey value are ignored.

        Raises
        ------
        FrameError
            If one of them cannot be segmented.
        """
        some = [(self._check_image(image), np.asarray(image).dtype) for image in images]
        some = [(pixels, dtype) for pixels, dtype in some if not is_flat(pixels, self.channels)]
        scale = None
        if self._guesses and some:
            scale = self._choose_model(some)
            self._guesses = False
        if self._needs_scale():
            self._factor = (scale or self._find_scale(some)).factor if some else None

    def _needs_scale(self) -> bool:
        """Return whether neither the model nor the option ``diameter`` tells the scale."""
        return self.inputs.factor is None and self.options.diameter is None

    def _choose_model(self, images: Sequence[tuple[Heights, np.dtype[Any]]]) -> Scale | None:
        """Use the shipped model for the kind of microscopy of some images; return their scale if it was searched."""
        scale = None
        guesses = [guess_kind(pixels) for pixels, _ in images]
        kind, decisive = find_majority(guesses), guesses[0]
        models = list_shipped(self.name, self.weights)
        if kind is not None:
            model, why = MODELS[kind], f"kind of microscopy '{kind}'"
            decisive = next(guess for guess in guesses if guess.kind == kind)
        elif len(models) < 2:
            model, why = models[0], "kind of microscopy unknown"
        else:
            scales = self._ask_models(models, images)
            model, why, decisive = _choose_certain(scales, guesses)
            scale = _combine_scales(scales[model])
        self._use(model)
        self._guessed = model
        _log.info("%s: model for %s: %s, since %s; the option kind sets it", self.name, model, why, decisive.explain())
        return scale

    def _ask_models(
        self, models: Sequence[str], images: Sequence[tuple[Heights, np.dtype[Any]]]
    ) -> dict[str, list[Scale]]:
        """Return the scale of each image, as each of some models finds it."""
        scales = {}
        for name in models:
            self._use(name)
            scales[name] = [self._find_scale([image]) for image in images]
        return scales

    def _find_scale(self, images: Sequence[tuple[Heights, np.dtype[Any]]]) -> Scale:
        """Return the median scale of the images in which cells are found, and the median certainty."""
        found = []
        for pixels, dtype in images:
            ready = normalise_channels(pixels, self.inputs.normalise, dtype=dtype, channels=self.channels)
            found.append(find_scale(self.network, ready, self.inputs, self.options))
        return _combine_scales(found)

    def segment(self, image: npt.NDArray[Any]) -> Labels:
        """Return the labels of an image or a stack; see `gnntrack.segmentation.protocol.Segmenter.segment`.

        Raises
        ------
        FrameError
            If the number of axes differs from that of the training images, or pixels are NaN or infinite.
        """
        pixels = self._check_image(image)
        dtype = np.asarray(image).dtype
        factor = self._factor
        if self._guesses and not is_flat(pixels, self.channels):
            scale = self._choose_model([(pixels, dtype)])
            factor = scale.factor if scale and self._needs_scale() else factor
        return segment_pixels(self.network, pixels, self.inputs, self.options, dtype=dtype, factor=factor)

    def _check_image(self, image: npt.NDArray[Any]) -> Heights:
        hint = f"; for stacks, give --segmenter slices --option segmenter={self.name}"
        hint = hint if self.dimensions == (2,) else ""
        return check_pixels(image, self.dimensions, channels=self.channels, hint=hint)

    # ---------------------------------------------------------------------------------------------- training

    @classmethod
    def train(
        cls,
        examples: Images,
        checks: Images,
        run: TrainingRun,
        *,
        settings: TrainSegmenterSettings,
        metrics: Metrics,
        start: str | Path | None = None,
    ) -> dict[str, Any]:
        """Train a network, see `gnntrack.training.segmenter.TrainableSegmenter.train`."""
        origin = cls.build_network if start is None else read_start(cls.name, start, examples, kind=settings.kind)
        return train_dense(origin, examples, checks, run, settings=settings, metrics=metrics)
