"""Displacement of the whole field: the drift of a microscope's stage, and its jumps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gnntrack.settings import SimulateSettings
    from gnntrack.types import FloatArray

__all__ = ["Stage", "draw_jump"]

_TURNING = 0.3  # change of the direction of the drift per frame


class Stage:
    """A stage that drifts in a direction that changes slowly, and jumps at times.

    Parameters
    ----------
    settings : SimulateSettings
        `drift`, `jumps` and `diameter` are used.
    rng : numpy.random.Generator
        Source of all random numbers.
    ndim : {2, 3}
        Number of dimensions; along z it does not move.
    """

    def __init__(self, settings: SimulateSettings, rng: np.random.Generator, ndim: int) -> None:
        self._settings, self._rng, self._ndim = settings, rng, ndim
        self._angle = float(rng.uniform(0, 2 * math.pi))

    def move(self) -> FloatArray:
        """Return the displacement of all cells since the frame before, (D,) in um."""
        self._angle += float(self._rng.normal(0, _TURNING))
        drift = self._settings.drift * np.array([0.0, math.cos(self._angle), math.sin(self._angle)])[-self._ndim :]
        return np.asarray(drift + draw_jump(self._settings, self._rng, self._ndim))


def draw_jump(settings: SimulateSettings, rng: np.random.Generator, ndim: int) -> FloatArray:
    """Return the jump of the field in a frame, (D,) in um: 0, or half a diameter to two diameters in any direction.

    No random number is drawn if there are no jumps.
    """
    if not settings.jumps or rng.random() >= settings.jumps:
        return np.zeros(ndim)
    angle, length = rng.uniform(0, 2 * math.pi), settings.diameter * rng.uniform(0.5, 2)
    return np.asarray(length * np.array([0.0, math.cos(angle), math.sin(angle)])[-ndim:])
