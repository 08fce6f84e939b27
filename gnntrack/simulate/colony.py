"""The life of simulated cells: they move, grow, divide, die and push each other; all cells advance frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

from gnntrack.geometry import UNIT_BALL
from gnntrack.simulate.crowding import push_apart
from gnntrack.simulate.stage import draw_jump

if TYPE_CHECKING:
    from gnntrack.settings import SimulateSettings
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["Colony", "Snapshot"]

_PROPHASE = 4  # frames from the first rounding to the division
_DYING = 6  # frames from the first shrinking to the death
_FULL = 0.62  # fraction of the area (volume) covered by cells at which they stop growing
_PUSHES = 3  # rounds of pushing apart per frame
_YOUNG = 4.0  # frames until a daughter has its resting shape
_MOBILITY = np.array([0.3, 1.0, 1.0])  # along [z], y, x: cells on a dish move little along z


@dataclass(frozen=True)
class Snapshot:
    """The visible state of the cells in one frame.

    Parameters
    ----------
    id, parent : (n,) int64
        Identity of the cell and of its parent, 0 = none. A cell that wraps around far outside the field gets a
        new identity.
    age : (n,) int64
        Frames since its birth. The cells of the first frame were born long before it.
    position : (n, D) float64
        Centre along [z], y, x in um from the centre of the frame's first pixel.
    axes : (n, D) float64
        Half axes in um: [z], along `angle`, across it.
    angle : (n,) float64
        Angle of the second half axis to the y axis, towards x, in rad.
    light : (n,) float64
        Brightness; 1 = an ordinary cell.
    condensed : (n,) float64 in [0, 1]
        Degree of condensation of its chromatin: 1 in mitosis and death.
    rough : (n,) float64
        Height of the bumps of its outline on the ellipse, as a fraction of the radius.
    core : (n,) float64, optional
        Half length in um of the straight middle of a rod: the ellipse is cut in two across its second half axis, and
        the halves are this far from the centre. If None, 0.
    bend : (n,) float64, optional
        Curvature of that axis in 1/um; if None, it is straight.
    lobes : (n,) float64, optional
        Height of a few broad lobes that change from frame to frame, as a fraction of the radius; if None, there are
        none.
    outlined : float
        Light of the outlines, relative to that of the cells; 0 = only the cells shine.
    """

    id: IntArray
    parent: IntArray
    age: IntArray
    position: FloatArray
    axes: FloatArray
    angle: FloatArray
    light: FloatArray
    condensed: FloatArray
    rough: FloatArray
    core: FloatArray | None = None
    bend: FloatArray | None = None
    lobes: FloatArray | None = None
    outlined: float = 0.0

    def __len__(self) -> int:
        return len(self.id)


@dataclass
class _Cells:
    """State of the living cells, one row each."""

    id: IntArray
    parent: IntArray
    birth: IntArray  # frame
    position: FloatArray  # (n, D) um
    velocity: FloatArray  # (n, D) um per frame
    angle: FloatArray
    turn: FloatArray  # rad per frame
    radius: FloatArray  # of the grown cell, um
    aspect: FloatArray  # major / minor of the resting cell
    light: FloatArray
    rate: FloatArray  # progress per frame
    progress: FloatArray  # 0 at birth, 1 when grown
    mitosis: IntArray  # frames to the division, 0 = not in mitosis
    death: IntArray  # frames to the death, 0 = not dying

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: BoolArray | IntArray) -> _Cells:
        return _Cells(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def concatenate(self, other: _Cells) -> _Cells:
        return _Cells(**{f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)]) for f in fields(self)})


@dataclass
class Colony:
    """Cells in a field and around it.

    Cells live in a region that extends beyond the field by two diameters along y and x, and that wraps around:
    a cell that leaves the region at one side enters at the other as another cell. Along z, cells stay in the field.

    Parameters
    ----------
    settings : SimulateSettings
        Number, size, motion, division and death of the cells.
    rng : numpy.random.Generator
        Source of all random numbers.
    extent : (D,) float64
        Size of the field along [z], y, x in um.
    steady : bool
        Keep the number of cells about constant: as many cells die as divide.
    """

    settings: SimulateSettings
    rng: np.random.Generator
    extent: FloatArray
    steady: bool = False
    frame: int = 0
    cells: _Cells = field(init=False)
    _next_id: int = field(init=False, default=1)

    def __post_init__(self) -> None:
        d = self.settings.diameter
        margin = np.array([0.0, 2 * d, 2 * d])[-len(self.extent) :]
        self._low, self._high = -margin, self.extent + margin
        angle = self.rng.uniform(0, 2 * math.pi)
        self._drift = np.array([0.0, math.sin(angle), math.cos(angle)])[-len(self.extent) :]  # direction
        room = float(np.prod(self._high - self._low))
        fit = 0.8 * room / (UNIT_BALL[len(self.extent)] * (d / 2) ** len(self.extent))
        n = round(min(self.settings.cells * room / float(np.prod(self.extent)), fit))
        self._founded = n
        self.cells = self._create_founders(n)
        for _ in range(15):
            self._push()

    def _create_founders(self, n: int) -> _Cells:
        """Return the first cells, some of them in clusters, at all ages."""
        rng, s, d = self.rng, self.settings, len(self.extent)
        position = rng.uniform(self._low, self._high, (n, d))
        clustered = rng.uniform(size=n) < s.clustering
        centres = rng.uniform(self._low, self._high, (max(1, n // 8), d))
        near = centres[rng.integers(len(centres), size=n)] + rng.normal(0, 0.9 * s.diameter, (n, d))
        position[clustered] = near[clustered]
        cells = self._create_cells(self._wrap(position)[0], np.zeros(n, np.int64))
        cells.birth[:] = -1000
        cells.progress[:] = rng.uniform(0, 1, n)
        return cells

    def _create_cells(self, position: FloatArray, parent: IntArray) -> _Cells:
        """Return newborn cells."""
        rng, s, n = self.rng, self.settings, len(position)
        ids = np.arange(self._next_id, self._next_id + n)
        self._next_id += n
        return _Cells(
            id=ids,
            parent=parent,
            birth=np.full(n, self.frame),
            position=position,
            velocity=rng.normal(0, s.speed, position.shape) * _MOBILITY[-position.shape[1] :],
            angle=rng.uniform(0, math.pi, n),
            turn=np.zeros(n),
            radius=0.5 * s.diameter * np.exp(rng.normal(0, 0.07, n)),
            aspect=1 + rng.gamma(4, 0.08, n),
            light=np.exp(rng.normal(0, 0.16, n)),
            rate=1 / (s.cycle * np.exp(rng.normal(0, 0.15, n))),
            progress=np.zeros(n),
            mitosis=np.zeros(n, np.int64),
            death=np.zeros(n, np.int64),
        )

    def step(self) -> None:
        """Advance by one frame."""
        self.frame += 1
        self._divide()
        self._grow()
        self._move()
        self.cells.position += draw_jump(self.settings, self.rng, len(self.extent))
        for _ in range(_PUSHES):
            self._push()
        self.cells.position, left = self._wrap(self.cells.position)
        if left.any():  # a cell that enters on the other side is a new one
            n = int(left.sum())
            self.cells.id[left] = np.arange(self._next_id, self._next_id + n)
            self._next_id += n
            self.cells.parent[left] = 0
            self.cells.birth[left] = -1000

    def take_snapshot(self) -> Snapshot:
        """Return the visible state of the cells in the current frame."""
        c, d = self.cells, len(self.extent)
        young = np.exp(-(self.frame - c.birth) / (_YOUNG / 3))
        ready = np.where(c.mitosis > 0, 1 - (c.mitosis - 1) / _PROPHASE, 0.0)
        dying = np.where(c.death > 0, 1 - (c.death - 1) / _DYING, 0.0)
        condensed = np.maximum.reduce([young, ready**1.5, np.sqrt(dying)])
        radius = self._compute_radii() * (1 - 0.22 * ready**2) * (1 - 0.45 * dying)
        # a cell rounds up before it divides; its chromosomes form a plate, and each daughter gets half of it
        plate = np.maximum(1.3 * young, 1.4 * np.maximum(0, ready - 0.7) / 0.3)
        aspect = 1 + (c.aspect - 1) * (1 - condensed) + plate
        long, short = radius * np.sqrt(aspect), radius / np.sqrt(aspect)
        axes = np.stack([0.8 * radius * np.ones(len(c)), long, short], axis=1)[:, -d:]
        return Snapshot(
            id=c.id.copy(),
            parent=c.parent.copy(),
            age=self.frame - c.birth,
            position=c.position.copy(),
            axes=axes,
            angle=c.angle.copy(),
            light=c.light * (1 + 1.3 * np.maximum(young, ready**1.5) + 1.8 * dying * (1 - dying**4)),
            condensed=condensed,
            rough=0.05 * (1 - np.maximum(young, ready)) + 0.14 * dying,
        )

    def _compute_radii(self) -> FloatArray:
        """Return the radius of a ball of each cell's size; a newborn daughter has half of its parent's size."""
        c = self.cells
        return c.radius * (0.5 * (1 + np.minimum(c.progress, 1))) ** (1 / len(self.extent))

    def _divide(self) -> None:
        c = self.cells
        now = c.mitosis == 1
        if not now.any():
            return
        parent, rng = c.take(now), self.rng
        apart = 0.62 * self._compute_radii()[now][:, None] * _get_normal(parent.angle, len(self.extent))
        daughters = [self._create_cells(parent.position + side * apart, parent.id) for side in (-1, 1)]
        for side, daughter in zip((-1, 1), daughters, strict=True):
            daughter.velocity = 1.1 * side * apart / 2
            daughter.angle = parent.angle + rng.normal(0, 0.12, len(parent))
            daughter.light = parent.light * np.exp(rng.normal(0, 0.04, len(parent)))
        self.cells = c.take(~now).concatenate(daughters[0]).concatenate(daughters[1])

    def _grow(self) -> None:
        """Let cells grow, enter mitosis, and die."""
        c, s, rng = self.cells, self.settings, self.rng
        c.mitosis = np.maximum(c.mitosis - 1, 0)
        resting = (c.mitosis == 0) & (c.death == 0)
        crowd = min(1.0, self._compute_coverage() / _FULL)
        if s.divisions:
            growing = resting & (self.frame - c.birth > 1)
            c.progress[growing] += (c.rate * (1 if self.steady else 1 - crowd**4))[growing]
            c.mitosis[resting & (c.progress >= 1)] = _PROPHASE
        ends = c.death == 1
        c.death = np.maximum(c.death - 1, 0)
        mortal = resting & (c.mitosis == 0)
        rate = s.death_rate
        if self.steady:
            # as many as will divide, and more of them if there are more cells than at the start
            births = int((c.mitosis == _PROPHASE).sum())
            rate = births / max(1, int(mortal.sum())) * (len(c) / max(1, self._founded)) ** 4
        c.death[mortal & (rng.uniform(size=len(c)) < rate)] = _DYING
        self.cells = c.take(~ends)

    def _compute_coverage(self) -> float:
        """Return the fraction of the region that is covered by cells, overlaps counted twice."""
        covered = UNIT_BALL[len(self.extent)] * self._compute_radii() ** len(self.extent)
        return float(covered.sum() / np.prod(self._high - self._low))

    def _move(self) -> None:
        c, s, rng = self.cells, self.settings, self.rng
        n, d = len(c), len(self.extent)
        calm = np.where((c.mitosis > 0) | (c.death > 0), 0.3, 1.0)[:, None]
        keep = s.persistence
        impulse = rng.normal(0, s.speed / math.sqrt(2), (n, d)) * _MOBILITY[-d:]
        c.velocity = keep * c.velocity + math.sqrt(1 - keep**2) * impulse
        self._drift = self._drift + rng.normal(0, 0.15, d) * np.array([0, 1, 1])[-d:]
        self._drift /= max(float(np.linalg.norm(self._drift)), 1e-9)
        c.position = c.position + calm * c.velocity + s.drift * (self._drift + self._compute_flow(c.position))
        c.turn = 0.8 * c.turn + rng.normal(0, 0.05, n)
        c.angle = c.angle + c.turn * calm[:, 0]

    def _compute_flow(self, position: FloatArray) -> FloatArray:
        """Return a slow flow that differs from place to place, in units of the drift."""
        y, x = (2 * math.pi * (position[:, -2:] - self._low[-2:]) / (self._high - self._low)[-2:]).T
        flow = np.zeros_like(position)
        flow[:, -2] = 0.5 * np.sin(x + 0.05 * self.frame)
        flow[:, -1] = 0.5 * np.sin(y - 0.04 * self.frame)
        return flow

    def _push(self) -> None:
        """Push overlapping cells apart; remaining overlaps are resolved when the masks are drawn."""
        c, d = self.cells, len(self.extent)
        if len(c) < 2:
            return
        radius = self._compute_radii() * np.where(self.frame - c.birth < 3, 0.8, 1.0)
        c.position += push_apart(c.position, radius, reach=1.02, strength=0.35)
        if d == 3:
            inside = np.minimum(radius, self.extent[0] / 2)
            c.position[:, 0] = np.clip(c.position[:, 0], inside, self.extent[0] - inside)

    def _wrap(self, position: FloatArray) -> tuple[FloatArray, BoolArray]:
        size = self._high - self._low
        outside = (position < self._low) | (position >= self._high)
        if len(self.extent) == 3:
            outside[:, 0] = False
        turned = self._low + np.mod(position - self._low, size)
        return np.where(outside, turned, position), outside.any(axis=1)


def _get_normal(angle: FloatArray, ndim: int) -> FloatArray:
    """Return the unit vector perpendicular to an angle: daughters separate along it."""
    return np.stack([np.zeros_like(angle), -np.sin(angle), np.cos(angle)], axis=1)[:, -ndim:]
