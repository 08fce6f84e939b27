"""Ascidian embryos as masks of balls, tracked by an earlier revision that knew no points.

``python benchmarks/ball_masks.py --base REVISION`` draws a ball for each point, one mask voxel for 8 source voxels,
tracks the masks with the code of the revision, and scores its links between the points: ``results/ball_masks.json``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from point_scores import score_result
from points_data import EMBRYOS, Numbers, Rows, get_default_folder, read_ascidian_truth
from record import REPOSITORY, RESULTS, describe_run, format_circumstances, format_table, write_record

from gnntrack.types import PointGraph

VOXEL = 8  # source voxels
METHODS = ("hungarian", "gnn")


def draw_balls(points: Numbers, radius: Numbers, shape: tuple[int, ...]) -> Any:
    """Return a volume in which the ball of each point (N, 3) has its number, from 1; the nearest, in radii, wins."""
    volume, nearest = np.zeros(shape, np.uint16), np.full(shape, 1.0)
    for number, (centre, size) in enumerate(zip(points / VOXEL, radius / VOXEL, strict=True), 1):
        low = np.maximum(np.floor(centre - size).astype(int), 0)
        high = np.minimum(np.ceil(centre + size).astype(int) + 1, shape)
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        grids = np.ogrid[box]
        distance = np.sqrt(sum((grid - c) ** 2 for grid, c in zip(grids, centre, strict=True))) / size
        mine = distance < nearest[box]
        nearest[box][mine] = distance[mine]
        volume[box][mine] = number
    return volume


def track_balls(tree: Path, points: Numbers, radius: Numbers, method: str, work: Path) -> tuple[Rows, int]:
    """Return the links (L, 2) between points (N, 4) that a revision finds, and the number of points without a mask."""
    masks, result = work / "01_ERR_SEG", work / "01_RES"
    masks.mkdir()
    shape = tuple(int(high // VOXEL) + 8 for high in (points[:, 1:] + radius[:, None]).max(axis=0))
    rng = np.random.default_rng(0)
    label = np.zeros(len(points), np.int64)
    for frame in range(int(points[:, 0].max()) + 1):
        rows = rng.permutation(np.flatnonzero(points[:, 0] == frame))
        label[rows] = np.arange(1, len(rows) + 1)
        volume = draw_balls(points[rows, 1:], radius[rows], shape)
        tifffile.imwrite(masks / f"mask{frame:03d}.tif", volume, compression="zlib")
    command = [sys.executable, "-m", "gnntrack", "track", "--masks", masks, "-o", result, "--method", method]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=environment, cwd=tree)
    return _read_links(masks, result, points, label)


def _read_links(masks: Path, result: Path, points: Numbers, label: Rows) -> tuple[Rows, int]:
    """Return the links between points whose masks the tracks of a result cover."""
    row_of: dict[tuple[int, int], int] = {}
    lost = 0
    for frame, file in enumerate(sorted(masks.glob("*.tif"))):
        given, found = tifffile.imread(file), tifffile.imread(result / file.name)
        for row in np.flatnonzero(points[:, 0] == frame).tolist():
            counts = np.bincount(found[given == label[row]], minlength=1)
            counts[0] = 0
            if counts.any():
                row_of[int(counts.argmax()), frame] = row
            else:
                lost += 1
    links = []
    for track, begin, end, parent in np.loadtxt(result / "res_track.txt", dtype=np.int64, ndmin=2).tolist():
        rows = [row_of[track, frame] for frame in range(begin, end + 1) if (track, frame) in row_of]
        links += pairwise(rows)
        last = [row for (other, _), row in row_of.items() if other == parent]
        if parent and last and rows:
            links.append((max(last, key=lambda row: points[row, 0]), rows[0]))
    return np.array(links, np.int64).reshape(-1, 2), lost


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--base", default="44befc4", help="revision, default: the last one before points")
    parser.add_argument("--data", type=Path, default=get_default_folder(), help="folder of the real points")
    parser.add_argument("--steps", default="1,2,4")
    parser.add_argument("--methods", default=METHODS[0])
    parser.add_argument("--out", type=Path, default=RESULTS / "ball_masks.json")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as temporary:
        tree = extract_revision(args.base, Path(temporary))
        for embryo in EMBRYOS:
            for step in map(int, args.steps.split(",")):
                for method in args.methods.split(","):
                    work = Path(temporary) / f"{embryo}-{step}-{method}"
                    work.mkdir()
                    row = {"embryo": embryo, "step": step, "method": method}
                    rows.append({**row, **measure(tree, args.data, embryo, step, method, work)})
                    print(json.dumps(rows[-1]), flush=True)
                    record = {**describe_run(), "base": args.base, "rows": rows}
                    write_record(args.out, record, format_markdown(record))


def measure(tree: Path, data: Path, embryo: str, step: int, method: str, work: Path) -> dict[str, Any]:
    """Return the scores of an embryo as masks of balls."""
    points, radius, truth = read_ascidian_truth(data, embryo, step)
    links, lost = track_balls(tree, points, radius, method, work)
    result = PointGraph(truth.id, truth.frame, truth.position, *links.T, truth.spacing, n_frames=truth.n_frames)
    return {**score_result(result, truth, float(np.median(radius)) / 2), "points_without_mask": lost}


def extract_revision(revision: str, folder: Path) -> Path:
    """Return the folder of the code of a revision."""
    command = ["git", "-C", str(REPOSITORY), "archive", "--format=tar", revision]
    packed = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder / "tree", filter="data")
    return folder / "tree"


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of a record."""
    lines = [
        [
            f"{row['embryo']}, every {row['step']}, `{row['method']}`",
            f"{row['J']:.4f}",
            f"{row['error']:.5f}",
            "/".join(map(str, row["edges"])),
            "/".join(map(str, row["divisions"])),
        ]
        for row in record["rows"]
    ]
    head = ["embryo", "J", "error of links", "links", "divisions"]
    about = f"Masks of balls, tracked by revision {record['base']}."
    return "\n\n".join(
        ["# Ascidian embryos as masks of balls", format_circumstances(record), about, format_table(head, lines)]
    )


if __name__ == "__main__":
    main()
