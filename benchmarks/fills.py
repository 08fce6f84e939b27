"""Masks that are filled in gaps: how much they overlap with the masks that were there, with and without the image.

    python benchmarks/fills.py [--data FOLDER] [--frames 100] [--only TEXT]

3 % of the masks of real and simulated movies are dropped. Each movie is tracked twice by the method ``hungarian``: with
the setting ``repair.use_images``, and without it. A filled mask is compared with the dropped one that it covers most.
The masks of the other cells are those of the movie, so that the metrics against the ground truth differ by fills alone.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from perturbed import shuffle_labels, write_frames
from record import (
    RESULTS,
    describe_run,
    format_circumstances,
    format_table,
    get_default_data,
    read_rows,
    replace_row,
    write_record,
)

import gnntrack
from gnntrack.errors import GnntrackWarning
from gnntrack.io.frames import open_masks
from gnntrack.simulate.movie import write_movie
from gnntrack.training.sequences import TrainingSequence, find_sequences

DROPPED = 0.03
SEED = 20261130
SIMULATED = ("cells", "colony", "sheet", "epithelium", "amoeboid", "sparse")
SEEDS = (100, 101)
METRICS = ("SEG", "TRA", "CHOTA")


def find_movies(data: Path, frames: int, folder: Path, only: str) -> Iterator[tuple[str, TrainingSequence]]:
    """Yield the name of each movie, and the first of its frames."""
    for sequence in find_sequences(data):
        if sequence.images is not None and only in sequence.name:
            longer = len(list(sequence.masks.glob("*.tif"))) > frames
            yield sequence.name, write_frames(sequence, folder / "cut", range(frames)) if longer else sequence
    for kind in SIMULATED:
        for seed in SEEDS:
            name = f"{kind} {seed}"
            if only not in name:
                continue
            write_movie(gnntrack.simulate(kind=kind, seed=seed), folder / name)
            yield name, find_sequences(folder / name)[0]


def drop_masks(sequence: TrainingSequence, out: Path) -> list[tuple[int, np.ndarray]]:
    """Write the masks of a movie without some, labels shuffled; return frame and pixels of each of these."""
    rng, dropped = np.random.default_rng(SEED), []
    out.mkdir(parents=True)
    files = sorted(sequence.masks.glob("*.tif"))
    for t, file in enumerate(files):
        mask = tifffile.imread(file)
        labels = np.unique(mask[mask > 0])
        lost = labels[rng.random(len(labels)) < DROPPED]
        dropped += [(t, np.flatnonzero(mask == label)) for label in lost.tolist()]
        kept = np.where(np.isin(mask, lost), 0, mask)
        tifffile.imwrite(out / f"mask{t:03d}.tif", shuffle_labels(kept, rng), compression="zlib")
    return dropped


def compare_fills(result: Path, dropped: list[tuple[int, np.ndarray]]) -> tuple[np.ndarray, int]:
    """Return the overlap of each dropped mask with the filled one that covers most of it, NaN for none.

    The second value is the number of masks that were found in the image.
    """
    repairs = gnntrack.load(result).to_pandas("repairs")
    filled = repairs[repairs.kind == "filled"] if len(repairs) else repairs
    drawn = {frame: set(rows.track) for frame, rows in filled.groupby("frame")}
    masks, overlaps = open_masks(result), np.full(len(dropped), np.nan)
    for i, (t, pixels) in enumerate(dropped):
        written = np.asarray(masks[t]).ravel()
        below = np.bincount(written[pixels])
        below[0] = 0
        track = int(below.argmax())
        if track in drawn.get(t, ()):
            overlaps[i] = below[track] / (len(pixels) + np.count_nonzero(written == track) - below[track])
    return overlaps, int(filled.reason.str.contains("found in the image").sum()) if len(filled) else 0


def measure(name: str, sequence: TrainingSequence, folder: Path) -> dict[str, Any]:
    """Return the overlaps and the metrics of a movie, with and without the image."""
    masks = folder / f"{sequence.number}_ERR_SEG"
    dropped = drop_masks(sequence, masks)
    row: dict[str, Any] = {"movie": name, "dropped": len(dropped)}
    overlaps = {}
    for key, use in (("shapes", False), ("image", True)):
        out = folder / key / f"{sequence.number}_RES"
        gnntrack.track(sequence.images, masks, out=out, use_images=use, pictures=False)
        overlaps[key], row["found"] = compare_fills(out, dropped)
        scores = gnntrack.evaluate(out, sequence.truth.parent)
        row |= {
            f"{metric}_{key}": round(float(scores[metric]), 6) for metric in METRICS if scores.get(metric) is not None
        }
    both = np.isfinite(overlaps["shapes"]) & np.isfinite(overlaps["image"])
    one, other = overlaps["shapes"][both], overlaps["image"][both]
    row["filled"] = int(both.sum())
    row |= {"iou_shapes": round(float(one.mean()), 4), "iou_image": round(float(other.mean()), 4)}
    return row | {"better": int((other > one + 0.1).sum()), "worse": int((other < one - 0.1).sum())}


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of all movies."""
    rows = []
    for row in record["rows"]:
        cells = [row["movie"], str(row["dropped"]), str(row["filled"]), str(row["found"])]
        cells += [f"{row[f'iou_{key}']:.3f}" for key in ("shapes", "image")] + [str(row["better"]), str(row["worse"])]
        for metric in METRICS:
            values = [row.get(f"{metric}_{key}") for key in ("shapes", "image")]
            cells.append("-" if None in values else f"{values[0]:.4f} / {values[1]:.4f}")
        rows.append(cells)
    filled = np.array([row["filled"] for row in record["rows"]])
    means = [np.average([row[f"iou_{key}"] for row in record["rows"]], weights=filled) for key in ("shapes", "image")]
    total = [str(sum(row[key] for row in record["rows"])) for key in ("dropped", "filled", "found", "better", "worse")]
    rows.append(["all masks", *total[:3], *(f"{mean:.3f}" for mean in means), *total[3:], *"-" * len(METRICS)])
    head = ["movie", "dropped", "filled", "in the image", "IoU shapes", "IoU image", "better", "worse", *METRICS]
    table = format_table(head, rows)
    return (
        f"# Masks filled in gaps\n\n{table}\n\n"
        "*Dropped*: masks that were removed (3 %); *filled*: those in whose place one was drawn both times; *in the "
        "image*: those found in the image. *IoU*: mean overlap (intersection over union) of the filled and the "
        "dropped masks, by the shapes in the frames around, and with the image; *better*, *worse*: masks for which it "
        f"differs by more than 0.1. Metrics: without / with the image.\n\n{format_circumstances(record)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of DATASET/NN, NN_GT and masks")
    parser.add_argument("--frames", type=int, default=100, help="of each real movie, default 100")
    parser.add_argument("--only", default="", help="movies whose name contains this, such as 'HeLa'; others are kept")
    parser.add_argument("--out", type=Path, default=RESULTS / "fills.json")
    args = parser.parse_args()
    warnings.simplefilter("ignore", GnntrackWarning)
    record: dict[str, Any] = {**describe_run(), "frames": args.frames, "rows": read_rows(args.out)}
    with tempfile.TemporaryDirectory() as folder:
        for name, sequence in find_movies(args.data, args.frames, Path(folder), args.only):
            row = measure(name, sequence, Path(folder, "versions", name))
            record["rows"] = sorted(replace_row(record["rows"], ["movie"], row), key=lambda each: each["movie"])
            print(row, flush=True)
            write_record(args.out, record, format_markdown(record))


if __name__ == "__main__":
    main()
