"""The life of simulated nuclei in a piece of an embryo: they move, flow, grow, divide, die and push each other."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from gnntrack.geometry import UNIT_BALL
from gnntrack.simulate.crowding import push_apart

if TYPE_CHECKING:
    from gnntrack.settings import EmbryoSettings
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["MITOSIS", "Tissue", "TissueSnapshot"]

MITOSIS = 4
"""Frames from the first rounding of a nucleus to its division."""

_MARGIN = 12.0  # um of tissue around the volume: more than a jump of the stack, so that nuclei come into view
_DYING = 5  # frames from the first shrinking to the death
_PACKED = 0.4  # largest fraction of the tissue that is filled by nuclei
_PUSHES = 2  # rounds of pushing apart per frame
_APART = 0.28  # half the distance of newborn daughters, in diameters of a grown nucleus
_LEAVING = 0.38  # distance that each of them moves away later, in such diameters
_SWELLING = 2.5  # frames in which a newborn nucleus gets its size
_MODES = 8  # waves of the flow
_LASTING = 0.95  # fraction of the flow that is kept from frame to frame
_UNEVEN = 0.6  # shape of the beta distribution of the chance to be missed: most nuclei never, some often
_FLICKER = 0.5  # correlation of the brightness of a nucleus with that one frame before
_CLUTTER_LIFE = 4.0  # mean number of frames
_CLUTTER_SEEN = 0.75  # fraction of its frames in which it is detected


@dataclass(frozen=True)
class TissueSnapshot:
    """The state of the nuclei and of the clutter in one frame, inside the volume and around it.

    Parameters
    ----------
    id, parent : (n,) int64
        Identity of the nucleus and of its parent, 0 = none; of clutter, `id` is negative.
    position : (n, 3) float64
        Centre along z, y, x in um from the centre of the first voxel.
    radius : (n,) float64
        Of the ball of its volume, in um.
    axis : (n, 3) float64
        Direction of its axis of symmetry, of length 1.
    aspect : (n,) float64
        Length along that axis divided by the width; below 1 it is a plate.
    light : (n,) float64
        Brightness; 1 = an ordinary nucleus.
    condensed : (n,) float64 in [0, 1]
        Degree of condensation of its chromatin: 1 in mitosis and death.
    seen : (n,) bool
        Whether a detector finds it.
    """

    id: IntArray
    parent: IntArray
    position: FloatArray
    radius: FloatArray
    axis: FloatArray
    aspect: FloatArray
    light: FloatArray
    condensed: FloatArray
    seen: BoolArray

    def __len__(self) -> int:
        return len(self.id)


@dataclass
class _Nuclei:
    """State of the living nuclei and of the clutter, one row each."""

    id: IntArray
    parent: IntArray
    age: IntArray  # frames since birth
    position: FloatArray  # (n, 3) um
    velocity: FloatArray  # (n, 3) um per frame, of its own
    motility: FloatArray  # factor of its own motion
    axis: FloatArray  # (n, 3) unit vector
    aspect: FloatArray  # of the resting nucleus
    radius: FloatArray  # of the grown nucleus, um
    light: FloatArray
    rate: FloatArray  # progress per frame
    progress: FloatArray  # 0 at birth, 1 when ready to divide
    mitosis: IntArray  # frames to the division, 0 = not in mitosis
    death: IntArray  # frames to the death, 0 = not dying
    dimness: FloatArray  # chance to be missed in a frame
    flicker: FloatArray  # standard normal, correlated over time; low values are misses

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: BoolArray | IntArray) -> _Nuclei:
        return _Nuclei(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def concatenate(self, *others: _Nuclei) -> _Nuclei:
        return _Nuclei(
            **{f.name: np.concatenate([getattr(each, f.name) for each in (self, *others)]) for f in fields(self)}
        )


@dataclass
class Tissue:
    """Nuclei in a volume and in a margin around it, seen by a microscope whose stage drifts.

    The region wraps around: a nucleus that leaves it at one side enters at the other as another one.

    Parameters
    ----------
    settings : EmbryoSettings
        Number, size, motion, division and death of the nuclei; drift of the stack; misses and clutter.
    rng : numpy.random.Generator
        Source of all random numbers.
    extent : (3,) float64
        Size of the volume along z, y, x in um.
    """

    settings: EmbryoSettings
    rng: np.random.Generator
    extent: FloatArray
    nuclei: _Nuclei = field(init=False)
    _next_id: int = field(init=False, default=1)
    _next_clutter: int = field(init=False, default=-1)

    def __post_init__(self) -> None:
        s, rng = self.settings, self.rng
        self._low, self._high = np.full(3, -_MARGIN), self.extent + _MARGIN
        room = float(np.prod(self._high - self._low))
        self._offset = np.zeros(3)  # of the tissue to the view
        self._heading = rng.normal(size=3)
        wave = rng.normal(size=(_MODES, 3))
        wave *= (rng.uniform(0.6, 1.4, _MODES) * 2 * math.pi / s.flow_length / np.linalg.norm(wave, axis=1))[:, None]
        self._waves, self._phases = wave, rng.uniform(0, 2 * math.pi, _MODES)
        self._swings = self._draw_swings()
        n = round(s.cells * room / float(np.prod(np.multiply(s.shape, s.spacing))))
        n = min(n, int(_PACKED * room / (UNIT_BALL[3] * (s.diameter / 2) ** 3)))
        founders = self._create_nuclei(rng.uniform(self._low, self._high, (n, 3)), np.zeros(n, np.int64))
        founders.age[:] = 1000
        founders.progress[:] = rng.uniform(0, 1, n)
        self.nuclei = founders
        for _ in range(15):
            self._push()
        life = rng.geometric(1 / _CLUTTER_LIFE, rng.poisson(s.clutter / _CLUTTER_SEEN * n))
        self.nuclei = self.nuclei.concatenate(self._create_clutter(life))
        self._wrap()

    def step(self) -> None:
        """Advance by one frame."""
        self.nuclei.age += 1
        self._divide()
        self._grow()
        self._renew_clutter()
        self._move()
        for _ in range(_PUSHES):
            self._push()
        self._wrap()

    def take_snapshot(self) -> TissueSnapshot:
        """Return the state of the nuclei in the present frame."""
        c = self.nuclei
        ready, young, dying = self._compute_phases()
        pale = 1 - 0.85 * c.dimness**0.4
        seen = c.flicker > ndtri(c.dimness)
        # a dividing nucleus gets round; its chromosomes form a plate, and each daughter gets half of it
        flat = np.maximum(0.45 * young, 0.6 * _compute_plates(ready))
        aspect = (1 + (c.aspect - 1) * (1 - np.maximum(ready, young)) ** 2) * (1 - flat)
        bright = 1 + 0.9 * np.maximum(ready, 0.8 * young) + _compute_plates(ready) + 1.2 * dying * (1 - dying**3)
        return TissueSnapshot(
            id=c.id.copy(),
            parent=c.parent.copy(),
            position=c.position.copy(),
            radius=self._compute_radii(),
            axis=c.axis.copy(),
            aspect=aspect,
            light=c.light
            * pale
            * bright
            * np.exp(0.12 * c.flicker)
            * np.where(seen, 1.0, np.where(c.id > 0, 0.6, 0.2)),
            condensed=np.maximum.reduce([ready, young, dying]),
            seen=seen,
        )

    def _compute_phases(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return how far each nucleus is in mitosis, how young it is, and how far it is in dying, 0 to 1."""
        c = self.nuclei
        ready = np.where(c.mitosis > 0, 1 - (c.mitosis - 1) / MITOSIS, 0.0)
        dying = np.where((c.death > 0) & (c.id > 0), 1 - (c.death - 1) / _DYING, 0.0)
        return ready, np.exp(-c.age / _SWELLING), dying

    def _compute_radii(self) -> FloatArray:
        """Return the radius of each nucleus, which grows until it divides; plates, newborn and dying ones are small."""
        c = self.nuclei
        ready, young, dying = self._compute_phases()
        grown = np.cbrt(0.55 + 0.45 * np.minimum(c.progress, 1))
        compact = (1 - 0.25 * _compute_plates(ready)) * (1 - 0.2 * young) * (1 - 0.45 * dying)
        return np.asarray(c.radius * grown * compact)

    def _create_nuclei(self, position: FloatArray, parent: IntArray) -> _Nuclei:
        """Return newborn nuclei."""
        rng, s, n = self.rng, self.settings, len(position)
        ids = np.arange(self._next_id, self._next_id + n)
        self._next_id += n
        rate = s.division_rate if s.divisions else 0.0
        miss = min(s.misses, 0.999)
        uneven = (_UNEVEN, _UNEVEN * (1 - miss) / miss) if miss > 0 else None
        return _Nuclei(
            id=ids,
            parent=parent,
            age=np.zeros(n, np.int64),
            position=position,
            velocity=rng.normal(0, s.speed / math.sqrt(3), (n, 3)),
            motility=np.exp(rng.normal(0, 0.35, n)),
            axis=_draw_directions(rng, n),
            aspect=1 + rng.gamma(3, 0.1, n),
            radius=0.5 * s.diameter * np.exp(rng.normal(0, 0.07, n)),
            light=np.exp(rng.normal(0, 0.18, n)),
            rate=rate * np.exp(rng.normal(0, 0.2, n)),
            progress=np.zeros(n),
            mitosis=np.zeros(n, np.int64),
            death=np.zeros(n, np.int64),
            dimness=rng.beta(*uneven, n) if uneven else np.zeros(n),
            flicker=rng.normal(0, 1, n),
        )

    def _create_clutter(self, life: IntArray) -> _Nuclei:
        """Return clutter that is detected for some frames."""
        rng, s, n = self.rng, self.settings, len(life)
        next_id = self._next_id
        clutter = self._create_nuclei(rng.uniform(self._low, self._high, (n, 3)), np.zeros(n, np.int64))
        self._next_id = next_id
        clutter.id[:] = np.arange(self._next_clutter, self._next_clutter - n, -1)
        self._next_clutter -= n
        clutter.age[:] = 1000
        clutter.death[:] = life
        clutter.light *= rng.uniform(0.25, 0.8, n)
        clutter.radius[:] = 0.5 * s.diameter * rng.uniform(0.4, 0.85, n)
        clutter.dimness[:] = 1 - _CLUTTER_SEEN
        return clutter

    def _divide(self) -> None:
        c = self.nuclei
        now = c.mitosis == 1
        if not now.any():
            return
        parent, rng, d = c.take(now), self.rng, self.settings.diameter
        daughters = []
        for side in (-1.0, 1.0):
            apart = side * _APART * d * parent.axis
            each = self._create_nuclei(parent.position + apart, parent.id)
            each.velocity = side * _LEAVING * d * (1 - self.settings.persistence) * parent.axis
            each.axis, each.dimness = parent.axis.copy(), parent.dimness.copy()
            each.light = parent.light * np.exp(rng.normal(0, 0.05, len(parent)))
            daughters.append(each)
        self.nuclei = c.take(~now).concatenate(*daughters)

    def _grow(self) -> None:
        """Let nuclei grow, enter mitosis, and die."""
        c, s, rng = self.nuclei, self.settings, self.rng
        c.mitosis = np.maximum(c.mitosis - 1, 0)
        resting = (c.mitosis == 0) & (c.death == 0) & (c.id > 0)
        c.progress[resting] += c.rate[resting]
        starts = resting & (c.progress >= 1)
        c.mitosis[starts] = MITOSIS
        c.axis[starts] = _draw_directions(rng, int(starts.sum()))
        ends = c.death == 1
        c.death = np.maximum(c.death - 1, 0)
        dies = resting & ~starts & (rng.uniform(size=len(c)) < s.death_rate)
        c.death[dies] = _DYING
        c.flicker = _FLICKER * c.flicker + math.sqrt(1 - _FLICKER**2) * rng.normal(0, 1, len(c))
        self.nuclei = c.take(~ends)

    def _renew_clutter(self) -> None:
        """Add clutter, as much as disappears."""
        nuclei = int((self.nuclei.id > 0).sum())
        n = self.rng.poisson(self.settings.clutter / _CLUTTER_SEEN * nuclei / _CLUTTER_LIFE)
        if n:
            life = self.rng.geometric(1 / _CLUTTER_LIFE, n)
            self.nuclei = self.nuclei.concatenate(self._create_clutter(life))

    def _move(self) -> None:
        c, s, rng = self.nuclei, self.settings, self.rng
        calm = np.where((c.mitosis > 0) | ((c.death > 0) & (c.id > 0)), 0.4, 1.0)
        impulse = rng.normal(0, s.speed / math.sqrt(3), c.velocity.shape) * c.motility[:, None]
        c.velocity = s.persistence * c.velocity + math.sqrt(1 - s.persistence**2) * impulse
        self._swings = _LASTING * self._swings + math.sqrt(1 - _LASTING**2) * self._draw_swings()
        flow = np.cos((c.position + self._offset) @ self._waves.T + self._phases) @ self._swings
        drift = self._draw_drift()
        self._offset -= drift
        c.position = c.position + calm[:, None] * c.velocity + flow + drift

    def _draw_swings(self) -> FloatArray:
        """Return the amplitudes of the waves of the flow in um per frame, across the waves; so the density is kept."""
        swings = self.rng.normal(0, self.settings.flow / math.sqrt(_MODES), (_MODES, 3))
        along = self._waves / np.linalg.norm(self._waves, axis=1)[:, None]
        return np.asarray(swings - (swings * along).sum(axis=1)[:, None] * along)

    def _draw_drift(self) -> FloatArray:
        """Return the displacement of the stack since the frame before, in um."""
        self._heading = 0.5 * self._heading + self.rng.normal(size=3)
        length = self.settings.drift * math.exp(self.rng.normal(0, self.settings.drift_spread))
        return np.asarray(self._heading * (length / max(float(np.linalg.norm(self._heading)), 1e-9)))

    def _push(self) -> None:
        """Push overlapping nuclei apart; newborn daughters may be close to each other."""
        c = self.nuclei
        solid = np.flatnonzero(c.id > 0)
        if len(solid) < 2:
            return
        position = c.position[solid]
        radius = self._compute_radii()[solid] * (1 - 0.45 * np.exp(-c.age[solid] / _SWELLING))
        c.position[solid] += push_apart(position, radius, reach=1.05, strength=0.45)

    def _wrap(self) -> None:
        """Let what leaves the region at one side enter at the other, under another identity."""
        c = self.nuclei
        outside = ((c.position < self._low) | (c.position >= self._high)).any(axis=1)
        c.position = self._low + np.mod(c.position - self._low, self._high - self._low)
        nuclei, clutter = outside & (c.id > 0), outside & (c.id < 0)
        count, lost = int(nuclei.sum()), int(clutter.sum())
        c.id[nuclei] = np.arange(self._next_id, self._next_id + count)
        c.id[clutter] = np.arange(self._next_clutter, self._next_clutter - lost, -1)
        self._next_id += count
        self._next_clutter -= lost
        c.parent[outside] = 0


def _draw_directions(rng: np.random.Generator, n: int) -> FloatArray:
    """Return n random vectors of length 1, (n, 3)."""
    vectors = rng.normal(size=(n, 3))
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-9)[:, None])


def _compute_plates(ready: FloatArray) -> FloatArray:
    """Return how far the chromosomes have formed a plate, 0 to 1, from the progress of mitosis."""
    return np.asarray(np.clip((ready - 0.7) / 0.3, 0, 1))
