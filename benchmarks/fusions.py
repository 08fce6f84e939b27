"""Fusions that are found in simulated movies, and false ones in true masks.

    python benchmarks/fusions.py [--data FOLDER] [--only TEXT]

Simulated discs and balls move at random. In each movie two pairs come near each other and become one cell for good, and
a third pair has one mask for 9 frames, longer than masks are cut for, and parts again: that is not a fusion. Labels
are shuffled in every frame. True masks of real movies have no fusions, so that each one that is found there is false.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from perturbed import shuffle_labels
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

FRAMES, CELLS, RADIUS = 30, 12, 8.0
SHAPES = {"discs": (220, 220), "balls": (48, 130, 130)}
SEEDS = {"discs": range(20), "balls": range(8)}
MERGED = 9  # frames for which a pair has one mask and then parts
TRUE_MASKS = (
    "Fluo-N2DH-SIM+/01_GT/SEG",
    "Fluo-N2DL-HeLa/01_ST/SEG",
    "Fluo-N2DH-GOWT1/01_ST_HYBRID",
    "Fluo-C2DL-MSC/01_ST_HYBRID",
    "PhC-C2DL-PSC/01_ST/SEG",
)


class Pair(NamedTuple):
    """Two cells that have one mask for some frames."""

    one: int
    other: int
    first: int
    stop: int
    """Frame in which they have two masks again; `FRAMES` for a fusion."""


class SimulatedFusions(NamedTuple):
    """Masks, and the true fusions."""

    masks: np.ndarray
    fusions: dict[tuple[int, int], set[tuple[int, int]]]
    """Frame and label of each common mask -> frame and label of both cells before."""


def place_cells(rng: np.random.Generator, kind: str) -> np.ndarray:
    """Return centres that are apart."""
    shape, centres = np.array(SHAPES[kind]), np.zeros((0, len(SHAPES[kind])))
    low = np.minimum(2 * RADIUS, shape / 2 - RADIUS / 2)
    while len(centres) < CELLS:
        centre = rng.uniform(low, shape - low)
        if (np.linalg.norm(centres - centre, axis=1) > 2.6 * RADIUS).all():
            centres = np.vstack([centres, centre])
    return centres


def choose_pairs(rng: np.random.Generator, centres: np.ndarray) -> list[Pair]:
    """Return two pairs of near cells that fuse, and one that parts again."""
    distance = np.linalg.norm(centres[:, None] - centres, axis=2)
    near = sorted((distance[i, j], i, j) for i in range(CELLS) for j in range(i + 1, CELLS))
    pairs: list[Pair] = []
    for _, i, j in near:
        if len(pairs) < 3 and not {i, j} & {each for pair in pairs for each in pair[:2]}:
            first = int(rng.integers(7, FRAMES - 10)) if len(pairs) < 2 else int(rng.integers(6, 10))
            pairs.append(Pair(i, j, first, FRAMES if len(pairs) < 2 else first + MERGED))
    return pairs


def move_pair(centres: np.ndarray, radius: np.ndarray, pair: Pair, frame: int) -> None:
    """Move the cells of a pair so that they touch when they get one mask, and when they part."""
    gap = centres[pair.other] - centres[pair.one]
    distance, touch = float(np.linalg.norm(gap)), float(radius[[pair.one, pair.other]].sum())
    wanted, left = 1.04 * touch, max(pair.first - frame, 1)
    if pair.first <= frame < pair.stop:
        wanted = touch * max(0.6, 0.97 - 0.08 * min(frame - pair.first, pair.stop - 1 - frame))
    elif frame >= pair.stop:
        wanted = touch * (1.04 + 0.1 * (frame - pair.stop))
    step = (distance - wanted) / left / 2 * gap / distance
    centres[pair.one] += step
    centres[pair.other] -= step


def simulate_fusions(kind: str, seed: int) -> SimulatedFusions:
    """Return a simulated movie."""
    rng = np.random.default_rng([seed, len(SHAPES[kind])])
    centres, radius = place_cells(rng, kind), rng.uniform(0.85, 1.15, CELLS) * RADIUS
    pairs, velocity = choose_pairs(rng, centres), rng.normal(0, 0.5, centres.shape)
    grid = np.stack(np.indices(SHAPES[kind]), -1)
    masks = np.zeros((FRAMES, *SHAPES[kind]), np.uint16)
    fusions: dict[tuple[int, int], set[tuple[int, int]]] = {}
    previous = np.zeros(CELLS, np.int64)  # labels of the frame before
    for frame in range(FRAMES):
        for pair in pairs:
            move_pair(centres, radius, pair, frame)
        velocity = 0.8 * velocity + rng.normal(0, 0.3, centres.shape)
        for pair in pairs:
            velocity[[pair.one, pair.other]] = velocity[[pair.one, pair.other]].mean(axis=0)
        centres = np.clip(centres + velocity, radius[:, None] + 1, np.array(SHAPES[kind]) - radius[:, None] - 2)
        label, swollen = rng.permutation(CELLS) + 1, np.ones(CELLS)
        for pair in pairs:
            if pair.first <= frame < pair.stop:  # overlapping discs keep the sum of their sizes
                label[pair.other] = label[pair.one]
                swollen[[pair.one, pair.other]] = 1.12
            if frame == pair.first and pair.stop == FRAMES:
                before = {(frame - 1, int(previous[each])) for each in pair[:2]}
                fusions[frame, int(label[pair.one])] = before
        nearest = np.full(SHAPES[kind], 1.0)
        for cell in range(CELLS):
            reach = radius[cell] * swollen[cell] * rng.uniform(0.98, 1.02)
            box = tuple(slice(max(int(x - reach), 0), int(x + reach) + 2) for x in centres[cell])
            depth = np.linalg.norm(grid[box] - centres[cell], axis=-1) / reach
            masks[frame][box][depth < nearest[box]] = label[cell]
            nearest[box] = np.minimum(nearest[box], depth)
        previous = label
    return SimulatedFusions(masks, fusions)


def measure_simulated(kind: str, seeds: range) -> dict[str, Any]:
    """Return the numbers of true fusions, of those that are found, and of false ones."""
    row = {"movie": f"simulated {kind}", "movies": len(seeds), "cells": 0, "fusions": 0, "found": 0, "false": 0}
    for seed in seeds:
        movie = simulate_fusions(kind, seed)
        lineage = gnntrack.track(masks=movie.masks)
        cells = list(zip(lineage.cells.frame.tolist(), lineage.cells.label.tolist(), strict=True))
        right = sum(cells[one] in movie.fusions.get(cells[other], ()) for one, other in lineage.fusions)
        row["cells"] += len(cells)
        row["fusions"] += len(movie.fusions)
        row["found"] += right
        row["false"] += len(lineage.fusions) - right
    return row


def measure_true_masks(name: str, folder: Path) -> dict[str, Any]:
    """Return the number of fusions in masks that have none."""
    masks, rng = open_masks(folder), np.random.default_rng(0)
    shuffled = np.stack([shuffle_labels(np.asarray(masks[frame]), rng) for frame in range(len(masks))])
    lineage = gnntrack.track(masks=shuffled)
    false = len(lineage.fusions)
    return {"movie": name, "movies": 1, "cells": len(lineage.cells), "fusions": 0, "found": 0, "false": false}


def measure(data: Path, only: str) -> Iterator[dict[str, Any]]:
    """Yield a row per kind of simulated movie, and per real movie."""
    for kind, seeds in SEEDS.items():
        if only in kind:
            yield measure_simulated(kind, seeds)
    for path in TRUE_MASKS:
        if only in path and (data / path).is_dir():
            yield measure_true_masks(" ".join(path.split("/")[:2]), data / path)


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table."""
    names = ("movie", "movies", "cells", "fusions", "found", "false")
    table = format_table(list(names), [[str(row[name]) for name in names] for row in record["rows"]])
    return (
        f"# Fusions\n\n{table}\n\n"
        "*Fusions*: true ones; *found*: those with the right cells and frame; *false*: others. In each simulated movie "
        f"two pairs fuse and a third one has one mask for {MERGED} frames. True masks of real movies have no fusion.\n"
        "\n"
        f"{format_circumstances(record)}\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=get_default_data(), help="folder of the real movies")
    parser.add_argument("--only", default="", help="movies whose name contains this; others are kept")
    parser.add_argument("--out", type=Path, default=RESULTS / "fusions.json")
    args = parser.parse_args()
    warnings.simplefilter("ignore", GnntrackWarning)
    record: dict[str, Any] = {**describe_run(), "rows": read_rows(args.out) if args.only else []}
    for row in measure(args.data, args.only):
        record["rows"] = replace_row(record["rows"], ["movie"], row)
        print(row, flush=True)
        write_record(args.out, record, format_markdown(record))


if __name__ == "__main__":
    main()
