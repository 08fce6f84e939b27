"""Simulated movies, and simulated tables of cells, with their true lineage; writing a movie as a folder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tifffile
from scipy.spatial import cKDTree

from gnntrack.errors import OutputError
from gnntrack.geometry import UNIT_BALL, compute_radius
from gnntrack.masks.fragments import clean_frame
from gnntrack.masks.runs import draw_labels, encode_frame, join_frames
from gnntrack.settings import CellSettings, SimulateSettings
from gnntrack.simulate.colony import Colony, Snapshot
from gnntrack.simulate.computed_frames import ComputedFrames
from gnntrack.simulate.drawing import draw_cells
from gnntrack.simulate.microscope import take_image
from gnntrack.types import Cells, Lineage, Provenance, Runs, Tracks

if TYPE_CHECKING:
    from gnntrack.types import FloatArray, FrameStack, Image, IntArray, Progress

__all__ = [
    "SimulatedCells",
    "SimulatedMovie",
    "film_snapshots",
    "get_spacing",
    "simulate_cells",
    "simulate_movie",
    "write_movie",
]

_DENSITY_CELLS = 6  # number of nearest cells that the density in a table is computed from


class SimulatedMovie(NamedTuple):
    """A movie whose lineage is known.

    Parameters
    ----------
    images : FrameStack, FrameArray or None
        Frames of uint16, computed when they are read, the same at each reading; None if `settings.images` is off.
    masks : FrameStack or FrameArray
        Frames of int32 labels. They are shuffled in every frame, so that a label does not identify a cell over time.
    lineage : Lineage
        The true lineage; its cells are those of `masks`, with the columns ``size`` and ``diameter``.
    runs : Runs
        Pixels of the cells.
    """

    images: Any
    masks: Any
    lineage: Lineage
    runs: Runs


class SimulatedCells(NamedTuple):
    """A table of cells whose lineage is known.

    Parameters
    ----------
    cells : Cells
        The cells; their labels are shuffled in every frame.
    lineage : Lineage
        The true lineage.
    """

    cells: Cells
    lineage: Lineage


class _FrameCells(NamedTuple):
    """The visible cells of one frame, in the order of their labels 1..n."""

    id: IntArray
    parent: IntArray
    newborn: IntArray  # 1 in the first frame after the division
    position: FloatArray  # (n, D) um
    features: FloatArray  # (n, F)


def simulate_movie(*, settings: SimulateSettings | None = None, seed: int = 0) -> SimulatedMovie:
    """Simulate a movie of cells that move, grow, divide, die, touch, enter and leave.

    Cells walk at random with some persistence and with the drift of the field. A parent rounds up, brightens and
    forms a plate before it divides into daughters of half its size. A dying cell shrinks, brightens and gets rough.
    Images show stained nuclei: textured, blurred, unevenly lit, bleaching, with photon and camera noise.

    Parameters
    ----------
    settings : SimulateSettings, optional
        Size and length of the movie, life of the cells, properties of the images.
    seed : int
        The same seed gives the same movie.

    Examples
    --------
    >>> movie = simulate_movie(settings=SimulateSettings(frames=3, shape=(64, 80), cells=5), seed=1)
    >>> len(movie.masks), movie.images[2].shape, movie.images[2].dtype.name
    (3, (64, 80), 'uint16')
    """
    settings = settings or SimulateSettings()
    shape, spacing = settings.shape, get_spacing(settings)
    return film_snapshots(_grow_colony(settings, shape, spacing, seed), settings=settings, seed=seed)


def film_snapshots(
    snapshots: list[Snapshot], *, settings: SimulateSettings, seed: int, smallest: float | None = None
) -> SimulatedMovie:
    """Return the masks, the images and the lineage of cells whose state is known.

    Parameters
    ----------
    snapshots : list of Snapshot
        The cells in each frame.
    settings : SimulateSettings
        Size of the frames, and properties of the images.
    seed : int
        Of the outlines, of the order of the labels, and of the noise of the images.
    smallest : float, optional
        Diameter in um of small cells, by default `settings.diameter`: slivers of less than 2 % of their size are not
        drawn.
    """
    shape, spacing = settings.shape, get_spacing(settings)
    cells, table = _draw_frames(snapshots, smallest or settings.diameter, shape, spacing, seed)
    lineage = _build_lineage(cells, ("size", "diameter"), (f"um{len(shape)}", "um"), shape, spacing)

    def make_mask(t: int) -> Image:
        return draw_labels(table, t, lineage.cells.label, np.int32)

    def make_image(t: int) -> Image:
        return take_image(snapshots[t], t, shape, spacing, settings=settings, seed=seed)

    names = [f"frame {t}" for t in range(len(snapshots))]
    images = ComputedFrames(make_image, names, shape, spacing) if settings.images else None
    return SimulatedMovie(images, ComputedFrames(make_mask, names, shape, spacing), lineage, table)


def simulate_cells(
    *, cells: int = 1_000_000, frames: int = 500, settings: SimulateSettings | None = None, seed: int = 0
) -> SimulatedCells:
    """Simulate a table of cells with their lineage, without masks and images: for movies too large to draw.

    The number of cells per frame stays about constant: as many die as divide. The size of the field is chosen so that
    the cells cover 30 % of it.

    Parameters
    ----------
    cells : int
        Total number of cells in all frames, reached within a few per cent.
    frames : int
        Number of frames.
    settings : SimulateSettings, optional
        Life of the cells. `frames`, `shape`, `cells` and `death_rate` are not used: they follow from the other
        arguments.
    seed : int
        The same seed gives the same table.
    """
    settings = settings or SimulateSettings()
    spacing, d = get_spacing(settings), len(settings.shape)
    per_frame = max(1, cells // frames)
    room = per_frame * 0.75 * UNIT_BALL[d] * (settings.diameter / 2) ** d / 0.3
    side = room ** (1 / d)
    shape = tuple(max(8, round(side / step)) for step in spacing)
    changes = {"frames": frames, "shape": shape, "cells": per_frame}
    life = settings.replace(**changes)
    extent = np.multiply(shape, spacing)
    colony = Colony(life, np.random.default_rng([seed, 0]), extent, steady=settings.divisions)
    rng = np.random.default_rng([seed, 1])
    seen = []
    for t in range(frames):
        if t:
            colony.step()
        seen.append(_measure_cells(colony.take_snapshot(), extent, spacing, rng))
    unit = {"size": f"um{d}", "density": f"1/um{d}", "eccentricity": "", "intensity_mean": "grey", "orientation": "rad"}
    lineage = _build_lineage(seen, _COLUMNS, tuple(unit.get(name, "um") for name in _COLUMNS), shape, spacing)
    return SimulatedCells(lineage.cells, lineage)


def write_movie(
    movie: SimulatedMovie, out: str | Path, *, sequence: str = "01", progress: Progress | None = None
) -> None:
    """Write images, masks and ground truth in the layout of the Cell Tracking Challenge (CTC).

    ::

        out/01/t000.tif                     images
        out/01_ERR_SEG/mask000.tif          masks to be tracked: labels shuffled in every frame
        out/01_GT/SEG/man_seg000.tif        true outlines
        out/01_GT/TRA/man_track000.tif      true tracks, with man_track.txt

    Parameters
    ----------
    out : path
        A folder that does not exist or is empty.
    sequence : str
        Number of the sequence.
    progress : Progress, optional
        Called after each frame.

    Raises
    ------
    OutputError
        If the folder is not empty, cannot be written, or the tracks do not fit into 16 bits.
    """
    out, tracks, n_frames = Path(out), movie.lineage.tracks, len(movie.masks)
    _check_writable(out, tracks)
    tra, seg = out / f"{sequence}_GT" / "TRA", out / f"{sequence}_GT" / "SEG"
    images, masks = out / sequence, out / f"{sequence}_ERR_SEG"
    digits = max(3, len(str(n_frames - 1)))
    try:
        for folder in (tra, seg, masks, *([images] if movie.images is not None else [])):
            folder.mkdir(parents=True)
        for t in range(n_frames):
            name = f"{t:0{digits}d}.tif"
            truth = draw_labels(movie.runs, t, movie.lineage.track)
            _save(tra / f"man_track{name}", truth, movie.masks)
            _save(seg / f"man_seg{name}", truth, movie.masks)
            _save(masks / f"mask{name}", movie.masks[t].astype(np.uint16), movie.masks)
            if movie.images is not None:
                _save(images / f"t{name}", movie.images[t], movie.masks)
            if progress is not None:
                progress("simulate", t + 1, n_frames)
        rows = zip(tracks.id, tracks.start, tracks.end, tracks.parent, strict=True)
        (tra / "man_track.txt").write_text("".join(f"{i} {b} {e} {p}\n" for i, b, e, p in rows), encoding="ascii")
    except OSError as error:
        msg = f"{out}: it cannot be written: {error}"
        raise OutputError(msg) from error


def _check_writable(out: Path, tracks: Tracks) -> None:
    if len(tracks) > np.iinfo(np.uint16).max:
        msg = f"{out}: {len(tracks)} tracks do not fit into the 16 bits of the layout; simulate fewer cells or frames"
        raise OutputError(msg)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        msg = f"{out}: it exists already; choose another output"
        raise OutputError(msg)


def _save(path: Path, frame: Image, like: FrameStack) -> None:
    # ImageJ's tags hold the voxel size, and they are the same in each run (no date)
    tifffile.imwrite(
        path,
        frame,
        imagej=True,
        resolution=(1 / like.spacing[-1], 1 / like.spacing[-2]),
        metadata={
            "axes": "ZYX"[-frame.ndim :],
            "unit": "um",
            **({"spacing": like.spacing[0]} if frame.ndim == 3 else {}),
        },
        compression="zlib",
        compressionargs={"level": 1},
        maxworkers=1,
    )


def get_spacing(settings: SimulateSettings) -> tuple[float, ...]:
    """Return the size of a pixel along [z], y, x in um, given or by default."""
    return settings.spacing or (1.0, 0.5, 0.5)[-len(settings.shape) :]


def _grow_colony(
    settings: SimulateSettings, shape: tuple[int, ...], spacing: tuple[float, ...], seed: int
) -> list[Snapshot]:
    """Return the visible state of the cells in every frame."""
    colony = Colony(settings, np.random.default_rng([seed, 0]), np.multiply(shape, spacing))
    snapshots = [colony.take_snapshot()]
    for _ in range(1, settings.frames):
        colony.step()
        snapshots.append(colony.take_snapshot())
    return snapshots


def _draw_frames(
    snapshots: list[Snapshot], diameter: float, shape: tuple[int, ...], spacing: tuple[float, ...], seed: int
) -> tuple[list[_FrameCells], Runs]:
    """Draw the masks of all frames; return the visible cells of each, and their pixels."""
    rng = np.random.default_rng([seed, 1])
    # slivers at the border of the field are removed: an annotator would not outline them
    least = max(1, int(0.02 * UNIT_BALL[len(shape)] * (diameter / 2) ** len(shape) / math.prod(spacing)))
    policy = CellSettings(fragments="largest", min_size=least)
    drawn = [_draw_frame(snapshot, shape, spacing, seed, policy, rng) for snapshot in snapshots]
    cells, runs = [cells for cells, _ in drawn], [runs for _, runs in drawn]
    offsets = np.cumsum([0, *(len(frame.id) for frame in cells)])
    parts = [(start, length, cell + first) for (cell, start, length), first in zip(runs, offsets, strict=False)]
    return cells, join_frames(parts, shape)


def _draw_frame(
    snapshot: Snapshot,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    seed: int,
    policy: CellSettings,
    rng: np.random.Generator,
) -> tuple[_FrameCells, tuple[IntArray, IntArray, IntArray]]:
    """Draw a frame's mask; return its cells and their runs (cell, start, length), labels in random order."""
    owner, _ = draw_cells(snapshot, shape, spacing, seed)
    clean = clean_frame(*encode_frame(owner), layout=(1, *shape)[-3:], settings=policy)  # type: ignore[arg-type]
    n = len(clean.label)
    order = rng.permutation(n)
    cell = np.argsort(order)[clean.cell]
    row = clean.label[order] - 1
    pixels = np.bincount(cell, clean.length, n)
    middle = clean.start + (clean.length - 1) / 2
    at = np.unravel_index(clean.start, shape)
    along = [*at[:-1], at[-1] + middle - clean.start]
    position = np.stack([np.bincount(cell, clean.length * x, n) / pixels for x in along], axis=1) * spacing
    size = pixels * math.prod(spacing)
    diameter = 2 * compute_radius(size, len(shape))
    newborn = (snapshot.age[row] == 0).astype(np.int64)
    cells = _FrameCells(snapshot.id[row], snapshot.parent[row], newborn, position, np.stack([size, diameter], axis=1))
    return cells, (cell, clean.start, clean.length)


_COLUMNS = (
    "size",
    "diameter",
    "major_axis",
    "minor_axis",
    "eccentricity",
    "orientation",
    "border_distance",
    "neighbour_distance",
    "density",
    "intensity_mean",
)


def _measure_cells(
    snapshot: Snapshot, extent: FloatArray, spacing: tuple[float, ...], rng: np.random.Generator
) -> _FrameCells:
    """Return the cells whose centre is in the field, with small random errors of position, size and intensity."""
    d = len(extent)
    inside = np.flatnonzero(((snapshot.position >= 0) & (snapshot.position < extent)).all(axis=1))
    row = rng.permutation(inside)
    n = len(row)
    position = snapshot.position[row] + rng.normal(0, 0.2, (n, d)) * spacing
    axes = snapshot.axes[row] * np.exp(rng.normal(0, 0.02, (n, d)))
    size = UNIT_BALL[d] * axes.prod(axis=1)
    long, short = axes.max(axis=1), axes.min(axis=1)
    border = np.minimum(position, extent - position)[:, -2:].min(axis=1) - long
    nearest, density = _measure_neighbourhood(position, extent)
    columns = [
        size,
        2 * compute_radius(size, d),
        2 * long,
        2 * short,
        np.sqrt(1 - (short / long) ** 2),
        np.mod(snapshot.angle[row] + math.pi / 2, math.pi) - math.pi / 2,
        np.maximum(border, 0),
        nearest,
        density,
        400 * snapshot.light[row] * np.exp(rng.normal(0, 0.03, n)),
    ]
    newborn = (snapshot.age[row] == 0).astype(np.int64)
    return _FrameCells(snapshot.id[row], snapshot.parent[row], newborn, position, np.stack(columns, axis=1))


def _measure_neighbourhood(position: FloatArray, extent: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the distance to the nearest cell in um, and the density in cells per um^D, (n,) each."""
    n, d = position.shape
    k = min(_DENSITY_CELLS, n - 1)
    nearest, density = np.full(n, float(np.linalg.norm(extent))), np.zeros(n)
    if k > 0:
        distance = cKDTree(position).query(position, k=[2, k + 1])[0]
        nearest, density = distance[:, 0], k / (UNIT_BALL[d] * np.maximum(distance[:, 1], 1e-6) ** d)
    return nearest, density


def _build_lineage(
    seen: list[_FrameCells],
    names: tuple[str, ...],
    units: tuple[str, ...],
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
) -> Lineage:
    """Build the table of cells and its lineage from the visible cells of each frame."""
    per_frame = [len(frame.id) for frame in seen]
    ids, parent, newborn = (np.concatenate([frame[k] for frame in seen]) for k in range(3))
    cells = Cells(
        frame=np.repeat(np.arange(len(seen)), per_frame),
        label=np.concatenate([np.arange(1, n + 1) for n in per_frame]),
        position=np.concatenate([frame.position for frame in seen]),
        features=np.concatenate([frame.features for frame in seen]),
        feature_names=names,
        feature_units=units,
        spacing=spacing,
        n_frames=len(seen),
        shape=shape,
        unit="um",
    )
    track, tracks, source, target = _build_tracks(cells.frame, ids, parent, newborn > 0)
    return Lineage(
        cells, track, tracks, source, target, np.ones(len(source), np.float32), Provenance(other={"simulated": True})
    )


def _build_tracks(
    frame: IntArray, ids: IntArray, parent: IntArray, newborn: Any
) -> tuple[IntArray, Tracks, IntArray, IntArray]:
    """Build tracks without gaps, numbered in the order in which they start; return also their links."""
    order = np.lexsort((frame, ids))
    f, i = frame[order], ids[order]
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(i) != 0) | (np.diff(f) != 1)
    at = np.flatnonzero(first)
    end = f[np.append(at[1:], len(order))[: len(at)] - 1] if len(at) else f
    number = np.empty(len(at), np.int64)
    number[np.lexsort((i[at], f[at]))] = np.arange(1, len(at) + 1)
    track = np.empty(len(order), np.int64)
    track[order] = number[np.cumsum(first) - 1]
    going_on = np.flatnonzero(~first)
    # a daughter gets its parent if both are visible in the frames around the division
    span = int(frame.max()) + 2 if len(frame) else 1
    key = i * span + f
    child = order[at]
    child = child[newborn[child] & (parent[child] > 0)]
    wanted = parent[child] * span + frame[child] - 1
    found = np.minimum(np.searchsorted(key, wanted), max(len(key) - 1, 0))
    known = key[found] == wanted
    child, parent_row = child[known], order[found[known]]
    parent_track = np.zeros(len(at) + 1, np.int64)
    parent_track[track[child]] = track[parent_row]
    rank = np.argsort(number)
    tracks = Tracks(np.arange(1, len(at) + 1), f[at][rank], end[rank], parent_track[1:])
    source, target = np.append(order[going_on - 1], parent_row), np.append(order[going_on], child)
    by = np.lexsort((target, source))
    return track, tracks, source[by], target[by]
