"""Random numbers hashed from keys (splitmix64), so that cells and frames can be computed in any order.

The hash is the finalizer of SplitMix64: Steele, Lea and Flood, Fast splittable pseudorandom number generators,
OOPSLA 2014, figure 17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from gnntrack.types import FloatArray, IntArray

    UintArray = npt.NDArray[np.uint64]

__all__ = ["draw_traits", "draw_uniform"]

_STEP = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio


def draw_uniform(seed: int, *keys: npt.ArrayLike) -> FloatArray:
    """Return uniform random numbers in [0, 1) that depend on the seed and the keys only.

    Parameters
    ----------
    seed : int
        The lowest 64 bits are used.
    keys : integers or integer arrays
        One number is returned for each element of the keys, broadcast against each other.

    Examples
    --------
    >>> bool((draw_uniform(1, 5, [1, 2]) == draw_uniform(1, 5, [1, 2, 3])[:2]).all())
    True
    """
    state = np.full(1, seed & (2**64 - 1), np.uint64)
    for key in keys:
        state = state ^ np.atleast_1d(np.asarray(key, np.int64)).astype(np.uint64)
        state = _mix(state + _STEP)
    return _convert_to_uniform(state)


def draw_traits(ids: IntArray, n: int, *, seed: int) -> FloatArray:
    """Return n numbers in [0, 1) for each cell, constant over its life, (len(ids), n).

    They depend on the cell's identity and the seed only.
    """
    column = np.arange(n, dtype=np.uint64)
    with np.errstate(over="ignore"):
        state = ids.astype(np.uint64)[:, None] * _STEP + column * np.uint64(0xD1B54A32D192ED03)
        state = _mix(state + np.uint64(seed) * np.uint64(0x2545F4914F6CDD1D))
    return _convert_to_uniform(state)


def _mix(state: UintArray) -> UintArray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


def _convert_to_uniform(state: UintArray) -> FloatArray:
    """Return the upper 53 bits as a number in [0, 1)."""
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53
