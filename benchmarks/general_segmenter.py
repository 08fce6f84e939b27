"""The U-Net that comes with gnntrack: fluorescent nuclei of several movies, and simulated ones.

``python benchmarks/general_segmenter.py --out segmenters/weights/unet`` trains it anew. The last frames of each movie
are for validation; nothing is reported on these movies with these weights.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from filled import filled_examples, measured
from record import default_data

from gnntrack.io.examples import find_examples
from gnntrack.segmenter_training import learn, simulated_examples
from gnntrack.settings import TrainSegmenterSettings

SIMULATED = 80  # movies
LAST = 0.12  # part of each movie that is validated on
PLAN = TrainSegmenterSettings(steps=3000, validate_every=500, patience=99, zoom="each", batch=8, patch=192)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the network, or go on with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=default_data())
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=PLAN.steps)
    parser.add_argument("--without", nargs="*", default=[], help="data sets to leave out")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(1)
    learnt, checks = examples(options.data, options.without)
    options.out.mkdir(parents=True, exist_ok=True)
    plan = PLAN.model_copy(update={"steps": options.steps})
    learn("unet", learnt, checks, options.out, settings=plan, resume=options.resume, report=_tell)
    return 0


def examples(data: Path, without: Sequence[str] = ()) -> tuple[list[Any], list[Any]]:
    """Return what is learnt from, and what is validated on."""
    movies: list[list[Any]] = []
    for name in ("Fluo-N2DH-GOWT1", "Fluo-N2DH-SIM+", "Fluo-N2DL-HeLa"):
        folder = data / name
        if name not in without:
            hybrid = (folder / "01_ST_HYBRID").is_dir()
            movies.append(measured(filled_examples(folder)) if hybrid else find_examples([folder]))
    learnt: list[Any] = [*simulated_examples(SIMULATED)]
    checks: list[Any] = [*simulated_examples(4, seed=9)][::2]
    for movie in movies:
        last = round(LAST * len(movie))
        learnt += movie[: -last - 1]
        checks += movie[-last::4]
    return learnt, checks


def _tell(row: dict[str, Any]) -> None:
    print({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()}, flush=True)


if __name__ == "__main__":
    sys.exit(main())
