"""Volumes that do not fit into memory: time and memory of ``gnntrack track`` and ``gnntrack detect``.

``python benchmarks/large_frames.py`` writes ``results/large_frames.json``, and its table as Markdown. A movie of two
volumes of 1024 x 1024 x 1024 voxels, 2.1 GB each, is written as OME-Zarr in chunks of 16 planes, with its masks: a
simulated volume of 64 x 256 x 256 voxels, repeated as in a mirror, so that cells cross the chunks. Each command is a
fresh process, whose peak memory is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from record import RESULTS, describe_run, format_circumstances, format_table, write_record

from gnntrack.pipeline import simulate

HERE = Path(__file__).resolve().parent
PLANES = 16  # of a chunk
SPACING = (1.0, 0.5, 0.5)


def main() -> None:
    args = _parse_arguments()
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        work = Path(folder)
        counts = write_movie(work, args.frames, args.times)
        images, masks = str(work / "images.zarr"), str(work / "masks.zarr")
        commands = {
            "track, masks alone": ["track", "--masks", masks],
            "track, images and masks": ["track", images, masks],
            "detect": ["detect", images, "--detector", "dog"],
            "track --detector dog": ["track", images, "--detector", "dog"],
        }
        record: dict[str, Any] = {**describe_run(), **counts, "rows": []}
        for name, words in commands.items():
            out = work / ("points.csv" if name == "detect" else f"out{len(record['rows'])}")
            record["rows"].append({"command": name, **run_alone([*words, "-o", str(out)])})
            print(record["rows"][-1], flush=True)
            write_record(args.out, record, format_markdown(record))
    print(format_markdown(record))


def write_movie(work: Path, frames: int, times: int) -> dict[str, Any]:
    """Write images and masks as OME-Zarr, slab by slab."""
    small = simulate(frames=frames, cells=10, shape=(64, 256, 256), spacing=SPACING, clustering=0.1, seed=11)
    shape = (64 * 4 * times, 256 * times, 256 * times)
    step = int(small.lineage.cells.label.max()) + 1
    arrays = {
        name: _open_array(work / f"{name}.zarr", (frames, *shape), dtype)
        for name, dtype in (("images", np.uint16), ("masks", np.uint16))
    }
    for t in range(frames):
        grey, labels = np.asarray(small.images[t]), np.asarray(small.masks[t])
        for layer in range(4 * times):
            place = slice(64 * layer, 64 * (layer + 1))
            if layer < 2:
                arrays["images"][t, place] = _repeat(grey, layer, times, 0)
            else:
                _link_chunks(work / "images.zarr" / "0" / "c" / str(t), layer)
            arrays["masks"][t, place] = _repeat(labels.astype(np.uint16), layer, times, step)
    cells = len(small.lineage.cells) * 4 * times**3
    return {"frames": frames, "shape": list(shape), "bytes_of_a_frame": 2 * int(np.prod(shape)), "cells": cells}


def _link_chunks(folder: Path, layer: int) -> None:
    """Use the chunks of the first or second layer of images again, without another copy on the disk."""
    for number in range(64 // PLANES):
        known, new = (folder / str(64 // PLANES * each + number) for each in (layer % 2, layer))
        for file in known.rglob("*"):
            if file.is_file():
                place = new / file.relative_to(known)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.hardlink_to(file)


def _repeat(volume: np.ndarray, layer: int, times: int, step: int) -> np.ndarray:
    """Return a layer of volumes side by side, each the mirror of its neighbours; labels of each are new."""
    volume = volume[::-1] if layer % 2 else volume
    rows = []
    for y in range(times):
        row = [volume[:, :: -1 if y % 2 else 1, :: -1 if x % 2 else 1] for x in range(times)]
        new = [step * (x + times * (y + times * layer)) for x in range(times)]
        if step:
            row = [np.where(part > 0, part + np.uint16(add), np.uint16(0)) for part, add in zip(row, new, strict=True)]
        rows.append(np.concatenate(row, axis=2))
    return np.concatenate(rows, axis=1)


def _open_array(path: Path, shape: tuple[int, ...], dtype: type) -> Any:
    group = zarr.open_group(path, mode="w", zarr_format=3)
    axes = [{"name": "t", "type": "time"}]
    axes += [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, *SPACING]}]
    image = {"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}
    group.attrs["ome"] = {"version": "0.5", "multiscales": [image]}
    return group.create_array("0", shape=shape, chunks=(1, PLANES, *shape[2:]), dtype=dtype)


def run_alone(words: list[str]) -> dict[str, float]:
    """Return seconds, processor seconds and peak memory of a command in a fresh process."""
    command = [sys.executable, str(HERE / "measured.py"), sys.executable, "-m", "gnntrack", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    used: dict[str, float] = json.loads(done.stdout)
    return used


def format_markdown(record: dict[str, Any]) -> str:
    """Return the table of a record with its circumstances."""
    rows = [
        (row["command"], f"{row['seconds']:.0f}", f"{row['cpu_seconds']:.0f}", f"{row['peak_mb']:.0f}")
        for row in record["rows"]
    ]
    size = " x ".join(map(str, record["shape"]))
    about = (
        f"{record['frames']} volumes of {size} voxels, {record['bytes_of_a_frame'] / 1e9:.1f} GB each, with "
        f"{record['cells']} cells in all, as OME-Zarr in chunks of {PLANES} planes."
    )
    about += f" {record['note']}" if "note" in record else ""
    table = format_table(("command", "seconds", "processor, s", "peak memory, MB"), rows)
    return "\n\n".join(["# Volumes that do not fit into memory", format_circumstances(record), about, table])


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=2)
    parser.add_argument("--times", type=int, default=4, help="copies along y and x; four times as many along z")
    parser.add_argument("--work", type=Path, help="folder for the movie (1 GB); default: that of temporary files")
    parser.add_argument("--out", type=Path, default=RESULTS / "large_frames.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()
