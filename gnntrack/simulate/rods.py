"""Simulated bacteria: rods that grow, divide and push each other, in an expanding colony or in narrow channels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from gnntrack.compiled import compile_function
from gnntrack.simulate.colony import Snapshot
from gnntrack.simulate.population import TYPICAL_SIZE, Population
from gnntrack.simulate.stage import Stage

if TYPE_CHECKING:
    from gnntrack.settings import SimulateSettings
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["grow_channels", "grow_rod_colony"]

_STEP = 0.03  # largest growth between two rounds of pushing, as a fraction of the length
_ROUNDS = 12  # rounds of pushing after each
_MARGIN = 3.0  # lengths of a cell outside of the field at which it is no longer simulated
_MOST = 1500  # number of cells at which nutrients are used up


@dataclass
class _Rods:
    """Rods in a plane.

    Parameters
    ----------
    settings : SimulateSettings
        `diameter` is the width of a rod.
    rng : numpy.random.Generator
        Source of all random numbers.
    extent : (2,) float64
        Size of the field along y, x in um.
    """

    settings: SimulateSettings
    rng: np.random.Generator
    extent: FloatArray
    herd: Population = field(init=False)

    def __post_init__(self) -> None:
        rng = self.rng
        self.herd = Population(rng)
        self.width = self.settings.diameter
        self.long = self.width * math.exp(rng.uniform(math.log(3), math.log(10)))  # of a rod that divides
        self.crooked = rng.exponential(0.35) / self.long  # standard deviation of the curvature
        self.kink = math.exp(rng.uniform(math.log(0.03), math.log(0.4)))  # angle of newborn daughters in rad
        self.filaments = float(rng.choice([0.0, rng.uniform(0, 0.06)]))  # fraction of rods that miss divisions
        self.tension = math.exp(rng.uniform(math.log(0.003), math.log(0.1)))  # pull towards the colony's centre

    @property
    def half(self) -> FloatArray:
        """Half length of the straight part of each rod, (n,)."""
        return np.asarray(np.maximum(self.herd.cells.size * self.long - self.width, 0.05 * self.width) / 2)

    @property
    def heading(self) -> FloatArray:
        """Direction of each rod, (n, 2)."""
        angle = self.herd.cells.angle
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)

    def divide(self) -> BoolArray:
        """Divide the rods that are long enough; return which cells are newborn."""
        cells = self.herd.cells
        quarter = (self.half + self.width / 2)[:, None] / 2 * self.heading
        newborn = self.herd.divide(cells.size >= cells.goal, quarter)
        n = int(newborn.sum())
        self.herd.cells.angle[newborn] += self.rng.normal(0, self.kink, n)
        if self.filaments:
            late = self.rng.random(n) < self.filaments
            self.herd.cells.goal[newborn] *= np.where(late, self.rng.uniform(1.5, 3, n), 1.0)
        return newborn

    def take_snapshot(self, offset: FloatArray) -> Snapshot:
        """Return the visible state of the rods, displaced by the stage (2,)."""
        cells = self.herd.cells
        n, radius = len(cells), self.width / 2
        thick = radius * (0.97 + 0.03 * np.tanh(cells.aspect - 1))
        return Snapshot(
            id=cells.id.copy(),
            parent=cells.parent.copy(),
            age=self.herd.frame - cells.birth,
            position=cells.position + offset,
            axes=np.stack([thick, thick], axis=1),
            angle=cells.angle.copy(),
            light=cells.light.copy(),
            condensed=np.zeros(n),
            rough=np.full(n, 0.02),
            core=self.half,
            bend=self.crooked * np.tanh(4 * np.log(cells.vigour)),
        )


# --- colony ----------------------------------------------------------------------------------------------------------


def grow_rod_colony(settings: SimulateSettings, rng: np.random.Generator, extent: FloatArray) -> list[Snapshot]:
    """Return the rods of a colony, or of several ones, that expand because their cells grow and divide.

    Parameters
    ----------
    settings : SimulateSettings
        `cells` is the number of rods in the first frame, `diameter` their width, `clustering` the chance that they are
        in few colonies, `speed` their own motion, which is small.
    rng : numpy.random.Generator
        Source of all random numbers.
    extent : (2,) float64
        Size of the field along y, x in um.

    Returns
    -------
    list of Snapshot
        One per frame.
    """
    rods = _Rods(settings, rng, extent)
    _found_colonies(rods)
    stage, offset = Stage(settings, rng, 2), np.zeros(2)
    snapshots = [rods.take_snapshot(offset)]
    steps = max(1, math.ceil(math.log(2) / settings.cycle / _STEP))
    for _ in range(1, settings.frames):
        rods.herd.frame += 1
        for _ in range(steps):
            _advance_colony(rods, 1 / steps)
        offset = offset + stage.move()
        snapshots.append(rods.take_snapshot(offset))
    return snapshots


def _found_colonies(rods: _Rods) -> None:
    """Grow the colonies of the first frame from single rods."""
    s, rng, herd = rods.settings, rods.rng, rods.herd
    colonies = int(rng.integers(1, 3)) if rng.random() < s.clustering else int(rng.integers(2, 9))
    colonies = min(colonies, s.cells)
    spread = 0.05 if colonies == 1 else 0.4
    place = (0.5 + rng.uniform(-spread, spread, (colonies, 2))) * rods.extent
    herd.cells = herd.create(place, size=herd.draw_sizes(colonies), varied=0.5)
    while 0 < len(herd.cells) < s.cells:
        _advance_colony(rods, _STEP * s.cycle / math.log(2), most=s.cells)
    herd.cells.birth[:] = -1000
    herd.cells.parent[:] = 0


def _advance_colony(rods: _Rods, time: float, most: int | None = None) -> None:
    """Let rods grow for a part of a frame, divide up to a number of cells, and push each other apart."""
    s, herd, rng = rods.settings, rods.herd, rods.rng
    cells = herd.cells
    if not len(cells):
        return
    before = rods.half + rods.width / 2
    hunger = max(0.0, 1 - (len(cells) / _MOST) ** 4)
    if s.divisions:
        cells.size *= np.exp(math.log(2) / s.cycle * time * hunger * cells.pace)
    _spread(cells.position, before, rods.half + rods.width / 2, rods.width, rods.tension)
    kick = s.speed * math.sqrt(time)
    cells.position += rng.normal(0, kick, cells.position.shape)
    cells.angle += rng.normal(0, 0.3 * kick / rods.long, len(cells))
    if s.divisions and (most is None or len(cells) < most):
        rods.divide()
    cells = herd.cells
    half = rods.half
    pairs = find_rod_pairs(cells.position, half, rods.width)
    _press(cells.position, cells.angle, half, rods.width / 2, pairs, _ROUNDS)
    far = _MARGIN * rods.long
    lost = ((cells.position < -far) | (cells.position > rods.extent + far)).any(axis=1)
    if lost.any():
        herd.cells = cells.take(~np.asarray(lost))


def find_rod_pairs(position: FloatArray, half: FloatArray, width: float) -> IntArray:
    """Return the pairs of rods that may touch, shape (P, 2)."""
    reach = 2 * float(half.max(initial=0)) + 1.3 * width
    pairs = cKDTree(position).query_pairs(reach, output_type="ndarray").astype(np.int64)
    a, b = pairs.T
    apart = np.linalg.norm(position[a] - position[b], axis=1)
    return np.asarray(pairs[apart < half[a] + half[b] + 1.3 * width])


def _spread(position: FloatArray, before: FloatArray, after: FloatArray, width: float, pull: float) -> None:
    """Move the rods of each colony as it grows, so that little must be pushed.

    A colony expands by as much as its area grows, and surface tension pulls rods that are outside of the disc of its
    area back towards its centre: chains of rods buckle.
    """
    reach = 2.2 * float(after.max())
    pairs = cKDTree(position).query_pairs(reach, output_type="ndarray")
    n = len(position)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    count, colony = connected_components(links, directed=False)
    members = np.bincount(colony, minlength=count)
    centre = np.stack([np.bincount(colony, column, count) / members for column in position.T], axis=1)[colony]
    total = np.bincount(colony, after, count)
    growth = total / np.bincount(colony, before, count)
    disc = 1.1 * np.sqrt(2 * total * width / math.pi)[colony]
    away = position - centre
    far = np.maximum(np.linalg.norm(away, axis=1), 1e-9)
    inwards = np.minimum(pull * np.maximum(1 - disc / far, 0), 0.2 * width / far)
    position += (0.5 * (growth[colony] - 1) - inwards)[:, None] * away


@compile_function
def _press(position, angle, half, radius, pairs, rounds):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Push rods apart in place: each end of a rod against the other rod; a push also turns them."""
    for _ in range(rounds):
        for p in range(pairs.shape[0]):
            a, b = pairs[p, 0], pairs[p, 1]
            for turn in range(4):
                # an end of rod i against the middle line of rod j
                i, j = (a, b) if turn < 2 else (b, a)
                side = 1.0 if turn % 2 else -1.0
                iy, ix = math.cos(angle[i]), math.sin(angle[i])
                jy, jx = math.cos(angle[j]), math.sin(angle[j])
                at = side * half[i]
                ey, ex = position[i, 0] + at * iy - position[j, 0], position[i, 1] + at * ix - position[j, 1]
                along = min(max(ey * jy + ex * jx, -half[j]), half[j])
                dy, dx = ey - along * jy, ex - along * jx
                gap = math.sqrt(dy * dy + dx * dx)
                if gap >= 2 * radius or gap < 1e-9:
                    continue
                push = 0.25 * (2 * radius - gap) / gap
                py, px = push * dy, push * dx
                # a long rod moves less than a short one
                heavy, weight = half[i] + radius, half[j] + radius
                mine, others = 2 * weight / (heavy + weight), 2 * heavy / (heavy + weight)
                position[i, 0] += mine * py
                position[i, 1] += mine * px
                position[j, 0] -= others * py
                position[j, 1] -= others * px
                inertia_i = heavy * heavy / 3 + radius * radius
                inertia_j = weight * weight / 3 + radius * radius
                angle[i] += mine * at * (iy * px - ix * py) / inertia_i
                angle[j] -= others * along * (jy * px - jx * py) / inertia_j


# --- channels --------------------------------------------------------------------------------------------------------


def grow_channels(settings: SimulateSettings, rng: np.random.Generator, extent: FloatArray) -> list[Snapshot]:
    """Return the rods in the channels of a chip: in each of them they grow in a line, and the last ones are pushed out.

    Parameters
    ----------
    settings : SimulateSettings
        `cells` is the number of rods in the first frame, `diameter` their width, `speed` their slipping along a
        channel per frame.
    rng, extent
        As of `grow_rod_colony`.

    Returns
    -------
    list of Snapshot
        One per frame.
    """
    rods = _Rods(settings, rng, extent)
    rods.kink, rods.crooked = 0.0, 0.3 * rods.crooked
    channels = _Channels.draw(rods)
    stage, offset = Stage(settings, rng, 2), np.zeros(2)
    snapshots = [channels.take_snapshot(offset)]
    steps = max(1, math.ceil(math.log(2) / settings.cycle / _STEP))
    for _ in range(1, settings.frames):
        rods.herd.frame += 1
        for _ in range(steps):
            channels.advance(1 / steps)
        channels.slip()
        offset = offset + stage.move()
        snapshots.append(channels.take_snapshot(offset))
    return snapshots


@dataclass
class _Channels:
    """Channels side by side; `vigour` of a rod is not used, `velocity[:, 0]` is its channel, `[:, 1]` its place."""

    rods: _Rods
    floor: float  # y of the closed ends
    deep: float  # length of the channels
    places: FloatArray  # x of the channels
    down: bool  # whether the open ends are at the end of the y axis
    turned: bool  # whether the channels are along x

    @classmethod
    def draw(cls, rods: _Rods) -> _Channels:
        s, rng = rods.settings, rods.rng
        turned = bool(rng.random() < 0.3)
        tall, wide = (rods.extent[::-1] if turned else rods.extent).tolist()
        typical = TYPICAL_SIZE * rods.long
        deep = min(float(rng.uniform(0.45, 0.85)) * tall, float(rng.uniform(3, 12)) * typical)
        room = max(int(deep / typical), 1)
        pitch = rods.width * float(rng.uniform(1.6, 4))
        most = max(int(wide / pitch) - 1, 1)
        number = min(max(round(s.cells / room), 1), most) if s.cells else 0
        pitch = min(wide / (number + 1), pitch * float(rng.uniform(1, 2))) if number else pitch
        first = (wide - pitch * (number - 1)) / 2
        places = first + pitch * np.arange(number)
        made = cls(rods, float(rng.uniform(0.05, 0.15)) * tall, deep, places, bool(rng.random() < 0.5), turned)
        herd = rods.herd
        rows = [np.full(room + 1, each) for each in range(number) if rng.random() > 0.08]
        channel = np.concatenate([*rows, np.zeros(0)])
        n = len(channel)
        herd.cells = herd.create(np.zeros((n, 2)), size=herd.draw_sizes(n))
        herd.cells.velocity = np.stack([channel, np.concatenate([*(np.arange(len(r)) for r in rows), np.zeros(0)])], 1)
        herd.cells.angle[:] = rng.normal(0, 0.02, n)
        made._place()
        made.slip()
        return made

    def advance(self, time: float) -> None:
        """Let rods grow for a part of a frame, divide, and push each other towards the open end."""
        rods, s = self.rods, self.rods.settings
        cells = rods.herd.cells
        if not len(cells):
            return
        if s.divisions:
            cells.size *= np.exp(math.log(2) / s.cycle * time * cells.pace)
            newborn = rods.divide()
            cells = rods.herd.cells
            cells.angle[newborn] = self.rods.rng.normal(0, 0.02, int(newborn.sum()))
            k = int(newborn.sum()) // 2
            cells.velocity[len(cells) - k :, 1] += 0.5
        self._place()

    def _place(self) -> None:
        """Stack the rods of each channel from its closed end on; those outside are washed away."""
        herd, rods = self.rods.herd, self.rods
        cells = herd.cells
        order = np.lexsort((cells.velocity[:, 1], cells.velocity[:, 0]))
        herd.cells = cells = cells.take(order)
        channel = cells.velocity[:, 0].astype(np.int64)
        length = 2 * rods.half + rods.width
        end = np.cumsum(length * 1.01)
        first = np.flatnonzero(np.diff(channel, prepend=-1))
        before = np.zeros(len(cells))
        if len(cells):
            before = np.repeat(end[first] - 1.01 * length[first], np.diff(np.append(first, len(cells))))
        middle = end - before - length / 2
        cells.velocity[:, 1] = np.arange(len(cells))
        y = self.floor + middle
        cells.position = np.stack([y, self.places[channel]], axis=1) if len(cells) else cells.position
        inside = middle - length / 2 < self.deep
        if not inside.all():
            herd.cells = cells.take(inside)

    def slip(self) -> None:
        """Displace the rods of each channel together, and each a little, along and across it."""
        rng, s = self.rods.rng, self.rods.settings
        cells = self.rods.herd.cells
        n = len(cells)
        shared = rng.normal(0, s.speed, len(self.places))[cells.velocity[:, 0].astype(np.int64)] if n else 0
        cells.position[:, 0] += np.abs(shared)
        cells.position[:, 1] += rng.normal(0, 0.03 * self.rods.width, n)

    def take_snapshot(self, offset: FloatArray) -> Snapshot:
        """Return the visible state, with the channels in their direction, displaced by the stage (2,)."""
        seen = self.rods.take_snapshot(np.zeros(2))
        position, angle = seen.position, seen.angle
        tall = self.rods.extent[1 if self.turned else 0]
        if not self.down:
            position[:, 0], angle[:] = tall - position[:, 0], -angle
        if self.turned:
            position[:], angle[:] = position[:, ::-1].copy(), math.pi / 2 - angle
        position += offset
        return seen
