"""A simulated embryo: what a detector of nuclei finds in it, and its true lineage."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from gnntrack.components import label_components
from gnntrack.errors import InputError
from gnntrack.frame_array import FrameArray
from gnntrack.settings import EmbryoSettings
from gnntrack.simulate.computed_frames import ComputedFrames
from gnntrack.simulate.lightsheet import GREY_PER_PHOTON, take_volume
from gnntrack.simulate.tissue import Tissue, TissueSnapshot
from gnntrack.types import PointGraph

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from gnntrack.types import BoolArray, FloatArray, Image, IntArray

__all__ = ["SimulatedEmbryo", "draw_embryo_settings", "simulate_embryo"]

_JUMP = (3.0, 8.0)  # um
_DEEPER = 1.5  # standard deviation of a detected position along z, relative to that along y and x


class _Detections(NamedTuple):
    """What a detector finds in one frame, in random order."""

    id: IntArray  # of the nucleus, negative for clutter
    voxel: FloatArray  # (n, 3)
    radius: FloatArray  # um
    intensity: FloatArray


@dataclass(frozen=True)
class SimulatedEmbryo:
    """A movie of nuclei whose lineage is known.

    Parameters
    ----------
    settings : EmbryoSettings
        The settings that it was made with.
    seed : int
        Its seed.
    snapshots : list of TissueSnapshot
        State of the tissue at each time.
    shown : (T,) int64
        For each frame the row of `snapshots` that it shows; a frozen frame shows that of the frame before.
    points : pandas.DataFrame
        Detections, with missed nuclei and clutter: ``t, z, y, x`` in voxels, ``radius`` in um, ``intensity`` in grey
        values; sorted by frame, in random order in each.
    point_truth : (N,) int64
        For each row of `points` the id of its point in `truth`; 0 = clutter.
    truth : PointGraph
        All nuclei whose centre is inside the volume, and their links, also of those that were not detected.
    """

    settings: EmbryoSettings
    seed: int
    snapshots: list[TissueSnapshot]
    shown: IntArray
    points: pd.DataFrame
    point_truth: IntArray
    truth: PointGraph

    @property
    def spacing(self) -> tuple[float, ...]:
        """Size of a voxel along z, y, x in um."""
        return self.settings.spacing

    @property
    def images(self) -> FrameArray:
        """The movie, (T, Z, Y, X) uint16; a volume is computed when it is read, the same at each reading."""

        def make_volume(frame: int) -> Image:
            time = int(self.shown[frame])
            return take_volume(self.snapshots[time], time, settings=self.settings, seed=self.seed)

        names = [f"frame {t}" for t in range(self.settings.frames)]
        return FrameArray(ComputedFrames(make_volume, names, self.settings.shape, self.spacing), np.uint16)

    @cached_property
    def frozen(self) -> IntArray:
        """Frames that are copies of the frame before."""
        return np.flatnonzero(np.diff(self.shown, prepend=-1) == 0)

    def sparse_truth(self, fraction: float, *, seed: int = 0) -> PointGraph:
        """Return the ground truth of a person who followed some of the nuclei.

        Parameters
        ----------
        fraction : float
            Fraction of the points, 0 to 1. Whole lineages are drawn at random until there are as many points.
        seed : int
            Draws other lineages.

        Returns
        -------
        PointGraph
            Part of `truth`, with the same ids. Its ``total`` is the number of points of all nuclei.

        Raises
        ------
        InputError
            If the fraction is not between 0 and 1.
        """
        if not 0 <= fraction <= 1:
            msg = f"fraction={fraction}: expected a fraction of the nuclei between 0 and 1, such as 0.03"
            raise InputError(msg)
        truth = self.truth
        family, count = label_components(len(truth), truth.source, truth.target)
        size = np.bincount(family, minlength=count)
        order = np.random.default_rng([self.seed, 5, seed]).permutation(count)
        before = np.cumsum(size[order]) - size[order]
        chosen = np.zeros(count, bool)
        chosen[order[before < fraction * len(truth)]] = True
        return replace(truth.select(chosen[family]), total=float(len(truth)))


def simulate_embryo(*, settings: EmbryoSettings | None = None, seed: int = 0) -> SimulatedEmbryo:
    """Simulate nuclei of an embryo in a light-sheet microscope, and what a detector finds of them.

    Nuclei move by themselves (an Ornstein-Uhlenbeck process), with the tissue around them (a flow without sources, so
    that neighbours move together) and with the stage (a log-normal drift whose direction changes slowly). They push
    each other apart, grow, divide into daughters that separate over some frames, and die. Some frames are copies of
    the frame before, while the nuclei move on; in some the stack jumps and comes back. The chance that a nucleus is
    missed is drawn from a beta distribution; dim nuclei are missed more often, in runs of frames. Clutter moves like
    nuclei, flickers, and disappears after some frames.

    Parameters
    ----------
    settings : EmbryoSettings, optional
        Size and length of the movie, life of the nuclei, faults of the microscope and of the detector.
    seed : int
        The same seed gives the same embryo.

    Examples
    --------
    >>> embryo = simulate_embryo(settings=EmbryoSettings(frames=5, cells=60), seed=1)
    >>> embryo.truth.n_frames, list(embryo.points.columns)
    (5, ['t', 'z', 'y', 'x', 'radius', 'intensity'])
    """
    import pandas as pd

    settings = settings or EmbryoSettings()
    rng = np.random.default_rng([seed, 0])
    extent = (np.array(settings.shape) - 1) * settings.spacing
    tissue = Tissue(settings, rng, extent)
    snapshots = [tissue.take_snapshot()]
    for _ in range(1, settings.frames):
        tissue.step()
        snapshots.append(tissue.take_snapshot())
    snapshots = _displace_frames(snapshots, settings, np.random.default_rng([seed, 1]))
    shown = _freeze_frames(settings, np.random.default_rng([seed, 2]))
    truth, node_of = _build_truth(snapshots, shown, settings)
    found = [
        _detect_nuclei(snapshot, settings, np.random.default_rng([seed, 3, t])) for t, snapshot in enumerate(snapshots)
    ]
    parts = [found[row] for row in shown.tolist()]
    frame = np.repeat(np.arange(settings.frames), [len(part.id) for part in parts])
    columns = [np.concatenate([part[k] for part in parts]) for k in range(4)]
    voxel = columns[1].astype(np.int64) if settings.whole_voxels else columns[1]
    table = {"t": frame, **dict(zip("zyx", voxel.T, strict=True)), "radius": columns[2], "intensity": columns[3]}
    point_truth = node_of(frame, columns[0])
    return SimulatedEmbryo(settings, seed, snapshots, shown, pd.DataFrame(table), point_truth, truth)


def _displace_frames(
    snapshots: list[TissueSnapshot], settings: EmbryoSettings, rng: np.random.Generator
) -> list[TissueSnapshot]:
    """Return the snapshots, some of them displaced as a whole for one frame."""
    moved = list(snapshots)
    for t in range(1, len(snapshots)):
        direction, length, jumps = rng.normal(size=3) * (1, 0.25, 0.25), rng.uniform(*_JUMP), rng.uniform()
        if jumps < settings.jumps and t < len(snapshots) - 1:
            shift = direction * length / np.linalg.norm(direction)
            moved[t] = replace(snapshots[t], position=snapshots[t].position + shift)
    return moved


def _freeze_frames(settings: EmbryoSettings, rng: np.random.Generator) -> IntArray:
    """Return for each frame the time that it shows, (T,); a frozen frame shows that of the frame before."""
    own = rng.uniform(size=settings.frames) >= settings.frozen
    own[:1] = True
    return np.maximum.accumulate(np.where(own, np.arange(settings.frames), 0))


def _is_inside(position: FloatArray, settings: EmbryoSettings) -> BoolArray:
    """Return whether centres are inside the volume, (n,)."""
    extent = (np.array(settings.shape) - 1) * settings.spacing
    return np.asarray(((position >= 0) & (position <= extent)).all(axis=1))


def _build_truth(
    snapshots: list[TissueSnapshot], shown: IntArray, settings: EmbryoSettings
) -> tuple[PointGraph, Callable[[IntArray, IntArray], IntArray]]:
    """Return the true lineage, and a function that returns the ids of its points from frames and identities."""
    inside = [(each.id > 0) & _is_inside(each.position, settings) for each in snapshots]
    rows = [(snapshots[k], inside[k]) for k in shown.tolist()]
    per_frame = [int(keep.sum()) for _, keep in rows]
    frame = np.repeat(np.arange(len(rows)), per_frame)
    ids, parent = (np.concatenate([getattr(each, name)[keep] for each, keep in rows]) for name in ("id", "parent"))
    position = np.concatenate([each.position[keep] for each, keep in rows])
    if settings.whole_voxels:
        position = np.rint(position / settings.spacing) * settings.spacing
    span = int(max((each.id.max(initial=0) for each in snapshots), default=0)) + 2
    key = frame * span + ids
    order = np.argsort(key)

    def find(frames: IntArray, identities: IntArray) -> IntArray:
        """Return the row of each nucleus, -1 if it is not in the truth."""
        wanted = frames * span + np.maximum(identities, 0)
        at = np.minimum(np.searchsorted(key[order], wanted), len(key) - 1) if len(key) else np.zeros(0, np.int64)
        return np.where((frames >= 0) & (identities > 0) & (key[order][at] == wanted), order[at], -1)

    same, born = find(frame - 1, ids), find(frame - 1, parent)
    source = np.where(same >= 0, same, born)
    target = np.flatnonzero(source >= 0)
    graph = PointGraph(
        np.arange(1, len(ids) + 1), frame, position, source[target], target, settings.spacing, n_frames=len(rows)
    )
    return graph, lambda frames, identities: find(frames, identities) + 1


def _detect_nuclei(snapshot: TissueSnapshot, settings: EmbryoSettings, rng: np.random.Generator) -> _Detections:
    """Return what a detector finds: positions with errors, without the missed nuclei."""
    row = rng.permutation(np.flatnonzero(snapshot.seen & _is_inside(snapshot.position, settings)))
    n, last = len(row), np.array(settings.shape) - 1
    error = rng.normal(0, settings.noise, (n, 3)) * (_DEEPER, 1, 1)
    voxel = np.clip((snapshot.position[row] + error) / settings.spacing, 0, last)
    radius = snapshot.radius[row] * np.exp(rng.normal(0, 0.08, n))
    light = snapshot.light[row] * np.exp(rng.normal(0, 0.06, n))
    grey = np.rint(GREY_PER_PHOTON * settings.photons * light * 10) / 10
    return _Detections(
        snapshot.id[row], np.rint(voxel) if settings.whole_voxels else voxel.round(3), radius.round(3), grey
    )


def draw_embryo_settings(seed: int, **changes: Any) -> EmbryoSettings:
    """Draw the settings of an embryo at random, for training: sparse or dense, calm or fast, clean or full of faults.

    Parameters
    ----------
    seed : int
        The same seed gives the same settings.
    **changes
        Settings that are given and not drawn, such as ``frames=30``.

    Examples
    --------
    >>> drawn = draw_embryo_settings(3, frames=30)
    >>> drawn.frames, 30 <= drawn.cells <= 700
    (30, True)
    """
    rng = np.random.default_rng([seed, 61])

    def draw(low: float, high: float) -> float:
        """Draw from a log-uniform distribution."""
        return float(math.exp(rng.uniform(math.log(low), math.log(high))))

    drawn: dict[str, Any] = {
        "cells": round(draw(30, 700)),
        "diameter": draw(5.5, 11),
        "speed": draw(0.2, 1.6),
        "persistence": float(rng.uniform(0, 0.9)),
        "flow": draw(0.1, 1.6),
        "flow_length": draw(30, 150),
        "drift": draw(0.05, 5),
        "drift_spread": float(rng.uniform(0.3, 0.9)),
        "frozen": float(rng.choice([0.0, rng.uniform(0, 0.2)])),
        "jumps": float(rng.choice([0.0, rng.uniform(0, 0.05)])),
        "division_rate": draw(0.001, 0.02),
        "death_rate": draw(0.0001, 0.003),
        "misses": draw(0.005, 0.2),
        "clutter": draw(0.005, 0.3),
        "noise": draw(0.1, 0.8),
        "whole_voxels": bool(rng.uniform() < 0.5),
        "photons": draw(15, 200),
        "background": draw(3, 60),
        "haze": float(rng.uniform(0, 0.5)),
        "blur": draw(0.3, 0.9),
        "axial_blur": float(rng.uniform(1.5, 4)),
        "texture": float(rng.uniform(0, 0.6)),
        "bleaching": float(rng.uniform(0, 0.5)),
        "shading": float(rng.uniform(0, 0.7)),
    }
    return EmbryoSettings(**(drawn | changes))
