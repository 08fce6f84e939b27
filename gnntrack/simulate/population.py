"""The state of simulated cells of many kinds: a table with a row per living cell, and its birth, division and death."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import BoolArray, FloatArray, IntArray

__all__ = ["FOUNDED", "TYPICAL_SIZE", "Bodies", "Population"]

FOUNDED = -1000
"""Frame of birth of the cells that are there from the first frame on, or enter the field."""

TYPICAL_SIZE = 0.72
"""Mean size of growing cells, as a fraction of that of a cell that divides."""

_FICKLE = 0.1  # of the size at which a cell divides, and of its rate of growth


@dataclass
class Bodies:
    """State of the living cells, one row each.

    Parameters
    ----------
    id, parent, birth : (n,) int64
        Identity, that of the parent (0 = none), frame of birth.
    position, velocity : (n, D) float64
        In um, and um per frame.
    angle : (n,) float64
        Angle of the long axis to the y axis, towards x, in rad.
    size : (n,) float64
        Area or volume (length of rods), as a fraction of that of a typical cell that divides.
    goal : (n,) float64
        Size at which the cell divides.
    pace : (n,) float64
        Factor of the rate of growth, about 1.
    vigour : (n,) float64
        Factor of the speed, about 1; 0 = the cell rests.
    aspect : (n,) float64
        Long axis divided by the short one.
    light : (n,) float64
        Brightness; 1 = an ordinary cell.
    mitosis, death : (n,) float64
        Frames to the division and to the death; 0 = neither is near.
    """

    id: IntArray
    parent: IntArray
    birth: IntArray
    position: FloatArray
    velocity: FloatArray
    angle: FloatArray
    size: FloatArray
    goal: FloatArray
    pace: FloatArray
    vigour: FloatArray
    aspect: FloatArray
    light: FloatArray
    mitosis: FloatArray
    death: FloatArray

    def __len__(self) -> int:
        return len(self.id)

    def take(self, rows: BoolArray | IntArray) -> Bodies:
        """Return some of the cells."""
        return Bodies(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def concatenate(self, *others: Bodies) -> Bodies:
        """Return these cells and those of others."""
        return Bodies(
            **{f.name: np.concatenate([getattr(each, f.name) for each in (self, *others)]) for f in fields(self)}
        )


@dataclass
class Population:
    """Cells that get an identity when they are born or come into view.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all random numbers.
    uneven : float
        Standard deviation of the fraction of its parent's size that a daughter gets.
    """

    rng: np.random.Generator
    uneven: float = 0.04
    frame: int = 0
    cells: Bodies = field(init=False)
    _next_id: int = field(init=False, default=1)

    def create(self, position: FloatArray, *, size: FloatArray, aspect: float = 1.2, varied: float = 0.3) -> Bodies:
        """Return cells without a parent, (n, D) -> n cells, of random angles and lights."""
        rng, n = self.rng, len(position)
        return Bodies(
            id=self._take_ids(n),
            parent=np.zeros(n, np.int64),
            birth=np.full(n, FOUNDED),
            position=position,
            velocity=np.zeros_like(position),
            angle=rng.uniform(0, math.pi, n),
            size=size,
            goal=np.exp(rng.normal(0, _FICKLE, n)),
            pace=np.exp(rng.normal(0, _FICKLE, n)),
            vigour=np.exp(rng.normal(0, varied, n)),
            aspect=1 + (aspect - 1) * rng.gamma(4, 0.25, n),
            light=np.exp(rng.normal(0, 0.16, n)),
            mitosis=np.zeros(n),
            death=np.zeros(n),
        )

    def draw_sizes(self, n: int) -> FloatArray:
        """Return sizes of growing cells at random times of their cycles: there are twice as many young ones as old."""
        return np.asarray(2 ** -self.rng.uniform(0, 1, n))

    def divide(self, rows: BoolArray, apart: FloatArray) -> BoolArray:
        """Replace cells by pairs of daughters, which share their size.

        Parameters
        ----------
        rows : (n,) bool
            The cells that divide.
        apart : (n, D) float64
            Vector from the place of a cell to one of its daughters, in um, for all cells.

        Returns
        -------
        (n,) bool
            Whether a cell was born just now.
        """
        parent, rng = self.cells.take(rows), self.rng
        k = len(parent)
        part = np.clip(0.5 + rng.normal(0, self.uneven, k), 0.3, 0.7)
        daughters = []
        for side, share in ((-1, part), (1, 1 - part)):
            one = parent.take(np.arange(k))
            one.id, one.parent = self._take_ids(k), parent.id.copy()
            one.birth = np.full(k, self.frame)
            one.size = share * parent.size
            # the cell adds the same size in each cycle, so that sizes do not drift away
            one.goal = one.size + 0.5 * np.exp(rng.normal(0, _FICKLE, k))
            # the daughters' centres of mass are the parent's
            one.position = parent.position + 2 * side * (1 - share)[:, None] * apart[rows]
            one.light = parent.light * np.exp(rng.normal(0, 0.04, k))
            one.pace = parent.pace * np.exp(rng.normal(0, 0.05, k))
            one.mitosis, one.death = np.zeros(k), np.zeros(k)
            daughters.append(one)
        self.cells = self.cells.take(~rows).concatenate(*daughters)
        newborn = np.zeros(len(self.cells), bool)
        newborn[len(self.cells) - 2 * k :] = True
        return newborn

    def rename(self, rows: BoolArray) -> None:
        """Make other cells of some, such as those that leave at one side of the region and enter at the other."""
        self.cells.id[rows] = self._take_ids(int(rows.sum()))
        self.cells.parent[rows] = 0
        self.cells.birth[rows] = FOUNDED

    def _take_ids(self, n: int) -> IntArray:
        ids = np.arange(self._next_id, self._next_id + n)
        self._next_id += n
        return ids
