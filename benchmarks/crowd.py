"""Points that move at random and divide, without a size: they pass through each other, unlike simulated nuclei.

With `gnntrack.simulate.simulate_embryo` they are the training data of ``point_divisions.py``. Tissues differ in how
regular they are: here neighbours may be as close as daughters, unless points are kept apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.special import ndtri

from gnntrack.types import PointGraph

EXTENT = np.full(3, 104.0)  # um
VOXEL = np.array([1.625, 0.40625, 0.40625])
MARGIN = 12.0  # um around the volume
FRAMES = 30
FLICKER = 0.5  # correlation over time of the chance to be missed
CLUTTER_LIFE, CLUTTER_SEEN = 4.0, 0.75  # mean number of frames, and fraction of these in which it is detected


@dataclass(frozen=True)
class Crowd:
    """Detections, the id of the true point of each (0 = clutter), and the true lineage."""

    points: pd.DataFrame
    point_truth: np.ndarray
    truth: PointGraph


@dataclass(frozen=True)
class Habits:
    """How the points of a crowd live; lengths in um, rates per frame."""

    count: int
    speed: float
    persistence: float
    drift: float
    misses: float
    clutter: float
    noise: float
    rate: float  # of divisions
    distance: float  # from the middle to each newborn daughter
    leaving: float  # speed at which daughters part
    apart: float  # least distance of points, 0 = none
    frozen: float
    whole: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Habits:
        """Draw habits at random."""

        def between(low: float, high: float) -> float:
            return float(np.exp(rng.uniform(np.log(low), np.log(high))))

        return cls(
            count=int(between(30, 600)),
            speed=rng.uniform(0.3, 1.5),
            persistence=rng.uniform(0, 0.9),
            drift=between(0.1, 4),
            misses=rng.uniform(0.005, 0.15),
            clutter=rng.uniform(0.005, 0.25),
            noise=rng.uniform(0.1, 0.8),
            rate=between(0.0008, 0.015),
            distance=rng.uniform(1.2, 4),
            leaving=rng.uniform(0.2, 1.2),
            apart=float(rng.choice([0.0, 0.0, 3.0, 5.0])),
            frozen=float(rng.choice([0.0, 0.08, 0.15])),
            whole=bool(rng.uniform() < 0.5),
        )


class _Life:
    """The points at one time, in a box around the volume that is closed in itself."""

    def __init__(self, habits: Habits, rng: np.random.Generator) -> None:
        self.habits, self.rng, self.box = habits, rng, EXTENT + 2 * MARGIN
        n = round(habits.count * float(np.prod(self.box / EXTENT)))
        self.position, self.velocity = rng.uniform(size=(n, 3)) * self.box, self._draw_impulses(n)
        self.id, self.next_id, self.parent = np.arange(1, n + 1), n + 1, {}
        self.dimness, self.flicker = self._draw_dimness(n), rng.normal(size=n)
        for _ in range(40):
            self._push()
        born = int(habits.clutter * n / CLUTTER_SEEN)
        self.clutter = rng.uniform(size=(born, 3)) * self.box
        self.clutter_life = rng.geometric(1 / CLUTTER_LIFE, born)
        self.heading = rng.normal(size=3)

    def _draw_impulses(self, n: int) -> np.ndarray:
        return self.rng.normal(0, self.habits.speed / 3**0.5, (n, 3))

    def _draw_dimness(self, n: int) -> np.ndarray:
        return self.rng.beta(0.6, 0.6 * (1 - self.habits.misses) / self.habits.misses, n)

    def _push(self) -> None:
        apart = self.habits.apart
        pairs = cKDTree(self.position % self.box).query_pairs(apart, output_type="ndarray") if apart else []
        if len(pairs):
            a, b = pairs.T
            step = self.position[b] - self.position[a]
            length = np.maximum(np.linalg.norm(step, axis=1), 1e-6)
            step *= (0.45 * (apart - length) / length)[:, None]
            np.add.at(self.position, b, step)
            np.add.at(self.position, a, -step)

    def detect(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return ids and places of the points in the volume, and ids and places of the detections."""
        place, clutter = self.position - MARGIN, self.clutter - MARGIN
        inside, near = (((each >= 0) & (each <= EXTENT)).all(axis=1) for each in (place, clutter))
        seen = inside & (self.flicker > ndtri(self.dimness))
        near &= self.rng.uniform(size=len(near)) < CLUTTER_SEEN
        error = self.rng.normal(0, self.habits.noise, (int(seen.sum()), 3)) * (1.5, 1, 1)
        found = np.concatenate([np.clip(place[seen] + error, 0, EXTENT), clutter[near]])
        ids = np.concatenate([self.id[seen], np.zeros(int(near.sum()), np.int64)])
        return self.id[inside], place[inside], ids, found

    def step(self) -> None:
        """Advance by one frame."""
        habits, rng = self.habits, self.rng
        self._divide(rng.uniform(size=len(self.id)) < habits.rate)
        keep = habits.persistence
        self.velocity = keep * self.velocity + (1 - keep**2) ** 0.5 * self._draw_impulses(len(self.id))
        self.flicker = FLICKER * self.flicker + (1 - FLICKER**2) ** 0.5 * rng.normal(size=len(self.id))
        self.heading = 0.5 * self.heading + rng.normal(size=3)
        drift = self.heading / np.linalg.norm(self.heading) * habits.drift * np.exp(rng.normal(0, 0.6))
        self.position = self.position + self.velocity + drift
        self._push()
        outside = np.flatnonzero(((self.position < 0) | (self.position >= self.box)).any(axis=1))
        self.position = self.position % self.box
        self.id[outside] = self._take_ids(len(outside))
        new = rng.poisson(habits.clutter * len(self.id) / CLUTTER_SEEN / CLUTTER_LIFE)
        lives = self.clutter_life > 1
        moved = self.clutter[lives] + self._draw_impulses(int(lives.sum())) + drift
        self.clutter = np.concatenate([moved % self.box, rng.uniform(size=(new, 3)) * self.box])
        self.clutter_life = np.concatenate([self.clutter_life[lives] - 1, rng.geometric(1 / CLUTTER_LIFE, new)])

    def _take_ids(self, n: int) -> np.ndarray:
        self.next_id += n
        return np.arange(self.next_id - n, self.next_id)

    def _divide(self, now: np.ndarray) -> None:
        axis = self.rng.normal(size=(int(now.sum()), 3))
        axis /= np.maximum(np.linalg.norm(axis, axis=1), 1e-9)[:, None]
        for side in (-1.0, 1.0):
            ids = self._take_ids(len(axis))
            self.parent |= dict(zip(ids.tolist(), self.id[: len(now)][now].tolist(), strict=True))
            more = {
                "position": self.position[: len(now)][now] + side * self.habits.distance * axis,
                "velocity": side * self.habits.leaving * axis,
                "id": ids,
                "dimness": self._draw_dimness(len(axis)),
                "flicker": self.rng.normal(size=len(axis)),
            }
            for name, value in more.items():
                setattr(self, name, np.concatenate([getattr(self, name), value]))
        keep = np.ones(len(self.id), bool)
        keep[: len(now)] = ~now
        for name in more:
            setattr(self, name, getattr(self, name)[keep])


def simulate_crowd(seed: int, habits: Habits | None = None) -> Crowd:
    """Simulate a crowd, by default of random habits."""
    rng = np.random.default_rng([seed, 77])
    habits = habits or Habits.draw(rng)
    life = _Life(habits, rng)
    shown = []
    for t in range(FRAMES):
        shown.append(shown[-1] if t and rng.uniform() < habits.frozen else life.detect())
        life.step()
    frame, found_frame = (np.repeat(np.arange(FRAMES), [len(each[k]) for each in shown]) for k in (0, 2))
    ids, place, found_ids, found = (np.concatenate([each[k] for each in shown]) for k in range(4))
    row = {key: k for k, key in enumerate(zip(frame.tolist(), ids.tolist(), strict=True))}
    before = [
        row.get((t - 1, k), row.get((t - 1, life.parent.get(k, 0)), -1))
        for t, k in zip(frame.tolist(), ids.tolist(), strict=True)
    ]
    target = np.flatnonzero(np.array(before) >= 0)
    truth = PointGraph(
        np.arange(1, len(ids) + 1), frame, place, np.array(before)[target], target, tuple(VOXEL), n_frames=FRAMES
    )
    voxel = np.rint(found / VOXEL) if habits.whole else found / VOXEL
    points = pd.DataFrame({"t": found_frame, **dict(zip("zyx", voxel.T, strict=True))})
    keys = zip(found_frame.tolist(), found_ids.tolist(), strict=True)
    return Crowd(points, np.array([row.get(key, -1) + 1 for key in keys]), truth)
