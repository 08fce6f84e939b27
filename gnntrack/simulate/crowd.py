"""Simulated cells that crawl and crowd: sheets, epithelia, sparse fast cells, amoeboid cells, in 2D and 3D.

All of them are soft balls that move by themselves and with their neighbours, grow, divide, die, and push each other
apart; how much of each is a `Manner`. The region wraps around, and is larger than the field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from gnntrack.geometry import UNIT_BALL
from gnntrack.simulate.colony import Snapshot
from gnntrack.simulate.population import TYPICAL_SIZE, Population
from gnntrack.simulate.stage import Stage
from gnntrack.simulate.streams import Streams

if TYPE_CHECKING:
    from gnntrack.settings import SimulateSettings
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["Crowd", "Manner", "watch_crowd"]

_SETTLING = 40  # rounds of pushing before the first frame
_ROUNDS = 6  # rounds of pushing per step
_STEPS = 3  # steps per frame
_TOUCH = 1.35  # distance of neighbours, in sums of their radii
_CLOSEST = 0.9  # packing of cells, as a fraction of the region, above which all of them get smaller
_DYING = 0.15  # duration of a death, in cycles
_APART = 0.58  # distance of newborn daughters from the parent's centre, in its radii


@dataclass(frozen=True)
class Manner:
    """How the cells of a kind look and move, as fractions.

    Parameters
    ----------
    cover : float
        Drawn radius of a cell, relative to that at which cells push each other: below 1 nuclei, above 1.2 cells without
        gaps between them.
    varied : float
        Standard deviation of the logarithm of the speed among cells.
    pauses : float
        Chance per frame that a moving cell rests, or a resting one moves.
    align : float
        Fraction of its velocity that a cell takes from its neighbours.
    stream : float
        Speed of the tissue around a cell, relative to that of the cell.
    gap : float
        Fraction of the region that is free of cells at the start, as a strip.
    seek : float
        Speed towards free space, relative to that of the cell.
    aspect : float
        Mean long axis divided by the short one.
    follow : float
        Fraction of the angle between its axis and its motion that a cell turns per frame.
    rough, lobes : float
        Height of bumps and of lobes, as fractions of the radius.
    wave : float
        Synchrony of divisions, 0 to 1.
    mitosis : float
        Duration of mitosis, in cycles.
    condensed : float
        Loss of radius of a dividing cell: nuclei condense.
    outlined : float
        Light of the outlines in the image, relative to that of the cells: a stain of the membranes.
    """

    cover: float = 1.0
    varied: float = 0.3
    pauses: float = 0.0
    align: float = 0.0
    stream: float = 0.0
    gap: float = 0.0
    seek: float = 0.0
    aspect: float = 1.3
    follow: float = 0.0
    rough: float = 0.04
    lobes: float = 0.0
    wave: float = 0.0
    mitosis: float = 0.06
    condensed: float = 0.0
    outlined: float = 0.0


def watch_crowd(
    settings: SimulateSettings, manner: Manner, rng: np.random.Generator, extent: FloatArray
) -> list[Snapshot]:
    """Return the visible state of a crowd in every frame.

    Parameters
    ----------
    settings : SimulateSettings
        Number, size, motion, division and death of the cells.
    manner : Manner
        How they look and move.
    rng : numpy.random.Generator
        Source of all random numbers.
    extent : (D,) float64
        Size of the field along [z], y, x in um.
    """
    crowd = Crowd(settings, manner, rng, extent)
    snapshots = [crowd.take_snapshot()]
    for _ in range(1, settings.frames):
        crowd.step()
        snapshots.append(crowd.take_snapshot())
    return snapshots


def count_fitting(diameter: float, room: float, ndim: int) -> int:
    """Return how many growing cells fill a room in um^D."""
    return int(0.95 * room / (TYPICAL_SIZE * UNIT_BALL[ndim] * (diameter / 2) ** ndim))


@dataclass
class Crowd:
    """Cells in a field and around it; parameters as of `watch_crowd`."""

    settings: SimulateSettings
    manner: Manner
    rng: np.random.Generator
    extent: FloatArray
    herd: Population = field(init=False)

    def __post_init__(self) -> None:
        s, rng, d = self.settings, self.rng, len(self.extent)
        largest = 2 * s.diameter * max(1.0, self.manner.cover) * math.sqrt(self.manner.aspect)
        self._low = np.array([0.0, -largest, -largest])[-d:]
        self._size = self.extent + np.array([0.0, 2 * largest, 2 * largest])[-d:]
        self._streams = Streams(rng, d, length=float(rng.uniform(0.4, 1.5)) * float(self.extent[-2:].min()))
        self._stage = Stage(s, rng, d)
        room = float(np.prod(self._size)) * (1 - self.manner.gap)
        n = min(round(s.cells * room / float(np.prod(self.extent))), count_fitting(s.diameter, room, d))
        self._gap_axis = int(rng.integers(d - 2, d))
        position = self._low + rng.uniform(0, 1, (n, d)) * self._size
        where = rng.uniform(0, 1 - self.manner.gap, n)
        position[:, self._gap_axis] = self._low[self._gap_axis] + where * self._size[self._gap_axis]
        self.herd = Population(rng)
        self.herd.cells = self.herd.create(
            position, size=self.herd.draw_sizes(n), aspect=self.manner.aspect, varied=self.manner.varied
        )
        self.herd.cells.velocity = rng.normal(0, self._impulse, (n, d)) * self._mobility
        self._clock = float(rng.uniform(0, 1))
        for _ in range(_SETTLING):
            self._push(1)
        self._wrap()
        self.herd.cells.birth[:] = -1000

    @property
    def _impulse(self) -> float:
        return self.settings.speed / math.sqrt(2)

    @property
    def _mobility(self) -> FloatArray:
        return np.array([0.4, 1.0, 1.0])[-len(self.extent) :]

    def step(self) -> None:
        """Advance by one frame."""
        self.herd.frame += 1
        self._choose()
        self.herd.cells.position += self._stage.move()
        for _ in range(_STEPS):
            self._grow(1 / _STEPS)
            self._move(1 / _STEPS)
            self._push(_ROUNDS)
            self._wrap()

    def compute_radii(self) -> FloatArray:
        """Return the radius in um at which each cell pushes others, (n,)."""
        cells, s, d = self.herd.cells, self.settings, len(self.extent)
        radius = 0.5 * s.diameter * cells.size ** (1 / d)
        young = np.exp(-(self.herd.frame - cells.birth) / max(1.0, 0.04 * s.cycle))
        dying = self._find_dying()
        radius *= (1 - 0.03 * young) * (1 - 0.75 * dying)
        filled = UNIT_BALL[d] * float((radius**d).sum()) / float(np.prod(self._size))
        return np.asarray(radius * min(1.0, (_CLOSEST / max(filled, 1e-9)) ** (1 / d)))

    def take_snapshot(self) -> Snapshot:
        """Return the visible state of the cells in the current frame."""
        cells, m, d = self.herd.cells, self.manner, len(self.extent)
        ready, dying = self._find_ready(), self._find_dying()
        young = np.exp(-(self.herd.frame - cells.birth) / max(1.0, 0.05 * self.settings.cycle))
        round_ = np.maximum(ready, young)
        radius = m.cover * self.compute_radii() * (1 - m.condensed * np.maximum(ready**2, 0.5 * young))
        aspect = 1 + (cells.aspect - 1) * (1 - round_)
        long, short = radius * np.sqrt(aspect), radius / np.sqrt(aspect)
        return Snapshot(
            id=cells.id.copy(),
            parent=cells.parent.copy(),
            age=self.herd.frame - cells.birth,
            position=cells.position.copy(),
            axes=np.stack([0.9 * radius, long, short], axis=1)[:, -d:],
            angle=cells.angle.copy(),
            light=cells.light * (1 + (0.2 + m.condensed * 3) * round_ + dying),
            condensed=np.maximum(round_ * (m.condensed > 0), dying),
            rough=m.rough * (1 - round_),
            lobes=m.lobes * (1 - round_) if m.lobes else None,
            outlined=m.outlined,
        )

    def _find_ready(self) -> FloatArray:
        lasts = max(1.0, self.manner.mitosis * self.settings.cycle)
        left = self.herd.cells.mitosis
        return np.where(left > 0, np.clip(1.1 - left / lasts, 0, 1), 0.0)

    def _find_dying(self) -> FloatArray:
        lasts = max(2.0, _DYING * self.settings.cycle)
        left = self.herd.cells.death
        return np.where(left > 0, np.clip(1 - left / lasts, 0, 1), 0.0)

    def _choose(self) -> None:
        """Let cells begin to rest, to move, and to die."""
        cells, s, m, rng = self.herd.cells, self.settings, self.manner, self.rng
        if m.pauses:
            change = rng.uniform(size=len(cells)) < m.pauses
            fresh = np.where(cells.vigour > 0, 0.0, np.exp(rng.normal(0, m.varied, len(cells))))
            cells.vigour = np.where(change, fresh, cells.vigour)
        dies = (cells.mitosis == 0) & (cells.death == 0) & (rng.uniform(size=len(cells)) < s.death_rate)
        cells.death[dies] = max(2.0, _DYING * s.cycle)

    def _grow(self, time: float) -> None:
        """Let cells grow, divide and disappear."""
        cells, s, m = self.herd.cells, self.settings, self.manner
        ends = (cells.death > 0) & (cells.death <= time)
        cells.death = np.maximum(cells.death - time, 0)
        if s.divisions:
            resting = (cells.mitosis == 0) & (cells.death == 0)
            # in waves, all cells grow slowly, and then fast
            self._clock += time / s.cycle
            tide = 1 + m.wave * 4 * (max(0.0, math.sin(2 * math.pi * self._clock)) ** 6 - 0.25)
            cells.size[resting] *= np.exp(math.log(2) / s.cycle * time * tide * cells.pace[resting])
            splits = (cells.mitosis > 0) & (cells.mitosis <= time)
            cells.mitosis = np.maximum(cells.mitosis - time, 0)
            starts = resting & (cells.size >= cells.goal)
            cells.mitosis[starts] = max(1.0, m.mitosis * s.cycle) * np.exp(self.rng.normal(0, 0.1, int(starts.sum())))
            self._split(splits)
            ends = np.concatenate([ends[~splits], np.zeros(2 * int(splits.sum()), bool)])
        if ends.any():
            self.herd.cells = self.herd.cells.take(~ends)

    def _split(self, rows: BoolArray) -> None:
        """Divide cells along their long axis, roughly."""
        cells, d, rng = self.herd.cells, len(self.extent), self.rng
        n = len(cells)
        angle = cells.angle + rng.normal(0, 0.5, n)
        tilt = rng.normal(0, 0.5, n) if d == 3 else np.zeros(n)
        along = np.stack([np.sin(tilt), np.cos(tilt) * np.cos(angle), np.cos(tilt) * np.sin(angle)], axis=1)[:, -d:]
        radius = self.compute_radii()
        newborn = self.herd.divide(rows, _APART * radius[:, None] * along)
        k = int(newborn.sum())
        cells = self.herd.cells
        # the next long axis is across the last division
        cells.angle[newborn] = np.tile(angle[rows], 2) + math.pi / 2 + rng.normal(0, 0.3, k)
        cells.aspect[newborn] = 1 + (self.manner.aspect - 1) * rng.gamma(4, 0.25, k)

    def _move(self, time: float) -> None:
        cells, s, m, rng = self.herd.cells, self.settings, self.manner, self.rng
        n, d = len(cells), len(self.extent)
        if not n:
            return
        keep = s.persistence**time
        push = math.sqrt(1 - keep**2) * self._impulse * self._mobility
        cells.velocity = keep * cells.velocity + rng.normal(0, 1, (n, d)) * push
        busy = np.where((cells.mitosis > 0) | (cells.death > 0), 0.3, 1.0) * np.minimum(cells.vigour, 4)
        self._follow_neighbours()
        pace = cells.velocity * busy[:, None]
        turn = rng.normal(0, 0.06, n)
        if m.follow:
            wanted = np.arctan2(cells.velocity[:, -1], cells.velocity[:, -2])
            away = np.mod(wanted - cells.angle + math.pi / 2, math.pi) - math.pi / 2
            turn += (1 - (1 - m.follow) ** time) * away * (busy > 0.3)
        cells.angle = cells.angle + turn * math.sqrt(time)
        self._streams.advance(rng, time)
        flow = m.stream * s.speed * self._streams.measure(cells.position)
        cells.position = cells.position + time * (pace + flow * self._mobility)

    def _follow_neighbours(self) -> None:
        """Take a part of the neighbours' velocity, and move towards free space."""
        cells, m, n = self.herd.cells, self.manner, len(self.herd.cells)
        if not (m.align or m.seek) or n < 2:
            return
        radius = self.compute_radii()
        a, b, apart = self._find_pairs(_TOUCH, radius)
        count = np.maximum(np.bincount(a, minlength=n) + np.bincount(b, minlength=n), 1)[:, None]
        if m.align:
            v = cells.velocity
            mean = np.stack(
                [np.bincount(a, c[b], n) + np.bincount(b, c[a], n) for c in np.ascontiguousarray(v.T)], axis=1
            )
            alone = count[:, 0] <= 1
            mixed = np.where(alone[:, None], v, (1 - m.align) * v + m.align * mean / count)
            # what is lost by averaging opposite velocities is given back
            lost = np.linalg.norm(mixed, axis=1) / self.settings.speed if self.settings.speed else np.ones(n)
            cells.velocity = mixed * np.clip(1 / np.maximum(lost, 1e-3), 1, 1 + 0.15 * m.align)[:, None]
        if m.seek:
            unit = apart / np.maximum(np.linalg.norm(apart, axis=1), 1e-9)[:, None]
            crowded = np.stack([np.bincount(b, c, n) - np.bincount(a, c, n) for c in unit.T], axis=1)
            # of six neighbours in a plane, one side without any leaves a sum of about two unit vectors
            cells.velocity = cells.velocity + 0.15 * m.seek * self.settings.speed * crowded

    def _find_pairs(self, reach: float, radius: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Return pairs of cells closer than `reach` sums of their radii, and the vectors from first to second."""
        position = np.mod(self.herd.cells.position - self._low, self._size)
        box = self._size * np.array([1e3, 1.0, 1.0])[-len(self._size) :]  # along z it does not wrap around
        position = np.minimum(position, box * (1 - 1e-12))
        pairs = cKDTree(position, boxsize=box).query_pairs(2 * reach * float(radius.max()), output_type="ndarray")
        a, b = pairs[:, 0], pairs[:, 1]
        apart = position[b] - position[a]
        apart -= box * np.rint(apart / box)
        near = (apart**2).sum(axis=1) < (reach * (radius[a] + radius[b])) ** 2
        return a[near], b[near], apart[near]

    def _push(self, rounds: int) -> None:
        cells, d = self.herd.cells, len(self.extent)
        n = len(cells)
        if n < 2:
            return
        radius = self.compute_radii()
        for _ in range(rounds):
            a, b, apart = self._find_pairs(1.0, radius)
            distance = np.maximum(np.linalg.norm(apart, axis=1), 1e-6)
            push = (0.28 * (radius[a] + radius[b] - distance) / distance)[:, None] * apart
            cells.position += np.stack([np.bincount(b, c, n) - np.bincount(a, c, n) for c in push.T], axis=1)
            if d == 3:
                inside = np.minimum(radius, self.extent[0] / 2)
                cells.position[:, 0] = np.clip(cells.position[:, 0], inside, self.extent[0] - inside)

    def _wrap(self) -> None:
        """Let cells that leave the region at one side enter at the other, as other cells."""
        cells = self.herd.cells
        outside = (cells.position < self._low) | (cells.position >= self._low + self._size)
        if len(self.extent) == 3:
            outside[:, 0] = False
        turned = self._low + np.mod(cells.position - self._low, self._size)
        cells.position = np.where(outside, turned, cells.position)
        if outside.any():
            self.herd.rename(outside.any(axis=1))
