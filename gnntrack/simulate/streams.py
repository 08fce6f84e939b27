"""A flow that changes slowly and differs from place to place, such as that of a tissue."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.types import FloatArray

__all__ = ["Streams"]

_MODES = 6  # waves whose sum is the flow
_LASTING = 0.93  # fraction of the flow that is kept per frame


@dataclass
class Streams:
    """A flow without sources, of mean square 1.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the random numbers of the first frame.
    ndim : {2, 3}
        Number of dimensions.
    length : float
        Typical length of its waves in um.

    Examples
    --------
    >>> flow = Streams(np.random.default_rng(1), 2, length=50.0)
    >>> flow.measure(np.zeros((4, 2))).shape
    (4, 2)
    """

    rng: np.random.Generator = field(repr=False)
    ndim: int
    length: float

    def __post_init__(self) -> None:
        rng = self.rng
        wave = rng.normal(size=(_MODES, self.ndim))
        size = rng.uniform(0.6, 1.4, _MODES) * 2 * math.pi / self.length
        self._waves = wave * (size / np.linalg.norm(wave, axis=1))[:, None]
        self._phases = rng.uniform(0, 2 * math.pi, _MODES)
        self._swings = self._draw(rng)

    def advance(self, rng: np.random.Generator, time: float) -> None:
        """Change the flow as in a part of a frame."""
        keep = _LASTING**time
        self._swings = keep * self._swings + math.sqrt(1 - keep**2) * self._draw(rng)

    def measure(self, position: FloatArray) -> FloatArray:
        """Return the flow at places (n, D), shape (n, D)."""
        return np.asarray(np.cos(position @ self._waves.T + self._phases) @ self._swings)

    def _draw(self, rng: np.random.Generator) -> FloatArray:
        """Return amplitudes across the waves, so that the density is kept."""
        swings = rng.normal(0, math.sqrt(2 / _MODES / max(self.ndim - 1, 1)), (_MODES, self.ndim))
        along = self._waves / np.linalg.norm(self._waves, axis=1)[:, None]
        return np.asarray(swings - (swings * along).sum(axis=1)[:, None] * along)
