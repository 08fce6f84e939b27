"""Training of the segmenters that come with gnntrack.

``python benchmarks/general_segmenter.py unet --out segmenters/weights/unet`` trains the U-Net again, on fluorescent
nuclei of several movies and on simulated ones; the last frames of each movie are for validation, and no result on these
movies is reported for these weights. ``diffusionnet`` is trained on simulated stacks, some with doubled plane distance.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filled import find_filled_frames, measure_errors
from record import get_default_data

from gnntrack.settings import TrainSegmenterSettings
from gnntrack.training.examples import find_examples
from gnntrack.training.run import TrainingRun
from gnntrack.training.segmenter import learn
from gnntrack.training.simulated import SimulatedExample, simulate_examples

SIMULATED = 80  # movies
STACKS = 16  # simulated movies in 3D
LAST = 0.12  # fraction of each movie that is for validation
PLANS = {
    "unet": TrainSegmenterSettings(steps=3000, validate_every=500, patience=99, zoom="each", batch=8, patch=192),
    "diffusionnet": TrainSegmenterSettings(steps=1000, validate_every=200, patience=99),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train a network, or continue its training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("segmenter", choices=PLANS)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--without", nargs="*", default=[], help="data sets to exclude")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    if options.segmenter == "unet":
        learnt, checks = collect_images(options.data, options.without)
    else:
        learnt, checks = simulate_stacks()
    options.out.mkdir(parents=True, exist_ok=True)
    plan = PLANS[options.segmenter]
    plan = plan.replace(steps=options.steps or plan.steps)
    run = TrainingRun(options.out, resume=options.resume, report=_print_row)
    learn(options.segmenter, learnt, checks, run, settings=plan)
    return 0


def collect_images(data: Path, without: Sequence[str] = ()) -> tuple[list[Any], list[Any]]:
    """Return images for training and for validation."""
    movies: list[list[Any]] = []
    for name in ("Fluo-N2DH-GOWT1", "Fluo-N2DH-SIM+", "Fluo-N2DL-HeLa"):
        folder = data / name
        if name not in without:
            hybrid = (folder / "01_ST_HYBRID").is_dir()
            movies.append(measure_errors(find_filled_frames(folder)) if hybrid else find_examples([folder]))
    learnt: list[Any] = [*simulate_examples(SIMULATED)]
    checks: list[Any] = [*simulate_examples(4, seed=9)][::2]
    for movie in movies:
        last = round(LAST * len(movie))
        learnt += movie[: -last - 1]
        checks += movie[-last::4]
    return learnt, checks


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
