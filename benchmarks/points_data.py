"""Detections with a known lineage: the cases of `points.py`.

Three kinds of case, each made again from its seed in every run:

* real detections of a zebrafish embryo with their sparse ground truth, and real tracks among clutter that moves like
  cells;
* whole ascidian embryos as points, complete or with misses, clutter and noise, each also with fewer frames;
* simulated embryos, of `points_simulation` ("sim") and of `gnntrack.simulate` ("embryo"), which share no code.

The folder of real data has the layout ``embryo-points/NAME.geff``, ``embryo-points/NAME_dog.csv``,
``Masks3D-Ascidian/NN_points.csv`` and ``Masks3D-Ascidian/NN_GT/TRA/man_track.txt``.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from points_simulation import (
    CLUTTER,
    MISSED,
    SHAPE,
    SPACING,
    Motion,
    Numbers,
    Rows,
    detect,
    simulate_detections,
    sort_by_frame,
)
from record import REPOSITORY

from gnntrack.io.point_graph import read_point_graph
from gnntrack.settings import EmbryoSettings
from gnntrack.simulate.embryo import simulate_embryo
from gnntrack.types import PointGraph

GATE = 7.0  # um: the largest distance of a detection from its cell, in the competition's metric
MOVIE = "6bba_05b6850b"
EMBRYOS = ("03", "05", "07")  # of the ascidian
COUNTS = (60, 250, 600)  # cells a frame of the simulated embryos
SEEDS = (0, 3, 5)
DRIFT = 1.3  # um: median drift of the stage in a frame


@dataclass(frozen=True)
class Case:
    """Detections and their ground truth.

    Parameters
    ----------
    name, group : str
        Cases of a group share the settings of other packages.
    points : Numbers
        (N, 1 + D): frame, then z, y, x in voxels, ordered by frame.
    spacing : tuple of float
        Size of a voxel along z, y, x, in um, or in voxels of the source.
    truth : PointGraph
        Every cell, or those that were annotated; detected or not.
    gate : float
        Largest distance of a detection from its cell, in the unit of the spacing.
    scale : float
        A length that gates of linkers are multiples of: 1 um in an embryo of the competition.
    radius : Numbers, optional
        (N,) radius of each detection, in the unit of the spacing.
    """

    name: str
    group: str
    points: Numbers
    spacing: tuple[float, ...]
    truth: PointGraph
    gate: float = GATE
    scale: float = 1.0
    radius: Numbers | None = None

    @property
    def position(self) -> Numbers:
        """Positions (N, D) of the detections in the unit of the spacing."""
        return self.points[:, 1:] * np.array(self.spacing)

    @property
    def frame(self) -> Rows:
        """Frame (N,) of each detection."""
        return self.points[:, 0].astype(np.int64)

    def hash_content(self) -> str:
        """Return a digest of the detections and the ground truth."""
        truth = self.truth
        arrays = (self.points, truth.frame, truth.position, truth.links, np.array([self.gate]))
        return hashlib.sha256(b"".join(np.ascontiguousarray(each).tobytes() for each in arrays)).hexdigest()[:10]

    def write_table(self, path: Path) -> None:
        """Write the detections as CSV, in voxels, with radii where they are known."""
        table = pd.DataFrame(self.points, columns=["t", *"zyx"[-len(self.spacing) :]]).astype({"t": int})
        if self.radius is not None:
            table["radius"] = self.radius
        table.to_csv(path, index=False)


def get_default_folder() -> Path:
    """Return the folder of real points: GNNTRACK_MORE, else ../shared/more beside the repository."""
    return Path(os.environ.get("GNNTRACK_MORE") or REPOSITORY.parent / "shared" / "more")


def list_cases(folder: Path) -> dict[str, Callable[[], Case]]:
    """Return a function for each case, by its name, that makes it."""
    cases: dict[str, Callable[[], Case]] = {"real": partial(read_real, folder)}
    cases |= {f"clones {copies}": partial(make_clones, folder, copies) for copies in (6, 40)}
    for name, simulate in (("sim", simulate_points), ("embryo", take_embryo)):
        for count in COUNTS:
            cases |= {f"{name} {count} seed {seed}": partial(simulate, count, seed) for seed in SEEDS}
        cases |= {f"{name} 60 drift x3 seed {seed}": partial(simulate, 60, seed, drift=3.0) for seed in SEEDS}
    for degraded in (False, True):
        for step in (1, 2, 4):
            for embryo in EMBRYOS:
                name = _name_ascidian(embryo, step, degraded=degraded)
                cases[name] = partial(read_ascidian, folder, embryo, step, degraded=degraded)
    return cases


def find_first(name: str) -> str:
    """Return the name of the first case of the group of a case.

    >>> find_first("sim 60 seed 5"), find_first("ascidian 07 complete every 2")
    ('sim 60 seed 0', 'ascidian 03 complete every 2')
    """
    return re.sub(r"seed \d+", f"seed {SEEDS[0]}", re.sub(r"ascidian \d+", f"ascidian {EMBRYOS[0]}", name))


def read_real(folder: Path) -> Case:
    """Return the real detections of the first frames of a movie, with its sparse ground truth of these frames."""
    points = pd.read_csv(folder / "embryo-points" / f"{MOVIE}_dog.csv")[["t", "z", "y", "x"]].to_numpy(float)
    points = sort_by_frame(points, np.random.default_rng(0))
    truth = read_truth(folder)
    return Case("real", "real", points, SPACING, truth.select(truth.frame <= points[:, 0].max()))


def read_truth(folder: Path) -> PointGraph:
    """Return the sparse ground truth of a real movie."""
    return read_point_graph(folder / "embryo-points" / f"{MOVIE}.geff")


def make_truth(points: Numbers, links: Rows, spacing: tuple[float, ...]) -> PointGraph:
    """Return a graph of points (N, 1 + D) in voxels, with links (L, 2) between their rows."""
    position = points[:, 1:] * np.array(spacing)
    return PointGraph(np.arange(len(points)), points[:, 0].astype(np.int64), position, *links.T, spacing)


def make_clones(folder: Path, copies: int, seed: int = 0) -> Case:
    """Return real tracks among clutter that moves like them, with misses and noise.

    A clone is a real track at another place, with its own motion reflected and turned and the drift of the stack
    unchanged. Only the real tracks are ground truth.
    """
    truth = read_truth(folder)
    rng = np.random.default_rng(seed)
    shift = np.cumsum(_find_drift(truth), axis=0)
    size = np.array(SHAPE) * SPACING
    places, frames = [truth.position], [truth.frame]
    for rows in _split_tracks(truth):
        frame = truth.frame[rows]
        own = truth.position[rows] - shift[frame]
        for _ in range(copies):
            axes = [0, 1, 2] if rng.random() < 0.5 else [0, 2, 1]  # z is coarser than y and x
            path = (own - own[0])[:, axes] * rng.choice([-1.0, 1.0], 3) + shift[frame]
            path += rng.uniform(0, np.maximum(size - np.ptp(path, axis=0), 0)) - path.min(axis=0)
            inside = ((path >= 0) & (path < size)).all(axis=1)
            places.append(path[inside])
            frames.append(frame[inside])
    place, frame = np.concatenate(places), np.concatenate(frames)
    kept = rng.random(len(frame)) >= MISSED
    points = detect(place[kept], frame[kept], np.array(SHAPE), rng)
    return Case(f"clones {copies}", f"clones {copies}", points, SPACING, truth)


def _find_drift(truth: PointGraph) -> Numbers:
    """Return the median displacement (T, D) of the cells into each frame."""
    step = truth.position[truth.target] - truth.position[truth.source]
    into = truth.frame[truth.target]
    drift = np.zeros((truth.n_frames, truth.ndim))
    for frame in np.unique(into):
        drift[frame] = np.median(step[into == frame], axis=0)
    return drift


def _split_tracks(truth: PointGraph) -> Iterator[Rows]:
    """Yield the rows of each path of a graph without forks, in order of time."""
    following = dict(truth.links.tolist())
    for start in np.flatnonzero(truth.parents == 0).tolist():
        rows = [start]
        while rows[-1] in following:
            rows.append(following[rows[-1]])
        yield np.array(rows)


def simulate_points(count: int, seed: int, *, drift: float = 1.0, frames: int = 60, cubes: int = 1) -> Case:
    """Return an embryo of `points_simulation` with about ``count`` cells a cube of 104 um in each frame."""
    motion = Motion(count, frames=frames, drift=DRIFT * drift, margin=26.0 * max(1.0, drift), cubes=cubes)
    points, cells, links = simulate_detections(motion, seed)
    group = _name_group("sim", count, drift)
    return Case(f"{group} seed {seed}", group, points, SPACING, make_truth(cells, links, SPACING))


def take_embryo(count: int, seed: int, *, drift: float = 1.0, frames: int = 60) -> Case:
    """Return an embryo of `gnntrack.simulate` with about ``count`` cells in the first frame."""
    settings = EmbryoSettings(cells=count, frames=frames, drift=DRIFT * drift)
    embryo = simulate_embryo(settings=settings, seed=seed)
    points = embryo.points[["t", "z", "y", "x"]].to_numpy(float)
    group = _name_group("embryo", count, drift)
    return Case(f"{group} seed {seed}", group, points, embryo.spacing, embryo.truth)


def _name_group(kind: str, count: int, drift: float) -> str:
    return f"{kind} {count}" + (f" drift x{drift:g}" if drift != 1 else "")


def read_ascidian(folder: Path, embryo: str, step: int, *, degraded: bool) -> Case:
    """Return an ascidian embryo as points: as published, or with misses, clutter and noise, and without radii.

    Positions are in voxels of the source, with a spacing of 1. If a cell has no point in the frames that remain, its
    daughters are linked to its parent.
    """
    points, radius, truth = read_ascidian_truth(folder, embryo, step)
    rng = np.random.default_rng([int(embryo), step])
    scale = float(np.median(radius))
    name = _name_ascidian(embryo, step, degraded=degraded)
    group = name.replace(f" {embryo}", "")
    lengths = {"gate": scale / 2, "scale": scale / 7}
    if degraded:
        return Case(name, group, degrade(points, scale, rng), truth.spacing, truth, **lengths)
    order = sort_by_frame(np.column_stack([points[:, 0], np.arange(len(points))]), rng)[:, 1].astype(np.int64)
    return Case(name, group, points[order], truth.spacing, truth, **lengths, radius=radius[order])


def read_ascidian_truth(folder: Path, embryo: str, step: int) -> tuple[Numbers, Numbers, PointGraph]:
    """Return the points (N, 4) of an ascidian embryo, their radii (N,), and its lineage in the same order."""
    place = folder / "Masks3D-Ascidian"
    table = pd.read_csv(place / f"{embryo}_points.csv").sort_values(["t", "track"], kind="stable")
    table = table[table["t"] % step == 0]
    points = table[["t", "z", "y", "x"]].to_numpy(float)
    points[:, 0] //= step
    rows = np.loadtxt(place / f"{embryo}_GT" / "TRA" / "man_track.txt", dtype=np.int64, ndmin=2)
    links = link_tracks(points[:, 0], table["track"].to_numpy(), dict(rows[:, [0, 3]].tolist()))
    return points, table["radius"].to_numpy(float), make_truth(points, links, (1.0, 1.0, 1.0))


def _name_ascidian(embryo: str, step: int, *, degraded: bool) -> str:
    return f"ascidian {embryo} {'degraded' if degraded else 'complete'}" + (f" every {step}" if step > 1 else "")


def degrade(points: Numbers, scale: float, rng: np.random.Generator) -> Numbers:
    """Return points with misses, clutter beside cells that lasts one to three frames, and noise of a tenth of a scale.

    >>> import numpy as np
    >>> points = np.column_stack([np.arange(100), np.full((100, 2), 50.0)])
    >>> degrade(points, 10.0, np.random.default_rng(0)).shape[1]
    3
    """
    kept = points[rng.random(len(points)) >= MISSED]
    count, ndim = round(CLUTTER * len(points) / 2), points.shape[1] - 1  # each lasts two frames on average
    start = points[rng.integers(0, len(points), count)]
    away = rng.normal(size=(count, ndim))
    start[:, 1:] += away / np.linalg.norm(away, axis=1, keepdims=True) * scale * rng.uniform(0.5, 1.5, (count, 1))
    lasts = rng.integers(1, 4, count)
    clutter = np.repeat(start, lasts, axis=0)
    clutter[:, 0] += np.concatenate([np.arange(each) for each in lasts])
    found = np.concatenate([kept, clutter[clutter[:, 0] <= points[:, 0].max()]])
    found[:, 1:] += rng.normal(0, 0.1 * scale, found[:, 1:].shape)
    return sort_by_frame(found[(found[:, 1:] >= 0).all(axis=1)], rng)


def link_tracks(frame: Numbers, track: Rows, parents: dict[int, int]) -> Rows:
    """Return the links (L, 2) between consecutive points of tracks, and from a parent's last to a daughter's first.

    >>> import numpy as np
    >>> link_tracks(np.array([0, 1, 2, 2]), np.array([1, 1, 2, 3]), {1: 0, 2: 1, 3: 1}).tolist()
    [[0, 1], [1, 2], [1, 3]]
    """
    rows: dict[int, list[int]] = {}
    for row in np.lexsort((frame, track)):
        rows.setdefault(int(track[row]), []).append(int(row))
    links = []
    for label, own in rows.items():
        links += pairwise(own)
        parent = parents.get(label, 0)
        while parent and parent not in rows:
            parent = parents.get(parent, 0)
        if parent and frame[own[0]] == frame[rows[parent][-1]] + 1:
            links.append((rows[parent][-1], own[0]))
    return np.array(links, np.int64).reshape(-1, 2)
