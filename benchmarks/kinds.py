"""Segmentation by kind of microscopy, on images that were kept out of the training, with no option given.

``python benchmarks/kinds.py --work FOLDER --fold N`` trains the general model of `general_segmenter.py` without a
fifth of the images, unless they are in the folder, and scores the segmenters on that fifth. Rows of other folds that
exist in ``results/kinds.json`` are kept. The table has the means over all images of all folds that were measured.

F1 is that of the cells at an IoU of 0.5, AP the mean of TP / (TP + FP + FN) over IoU 0.5, 0.55, ..., 0.9, both as means
over images. *Size* is the fraction of images whose estimated cell diameter is within 25 % of the true one.
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
from general_segmenter import train
from kind_images import FOLDS, KindImage, get_default_more, list_images, split_fold
from record import RESULTS, describe_run, get_default_data

from gnntrack.evaluate.counts import compare_labels
from gnntrack.segmentation.registry import load_segmenter
from segmenters.dense.targets import measure_mean_diameter
from segmenters.unet import UNetSegmenter

RESULT = RESULTS / "kinds.json"
KINDS = ("fluorescence", "stained")
MODELS = ("nuclei",)
Row = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Score the segmenters on a fold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fold", type=int, choices=range(FOLDS), required=True)
    parser.add_argument("--data", type=Path, default=get_default_data())
    parser.add_argument("--more", type=Path, default=get_default_more())
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = options.work / f"fold{options.fold}"
    for model in MODELS:
        if not (folder / f"unet_{model}" / "learning_curve.png").exists():
            train(model, folder / f"unet_{model}", argparse.Namespace(**vars(options), steps=None, resume=False))
    rows = [row for kind in KINDS for row in score_kind(kind, folder, options)]
    record = json.loads(options.out.read_text()) if options.out.exists() else {"rows": []}
    kept = [row for row in record["rows"] if row["fold"] != options.fold]
    record = {
        **describe_run(),
        "rows": sorted([*kept, *rows], key=lambda row: (row["kind"], row["method"], row["name"])),
    }
    options.out.write_text(json.dumps(record, indent=1) + "\n")
    print(format_table(record["rows"]))
    return 0


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
    if hasattr(segmenter, "prepare"):
        segmenter.prepare([pixels])
    found = np.asarray(segmenter.segment(pixels))
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


def format_table(rows: Sequence[Row]) -> str:
    """Return the means by kind and method as a Markdown table."""
    lines = ["| kind | method | images | F1 | AP | size |", "|---|---|---:|---:|---:|---:|"]
    for kind in KINDS:
        for method in ("threshold", "unet"):
            some = [row for row in rows if row["kind"] == kind and row["method"] == method]
            if some:
                f1, ap = (np.mean([row[key] for row in some]) for key in ("f1", "ap"))
                lines.append(f"| {kind} | {method} | {len(some)} | {f1:.3f} | {ap:.3f} | {format_size(some)} |")
    return "\n".join(lines)


def format_size(rows: Sequence[Row]) -> str:
    """Return the fraction of images whose estimated diameter is within 25 %."""
    ratios = [row["estimate"] / row["diameter"] for row in rows if row["estimate"] and row["diameter"]]
    return f"{np.mean(np.abs(np.log(ratios)) < np.log(1.25)):.2f}" if ratios else "-"


if __name__ == "__main__":
    sys.exit(main())
