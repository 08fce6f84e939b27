"""Perturbed versions of real movies: the input of the trackers, with the labels shuffled in every frame.

Shuffled labels carry no information about the identity of a cell. Four kinds of version, from one seed:

* ``plain``: the given masks;
* ``complete``: the given masks, and the marker of each cell of the ground truth that has no mask of its own;
* ``hard``: 3 % of the cells dropped, 2 % merged with a near neighbour, 2 % split in two;
* ``skipN``: every N-th frame only, so that cells move and divide in larger steps.

A version is a folder in the layout of the Cell Tracking Challenge: ``01`` (links to the images), ``01_ERR_SEG`` (masks)
and ``01_GT`` (ground truth). They are written again in each run and deleted after it.

``python benchmarks/perturbed.py --same FOLDER FOLDER`` compares two versions; the exit code is 0 if they are equal.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from scipy import ndimage

from gnntrack.io.ctc_table import read_track_table
from gnntrack.masks.overlaps import find_overlaps
from gnntrack.training.corruption.movie import thin_tracks
from gnntrack.training.sequences import TrainingSequence, find_sequences

Mask = npt.NDArray[Any]

SEED = 20261122  # the figures of KOFT in koft.json were measured with this one
DROPPED, MERGED, SPLIT = 0.03, 0.02, 0.02
_SMALLEST_SPLIT = 10  # pixels; smaller cells are not split
_NEAR = 3  # largest distance in pixels between cells that may be merged


@dataclass(frozen=True)
class PerturbedMovie:
    """A perturbed version of a movie on disk."""

    masks: Path
    images: Path | None
    truth: Path
    frames: int


def write_perturbed(sequence: TrainingSequence, folder: Path, kind: str) -> PerturbedMovie:
    """Write one version of a sequence into a new folder."""
    rng = np.random.default_rng(SEED)
    step = int(kind.removeprefix("skip")) if kind.startswith("skip") else 1
    if step == 1 and kind not in ("plain", "complete", "hard"):
        sys.exit(f"unknown version '{kind}'; choose from: plain, complete, hard, skip2, skip3, ...")
    masks, images = folder / f"{sequence.number}_ERR_SEG", folder / sequence.number
    for each in (masks, images):
        each.mkdir(parents=True)
    files = sorted(sequence.masks.glob("*.tif"))[::step]
    markers = sorted(sequence.truth.glob("*.tif"))
    for t, file in enumerate(files):
        mask = tifffile.imread(file)
        if kind == "complete":
            mask = add_missing_cells(mask, tifffile.imread(markers[t]))
        if kind == "hard":
            mask = corrupt_mask(mask, rng)
        tifffile.imwrite(masks / f"mask{t:03d}.tif", shuffle_labels(mask, rng), compression="zlib")
    for t, file in enumerate(sorted(sequence.images.glob("*.tif"))[::step] if sequence.images else []):
        (images / f"t{t:03d}.tif").symlink_to(file.resolve())
    truth = folder / f"{sequence.number}_GT"
    if step == 1:
        truth.symlink_to(sequence.truth.parent.resolve())
    else:
        _write_thinned_truth(sequence.truth, truth / "TRA", step)
    return PerturbedMovie(masks, images if sequence.images else None, truth, len(files))


def write_frames(sequence: TrainingSequence, folder: Path, frames: range) -> TrainingSequence:
    """Write some frames of a sequence into a new folder, as a sequence: links to the files, a cut table."""
    masks, images = folder / f"{sequence.number}_ERR_SEG", folder / sequence.number
    truth = folder / f"{sequence.number}_GT" / "TRA"
    places = ((sequence.masks, masks, "mask"), (sequence.images, images, "t"), (sequence.truth, truth, "man_track"))
    for source, target, name in places:
        target.mkdir(parents=True)
        for t, file in enumerate(sorted(source.glob("*.tif"))[frames.start : frames.stop] if source else []):
            (target / f"{name}{t:03d}.tif").symlink_to(file.resolve())
    tracks = thin_tracks(read_track_table(sequence.truth / "man_track.txt"), frames)
    columns = tracks.id, tracks.start, tracks.end, tracks.parent
    lines = [" ".join(map(str, row)) + "\n" for row in zip(*(each.tolist() for each in columns), strict=True)]
    (truth / "man_track.txt").write_text("".join(lines), encoding="ascii")
    return replace(sequence, masks=masks, images=images if sequence.images else None, truth=truth)


def shuffle_labels(mask: Mask, rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Return the mask with the labels 1 to n in random order."""
    labels = np.unique(mask)
    labels = labels[labels > 0]
    new = np.zeros(int(mask.max()) + 1, np.uint16)
    new[labels] = rng.permutation(len(labels)) + 1
    return new[mask]


def add_missing_cells(mask: Mask, marker: Mask) -> Mask:
    """Return the mask with the marker of each cell of the ground truth that no mask covers, or that shares its mask."""
    pairs = find_overlaps(mask, marker)
    rows = np.argsort(pairs.area, kind="stable")
    rows = rows[pairs.covers[rows]]
    cell_of = dict(zip(pairs.result[rows].tolist(), pairs.truth[rows].tolist(), strict=True))  # the largest stays
    missing = np.setdiff1d(marker[marker > 0], list(cell_of.values()))
    out = mask.copy()
    for new, label in enumerate(missing.tolist(), start=int(mask.max()) + 1):
        out[marker == label] = new
    return out


def corrupt_mask(mask: Mask, rng: np.random.Generator) -> Mask:
    """Return the mask with the faults of a segmenter, drawn cell by cell."""
    out = mask.copy()
    boxes = {label: box for label, box in enumerate(ndimage.find_objects(mask), start=1) if box is not None}
    top = max(boxes, default=0)
    for (label, box), fate in zip(boxes.items(), rng.random(len(boxes)), strict=True):
        if fate < DROPPED:
            out[box][out[box] == label] = 0
        elif fate < DROPPED + MERGED:
            _merge(out, label, box)
        elif fate < DROPPED + MERGED + SPLIT and _split(out, label, box, top + 1):
            top += 1
    return out


def _merge(mask: Mask, label: int, box: tuple[slice, ...]) -> None:
    """Give the first near neighbour the cell's label."""
    around = mask[tuple(slice(max(side.start - _NEAR, 0), side.stop + _NEAR) for side in box)]
    near = np.unique(around[ndimage.binary_dilation(around == label, iterations=_NEAR)])
    others = near[(near > 0) & (near != label)]
    if len(others):
        mask[mask == others[0]] = label


def _split(mask: Mask, label: int, box: tuple[slice, ...], new: int) -> bool:
    """Cut the cell through its middle, across its longest axis."""
    pixels = np.argwhere(mask[box] == label)
    if len(pixels) <= _SMALLEST_SPLIT:
        return False
    offset = pixels - pixels.mean(axis=0)
    longest = np.linalg.svd(offset, full_matrices=False)[2][0]
    mask[box][tuple(pixels[offset @ longest > 0].T)] = new
    return True


def _write_thinned_truth(truth: Path, out: Path, step: int) -> None:
    """Write every step-th frame of a ground truth; the daughters of a track without any such frame get its parent."""
    out.mkdir(parents=True)
    parent_of = {label: parent for label, _, _, parent in _read_rows(truth / "man_track.txt")}
    seen: dict[int, list[int]] = {}
    for t, file in enumerate(sorted(truth.glob("*.tif"))[::step]):
        mask = tifffile.imread(file)
        for label in np.unique(mask[mask > 0]).tolist():
            seen.setdefault(label, []).append(t)
        tifffile.imwrite(out / f"man_track{t:03d}.tif", mask, compression="zlib")
    lines = []
    for label, frames in sorted(seen.items()):
        parent = parent_of[label]
        while parent and parent not in seen:
            parent = parent_of[parent]
        lines.append(f"{label} {frames[0]} {frames[-1]} {parent}\n")
    (out / "man_track.txt").write_text("".join(lines), encoding="ascii")


def _read_rows(table: Path) -> list[tuple[int, ...]]:
    lines = table.read_text(encoding="ascii").splitlines()
    return [tuple(int(word) for word in line.split()) for line in lines if line.strip()]


def find_differences(folder: Path, other: Path) -> Iterator[str]:
    """Yield the masks and tables of two versions that are not equal."""
    for home in sorted(folder.glob("*_*")):
        for file in sorted([*home.rglob("*.tif"), *home.rglob("man_track.txt")]):
            if re.search("SEG/man_seg", file.as_posix()):
                continue
            version = other / file.relative_to(folder)
            same = version.exists() and (
                np.array_equal(tifffile.imread(file), tifffile.imread(version))
                if file.suffix == ".tif"
                else _read_rows(file) == _read_rows(version)
            )
            if not same:
                yield f"{file} differs from {version}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="+", type=Path, help="DATA OUT, or two versions with --same")
    parser.add_argument("--kinds", default="plain,hard,skip2")
    parser.add_argument("--only", default="", help="sequences whose name contains this")
    parser.add_argument("--same", action="store_true")
    args = parser.parse_args()
    first, second = args.folder
    if args.same:
        sys.exit("\n".join(find_differences(first, second)) or 0)
    for sequence in find_sequences(first):
        for kind in args.kinds.split(",") if args.only in sequence.name else ():
            version = write_perturbed(sequence, second / f"{sequence.dataset}-{kind}", kind)
            print(f"{sequence.name} {kind}: {version.frames} frames", flush=True)


if __name__ == "__main__":
    main()
