"""Tiny movies on disk, with a lineage that can be read off the drawing.

::

    frame   0    1    2    3    4    5
    track 1 o----o----o----o----o----o        moves right
    track 2 o----o----o                       moves down and divides
                       \\--o----o----o         one daughter goes left
                        \\-o----o----o         the other right
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

SHAPE = (96, 96)
N_FRAMES = 6
N_CELLS = 15


def disk(mask: np.ndarray, y: float, x: float, radius: float, value: int) -> None:
    grid_y, grid_x = np.indices(mask.shape)
    mask[(grid_y - y) ** 2 + (grid_x - x) ** 2 <= radius**2] = value


def dividing_masks(*, shuffled: bool = True) -> np.ndarray:
    """Return (6, 96, 96) masks; labels of a frame are in any order and far apart."""
    random = np.random.default_rng(7)
    masks = np.zeros((N_FRAMES, *SHAPE), np.uint16)
    for frame, mask in enumerate(masks):
        circles = [(20, 20 + 4 * frame, 8)]
        if frame < 3:
            circles.append((50 + 3 * frame, 50, 9))
        else:
            circles += [(58 + frame, 50 - 7 - 2 * (frame - 3), 6.5), (58 + frame, 50 + 7 + 2 * (frame - 3), 6.5)]
        labels = 10 * (1 + (random.permutation(len(circles)) if shuffled else np.arange(len(circles))))
        for circle, label in zip(circles, labels, strict=True):
            disk(mask, *circle, label)
    return masks


def images_of(masks: np.ndarray) -> np.ndarray:
    """Return 16-bit images: bright cells on a dark, noisy background."""
    noise = np.random.default_rng(3).normal(0, 4, masks.shape)
    return np.clip(200 + 800 * (masks > 0) + noise, 0, 65535).astype(np.uint16)


def write_folder(folder: Path, frames: np.ndarray, *, prefix: str = "t") -> Path:
    """Write a TIFF per frame."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        tifffile.imwrite(folder / f"{prefix}{number:03d}.tif", frame, compression="zlib")
    return folder


def write_truth(folder: Path) -> Path:
    """Write the truth of ``dividing_masks`` as ``01_GT``."""
    plain = dividing_masks(shuffled=False) // 10
    truth = np.zeros_like(plain)
    for frame, mask in enumerate(plain):
        truth[frame] = mask if frame < 3 else np.choose(mask, [0, 1, 3, 4])
    write_folder(folder / "TRA", truth, prefix="man_track")
    (folder / "TRA" / "man_track.txt").write_text("1 0 5 0\n2 0 2 0\n3 3 5 2\n4 3 5 2\n", encoding="utf-8")
    return folder


def compute_ious(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the IoU of each true cell 1..n with the cell that covers most of it, 0 if that is the background."""
    ious = []
    for cell in range(1, truth.max() + 1):
        mask = truth == cell
        best = np.bincount(labels[mask]).argmax()
        ious.append(0.0 if best == 0 else (mask & (labels == best)).sum() / (mask | (labels == best)).sum())
    return np.array(ious)
