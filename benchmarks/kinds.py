"""Segmentation by kind of microscopy, on images that were kept out of the training, with no option given.

``python benchmarks/kinds.py --fold 0`` scores the shipped models, which were trained without this fifth of the images.
``--fold N --work FOLDER`` trains the general models of `general_segmenter.py` without another fifth, in a quarter of
the steps (half an hour of a core), unless they are in the folder, and scores them on it. Rows of other folds that exist
in ``results/kinds.json`` are kept. The table has the means over the images of the shipped models, and over those of
the other folds.

F1 is that of the cells at an IoU of 0.5, AP the mean of TP / (TP + FP + FN) over IoU 0.5, 0.55, ..., 0.9, both as means
over images. *Size* is the fraction of images whose estimated cell diameter is within 25 % of the true one.

``--pictures`` draws ``docs/pictures/KIND.png`` afterwards: the images of the fold whose F1 by ``unet`` is the highest,
the median, and the lowest.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from general_segmenter import PLANS, train
from kind_images import FOLDS, SHIPPED_FOLD, KindImage, get_default_more, list_images, split_fold
from matplotlib.figure import Figure
from readme import format_kind_rows
from record import REPOSITORY, RESULTS, describe_run, get_default_data
from skimage.segmentation import find_boundaries

from gnntrack.evaluate.counts import compare_labels
from gnntrack.masks.overlaps import find_overlaps
from gnntrack.report.saving import save_figure
from gnntrack.segmentation.registry import load_segmenter
from segmenters.common.models import WEIGHTS
from segmenters.dense.targets import measure_mean_diameter
from segmenters.unet import UNetSegmenter

RESULT = RESULTS / "kinds.json"
KINDS = ("fluorescence", "stained", "phase")
STEPS = {model: PLANS[model].steps // 4 for model in ("nuclei", "cells")}  # of the models of other folds
Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the segmenters on a fold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, help="folder for the models of other folds than 0")
    parser.add_argument("--fold", type=int, choices=range(FOLDS), required=True)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--more", type=Path, default=get_default_more())
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--pictures", action="store_true")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = find_models(options)
    rows = [row for kind in KINDS for row in score_kind(kind, folder, options)]
    record = json.loads(options.out.read_text()) if options.out.exists() else {"rows": []}
    kept = [row for row in record["rows"] if row["fold"] != options.fold]
    record = {
        **describe_run(),
        "rows": sorted([*kept, *rows], key=lambda row: (row["kind"], row["method"], row["name"])),
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(format_kind_rows(record["rows"]))
    if options.pictures:
        for kind in KINDS:
            draw_kind(kind, rows, folder, options)
    return 0


def find_models(options: argparse.Namespace) -> Path:
    """Return the folder of the models of a fold: the shipped ones, or others, which are trained if they are missing."""
    if options.fold == SHIPPED_FOLD:
        return WEIGHTS
    if options.work is None:
        msg = "give a folder for the models of this fold: --work FOLDER"
        raise SystemExit(msg)
    folder: Path = options.work / f"fold{options.fold}"
    for model, steps in STEPS.items():
        train(model, folder / f"unet_{model}", argparse.Namespace(**vars(options), without=None, steps=steps))
    return folder


def score_kind(kind: str, weights: Path, options: argparse.Namespace) -> list[Row]:
    """Return a row for each image of a kind and each method."""
    return [
        {"kind": kind, "method": method, "fold": options.fold, **score_image(image, method, weights)}
        for image in split_fold(list_images(options.more, kind), options.fold)[1]
        for method in ("threshold", "unet")
    ]


def score_image(image: KindImage, method: str, weights: Path) -> Row:
    """Return scores of a segmenter without options on an image."""
    pixels, truth = image.read()
    segmenter: Any = HeldOut(weights) if method == "unet" else load_segmenter(method)
    start = time.perf_counter()
    found = segment_image(segmenter, pixels)
    seconds = time.perf_counter() - start
    counts = compare_labels(found, truth)
    diameter, estimate = measure_mean_diameter(truth), getattr(segmenter, "estimated_diameter", None)
    return {
        "name": image.name,
        "cells": counts.truth_cells,
        "found": counts.result_cells,
        "f1": round(counts.f1, 4),
        "ap": round(counts.mean_ap, 4),
        "diameter": None if diameter is None else round(diameter, 1),
        "estimate": None if estimate is None else round(float(estimate), 1),
        "seconds": round(seconds, 3),
    }


def segment_image(segmenter: Any, pixels: np.ndarray) -> np.ndarray:
    """Return the labels of an image that is not of a movie."""
    if hasattr(segmenter, "prepare"):
        segmenter.prepare([pixels])
    return np.asarray(segmenter.segment(pixels))


class HeldOut(UNetSegmenter):
    """The segmenter ``unet`` with other weights than the shipped ones.

    Parameters
    ----------
    weights : Path
        Folder with ``unet_nuclei`` and ``unet_cells``.
    """

    def __init__(self, weights: Path) -> None:
        self.weights = weights  # type: ignore[misc]
        super().__init__()


def draw_kind(kind: str, rows: Sequence[Row], weights: Path, options: argparse.Namespace) -> None:
    """Draw the best, the median and the worst result of a kind: right, missed and wrong cells."""
    scored = sorted((row for row in rows if (row["kind"], row["method"]) == (kind, "unet")), key=lambda row: row["f1"])
    chosen = [scored[-1], scored[len(scored) // 2], scored[0]]
    images = {image.name: image for image in list_images(options.more, kind)}
    figure = Figure(figsize=(10, 3.7), layout="constrained")
    for axes, row, which in zip(figure.subplots(1, 3), chosen, ("best", "median", "worst"), strict=True):
        pixels, truth = images[row["name"]].read()
        draw_judged(axes, pixels, truth, segment_image(HeldOut(weights), pixels))
        axes.set_title(f"{which}: F1 {row['f1']:.2f}, {row['cells']} cells", fontsize=9)
    save_figure(figure, REPOSITORY / "docs" / "pictures" / f"{kind}.png")


def draw_judged(axes: Any, pixels: np.ndarray, truth: np.ndarray, found: np.ndarray) -> None:
    """Draw outlines on an image: found cells in green if right and in red if wrong, missed cells in yellow."""
    low, high = np.percentile(pixels, (0.5, 99.8))
    axes.imshow(pixels, cmap="gray", vmin=low, vmax=max(high, low + 1), interpolation="nearest")
    right, hit = match_cells(truth, found)
    for labels, known, colours in ((found, right, ("lime", "red")), (truth, hit, (None, "yellow"))):
        for good, colour in zip((True, False), colours, strict=True):
            shown = np.where(np.isin(labels, sorted(known)) == good, labels, 0)
            if colour and shown.any():
                axes.contour(shown > 0, levels=[0.5], colors=colour, linewidths=0.7)
                inner = find_boundaries(shown, mode="inner") & ~find_boundaries(shown > 0, mode="inner")
                axes.contour(inner, levels=[0.5], colors=colour, linewidths=0.4)
    axes.set_axis_off()


def match_cells(truth: np.ndarray, found: np.ndarray) -> tuple[set[int], set[int]]:
    """Return the found cells that share an IoU above 0.5 with a true cell, and these true cells."""
    pairs = find_overlaps(found, truth)
    good = pairs.of_cells & (pairs.iou > 0.5)
    return set(pairs.result[good].tolist()), set(pairs.truth[good].tolist())


if __name__ == "__main__":
    sys.exit(main())
