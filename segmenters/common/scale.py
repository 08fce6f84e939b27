"""The scale of an image for a network: cells get the size of those that the network was trained on."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["CellsAtScale", "Scale", "clip_factor", "list_certain", "search_scale"]

_DIAMETERS = (7, 14, 28, 56, 112, 224)  # pixels of the image: sizes of cells that are tried
_WRONG = 1.0  # octaves: standard deviation of the sizes at which a network still finds cells well
_BETWEEN = 3  # scales between those of the best pair that are tried too
_UNLIKELY = 0.5  # octaves outside the expected sizes: standard deviation
_FEW = 2.0  # so many cells are half as convincing as many
_UNKNOWN, _MOST = 0.5, 0.95  # growth of the size of cells with the tried size: if it cannot be measured, and at most
_BEYOND = 1.4  # the improved scale is at most this factor outside the best pair
_LARGEST_FACTOR = 8.0
_EMPTY = 1 / 3  # certainty of an image without cells, at most, as a fraction of that of other images of the movie


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


def search_scale(
    shape: tuple[int, ...],
    diameter: float,
    measure: Callable[[float], CellsAtScale | None],
    *,
    likely: Sequence[float] | None = None,
) -> Scale:
    """Return the scale at which cells have the size of those of the training data.

    The network finds cells at several scales, an octave apart. At a wrong one it finds few, or is less certain of them,
    or they have another size than those it was trained on. Where it finds parts or groups of cells, these become larger
    with the size that is tried; true cells keep theirs. So the best pair of neighbouring scales is the one with certain
    cells of nearly the same size. Of the scales from one to the other, a quarter of an octave apart, the one with the
    most convincing cells is chosen, and improved by their size.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image, (Y, X) or (Z, Y, X).
    diameter : float
        Typical diameter of the cells of the training data, in pixels of the network.
    measure : callable
        From a factor to the cells that the network finds, or None if it finds none.
    likely : (smallest, largest), optional
        Diameters in pixels of the image that are expected; others are less likely, the more they differ.

    Examples
    --------
    A network that always finds cells of 15 pixels in the image:

    >>> scale = search_scale((99, 99), 30.0, lambda factor: CellsAtScale(15 * factor, 0.9, 8))
    >>> round(scale.factor, 3), round(scale.certainty, 2)
    (2.0, 0.72)
    """

    def rate(factor: float, cells: CellsAtScale | None) -> float:
        expected = 1.0 if likely is None or cells is None else _expect(cells.diameter / factor, *likely)
        return expected * _rate(cells, diameter)

    factors = sorted({clip_factor(diameter / size, shape) for size in _DIAMETERS}, reverse=True)
    found = [measure(factor) for factor in factors]
    rates = list(map(rate, factors, found))
    if not any(rates):
        return Scale(clip_factor(1.0, shape), 0.0)
    pairs = list(pairwise(range(len(factors))))
    scores = [_rate_pair([factors[i], factors[j]], [found[i], found[j]], rates[i] + rates[j]) for i, j in pairs]
    i, j = pairs[int(np.argmax(scores))] if pairs else (0, 0)
    between = np.geomspace(factors[i], factors[j], _BETWEEN + 2)[1:-1].tolist() if pairs else []
    tried = [(factors[i], found[i]), (factors[j], found[j]), *((factor, measure(factor)) for factor in between)]
    factor, cells = max(tried, key=lambda each: rate(*each))
    if cells is None:
        return Scale(factor, 0.0)
    better = float(np.clip(factor * diameter / cells.diameter, factors[j] / _BEYOND, factors[i] * _BEYOND))
    better = clip_factor(better, shape)
    return Scale(better, _weigh(measure(better)))


def list_certain(certainties: Sequence[float]) -> list[int]:
    """Return the indices of the images in which cells are found; an image of nothing but noise has no scale.

    >>> list_certain([0.02, 0.6, 0.5]), list_certain([0.0, 0.0])
    ([1, 2], [0, 1])
    """
    return [i for i, certainty in enumerate(certainties) if certainty >= _EMPTY * max(certainties)]


def _weigh(found: CellsAtScale | None) -> float:
    """Return the certainty of cells; less if they are few."""
    return 0.0 if found is None else found.certainty * found.cells / (found.cells + _FEW)


def _rate(found: CellsAtScale | None, diameter: float) -> float:
    """Return how convincing cells are: by their number, by their certainty, and by their size."""
    if found is None:
        return 0.0
    octaves = float(np.log2(found.diameter / diameter))
    return _weigh(found) * float(np.exp(-0.5 * (octaves / _WRONG) ** 2))


def _expect(size: float, smallest: float, largest: float) -> float:
    """Return how likely a size of cells is: 1 in the expected range, and less outside."""
    octaves = max(0.0, float(np.log2(smallest / size)), float(np.log2(size / largest)))
    return float(np.exp(-0.5 * (octaves / _UNLIKELY) ** 2))


def _rate_pair(factors: Sequence[float], found: Sequence[CellsAtScale | None], rates: float) -> float:
    """Return how convincing the cells at two scales are: by their rates, and by how little their size changes."""
    sizes = [cells.diameter / factor for cells, factor in zip(found, factors, strict=True) if cells is not None]
    if len(sizes) < 2:
        return rates * (1 - _UNKNOWN)
    growth = float(np.log(sizes[1] / sizes[0]) / np.log(factors[0] / factors[1]))  # 0: true cells, 1: no size at all
    return rates * (1 - float(np.clip(growth, 0, _MOST)))


def clip_factor(factor: float, shape: tuple[int, ...]) -> float:
    """Limit a factor so that a scaled image is neither tiny nor huge."""
    return float(np.clip(factor, min(1.0, 32 / max(shape[-2:])), _LARGEST_FACTOR))
