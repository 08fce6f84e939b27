"""The training of a network that answers for every pixel."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gnntrack.errors import TrainingError
from gnntrack.models.devices import find_device
from gnntrack.models.files import read_model, write_model
from gnntrack.training.loop import run_training
from segmenters.common.inputs import check_image
from segmenters.common.models import FAMILY
from segmenters.common.training import chosen_precision, dimensions_of, plan_of
from segmenters.dense.inference import Inputs, Use, best_depth, segment_pixels
from segmenters.dense.targets import mean_diameter
from segmenters.dense.task import DenseCourse, Examples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from gnntrack.settings import TrainSegmenterSettings
    from gnntrack.types import Progress
    from segmenters.common.training import Judge, Pair

__all__ = ["inputs_for", "scaler", "train_dense"]

_ALIKE = 1.6  # movies whose cells differ in diameter by less than this factor are seen at one scale
_SMALLEST, _LARGEST = 24.0, 44.0  # diameters in pixels that networks see well; others are scaled to them
_GENERAL = 28.0  # diameter that cells of all kinds are scaled to
_LOOKED_AT = 5  # images of each movie
_LOOKED_AT_LAST = {2: 16, 3: 4}  # images, or stacks, that tell how deep a pass between cells is


def train_dense(
    new_network: Callable[..., Any],
    examples: Sequence[Pair],
    out: Path,
    *,
    checks: Sequence[Pair],
    judge: Judge,
    settings: TrainSegmenterSettings,
    notes: dict[str, Any],
    seed: int,
    resume: bool,
    device: str,
    progress: Progress | None,
    report: Callable[[dict[str, Any]], None] | None,
) -> dict[str, Any]:
    """Train a network; see `segmenters.dense.segmenter.DenseSegmenter.train`."""
    place = find_device(device)
    dimensions = dimensions_of(examples)
    inputs = inputs_for(examples, settings)
    torch.manual_seed(seed)
    outputs = 3 if settings.head == "instances" else 2
    network = new_network(dimensions=dimensions, outputs=outputs, flat=settings.flat, options=settings.options)
    if dimensions == 2:
        network = network.to(memory_format=torch.channels_last)  # a quarter faster on a CPU
    use = Use(batch=settings.batch, bfloat16=chosen_precision(settings.precision, place))

    def segment(net: Any, image: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
        return segment_pixels(net, check_image(image, {dimensions}), inputs, use, dtype=image.dtype)

    course = DenseCourse(
        Examples(examples, normalise=settings.normalise, factor=scaler(inputs), dimensions=dimensions),
        checks,
        segment=segment,
        judge=judge,
        settings=settings,
        dimensions=dimensions,
        patch=(settings.patch,) * 2 if dimensions == 2 else (settings.planes, settings.patch, settings.patch),
        device=place,
        bfloat16=use.bfloat16,
    )
    told = {**notes, "images": len(examples), "settings": settings.model_dump(), "seed": seed}

    def save(average: Any, row: dict[str, Any]) -> None:
        write_model(out, average, FAMILY, training={**told, "best": row}, inputs=asdict(inputs))

    best = run_training(
        network,
        course,
        out,
        plan=plan_of(settings, len(examples)),
        seed=seed,
        notes=told,
        save=save,
        resume=resume,
        device=place,
        progress=progress,
        report=report,
    )
    kept, about = read_model(out, FAMILY, device=place)
    known, most = checks or examples, _LOOKED_AT_LAST[dimensions]
    depth = best_depth(kept, _told(known[:: -(-len(known) // most)], progress), inputs, use, judge)
    write_model(out, kept, FAMILY, training=about["training"], inputs=asdict(replace(inputs, depth=depth)))
    return best


def _told(pairs: Sequence[Pair], progress: Progress | None) -> Iterator[Pair]:
    """Yield pairs, and tell how many are done."""
    for done, pair in enumerate(pairs, start=1):
        yield pair
        if progress is not None:
            progress("passes between cells", done, len(pairs))


def inputs_for(examples: Sequence[Pair], settings: TrainSegmenterSettings) -> Inputs:
    """Return what a network shall see: grey values, and the scale of the cells.

    Where all movies have cells of about one size, the network sees pixels as they are, unless cells are tiny or huge;
    movies of different sizes are all brought to one.

    Raises
    ------
    TrainingError
        If no image has a cell.
    """
    sizes = _diameters(examples)
    if not sizes:
        msg = f"none of the {len(examples)} images has a cell to learn from; give images whose masks are not empty"
        raise TrainingError(msg)
    typical = float(np.median(sizes))
    each = settings.zoom == "each" or (settings.zoom == "auto" and max(sizes) > _ALIKE * min(sizes))
    if each:
        return Inputs(settings.normalise, _GENERAL, None)
    if settings.zoom == "none":
        return Inputs(settings.normalise, typical, 1.0)
    seen = float(np.clip(typical, _SMALLEST, _LARGEST))
    return Inputs(settings.normalise, seen, seen / typical)


def _diameters(examples: Sequence[Pair]) -> list[float]:
    """Return the typical diameter of the cells of each movie, as far as some of its images tell."""
    movies: dict[str, list[Pair]] = {}
    for pair in examples:
        movies.setdefault(pair.movie, []).append(pair)
    sizes = []
    for pairs in movies.values():
        some = pairs[:: -(-len(pairs) // _LOOKED_AT)]
        known = [size for pair in some if (size := mean_diameter(pair.read()[1])) is not None]
        sizes += [float(np.median(known))] if known else []
    return sizes


def scaler(inputs: Inputs) -> Callable[[npt.NDArray[Any]], float]:
    """Return what tells, from the labels of an image, the factor by which its pixels are scaled for the network."""

    def factor(labels: npt.NDArray[Any]) -> float:
        if inputs.factor is not None:
            return inputs.factor
        diameter = mean_diameter(labels)
        return 1.0 if diameter is None else inputs.diameter / diameter

    return factor
