"""A simulated embryo for `points.py`: detections as a spot detector would give them, and the true lineage.

It is written for this benchmark alone, from the published description of the data of the embryo competition of 2026;
`gnntrack.simulate.embryo` is a second simulation, which shares no code with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

Numbers = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Choice = npt.NDArray[np.bool_]

SPACING = (1.625, 0.40625, 0.40625)  # um along z, y, x: the voxel of the competition
SHAPE = (64, 256, 256)  # voxels: a cube of 104 um
MISSED, CLUTTER = 0.05, 0.05  # fractions of the cells
NOISE = 0.5  # um: standard deviation of a detection along each axis


@dataclass(frozen=True)
class Motion:
    """Lengths in um and rates of a simulated embryo."""

    count: int  # cells in a cube in each frame
    cubes: int = 1  # the volume has this number of cubes along each axis
    frames: int = 60
    persistence: float = 0.6  # correlation of a cell's step with its next
    speed: float = 0.5  # median over cells of the standard deviation of a step along each axis
    spread: float = 0.6  # standard deviation of the logarithm of that of a cell
    drift: float = 1.3  # median length of the stage's step
    drift_spread: float = 0.6  # standard deviation of its logarithm
    frozen: float = 0.08  # fraction of the frames that are copies of the frame before
    divisions: float = 0.0025  # per cell and frame
    apart: float = 4.0  # least distance of two cells at the start
    daughters: float = 2.5  # distance of a daughter from its parent's place
    margin: float = 26.0  # cells outside the volume at each side, which may enter it
    steady: float = 19.0  # the probability to detect a cell in a frame is Beta(steady, 1), mean .95
    flicker: int = 12  # frames in half of which clutter is seen

    @property
    def shape(self) -> Rows:
        """Voxels along z, y, x."""
        return np.array(SHAPE) * self.cubes

    @property
    def size(self) -> Numbers:
        """Size of the volume in um."""
        return self.shape * np.array(SPACING)

    @property
    def total(self) -> float:
        """Cells in the volume and its margin."""
        return self.count * self.cubes**3 * float(np.prod((self.size + 2 * self.margin) / self.size))

    def contains(self, places: Numbers) -> Choice:
        """Return which places (N, 3) are in the volume, (N,)."""
        return ((places >= 0) & (places < self.size)).all(axis=1)


class Tissue(NamedTuple):
    """All cells, also those outside the volume."""

    place: Numbers  # (N, 3) without the stage
    frame: Rows  # (N,)
    parent: Rows  # (N,) row of the cell in the frame before, -1 in the first frame
    detected: Choice  # (N,)


def simulate_detections(motion: Motion, seed: int) -> tuple[Numbers, Numbers, Rows]:
    """Return detections (N, 4), frame and voxel; and true cells (M, 4) and their links (L, 2), rows of the cells.

    Cells take Ornstein-Uhlenbeck steps with speeds of their own in a stage that drifts; some frames are copies of the
    frame before; dim cells are missed more often than others; clutter flickers at places that move with the stage;
    cells divide; detections are integer voxels.
    """
    rng = np.random.default_rng([seed, motion.count, round(10 * motion.drift)])
    shift, shown = _draw_stage(motion, rng)
    tissue = _grow(motion, rng)
    tissue = tissue._replace(place=tissue.place + shift[tissue.frame])
    rows, frame, links = _show(tissue, shown, motion)
    cells = np.column_stack([frame, tissue.place[rows]])
    seen = np.concatenate([cells[tissue.detected[rows]], _repeat_frozen(_flicker(motion, shift, rng), shown)])
    truth = np.column_stack([frame, cells[:, 1:] / SPACING])
    return _detect_frozen(seen, shown, motion, rng), truth, links


def _draw_stage(motion: Motion, rng: np.random.Generator) -> tuple[Numbers, Rows]:
    """Return the place of the stage (T, 3) in each frame, and the frame that each frame shows."""
    steps = rng.lognormal(np.log(motion.drift), motion.drift_spread, motion.frames)
    ways = rng.normal(size=(motion.frames, 3))
    ways *= (steps / np.linalg.norm(ways, axis=1))[:, None]
    ways[0] = 0
    shown = np.arange(motion.frames)
    for frame in np.flatnonzero(rng.random(motion.frames) < motion.frozen):
        if frame and shown[frame - 1] == frame - 1:
            shown[frame] = frame - 1
    return np.cumsum(ways, axis=0), shown


def _grow(motion: Motion, rng: np.random.Generator) -> Tissue:
    count = round(motion.total / (1 + motion.divisions * motion.frames / 2))
    place = _scatter(count, motion, rng)
    speed = rng.lognormal(np.log(motion.speed), motion.spread, count)
    step, bright = rng.normal(size=(count, 3)), rng.beta(motion.steady, 1, count)
    before, first = np.full(count, -1), 0
    parts = []
    for time in range(motion.frames):
        parts.append((place, np.full(len(place), time), before, rng.random(len(place)) < bright))
        rows = first + np.arange(len(place))
        first += len(place)
        split = rng.random(len(place)) < motion.divisions
        twice = np.concatenate([np.arange(len(place)), np.flatnonzero(split)])
        away = rng.normal(size=(len(place), 3))
        away *= motion.daughters * split[:, None] / np.linalg.norm(away, axis=1, keepdims=True)
        sign = np.concatenate([np.ones(len(place)), -np.ones(split.sum())])[:, None]
        keep = motion.persistence
        step = keep * step[twice] + np.sqrt(1 - keep**2) * rng.normal(size=(len(twice), 3))
        speed, bright, before = speed[twice], bright[twice], rows[twice]
        place = place[twice] + step * speed[:, None] + sign * away[twice]
    return Tissue(*map(np.concatenate, zip(*parts, strict=True)))


def _scatter(count: int, motion: Motion, rng: np.random.Generator) -> Numbers:
    """Return places (N, 3) in the volume and its margin, none nearer to another than the least distance."""
    low, high = -motion.margin, motion.size + motion.margin
    place = rng.uniform(low, high, (count, 3))
    for _ in range(200):
        near = np.unique([later for _, later in cKDTree(place).query_pairs(motion.apart)]).astype(np.int64)
        if not len(near):
            break
        place[near] = rng.uniform(low, high, (len(near), 3))
    return place


def _show(tissue: Tissue, shown: Rows, motion: Motion) -> tuple[Rows, Rows, Rows]:
    """Return the rows of the cells in the volume, their frames, and their links (L, 2); some frames are copies.

    A cell that divides while the frame stands still divides in the frame after it.
    """
    inside = motion.contains(tissue.place)
    of_frame = np.split(np.arange(len(tissue.frame)), np.searchsorted(tissue.frame, np.arange(1, motion.frames)))
    rows = [of_frame[source][inside[of_frame[source]]] for source in shown]
    first = np.cumsum([0, *map(len, rows)])
    links = []
    for time in range(1, motion.frames):
        origin = rows[time]
        for _ in range(shown[time] - shown[time - 1]):
            origin = tissue.parent[origin]
        place = np.searchsorted(rows[time - 1], origin).clip(max=max(len(rows[time - 1]) - 1, 0))
        known = rows[time - 1][place] == origin if len(rows[time - 1]) else np.zeros(len(origin), bool)
        links.append(np.column_stack([first[time - 1] + place, first[time] + np.arange(len(origin))])[known])
    frame = np.repeat(np.arange(motion.frames), np.diff(first))
    return np.concatenate(rows), frame, np.concatenate(links)


def _flicker(motion: Motion, shift: Numbers, rng: np.random.Generator) -> Numbers:
    """Return clutter (N, 4), frame and place in um: places fixed in the stage, each seen in half of some frames."""
    lasts = motion.flicker
    count = round(CLUTTER * motion.total * (motion.frames + lasts) / (lasts / 2))
    start = rng.integers(-lasts, motion.frames, count)
    place = rng.uniform(-motion.margin, motion.size + motion.margin, (count, 3))
    time = start[:, None] + np.arange(lasts)
    seen = (rng.random(time.shape) < 0.5) & (time >= 0) & (time < motion.frames)
    now = place[np.nonzero(seen)[0]] + shift[time[seen]]
    return np.column_stack([time[seen], now])[motion.contains(now)]


def _repeat_frozen(points: Numbers, shown: Rows) -> Numbers:
    """Return points (N, 1 + D) of which each frame has those of the frame that it shows."""
    parts = []
    for time, source in enumerate(shown):
        part = points[points[:, 0] == source].copy()
        part[:, 0] = time
        parts.append(part)
    return np.concatenate(parts)


def _detect_frozen(seen: Numbers, shown: Rows, motion: Motion, rng: np.random.Generator) -> Numbers:
    """Return detections of what is seen; those of a copied frame are the ones of the frame before."""
    own = shown[seen[:, 0].astype(int)] == seen[:, 0]
    points = detect(seen[own, 1:], seen[own, 0].astype(np.int64), motion.shape, rng)
    return _repeat_frozen(points, shown)


def detect(places: Numbers, frame: Rows, shape: Rows, rng: np.random.Generator) -> Numbers:
    """Return detections (N, 4) of places in um: with noise, in integer voxels, ordered by frame, then at random."""
    voxels = np.rint((places + rng.normal(0, NOISE, places.shape)) / SPACING)
    points = np.column_stack([frame, np.clip(voxels, 0, shape - 1)])
    return sort_by_frame(points, rng)


def sort_by_frame(points: Numbers, rng: np.random.Generator) -> Numbers:
    """Return points (N, 1 + D) ordered by frame, at random within each."""
    points = points[rng.permutation(len(points))]
    return points[np.argsort(points[:, 0], kind="stable")]
