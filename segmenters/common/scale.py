"""The scale of an image for a network: cells get the size of those that the network was trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CellsAtScale", "Scale", "clip_factor", "search_scale"]

_DIAMETERS = (7, 14, 28, 56, 112, 224)  # pixels of the image: sizes of cells that are tried
_WRONG = 1.0  # octaves: standard deviation of the sizes at which a network still finds cells well
_ROUNDS = 3  # of the improvement of the best scale
_CLOSE = 1.05  # two successive scales within this ratio end the improvement
_FEW = 2.0  # so many cells are half as convincing as many
_LARGEST_FACTOR = 8.0


class CellsAtScale(NamedTuple):
    """The cells that a network finds at some scale."""

    diameter: float
    """Median over the cells, in pixels of the network."""
    certainty: float
    """From 0 to about 1."""
    cells: int
    """Their number."""


class Scale(NamedTuple):
    """The scale of an image for a network."""

    factor: float
    """Pixels of the network per pixel of the image."""
    certainty: float
    """How convincing the cells are that the network finds at this scale, from 0 to about 1; 0 if it finds none."""


def search_scale(shape: tuple[int, ...], diameter: float, measure: Callable[[float], CellsAtScale | None]) -> Scale:
    """Return the scale at which cells have the size of those of the training data.

    The network finds cells at several scales, an octave apart. At a wrong one it finds few, or is less certain of them,
    or they have another size than those it was trained on. The best scale is improved by the size of the cells there.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image, (Y, X) or (Z, Y, X).
    diameter : float
        Typical diameter of the cells of the training data, in pixels of the network.
    measure : callable
        From a factor to the cells that the network finds, or None if it finds none.

    Examples
    --------
    A network that always finds cells of 15 pixels in the image:

    >>> scale = search_scale((99, 99), 30.0, lambda factor: CellsAtScale(15 * factor, 0.9, 8))
    >>> scale.factor, round(scale.certainty, 2)
    (2.0, 0.72)
    """
    best, factor = 0.0, 1.0
    for size in _DIAMETERS:
        tried = clip_factor(diameter / size, shape)
        found = measure(tried)
        if found is not None and (score := _rate(found, diameter)) > best:
            best, factor = score, tried * diameter / found.diameter
    factor = clip_factor(factor, shape)
    for _ in range(_ROUNDS if best else 0):
        found = measure(factor)
        if found is None:
            break
        best = found.certainty * found.cells / (found.cells + _FEW)
        better = clip_factor(factor * diameter / found.diameter, shape)
        if max(better / factor, factor / better) < _CLOSE:
            break
        factor = better
    return Scale(factor, best)


def _rate(found: CellsAtScale, diameter: float) -> float:
    """Return how convincing cells are: by their number, by their certainty, and by their size."""
    octaves = float(np.log2(found.diameter / diameter))
    return found.certainty * found.cells / (found.cells + _FEW) * float(np.exp(-0.5 * (octaves / _WRONG) ** 2))


def clip_factor(factor: float, shape: tuple[int, ...]) -> float:
    """Limit a factor so that a scaled image is neither tiny nor huge."""
    return float(np.clip(factor, min(1.0, 32 / max(shape[-2:])), _LARGEST_FACTOR))
