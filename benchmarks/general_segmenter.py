"""Training of the segmenters that come with gnntrack.

``python benchmarks/general_segmenter.py nuclei --out segmenters/weights/unet_nuclei`` trains the U-Net for fluorescent
and stained nuclei: images of the Data Science Bowl 2018, movies of the Cell Tracking Challenge, planes of stacks, and
simulated movies. ``cells`` trains the one for whole cells without a stain: phase contrast, and simulated phase
contrast, interference contrast and bright field. ``diffusionnet`` is trained on simulated stacks, some with doubled
plane distance.

There is no validation: the last weights are kept. ``--fold N`` keeps a fifth of the images by kind out of the training:
`kinds.py` reports results on images that were kept out.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filled import find_filled_frames, measure_errors
from kind_images import FOLDS, get_default_more, list_images, list_planes, split_fold
from record import get_default_data

from gnntrack.settings import TrainSegmenterSettings
from gnntrack.training.contrasts import simulate_unstained
from gnntrack.training.examples import find_examples
from gnntrack.training.run import TrainingRun
from gnntrack.training.segmenter import learn
from gnntrack.training.simulated import SimulatedExample, simulate_examples

SIMULATED = {"nuclei": 12, "cells": 60}  # movies; all movies, real or not, are equally likely in training
PARTS = {"Fluo-N2DH-GOWT1": 2, "Fluo-N2DH-SIM+": 3, "Fluo-N2DL-HeLa": 3, "Fluo-C2DL-MSC": 1}  # a part counts as a movie
STACKS = 16  # simulated movies in 3D
_GENERAL = {"zoom": "each", "learning_rate": 0.003, "batch": 8, "validate_every": 250, "patience": 99}
PLANS = {
    "nuclei": TrainSegmenterSettings(**_GENERAL, steps=6000, patch=160, normalise="root"),
    "cells": TrainSegmenterSettings(**_GENERAL, steps=5000, patch=192, scaled_diameter=28, invert=True),
    "diffusionnet": TrainSegmenterSettings(steps=1000, validate_every=200, patience=99),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a network, or continue its training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=PLANS)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--more", type=Path, default=get_default_more())
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--fold", type=int, choices=range(FOLDS), help="fifth of the images that is kept out")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    train(options.model, options.out, options)
    return 0


def train(model: str, out: Path, options: argparse.Namespace) -> None:
    """Train a model into a folder."""
    if model == "diffusionnet":
        learnt, checks = simulate_stacks()
    else:
        collect = collect_nuclei if model == "nuclei" else collect_cells
        learnt, checks = collect(options.data, options.more, options.fold), []
    out.mkdir(parents=True, exist_ok=True)
    plan = PLANS[model]
    plan = plan.replace(steps=options.steps or plan.steps)
    run = TrainingRun(out, resume=options.resume, report=_print_row)
    learn("diffusionnet" if model == "diffusionnet" else "unet", learnt, checks, run, settings=plan)


def collect_nuclei(data: Path, more: Path, fold: int | None) -> list[Any]:
    """Return images of nuclei for training."""
    learnt: list[Any] = [*simulate_examples(SIMULATED["nuclei"]), *list_planes(data)]
    for name, parts in PARTS.items():
        folder = data / name
        hybrid = (folder / "01_ST_HYBRID").is_dir()
        movie: list[Any] = measure_errors(find_filled_frames(folder)) if hybrid else find_examples([folder])
        learnt += [
            replace(each, movie=f"{each.movie}, part {number * parts // len(movie) + 1}")
            for number, each in enumerate(movie)
        ]
    for kind in ("fluorescence", "stained"):
        known, _ = split_fold(list_images(more, kind), fold)
        learnt += known
        if kind == "stained":  # the green channel is another contrast of the same nuclei
            learnt += [replace(each, channel=1, movie=f"{each.movie}, green") for each in known]
    return learnt


def collect_cells(data: Path, more: Path, fold: int | None) -> list[Any]:
    """Return images of whole cells without a stain for training."""
    movie = [each for each in find_examples([data / "PhC-C2DL-PSC"]) if each.frame is not None and each.frame % 4 == 0]
    known, _ = split_fold(list_images(more, "phase"), fold)
    return [*movie, *known, *simulate_unstained(SIMULATED["cells"])]


class ThinnedStack:
    """A simulated stack without every second plane.

    Parameters
    ----------
    whole : SimulatedExample
        The stack.
    """

    simulated = True

    def __init__(self, whole: SimulatedExample) -> None:
        self.whole = whole
        self.movie, self.name = f"{whole.movie}, thinned", f"{whole.name}, thinned"
        self.spacing = (2 * whole.spacing[0], *whole.spacing[1:])

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image and its labels."""
        image, labels = self.whole.read()
        return image[::2], labels[::2]


def simulate_stacks() -> tuple[list[Any], list[Any]]:
    """Return stacks for training and for validation."""
    learnt = simulate_examples(STACKS, seed=11, dimensions=3)
    checks = simulate_examples(3, seed=12, dimensions=3)[1::2]
    return [*learnt, *map(ThinnedStack, learnt[::4])], [*checks, *map(ThinnedStack, checks[::3])]


def _print_row(row: dict[str, Any]) -> None:
    print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}, flush=True)


if __name__ == "__main__":
    sys.exit(main())
