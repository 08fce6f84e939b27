"""Training of the segmenters that come with gnntrack.

``python benchmarks/general_segmenter.py nuclei --fold 0 --out segmenters/weights/unet_nuclei`` trains the U-Net for
fluorescent and stained nuclei: images of the Data Science Bowl 2018, movies of the Cell Tracking Challenge, planes of
stacks, and simulated movies. ``cells`` trains the one for whole cells without a stain: phase contrast, and simulated
phase contrast, interference contrast and bright field. ``diffusionnet`` is trained on simulated stacks, some with
doubled plane distance.

There is no validation: the last weights are kept. ``--fold N`` keeps a fifth of the images by kind out of the training:
`kinds.py` reports results on images that were kept out. The shipped models of `unet` are those of ``--fold 0``, so that
the results of the very models that are shipped are known.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filled import find_filled_frames, measure_errors
from kind_images import FOLDS, KindImage, get_default_more, list_images, list_planes, split_fold
from record import get_default_data
from trained import is_finished

from gnntrack.settings import TrainSegmenterSettings
from gnntrack.training.contrasts import simulate_unstained
from gnntrack.training.examples import find_examples
from gnntrack.training.run import TrainingRun
from gnntrack.training.segmenter import learn
from gnntrack.training.simulated import SimulatedExample, simulate_examples

SIMULATED = {"nuclei": 12, "cells": 60}  # movies
PLANES = 6  # simulated stacks whose planes are learnt as images
# a group of images is as likely in training as a movie; a part of a real movie counts as a movie
PARTS = {"Fluo-N2DH-GOWT1": 2, "Fluo-N2DH-SIM+": 3, "Fluo-N2DL-HeLa": 5, "Fluo-C2DL-MSC": 4, "PhC-C2DL-PSC": 5}
GROUPS = {
    "nuclei": {"fluorescence": 40, "stained": 8},
    "cells": {"phase": 12},
}
UNSTAINED_GROUPS = 10
STACKS = 16  # simulated movies in 3D
_GENERAL = {"zoom": "each", "learning_rate": 0.003, "batch": 8, "validate_every": 250, "patience": 99}
PLANS = {
    "nuclei": TrainSegmenterSettings(**_GENERAL, steps=20000, patch=160, normalise="root"),
    "cells": TrainSegmenterSettings(**_GENERAL, steps=10000, patch=192, scaled_diameter=28, invert=True),
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
    parser.add_argument(
        "--without", choices=("fluorescence", "stained", "phase"), help="kind of images that is left out"
    )
    parser.add_argument("--steps", type=int)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    train(options.model, options.out, options)
    return 0


def train(model: str, out: Path, options: argparse.Namespace) -> None:
    """Train a model into a folder, unless it is finished."""
    plan = PLANS[model]
    plan = plan.replace(steps=options.steps or plan.steps)
    if is_finished(out, plan):
        return
    if model == "diffusionnet":
        learnt, checks = simulate_stacks()
    else:
        learnt, checks = (collect_cells if model == "cells" else collect_nuclei)(model, options), []
        learnt = [each for each in learnt if getattr(each, "kind", "") != options.without]
    out.mkdir(parents=True, exist_ok=True)
    run = TrainingRun(out, resume=(out / "checkpoint.safetensors").exists(), report=_print_row)
    learn("diffusionnet" if model == "diffusionnet" else "unet", learnt, checks, run, settings=plan)


def list_known(kind: str, model: str, options: argparse.Namespace) -> list[KindImage]:
    """Return the images of a kind that are not kept out."""
    return split_fold(list_images(options.more, kind, GROUPS[model][kind]), options.fold)[0]


def collect_nuclei(model: str, options: argparse.Namespace) -> list[Any]:
    """Return images of nuclei for training."""
    data = options.data
    stacks = simulate_examples(PLANES, seed=31, dimensions=3)
    planes = [Plane(stack, depth) for stack in stacks for depth in range(3, 20, 4)]
    learnt: list[Any] = [*simulate_examples(SIMULATED[model]), *planes, *list_planes(data)]
    for name in ("Fluo-N2DH-GOWT1", "Fluo-N2DH-SIM+", "Fluo-N2DL-HeLa", "Fluo-C2DL-MSC"):
        folder = data / name
        hybrid = (folder / "01_ST_HYBRID").is_dir()
        learnt += split_movie(name, measure_errors(find_filled_frames(folder)) if hybrid else find_examples([folder]))
    for kind in ("fluorescence", "stained"):
        known = list_known(kind, model, options)
        learnt += known
        if kind == "stained":  # the green channel is another contrast of the same nuclei
            learnt += [replace(each, channel=1, movie=f"{each.movie}, green") for each in known]
    return learnt


def collect_cells(model: str, options: argparse.Namespace) -> list[Any]:
    """Return images of whole cells without a stain for training."""
    name = "PhC-C2DL-PSC"
    movie = [each for each in find_examples([options.data / name]) if each.frame is not None and each.frame % 4 == 0]
    known = list_known("phase", model, options)
    simulated = [
        replace(each, group=f"unstained {each.stained.seed % UNSTAINED_GROUPS}")
        for each in simulate_unstained(SIMULATED[model])
    ]
    return [*split_movie(name, movie), *known, *simulated]


def split_movie(name: str, frames: list[Any]) -> list[Any]:
    """Return the frames of a movie as those of several movies, which makes them more likely in training."""
    parts = PARTS[name]
    return [
        replace(each, movie=f"{each.movie}, part {number * parts // len(frames) + 1}")
        for number, each in enumerate(frames)
    ]


@dataclass(frozen=True)
class Plane:
    """A plane of a simulated stack.

    Parameters
    ----------
    stack : SimulatedExample
        The stack.
    depth : int
        Number of the plane.
    """

    stack: SimulatedExample
    depth: int
    simulated = True

    @property
    def movie(self) -> str:
        """The movie of the stack."""
        return f"{self.stack.movie} planes"

    @property
    def name(self) -> str:
        """Stack and plane."""
        return f"{self.stack.name} plane {self.depth}"

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the image and its labels."""
        image, labels = self.stack.read()
        return image[self.depth], labels[self.depth]


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
