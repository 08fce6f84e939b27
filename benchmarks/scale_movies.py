"""Simulated movies of any number of cells for `scale.py`: moving, dividing nuclei as points and masks, with truth.

Nuclei move by steps that persist, push each other apart, divide, die, and leave at one side of a square; as many enter
at the other side. Detections miss some of them, have noise, and are joined by false ones. A frame is simulated at a
time, so that the memory does not grow with the number of frames but for the truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

SHAPES = {10_000: 100, 100_000: 200, 1_000_000: 500, 10_000_000: 1000}  # frames of a movie with this number of cells
GROWTH = 30
"""Frames until a daughter is as large as its mother."""
_SMALL = 0.75  # radius of a daughter at first
_TIFF: dict[str, Any] = {"compression": "zlib", "compressionargs": {"level": 1}}


@dataclass(frozen=True)
class Nuclei:
    """Lengths in pixels and rates of a simulated movie.

    Parameters
    ----------
    cells : int
        Cells in all frames together, about.
    frames : int
        Number of frames.
    """

    cells: int
    frames: int
    pitch: float = 16.0  # square root of the area per nucleus
    diameter: float = 9.0  # within which nuclei push each other
    speed: float = 1.5  # standard deviation of a step along each axis
    persistence: float = 0.5  # correlation of a step with the next
    divisions: float = 0.004  # per nucleus and frame
    deaths: float = 0.003
    missed: float = 0.03  # share of the nuclei that are not detected
    false: float = 0.02  # false detections per nucleus
    noise: float = 0.4  # of a detection along each axis
    radius: float = 4.0  # of a mask

    def count(self, frame: int) -> int:
        """Nuclei in a frame: their number grows by the rates of divisions and deaths, and is right in all together."""
        net = self.divisions - self.deaths
        first = self.cells / (1 - self.missed + self.false) * np.expm1(net) / np.expm1(net * self.frames)
        return max(round(first * np.exp(net * frame)), 2)

    @property
    def side(self) -> int:
        """Pixels of a side of the square."""
        return int(np.ceil(self.pitch * np.sqrt(self.cells / self.frames)))


class Frame(NamedTuple):
    """The nuclei of one frame."""

    place: Numbers  # (N, 2)
    track: Rows  # (N,) from 0
    parent: Rows  # (N,) track of the mother if the track begins here by a division, else -1
    radius: Numbers  # (N,) of its mask


def find_shape(cells: int) -> Nuclei:
    """Return the movie with a number of cells: both the frames and the nuclei per frame grow with it."""
    return Nuclei(cells, SHAPES.get(cells) or max(round(500 * np.sqrt(cells / 1e6)), 10))


def simulate_frames(nuclei: Nuclei, seed: int) -> Iterator[Frame]:
    """Return the true nuclei frame by frame."""
    rng = np.random.default_rng([seed, nuclei.cells, nuclei.frames])
    side = float(nuclei.side)
    place = rng.uniform(0, side, (nuclei.count(0), 2))
    for _ in range(30):
        place = push_apart(place, nuclei.diameter, side)
    step = rng.normal(0, nuclei.speed, place.shape)
    track, parent, used = np.arange(len(place)), np.full(len(place), -1), len(place)
    age, size = rng.integers(0, 2 * GROWTH, len(place)), rng.normal(1, 0.08, len(place))
    for t in range(nuclei.frames):
        grown = _SMALL + (1 - _SMALL) * np.minimum(age / GROWTH, 1)
        yield Frame(place, track, parent, nuclei.radius * size * grown)
        alive = np.flatnonzero(rng.random(len(place)) < 1 - nuclei.deaths)
        old = rng.permutation(alive[age[alive] >= GROWTH / 2])  # young nuclei do not divide
        split = np.sort(old[: max(nuclei.count(t + 1) - len(alive), 0)])
        alive = np.setdiff1d(alive, split)
        rows = np.concatenate([alive, split, split])
        angle = rng.uniform(0, 2 * np.pi, len(split))
        away = np.column_stack([np.sin(angle), np.cos(angle)]) * nuclei.diameter / 2
        offset = np.concatenate([np.zeros((len(alive), 2)), away, -away])
        fresh = rng.normal(0, nuclei.speed * np.sqrt(1 - nuclei.persistence**2), (len(rows), 2))
        step = nuclei.persistence * step[rows] + fresh
        moved = push_apart(place[rows] + step + offset, nuclei.diameter, side)
        born = np.arange(len(rows)) >= len(alive)
        mother = np.where(born, track[rows], -1)
        left = (np.floor(moved / side) != 0).any(axis=1)  # enters at the other side, as another nucleus
        mother[left] = -1
        new = born | left
        track = np.where(new, used + np.cumsum(new) - 1, track[rows])
        used += int(new.sum())
        place, parent = moved % side, mother
        age, size = np.where(born, 0, age[rows] + 1), size[rows]


def push_apart(place: Numbers, diameter: float, side: float) -> Numbers:
    """Return places of which pairs nearer than a diameter have moved apart by half of what is missing."""
    pairs = cKDTree(place % side).query_pairs(diameter, output_type="ndarray")
    apart = place[pairs[:, 0]] - place[pairs[:, 1]]
    length = np.maximum(np.linalg.norm(apart, axis=1), 1e-9)
    push = apart * (0.25 * (diameter - length) / length)[:, None]
    push[length > 1.5 * diameter] = 0  # beside each other only on the other side of the square
    move = np.stack(
        [np.bincount(pairs.T.ravel(), np.concatenate([push[:, k], -push[:, k]]), len(place)) for k in (0, 1)], axis=1
    )
    return np.asarray(place + np.clip(move, -diameter / 2, diameter / 2))


def write_points(nuclei: Nuclei, seed: int, out: Path) -> dict[str, Any]:
    """Write the detections as ``points.csv``, and ``truth.npz``; the ids of a frame count from 1 in both."""
    rng = np.random.default_rng([seed, 7])
    out.mkdir(parents=True, exist_ok=True)
    truth = Truth()
    with (out / "points.csv").open("w", encoding="ascii") as file:
        file.write("frame,id,y,x\n")
        for t, frame in enumerate(simulate_frames(nuclei, seed)):
            place, track, _ = detect(frame, nuclei, rng)
            text = np.char.mod("%.2f", place)
            lines = (f"{t},{k},{y},{x}\n" for k, (y, x) in enumerate(text.tolist(), 1))
            file.write("".join(lines))
            truth.add(frame, text.astype(np.float64), track)
    truth.write(out)
    return {"cells": truth.count, "frames": nuclei.frames, "bytes": (out / "points.csv").stat().st_size}


def write_masks(nuclei: Nuclei, seed: int, out: Path, *, images: bool) -> dict[str, Any]:
    """Write the detections as discs in ``masks/tNNNN.tif``, also ``images/tNNNN.tif``, and ``truth.npz``.

    The label of a mask is the ``id`` of its row in ``truth.npz``, which counts from 1 in each frame.
    """
    from gnntrack.masks.balls import draw_balls

    rng = np.random.default_rng([seed, 8])
    for name in ("masks", *(["images"] if images else [])):
        (out / name).mkdir(parents=True, exist_ok=True)
    truth, shape = Truth(), (nuclei.side, nuclei.side)
    for t, frame in enumerate(simulate_frames(nuclei, seed)):
        place, track, radius = detect(frame, nuclei, rng)
        truth.add(frame, place, track)
        labels = draw_balls(place, np.stack([radius, radius], axis=1), shape)
        dtype = np.uint16 if len(place) < 1 << 16 else np.uint32
        tifffile.imwrite(out / "masks" / f"t{t:04d}.tif", labels.astype(dtype), **_TIFF)
        if images:
            tifffile.imwrite(out / "images" / f"t{t:04d}.tif", _draw_image(frame, nuclei, rng), **_TIFF)
    truth.write(out)
    sizes = {name: sum(each.stat().st_size for each in (out / name).glob("*")) for name in ("masks", "images")}
    return {"cells": truth.count, "frames": nuclei.frames, "bytes": sum(sizes.values()), "pixels": nuclei.side**2}


def _draw_image(frame: Frame, nuclei: Nuclei, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return the image of all nuclei of a frame, also of those that are not detected."""
    from gnntrack.masks.balls import draw_balls

    shape = (nuclei.side, nuclei.side)
    light = np.append(0, 60 + frame.track * 7919 % 80).astype(np.float32)  # each nucleus has its own
    radius = np.stack([frame.radius, frame.radius], axis=1)
    image = gaussian_filter(light[draw_balls(frame.place, radius, shape)], 1.0)
    image += 20 + 6 * rng.standard_normal(shape, dtype=np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


class Truth:
    """The truth of the detections, collected frame by frame."""

    def __init__(self) -> None:
        self.frames, self.places, self.tracks, self.mothers = [], [], [], []  # type: ignore[var-annotated]
        self.count = self.begun = 0

    def add(self, frame: Frame, place: Numbers, track: Rows) -> None:
        """Add the detections of the next frame."""
        self.places.append(place.astype(np.float32))
        self.tracks.append(track.astype(np.int32))
        self.frames.append(np.full(len(place), len(self.frames), np.int32))
        begun = frame.track >= self.begun  # tracks are numbered in the order in which they begin
        self.mothers.append(frame.parent[begun][np.argsort(frame.track[begun])].astype(np.int32))
        self.begun += int(begun.sum())
        self.count += len(place)

    def write(self, out: Path) -> None:
        """Write ``truth.npz``.

        It has frame, place, track (-1: a false one) and label of each detection, and the mother of each track (-1:
        none).
        """
        frame = np.concatenate(self.frames)
        first = np.searchsorted(frame, np.arange(len(self.frames)))
        columns = {"frame": frame, "place": np.concatenate(self.places), "track": np.concatenate(self.tracks)}
        label = np.arange(len(frame)) - first[frame] + 1
        np.savez(out / "truth.npz", **columns, label=label.astype(np.int32), mother=np.concatenate(self.mothers))


def detect(frame: Frame, nuclei: Nuclei, rng: np.random.Generator) -> tuple[Numbers, Rows, Numbers]:
    """Return place (N, 2), track (-1: none) and radius of the detections of a frame, in any order."""
    seen = rng.random(len(frame.place)) >= nuclei.missed
    false = rng.uniform(0, nuclei.side, (rng.poisson(nuclei.false * len(frame.place)), 2))
    place = np.concatenate([frame.place[seen] + rng.normal(0, nuclei.noise, (int(seen.sum()), 2)), false])
    track = np.concatenate([frame.track[seen], np.full(len(false), -1)])
    radius = np.concatenate([frame.radius[seen], nuclei.radius * rng.uniform(_SMALL, 1, len(false))])
    order = rng.permutation(len(place))
    return np.clip(place, 0, nuclei.side - 1)[order], track[order], radius[order]
