"""Training from eight labelled images of a kind of cells that the model at the start has not seen.

``python benchmarks/few_images.py --work FOLDER`` writes the images into the folder, trains ``unet`` on them as
``gnntrack train-segmenter unet IMAGES -o MODEL --from START`` does, with no other option and one thread, and scores
it on other images without an option. Rows of kinds that are not run again (``--only``) are kept in
``results/few_images.json``. No start has seen its kind: nuclei are learnt from the shipped model of unstained cells,
``phase`` from a model of unstained cells that is trained without its images unless it is in the folder (half an hour),
and all others from the shipped model of nuclei:

``phase``         SEG-Usiigaci: every third image is tested, 8 others are trained on.
``small phase``   PhC-C2DL-PSC 01, silver truth: 8 frames of the first half, 6 of the second half are tested.
``interference``  Simulated interference contrast.
``fluorescence``  SEG-DSB2018, fluorescent nuclei; the images with fewer than 5 cells are left out.
``stained``       SEG-DSB2018, stained nuclei, likewise.
``glands``        SEG-GlaS, single glands, reduced to 0.6 of their size.

F1 at an IoU of 0.5 is the mean over images; ``before`` is that of the model at the start. ``cpu_seconds`` is the time
of the processor in the training.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from general_segmenter import train
from kind_images import get_default_more, list_images
from kinds import segment_image
from record import RESULTS, describe_run, get_default_data
from segmentation import ReducedImage

from gnntrack.evaluate.counts import compare_labels
from gnntrack.segmentation.registry import load_segmenter
from gnntrack.training import TrainingRun, train_segmenter
from gnntrack.training.contrasts import simulate_unstained
from gnntrack.training.examples import find_examples
from segmenters.common.models import WEIGHTS

RESULT = RESULTS / "few_images.json"
LEARNT, TESTED = 8, 16
_FEWEST = 5  # cells of an image of the Data Science Bowl
_SEED = 90  # of the simulated images: other seeds than those of the training of the shipped models
WITHOUT_PHASE = "cells without phase"
STEPS_WITHOUT_PHASE = 2500
Pair = tuple[np.ndarray, np.ndarray]
Row = dict[str, Any]


def read_phase(_: Path, more: Path) -> tuple[list[Pair], list[Pair]]:
    """Return images to learn and to test of large cells in phase contrast."""
    images = [image.read() for image in list_images(more, "phase")]
    tested = images[1::3]
    return [image for number, image in enumerate(images) if number % 3 != 1][:LEARNT], tested


def read_small_phase(data: Path, _: Path) -> tuple[list[Pair], list[Pair]]:
    """Return images to learn and to test of small cells in phase contrast: early and late frames of a movie."""
    frames = find_examples([data / "PhC-C2DL-PSC"])
    middle = len(frames) // 2
    return [each.read() for each in take_evenly(frames[:middle], LEARNT)], [
        each.read() for each in take_evenly(frames[middle + 1 :], 6)
    ]


def read_interference(_: Path, __: Path) -> tuple[list[Pair], list[Pair]]:
    """Return simulated images in interference contrast to learn and to test."""
    images = [each for each in simulate_unstained(2 * (LEARNT + TESTED), seed=_SEED) if each.contrast == "dic"]
    first: dict[str, Any] = {}
    for image in images:
        first.setdefault(f"{image.stained.seed}", image)  # one image of each movie
    chosen = [image.read() for image in first.values()]
    return chosen[:LEARNT], chosen[LEARNT : LEARNT + TESTED]


def read_nuclei(kind: str, more: Path) -> tuple[list[Pair], list[Pair]]:
    """Return images to learn and to test of nuclei."""
    images = [image.read() for image in list_images(more, kind)]
    images = [pair for pair in images if pair[1].max() >= _FEWEST]
    order = np.random.default_rng(1).permutation(len(images))
    chosen = [images[number] for number in order]
    return chosen[:LEARNT], chosen[LEARNT : LEARNT + TESTED]


def read_glands(_: Path, more: Path) -> tuple[list[Pair], list[Pair]]:
    """Return images to learn and to test of glands."""
    images = [ReducedImage(each).read() for each in find_examples([more / "SEG-GlaS"])]
    return images[:LEARNT], images[LEARNT:]


KINDS: dict[str, tuple[str, Callable[[Path, Path], tuple[list[Pair], list[Pair]]]]] = {
    "phase": (WITHOUT_PHASE, read_phase),
    "small phase": ("nuclei", read_small_phase),
    "interference": ("nuclei", read_interference),
    "fluorescence": ("cells", lambda _, more: read_nuclei("fluorescence", more)),
    "stained": ("cells", lambda _, more: read_nuclei("stained", more)),
    "glands": ("nuclei", read_glands),
}


def take_evenly(items: Sequence[Any], count: int) -> list[Any]:
    """Return evenly spaced items of a list."""
    return [items[number] for number in np.linspace(0, len(items) - 1, count).round().astype(int)]


def run_kind(kind: str, options: argparse.Namespace) -> Row:
    """Return the row of a kind."""
    model, read = KINDS[kind]
    learnt, tested = read(options.data, options.more)
    start = WEIGHTS / f"unet_{model}" if model != WITHOUT_PHASE else find_model_without_phase(options)
    folder = options.work / kind.replace(" ", "_")
    write_images(folder / "images", learnt)
    begun = time.process_time()
    summary = train_segmenter("unet", [folder / "images"], TrainingRun(folder / "model", overwrite=True), start=start)
    seconds = time.process_time() - begun
    row: Row = {"kind": kind, "start": model, "learnt": len(learnt), "tested": len(tested)}
    row["learnt_cells"] = sum(int(np.count_nonzero(np.unique(labels))) for _, labels in learnt)
    row["best_step"] = summary["steps"]
    row["f1_before"] = float(np.mean(list(score(str(start), tested))))
    scores = list(score(str(folder / "model"), tested))
    return row | {"f1": float(np.mean(scores)), "f1_images": scores, "cpu_seconds": seconds}


def find_model_without_phase(options: argparse.Namespace) -> Path:
    """Return the folder of a model of unstained cells that has not seen the images of ``phase``."""
    folder: Path = options.work / WITHOUT_PHASE.replace(" ", "_")
    plan = {"fold": None, "without": "phase", "steps": STEPS_WITHOUT_PHASE}
    train("cells", folder, argparse.Namespace(data=options.data, more=options.more, **plan))
    return folder


def write_images(folder: Path, pairs: Sequence[Pair]) -> None:
    """Write images and masks as a user has them."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (image, labels) in enumerate(pairs):
        tifffile.imwrite(folder / "images" / f"{number:02d}.tif", image)
        tifffile.imwrite(folder / "masks" / f"{number:02d}.tif", labels.astype(np.uint16))


def score(model: str, tested: Sequence[Pair]) -> Iterator[float]:
    """Yield F1 of each image."""
    for image, truth in tested:
        yield round(compare_labels(segment_image(load_segmenter("unet", model=model), image), truth).f1, 4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the kinds and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--more", type=Path, default=get_default_more())
    parser.add_argument("--only", nargs="*", choices=KINDS, default=list(KINDS), help="kinds")
    parser.add_argument("--work", type=Path, required=True, help="folder for images and models")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for kind in options.only:
        made = {**run_kind(kind, options), "about": describe_run()}
        record = json.loads(options.out.read_text()) if options.out.is_file() else {"rows": []}
        rows = [row for row in record["rows"] if row["kind"] != kind] + [made]
        options.out.write_text(json.dumps({"rows": rows}, indent=1) + "\n")
        print(json.dumps({key: value for key, value in made.items() if key != "about"}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
