"""Training of dense networks, which label every pixel."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from gnntrack.errors import TrainingError
from gnntrack.models.files import write_model
from gnntrack.plurals import count_noun
from segmenters.common.colours import check_pixels, choose_channels, get_channels, show_channels
from segmenters.common.models import FAMILY
from segmenters.common.training import choose_bfloat16, describe_run, find_dimensions, train_network
from segmenters.dense.inference import InferenceOptions, Preprocessing, choose_depth, segment_pixels
from segmenters.dense.start import StartModel
from segmenters.dense.targets import measure_whole_cells
from segmenters.dense.task import DenseLoss, MaskValidation, PatchTask, ScaledPixels, TrainingImages, prepare_dense

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.training.run import TrainingRun
    from gnntrack.training.segmenter import Images, LabelledImage
    from segmenters.common.training import Metrics

__all__ = ["NetworkBuilder", "choose_inputs", "choose_scale", "spread_examples", "train_dense"]

_SIMILAR = 1.6  # movies whose cell diameters differ by less than this factor are used at one scale
_SMALLEST, _LARGEST = 24.0, 44.0  # diameters in pixels at which networks work well; others are scaled to them
_SAMPLED = 5  # images of each movie for its typical diameter
_MEASURED = 40  # images that are not a movie whose diameters are measured
_EXTREME = 0.1  # fraction of the diameters at each end that is ignored, if they are many
_FEW = 3  # cells of an image below which its diameter does not decide whether images differ
_SAMPLED_FOR_DEPTH = {2: 64, 3: 4}  # images, or stacks, for the depth of a pass between cells


class NetworkBuilder(Protocol):
    """A function that returns a new network to train."""

    def __call__(
        self, *, dimensions: int, outputs: int, flat: int, options: Mapping[str, Any], channels: int = 1
    ) -> Any:
        """Return a network with random or pretrained weights.

        Parameters
        ----------
        dimensions : {2, 3}
            Axes of the images.
        outputs : {2, 3}
            2 for the two classes, 3 with the depth.
        flat : int
            In 3D: number of levels that keep their planes, for planes that are far apart.
        options : dict
            Options of the network, from ``--option``.
        channels : {1, 3}
            Channels of the images.

        Raises
        ------
        SegmenterError
            If an option is unknown, or the network does not support the number of axes.
        """


def train_dense(
    origin: NetworkBuilder | StartModel,
    examples: Images,
    checks: Images,
    run: TrainingRun,
    *,
    settings: TrainSegmenterSettings,
    metrics: Metrics,
) -> dict[str, Any]:
    """Train a dense network and choose its depth, see `gnntrack.training.segmenter.TrainableSegmenter.train`.

    Parameters
    ----------
    origin : NetworkBuilder or StartModel
        Returns a new network to train, or holds a trained one.
    examples, checks, run, settings, metrics
        As of `TrainableSegmenter.train`.
    """
    device, dimensions = run.find_device(), find_dimensions([*examples, *checks])
    torch.manual_seed(run.seed)
    if isinstance(origin, StartModel):
        origin.check_dimensions(dimensions)
        channels = origin.check_channels(examples, settings)
        settings, run = origin.adapt(settings), run.with_provenance(start=origin.describe())
        network, inputs = origin.network, choose_inputs(examples, settings, start=origin.inputs)
    else:
        channels = choose_channels(examples, settings)
        inputs = choose_inputs(examples, settings)
        network = _make_network(origin, dimensions, channels, settings)
    examples, checks = show_channels(examples, channels), show_channels(checks, channels)
    if dimensions == 2:
        network = network.to(memory_format=torch.channels_last)  # on a CPU a quarter faster
    options = InferenceOptions(batch=settings.batch, bfloat16=choose_bfloat16(settings.precision, device))
    segment = partial(_segment, dimensions=dimensions, inputs=inputs, options=options)
    pixels = ScaledPixels(settings.normalise, choose_scale(inputs), dimensions, channels)
    task = PatchTask(
        TrainingImages(examples, partial(prepare_dense, pixels=pixels)),
        MaskValidation(checks, segment, metrics),
        settings,
        loss=DenseLoss(settings, device, options.bfloat16),
        patch=(settings.planes, settings.patch, settings.patch)[-dimensions:],
        varied=inputs.factor is None and dimensions == 2,
    )
    run = describe_run(run, settings, images=len(examples))
    trained = train_network(network, task, run, settings, images=len(examples), inputs=asdict(inputs))
    best = trained.network.to(memory_format=torch.contiguous_format)
    known = _show_some(checks or examples, _SAMPLED_FOR_DEPTH[dimensions], run)
    inputs = replace(inputs, depth=choose_depth(best, known, inputs, options, metrics))
    write_model(run.folder, best, FAMILY, training={**run.provenance, "best": trained.best}, inputs=asdict(inputs))
    return trained.best


def _make_network(
    build_network: NetworkBuilder, dimensions: int, channels: int, settings: TrainSegmenterSettings
) -> Any:
    outputs = 3 if settings.head == "instances" else 2
    layout: dict[str, Any] = {"dimensions": dimensions, "outputs": outputs, "flat": settings.flat}
    return build_network(**layout, options=settings.options, channels=channels)


def _segment(
    network: Any, image: npt.NDArray[Any], *, dimensions: int, inputs: Preprocessing, options: InferenceOptions
) -> npt.NDArray[np.int32]:
    """Return the cells of an image of the validation."""
    pixels = check_pixels(image, {dimensions}, channels=get_channels(network))
    return segment_pixels(network, pixels, inputs, options, dtype=image.dtype)


def _show_some(examples: Images, most: int, run: TrainingRun) -> Iterator[LabelledImage]:
    """Yield at most `most` examples, of all movies in turn and evenly spaced in each, and report the progress."""
    some = spread_examples(examples, most)
    for done, example in enumerate(some, start=1):
        yield example
        run.show("passes between cells", done, len(some))


def spread_examples(examples: Images, most: int) -> list[LabelledImage]:
    """Return at most `most` examples: of all movies in turn, and in each of them evenly spaced; no simulated ones.

    Simulated examples are used if there are no others.

    Parameters
    ----------
    examples : sequence of LabelledImage
        Images of one or more movies.
    most : int
        Largest number of images.
    """
    movies: dict[str, list[LabelledImage]] = {}
    real = [example for example in examples if not getattr(example, "simulated", False)]
    for example in real or examples:
        movies.setdefault(example.movie, []).append(example)
    least = -(-most // max(1, len(movies)))
    parts = [images[:: -(-len(images) // least)] for images in movies.values()]
    turns = [image for turn in zip_longest(*parts) for image in turn if image is not None]
    return turns[:most]


def choose_inputs(
    examples: Images, settings: TrainSegmenterSettings, *, start: Preprocessing | None = None
) -> Preprocessing:
    """Return how images are prepared for the network: grey values, and the scale of the cells.

    If the cells of all movies, and of all images that are not of a movie, have about the same size, pixels are not
    scaled, unless cells are tiny or huge; images of different sizes are all scaled to one. A network that is trained
    already needs cells of the size that it was trained on.

    Parameters
    ----------
    examples : sequence of LabelledImage
        Images to train on.
    settings : TrainSegmenterSettings
        ``normalise`` and ``zoom``.
    start : Preprocessing, optional
        Of the network that the training starts from.

    Raises
    ------
    TrainingError
        If no image has a cell.
    """
    sizes = _measure_diameters(examples)
    if not sizes:
        msg = (
            f"none of {count_noun(len(examples), 'image')} has a cell to learn from; give images whose masks "
            "are not empty"
        )
        raise TrainingError(msg)
    typical = float(np.median(sizes))
    few = int(_EXTREME * len(sizes))
    lowest, highest = sorted(sizes)[few], sorted(sizes)[-1 - few]
    each = settings.zoom == "each" or (settings.zoom == "auto" and highest > _SIMILAR * lowest)
    if start is not None and settings.zoom != "none":
        return replace(start, factor=None if each else start.diameter / typical, sizes=(lowest, highest))
    if each:
        return Preprocessing(settings.normalise, settings.scaled_diameter, None)
    if settings.zoom == "none":
        return Preprocessing(settings.normalise, typical, 1.0)
    seen = float(np.clip(typical, _SMALLEST, _LARGEST))
    return Preprocessing(settings.normalise, seen, seen / typical)


def _measure_diameters(examples: Images) -> list[float]:
    """Return the typical diameter of the cells of each movie, measured on some of its images, and of single images.

    Images with few cells do not count if there are others.
    """
    movies: dict[str, list[LabelledImage]] = {}
    singles = [example for example in examples if is_single(example)]
    for example in examples:
        if not is_single(example):
            movies.setdefault(example.movie, []).append(example)
    sizes = [float(np.median(known)) for images in movies.values() if (known := _measure_some(images, _SAMPLED, 1))]
    return sizes + (_measure_some(singles, _MEASURED, _FEW) or _measure_some(singles, _MEASURED, 1))


def _measure_some(examples: Images, most: int, cells: int) -> list[float]:
    """Return the diameters of at most `most` images, of those with as many cells."""
    measured = [measure_whole_cells(each.read()[1]) for each in examples[:: -(-len(examples) // most) or 1]]
    return [size for size, count in measured if count >= cells]


def is_single(example: LabelledImage) -> bool:
    """Return whether an image is not a frame of a movie, so its cells may differ in size from those of others."""
    return getattr(example, "frame", 0) is None


def choose_scale(inputs: Preprocessing) -> Callable[[npt.NDArray[Any]], float]:
    """Return a function from the labels of an image to the factor by which its pixels are scaled for the network."""

    def find_factor(labels: npt.NDArray[Any]) -> float:
        if inputs.factor is not None:
            return inputs.factor
        diameter, cells = measure_whole_cells(labels)
        return inputs.diameter / diameter if cells else 1.0

    return find_factor
