"""Time of the segmenters of this checkout and of an earlier one, in turns within one run.

``python benchmarks/segmenter_speed.py --before FOLDER`` writes ``results/segmenter_speed.json``; the folder is a
checkout of the commit ``bb78ec4``, for example of ``git worktree add FOLDER bb78ec4``. A round is a new process for
each checkout and case, with two threads; the best of some rounds counts. Times are those of the segmentation of all
images of a case. Reading them, loading the model, a first image, and the estimate of the scale, which is made once for
a movie, are not included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import REPOSITORY, RESULTS, describe_run, get_default_data

RESULT = RESULTS / "segmenter_speed.json"
ROUNDS = 3
STACK = {"frames": 1, "shape": (64, 256, 256), "cells": 60, "diameter": 22}
MOVIES = {"HeLa": "Fluo-N2DL-HeLa", "GOWT1": "Fluo-N2DH-GOWT1", "PSC": "PhC-C2DL-PSC"}
FRAMES = (0, 40, 80)
CASES = (
    ("threshold", "HeLa"),
    ("threshold", "GOWT1"),
    ("threshold", "PSC"),
    ("threshold", "stack"),
    ("unet", "HeLa"),
    ("unet", "GOWT1"),
    ("slices", "stack"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Time both checkouts and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args(arguments)
    checkouts = {"before": options.before.resolve(), "now": REPOSITORY}
    best: dict[tuple[str, str, str], float] = {}
    with tempfile.TemporaryDirectory() as folder:
        files = write_images(Path(folder), options.data)
        for _ in range(options.rounds):
            for segmenter, images in CASES:
                for which, checkout in checkouts.items():
                    seconds = time_in_process(checkout, segmenter, files[images])
                    key = segmenter, images, which
                    best[key] = min(seconds, best.get(key, np.inf))
        pixels = {name: int(np.load(file).size) for name, file in files.items()}
    rows = [
        {
            "segmenter": segmenter,
            "images": images,
            "megapixels": round(pixels[images] / 1e6, 3),
            **{which: round(best[segmenter, images, which], 3) for which in checkouts},
        }
        for segmenter, images in CASES
    ]
    options.out.write_text(json.dumps({**describe_run(), "rounds": options.rounds, "rows": rows}, indent=1) + "\n")
    for row in rows:
        print(row, f"{row['now'] / row['before']:.2f}")
    return 0


def write_images(folder: Path, data: Path) -> dict[str, Path]:
    """Write the images of each case as one array."""
    import tifffile

    from gnntrack.settings import SimulateSettings
    from gnntrack.simulate import simulate_movie

    stack = simulate_movie(settings=SimulateSettings(**STACK), seed=5).images
    found = {"stack": np.asarray(stack)}
    for name, movie in MOVIES.items():
        found[name] = np.stack([tifffile.imread(data / movie / "01" / f"t{frame:03d}.tif") for frame in FRAMES])
    for name, images in found.items():
        np.save(folder / f"{name}.npy", images)
    return {name: folder / f"{name}.npy" for name in found}


def time_in_process(checkout: Path, segmenter: str, file: Path) -> float:
    """Return the seconds that the segmenter of a checkout takes for the images of a file."""
    command = [sys.executable, str(Path(__file__)), "--time", segmenter, str(file)]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "2"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def time_here(segmenter: str, file: str) -> float:
    """Return the seconds that a segmenter takes for all images, after it has segmented the first."""
    from gnntrack.segmentation.registry import load_segmenter

    images: Any = list(np.load(file))
    loaded: Any = load_segmenter(segmenter)
    if hasattr(loaded, "prepare"):
        loaded.prepare(images[:1])
    loaded.segment(images[0])
    start = time.perf_counter()
    for image in images:
        loaded.segment(image)
    return time.perf_counter() - start


if __name__ == "__main__":
    if sys.argv[1:2] == ["--time"]:
        print(time_here(*sys.argv[2:]))
        sys.exit(0)
    sys.exit(main())
