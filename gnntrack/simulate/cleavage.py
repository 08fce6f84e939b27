"""Simulated cleavage of an embryo: cells in an egg divide in waves, without growth, and push each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.simulate.colony import Snapshot
from gnntrack.simulate.crowding import push_apart
from gnntrack.simulate.population import Population
from gnntrack.simulate.stage import Stage
from gnntrack.simulate.streams import Streams

if TYPE_CHECKING:
    from gnntrack.settings import SimulateSettings
    from gnntrack.types import BoolArray, FloatArray

__all__ = ["watch_cleavage"]

_STEPS = 4  # steps per frame
_ROUNDS = 5  # rounds of pushing per step
_SETTLING = 60  # rounds of pushing before the first frame
_FILLED = 0.72  # fraction of the egg that is filled by balls of the size of the cells
_MITOSIS = 0.12  # duration of mitosis, in cycles
_CENTRING = 0.1  # fraction of its distance to the middle of the field that the stage takes back per frame
_APART = 0.55  # distance of newborn daughters from the parent's centre, in its radii


@dataclass(frozen=True)
class _Egg:
    """Traits of an embryo, drawn at random.

    Parameters
    ----------
    axes : (3,) float64
        Half axes of the egg along z, y, x in um.
    cover : float
        Drawn radius of a cell relative to its own: below 1 nuclei, above 1.2 cells that touch everywhere.
    scatter : float
        Standard deviation of the duration of a cycle among cells, in cycles: small = synchronous.
    delay : float
        Delay of divisions from one pole to the other, in cycles.
    slower : float
        Factor of the duration from one generation to the next.
    pole : (3,) float64
        Unit vector to the pole at which waves begin.
    spin : float
        Standard deviation of the rotation of the embryo per frame, in rad.
    """

    axes: FloatArray
    cover: float
    scatter: float
    delay: float
    slower: float
    pole: FloatArray
    spin: float

    @classmethod
    def draw(cls, rng: np.random.Generator, extent: FloatArray) -> _Egg:
        pole = rng.normal(size=3)
        return cls(
            axes=extent / 2 * rng.uniform(0.75, 1.0, 3),
            cover=float(rng.uniform(0.5, 0.75) if rng.random() < 0.6 else rng.uniform(1.15, 1.35)),
            scatter=float(np.exp(rng.uniform(np.log(0.02), np.log(0.3)))),
            delay=float(rng.choice([0.0, rng.uniform(0.1, 0.8)])),
            slower=float(rng.uniform(1.0, 1.3)),
            pole=pole / np.linalg.norm(pole),
            spin=float(rng.exponential(0.03)),
        )


def watch_cleavage(settings: SimulateSettings, rng: np.random.Generator, extent: FloatArray) -> list[Snapshot]:
    """Return the cells of an embryo in every frame.

    Parameters
    ----------
    settings : SimulateSettings
        `cells` is the number of cells in the first frame, `cycle` the duration of the first cycle; the size of the
        cells follows from that of the egg, which fills most of the field.
    rng : numpy.random.Generator
        Source of all random numbers.
    extent : (3,) float64
        Size of the field along z, y, x in um.

    Returns
    -------
    list of Snapshot
        One per frame.
    """
    embryo = _Embryo(settings, rng, extent, _Egg.draw(rng, extent))
    snapshots = [embryo.take_snapshot()]
    for _ in range(1, settings.frames):
        embryo.step()
        snapshots.append(embryo.take_snapshot())
    return snapshots


@dataclass
class _Embryo:
    """Cells in an egg; `size` of a cell is its fraction of the egg, `goal` the frame in which its mitosis begins."""

    settings: SimulateSettings
    rng: np.random.Generator
    extent: FloatArray
    egg: _Egg
    herd: Population = field(init=False)

    def __post_init__(self) -> None:
        s, rng, n = self.settings, self.rng, self.settings.cells
        self.herd = Population(rng, uneven=float(rng.choice([0.03, 0.08])))
        place = rng.normal(size=(n, 3))
        place *= (rng.uniform(0, 1, n) ** (1 / 3) / np.maximum(np.linalg.norm(place, axis=1), 1e-9))[:, None]
        size = np.exp(rng.normal(0, 0.1, n))
        herd = self.herd
        herd.cells = herd.create(place * self.egg.axes, size=size / max(size.sum(), 1e-9), aspect=1.2)
        herd.cells.velocity = rng.normal(0, s.speed / math.sqrt(3), (n, 3))
        self._generation = np.zeros(n)
        late = self.egg.delay * 0.5 * (1 + place @ self.egg.pole)
        begun = rng.uniform(0, 1)
        due = (late + rng.normal(0, self.egg.scatter, n) - begun) % 1.0
        herd.cells.goal = due * s.cycle
        self._streams = Streams(rng, 3, length=float(self.egg.axes.min()) * 2)
        self._stage = Stage(s, rng, 3)
        self._offset = self.extent / 2 + rng.normal(0, 0.02, 3) * self.extent * (0, 1, 1)
        self._turn, self._time = np.eye(3), 0.0
        for _ in range(_SETTLING):
            self._push()
        herd.cells.birth[:] = -1000

    def step(self) -> None:
        """Advance by one frame."""
        self.herd.frame += 1
        for _ in range(_STEPS):
            self._time += 1 / _STEPS
            self._divide(1 / _STEPS)
            self._move(1 / _STEPS)
            for _ in range(_ROUNDS):
                self._push()
        self._turn = self._turn @ _rotate(self.rng.normal(0, self.egg.spin, 3) * (1, 0.3, 0.3))
        # the stage follows the embryo, so that it stays in the field
        self._offset = self._offset + self._stage.move() + _CENTRING * (self.extent / 2 - self._offset)

    def _compute_radii(self) -> FloatArray:
        volume = self.herd.cells.size * _FILLED * float(np.prod(self.egg.axes))
        return np.asarray(volume ** (1 / 3))

    def _find_phases(self) -> tuple[FloatArray, FloatArray]:
        """Return how far each cell is in mitosis, and how young it is, 0 to 1."""
        cells, lasts = self.herd.cells, max(1.0, _MITOSIS * self.settings.cycle)
        ready = np.where(cells.mitosis > 0, np.clip(1.1 - cells.mitosis / lasts, 0, 1), 0.0)
        return ready, np.exp(-(self.herd.frame - cells.birth) / max(1.0, 0.1 * self.settings.cycle))

    def take_snapshot(self) -> Snapshot:
        """Return the visible state of the cells in the current frame."""
        cells, nuclei = self.herd.cells, self.egg.cover < 1
        ready, young = self._find_phases()
        busy = np.maximum(ready, young)
        radius = self.egg.cover * self._compute_radii() * (1 - (0.15 if nuclei else 0.0) * busy)
        aspect = 1 + (cells.aspect - 1) * (1 - busy) + (0.5 * busy**4 if nuclei else 0.0)
        return Snapshot(
            id=cells.id.copy(),
            parent=cells.parent.copy(),
            age=self.herd.frame - cells.birth,
            position=cells.position @ self._turn.T + self._offset,
            axes=np.stack([radius, radius * np.sqrt(aspect), radius / np.sqrt(aspect)], axis=1),
            angle=cells.angle + math.atan2(self._turn[2, 1], self._turn[1, 1]),
            light=cells.light * (1 + (0.8 if nuclei else 0.2) * busy),
            condensed=busy * nuclei,
            rough=0.03 * (1 - busy),
            outlined=0.0 if nuclei else 2.0,
        )

    def _divide(self, time: float) -> None:
        cells, s = self.herd.cells, self.settings
        if not s.divisions or not len(cells):
            return
        splits = (cells.mitosis > 0) & (cells.mitosis <= time)
        cells.mitosis = np.maximum(cells.mitosis - time, 0)
        starts = (cells.mitosis == 0) & ~splits & (cells.goal <= self._time)
        cells.mitosis[starts] = max(1.0, _MITOSIS * s.cycle)
        if not splits.any():
            return
        self._split(splits)

    def _split(self, rows: BoolArray) -> None:
        s, rng = self.settings, self.rng
        along = rng.normal(size=(len(rows), 3)) * (0.7, 1, 1)
        along /= np.linalg.norm(along, axis=1)[:, None]
        self.herd.cells.angle = np.where(rows, np.arctan2(along[:, 2], along[:, 1]), self.herd.cells.angle)
        older = np.tile(self._generation[rows] + 1, 2)
        newborn = self.herd.divide(rows, _APART * self._compute_radii()[:, None] * along)
        self._generation = np.concatenate([self._generation[~rows], older])
        cells, k = self.herd.cells, int(newborn.sum())
        spread = np.exp(rng.normal(0, self.egg.scatter, k))
        cells.goal[newborn] = self._time + s.cycle * self.egg.slower ** (older - 1) * (spread - _MITOSIS)
        cells.angle[newborn] += math.pi / 2
        cells.aspect[newborn] = 1 + 0.2 * rng.gamma(4, 0.25, k)

    def _move(self, time: float) -> None:
        cells, s, rng = self.herd.cells, self.settings, self.rng
        keep = s.persistence**time
        impulse = rng.normal(0, s.speed / math.sqrt(3), cells.velocity.shape)
        cells.velocity = keep * cells.velocity + math.sqrt(1 - keep**2) * impulse
        self._streams.advance(rng, time)
        flow = s.speed * self._streams.measure(cells.position)
        calm = np.where(cells.mitosis > 0, 0.4, 1.0)[:, None] * cells.vigour[:, None]
        cells.position = cells.position + time * (calm * cells.velocity + flow)

    def _push(self) -> None:
        """Push cells apart, and back into the egg."""
        cells = self.herd.cells
        radius = self._compute_radii()
        if len(cells) > 1:
            cells.position += push_apart(cells.position, radius, reach=1.0, strength=0.3)
        room = np.maximum(self.egg.axes - 0.9 * radius[:, None], 0.1 * self.egg.axes)
        outside = np.linalg.norm(cells.position / room, axis=1)
        cells.position /= np.maximum(outside, 1)[:, None]


def _rotate(vector: FloatArray) -> FloatArray:
    """Return the matrix of a rotation around a vector z, y, x by its length in rad (Rodrigues' formula)."""
    angle = max(float(np.linalg.norm(vector)), 1e-12)
    z, y, x = vector / angle
    cross = np.array([[0, -x, y], [x, 0, -z], [-y, z, 0]])
    return np.asarray(np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross)
